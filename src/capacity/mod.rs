//! What one replica can do, how long a start-up and a rebalance take, learned from what was seen. Pure.
//!
//! Only a *saturated* slot says what a replica can do: work was waiting before it and after it, so whatever flowed was
//! all that could flow. Any other slot only proves that a replica can do at least that much. The robust pooling
//! (medians per count, a low quantile within a band) was measured to matter more than any refinement of the planner:
//! with 6 % noise between pods, "the highest median" came out 5–7 % high and broke it.

mod changes;
mod rate;
mod service;
mod watch;

use crate::model::{Capacity, Grid, Time, WorkloadKind, si};
use changes::Change;
use rate::Rate;
pub use service::{Limit, ServiceCapacity, ServiceObserved, estimate_service};

pub use watch::{Enough, Look, Place, Watch};

/// What was seen of one workload, every grid on one step; a series that nobody watched is a grid of `None`.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Kind: tells what saturation looks like and whether there are rebalances.
    pub kind: WorkloadKind,
    /// Records or requests processed per second.
    pub throughput: &'a Grid,
    /// Records or requests arriving per second.
    pub demand: &'a Grid,
    /// Records or requests waiting.
    pub backlog: &'a Grid,
    /// Seconds behind.
    pub time_lag: &'a Grid,
    /// Replicas ready.
    pub replicas: &'a Grid,
    /// Replicas asked for.
    pub desired: &'a Grid,
    /// What the replica with the most work gets now over what they get on average: 1 where all get the same, or where
    /// that is not known. What flowed proves that much of a single replica.
    pub heaviest: f64,
    /// What was learned before: it stands where nothing newer is seen.
    pub previous: Option<&'a Capacity>,
    /// Consumer group: whether what need not move keeps running in a rebalance.
    pub sticky: bool,
    /// A consumer group that was looked at member by member: where that says something, it is what counts.
    pub watch: Option<&'a Watch>,
    /// Nothing after this instant is looked at.
    pub now: Time,
}

/// One slot of all grids together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Slot {
    throughput: Option<f64>,
    demand: Option<f64>,
    backlog: Option<f64>,
    time_lag: Option<f64>,
    replicas: Option<f64>,
    desired: Option<f64>,
}

impl Slot {
    /// Records or requests per second and ready replica.
    fn rate(&self) -> Option<f64> {
        let (flow, n) = (self.throughput?, self.replicas?);
        (n >= 1.0 && flow >= 0.0).then_some(flow / n)
    }
}

/// Seconds from asking to ready when no start-up was seen.
const START_UP: f64 = 60.0;
/// Seconds of standstill of an addition to a consumer group and of a removal when too few were seen. Where all stop, those
/// that join come one by one, and so do their two or three rebalances; those that go, go at once. Else only what moves.
const EAGER: (f64, f64) = (30.0, 20.0);
const COOPERATIVE: (f64, f64) = (5.0, 5.0);
/// A first try goes this far beyond what was seen to flow: the high end of an estimate without saturated slots.
const PROBE: f64 = 1.25;

/// Above this the busiest replica is told from the others.
const UNEVEN: f64 = 1.02;

/// Seconds of history that are looked at first: what is older is kept by the minute, too coarse to tell a change from
/// the flow around it.
const FINE: f64 = 10_800.0;
/// Fewest saturated slots for a new rate to count against the one learned before.
const ENOUGH: usize = 20;
/// A slot is no rate but a bad scrape (a counter that jumped, offsets that were set anew) when it is so many times the
/// median of the slots around it, [`AROUND`] on each side, and so many times what nearly all slots stay below.
const SPIKE: (f64, f64) = (3.0, 1.5);
const AROUND: usize = 8;
const NEARLY_ALL: f64 = 0.9;
/// How assumptions begin that stand for something that was never seen.
const NO_START_UP: &str = "no start-up seen";
const NO_REBALANCE: &str = "fewer than 3 rebalances seen";

/// What a replica can do; `None` when nothing was seen to flow through a known number of replicas.
///
/// `samples` is the number of saturated slots. With 0 of them `per_replica` is a lower bound (what flowed through a
/// replica at the busiest), and an assumption says so. Multiplying throughput, demand and backlog by a constant
/// multiplies the rates by it and leaves the times as they are.
///
/// ```
/// use highwater::{capacity::{Observed, estimate}, model::{Grid, Time, WorkloadKind}};
/// let grid = |v: f64| Grid { start: Time::from_secs(0.0), step: 15.0, values: vec![Some(v); 40] };
/// let (flow, behind, two, none) = (grid(1_800.0), grid(90_000.0), grid(2.0), Grid::default());
/// let capacity = estimate(&Observed {
///     kind: WorkloadKind::ConsumerGroup, throughput: &flow, demand: &none, backlog: &behind, time_lag: &none,
///     replicas: &two, desired: &none, heaviest: 1.0, previous: None, sticky: false, watch: None,
///     now: Time::from_secs(600.0),
/// }).unwrap();
/// assert_eq!(capacity.per_replica, 900.0);
/// assert!(capacity.samples > 30, "work was waiting all the time");
/// ```
pub fn estimate(observed: &Observed<'_>) -> Option<Capacity> {
    if let Some(capacity) = observed.watch.and_then(|watch| watch.capacity(observed.sticky)) {
        return Some(capacity);
    }
    let slots = slots(observed);
    let step = observed.throughput.step;
    let fine = &slots[slots.len().saturating_sub((FINE / step.max(0.001)) as usize)..];
    let learned = |what: &str| observed.previous.filter(|p| !p.assumptions.iter().any(|a| a.starts_with(what)));
    let newest = rate::estimate(fine, observed.kind).filter(|r| r.samples > 0);
    let proven = || rate::estimate(&slots, observed.kind).map(|r| r.at_least(observed.heaviest));
    let rate = match (newest, observed.previous.filter(|p| p.samples > 0)) {
        (Some(rate), Some(before)) => rate.beside(before),
        (None, Some(before)) => Rate::of(before),
        (newest, None) => newest.or_else(proven)?,
    };
    let mut assumptions = Vec::new();
    if rate.samples == 0 {
        let whose = if observed.heaviest > UNEVEN { "the busiest replica" } else { "a replica" };
        assumptions.push(format!(
            "no saturated span seen: at least {} flowed through {whose}, what one can do at most is not known",
            per_second(rate.value)
        ));
    }
    if let Some((n, total)) = rate.held_back {
        assumptions.push(format!(
            "{n} replicas brought {} in all instead of {}: a hot partition or what lies downstream holds them back",
            per_second(total),
            per_second(n as f64 * rate.value)
        ));
    }
    let start_up = changes::start_up(fine, step).or_else(|| Some(learned(NO_START_UP)?.start_up));
    let start_up = start_up.unwrap_or_else(|| {
        assumptions.push(format!("{NO_START_UP}: {START_UP} s from asking to ready assumed"));
        START_UP
    });
    let (rebalance, rebalance_down) = match observed.kind {
        WorkloadKind::ConsumerGroup => {
            let before = learned(NO_REBALANCE);
            let assumed = assumed_standstill(observed.sticky);
            let up = changes::standstill(fine, step, Change::Up).or_else(|| Some(before?.rebalance));
            let up = up.unwrap_or_else(|| {
                assumptions.push(format!("{NO_REBALANCE}: {} s of standstill assumed", assumed.0));
                assumed.0
            });
            let down =
                changes::standstill(fine, step, Change::Down).or_else(|| Some(observed.previous?.rebalance_down));
            (up, down.unwrap_or(up.min(assumed.1)))
        }
        WorkloadKind::Inference | WorkloadKind::Batch | WorkloadKind::Brokers => (0.0, 0.0),
    };
    Some(Capacity {
        per_replica: rate.value,
        low: rate.low,
        high: rate.high,
        samples: rate.samples,
        start_up,
        rebalance,
        rebalance_one: rebalance,
        rebalance_down,
        ceiling: rate.held_back.map(|(_, total)| total),
        assumptions,
        ..Capacity::default()
    })
}

/// Standstill of an addition and of a removal when none was seen, seconds.
fn assumed_standstill(sticky: bool) -> (f64, f64) {
    if sticky { COOPERATIVE } else { EAGER }
}

/// Seconds from asking for a replica to it being ready, as the two counts show it; `None`: no start-up was seen.
pub fn start_up(desired: &Grid, ready: &Grid, now: Time) -> Option<f64> {
    let none = Grid::default();
    let slots = slots(&Observed {
        kind: WorkloadKind::Batch,
        throughput: ready, // any grid tells the instants
        demand: &none,
        backlog: &none,
        time_lag: &none,
        replicas: ready,
        desired,
        heaviest: 1.0,
        previous: None,
        sticky: false,
        watch: None,
        now,
    });
    changes::start_up(&slots, ready.step)
}

/// The grids as one list of slots from the first to the last instant of the throughput, none after `now`.
fn slots(observed: &Observed<'_>) -> Vec<Slot> {
    let base = observed.throughput;
    let value = |grid: &Grid, at: Time| {
        // Grids on another step, or shifted, are looked up by time: the slot that covers the instant.
        let index = (at.since(grid.start) / grid.step + 0.5).floor();
        let value = (grid.step > 0.0 && index >= 0.0).then(|| grid.values.get(index as usize).copied().flatten());
        value.flatten().filter(|v| v.is_finite() && *v >= 0.0)
    };
    let ats = (0..base.values.len()).map(|i| base.at(i)).take_while(|at| *at <= observed.now);
    let mut slots: Vec<Slot> = ats
        .map(|at| Slot {
            throughput: value(base, at),
            demand: value(observed.demand, at),
            backlog: value(observed.backlog, at),
            time_lag: value(observed.time_lag, at),
            replicas: value(observed.replicas, at),
            desired: value(observed.desired, at),
        })
        .collect();
    drop_spikes(&mut slots);
    slots
}

/// Forgets what flowed in slots that are bad scrapes: see [`SPIKE`]. A burst of some minutes is none: it is its own
/// surroundings.
fn drop_spikes(slots: &mut [Slot]) {
    let rates: Vec<Option<f64>> = slots.iter().map(Slot::rate).collect();
    let mut flows: Vec<f64> = rates.iter().flatten().copied().filter(|rate| *rate > 0.0).collect();
    let Some(usual) = quantile(&mut flows, NEARLY_ALL) else { return };
    for (i, rate) in rates.iter().enumerate() {
        let Some(rate) = rate.filter(|rate| *rate > SPIKE.1 * usual) else { continue };
        let near = &rates[i.saturating_sub(AROUND)..(i + AROUND + 1).min(rates.len())];
        let mut near: Vec<f64> = near.iter().flatten().copied().collect();
        if quantile(&mut near, 0.5).is_some_and(|middle| rate > SPIKE.0 * middle) {
            slots[i].throughput = None;
        }
    }
}

/// The value at a share of a list, by the nearest rank; `None` when it is empty. Sorts the list.
fn quantile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (share * (values.len().saturating_sub(1)) as f64).round() as usize;
    values.get(rank).copied()
}

fn per_second(rate: f64) -> String {
    format!("{}/s", si(rate))
}

#[cfg(test)]
mod tests;
