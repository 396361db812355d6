//! A table whose cost is its visible rows: columns give way in the order of their rank, numbers stand right.

use super::{fit_line, put, span};
use crate::tui::{
    rows,
    theme::{Depth, Slot, Theme},
};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
};
use std::ops::Range;

/// Blank columns between two columns of the table.
const GAP: u16 = 2;
/// Beside the first and the last column; on the left the cursor stands there on terminals without colour.
const MARGIN: u16 = 1;
/// Width at which a name can still be told from its neighbours: columns of rank 4 and above go before it shrinks more.
const READABLE: u16 = 18;

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Head, with the unit of its numbers where they have one.
    pub title: &'static str,
    /// Where its text stands.
    pub align: Align,
    /// The width that it has at least; it grows with its content up to `most`.
    pub least: u16,
    /// The width that it has at most.
    pub most: u16,
    /// Who gives way first when the room is short: the highest rank. Rank 0 never does.
    pub rank: u8,
}

impl Column {
    /// A column of words.
    pub const fn words(title: &'static str, least: u16, most: u16, rank: u8) -> Self {
        Self { title, align: Align::Left, least, most, rank }
    }

    /// A column of numbers.
    pub const fn numbers(title: &'static str, least: u16, rank: u8) -> Self {
        Self { title, align: Align::Right, least, most: least + 8, rank }
    }
}

/// Draws the table and gives the columns and widths of its heads; 0: the column gave way.
///
/// `cells` is called for the rows that are drawn only.
pub fn draw(
    theme: &Theme,
    columns: &[Column],
    len: usize,
    cursor: Option<usize>,
    area: Rect,
    buf: &mut Buffer,
    cells: impl Fn(usize) -> Vec<Line<'static>>,
) -> Vec<(u16, u16)> {
    if area.is_empty() {
        return Vec::new();
    }
    let shown = visible(len, cursor, area);
    let built: Vec<Vec<Line<'static>>> = shown.clone().map(cells).collect();
    let widths = layout(columns, &built, area.width.saturating_sub(2 * MARGIN));
    let heads: Vec<Line<'static>> =
        columns.iter().map(|c| Line::from(span(c.title, theme.style(Slot::Head)))).collect();
    row(theme, columns, &widths, heads, Rect { height: 1, ..area }, buf);
    for (line, (i, cells)) in shown.zip(built).enumerate() {
        let y = area.y + 1 + line as u16;
        let area = Rect { y, height: 1, ..area };
        row(theme, columns, &widths, cells, area, buf);
        if cursor == Some(i) {
            buf.set_style(area, theme.style(Slot::Selection));
            if theme.depth() == Depth::None {
                put(&Line::from(Span::raw(theme.glyphs().cursor)), area.x, y, area, buf);
            }
        }
    }
    places(&widths, area.x)
}

/// Where each column begins, with its width.
fn places(widths: &[u16], left: u16) -> Vec<(u16, u16)> {
    let mut x = left.saturating_add(MARGIN);
    let place = |width: &u16| {
        let place = (x, *width);
        x = x.saturating_add(if *width == 0 { 0 } else { width + GAP });
        place
    };
    widths.iter().map(place).collect()
}

/// The rows that fit below the head.
pub fn visible(len: usize, cursor: Option<usize>, area: Rect) -> Range<usize> {
    rows::window(cursor.unwrap_or(0), len, usize::from(area.height.saturating_sub(1)))
}

/// "1–12/42", or the count alone when all are seen.
pub fn position(len: usize, cursor: Option<usize>, area: Rect) -> String {
    let shown = visible(len, cursor, area);
    if shown.len() >= len { len.to_string() } else { format!("{}-{}/{len}", shown.start + 1, shown.end) }
}

/// The width of each column; 0: it gave way.
fn layout(columns: &[Column], rows: &[Vec<Line<'static>>], room: u16) -> Vec<u16> {
    let wide = |i: usize, c: &Column| {
        let content = rows.iter().filter_map(|r| r.get(i)).map(Line::width).max().unwrap_or(0);
        (content as u16).max(c.title.chars().count() as u16).clamp(c.least, c.most.max(c.least))
    };
    let wishes: Vec<u16> = columns.iter().enumerate().map(|(i, c)| wide(i, c)).collect();
    let mut widths = wishes.clone();
    let total = |widths: &[u16]| widths.iter().filter(|w| **w > 0).map(|w| u32::from(w + GAP)).sum::<u32>();
    let over = |widths: &[u16]| total(widths).saturating_sub(u32::from(room + GAP)) as u16;
    // Long words give a little, then columns that can be spared go, then words shrink to their least, then the rest goes.
    for (least, rank) in [(READABLE, 4), (0, 1)] {
        while over(&widths) > 0 {
            let least = |i: usize| columns[i].least.max(least);
            let slack = |i: &usize| widths[*i] > least(*i) && columns[*i].align == Align::Left;
            let Some(i) = (0..columns.len()).filter(slack).max_by_key(|i| (columns[*i].rank, *i)) else { break };
            widths[i] -= over(&widths).min(widths[i] - least(i));
        }
        while over(&widths) > 0 {
            let spare = |i: &usize| widths[*i] > 0 && columns[*i].rank >= rank;
            let Some(i) = (0..columns.len()).filter(spare).max_by_key(|i| (columns[*i].rank, *i)) else { break };
            widths[i] = 0;
        }
    }
    // What giving way set free goes back to what was cut, then nowhere: numbers stay near their words.
    for (i, wish) in wishes.into_iter().enumerate().filter(|(i, _)| columns[*i].align == Align::Left) {
        let spare = u32::from(room + GAP).saturating_sub(total(&widths)) as u16;
        if widths[i] > 0 {
            widths[i] += spare.min(wish.saturating_sub(widths[i]));
        }
    }
    widths
}

fn row(theme: &Theme, columns: &[Column], widths: &[u16], cells: Vec<Line<'static>>, area: Rect, buf: &mut Buffer) {
    for ((column, (x, width)), cell) in columns.iter().zip(places(widths, area.x)).zip(cells) {
        if width == 0 {
            continue;
        }
        let cell = fit_line(theme, cell, usize::from(width));
        let shift = match column.align {
            Align::Left => 0,
            Align::Right => width - cell.width() as u16,
        };
        put(&cell, x.saturating_add(shift), area.y, area, buf);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const COLUMNS: [Column; 3] =
        [Column::words("NAME", 6, 30, 0), Column::numbers("LAG", 6, 1), Column::numbers("RATE", 6, 2)];

    fn draw_at(width: u16, cursor: usize, len: usize, calls: &Cell<usize>) -> String {
        let area = Rect::new(0, 0, width, 5);
        let mut buf = Buffer::empty(area);
        draw(&Theme::default(), &COLUMNS, len, Some(cursor), area, &mut buf, |i| {
            calls.set(calls.get() + 1);
            [format!("workload-{i}"), format!("{i}k"), "930".to_owned()].map(Line::from).to_vec()
        });
        crate::tui::export::text(&buf)
    }

    #[test]
    fn only_visible_rows_are_built() {
        let calls = Cell::new(0);
        let text = draw_at(40, 5_000, 10_000, &calls);
        assert_eq!(calls.get(), 4);
        assert!(text.contains("workload-5000"), "{text}");
    }

    #[test]
    fn columns_give_way_by_rank_and_numbers_stand_right() {
        let calls = Cell::new(0);
        assert!(draw_at(40, 0, 3, &calls).starts_with(" NAME           LAG    RATE"));
        let narrow = draw_at(18, 0, 3, &calls);
        assert!(narrow.contains("LAG") && !narrow.contains("RATE"), "{narrow}");
        assert!(narrow.contains("    0k"), "{narrow}");
    }
}
