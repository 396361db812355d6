//! Direct regression: one set of coefficients per horizon, learned in one pass through the window.
//!
//! At every instant the coefficients rest only on targets that had come to pass by then, so the track is an honest
//! record. Errors are weighted by the inverse of their size (iteratively reweighted least squares, one step per
//! sample), which aims at the median and so at the mean absolute error, and keeps bursts from bending the fit.

use super::window::Window;

/// Shrinkage towards the first feature, as a share of the features' own size.
const SHRINK: f64 = 0.001;
/// The coefficients are solved again each time this share of the window has passed.
const SOLVES: usize = 24;
/// Targets seen before the first solution.
const WARM_UP: usize = 24;
/// Errors smaller than this share of the mean error weigh no more than it.
const SMALL: f64 = 0.3;
/// Slope of the logarithm at zero: values below a quarter of the mean are nearly linear.
const LOG: f64 = 4.0;

/// The logarithm that the "ridge log" member works in; 0 stays 0.
pub(super) fn log(v: f64) -> f64 {
    (LOG * v).ln_1p()
}

/// The forecasts `k` steps ahead from every instant, from `features[feature][instant]`. The first feature is the
/// forecast that is corrected: the regression learns the difference from it.
pub(super) fn track(window: &Window, features: &[Vec<f64>], k: usize, in_logs: bool) -> Vec<f64> {
    let n = window.len();
    let target: Vec<f64> = if in_logs { window.y.iter().map(|v| log(*v)).collect() } else { window.y.clone() };
    let d = features.len() + 1;
    let mut normal = Normal::new(d);
    let mut beta = vec![0.0; d];
    let every = (n / SOLVES).max(1);
    let mut mean_error = 0.0_f64;
    let mut out = vec![f64::NAN; n];
    let mut row = vec![0.0; d];
    for u in 0..n {
        if u >= k && window.known[u] && window.known[u - k] {
            fill(&mut row, features, u - k);
            let base = features[0][u - k];
            let error = (target[u] - base - dot(&row, &beta)).abs();
            let share =
                if normal.count < 10.0 { 1.0 / (normal.count + 1.0) } else { 0.02_f64.max(1.0 / (normal.count + 1.0)) };
            mean_error += share * (error - mean_error);
            let weight =
                if mean_error > 0.0 { (mean_error / error.max(SMALL * mean_error)).min(1.0 / SMALL) } else { 1.0 };
            normal.add(&row, target[u] - base, weight);
        }
        if normal.count >= WARM_UP as f64 {
            let due = u % every == 0 || u + 1 == n || beta.iter().all(|b| *b == 0.0);
            if let Some(solved) = due.then(|| normal.solve()).flatten() {
                beta = solved;
            }
            fill(&mut row, features, u);
            let forecast = features[0][u] + dot(&row, &beta);
            out[u] = if in_logs { forecast.clamp(0.0, 50.0).exp_m1() / LOG } else { forecast };
        }
        out[u] = out[u].clamp(0.0, window.ceiling); // NaN stays NaN
    }
    out
}

/// One row of the regression: differences from the first feature, its own level, and 1.
fn fill(row: &mut [f64], features: &[Vec<f64>], t: usize) {
    let base = features[0][t];
    row[0] = base - 1.0; // the mean of the window is about 1: the pull towards it
    for (cell, feature) in row[1..].iter_mut().zip(&features[1..]) {
        *cell = feature[t] - base;
    }
    if let Some(cell) = row.last_mut() {
        *cell = 0.3;
    }
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
    fn solve(&self) -> Option<Vec<f64>> {
        let d = self.d;
        let size = (0..d).map(|i| self.xx[i * d + i]).sum::<f64>() / d as f64;
        let ridge = SHRINK * size + f64::MIN_POSITIVE;
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
