//! The first of the two keys: it opens the dialog of a decision.

use super::{
    super::{
        action::Action,
        dialog::{Approve, Dialog, Plan},
        frame::Frame,
        input::Input,
        rows,
        state::{Pane, State},
    },
    Effect, Here, Press, possible,
};
use crate::model::{Intent, Recommendation, Time};

/// Asks for the way back; `possible` said that there is one.
pub(super) fn undo(state: &mut State, press: Press<'_>) -> Vec<Effect> {
    let frame = Frame::new(state.shown(press.picture), state);
    let done = possible::undoable(&Here::new(&frame, press.picture, press.at.now)).cloned();
    let Ok(done) = done else { return Vec::new() };
    let plan = Plan { workload: done.workload.clone(), hash: done.plan_hash.clone() };
    wait_for_answer(state, plan, done.from, press);
    vec![Effect::Send(Intent::Undo { action: done.id })]
}

/// Asks to see what waits for a second person; `possible` said that there is one.
fn second(state: &mut State, press: Press<'_>) -> Vec<Effect> {
    let Ok(asked) = possible::secondable(state, press.picture) else { return Vec::new() };
    let plan = Plan { workload: asked.workload.clone(), hash: asked.plan_hash.clone() };
    // One may leave it and come back to it: it is the same action then.
    state.settled = state.settled.take().filter(|id| *id != asked.id);
    wait_for_answer(state, plan, asked.to, press);
    if let Some(Dialog::Approve(approve)) = state.dialogs.last_mut() {
        approve.before = None; // likewise
    }
    vec![Effect::Send(Intent::Second { action: asked.id.clone() })]
}

/// Opens the dialog of a decision; `possible` said that there is a recommendation.
pub(super) fn decide(state: &mut State, action: Action, press: Press<'_>) -> Vec<Effect> {
    if state.pane() == Pane::Actions && action == Action::Approve {
        return second(state, press);
    }
    if state.pane() == Pane::Actions {
        let waiting = possible::cancellable(state, press.picture);
        return waiting.map_or_else(|_| Vec::new(), |a| vec![Effect::Send(Intent::Cancel { action: a.id.clone() })]);
    }
    let Some(view) = rows::current_workload(press.picture, state) else { return Vec::new() };
    let Ok(recommendation) = &view.advice.recommendation else { return Vec::new() };
    let plan = Plan { workload: view.workload.name.clone(), hash: recommendation.plan_hash.clone() };
    match action {
        Action::Approve => return ask(state, plan, recommendation.recommended, press),
        Action::Reject => state.dialogs.push(Dialog::Reject { plan, input: Input::default() }),
        Action::Snooze => state.dialogs.push(Dialog::Snooze { plan, cursor: 0 }),
        _ => state.dialogs.push(Dialog::Count {
            plan,
            current: recommendation.current.desired,
            limits: recommendation.limits,
            input: Input::new(&likely(recommendation, press.at.now).to_string()),
            problem: None,
        }),
    }
    Vec::new()
}

/// The count that is recommended, or that will be where nothing is asked for now.
fn likely(recommendation: &Recommendation, now: Time) -> u32 {
    recommendation.more_later(now).map_or(recommendation.recommended, |step| step.replicas)
}

/// Opens the approval dialog and asks the engine to check and dry-run the change.
pub(super) fn ask(state: &mut State, plan: Plan, to: u32, press: Press<'_>) -> Vec<Effect> {
    ask_for(state, plan, to, 0, press)
}

/// The same, for one of the writes that stick where the count has an owner.
pub(super) fn ask_for(state: &mut State, plan: Plan, to: u32, way: usize, press: Press<'_>) -> Vec<Effect> {
    let intent = Intent::Prepare { workload: plan.workload.clone(), to, plan_hash: plan.hash.clone(), way };
    wait_for_answer(state, plan, to, press);
    vec![Effect::Send(intent)]
}

/// Opens the approval dialog; what was asked for comes with a picture.
pub(super) fn wait_for_answer(state: &mut State, plan: Plan, to: u32, press: Press<'_>) {
    state.dialogs.push(Dialog::Approve(Box::new(Approve {
        plan,
        to,
        opener: press.chord,
        asked: press.at.uptime,
        before: press.picture.prepared.as_ref().map(|p| p.action.clone()),
        shown: None,
        refused_before: press.picture.unprepared.clone(),
        refused: None,
        typed: Input::default(),
        covered: false,
        scroll: usize::MAX,
    })));
}
