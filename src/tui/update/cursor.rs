//! The cursors: moved by keys, the wheel and clicks; they stay with what is under them.

use super::super::{
    action::Action,
    hits::Hit,
    rows,
    state::{Pane, State},
};
use crate::model::Picture;
use std::sync::Arc;

/// From now on the cursor stays with what is under it: with the first row where nobody moved it yet, or where the filter
/// hides what it was on.
pub(super) fn pin(state: &mut State, picture: &Arc<Picture>) {
    move_cursor(state, picture, 0);
}

/// Moves the cursor to another table of the view.
pub(super) fn turn(state: &mut State, by: isize) {
    let panes = state.view.panes();
    let at = panes.iter().position(|p| *p == state.pane()).unwrap_or(0);
    let next = (at.cast_signed() + by).rem_euclid(panes.len().cast_signed());
    state.focus.insert(state.view, panes[next.cast_unsigned()]);
}

/// Lines that PgUp and PgDn move: no more than a table has beside a chart, so that no row is passed over unseen.
pub(super) fn page(state: &State) -> isize {
    isize::from((state.size.1 / 3).cast_signed()).max(1)
}

/// Lines that an action moves downward; the ends are farther than any table is long.
pub(super) fn distance(action: Action, page: isize) -> isize {
    match action {
        Action::Down => 1,
        Action::Up => -1,
        Action::PageDown => page,
        Action::PageUp => -page,
        Action::Bottom => isize::MAX / 2,
        Action::Top => isize::MIN / 2,
        _ => 0,
    }
}

/// Moves the cursor to what was clicked at, or sorts by a head: first that way, then the other way round. What lies above
/// the page takes keys only.
pub(super) fn click(state: &mut State, hit: Hit, picture: &Arc<Picture>) {
    if !state.dialogs.is_empty() {
        return;
    }
    match hit {
        Hit::Row(pane, _) | Hit::Tab(pane) if state.view.panes().contains(&pane) => {
            state.focus.insert(state.view, pane);
        }
        Hit::Head(sort) => {
            (state.sort, state.reverse) = (sort, state.sort == sort && !state.reverse);
        }
        _ => return, // of a page that is gone
    }
    if let Hit::Row(pane, row) = hit
        && let Some(id) = rows::ids(pane, state.shown(picture), state).into_iter().nth(row)
    {
        state.selected.insert(pane, id);
    }
}

/// Moves the cursor of the current table and remembers what is under it.
pub(super) fn move_cursor(state: &mut State, picture: &Arc<Picture>, lines: isize) {
    let pane = state.pane();
    let ids = rows::ids(pane, state.shown(picture), state);
    let at = rows::position(ids.iter(), state.selected(pane)).cast_signed();
    let to = at.saturating_add(lines).clamp(0, ids.len().cast_signed().max(1) - 1);
    match ids.get(to.cast_unsigned()) {
        // On the newest line of the log it stays with the newest.
        Some(_) if pane == Pane::Log && to == 0 => drop(state.selected.remove(&pane)),
        Some(id) => drop(state.selected.insert(pane, id.clone())),
        None => {}
    }
}
