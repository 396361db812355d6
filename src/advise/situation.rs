//! What the planner is asked: demand ahead, what waits now, what replicas can do, what is promised.

use super::{Input, Signals, per_second, recent};
use crate::{
    model::{Capacity, Forecast, Limits, Replicas, Role, WorkloadKind, duration},
    policy::planner::{Problem, Work},
};

/// Objectives assumed where none is configured, seconds.
const ASSUMED_TIME_LAG: f64 = 60.0;
const ASSUMED_LATENCY: f64 = 2.0;
const ASSUMED_DONE: f64 = 3_600.0;
/// Around a last value without a forecast: p80 and p95 as factors of it.
const WIDE: [f64; 2] = [1.25, 1.5];
/// Seconds that the lag between two commits can explain at most, and the span it is looked for in.
const FLOOR_MOST: f64 = 15.0;
const FLOOR_SPAN: f64 = 1_800.0;

/// A planning problem with the words that belong to it.
#[derive(Clone, Debug)]
pub(super) struct Situation {
    work: Work,
    p80: Vec<f64>,
    p95: Vec<f64>,
    step: f64,
    backlog: f64,
    current: u32,
    ready: u32,
    limits: Limits,
    pub capacity: Capacity,
    pub slo: f64,
    /// Peak of the p80 path: seconds from now, and value.
    pub peak: (f64, f64),
    /// How late it is now, seconds, when that is known.
    pub late: Option<f64>,
    /// What waits now, all of it.
    pub waiting: Option<f64>,
    /// What was assumed, as sentences.
    pub notes: Vec<String>,
}

impl Situation {
    /// The error says what is missing.
    pub fn of(
        input: &Input<'_>,
        signals: &Signals,
        forecast: &Result<Forecast, String>,
        capacity: Option<&Capacity>,
        replicas: &Replicas,
    ) -> Result<Self, String> {
        let mut notes = Vec::new();
        let mut capacity = capacity
            .cloned()
            .ok_or("what a replica can do is not known yet: nothing was seen to flow through a known count")?;
        let kind = input.workload.entity.kind;
        let (p80, p95, step) = paths(input, signals, forecast, &mut notes)?;
        let slo = objective(input, &mut notes);
        let late =
            recent(signals, if kind == WorkloadKind::Inference { Role::Latency } else { Role::TimeLag }, input.now);
        let waiting = recent(signals, Role::Backlog, input.now);
        let demand = recent(signals, Role::Demand, input.now).unwrap_or(0.0);
        let backlog = waiting.map_or(0.0, |b| (b - demand * floor(input, signals)).max(0.0));
        let mut limits = input.workload.limits;
        if capacity.samples == 0 {
            // The estimate is a lower bound: a step beyond it is tried, but it never asks for replicas by itself.
            capacity.per_replica = capacity.high.max(capacity.per_replica);
            if kind != WorkloadKind::Batch && late.is_none_or(|l| l <= slo) && replicas.desired >= limits.min {
                limits.max = limits.max.min(replicas.desired).max(limits.min);
                notes.push("not more: no span with work waiting was seen, and nothing is late".to_owned());
            }
        }
        let work = work(input, signals, &capacity, slo, &mut notes);
        notes.extend(capacity.assumptions.iter().cloned());
        if let Ok(forecast) = forecast {
            notes.extend(forecast.warnings.iter().cloned());
        }
        let peak =
            p80.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or((0.0, 0.0), |(i, v)| (i as f64 * step, *v));
        Ok(Self {
            work,
            p80,
            p95,
            step,
            backlog,
            current: replicas.desired,
            ready: replicas.ready,
            limits,
            capacity,
            slo,
            peak,
            late,
            waiting,
            notes,
        })
    }

    /// The problem, ready to be planned.
    pub fn problem(&self, input: &Input<'_>) -> Problem<'_> {
        Problem {
            work: self.work.clone(),
            demand: &self.p80,
            high: &self.p95,
            step: self.step,
            backlog: self.backlog,
            current: self.current,
            ready: self.ready,
            limits: self.limits,
            capacity: &self.capacity,
            slo: self.slo,
            price: input.workload.price,
        }
    }

    /// What a count can do, per second.
    pub fn capacity_of(&self, replicas: u32) -> f64 {
        crate::policy::planner::capacity_of(&self.work, &self.capacity, replicas)
    }
}

/// The p80 and p95 paths of demand from now on and their step.
fn paths(
    input: &Input<'_>,
    signals: &Signals,
    forecast: &Result<Forecast, String>,
    notes: &mut Vec<String>,
) -> Result<(Vec<f64>, Vec<f64>, f64), String> {
    let last = recent(signals, Role::Demand, input.now);
    let steps = (input.horizon / input.step).ceil().clamp(1.0, 10_000.0) as usize;
    if input.workload.entity.kind == WorkloadKind::Batch && last.is_none() {
        notes.push("how fast jobs arrive is not known: planned for what waits now".to_owned());
        return Ok((vec![0.0; steps], vec![0.0; steps], input.step));
    }
    let why = match forecast {
        Ok(forecast) => {
            let ahead = forecast.points.iter().filter(|q| q.t > input.now);
            let (p80, p95): (Vec<f64>, Vec<f64>) = ahead.map(|q| (q.p80, q.p95)).unzip();
            if !p80.is_empty() {
                return Ok((p80, p95, forecast.step));
            }
            "the forecast has run out".to_owned()
        }
        Err(why) => why.clone(),
    };
    let last = last.ok_or_else(|| format!("demand is not known yet: {why}"))?;
    notes.push(format!("no forecast ({why}): planned on the last value, {} and half as much again", per_second(last)));
    Ok((vec![last * WIDE[0]; steps], vec![last * WIDE[1]; steps], input.step))
}

/// The objective that is priced, seconds.
fn objective(input: &Input<'_>, notes: &mut Vec<String>) -> f64 {
    let slo = &input.workload.slo;
    let (configured, assumed) = match input.workload.entity.kind {
        WorkloadKind::Inference => (slo.ttft_p95.or(slo.latency_p95).or(slo.queue_p95), ASSUMED_LATENCY),
        WorkloadKind::Batch => (slo.within.or(slo.queue_p95), ASSUMED_DONE),
        WorkloadKind::ConsumerGroup | WorkloadKind::Brokers => (slo.time_lag, ASSUMED_TIME_LAG),
    };
    configured.filter(|s| s.is_finite() && *s > 0.0).unwrap_or_else(|| {
        notes.push(format!("no objective is configured: {} assumed", duration(assumed)));
        assumed
    })
}

/// Seconds of lag that are always there: records between two commits. The least seen lately.
fn floor(input: &Input<'_>, signals: &Signals) -> f64 {
    let track = signals.track(Role::TimeLag);
    let since = input.now.plus(-FLOOR_SPAN);
    let seen = (0..track.values.len()).filter(|i| track.at(*i) >= since).filter_map(|i| track.values[i]);
    let least = seen.fold(f64::INFINITY, f64::min);
    if least.is_finite() && least <= FLOOR_MOST { least.max(0.0) } else { 0.0 }
}

fn work(input: &Input<'_>, signals: &Signals, capacity: &Capacity, slo: f64, notes: &mut Vec<String>) -> Work {
    match input.workload.entity.kind {
        WorkloadKind::Batch | WorkloadKind::Brokers => Work::Jobs,
        WorkloadKind::Inference => {
            let unloaded = unloaded(signals, capacity).unwrap_or_else(|| {
                let assumed = slo / 5.0;
                notes.push(format!("latency without load is not known: {} assumed", duration(assumed)));
                assumed
            });
            if unloaded >= slo {
                notes.push(format!(
                    "even without load latency is {}, over the {}: replicas cannot help",
                    duration(unloaded),
                    duration(slo)
                ));
            }
            Work::Shared { unloaded }
        }
        WorkloadKind::ConsumerGroup => {
            let rates: Option<Vec<f64>> = input.state.partition_rates.iter().copied().collect();
            let rates = rates.filter(|r| r.iter().sum::<f64>() > 0.0);
            let partitions = input.state.partitions.unwrap_or(0) as usize;
            let shares = match rates {
                Some(rates) if rates.len() >= partitions => rates,
                _ => vec![1.0; partitions],
            };
            if shares.is_empty() {
                notes.push("the partitions are not known: capacity taken as growing with every replica".to_owned());
            }
            Work::Log { shares }
        }
    }
}

/// Latency times the spare share of capacity, as low as it is one time in five over the last hours: what is left when
/// the effect of load is taken out.
fn unloaded(signals: &Signals, capacity: &Capacity) -> Option<f64> {
    let (latency, demand) = (signals.track(Role::Latency), signals.track(Role::Demand));
    let replicas = signals.track(Role::Replicas);
    let mut values: Vec<f64> = (0..latency.values.len())
        .rev()
        .take(720)
        .filter_map(|i| {
            let load = demand.values.get(i)?.as_ref()? / (capacity.per_replica * replicas.values.get(i)?.as_ref()?);
            let value = latency.values[i]? * (1.0 - load.clamp(0.0, 0.95));
            value.is_finite().then_some(value)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 5).copied()
}
