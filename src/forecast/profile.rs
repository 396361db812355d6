//! The day's shape: for every minute of a day the usual demand, how far the last minutes are from it, and how far such a
//! forecast was off before. Cheap enough to be asked at every look: the shape is worked out once in a while, the level
//! from the newest samples only.
//!
//! Everything is in logarithms, so that a busy day is the same shape higher up. Rises that no shape explains are kept
//! apart as [`Bursts`]: how often they came, how high and how long they were, and whether one is on now.

mod bursts;

pub use bursts::Burst;

use super::UNTOLD;
use crate::model::{Covered, Forecast, Grid, Quantiles, Time};
use bursts::{HALF, Past, USUAL};

/// What a forecast by the day's shape is called.
pub const NAME: &str = "day's shape";
/// Minutes of a day, and seconds of a minute.
const DAY: usize = 1_440;
const MINUTE: f64 = 60.0;
/// Least history, days, and most that is looked at.
const DAYS: (f64, usize) = (2.0, 14);
/// Share of the minutes that must be known, and of those that must be above this share of the mean: a series that is
/// mostly zero has no shape.
const KNOWN: f64 = 0.7;
const ABOVE: (f64, f64) = (0.9, 0.02);
/// Minutes of the fast level, and of the slow one, a median that a burst does not move.
const FAST: usize = 2;
const SLOW: usize = 90;
/// What is left after a minute of the fast level's distance from the slow one.
const KEEPS: f64 = 0.93;
/// Seconds by which a rise of every day may come sooner or later: a shape of minutes knows no better, and who starts the
/// nightly batch is not that punctual. What such an edge explains is neither a burst nor a new level.
const EDGE: f64 = 45.0;
/// Minutes ahead at which past errors are looked at, and minutes between two origins.
const AHEAD: [usize; 6] = [1, 2, 5, 10, 20, 30];
const ORIGINS: usize = 7;
/// Levels of the paths.
const LEVELS: [f64; 4] = [0.1, 0.5, 0.8, 0.95];
/// A shape is used when it is at most this much worse on the last day than none.
const NO_WORSE: f64 = 1.0;
/// Nothing is told by it while it was so many times worse on the last day than the last value: a smooth series with days of
/// several kinds is known better without. (Calls for taxis, on lines between half hours: ten minutes ahead 4.6 times the
/// error of the last value, where the pool makes 0.23 of it. What it helps with is below 1.)
const WORSE: f64 = 1.25;
/// Minutes ahead at which that is judged, and how often quantiles hold: index into [`AHEAD`].
const JUDGED: usize = 3;

/// Seconds of history without which there is no shape.
pub const LEAST: f64 = DAYS.0 * 86_400.0;

/// The shape of a day and what is known of departures from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Logarithm of the usual demand in each minute of the day (UTC), around the day's own level.
    shape: Vec<f64>,
    /// Errors of the logarithm, by [`AHEAD`] and [`LEVELS`].
    errors: Vec<[f64; 4]>,
    bursts: Past,
    relative_error: Option<f64>,
    covered: Option<Covered>,
    /// When it was worked out.
    pub at: Time,
}

/// Demand ahead, on one step from `now` on. Each value is the mean of a step that begins at its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// When it was made.
    pub at: Time,
    /// Seconds between values.
    pub step: f64,
    /// Paths at [`LEVELS`] without a burst, whether or not one is on.
    pub paths: [Vec<f64>; 4],
    /// How many bursts begin in a second; what demand is multiplied by in a usual one, and its seconds.
    pub per_second: f64,
    /// Factor of a usual burst.
    pub factor: f64,
    /// Seconds of a usual burst.
    pub lasts: f64,
    /// How the one that is on now may go on.
    pub burst: Vec<Burst>,
    relative_error: Option<f64>,
    covered: Option<Covered>,
}

impl Profile {
    /// The shape of a history in minutes; `None` with less than two days of it, or where most of it is nothing.
    pub fn of(minutes: &Grid, now: Time) -> Option<Self> {
        if (minutes.step - MINUTE).abs() > 1e-6 {
            return None;
        }
        let until = (now.since(minutes.start) / MINUTE).floor().clamp(0.0, minutes.values.len() as f64) as usize;
        let first = minutes.values.iter().position(Option::is_some)?.max(until.saturating_sub(DAYS.1 * DAY));
        let values = minutes.values.get(first..until)?;
        let known: Vec<f64> = values.iter().flatten().copied().filter(|v| v.is_finite() && *v >= 0.0).collect();
        let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
        let above = known.iter().filter(|v| **v > ABOVE.1 * mean).count() as f64;
        let enough = values.len() as f64 >= DAYS.0 * DAY as f64
            && known.len() as f64 >= KNOWN * values.len() as f64
            && above >= ABOVE.0 * known.len() as f64;
        if !(enough && mean > 0.0 && mean.is_finite()) {
            return None;
        }
        let least = ABOVE.1 * mean;
        let logs: Vec<f64> =
            values.iter().map(|v| v.filter(|v| v.is_finite()).map_or(f64::NAN, |v| v.max(least).ln())).collect();
        let begin = minute_of_day(minutes.at(first));
        // Would the days before have told the last one?
        let cut = logs.len() - DAY;
        let flat = vec![0.0; DAY];
        let learned = shape(logs.get(..cut)?, begin);
        let judge = |shape: &[f64]| mean_error(&errors(&departures(&logs, begin, shape), cut)[JUDGED]);
        let (with, without) = (judge(&learned), judge(&flat));
        let days = (logs.len() as f64 / DAY as f64).round();
        let seasonal = with.zip(without).is_some_and(|(a, b)| a <= NO_WORSE * b);
        let (own, learned) = if seasonal { (with, learned) } else { (without, flat.clone()) };
        let (shape, wider) = if seasonal { (shape(&logs, begin), wider(days)) } else { (flat, 1.0) };
        let x = departures(&logs, begin, &shape);
        let errors = errors(&x, 0).into_iter().map(|mut e| LEVELS.map(|level| wider * quantile(&mut e, level)));
        let naive: Vec<f64> = (cut..logs.len())
            .step_by(ORIGINS)
            .filter_map(|origin| Some(logs.get(origin + AHEAD[JUDGED] - 1)? - logs[origin - 1]))
            .collect();
        Some(Self {
            errors: errors.collect(),
            bursts: Past::of(&x),
            relative_error: own.zip(mean_error(&naive)).filter(|(_, n)| *n > 0.0).map(|(own, naive)| own / naive),
            covered: covered(&departures(&logs, begin, &learned), cut, days, seasonal),
            shape,
            at: now,
        })
    }

    /// Whether it tells anything: not while the last day was nothing like it.
    pub fn is_like_the_last_day(&self) -> bool {
        self.relative_error.is_none_or(|e| e <= WORSE)
    }

    /// Demand from `now` on for `horizon` seconds, from the newest samples: an hour and a half of them, on a step of at
    /// most a minute. `None` when the last two minutes are not known.
    pub fn outlook(&self, recent: &Grid, now: Time, horizon: f64) -> Option<Outlook> {
        let step = recent.step;
        if !(step > 0.0 && step <= MINUTE) {
            return None;
        }
        let until = ((now.since(recent.start) / step + 1.0).floor().max(0.0) as usize).min(recent.values.len());
        let last = (0..until).rev().find(|i| recent.values[*i].is_some())?;
        let (values, end) = (recent.values.get(..=last)?, recent.at(last + 1));
        if now.since(end) > 2.0 * MINUTE {
            return None;
        }
        let per = (MINUTE / step).round().max(1.0) as usize;
        // Logarithm of what came in some steps, and the middle of them.
        let came = |back: usize, many: usize| {
            let to = values.len().checked_sub(back)?;
            let part = &values[to.saturating_sub(many)..to];
            let (mut sum, mut n) = (0.0, 0.0);
            for v in part.iter().flatten().filter(|v| v.is_finite()) {
                (sum, n) = (sum + v.max(0.0), n + 1.0);
            }
            let at = end.plus(-((back as f64 + many as f64 / 2.0) * step));
            (n > 0.0 && sum > 0.0).then(|| ((sum / n).ln(), at))
        };
        let minutes: Vec<(f64, Time)> = (0..SLOW).filter_map(|m| came(m * per, per)).collect();
        let slow = quantile(&mut minutes.iter().map(|(x, at)| x - self.usual(*at)).collect::<Vec<_>>(), 0.5);
        let departure = |(x, at)| {
            let (low, high) = self.usual_about(at);
            slow.clamp(x - high, x - low)
        };
        let fast = departure(came(0, FAST * per)?);
        let newest = departure(came(0, ((HALF / step).round().max(1.0)) as usize)?);
        let burst = self.bursts.open(minutes.into_iter().map(|minute| departure(minute) - slow), newest - slow);
        let fast = if burst.is_empty() { fast } else { slow };
        let steps = (horizon / step).ceil().clamp(1.0, 20_000.0) as usize;
        let paths = std::array::from_fn(|level| {
            let value = |k: usize| {
                let ahead = (k as f64 + 0.5) * step;
                let minutes = ahead / MINUTE;
                let level = slow + (fast - slow) * KEEPS.powf(minutes) + self.error(minutes, level);
                (self.usual(now.plus(ahead)) + level).exp()
            };
            (0..steps).map(value).collect()
        });
        let (mut heights, mut lengths) = (self.bursts.heights.clone(), self.bursts.lengths.clone());
        Some(Outlook {
            at: now,
            step,
            paths,
            per_second: self.bursts.per_second,
            factor: quantile(&mut heights, USUAL).exp(),
            lasts: quantile(&mut lengths, USUAL),
            burst,
            relative_error: self.relative_error,
            covered: self.covered,
        })
    }

    /// Logarithm of the usual demand at an instant, between the middles of two minutes.
    fn usual(&self, at: Time) -> f64 {
        let place = at.secs().rem_euclid(86_400.0) / MINUTE - 0.5;
        let (i, share) = (place.floor().rem_euclid(DAY as f64) as usize, place - place.floor());
        let (a, b) = (self.shape[i % DAY], self.shape[(i + 1) % DAY]);
        a + share * (b - a)
    }

    /// The lowest and highest that it is within [`EDGE`] of an instant.
    fn usual_about(&self, at: Time) -> (f64, f64) {
        let near = [-1.0, -0.5, 0.0, 0.5, 1.0].map(|share| self.usual(at.plus(share * EDGE)));
        near.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)))
    }

    /// Error at a level, between the minutes that were looked at; beyond the last of them as there.
    fn error(&self, minutes: f64, level: usize) -> f64 {
        let right = AHEAD.partition_point(|a| (*a as f64) < minutes);
        let at = |i: usize| self.errors.get(i).map_or(0.0, |e| e[level]);
        match right {
            0 => at(0),
            r if r >= AHEAD.len() => at(AHEAD.len() - 1),
            r => {
                let (a, b) = (AHEAD[r - 1] as f64, AHEAD[r] as f64);
                at(r - 1) + (minutes - a) / (b - a) * (at(r) - at(r - 1))
            }
        }
    }
}

impl Outlook {
    /// The same as a forecast: a burst that is on lasts as long as the level says.
    pub fn forecast(&self) -> Forecast {
        // A tenth expects it to end soon, four in five do not.
        let lasts = [0, 1, 2, 2].map(|i: usize| self.burst.get(i));
        let value = |level: usize, k: usize| {
            let factor = lasts[level].filter(|b| k as f64 * self.step < b.left).map_or(1.0, |b| b.factor);
            self.paths[level][k] * factor
        };
        let points = (0..self.paths[0].len()).map(|k| {
            let mut v = [0, 1, 2, 3].map(|level| value(level, k));
            v.sort_by(f64::total_cmp);
            Quantiles { t: self.at.plus((k as f64 + 1.0) * self.step), p10: v[0], p50: v[1], p80: v[2], p95: v[3] }
        });
        Forecast {
            at: self.at,
            step: self.step,
            points: points.collect(),
            model: NAME.to_owned(),
            weights: vec![(NAME.to_owned(), 1.0)],
            relative_error: self.relative_error,
            covered: self.covered,
            warnings: self.covered.is_none().then(|| UNTOLD.to_owned()).into_iter().collect(),
        }
    }
}

fn minute_of_day(at: Time) -> usize {
    (at.secs().rem_euclid(86_400.0) / MINUTE).floor() as usize % DAY
}

/// Median over days of the logarithms around each day's own level; days end where the history ends.
fn shape(logs: &[f64], begin: usize) -> Vec<f64> {
    let mut by_minute: Vec<Vec<f64>> = vec![Vec::new(); DAY];
    for (d, day) in logs.rchunks(DAY).enumerate() {
        let mut known: Vec<f64> = day.iter().copied().filter(|x| x.is_finite()).collect();
        if known.len() < DAY / 2 {
            continue;
        }
        let level = quantile(&mut known, 0.5);
        let first = logs.len() - (d * DAY + day.len());
        for (i, x) in day.iter().enumerate().filter(|(_, x)| x.is_finite()) {
            by_minute[(begin + first + i) % DAY].push(x - level);
        }
    }
    let mut out: Vec<f64> = Vec::with_capacity(DAY);
    for xs in &mut by_minute {
        let value = if xs.is_empty() { out.last().copied().unwrap_or(0.0) } else { median(xs) };
        out.push(value);
    }
    out
}

fn departures(logs: &[f64], begin: usize, shape: &[f64]) -> Vec<f64> {
    logs.iter().enumerate().map(|(i, x)| x - shape[(begin + i) % DAY]).collect()
}

/// Errors at each of [`AHEAD`] of origins from minute `from` on; gaps are left out.
fn errors(x: &[f64], from: usize) -> Vec<Vec<f64>> {
    let mut out = vec![Vec::new(); AHEAD.len()];
    let mut tail = Vec::with_capacity(SLOW);
    for origin in (from.max(SLOW)..x.len()).step_by(ORIGINS) {
        tail.clear();
        tail.extend(x[origin - SLOW..origin].iter().copied().filter(|v| v.is_finite()));
        if tail.len() < SLOW / 2 {
            continue;
        }
        let slow = quantile(&mut tail, 0.5);
        let fast = x[origin - FAST..origin].iter().sum::<f64>() / FAST as f64;
        for (ahead, errors) in AHEAD.iter().zip(&mut out) {
            let Some(seen) = x.get(origin + ahead - 1) else { continue };
            let error = seen - (slow + (fast - slow) * KEEPS.powf(*ahead as f64));
            if error.is_finite() {
                errors.push(error);
            }
        }
    }
    out
}

/// How much wider errors are for a shape of so many days, which was made of the very days that they are taken from.
fn wider(days: f64) -> f64 {
    ((days + 1.5) / (days - 1.0)).sqrt()
}

/// How often the last day, from minute `cut` on, lay below what the days before would have shown. `None` where they are
/// fewer than two: the errors of a single day around its own shape are nothing.
fn covered(x: &[f64], cut: usize, days: f64, seasonal: bool) -> Option<Covered> {
    let wider = match seasonal {
        true if days < 3.0 => return None,
        true => wider(days - 1.0),
        false => 1.0,
    };
    let mut before = errors(x.get(..cut)?, 0).swap_remove(JUDGED);
    let last = errors(x, cut).swap_remove(JUDGED);
    let mut beyond = |level: f64, is: fn(f64, f64) -> bool| {
        let shown = wider * quantile(&mut before, level);
        last.iter().filter(|e| is(**e, shown)).count() as f64 / last.len() as f64
    };
    let (under_10, over_80) = (beyond(0.1, |e, shown| e < shown), beyond(0.8, |e, shown| e > shown));
    let over_95 = beyond(0.95, |e, shown| e > shown);
    let told = Covered { under_10, at_80: 1.0 - over_80, at_95: 1.0 - over_95, count: last.len() };
    (last.len() >= super::JUDGED && !before.is_empty()).then_some(told)
}

fn mean_error(errors: &[f64]) -> Option<f64> {
    let known: Vec<f64> = errors.iter().copied().filter(|e| e.is_finite()).collect();
    (known.len() >= 30).then(|| known.iter().map(|e| e.abs()).sum::<f64>() / known.len() as f64)
}

/// The value at a share of a list, by the nearest rank; 0 when it is empty. Reorders the list.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let rank = (share * (values.len() - 1) as f64).round() as usize;
    *values.select_nth_unstable_by(rank, f64::total_cmp).1
}

/// The middle of a list, of an even number the mean of the two.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n % 2 == 1 { values[n / 2] } else { f64::midpoint(values[n / 2 - 1], values[n / 2]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Minutes of days that are busy from 9 to 17 and have ten minutes of twice the demand at noon.
    fn days(minutes: usize) -> Grid {
        let value = |i: usize| {
            let m = i % DAY;
            let day = if (540..1_020).contains(&m) { 3_000.0 } else { 1_000.0 };
            let noon = if (720..730).contains(&m) { 2.0 } else { 1.0 };
            day * noon * (1.0 + 0.02 * ((i * 7_919 % 101) as f64 / 50.0 - 1.0))
        };
        Grid { start: Time::from_secs(0.0), step: MINUTE, values: (0..minutes).map(|i| Some(value(i))).collect() }
    }

    #[test]
    fn what_comes_every_day_at_the_same_minute_is_known_before_it_comes() {
        let grid = days(4 * DAY + 715);
        let profile = Profile::of(&grid, grid.end()).unwrap();
        let outlook = profile.outlook(&grid, grid.end(), 1_800.0).unwrap();
        let [_, p50, p80, _] = &outlook.paths;
        assert!((2_800.0..3_200.0).contains(&p50[2]) && (5_600.0..6_400.0).contains(&p50[8]), "{p50:?}");
        assert!((2_800.0..3_200.0).contains(&p50[20]), "over after ten minutes: {p50:?}");
        assert!(p50.iter().zip(p80).all(|(a, b)| a <= b) && outlook.burst.is_empty());
    }

    #[test]
    fn a_rise_that_no_day_knows_is_a_burst_over_the_shape_and_not_a_new_level() {
        let mut grid = days(4 * DAY + 800);
        for v in grid.values.iter_mut().rev().take(2) {
            *v = v.map(|v| v * 1.8);
        }
        let profile = Profile::of(&grid, grid.end()).unwrap();
        let outlook = profile.outlook(&grid, grid.end(), 1_800.0).unwrap();
        let near = |b: &Burst| (1.7..1.9).contains(&b.factor);
        assert!(outlook.burst.len() == 3 && outlook.burst.iter().all(near), "{:?}", outlook.burst);
        assert!(outlook.paths[1].iter().all(|v| (2_700.0..3_300.0).contains(v)), "{:?}", outlook.paths[1]);
        let shown = outlook.forecast();
        assert!(shown.points[0].p50 > 4_800.0 && shown.points[29].p50 < 3_300.0, "{:?}", shown.points);
    }

    #[test]
    fn a_smooth_day_of_another_kind_is_not_told_by_the_shape_of_those_before() {
        let wave = |i: usize, of: f64| 1_000.0 * (1.0 + of * (i as f64 / DAY as f64 * std::f64::consts::TAU).cos());
        let told = |last: f64| {
            let value = |i: usize| Some(wave(i, if i < 5 * DAY { 0.6 } else { last }));
            let grid = Grid { values: (0..6 * DAY).map(value).collect(), ..days(0) };
            Profile::of(&grid, grid.end()).unwrap().is_like_the_last_day()
        };
        assert!(told(0.6) && told(0.7) && !told(-0.6));
    }

    #[test]
    fn a_rise_of_every_day_that_comes_half_a_minute_early_or_late_is_no_burst() {
        let grid = days(5 * DAY);
        let profile = Profile::of(&grid, grid.end()).unwrap();
        for (early, look) in [-30.0, 0.0, 30.0].into_iter().flat_map(|s| (0..16).map(move |look| (s, look))) {
            let after = f64::from(look) * 15.0;
            let now = Time::from_secs(5.0 * 86_400.0 + 43_140.0 + after);
            let start = now.plus(-5_400.0);
            let value = |i: u32| {
                let second = start.plus(f64::from(i) * 15.0 + early).secs() - 5.0 * 86_400.0;
                Some(if (43_200.0..43_800.0).contains(&second) { 6_000.0 } else { 3_000.0 })
            };
            let recent = Grid { start, step: 15.0, values: (0..360).map(value).collect() };
            let outlook = profile.outlook(&recent, now, 1_800.0).unwrap();
            assert!(outlook.burst.is_empty(), "{early} s early, {after} s after: {:?}", outlook.burst);
            // Of an early one a little is left in the level of two minutes.
            let p50 = &outlook.paths[1];
            assert!((5_400.0..6_600.0).contains(&p50[24]), "{early} s early, {after} s after: {}", p50[24]);
        }
    }

    #[test]
    fn how_often_its_quantiles_held_is_counted_on_a_day_that_it_had_not_seen() {
        let told = |grid: &Grid| {
            let outlook = Profile::of(grid, grid.end()).unwrap().outlook(grid, grid.end(), 1_800.0).unwrap();
            (outlook.forecast().covered, outlook.forecast().warnings)
        };
        let mut state = 7_u32;
        let mut noisy = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some(1_000.0 + 100.0 * f64::from(state >> 8) / f64::from(1_u32 << 24))
        };
        let six = Grid { values: (0..6 * DAY).map(&mut noisy).collect(), ..days(0) };
        let (Some(held), warnings) = told(&six) else { panic!("six days tell") };
        assert!(
            held.count > 200 && held.at_80 > 0.75 && held.at_95 > 0.9 && warnings.is_empty(),
            "{held:?} {warnings:?}"
        );
        // On the last day every quarter of an hour begins with twice the demand: nothing before knew that.
        let mut other = six;
        for (i, v) in other.values.iter_mut().enumerate().skip(5 * DAY).filter(|(i, _)| i % 15 < 6) {
            *v = v.map(|v| v * if i % 15 < 3 { 2.0 } else { 1.5 });
        }
        let held = told(&other).0.unwrap();
        assert!(held.at_80 < 0.75 && held.at_95 < 0.9, "{held:?}");
        let (none, warnings) = told(&days(2 * DAY + 100));
        assert_eq!((none, &warnings[..]), (None, &[UNTOLD.to_owned()][..]));
    }

    #[test]
    fn a_day_and_a_half_or_a_series_of_zeros_has_no_shape() {
        let grid = days(DAY + 700);
        assert_eq!(Profile::of(&grid, grid.end()), None);
        let mut sparse = days(4 * DAY);
        for (i, v) in sparse.values.iter_mut().enumerate() {
            *v = v.map(|v| if i % 5 == 0 { v } else { 0.0 });
        }
        assert_eq!(Profile::of(&sparse, sparse.end()), None);
    }

    proptest! {
        #[test]
        fn gaps_and_nonsense_never_panic_and_what_lies_ahead_changes_nothing(
            holes in prop::collection::vec((0_usize..3_500, prop_oneof![Just(None), Just(Some(f64::NAN)), Just(Some(-5.0)), Just(Some(1e9))]), 0..40),
            now in 2_900_usize..3_400,
        ) {
            let mut grid = days(3_500);
            for (i, v) in holes {
                grid.values[i] = v;
            }
            let at = grid.at(now);
            let mut other = grid.clone();
            other.values[now + 1..].fill(Some(77.0));
            let of = |g: &Grid| Profile::of(g, at).and_then(|p| p.outlook(g, at, 1_800.0));
            prop_assert_eq!(of(&grid), of(&other));
            if let Some(outlook) = of(&grid) {
                prop_assert!(outlook.paths.iter().flatten().all(|v| v.is_finite() && *v >= 0.0));
            }
        }
    }
}
