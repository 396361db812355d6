//! Keys of the lists to choose from: themes, columns, links.

use super::{
    super::{
        action::Action,
        dialog::{Choice, Dialog},
        state::State,
        view::overview,
    },
    Effect, Press, distance, page,
};
use crate::model::{Picture, Severity};
use crossterm::event::KeyCode;

/// The lines of a list.
pub fn items(choice: &Choice, state: &State) -> Vec<String> {
    match choice {
        Choice::Theme { .. } => state.themes.clone(),
        Choice::Columns => overview::columns().map(|(name, _)| name).collect(),
        Choice::Link { .. } => state.links.iter().map(|l| l.name.clone()).collect(),
    }
}

/// Opens a list with the cursor on what is in force.
pub(super) fn open(state: &mut State, choice: Choice) {
    let cursor = match &choice {
        Choice::Theme { before } => state.themes.iter().position(|n| n == before).unwrap_or(0),
        Choice::Columns | Choice::Link { .. } => 0,
    };
    state.dialogs.push(Dialog::Choose { choice, cursor });
}

/// A key that does not leave the list.
pub(super) fn key(
    state: &mut State,
    choice: Choice,
    cursor: usize,
    action: Option<Action>,
    press: Press<'_>,
) -> Vec<Effect> {
    let items = items(&choice, state);
    let enter = press.chord.code() == KeyCode::Enter;
    match (&choice, items.get(cursor)) {
        (Choice::Theme { .. }, Some(name)) if enter => {
            state.say(Severity::Ok, format!("to keep it, write theme = {name:?} under [ui]"));
            return Vec::new();
        }
        (Choice::Link { workload }, Some(_)) if enter => return link(state, workload.as_str(), cursor, press.picture),
        (Choice::Columns, Some(name)) if enter || press.chord.typed() == Some(' ') => {
            let was_hidden = state.hidden.remove(name);
            state.hidden.extend((!was_hidden).then(|| name.clone()));
        }
        _ => {}
    }
    let lines = action.map_or(0, |a| distance(a, page(state)));
    let to = cursor.saturating_add_signed(lines).min(items.len().saturating_sub(1));
    state.dialogs.push(Dialog::Choose { choice: choice.clone(), cursor: to });
    match (choice, items.get(to)) {
        (Choice::Theme { .. }, Some(name)) if to != cursor => show(state, name.clone()),
        _ => Vec::new(),
    }
}

/// Leaves a list: what was only shown is taken back.
pub(super) fn leave(state: &mut State, choice: Choice) -> Vec<Effect> {
    match choice {
        Choice::Theme { before } if before != state.theme => show(state, before),
        _ => Vec::new(),
    }
}

fn show(state: &mut State, theme: String) -> Vec<Effect> {
    state.theme.clone_from(&theme);
    vec![Effect::Theme(theme)]
}

fn link(state: &mut State, workload: &str, cursor: usize, picture: &Picture) -> Vec<Effect> {
    let back = state.zoom.back();
    let (Some(view), Some(link)) = (state.shown(picture).workload(workload), state.links.get(cursor)) else {
        return Vec::new();
    };
    let at = state.shown(picture).at;
    let address = link.fill(view, (at.plus(-back), at));
    state.say(Severity::Ok, format!("sent to the terminal: {address}"));
    vec![Effect::Copy(address)]
}
