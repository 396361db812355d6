//! What a change of the count does: seconds until a replica joins, what is moved, how long that stands still.

use super::{Look, Place};
use crate::model::{Capacity, Time};
use std::collections::{BTreeMap, VecDeque};

/// Newest start-ups that count, and their quantile: the slower half matters, the slowest are other trouble.
const START_UPS: usize = 200;
const START_UP_QUANTILE: f64 = 0.6;
/// Seconds from asking to ready when no start-up was seen.
const START_UP: f64 = 60.0;
/// A replica that was asked for longer ago than this never came for another reason (no room, no image).
const NEVER: f64 = 1_800.0;
/// Newest rebalances that tell how partitions are dealt.
const REBALANCES: usize = 40;
/// A rebalance is sticky that moves less than this many times the least that it must.
const STICKY: f64 = 1.6;
/// Changes in one direction within this many seconds are one action: start-ups jitter, and what an *action* costs is
/// what matters.
const ONE_ACTION: f64 = 60.0;
/// A change of sticky members is clean when no more than this many seconds of demand waited before, as that may lie with
/// those that move. Of others it is taken off, up to the second.
const CALM: f64 = 4.0;
const LATE: f64 = 20.0;
/// Work flows again once commits make up for this share of what arrived.
const FLOWS: f64 = 0.2;
/// A standstill longer than this has another reason.
const LONGEST: f64 = 240.0;
/// Clean standstills that count, fewest, and their quantile: of sticky members, and where all stop.
const STALLS: usize = 120;
const FEWEST: usize = 3;
const STALL_QUANTILE: (f64, f64) = (0.8, 0.65);
const FROZEN_QUANTILE: f64 = 0.8;
/// How long work stood still at a change, seconds of demand.
#[derive(Clone, Copy, Debug)]
struct Stall {
    /// Of all partitions, without what waited before, and of those that moved.
    all: f64,
    moved: f64,
    /// What waited before.
    before: f64,
    /// How many joined.
    joined: u32,
    /// One decision: an autoscaler that changes its mind every 15 s makes one rebalance follow the other.
    alone: bool,
}

/// A change that is being followed.
#[derive(Clone, Debug)]
struct Event {
    began: Time,
    up: bool,
    /// How many have joined.
    joined: u32,
    /// Seconds of demand that waited before.
    before: f64,
    /// When the last count was asked for, and whether no other one was while it was followed.
    decided: Option<Time>,
    alone: bool,
    /// Whose each partition was before.
    owners: Vec<Option<u64>>,
    /// Most seconds of demand that waited beyond the floor: of all partitions, and of those that moved.
    stall: (f64, f64),
    /// Seconds until commits moved on again; `None`: they did not yet.
    frozen: Option<f64>,
    /// Whether they do.
    flows: bool,
}

/// What partitions together show between two looks.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    lag: f64,
    done: f64,
    arrived: f64,
    flow: f64,
}

impl Sum {
    fn add(&mut self, place: &Place, was: &Place, flow: f64) {
        self.lag += (place.end - place.committed).max(0.0);
        self.done += (place.committed - was.committed).max(0.0);
        self.arrived += (place.end - was.end).max(0.0);
        self.flow += flow;
    }

    fn flows(&self) -> bool {
        self.done >= FLOWS * self.arrived
    }

    /// Seconds of demand that wait.
    fn late(&self) -> f64 {
        if self.flow > 0.0 { self.lag / self.flow } else { 0.0 }
    }
}

/// Changes so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    counts: Option<(u32, u32)>,
    asked: VecDeque<Time>,
    took: VecDeque<f64>,
    raised: Option<Time>,
    /// When the count was last changed, and when the replica that came last was asked for.
    decided: Option<Time>,
    came: Option<Time>,
    /// Whether those that came in the newest look were asked for at once.
    together: bool,
    looked: Option<Time>,
    /// Owners when all were last known, and how many they were.
    owners: Vec<Option<u64>>,
    ratios: VecDeque<f64>,
    event: Option<Event>,
    ready: Option<u32>,
    rebalancing: bool,
    /// Whether everybody may have stood still in the last interval.
    disturbs: bool,
    /// Standstills of additions and of removals; until commits moved.
    stalls: [VecDeque<Stall>; 2],
    frozen: [VecDeque<f64>; 2],
}

impl Changes {
    pub fn restart(&mut self) {
        self.event = None;
        self.owners.clear();
        self.ready = None;
    }

    pub fn look_away(&mut self) {
        self.restart();
        (self.counts, self.raised, self.looked) = (None, None, None);
        self.asked.clear();
    }

    /// Counts asked for and ready, first in, first out; a decrease takes back what was asked for last.
    pub fn count(&mut self, look: &Look<'_>) {
        let (desired, since) = look.desired;
        let half = self.looked.map_or(0.0, |at| look.at.since(at).clamp(0.0, 60.0) / 2.0);
        self.looked = Some(look.at);
        let (was, ready_was) = self.counts.replace((desired, look.ready)).unwrap_or((desired, look.ready));
        if desired != was {
            self.decided = Some(since.min(look.at));
        }
        if desired > was {
            self.raised = Some(since.min(look.at));
            self.asked.extend(std::iter::repeat_n(since.min(look.at), (desired - was).min(1_000) as usize));
        }
        for _ in desired..was {
            self.asked.pop_back();
        }
        while self.asked.front().is_some_and(|at| look.at.since(*at) > NEVER) {
            self.asked.pop_front();
        }
        self.together = true;
        for i in ready_was..look.ready.min(ready_was.saturating_add(1_000)) {
            // One that is seen ready in the very look in which it was asked for was there before it was asked for.
            let came = self.asked.pop_front();
            self.together &= i == ready_was || came == self.came;
            self.came = came;
            if let Some(at) = self.came.filter(|at| *at < look.at) {
                self.took.push_back((look.at.since(at) - half).max(0.0));
            }
        }
        if look.ready >= desired {
            self.asked.clear();
        }
        while self.took.len() > START_UPS {
            self.took.pop_front();
        }
    }

    /// One look with the records per second that arrived at each partition since the one before; `calm`: seconds of
    /// demand that waited beyond the floor then.
    pub fn look(&mut self, look: &Look<'_>, before: &[Place], flow: &[f64], floor: f64, calm: f64) {
        let ready_was = self.ready.replace(look.ready).unwrap_or(look.ready);
        if look.ready != ready_was {
            self.opens(look, before, ready_was, calm);
        }
        let dealt = self.dealt(look);
        let sticky = self.is_sticky() == Some(true);
        let rebalanced = std::mem::replace(&mut self.rebalancing, look.rebalancing);
        self.disturbs = !sticky && (rebalanced || look.rebalancing || look.ready != ready_was || dealt);
        let Some(event) = &mut self.event else { return };
        let (mut all, mut moved) = (Sum::default(), Sum::default());
        let mut orphans = false;
        for (((place, was), flow), owner) in look.partitions.iter().zip(before).zip(flow).zip(&event.owners) {
            all.add(place, was, *flow);
            if place.owner.is_none() || *owner != place.owner {
                moved.add(place, was, *flow);
                orphans |= place.owner.is_none();
            }
        }
        let flows = if moved.flow > 0.0 { moved.flows() } else { all.flows() };
        let flows = flows && !orphans && (sticky || !look.rebalancing);
        let seconds = look.at.since(event.began);
        event.alone &= self.decided == event.decided;
        if !event.flows {
            event.stall.0 = event.stall.0.max(all.late() - floor);
            event.stall.1 = event.stall.1.max(moved.late() - floor);
            event.frozen = event.frozen.or_else(|| flows.then_some(seconds));
        }
        event.flows = flows;
        if seconds > LONGEST {
            self.event = None;
        } else if flows && seconds > ONE_ACTION {
            self.closes();
        }
    }

    /// What a rebalance moved, once all partitions have owners again; whether anything was.
    fn dealt(&mut self, look: &Look<'_>) -> bool {
        if look.rebalancing || look.partitions.iter().any(|p| p.owner.is_none()) {
            return false;
        }
        let distinct = |owners: &mut dyn Iterator<Item = Option<u64>>| {
            let mut ids: Vec<u64> = owners.flatten().collect();
            ids.sort_unstable();
            ids.dedup();
            ids.len()
        };
        if self.owners.len() == look.partitions.len() {
            let moved = self.owners.iter().zip(look.partitions).filter(|(was, is)| **was != is.owner).count();
            if moved == 0 {
                return false;
            }
            let n0 = distinct(&mut self.owners.iter().copied());
            let n1 = distinct(&mut look.partitions.iter().map(|p| p.owner));
            let (least, anew) = (fewest_moves(&self.owners, look, n1), dealt_anew(look.partitions.len(), n0, n1));
            // Where dealing everything out anew would hardly move more than must be moved, nothing can be told.
            if n0 != n1 && least > 0 && anew >= 2 * least {
                self.ratios.push_back(moved as f64 / least as f64);
                if self.ratios.len() > REBALANCES {
                    self.ratios.pop_front();
                }
            }
        }
        self.owners.clear();
        self.owners.extend(look.partitions.iter().map(|p| p.owner));
        true
    }

    /// A change of the ready count: a new action, or more of the one before.
    fn opens(&mut self, look: &Look<'_>, before: &[Place], ready_was: u32, calm: f64) {
        let (up, joined) = (look.ready > ready_was, look.ready.saturating_sub(ready_was));
        match &mut self.event {
            Some(event) if event.up == up && look.at.since(event.began) <= ONE_ACTION => {
                event.flows = false;
                event.joined = event.joined.saturating_add(joined);
                return;
            }
            Some(_) => self.closes(),
            None => {}
        }
        let known = self.owners.len() == before.len();
        let owners = if known { self.owners.clone() } else { before.iter().map(|p| p.owner).collect() };
        let first = self.came.or(self.asked.front().copied());
        let event = Event {
            began: look.at,
            up,
            joined,
            before: calm,
            decided: self.decided,
            alone: !up || self.together && self.asked.iter().all(|at| Some(*at) == first),
            owners,
            stall: (0.0, 0.0),
            frozen: None,
            flows: false,
        };
        self.event = Some(event);
    }

    fn closes(&mut self) {
        let Some(event) = self.event.take() else { return };
        let i = usize::from(!event.up);
        if event.before < LATE {
            let Event { before, joined, alone, stall: (all, moved), .. } = event;
            push(&mut self.stalls[i], Stall { all: (all - before).max(0.0), moved, before, joined, alone });
        }
        if let Some(frozen) = event.frozen {
            push(&mut self.frozen[i], frozen);
        }
    }

    pub fn disturbs(&self) -> bool {
        self.disturbs
    }

    pub fn is_sticky(&self) -> Option<bool> {
        let mut ratios: Vec<f64> = self.ratios.iter().copied().collect();
        super::super::quantile(&mut ratios, 0.5).map(|ratio| ratio < STICKY)
    }

    pub fn start_up(&self, assumptions: &mut Vec<String>) -> f64 {
        let mut took: Vec<f64> = self.took.iter().copied().collect();
        super::super::quantile(&mut took, START_UP_QUANTILE).unwrap_or_else(|| {
            assumptions.push(format!("{}: {START_UP} s from asking to ready assumed", super::super::NO_START_UP));
            START_UP
        })
    }

    /// Standstill of an addition of one and of many, and of a removal, seconds.
    pub fn pauses(&self, sticky: bool, assumptions: &mut Vec<String>) -> ((f64, f64), f64) {
        let assumed = super::super::assumed_standstill(sticky);
        let stalls = |i: usize| {
            let all = &self.stalls[i];
            let alone = all.iter().filter(|s| s.alone).count() >= FEWEST;
            let clean = move |s: &&Stall| if sticky { s.before < CALM } else { s.alone || !alone };
            all.iter().filter(clean).map(move |s| (Capacity::many(s.joined), if sticky { s.moved } else { s.all }))
        };
        let more = slope(stalls(0));
        let of = |i: usize| {
            // As if one had joined each time.
            let mut stalls: Vec<f64> =
                stalls(i).map(|(many, stall)| stall - if i == 0 { more * many } else { 0.0 }).collect();
            let mut frozen: Vec<f64> = self.frozen[i].iter().copied().collect();
            if stalls.len() >= FEWEST {
                super::super::quantile(&mut stalls, if sticky { STALL_QUANTILE.0 } else { STALL_QUANTILE.1 })
            } else if frozen.len() >= FEWEST && !sticky {
                super::super::quantile(&mut frozen, FROZEN_QUANTILE)
            } else {
                None
            }
        };
        let (up, down) = (of(0), of(1));
        if up.is_none() {
            assumptions.push(format!("{}: {} s of standstill assumed", super::super::NO_REBALANCE, assumed.0));
        }
        let up = up.map_or((assumed.0, assumed.0), |one| (one.max(0.0), one.max(0.0) + more));
        (up, down.unwrap_or(assumed.1))
    }

    pub fn starting(&self, now: Time) -> Vec<f64> {
        self.asked.iter().map(|at| now.since(*at).max(0.0)).collect()
    }

    /// Seconds since the action that work still stands still for, and whether it was an addition.
    pub fn standing_still(&self, now: Time) -> Option<(f64, u32)> {
        let event = self.event.as_ref().filter(|e| !e.flows)?;
        Some((now.since(event.began).max(0.0), event.joined))
    }

    pub fn since_up(&self, now: Time) -> Option<f64> {
        self.raised.map(|at| now.since(at).max(0.0))
    }
}

/// How much longer work stands still when many join than when one does, by least squares; 0 where nothing can be told.
fn slope(stalls: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let n = stalls.clone().count() as f64;
    if n < FEWEST as f64 {
        return 0.0;
    }
    let mean = |of: fn(&(f64, f64)) -> f64| stalls.clone().map(|s| of(&s)).sum::<f64>() / n;
    let (x, y) = (mean(|s| s.0), mean(|s| s.1));
    let (mut xx, mut xy) = (0.0, 0.0);
    for (a, b) in stalls {
        xx += (a - x) * (a - x);
        xy += (a - x) * (b - y);
    }
    if xx > 0.01 * n { (xy / xx).clamp(0.0, LONGEST) } else { 0.0 }
}

fn push<T>(values: &mut VecDeque<T>, value: T) {
    values.push_back(value);
    if values.len() > STALLS {
        values.pop_front();
    }
}
/// Moves that no assignor can spare when `members` are to own about as many partitions each as before.
fn fewest_moves(owners: &[Option<u64>], look: &Look<'_>, members: usize) -> usize {
    let mut stay: BTreeMap<u64, usize> = look.partitions.iter().filter_map(|p| Some((p.owner?, 0))).collect();
    for owner in owners.iter().flatten() {
        if let Some(held) = stay.get_mut(owner) {
            *held += 1;
        }
    }
    let (each, mut more) = (owners.len() / members.max(1), owners.len() % members.max(1));
    let kept = stay.values().map(|held| {
        let one_more = *held > each && more > 0;
        more -= usize::from(one_more);
        (*held).min(each + usize::from(one_more))
    });
    owners.len().saturating_sub(kept.sum())
}

/// Moves when partition p goes to member p mod n, first of `n0` and then of `n1`.
fn dealt_anew(partitions: usize, n0: usize, n1: usize) -> usize {
    (0..partitions).filter(|p| p % n0.max(1) != p % n1.max(1)).count()
}
