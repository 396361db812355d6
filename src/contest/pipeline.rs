//! A pipeline played end to end: a topic, the consumers that read it, and the GPU service that every record they process
//! calls on. The service's demand is what the consumers really did: a group that stands still starves its service, and
//! one that catches up floods it.
//!
//! The service does not hold the consumers up when it is slow: they hand requests over and go on.

use super::{Entrant, Season, serving};
use crate::simulate::{
    arena::{Game, Hold, Outcome, Score, play},
    serving as gpus,
};

/// The rules: of both halves, and what joins them.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// The group on the topic.
    pub group: Game,
    /// The service behind it, the only one of its pool.
    pub service: gpus::Game,
    /// Requests per record.
    pub per_record: f64,
}

/// Who plays: one for the consumers, one for the service.
#[derive(Clone, Debug, PartialEq)]
pub enum Pair {
    /// Any two.
    Each(Box<Entrant>, serving::Entrant),
    /// The smallest fixed counts of both that keep every objective on this very day: provisioning for the peak at its best.
    Peak,
}

/// What a day cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// The consumers'.
    pub group: Score,
    /// The service's.
    pub service: gpus::Score,
}

impl Cost {
    /// Both prices.
    pub fn price(&self) -> f64 {
        self.group.price + self.service.price
    }

    /// Minutes over an objective, of both.
    pub fn slo_minutes(&self) -> f64 {
        self.group.slo_minutes + self.service.slo_minutes
    }
}

impl Pair {
    /// Plays a season of the topic.
    pub fn play(&self, pipeline: &Pipeline, season: &Season, seed: u64) -> Cost {
        let outcome = match self {
            Self::Each(group, _) => group.play(&pipeline.group, season, seed),
            Self::Peak => {
                let game = Game { start: peak(&pipeline.group, season, seed), ..pipeline.group.clone() };
                play(&game, &season.played, seed, &mut Hold(game.start))
            }
        };
        let processed = processed(&season.played, &outcome);
        let behind = serving::Season::of(season, &processed, pipeline.per_record);
        let service = match self {
            Self::Each(_, entrant) => entrant.play(&pipeline.service, &behind, seed),
            Self::Peak => serving::Entrant::Peak.play(&pipeline.service, &behind, seed),
        };
        Cost { group: outcome.score, service: service.score }
    }
}

/// What was processed in every second: what came, less what the backlog grew by.
fn processed(demand: &[f64], outcome: &Outcome) -> Vec<f64> {
    let before = std::iter::once(0.0).chain(outcome.lags.iter().map(|lag| f64::from(*lag)));
    let lags = outcome.lags.iter().map(|lag| f64::from(*lag));
    demand.iter().zip(before.zip(lags)).map(|(rate, (before, now))| (rate - (now - before)).max(0.0)).collect()
}

/// The smallest fixed count without a minute over the SLO; the highest allowed where none is enough.
fn peak(game: &Game, season: &Season, seed: u64) -> u32 {
    let holds = |n: u32| {
        let game = Game { start: n, ..game.clone() };
        play(&game, &season.played, seed, &mut Hold(n)).score.slo_minutes <= 0.0
    };
    // Not every larger count is better (partitions go to few in odd numbers), so they are tried one after the other.
    (game.limits.min..game.limits.max).find(|n| holds(*n)).unwrap_or(game.limits.max)
}
