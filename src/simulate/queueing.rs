//! The arena of batch and training queues: jobs that need several workers at once, run without interruption and must be
//! done in time; a pilot sets the number of workers.
//!
//! First come, first served, and a gang that does not fit holds up those behind it. A worker that runs a job leaves when
//! the job is done, and is paid for until then. The pilot sees counts, every [`Game::scrape`] seconds: jobs waiting and
//! running, jobs that ever came and ended, workers. It is never told how long a job runs.
//!
//! ```
//! use highwater::simulate::queueing::{Game, Hold, Job, play};
//! let jobs: Vec<Job> = (0..40).map(|i| Job { at: f64::from(i) * 10.0, gang: 1, run: 1_800.0 }).collect();
//! let game = Game { within: 7_200.0, ..Game::default() };
//! let short = play(&game, &jobs, 14_400, 1, &mut Hold(4));
//! let ample = play(&game, &jobs, 14_400, 1, &mut Hold(14));
//! assert!(ample.late_jobs == 0.0 && short.late_jobs > 10.0);
//! ```

use super::{Random, STEP};
use crate::model::{Limits, Price};
use serde::Serialize;

/// A minute over a deadline is priced at most this many times.
const WORST: f64 = 10.0;
/// An addition that is taken back within this many seconds is a flap.
const FLAP: f64 = 600.0;

/// One job as it comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Job {
    /// When, seconds from the beginning.
    pub at: f64,
    /// Workers that it needs at once.
    pub gang: u32,
    /// Seconds that it runs.
    pub run: f64,
}

/// The rules of one game. Seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Game {
    /// Mean and standard deviation of the time from asking for a worker to its taking jobs.
    pub start_up: (f64, f64),
    /// Workers at the beginning, all of them ready.
    pub start: u32,
    /// Bounds of the count: what a pilot asks beyond them is cut to them.
    pub limits: Limits,
    /// A job must be done this long after it came.
    pub within: f64,
    /// Between two looks.
    pub scrape: f64,
    /// Share of the looks that fail.
    pub lost_scrapes: f64,
    /// Prices.
    pub price: Price,
}

impl Default for Game {
    /// Up to 40 workers that take four minutes to start, jobs that must be done within four hours.
    fn default() -> Self {
        Self {
            start_up: (240.0, 30.0),
            start: 4,
            limits: Limits { min: 0, max: 40 },
            within: 4.0 * 3_600.0,
            scrape: 15.0,
            lost_scrapes: 0.01,
            price: Price::default(),
        }
    }
}

/// One look of the monitor. The counters count from the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// Seconds since the game began.
    pub t: f64,
    /// Workers asked for.
    pub desired: u32,
    /// Workers that take or run jobs.
    pub ready: u32,
    /// Workers that run one.
    pub busy: u32,
    /// Jobs waiting.
    pub waiting: u32,
    /// Jobs running.
    pub running: u32,
    /// Jobs that ever came.
    pub came: u64,
    /// Jobs that ever ended.
    pub ended: u64,
    /// Workers that a waiting job needs at once, at most.
    pub gang: u32,
}

/// Decides the count.
pub trait Pilot {
    /// Called at each look; `None` leaves the count as it is.
    fn decide(&mut self, seen: &Seen) -> Option<u32>;
}

/// A fixed count.
#[derive(Clone, Copy, Debug)]
pub struct Hold(pub u32);

impl Pilot for Hold {
    fn decide(&mut self, _: &Seen) -> Option<u32> {
        Some(self.0)
    }
}

/// What a game cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    /// J: worker-hours + minutes with a job over its deadline × min(10, age / deadline) + changes, each at its price.
    pub price: f64,
    /// From the moment that a worker is asked for to its leaving.
    pub worker_hours: f64,
    /// Worker-hours in which jobs ran.
    pub busy_hours: f64,
    /// Minutes in which at least one job was over its deadline.
    pub slo_minutes: f64,
    /// Jobs that were not done in time.
    pub late_jobs: f64,
    /// Changes of the count.
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
            worker_hours: of(|s| s.worker_hours),
            busy_hours: of(|s| s.busy_hours),
            slo_minutes: of(|s| s.slo_minutes),
            late_jobs: of(|s| s.late_jobs),
            actions: of(|s| s.actions),
            flaps: of(|s| s.flaps),
        }
    }
}

/// A worker: seconds until it is ready, and whether a job has it.
#[derive(Clone, Copy, Debug)]
struct Worker {
    ready_in: f64,
    busy: bool,
}

/// A job under way: when it came, its gang, seconds left (waiting ones have all of them).
#[derive(Clone, Copy, Debug)]
struct Held {
    job: Job,
    left: f64,
    counted: bool,
}

/// Plays `jobs` (in order of time) for `seconds` with the chances of `seed` under a pilot.
///
/// Same game, jobs, seed and pilot: same score. Jobs that are not done at the end count as late when their deadline is
/// over.
pub fn play(game: &Game, jobs: &[Job], seconds: u32, seed: u64, pilot: &mut dyn Pilot) -> Score {
    let mut pool = Pool::new(game, seed);
    let mut coming = jobs.iter().peekable();
    for second in 0..seconds {
        let t = f64::from(second) * STEP;
        while let Some(job) = coming.next_if(|job| job.at <= t) {
            pool.came += 1;
            let job = Job { gang: job.gang.clamp(1, game.limits.max.max(1)), ..*job };
            pool.waiting.push(Held { job, left: job.run, counted: false });
        }
        pool.step(t);
        if (second + 1).is_multiple_of((game.scrape.round().max(1.0)) as u32) {
            pool.look(t + STEP, pilot);
        }
    }
    pool.score()
}

#[derive(Clone, Debug)]
struct Pool<'a> {
    game: &'a Game,
    random: Random,
    workers: Vec<Worker>,
    waiting: Vec<Held>,
    running: Vec<Held>,
    desired: u32,
    came: u64,
    ended: u64,
    last_up: f64,
    severe: f64,
    sum: Score,
}

impl<'a> Pool<'a> {
    fn new(game: &'a Game, seed: u64) -> Self {
        let desired = game.start.max(game.limits.min).min(game.limits.max.max(game.limits.min));
        Self {
            game,
            random: Random::new(seed),
            workers: vec![Worker { ready_in: 0.0, busy: false }; desired as usize],
            waiting: Vec::new(),
            running: Vec::new(),
            desired,
            came: 0,
            ended: 0,
            last_up: f64::NEG_INFINITY,
            severe: 0.0,
            sum: Score::default(),
        }
    }

    fn idle(&self) -> usize {
        self.workers.iter().filter(|w| w.ready_in <= 0.0 && !w.busy).count()
    }

    fn busy(&self) -> usize {
        self.workers.iter().filter(|w| w.busy).count()
    }

    fn step(&mut self, t: f64) {
        for worker in &mut self.workers {
            worker.ready_in = (worker.ready_in - STEP).max(0.0);
        }
        for held in &mut self.running {
            held.left -= STEP;
        }
        let within = self.game.within;
        let (mut freed, mut ended, mut late) = (0, 0, 0);
        self.running.retain(|held| {
            let runs = held.left > 0.0;
            if !runs {
                freed += held.job.gang as usize;
                ended += 1;
                late += u32::from(!held.counted && t - held.job.at > within);
            }
            runs
        });
        self.ended += ended;
        self.sum.late_jobs += f64::from(late);
        for worker in self.workers.iter_mut().filter(|w| w.busy).take(freed) {
            worker.busy = false;
        }
        self.leave();
        while let Some(first) = self.waiting.first().copied().filter(|h| h.job.gang as usize <= self.idle()) {
            for worker in self.workers.iter_mut().filter(|w| w.ready_in <= 0.0 && !w.busy).take(first.job.gang as usize)
            {
                worker.busy = true;
            }
            self.running.push(self.waiting.remove(0));
        }
        let mut oldest = 0.0_f64;
        for held in self.waiting.iter_mut().chain(&mut self.running) {
            let age = t - held.job.at;
            oldest = oldest.max(age);
            if age > within && !held.counted {
                held.counted = true;
                self.sum.late_jobs += 1.0;
            }
        }
        if oldest > within {
            self.sum.slo_minutes += STEP / 60.0;
            self.severe += STEP / 60.0 * (oldest / within.max(1.0)).min(WORST);
        }
        self.sum.worker_hours += self.workers.len() as f64 * STEP / 3600.0;
        self.sum.busy_hours += self.busy() as f64 * STEP / 3600.0;
    }

    /// Workers beyond the count leave as soon as they run nothing, those that are not ready yet first.
    fn leave(&mut self) {
        let mut spare = self.workers.len().saturating_sub(self.desired as usize);
        for starting in [true, false] {
            self.workers.retain(|w| {
                let goes = spare > 0 && !w.busy && (w.ready_in > 0.0) == starting;
                spare -= usize::from(goes);
                !goes
            });
        }
    }

    fn look(&mut self, t: f64, pilot: &mut dyn Pilot) {
        if self.random.unit() < self.game.lost_scrapes {
            return;
        }
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let seen = Seen {
            t,
            desired: self.desired,
            ready: count(self.workers.iter().filter(|w| w.ready_in <= 0.0).count()),
            busy: count(self.busy()),
            waiting: count(self.waiting.len()),
            running: count(self.running.len()),
            came: self.came,
            ended: self.ended,
            gang: self.waiting.iter().map(|h| h.job.gang).max().unwrap_or(1),
        };
        let limits = self.game.limits;
        let wanted = pilot.decide(&seen).unwrap_or(self.desired).max(limits.min).min(limits.max.max(limits.min));
        if wanted == self.desired {
            return;
        }
        self.sum.actions += 1.0;
        if wanted > self.desired {
            self.last_up = t;
        } else if t - self.last_up <= FLAP {
            self.sum.flaps += 1.0;
        }
        self.desired = wanted;
        while self.workers.len() < wanted as usize {
            let (mean, sd) = self.game.start_up;
            let ready_in = (mean + sd * self.random.normal()).max(STEP);
            self.workers.push(Worker { ready_in, busy: false });
        }
    }

    fn score(self) -> Score {
        let price = self.game.price;
        let s = self.sum;
        Score {
            price: s.worker_hours * price.pod_hour + self.severe * price.slo_minute + s.actions * price.action,
            ..s
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Script(Vec<u32>);

    impl Pilot for Script {
        fn decide(&mut self, seen: &Seen) -> Option<u32> {
            self.0.get((seen.t / 15.0) as usize % self.0.len()).copied()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn no_job_is_lost_or_interrupted_and_no_pilot_leaves_its_bounds(
            seed: u64, counts in prop::collection::vec(0_u32..60, 1..20),
            jobs in prop::collection::vec((0.0..3_000.0, 1_u32..6, 10.0..900.0), 0..40),
        ) {
            let game = Game::default();
            let mut pool = Pool::new(&game, seed);
            let mut jobs: Vec<Job> = jobs.into_iter().map(|(at, gang, run)| Job { at, gang, run }).collect();
            jobs.sort_by(|a, b| a.at.total_cmp(&b.at));
            let mut pilot = Script(counts);
            for second in 0..4_000_u32 {
                let t = f64::from(second);
                for job in jobs.iter().filter(|j| j.at > t - 1.0 && j.at <= t) {
                    pool.came += 1;
                    pool.waiting.push(Held { job: *job, left: job.run, counted: false });
                }
                pool.step(t);
                pool.look(t, &mut pilot);
                let held: u32 = pool.running.iter().map(|h| h.job.gang).sum();
                prop_assert_eq!(held as usize, pool.busy(), "every gang has all of its workers");
                prop_assert_eq!(pool.came, pool.ended + (pool.waiting.len() + pool.running.len()) as u64);
                prop_assert!(pool.desired <= 40);
            }
        }
    }

    #[test]
    fn a_worker_that_runs_a_job_is_not_taken_away() {
        let job = Job { at: 0.0, gang: 3, run: 1_000.0 };
        let score = play(&Game { lost_scrapes: 0.0, ..Game::default() }, &[job], 2_000, 1, &mut Hold(0));
        assert!((score.busy_hours * 3600.0 - 3_000.0).abs() < 10.0, "{score:?}");
        assert!(score.worker_hours * 3600.0 < 3_100.0, "the others leave at once, these with their job: {score:?}");
    }
}
