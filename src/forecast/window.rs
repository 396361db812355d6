//! The part of a history that a forecast looks at: on a grid, scaled to a mean of about 1, holes filled and marked.

use crate::model::{Grid, Time};

/// Values that are looked at, at most: two weeks at 5 min, three months at 30 min.
pub(super) const LONGEST: usize = 4_400;
/// Fewest values that a forecast needs.
pub(super) const FEWEST: usize = 10;
/// Holes up to this many steps are filled by interpolation, longer ones by holding the last value.
const SHORT_HOLE: usize = 3;
/// Steps of zeros in the middle of traffic that count as an outage: it is neither learned nor scored.
const OUTAGE: usize = 10;
/// Values before a run of zeros that tell whether it broke into traffic, and their least share of the median.
const BEFORE_OUTAGE: (usize, f64) = (5, 0.3);
/// Values above this are nonsense and count as gaps: their sums would overflow.
const NONSENSE: f64 = 1e100;
/// A forecast never exceeds this many times the highest value of the window.
const CEILING: f64 = 3.0;

/// A cleaned window. All values are divided by [`Window::scale`].
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Values without holes; what was filled is marked in `known`. Never empty.
    pub(super) y: Vec<f64>,
    /// The same in the units of the series: what is remembered between windows must not depend on their scale.
    pub(super) raw: Vec<f64>,
    /// Steps from the epoch to the first value: what is aligned with it stays the same while the window moves on.
    pub(super) slot: usize,
    /// Whether a value was seen, and is to be learned from and scored.
    pub(super) known: Vec<bool>,
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
        let upto = (now.since(history.start) / step + 1.0).floor().clamp(0.0, history.values.len() as f64) as usize;
        let valid = |v: &Option<f64>| v.filter(|v| (0.0..=NONSENSE).contains(v));
        let past: Vec<Option<f64>> = history.values[..upto].iter().map(valid).collect();
        let seen = past.iter().flatten().count();
        if seen < FEWEST {
            return Err(format!("{} of history; {} are needed", span(seen as f64 * step), span(FEWEST as f64 * step)));
        }
        let newest = past.iter().rposition(Option::is_some).unwrap_or(0);
        // Counted to `now` itself: the grid may end before it.
        let age = (now.since(history.at(newest)) / step).floor().max(0.0) as usize;
        if age as f64 * step > horizon.max(FEWEST as f64 * step) {
            return Err(format!(
                "the newest sample is {} old: too old to look {} ahead",
                span(age as f64 * step),
                span(horizon)
            ));
        }
        let first = past.iter().position(Option::is_some).unwrap_or(0).max((newest + 1).saturating_sub(LONGEST));
        let slot = (history.at(first).secs() / step).round().max(0.0) as usize;
        Ok(Self::clean(&past[first..=newest], step, age, slot))
    }

    fn clean(past: &[Option<f64>], step: f64, age: usize, slot: usize) -> Self {
        let mut warnings = Vec::new();
        if age > 1 {
            warnings.push(format!("the newest sample is {} old", span(age as f64 * step)));
        }
        let mut seen: Vec<f64> = past.iter().flatten().copied().collect();
        let mean = seen.iter().map(|v| v / seen.len() as f64).sum::<f64>();
        let scale = if mean > f64::MIN_POSITIVE { mean } else { 1.0 };
        let highest = seen.iter().fold(0.0_f64, |a, b| a.max(*b)) / scale;
        seen.sort_by(f64::total_cmp);
        let median = seen[seen.len() / 2];
        let outages = outages(past, median);
        let mut known: Vec<bool> = past.iter().map(Option::is_some).collect();
        for run in &outages {
            known[run.clone()].fill(false);
            warnings.push(format!("an outage of {} was skipped", span(run.len() as f64 * step)));
        }
        let mut values = past.to_vec();
        for run in outages {
            values[run].fill(None);
        }
        let (raw, longest, missing) = fill(&values);
        let y: Vec<f64> = raw.iter().map(|v| v / scale).collect();
        if longest > SHORT_HOLE {
            warnings.push(format!("a gap of {} was skipped", span(longest as f64 * step)));
        }
        if missing * 5 > y.len() {
            warnings.push(format!("{} % of the values are missing", missing * 100 / y.len()));
        }
        Self { y, raw, slot, known, step, scale, ceiling: CEILING * highest, age, warnings }
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        self.y.len()
    }
}

/// Runs of zeros that broke into traffic and ended again. One that has not ended is what the demand is now.
fn outages(past: &[Option<f64>], median: f64) -> Vec<std::ops::Range<usize>> {
    let mut runs = Vec::new();
    let mut i = 0;
    while i < past.len() {
        let len = past[i..].iter().take_while(|v| **v == Some(0.0)).count();
        let (count, share) = BEFORE_OUTAGE;
        let traffic = i >= count && past[i - count..i].iter().flatten().all(|v| *v > share * median);
        if len >= OUTAGE && traffic && median > 0.0 && i + len < past.len() {
            runs.push(i..i + len);
        }
        i += len.max(1);
    }
    runs
}

/// Fills holes; returns the values, the longest hole and the number of values that were missing.
fn fill(values: &[Option<f64>]) -> (Vec<f64>, usize, usize) {
    let (mut out, mut longest, mut missing) = (Vec::with_capacity(values.len()), 0, 0);
    let mut i = 0;
    while i < values.len() {
        if let Some(v) = values[i] {
            out.push(v);
            i += 1;
            continue;
        }
        let len = values[i..].iter().take_while(|v| v.is_none()).count();
        let before = out.last().copied().unwrap_or(0.0);
        let after = values.get(i + len).copied().flatten().unwrap_or(before);
        for k in 1..=len {
            let share = if len <= SHORT_HOLE { k as f64 / (len + 1) as f64 } else { 0.0 };
            out.push(before + share * (after - before));
        }
        longest = longest.max(len);
        missing += len;
        i += len;
    }
    (out, longest, missing)
}

/// `90 s`, `12 minutes`, `5 hours`, for sentences.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} minutes", s / 60.0),
        s => format!("{:.0} hours", s / 3_600.0),
    }
}
