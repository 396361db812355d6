//! One panel a file; every one a pure function `draw(cx, area, buf)`.

use super::{Cx, View};
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
};

/// Below this nothing can be shown honestly: one line of text says so.
pub const SMALLEST: (u16, u16) = (60, 15);

/// Header, the current view, footer, dialogs above them.
pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("too small: {}×{} (needs 60×15)", area.width, area.height);
        buf.set_stringn(area.x, area.y, text, usize::from(area.width), ratatui::style::Style::default());
        return;
    }
    let [_header, body, _footer] =
        Layout::vertical([Constraint::Length(2), Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    page(cx, body, buf);
}

/// The current view.
fn page(cx: &Cx<'_>, _area: Rect, _buf: &mut Buffer) {
    match cx.state.view {
        // Each arm is one call: `View::Overview => overview::draw(cx, area, buf)`.
        View::Overview | View::Workload | View::Kafka | View::Ml | View::Actions => {}
    }
}
