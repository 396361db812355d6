//! What a change of the count does: seconds until a replica joins, what is moved, how long that stands still.

use super::{Look, Place};
use crate::model::{Spread, Time};
use std::collections::{BTreeMap, VecDeque};

/// Newest start-ups that count, and their quantile: the slower half matters, the slowest are other trouble.
const START_UPS: usize = 200;
const START_UP_QUANTILE: f64 = 0.6;
/// Low and high quantile of times that were seen.
const SPREAD: (f64, f64) = (0.1, 0.9);
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
/// So many that join tell best how long work stands still when many do.
const SEVERAL: u32 = 4;
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

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up,
    Down,
    /// A member went whom nobody had taken back: its partitions wait until it is missed (`session.timeout.ms`), which no
    /// removal costs.
    Lost,
}

/// A change that is being followed.
#[derive(Clone, Debug)]
struct Event {
    began: Time,
    way: Way,
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
    fn add(&mut self, place: &Place, was: &Place, flow: f64, waits: f64) {
        self.lag += waits;
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

/// How long work stands still, seconds: when one replica or many are added, and when some are removed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Standstill {
    pub one: f64,
    pub many: f64,
    pub down: f64,
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

    /// One look with the records per second that arrived at each partition since the one before, and the records that
    /// wait; `calm`: seconds of demand that waited beyond the floor then.
    pub fn look(
        &mut self,
        look: &Look<'_>,
        before: &[Place],
        flow: &[f64],
        waiting: &[f64],
        (floor, calm): (f64, f64),
    ) {
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
        let places = look.partitions.iter().zip(before).zip(flow).zip(waiting).zip(&event.owners);
        for ((((place, was), flow), waits), owner) in places {
            all.add(place, was, *flow, *waits);
            if place.owner.is_none() || *owner != place.owner {
                moved.add(place, was, *flow, *waits);
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
            Some(event) if (event.way == Way::Up) == up && look.at.since(event.began) <= ONE_ACTION => {
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
        let down = if look.ready < look.desired.0 { Way::Lost } else { Way::Down };
        let event = Event {
            began: look.at,
            way: if up { Way::Up } else { down },
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
        let Some(event) = self.event.take().filter(|event| event.way != Way::Lost) else { return };
        let i = usize::from(event.way == Way::Down);
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

    /// The start-ups that were seen.
    pub fn start_ups(&self) -> Option<Spread> {
        spread(self.took.iter().copied())
    }

    /// The standstills that were seen of additions, and of removals.
    pub fn standstills(&self, sticky: bool) -> [Option<Spread>; 2] {
        [0, 1].map(|i| spread(self.clean(i, sticky).into_iter().map(|(_, stall)| stall)))
    }

    /// How long work stands still, as far as it was seen.
    ///
    /// Where all stop, an addition of one makes one rebalance, as a removal does, and is told by either. Several join one
    /// after the other, each into the rebalance of the one before or after it: where too few such additions were seen, that
    /// is one rebalance more, or as many as there is room for while they join.
    pub fn standstill(&self, sticky: bool, assumptions: &mut Vec<String>) -> Standstill {
        let assumed = super::super::assumed_standstill(sticky);
        let (ups, downs) = (self.clean(0, sticky), self.clean(1, sticky));
        let share = if sticky { STALL_QUANTILE.0 } else { STALL_QUANTILE.1 };
        let of = |stalls: &[(u32, f64)], counts: fn(u32) -> bool| {
            enough(stalls.iter().filter(|(joined, _)| counts(*joined)).map(|(_, stall)| *stall), share)
        };
        // Until commits move on again there is time for another change: only where all stop it tells that much.
        let frozen = |i: usize| enough(self.frozen[i].iter().copied().filter(|_| !sticky), FROZEN_QUANTILE);
        let down = of(&downs, |_| true).or_else(|| frozen(1));
        let one = if sticky {
            of(&ups, |joined| joined == 1)
        } else {
            of(&[ups.as_slice(), downs.as_slice()].concat(), |joined| joined <= 1).or(down)
        };
        let many = of(&ups, |joined| joined >= SEVERAL).or_else(|| of(&ups, |joined| joined > 1));
        let up = match (one, many) {
            (Some(one), Some(many)) => Some((one, many.max(one))),
            (Some(one), None) if !sticky => {
                let joining = self.spread().unwrap_or(assumed.0 - one);
                Some((one, one + joining.min(LONGEST).max(one)))
            }
            _ => of(&ups, |_| true).or_else(|| frozen(0)).map(|any| (any, any)),
        };
        if up.is_none() {
            assumptions.push(format!("{}: {} s of standstill assumed", super::super::NO_REBALANCE, assumed.0));
        }
        let (one, many) = up.unwrap_or((assumed.0, assumed.0));
        Standstill { one, many, down: down.unwrap_or(assumed.1) }
    }

    /// How many joined and how long work stood still, of additions (0) or removals (1) that tell what one decision does.
    fn clean(&self, which: usize, sticky: bool) -> Vec<(u32, f64)> {
        let stalls = &self.stalls[which];
        // Those that go, go at once: until enough of them stood alone, all removals count.
        let alone = which == 0 || stalls.iter().filter(|s| s.alone).count() >= FEWEST;
        let clean = stalls.iter().filter(|s| if sticky { s.before < CALM } else { s.alone || !alone });
        clean.map(|s| (s.joined, if sticky { s.moved } else { s.all })).collect()
    }

    /// Seconds within which most of those join that were asked for together.
    fn spread(&self) -> Option<f64> {
        let of = |share: f64| enough(self.took.iter().copied(), share);
        Some(of(SPREAD.1)? - of(SPREAD.0)?)
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

/// A quantile of at least [`FEWEST`] values.
fn enough(values: impl Iterator<Item = f64>, share: f64) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    if values.len() < FEWEST { None } else { super::super::quantile(&mut values, share) }
}

/// How times that were seen are spread; `None`: none was.
fn spread(values: impl Iterator<Item = f64>) -> Option<Spread> {
    let mut values: Vec<f64> = values.collect();
    let mut at = |share| super::super::quantile(&mut values, share);
    let (p10, p50, p90) = (at(SPREAD.0)?, at(0.5)?, at(SPREAD.1)?);
    Some(Spread { p10, p50, p90, seen: values.len() })
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
