//! The planner: the cheapest count over the horizon, every count that was considered with its price.
//!
//! One scalar decides: pod-hours + priced minutes over the SLO × min(10, value / SLO) + priced changes. Each candidate
//! is rolled out against one path of demand (p80): replicas that start late, partitions that stand still while they
//! move, a backlog that grows and drains, and what is left at the end. A count is held for the whole horizon; the
//! plan is made anew with every refresh.

mod fleet;
mod rollout;

pub use fleet::Fleet;

use crate::model::{Alternative, Capacity, Limits, Price};

/// Seconds between the slots of a roll-out.
const SLOT: f64 = 15.0;
/// Share of the estimated rate that is planned with: room for commits and noise (1 cost 4 % and 12 SLO minutes more).
const DERATE: f64 = 0.95;
/// Counts considered at most; beyond, every k-th.
const CANDIDATES: usize = 64;

/// How demand becomes lateness.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// A log of partitions, each read by one replica: lateness is the age of the oldest unread record.
    Log {
        /// Share of the demand per partition, summing to 1; its length is the number of partitions.
        shares: Vec<f64>,
    },
    /// One queue before replicas that share their work among requests (continuous batching): lateness is
    /// `unloaded / (1 - load)`, as of processor sharing, plus the wait behind the backlog.
    Shared {
        /// Latency without load, seconds.
        unloaded: f64,
    },
    /// One queue of jobs: lateness is the time until what waits is done.
    Jobs,
}

/// One planning problem. Rates per second, times in seconds.
#[derive(Clone, Debug)]
pub struct Problem<'a> {
    /// How demand becomes lateness.
    pub work: Work,
    /// Path of demand that is priced (p80), from now on, one value per `step`.
    pub demand: &'a [f64],
    /// Path that a smaller count must hold too (p95).
    pub high: &'a [f64],
    /// Seconds between the values of the paths.
    pub step: f64,
    /// What waits beyond what always waits between two commits.
    pub backlog: f64,
    /// Count asked for.
    pub current: u32,
    /// Count ready.
    pub ready: u32,
    /// Bounds.
    pub limits: Limits,
    /// What a replica can do.
    pub capacity: &'a Capacity,
    /// Most seconds late.
    pub slo: f64,
    /// Prices.
    pub price: Price,
}

/// What the planner found.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The cheapest count within the bounds.
    pub replicas: u32,
    /// Every count considered, by count; the present one is among them, and is priced as it is.
    pub alternatives: Vec<Alternative>,
    /// Smaller counts were cheaper on the p80 path but would not hold the p95 path: the cheapest of them.
    pub held_by_p95: Option<u32>,
    /// The partition that alone is more than one replica can do, with the replicas that it would need.
    pub hot: Option<(usize, f64)>,
}

/// Plans; `None` when there is no path of demand or no capacity above zero.
///
/// Multiplying demand, backlog and rates by a constant changes no count. Values that are not finite count as zero.
pub fn plan(problem: &Problem<'_>) -> Option<Plan> {
    let rate = problem.capacity.per_replica * DERATE;
    let usable = rate.is_finite() && rate > 0.0 && problem.step > 0.0 && !problem.demand.is_empty();
    if !usable {
        return None;
    }
    let fleet = Fleet::new(&problem.work, rate);
    let peak_high = problem.high.iter().chain(problem.demand).copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    let alternatives: Vec<Alternative> = candidates(problem, &fleet, peak_high)
        .into_iter()
        .map(|replicas| {
            let cost = rollout::price(problem, &fleet, replicas);
            Alternative { replicas, price: cost.price, slo_minutes: cost.slo_minutes }
        })
        .collect();
    let allowed = |a: &&Alternative| (problem.limits.min..=problem.limits.max).contains(&a.replicas);
    let holds = |a: &&Alternative| a.replicas >= problem.current || fleet.sustains(a.replicas, peak_high, problem.slo);
    let cheapest_of = |list: &mut dyn Iterator<Item = &Alternative>| -> Option<u32> {
        list.min_by(|a, b| {
            let stays = |x: &Alternative| x.replicas != problem.current;
            a.price.total_cmp(&b.price).then(stays(a).cmp(&stays(b))).then(a.replicas.cmp(&b.replicas))
        })
        .map(|a| a.replicas)
    };
    let replicas = cheapest_of(&mut alternatives.iter().filter(allowed).filter(holds))
        .unwrap_or_else(|| problem.current.max(problem.limits.min).min(problem.limits.max));
    let unguarded = cheapest_of(&mut alternatives.iter().filter(allowed));
    let peak = problem.demand.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    Some(Plan {
        replicas,
        held_by_p95: unguarded.filter(|n| *n < replicas),
        hot: fleet.hottest().map(|(p, share)| (p, share * peak / rate)).filter(|(_, needs)| *needs > 1.0),
        alternatives,
    })
}

/// Records or requests per second that `replicas` can be planned with.
pub fn capacity_of(work: &Work, capacity: &Capacity, replicas: u32) -> f64 {
    Fleet::new(work, capacity.per_replica * DERATE).capacity(replicas)
}

/// Counts worth a price: those that add capacity over every smaller one, the bounds, and the present count.
fn candidates(problem: &Problem<'_>, fleet: &Fleet, peak: f64) -> Vec<u32> {
    let Limits { min, max } = problem.limits;
    let mut counts = fleet.useful(min, max, peak, problem.slo);
    let every = counts.len().div_ceil(CANDIDATES).max(1);
    counts = counts.into_iter().step_by(every).collect();
    counts.extend([min, problem.current]);
    if max >= min && max <= fleet.most() {
        counts.push(max);
    }
    counts.sort_unstable();
    counts.dedup();
    counts
}

#[cfg(test)]
mod tests;
