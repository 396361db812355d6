//! The tour's step, above the footer: the page above it stays in use.

use super::{
    super::{
        Cx,
        theme::Slot,
        tour::{self, STEPS},
        widget,
    },
    text::{lines, wrap},
};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    widgets::{Clear, Widget},
};

/// Columns of the panel at most.
const WIDTH: u16 = 96;

pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let Some((i, step)) = cx.state.tour.and_then(|i| Some((i, STEPS.get(i)?))) else { return };
    let width = WIDTH.min(area.width);
    let columns = usize::from(width.saturating_sub(4));
    let mut text = wrap("", Slot::Text, step.text, columns);
    if let Some(waits) = tour::waits_for(cx.state, cx.picture) {
        text.extend(wrap("", Slot::Look, waits, columns));
    }
    let height = (text.len() as u16 + 2).min(area.height);
    let place = Rect { x: area.right() - width, y: area.bottom() - height, width, height };
    Clear.render(place, buf);
    buf.set_style(place, cx.theme.style(Slot::Background));
    let title = format!("Tour {}/{}: {}", i + 1, STEPS.len(), step.title);
    let inner = widget::panel(cx.theme, &title, "t next", true, place, buf);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    lines(cx, inner, buf, &text, 0);
}
