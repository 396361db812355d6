//! What a game cost: pods, minutes over the SLO, changes, and the figures that explain them.

use super::{Game, STEP};
use crate::model::Price;
use serde::{Deserialize, Serialize};

/// A minute over the SLO is priced at most this many times.
const WORST: f64 = 10.0;
/// An addition that is taken back within this many seconds is a flap.
const FLAP: f64 = 600.0;
/// Time lag is lag over the present demand; demand counts as at least this share of the game's mean.
const LEAST: f64 = 0.01;

/// Records per second that time lag is told by at least, on a game's demand: in a second without demand what waits is not
/// infinitely late.
pub fn least(demand: &[f64]) -> f64 {
    let mean = demand.iter().sum::<f64>() / demand.len().max(1) as f64;
    (mean * LEAST).max(f64::MIN_POSITIVE)
}

/// The price of a game and its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// J: pod-hours + minutes over the SLO × min(10, time lag / SLO) + changes, each at its price.
    pub price: f64,
    /// Pod-hours, from the moment that a pod is asked for.
    pub pod_hours: f64,
    /// Mean count asked for.
    pub average_replicas: f64,
    /// Mean of the records that were really unprocessed.
    pub average_lag: f64,
    /// 99th percentile (over seconds) of the same.
    pub p99_lag: f64,
    /// Mean seconds behind, by Little's law: lag over demand.
    pub average_time_lag: f64,
    /// Minutes over the SLO.
    pub slo_minutes: f64,
    /// Changes of the count.
    pub actions: f64,
    /// Removals within ten minutes after an addition.
    pub flaps: f64,
    /// Rebalances of the group.
    pub rebalances: f64,
}

impl Score {
    /// The mean over several games; zeros for none.
    pub fn mean(scores: &[Self]) -> Self {
        let of = |part: fn(&Self) -> f64| scores.iter().map(part).sum::<f64>() / scores.len().max(1) as f64;
        Self {
            price: of(|s| s.price),
            pod_hours: of(|s| s.pod_hours),
            average_replicas: of(|s| s.average_replicas),
            average_lag: of(|s| s.average_lag),
            p99_lag: of(|s| s.p99_lag),
            average_time_lag: of(|s| s.average_time_lag),
            slo_minutes: of(|s| s.slo_minutes),
            actions: of(|s| s.actions),
            flaps: of(|s| s.flaps),
            rebalances: of(|s| s.rebalances),
        }
    }
}

/// Adds a game up, second by second.
#[derive(Clone, Debug)]
pub struct Ledger {
    price: Price,
    slo: f64,
    least: f64,
    pod_seconds: f64,
    time_lag: f64,
    over: f64,
    severe: f64,
    actions: u32,
    flaps: u32,
    last_up: f64,
}

impl Ledger {
    /// Nothing spent yet on this demand.
    pub fn new(game: &Game, demand: &[f64]) -> Self {
        Self {
            price: game.price,
            slo: game.slo,
            least: least(demand),
            pod_seconds: 0.0,
            time_lag: 0.0,
            over: 0.0,
            severe: 0.0,
            actions: 0,
            flaps: 0,
            last_up: f64::NEG_INFINITY,
        }
    }

    /// One second with its demand, what is unprocessed after it, and the count asked for.
    pub fn second(&mut self, rate: f64, backlog: f64, desired: u32) {
        self.pod_seconds += f64::from(desired) * STEP;
        let time_lag = backlog.max(0.0) / rate.max(self.least);
        self.time_lag += time_lag * STEP;
        if time_lag > self.slo {
            self.over += STEP;
            self.severe += (time_lag / self.slo).min(WORST) * STEP;
        }
    }

    /// A change of the count at `t`.
    pub fn change(&mut self, t: f64, from: u32, to: u32) {
        self.actions += 1;
        if to > from {
            self.last_up = t;
        } else if t - self.last_up <= FLAP {
            self.flaps += 1;
        }
    }

    /// The price so far.
    pub fn spent(&self) -> f64 {
        self.pod_seconds / 3600.0 * self.price.pod_hour
            + self.severe / 60.0 * self.price.slo_minute
            + f64::from(self.actions) * self.price.action
    }

    /// The score, with the group's rebalances and what was unprocessed after each second.
    pub fn close(&self, rebalances: u64, lags: &[f32]) -> Score {
        let price = self.spent();
        let seconds = (lags.len() as f64 * STEP).max(STEP);
        let sum: f64 = lags.iter().map(|lag| f64::from(*lag)).sum();
        let rank = lags.len() * 99 / 100;
        let mut sorted = lags.to_vec();
        let p99_lag =
            if sorted.is_empty() { 0.0 } else { f64::from(*sorted.select_nth_unstable_by(rank, f32::total_cmp).1) };
        let pod_hours = self.pod_seconds / 3600.0;
        let actions = f64::from(self.actions);
        Score {
            price,
            pod_hours,
            average_replicas: self.pod_seconds / seconds,
            average_lag: sum * STEP / seconds,
            p99_lag,
            average_time_lag: self.time_lag / seconds,
            slo_minutes: self.over / 60.0,
            actions,
            flaps: f64::from(self.flaps),
            rebalances: rebalances as f64,
        }
    }
}
