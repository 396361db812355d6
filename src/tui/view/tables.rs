//! Pages of several tables: all of them where there is room, else the one with the cursor under a line of tabs.

use super::plot;
use crate::{
    model::{Label, WorkloadView},
    tui::{
        Cx,
        hits::Hit,
        rows,
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
    layout::{Constraint, Direction, Layout, Rect},
    text::Line,
};
use unicode_width::UnicodeWidthStr;

/// Lines of the lowest chart worth its room.
const CHART: u16 = 8;

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
    /// The line of the cursor.
    pub(super) at: usize,
    /// Lines above the table, as far as there is room for it too.
    pub(super) above: Vec<Line<'static>>,
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
        let at = self.at;
        // The frame, the heads and three rows come first.
        let above = if usize::from(area.height) >= self.above.len() + 6 { &self.above[..] } else { &[] };
        let inside = Rect { height: area.height.saturating_sub(2 + above.len() as u16), ..area };
        let remark = table::position(self.rows.len(), Some(at), inside);
        let inner = widget::panel(cx.theme, &self.title, &remark, focus, area, buf);
        if self.rows.is_empty() {
            return widget::empty(cx.theme, &self.empty, inner, buf);
        }
        for (line, y) in above.iter().zip(inner.y..) {
            widget::put(line, inner.x + 1, y, inner, buf);
        }
        let taken = above.len() as u16;
        let inner = Rect { y: inner.y + taken, height: inner.height - taken, ..inner };
        if let Some(hits) = cx.hits {
            hits.rows(self.pane, self.rows.len(), Some(at), inner);
        }
        // Without the focus the cursor is not shown, but the rows around it are: other tables are about its row.
        let shown = table::visible(self.rows.len(), Some(at), inner);
        let cursor = focus.then(|| at.saturating_sub(shown.start));
        let rows = &self.rows[shown];
        table::draw(cx.theme, self.columns, rows.len(), cursor, inner, buf, |i| cells(&rows[i]));
    }
}

/// Draws into an area.
pub(super) type Draw<'a> = Box<dyn Fn(Rect, &mut Buffer) + 'a>;

/// One table of a page.
pub(super) struct Part<'a> {
    /// Which table it is.
    pub(super) pane: Pane,
    /// Its name on the tab, and its rows.
    pub(super) tab: (&'static str, usize),
    /// Lines that it has beside its rows.
    pub(super) more: usize,
    /// Whether the charts show what its cursor stands on.
    pub(super) charted: bool,
    /// Draws it.
    pub(super) draw: Draw<'a>,
}

/// Where everything stands on a page with room for all of it.
pub(super) struct Places {
    /// The tables, in the order of [`Page::parts`].
    pub(super) parts: [Rect; 4],
    /// The charts; empty: there is no room for them.
    pub(super) charts: Rect,
}

/// A page of several tables and the charts of the workload under the cursor.
pub(super) struct Page<'p, 'a> {
    pub(super) cx: &'p Cx<'a>,
    /// In the order of [`crate::tui::View::panes`].
    pub(super) parts: [Part<'p>; 4],
    /// Draws what the cursor stands on as charts; `None`: there is nothing to draw.
    pub(super) charts: Option<Draw<'p>>,
    /// Columns and lines from which everything is shown at once.
    pub(super) roomy: (u16, u16),
}

impl Page<'_, '_> {
    /// Draws everything where `arrange` puts it; on a small screen one line of tabs, the table with the cursor, and the
    /// charts below it when there is room. `arrange` is given the tables' rows, and whether there is anything to chart.
    pub(super) fn draw(&self, arrange: fn([usize; 4], Rect, bool) -> Places, area: Rect, buf: &mut Buffer) {
        if area.width < self.roomy.0 || area.height < self.roomy.1 {
            return self.focused(area, buf);
        }
        let rows = [0, 1, 2, 3].map(|i: usize| self.parts[i].tab.1 + self.parts[i].more);
        let places = arrange(rows, area, self.charts.is_some());
        for (part, place) in self.parts.iter().zip(places.parts) {
            (part.draw)(place, buf);
        }
        if let Some(charts) = self.charts.as_ref().filter(|_| !places.charts.is_empty()) {
            charts(places.charts, buf);
        }
    }

    fn focused(&self, area: Rect, buf: &mut Buffer) {
        let [line, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
        self.tabs(line, buf);
        let pane = self.cx.state.pane();
        let Some(part) = self.parts.iter().find(|p| p.pane == pane).or(self.parts.first()) else { return };
        let charts = self.charts.as_ref().filter(|_| part.charted);
        // A long table leaves the lower part of the page to the charts.
        let table = ((part.tab.1 + part.more).max(2) as u16 + 3).min(body.height * 11 / 20);
        let room = room_for_charts(charts.map_or(0, |_| body.height.saturating_sub(table)));
        let [top, bottom] = Layout::vertical([Constraint::Fill(1), Constraint::Length(room)]).areas(body);
        (part.draw)(top, buf);
        if let Some(charts) = charts.filter(|_| !bottom.is_empty()) {
            charts(bottom, buf);
        }
    }

    /// The names of the tables with their counts, the one with the focus accented.
    fn tabs(&self, area: Rect, buf: &mut Buffer) {
        let (cx, theme) = (self.cx, self.cx.theme);
        let mut spans = vec![span(" ", theme.style(Slot::Text))];
        for part in &self.parts {
            let focus = self.cx.state.pane() == part.pane;
            let style = theme.style(if focus { Slot::Accent } else { Slot::Dim });
            let mark = if focus { theme.glyphs().cursor } else { " " };
            let text = format!("{mark}{} {}", part.tab.0, part.tab.1);
            let (x, width) = (Line::from(spans.clone()).width() as u16, text.width() as u16);
            if let Some(hits) = cx.hits {
                hits.add(Rect { x: area.x + x, width, ..area }, Hit::Tab(part.pane));
            }
            spans.push(span(text, style));
            spans.push(span("   ", style));
        }
        let next = self.cx.state.keymap.hint(crate::tui::action::Action::NextPane);
        spans.push(span(next.map_or_else(String::new, |key| format!("{key}: the next one")), theme.style(Slot::Dim)));
        let line = widget::fit_line(theme, Line::from(spans), usize::from(area.width));
        widget::put(&line, area.x, area.y, area, buf);
    }
}

/// Both charts of a workload, side by side.
pub(super) fn charts_of<'p>(cx: &'p Cx<'_>, view: &'p WorkloadView) -> Draw<'p> {
    Box::new(move |area, buf| plot::both(cx, view, Direction::Horizontal, area, buf))
}

/// The lines that a page has left when its tables have what they want: enough for a chart, or none.
pub(super) fn room_for_charts(left: u16) -> u16 {
    if left >= CHART { left } else { 0 }
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
