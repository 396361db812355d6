//! What an object costs: a day of the arena under its own controllers.

use super::{
    Facts, Subject,
    rules::{lag::good, round},
};
use crate::{
    manifest::Object,
    model::{Limits, Time},
    policy::{
        hpa::Controller,
        keda,
        scaled::{Counts, Goal, Reading, Scaled},
    },
    simulate::arena::{self, Game, Pilot, Score, Seen},
};

/// Days that are played, each with its chances.
#[derive(Clone, Debug)]
pub struct Day {
    /// Demand, records per second, one value a second.
    pub demand: Vec<f64>,
    /// Chances.
    pub seed: u64,
}

/// Most replicas that are played: each is followed second by second.
const MOST: u32 = 10_000;

/// Plays days under an object, with the rules of a game and the object's own bounds: the mean of the scores.
///
/// # Errors
/// The object looks at something that the arena does not have: it has lag and CPU.
pub fn play(object: &Object, game: &Game, days: &[Day]) -> Result<Score, String> {
    let controller = Controller::default();
    let scaled = match object {
        Object::Hpa(hpa) => Scaled::hpa(hpa, &controller),
        Object::ScaledObject(scaled) => Scaled::keda(scaled, &controller),
    };
    let scaled = scaled.map_err(|u| u.what)?;
    let facts = Facts::default();
    let subject = Subject { object, facts: &facts, written: &serde_json::Value::Null };
    let lags: Vec<usize> = subject.lags().into_iter().map(|l| l.index).collect();
    let known =
        |(i, goal): (usize, &Goal)| lags.contains(&i) || matches!(goal, Goal::Kafka(..) | Goal::Utilisation(_, true));
    if let Some(i) = scaled.goals().enumerate().map(|(i, g)| (i, known((i, g)))).find(|(_, k)| !k).map(|(i, _)| i) {
        let what = match object {
            Object::Hpa(hpa) => hpa.metrics.get(i).map_or_else(String::new, ToString::to_string),
            Object::ScaledObject(scaled) => scaled.triggers.get(i).map_or_else(String::new, |t| t.kind.to_string()),
        };
        return Err(format!("the arena shows lag and CPU, and the object looks at {what}"));
    }
    let (_, max) = subject.bounds();
    if max > MOST {
        return Err(format!("the arena plays {MOST} replicas at the most, and the highest count is {max}"));
    }
    let lowest = match object {
        Object::Hpa(hpa) => hpa.min,
        Object::ScaledObject(scaled) => scaled.idle.unwrap_or(scaled.min),
    };
    let game = Game { limits: Limits { min: lowest, max }, ..game.clone() };
    let scores: Vec<Score> = days
        .iter()
        .map(|day| {
            let mut pilot = Played { scaled: scaled.clone(), next: 0.0, before: Vec::new() };
            arena::play(&game, &day.demand, day.seed, &mut pilot).score
        })
        .collect();
    Ok(Score::mean(&scores))
}

/// Lag targets that are worth playing around the one that a rule of thumb gives, records per replica; none where nobody
/// knows what a consumer can do.
pub fn targets(facts: &Facts) -> Vec<f64> {
    let middle = good(facts).unwrap_or(0.0);
    [0.5, 0.7, 1.0, 1.4, 2.0].iter().map(|f| round(middle * f)).filter(|t| *t >= 1.0).collect()
}

/// An object as a pilot.
struct Played {
    scaled: Scaled,
    next: f64,
    /// Committed offsets at the last look.
    before: Vec<i64>,
}

impl Pilot for Played {
    fn decide(&mut self, seen: &Seen<'_>) -> Option<u32> {
        if seen.t < self.next {
            return None;
        }
        self.next = seen.t + self.scaled.controller().sync;
        let counts = Counts { spec: seen.desired, status: seen.desired, ready: seen.ready.min(seen.desired) };
        let partitions: Vec<keda::Partition> = seen
            .ends
            .iter()
            .zip(seen.committed)
            .enumerate()
            .map(|(p, (end, committed))| keda::Partition {
                committed: Some(*committed as i64),
                end: Some(*end as i64),
                before: self.before.get(p).copied(),
            })
            .collect();
        self.before = seen.committed.iter().map(|c| *c as i64).collect();
        let lag: f64 = seen.ends.iter().zip(seen.committed).map(|(end, committed)| end - committed).sum();
        let reading = |goal: &Goal| match goal {
            Goal::Kafka(..) => Reading::Partitions(partitions.clone()),
            Goal::Utilisation(..) => Reading::Total(seen.cpu * 100.0),
            Goal::AverageValue(_) | Goal::Value(_) => Reading::Total(lag),
            Goal::PodsAverage(..) => Reading::Failed,
        };
        let readings: Vec<Reading> = self.scaled.goals().map(reading).collect();
        Some(self.scaled.sync(Time::from_secs(seen.t), counts, &readings).0)
    }
}
