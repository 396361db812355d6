//! What a replica of an inference service can do: the requests per second at which its objectives break.
//!
//! Continuous batching has two limits. Tokens slow down as batches grow, long before anybody waits: with batches that
//! follow Little's law, `1 / time between tokens` falls in a straight line with the requests per second of a replica
//! (time = token / (1 - answer × extra × rate)). And where the batch is full, requests wait and the time to first token
//! goes through the roof. Both are read off what was seen; a service that was never near either is only known by what
//! it did without being late.

use super::{Slot, changes, drop_spikes, quantile};
use crate::model::{Capacity, Grid, Time};

/// What was seen of a service, every grid on one step.
#[derive(Clone, Copy, Debug)]
pub struct ServiceObserved<'a> {
    /// Requests finished per second.
    pub throughput: &'a Grid,
    /// Requests waiting.
    pub waiting: &'a Grid,
    /// Time to first token, p95, seconds.
    pub ttft: &'a Grid,
    /// Time between tokens, p95, seconds.
    pub inter_token: &'a Grid,
    /// Replicas ready.
    pub replicas: &'a Grid,
    /// Replicas asked for.
    pub desired: &'a Grid,
    /// Objectives for the two times, seconds; `None`: not promised.
    pub slo: (Option<f64>, Option<f64>),
    /// What was learned before.
    pub previous: Option<&'a Capacity>,
    /// Nothing after this instant is looked at.
    pub now: Time,
}

/// Which objective breaks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Tokens come too slowly.
    InterToken,
    /// The first token comes too late.
    FirstToken,
    /// Neither was seen near its objective.
    NotSeen,
}

/// What a replica of a service can do.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceCapacity {
    /// Per replica: requests per second within the objectives.
    pub capacity: Capacity,
    /// Which objective says so.
    pub limit: Limit,
    /// Requests per second of a replica beyond which requests pile up; not below `capacity.per_replica`.
    pub most: f64,
}

/// Seconds for which the count must have been the same: rates are of a window of a minute, and come late.
const SETTLED: f64 = 90.0;
/// Bins of load in which the medians are taken, and slots that a bin needs.
const BINS: usize = 24;
const BIN: usize = 3;
const FINE_BINS: usize = 60;
/// Bins that a line needs, and how near to the objective they lie if there are enough of them: a histogram's buckets
/// bend what is far away.
const LINE: usize = 4;
const NEAR: (f64, f64) = (0.55, 1.8);
/// A line is believed this far beyond the highest load that was seen without being late.
const BEYOND: f64 = 1.4;
/// Slots over an objective that tell where it breaks, and the share of them at which it does.
const LATE: usize = 8;
const BREAKS: f64 = 0.2;
/// How sure a break is, as a share of the rate.
const SPREAD: f64 = 0.04;
/// Quantile of the loads without being late that counts as proven.
const PROVEN: f64 = 0.98;
/// A try goes this far beyond what is proven; what went well is proven then. (With 1.25 one step can go over the edge, where
/// a queue is late within a minute.)
const PROBE: f64 = 1.15;
/// What a full batch finishes over what the objectives allow, when waiting was never seen.
const FULL: f64 = 1.15;
/// Seconds from asking to ready when no start-up was seen: image, weights and warm-up of a small model.
const START_UP: f64 = 180.0;
const NO_START_UP: &str = "no start-up seen";

/// One settled slot.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Requests per second and replica.
    load: f64,
    waiting: f64,
    ttft: Option<f64>,
    inter_token: Option<f64>,
}

/// What a replica can do within the objectives; `None` when nothing was seen to flow through a known count.
///
/// `capacity.samples` counts the slots that tell where an objective breaks; with 0 of them `per_replica` is what was
/// served without being late. Multiplying the throughput by a constant multiplies the rates by it.
pub fn estimate_service(observed: &ServiceObserved<'_>) -> Option<ServiceCapacity> {
    let (slots, seen) = slots(observed);
    let (slo_first, slo_token) = observed.slo;
    let late = |s: &Seen| over(s.ttft, slo_first) || over(s.inter_token, slo_token);
    let mut fine: Vec<f64> = seen.iter().filter(|s| !late(s)).map(|s| s.load).collect();
    let proven = quantile(&mut fine, PROVEN).filter(|p| *p > 0.0);
    let line = slo_token.and_then(|slo| line(&seen, slo, proven));
    let (rate, spread, samples, limit) = match (breaks(&seen, late), line) {
        (Some(rate), _) => {
            let around = seen.iter().filter(|s| late(s) && s.load > 0.9 * rate);
            let (waits, slow) = around.fold((0, 0), |(w, t), s| {
                (w + usize::from(over(s.ttft, slo_first)), t + usize::from(over(s.inter_token, slo_token)))
            });
            let limit = if slow > waits { Limit::InterToken } else { Limit::FirstToken };
            (rate, SPREAD * rate, waits.max(slow).max(1), limit)
        }
        // What went well is more than a line that a histogram's buckets bend.
        (None, Some(t)) if proven.is_none_or(|p| t.rate >= p) => (t.rate, t.spread, t.samples, Limit::InterToken),
        (None, Some(t)) => (proven?, t.spread, t.samples, Limit::InterToken),
        (None, None) => (proven?, 0.0, 0, Limit::NotSeen),
    };
    let mut assumptions = Vec::new();
    if samples == 0 {
        assumptions.push(format!("no objective was seen near its limit: {rate:.2}/s per replica went well"));
    }
    let step = observed.throughput.step;
    let learned = observed.previous.filter(|p| !p.assumptions.iter().any(|a| a.starts_with(NO_START_UP)));
    let start_up = changes::start_up(&slots, step).or_else(|| Some(learned?.start_up)).unwrap_or_else(|| {
        assumptions.push(format!("{NO_START_UP}: {START_UP} s from asking to ready assumed"));
        START_UP
    });
    let high = if samples == 0 { rate * PROBE } else { rate + spread };
    // The fastest that requests were seen to finish while others waited.
    let mut full: Vec<f64> = seen.iter().filter(|s| s.waiting > 0.0 && late(s)).map(|s| s.load).collect();
    let full = (full.len() >= LATE).then(|| quantile(&mut full, 0.5)).flatten();
    let most = full.unwrap_or(if limit == Limit::FirstToken { rate } else { rate * FULL }).max(rate);
    Some(ServiceCapacity {
        capacity: Capacity {
            per_replica: rate,
            low: (rate - spread).max(rate * 0.5),
            high,
            samples,
            start_up,
            assumptions,
            ..Capacity::default()
        },
        limit,
        most,
    })
}

fn over(value: Option<f64>, limit: Option<f64>) -> bool {
    value.zip(limit).is_some_and(|(v, l)| v > l)
}

/// All slots for what the counts tell, and the settled ones for what the loads do.
fn slots(observed: &ServiceObserved<'_>) -> (Vec<Slot>, Vec<Seen>) {
    let base = observed.throughput;
    let value = |grid: &Grid, at: Time| {
        let index = (at.since(grid.start) / grid.step + 0.5).floor();
        let value = (grid.step > 0.0 && index >= 0.0).then(|| grid.values.get(index as usize).copied().flatten());
        value.flatten().filter(|v| v.is_finite() && *v >= 0.0)
    };
    let ats = (0..base.values.len()).map(|i| base.at(i)).take_while(|at| *at <= observed.now);
    let mut slots: Vec<Slot> = ats
        .map(|at| Slot {
            throughput: value(base, at),
            backlog: value(observed.waiting, at),
            replicas: value(observed.replicas, at),
            desired: value(observed.desired, at),
            ..Slot::default()
        })
        .collect();
    // Bins reach to the highest load: one that was never there would leave the others in a single bin.
    drop_spikes(&mut slots);
    let apart = (SETTLED / base.step.max(0.001)).ceil() as usize;
    let mut same = 0;
    let mut seen = Vec::new();
    for (i, slot) in slots.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|b| slots[b].replicas).or(slot.replicas);
        same = if slot.replicas.is_some() && slot.replicas == before { same + 1 } else { 0 };
        let (Some(load), true) = (slot.rate(), same > apart) else { continue };
        let at = base.at(i);
        seen.push(Seen {
            load,
            waiting: slot.backlog.unwrap_or(0.0),
            ttft: value(observed.ttft, at).filter(|v| *v > 0.0),
            inter_token: value(observed.inter_token, at).filter(|v| *v > 0.0),
        });
    }
    (slots, seen)
}

/// The load at which more than a share of the slots are late: that share, forced to rise with the load (pooled adjacent
/// violators), crosses it between two bins. `None` when too few slots were late, or never enough at one load.
fn breaks(seen: &[Seen], late: impl Fn(&Seen) -> bool) -> Option<f64> {
    if seen.iter().filter(|s| late(s)).count() < LATE {
        return None;
    }
    let top = seen.iter().map(|s| s.load).fold(0.0, f64::max);
    let width = top / FINE_BINS as f64;
    let mut bins = vec![(0.0, 0.0, 0.0); FINE_BINS]; // slots, late ones, sum of the loads
    for s in seen {
        let bin = &mut bins[((s.load / width) as usize).min(FINE_BINS - 1)];
        *bin = (bin.0 + 1.0, bin.1 + f64::from(u8::from(late(s))), bin.2 + s.load);
    }
    let mut pools: Vec<(f64, f64, f64)> = Vec::new();
    for mut bin in bins.into_iter().filter(|b| b.0 > 0.0) {
        while let Some(before) = pools.last().copied().filter(|b| b.1 * bin.0 >= bin.1 * b.0 && b.1 > 0.0) {
            bin = (bin.0 + before.0, bin.1 + before.1, bin.2 + before.2);
            pools.pop();
        }
        pools.push(bin);
    }
    let share = |b: &(f64, f64, f64)| (b.2 / b.0, b.1 / b.0);
    let at = pools.iter().position(|b| share(b).1 > BREAKS)?;
    let (x1, y1) = share(&pools[at]);
    let Some((x0, y0)) = at.checked_sub(1).map(|i| share(&pools[i])) else { return Some(x1) };
    Some(x0 + (x1 - x0) * ((BREAKS - y0) / (y1 - y0)).clamp(0.0, 1.0))
}

/// Where a line through what was seen meets the objective.
#[derive(Clone, Copy, Debug)]
struct Meets {
    rate: f64,
    spread: f64,
    samples: usize,
}

/// Fits `1 / time between tokens` over load by least squares through the medians of bins. `None` when there is no
/// falling line, or when it would have to be believed too far beyond what was proven.
fn line(seen: &[Seen], slo: f64, proven: Option<f64>) -> Option<Meets> {
    let points: Vec<(f64, f64)> = seen.iter().filter_map(|s| Some((s.load, 1.0 / s.inter_token?))).collect();
    let top = points.iter().map(|(x, _)| *x).fold(0.0, f64::max);
    if top <= 0.0 || slo <= 0.0 {
        return None;
    }
    let mut bins: Vec<Vec<f64>> = vec![Vec::new(); BINS];
    for (x, y) in &points {
        let bin = ((x / top * BINS as f64) as usize).min(BINS - 1);
        bins[bin].push(*y);
    }
    let width = top / BINS as f64;
    let medians: Vec<(f64, f64, f64)> = bins
        .iter_mut()
        .enumerate()
        .filter(|(_, ys)| ys.len() >= BIN)
        .filter_map(|(i, ys)| Some(((i as f64 + 0.5) * width, quantile(ys, 0.5)?, (ys.len() as f64).min(60.0))))
        .collect();
    let near: Vec<_> = medians.iter().copied().filter(|(_, y, _)| (NEAR.0..NEAR.1).contains(&(y * slo))).collect();
    let chosen = if near.len() >= LINE { near } else { medians };
    if chosen.len() < LINE {
        return None;
    }
    let weight: f64 = chosen.iter().map(|(.., w)| w).sum();
    let mean = |of: fn(&(f64, f64, f64)) -> f64| chosen.iter().map(|p| p.2 * of(p)).sum::<f64>() / weight;
    let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
    let sxx: f64 = chosen.iter().map(|(x, _, w)| w * (x - mx).powi(2)).sum();
    let sxy: f64 = chosen.iter().map(|(x, y, w)| w * (x - mx) * (y - my)).sum();
    let slope = sxy / sxx;
    if !(slope < 0.0 && slope.is_finite()) {
        return None;
    }
    let rate = mx + (1.0 / slo - my) / slope;
    let believed = rate > 0.0 && proven.is_some_and(|p| rate <= BEYOND * p);
    let mut close: Vec<f64> =
        points.iter().map(|(x, y)| (x - (mx + (y - my) / slope)).abs()).filter(|d| d.is_finite()).collect();
    let spread = quantile(&mut close, 0.68).unwrap_or(0.0);
    believed.then_some(Meets { rate, spread, samples: points.len() })
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
