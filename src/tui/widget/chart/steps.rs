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
        // From the level before up or down to this one.
        if let Some(before) = i.checked_sub(1).and_then(|b| steps.get(b)) {
            let edge = |value: f64| plot.line(value).unwrap_or(if value > 0.0 { 0 } else { plot.area.height });
            let (a, b) = (edge(before.value), edge(step.value));
            for line in a.min(b)..=a.max(b) {
                dash(theme, plot, canvas, (start, Some(line)), theme.glyphs().riser, buf);
            }
        }
    }
    columns
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
        let Some(last) = plot.area.width.checked_sub(width) else { continue };
        let rises = i.checked_sub(1).and_then(|b| steps.get(b)).is_none_or(|before| before.value < step.value);
        let line = i32::from(plot.line(step.value).unwrap_or(0));
        // Outside of the bend first: above where it rises, below where it falls.
        let out = if rises { -1 } else { 1 };
        let lines = [out, 2 * out, -out, 3 * out, 4 * out, 0].map(|by| line + by);
        let x = (column as u16 + 1).min(last);
        let place = lines.into_iter().filter_map(|l| u16::try_from(l).ok()).find(|l| {
            *l < plot.area.height
                && free(plot, canvas, x, *l, width)
                && taken.iter().all(|t| t.0 != *l || t.1 + t.2 <= x || x + width <= t.1)
        });
        if let Some(l) = place {
            taken.push((l, x, width));
            let text = Line::from(span(text, theme.style(Slot::CapacityNeeded)));
            put(&text, plot.area.x + x, plot.area.y + l, plot.area, buf);
        }
    }
    taken
}
