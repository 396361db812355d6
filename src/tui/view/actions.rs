//! Actions: what is under way with its progress, what was done, and everything about the selected one.

use super::{
    super::{
        Cx, format, rows,
        state::Pane,
        theme::Slot,
        widget::{
            self, span,
            table::{self, Column},
        },
    },
    text::{Line, lines, plain, wrap},
};
use crate::model::{Action, ActionState, Mode, Time};
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    text,
};

pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let actions = rows::actions(cx.picture, cx.state);
    let cursor = rows::position(actions.iter().map(|a| &a.id.0), cx.state.selected(Pane::Actions));
    let Some(selected) = actions.get(cursor) else {
        let inner = widget::panel(cx.theme, "Actions", "", true, area, buf);
        lines(cx, inner, buf, &empty(cx, usize::from(inner.width)), 0);
        return;
    };
    let detail = detail(selected, cx.now, usize::from(area.width.saturating_sub(4)));
    let below = (detail.len() as u16 + 2).min(area.height / 2);
    let [list, page] = Layout::vertical([Constraint::Fill(1), Constraint::Length(below)]).areas(area);
    table(cx, list, buf, &actions, cursor);
    let inner = widget::panel(cx.theme, selected.workload.as_str(), &selected.id.to_string(), false, page, buf);
    lines(cx, inner, buf, &detail, 0);
}

fn empty(cx: &Cx<'_>, columns: usize) -> Vec<Line> {
    let why = match (cx.state.filter.is_empty(), cx.picture.mode) {
        (false, _) => format!("no action matches the filter {}", cx.state.filter),
        (true, Mode::Operate) => {
            "no actions yet: approve a recommendation in the overview, and what becomes of it is told here".to_owned()
        }
        (true, Mode::Watch) => "no actions: this screen watches and can do none".to_owned(),
    };
    wrap(" ", Slot::Dim, &why, columns)
}

/// What became of it gives way last: who did it stands below the table as well.
const COLUMNS: [Column; 6] = [
    Column::words("  STATE", 9, 13, 0),
    Column::words("WORKLOAD", 10, 24, 1),
    Column::numbers("REPLICAS", 8, 0),
    Column::numbers("AGE", 4, 3),
    Column::words("PROGRESS", 24, 90, 0),
    Column::words("WHO", 8, 20, 5),
];

fn table(cx: &Cx<'_>, area: Rect, buf: &mut Buffer, actions: &[&Action], cursor: usize) {
    let under_way = actions.iter().filter(|a| !a.state.is_final()).count();
    let title = format!("Actions, {under_way} under way");
    let inside = Rect { height: area.height.saturating_sub(2), ..area };
    let remark = table::position(actions.len(), Some(cursor), inside);
    let inner = widget::panel(cx.theme, &title, &remark, true, area, buf);
    if let Some(hits) = cx.hits {
        hits.rows(Pane::Actions, actions.len(), Some(cursor), inner);
    }
    table::draw(cx.theme, &COLUMNS, actions.len(), Some(cursor), inner, buf, |i| cells(cx, actions[i]));
}

fn cells(cx: &Cx<'_>, action: &Action) -> Vec<text::Line<'static>> {
    let theme = cx.theme;
    let cell = |slot: Slot, text: String| text::Line::from(span(text, theme.style(slot)));
    vec![
        cell(slot(action.state), format!("  {}", action.state.name())),
        cell(Slot::Text, action.workload.to_string()),
        cell(Slot::Text, format!("{} {} {}", action.from, theme.glyphs().arrow, action.to)),
        cell(Slot::Dim, format::age(cx.now.since(action.updated).max(0.0))),
        cell(Slot::Text, progress(action, cx.now)),
        cell(Slot::Dim, action.actor.to_string()),
    ]
}

fn slot(state: ActionState) -> Slot {
    match state {
        ActionState::Verified => Slot::Good,
        ActionState::Failed => Slot::Act,
        ActionState::Unknown => Slot::Unknown,
        ActionState::Proposed | ActionState::Approved | ActionState::Applying | ActionState::Applied => Slot::Accent,
        _ => Slot::Dim,
    }
}

/// What is being waited for, or why it ended as it did.
fn progress(action: &Action, now: Time) -> String {
    match action.state {
        ActionState::Proposed if action.waits_for_second() => {
            format!(
                "waits for a second person, {} left; a approves, x refuses",
                format::countdown(action.expires.since(now))
            )
        }
        ActionState::Proposed => format!("{} is deciding", action.actor),
        ActionState::Approved => match action.terms.begin_at.filter(|at| *at > now) {
            Some(at) => {
                format!("approved for {} UTC, in {}; x cancels", format::clock(at), format::countdown(at.since(now)))
            }
            None => "intent recorded, not begun".to_owned(),
        },
        ActionState::Applying => "writing".to_owned(),
        ActionState::Applied => match action.verify_by {
            Some(by) if by > now => format!("accepted, ready within {}", format::countdown(by.since(now))),
            _ => "accepted, waits until ready".to_owned(),
        },
        ActionState::Verified => "ready at the count asked for".to_owned(),
        ActionState::Unknown => format!("outcome not known, being observed: {}", action.reason),
        _ => action.reason.to_string(),
    }
}

/// Everything about one action, for the panel below the table and the dialog.
pub(super) fn detail(action: &Action, now: Time, columns: usize) -> Vec<Line> {
    let mut text = Vec::new();
    let mut row = |label: &str, slot: Slot, words: &str| {
        if !words.is_empty() {
            text.extend(wrap(&format!(" {label:<10}"), slot, words, columns));
        }
    };
    let since = |t: Time| format!("{} UTC ({} ago)", format::clock_seconds(t), format::age(now.since(t).max(0.0)));
    row("state", slot(action.state), &format!("{}: {}", action.state.name(), progress(action, now)));
    row("change", Slot::Text, &format!("{} from {} to {} replicas", action.target, action.from, action.to));
    row("request", Slot::Text, action.request.as_str());
    row("who", Slot::Text, &who(action));
    row("why", Slot::Text, action.reason.as_str());
    row("when", Slot::Text, &format!("first {}, last {}", since(action.created), since(action.updated)));
    if let Some(at) = action.terms.begin_at {
        row("begins", Slot::Text, &format!("not before {} UTC", format::clock_seconds(at)));
    }
    if let Some(asked_by) = action.terms.asked_by.as_ref().filter(|a| **a != action.actor) {
        row("asked by", Slot::Text, &asked_by.to_string());
    }
    if action.terms.alone {
        row("alone", Slot::Look, "the shared ledger could not be asked when it was begun");
    }
    if let Some(other) = &action.terms.undoes {
        row("takes back", Slot::Text, &other.to_string());
    }
    if let Some(who) = &action.terms.reverted_by {
        row("reverted", Slot::Look, &format!("by {who}"));
    }
    row("evidence", Slot::Text, action.evidence.as_str());
    row(
        "plan",
        Slot::Dim,
        &format!("{}, not to be begun after {} UTC", action.plan_hash, format::clock_seconds(action.expires)),
    );
    row("id", Slot::Dim, &action.id.to_string());
    if text.is_empty() { vec![plain("")] } else { text }
}

/// The server's word for us first, then the person at the keyboard.
fn who(action: &Action) -> String {
    let actor = &action.actor;
    let here = format!("{}@{} (process {})", actor.os_user, actor.host, actor.pid);
    let ssh = actor.ssh.as_ref().map(|s| format!(", ssh {s}")).unwrap_or_default();
    match &actor.server_user {
        Some(user) => {
            let by = actor.vouched_by.as_ref().map(|v| format!(" by {v}")).unwrap_or_default();
            format!("{user}{by}; {here}{ssh}")
        }
        None => format!("{here}{ssh}"),
    }
}
