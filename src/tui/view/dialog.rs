//! Dialogs: which one is drawn how, and how far those that show a long text can be scrolled.

use super::{
    super::{
        Cx,
        dialog::{Dialog, SNOOZES},
        state::State,
        theme::Slot,
    },
    actions, approve, choose, command, explain,
    footer::field,
    help, palette,
    text::{Line, lines as put_lines, plain, popup, wrap},
    what_if,
};
use crate::model::{Picture, Time};
use ratatui::{buffer::Buffer, layout::Rect};

/// Columns of a dialog with much text.
const WIDE: u16 = 100;

/// Columns of text inside a wide dialog.
fn text_columns(columns: u16) -> usize {
    usize::from(WIDE.min(columns.saturating_sub(2)).saturating_sub(4))
}

/// Lines of text that the tallest dialog has on a screen.
pub(crate) fn lines((_, height): (u16, u16)) -> usize {
    usize::from(height.saturating_sub(4))
}

/// The text of a dialog that can be scrolled; `arrow` stands between two counts.
fn text(dialog: &Dialog, state: &State, picture: &Picture, now: Time, (columns, arrow): (u16, &str)) -> Vec<Line> {
    let columns = text_columns(columns);
    match dialog {
        Dialog::Approve(approve) => approve::lines(approve, state, picture, now, (columns, arrow)),
        Dialog::Help(_) => help::lines(state, picture, now, columns),
        Dialog::Explain { workload, .. } => match picture.workload(workload.as_str()) {
            Some(view) => explain::lines(view, now, columns),
            None => wrap("", Slot::Unknown, &format!("{workload} is not in the picture any more"), columns),
        },
        Dialog::WhatIf { answer, .. } => what_if::lines(answer.as_ref(), now, columns),
        Dialog::Ran { ran, .. } => command::output(ran, state, columns),
        Dialog::Action { id, .. } => match picture.actions.iter().find(|a| a.id == *id) {
            Some(action) => actions::detail(action, now, columns),
            None => wrap("", Slot::Unknown, "this action is not in the picture any more", columns),
        },
        _ => Vec::new(),
    }
}

/// The first line that can be scrolled to the top.
pub(crate) fn last_line(dialog: &Dialog, state: &State, picture: &Picture, now: Time) -> usize {
    text(dialog, state, picture, now, (state.size.0, "→")).len().saturating_sub(lines(state.size))
}

pub(super) fn draw(cx: &Cx<'_>, dialog: &Dialog, area: Rect, buf: &mut Buffer) {
    match dialog {
        Dialog::Help(top) => scrolled(cx, dialog, area, buf, "Keys", *top),
        Dialog::Explain { workload, scroll } => {
            scrolled(cx, dialog, area, buf, &format!("Explain {workload}"), *scroll);
        }
        Dialog::WhatIf { workload, scroll, .. } => {
            scrolled(cx, dialog, area, buf, &format!("What if: {workload}"), *scroll);
        }
        Dialog::Ask(ask) => command::ask(cx, area, buf, ask),
        Dialog::Ran { ran, scroll } => scrolled(cx, dialog, area, buf, ran.name.as_str(), *scroll),
        Dialog::Action { scroll, .. } => scrolled(cx, dialog, area, buf, "Action", *scroll),
        Dialog::Palette { input, cursor } => palette::draw(cx, area, buf, input, *cursor),
        Dialog::Choose { choice, cursor } => choose::draw(cx, area, buf, choice, *cursor),
        Dialog::Filter { .. } => {} // it is the footer's line
        Dialog::Approve(approve) => scrolled(cx, dialog, area, buf, "Approve", approve.scroll),
        Dialog::Reject { plan, input } => {
            let mut reason = vec![(Slot::Dim, "why: ".to_owned())];
            reason.extend(field(input));
            let text = [plain(format!("{}, plan {}", plan.workload, plan.hash)), Line::new(), reason];
            small(cx, area, buf, "Reject", &text);
        }
        Dialog::Count { plan, current, limits, input, problem } => {
            let mut count = vec![(Slot::Dim, "replicas: ".to_owned())];
            count.extend(field(input));
            let now = format!("{}: {current} now, {} to {} allowed", plan.workload, limits.min, limits.max);
            let said = match problem {
                Some(problem) => vec![(Slot::Act, problem.clone())],
                None => vec![(Slot::Dim, "it is checked and dry-run before anything is asked of you".to_owned())],
            };
            small(cx, area, buf, "Change the count", &[plain(now), Line::new(), count, said]);
        }
        Dialog::At { input, problem } => {
            let mut at = vec![(Slot::Dim, format!("at ({}): ", cx.zone(cx.now)))];
            at.extend(field(input));
            let said = match problem {
                Some(problem) => vec![(Slot::Act, problem.clone())],
                None => {
                    vec![(Slot::Dim, "everything is checked again then; until then it can be cancelled".to_owned())]
                }
            };
            let how = plain("14:20 is the next one, +15 is in 15 minutes".to_owned());
            small(cx, area, buf, "Approve for later", &[how, Line::new(), at, said]);
        }
        Dialog::Travel { input, problem } => {
            let mut at = vec![(Slot::Dim, format!("at ({}): ", cx.zone(cx.now)))];
            at.extend(field(input));
            let said = match problem {
                Some(problem) => vec![(Slot::Act, problem.clone())],
                None => {
                    vec![(Slot::Dim, "the screen is frozen there; , and . step by a minute, space goes on".to_owned())]
                }
            };
            let how = plain("03:12 was the last one, -15 was 15 minutes ago".to_owned());
            small(cx, area, buf, "What was on screen", &[how, Line::new(), at, said]);
        }
        Dialog::Snooze { plan, cursor } => {
            let mut text = vec![plain(format!("{}: do not ask again for", plan.workload)), Line::new()];
            for (i, (words, _)) in SNOOZES.iter().enumerate() {
                let (slot, mark) =
                    if i == *cursor { (Slot::Accent, cx.theme.glyphs().cursor) } else { (Slot::Text, " ") };
                text.push(vec![
                    (slot, format!("{mark} ")),
                    (Slot::Key, (i + 1).to_string()),
                    (slot, format!(" {words}")),
                ]);
            }
            small(cx, area, buf, "Snooze", &text);
        }
    }
}

fn small(cx: &Cx<'_>, area: Rect, buf: &mut Buffer, title: &str, text: &[Line]) {
    let inner = popup(cx, area, buf, title, 72, text.len());
    put_lines(cx, inner, buf, text, 0);
}

/// A long text with how much of it is above and below. What an approval is of stays above it.
fn scrolled(cx: &Cx<'_>, dialog: &Dialog, area: Rect, buf: &mut Buffer, title: &str, top: usize) {
    let mut text = text(dialog, cx.state, cx.picture, cx.now, (area.width, cx.theme.glyphs().arrow));
    let height = lines((area.width, area.height));
    let top = top.min(text.len().saturating_sub(height));
    let title = if text.len() > height {
        format!("{title}  {}-{}/{}", top + 1, (top + height).min(text.len()), text.len())
    } else {
        title.to_owned()
    };
    let inner = popup(cx, area, buf, &title, WIDE, text.len());
    if matches!(dialog, Dialog::Approve(_)) {
        let head: Vec<Line> = text.iter().take(approve::head(&text).min(height / 2)).cloned().collect();
        text.iter_mut().skip(top).zip(head).for_each(|(line, kept)| *line = kept);
    }
    put_lines(cx, inner, buf, &text, top);
}
