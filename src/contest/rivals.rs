//! The rivals as pilots: each looks at what a monitor shows and decides with the very code of `policy`.

use crate::{
    model::{Limits, Time},
    policy::{
        hpa::{Autoscaler, Behavior, Bounds, Controller, Phase, Pod, Readiness, average_value, utilisation},
        keda, threshold,
    },
    simulate::arena::{Pilot, Seen},
};
use std::collections::VecDeque;

/// What an HPA looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// An external metric: the lag, `AverageValue` per replica, records.
    Lag(f64),
    /// CPU utilisation, percent of the request.
    Cpu(i64),
    /// KEDA's Kafka trigger.
    Keda(keda::Trigger),
}

/// An HPA on a group, by itself or KEDA's.
#[derive(Clone, Debug)]
pub struct Hpa {
    metric: Metric,
    bounds: Bounds,
    controller: Controller,
    memory: Autoscaler,
    next: f64,
    before: Vec<i64>,
}

impl Hpa {
    /// An HPA whose controller just started.
    pub fn new(metric: Metric, limits: Limits, behavior: Option<Behavior>, controller: Controller) -> Self {
        let bounds = Bounds { min: limits.min, max: limits.max, behavior };
        Self { metric, bounds, controller, memory: Autoscaler::default(), next: 0.0, before: Vec::new() }
    }

    fn proposal(&mut self, seen: &Seen<'_>) -> Result<u32, String> {
        let tolerance = self.controller.tolerance;
        let milli = |records: f64| (records * 1000.0).round() as i64; // saturates
        match &self.metric {
            Metric::Lag(target) => {
                let lag: f64 = seen.ends.iter().zip(seen.committed).map(|(e, c)| e - c).sum();
                Ok(average_value(milli(lag), milli(*target), seen.desired, tolerance))
            }
            Metric::Cpu(target) => utilisation(&pods(seen), *target, seen.desired, true, &self.controller, tolerance),
            Metric::Keda(trigger) => {
                let partitions: Vec<keda::Partition> = seen
                    .ends
                    .iter()
                    .zip(seen.committed)
                    .enumerate()
                    .map(|(p, (end, committed))| keda::Partition {
                        committed: Some(*committed as i64),
                        end: Some(*end as i64),
                        before: self.before.get(p).copied(),
                    })
                    .collect();
                self.before = seen.committed.iter().map(|c| *c as i64).collect();
                let lag = keda::metric(&partitions, trigger).lag.saturating_mul(1000);
                let target = trigger.lag_threshold.max(1).saturating_mul(1000);
                Ok(average_value(lag, target, seen.desired, tolerance))
            }
        }
    }
}

/// Pods with the group's mean CPU. Those that have not joined the group are up, not ready, and idle.
fn pods(seen: &Seen<'_>) -> Vec<Pod> {
    let request = 1_000;
    let pod = |ready: bool| {
        let age = if ready { 1e6 } else { 30.0 };
        Pod {
            phase: Phase::Running,
            deleted: false,
            readiness: Some(Readiness { ready, started: age, changed: age, sampled: 0.0, window: 15.0 }),
            usage: Some(if ready { (seen.cpu * request as f64).round() as i64 } else { 0 }),
            request: Some(request),
            alike: 1,
        }
    };
    let ready = seen.ready.min(seen.desired);
    (0..seen.desired).map(|i| pod(i < ready)).collect()
}

impl Pilot for Hpa {
    fn decide(&mut self, seen: &Seen<'_>) -> Option<u32> {
        if seen.t < self.next {
            return None;
        }
        self.next = seen.t + self.controller.sync;
        let proposal = self.proposal(seen);
        let now = Time::from_secs(seen.t);
        Some(self.memory.sync(now, seen.desired, &proposal, &self.bounds, &self.controller).replicas)
    }
}

/// The rule on CPU, looked at once a minute: up above a limit, down when it stayed below another for five minutes.
#[derive(Clone, Debug)]
pub struct Threshold {
    rule: threshold::Rule,
    limits: Limits,
    window: usize,
    cpu: VecDeque<Option<f64>>,
    next: f64,
}

impl Threshold {
    /// Seconds between two decisions.
    const EVERY: f64 = 60.0;
    /// Seconds that "stays below" means.
    const STAYS: f64 = 300.0;

    /// The rule, for looks `scrape` seconds apart.
    pub fn new(rule: threshold::Rule, limits: Limits, scrape: f64) -> Self {
        let window = (Self::STAYS / scrape.max(1.0)).ceil() as usize;
        Self { rule, limits, window, cpu: VecDeque::new(), next: 0.0 }
    }
}

impl Pilot for Threshold {
    fn decide(&mut self, seen: &Seen<'_>) -> Option<u32> {
        self.cpu.push_back(Some(seen.cpu));
        while self.cpu.len() > self.window {
            self.cpu.pop_front();
        }
        if seen.t < self.next {
            return None;
        }
        self.next = seen.t + Self::EVERY;
        let full = self.cpu.len() == self.window;
        let cpu = self.cpu.make_contiguous();
        // A window that is not full yet has not stayed anywhere.
        let cpu = if full { &*cpu } else { cpu.get(cpu.len().saturating_sub(1)..).unwrap_or_default() };
        let rule = if full { self.rule } else { threshold::Rule { down: 0.0, ..self.rule } };
        threshold::replicas(&threshold::Seen { current: seen.desired, cpu, behind: None }, &rule, self.limits)
    }
}
