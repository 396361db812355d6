//! The plan: a line of levels ahead, its risers, and what happens at each of them.

use super::{Canvas, Plot, Step, Taken, free, put, span};
use crate::tui::theme::{Slot, Theme};
use ratatui::{buffer::Buffer, text::Line};
use unicode_width::UnicodeWidthStr;

/// Columns ahead for each label: more of them would hide what they are about. What comes first counts.
const ROOM: usize = 9;

/// Draws the levels right of the present, in dashes; gives the column of each step, `None` where it is not on the chart.
pub(super) fn draw(
    theme: &Theme,
    plot: &Plot,
    steps: &[Step],
    canvas: &Canvas,
    buf: &mut Buffer,
) -> Vec<Option<usize>> {
    let from = plot.time.now + 1;
    let column = |step: &Step| {
        let x = plot.time.x(step.at);
        (x < plot.time.width as f64).then(|| (x.max(0.0) as usize).max(from))
    };
    let columns: Vec<Option<usize>> = steps.iter().map(column).collect();
    for (i, step) in steps.iter().enumerate() {
        let Some(start) = (if i == 0 { Some(from) } else { columns[i] }) else { continue };
        let end = columns.get(i + 1).copied().flatten().unwrap_or(plot.time.width);
        let line = plot.line(step.value);
        for x in start..end {
            dash(theme, plot, canvas, (x, line), theme.glyphs().dashes, buf);
        }
        for line in riser(plot, steps, i) {
            dash(theme, plot, canvas, (start, Some(line)), theme.glyphs().riser, buf);
        }
    }
    columns
}

/// The lines from the level before up or down to that of a step.
fn riser(plot: &Plot, steps: &[Step], i: usize) -> std::ops::Range<u16> {
    let edge = |value: f64| plot.line(value).unwrap_or(if value > 0.0 { 0 } else { plot.area.height });
    match (i.checked_sub(1).and_then(|before| steps.get(before)), steps.get(i)) {
        (Some(before), Some(step)) => {
            let (a, b) = (edge(before.value), edge(step.value));
            a.min(b)..a.max(b) + 1
        }
        _ => 0..0,
    }
}

fn dash(theme: &Theme, plot: &Plot, canvas: &Canvas, at: (usize, Option<u16>), glyph: &str, buf: &mut Buffer) {
    let (x, Some(line)) = at else { return };
    if line < plot.area.height
        && canvas.cell(x, usize::from(line)).is_none()
        && let Some(cell) = buf.cell_mut((plot.area.x + x as u16, plot.area.y + line))
    {
        cell.set_symbol(glyph).set_fg(theme.style(Slot::CapacityNeeded).fg.unwrap_or_default());
    }
}

/// Writes what happens at each step beside its riser, where it hides nothing; gives what was written where.
pub(super) fn labels(
    theme: &Theme,
    plot: &Plot,
    steps: &[Step],
    canvas: &Canvas,
    columns: &[Option<usize>],
    buf: &mut Buffer,
) -> Vec<Taken> {
    let mut taken: Vec<Taken> = Vec::new();
    let most = (plot.time.width - plot.time.now.min(plot.time.width)) / ROOM;
    for (i, (step, column)) in steps.iter().zip(columns).enumerate() {
        let Some(column) = column.filter(|_| !step.label.is_empty() && taken.len() < most.max(1)) else { continue };
        let text = format!(" {} ", step.label);
        let width = text.width() as u16;
        let column = column as u16;
        // Right of its riser; left of it where the chart ends or something stands there, or else over it.
        let sides = [
            Some(column + 1).filter(|x| x + width <= plot.area.width),
            column.checked_sub(width).filter(|x| usize::from(*x) > plot.time.now),
            plot.area.width.checked_sub(width).filter(|x| *x <= column),
        ];
        let rises = i.checked_sub(1).and_then(|b| steps.get(b)).is_none_or(|before| before.value < step.value);
        let line = i32::from(plot.line(step.value).unwrap_or(0));
        // Outside of the bend first: above where it rises, below where it falls.
        let out = if rises { -1 } else { 1 };
        let lines = [out, 2 * out, -out, 3 * out, 4 * out, 0].map(|by| line + by);
        // Beside another riser it would be that one's.
        let over = |x: u16, l: u16| {
            let inside = |c: &Option<usize>| c.is_some_and(|c| usize::from(x) <= c && c < usize::from(x + width));
            columns.iter().enumerate().any(|(j, c)| inside(c) && riser(plot, steps, j).contains(&l))
        };
        let is_free = |x: u16, l: u16| {
            l < plot.area.height
                && !over(x, l)
                && free(plot, canvas, x, l, width)
                && taken.iter().all(|t| t.0 != l || t.1 + t.2 <= x || x + width <= t.1)
        };
        let lines = lines.into_iter().filter_map(|l| u16::try_from(l).ok());
        let mut places = lines.flat_map(|l| sides.into_iter().flatten().map(move |x| (x, l)));
        if let Some((x, l)) = places.find(|(x, l)| is_free(*x, *l)) {
            taken.push((l, x, width));
            let text = Line::from(span(text, theme.style(Slot::CapacityNeeded)));
            put(&text, plot.area.x + x, plot.area.y + l, plot.area, buf);
        }
    }
    taken
}
