//! The planner's count with its reasons, its price against the alternatives and its expiry.

use super::{Forecast, Label, Limits, Replicas, Target, Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What one replica can do, learned from saturated spans; per second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Records or requests per second that one replica processes.
    pub per_replica: f64,
    /// Low end of the estimate (about p10).
    pub low: f64,
    /// High end of the estimate (about p90).
    pub high: f64,
    /// Saturated observations it rests on; 0: only a lower bound from what was seen to flow.
    pub samples: usize,
    /// Seconds from asking for a replica to it being ready.
    pub start_up: f64,
    /// Seconds that partitions stand still when many replicas ([`MANY`](Self::MANY)) are added at once.
    pub rebalance: f64,
    /// Seconds that they stand still when one is added. Many join one after the other, as start-ups jitter, and stop the
    /// work again each time.
    pub rebalance_one: f64,
    /// Seconds that they stand still when replicas are removed: all go at once, so it is usually less.
    pub rebalance_down: f64,
    /// The most that all replicas together were seen to do when more of them should have done more: what lies
    /// downstream takes no more. `None`: nothing held them back so far.
    pub ceiling: Option<f64>,
    /// What was assumed for want of observations, as sentences.
    pub assumptions: Vec<String>,
}

impl Capacity {
    /// Replicas that are many: more of them stop the work no longer.
    pub const MANY: f64 = 8.0;

    /// Whether it only says what was seen to flow: the replicas were never at their limit and may well do more.
    pub fn is_lower_bound(&self) -> bool {
        self.samples == 0
    }

    /// Records or requests per second that a replica is planned with: of a lower bound its high end, a step that is tried.
    pub fn as_planned(&self) -> f64 {
        if self.is_lower_bound() { self.high.max(self.per_replica) } else { self.per_replica }
    }

    /// Seconds that partitions stand still when so many replicas are added at once: with every doubling there is room for
    /// a rebalance more, and the second one that joins makes one of its own.
    pub fn standstill(&self, joining: u32) -> f64 {
        let (one, many) = (self.rebalance_one, self.rebalance);
        let share = (f64::from(joining.max(1)).log2() / Self::MANY.log2()).min(1.0);
        let doubled = one + share * (many - one);
        if joining > 1 { doubled.max((2.0 * one).min(many)) } else { doubled }
    }
}

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
