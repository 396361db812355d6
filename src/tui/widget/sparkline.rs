//! A track of a dozen cells: the last minutes, then the present, then the forecast.

use super::span;
use crate::{
    model::{Forecast, Time, Track},
    tui::theme::{Slot, Theme},
};
use ratatui::text::{Line, Span};

/// Draws the past over `back` cells and the forecast's p80 over `ahead` cells, both at one span of time per cell.
///
/// What stands above `capacity` has the colour of [`Slot::Act`]. A gap is a blank, never a low bar.
pub fn sparkline(
    theme: &Theme,
    track: Option<&Track>,
    forecast: Option<&Forecast>,
    capacity: Option<f64>,
    now: Time,
    (back, ahead): (usize, usize),
) -> Line<'static> {
    let horizon = forecast.map_or(1800.0, Forecast::horizon).max(1.0);
    let per_cell = horizon / ahead.max(1) as f64;
    let past: Vec<Option<f64>> =
        (0..back).map(|i| track.and_then(|t| t.largest(now.plus(-per_cell * (back - i) as f64), per_cell))).collect();
    let future: Vec<Option<f64>> = (0..ahead)
        .map(|i| {
            forecast.and_then(|f| {
                let (from, to) = (now.plus(per_cell * i as f64), now.plus(per_cell * (i + 1) as f64));
                f.points.iter().filter(|q| q.t > from && q.t <= to).map(|q| q.p80).reduce(f64::max)
            })
        })
        .collect();
    let scale = Scale::of(past.iter().chain(&future).flatten().copied());
    let bar = |value: &Option<f64>, slot: Slot| match value {
        None => span(" ", theme.style(Slot::Dim)),
        Some(v) => {
            let slot = if capacity.is_some_and(|c| *v > c) { Slot::Act } else { slot };
            span(theme.glyphs().bars[scale.height(*v)], theme.style(slot))
        }
    };
    let mut spans: Vec<Span<'static>> = past.iter().map(|v| bar(v, Slot::History)).collect();
    spans.push(span(theme.glyphs().now, theme.style(Slot::Dim)));
    spans.extend(future.iter().map(|v| bar(v, Slot::Forecast)));
    Line::from(spans)
}

/// Heights show the shape; the numbers beside say the size. Noise must not look like a surge, so that the scale spans a
/// quarter of the largest value at least, and what is flat stands in the middle.
struct Scale {
    base: f64,
    span: f64,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
        let span = (high - low.min(high)).max(high * 0.25);
        Self { base: (f64::midpoint(low.min(high), high) - span / 2.0).max(0.0), span }
    }

    /// One to seven eighths: a full cell would touch the row above.
    fn height(&self, value: f64) -> usize {
        if self.span > 0.0 { 1 + ((value - self.base) / self.span * 6.0).round().clamp(0.0, 6.0) as usize } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Grid, Quantiles};

    fn draw(past: &[Option<f64>], future: &[f64], capacity: Option<f64>) -> Line<'static> {
        let now = Time::from_secs(6_000.0);
        let track = Grid { start: now.plus(-60.0 * past.len() as f64), step: 60.0, values: past.to_vec() };
        let point = |(i, v): (usize, &f64)| {
            let t = now.plus(60.0 * (i + 1) as f64);
            Quantiles { t, p10: *v, p50: *v, p80: *v, p95: *v }
        };
        let forecast = Forecast {
            at: now,
            step: 60.0,
            points: future.iter().enumerate().map(point).collect(),
            model: String::new(),
            weights: Vec::new(),
            relative_error: None,
            covered: None,
            warnings: Vec::new(),
        };
        sparkline(
            &Theme::default(),
            Some(&Track::of(&track)),
            Some(&forecast),
            capacity,
            now,
            (past.len(), future.len()),
        )
    }

    #[test]
    fn a_gap_is_blank_and_zero_is_not() {
        assert_eq!(draw(&[Some(0.0), None, Some(8.0)], &[8.0, 4.0], None).to_string(), "▁ ▇┊▇▄");
    }

    #[test]
    fn noise_does_not_look_like_a_surge() {
        assert_eq!(draw(&[Some(100.0), Some(101.0)], &[100.0, 99.0], None).to_string(), "▄▄┊▄▄");
    }

    #[test]
    fn what_the_replicas_cannot_hold_is_marked() {
        let theme = Theme::default();
        let line = draw(&[Some(50.0)], &[60.0, 90.0], Some(70.0));
        assert_eq!(line.spans[2].style, theme.style(Slot::Forecast));
        assert_eq!(line.spans[3].style, theme.style(Slot::Act));
    }
}
