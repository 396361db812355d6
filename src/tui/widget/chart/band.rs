//! The forecast's band: p10–p95 light, p50–p80 strong; backgrounds where there are colours for them, else shades.

use super::{Canvas, Plot};
use crate::{
    model::{Forecast, Quantiles, Time},
    tui::theme::{Charset, Depth, Slot, Theme},
};
use ratatui::{buffer::Buffer, style::Color};

/// Eighths of a cell from below.
const NINE: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The quantiles at an instant, straight between the forecast's points; `None` outside of them.
fn at(forecast: &Forecast, t: Time) -> Option<Quantiles> {
    let i = forecast.points.partition_point(|q| q.t < t);
    let right = forecast.points.get(i)?;
    let Some(left) = i.checked_sub(1).and_then(|i| forecast.points.get(i)) else {
        return (right.t.since(t) <= forecast.step * 1.5).then_some(*right);
    };
    let span = right.t.since(left.t);
    let share = if span > 0.0 { t.since(left.t) / span } else { 1.0 };
    let mix = |a: f64, b: f64| a + (b - a) * share;
    Some(Quantiles {
        t,
        p10: mix(left.p10, right.p10),
        p50: mix(left.p50, right.p50),
        p80: mix(left.p80, right.p80),
        p95: mix(left.p95, right.p95),
    })
}

/// A background for the two shades, where the terminal has colours enough.
fn tints(theme: &Theme) -> Option<(Color, Color)> {
    let deep = theme.depth() >= Depth::Ansi256 && theme.glyphs().charset != Charset::Ascii;
    let tint = |slot| theme.style(slot).bg.filter(|_| deep);
    Some((tint(Slot::Band)?, tint(Slot::BandInner)?))
}

/// Draws the band behind the dots of `canvas`.
pub(super) fn draw(theme: &Theme, plot: &Plot, forecast: Option<&Forecast>, canvas: &Canvas, buf: &mut Buffer) {
    let Some(forecast) = forecast else { return };
    let tints = tints(theme);
    for column in plot.time.now + 1..plot.time.width {
        let t = plot.time.left.plus((column as f64 + 0.5) * plot.time.step);
        // The last column may reach beyond the last point by less than itself.
        let Some(q) = at(forecast, t).or_else(|| at(forecast, t.plus(-plot.time.step * 0.5))) else { continue };
        for line in 0..plot.area.height {
            let dots = canvas.cell(column, usize::from(line)).is_some();
            let (x, y) = (plot.area.x + column as u16, plot.area.y + line);
            let Some(cell) = buf.cell_mut((x, y)) else { continue };
            match tints {
                Some(tints) => tint(theme, plot, &q, line, tints, dots, cell),
                None => shade(theme, plot, &q, line, cell),
            }
        }
    }
}

/// Lowest and highest value of a line of cells, as heights in cells above its bottom edge.
fn heights(plot: &Plot, value: f64, line: u16) -> f64 {
    plot.value.y(value) * f64::from(plot.area.height) - f64::from(plot.area.height - 1 - line)
}

fn shade(theme: &Theme, plot: &Plot, q: &Quantiles, line: u16, cell: &mut ratatui::buffer::Cell) {
    let covers = |low: f64, high: f64| {
        let (low, high) = (heights(plot, low, line), heights(plot, high, line));
        high.min(1.0) - low.max(0.0) >= 0.5
    };
    let [light, medium, _] = theme.glyphs().shades;
    let glyph = if covers(q.p50, q.p80) {
        medium
    } else if covers(q.p10, q.p95) {
        light
    } else {
        return;
    };
    cell.set_symbol(glyph).set_style(theme.style(Slot::Forecast));
}

/// A cell is cut by at most one edge that matters; its part below the edge is a lower block in one colour, the part
/// above is the background in the other.
fn tint(
    theme: &Theme,
    plot: &Plot,
    q: &Quantiles,
    line: u16,
    (outer, inner): (Color, Color),
    dots: bool,
    cell: &mut ratatui::buffer::Cell,
) {
    let screen = theme.style(Slot::Background).bg;
    // Layers from below: nothing up to p10, light up to p50, strong up to p80, light up to p95, nothing above.
    let edges = [
        (q.p10, screen, Some(outer)),
        (q.p50, Some(outer), Some(inner)),
        (q.p80, Some(inner), Some(outer)),
        (q.p95, Some(outer), screen),
    ];
    let middle = |at: f64| edges.iter().rev().find(|(v, ..)| heights(plot, *v, line) <= at).map_or(screen, |e| e.2);
    let cut = edges.iter().filter(|(v, ..)| (0.0..1.0).contains(&heights(plot, *v, line))).collect::<Vec<_>>();
    if let ([(value, below, above)], false) = (cut.as_slice(), dots) {
        let eighths = (heights(plot, *value, line) * 8.0).round() as usize;
        match (eighths, below, above) {
            (8.., below, _) => background(cell, *below),
            (0, _, above) => background(cell, *above),
            // A part without a colour of its own cannot be painted; the larger part decides.
            (n, Some(below), above) => {
                background(cell, *above);
                cell.set_symbol(NINE[n]).set_fg(*below);
            }
            (n, None, above) => background(cell, if n <= 4 { *above } else { None }),
        }
        return;
    }
    background(cell, middle(0.5));
}

fn background(cell: &mut ratatui::buffer::Cell, color: Option<Color>) {
    if let Some(color) = color {
        cell.set_bg(color);
    }
}
