//! Series that are mostly zero: queues that are mostly empty, adapters that are seldom asked for.
//!
//! Means and regressions say little there: the question is whether something will be there at all, and how much then.
//! So past instants are sorted by what they looked like, and what came `k` steps after those that looked like the
//! present one *is* the distribution: its zeros are a probability of nothing, and its quantiles need no shape.

use super::{
    conformal::{Sides, at_level},
    pool::Origins,
    window::Window,
};
use std::collections::BTreeMap;

/// Share of zeros from which on a series is sparse, and the values that it takes to say so.
const MOSTLY: f64 = 0.4;
const FEWEST: usize = 60;
/// Outcomes that make a distribution; where fewer instants looked the same, a coarser look is taken.
const ENOUGH: usize = 25;
/// Shares of the newest value in the last few and in the last many.
const FEW: f64 = 0.3;
const MANY: f64 = 0.05;

/// Whether most values are zero.
pub(super) fn is_sparse(window: &Window) -> bool {
    let seen = window.known.iter().filter(|k| **k).count();
    let zeros = window.y.iter().zip(&window.known).filter(|(v, k)| **k && **v == 0.0).count();
    seen >= FEWEST && zeros as f64 > MOSTLY * seen as f64
}

/// What an instant looks like: the present, the last few and the last many values, in classes.
type Look = [u8; 3];

/// How every instant looks.
pub(super) fn looks(window: &Window) -> Vec<Look> {
    let (mut few, mut many) = (0.0, 0.0);
    let look = |v: &f64| {
        few += FEW * (v - few);
        many += MANY * (v - many);
        [class(*v, 2.0), class(few, 1.0), class(many, 1.0)]
    };
    window.y.iter().map(look).collect()
}

/// Nothing is a class of its own; the rest are octaves around the scale of the window, or parts of them.
fn class(v: f64, per_octave: f64) -> u8 {
    if v <= 0.0 { 0 } else { (1.0 + (v.log2() + 6.0) * per_octave).clamp(1.0, 60.0) as u8 }
}

/// What came after instants that looked the same.
pub(super) struct Alike {
    /// The forecast from every origin: the median of it.
    pub(super) medians: Vec<f64>,
    /// What came after those that look like the last one, sorted.
    pub(super) now: Vec<f64>,
    /// How often what came lay on either side of the quantiles of past origins.
    pub(super) record: Sides,
}

/// Looks back from every origin; `levels` are those whose record is kept.
pub(super) fn track(window: &Window, looks: &[Look], origins: &Origins, levels: &[f64]) -> Alike {
    let k = origins.k;
    let mut seen: BTreeMap<(u8, Look), Vec<f64>> = BTreeMap::new();
    let mut medians = Vec::with_capacity(origins.at.len());
    let mut shown: Vec<Vec<f64>> = Vec::with_capacity(origins.at.len());
    let mut record = Sides::new(levels.len());
    let mut due = 0;
    let alike = |seen: &'_ BTreeMap<(u8, Look), Vec<f64>>, t: usize| {
        let keys = coarser(looks[t]);
        keys.iter().find(|key| seen.get(key).is_some_and(|v| v.len() >= ENOUGH)).copied()
    };
    for t in &origins.at {
        while origins.at[due] + k <= *t {
            let origin = origins.at[due];
            if window.known[origin] && window.known[origin + k] {
                if !shown[due].is_empty() {
                    record.count_in(window.y[origin + k], shown[due].iter().copied());
                }
                for key in coarser(looks[origin]) {
                    let values = seen.entry(key).or_default();
                    let value = window.y[origin + k];
                    values.insert(values.partition_point(|v| *v < value), value);
                }
            }
            due += 1;
        }
        let outcomes = alike(&seen, *t).and_then(|key| seen.get(&key)).map_or(&[][..], Vec::as_slice);
        medians.push(at_level(outcomes, 0.5).unwrap_or(f64::NAN));
        shown.push(levels.iter().filter_map(|level| at_level(outcomes, *level)).collect());
    }
    let now = origins.at.last().and_then(|t| alike(&seen, *t));
    Alike { medians, now: now.and_then(|key| seen.remove(&key)).unwrap_or_default(), record }
}

/// A look and ever coarser ones: without the last many values, without the present one, any.
fn coarser([now, few, many]: Look) -> [(u8, Look); 4] {
    [(0, [now, few, many]), (1, [now, few, 0]), (2, [0, few, 0]), (3, [0; 3])]
}
