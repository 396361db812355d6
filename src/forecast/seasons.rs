//! Periods that operational series have, and their profiles: what the same phase of past cycles was like.

use super::window::Window;

/// Hour, day, week, in seconds. They are tried, never detected: a peak of a periodogram is a bin, not a period.
const PERIODS: [(&str, f64); 3] = [("hour", 3_600.0), ("day", 86_400.0), ("week", 604_800.0)];
/// Shortest period in steps that is worth a profile.
const SHORTEST_PERIOD: usize = 12;
/// Cycles that a window needs before a profile is used, and cycles that it is made of.
const CYCLES: (f64, usize) = (2.0, 5);

/// A period with its name, and the profile that is valid up to `reach` steps ahead.
pub(super) struct Season {
    pub(super) name: &'static str,
    pub(super) period: usize,
    /// At index `u`: from what lay a period or more before `u`, up to `furthest` steps beyond the window.
    pub(super) profile: Vec<f64>,
    half_width: usize,
    reach: usize,
}

/// The seasons that a window is long enough for.
pub(super) fn seasons(window: &Window, furthest: usize) -> Vec<Season> {
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
            Some(Season { name, period, profile, half_width, reach })
        })
        .collect()
}

impl Season {
    /// Whole cycles before a decomposition is worth having: two of a day tell something, two of a week mislead
    /// (measured on bursty traffic). `None`: it is not decomposed by this one.
    pub(super) fn cycles_needed(&self) -> Option<usize> {
        match self.name {
            "day" => Some(2),
            "week" => Some(3),
            _ => None,
        }
    }

    /// The profile for forecasts `k` steps ahead: index `t + k` rests on nothing after `t`.
    pub(super) fn ahead(&self, window: &Window, k: usize) -> std::borrow::Cow<'_, [f64]> {
        if k <= self.reach {
            return (&self.profile).into();
        }
        profile(window, self.period, self.half_width, (k + self.half_width).div_ceil(self.period), k).into()
    }
}

/// The median over past cycles of the mean around the same phase. The newest cycle used is `first` periods back;
/// `NaN` where none is known.
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
