//! Two operators, one target, every order of their steps: a bounded exhaustive check.
//!
//! Each operator has its own disk and goes through ask, approve, intent on disk, request, answer, record; it may die
//! before and after every disk write and every request and start again. The target decides requests one by one, in any
//! order, as a compare-and-set on the count; an answer may be lost, and so may a request. A request that was not decided
//! when [`SETTLE`] has passed is never decided (the server's own deadline), so "time passes" drops it. The machine is the
//! real one; only its surroundings are modelled.

use super::machine::{
    Event, Look, SETTLE, Transition, may_follow, next,
    tests::{approve, proposed},
};
use crate::model::{Action, ActionState, Replicas};
use std::collections::HashSet;

const NOW: crate::model::Time = crate::model::Time::from_millis(1_800_000_000_000);

/// Where a request of an operator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Request {
    NotSent,
    /// On its way, or at the server and not decided.
    Sent,
    /// Decided, the answer on its way: whether it was accepted.
    Answered(bool),
    /// Over: decided and answered or its answer lost, or dropped.
    Gone,
}

/// What a running process knows that its disk does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Process {
    Up {
        /// The write was handed to the network by this process, so an answer can reach it.
        waits: bool,
    },
    Down,
}

#[derive(Clone, Debug)]
struct Operator {
    process: Process,
    /// The last synced record.
    disk: Option<Action>,
    to: u32,
    request: Request,
    /// SETTLE has passed since the outcome became unknown.
    settled: bool,
    /// Requests put on the wire, and how many of them the target accepted.
    sent: u32,
    accepted: u32,
    deaths: u32,
}

#[derive(Clone, Debug)]
struct World {
    count: u32,
    operators: [Operator; 2],
}

/// What tells two worlds apart.
type Key = (u32, [(Process, Option<(ActionState, u32, u32)>, Request, bool, u32, u32, u32); 2]);

impl World {
    fn new(to: [u32; 2]) -> Self {
        let operator = |to| Operator {
            process: Process::Up { waits: false },
            disk: None,
            to,
            request: Request::NotSent,
            settled: false,
            sent: 0,
            accepted: 0,
            deaths: 0,
        };
        Self { count: 6, operators: to.map(operator) }
    }

    fn key(&self) -> Key {
        let key = |o: &Operator| {
            let disk = o.disk.as_ref().map(|a| (a.state, a.from, a.to));
            (o.process, disk, o.request, o.settled, o.sent, o.accepted, o.deaths)
        };
        (self.count, [key(&self.operators[0]), key(&self.operators[1])])
    }

    /// Every world that one step of anybody leads to.
    fn successors(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for i in 0..2 {
            self.of_target(i, &mut all);
            match self.operators[i].process {
                Process::Up { waits } => self.of_process(i, waits, &mut all),
                Process::Down => all.push(self.restarted(i)),
            }
        }
        all
    }

    fn with(&self, i: usize, change: impl FnOnce(&mut Operator)) -> Self {
        let mut world = self.clone();
        change(&mut world.operators[i]);
        world
    }

    /// What the target and the network do with an operator's request.
    fn of_target(&self, i: usize, all: &mut Vec<Self>) {
        let o = &self.operators[i];
        let Some(action) = &o.disk else { return };
        match o.request {
            Request::Sent => {
                let accepted = self.count == action.from;
                let mut decided = self.with(i, |o| {
                    o.request = Request::Answered(accepted);
                    o.accepted += u32::from(accepted);
                });
                if accepted {
                    decided.count = action.to;
                }
                all.push(decided);
            }
            Request::Answered(_) => all.push(self.with(i, |o| o.request = Request::Gone)), // the answer is lost
            Request::NotSent | Request::Gone => {}
        }
    }

    /// What a living process does next, and that it may die first.
    fn of_process(&self, i: usize, waits: bool, all: &mut Vec<Self>) {
        let o = &self.operators[i];
        if o.deaths < 2 {
            all.push(self.with(i, |o| {
                o.process = Process::Down;
                o.deaths += 1;
            }));
        }
        let Some(action) = &o.disk else {
            let mut ask = proposed(["a", "b"][i]);
            (ask.from, ask.to) = (self.count, o.to);
            if ask.from != ask.to {
                all.push(self.with(i, |o| o.disk = Some(ask)));
            }
            return;
        };
        match action.state {
            ActionState::Proposed => all.extend(self.after(i, &approve(action))),
            ActionState::Approved => all.extend(self.after(i, &Event::Begin { refused: Vec::new() })),
            // The intent is on disk, by this very process: only now may the request go out.
            ActionState::Applying if !waits && o.request == Request::NotSent => all.push(self.with(i, |o| {
                o.request = Request::Sent;
                o.sent += 1;
                o.process = Process::Up { waits: true };
            })),
            ActionState::Applying => {
                match o.request {
                    Request::Answered(true) => {
                        all.extend(
                            self.after(i, &Event::Accepted { verify_by: NOW.plus(120.0) }).map(|w| w.answered(i)),
                        );
                    }
                    Request::Answered(false) => {
                        all.extend(self.after(i, &Event::Refused { reason: "409".into() }).map(|w| w.answered(i)));
                    }
                    _ => {}
                }
                all.extend(self.after(i, &Event::Lost { reason: "no answer".into() }));
            }
            ActionState::Unknown | ActionState::Applied => {
                let waited = if o.settled { SETTLE } else { 1.0 };
                let replicas = Replicas {
                    desired: self.count,
                    ready: self.count,
                    at: NOW,
                    origin: "".into(),
                    uid: action.uid.clone(),
                };
                let verify_by = NOW.plus(120.0);
                let look =
                    Event::Observed(Look { replicas, lever: None, writer: None, verify_by, expects: None, waited });
                all.extend(self.after(i, &look));
                if !o.settled {
                    all.push(self.with(i, |o| {
                        o.settled = true;
                        if o.request != Request::NotSent {
                            o.request = Request::Gone;
                        }
                    }));
                }
            }
            _ => {}
        }
    }

    fn answered(mut self, i: usize) -> Self {
        self.operators[i].request = Request::Gone;
        self
    }

    /// The world after an event that the machine allows and whose record is on disk.
    fn after(&self, i: usize, event: &Event) -> Option<Self> {
        let before = self.operators[i].disk.as_ref()?;
        let Ok(Transition::To(after)) = next(before, event, NOW) else { return None };
        assert!(may_follow(Some(before.state), after.state));
        Some(self.with(i, |o| {
            // How long something lasted is counted from its own record.
            o.settled &= after.state == before.state;
            o.disk = Some(*after);
        }))
    }

    fn restarted(&self, i: usize) -> Self {
        let up = |o: &mut Operator| o.process = Process::Up { waits: false };
        let world = self.after(i, &Event::Restart).unwrap_or_else(|| self.clone());
        let mut world = world.with(i, up);
        world.operators[i].settled = false;
        world
    }

    /// What must hold in every world.
    fn check(&self) {
        for o in &self.operators {
            assert!(o.sent <= 1, "a second request: {self:#?}");
            assert!(o.accepted <= o.sent);
            let state = o.disk.as_ref().map(|a| a.state);
            if o.sent > 0 {
                use ActionState::{Applied, Applying, Failed, Unknown, Verified};
                let told = matches!(state, Some(Applying | Unknown | Applied | Verified | Failed));
                assert!(told, "a request that no record tells of: {self:#?}");
            }
        }
        // Both wanted to begin at 6: the target let exactly one of them, unless one asked after the other was done.
        let froms: Vec<u32> =
            self.operators.iter().filter(|o| o.accepted > 0).filter_map(|o| Some(o.disk.as_ref()?.from)).collect();
        assert!(froms.len() < 2 || froms[0] != froms[1], "two writes from one count: {self:#?}");
    }

    /// What must hold when nothing can happen any more.
    fn check_end(&self) {
        for (i, o) in self.operators.iter().enumerate() {
            let Some(action) = &o.disk else { continue };
            assert!(action.state.is_final(), "left hanging: {self:#?}");
            let other = &self.operators[1 - i];
            if o.accepted > 0 && other.accepted == 0 {
                assert_eq!(
                    (self.count, action.state),
                    (action.to, ActionState::Verified),
                    "a write was lost: {self:#?}"
                );
            }
            if action.state == ActionState::Verified && other.accepted == 0 {
                assert_eq!(self.count, action.to, "verified and not so: {self:#?}");
            }
        }
    }
}

/// Walks every world within `depth` steps; how many there are.
fn explore(start: World, depth: usize) -> usize {
    let mut seen = HashSet::from([start.key()]);
    let mut layer = vec![start];
    for _ in 0..depth {
        let mut next = Vec::new();
        for world in layer {
            world.check();
            let successors = world.successors();
            // Deaths are always possible until they are used up; what ends otherwise is the end.
            if successors.is_empty() {
                world.check_end();
            }
            next.extend(successors.into_iter().filter(|w| seen.insert(w.key())));
        }
        layer = next;
    }
    println!("{} worlds", seen.len());
    assert!(layer.is_empty(), "{} worlds lie deeper than {depth} steps", layer.len());
    seen.len()
}

#[test]
fn two_operators_with_one_recommendation_write_once() {
    let worlds = explore(World::new([10, 10]), 40);
    assert!(worlds > 5_000, "{worlds} worlds are too few to say anything");
}

#[test]
fn two_operators_with_two_minds_never_write_from_the_same_count() {
    explore(World::new([10, 8]), 40);
}
