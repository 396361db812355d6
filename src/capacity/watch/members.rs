//! What each member gets done from look to look, told apart by whether it had work waiting all the time.

use super::Look;
use std::collections::BTreeMap;

/// Looks for which a member must have had the same partitions, this one among them.
const SAME: u32 = 3;
/// A member had work all the time when this much waited for it at both ends of an interval, seconds of its own rate;
/// with long commit intervals this many times the floor more.
const WAITING: f64 = 8.0;
const FLOORS: f64 = 2.5;
/// Where a commit may be older than a look can tell, work waited only if what waited changed by [`WAITING`] over the run, or
/// if this much waited, seconds: commits each half a minute leave as much behind at every look, and never more or less.
const SURELY: f64 = 40.0;
/// Seconds between two looks from which on that is so of every group.
const FAR: f64 = 20.0;
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
    /// Looks with the same partitions.
    same: u32,
    /// Whether its commits moved in the last interval, and the seconds since then in which they did not.
    moved: bool,
    idle: f64,
    /// What is being taken together.
    run: Run,
}

/// Intervals that are taken together, of one member or of all: whether there was work all the time (for most of them), what
/// was done, and what waited at the beginning and at the end.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    saturated: bool,
    intervals: u32,
    records: f64,
    seconds: f64,
    waited: (f64, f64),
}

impl Run {
    fn new(saturated: bool, waits: f64) -> Self {
        Self { saturated, waited: (waits, waits), ..Self::default() }
    }

    fn add(&mut self, records: f64, seconds: f64, waits: f64) {
        self.intervals += 1;
        self.records += records;
        self.seconds += seconds;
        self.waited.1 = waits;
    }

    /// What it tells of `member` among `members`. `vague`: a commit may be older than a look can tell.
    fn told(&self, member: Option<u64>, members: u32, vague: bool) -> Took {
        let rate = self.records / self.seconds;
        let (first, last) = self.waited;
        let surely = (last - first).abs() >= WAITING * rate || first.min(last) >= SURELY * rate;
        Took { member, members, rate, seconds: self.seconds, saturated: self.saturated && (surely || !vague) }
    }
}

/// Every member by its number, and the run of all of them with their number.
#[derive(Clone, Debug, Default)]
pub(super) struct Members(BTreeMap<u64, Member>, (u32, Run));

impl Members {
    pub fn restart(&mut self) {
        self.0.clear();
        self.1 = (0, Run::default());
    }

    /// Adds an interval to the run of such intervals, `busy` where most members had work, or begins another run.
    fn together(&mut self, members: u32, busy: bool, (done, dt, waits): (f64, f64, f64), told: &mut Told<'_>) {
        let (n, run) = &mut self.1;
        if (*n, run.saturated) != (members, busy) || run.intervals >= CALM {
            if run.intervals >= TOGETHER.1 {
                (told.tell)(run.told(None, *n, told.vague));
            }
            (*n, *run) = (members, Run::new(busy, waits));
        }
        run.add(done, dt, waits);
    }

    /// One look, `dt` seconds after the one before. `quiet`: for so many seconds nothing may be committed without anybody
    /// standing still. `disturbed`: something stopped all of them meanwhile.
    pub fn look(
        &mut self,
        look: &Look<'_>,
        dt: f64,
        (floor, quiet): (f64, f64),
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
            member.lag += (place.end - place.committed).max(0.0);
        }
        let members = u32::try_from(now.len()).unwrap_or(u32::MAX);
        let mut told = Told { members, vague: quiet > 0.0 || dt >= FAR, tell };
        let (mut busy, mut total, mut waits) = (0_u32, 0.0, 0.0);
        for (id, member) in &mut now {
            let same = |m: &&Member| !disturbed && (m.set, m.partitions) == (member.set, member.partitions);
            let Some(was) = self.0.get(id).filter(same) else {
                if let Some(was) = self.0.get(id) {
                    was.flush(*id, &mut told);
                }
                continue;
            };
            let done = (member.committed - was.committed).max(0.0);
            let seconds = was.idle + dt;
            if done <= 0.0 && was.moved && seconds <= quiet {
                // What it does meanwhile is told with its next commit.
                busy += u32::from(was.run.saturated);
                waits += was.lag;
                *member = Member { idle: seconds, ..*was };
                continue;
            }
            let rate = done / seconds;
            member.same = was.same.saturating_add(1);
            member.moved = done > 0.0;
            member.run = was.run;
            if member.same + 1 < SAME || !was.moved {
                member.flush(*id, &mut told);
                member.run = Run::default();
                continue;
            }
            let enough = WAITING.max(FLOORS * floor + 2.0) * rate;
            let saturated = done > 0.0 && was.lag > enough && member.lag > enough;
            if member.run.saturated != saturated || member.run.intervals >= if saturated { TOGETHER.0 } else { CALM } {
                member.flush(*id, &mut told);
                member.run = Run::new(saturated, was.lag);
            }
            member.run.add(done, seconds, member.lag);
            busy += u32::from(saturated);
            total += done;
            waits += member.lag;
        }
        self.0 = now;
        self.together(members, f64::from(busy) >= MOST * f64::from(members), (total, dt, waits), &mut told);
    }
}

/// To whom what was taken together is told, of how many members, and whether a commit may be older than a look can tell.
struct Told<'a> {
    members: u32,
    vague: bool,
    tell: &'a mut dyn FnMut(Took),
}

impl Member {
    fn flush(&self, member: u64, told: &mut Told<'_>) {
        if self.run.intervals >= if self.run.saturated { TOGETHER.1 } else { CALM } {
            (told.tell)(self.run.told(Some(member), told.members, told.vague));
        }
    }
}
