//! Direct regression: one set of coefficients per horizon, learned in one pass through the window.
//!
//! At every instant the coefficients rest only on targets that had come to pass by then, so the track is an honest
//! record. Errors are weighted by the inverse of their size (iteratively reweighted least squares, one step per
//! sample), which aims at the median and so at the mean absolute error, and keeps bursts from bending the fit.

use super::{pool::Origins, window::Window};

/// Shrinkage towards the first feature, as a share of the features' own size.
const SHRINK: f64 = 0.001;
/// More of it where few independent errors were seen: so much over their number.
const PRIOR: f64 = 0.3;
/// Targets seen before the first solution, and the factor by which they must grow for another.
const WARM_UP: f64 = 24.0;
const SOLVE_AGAIN: f64 = 1.2;
/// Errors smaller than this share of the mean error weigh no more than it.
const SMALL: f64 = 0.3;
/// Slope of the logarithm at zero: values below a quarter of the mean are nearly linear.
const LOG: f64 = 4.0;

/// The logarithm that the "ridge log" member works in; 0 stays 0.
pub(super) fn log(v: f64) -> f64 {
    (LOG * v).ln_1p()
}

/// What the regression sees: one row per origin.
#[derive(Default)]
pub(super) struct Rows {
    /// The forecast that is corrected: the regression learns the difference from it.
    pub(super) base: Vec<f64>,
    /// `width` numbers per origin, each of them near 0 where nothing special is the case.
    pub(super) cells: Vec<f64>,
    pub(super) width: usize,
}

impl Rows {
    fn row(&self, i: usize) -> &[f64] {
        &self.cells[i * self.width..(i + 1) * self.width]
    }
}

/// The forecasts from every origin, and the coefficients of the last one; `None` while there are none.
pub(super) fn track(window: &Window, origins: &Origins, rows: &Rows, in_logs: bool) -> (Vec<f64>, Option<Vec<f64>>) {
    let (count, k) = (origins.at.len(), origins.k);
    let mut normal = Normal::new(rows.width);
    let mut beta = vec![0.0; rows.width];
    let mut mean_error = 0.0_f64;
    let mut out = vec![f64::NAN; count];
    let (mut due, mut solve_at) = (0, WARM_UP);
    for (i, t) in origins.at.iter().enumerate() {
        while origins.at[due] + k <= *t {
            let origin = origins.at[due];
            if window.known[origin + k] && window.known[origin] {
                let target = if in_logs { log(window.y[origin + k]) } else { window.y[origin + k] };
                let difference = target - rows.base[due];
                let error = (difference - dot(rows.row(due), &beta)).abs();
                mean_error += (1.0 / (normal.count + 1.0)).max(0.02) * (error - mean_error);
                let weight =
                    if mean_error > 0.0 { (mean_error / error.max(SMALL * mean_error)).min(1.0 / SMALL) } else { 1.0 };
                normal.add(rows.row(due), difference, weight);
            }
            due += 1;
        }
        if normal.count >= solve_at || (i + 1 == count && normal.count >= WARM_UP) {
            solve_at = normal.count * SOLVE_AGAIN;
            let shrink = SHRINK + PRIOR / origins.independent(normal.count);
            if let Some(solved) = normal.solve(shrink) {
                beta = solved;
            }
        }
        if normal.count >= WARM_UP {
            out[i] = apply(window, rows, i, &beta, in_logs);
        }
    }
    (out, (normal.count >= WARM_UP).then_some(beta))
}

/// The forecast of coefficients for a row.
pub(super) fn apply(window: &Window, rows: &Rows, i: usize, beta: &[f64], in_logs: bool) -> f64 {
    let forecast = rows.base[i] + dot(rows.row(i), beta);
    let forecast = if in_logs { forecast.clamp(0.0, 50.0).exp_m1() / LOG } else { forecast };
    forecast.clamp(0.0, window.ceiling) // NaN stays NaN
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The normal equations, accumulated.
struct Normal {
    d: usize,
    /// Lower triangle of X'WX, row by row.
    xx: Vec<f64>,
    xy: Vec<f64>,
    count: f64,
}

impl Normal {
    fn new(d: usize) -> Self {
        Self { d, xx: vec![0.0; d * d], xy: vec![0.0; d], count: 0.0 }
    }

    fn add(&mut self, row: &[f64], target: f64, weight: f64) {
        for (i, a) in row.iter().enumerate() {
            let wa = weight * a;
            for (cell, b) in self.xx[i * self.d..=i * self.d + i].iter_mut().zip(row) {
                *cell += wa * b;
            }
            self.xy[i] += wa * target;
        }
        self.count += 1.0;
    }

    /// Solves with a ridge on the diagonal, by Cholesky; `None` when that fails.
    fn solve(&self, shrink: f64) -> Option<Vec<f64>> {
        let d = self.d;
        let size = (0..d).map(|i| self.xx[i * d + i]).sum::<f64>() / d as f64;
        let ridge = shrink * size + f64::MIN_POSITIVE;
        let mut l = vec![0.0; d * d];
        for i in 0..d {
            for j in 0..=i {
                let mut sum = self.xx[i * d + j] - dot(&l[i * d..i * d + j], &l[j * d..j * d + j]);
                if i == j {
                    sum += ridge;
                    if sum <= 0.0 || !sum.is_finite() {
                        return None;
                    }
                    l[i * d + i] = sum.sqrt();
                } else {
                    l[i * d + j] = sum / l[j * d + j];
                }
            }
        }
        let mut x = self.xy.clone();
        for i in 0..d {
            x[i] = (x[i] - dot(&l[i * d..i * d + i], &x[..i])) / l[i * d + i];
        }
        for i in (0..d).rev() {
            let tail: f64 = (i + 1..d).map(|j| l[j * d + i] * x[j]).sum();
            x[i] = (x[i] - tail) / l[i * d + i];
        }
        x.iter().all(|v| v.is_finite()).then_some(x)
    }
}
