//! The members of the pool. Each one is asked for its *track* at a horizon of `k` steps: for every instant of the
//! window the value that it would have forecast `k` steps on, from what lay before. The last one is the forecast.
//! `NaN` within a track means "no opinion yet"; it never leaves this room.

use super::{ets::Ets, ridge, window::Window};

/// Smoothing constants of the exponentially weighted means: some 2, 6, 20 and 60 values deep.
const ALPHAS: [f64; 4] = [0.5, 0.2, 0.07, 0.02];
/// Values that the rolling medians look back on.
const MEDIANS: [usize; 2] = [9, 41];
/// Periods that operational series have, seconds: hour, day, week. They are tried, never detected: a peak of a
/// periodogram is a bin, not a period.
const PERIODS: [(&str, f64); 3] = [("hour", 3_600.0), ("day", 86_400.0), ("week", 604_800.0)];
/// Shortest period in steps that is worth a profile.
const SHORTEST_PERIOD: usize = 12;
/// Cycles that a window needs before a profile is used, and cycles that it is made of.
const CYCLES: (f64, usize) = (2.0, 5);

/// Values before the present one that the regression sees: how the series is moving.
const LAGS: [usize; 3] = [1, 2, 5];

/// What does not depend on the horizon, worked out once.
pub(super) struct Members<'a> {
    window: &'a Window,
    means: Vec<Vec<f64>>,
    medians: Vec<Vec<f64>>,
    seasons: Vec<Season>,
    ets: Option<Ets>,
}

/// A period with its name, and the profile that is valid up to `reach` steps ahead.
struct Season {
    name: &'static str,
    period: usize,
    half_width: usize,
    profile: Vec<f64>,
    reach: usize,
}

/// One member at one horizon.
pub(super) struct Track {
    pub(super) name: &'static str,
    pub(super) values: Vec<f64>,
}

impl<'a> Members<'a> {
    /// Prepares the members for horizons up to `furthest` steps; `with_ets` is what costs time.
    pub(super) fn new(window: &'a Window, furthest: usize, with_ets: bool) -> Self {
        let means = ALPHAS.iter().map(|a| ewma(&window.y, *a)).collect();
        let medians = MEDIANS.iter().map(|w| rolling_median(&window.y, *w)).collect();
        let ets = with_ets.then(|| Ets::fit(&window.y)).flatten();
        Self { window, means, medians, seasons: seasons(window, furthest), ets }
    }

    /// Every member's track at `k` steps.
    pub(super) fn tracks(&self, k: usize) -> Vec<Track> {
        let y = &self.window.y;
        let mut out = vec![Track { name: "last value", values: y.clone() }];
        let ewma_names = ["ewma 0.5", "ewma 0.2", "ewma 0.07", "ewma 0.02"];
        out.extend(ewma_names.iter().zip(&self.means).map(|(name, m)| Track { name, values: m.clone() }));
        let median_names = ["median 9", "median 41"];
        out.extend(median_names.iter().zip(&self.medians).map(|(name, m)| Track { name, values: m.clone() }));
        if let Some(ets) = &self.ets {
            out.push(Track { name: "ets", values: ets.track(y, k) });
        }
        let profiles: Vec<Vec<f64>> = self.seasons.iter().map(|s| s.ahead(self.window, k)).collect();
        for (season, ahead) in self.seasons.iter().zip(&profiles) {
            out.push(Track { name: season.name, values: ahead[k..].to_vec() });
        }
        let features = self.features(&profiles, k);
        out.push(Track { name: "ridge", values: ridge::track(self.window, &features, k, false) });
        let logs: Vec<Vec<f64>> = features.iter().map(|f| f.iter().map(|v| ridge::log(*v)).collect()).collect();
        out.push(Track { name: "ridge log", values: ridge::track(self.window, &logs, k, true) });
        out
    }

    /// What the regression sees at each instant: present levels, and what the season says of now and of then.
    fn features(&self, profiles: &[Vec<f64>], k: usize) -> Vec<Vec<f64>> {
        let n = self.window.len();
        let mut out = vec![self.means[1].clone(), self.window.y.clone()];
        out.push(self.means[0].clone());
        out.extend(self.means[2..].iter().cloned());
        out.push(self.medians[1].clone());
        let y = &self.window.y;
        out.extend(LAGS.map(|lag| (0..n).map(|t| y[t.saturating_sub(lag)]).collect()));
        for (season, ahead) in self.seasons.iter().zip(profiles) {
            let or_slow = |t: usize, v: f64| if v.is_nan() { self.means[3][t] } else { v };
            out.push((0..n).map(|t| or_slow(t, ahead[t + k])).collect());
            out.push((0..n).map(|t| or_slow(t, season.profile[t])).collect());
            // The last cycle itself, beside the profile of several: at the target's phase and at the present one.
            let cycle_back = |t: usize, back: usize| t.checked_sub(back).map_or(self.means[3][t], |i| y[i]);
            let whole = k.div_ceil(season.period) * season.period;
            out.push((0..n).map(|t| cycle_back(t, whole - k)).collect());
            out.push((0..n).map(|t| cycle_back(t, season.period)).collect());
        }
        out
    }
}

fn ewma(y: &[f64], alpha: f64) -> Vec<f64> {
    let mut level = f64::NAN;
    let mut seen = 0.0;
    y.iter()
        .map(|v| {
            seen += 1.0;
            // A plain mean until there is enough for the constant: the first value must not linger.
            let alpha = alpha.max(1.0 / seen);
            level = if level.is_nan() { *v } else { level + alpha * (v - level) };
            level
        })
        .collect()
}

fn rolling_median(y: &[f64], width: usize) -> Vec<f64> {
    let mut sorted: Vec<f64> = Vec::with_capacity(width + 1);
    let place = |sorted: &[f64], v: f64| sorted.partition_point(|s| *s < v);
    (0..y.len())
        .map(|t| {
            let at = place(&sorted, y[t]);
            sorted.insert(at, y[t]);
            if t >= width {
                let at = place(&sorted, y[t - width]);
                sorted.remove(at);
            }
            f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
        })
        .collect()
}

fn seasons(window: &Window, furthest: usize) -> Vec<Season> {
    let fits = |seconds: f64| {
        let steps = seconds / window.step;
        let whole = (steps - steps.round()).abs() < 1e-6;
        (whole && steps >= SHORTEST_PERIOD as f64 && CYCLES.0 * steps <= window.len() as f64).then_some(steps as usize)
    };
    PERIODS
        .iter()
        .filter_map(|(name, seconds)| {
            let period = fits(*seconds)?;
            let half_width = period / 96;
            let reach = period - half_width;
            let profile = profile(window, period, half_width, 1, furthest);
            Some(Season { name, period, half_width, profile, reach })
        })
        .collect()
}

impl Season {
    /// The profile for forecasts `k` steps ahead: index `t + k` rests on nothing after `t`.
    fn ahead(&self, window: &Window, k: usize) -> Vec<f64> {
        if k <= self.reach {
            return self.profile.clone();
        }
        profile(window, self.period, self.half_width, (k + self.half_width).div_ceil(self.period), k)
    }
}

/// The median over past cycles of the mean around the same phase, up to `furthest` steps beyond the window. The newest
/// cycle used is `first` periods back; `NaN` where none is known.
fn profile(window: &Window, period: usize, half_width: usize, first: usize, furthest: usize) -> Vec<f64> {
    let n = window.len();
    let mut sums = vec![0.0; n + 1];
    for (i, v) in window.y.iter().enumerate() {
        sums[i + 1] = sums[i] + v;
    }
    let around = |i: usize| {
        let (from, to) = (i.saturating_sub(half_width), (i + half_width + 1).min(n));
        (sums[to] - sums[from]) / (to - from) as f64
    };
    let mut cycles = Vec::with_capacity(CYCLES.1);
    (0..n + furthest)
        .map(|u| {
            cycles.clear();
            let past = (first..first + CYCLES.1).map_while(|j| u.checked_sub(j * period));
            cycles.extend(past.filter(|i| *i < n && window.known[*i]).map(around));
            cycles.sort_by(f64::total_cmp);
            let m = cycles.len();
            if m == 0 { f64::NAN } else { f64::midpoint(cycles[(m - 1) / 2], cycles[m / 2]) }
        })
        .collect()
}
