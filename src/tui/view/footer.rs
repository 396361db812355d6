//! The keys that can be used here and now; or the line that is being typed.

use super::{
    super::{
        Cx,
        action::Action,
        dialog::{Choice, Dialog},
        filter::Filter,
        input::Input,
        state::View,
        theme::Slot,
        update::{Here, possible},
    },
    last_line,
    text::{Line, put, width},
};
use ratatui::{buffer::Buffer, layout::Rect};

/// What the footer offers on a page, the most useful first, as far as it is possible and fits: what is to be decided,
/// why, the way in and out, the other pages.
const OFFERED: [Action; 31] = [
    Action::Tour,
    Action::Approve,
    Action::Reject,
    Action::Explain,
    Action::WhatIf,
    Action::Open,
    Action::Back,
    Action::NextPane,
    Action::Overview,
    Action::Kafka,
    Action::Ml,
    Action::Actions,
    Action::Alerts,
    Action::Pipeline,
    Action::Log,
    Action::Backtest,
    Action::Filter,
    Action::ChangeCount,
    Action::Snooze,
    Action::Undo,
    Action::Rivals,
    Action::ZoomOut,
    Action::ZoomIn,
    Action::Sort,
    Action::Palette,
    Action::Freeze,
    Action::Note,
    Action::Mark,
    Action::Copy,
    Action::Links,
    Action::Theme,
];

pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    if let Some(Dialog::Filter { input, .. }) = cx.state.dialogs.last() {
        filter_line(cx, area, buf, input);
        return;
    }
    let always = match cx.state.dialogs.last() {
        Some(_) => Line::new(),
        None => hints(cx, &[Action::Help, Action::Quit]),
    };
    let room = area.width.saturating_sub(width(&always) as u16 + 2);
    let offered = match cx.state.dialogs.last() {
        Some(dialog) => dialog_hints(cx, dialog),
        None => page_hints(cx, usize::from(room)),
    };
    put(buf, cx.theme, (area.x + 1, area.y), room, &offered);
    put(buf, cx.theme, (area.right().saturating_sub(width(&always) as u16), area.y), area.width, &always);
}

/// The filter that hides rows, then what is possible, as far as it fits.
fn page_hints(cx: &Cx<'_>, room: usize) -> Line {
    let mut line = Line::new();
    if !cx.state.filter.is_empty() {
        line.push((Slot::Look, format!("filter {}  ", cx.state.filter)));
    }
    let here = Here::new(cx.frame, cx.picture, cx.now);
    // What a page is for.
    let first = match cx.state.view {
        View::Actions => Some(Action::Undo),
        View::Backtest => Some(Action::Open),
        _ => None,
    };
    let rest = OFFERED.into_iter().filter(|a| Some(*a) != first);
    for action in first.into_iter().chain(rest).filter(|a| possible(*a, &here).is_ok()) {
        let hint = match (action, cx.state.view) {
            (Action::Open, View::Backtest) => cx.state.keymap.hint(action).map_or_else(Line::new, |k| hint(&k, "play")),
            (Action::Overview, View::Workload | View::Day | View::Backtest) => {
                let mut others = hint(&others(cx), "another workload");
                others.extend(hints(cx, &[action]));
                others
            }
            _ => hints(cx, &[action]),
        };
        if width(&line) + width(&hint) > room {
            break;
        }
        line.extend(hint);
    }
    line
}

/// The keys that go to the other workloads, on the pages of one.
pub(super) fn others(cx: &Cx<'_>) -> String {
    let keys = [Action::Down, Action::Up].map(|action| cx.state.keymap.hint(action).unwrap_or_default());
    keys.join(" ")
}

/// `key word` of each action that has a key.
fn hints(cx: &Cx<'_>, actions: &[Action]) -> Line {
    let mut line = Line::new();
    for action in actions {
        if let Some(key) = cx.state.keymap.hint(*action) {
            line.extend(hint(&key, action.short()));
        }
    }
    line
}

fn hint(key: &str, word: &str) -> Line {
    vec![(Slot::Key, key.to_owned()), (Slot::Dim, format!(" {word}  "))]
}

/// The keys of a dialog. What its own text already says stands here too: the footer is where one looks.
fn dialog_hints(cx: &Cx<'_>, dialog: &Dialog) -> Line {
    let keys: &[(&str, &str)] = match dialog {
        Dialog::Palette { .. } => &[("enter", "run"), ("up down", "choose"), ("esc", "leave")],
        Dialog::Reject { .. } => &[("enter", "reject with this reason"), ("esc", "leave")],
        Dialog::Count { .. } => &[("enter", "check this count"), ("esc", "leave")],
        Dialog::Travel { .. } => &[("enter", "show it"), ("esc", "leave")],
        Dialog::At { .. } => &[("enter", "approve for this time"), ("esc", "back")],
        Dialog::Choose { choice: Choice::Columns, .. } => &[("space", "show or hide"), ("esc", "leave")],
        Dialog::Choose { choice: Choice::Theme { .. }, .. } => &[("enter", "take it"), ("esc", "as before")],
        Dialog::Choose { choice: Choice::Link { .. }, .. } => &[("enter", "send to the terminal"), ("esc", "leave")],
        Dialog::Snooze { .. } => &[("enter", "snooze"), ("1 2 3", "choose"), ("esc", "leave")],
        Dialog::Approve(_) | Dialog::Ask(_) | Dialog::Filter { .. } => &[("esc", "leave, nothing is done")],
        Dialog::Help(_)
        | Dialog::Explain { .. }
        | Dialog::WhatIf { .. }
        | Dialog::Ran { .. }
        | Dialog::Action { .. } => &[("esc", "leave")],
    };
    let mut line: Line = keys.iter().flat_map(|(key, word)| hint(key, word)).collect();
    if dialog.is_text() {
        line.extend(hints(cx, &[Action::Down, Action::Up, Action::PageDown, Action::PageUp]));
    } else if matches!(dialog, Dialog::Approve(_)) && last_line(dialog, cx.state, cx.picture, cx.now) > 0 {
        line.extend(hints(cx, &[Action::PageDown, Action::PageUp]));
    }
    line
}

/// The text field: what is before the cursor, the cursor, what is after it.
pub(super) fn field(input: &Input) -> Line {
    let (before, under, after) = input.split();
    vec![(Slot::Text, before), (Slot::Operate, under.to_string()), (Slot::Text, after)]
}

fn filter_line(cx: &Cx<'_>, area: Rect, buf: &mut Buffer, input: &Input) {
    let mut line = vec![(Slot::Key, " /".to_owned())];
    line.extend(field(input));
    let filter = Filter::parse(&input.text());
    match filter.problem() {
        Some(problem) => line.push((Slot::Look, format!("   {problem}"))),
        None => {
            line.push((Slot::Dim, "   words, kind:group, state:act, lag>10k, !not   enter keep   esc leave".into()));
        }
    }
    put(buf, cx.theme, (area.x, area.y), area.width, &line);
}
