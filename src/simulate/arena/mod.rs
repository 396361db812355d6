//! The arena: one consumer group, one span of demand, one pilot that sets the count, and what that cost.
//!
//! A pilot sees what a monitor would have scraped, every [`Game::scrape`] seconds and no more often: end offsets and
//! committed offsets (so a lag that trails the truth by up to a commit interval), the count, who is ready, CPU. What is
//! priced is the truth: pods from the moment they are asked for, records that are really unprocessed, every change.
//!
//! ```
//! use highwater::simulate::arena::{Game, Hold, play};
//! let demand = vec![3_500.0; 1_800];
//! let short = play(&Game::default(), &demand, 1, &mut Hold(2));
//! let ample = play(&Game::default(), &demand, 1, &mut Hold(8));
//! assert!(ample.score.slo_minutes == 0.0 && short.score.slo_minutes > 20.0);
//! assert!(ample.score.pod_hours > short.score.pod_hours && ample.score.price < short.score.price);
//! ```

mod score;
mod trouble;

pub use score::{Ledger, Score, least};
pub use trouble::{Hot, Trouble};

use super::{
    Assignor, Random, STEP,
    group::{Group, GroupSettings, Protocol},
    topic::Topic,
};
use crate::model::{Limits, Price};
use std::sync::Arc;
use trouble::{Course, Event};

/// The rules of one game. Seconds, records per second.
#[derive(Clone, Debug, PartialEq)]
pub struct Game {
    /// Partitions of the topic.
    pub partitions: usize,
    /// Standard deviation (of the logarithm) of the partitions' shares; 0: equal.
    pub skew: f64,
    /// The group: protocol, rebalance, start-up, commits, what one consumer can do.
    pub group: GroupSettings,
    /// Most records per second that everything behind the group takes; infinite: no limit.
    pub ceiling: f64,
    /// Count at the beginning, all of it ready.
    pub start: u32,
    /// Bounds of the count: what a pilot asks beyond them is cut to them.
    pub limits: Limits,
    /// Seconds between two looks of the monitor; also how often a pilot may decide.
    pub scrape: f64,
    /// Most seconds behind.
    pub slo: f64,
    /// Prices.
    pub price: Price,
    /// What goes wrong or changes meanwhile.
    pub trouble: Trouble,
}

impl Default for Game {
    /// 40 partitions a little uneven, an eager group whose rebalances take 15 s, 20 of 1 to 40 consumers, SLO 30 s.
    fn default() -> Self {
        Self {
            partitions: 40,
            skew: 0.15,
            group: GroupSettings {
                protocol: Protocol::Eager,
                assignor: Assignor::RoundRobin,
                rebalance: 15.0,
                ..GroupSettings::default()
            },
            ceiling: f64::INFINITY,
            start: 20,
            limits: Limits { min: 1, max: 40 },
            scrape: 15.0,
            slo: 30.0,
            price: Price::default(),
            trouble: Trouble::default(),
        }
    }
}

impl Game {
    /// The topic of a seed, nothing in it: its partition shares are what a clairvoyant may know.
    pub fn topic(&self, seed: u64) -> Topic {
        Topic::new(self.partitions, self.skew, Random::new(seed).fork(1).bits())
    }
}

/// One look of the monitor.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Seconds since the game began.
    pub t: f64,
    /// Log end offset per partition.
    pub ends: &'a [f64],
    /// Committed offset per partition.
    pub committed: &'a [f64],
    /// Who owns each partition, as the number of the consumer in the group's life; `None`: nobody at this instant.
    pub owners: &'a [Option<u64>],
    /// Count asked for.
    pub desired: u32,
    /// Consumers that have joined.
    pub ready: u32,
    /// Whether the group says that it is rebalancing.
    pub rebalancing: bool,
    /// Mean CPU utilisation of the joined consumers since the last look, ratio.
    pub cpu: f64,
}

/// Decides the count.
pub trait Pilot {
    /// Called at each look; `None` leaves the count as it is.
    fn decide(&mut self, seen: &Seen<'_>) -> Option<u32>;
}

/// A fixed count.
#[derive(Clone, Copy, Debug)]
pub struct Hold(pub u32);

impl Pilot for Hold {
    fn decide(&mut self, _: &Seen<'_>) -> Option<u32> {
        Some(self.0)
    }
}

/// Counts at known times: `(seconds, count)` in order of time.
#[derive(Clone, Debug)]
pub struct Timetable<'a>(pub &'a [(f64, u32)]);

impl Pilot for Timetable<'_> {
    fn decide(&mut self, seen: &Seen<'_>) -> Option<u32> {
        let next = self.0.partition_point(|(t, _)| *t <= seen.t);
        self.0.get(next.checked_sub(1)?).map(|(_, n)| *n)
    }
}

/// What became of a game.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What it cost.
    pub score: Score,
    /// Every change of the count: seconds, and the count from then on.
    pub changes: Vec<(f64, u32)>,
    /// Records that were really unprocessed after each second.
    pub lags: Vec<f32>,
}

/// Plays `demand` (records per second, one value a second) with the chances of `seed` under a pilot.
///
/// Same game, demand, seed and pilot: same outcome.
pub fn play(game: &Game, demand: &[f64], seed: u64, pilot: &mut dyn Pilot) -> Outcome {
    let mut running = Match::new(game, demand, seed);
    let mut eyes =
        Eyes { committed: vec![0.0; game.partitions], lags: Vec::with_capacity(demand.len()), ..Eyes::default() };
    while running.second < demand.len() {
        let Some(processed) = running.step() else { break };
        eyes.see(&running, processed);
        if running.may_look() {
            let wanted = pilot.decide(&eyes.show(&mut running));
            if let Some(change) = wanted.and_then(|n| running.set(n)) {
                eyes.changes.push(change);
            }
        }
    }
    let score = running.ledger.close(running.group.rebalances(), &eyes.lags);
    Outcome { score, changes: eyes.changes, lags: eyes.lags }
}

/// A game under way: it can be copied, and gone on with in another way.
#[derive(Clone, Debug)]
pub struct Match<'a> {
    game: &'a Game,
    demand: &'a [f64],
    course: Arc<Course>,
    /// Next of the course's events.
    event: usize,
    /// Of the chances that changes bring.
    seed: u64,
    second: usize,
    topic: Topic,
    group: Group,
    /// Pods that a deployment has still to replace, and how many at a time.
    replacing: (usize, usize),
    ledger: Ledger,
    desired: u32,
}

impl<'a> Match<'a> {
    /// A game that has not begun.
    pub fn new(game: &'a Game, demand: &'a [f64], seed: u64) -> Self {
        let topic = game.topic(seed);
        let start = game.start.clamp(game.limits.min, game.limits.max.max(game.limits.min));
        let mut group = Group::new(game.group.clone(), &topic, start, Random::new(seed).fork(2).bits());
        group.set_ceiling(game.ceiling);
        group.set_session(game.trouble.session);
        let course = Course::new(&game.trouble, game.ceiling, game.partitions, demand.len(), seed);
        Self {
            game,
            demand,
            course: Arc::new(course),
            event: 0,
            seed,
            second: 0,
            topic,
            group,
            replacing: (0, 1),
            ledger: Ledger::new(game, demand),
            desired: start,
        }
    }

    /// A game for which nobody looks at commits: the same prices, in half the time.
    pub fn blind(game: &'a Game, demand: &'a [f64], seed: u64) -> Self {
        let mut running = Self::new(game, demand, seed);
        if !game.trouble.commits_matter() {
            running.group.leave_commits_out();
        }
        running
    }

    /// The same game, in which changes bring other chances: replicas start in other times than by the first seed.
    #[must_use]
    pub fn with_chances(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Plays up to second `until` by a timetable.
    pub fn follow(&mut self, table: &[(f64, u32)], until: usize) {
        let mut next = table.partition_point(|(t, _)| *t <= self.second as f64 * STEP);
        while self.second < until && self.step().is_some() {
            if self.may_look() {
                while table.get(next).is_some_and(|(t, _)| *t <= self.second as f64 * STEP) {
                    next += 1;
                }
                if let Some((_, n)) = next.checked_sub(1).and_then(|i| table.get(i)) {
                    self.set(*n);
                }
            }
        }
    }

    /// Asks for a count, cut to the limits; the change and its instant, `None` when it is the present one.
    pub fn set(&mut self, n: u32) -> Option<(f64, u32)> {
        let limits = self.game.limits;
        let n = n.max(limits.min).min(limits.max.max(limits.min));
        if n == self.desired {
            return None;
        }
        let t = self.second as f64 * STEP;
        self.disturb();
        self.group.scale(n);
        self.ledger.change(t, self.desired, n);
        self.desired = n;
        Some((t, n))
    }

    /// Seconds played so far.
    pub fn second(&self) -> usize {
        self.second
    }

    /// What was spent so far, in the currency of the prices.
    pub fn spent(&self) -> f64 {
        self.ledger.spent()
    }

    /// The count asked for.
    pub fn desired(&self) -> u32 {
        self.desired
    }

    /// The group as it is.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Whether what is still to come costs the same in both, whatever they have cost so far: everybody settled, nothing
    /// unread. False where that is not known. When commits fell is not compared: what crashes read again may differ.
    pub fn goes_on_like(&self, other: &Self) -> bool {
        self.second == other.second
            && self.desired == other.desired
            && self.replacing == other.replacing
            && self.group.goes_on_like(&other.group)
    }

    /// Records that are unprocessed.
    pub fn backlog(&self) -> f64 {
        if self.group.is_caught_up() { 0.0 } else { self.group.backlog(self.topic.ends()) }
    }

    /// One second, and how much was processed in it; `None` past the end of the demand.
    fn step(&mut self) -> Option<f64> {
        let rate = *self.demand.get(self.second)?;
        self.befall();
        self.second += 1;
        if self.group.coast(&mut self.topic, rate) {
            self.ledger.second(rate, 0.0, self.desired);
            return Some(rate * STEP);
        }
        self.group.land(&mut self.topic);
        self.topic.produce(rate);
        let processed = self.group.step(self.topic.ends()).processed;
        self.ledger.second(rate, self.backlog(), self.desired);
        Some(processed)
    }

    /// Whether a monitor's look falls on the second that was just played, and succeeds.
    fn may_look(&self) -> bool {
        let scrape = (self.game.scrape.round().max(1.0)) as usize;
        self.second.is_multiple_of(scrape) && !self.course.look_fails(self.second)
    }

    /// Before something is done to the group. What chance holds for it depends on when it is done, not on how much was
    /// done before: one change more or less early in a day leaves the rest of it alone.
    fn disturb(&mut self) {
        self.group.land(&mut self.topic);
        self.group.reseed(Random::new(self.seed).fork(self.second as u64 + 16).bits());
    }

    /// Lets the troubles of this second happen.
    fn befall(&mut self) {
        if let Some(ceiling) = self.course.ceilings.get(self.second) {
            self.group.set_ceiling(*ceiling);
        }
        let due = self.course.events.get(self.event).is_some_and(|(second, _)| *second <= self.second);
        if !due && self.replacing.0 == 0 {
            return;
        }
        let course = Arc::clone(&self.course);
        while let Some((_, event)) = course.events.get(self.event).filter(|(second, _)| *second <= self.second) {
            self.event += 1;
            self.disturb();
            let members = self.group.consumers().len();
            let at = |place: f64| (place * members as f64) as usize;
            match event {
                Event::Crash(place) => self.group.crash(at(*place)),
                Event::Absence(place, seconds) => self.group.absent(at(*place), *seconds),
                Event::Deployment => self.replacing = (members, members.div_ceil(4)),
                Event::Shares(factors) => {
                    self.topic.reweigh(factors.iter().copied());
                    self.group.shares_changed();
                }
            }
        }
        let (left, batch) = self.replacing;
        if left > 0 && self.group.starting() == 0 && !self.group.is_rebalancing() {
            self.disturb();
            self.group.replace(batch.min(left));
            self.replacing.0 = left.saturating_sub(batch);
        }
    }
}

/// What is recorded of a game that is looked at.
#[derive(Default)]
struct Eyes {
    committed: Vec<f64>,
    owners: Vec<Option<u64>>,
    busy: Busy,
    lags: Vec<f32>,
    changes: Vec<(f64, u32)>,
}

impl Eyes {
    fn see(&mut self, running: &Match<'_>, processed: f64) {
        self.busy.add(processed, running.group.consumers().iter().map(|c| c.rate).sum());
        self.lags.push(running.backlog() as f32);
    }

    fn show<'s>(&'s mut self, running: &'s mut Match<'_>) -> Seen<'s> {
        running.group.land(&mut running.topic);
        let serial = |owner: usize| running.group.consumers().get(owner).map(|c| c.serial);
        self.owners.clear();
        self.owners.extend(running.group.readings().iter().map(|r| r.owner.and_then(serial)));
        for (c, reading) in self.committed.iter_mut().zip(running.group.readings()) {
            *c = reading.committed;
        }
        Seen {
            t: running.second as f64 * STEP,
            ends: running.topic.ends(),
            committed: &self.committed,
            owners: &self.owners,
            desired: running.desired,
            ready: u32::try_from(running.group.consumers().len()).unwrap_or(u32::MAX),
            rebalancing: running.group.is_rebalancing(),
            cpu: self.busy.take(),
        }
    }
}

/// How busy the consumers were since the last look.
#[derive(Clone, Copy, Debug, Default)]
struct Busy {
    done: f64,
    possible: f64,
}

impl Busy {
    fn add(&mut self, done: f64, possible: f64) {
        self.done += done;
        self.possible += possible * STEP;
    }

    fn take(&mut self) -> f64 {
        let Self { done, possible } = std::mem::take(self);
        if possible > 0.0 { (done / possible).min(1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests;
