//! The policies as pilots in the arena, priced against each other and against a clairvoyant. Pure.
//!
//! Everybody plays the same demand with the same chances. What a policy may know of the time before is the demand that
//! was seen and, where [`Season::operated`] says so, a spell of operation under a default HPA.

mod clairvoyant;
mod monitor;
pub mod pipeline;
mod planner;
pub mod queueing;
mod rivals;
mod scenario;
pub mod serving;

pub use clairvoyant::{Clairvoyant, is_bound, redrawn, search};
pub use monitor::Monitor;
pub use planner::{Planner, PlannerSettings};
pub use rivals::{Hpa, Metric, Threshold};
pub use scenario::{Played, Player, QueuePlayed, Scenario};

use crate::{
    model::{Sample, Time},
    policy::{
        hpa::{Behavior, Controller, Kind, Policy, Rules, Select},
        keda, threshold,
    },
    simulate::arena::{Game, Hold, Outcome, Pilot, Score, Seen, play},
};

/// One seed's day with what lies before it.
#[derive(Clone, Debug)]
pub struct Season {
    /// Demand before the game: samples up to `begin`.
    pub history: Vec<Sample>,
    /// The last part of it once more, one value a second: operated by a default HPA before the game begins. May be empty.
    pub operated: Vec<f64>,
    /// Demand that is played and priced, one value a second.
    pub played: Vec<f64>,
    /// Instant of the first second of `played`.
    pub begin: Time,
}

/// Who plays.
#[derive(Clone, Debug, PartialEq)]
pub enum Entrant {
    /// The planner, through advice.
    Planner(PlannerSettings),
    /// The planner, which saw nothing but demand before.
    PlannerCold(PlannerSettings),
    /// An HPA.
    Hpa {
        /// What it looks at.
        metric: Metric,
        /// Its `behavior`.
        behavior: Option<Behavior>,
        /// The controller's settings.
        controller: Controller,
    },
    /// The rule on CPU.
    Threshold(threshold::Rule),
    /// A fixed count.
    Fixed(u32),
}

impl Entrant {
    /// An HPA on lag with upstream's defaults.
    pub fn hpa(target: f64) -> Self {
        Self::Hpa { metric: Metric::Lag(target), behavior: None, controller: Controller::default() }
    }

    /// The same without waiting before it scales down.
    pub fn hpa_unstabilised(target: f64) -> Self {
        let controller = Controller { downscale_stabilization: 0.0, ..Controller::default() };
        Self::Hpa { metric: Metric::Lag(target), behavior: None, controller }
    }

    /// An HPA on CPU.
    pub fn hpa_cpu(percent: i64) -> Self {
        Self::Hpa { metric: Metric::Cpu(percent), behavior: None, controller: Controller::default() }
    }

    /// KEDA's Kafka trigger with upstream's defaults.
    pub fn keda(lag_threshold: i64) -> Self {
        let trigger = keda::Trigger { lag_threshold, ..keda::Trigger::default() };
        Self::Hpa { metric: Metric::Keda(trigger), behavior: None, controller: Controller::default() }
    }

    /// KEDA as one tunes it for a group that rebalances: even counts, 15 minutes and a tenth a minute on the way down.
    pub fn keda_tuned(trigger: keda::Trigger) -> Self {
        let trigger = keda::Trigger { ensure_even: true, ..trigger };
        let tenth = Policy { kind: Kind::Percent, value: 10, period: 60.0 };
        let down = Rules { window: Some(900.0), select: Select::Max, policies: vec![tenth], tolerance: None };
        let behavior = Some(Behavior { down, ..Behavior::default() });
        Self::Hpa { metric: Metric::Keda(trigger), behavior, controller: Controller::default() }
    }

    /// Plays a season.
    pub fn play(&self, game: &Game, season: &Season, seed: u64) -> Outcome {
        let demand = &season.played;
        match self {
            Self::Planner(settings) => {
                let mut pilot = Planner::new(game, trained(game, season, seed), settings.clone());
                play(game, demand, seed, &mut pilot)
            }
            Self::PlannerCold(settings) => {
                let mut pilot = Planner::new(game, cold(game, season), settings.clone());
                play(game, demand, seed, &mut pilot)
            }
            Self::Hpa { metric, behavior, controller } => {
                let mut pilot = Hpa::new(*metric, game.limits, behavior.clone(), *controller);
                play(game, demand, seed, &mut pilot)
            }
            Self::Threshold(rule) => play(game, demand, seed, &mut Threshold::new(*rule, game.limits, game.scrape)),
            Self::Fixed(n) => play(game, demand, seed, &mut Hold(*n)),
        }
    }
}

/// A monitor that saw the demand before the game.
pub fn cold(game: &Game, season: &Season) -> Monitor {
    let mut monitor = Monitor::new(game, season.begin);
    monitor.backfill(&season.history);
    monitor
}

/// A monitor that also saw the group under a default HPA for the last part of the time before the game.
pub fn trained(game: &Game, season: &Season, seed: u64) -> Monitor {
    struct Watched<'a>(Hpa, &'a mut Monitor);
    impl Pilot for Watched<'_> {
        fn decide(&mut self, seen: &Seen<'_>) -> Option<u32> {
            self.1.look(seen);
            self.0.decide(seen)
        }
    }
    let monitor = cold(game, season);
    if season.operated.is_empty() {
        return monitor;
    }
    let mut monitor = monitor.again(season.begin.plus(-(season.operated.len() as f64)));
    let per_replica = 10.0 * game.group.consumer_rate;
    let hpa = Hpa::new(Metric::Lag(per_replica), game.limits, None, Controller::default());
    // Other chances than the day that is scored: who knew its jitter would know the future.
    play(game, &season.operated, seed ^ TRAINING, &mut Watched(hpa, &mut monitor));
    monitor.again(season.begin)
}

/// Turns a seed into that of the spell before the game.
const TRAINING: u64 = 0x5EED;

/// The means of one entrant over seeds, with its regret over the clairvoyant.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The entrant's name.
    pub name: String,
    /// Mean score.
    pub score: Score,
    /// Half the width of the 95 % interval of the price over seeds; `None` with a single seed.
    pub interval: Option<f64>,
    /// Price over the clairvoyant's, minus one; `None` when no clairvoyant played.
    pub regret: Option<f64>,
}

/// What everybody paid on one seed.
#[derive(Clone, Debug)]
pub struct Round {
    /// Scores in the order of the entrants.
    pub scores: Vec<Score>,
    /// The clairvoyant's score and the lower bound.
    pub clairvoyant: Option<(Score, f64)>,
}

/// A day of more changes is no beginning for a search by single moves.
pub const FOLLOWED: usize = 200;

/// Plays one seed: every entrant, and the clairvoyant with `moves` moves of search, who may begin from what they did.
pub fn round(game: &Game, season: &Season, seed: u64, entrants: &[Entrant], moves: Option<usize>) -> Round {
    let outcomes: Vec<Outcome> = entrants.iter().map(|e| e.play(game, season, seed)).collect();
    let clairvoyant = moves.map(|moves| {
        let also: Vec<Vec<(f64, u32)>> =
            outcomes.iter().filter(|o| o.changes.len() <= FOLLOWED).map(|o| o.changes.clone()).collect();
        let found = search(game, &season.played, seed, moves, &also);
        (found.outcome.score, found.lower_bound)
    });
    Round { scores: outcomes.into_iter().map(|o| o.score).collect(), clairvoyant }
}

/// Means over rounds; `names` in the order of the entrants.
pub fn standings(names: &[String], rounds: &[Round]) -> Vec<Standing> {
    let best: Vec<f64> = rounds.iter().filter_map(|r| r.clairvoyant.map(|c| c.0.price)).collect();
    let clairvoyant = (!best.is_empty()).then(|| best.iter().sum::<f64>() / best.len() as f64);
    names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let scores: Vec<Score> = rounds.iter().filter_map(|r| r.scores.get(i).copied()).collect();
            let score = Score::mean(&scores);
            let prices: Vec<f64> = scores.iter().map(|s| s.price).collect();
            let regret = clairvoyant.filter(|c| *c > 0.0).map(|c| score.price / c - 1.0);
            Standing { name: name.clone(), score, interval: half_width(&prices), regret }
        })
        .collect()
}

/// Half the width of the 95 % interval of a mean (Student's t); `None` with fewer than two values.
pub fn half_width(values: &[f64]) -> Option<f64> {
    // Quantiles 0.975 of Student's t by degrees of freedom; beyond the table the normal's.
    const T: [f64; 15] =
        [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131];
    let n = values.len();
    let freedom = n.checked_sub(2)?;
    let mean = values.iter().sum::<f64>() / n as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    Some(T.get(freedom).copied().unwrap_or(1.96) * (variance / n as f64).sqrt())
}

#[cfg(test)]
mod tests;
