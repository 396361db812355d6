//! Policies for batch and training queues as pilots, priced against each other. Pure.

mod planner;

pub use planner::{Planner, Settings};

use crate::{
    model::Time,
    policy::hpa::{Autoscaler, Bounds, Controller, average_value},
    simulate::queueing::{Game, Hold, Job, Pilot, Score, Seen, play},
};

/// One seed's jobs with those that came before; times count from the beginning of each.
#[derive(Clone, Debug)]
pub struct Season {
    /// Jobs of a spell before the game, and how many seconds it lasted. The planner has watched it under KEDA.
    pub before: (Vec<Job>, u32),
    /// Jobs that are played and priced, in order of time, and for how many seconds.
    pub jobs: (Vec<Job>, u32),
    /// Instant of the first second of the game.
    pub begin: Time,
}

/// Who plays.
#[derive(Clone, Debug, PartialEq)]
pub enum Entrant {
    /// The planner, through advice.
    Planner(Settings),
    /// KEDA on the queue's length: so many waiting jobs a worker.
    QueueLength(f64),
    /// A worker for each that the jobs waiting and running need, as node autoscalers do.
    Needed,
    /// The smallest fixed count that keeps every deadline on this very day.
    Peak,
    /// A fixed count.
    Fixed(u32),
}

impl Entrant {
    /// Plays a season.
    pub fn play(&self, game: &Game, season: &Season, seed: u64) -> Score {
        let (jobs, seconds) = (&season.jobs.0, season.jobs.1);
        match self {
            Self::Planner(settings) => {
                let history = planner::watch(game, season, seed);
                play(game, jobs, seconds, seed, &mut Planner::new(game, settings, season.begin, history))
            }
            Self::QueueLength(target) => {
                play(game, jobs, seconds, seed, &mut Keda::new(game, Metric::Waiting(*target)))
            }
            Self::Needed => play(game, jobs, seconds, seed, &mut Keda::new(game, Metric::Needed)),
            Self::Fixed(n) => play(game, jobs, seconds, seed, &mut Hold(*n)),
            Self::Peak => {
                let fixed = |n: u32| {
                    let game = Game { start: n, ..game.clone() };
                    play(&game, jobs, seconds, seed, &mut Hold(n))
                };
                let limits = game.limits;
                let holds = |n: &u32| fixed(*n).slo_minutes <= 0.0;
                fixed((limits.min..limits.max).find(holds).unwrap_or(limits.max))
            }
        }
    }
}

/// What nobody can pay less than. A job that is done holds its gang for as long as it runs; who leaves one undone is over
/// its deadline from then to the end. So all that is due before some instant is done, and from there on it is late; and
/// the workers that must be kept are paid for whatever they do.
pub fn lower_bound(game: &Game, season: &Season) -> f64 {
    let (jobs, end) = (&season.jobs.0, f64::from(season.jobs.1));
    let worker_second = game.price.pod_hour * f64::from(game.gpus) / 3600.0;
    let due = |job: &Job| (job.at + job.within, f64::from(game.held_by(job)) * job.run);
    let mut due: Vec<(f64, f64)> = jobs.iter().map(due).filter(|(due, _)| *due < end).collect();
    due.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut done, mut least) = (0.0, f64::INFINITY);
    for (due, work) in due {
        // The arena's clock goes by seconds: one at either end is given away.
        let late = (end - due - 2.0).max(0.0) / 60.0 * game.price.slo_minute;
        least = least.min(done * worker_second + late);
        done += work;
    }
    let kept = f64::from(game.limits.min) * end;
    least.min(done * worker_second).max(kept * worker_second)
}

/// What KEDA looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    /// Jobs that wait, so many per worker.
    Waiting(f64),
    /// Workers that are needed.
    Needed,
}

/// KEDA over an HPA, with activation from zero.
#[derive(Clone, Debug)]
struct Keda {
    metric: Metric,
    bounds: Bounds,
    controller: Controller,
    memory: Autoscaler,
}

impl Keda {
    fn new(game: &Game, metric: Metric) -> Self {
        let bounds = Bounds { min: game.limits.min, max: game.limits.max, behavior: None };
        Self { metric, bounds, controller: Controller::default(), memory: Autoscaler::default() }
    }
}

impl Pilot for Keda {
    fn decide(&mut self, seen: &Seen) -> Option<u32> {
        let (value, target) = match self.metric {
            Metric::Waiting(target) => (f64::from(seen.waiting), target),
            Metric::Needed => (f64::from(seen.needed), 1.0),
        };
        if seen.desired == 0 {
            return Some(u32::from(value > 0.0)); // the scaler's own loop wakes the first one
        }
        let milli = |value: f64| (value * 1000.0).round() as i64; // saturates
        let proposal = Ok(average_value(milli(value), milli(target), seen.desired, self.controller.tolerance));
        let now = Time::from_secs(seen.t);
        Some(self.memory.sync(now, seen.desired, &proposal, &self.bounds, &self.controller).replicas)
    }
}

#[cfg(test)]
mod tests;
