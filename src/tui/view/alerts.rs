//! What is wrong, worst first; below it the chosen one in full, with its mend.

use super::text::{Line, lines, wrap};
use crate::model::Time;
use crate::tui::{
    Cx,
    alerts::{self, Spot},
    format,
    past::not_kept,
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
    text,
};

const COLUMNS: [Column; 5] = [
    Column::words("  SEVERITY", 10, 10, 1),
    Column::words("WHAT", 12, 30, 0),
    Column::numbers("FOR", 4, 3),
    Column::words("WRONG", 20, 110, 0),
    Column::words("MEND", 20, 90, 4),
];

/// Lines of the panel with the chosen one.
const DETAIL: u16 = 8;

pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let (all, cursor) = (cx.frame.alerts(), cx.frame.alert_at());
    let detail = if area.height >= 14 && !all.is_empty() { DETAIL } else { 0 };
    let [top, bottom] = Layout::vertical([Constraint::Fill(1), Constraint::Length(detail)]).areas(area);
    let inside = Rect { height: top.height.saturating_sub(2), ..top };
    let remark = table::position(all.len(), Some(cursor), inside);
    let inner = widget::panel(cx.theme, "Alerts, worst first", &remark, true, top, buf);
    if all.is_empty() {
        return widget::empty(cx.theme, &nothing(cx), inner, buf);
    }
    if let Some(hits) = cx.hits {
        hits.rows(Pane::Alerts, all.len(), Some(cursor), inner);
    }
    table::draw(cx.theme, &COLUMNS, all.len(), Some(cursor), inner, buf, |i| cells(cx, &all[i]));
    if let Some(alert) = all.get(cursor).filter(|_| detail > 0) {
        let inner = widget::panel(cx.theme, &alert.subject(), alerts::word(alert.severity), false, bottom, buf);
        lines(cx, inner, buf, &in_full(cx, alert, usize::from(inner.width)), 0);
    }
}

/// Why nothing is listed.
fn nothing(cx: &Cx<'_>) -> String {
    if !cx.state.filter.is_empty() {
        return format!("nothing that is wrong matches the filter {:?}; Esc clears it", cx.state.filter);
    }
    if let Some(why) = not_kept(cx.picture, cx.state) {
        return why.into();
    }
    let answering = cx.picture.sources.iter().filter(|s| s.answered.is_some()).count();
    match (answering, cx.picture.sources.len()) {
        (_, 0) => "no source is configured: nothing is watched".into(),
        (0, n) => format!("none of {n} sources has answered yet: nothing is known"),
        (n, of) => format!("nothing is wrong, as far as {n} of {of} sources tell"),
    }
}

fn cells(cx: &Cx<'_>, alert: &Spot<'_>) -> Vec<text::Line<'static>> {
    let (theme, trouble) = (cx.theme, alert.trouble(cx.picture));
    let since = trouble.since.or_else(|| seen_since(cx, alert));
    let slot = value::slot(alert.severity);
    let cell = |slot: Slot, text: &str| text::Line::from(span(text, theme.style(slot)));
    let severity = text::Line::from(vec![
        value::severity(theme, alert.severity),
        span(format!(" {}", alerts::word(alert.severity)), theme.style(slot)),
    ]);
    vec![
        severity,
        cell(Slot::Text, &alert.subject()),
        since.map_or_else(|| value::missing(theme), |t| cell(Slot::Dim, &format::age(cx.now.since(t).max(0.0)))),
        cell(Slot::Text, &trouble.text),
        cell(Slot::Dim, &trouble.mend),
    ]
}

/// Of a workload's state: since when it is seen to be as bad.
fn seen_since(cx: &Cx<'_>, alert: &Spot<'_>) -> Option<Time> {
    alert.state().and_then(|view| cx.state.log.since(view))
}

fn in_full(cx: &Cx<'_>, alert: &Spot<'_>, columns: usize) -> Vec<Line> {
    let trouble = alert.trouble(cx.picture);
    let mut text = wrap(" wrong  ", value::slot(alert.severity), &trouble.text, columns);
    if !trouble.mend.is_empty() {
        text.extend(wrap(" mend   ", Slot::Text, &trouble.mend, columns));
    }
    if !trouble.evidence.is_empty() {
        text.extend(wrap(" from   ", Slot::Dim, &trouble.evidence, columns));
    }
    if let Some(since) = trouble.since.or_else(|| seen_since(cx, alert)) {
        let (clock, age) = (cx.clock_seconds(since), format::age(cx.now.since(since).max(0.0)));
        text.extend(wrap(" since  ", Slot::Dim, &format!("{clock} {} ({age} ago)", cx.zone(since)), columns));
    }
    text
}
