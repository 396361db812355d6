//! The members of the pool. Each one is asked for its *track* at a horizon of `k` steps: for every origin the value
//! that it would have forecast `k` steps on, from what lay before. The last one is the forecast.
//! `NaN` within a track means "no opinion yet"; it never leaves this room.

use super::{
    Settings,
    change::{Changes, changes},
    ets::Ets,
    mstl::Mstl,
    pool::Origins,
    ridge,
    seasons::{Season, seasons},
    window::Window,
};

/// Smoothing constants of the exponentially weighted means: some 2, 6, 20 and 60 values deep.
const ALPHAS: [(&str, f64); 4] = [("ewma 0.5", 0.5), ("ewma 0.2", 0.2), ("ewma 0.07", 0.07), ("ewma 0.02", 0.02)];
/// Values that the rolling medians look back on.
const MEDIANS: [(&str, usize); 2] = [("median 9", 9), ("median 41", 41)];
/// Values before the present one that the regression sees: how the series is moving.
const LAGS: [usize; 3] = [1, 2, 5];
/// What the regression sees of a constant: the smaller, the more its coefficient is shrunk.
const CONSTANT: f64 = 0.3;
/// Error over that of the last value that is believed of a member before it has shown one: of a plain one, and of one
/// that has learned a lot from little.
const PLAIN: f64 = 1.0;
const LEARNED: f64 = 1.15;

/// The regressions, and whether they work in logarithms.
const RIDGES: [(&str, bool); 2] = [("ridge", false), ("ridge log", true)];

/// What does not depend on the horizon, worked out once.
pub(super) struct Members<'a> {
    window: &'a Window,
    means: Vec<Vec<f64>>,
    medians: Vec<Vec<f64>>,
    seasons: Vec<Season>,
    ets: Option<(Ets, Vec<(f64, f64)>)>,
    mstl: Option<Mstl>,
    pub(super) changes: Changes,
    /// What the regression sees of the present at each instant, as it is and in logarithms: first the level that is
    /// corrected, then the value itself, then other levels.
    levels: [Vec<Vec<f64>>; 2],
}

/// One member at one horizon.
pub(super) struct Track {
    pub(super) name: &'static str,
    /// Its error over that of the last value, as believed before it has shown one.
    pub(super) prior: f64,
    /// One forecast per origin.
    pub(super) values: Vec<f64>,
    /// Coefficients at the last origin, of a member that has some.
    pub(super) beta: Option<Vec<f64>>,
}

impl Track {
    pub(super) fn new(name: &'static str, prior: f64, values: Vec<f64>) -> Self {
        Self { name, prior, values, beta: None }
    }
}

impl<'a> Members<'a> {
    /// Prepares the members for horizons up to `furthest` steps.
    pub(super) fn new(window: &'a Window, furthest: usize, settings: Settings) -> Self {
        let means: Vec<Vec<f64>> = ALPHAS.iter().map(|(_, a)| ewma(&window.y, *a)).collect();
        let medians: Vec<Vec<f64>> = MEDIANS.iter().map(|(_, w)| rolling_median(&window.y, *w)).collect();
        let levels = [&means[1], &window.y, &means[0], &means[2], &means[3], &medians[1]];
        let logs = levels.map(|level| level.iter().map(|v| ridge::log(*v)).collect()).to_vec();
        let levels = [levels.map(Clone::clone).to_vec(), logs];
        let ets = settings.ets.then(|| Ets::of(window)).flatten();
        let ets = ets.map(|ets| (ets, ets.states(&window.y)));
        let seasons = seasons(window, furthest);
        let mstl = settings.mstl.then(|| Mstl::new(window, &seasons)).flatten();
        Self { window, means, medians, seasons, ets, mstl, levels, changes: changes(&window.y) }
    }

    /// Whether anything is known of a season.
    pub(super) fn has_season(&self) -> bool {
        !self.seasons.is_empty()
    }

    /// Whether that is one of a day or longer: levels then change by the hour.
    pub(super) fn has_days(&self) -> bool {
        self.seasons.last().is_some_and(|s| s.name != "hour")
    }

    /// Every member's track; the first is the last value.
    pub(super) fn tracks(&self, origins: &Origins) -> Vec<Track> {
        self.tracks_by(origins, |rows, name, in_logs| {
            let (values, beta) = ridge::track(self.window, origins, rows, in_logs);
            Track { beta, ..Track::new(name, LEARNED, values) }
        })
    }

    /// What every member says now of `k` steps ahead, the regressions with coefficients that were learned at a horizon
    /// near it.
    pub(super) fn now<'b>(&self, k: usize, beta: impl Fn(&str) -> Option<&'b [f64]>) -> Vec<Track> {
        self.tracks_by(&Origins::newest(self.window.len(), k), |rows, name, in_logs| {
            let value = beta(name).map_or(f64::NAN, |beta| ridge::apply(self.window, rows, 0, beta, in_logs));
            Track::new(name, LEARNED, vec![value])
        })
    }

    fn tracks_by(&self, origins: &Origins, regress: impl Fn(&ridge::Rows, &'static str, bool) -> Track) -> Vec<Track> {
        let (at, k) = (&origins.at, origins.k);
        let pick = |from: &[f64]| -> Vec<f64> { at.iter().map(|t| from[*t]).collect() };
        let plain = |name, values| Track::new(name, PLAIN, values);
        let learned = |name, values| Track::new(name, LEARNED, values);
        let mut out = vec![last_value(self.window, origins)];
        out.extend(ALPHAS.iter().zip(&self.means).map(|((name, _), m)| plain(*name, pick(m))));
        out.extend(MEDIANS.iter().zip(&self.medians).map(|((name, _), m)| plain(*name, pick(m))));
        out.push(plain("since change", pick(&self.changes.means)));
        if let Some((ets, states)) = &self.ets {
            let damping = ets.damping(k);
            let forecast = |t: &usize| states[*t].0 + states[*t].1 * damping;
            out.push(plain("ets", at.iter().map(forecast).collect()));
        }
        if let Some(mstl) = &self.mstl {
            let forecast = |t: &usize| (mstl.levels[*t] + mstl.season(*t, t + k)).max(0.0);
            out.push(learned("mstl", at.iter().map(forecast).collect()));
        }
        let profiles: Vec<Vec<f64>> = self.seasons.iter().map(|s| s.ahead(self.window, at, k)).collect();
        for (season, ahead) in self.seasons.iter().zip(&profiles) {
            out.push(learned(season.name, ahead.clone()));
        }
        let seasonal = self.seasonal(&profiles, origins);
        for (name, in_logs) in RIDGES {
            out.push(regress(&self.rows(&seasonal, origins, in_logs), name, in_logs));
        }
        out
    }

    /// What the regression sees at each origin: how present levels and what the season says differ from the base.
    fn rows(&self, seasonal: &[Vec<f64>], origins: &Origins, in_logs: bool) -> ridge::Rows {
        let sources = &self.levels[usize::from(in_logs)];
        let [base, levels @ ..] = &sources[..] else { return ridge::Rows::default() };
        let y = &levels[0];
        let width = 1 + levels.len() + LAGS.len() + seasonal.len() + 1;
        let mut cells = Vec::with_capacity(width * origins.at.len());
        let mean = if in_logs { ridge::log(1.0) } else { 1.0 };
        for (i, t) in origins.at.iter().enumerate() {
            let base = base[*t];
            cells.push(base - mean); // the pull towards the mean of the window
            cells.extend(levels.iter().map(|level| level[*t] - base));
            cells.extend(LAGS.iter().map(|lag| y[t.saturating_sub(*lag)] - base));
            cells.extend(seasonal.iter().map(|s| if in_logs { ridge::log(s[i]) } else { s[i] } - base));
            cells.push(CONSTANT);
        }
        ridge::Rows { base: origins.at.iter().map(|t| base[*t]).collect(), cells, width }
    }

    /// What the seasons say at each origin of now and of then.
    fn seasonal(&self, profiles: &[Vec<f64>], origins: &Origins) -> Vec<Vec<f64>> {
        let (y, k, slow) = (&self.window.y, origins.k, &self.means[3]);
        let of = |value: &dyn Fn(usize) -> f64| -> Vec<f64> { origins.at.iter().map(|t| value(*t)).collect() };
        let mut out = Vec::new();
        if let Some(mstl) = &self.mstl {
            let moved = |t: usize| y[t] + mstl.season(t, t + k) - mstl.season(t, t);
            out.push(of(&|t| Some(moved(t)).filter(|v| v.is_finite()).unwrap_or(y[t]).max(0.0)));
        }
        for (season, ahead) in self.seasons.iter().zip(profiles) {
            let or_slow = |t: usize, v: f64| if v.is_nan() { slow[t] } else { v };
            out.push(origins.at.iter().zip(ahead).map(|(t, v)| or_slow(*t, *v)).collect());
            out.push(of(&|t| or_slow(t, season.profile[t])));
            // The last cycle itself, beside the profile of several: at the target's phase and at the present one.
            let cycle_back = |t: usize, back: usize| t.checked_sub(back).map_or(slow[t], |i| y[i]);
            let whole = k.div_ceil(season.period) * season.period;
            out.push(of(&|t| cycle_back(t, whole - k)));
            out.push(of(&|t| cycle_back(t, season.period)));
        }
        out
    }
}

/// What everything is compared with.
pub(super) fn last_value(window: &Window, origins: &Origins) -> Track {
    Track::new("last value", PLAIN, origins.at.iter().map(|t| window.y[*t]).collect())
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
