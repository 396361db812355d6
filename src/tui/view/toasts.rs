//! Sentences that stand for a while above the footer, at the right.

use super::{
    super::{Cx, theme::Slot, widget::value},
    text::{put, width},
};
use crate::model::Severity;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    widgets::{Clear, Widget},
};

pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let glyphs = cx.theme.glyphs();
    for (toast, y) in cx.state.toasts.iter().rev().zip((area.y..area.bottom()).rev()) {
        let glyph = match toast.severity {
            Severity::Act => glyphs.act,
            Severity::Look => glyphs.look,
            Severity::Unknown => glyphs.dot,
            Severity::Ok => glyphs.up,
        };
        let line = vec![(value::slot(toast.severity), format!(" {glyph} ")), (Slot::Text, format!("{} ", toast.text))];
        let columns = (width(&line) as u16).min(area.width);
        let place = Rect { x: area.right() - columns, y, width: columns, height: 1 };
        Clear.render(place, buf);
        buf.set_style(place, cx.theme.style(Slot::Background));
        put(buf, cx.theme, (place.x, y), columns, &line);
    }
}
