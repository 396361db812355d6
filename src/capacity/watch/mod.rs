//! What is learned of a consumer group by looking at it again and again: who owns what, what each member gets done, what
//! a change stops. Plain data, fed with one [`Look`] a refresh; nothing is told that a monitor could not see.
//!
//! A sum over the group hides what matters: after a change one member is behind while the others wait for work, and the
//! group as a whole looks slower than it is. So rates are learned per member, and only where that member had work
//! waiting at both ends of the interval.

mod changes;
mod commits;
mod members;
mod rates;
mod scaling;

use crate::model::{Capacity, Time};
use changes::Changes;
use commits::Commits;
use members::{Members, Took};
pub use rates::Enough;
use rates::Rates;

/// Seconds between looks beyond which nothing is concluded from one to the next.
const GAP: f64 = 90.0;
/// Seconds between looks that are compared, at least: Kafka's clients commit every 5 s by default, so that between two
/// looks of a quick refresh most members seem to do nothing.
const EVERY: f64 = 12.0;
/// Weight of the newest look in the partitions' shares of the demand.
const SHARE: f64 = 0.05;
/// The always-visible lag that is believed at most, seconds of demand: committed offsets trail the work that is done.
const FLOOR_MOST: f64 = 15.0;
/// The floor of a group that was just met, at most, seconds: Kafka's default of `auto.commit.interval.ms`. What waits
/// beyond it is taken for work: a group that is behind when it is met would otherwise never look late.
const FLOOR_MET: f64 = 5.0;
/// How the floor follows a lower and a higher value, each [`FLOOR_EVERY`] seconds, however often it is looked at.
const FLOOR: (f64, f64) = (0.2, 0.01);
const FLOOR_EVERY: f64 = 15.0;
/// Records that a partition gets between two looks, so that what waits there over what comes means something.
const TELLING: f64 = 10.0;
/// Waiting work beyond the floor that is the floor's own wobble, seconds.
const WOBBLE: f64 = 0.5;

/// One partition of a look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Log end offset.
    pub end: f64,
    /// Committed offset.
    pub committed: f64,
    /// Whose it is, as a number that stays with the member for its life; `None`: nobody's, or not known.
    pub owner: Option<u64>,
}

/// One look at a group: all of it, at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// When.
    pub at: Time,
    /// Partitions, in the same order in every look.
    pub partitions: &'a [Place],
    /// Replicas asked for, and since when.
    pub desired: (u32, Time),
    /// Replicas ready.
    pub ready: u32,
    /// Whether the group says that it is rebalancing.
    pub rebalancing: bool,
}

/// What a group showed so far.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// The newest look and the one before it.
    at: Option<Time>,
    prior: Option<Time>,
    now: Vec<Place>,
    /// The newest look that was compared with one before it, its places, whether the group rebalanced since, and the
    /// seconds of demand that waited beyond the floor then.
    since: Option<Time>,
    before: Vec<Place>,
    rebalanced: bool,
    calm: f64,
    /// Records per second and partition in the last interval, and each partition's smoothed share of them.
    flow: Vec<f64>,
    shares: Vec<f64>,
    /// Seconds of demand that are always seen to wait.
    floor: Option<f64>,
    /// Seconds of demand that wait beyond it.
    late: f64,
    excess: f64,
    commits: Commits,
    members: Members,
    rates: Rates,
    changes: Changes,
}

impl Watch {
    /// Takes a look; the same one again teaches nothing. Looks back in time, or at a topic whose partitions changed, begin
    /// anew; what was learned stays.
    pub fn see(&mut self, look: &Look<'_>) {
        if self.at == Some(look.at) {
            return;
        }
        self.changes.count(look);
        let sound = |p: &Place| p.end.is_finite() && p.committed.is_finite();
        if look.partitions.is_empty() || !look.partitions.iter().all(sound) {
            return;
        }
        let known = self.now.len() == look.partitions.len();
        let cut = |p: usize, is: &Place| is.committed > is.end || known && is.end < self.now[p].end;
        let cuts = look.partitions.iter().enumerate().filter(|(p, is)| cut(*p, is)).count();
        if 2 * cuts > look.partitions.len() {
            // The topic was made again: its offsets say nothing about those before. The counts still do.
            self.look_nowhere();
            self.changes.restart();
            return;
        }
        // A partition that was cut, by a leader that had not all of it, has nothing that waits until it is read again.
        self.now.clear();
        self.now.extend(look.partitions.iter().map(|p| Place { committed: p.committed.min(p.end), ..*p }));
        let follows = self.at.map(|at| look.at.since(at)).is_some_and(|dt| dt > 0.0 && dt <= GAP);
        self.prior = self.at.replace(look.at);
        self.rebalanced |= look.rebalancing;
        match self.since.filter(|_| known && follows) {
            // The first two are compared at once: what waits should be known.
            Some(since) if !self.flow.is_empty() && look.at.since(since) < EVERY => {
                return self.weigh(self.waiting().sum());
            }
            Some(since) => self.compare(look, look.at.since(since)),
            None => {
                self.members.restart();
                self.changes.restart();
                self.commits.restart();
                if self.shares.len() != look.partitions.len() {
                    self.shares.clear();
                }
            }
        }
        (self.since, self.rebalanced) = (self.at, false);
        self.before.clone_from(&self.now);
    }

    /// What comes next has nothing to do with the last look: another run of the group.
    pub fn look_away(&mut self) {
        self.look_nowhere();
        self.changes.look_away();
    }

    fn look_nowhere(&mut self) {
        (self.at, self.prior, self.since) = (None, None, None);
        (self.late, self.excess, self.calm) = (0.0, 0.0, 0.0);
        self.now.clear();
        self.before.clear();
        self.commits.restart();
    }

    fn compare(&mut self, look: &Look<'_>, dt: f64) {
        let arrived = self.before.iter().zip(&self.now).map(|(was, is)| ((is.end - was.end) / dt).max(0.0));
        self.flow.clear();
        self.flow.extend(arrived);
        self.commits.look(look.at, dt, &self.now, |p| self.flow[p] * dt >= TELLING);
        let waiting: Vec<f64> = self.waiting().collect();
        let (lag, demand): (f64, f64) = (waiting.iter().sum(), self.flow.iter().sum());
        if demand <= 0.0 {
            return self.weigh(lag);
        }
        if self.shares.is_empty() {
            self.shares = self.flow.iter().map(|f| f / demand).collect();
        }
        for (share, flow) in self.shares.iter_mut().zip(&self.flow) {
            *share += SHARE * (flow / demand - *share);
        }
        let behind = lag / demand;
        let usual = self.usual(&waiting, dt).map_or(behind, |usual| usual.min(behind));
        let floor = self.floor.get_or_insert(usual.min(FLOOR_MET));
        if usual < FLOOR_MOST {
            let follow = if usual < *floor { FLOOR.0 } else { FLOOR.1 };
            *floor += (1.0 - (1.0 - follow).powf(dt / FLOOR_EVERY)) * (usual - *floor);
        }
        let floor = *floor;
        self.weigh(lag);
        let calm = std::mem::replace(&mut self.calm, self.late);
        let look = Look { partitions: &self.now, rebalancing: self.rebalanced, ..*look };
        self.changes.look(&look, &self.before, &self.flow, &waiting, (floor, calm));
        let rates = &mut self.rates;
        let disturbed = self.changes.disturbs();
        let (quiet, since) = (self.commits.patience(), self.commits.may_be_old(dt));
        let looks = (&look, self.before.as_slice());
        self.members.look(looks, dt, (floor, quiet, since), disturbed, &mut |took: Took| rates.add(took));
    }

    /// Records that wait in the newest look, per partition: those that waited at its last commit, where commits are seldom.
    fn waiting(&self) -> impl Iterator<Item = f64> {
        let at = self.at.unwrap_or_default();
        self.now.iter().enumerate().map(move |(p, place)| self.commits.waiting(at, p, place))
    }

    /// What waits in the newest look, `lag` records, beyond what always waits, by what came between those that were
    /// compared.
    fn weigh(&mut self, lag: f64) {
        let demand: f64 = self.flow.iter().sum();
        let floor = self.floor.unwrap_or(0.0);
        if demand > 0.0 {
            self.late = (lag / demand - floor).max(0.0);
        } else if lag <= 0.0 {
            self.late = 0.0;
        }
        self.excess = (lag - demand * (floor + WOBBLE)).max(0.0);
    }

    /// Seconds of its own demand that wait in the middlemost of the partitions where anything flows; `None` where most of
    /// them got too few records since the look before to tell. What lies for hours with a few members that have too much
    /// is no floor of the group: of all partitions together it would look like one.
    fn usual(&self, waiting: &[f64], dt: f64) -> Option<f64> {
        let flowing = self.flow.iter().filter(|flow| **flow > 0.0).count();
        let telling = waiting.iter().zip(&self.flow).filter(|(_, flow)| **flow * dt >= TELLING);
        let mut waits: Vec<f64> = telling.map(|(waits, flow)| waits / flow).collect();
        if 2 * waits.len() > flowing { super::quantile(&mut waits, 0.5) } else { None }
    }

    /// What replicas of the group can do; `None` before anything flowed through a known member. `sticky`: whether
    /// what need not move keeps running in a rebalance.
    pub fn capacity(&self, sticky: bool) -> Option<Capacity> {
        let mut assumptions = Vec::new();
        let rate = self.rates.estimate(&mut assumptions)?;
        let start_up = self.changes.start_up(&mut assumptions);
        let still = self.changes.standstill(sticky, &mut assumptions);
        Some(Capacity {
            start_up,
            start_ups: self.changes.start_ups(),
            rebalance: still.many,
            rebalance_one: still.one,
            rebalance_down: still.down,
            standstills: self.changes.standstills(sticky),
            assumptions,
            ..rate
        })
    }

    /// The fewest members that were seen to bring all that lies downstream takes; `None`: nothing holds them back.
    pub fn enough(&self) -> Option<Enough> {
        self.rates.enough()
    }

    /// How many were added last where most had work waiting, and by which share all together did more then; `None`: that
    /// was not seen.
    pub fn last_step(&self) -> Option<(u32, f64)> {
        self.rates.last_step()
    }

    /// Whether anything was seen to flow.
    pub fn knows(&self) -> bool {
        !self.shares.is_empty()
    }

    /// Whether what a member can do is known, or a lower bound of it.
    pub fn knows_rate(&self) -> bool {
        self.rates.knows()
    }

    /// Seconds for which work that is done may not be seen, for it is not committed yet: 0 where commits come about as
    /// often as looks.
    pub fn unseen(&self) -> f64 {
        self.commits.patience()
    }

    /// Whether the newest look says nothing about the group: its offsets begin anew.
    pub fn is_blind(&self) -> bool {
        self.at.is_none()
    }

    /// Whether the newest look is the first within its span of `every` seconds; never after one that says nothing.
    pub fn is_first_within(&self, every: f64) -> bool {
        self.at.is_some_and(|at| self.prior.is_none_or(|was| was.floor_to(every) != at.floor_to(every)))
    }

    /// Whether a rebalance leaves where it is what need not move; `None`: too few were seen.
    pub fn is_sticky(&self) -> Option<bool> {
        self.changes.is_sticky()
    }

    /// Share of the demand per partition, smoothed; empty before two looks.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// Records that wait beyond what always waits between two commits.
    pub fn excess(&self) -> f64 {
        self.excess
    }

    /// Records that wait beyond what always waits, per partition; empty before two looks.
    pub fn waits(&self) -> Vec<f64> {
        let (Some(floor), true) = (self.floor, self.flow.len() == self.now.len()) else { return Vec::new() };
        self.waiting().zip(&self.flow).map(|(waits, flow)| (waits - flow * (floor + WOBBLE)).max(0.0)).collect()
    }

    /// Seconds of demand that wait beyond what always waits.
    pub fn late(&self) -> f64 {
        self.late
    }

    /// Seconds since each replica was asked for that is not ready yet, oldest first.
    pub fn starting(&self, now: Time) -> Vec<f64> {
        self.changes.starting(now)
    }

    /// Seconds since the change that work may still stand still for, and how many joined by it (0: a removal); `None`: it
    /// flows.
    pub fn standing_still(&self, now: Time) -> Option<(f64, u32)> {
        self.changes.standing_still(now)
    }

    /// Seconds since the count was last raised.
    pub fn since_up(&self, now: Time) -> Option<f64> {
        self.changes.since_up(now)
    }
}

#[cfg(test)]
mod tests;
