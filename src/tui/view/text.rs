//! Lines of styled text that do not know the theme: what dialogs are made of, measured and scrolled before drawing.

use super::super::{
    Cx,
    theme::{Slot, Theme},
    widget,
};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    widgets::{Clear, Widget},
};
use unicode_width::UnicodeWidthStr;

/// Pieces of one line, each with its use of colour.
pub(crate) type Line = Vec<(Slot, String)>;

/// One plain piece.
pub(crate) fn plain(text: impl Into<String>) -> Line {
    vec![(Slot::Text, text.into())]
}

/// Columns that a line takes.
pub(crate) fn width(line: &Line) -> usize {
    line.iter().map(|(_, text)| text.width()).sum()
}

/// Breaks `text` into lines of at most `columns`. The first line starts with `lead`, the others are indented as far.
pub(crate) fn wrap(lead: &str, slot: Slot, text: &str, columns: usize) -> Vec<Line> {
    let indent = lead.width();
    let room = columns.saturating_sub(indent).max(8);
    let lead = |i: usize| if i == 0 { lead.to_owned() } else { " ".repeat(indent) };
    let rows = widget::wrap(text, room).into_iter().enumerate();
    rows.map(|(i, row)| vec![(Slot::Dim, lead(i)), (slot, row)]).collect()
}

/// Draws a line from `x` on, at most `columns` wide; the column after it.
pub(crate) fn put(buf: &mut Buffer, theme: &Theme, (x, y): (u16, u16), columns: u16, line: &Line) -> u16 {
    put_on(buf, theme, (x, y), columns, line, Style::new())
}

/// Draws a line on a background (the row under the cursor).
pub(crate) fn put_on(
    buf: &mut Buffer,
    theme: &Theme,
    (x, y): (u16, u16),
    columns: u16,
    line: &Line,
    over: Style,
) -> u16 {
    let end = x.saturating_add(columns);
    let mut at = x;
    if !buf.area.contains((x, y).into()) {
        return at;
    }
    for (slot, text) in line {
        let room = usize::from(end.saturating_sub(at));
        (at, _) = buf.set_stringn(at, y, text, room, theme.style(*slot).patch(over));
    }
    if width(line) > usize::from(columns)
        && let Some(cell) = at.checked_sub(1).filter(|last| *last >= x).and_then(|last| buf.cell_mut((last, y)))
    {
        cell.set_symbol(theme.glyphs().cut);
    }
    at
}

/// A dialog in the middle, `columns` wide and as high as its text asks for; what is left inside of it.
pub(crate) fn popup(cx: &Cx<'_>, area: Rect, buf: &mut Buffer, title: &str, columns: u16, lines: usize) -> Rect {
    let width = columns.min(area.width.saturating_sub(2));
    let height = u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(2).min(area.height.saturating_sub(2));
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(place, buf);
    buf.set_style(place, cx.theme.style(Slot::Background));
    let inner = widget::panel(cx.theme, title, "", true, place, buf);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

/// Draws the lines that fit, from line `top` on.
pub(crate) fn lines(cx: &Cx<'_>, area: Rect, buf: &mut Buffer, text: &[Line], top: usize) {
    for (line, y) in text.iter().skip(top).zip(area.y..area.bottom()) {
        put(buf, cx.theme, (area.x, y), area.width, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_keeps_every_word_and_the_width() {
        let text = "demand reaches 15.1k/s at 14:21 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa é漢字漢字漢字漢字漢字漢字漢字漢字漢字";
        let rows = wrap("- ", Slot::Text, text, 20);
        assert!(rows.iter().all(|r| width(r) <= 20), "{rows:?}");
        let joined: String = rows.iter().map(|r| r[1].1.replace(' ', "")).collect();
        assert_eq!(joined, text.replace(' ', ""));
        assert_eq!(rows[0][0].1, "- ");
        assert_eq!(wrap("", Slot::Text, "", 20).len(), 1);
    }
}
