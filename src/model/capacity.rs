//! What replicas can do and how long they take to come and go, as it was learned from what was seen.

use serde::{Deserialize, Serialize};

/// What one replica can do, learned from saturated spans; per second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Records or requests per second that one replica processes; of so many together as `scaling` names.
    pub per_replica: f64,
    /// Low end of the estimate (about p10).
    pub low: f64,
    /// High end of the estimate (about p90).
    pub high: f64,
    /// Saturated observations it rests on; 0: only a lower bound from what was seen to flow.
    pub samples: usize,
    /// How what each does depends on how many they are.
    #[serde(default)]
    pub scaling: Scaling,
    /// Seconds from asking for a replica to it being ready.
    pub start_up: f64,
    /// The start-ups that were seen; `None`: of a group that is watched none, of others they are not kept apart.
    #[serde(default)]
    pub start_ups: Option<Spread>,
    /// Seconds that partitions stand still when many replicas ([`MANY`](Self::MANY)) are added at once.
    pub rebalance: f64,
    /// Seconds that they stand still when one is added. Many join one after the other, as start-ups jitter, and stop the
    /// work again each time.
    pub rebalance_one: f64,
    /// Seconds that they stand still when replicas are removed: all go at once, so it is usually less.
    pub rebalance_down: f64,
    /// The standstills of additions that were seen, and those of removals.
    #[serde(default)]
    pub standstills: [Option<Spread>; 2],
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

    /// The same of each of so many together.
    pub fn each_of(&self, replicas: u32) -> f64 {
        self.as_planned() * self.scaling.each(replicas)
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

/// How what all replicas do together grows with their number n: as n to a power. Below 1 they share something that grows
/// less than they do: a database, a lock, a network.
///
/// ```
/// use highwater::model::Scaling;
/// let shared = Scaling { exponent: 0.5, of: 4 };
/// assert_eq!((shared.each(4), shared.each(16)), (1.0, 0.5), "four times as many do twice as much");
/// assert_eq!(Scaling::default().each(40), 1.0, "linear until something else was seen");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// The power; 1: each does the same, however many they are.
    pub exponent: f64,
    /// Of how many together a rate that stands beside it is.
    pub of: u32,
}

impl Default for Scaling {
    /// Linear.
    fn default() -> Self {
        Self { exponent: 1.0, of: 1 }
    }
}

impl Scaling {
    /// Whether each does the same, however many they are.
    pub fn is_linear(self) -> bool {
        self.exponent >= 1.0
    }

    /// What each of `replicas` does, over what each of [`of`](Self::of) does.
    pub fn each(self, replicas: u32) -> f64 {
        if self.is_linear() {
            return 1.0;
        }
        (f64::from(replicas.max(1)) / f64::from(self.of.max(1))).powf(self.exponent - 1.0)
    }
}

/// Times that were seen, seconds: how they are spread, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// One in ten was shorter.
    pub p10: f64,
    /// The middle one.
    pub p50: f64,
    /// One in ten was longer.
    pub p90: f64,
    /// How many were seen.
    pub seen: usize,
}
