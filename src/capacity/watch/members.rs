//! What each member gets done from look to look, told apart by whether it had work waiting all the time.

use super::Look;
use std::collections::BTreeMap;

/// Looks for which a member must have had the same partitions, this one among them.
const SAME: u32 = 3;
/// A member had work all the time when this much waited for it at both ends of an interval, seconds of its own rate;
/// with long commit intervals this many times the floor more.
const WAITING: f64 = 8.0;
const FLOORS: f64 = 2.5;
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
    /// Whether its commits moved in the last interval.
    moved: bool,
    /// The run that is being taken together: saturated or not, intervals, records, seconds.
    run: (bool, u32, f64, f64),
}

/// Intervals of all members that are taken together: whether most of them had work, and what they got done.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    members: u32,
    saturated: bool,
    intervals: u32,
    records: f64,
    seconds: f64,
}

/// Every member by its number, and the run of all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Members(BTreeMap<u64, Member>, Run);

impl Members {
    pub fn restart(&mut self) {
        self.0.clear();
        self.1 = Run::default();
    }

    /// Adds an interval to the run of such intervals, `busy` where most members had work, or begins another run.
    fn together(&mut self, members: u32, busy: bool, done: f64, dt: f64, tell: &mut dyn FnMut(Took)) {
        let Run { members: n, saturated, intervals, records, seconds } = self.1;
        if (n, saturated) == (members, busy) && intervals < CALM {
            self.1 = Run { intervals: intervals + 1, records: records + done, seconds: seconds + dt, ..self.1 };
            return;
        }
        if intervals >= TOGETHER.1 {
            tell(Took { member: None, members: n, rate: records / seconds, seconds, saturated });
        }
        self.1 = Run { members, saturated: busy, intervals: 1, records: done, seconds: dt };
    }

    /// One look, `dt` seconds after the one before. `disturbed`: something stopped all of them meanwhile.
    pub fn look(&mut self, look: &Look<'_>, dt: f64, floor: f64, disturbed: bool, tell: &mut dyn FnMut(Took)) {
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
        let (mut busy, mut total) = (0_u32, 0.0);
        for (id, member) in &mut now {
            let same = |m: &&Member| !disturbed && (m.set, m.partitions) == (member.set, member.partitions);
            let Some(was) = self.0.get(id).filter(same) else {
                if let Some(was) = self.0.get(id) {
                    was.flush(*id, members, tell);
                }
                continue;
            };
            let done = (member.committed - was.committed).max(0.0);
            let rate = done / dt;
            member.same = was.same.saturating_add(1);
            member.moved = done > 0.0;
            member.run = was.run;
            if member.same + 1 < SAME || !was.moved {
                member.flush(*id, members, tell);
                member.run = Default::default();
                continue;
            }
            let waits = WAITING.max(FLOORS * floor + 2.0) * rate;
            let saturated = done > 0.0 && was.lag > waits && member.lag > waits;
            if member.run.0 != saturated || member.run.1 >= if saturated { TOGETHER.0 } else { CALM } {
                member.flush(*id, members, tell);
                member.run = (saturated, 0, 0.0, 0.0);
            }
            member.run = (saturated, member.run.1 + 1, member.run.2 + done, member.run.3 + dt);
            busy += u32::from(saturated);
            total += done;
        }
        self.0 = now;
        self.together(members, f64::from(busy) >= MOST * f64::from(members), total, dt, tell);
    }
}

impl Member {
    fn flush(&self, member: u64, members: u32, tell: &mut dyn FnMut(Took)) {
        let (saturated, intervals, records, seconds) = self.run;
        let enough = if saturated { TOGETHER.1 } else { CALM };
        if intervals >= enough {
            tell(Took { member: Some(member), members, rate: records / seconds, seconds, saturated });
        }
    }
}
