//! What each member gets done from look to look, told apart by whether it had work waiting all the time.

use super::{Look, Place};
use std::collections::{BTreeMap, VecDeque};

/// Looks for which a member must have had the same partitions, this one among them.
const SAME: u32 = 3;
/// A member had work all the time when this much waited for it at both ends of an interval, seconds of its own rate;
/// with long commit intervals this many times the floor more.
const WAITING: f64 = 8.0;
const FLOORS: f64 = 2.5;
/// Members that keep up tell how often they commit, where that is oftener than looks: after so many looks with the same
/// partitions, when what waited before is gone; fewest and newest that count; fewest records since the look before, and the
/// share of them that more or less may wait by then; and seconds that [`WAITING`] covers anyway.
const SETTLED: u32 = 8;
const AGES: (usize, usize) = (16, 64);
const TELLING: f64 = 4.0;
const STEADY: f64 = 0.1;
const SHORT: f64 = 9.0;
/// Seconds of work that must wait beyond those between two commits.
const BEYOND: f64 = 2.0;
/// Intervals that are taken together, and fewest: commits come in batches, so that over a single interval a member looks
/// up to a third faster or slower than it is.
const TOGETHER: (u32, u32) = (8, 3);
/// Intervals without saturation that are one proof of what flows.
const CALM: u32 = 4;
/// Share of the members that must have work waiting for the sum to say what all of them can do.
const MOST: f64 = 0.7;

/// What one member got done in some seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Took {
    /// Which; `None`: all of them together.
    pub member: Option<u64>,
    /// Members that there were.
    pub members: u32,
    /// Records per second, and seconds.
    pub rate: f64,
    pub seconds: f64,
    /// Whether it had work waiting all the time.
    pub saturated: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Member {
    /// Number of its partitions, and a sum that tells one set of them from another.
    partitions: u32,
    set: u64,
    committed: f64,
    lag: f64,
    /// What lay before and lies now in partitions whose commits did not move since the last look.
    stuck: (f64, f64),
    /// Looks with the same partitions.
    same: u32,
    /// Whether its commits moved in the last interval, and the seconds since then in which they did not.
    moved: bool,
    idle: f64,
    /// What is being taken together.
    run: Run,
}

/// Intervals that are taken together, of one member or of all: whether there was work all the time (for most of them), and
/// what was done.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    saturated: bool,
    intervals: u32,
    records: f64,
    seconds: f64,
}

impl Run {
    fn new(saturated: bool) -> Self {
        Self { saturated, ..Self::default() }
    }

    fn add(&mut self, records: f64, seconds: f64) {
        self.intervals += 1;
        self.records += records;
        self.seconds += seconds;
    }

    /// What it tells of `member` among `members`.
    fn told(&self, member: Option<u64>, members: u32) -> Took {
        let Self { saturated, records, seconds, .. } = *self;
        Took { member, members, rate: records / seconds, seconds, saturated }
    }
}

/// Every member by its number, and the run of all of them with their number.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    each: BTreeMap<u64, Member>,
    all: (u32, Run),
    /// How old the last commit of a member was that keeps up, seconds: once per member and set of partitions.
    ages: VecDeque<f64>,
}

impl Members {
    pub fn restart(&mut self) {
        self.each.clear();
        self.all = (0, Run::default());
    }

    /// Adds an interval to the run of such intervals, `busy` where most members had work, or begins another run.
    fn together(&mut self, members: u32, busy: bool, done: f64, dt: f64, tell: &mut dyn FnMut(Took)) {
        let (n, run) = &mut self.all;
        if (*n, run.saturated) != (members, busy) || run.intervals >= CALM {
            if run.intervals >= TOGETHER.1 {
                tell(run.told(None, *n));
            }
            (*n, *run) = (members, Run::new(busy));
        }
        run.add(done, dt);
    }

    /// Seconds between two commits, where they come oftener than looks: a commit is half as old on the average. 0 where that
    /// is not known, or so short that it does not matter.
    fn between_commits(&self) -> f64 {
        let mut ages: Vec<f64> = self.ages.iter().copied().collect();
        let middle = super::super::quantile(&mut ages, 0.5).filter(|_| ages.len() >= AGES.0);
        middle.map(|age| 2.0 * age).filter(|every| *every > SHORT).unwrap_or(0.0)
    }

    /// One look, `dt` seconds after the one `before`. `quiet`: for so many seconds nothing may be committed without anybody
    /// standing still; `since`: so old a commit may be, and what came since then is no work that waits. `disturbed`:
    /// something stopped all of them meanwhile.
    pub fn look(
        &mut self,
        (look, before): (&Look<'_>, &[Place]),
        dt: f64,
        (floor, quiet, since): (f64, f64, f64),
        disturbed: bool,
        tell: &mut dyn FnMut(Took),
    ) {
        let mut now: BTreeMap<u64, Member> = BTreeMap::new();
        for (p, place) in look.partitions.iter().enumerate() {
            let Some(owner) = place.owner else { continue };
            let member = now.entry(owner).or_default();
            member.partitions += 1;
            member.set = member.set.wrapping_add((p as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23));
            member.committed += place.committed;
            let lag = |place: &Place| (place.end - place.committed).max(0.0);
            member.lag += lag(place);
            if let Some(was) = before.get(p).filter(|was| place.committed <= was.committed) {
                member.stuck = (member.stuck.0 + lag(was), member.stuck.1 + lag(place));
            }
        }
        let members = u32::try_from(now.len()).unwrap_or(u32::MAX);
        let since = if since > 0.0 { since + WAITING } else { self.between_commits() + BEYOND };
        let enough = WAITING.max(FLOORS * floor + 2.0).max(since);
        let (mut busy, mut total) = (0_u32, 0.0);
        for (id, member) in &mut now {
            let same = |m: &&Member| !disturbed && (m.set, m.partitions) == (member.set, member.partitions);
            let Some(was) = self.each.get(id).filter(same) else {
                if let Some(was) = self.each.get(id) {
                    was.flush(*id, members, tell);
                }
                continue;
            };
            let done = (member.committed - was.committed).max(0.0);
            let seconds = was.idle + dt;
            if done <= 0.0 && was.moved && seconds <= quiet {
                // What it does meanwhile is told with its next commit.
                busy += u32::from(was.run.saturated);
                *member = Member { idle: seconds, ..*was };
                continue;
            }
            let rate = done / seconds;
            member.same = was.same.saturating_add(1);
            member.moved = done > 0.0;
            member.run = was.run;
            if member.same == SETTLED && member.moved {
                self.ages.extend(member.commit_age(was, dt));
                if self.ages.len() > AGES.1 {
                    self.ages.pop_front();
                }
            }
            if member.same + 1 < SAME || !was.moved {
                member.flush(*id, members, tell);
                member.run = Run::default();
                continue;
            }
            // What lies in a partition that does not move, while others of the same member do (a record that cannot be read,
            // a leader that does not answer), keeps nobody busy: the others may do no more than what comes.
            let waits = (was.lag - member.stuck.0).min(member.lag - member.stuck.1);
            let saturated = done > 0.0 && waits > enough * rate;
            if member.run.saturated != saturated || member.run.intervals >= if saturated { TOGETHER.0 } else { CALM } {
                member.flush(*id, members, tell);
                member.run = Run::new(saturated);
            }
            member.run.add(done, seconds);
            busy += u32::from(saturated);
            total += done;
        }
        self.each = now;
        self.together(members, f64::from(busy) >= MOST * f64::from(members), total, dt, tell);
    }
}

impl Member {
    /// Seconds of its own input that a member has not committed which keeps up: it has all that was there at the look before,
    /// and as much waits as then. `None` for one that is behind.
    fn commit_age(&self, was: &Self, dt: f64) -> Option<f64> {
        let arrived = self.committed + self.lag - was.committed - was.lag;
        let steady = (self.lag - was.lag).abs() <= STEADY * arrived;
        (arrived >= TELLING && self.lag <= arrived && steady).then(|| self.lag / arrived * dt)
    }

    fn flush(&self, member: u64, members: u32, tell: &mut dyn FnMut(Took)) {
        if self.run.intervals >= if self.run.saturated { TOGETHER.1 } else { CALM } {
            tell(self.run.told(Some(member), members));
        }
    }
}
