//! The part of a history that a forecast looks at: on a grid, scaled to a mean of about 1, holes filled and marked.

use super::odd;
use crate::model::{Grid, Time, si};

/// Values that are looked at, at most: two weeks at 5 min, three months at 30 min.
pub(super) const LONGEST: usize = 4_400;
/// Fewest values that a forecast needs.
pub(super) const FEWEST: usize = 10;
/// Holes up to this many steps are filled by interpolation, longer ones by holding the last value.
const SHORT_HOLE: usize = 3;
/// Values above this are nonsense and count as gaps: their sums would overflow.
const NONSENSE: f64 = 1e100;
/// A forecast never exceeds this many times the highest value of the window.
const CEILING: f64 = 3.0;
/// Resolution of instants, seconds: one that was rounded to it still belongs to its slot.
const TICK: f64 = 1e-3;

/// A value that counts: what is negative, not finite or beyond 1e100 is a gap.
pub(super) fn valid(value: Option<f64>) -> Option<f64> {
    value.filter(|v| (0.0..=NONSENSE).contains(v))
}

/// What is said of values that were seen and do not count.
fn passed_over(values: &[Option<f64>]) -> Option<String> {
    let count = values.iter().filter(|v| v.is_some() && valid(**v).is_none()).count();
    let what = "below zero, beyond 1e100 or no number";
    match count {
        0 => None,
        1 => Some(format!("one value is {what}: it counts as a gap")),
        n => Some(format!("{n} values are {what}: they count as gaps")),
    }
}

/// A cleaned window. All values are divided by [`Window::scale`].
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Values without holes; what was filled is marked in `known`. Never empty.
    pub(super) y: Vec<f64>,
    /// The same in the units of the series: what is remembered between windows must not depend on their scale.
    pub(super) raw: Vec<f64>,
    /// Steps from the epoch to the first value: what is aligned with it stays the same while the window moves on.
    pub(super) slot: usize,
    /// Whether a value was seen and is learned from.
    pub(super) known: Vec<bool>,
    /// Values that were seen and are not learned from, with their places in order. Forecasts of them are still told.
    pub(super) unlearned: Vec<(usize, f64)>,
    /// Seconds between values.
    pub(super) step: f64,
    /// Factor to the units of the series; above zero.
    pub(super) scale: f64,
    /// Highest forecast that is believed.
    pub(super) ceiling: f64,
    /// Steps from the newest value seen to the slot of `now`.
    pub(super) age: usize,
    /// What was odd, as sentences.
    pub(super) warnings: Vec<String>,
}

impl Window {
    /// Cleans what lies up to `now`. The error is a sentence that says what is missing.
    pub(super) fn new(history: &Grid, now: Time, horizon: f64) -> Result<Self, String> {
        let step = history.step;
        if !(step > 0.0 && horizon > 0.0 && step.is_finite() && horizon.is_finite()) {
            return Err(format!("a forecast needs a step and a horizon above 0 s, not {step} s and {horizon} s"));
        }
        let slots = |seconds: f64| ((seconds + TICK) / step).floor();
        let upto = (slots(now.since(history.start)) + 1.0).clamp(0.0, history.values.len() as f64) as usize;
        let past: Vec<Option<f64>> = history.values[..upto].iter().map(|v| valid(*v)).collect();
        let seen = past.iter().flatten().count();
        if seen < FEWEST {
            let (have, need) = (span(seen as f64 * step), span(FEWEST as f64 * step));
            let mut what = format!("{have} of history; {need} are needed");
            if let Some(odd) = passed_over(&history.values[..upto]) {
                what = format!("{what}: {odd}");
            }
            return Err(what);
        }
        let newest = past.iter().rposition(Option::is_some).unwrap_or(0);
        // Counted to `now` itself: the grid may end before it.
        let age = slots(now.since(history.at(newest))).max(0.0) as usize;
        if age as f64 * step > horizon.max(FEWEST as f64 * step) {
            return Err(format!(
                "the newest sample is {} old: too old to look {} ahead",
                span(age as f64 * step),
                span(horizon)
            ));
        }
        let first = past.iter().position(Option::is_some).unwrap_or(0).max((newest + 1).saturating_sub(LONGEST));
        let slot = (history.at(first).secs() / step).round().max(0.0) as usize;
        let mut window = Self::clean(&past[first..=newest], step, age, slot);
        window.warnings.splice(0..0, passed_over(&history.values[first..upto]));
        Ok(window)
    }

    fn clean(past: &[Option<f64>], step: f64, age: usize, slot: usize) -> Self {
        let mut warnings = Vec::new();
        if age > 1 {
            warnings.push(format!("the newest sample is {} old", span(age as f64 * step)));
        }
        let outages = odd::outages(past, step);
        let absurd = odd::absurd(past, step);
        let mut values = past.to_vec();
        let odd = outages.iter().cloned().flatten().chain(absurd.iter().copied());
        let mut unlearned: Vec<(usize, f64)> = odd.filter_map(|i| Some((i, values[i].take()?))).collect();
        unlearned.sort_by_key(|(i, _)| *i);
        let known: Vec<bool> = values.iter().map(Option::is_some).collect();
        let learned = known.iter().filter(|k| **k).count() as f64;
        let mean = values.iter().flatten().map(|v| v / learned).sum::<f64>();
        let scale = if mean > f64::MIN_POSITIVE { mean } else { 1.0 };
        let highest = values.iter().flatten().fold(0.0_f64, |a, b| a.max(*b)) / scale;
        match &outages[..] {
            [] => {}
            [one] => warnings.push(format!("an outage of {} was skipped", span(one.len() as f64 * step))),
            several => {
                let steps: usize = several.iter().map(ExactSizeIterator::len).sum();
                let together = span(steps as f64 * step);
                warnings.push(format!("{} outages, {together} together, were skipped", several.len()));
            }
        }
        if let Some(newest) = absurd.last() {
            let highest = absurd.iter().filter_map(|i| past[*i]).fold(0.0_f64, f64::max);
            let ago = span((past.len() - 1 - newest + age) as f64 * step);
            let (value, times) = (si(highest), si(highest / scale));
            warnings.push(match absurd.len() {
                1 => format!("a single value of {value}, {ago} ago, is {times} times the usual: it was not learned from"),
                n => format!(
                    "{n} single values, the newest {ago} ago, are up to {value}, {times} times the usual: they were not \
                     learned from"
                ),
            });
        }
        let raw = fill(&values);
        let y: Vec<f64> = raw.iter().map(|v| v / scale).collect();
        let longest = past.split(Option::is_some).map(<[_]>::len).max().unwrap_or(0);
        if longest > SHORT_HOLE {
            warnings.push(format!("a gap of {} was skipped", span(longest as f64 * step)));
        }
        let missing = past.iter().filter(|v| v.is_none()).count();
        if missing * 5 > y.len() {
            warnings.push(format!("{} % of the values are missing", missing * 100 / y.len()));
        }
        Self { y, raw, slot, known, unlearned, step, scale, ceiling: CEILING * highest, age, warnings }
    }

    /// A value that was seen and is not learned from.
    pub(super) fn unlearned(&self, i: usize) -> Option<f64> {
        let place = self.unlearned.binary_search_by_key(&i, |(i, _)| *i).ok()?;
        self.unlearned.get(place).map(|(_, value)| value / self.scale)
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        self.y.len()
    }
}

/// Fills holes: short ones along a line, longer ones with the value before.
fn fill(values: &[Option<f64>]) -> Vec<f64> {
    let mut out = Vec::with_capacity(values.len());
    while let Some(value) = values.get(out.len()) {
        if let Some(v) = value {
            out.push(*v);
            continue;
        }
        let from = out.len();
        let len = values[from..].iter().take_while(|v| v.is_none()).count();
        let before = out.last().copied().unwrap_or(0.0);
        let after = values.get(from + len).copied().flatten().unwrap_or(before);
        for k in 1..=len {
            let share = if len <= SHORT_HOLE { k as f64 / (len + 1) as f64 } else { 0.0 };
            out.push(before + share * (after - before));
        }
    }
    out
}

/// `90 s`, `12 minutes`, `5 hours`, for sentences.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} minutes", s / 60.0),
        s => format!("{:.0} hours", s / 3_600.0),
    }
}
