//! Ticks of value and time, and which instant stands in which column.

use crate::{
    model::{Time, Zone, si},
    tui::format,
};

/// Spans of time that a column may stand for, seconds.
const COLUMN: [f64; 24] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 150.0, 180.0, 240.0, 300.0, 360.0, 450.0, 600.0,
    900.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0,
];
/// Spans between two labels, seconds.
const LABEL: [f64; 15] = [
    60.0, 120.0, 300.0, 600.0, 900.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 10_800.0, 14_400.0, 21_600.0, 43_200.0,
    86_400.0, 172_800.0,
];

/// Round spans of time between two ticks of a value that is one, seconds.
const SECONDS: [f64; 12] =
    [15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0];

/// Which span of time each column stands for. A column's span never changes, and the axis moves only when the present
/// reaches the next column: nothing wobbles, and a frame sent over a slow line repeats the last one.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeAxis {
    /// Seconds per column.
    pub(super) step: f64,
    /// Instant of the left edge: a multiple of `step`.
    pub(super) left: Time,
    /// Columns.
    pub(super) width: usize,
    /// The column in which the present lies.
    pub(super) now: usize,
}

impl TimeAxis {
    /// An axis of `width` columns for `back` seconds before `now` and `ahead` seconds after.
    pub(super) fn new(now: Time, back: f64, ahead: f64, width: usize) -> Self {
        let need = (back + ahead).max(1.0) / width.max(1) as f64;
        let step = COLUMN.into_iter().find(|s| *s >= need).unwrap_or_else(|| need.ceil());
        let future = (ahead / step).ceil() as usize;
        let column = width.saturating_sub(future + 1);
        Self { step, left: now.floor_to(step).plus(-step * column as f64), width, now: column }
    }

    /// The same axis so many seconds earlier, in whole columns; the present may then lie right of it.
    pub(super) fn moved(self, seconds: f64) -> Self {
        let columns = (seconds / self.step).round().max(0.0);
        Self { left: self.left.plus(-columns * self.step), now: self.now + columns as usize, ..self }
    }

    /// The place of an instant in columns, with its fraction.
    pub(super) fn x(&self, t: Time) -> f64 {
        t.since(self.left) / self.step
    }

    /// The instant just after the right edge.
    pub(super) fn right(&self) -> Time {
        self.left.plus(self.step * self.width as f64)
    }

    /// Columns and texts of the labels by the clocks of a zone, from left to right, none over another.
    pub(super) fn labels(&self, zone: &Zone) -> Vec<(usize, String)> {
        let span = LABEL.into_iter().find(|s| s / self.step >= 9.0).unwrap_or(172_800.0 * 7.0);
        let mut t = self.left.floor_to(span);
        let mut out = Vec::new();
        let days = span >= 86_400.0;
        while t < self.right() && out.len() <= self.width {
            let x = self.x(t);
            if x >= 0.0 && (x as usize) < self.width {
                let text = if days {
                    t.to_string().get(5..10).unwrap_or_default().to_owned()
                } else {
                    format::clock_in(zone, t)
                };
                out.push((x as usize, text));
            }
            t = t.plus(span);
        }
        out
    }
}

/// The value axis: to a round number, with round numbers between.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueAxis {
    /// The value at the bottom: zero, or a tick.
    pub(super) low: f64,
    /// The value at the top.
    pub(super) top: f64,
    /// The difference between two ticks.
    pub(super) tick: f64,
}

impl ValueAxis {
    /// An axis that reaches from zero to `largest`, with about one tick every three of `height` lines, round in its unit.
    pub(super) fn new(largest: f64, height: usize, unit: &str) -> Self {
        let largest = if largest.is_finite() && largest > 0.0 { largest.min(1e300) } else { 1.0 };
        let tick = tick(largest, height, unit);
        // The top is the data's, a little above it; it need not be a tick.
        Self { low: 0.0, top: (largest * 1.04).max(tick), tick }
    }

    /// An axis for values whose distance from zero says nothing: from just below the smallest. What changes by less than a
    /// twentieth is flat, and ticks differ in the digits that are written.
    pub(super) fn between(smallest: f64, largest: f64, height: usize) -> Self {
        let from_zero = Self::new(largest, height, "");
        if !(smallest.is_finite() && smallest > 0.0 && smallest <= largest) {
            return from_zero;
        }
        let span = (largest - smallest).max(largest * 0.05);
        let written = 10_f64.powf(largest.log10().floor() - 2.0);
        let tick = match tick(span, height, "").max(written) {
            t if t > written * 2.4 && t < written * 2.6 => written * 5.0,
            t => t,
        };
        // A hair of rounding is not a tick more.
        let low = ((largest - span) / tick + 1e-6).floor() * tick;
        if low > 0.0 { Self { low, top: largest + (largest - low) * 0.04, tick } } else { from_zero }
    }

    /// The place of a value above the bottom, as a share of the height.
    pub(super) fn y(&self, value: f64) -> f64 {
        (value - self.low) / (self.top - self.low)
    }

    /// The values of the ticks, from the bottom up.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let many = ((self.top - self.low) / self.tick) as usize;
        (0..=many.min(60)).map(|i| self.low + i as f64 * self.tick).collect()
    }
}

/// The difference between two ticks of a span.
fn tick(span: f64, height: usize, unit: &str) -> f64 {
    let rough = span / (height as f64 / 3.0).max(1.0);
    if unit.starts_with("bytes") && rough >= 1_024.0 {
        // Round as it is written: in the prefix of 1024.
        let prefix = 1_024_f64.powf(rough.log(1_024.0).floor());
        return tick(span / prefix, height, "") * prefix;
    }
    let power = 10_f64.powf(rough.log10().floor());
    let decimal = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power);
    let tick = match unit {
        "s" if rough > 10.0 => SECONDS.into_iter().chain(decimal).find(|t| *t >= rough * 0.999),
        _ => decimal.into_iter().find(|t| *t >= rough * 0.999),
    };
    let tick = tick.unwrap_or(10.0 * power);
    if tick.is_normal() { tick } else { 1.0 }
}

/// Label of a tick, by the unit of the axis.
pub(super) fn label(value: f64, unit: &str) -> String {
    match unit {
        "s" if value == 0.0 => "0".to_owned(),
        "s" => crate::model::lateness(value),
        "bytes" | "bytes/s" => format::bytes(value),
        "%" => format::percent(value),
        _ => si(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_axis_moves_in_whole_columns_only(seconds in 0.0..1e6_f64, later in 0.0..600.0_f64, width in 10_usize..300) {
            let now = Time::from_secs(1.7e9 + seconds);
            let a = TimeAxis::new(now, 3_600.0, 1_800.0, width);
            let b = TimeAxis::new(now.plus(later), 3_600.0, 1_800.0, width);
            prop_assert!((a.step - b.step).abs() < 1e-9);
            let moved = b.left.since(a.left) / a.step;
            prop_assert!((moved - moved.round()).abs() < 1e-9);
            prop_assert!(a.x(now) >= a.now as f64 && a.x(now) < a.now as f64 + 1.0, "the present is in its column");
            prop_assert!(a.right().since(now) >= 1_800.0 - a.step, "the whole forecast fits");
        }

        #[test]
        fn ticks_are_round_and_few(
            largest in 1e-6..1e30_f64, height in 3_usize..80, unit in prop::sample::select(vec!["s", "records"]),
        ) {
            let axis = ValueAxis::new(largest, height, unit);
            prop_assert!(axis.top >= largest);
            let ticks = axis.ticks().len();
            prop_assert!(ticks >= 2 && ticks <= height, "{ticks} ticks on {height} lines");
        }
    }

    #[test]
    fn ticks_of_a_time_are_round_times() {
        let labels = |largest: f64| -> Vec<String> {
            ValueAxis::new(largest, 12, "s").ticks().into_iter().map(|v| label(v, "s")).collect()
        };
        assert_eq!(labels(610.0), ["0", "5 min", "10 min"]);
        assert_eq!(labels(34.0), ["0", "10 s", "20 s", "30 s"]);
        assert_eq!(labels(1.5), ["0", "500 ms", "1 s", "1.5 s"]);
        assert_eq!(labels(620.0)[1..], ["5 min", "10 min"]);
        assert_eq!(labels(300.0), ["0", "2 min", "4 min"]);
        let bytes = ValueAxis::new(21e6, 12, "bytes/s").ticks().into_iter().map(|v| label(v, "bytes/s"));
        assert_eq!(bytes.collect::<Vec<_>>(), ["0 B", "10 MiB", "20 MiB"]);
    }

    #[test]
    fn what_is_far_from_zero_fills_the_plot() {
        let labels = |low: f64, high: f64| -> Vec<String> {
            ValueAxis::between(low, high, 12).ticks().into_iter().map(|v| label(v, "")).collect()
        };
        assert_eq!(labels(1.75, 1.95), ["1.75", "1.8", "1.85", "1.9", "1.95"]);
        assert_eq!(labels(2.0, 2.0), ["1.9", "1.95", "2"], "what is flat does not look like a fall");
        assert_eq!(labels(0.1, 2.0), ["0", "0.5", "1", "1.5", "2"]);
        let axis = ValueAxis::between(1.75, 1.95, 12);
        assert!(axis.y(1.75) < 0.1 && axis.y(1.95) > 0.9);
    }

    #[test]
    fn labels_are_round_times() {
        let axis = TimeAxis::new(Time::parse("2026-03-12T14:07:32Z").unwrap(), 3_600.0, 1_800.0, 90);
        let labels: Vec<String> = axis.labels(&Zone::default()).into_iter().map(|(_, text)| text).collect();
        assert_eq!(labels, ["13:10", "13:20", "13:30", "13:40", "13:50", "14:00", "14:10", "14:20", "14:30"]);
    }
}
