//! A training queue: jobs that need several GPUs at once wait for a quota, run, and end.

use super::{Random, STEP};

/// What the queue is like.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchSettings {
    /// GPUs that all jobs together may hold.
    pub quota: u32,
    /// Jobs that come per hour.
    pub jobs_per_hour: f64,
    /// GPUs of a job are drawn from these: all are needed at once (a gang).
    pub gangs: Vec<u32>,
    /// Range of a job's training steps.
    pub steps: (f64, f64),
    /// Training steps per second that one GPU adds.
    pub pace: f64,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self { quota: 3, jobs_per_hour: 0.4, gangs: vec![1, 2, 2], steps: (8_000.0, 40_000.0), pace: 2.5 }
    }
}

/// One job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Number of the job in the queue's life.
    pub serial: u64,
    /// GPUs that it needs at once.
    pub gang: u32,
    /// Training steps done.
    pub step: f64,
    /// Training steps in all.
    pub steps: f64,
    /// Seconds that it waited.
    pub waited: f64,
}

impl Job {
    /// The training loss at its present step: a power law, as scaling curves have it.
    pub fn loss(&self) -> f64 {
        1.6 + 2.4 * (1.0 + self.step / 400.0).powf(-0.45)
    }
}

/// A queue with its running jobs; first come, first served: a job that does not fit holds up those behind it.
#[derive(Clone, Debug)]
pub struct Batch {
    settings: BatchSettings,
    random: Random,
    waiting: Vec<Job>,
    running: Vec<Job>,
    admitted: u64,
    finished: u64,
}

impl Batch {
    /// An empty queue.
    pub fn new(settings: BatchSettings, seed: u64) -> Self {
        let random = Random::new(seed);
        Self { settings, random, waiting: Vec::new(), running: Vec::new(), admitted: 0, finished: 0 }
    }

    /// Puts one job at the end of the queue.
    pub fn submit(&mut self, gang: u32, steps: f64) {
        let serial = self.admitted + self.waiting.len() as u64 + 1;
        self.waiting.push(Job { serial, gang, step: 0.0, steps, waited: 0.0 });
    }

    /// Gives the jobs another quota. Those that run keep what they hold: none is interrupted.
    pub fn set_quota(&mut self, quota: u32) {
        self.settings.quota = quota;
    }

    /// One step.
    pub fn step(&mut self) {
        if self.random.unit() < self.settings.jobs_per_hour * STEP / 3600.0 {
            let pick = self.random.between(0.0, self.settings.gangs.len() as f64) as usize;
            let gang = self.settings.gangs.get(pick).copied().unwrap_or(1);
            let steps = self.random.between(self.settings.steps.0, self.settings.steps.1).floor();
            self.submit(gang, steps);
        }
        for job in &mut self.waiting {
            job.waited += STEP;
        }
        for job in &mut self.running {
            job.step += self.settings.pace * f64::from(job.gang) * STEP;
        }
        let before = self.running.len();
        self.running.retain(|job| job.step < job.steps);
        self.finished += (before - self.running.len()) as u64;
        while self.waiting.first().is_some_and(|job| job.gang <= self.free()) {
            self.running.push(self.waiting.remove(0));
            self.admitted += 1;
        }
    }

    /// GPUs of the quota that no job holds.
    pub fn free(&self) -> u32 {
        self.settings.quota.saturating_sub(self.used())
    }

    /// GPUs that jobs hold.
    pub fn used(&self) -> u32 {
        self.running.iter().map(|job| job.gang).sum()
    }

    /// Jobs that wait, first first.
    pub fn waiting(&self) -> &[Job] {
        &self.waiting
    }

    /// Jobs that run, oldest first.
    pub fn running(&self) -> &[Job] {
        &self.running
    }

    /// Jobs that ever began.
    pub fn admitted(&self) -> u64 {
        self.admitted
    }

    /// Jobs that ended.
    pub fn finished(&self) -> u64 {
        self.finished
    }

    /// What the queue is like.
    pub fn settings(&self) -> &BatchSettings {
        &self.settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gangs_wait_for_all_their_gpus_and_nobody_overtakes() {
        let mut batch = Batch::new(BatchSettings { quota: 3, jobs_per_hour: 0.0, ..BatchSettings::default() }, 1);
        batch.submit(2, 500.0);
        batch.submit(2, 500.0);
        batch.submit(1, 500.0);
        batch.step();
        assert_eq!((batch.used(), batch.waiting().len()), (2, 2), "the second needs two, one is free");
        for _ in 0..101 {
            batch.step();
        }
        assert_eq!((batch.finished(), batch.used(), batch.waiting().len()), (1, 3, 0));
    }

    #[test]
    fn a_smaller_quota_interrupts_nobody_and_lets_nobody_begin() {
        let mut batch = Batch::new(BatchSettings { quota: 3, jobs_per_hour: 0.0, ..BatchSettings::default() }, 1);
        batch.submit(2, 500.0);
        batch.submit(1, 500.0);
        batch.step();
        batch.set_quota(1);
        batch.submit(1, 500.0);
        batch.step();
        assert_eq!((batch.used(), batch.free(), batch.waiting().len()), (3, 0, 1));
    }

    #[test]
    fn a_week_never_takes_more_than_its_quota_and_loses_no_job() {
        let mut batch = Batch::new(BatchSettings::default(), 5);
        for _ in 0..7 * 86_400 {
            batch.step();
            assert!(batch.used() <= 3);
        }
        assert_eq!(batch.admitted(), batch.finished() + batch.running().len() as u64);
        assert!(batch.finished() > 50);
        assert!(batch.running().iter().all(|j| j.loss().is_finite()));
    }
}
