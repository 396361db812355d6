//! What the views are made of: panels, tables, values with their age, charts, sparklines, gauges. Each draws into a
//! rectangle or gives a line of spans; none keeps anything between two frames.

mod canvas;
pub mod chart;
mod gauge;
pub mod sparkline;
pub mod table;
pub mod value;

pub use gauge::{gauge, heat};

use super::theme::{Slot, Theme};
use ratatui::{
    buffer::Buffer,
    layout::{Alignment, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Block, Paragraph, Widget, Wrap},
};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Draws a panel's frame with a title on the left and a remark on the right; gives the room inside.
pub fn panel(theme: &Theme, title: &str, remark: &str, focus: bool, area: Rect, buf: &mut Buffer) -> Rect {
    let room = usize::from(area.width.saturating_sub(4));
    let title = fit(theme, title, room);
    let left = room.saturating_sub(title.width() + 3);
    let remark = if remark.width() <= left { remark } else { "" };
    let mut block = Block::bordered().border_set(theme.glyphs().border).border_style(theme.style(if focus {
        Slot::BorderFocus
    } else {
        Slot::Border
    }));
    if !title.is_empty() {
        let style = theme.style(if focus { Slot::Accent } else { Slot::Title });
        block = block.title(Line::from(Span::styled(format!(" {title} "), style)));
    }
    if !remark.is_empty() {
        let remark = Span::styled(format!(" {remark} "), theme.style(Slot::Dim));
        block = block.title(Line::from(remark).alignment(Alignment::Right));
    }
    let inner = block.inner(area);
    block.render(area, buf);
    inner
}

/// What a panel says when it has nothing to show: what was looked for, where, and what to try.
pub fn empty(theme: &Theme, text: &str, area: Rect, buf: &mut Buffer) {
    let area = Rect { x: area.x + 1.min(area.width), width: area.width.saturating_sub(2), ..area };
    Paragraph::new(text.to_owned()).style(theme.style(Slot::Dim)).wrap(Wrap { trim: true }).render(area, buf);
}

/// Writes a line at a place, clipped to the area.
pub fn put(line: &Line<'_>, x: u16, y: u16, area: Rect, buf: &mut Buffer) {
    if y >= area.top() && y < area.bottom() && x >= area.left() && x < area.right() {
        buf.set_line(x, y, line, area.right() - x);
    }
}

/// Cuts text to a width, with a glyph that says so: between words where one ends not far from there.
pub fn fit(theme: &Theme, text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1; // the glyph that says so
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        out.push(c);
    }
    // A sequence of characters may be wider than each of them: an emoji with its variation selector.
    while !out.is_empty() && out.width() >= width {
        out.pop();
    }
    let whole = text[out.len()..].starts_with(' ');
    if let Some(end) = out.trim_end().rfind(' ').filter(|end| !whole && out[*end..].width() <= width / 4) {
        out.truncate(end);
    }
    out.truncate(out.trim_end().len());
    if width > 0 {
        out.push_str(theme.glyphs().cut);
    }
    out
}

/// Cuts a styled line to a width.
pub fn fit_line(theme: &Theme, line: Line<'static>, width: usize) -> Line<'static> {
    if line.width() <= width {
        return line;
    }
    let mut left = width;
    let mut spans = Vec::new();
    for span in line.spans {
        let wide = span.content.width();
        // A span that just fits is cut too when more would follow: the total is known to be too wide.
        if wide < left {
            left -= wide;
            spans.push(span);
        } else {
            let text = if wide == left {
                format!("{}{}", span.content, theme.glyphs().missing)
            } else {
                span.content.into_owned()
            };
            spans.push(Span::styled(fit(theme, &text, left), span.style));
            break;
        }
    }
    Line { spans, ..Line::default() }
}

/// Breaks text at spaces into lines of a width; a longer word is cut. At least one line.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in text.split_whitespace().flat_map(|word| chop(word, width.max(2))) {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(&part);
        } else if line.width() + 1 + part.width() <= width {
            line.push(' ');
            line.push_str(&part);
        } else {
            lines.push(part);
        }
    }
    lines
}

/// Cuts a word into parts of at most `width` columns.
pub fn chop(word: &str, width: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in word.chars() {
        if parts.last().is_some_and(|p| !p.is_empty() && p.width() + c.width().unwrap_or(0) > width) {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

/// A dim word and what it says, cut to a width.
pub fn pair(theme: &Theme, key: &str, text: &str, width: usize) -> Line<'static> {
    let line = Line::from(vec![span(key, theme.style(Slot::Dim)), span(text, theme.style(Slot::Text))]);
    fit_line(theme, line, width)
}

/// A span.
pub fn span(text: impl Into<String>, style: Style) -> Span<'static> {
    Span::styled(text.into(), style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so_and_what_fits_is_whole() {
        let theme = Theme::default();
        assert_eq!(fit(&theme, "fraud-scorer", 12), "fraud-scorer");
        assert_eq!(fit(&theme, "fraud-scorer", 6), "fraud…");
        assert_eq!(fit(&theme, "needs 5, has 3, unless they hold more", 32), "needs 5, has 3, unless they…");
        assert_eq!(fit(&theme, "needs 5, has 3", 9), "needs 5,…", "a word that just fits stays");
        assert_eq!(fit(&theme, "a verylongtopicname", 12), "a verylongt…", "a name is rather cut than lost");
        assert_eq!(fit(&theme, "数据数据", 5), "数据…", "a wide character never straddles the edge");
        assert!(
            fit(&theme, &"❤\u{fe0f}".repeat(9), 6).width() <= 6,
            "each is two columns wide, its characters are one"
        );
        let line = Line::from(vec![Span::raw("ab"), Span::raw("cd"), Span::raw("ef")]);
        assert_eq!(fit_line(&theme, line.clone(), 6).to_string(), "abcdef");
        assert_eq!(fit_line(&theme, line, 4).to_string(), "abc…");
    }

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(wrap("six replicas hold 5.6k/s", 12), ["six replicas", "hold 5.6k/s"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("数据数据", 5), ["数据", "数据"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
