//! History in, quantile paths out. Pure and deterministic; no panic of a library escapes.
//!
//! No method is best everywhere: measured on real traces, a textbook decomposition is four times better than "last
//! value" on one and nearly twice as bad on another. So a pool of cheap members ([`members`]) is weighted by how well
//! each would have done on this very series, and the quantiles are the pool's own past errors ([`pool`]).

mod backtest;
mod ets;
mod members;
mod pool;
mod ridge;
mod window;

pub use backtest::{Backtest, Coverage, HorizonScore, backtest};

use crate::model::{Forecast, Grid, Quantiles, Time};
use members::Members;
use pool::{Pooled, volatility};
use window::{Window, span};

/// Levels of [`Quantiles`].
const LEVELS: [f64; 4] = [0.1, 0.5, 0.8, 0.95];
/// Steps that are forecast at most.
const MOST_STEPS: usize = 2_000;
/// Scores below which a horizon borrows those of a shorter one.
const FEW_SCORES: usize = 30;
/// Errors grow with the horizon to the power of this where it must be guessed: a random walk has 1/2, noise around a
/// level 0.
const GROWTH: f64 = 0.25;
/// Values of history below which quantiles are called wide.
const SHORT: usize = 60;

/// Quantile paths of a series over `horizon` seconds, on the grid's step, from one step after `now` on.
///
/// Nothing after `now` is looked at; gaps are neither learned from nor scored. Values that are negative, not finite
/// or beyond 1e100 count as gaps. Multiplying the series by a constant multiplies the paths by it. The error is a sentence that says
/// what is missing.
///
/// ```
/// use highwater::{forecast::forecast, model::{Grid, Time}};
/// let start = Time::from_secs(0.0);
/// let grid = Grid { start, step: 15.0, values: vec![Some(100.0); 120] };
/// let f = forecast(&grid, grid.at(119), 300.0).unwrap();
/// assert_eq!(f.points.len(), 20);
/// assert!(f.points.iter().all(|q| (q.p50 - 100.0).abs() < 1e-3 && q.p10 <= q.p50 && q.p80 <= q.p95));
/// let short = Grid { values: vec![Some(1.0); 4], ..grid };
/// assert_eq!(forecast(&short, short.at(3), 300.0).unwrap_err(), "60 s of history; 2 minutes are needed");
/// ```
pub fn forecast(history: &Grid, now: Time, horizon: f64) -> Result<Forecast, String> {
    let window = Window::new(history, now, horizon)?;
    let steps = ((horizon / window.step).ceil() as usize).clamp(1, MOST_STEPS);
    let knots = knots(steps);
    let ahead: Vec<usize> = knots.iter().map(|k| k + window.age).collect();
    let pools = pools(&window, &ahead, true);
    let values: Vec<Vec<f64>> = pools.iter().map(|p| sorted(p.quantiles(&LEVELS))).collect();
    let points = (1..=steps).map(|k| {
        let [p10, p50, p80, p95] = between(&knots, &values, k).map(|v| v * window.scale);
        Quantiles { t: now.plus(k as f64 * window.step), p10, p50, p80, p95 }
    });
    let middle = pools.get(pools.len() / 2);
    let mut warnings = window.warnings.clone();
    if window.len() < SHORT {
        warnings.push(format!("{} of history: quantiles are wide", span(window.len() as f64 * window.step)));
    }
    Ok(Forecast {
        at: now,
        step: window.step,
        points: points.collect(),
        model: "pool".to_owned(),
        weights: middle.map_or_else(Vec::new, |p| p.weights.iter().map(|(n, w)| ((*n).to_owned(), *w)).collect()),
        relative_error: middle.and_then(|p| p.errors).filter(|e| e.1 > 0.0).map(|(own, naive)| own / naive),
        warnings,
    })
}

/// The pool at each of the horizons `ahead` (steps after the window's end, increasing).
fn pools(window: &Window, ahead: &[usize], with_ets: bool) -> Vec<Pooled> {
    let furthest = ahead.last().copied().unwrap_or(1);
    let members = Members::new(window, furthest, with_ets);
    let volatility = volatility(window);
    let mut lender: Option<(usize, Vec<f64>)> = None;
    ahead
        .iter()
        .map(|k| {
            let mut pool = Pooled::new(window, &members.tracks(*k), &volatility, *k);
            if pool.scores.len() >= FEW_SCORES {
                lender = Some((*k, pool.scores.clone()));
            } else if let Some((shorter, scores)) = &lender {
                pool.borrow(scores, (*k as f64 / *shorter as f64).powf(GROWTH));
            }
            pool
        })
        .collect()
}

/// The horizons that are worked out; what lies between is interpolated. They grow apart by two thirds, but no further
/// than a twelfth of the whole, so that a day ahead keeps its shape.
fn knots(steps: usize) -> Vec<usize> {
    let mut knots = vec![1];
    let mut k = 1_usize;
    while k < steps {
        k = (k + (k * 2 / 3).clamp(1, (steps / 12).max(8))).min(steps);
        knots.push(k);
    }
    knots
}

/// Quantiles at step `k`, interpolated between knots.
fn between(knots: &[usize], values: &[Vec<f64>], k: usize) -> [f64; 4] {
    let right = knots.partition_point(|x| *x < k).min(knots.len() - 1);
    let left = right.saturating_sub(1);
    let width = knots[right] - knots[left];
    let share = if width == 0 { 0.0 } else { (k - knots[left]) as f64 / width as f64 };
    let mut out = std::array::from_fn(|i| {
        let (a, b) = (values[left][i], values[right][i]);
        a + share * (b - a)
    });
    out.sort_by(f64::total_cmp); // rounding must not put them out of order
    out
}

/// Quantiles in order: each was estimated on its own.
fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests;
