//! Policies for batch and training queues as pilots, priced against each other. Pure.

use crate::{
    model::Time,
    policy::{
        hpa::{Autoscaler, Bounds, Controller, average_value},
        planner::{QueueProblem, Waiting, plan_queue},
    },
    simulate::{
        Random,
        queueing::{Game, Hold, Job, Pilot, Score, Seen, play},
    },
};
use std::collections::VecDeque;

/// Who plays.
#[derive(Clone, Debug, PartialEq)]
pub enum Entrant {
    /// The planner.
    Planner,
    /// KEDA on the queue's length: so many waiting jobs a worker.
    QueueLength(f64),
    /// KEDA on the jobs that wait or run.
    Jobs(f64),
    /// The smallest fixed count that keeps every deadline on this very day.
    Peak,
    /// A fixed count.
    Fixed(u32),
}

impl Entrant {
    /// Plays `seconds` of `jobs`; `before` is a day that the planner has watched under KEDA, for its estimates.
    pub fn play(&self, game: &Game, before: &[Job], jobs: &[Job], seconds: u32, seed: u64) -> Score {
        let keda = |metric: Metric| Keda {
            metric,
            bounds: Bounds { min: game.limits.min, max: game.limits.max, behavior: None },
            controller: Controller::default(),
            memory: Autoscaler::default(),
        };
        match self {
            Self::Planner => {
                let mut watched = Watched(keda(Metric::Jobs(1.0)), Estimates::default());
                play(game, before, 86_400, seed ^ super::TRAINING, &mut watched);
                play(game, jobs, seconds, seed, &mut Planner::new(game, watched.1))
            }
            Self::QueueLength(target) => play(game, jobs, seconds, seed, &mut keda(Metric::Waiting(*target))),
            Self::Jobs(target) => play(game, jobs, seconds, seed, &mut keda(Metric::Jobs(*target))),
            Self::Fixed(n) => play(game, jobs, seconds, seed, &mut Hold(*n)),
            Self::Peak => {
                let fixed = |n: u32| {
                    let game = Game { start: n, ..game.clone() };
                    play(&game, jobs, seconds, seed, &mut Hold(n))
                };
                let holds = |n: &u32| fixed(*n).slo_minutes <= 0.0;
                let limits = game.limits;
                fixed((limits.min..limits.max).find(holds).unwrap_or(limits.max))
            }
        }
    }
}

/// What comes to a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// Jobs per hour all day.
    pub trickle: f64,
    /// Jobs of the nightly batch, and when it begins and how long they take to come, seconds of the day.
    pub batch: (u32, f64, f64),
    /// Gangs, drawn evenly.
    pub gangs: Vec<u32>,
    /// Mean run, seconds, and standard deviation of its logarithm.
    pub run: (f64, f64),
}

impl Default for Mix {
    /// A job every ten minutes, and eighty more from 22:00 to 22:30; runs of 25 minutes on one, two or four workers.
    fn default() -> Self {
        Self { trickle: 6.0, batch: (80, 79_200.0, 1_800.0), gangs: vec![1, 1, 2, 4], run: (1_500.0, 0.5) }
    }
}

impl Mix {
    /// The jobs of `days` days, in order of time.
    pub fn jobs(&self, days: u32, seed: u64) -> Vec<Job> {
        let mut random = Random::new(seed);
        let mut times = Vec::new();
        let length = f64::from(days) * 86_400.0;
        let mut t = 0.0;
        while self.trickle > 0.0 && t < length {
            t += -(1.0 - random.unit()).ln() * 3600.0 / self.trickle;
            times.push(t);
        }
        for day in 0..days {
            let (n, start, spread) = self.batch;
            times.extend((0..n).map(|_| f64::from(day) * 86_400.0 + start + random.between(0.0, spread.max(1.0))));
        }
        times.retain(|t| *t < length);
        times.sort_by(f64::total_cmp);
        let mut job = |at: f64| {
            let pick = random.between(0.0, self.gangs.len() as f64) as usize;
            let gang = self.gangs.get(pick).copied().unwrap_or(1);
            Job { at, gang, run: (self.run.0 * random.log_normal(self.run.1)).max(1.0) }
        };
        times.into_iter().map(&mut job).collect()
    }
}

/// What KEDA looks at, per worker.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Waiting(f64),
    Jobs(f64),
}

/// KEDA over an HPA, with activation from zero.
#[derive(Clone, Debug)]
struct Keda {
    metric: Metric,
    bounds: Bounds,
    controller: Controller,
    memory: Autoscaler,
}

impl Pilot for Keda {
    fn decide(&mut self, seen: &Seen) -> Option<u32> {
        let (jobs, target) = match self.metric {
            Metric::Waiting(target) => (f64::from(seen.waiting), target),
            Metric::Jobs(target) => (f64::from(seen.waiting + seen.running), target),
        };
        if seen.desired == 0 {
            return Some(u32::from(jobs > 0.0)); // the scaler's own loop wakes the first one
        }
        let milli = |value: f64| (value * 1000.0).round() as i64; // saturates
        let proposal = Ok(average_value(milli(jobs), milli(target), seen.desired, self.controller.tolerance));
        let now = Time::from_secs(seen.t);
        Some(self.memory.sync(now, seen.desired, &proposal, &self.bounds, &self.controller).replicas)
    }
}

/// What was learned of a queue's jobs from its counters.
#[derive(Clone, Debug, Default)]
struct Estimates {
    last: Option<Seen>,
    /// Worker-seconds and job-seconds that were run, and jobs that ended.
    busy: f64,
    running: f64,
    ended: f64,
    /// Start-ups: those under way (when asked), and how long the others took.
    asked: VecDeque<f64>,
    took: Vec<f64>,
    gang: u32,
}

/// Before any job ended: seconds that one is taken to run.
const RUN: f64 = 1_800.0;
/// A long run (p90) over the mean one: log-normal with a standard deviation of 0.6.
const LONG: f64 = 1.8;
/// Start-up before any was seen, seconds.
const START_UP: f64 = 240.0;

impl Estimates {
    fn look(&mut self, seen: &Seen) {
        if let Some(last) = self.last.filter(|l| seen.t > l.t) {
            let dt = seen.t - last.t;
            self.busy += f64::from(last.busy) * dt;
            self.running += f64::from(last.running) * dt;
            self.ended += seen.ended.saturating_sub(last.ended) as f64;
            for _ in last.desired..seen.desired {
                self.asked.push_back(last.t);
            }
            for _ in seen.desired..last.desired {
                self.asked.pop_back();
            }
            for _ in last.ready..seen.ready {
                if let Some(at) = self.asked.pop_front() {
                    self.took.push(seen.t - at);
                }
            }
        }
        self.gang = self.gang.max(seen.gang);
        self.last = Some(*seen);
    }

    /// Worker-seconds of a job, and the seconds that it runs, on average.
    fn job(&self) -> (f64, f64) {
        if self.ended < 1.0 {
            return (RUN * f64::from(self.gang.max(1)), RUN);
        }
        (self.busy / self.ended, self.running / self.ended)
    }

    fn start_up(&self) -> f64 {
        let mut took = self.took.clone();
        took.sort_by(f64::total_cmp);
        took.get(took.len() * 6 / 10).copied().unwrap_or(START_UP)
    }
}

/// KEDA, watched.
struct Watched(Keda, Estimates);

impl Pilot for Watched {
    fn decide(&mut self, seen: &Seen) -> Option<u32> {
        self.1.look(seen);
        self.0.decide(seen)
    }
}

/// The planner, asked once a minute: jobs' ages from when the counter of those that came passed them.
#[derive(Clone, Debug)]
struct Planner<'a> {
    game: &'a Game,
    estimates: Estimates,
    /// When the counter of jobs that came was first seen at which value.
    came: VecDeque<(f64, u64)>,
    last_up: Option<f64>,
    next: f64,
}

impl<'a> Planner<'a> {
    fn new(game: &'a Game, mut estimates: Estimates) -> Self {
        (estimates.last, estimates.asked) = (None, VecDeque::new());
        Self { game, estimates, came: VecDeque::new(), last_up: None, next: 0.0 }
    }

    /// Those that wait came last: when, as far as it was seen.
    fn waiting(&self, seen: &Seen, work: f64) -> Vec<Waiting> {
        let first = seen.came.saturating_sub(u64::from(seen.waiting));
        let mut before = 0;
        let mut out = Vec::new();
        for (at, came) in &self.came {
            let jobs = came.saturating_sub(before.max(first));
            if jobs > 0 {
                // Seen at a look, they may have come right after the one before.
                out.push(Waiting { due: at - self.game.scrape + self.game.within - seen.t, work: jobs as f64 * work });
            }
            before = (*came).max(before);
        }
        out
    }
}

impl Pilot for Planner<'_> {
    fn decide(&mut self, seen: &Seen) -> Option<u32> {
        self.estimates.look(seen);
        if self.came.back().is_none_or(|(_, came)| *came < seen.came) {
            self.came.push_back((seen.t, seen.came));
        }
        while self.came.len() > 4_000 {
            self.came.pop_front();
        }
        if seen.t < self.next {
            return None;
        }
        self.next = seen.t + 60.0;
        let (work, run) = self.estimates.job();
        let waiting = self.waiting(seen, work);
        let since = (seen.t - self.game.within).max(0.0);
        let then = self.came.iter().take_while(|(at, _)| *at <= since).last().map_or(0, |(_, came)| *came);
        let arriving = (seen.came - then) as f64 / (seen.t - since).max(3_600.0) * work;
        let plan = plan_queue(&QueueProblem {
            waiting: &waiting,
            arriving,
            within: self.game.within,
            run: run * LONG,
            gang: seen.gang.max(1),
            current: seen.desired,
            ready: seen.ready,
            busy: seen.busy,
            // Half of a run is left of each, on average.
            running: f64::from(seen.running) * work / 2.0,
            start_up: self.estimates.start_up(),
            since_up: self.last_up.map(|at| seen.t - at),
            limits: self.game.limits,
            price: self.game.price,
        })?;
        let wanted = plan.plan.replicas;
        if wanted > seen.desired {
            self.last_up = Some(seen.t);
        }
        Some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_kept_with_fewer_changes_than_by_the_queues_length() {
        let (game, mix) = (Game::default(), Mix::default());
        let (before, jobs) = (mix.jobs(1, 11), mix.jobs(2, 12));
        let score = |entrant: Entrant| entrant.play(&game, &before, &jobs, 2 * 86_400, 1);
        let (planner, keda, peak) = (score(Entrant::Planner), score(Entrant::QueueLength(1.0)), score(Entrant::Peak));
        assert!(planner.slo_minutes <= 0.0 && planner.late_jobs <= 0.0, "{planner:?}");
        assert!(planner.price < 1.05 * keda.price && planner.price < 0.8 * peak.price, "{planner:?} {keda:?} {peak:?}");
        assert!(planner.flaps <= 0.0 && planner.actions < 0.7 * keda.actions, "{planner:?} {keda:?}");
    }
}
