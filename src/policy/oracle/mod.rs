//! What somebody who knew the whole day could have paid: a schedule to play, and a bound that nobody can go below. Pure.
//!
//! - [`Programme`]: a dynamic programme over (count, backlog) in stages of half a minute on the demand that really came.
//!   Its own value means little; it is played in the arena, and what it costs there is achievable.
//! - [`lower_bound`]: a dynamic programme over spans of constant count, favourable wherever it is not exact, for changes that
//!   take effect at the edges of slots. What is true of it for which games stands there.
//!
//! The truth lies between the two. Regret is stated against the cheapest schedule that was found and played.

mod bound;
mod schedule;

pub use bound::{SLOT, lower_bound};
pub use schedule::Programme;

use crate::model::{Limits, Price, Scaling};

/// A minute over the SLO is priced at most this many times, as by the arena's ledger.
const WORST: f64 = 10.0;

/// Everything that is going to happen. Seconds, records per second.
#[derive(Clone, Copy, Debug)]
pub struct Foreseen<'a> {
    /// Demand, one value a second.
    pub demand: &'a [f64],
    /// Share of the demand per partition; partition p is read by consumer p mod n.
    pub shares: &'a [f64],
    /// What one consumer can do, of so many as `scaling` names.
    pub rate: f64,
    /// How that depends on how many have partitions.
    pub scaling: Scaling,
    /// What everything behind the group takes; infinite: no limit.
    pub ceiling: f64,
    /// Seconds that a rebalance stops what it stops.
    pub rebalance: f64,
    /// Whether a rebalance stops the whole group, or only what moves.
    pub eager: bool,
    /// Seconds from asking for a consumer to its joining.
    pub start_up: f64,
    /// Demand that time lag is told by at least: the ledger's own.
    pub least: f64,
    /// Count at the beginning.
    pub start: u32,
    /// Bounds of the count.
    pub limits: Limits,
    /// Most seconds behind.
    pub slo: f64,
    /// Prices.
    pub price: Price,
}

impl Foreseen<'_> {
    /// What each of `n` consumers gets of the demand, as shares.
    fn loads(&self, n: u32) -> Vec<f64> {
        let members = (n as usize).min(self.shares.len());
        let mut loads = vec![0.0; members];
        for (p, share) in self.shares.iter().enumerate() {
            if let Some(load) = loads.get_mut(p % members.max(1)) {
                *load += share;
            }
        }
        loads
    }

    /// Records per second that each of `n` consumers can do.
    fn each(&self, n: u32) -> f64 {
        self.rate * self.scaling.each(n.min(self.shares.len() as u32))
    }

    /// Records per second that `n` consumers do when all of them have work.
    fn together(&self, n: u32) -> f64 {
        (self.each(n) * f64::from(n).min(self.shares.len() as f64)).min(self.ceiling)
    }

    /// Counts from the lower bound to what the partitions and the upper bound allow.
    fn counts(&self) -> Vec<u32> {
        let most = u32::try_from(self.shares.len()).unwrap_or(u32::MAX).max(self.limits.min);
        (self.limits.min..=self.limits.max.min(most)).collect()
    }

    /// Price per minute at `seconds` behind.
    fn severity(&self, seconds: f64) -> f64 {
        if seconds <= self.slo { 0.0 } else { (seconds / self.slo).min(WORST) * self.price.slo_minute }
    }

    /// Price of going from one count to another: the change, and pods that are paid while they start.
    fn change(&self, from: u32, to: u32) -> f64 {
        let starting = f64::from(to.saturating_sub(from)) * self.start_up / 3600.0 * self.price.pod_hour;
        if from == to { 0.0 } else { self.price.action + starting }
    }
}

#[cfg(test)]
mod tests;
