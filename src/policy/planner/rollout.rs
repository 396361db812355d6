//! The first decision, played slot by slot: replicas that are still starting, a pause under way, and what comes after.

use super::{
    Fleet, Problem, SLOT,
    dynamics::{Cost, Count, Stuck},
    programme::{Frame, Move, Values, changes},
    scenarios::{Scenario, clean},
};

/// Arrivals within this many seconds of the first are one action: its pause was learned with them in it.
const ONE_ACTION: f64 = 60.0;
/// Counts on either side that a later step may go to; the programme behind it knows them all.
const REACH: usize = 12;

/// What becomes of the ready count once a count is asked for.
#[derive(Debug)]
pub(super) struct Roll {
    /// The count asked for, which is paid.
    asked: u32,
    changes: bool,
    /// Counts that are ready at one time or another.
    ready: Vec<Count>,
    /// Per slot: which of them, and for how many of its seconds work stands still.
    slots: Vec<(usize, f64)>,
}

impl Roll {
    /// `asked` from now on, over a number of slots.
    pub fn new(problem: &Problem<'_>, fleet: &Fleet, frame: &Frame, asked: u32, slots: usize) -> Self {
        let before = problem.ready.min(problem.current);
        let arrivals = arrivals(problem, frame.start_up, asked);
        let start = before.min(asked);
        let pauses = pauses(problem, fleet, asked, &arrivals);
        let (mut ready, mut number) = (vec![Count::new(fleet, start, true)], start);
        let mut next = arrivals.iter().peekable();
        let slots = (0..slots).map(|slot| {
            let (from, to) = (slot as f64 * SLOT, (slot + 1) as f64 * SLOT);
            let had = number;
            while let Some((_, more)) = next.next_if(|(at, _)| *at < from + SLOT / 2.0) {
                number = number.saturating_add(*more).min(asked);
            }
            if number != had {
                ready.push(Count::new(fleet, number, true));
            }
            let paused: f64 = pauses.iter().map(|(a, b)| (to.min(*b) - from.max(*a)).max(0.0)).sum();
            (ready.len() - 1, paused.min(SLOT))
        });
        let slots = slots.collect();
        Self { asked, changes: asked != problem.current, ready, slots }
    }

    /// Plays the slots in one future from a backlog: what they cost and the backlog after them.
    pub fn play(&self, frame: &Frame, scenario: &Scenario, backlog: f64) -> (Cost, f64) {
        self.run(frame, scenario, backlog, |_, _| Stuck::default())
    }

    /// `stuck`: what of the backlog is, in a slot with its demand.
    fn run(
        &self,
        frame: &Frame,
        scenario: &Scenario,
        mut backlog: f64,
        stuck: impl Fn(usize, f64) -> Stuck,
    ) -> (Cost, f64) {
        let mut cost = Cost { price: if self.changes { frame.promise.action() } else { 0.0 }, slo_minutes: 0.0 };
        for (slot, ((i, paused), demand)) in self.slots.iter().zip(&scenario.slots).enumerate() {
            let Some(count) = self.ready.get(*i) else { break };
            let flow = (count.net(*demand), stuck(slot, *demand));
            let change = changes(flow, backlog + demand * paused, SLOT - paused);
            let (after, late) = frame.promise.spell(count, *demand, change, backlog, *paused, SLOT);
            backlog = after;
            cost.price += frame.promise.pods(self.asked, SLOT);
            cost.add(late, 1.0);
        }
        (cost, backlog)
    }

    /// Plays all slots and prices what is left: the count, number `at` of the frame, is never changed again.
    pub fn hold(&self, frame: &Frame, scenarios: &[Scenario], backlog: f64, at: usize) -> Cost {
        let mut total = Cost::default();
        for scenario in scenarios {
            let pile = scenario.piles.get(at);
            let stuck = |slot: usize, demand| {
                let stage = (slot as f64 * SLOT / frame.stage) as usize;
                pile.map_or_else(Stuck::default, |pile| pile.stuck(stage, demand))
            };
            let (mut cost, left) = self.run(frame, scenario, backlog, stuck);
            let last = scenario.slots.len().saturating_sub(1);
            let demand = scenario.slots.last().copied().unwrap_or(0.0);
            if let Some(count) = self.ready.last() {
                cost.price += frame.promise.left_over(count, demand, left, frame.most, stuck(last, demand));
            }
            total.add(cost, scenario.weight);
        }
        total
    }
}

/// Seconds from now and number of the replicas that become ready, once `asked` are asked for. What is taken back is
/// what was asked for last.
fn arrivals(problem: &Problem<'_>, start_up: f64, asked: u32) -> Vec<(f64, u32)> {
    let before = problem.ready.min(problem.current);
    let mut left = problem.current.min(asked).saturating_sub(before);
    let mut starting: Vec<f64> = problem.in_flight.iter().map(|s| clean(*s).min(start_up)).collect();
    starting.sort_by(f64::total_cmp);
    let mut out: Vec<(f64, u32)> = Vec::new();
    for at in starting.into_iter().take(left as usize) {
        out.push((at, 1));
        left -= 1;
    }
    // Replicas that are missing and nobody saw being asked for, and those that are asked for now.
    let rest = left + asked.saturating_sub(problem.current);
    if rest > 0 {
        out.push((start_up, rest));
    }
    out
}

/// When work stands still, from and to in seconds from now.
fn pauses(problem: &Problem<'_>, fleet: &Fleet, asked: u32, arrivals: &[(f64, u32)]) -> Vec<(f64, f64)> {
    let capacity = problem.capacity;
    let before = problem.ready.min(problem.current);
    let mut out = vec![(0.0, clean(problem.pausing))];
    if asked < before {
        out.push((0.0, clean(capacity.rebalance_down) * fleet.moved(before, asked)));
    }
    // What joins while work stands still is part of the same action.
    let (mut number, mut began) = (before, if problem.pausing > 0.0 { 0.0 } else { f64::NEG_INFINITY });
    let mut joined = 0;
    for (at, more) in arrivals {
        let next = number.saturating_add(*more);
        let begins = at - began > ONE_ACTION;
        if begins {
            (began, joined) = (*at, 0);
        }
        joined += more;
        let until = began + clean(capacity.standstill(joined)) * fleet.moved(next.saturating_sub(joined), next);
        match out.last_mut().filter(|_| joined > *more) {
            Some(same) => same.1 = same.1.max(until),
            None if begins => out.push((began, until)),
            None => {} // part of the standstill that is under way
        }
        number = next;
    }
    out
}

/// One future at the end of the first decision.
pub(super) struct Branch<'a> {
    pub scenario: &'a Scenario,
    pub values: &'a Values,
    pub backlog: f64,
}

/// Follows the programme from a count on, one decision for all futures together, as none of them is known yet: minutes
/// over the SLO, and the steps as seconds from now with the counts to ask for.
pub(super) fn follow(
    frame: &Frame,
    mut branches: Vec<Branch<'_>>,
    first: usize,
    mut at: usize,
    mut last_up: f64,
) -> (f64, Vec<(f64, u32)>) {
    let stages = branches.first().map_or(0, |b| b.scenario.stages.len());
    let (mut minutes, mut steps) = (0.0, Vec::new());
    for stage in first..stages {
        let now = stage as f64 * frame.stage;
        let from = &frame.counts[at];
        let mut best = (f64::INFINITY, at);
        for to in at.saturating_sub(REACH)..(at + REACH + 1).min(frame.counts.len()) {
            let count = &frame.counts[to];
            let soon = count.replicas < from.replicas && now - last_up <= super::SETTLE;
            if (!count.allowed && to != at) || soon {
                continue;
            }
            let ahead = branches.iter().map(|b| {
                let demand = b.scenario.stages[stage];
                let (after, cost) =
                    frame.serve(count, Frame::flow(count, b.scenario, to, stage), demand, b.backlog, way(at, to));
                b.scenario.weight * (cost.price + b.values.at(frame, stage + 1, to, after))
            });
            let price = frame.switch(from, count) + ahead.sum::<f64>();
            if price < best.0 || (price <= best.0 && to == at) {
                best = (price, to);
            }
        }
        let to = best.1;
        let count = &frame.counts[to];
        for b in &mut branches {
            let demand = b.scenario.stages[stage];
            let (after, cost) =
                frame.serve(count, Frame::flow(count, b.scenario, to, stage), demand, b.backlog, way(at, to));
            b.backlog = after;
            minutes += b.scenario.weight * cost.slo_minutes;
        }
        if to != at {
            let ask = if to > at { (now - frame.start_up).max(0.0) } else { now };
            if to > at {
                last_up = ask;
            }
            steps.push((ask, count.replicas));
            at = to;
        }
    }
    (minutes, steps)
}

fn way(from: usize, to: usize) -> Move {
    match to.cmp(&from) {
        std::cmp::Ordering::Less => Move::Down,
        std::cmp::Ordering::Equal => Move::Stay,
        std::cmp::Ordering::Greater => Move::Up,
    }
}
