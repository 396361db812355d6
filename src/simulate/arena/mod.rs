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

pub use score::{Ledger, Score};

use super::{
    Assignor, Random, STEP,
    group::{Group, GroupSettings, Protocol},
    topic::Topic,
};
use crate::model::{Limits, Price};

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
    /// Share of the looks that fail: the pilot is not asked then.
    pub lost_scrapes: f64,
    /// Pods that die per day.
    pub crashes: f64,
    /// Most seconds behind.
    pub slo: f64,
    /// Prices.
    pub price: Price,
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
            lost_scrapes: 0.0,
            crashes: 0.0,
            slo: 30.0,
            price: Price::default(),
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
}

/// Plays `demand` (records per second, one value a second) with the chances of `seed` under a pilot.
///
/// Same game, demand, seed and pilot: same outcome.
pub fn play(game: &Game, demand: &[f64], seed: u64, pilot: &mut dyn Pilot) -> Outcome {
    let mut running = Match::new(game, demand, seed);
    running.advance(demand.len(), pilot);
    running.close()
}

/// A game under way: it can be copied, and gone on with in another way.
#[derive(Clone, Debug)]
pub struct Match<'a> {
    game: &'a Game,
    demand: &'a [f64],
    seed: u64,
    second: usize,
    topic: Topic,
    group: Group,
    mishaps: Random,
    ledger: Ledger,
    desired: u32,
    changes: Vec<(f64, u32)>,
    committed: Vec<f64>,
    busy: Busy,
}

impl<'a> Match<'a> {
    /// A game that has not begun.
    pub fn new(game: &'a Game, demand: &'a [f64], seed: u64) -> Self {
        let topic = game.topic(seed);
        let chances = Random::new(seed);
        let start = game.start.clamp(game.limits.min, game.limits.max.max(game.limits.min));
        let mut group = Group::new(game.group.clone(), &topic, start, chances.fork(2).bits());
        group.set_ceiling(game.ceiling);
        Self {
            game,
            demand,
            seed,
            second: 0,
            topic,
            group,
            mishaps: chances.fork(3),
            ledger: Ledger::new(game, demand),
            desired: start,
            changes: Vec::new(),
            committed: vec![0.0; game.partitions],
            busy: Busy::default(),
        }
    }

    /// Plays up to second `until`.
    pub fn advance(&mut self, until: usize, pilot: &mut dyn Pilot) {
        let scrape = (self.game.scrape.round().max(1.0)) as usize;
        while self.second < until.min(self.demand.len()) {
            let looks = self.step() && self.second.is_multiple_of(scrape);
            let lost = self.game.lost_scrapes > 0.0 && self.mishaps.unit() < self.game.lost_scrapes;
            if looks && !lost {
                self.look(pilot);
            }
        }
    }

    /// Seconds played so far.
    pub fn second(&self) -> usize {
        self.second
    }

    /// What was spent so far, in the currency of the prices.
    pub fn spent(&self) -> f64 {
        self.ledger.spent()
    }

    /// Records that are unprocessed now, and the count asked for.
    pub fn state(&self) -> (f64, u32) {
        (self.group.backlog(self.topic.ends()), self.desired)
    }

    /// Ends the game here.
    pub fn close(self) -> Outcome {
        Outcome { score: self.ledger.close(self.group.rebalances()), changes: self.changes }
    }

    /// One second; false past the end of the demand.
    fn step(&mut self) -> bool {
        let Some(rate) = self.demand.get(self.second).copied() else { return false };
        self.second += 1;
        let crashes = self.game.crashes;
        if crashes > 0.0 && self.mishaps.unit() < crashes * STEP / 86_400.0 {
            let victim = self.mishaps.between(0.0, self.group.consumers().len() as f64) as usize;
            self.group.crash(victim);
        }
        self.topic.produce(rate);
        let processed = self.group.step(self.topic.ends()).processed;
        self.busy.add(processed, self.group.consumers().iter().map(|c| c.rate).sum());
        self.ledger.second(rate, self.group.backlog(self.topic.ends()), self.desired);
        true
    }

    /// Shows the group to the pilot, and does what it says.
    fn look(&mut self, pilot: &mut dyn Pilot) {
        for (c, reading) in self.committed.iter_mut().zip(self.group.readings()) {
            *c = reading.committed;
        }
        let t = self.second as f64 * STEP;
        let wanted = pilot.decide(&Seen {
            t,
            ends: self.topic.ends(),
            committed: &self.committed,
            desired: self.desired,
            ready: u32::try_from(self.group.consumers().len()).unwrap_or(u32::MAX),
            rebalancing: self.group.is_rebalancing(),
            cpu: self.busy.take(),
        });
        let limits = self.game.limits;
        let wanted = wanted.unwrap_or(self.desired).max(limits.min).min(limits.max.max(limits.min));
        if wanted != self.desired {
            // What chance holds for a change depends on when it is made, not on how many were made before.
            self.group.reseed(Random::new(self.seed).fork(self.second as u64 + 16).bits());
            self.group.scale(wanted);
            self.ledger.change(t, self.desired, wanted);
            self.changes.push((t, wanted));
            self.desired = wanted;
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
