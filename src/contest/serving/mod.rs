//! Policies for inference services as pilots, priced against each other. Pure.

mod clairvoyant;
mod monitor;
mod planner;
mod rivals;

pub use monitor::Monitor;
pub use planner::{Planner, Settings};
pub use rivals::{Concurrency, Each, Hpa, Metric};

use crate::{
    model::{Sample, Time},
    simulate::serving::{Game, Hold, Outcome, Pilot, Score, Seen, play},
};

/// One seed's day of a pool with what lies before it; the outer lists are per service.
#[derive(Clone, Debug)]
pub struct Season {
    /// Requests finished per second before the game: samples up to `begin`.
    pub history: Vec<Vec<Sample>>,
    /// The last part of it once more, one value a second: operated by an HPA on requests in flight before the game. May be empty.
    pub operated: Vec<Vec<f64>>,
    /// Demand that is played and priced, one value a second.
    pub played: Vec<Vec<f64>>,
    /// Instant of the first second of `played`.
    pub begin: Time,
}

impl Season {
    /// What a group's season leaves for a service behind it: `played` records per second were processed, each of which
    /// makes `per_record` requests.
    pub fn of(season: &super::Season, played: &[f64], per_record: f64) -> Self {
        let requests = |rates: &[f64]| vec![rates.iter().map(|r| r * per_record).collect()];
        Self {
            history: vec![season.history.iter().map(|s| Sample { value: s.value * per_record, ..*s }).collect()],
            operated: requests(&season.operated),
            played: requests(played),
            begin: season.begin,
        }
    }
}

/// Who plays.
#[derive(Clone, Debug, PartialEq)]
pub enum Entrant {
    /// The planner, through advice.
    Planner(Settings),
    /// An HPA, by itself or KEDA's.
    Hpa(Metric),
    /// Knative's autoscaler, with this many requests at once as the target of a replica.
    Knative(f64),
    /// The smallest fixed counts that keep every objective on this very day: what provisioning for the peak costs at best.
    Peak,
    /// Fixed counts.
    Fixed(Vec<u32>),
    /// Somebody who knows the day: the cheapest timetable that a search found.
    Clairvoyant,
}

impl Entrant {
    /// Plays a season.
    pub fn play(&self, game: &Game, season: &Season, seed: u64) -> Outcome {
        let demand = &season.played;
        match self {
            Self::Planner(settings) => {
                let monitors = watch(game, season, seed);
                play(game, demand, seed, &mut Planner::new(game, monitors, settings.clone()))
            }
            Self::Hpa(metric) => play(game, demand, seed, &mut hpas(game, *metric)),
            Self::Knative(target) => {
                let pilots = game.services.iter().map(|s| Concurrency::new(*target, s.limits)).collect();
                play(game, demand, seed, &mut Each(pilots))
            }
            Self::Peak => play(game, demand, seed, &mut Hold(peak(game, demand, seed))),
            Self::Fixed(counts) => play(game, demand, seed, &mut Hold(counts.clone())),
            Self::Clairvoyant => clairvoyant::clairvoyant(game, demand, seed),
        }
    }
}

fn hpas(game: &Game, metric: Metric) -> Each<Hpa> {
    Each(game.services.iter().map(|s| Hpa::new(metric, s.limits)).collect())
}

/// The smallest fixed counts without a minute over an objective, one service after the other; the highest allowed
/// where none is enough.
fn peak(game: &Game, demand: &[Vec<f64>], seed: u64) -> Vec<u32> {
    let mut counts: Vec<u32> = game.services.iter().map(|s| s.limits.max).collect();
    for (i, service) in game.services.iter().enumerate() {
        // Alone: the others must not take GPUs from it, or it from them.
        let alone = Game { gpus: u32::MAX, services: vec![service.clone()], ..game.clone() };
        let Some(demand) = demand.get(i).map(|d| vec![d.clone()]) else { continue };
        let holds = |n: u32| {
            let mut game = alone.clone();
            game.services[0].start = n;
            play(&game, &demand, seed, &mut Hold(vec![n])).score.slo_minutes == 0.0
        };
        let (mut low, mut high) = (service.limits.min, service.limits.max);
        while low < high {
            let middle = u32::midpoint(low, high);
            if holds(middle) { high = middle } else { low = middle + 1 }
        }
        counts[i] = high;
    }
    counts
}

/// Monitors, one a service, that saw the demand before the game and a spell of operation under an HPA on requests in flight.
pub fn watch(game: &Game, season: &Season, seed: u64) -> Vec<Monitor> {
    struct Watched<'a>(Each<Hpa>, &'a mut Vec<Monitor>);
    impl Pilot for Watched<'_> {
        fn decide(&mut self, seen: &Seen<'_>) -> Vec<Option<u32>> {
            for (monitor, reading) in self.1.iter_mut().zip(seen.services) {
                monitor.look(seen.t, reading);
            }
            self.0.decide(seen)
        }
    }
    let spell = season.operated.iter().map(Vec::len).min().unwrap_or(0);
    let before = season.begin.plus(-(spell as f64));
    let mut monitors: Vec<Monitor> = (0..game.services.len()).map(|i| Monitor::new(game, i, before)).collect();
    for (monitor, history) in monitors.iter_mut().zip(&season.history) {
        // What the spell shows is not shown twice.
        let older: Vec<Sample> = history.iter().copied().filter(|s| s.at < before).collect();
        monitor.backfill(&older);
    }
    if spell > 0 {
        // Other chances than the day that is scored: who knew its jitter would know the future.
        let seed = seed ^ super::TRAINING;
        play(game, &season.operated, seed, &mut Watched(hpas(game, Metric::InFlight(32.0)), &mut monitors));
    }
    monitors.into_iter().map(|m| m.again(season.begin)).collect()
}

/// Means of one entrant over seeds.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The entrant's name.
    pub name: String,
    /// Mean score.
    pub score: Score,
    /// Half the width of the 95 % interval of the price over seeds; `None` with a single seed.
    pub interval: Option<f64>,
}

/// Means over seeds; `rounds` are the scores of each seed in the order of `names`.
pub fn standings(names: &[String], rounds: &[Vec<Score>]) -> Vec<Standing> {
    let standing = |(i, name): (usize, &String)| {
        let scores: Vec<Score> = rounds.iter().filter_map(|r| r.get(i).copied()).collect();
        let prices: Vec<f64> = scores.iter().map(|s| s.price).collect();
        Standing { name: name.clone(), score: Score::mean(&scores), interval: super::half_width(&prices) }
    };
    names.iter().enumerate().map(standing).collect()
}

#[cfg(test)]
mod tests;
