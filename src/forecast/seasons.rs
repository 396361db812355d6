//! Periods that operational series have, and their profiles: what the same phase of past cycles was like.

use super::window::Window;
use std::rc::Rc;

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
    /// At index `i`: the sum of the first `i` values of the window.
    sums: Rc<[f64]>,
}

/// The seasons that a window is long enough for.
pub(super) fn seasons(window: &Window, furthest: usize) -> Vec<Season> {
    let n = window.len();
    let fits = |seconds: f64| {
        let steps = seconds / window.step;
        let cycles = n as f64 / steps;
        // Scrapers drift: a period is whole when it is less than a step off by the end of the window.
        let whole = (steps - steps.round()).abs() * cycles < 1.0;
        (whole && steps.round() >= SHORTEST_PERIOD as f64 && cycles >= CYCLES.0).then_some(steps.round() as usize)
    };
    let mut sum = 0.0;
    let add = |v: &f64| {
        sum += v;
        sum
    };
    let sums: Rc<[f64]> = std::iter::once(0.0).chain(window.y.iter().map(add)).collect();
    PERIODS
        .iter()
        .filter_map(|(name, seconds)| {
            let period = fits(*seconds)?;
            let half_width = period / 96;
            let reach = period - half_width;
            let mut season = Season { name, period, profile: Vec::new(), half_width, reach, sums: sums.clone() };
            season.profile = (0..n + furthest).map(|u| season.usual(window, u, 1)).collect();
            Some(season)
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

    /// What the profile says at each of `origins` of `k` steps ahead: it rests on nothing after the origin.
    pub(super) fn ahead(&self, window: &Window, origins: &[usize], k: usize) -> Vec<f64> {
        let first = if k <= self.reach { 1 } else { (k + self.half_width).div_ceil(self.period) };
        let of = |u: usize| match self.profile.get(u) {
            Some(known) if first == 1 => *known,
            _ => self.usual(window, u, first),
        };
        origins.iter().map(|t| of(t + k)).collect()
    }

    /// The median over past cycles of the mean around the phase of `u`. The newest cycle used is `first` periods back;
    /// `NaN` where none is known.
    fn usual(&self, window: &Window, u: usize, first: usize) -> f64 {
        let n = window.len();
        let mut cycles = [0.0; CYCLES.1];
        let mut count = 0;
        for i in (first..first + CYCLES.1).map_while(|j| u.checked_sub(j * self.period)) {
            if i < n && window.known[i] {
                let (from, to) = (i.saturating_sub(self.half_width), (i + self.half_width + 1).min(n));
                cycles[count] = (self.sums[to] - self.sums[from]) / (to - from) as f64;
                count += 1;
            }
        }
        let cycles = &mut cycles[..count];
        cycles.sort_unstable_by(f64::total_cmp);
        if count == 0 { f64::NAN } else { f64::midpoint(cycles[(count - 1) / 2], cycles[count / 2]) }
    }
}
