//! A consumer group: consumers that start slowly, share partitions, rebalance, process and commit.

mod given;
mod silence;

pub use super::assign::Assignor;
use super::{Random, STEP, assign, topic::Topic};
use crate::model::Scaling;
use silence::Silence;

/// What a rebalance stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Classic, eager: everybody stops until the rebalance is over.
    Eager,
    /// Classic, cooperative: only partitions that change their owner stop.
    Cooperative,
    /// KIP-848 (`group.protocol=consumer`): played as the cooperative one, with whatever pause is given.
    Consumer,
}

/// What a group is like. Seconds and records per second.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSettings {
    /// What a rebalance stops.
    pub protocol: Protocol,
    /// How partitions are dealt.
    pub assignor: Assignor,
    /// How long what a rebalance stops stands still: whole steps, a begun one counts as one; 0: it is over at once.
    pub rebalance: f64,
    /// Mean and standard deviation of the time from asking for a consumer to its joining the group.
    pub start_up: (f64, f64),
    /// Seconds between commits of one consumer (`auto.commit.interval.ms`).
    pub commit: f64,
    /// What one consumer can process per second, of so many as `scaling` names.
    pub consumer_rate: f64,
    /// How that depends on how many have partitions.
    pub scaling: Scaling,
    /// Standard deviation (of the logarithm) of the rate from consumer to consumer.
    pub rate_spread: f64,
}

impl Default for GroupSettings {
    /// 1000 records/s a consumer, cooperative, commits every 5 s, 40 ± 10 s to start.
    fn default() -> Self {
        Self {
            protocol: Protocol::Cooperative,
            assignor: Assignor::Sticky,
            rebalance: 4.0,
            start_up: (40.0, 10.0),
            commit: 5.0,
            consumer_rate: 1000.0,
            scaling: Scaling::default(),
            rate_spread: 0.0,
        }
    }
}

/// A consumer in the group.
#[derive(Clone, Debug, PartialEq)]
pub struct Consumer {
    /// Number of this consumer in the group's life: a consumer that restarts gets another.
    pub serial: u64,
    /// What it can process per second.
    pub rate: f64,
    commit_in: f64,
    /// It does nothing, and is a member still.
    silence: Option<Silence>,
}

/// A consumer that was asked for and has not joined yet.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Starting {
    serial: u64,
    ready_in: f64,
}

/// How a group reads one partition. Offsets are fractional inside.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Next record that will be processed.
    pub position: f64,
    /// Committed offset: `committed <= position`.
    pub committed: f64,
    /// Index of the consumer that owns it.
    pub owner: Option<usize>,
    /// Does not move although it is owned: a record that cannot be processed, a leader that is away.
    pub stuck: bool,
}

/// A rebalance that is under way.
#[derive(Clone, Debug, PartialEq)]
struct Rebalance {
    left: f64,
    /// Owner of each partition once it is over.
    target: Vec<Option<usize>>,
}

/// What one step did. Records.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Processed in this step.
    pub processed: f64,
    /// Whether a rebalance was under way.
    pub rebalancing: bool,
}

/// A consumer group on one topic.
#[derive(Clone, Debug)]
pub struct Group {
    settings: GroupSettings,
    random: Random,
    /// When commits fall: a sequence of its own, so that nothing else depends on how often somebody committed.
    polls: Random,
    consumers: Vec<Consumer>,
    starting: Vec<Starting>,
    readings: Vec<Reading>,
    rebalance: Option<Rebalance>,
    /// Membership changed while a rebalance was under way: another one follows.
    again: bool,
    /// Most records per second that everything behind the group takes; infinite: no limit.
    ceiling: f64,
    /// Seconds that a consumer which dies or pauses stays a member.
    session: f64,
    next_serial: u64,
    rebalances: u64,
    processed: f64,
    /// Everything that had arrived by the last step was processed in it.
    caught_up: bool,
    /// Arrivals per second of the whole topic that no consumer falls behind with; `None`: to be found anew.
    holds: Option<f64>,
    /// Nobody looks at commits, and nothing depends on them: they are left out.
    unseen: bool,
    /// Backlog of each consumer, and whether it commits: kept to save allocations per step.
    scratch: Vec<f64>,
    due: Vec<bool>,
}

impl Group {
    /// A settled group of `consumers` that has read everything.
    pub fn new(settings: GroupSettings, topic: &Topic, consumers: u32, seed: u64) -> Self {
        let readings = topic
            .ends()
            .iter()
            .map(|end| Reading { position: *end, committed: *end, owner: None, stuck: false })
            .collect();
        let mut group = Self {
            settings,
            random: Random::new(seed),
            polls: Random::new(seed).fork(1),
            consumers: Vec::new(),
            starting: Vec::new(),
            readings,
            rebalance: None,
            again: false,
            ceiling: f64::INFINITY,
            session: 0.0,
            next_serial: 0,
            rebalances: 0,
            processed: 0.0,
            caught_up: consumers > 0,
            holds: None,
            unseen: false,
            scratch: Vec::new(),
            due: Vec::new(),
        };
        for _ in 0..consumers {
            let serial = group.serial();
            group.join(serial);
        }
        let target = group.target();
        group.hand_over(&target);
        group
    }

    /// Asks for `n` consumers. More: they start, each in its own time. Fewer: those that still start go first, then the
    /// youngest, which commit before they leave.
    pub fn scale(&mut self, n: u32) {
        let n = n as usize;
        while self.consumers.len() + self.starting.len() < n {
            self.start();
        }
        while self.consumers.len() + self.starting.len() > n && self.starting.pop().is_some() {}
        if self.consumers.len() > n {
            for leaver in (n..self.consumers.len()).rev() {
                self.commit(leaver);
                self.leave(leaver);
            }
            self.rebalance();
        }
    }

    /// Replaces `n` of the longest-serving consumers, as a deployment does: they commit and leave, others start.
    pub fn replace(&mut self, n: usize) {
        for _ in 0..n.min(self.consumers.len()) {
            self.commit(0);
            self.leave(0);
            self.start();
        }
        self.rebalance();
    }

    /// Draws from another sequence from now on, so that what happens next does not depend on how much chance was used
    /// before: one change more or less early in a day leaves the rest of it alone.
    pub fn reseed(&mut self, seed: u64) {
        self.random = Random::new(seed);
    }

    /// Sets whether a partition stands still although it is owned.
    pub fn set_stuck(&mut self, partition: usize, stuck: bool) {
        if let Some(reading) = self.readings.get_mut(partition) {
            reading.stuck = stuck;
            self.caught_up = false;
        }
    }

    /// Sets the most records per second that everything behind the group takes.
    pub fn set_ceiling(&mut self, records_per_second: f64) {
        self.ceiling = records_per_second.max(0.0);
    }

    /// One step with the topic's log ends after its arrivals.
    pub fn step(&mut self, ends: &[f64]) -> Outcome {
        self.start_up();
        let processed = self.process(ends);
        self.processed += processed;
        self.commit_when_due();
        let rebalancing = self.rebalance.is_some();
        self.count_down();
        self.end_silences();
        Outcome { processed, rebalancing }
    }

    /// Records written and not processed yet: the truth, whatever was committed.
    pub fn backlog(&self, ends: &[f64]) -> f64 {
        self.readings.iter().zip(ends).map(|(r, end)| end - r.position).sum()
    }

    /// Records behind as a monitor sees them: log end minus committed offset.
    pub fn lag(&self, ends: &[f64]) -> f64 {
        self.readings.iter().zip(ends).map(|(r, end)| end - r.committed).sum()
    }

    /// How each partition is read.
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// Consumers in the group.
    pub fn consumers(&self) -> &[Consumer] {
        &self.consumers
    }

    /// Consumers asked for that have not joined.
    pub fn starting(&self) -> usize {
        self.starting.len()
    }

    /// Whether a rebalance is under way.
    pub fn is_rebalancing(&self) -> bool {
        self.rebalance.is_some()
    }

    /// Rebalances so far.
    pub fn rebalances(&self) -> u64 {
        self.rebalances
    }

    /// Records processed so far, each once.
    pub fn processed(&self) -> f64 {
        self.processed
    }

    /// What the group is like.
    pub fn settings(&self) -> &GroupSettings {
        &self.settings
    }

    fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }

    fn join(&mut self, serial: u64) {
        let rate = self.settings.consumer_rate * self.random.log_normal(self.settings.rate_spread);
        let commit_in = self.polls.between(0.0, self.settings.commit.max(STEP));
        self.consumers.push(Consumer { serial, rate, commit_in, silence: None });
        self.holds = None;
    }

    /// Asks for one consumer more.
    fn start(&mut self) {
        let ready_in = self.start_up_time();
        let serial = self.serial();
        self.starting.push(Starting { serial, ready_in });
    }

    fn start_up_time(&mut self) -> f64 {
        let (mean, sd) = self.settings.start_up;
        (mean + sd * self.random.normal()).max(STEP)
    }

    /// Takes a consumer out; its partitions have no owner until the next rebalance is over. Those that follow move up, also
    /// in what a rebalance under way hands out.
    fn leave(&mut self, consumer: usize) {
        self.consumers.remove(consumer);
        self.holds = None;
        let owned = self.readings.iter_mut().map(|r| &mut r.owner);
        for owner in owned.chain(self.rebalance.iter_mut().flat_map(|r| &mut r.target)) {
            *owner = match *owner {
                Some(o) if o == consumer => None,
                Some(o) if o > consumer => Some(o - 1),
                other => other,
            };
        }
    }

    fn start_up(&mut self) {
        let mut joined = false;
        let mut i = 0;
        while let Some(starting) = self.starting.get_mut(i) {
            starting.ready_in -= STEP;
            if starting.ready_in <= 0.0 {
                let serial = starting.serial;
                self.starting.remove(i);
                self.join(serial);
                joined = true;
            } else {
                i += 1;
            }
        }
        if joined {
            self.rebalance();
        }
    }

    /// Begins a rebalance, or notes that another one follows the present one.
    fn rebalance(&mut self) {
        if self.rebalance.is_some() {
            self.again = true;
            return;
        }
        self.rebalances += 1;
        let target = self.target();
        if self.settings.protocol == Protocol::Eager {
            for consumer in 0..self.consumers.len() {
                self.commit(consumer); // onPartitionsRevoked
            }
        } else {
            for (reading, next) in self.readings.iter_mut().zip(&target) {
                if reading.owner != *next {
                    reading.committed = reading.position;
                    reading.owner = None;
                }
            }
        }
        if self.settings.rebalance > 0.0 {
            self.rebalance = Some(Rebalance { left: self.settings.rebalance, target });
        } else {
            self.hand_over(&target);
        }
    }

    /// Ends a step of a rebalance, in which what it stops did nothing; after the last one partitions are handed over.
    fn count_down(&mut self) {
        let Some(rebalance) = &mut self.rebalance else { return };
        rebalance.left -= STEP;
        if rebalance.left > 0.0 {
            return;
        }
        let target = std::mem::take(&mut rebalance.target);
        self.rebalance = None;
        self.hand_over(&target);
        if std::mem::take(&mut self.again) {
            self.rebalance(); // somebody came or went meanwhile
        }
    }

    fn target(&self) -> Vec<Option<usize>> {
        let owners: Vec<Option<usize>> = self.readings.iter().map(|r| r.owner).collect();
        assign::assign(self.settings.assignor, &owners, self.consumers.len())
    }

    fn hand_over(&mut self, target: &[Option<usize>]) {
        self.holds = None;
        let consumers = self.consumers.len();
        for (reading, owner) in self.readings.iter_mut().zip(target) {
            reading.owner = owner.filter(|o| *o < consumers);
        }
    }

    /// What each consumer can do now, over its own rate.
    fn each(&self) -> f64 {
        self.settings.scaling.each(self.consumers.len().min(self.readings.len()) as u32)
    }

    fn process(&mut self, ends: &[f64]) -> f64 {
        if self.settings.protocol == Protocol::Eager && self.rebalance.is_some() {
            self.caught_up = false;
            return 0.0;
        }
        self.scratch.clear();
        self.scratch.resize(self.consumers.len(), 0.0);
        for (reading, end) in self.readings.iter().zip(ends) {
            let (Some(owner), false) = (reading.owner, reading.stuck) else { continue };
            if let Some(backlog) = self.scratch.get_mut(owner) {
                *backlog += end - reading.position;
            }
        }
        let each = self.each();
        // Each consumer drains its partitions in proportion to what waits there, as fetches of equal size do.
        let mut total = 0.0;
        for (backlog, consumer) in self.scratch.iter_mut().zip(&self.consumers) {
            let able = if consumer.silence.is_some() { 0.0 } else { consumer.rate * each * STEP };
            let done = backlog.min(able);
            total += done;
            *backlog = if *backlog > 0.0 { done / *backlog } else { 0.0 };
        }
        let limit = self.ceiling * STEP;
        let shared = if total > limit { limit / total } else { 1.0 };
        self.caught_up = true;
        for (reading, end) in self.readings.iter_mut().zip(ends) {
            let share = match reading.owner.and_then(|o| self.scratch.get(o)) {
                Some(share) if !reading.stuck => share * shared,
                _ => 0.0,
            };
            if share >= 1.0 {
                reading.position = *end; // not a rounding error behind
            } else if *end > reading.position {
                self.caught_up = false;
                reading.position += (end - reading.position) * share;
            }
        }
        total * shared
    }

    fn commit_when_due(&mut self) {
        if !self.unseen && self.commits_due() {
            for reading in &mut self.readings {
                if reading.owner.is_some_and(|o| self.due.get(o) == Some(&true)) {
                    reading.committed = reading.position;
                }
            }
        }
    }

    /// Notes in `due` who commits in this step; whether anybody does.
    fn commits_due(&mut self) -> bool {
        self.due.clear();
        let mut any = false;
        for consumer in &mut self.consumers {
            consumer.commit_in -= STEP;
            let due = consumer.commit_in <= 0.0;
            if due {
                // A commit goes out with the first poll after the interval, and polls do not keep time.
                consumer.commit_in += self.settings.commit.max(STEP) + self.polls.between(0.0, STEP);
            }
            let commits = due && consumer.silence.is_none();
            any |= commits;
            self.due.push(commits);
        }
        any
    }

    fn commit(&mut self, consumer: usize) {
        for reading in self.readings.iter_mut().filter(|r| r.owner == Some(consumer)) {
            reading.committed = reading.position;
        }
    }
}

mod coast;
#[cfg(test)]
mod tests;
