//! Bars of a ratio, and strips of many ratios.

use super::span;
use crate::tui::theme::{Slot, Theme};
use ratatui::text::{Line, Span};

/// A bar of `width` cells, filled to a ratio (0–1); `None` leaves it out.
pub fn gauge(theme: &Theme, ratio: Option<f64>, width: usize, slot: Slot) -> Vec<Span<'static>> {
    let Some(ratio) = ratio else { return vec![span(" ".repeat(width), theme.style(Slot::Dim))] };
    let g = theme.glyphs();
    // What is not nothing shows, what is not all is not full.
    let cells = match (ratio.clamp(0.0, 1.0) * width as f64).round() as usize {
        0 if ratio > 0.005 => 1.min(width),
        n if n == width && ratio < 0.995 => width.saturating_sub(1),
        n => n.min(width),
    };
    vec![
        span(g.full.repeat(cells), theme.style(slot)),
        span(g.empty.repeat(width - cells), theme.style(Slot::GaugeEmpty)),
    ]
}

/// One cell per value, its height the value over the largest; `None` is `?`. Many values share a cell, the largest shows.
pub fn heat(
    theme: &Theme,
    values: &[Option<f64>],
    full: f64,
    width: usize,
    slot: impl Fn(f64) -> Slot,
) -> Line<'static> {
    if values.is_empty() || width == 0 {
        return Line::default();
    }
    let per_cell = values.len().div_ceil(width);
    let g = theme.glyphs();
    let cell = |chunk: &[Option<f64>]| {
        if chunk.iter().any(Option::is_none) {
            return span(g.unknown, theme.style(Slot::Unknown));
        }
        let ratio = chunk.iter().flatten().copied().fold(0.0, f64::max) / full.max(f64::MIN_POSITIVE);
        let height = if ratio > 0.0 { ((ratio * 8.0).ceil() as usize).clamp(1, 8) } else { 0 };
        let glyph = if height == 0 { g.bars[1] } else { g.bars[height] };
        span(glyph, theme.style(if height == 0 { Slot::Dim } else { slot(ratio) }))
    };
    Line::from(values.chunks(per_cell).map(cell).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_only_when_all_is_used() {
        let theme = Theme::default();
        let text =
            |r: f64| gauge(&theme, Some(r), 5, Slot::Gauge).iter().map(|s| s.content.clone()).collect::<String>();
        assert_eq!([text(0.0), text(0.01), text(0.97), text(1.0)], ["─────", "━────", "━━━━─", "━━━━━"]);
    }

    #[test]
    fn a_strip_shows_the_worst_of_what_shares_a_cell() {
        let values: Vec<Option<f64>> = (0..8).map(|i| if i == 5 { None } else { Some(f64::from(i)) }).collect();
        assert_eq!(heat(&Theme::default(), &values, 7.0, 4, |_| Slot::Gauge).to_string(), "▂▄?█");
    }
}
