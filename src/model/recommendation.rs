//! The planner's count with its reasons, its price against the alternatives and its expiry.

use super::{Capacity, Forecast, Label, Limits, Replicas, Target, Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The identity of the change that was on screen: workload, target and its uid, from, to, limits, the minute in which it
/// was made, and expiry. Not the evidence: prices and reasons move with every refresh, and the change stays the same.
/// Shown, recorded and compared; printed as `9c41-e7d0-…` (first 12 hex digits of a SHA-256).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanHash(Label);

impl PlanHash {
    /// Hashes the parts, each with its length before it, so that no two lists of parts collide by concatenation.
    pub fn of(parts: &[&str]) -> Self {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let d = hash.finalize();
        Self(Label::new(&format!("{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}", d[0], d[1], d[2], d[3], d[4], d[5])))
    }
}

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A count that was considered, and what it would cost over the horizon: the one that the planner chose as the plan goes
/// on from it, any other as kept. Where a step limit, a pool or the count on screen makes another one of it, that is priced
/// as kept too.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alternative {
    /// The count.
    pub replicas: u32,
    /// Its price over the horizon.
    pub price: f64,
    /// Minutes over the SLO within the horizon.
    pub slo_minutes: f64,
}

/// A count and the instant to ask for it: one step of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PlanStep {
    /// When to ask for it. Replicas are ready a start-up later.
    pub at: Time,
    /// The count from then on.
    pub replicas: u32,
}

/// A guard that holds the recommendation back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Blocked {
    /// The guard's name (`cooldown`, `coverage`, …).
    pub guard: &'static str,
    /// Why, with numbers.
    pub detail: String,
    /// When it ends by itself, if it does.
    pub until: Option<Time>,
}

/// What the well-known rules would say on the same data; `None`: the rule has not the data it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rivals {
    /// HorizontalPodAutoscaler v2.
    pub hpa: Option<u32>,
    /// KEDA's Kafka trigger over an HPA.
    pub keda: Option<u32>,
    /// Up above 80 % CPU or over a lag, down below 30 % sustained.
    pub threshold: Option<u32>,
}

/// What a workload should have, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recommendation {
    /// The workload's name.
    pub workload: Label,
    /// What would be changed.
    pub target: Option<Target>,
    /// The count when this was made.
    pub current: Replicas,
    /// The count recommended, within `limits`; equal to `current.desired` when nothing should change.
    pub recommended: u32,
    /// What the planner wanted before guards capped it (step limit, partitions, limits).
    pub wanted: u32,
    /// Bounds.
    pub limits: Limits,
    /// Made at.
    pub at: Time,
    /// Not to be approved after.
    pub expires: Time,
    /// Identity of this plan.
    pub plan_hash: PlanHash,
    /// Sentences with numbers, most important first.
    pub reasons: Vec<String>,
    /// Guards that hold it back; empty: may be approved.
    pub blocked_by: Vec<Blocked>,
    /// Counts considered with their prices, by count; contains `current.desired` ("what staying costs").
    pub alternatives: Vec<Alternative>,
    /// What the plan asks for over the horizon, by time, as far as can be told now: `recommended` first, at `at`. Only
    /// the first step is recommended; the rest is made anew with every refresh.
    pub steps: Vec<PlanStep>,
    /// Rules of others on the same data.
    pub others: Rivals,
    /// What a replica can do.
    pub capacity: Option<Capacity>,
    /// Share of inputs known.
    pub coverage: f64,
}

impl Recommendation {
    /// Whether it asks for a change.
    pub fn is_change(&self) -> bool {
        self.recommended != self.current.desired
    }

    /// The first step of the plan that is not due yet, when it differs from what is asked for now.
    pub fn later(&self, now: Time) -> Option<&PlanStep> {
        self.steps.iter().skip(1).find(|s| s.at > now && s.replicas != self.recommended)
    }

    /// That step, where it is one to more while nothing is asked for now.
    pub fn more_later(&self, now: Time) -> Option<&PlanStep> {
        self.later(now).filter(|s| !self.is_change() && s.replicas > self.recommended)
    }

    /// The price of a count that was considered.
    pub fn price_of(&self, replicas: u32) -> Option<&Alternative> {
        self.alternatives.iter().find(|a| a.replicas == replicas)
    }
}

/// The outcome of one pass of `advise` over one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// Forecast of the demand (or, for a batch, of the backlog), when there is history.
    pub forecast: Option<Forecast>,
    /// What a replica can do, when it is known.
    pub capacity: Option<Capacity>,
    /// The recommendation; `None` with the reason when there can be none.
    pub recommendation: Result<Box<Recommendation>, String>,
}
