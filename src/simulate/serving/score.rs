//! What a game cost: GPUs, minutes over an objective, changes, and the figures that explain them.

use super::{
    super::{
        STEP,
        fleet::{Fleet, INTER_TOKEN_SPREAD, TTFT_SPREAD},
        histogram::share_above,
    },
    Game,
};
use crate::model::Price;
use serde::Serialize;

/// A minute over an objective is priced at most this many times.
const WORST: f64 = 10.0;
/// Share of a minute's requests that may be over.
const MAY_BE_OVER: f64 = 0.05;
/// An addition that is taken back within this many seconds is a flap.
const FLAP: f64 = 600.0;
/// What the 95th percentile is of the mean, of a log-normal: `exp(1.645 σ - σ²/2)`.
pub(super) fn p95_of_mean(sigma: f64) -> f64 {
    (1.645 * sigma - sigma * sigma / 2.0).exp()
}

/// The price of a game and its parts, all services together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    /// J: GPU-hours + minutes over an objective × min(10, value / objective) + changes, each at its price.
    pub price: f64,
    /// GPU-hours, from the moment that a replica gets its GPUs.
    pub gpu_hours: f64,
    /// Mean count asked for.
    pub average_replicas: f64,
    /// Minutes, of each service, in which more than one request in twenty was over an objective.
    pub slo_minutes: f64,
    /// Mean of the requests that waited.
    pub average_waiting: f64,
    /// Minutes in which replicas waited for a GPU.
    pub pending_minutes: f64,
    /// Changes of a count.
    pub actions: f64,
    /// Removals within ten minutes after an addition.
    pub flaps: f64,
}

impl Score {
    /// The mean over several games; zeros for none.
    pub fn mean(scores: &[Self]) -> Self {
        let of = |part: fn(&Self) -> f64| scores.iter().map(part).sum::<f64>() / scores.len().max(1) as f64;
        Self {
            price: of(|s| s.price),
            gpu_hours: of(|s| s.gpu_hours),
            average_replicas: of(|s| s.average_replicas),
            slo_minutes: of(|s| s.slo_minutes),
            average_waiting: of(|s| s.average_waiting),
            pending_minutes: of(|s| s.pending_minutes),
            actions: of(|s| s.actions),
            flaps: of(|s| s.flaps),
        }
    }
}

/// One service's minute.
#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    requests: f64,
    late: f64,
    ratio: f64,
}

/// Adds a game up, second by second.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    price: Price,
    /// Per service: GPUs of a replica, objectives, the minute under way, when it was last added to.
    services: Vec<(u32, super::Objective, Minute, f64)>,
    seconds: f64,
    gpu_seconds: f64,
    replica_seconds: f64,
    waiting: f64,
    pending: f64,
    over: f64,
    severe: f64,
    actions: u32,
    flaps: u32,
}

impl Ledger {
    pub(super) fn new(game: &Game) -> Self {
        let services =
            game.services.iter().map(|s| (s.gpus, s.objective, Minute::default(), f64::NEG_INFINITY)).collect();
        Self {
            price: game.price,
            services,
            seconds: 0.0,
            gpu_seconds: 0.0,
            replica_seconds: 0.0,
            waiting: 0.0,
            pending: 0.0,
            over: 0.0,
            severe: 0.0,
            actions: 0,
            flaps: 0,
        }
    }

    /// One second of service `index` in which `arrived` requests came.
    pub(super) fn second(&mut self, index: usize, arrived: f64, fleet: &Fleet, desired: u32) {
        let Some((gpus, objective, minute, _)) = self.services.get_mut(index) else { return };
        let held = fleet.replicas().len() as f64;
        self.gpu_seconds += held * f64::from(*gpus) * STEP;
        self.replica_seconds += f64::from(desired) * STEP;
        self.waiting += fleet.backlog() * STEP;
        if f64::from(desired) > held {
            self.pending += STEP;
        }
        let (share, ratio) = match fleet.served() {
            Some(s) => {
                let of = |limit: Option<f64>, mean: f64, sigma: f64| {
                    limit.map_or((0.0, 0.0), |l| (share_above(l, mean, sigma), mean * p95_of_mean(sigma) / l))
                };
                let (first, tokens) = (
                    of(objective.ttft, s.first, TTFT_SPREAD),
                    of(objective.inter_token, s.per_token, INTER_TOKEN_SPREAD),
                );
                (first.0.max(tokens.0), first.1.max(tokens.1))
            }
            None => (1.0, WORST), // nobody takes requests
        };
        minute.requests += arrived;
        minute.late += arrived * share;
        minute.ratio += arrived * ratio.min(WORST);
    }

    /// A second is over; a minute perhaps.
    pub(super) fn tick(&mut self) {
        self.seconds += STEP;
        if self.seconds % 60.0 >= STEP {
            return;
        }
        for (.., minute, _) in &mut self.services {
            let m = std::mem::take(minute);
            if m.requests > 0.0 && m.late / m.requests > MAY_BE_OVER {
                self.over += 1.0;
                self.severe += (m.ratio / m.requests).clamp(1.0, WORST);
            }
        }
    }

    /// A change of the count of service `index` at `t`.
    pub(super) fn change(&mut self, index: usize, t: f64, from: u32, to: u32) {
        self.actions += 1;
        let Some((.., last_up)) = self.services.get_mut(index) else { return };
        if to > from {
            *last_up = t;
        } else if t - *last_up <= FLAP {
            self.flaps += 1;
        }
    }

    pub(super) fn close(self) -> Score {
        let gpu_hours = self.gpu_seconds / 3600.0;
        let actions = f64::from(self.actions);
        let seconds = self.seconds.max(STEP);
        Score {
            price: gpu_hours * self.price.pod_hour + self.severe * self.price.slo_minute + actions * self.price.action,
            gpu_hours,
            average_replicas: self.replica_seconds / seconds,
            slo_minutes: self.over,
            average_waiting: self.waiting / seconds,
            pending_minutes: self.pending / 60.0,
            actions,
            flaps: f64::from(self.flaps),
        }
    }
}
