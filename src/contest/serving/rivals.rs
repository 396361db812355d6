//! The rivals as pilots of services: each looks at one metric and decides with the very code of `policy`, or as Knative
//! does.

use crate::{
    model::{Limits, Time},
    policy::hpa::{Autoscaler, Bounds, Controller, average_value},
    simulate::serving::{Pilot, Reading, Seen},
};
use std::collections::VecDeque;

/// One service's pilot.
pub trait Alone {
    /// Called at each look; `None` leaves the count as it is.
    fn decide(&mut self, t: f64, reading: &Reading) -> Option<u32>;
}

/// A pilot each: none knows of the others, or of the pool.
#[derive(Clone, Debug)]
pub struct Each<P>(pub Vec<P>);

impl<P: Alone> Pilot for Each<P> {
    fn decide(&mut self, seen: &Seen<'_>) -> Vec<Option<u32>> {
        self.0.iter_mut().zip(seen.services).map(|(pilot, reading)| pilot.decide(seen.t, reading)).collect()
    }
}

/// What an HPA looks at: an `AverageValue` per replica.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// Requests that wait (`vllm:num_requests_waiting`; 5 in vLLM production-stack's tutorials, for HPA and for KEDA).
    Waiting(f64),
    /// Requests that wait or run, as KEDA's Prometheus scaler is tuned for engines that batch.
    InFlight(f64),
    /// DCGM's GPU utilisation, ratio.
    Gpu(f64),
    /// KV cache in use, ratio.
    KvCache(f64),
}

/// An HPA on a service, by itself or KEDA's: between 1 and the maximum they are the same controller.
#[derive(Clone, Debug)]
pub struct Hpa {
    metric: Metric,
    bounds: Bounds,
    controller: Controller,
    memory: Autoscaler,
    next: f64,
}

impl Hpa {
    /// An HPA with upstream's defaults whose controller just started.
    pub fn new(metric: Metric, limits: Limits) -> Self {
        let bounds = Bounds { min: limits.min, max: limits.max, behavior: None };
        Self { metric, bounds, controller: Controller::default(), memory: Autoscaler::default(), next: 0.0 }
    }
}

impl Alone for Hpa {
    fn decide(&mut self, t: f64, reading: &Reading) -> Option<u32> {
        if t < self.next {
            return None;
        }
        self.next = t + self.controller.sync;
        let ready = f64::from(reading.ready);
        let (total, target) = match self.metric {
            Metric::Waiting(target) => (reading.waiting, target),
            Metric::InFlight(target) => (reading.waiting + reading.running, target),
            // A mean over the replicas that export it.
            Metric::Gpu(target) => (reading.gpu * ready, target),
            Metric::KvCache(target) => (reading.kv_cache * ready, target),
        };
        let milli = |value: f64| (value * 1000.0).round() as i64; // saturates
        let proposal = Ok(average_value(milli(total), milli(target), reading.desired, self.controller.tolerance));
        let now = Time::from_secs(t);
        Some(self.memory.sync(now, reading.desired, &proposal, &self.bounds, &self.controller).replicas)
    }
}

/// Knative's pod autoscaler on concurrency (`pkg/autoscaler/scaling/autoscaler.go`): a stable window of a minute, and a
/// panic window in which it only scales up. Its own metrics come every second or two; here it sees what everybody sees.
#[derive(Clone, Debug)]
pub struct Concurrency {
    target: f64,
    limits: Limits,
    seen: VecDeque<(f64, f64)>,
    panic: Option<(f64, u32)>,
}

/// Seconds of the stable window; the panic window is a tenth of it, so a single reading here.
const STABLE: f64 = 60.0;
/// Demand over ready capacity at which it panics.
const PANIC: f64 = 2.0;
/// Most growth and shrinkage at once, as factors of the ready count.
const RATES: (f64, f64) = (1000.0, 2.0);

impl Concurrency {
    /// With this many requests at once as a replica's target.
    pub fn new(target: f64, limits: Limits) -> Self {
        Self { target: target.max(f64::MIN_POSITIVE), limits, seen: VecDeque::new(), panic: None }
    }
}

impl Alone for Concurrency {
    fn decide(&mut self, t: f64, reading: &Reading) -> Option<u32> {
        self.seen.push_back((t, reading.waiting + reading.running));
        while self.seen.front().is_some_and(|(at, _)| t - at > STABLE) {
            self.seen.pop_front();
        }
        let stable = self.seen.iter().map(|(_, v)| v).sum::<f64>() / self.seen.len() as f64;
        let latest = self.seen.back().map_or(0.0, |(_, v)| *v);
        let ready = f64::from(reading.ready.max(1));
        let within = |observed: f64| {
            (observed / self.target).ceil().clamp((ready / RATES.1).floor(), (ready * RATES.0).ceil()) as u32
        };
        let (stable, panic) = (within(stable), within(latest));
        if f64::from(panic) / ready >= PANIC {
            self.panic = Some((t, self.panic.map_or(panic, |(_, most)| most.max(panic))));
        } else if self.panic.is_some_and(|(since, _)| t - since > STABLE) {
            self.panic = None;
        }
        let wanted = self.panic.map_or(stable, |(_, most)| most.max(stable).max(reading.ready));
        Some(wanted.clamp(self.limits.min, self.limits.max.max(self.limits.min)))
    }
}
