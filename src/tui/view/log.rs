//! What changed since the start, newest first.

use crate::tui::{
    Cx, format,
    log::Entry,
    rows,
    state::Pane,
    theme::Slot,
    widget::{
        self, span,
        table::{self, Column},
        value,
    },
};
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    text::Line,
};

const COLUMNS: [Column; 3] =
    [Column::words("  TIME", 10, 10, 0), Column::numbers("AGO", 4, 1), Column::words("WHAT CHANGED", 30, 240, 0)];

/// Columns that stand beside the sentences: frame, time and age.
const BESIDE: u16 = 24;
/// Lines of the chosen sentence, with an empty one above.
const WHOLE: u16 = 4;

pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let entries = rows::log(cx.state);
    let cursor = rows::log_at(&entries, cx.state);
    // Where sentences are cut the chosen one stands in full below the table, always in the same room.
    let cut = entries.iter().any(|e| e.text.len() > usize::from(area.width.saturating_sub(BESIDE)));
    let whole = if cut && area.height >= 3 * WHOLE { WHOLE } else { 0 };
    let inside = Rect { height: area.height.saturating_sub(2 + whole), ..area };
    let remark = table::position(entries.len(), Some(cursor), inside);
    let inner = widget::panel(cx.theme, &format!("Log, newest first, {}", cx.zone(cx.now)), &remark, true, area, buf);
    if entries.is_empty() {
        let text = if cx.state.filter.is_empty() {
            "nothing has changed since this screen was started: changes of sources, workloads, advice and actions are told here".to_owned()
        } else {
            format!("nothing that changed matches the filter {:?}; Esc clears it", cx.state.filter)
        };
        return widget::empty(cx.theme, &text, inner, buf);
    }
    let [inner, below] = Layout::vertical([Constraint::Fill(1), Constraint::Length(whole)]).areas(inner);
    if let Some(hits) = cx.hits {
        hits.rows(Pane::Log, entries.len(), Some(cursor), inner);
    }
    table::draw(cx.theme, &COLUMNS, entries.len(), Some(cursor), inner, buf, |i| cells(cx, entries[i]));
    let columns = usize::from(below.width.saturating_sub(2));
    let text = entries.get(cursor).map_or_else(Vec::new, |e| widget::wrap(&e.text, columns));
    for (row, y) in text.into_iter().zip(below.y.saturating_add(1)..below.bottom()) {
        widget::put(&Line::from(span(row, cx.theme.style(Slot::Text))), below.x + 1, y, below, buf);
    }
}

fn cells(cx: &Cx<'_>, entry: &Entry) -> Vec<Line<'static>> {
    let theme = cx.theme;
    let slot = match entry.severity {
        crate::model::Severity::Ok => Slot::Text,
        other => value::slot(other),
    };
    vec![
        Line::from(vec![
            value::severity(theme, entry.severity),
            span(format!(" {}", cx.clock_seconds(entry.at)), theme.style(Slot::Dim)),
        ]),
        Line::from(span(format::age(cx.now.since(entry.at).max(0.0)), theme.style(Slot::Dim))),
        Line::from(span(entry.text.clone(), theme.style(slot))),
    ]
}
