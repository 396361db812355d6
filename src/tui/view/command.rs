//! The operator's own commands: what would be run, and what it wrote.

use super::{
    super::{
        Cx,
        action::Action,
        command::{Ask, Ran, Said, in_words},
        format,
        state::State,
        theme::Slot,
        update::DEAD_TIME,
        widget,
    },
    footer::field,
    text::{Line, lines, popup, wrap},
};
use crate::model::{Confirm, duration};
use ratatui::{buffer::Buffer, layout::Rect};

/// Draws the question.
pub(super) fn ask(cx: &Cx<'_>, area: Rect, buf: &mut Buffer, ask: &Ask) {
    let columns = 92.min(area.width.saturating_sub(2));
    let text = question(cx, ask, usize::from(columns.saturating_sub(4)));
    let height = usize::from(area.height.saturating_sub(4));
    let inner = popup(cx, area, buf, &format!("Run {}", ask.command.name), columns, text.len());
    // On a small screen the end is what counts: it says what the keys do.
    lines(cx, inner, buf, &text, text.len().saturating_sub(height));
}

fn question(cx: &Cx<'_>, ask: &Ask, room: usize) -> Vec<Line> {
    let mut text = wrap("", Slot::Title, ask.command.about.as_str(), room);
    text.push(Line::new());
    text.extend(whole(Slot::Text, &in_words(&ask.argv), room));
    text.push(Line::new());
    let timeout = duration(ask.command.timeout);
    let how = format!("no shell, no terminal; ended after {timeout}; it is in the log, not in the ledger");
    text.extend(wrap("how       ", Slot::Text, &how, room));
    if !ask.command.read_only {
        let why = "not declared read-only: what it changes nobody here knows, and no guard holds it";
        text.extend(wrap("changes   ", Slot::Look, why, room));
    }
    text.push(Line::new());
    if ask.types_name() {
        let mut typed = vec![(Slot::Dim, format!("type {} and press Enter: ", ask.name))];
        typed.extend(field(&ask.typed));
        text.push(typed);
    }
    let mut keys = Line::new();
    if cx.state.uptime.saturating_sub(ask.since) < DEAD_TIME {
        keys.push((Slot::Dim, "read it first     ".to_owned()));
    } else if !ask.types_name() {
        let confirm = cx.state.keymap.hint(Action::Confirm).unwrap_or_else(|| "no key".to_owned());
        let key = if ask.command.confirm == Confirm::None { "enter".to_owned() } else { confirm };
        keys.extend([(Slot::Key, format!("[{key}]")), (Slot::Text, " run it     ".to_owned())]);
    }
    keys.extend([(Slot::Key, "[esc]".to_owned()), (Slot::Text, " no".to_owned())]);
    text.push(keys);
    text
}

/// The lines of what was run.
pub(super) fn output(ran: &Ran, state: &State, columns: usize) -> Vec<Line> {
    let mut text = whole(Slot::Dim, &ran.words, columns);
    let running = state.uptime.saturating_sub(ran.began).as_secs_f64();
    match &ran.answer {
        None => {
            let of = duration(ran.timeout);
            let still = format!("runs since {} (of {of} at most); Esc leaves it running", format::age(running));
            text.extend(wrap("", Slot::Look, &still, columns));
        }
        Some(Err(why)) => text.extend(wrap("", Slot::Act, why, columns)),
        Some(Ok(said)) => text.extend(written(said, columns)),
    }
    text
}

fn written(said: &Said, columns: usize) -> Vec<Line> {
    let slot = if said.code == Some(0) { Slot::Good } else { Slot::Look };
    let mut text = vec![vec![(slot, said.ending())], Line::new()];
    text.extend(said.out.iter().flat_map(|line| whole(Slot::Text, line, columns)));
    if said.out.is_empty() {
        text.push(vec![(Slot::Dim, "nothing on standard output".to_owned())]);
    }
    if !said.err.is_empty() {
        text.extend([Line::new(), vec![(Slot::Head, "STANDARD ERROR".to_owned())]]);
        text.extend(said.err.iter().flat_map(|line| whole(Slot::Text, line, columns)));
    }
    if said.cut {
        text.extend([Line::new(), vec![(Slot::Look, "it wrote more than is kept here".to_owned())]]);
    }
    text
}

/// A line with its blanks as they are, broken where it is too wide.
fn whole(slot: Slot, line: &str, columns: usize) -> Vec<Line> {
    widget::chop(line, columns.max(2)).into_iter().map(|part| vec![(slot, part)]).collect()
}
