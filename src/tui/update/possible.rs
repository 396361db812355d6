//! What can be done here and now. Footer, help and `update` ask the same question, so they cannot differ.

use super::super::{
    action::{Action, Section},
    alerts::{Place, Spot},
    format,
    frame::Frame,
    rows,
    state::{Pane, State, View},
};
use super::travel;
use crate::model::{
    Action as Done, ActionState, Label, Mode, Picture, Recommendation, Time, WorkloadKind, WorkloadView, Zone,
};
use std::sync::Arc;

/// Where the operator stands.
#[derive(Debug)]
pub struct Here<'a> {
    frame: &'a Frame<'a>,
    state: &'a State,
    /// The live picture.
    picture: &'a Picture,
    now: Time,
}

impl<'a> Here<'a> {
    /// On the page of this frame; `picture` is the live one.
    pub fn new(frame: &'a Frame<'a>, picture: &'a Picture, now: Time) -> Self {
        Self { frame, state: frame.state, picture, now }
    }

    /// The workload under the cursor, as it is shown.
    pub(super) fn workload(&self) -> Option<&'a Arc<WorkloadView>> {
        self.frame.workload()
    }

    fn is_workload(&self) -> Result<(), String> {
        match self.workload() {
            Some(_) => Ok(()),
            None if self.some_row().is_err() => Err(String::new()),
            None => Err("what is under the cursor is no workload".into()),
        }
    }

    /// What plays one needs a consumer group.
    fn is_group(&self, who: &str) -> Result<(), String> {
        match self.workload() {
            Some(view) if view.workload.entity.kind != WorkloadKind::ConsumerGroup => {
                Err(format!("{}: {who} plays consumer groups only", view.workload.name))
            }
            _ => self.is_workload(),
        }
    }

    fn some_row(&self) -> Result<(), String> {
        if self.frame.any(self.state.pane()) { Ok(()) } else { Err(String::new()) }
    }
}

/// Whether an action can be done on the page (dialogs aside); the error is a sentence for the operator, or empty where
/// there is nothing worth saying.
pub fn possible(action: Action, here: &Here<'_>) -> Result<(), String> {
    let nothing = || Err(String::new());
    let state = here.state;
    match action {
        _ if action.section() == Section::Decide => decidable(action, here),
        Action::Open => match state.pane() {
            Pane::Workloads if state.view == View::Overview => here.some_row(),
            Pane::Workloads if state.view == View::Backtest => here.is_group("a backtest"),
            Pane::Alerts => match here.frame.alerts().get(here.frame.alert_at()).map(Spot::place) {
                Some(Place::Here) => Err("there is no page about it: what is known of it stands below".into()),
                _ => here.some_row(),
            },
            Pane::Groups | Pane::Actions | Pane::Stages => here.some_row(),
            Pane::Partitions | Pane::Services | Pane::Queues | Pane::Log => here.is_workload(),
            _ => nothing(),
        },
        Action::Back
            if state.view == View::Overview && state.filter.is_empty() && state.cross.is_none() && state.pan <= 0.0 =>
        {
            nothing()
        }
        Action::Explain if !on_workloads(state) => Err("explain works on a workload: go to the overview first".into()),
        Action::WhatIf if !on_workloads(state) => Err("what if works on a workload: go to the overview first".into()),
        Action::WhatIf => here.is_group("what if"),
        Action::Day if !on_workloads(state) => Err("a day is planned for a workload: go to the overview first".into()),
        Action::Day if state.view == View::Day => nothing(),
        Action::Copy => here.some_row(),
        Action::Mark if !on_workloads(state) => Err("only workloads can be marked: go to the overview first".into()),
        Action::Note if !on_workloads(state) && state.marked.is_empty() => {
            Err("a note is of a workload: go to the overview first".into())
        }
        Action::Links if !on_workloads(state) => Err("links are of a workload: go to the overview first".into()),
        Action::Links if state.links.is_empty() => {
            Err("there are no links: write templates under [links] of the configuration".into())
        }
        Action::Explain | Action::Day | Action::Mark | Action::Note | Action::Links => here.is_workload(),
        Action::Heat if state.view != View::Kafka => Err("the map of partitions is on the Kafka page".into()),
        Action::Columns if state.view != View::Overview => nothing(),
        Action::Tour if !state.demo => Err("the tour is part of `highwater demo`".into()),
        Action::Later if state.frozen.is_none() => nothing(),
        Action::Theme if state.themes.is_empty() => nothing(),
        Action::Sort | Action::SortReverse if state.view != View::Overview => {
            Err("only the overview can be sorted".into())
        }
        Action::PanRight if state.pan <= 0.0 => Err("this is the present".into()),
        Action::PanLeft if state.pan >= travel::farthest(state) => Err("no older samples are kept on screen".into()),
        Action::Clock if state.local == Zone::default() => Err("this machine's own clock is UTC".into()),
        Action::ZoomIn if state.zoom == state.zoom.nearer() => Err("this is the shortest span".into()),
        Action::ZoomOut if state.zoom == state.zoom.farther() => Err("this is the longest span".into()),
        Action::NextPane | Action::PreviousPane if state.view.panes().len() < 2 => nothing(),
        Action::ZoomIn
        | Action::ZoomOut
        | Action::PanLeft
        | Action::PanRight
        | Action::Rivals
        | Action::Compare
        | Action::CrossLeft
        | Action::CrossRight
            if !charted(state.view) =>
        {
            nothing()
        }
        _ if action.view() == Some(state.view) => nothing(),
        _ => Ok(()),
    }
}

/// Whether the cursor of the page stands on a workload.
fn on_workloads(state: &State) -> bool {
    matches!(
        state.pane(),
        Pane::Workloads
            | Pane::Stages
            | Pane::Alerts
            | Pane::Groups
            | Pane::Partitions
            | Pane::Services
            | Pane::Queues
            | Pane::Actions
    )
}

fn charted(view: View) -> bool {
    !matches!(view, View::Actions | View::Alerts | View::Log)
}

/// The one place where the screen asks whether it may decide. (The engine asks again: in watch mode it has nobody who
/// could carry anything out.)
fn decidable(action: Action, here: &Here<'_>) -> Result<(), String> {
    let (state, picture) = (here.state, here.picture);
    if picture.mode == Mode::Watch {
        return Err("watch is read-only: decisions are made in `highwater operate`".into());
    }
    if action.is_of_approval() {
        return Err(String::new()); // they belong to the approval dialog
    }
    if state.frozen.is_some() {
        let key = state.keymap.hint(Action::Freeze).unwrap_or_else(|| ":freeze".into());
        return Err(format!("the screen is frozen: {key} goes on, so that you decide on what is true now"));
    }
    match action {
        Action::Undo if on_workloads(state) => return undoable(here).map(|_| ()),
        Action::Reject if state.pane() == Pane::Actions => return cancellable(state, picture).map(|_| ()),
        Action::Approve if state.pane() == Pane::Actions => return secondable(state, picture).map(|_| ()),
        _ => {}
    }
    if !on_workloads(state) || state.pane() == Pane::Actions {
        return Err("decisions are made on a workload: go to the overview first".into());
    }
    let view = here.workload().ok_or("there is no workload under the cursor")?; // not frozen: the live one
    let name = &view.workload.name;
    let recommendation = match &view.advice.recommendation {
        Ok(recommendation) => recommendation,
        Err(reason) => return Err(format!("{name}: no recommendation: {reason}")),
    };
    match action {
        Action::Approve | Action::ChangeCount => changeable(view, recommendation, picture, here.now)?,
        Action::Reject if !recommendation.is_change() => return Err(no_change(name, recommendation, here)),
        _ => {}
    }
    if action == Action::Approve {
        if !recommendation.is_change() {
            return Err(no_change(name, recommendation, here));
        }
        if let Some(blocked) = recommendation.blocked_by.first() {
            return Err(format!("{name}: held back by {}: {}", blocked.guard, blocked.detail));
        }
    }
    Ok(())
}

/// The change that undo would take back: the one under the cursor on the actions page, elsewhere the newest of the
/// workload. The engine asks the target itself whether the count is still there.
pub(super) fn undoable<'a>(here: &Here<'a>) -> Result<&'a Done, String> {
    let (state, picture) = (here.state, here.picture);
    let is_done = |a: &&Done| a.is_in_place();
    if state.pane() == Pane::Actions {
        let action = selected_action(state, picture).ok_or("there is no action under the cursor")?;
        let not = || format!("{} is {}: there is nothing to undo", action.workload, action.state.name());
        return Some(action).filter(is_done).ok_or_else(not);
    }
    let view = here.workload().ok_or("there is no workload under the cursor")?;
    let name = &view.workload.name;
    // Newest first: what was refused or was taken back is passed over.
    let newest = picture.actions.iter().find(|a| a.workload == *name && is_done(a));
    newest.ok_or_else(|| format!("{name}: there is nothing to undo"))
}

/// What waits for a second person under the cursor of the actions page. Whether it may be this one, the engine says.
pub(super) fn secondable<'a>(state: &State, picture: &'a Picture) -> Result<&'a Done, String> {
    let action = selected_action(state, picture).ok_or("there is no action under the cursor")?;
    let not = || {
        format!("{} is {}: only what waits for a second person is approved here", action.workload, action.state.name())
    };
    Some(action).filter(|a| a.waits_for_second()).ok_or_else(not)
}

/// The approval for later under the cursor of the actions page, or what waits for a second person.
pub(super) fn cancellable<'a>(state: &State, picture: &'a Picture) -> Result<&'a Done, String> {
    let action = selected_action(state, picture).ok_or("there is no action under the cursor")?;
    let later = action.state == ActionState::Approved && action.terms.begin_at.is_some();
    // Whether it is time to give up looking for what became of a write, the engine says.
    let waits = later || action.waits_for_second() || action.state == ActionState::Unknown;
    let not =
        || format!("{} is {}: only what waits for its time can be cancelled", action.workload, action.state.name());
    Some(action).filter(|_| waits).ok_or_else(not)
}

fn selected_action<'a>(state: &State, picture: &'a Picture) -> Option<&'a Done> {
    let actions = rows::actions(picture, state);
    let at = rows::position(actions.iter().map(|a| &a.id.0), state.selected(Pane::Actions));
    actions.get(at).copied()
}

fn no_change(name: &Label, recommendation: &Recommendation, here: &Here<'_>) -> String {
    match recommendation.more_later(here.now) {
        Some(step) => {
            let key = here.state.keymap.hint(Action::ChangeCount).unwrap_or_else(|| ":change-count".into());
            let (count, at) = (step.replicas, format::clock(step.at));
            format!("{name}: nothing to decide yet, {count} come up for approval at {at} UTC; {key} asks for them now")
        }
        None => format!("{name}: nothing to decide, {} is what it needs", recommendation.recommended),
    }
}

fn changeable(
    view: &WorkloadView,
    recommendation: &Recommendation,
    picture: &Picture,
    now: Time,
) -> Result<(), String> {
    let name = &view.workload.name;
    if recommendation.target.is_none() {
        return Err(format!("{name}: recommendation only: no target is configured for it"));
    }
    if let Some(action) = view.action.as_ref().filter(|a| a.waits_for_second()) {
        let Done { actor, from, to, .. } = action;
        return Err(format!("{name}: {actor} asks for a second person for {from} → {to}: decide on the actions page"));
    }
    if let Some(action) = view.action.as_ref().filter(|a| a.state == ActionState::Proposed) {
        let Done { actor, from, to, .. } = action;
        return Err(format!("{name}: {actor} is deciding about {from} → {to}"));
    }
    if let Some(action) = &view.action {
        return Err(format!(
            "{name}: a change is under way ({} → {}, {})",
            action.from,
            action.to,
            action.state.name()
        ));
    }
    if !picture.ledger.writable {
        return Err(format!("nothing can be approved: the ledger cannot be written ({})", picture.ledger.detail));
    }
    if now >= recommendation.expires {
        return Err(format!("{name}: this recommendation has expired; a new one comes with fresh data"));
    }
    Ok(())
}
