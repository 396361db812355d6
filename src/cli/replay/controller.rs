//! The controllers over a series: one sync a row where the rows carry the counts, else syncs of our own making.

use super::{
    super::series::Row,
    spec::{FallbackBehavior, Keda, Metric, Spec},
};
use crate::{
    model::Time,
    policy::{
        hpa::{
            Autoscaler, Bounds, Controller, Phase, Pod, Readiness, average_value, combine, pods_average, utilisation,
            value,
        },
        keda,
    },
};

/// Syncs that are made at most, where the rows carry no counts.
const MOST: f64 = 2e6;

/// The controller's flags, and what stands in for the cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) controller: Controller,
    pub(super) partitions: Option<u32>,
    pub(super) start: Option<u32>,
    pub(super) start_up: f64,
}

/// One sync.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decided {
    pub(super) at: Time,
    pub(super) metric: Option<f64>,
    /// `spec.replicas` before the sync.
    pub(super) current: u32,
    /// What the controller writes.
    pub(super) desired: u32,
    /// Replicas that are ready at the sync.
    pub(super) replicas: u32,
    pub(super) reason: &'static str,
}

/// The counts that a sync finds.
#[derive(Clone, Copy, Debug)]
struct Counts {
    spec: u32,
    status: u32,
    ready: u32,
}

/// A spec being replayed.
pub(super) struct Replayed {
    spec: Spec,
    settings: Settings,
    memory: Autoscaler,
    bounds: Bounds,
    failures: u32,
    last_active: Option<Time>,
    next_poll: Option<Time>,
    /// What was committed at the last look, for `excludePersistentLag`: a lag that has not changed counts as stuck.
    before: Option<f64>,
}

impl Replayed {
    pub(super) fn new(spec: Spec, settings: Settings) -> Self {
        let bounds = Bounds { min: spec.min, max: spec.max, behavior: spec.behavior.clone() };
        Self {
            spec,
            settings,
            memory: Autoscaler::default(),
            bounds,
            failures: 0,
            last_active: None,
            next_poll: None,
            before: None,
        }
    }

    /// Runs over the rows; the error has the line of the row.
    pub(super) fn run(mut self, rows: &[Row]) -> Result<Vec<Decided>, (usize, String)> {
        if rows.iter().any(|r| r.replicas.is_some()) {
            return rows
                .iter()
                .enumerate()
                .map(|(i, row)| {
                    let spec = row
                        .replicas
                        .ok_or((i + 2, "column replicas: a count in some rows needs one in all".to_owned()))?;
                    let status = row.status.unwrap_or(spec);
                    let counts = Counts { spec, status, ready: row.ready.unwrap_or(status) };
                    Ok(self.sync(row.at, row.value, counts))
                })
                .collect();
        }
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
        let sync = self.settings.controller.sync;
        let syncs = (last.at.since(first.at) / sync).floor() + 1.0;
        if syncs > MOST {
            return Err((2, format!("{syncs:.0} syncs of {sync} s: choose a longer --sync")));
        }
        let least = self.spec.keda.map_or(self.spec.min, |k| k.min);
        let start = self.settings.start.unwrap_or(least);
        let mut pods: Vec<Time> = vec![first.at.plus(-self.settings.start_up); start as usize];
        let mut out = Vec::new();
        for i in 0..syncs as usize {
            let at = first.at.plus(i as f64 * sync);
            let held = rows.partition_point(|r| r.at <= at).checked_sub(1).and_then(|r| rows.get(r));
            let spec = u32::try_from(pods.len()).unwrap_or(u32::MAX);
            let ready = pods.iter().filter(|asked| at.since(**asked) >= self.settings.start_up).count();
            let ready = u32::try_from(ready).unwrap_or(u32::MAX);
            let decided = self.sync(at, held.and_then(|r| r.value), Counts { spec, status: spec, ready });
            pods.resize(decided.desired as usize, at); // the youngest go first
            out.push(decided);
        }
        Ok(out)
    }

    fn sync(&mut self, at: Time, value: Option<f64>, counts: Counts) -> Decided {
        self.failures = if value.is_some() { 0 } else { self.failures.saturating_add(1) };
        let proposal = self.proposal(value, counts);
        let by_keda = self.spec.keda.and_then(|keda| self.zero_or_one(at, &keda, value, counts));
        let (desired, reason) = by_keda.unwrap_or_else(|| {
            let decision = self.memory.sync(at, counts.spec, &proposal, &self.bounds, &self.settings.controller);
            (decision.replicas, decision.reason)
        });
        Decided { at, metric: value, current: counts.spec, desired, replicas: counts.ready, reason }
    }

    /// What the metric proposes, before windows, rates and bounds.
    fn proposal(&mut self, value_read: Option<f64>, counts: Counts) -> Result<u32, String> {
        let tolerance = self.settings.controller.tolerance;
        let Some(read) = value_read else {
            let fallback = self.spec.keda.and_then(|k| k.fallback).filter(|f| self.failures > f.after);
            let count = fallback.map(|f| match f.behavior {
                FallbackBehavior::Static => f.replicas,
                FallbackBehavior::CurrentReplicas => counts.spec,
                FallbackBehavior::CurrentReplicasIfHigher => counts.spec.max(f.replicas),
                FallbackBehavior::CurrentReplicasIfLower => counts.spec.min(f.replicas),
            });
            return count.ok_or_else(|| "the metric could not be read".to_owned());
        };
        let milli = (read * 1000.0).round() as i64; // saturates
        let controller = &self.settings.controller;
        let one = match self.spec.metric {
            Metric::AverageValue(target) => Ok(average_value(milli, target, counts.status, tolerance)),
            Metric::Value(target) => Ok(value(milli, target, counts.spec, counts.ready, tolerance)),
            Metric::PodsAverage(target, cpu) => {
                pods_average(&pods(counts, milli), target, counts.spec, cpu, controller, tolerance)
            }
            Metric::Utilisation(percent, cpu) => {
                // Percent of a request of 100 000 thousandths: a thousand a percent.
                utilisation(&pods(counts, milli), percent, counts.spec, cpu, controller, tolerance)
            }
            Metric::Kafka(trigger) => {
                let lag = self.kafka_lag(read, &trigger);
                let target = trigger.lag_threshold.saturating_mul(1000);
                Ok(average_value(lag.saturating_mul(1000), target, counts.status, tolerance))
            }
        };
        combine(&[one], counts.spec)
    }

    /// KEDA's metric of a lag that is spread evenly over the partitions; without their number there is no cap.
    fn kafka_lag(&mut self, lag: f64, trigger: &keda::Trigger) -> i64 {
        let total = lag.round() as i64;
        let stuck = trigger.exclude_persistent && self.before == Some(lag) && lag > 0.0;
        self.before = Some(lag);
        let Some(count) = self.settings.partitions.map(i64::from) else { return if stuck { 0 } else { total } };
        let partitions: Vec<keda::Partition> = (0..count)
            .map(|p| {
                let lag = total / count + i64::from(p < total % count);
                keda::Partition { committed: Some(0), end: Some(lag), before: stuck.then_some(0) }
            })
            .collect();
        keda::metric(&partitions, trigger).lag
    }

    /// KEDA's own part: to zero when nothing was active for the cooldown, from zero when something is. `None`: the HPA
    /// decides.
    fn zero_or_one(
        &mut self,
        at: Time,
        keda: &Keda,
        value: Option<f64>,
        counts: Counts,
    ) -> Option<(u32, &'static str)> {
        if self.next_poll.is_none_or(|next| at >= next) {
            self.next_poll = Some(at.plus(keda.polling));
            if value.is_some_and(|v| v > keda.activation) {
                self.last_active = Some(at);
                if counts.spec == 0 {
                    return Some((keda.min.max(1), "ScaledFromZero"));
                }
            } else if keda.min == 0 && counts.spec > 0 && value.is_some() {
                // Never active since the beginning counts from the first look.
                let since = *self.last_active.get_or_insert(at);
                if at.since(since) >= keda.cooldown {
                    return Some((0, "ScaledToZero"));
                }
            }
        }
        (counts.spec == 0).then_some((0, "ScaledToZero"))
    }
}

/// Pods that all use the same; those that are not ready are up, idle and young.
fn pods(counts: Counts, usage: i64) -> Vec<Pod> {
    let pod = |ready: bool| {
        let age = if ready { 1e9 } else { 10.0 };
        Pod {
            phase: Phase::Running,
            deleted: false,
            readiness: Some(Readiness { ready, started: age, changed: age, sampled: 0.0, window: 30.0 }),
            usage: Some(if ready { usage } else { 0 }),
            request: Some(100_000),
        }
    };
    (0..counts.status).map(|i| pod(i < counts.ready)).collect()
}

#[cfg(test)]
mod tests;
