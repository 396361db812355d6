//! One panel a file; every one a pure function `draw(cx, area, buf)`.

mod actions;
mod alerts;
mod approve;
mod backtest;
mod card;
mod choose;
mod command;
mod day;
mod dialog;
mod explain;
mod footer;
mod header;
mod heat;
mod help;
pub mod kafka;
mod log;
pub mod ml;
pub mod overview;
mod palette;
mod pipeline;
mod plot;
mod tables;
mod text;
mod toasts;
mod tour;
mod training;
mod what_if;
pub mod workload;

pub(super) use dialog::{last_line, lines as dialog_lines};

use super::{Cx, View, theme::Slot};
use crate::model::WorkloadView;
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
};

/// Below this nothing can be shown honestly: one line of text says so.
pub const SMALLEST: (u16, u16) = (60, 15);

/// Whether a terminal of this size shows nothing but that it is too small: then no key answers anything.
pub fn is_too_small((columns, lines): (u16, u16)) -> bool {
    columns < SMALLEST.0 || lines < SMALLEST.1
}

/// Header, the current view, footer, dialogs above them.
pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    if area.is_empty() {
        return; // a terminal may say that it has no lines at all
    }
    buf.set_style(area, cx.theme.style(Slot::Background));
    if is_too_small((area.width, area.height)) {
        let text = format!("{}x{} is too small: 60x15 is needed", area.width, area.height);
        buf.set_stringn(area.x, area.y, text, usize::from(area.width), cx.theme.style(Slot::Look));
        header::in_brief(cx, Rect { y: area.y + 1, height: area.height - 1, ..area }, buf);
        if cx.theme.glyphs().is_ascii() {
            to_ascii(area, buf);
        }
        return;
    }
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(header::LINES), Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    header::draw(cx, head, buf);
    page(cx, body, buf);
    tour::draw(cx, body, buf);
    toasts::draw(cx, body, buf);
    footer::draw(cx, foot, buf);
    for dialog in &cx.state.dialogs {
        dialog::draw(cx, dialog, area, buf);
    }
    if cx.theme.glyphs().is_ascii() {
        to_ascii(area, buf);
    }
}

/// The first chart of a workload, for notes.
pub(super) fn chart(cx: &Cx<'_>, view: &WorkloadView, area: Rect, buf: &mut Buffer) {
    plot::demand(cx, view, area, buf);
}

/// The current view.
fn page(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    match cx.state.view {
        View::Actions => actions::draw(cx, area, buf),
        View::Overview => overview::draw(cx, area, buf),
        View::Workload => workload::draw(cx, area, buf),
        View::Day => day::draw(cx, area, buf),
        View::Kafka => kafka::draw(cx, area, buf),
        View::Ml => ml::draw(cx, area, buf),
        View::Alerts => alerts::draw(cx, area, buf),
        View::Pipeline => pipeline::draw(cx, area, buf),
        View::Log => log::draw(cx, area, buf),
        View::Backtest => backtest::draw(cx, area, buf),
    }
}

/// Terminals that show ASCII only also get sentences from outside: what they cannot show becomes what is nearest, here
/// once for every panel.
fn to_ascii(area: Rect, buf: &mut Buffer) {
    for position in area.positions() {
        let Some(cell) = buf.cell_mut(position) else { continue };
        if cell.symbol().is_ascii() {
            continue;
        }
        let near = match cell.symbol() {
            "→" | "›" | "»" | "≥" => ">",
            "←" | "‹" | "«" | "≤" => "<",
            "−" | "–" | "—" | "─" => "-",
            "…" | "·" => ".",
            "×" => "x",
            "µ" => "u",
            "°" | "’" | "‘" => "'",
            "“" | "”" => "\"",
            "│" => "|",
            _ => "?",
        };
        cell.set_symbol(near);
    }
}

#[cfg(test)]
mod meaning_tests;
#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod screenshots;
#[cfg(test)]
mod tests;
