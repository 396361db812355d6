//! How good the forecasts would have been on a series: rolling origins, nothing after an origin is ever used.

use super::{
    Outlook, Settings,
    conformal::SLACK,
    members::last_value,
    outlooks,
    pool::{Origins, Pooled},
    window::{Window, valid},
};
use crate::model::Grid;
use serde::Serialize;
use std::collections::BTreeMap;

/// Origins at most, spread evenly.
const ORIGINS: usize = 120;
/// Share of the series that is only learned from before the first origin, and the fewest values of it.
const WARM_UP: (f64, usize) = (1.0 / 3.0, 30);
/// Levels that are scored: those of the pinball loss, and the upper ones that planning uses.
const SCORED: [f64; 5] = [0.5, 0.8, 0.9, 0.95, 0.99];

/// The outcome of [`backtest`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backtest {
    /// Seconds between values.
    pub step: f64,
    /// Origins, all horizons alike.
    pub origins: usize,
    /// One entry per horizon, in the order asked for.
    pub horizons: Vec<HorizonScore>,
    /// Mean weight of each member over the origins, at the middle horizon.
    pub weights: BTreeMap<String, f64>,
    /// Mean absolute error of each member alone over that of "last value" on the same origins, at the middle horizon.
    pub members: BTreeMap<String, f64>,
}

/// How good one horizon was. `None`: there was nothing to compare (no target, or "last value" was never wrong).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HorizonScore {
    /// Seconds ahead: whole steps, at least one.
    pub horizon: f64,
    /// Targets that were compared: what the shares below are shares of.
    pub targets: usize,
    /// Mean absolute error over that of "last value" on the same origins.
    pub relative_mase: Option<f64>,
    /// Mean pinball loss at 0.5, 0.9 and 0.99 over that of "last value" with the quantiles of its own past errors.
    pub relative_pinball: Option<f64>,
    /// Share of targets within the two-sided intervals.
    pub coverage: Coverage,
    /// Share of targets at or below the upper quantiles.
    pub upper_coverage: Coverage,
}

/// Shares at two nominal levels.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// At 80 %.
    #[serde(rename = "80")]
    pub at_80: Option<f64>,
    /// At 95 %.
    #[serde(rename = "95")]
    pub at_95: Option<f64>,
}

/// Sums over origins at one horizon.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: f64,
    error: f64,
    naive_error: f64,
    pinball: f64,
    naive_pinball: f64,
    within: [f64; 2],
    below: [f64; 2],
}

/// Forecasts from up to 120 origins spread over the series after a warm-up of a third of it, and scores them at the
/// horizons (seconds). The error is a sentence.
pub fn backtest(history: &Grid, horizons: &[f64]) -> Result<Backtest, String> {
    let n = history.values.len();
    let scorable = |h: &f64| *h > 0.0 && h / history.step < n as f64;
    if !horizons.iter().all(scorable) {
        return Err(format!("horizons must be above 0 s and within the series ({n} values of {} s)", history.step));
    }
    let ahead: Vec<usize> = horizons.iter().map(|h| ((h / history.step).round() as usize).max(1)).collect();
    let mut order: Vec<usize> = ahead.clone();
    order.sort_unstable();
    order.dedup();
    let furthest = order.last().copied().ok_or("no horizon to score: give at least one")?;
    let first = ((n as f64 * WARM_UP.0) as usize).max(WARM_UP.1);
    let nearest = order[0];
    if first + nearest >= n {
        return Err(format!("{n} values are too few: {} and the horizon's {nearest} are needed", WARM_UP.1));
    }
    // Spread so that the furthest horizon has targets too, where the series is long enough.
    let last = n.saturating_sub(furthest + 1).max(first);
    let count = (last - first + 1).min(ORIGINS);
    let origins = (0..count).map(|i| first + (last - first) * i / (count - 1).max(1));
    let mut sums = vec![Sums::default(); order.len()];
    let mut weights: BTreeMap<String, f64> = BTreeMap::new();
    let mut members: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    let mut used = 0;
    for origin in origins {
        // The value of the origin itself must count, so that the window ends there.
        if valid(history.values[origin]).is_none() {
            continue;
        }
        let Ok(window) = Window::new(history, history.at(origin), furthest as f64 * history.step) else { continue };
        used += 1;
        let (pools, naives) = (outlooks(&window, &order, Settings::default()).each, naive(&window, &order));
        let target_at = |k: usize| history.values.get(origin + k).copied().and_then(valid);
        let (middle, last) = (order.len() / 2, window.y[window.len() - 1]);
        for opinion in &pools[middle].opinions {
            *weights.entry(opinion.name.to_owned()).or_default() += opinion.weight;
            if let Some(target) = target_at(order[middle]) {
                let errors = members.entry(opinion.name.to_owned()).or_default();
                let off = |value: f64| window.scale * real((target / window.scale - value).abs());
                errors.0 += off(opinion.value);
                errors.1 += off(last);
            }
        }
        for (i, k) in order.iter().enumerate() {
            if let Some(target) = target_at(*k) {
                sums[i].add(&window, &pools[i], &naives[i], target / window.scale);
            }
        }
    }
    if used == 0 {
        return Err("no origin with enough history before it".to_owned());
    }
    for weight in weights.values_mut() {
        *weight /= f64::from(used);
    }
    // Told is the horizon that was scored: whole steps of the series.
    let score = |k: &usize| sums[order.binary_search(k).unwrap_or(0)].score(*k as f64 * history.step);
    let scores = ahead.iter().map(score).collect();
    let relative = |(name, (own, naive)): (String, (f64, f64))| (naive > 0.0).then(|| (name, own / naive));
    let members = members.into_iter().filter_map(relative).collect();
    Ok(Backtest { step: history.step, origins: used as usize, horizons: scores, weights, members })
}

/// "Last value" with the quantiles of its own past errors.
fn naive(window: &Window, ahead: &[usize]) -> Vec<Outlook> {
    let flat = vec![1.0; window.len()];
    let pool = |k: &usize| {
        let origins = Origins::new(window.len(), *k);
        let pool = Pooled::new(window, &origins, &[last_value(window, &origins)], &flat);
        Outlook::of(pool)
    };
    ahead.iter().map(pool).collect()
}

impl Sums {
    /// Adds one origin; the target in the window's units.
    fn add(&mut self, window: &Window, pool: &Outlook, naive: &Outlook, target: f64) {
        let (own, theirs) = (pool.quantiles(window, &SCORED), naive.quantiles(window, &SCORED));
        let (scale, last) = (window.scale, window.y[window.len() - 1]);
        let within = |level: f64| {
            let (low, high) = pool.interval(window, level);
            f64::from(u8::from(low - SLACK <= target && target <= high + SLACK))
        };
        let below = |i: usize| f64::from(u8::from(target <= own[i] + SLACK));
        self.count += 1.0;
        self.error += real((target - own[0]).abs()) * scale;
        self.naive_error += real((target - last).abs()) * scale;
        let loss =
            |of: &[f64]| [0, 2, 4].iter().map(|i| real(pinball(target, of[*i], SCORED[*i]))).sum::<f64>() * scale;
        self.pinball += loss(&own);
        self.naive_pinball += loss(&theirs);
        self.within = [self.within[0] + within(0.8), self.within[1] + within(0.95)];
        self.below = [self.below[0] + below(1), self.below[1] + below(3)];
    }

    fn score(&self, horizon: f64) -> HorizonScore {
        let share = |v: f64, of: f64| (of > 0.0).then(|| v / of);
        let coverage =
            |[at_80, at_95]: [f64; 2]| Coverage { at_80: share(at_80, self.count), at_95: share(at_95, self.count) };
        HorizonScore {
            horizon,
            targets: self.count as usize,
            relative_mase: share(self.error, self.naive_error),
            relative_pinball: share(self.pinball, self.naive_pinball),
            coverage: coverage(self.within),
            upper_coverage: coverage(self.below),
        }
    }
}

/// An error in the window's units; rounding is none.
fn real(error: f64) -> f64 {
    if error > SLACK { error } else { 0.0 }
}

/// The loss whose expectation is least at the quantile.
fn pinball(target: f64, forecast: f64, level: f64) -> f64 {
    let over = target - forecast;
    (level * over).max((level - 1.0) * over)
}
