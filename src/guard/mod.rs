//! Named rules that hold a recommendation back. One rule a file; each says what it saw and when it ends. Pure.
//!
//! Two kinds: a *block* keeps the change from being approved at all; a *cap* makes it smaller and says so.

mod alerts;
mod cooldown;
mod coverage;
mod limits;
mod partitions;
mod rebalance;
mod replicas;
mod stale;
mod step;

pub use step::steps;

use crate::model::{Blocked, Replicas, Time, Workload, WorkloadState};

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The workload with its limits and guard settings.
    pub workload: &'a Workload,
    /// What is true of it now.
    pub state: &'a WorkloadState,
    /// The count that the planner wants.
    pub wanted: u32,
    /// The instant.
    pub now: Time,
}

impl Case<'_> {
    fn current(&self) -> Option<u32> {
        self.state.replicas.as_ref().map(|r: &Replicas| r.desired)
    }
}

/// What the rules decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// The count that may be recommended: within the limits, and not above the partitions unless `min` is.
    pub recommended: u32,
    /// Rules that hold the change back; empty: it may be approved.
    pub blocked: Vec<Blocked>,
    /// What was made smaller, and why.
    pub notes: Vec<String>,
}

/// Asks every rule.
///
/// Caps come in this order: step, partitions, limits; so limits always win. With the present count unknown, with
/// partial or with old data the change is blocked, whatever it is.
pub fn judge(case: &Case<'_>) -> Judgement {
    let mut notes = Vec::new();
    let mut count = case.wanted;
    for cap in [step::cap, partitions::cap, limits::cap] {
        let (capped, note) = cap(case, count);
        count = capped;
        notes.extend(note);
    }
    let always = [replicas::block(case), coverage::block(case), stale::block(case)];
    let mut blocked: Vec<Blocked> = always.into_iter().flatten().collect();
    // What only concerns a change is not said where there is none.
    if case.current().is_some_and(|current| current != count) {
        blocked.extend([rebalance::block(case), cooldown::block(case, count)].into_iter().flatten());
        blocked.extend(alerts::block(case, count));
    }
    Judgement { recommended: count, blocked, notes }
}

#[cfg(test)]
mod tests;
