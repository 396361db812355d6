//! Pages of several tables: all of them where there is room, else the one with the cursor under a line of tabs.

use super::plot;
use crate::{
    model::{Label, WorkloadKind, WorkloadView},
    tui::{
        Cx, rows,
        state::Pane,
        theme::Slot,
        widget::{
            self, span,
            table::{self, Column},
        },
    },
};
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    text::Line,
};

/// Lines of the lowest chart worth its room.
const CHART: u16 = 9;

/// What a table shows.
pub(super) struct Sheet<'a, T> {
    /// Which table it is.
    pub(super) pane: Pane,
    /// Title of its panel.
    pub(super) title: String,
    /// Columns.
    pub(super) columns: &'a [Column],
    /// Rows.
    pub(super) rows: &'a [rows::Row<'a, T>],
    /// What to say when there are no rows.
    pub(super) empty: String,
}

impl<T> Sheet<'_, T> {
    /// Draws the panel and the table; the cursor shows where the focus is.
    pub(super) fn draw(
        &self,
        cx: &Cx<'_>,
        area: Rect,
        buf: &mut Buffer,
        cells: impl Fn(&rows::Row<'_, T>) -> Vec<Line<'static>>,
    ) {
        let focus = cx.state.pane() == self.pane;
        let at = rows::position(self.rows.iter().map(|r| &r.id), cx.state.selected(self.pane));
        let inside = Rect { height: area.height.saturating_sub(2), ..area };
        let remark = table::position(self.rows.len(), Some(at), inside);
        let inner = widget::panel(cx.theme, &self.title, &remark, focus, area, buf);
        if self.rows.is_empty() {
            return widget::empty(cx.theme, &self.empty, inner, buf);
        }
        let cursor = focus.then_some(at);
        table::draw(cx.theme, self.columns, self.rows.len(), cursor, inner, buf, |i| cells(&self.rows[i]));
    }
}

/// One line of tabs: the names of the tables with their counts, the one with the focus accented.
pub(super) fn tabs(cx: &Cx<'_>, tabs: &[(Pane, &str, usize)], area: Rect, buf: &mut Buffer) {
    let theme = cx.theme;
    let mut spans = vec![span(" ", theme.style(Slot::Text))];
    for (pane, name, count) in tabs {
        let focus = cx.state.pane() == *pane;
        let style = theme.style(if focus { Slot::Accent } else { Slot::Dim });
        let mark = if focus { theme.glyphs().cursor } else { " " };
        spans.push(span(format!("{mark}{name} {count}"), style));
        spans.push(span("   ", style));
    }
    spans.push(span("Tab goes on", theme.style(Slot::Dim)));
    widget::put(&widget::fit_line(theme, Line::from(spans), usize::from(area.width)), area.x, area.y, area, buf);
}

/// The workload that a group, service or queue is.
pub(super) fn workload<'a>(
    cx: &Cx<'a>,
    kind: WorkloadKind,
    source: &Label,
    id: &Label,
) -> Option<&'a std::sync::Arc<WorkloadView>> {
    let same = |v: &&std::sync::Arc<WorkloadView>| {
        let entity = &v.workload.entity;
        entity.kind == kind && entity.source == *source && entity.id == *id
    };
    cx.picture.workloads.iter().find(same)
}

/// The lines that a page has left when its tables have what they want: enough for a chart, or none.
pub(super) fn room_for_charts(left: u16) -> u16 {
    if left >= CHART { left } else { 0 }
}

/// The two charts of a workload, side by side.
pub(super) fn charts(cx: &Cx<'_>, view: &WorkloadView, area: Rect, buf: &mut Buffer) {
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    plot::demand(cx, view, left, buf);
    plot::behind(cx, view, right, buf);
}

/// A name, with its source before it where there are several.
pub(super) fn name(cx: &Cx<'_>, source: &Label, several: bool, name: &str) -> Line<'static> {
    let theme = cx.theme;
    let mut line = Line::default();
    if several {
        line.spans.push(span(format!("{source}/"), theme.style(Slot::Dim)));
    }
    line.spans.push(span(name, theme.style(Slot::Text)));
    line
}
