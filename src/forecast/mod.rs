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
mod path;
mod pool;
pub mod profile;
mod ridge;
mod seasons;
mod sparse;
mod window;

pub use backtest::{Backtest, Coverage, HorizonScore, backtest};
pub use loss::loss_curve;

use crate::model::{Covered, Forecast, Grid, Quantiles, Time};
use conformal::Sides;
use conformal::{Scores, at_level};
use members::{Members, Track};
use path::{Path, knots};
use pool::{Opinion, Origins, Pooled, volatility};
use window::{Window, span};

/// Levels of [`Quantiles`].
const LEVELS: [f64; 4] = [0.1, 0.5, 0.8, 0.95];
/// Those of which it is told how often they held.
const TOLD: [f64; 3] = [0.1, 0.8, 0.95];
/// Steps that are forecast at most.
const MOST_STEPS: usize = 2_000;
/// Independent errors, and scores, below which a horizon borrows the scores of a shorter one.
const FEW_SCORES: (f64, usize) = (5.0, 30);
/// Change of level, as a share of the higher one, that is worth a word.
const STEP: f64 = 1.0 / 3.0;
/// Past forecasts below which it says little how many held.
const JUDGED: usize = 30;
/// What is said where so few, or none, were looked back on.
const UNTOLD: &str = "not enough history to say how often the band holds";
/// Values of history below which quantiles are called wide.
const SHORT: usize = 60;

/// Quantile paths of a series over `horizon` seconds, on the grid's step, from one step after `now` on.
///
/// Nothing after `now` is looked at; gaps are neither learned from nor scored; outages and absurd values are not
/// learned from. Values that are negative, not finite or beyond 1e100 count as gaps. Multiplying the series by a constant multiplies the paths by it. The error is a sentence that says
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
    let wanted = (horizon / window.step).ceil();
    let steps = (wanted as usize).clamp(1, MOST_STEPS);
    let knots = knots(steps);
    let ahead: Vec<usize> = knots.iter().map(|k| k + window.age).collect();
    let Outlooks { each: outlooks, members } = outlooks(&window, &ahead, settings);
    let path = Path::new(&knots, &outlooks, members.has_season().then_some(&members), window.age);
    let points = (1..=steps).map(|k| {
        let [p10, p50, p80, p95] = path.at(k).map(|v| v.clamp(0.0, window.ceiling) * window.scale);
        Quantiles { t: now.plus(k as f64 * window.step), p10, p50, p80, p95 }
    });
    let middle = outlooks.get(path::nearest(&knots, steps.div_ceil(2)));
    let covered = middle.and_then(Outlook::covered);
    let mut warnings = window.warnings.clone();
    if wanted > steps as f64 {
        let (step, cut) = (span(window.step), span(steps as f64 * window.step));
        warnings.push(format!("{MOST_STEPS} steps of {step} are the most: the forecast ends after {cut}"));
    }
    if window.len() < SHORT {
        warnings.push(format!("{} of history: quantiles are wide", span(window.len() as f64 * window.step)));
    }
    // In a season levels change by the hour; elsewhere a large step that stayed is worth a word.
    let changed = members.changes.last.filter(|_| !members.has_days());
    if let Some(change) = changed.filter(|c| (c.to - c.from).abs() > STEP * c.from.max(c.to)) {
        let steps = window.len() - change.since;
        if steps >= window::FEWEST {
            let ago = span((steps + window.age) as f64 * window.step);
            warnings.push(format!("the level changed {ago} ago: what lies before counts less"));
        }
    }
    if covered.is_none_or(|c| c.count < JUDGED) {
        warnings.push(UNTOLD.to_owned());
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
    /// Coefficients of the members that have some.
    betas: Vec<(&'static str, Vec<f64>)>,
}

/// The member that a mostly empty series has of its own.
const ALIKE: &str = "like before";

/// Where quantiles come from.
enum Spread {
    /// The forecast's own past errors around it.
    Errors(Scores),
    /// What came after instants like this one, sorted; and the record of such outcomes at past origins.
    Outcomes(Vec<f64>, Sides),
}

/// The outlooks at several horizons, and the members that they are made of.
struct Outlooks<'a> {
    each: Vec<Outlook>,
    members: Members<'a>,
}

/// The outlook at each of the horizons `ahead` (steps after the window's end, increasing).
fn outlooks<'a>(window: &'a Window, ahead: &[usize], settings: Settings) -> Outlooks<'a> {
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
            let mut outcomes = None;
            if let Some(looks) = &looks {
                let sparse::Alike { medians, now, record } = sparse::track(window, looks, &origins, &TOLD);
                tracks.push(Track::new(ALIKE, 1.0, medians));
                outcomes = Some((now, record)).filter(|(now, _)| !now.is_empty());
            }
            let mut pool = Pooled::new(window, &origins, &tracks, &volatility);
            let independent = origins.independent(pool.scores.len() as f64);
            if *k == 1 || (independent >= FEW_SCORES.0 && pool.scores.len() >= FEW_SCORES.1) {
                lender = Some((*k, pool.scores.clone()));
            } else {
                let (shorter, scores) = lender.get_or_insert_with(|| (1, one_step(window, &members, &volatility)));
                pool.scores.borrow(scores, *k as f64 / *shorter as f64, independent);
            }
            let alike = pool.opinions.iter().find(|o| o.name == ALIKE).copied();
            let better = alike.filter(|a| pool.errors.is_none_or(|(own, _)| a.error <= own));
            if let Some((alike, (now, record))) = better.zip(outcomes) {
                return Outlook {
                    point: alike.value,
                    spread: Spread::Outcomes(now, record),
                    errors: pool.errors.map(|(_, naive)| (alike.error, naive)),
                    opinions: vec![Opinion { weight: 1.0, ..alike }],
                    betas: Vec::new(),
                };
            }
            let betas = tracks.into_iter().filter_map(|t| Some((t.name, t.beta?))).collect();
            Outlook { betas, ..Outlook::of(pool) }
        })
        .collect();
    Outlooks { each, members }
}

/// Errors of one step ahead. Where a horizon has hardly any of its own, no other is seen more often.
fn one_step(window: &Window, members: &Members<'_>, volatility: &[f64]) -> Scores {
    let origins = Origins::new(window.len(), 1);
    Pooled::new(window, &origins, &members.tracks(&origins), volatility).scores
}

impl Outlook {
    fn of(pool: Pooled) -> Self {
        let Pooled { point, scores, opinions, errors } = pool;
        Self { point, spread: Spread::Errors(scores), opinions, errors, betas: Vec::new() }
    }

    /// The forecast of `k` steps ahead with the weights and coefficients of this horizon.
    fn point_at(&self, members: &Members<'_>, k: usize) -> f64 {
        let beta = |name: &str| self.betas.iter().find(|(of, _)| *of == name).map(|(_, beta)| beta.as_slice());
        let tracks = members.now(k, beta);
        let (mut sum, mut total) = (0.0, 0.0);
        for opinion in self.opinions.iter().filter(|o| o.weight > 0.0) {
            let track = tracks.iter().find(|t| t.name == opinion.name);
            let value = track.map_or(opinion.value, |t| t.values[0]);
            if value.is_finite() {
                (sum, total) = (sum + opinion.weight * value, total + opinion.weight);
            }
        }
        if total > 0.0 { sum / total } else { self.point }
    }

    /// The two-sided interval of a level. Where its lower end is zero there is nothing below to be missed: all that it
    /// may miss then lies above.
    fn interval(&self, window: &Window, level: f64) -> (f64, f64) {
        match &self.spread {
            Spread::Errors(scores) => {
                let (low, high) = scores.interval(self.point, level);
                (low.min(window.ceiling), high.clamp(0.0, window.ceiling))
            }
            Spread::Outcomes(values, _) => {
                let at = |level: f64| at_level(values, level).unwrap_or(self.point);
                let tail = (1.0 - level) / 2.0;
                let low = at(tail);
                if low <= 0.0 { (0.0, at(level)) } else { (low, at(1.0 - tail)) }
            }
        }
    }

    /// How far quantiles at levels within 0–1 lie from the forecast.
    fn offsets(&self, levels: &[f64]) -> Vec<f64> {
        match &self.spread {
            Spread::Errors(scores) => scores.quantiles(levels),
            Spread::Outcomes(values, _) => {
                levels.iter().map(|l| at_level(values, *l).map_or(0.0, |v| v - self.point)).collect()
            }
        }
    }

    /// Values at levels within 0–1, in order and in the window's units.
    fn quantiles(&self, window: &Window, levels: &[f64]) -> Vec<f64> {
        let mut values: Vec<f64> =
            self.offsets(levels).iter().map(|e| (self.point + e).clamp(0.0, window.ceiling)).collect();
        values.sort_by(f64::total_cmp); // each was estimated on its own
        values
    }

    /// How often what came lay below past p10, p80 and p95; `None` before there were any.
    fn covered(&self) -> Option<Covered> {
        let Sides { under, over, count } = match &self.spread {
            Spread::Errors(scores) => scores.record(&TOLD),
            Spread::Outcomes(_, record) => record.clone(),
        };
        let share = |held: f64| held / count.max(1) as f64;
        (count > 0).then(|| Covered {
            under_10: share(under[0]),
            at_80: 1.0 - share(over[1]),
            at_95: 1.0 - share(over[2]),
            count,
        })
    }

    /// Members that count.
    fn weights(&self) -> Vec<(String, f64)> {
        self.opinions.iter().filter(|o| o.weight > 0.0).map(|o| (o.name.to_owned(), o.weight)).collect()
    }
}

#[cfg(test)]
mod tests;
