//! Lines of styled text that do not know the theme: what dialogs are made of, measured and scrolled before drawing.

use super::super::{
    Cx,
    theme::{Slot, Theme},
};
use crate::model::Severity;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    widgets::{Block, Clear, Widget},
};
use unicode_width::UnicodeWidthStr;

/// Pieces of one line, each with its use of colour.
pub(crate) type Line = Vec<(Slot, String)>;

/// The use of colour of a severity.
pub(crate) fn severity(severity: Severity) -> Slot {
    match severity {
        Severity::Ok => Slot::Good,
        Severity::Unknown => Slot::Unknown,
        Severity::Look => Slot::Look,
        Severity::Act => Slot::Act,
    }
}

/// One plain piece.
pub(crate) fn plain(text: impl Into<String>) -> Line {
    vec![(Slot::Text, text.into())]
}

/// Columns that a line takes.
pub(crate) fn width(line: &Line) -> usize {
    line.iter().map(|(_, text)| text.width()).sum()
}

/// Breaks `text` at spaces into lines of at most `columns`; a longer word is cut. The first line starts with `lead`,
/// the others are indented as far.
pub(crate) fn wrap(lead: &str, slot: Slot, text: &str, columns: usize) -> Vec<Line> {
    let indent = lead.width();
    let room = columns.saturating_sub(indent).max(8);
    let mut rows = vec![String::new()];
    for word in text.split_whitespace() {
        for part in chop(word, room) {
            let row = rows.last().map_or(0, |r| r.width());
            if row > 0 && row + 1 + part.width() > room {
                rows.push(part);
            } else if let Some(row) = rows.last_mut() {
                if !row.is_empty() {
                    row.push(' ');
                }
                row.push_str(&part);
            }
        }
    }
    let lead = |i: usize| if i == 0 { lead.to_owned() } else { " ".repeat(indent) };
    rows.into_iter().enumerate().map(|(i, row)| vec![(Slot::Dim, lead(i)), (slot, row)]).collect()
}

/// Cuts a word into parts of at most `room` columns.
fn chop(word: &str, room: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in word.chars() {
        if parts.last().is_some_and(|p| p.width() + 2 > room && !p.is_empty()) {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
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

/// A frame with a title; what is left inside of it.
pub(crate) fn panel(cx: &Cx<'_>, area: Rect, buf: &mut Buffer, title: &str, focus: bool) -> Rect {
    let slot = if focus { Slot::BorderFocus } else { Slot::Border };
    let block = Block::bordered()
        .border_set(cx.theme.glyphs().border)
        .border_style(cx.theme.style(slot))
        .title_style(cx.theme.style(Slot::Title))
        .title(format!(" {title} "));
    let inner = block.inner(area);
    block.render(area, buf);
    inner
}

/// A dialog in the middle, `columns` wide and as high as its text asks for; what is left inside of it.
pub(crate) fn popup(cx: &Cx<'_>, area: Rect, buf: &mut Buffer, title: &str, columns: u16, lines: usize) -> Rect {
    let width = columns.min(area.width.saturating_sub(2));
    let height = u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(2).min(area.height.saturating_sub(2));
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(place, buf);
    buf.set_style(place, cx.theme.style(Slot::Background));
    let inner = panel(cx, place, buf, title, true);
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
