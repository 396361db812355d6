//! Exponential smoothing with a damped trend, its parameters found by augurs.
//!
//! augurs 0.10 is used as an engine for one thing, the non-seasonal search "ZZN", because everything around it was
//! found wanting (no seasonal models, NaN and panics on odd input, trends that explode): the input is finite, scaled
//! and short; the output is checked; a panic is caught. It publishes no parameters, so they are read off its fitted
//! values; with them the recursion is run by our own hands, which gives the forecast from *every* past instant. The
//! record is a little too good, by two or three parameters that were fitted to the newest values of it.

use super::{conformal::median, memo::Memo, window::Window};
use augurs::{Fit, Predict, ets::AutoETS};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Values that it is fitted to: more cost time and gain nothing.
const LONGEST: usize = 288;
/// Steps between fits of a series that is longer.
const REFIT: usize = 24;
/// Fewest values for a fit worth having.
const FEWEST: usize = 20;
/// Values further from the window's median than this many median deviations are pulled in before the fit.
const OUTLIER: f64 = 8.0;

static FITTED: Memo<Option<Ets>> = Memo::new();

/// `level' = fitted + alpha e`, `trend' = phi trend + beta e`; the forecast k steps on is `level + trend (phi + … + phi^k)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ets {
    alpha: f64,
    beta: f64,
    phi: f64,
}

impl Ets {
    /// Fits the end of a window; `None` when there is too little or the library fails. The fit ends at the last full
    /// [`REFIT`] steps and remembered: parameters of that many values change little from one to the next.
    pub(super) fn of(window: &Window) -> Option<Self> {
        let n = window.len();
        let fresh = (window.slot + n) % REFIT;
        let end = if n >= 2 * REFIT { n - fresh } else { n };
        let slice = &window.raw[end.saturating_sub(LONGEST)..end];
        FITTED.get(slice, &[], || {
            let mean = slice.iter().map(|v| v / slice.len() as f64).sum::<f64>().max(f64::MIN_POSITIVE);
            Self::fit(&slice.iter().map(|v| v / mean).collect::<Vec<_>>())
        })
    }

    /// Fits a series with a mean of about 1.
    fn fit(y: &[f64]) -> Option<Self> {
        let y = tamed(y)?;
        // AutoETS holds no state of ours, so nothing can be left half-changed by a panic.
        let (fitted, ahead) = catch_unwind(AssertUnwindSafe(|| {
            let model = AutoETS::non_seasonal().fit(&y).ok()?;
            Some((model.predict_in_sample(None).ok()?.point, model.predict(2, None).ok()?.point))
        }))
        .ok()??;
        read_off(&y, &fitted, &ahead)
    }

    /// Level and trend after every instant.
    pub(super) fn states(&self, y: &[f64]) -> Vec<(f64, f64)> {
        let (mut level, mut trend) = (y.first().copied().unwrap_or(0.0), 0.0);
        let after = |v: &f64| {
            let fitted = level + self.phi * trend;
            let error = v - fitted;
            trend = self.phi * trend + self.beta * error;
            level = fitted + self.alpha * error;
            (level, trend)
        };
        y.iter().map(after).collect()
    }

    /// What a trend adds in `k` steps.
    pub(super) fn damping(&self, k: usize) -> f64 {
        let factors = (1..=k.min(10_000)).scan(1.0, |p, _| {
            *p *= self.phi;
            Some(*p)
        });
        factors.sum()
    }
}

/// Finite values with outliers pulled in; `None` when there are too few or they do not vary (nothing to fit).
fn tamed(y: &[f64]) -> Option<Vec<f64>> {
    if y.len() < FEWEST || y.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let middle = median(y.iter().copied())?;
    let spread = median(y.iter().map(|v| (v - middle).abs()))? * OUTLIER;
    let (low, high) = if spread > 0.0 { (middle - spread, middle + spread) } else { (f64::MIN, f64::MAX) };
    let tamed: Vec<f64> = y.iter().map(|v| v.clamp(low, high)).collect();
    let varies = tamed.windows(2).any(|w| (w[1] - w[0]).abs() > 1e-9);
    varies.then_some(tamed)
}

/// Solves for the parameters: with e the one-step errors and D the steps of the fitted values,
/// `D[t] − phi D[t−1] = (alpha + phi beta) e[t] − phi alpha e[t−1]`, and phi is the ratio of the last two trend steps.
fn read_off(y: &[f64], fitted: &[f64], ahead: &[f64]) -> Option<Ets> {
    let [one, two] = *ahead else { return None };
    if fitted.len() != y.len() || fitted.iter().chain(ahead).any(|v| !v.is_finite()) {
        return None;
    }
    let errors: Vec<f64> = y.iter().zip(fitted).map(|(y, f)| y - f).collect();
    let mut next = fitted[1..].to_vec();
    next.push(one);
    let steps: Vec<f64> = next.iter().zip(fitted).map(|(n, f)| n - f).collect();
    // Without a trend D[t] = alpha e[t].
    let level_only = (two - one).abs() < 1e-12;
    if level_only {
        let (num, den) = steps.iter().zip(&errors).fold((0.0, 0.0), |(n, d), (s, e)| (n + s * e, d + e * e));
        return (den > 0.0).then(|| Ets { alpha: (num / den).clamp(0.0, 1.0), beta: 0.0, phi: 0.0 });
    }
    // Damping is searched: for the right one the equation above leaves nothing over.
    let residual = |phi: f64| {
        let (mut aa, mut ab, mut bb, mut ay, mut by, mut yy) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        for (error, moves) in errors.windows(2).zip(steps.windows(2)) {
            let (now, before, left) = (error[1], error[0], moves[1] - phi * moves[0]);
            aa += now * now;
            ab += now * before;
            bb += before * before;
            ay += now * left;
            by += before * left;
            yy += left * left;
        }
        let det = aa * bb - ab * ab;
        let (p, q) = ((ay * bb - by * ab) / det, (by * aa - ay * ab) / det);
        let alpha = -q / phi;
        ((yy - p * ay - q * by) / yy.max(f64::MIN_POSITIVE), Ets { alpha, beta: (p - alpha) / phi, phi })
    };
    let best = (0..=200).map(|i| residual(0.8 + f64::from(i) * 0.001)).min_by(|a, b| a.0.total_cmp(&b.0))?;
    let ets = best.1;
    let sane = [ets.alpha, ets.beta].iter().all(|v| v.is_finite() && (-0.01..=1.01).contains(v));
    // Undamped trends explode after outliers: the damping never exceeds what augurs itself allows.
    sane.then(|| Ets { phi: ets.phi.min(0.98), ..ets })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recursion_forecasts_what_augurs_does() {
        let mut state = 7_u32;
        let noise: Vec<f64> = (0..200)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f64::from(state >> 8) / f64::from(1 << 24)
            })
            .collect();
        let y: Vec<f64> = noise
            .iter()
            .scan(10.0, |level, n| {
                *level += n - 0.5;
                Some(*level + n)
            })
            .collect();
        let ours = Ets::fit(&y).unwrap();
        let theirs = AutoETS::non_seasonal().fit(&tamed(&y).unwrap()).unwrap().predict(5, None).unwrap().point;
        let (level, trend) = *ours.states(&y).last().unwrap();
        let last = level + trend * ours.damping(5);
        assert!((last - theirs[4]).abs() < 0.3, "{last} {theirs:?} {ours:?}");
    }

    #[test]
    fn odd_input_gives_no_fit_and_no_panic() {
        assert_eq!(Ets::fit(&[]), None);
        assert_eq!(Ets::fit(&[1.0; 100]), None);
        assert_eq!(Ets::fit(&vec![f64::NAN; 100]), None);
        let spike: Vec<f64> = (0..100).map(|i| if i == 50 { 1e90 } else { 0.0 }).collect();
        if let Some(ets) = Ets::fit(&spike) {
            assert!(ets.states(&spike).iter().all(|(l, t)| l.is_finite() && t.is_finite()));
        }
    }
}
