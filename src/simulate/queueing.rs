//! The arena of batch and training queues: jobs that need several workers at once, run without interruption and must be
//! done in time; a pilot sets the number of workers.
//!
//! First come, first served, and a gang that does not fit holds up those behind it. A worker that runs a job leaves when
//! the job is done, and is paid for until then. The pilot sees counts, every [`Game::scrape`] seconds: jobs waiting and
//! running, workers. It is never told how long a job runs.
//!
//! ```
//! use highwater::simulate::queueing::{Game, Hold, Job, play};
//! let job = |i: u32| Job { at: f64::from(i) * 10.0, gang: 1, run: 1_800.0, within: 7_200.0 };
//! let jobs: Vec<Job> = (0..40).map(job).collect();
//! let short = play(&Game::default(), &jobs, 14_400, 1, &mut Hold(4));
//! let ample = play(&Game::default(), &jobs, 14_400, 1, &mut Hold(14));
//! assert!(ample.late_jobs == 0.0 && short.late_jobs > 10.0);
//! ```

use super::{Random, STEP};
use crate::model::{Limits, Price};
use serde::Serialize;
use std::collections::VecDeque;

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
    /// It must be done so many seconds after it came.
    pub within: f64,
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
    /// GPUs of a worker.
    pub gpus: u32,
    /// Between two looks.
    pub scrape: f64,
    /// Share of the looks that fail.
    pub lost_scrapes: f64,
    /// Prices; `pod_hour` is that of one GPU.
    pub price: Price,
}

impl Game {
    /// Workers that a job holds: what asks for more than there can be gets all of them.
    pub fn held_by(&self, job: &Job) -> u32 {
        job.gang.clamp(1, self.limits.max.max(1))
    }
}

impl Default for Game {
    /// Up to 40 workers of a GPU each that take four minutes to start.
    fn default() -> Self {
        Self {
            start_up: (240.0, 30.0),
            start: 4,
            limits: Limits { min: 0, max: 40 },
            gpus: 1,
            scrape: 15.0,
            lost_scrapes: 0.01,
            price: Price::default(),
        }
    }
}

/// One look of the monitor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// Seconds since the game began.
    pub t: f64,
    /// Workers asked for.
    pub desired: u32,
    /// Workers that take or run jobs.
    pub ready: u32,
    /// Jobs waiting.
    pub waiting: u32,
    /// Jobs running.
    pub running: u32,
    /// Workers that the jobs waiting and running need, all together.
    pub needed: u32,
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
    /// J: GPU-hours + minutes with a job over its deadline × min(10, age / what it may take) + changes, each at its price.
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
            let job = Job { gang: game.held_by(job), ..*job };
            pool.waiting.push_back(Held { job, left: job.run, counted: false });
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
    waiting: VecDeque<Held>,
    running: Vec<Held>,
    desired: u32,
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
            waiting: VecDeque::new(),
            running: Vec::new(),
            desired,
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
        let (mut freed, mut late) = (0, 0);
        self.running.retain(|held| {
            let runs = held.left > 0.0;
            if !runs {
                freed += held.job.gang as usize;
                late += u32::from(!held.counted && t - held.job.at > held.job.within);
            }
            runs
        });
        self.sum.late_jobs += f64::from(late);
        for worker in self.workers.iter_mut().filter(|w| w.busy).take(freed) {
            worker.busy = false;
        }
        self.leave();
        while let Some(first) = self.waiting.front().copied().filter(|h| h.job.gang as usize <= self.idle()) {
            self.waiting.pop_front();
            for worker in self.workers.iter_mut().filter(|w| w.ready_in <= 0.0 && !w.busy).take(first.job.gang as usize)
            {
                worker.busy = true;
            }
            self.running.push(first);
        }
        self.count_late(t);
        self.sum.worker_hours += self.workers.len() as f64 * STEP / 3600.0;
        self.sum.busy_hours += self.busy() as f64 * STEP / 3600.0;
    }

    /// Jobs over their deadlines, and how far the worst of them is.
    fn count_late(&mut self, t: f64) {
        let mut worst = 0.0_f64;
        for held in self.waiting.iter_mut().chain(&mut self.running) {
            let age = t - held.job.at;
            if age > held.job.within {
                worst = worst.max(age / held.job.within.max(1.0));
                self.sum.late_jobs += f64::from(u8::from(!held.counted));
                held.counted = true;
            }
        }
        if worst > 0.0 {
            self.sum.slo_minutes += STEP / 60.0;
            self.severe += STEP / 60.0 * worst.clamp(1.0, WORST);
        }
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
            waiting: count(self.waiting.len()),
            running: count(self.running.len()),
            needed: self.waiting.iter().chain(&self.running).map(|h| h.job.gang).sum(),
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
        let gpu_hours = s.worker_hours * f64::from(self.game.gpus);
        Score { price: gpu_hours * price.pod_hour + self.severe * price.slo_minute + s.actions * price.action, ..s }
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
            let mut jobs: Vec<Job> =
                jobs.into_iter().map(|(at, gang, run)| Job { at, gang, run, within: 3_600.0 }).collect();
            jobs.sort_by(|a, b| a.at.total_cmp(&b.at));
            let (mut pilot, mut came) = (Script(counts), 0);
            for second in 0..4_000_u32 {
                let t = f64::from(second);
                for job in jobs.iter().filter(|j| j.at > t - 1.0 && j.at <= t) {
                    came += 1;
                    pool.waiting.push_back(Held { job: *job, left: job.run, counted: false });
                }
                pool.step(t);
                pool.look(t, &mut pilot);
                let held: u32 = pool.running.iter().map(|h| h.job.gang).sum();
                prop_assert_eq!(held as usize, pool.busy(), "every gang has all of its workers");
                prop_assert!(pool.waiting.len() + pool.running.len() <= came, "no job is made up");
                prop_assert!(pool.desired <= 40);
            }
            // With workers enough for each, what came is done, none of it lost: its work was all paid for.
            let mut end = 4_000.0;
            while pool.waiting.len() + pool.running.len() > 0 && end < 80_000.0 {
                pool.step(end);
                pool.look(end, &mut Hold(40));
                end += 1.0;
            }
            let work: f64 = jobs.iter().filter(|j| j.at <= 3_999.0).map(|j| f64::from(j.gang) * j.run.ceil()).sum();
            prop_assert!((pool.sum.busy_hours * 3600.0 - work).abs() < 1e-6 * (1.0 + work), "{:?} {work}", pool.sum);
        }
    }

    #[test]
    fn a_worker_that_runs_a_job_is_not_taken_away() {
        let job = Job { at: 0.0, gang: 3, run: 1_000.0, within: 3_600.0 };
        let score = play(&Game { lost_scrapes: 0.0, ..Game::default() }, &[job], 2_000, 1, &mut Hold(0));
        assert!((score.busy_hours * 3600.0 - 3_000.0).abs() < 10.0, "{score:?}");
        assert!(score.worker_hours * 3600.0 < 3_100.0, "the others leave at once, these with their job: {score:?}");
    }
}
