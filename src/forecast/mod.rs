//! History in, quantile paths out. Pure and deterministic; no panic of a library escapes.
//!
//! No method is best everywhere: measured on real traces, a textbook decomposition is four times better than "last
//! value" on one and nearly twice as bad on another. So a pool of cheap members ([`members`]) is weighted by how well
//! each would have done on this very series, and the quantiles are the pool's own past errors ([`pool`]).

mod backtest;
mod change;
mod conformal;
mod ets;
mod loss;
mod members;
mod memo;
mod mstl;
mod odd;
mod pool;
pub mod profile;
mod ridge;
mod seasons;
mod sparse;
mod window;

pub use backtest::{Backtest, Coverage, HorizonScore, backtest};
pub use loss::loss_curve;

use crate::model::{Covered, Forecast, Grid, Quantiles, Time};
use change::Change;
use conformal::{Scores, at_level};
use members::{Members, Track};
use pool::{Opinion, Origins, Pooled, volatility};
use window::{Window, span};

/// Levels of [`Quantiles`].
const LEVELS: [f64; 4] = [0.1, 0.5, 0.8, 0.95];
/// Steps that are forecast at most.
const MOST_STEPS: usize = 2_000;
/// Independent errors, and scores, below which a horizon borrows the scores of a shorter one.
const FEW_SCORES: (f64, usize) = (5.0, 30);
/// Change of level, as a share of the higher one, that is worth a word.
const STEP: f64 = 1.0 / 3.0;
/// Past intervals below which their coverage says little.
const JUDGED: usize = 30;
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
    forecast_with(history, now, horizon, Settings::default())
}

/// Members that cost more than the rest together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Exponential smoothing with parameters searched for: some milliseconds, each 24 steps.
    pub ets: bool,
    /// Seasonal decomposition: some 10 ms for each day or week of the window, once.
    pub mstl: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ets: true, mstl: true }
    }
}

/// [`forecast`] with a choice of members.
pub fn forecast_with(history: &Grid, now: Time, horizon: f64, settings: Settings) -> Result<Forecast, String> {
    let window = Window::new(history, now, horizon)?;
    let steps = ((horizon / window.step).ceil() as usize).clamp(1, MOST_STEPS);
    let knots = knots(steps);
    let ahead: Vec<usize> = knots.iter().map(|k| k + window.age).collect();
    let Outlooks { each: outlooks, season, changed } = outlooks(&window, &ahead, settings);
    let values: Vec<Vec<f64>> = outlooks.iter().map(|o| o.quantiles(&window, &LEVELS)).collect();
    let bends: Vec<f64> = outlooks.iter().map(Outlook::bends).collect();
    let path = Path { knots: &knots, values: &values, bends: &bends, season: &season, age: window.age };
    let points = (1..=steps).map(|k| {
        let [p10, p50, p80, p95] = path.at(k).map(|v| v.clamp(0.0, window.ceiling) * window.scale);
        Quantiles { t: now.plus(k as f64 * window.step), p10, p50, p80, p95 }
    });
    let middle = outlooks.get(outlooks.len() / 2);
    let covered = middle.and_then(Outlook::covered);
    let mut warnings = window.warnings.clone();
    if window.len() < SHORT {
        warnings.push(format!("{} of history: quantiles are wide", span(window.len() as f64 * window.step)));
    }
    // In a season levels change by the hour; elsewhere a large step that stayed is worth a word.
    if let Some(change) = changed.filter(|c| season.is_empty() && (c.to - c.from).abs() > STEP * c.from.max(c.to)) {
        let steps = window.len() - change.since;
        if steps >= window::FEWEST {
            let ago = span((steps + window.age) as f64 * window.step);
            warnings.push(format!("the level changed {ago} ago: what lies before counts less"));
        }
    }
    let judged_by_errors = middle.is_some_and(|o| matches!(o.spread, Spread::Errors(_)));
    if judged_by_errors && covered.is_none_or(|c| c.count < JUDGED) {
        warnings.push("not enough history to say how often the band holds".to_owned());
    }
    Ok(Forecast {
        at: now,
        step: window.step,
        points: points.collect(),
        model: "pool".to_owned(),
        weights: middle.map_or_else(Vec::new, Outlook::weights),
        relative_error: middle.and_then(|o| o.errors).filter(|e| e.1 > 0.0).map(|(own, naive)| own / naive),
        covered,
        warnings,
    })
}

/// What is expected at one horizon.
struct Outlook {
    /// The forecast, before quantiles, in the window's units.
    point: f64,
    spread: Spread,
    /// Members that have an opinion, heaviest first; the weights sum to 1.
    opinions: Vec<Opinion>,
    /// Mean absolute error of the forecast and of the last value, on the same past origins.
    errors: Option<(f64, f64)>,
}

/// The member that a mostly empty series has of its own.
const ALIKE: &str = "like before";

/// Where quantiles come from.
enum Spread {
    /// The forecast's own past errors around it.
    Errors(Scores),
    /// What came after instants like this one, sorted.
    Outcomes(Vec<f64>),
}

/// The outlooks at several horizons.
struct Outlooks {
    each: Vec<Outlook>,
    /// The season at every step up to the furthest horizon, as decomposed; empty when there is none.
    season: Vec<f64>,
    changed: Option<Change>,
}

/// The outlook at each of the horizons `ahead` (steps after the window's end, increasing).
fn outlooks(window: &Window, ahead: &[usize], settings: Settings) -> Outlooks {
    let looks = sparse::is_sparse(window).then(|| sparse::looks(window));
    let furthest = ahead.last().copied().unwrap_or(1);
    let members = Members::new(window, furthest, settings);
    let volatility = volatility(window);
    let mut lender: Option<(usize, Scores)> = None;
    let each = ahead
        .iter()
        .map(|k| {
            let origins = Origins::new(window.len(), *k);
            let mut tracks = members.tracks(&origins);
            let mut outcomes = Vec::new();
            if let Some(looks) = &looks {
                let (values, now) = sparse::track(window, looks, &origins);
                tracks.push(Track { name: ALIKE, prior: 1.0, values });
                outcomes = now;
            }
            let mut pool = Pooled::new(window, &origins, &tracks, &volatility);
            let independent = origins.independent(pool.scores.len() as f64);
            if independent >= FEW_SCORES.0 && pool.scores.len() >= FEW_SCORES.1 {
                lender = Some((*k, pool.scores.clone()));
            } else if let Some((shorter, scores)) = &lender {
                pool.scores.borrow(scores, *k as f64 / *shorter as f64, independent);
            }
            let alike = pool.opinions.iter().find(|o| o.name == ALIKE && !outcomes.is_empty());
            if let Some(alike) = alike.copied().filter(|a| pool.errors.is_none_or(|(own, _)| a.error <= own)) {
                return Outlook {
                    point: alike.value,
                    spread: Spread::Outcomes(outcomes),
                    errors: pool.errors.map(|(_, naive)| (alike.error, naive)),
                    opinions: vec![Opinion { weight: 1.0, ..alike }],
                };
            }
            Outlook {
                point: pool.point,
                spread: Spread::Errors(pool.scores),
                opinions: pool.opinions,
                errors: pool.errors,
            }
        })
        .collect();
    Outlooks { each, season: members.season(furthest), changed: members.changes.last }
}

impl Outlook {
    /// The two-sided interval of a level. Where its lower end is zero there is nothing below to be missed: all that it
    /// may miss then lies above.
    fn interval(&self, window: &Window, level: f64) -> (f64, f64) {
        match &self.spread {
            Spread::Errors(scores) => {
                let (low, high) = scores.interval(self.point, level).0;
                (low.min(window.ceiling), high.clamp(0.0, window.ceiling))
            }
            Spread::Outcomes(values) => {
                let at = |level: f64| at_level(values, level).unwrap_or(self.point);
                let tail = (1.0 - level) / 2.0;
                let low = at(tail);
                if low <= 0.0 { (0.0, at(level)) } else { (low, at(1.0 - tail)) }
            }
        }
    }

    /// Values at levels within 0–1, in order and in the window's units.
    fn quantiles(&self, window: &Window, levels: &[f64]) -> Vec<f64> {
        let mut values: Vec<f64> = match &self.spread {
            Spread::Errors(scores) => scores.quantiles(levels).iter().map(|e| self.point + e).collect(),
            Spread::Outcomes(values) => levels.iter().map(|l| at_level(values, *l).unwrap_or(self.point)).collect(),
        };
        for value in &mut values {
            *value = value.clamp(0.0, window.ceiling);
        }
        values.sort_by(f64::total_cmp); // each was estimated on its own
        values
    }

    /// How often past intervals held what came; `None` before there were any.
    fn covered(&self) -> Option<Covered> {
        let Spread::Errors(scores) = &self.spread else { return None };
        let [(_, at_80, count), (_, at_95, _)] = [0.8, 0.95].map(|level| scores.interval(self.point, level));
        let share = |held: f64| held / count.max(1) as f64;
        (count > 0).then(|| Covered { at_80: share(at_80), at_95: share(at_95), count })
    }

    fn weight_of(&self, name: &str) -> f64 {
        self.opinions.iter().find(|o| o.name == name).map_or(0.0, |o| o.weight)
    }

    /// How much of the forecast comes from members that know the season.
    fn bends(&self) -> f64 {
        members::SEASONAL.iter().map(|name| self.weight_of(name)).sum::<f64>().min(1.0)
    }

    /// Members that count.
    fn weights(&self) -> Vec<(String, f64)> {
        self.opinions.iter().filter(|o| o.weight > 0.0).map(|o| (o.name.to_owned(), o.weight)).collect()
    }
}

/// The horizons that are worked out; what lies between is interpolated. Each is twice as far as the one before, but no
/// further from it than a sixth of the whole, so that a day ahead keeps its shape.
fn knots(steps: usize) -> Vec<usize> {
    let mut knots = vec![1];
    let mut k = 1_usize;
    while k < steps {
        k = (k + k.min((steps / 6).max(8))).min(steps);
        knots.push(k);
    }
    knots
}

/// Quantiles at knots, and what is known of the way between them.
struct Path<'a> {
    knots: &'a [usize],
    values: &'a [Vec<f64>],
    /// How far the forecast follows the season at each knot, 0–1.
    bends: &'a [f64],
    /// The season at every step after the window's end.
    season: &'a [f64],
    age: usize,
}

impl Path<'_> {
    /// Quantiles at step `k`: what is left without the season is interpolated, so a peak between two knots is kept.
    fn at(&self, k: usize) -> [f64; 4] {
        let right = self.knots.partition_point(|x| *x < k).min(self.knots.len() - 1);
        let left = right.saturating_sub(1);
        let width = self.knots[right] - self.knots[left];
        let share = if width == 0 { 0.0 } else { (k - self.knots[left]) as f64 / width as f64 };
        let season = |k: usize| self.season.get(k + self.age - 1).copied().unwrap_or(0.0);
        let line = |a: f64, b: f64| a + share * (b - a);
        let bent = line(self.bends[left], self.bends[right])
            * (season(k) - line(season(self.knots[left]), season(self.knots[right])));
        let mut out = std::array::from_fn(|i| line(self.values[left][i], self.values[right][i]) + bent);
        out.sort_by(f64::total_cmp); // rounding must not put them out of order
        out
    }
}

#[cfg(test)]
mod tests;
