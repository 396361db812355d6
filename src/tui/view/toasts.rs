//! Sentences that stand for a while above the footer, at the right.

use super::{
    super::{
        Cx,
        theme::Slot,
        widget::{self, value},
    },
    text::put,
};
use crate::model::Severity;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    widgets::{Clear, Widget},
};
use unicode_width::UnicodeWidthStr;

/// Columns of a sentence at most: a longer one is broken, for a reason that is cut is none.
const WIDE: u16 = 110;
/// Lines of a sentence at most.
const LINES: usize = 4;
/// Columns that stand around the text.
const AROUND: u16 = 4;

pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let glyphs = cx.theme.glyphs();
    let mut bottom = area.bottom();
    for toast in cx.state.toasts.iter().rev() {
        let glyph = match toast.severity {
            Severity::Act => glyphs.act,
            Severity::Look => glyphs.look,
            Severity::Unknown => glyphs.dot,
            Severity::Ok => glyphs.up,
        };
        let mut text = widget::wrap(&toast.text, usize::from(area.width.min(WIDE).saturating_sub(AROUND)));
        if text.len() > LINES {
            text.truncate(LINES);
            if let Some(last) = text.last_mut() {
                last.push_str(glyphs.cut);
            }
        }
        let (lines, widest) = (text.len() as u16, text.iter().map(|row| row.width()).max().unwrap_or(0) as u16);
        if bottom < area.y + lines {
            return;
        }
        bottom -= lines;
        let columns = (widest + AROUND).min(area.width);
        let place = Rect { x: area.right() - columns, y: bottom, width: columns, height: lines };
        Clear.render(place, buf);
        buf.set_style(place, cx.theme.style(Slot::Background));
        for (i, (row, y)) in text.into_iter().zip(place.y..place.bottom()).enumerate() {
            let mark = if i == 0 { format!(" {glyph} ") } else { "   ".to_owned() };
            let line = vec![(value::slot(toast.severity), mark), (Slot::Text, format!("{row} "))];
            put(buf, cx.theme, (place.x, y), columns, &line);
        }
    }
}
