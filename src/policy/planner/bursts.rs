//! Rises of demand that no season explains: how often they came, how high, how long, and whether one is on now.

use crate::model::{Grid, Time};

/// Seconds that levels are averaged over.
const MINUTE: f64 = 60.0;
/// Minutes on either side whose median is the calm level of a minute in the past, and minutes that share it.
const AROUND: (usize, usize) = (30, 10);
/// Minutes before now whose median is the calm level now: longer than most bursts, shorter than the day's slope.
const BEFORE: usize = 40;
/// Fewest minutes of history that say anything.
const FEWEST: usize = 60;
/// A burst in the past: its logarithm over the calm level, and its fewest minutes.
const PAST: (f64, usize) = (0.25, 2);
/// A burst now opens above the first and ends below the second logarithm over the calm level.
const OPENS: f64 = 0.22;
const ENDS: f64 = 0.12;
/// Quantile of past heights and lengths that a coming burst is planned with.
const USUAL: f64 = 0.6;
/// How much longer a burst lasts: weights, quantiles of what was left of longer ones, and seconds where too few were.
const LEFT: [(f64, f64, f64); 3] = [(0.35, 0.2, 180.0), (0.35, 0.5, 420.0), (0.3, 0.85, 900.0)];

/// What is known of bursts.
#[derive(Clone, Debug, PartialEq)]
pub struct Bursts {
    /// How many begin in a second.
    pub per_second: f64,
    /// Factor of the demand in one.
    pub factor: f64,
    /// Seconds that one lasts.
    pub lasts: f64,
    /// The one that is on now.
    pub now: Option<Burst>,
}

/// A burst that is on now.
#[derive(Clone, Debug, PartialEq)]
pub struct Burst {
    /// Demand per second without it, where the paths of demand were made as if it might go on; `None`: the paths are
    /// those without it.
    pub calm: Option<f64>,
    /// How it may go on: weight, seconds, and factor over the demand without it; the weights sum to 1.
    pub ways: Vec<(f64, f64, f64)>,
}

impl Bursts {
    /// Bursts of a history of demand up to `now`; `None` when it is shorter than an hour or its steps are too long.
    pub fn of(demand: &Grid, now: Time) -> Option<Self> {
        let upto = (now.since(demand.start) / demand.step + 1.0).floor().clamp(0.0, demand.values.len() as f64);
        let values = demand.values.get(..upto as usize)?;
        let per = (MINUTE / demand.step).round().max(1.0) as usize;
        if demand.step > 2.0 * MINUTE {
            return None;
        }
        let mut minutes: Vec<Option<f64>> = values.rchunks(per).map(mean).collect();
        minutes.reverse();
        let minute = per as f64 * demand.step;
        if minutes.iter().flatten().count() < FEWEST {
            return None;
        }
        let past = past(&minutes);
        let mut factors: Vec<f64> = past.iter().map(|(_, factor)| *factor).collect();
        let mut lengths: Vec<f64> = past.iter().map(|(length, _)| *length as f64 * minute).collect();
        let seconds = minutes.len() as f64 * minute;
        let level = mean(&values[values.len().saturating_sub(per.div_ceil(2))..]);
        Some(Self {
            per_second: past.len() as f64 / seconds,
            factor: quantile(&mut factors, USUAL).unwrap_or(1.0),
            lasts: quantile(&mut lengths, USUAL).unwrap_or(0.0),
            now: level.and_then(|level| open(&minutes, minute, level, &lengths)),
        })
    }
}

/// Lengths in minutes and mean factors of the bursts in the past.
fn past(minutes: &[Option<f64>]) -> Vec<(usize, f64)> {
    let (around, block) = AROUND;
    let (mut found, mut run) = (Vec::new(), (0_usize, 0.0_f64));
    for (b, part) in minutes.chunks(block).enumerate() {
        let middle = b * block + block / 2;
        let near = &minutes[middle.saturating_sub(around).min(minutes.len())..(middle + around).min(minutes.len())];
        let calm = median(near);
        for value in part {
            let excess = value.zip(calm).filter(|(_, c)| *c > 0.0).map_or(0.0, |(v, c)| v / c);
            // Once begun, a burst goes on while a good part of it is left.
            let limit = if run.0 > 0 { ENDS } else { PAST.0 };
            if excess > limit.exp() {
                run = (run.0 + 1, run.1 + excess);
            } else if run.0 > 0 {
                found.push(run);
                run = (0, 0.0);
            }
        }
    }
    found.retain(|(length, _)| (PAST.1..=2 * around).contains(length));
    found.into_iter().map(|(length, sum)| (length, sum / length as f64)).collect()
}

/// The burst that is on at `level`, if one is.
fn open(minutes: &[Option<f64>], minute: f64, level: f64, lengths: &[f64]) -> Option<Burst> {
    let calm = median(&minutes[minutes.len().saturating_sub(BEFORE)..]).filter(|c| *c > 0.0)?;
    let over = |v: f64, log: f64| v > calm * log.exp();
    if !over(level, ENDS) {
        return None;
    }
    let recent = minutes.iter().rev().take_while(|m| m.is_some_and(|v| over(v, ENDS)));
    let (mut length, mut highest) = (0, level);
    for value in recent.flatten() {
        length += 1;
        highest = highest.max(*value);
    }
    if !over(highest, OPENS) {
        return None;
    }
    let elapsed = f64::from(length) * minute;
    let mut longer: Vec<f64> = lengths.iter().map(|l| l - elapsed).filter(|l| *l > 30.0).collect();
    let ways = LEFT.map(|(weight, share, assumed)| {
        let seen = if longer.len() >= 3 { quantile(&mut longer, share) } else { None };
        (weight, seen.unwrap_or(assumed), level / calm)
    });
    Some(Burst { calm: Some(calm), ways: ways.to_vec() })
}

fn mean(values: &[Option<f64>]) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    for v in values.iter().flatten().filter(|v| v.is_finite() && **v >= 0.0) {
        sum += v;
        count += 1;
    }
    (count > 0 && sum.is_finite()).then(|| sum / f64::from(count))
}

fn median(values: &[Option<f64>]) -> Option<f64> {
    let mut known: Vec<f64> = values.iter().flatten().copied().collect();
    let middle = known.len().checked_sub(1)? / 2;
    Some(*known.select_nth_unstable_by(middle, f64::total_cmp).1)
}

fn quantile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get((share * values.len().saturating_sub(1) as f64).round() as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten hours of 1000/s with a burst to 1600/s of 8 minutes every two hours, at 15 s; cut after `minutes`.
    fn demand(minutes: usize) -> Grid {
        let value = |i: usize| if (i / 4) % 120 >= 112 { 1_600.0 } else { 1_000.0 + (i % 7) as f64 * 10.0 };
        Grid { start: Time::from_secs(0.0), step: 15.0, values: (0..minutes * 4).map(|i| Some(value(i))).collect() }
    }

    #[test]
    fn past_bursts_are_counted_and_measured() {
        let grid = demand(605);
        let bursts = Bursts::of(&grid, grid.end()).unwrap();
        assert!((bursts.per_second * 36_300.0 - 5.0).abs() < 1e-9, "{bursts:?}");
        assert!((bursts.lasts - 480.0).abs() < 1.0 && (1.5..1.6).contains(&bursts.factor), "{bursts:?}");
    }

    #[test]
    fn a_burst_is_seen_half_a_minute_after_it_began_and_expected_to_last_as_others_did() {
        let mut grid = demand(600 - 8);
        assert_eq!(Bursts::of(&grid, grid.end()).unwrap().now, None);
        grid.values.extend([Some(1_600.0); 2]);
        let now = Bursts::of(&grid, grid.end()).unwrap().now.unwrap();
        assert!(
            now.calm.is_some_and(|c| (c * now.ways[0].2 - 1_600.0).abs() < 1.0 && (1_000.0..1_100.0).contains(&c)),
            "{now:?}"
        );
        assert!(now.ways.iter().all(|(_, left, _)| (420.0..=480.0).contains(left)), "{now:?}");
        grid.values.extend([Some(1_600.0); 28]); // over by now; the next two minutes are calm
        grid.values.extend([Some(1_000.0); 8]);
        assert_eq!(Bursts::of(&grid, grid.end()).unwrap().now, None);
    }
}
