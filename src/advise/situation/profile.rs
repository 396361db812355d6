//! The shape of a day: what demand was at the same time on the days before.
//!
//! A nightly surge begins within minutes, and a forecast that is worked out at a few horizons draws a slope where there
//! is a step. Where replicas take minutes to start that is the difference between in time and late, so the planner for
//! services holds the forecast against the days before and takes the higher of the two.

use super::super::Input;
use crate::model::{Grid, Role, SignalKey};

/// Days that are looked at, and fewest that count: with two, one of them might have been odd.
const DAYS: usize = 7;
const FEWEST: usize = 3;
const DAY: f64 = 86_400.0;
/// Seconds between the values.
const STEP: f64 = 60.0;
/// Minutes that an event may come earlier than on the days before.
const EARLY: usize = 2;
/// Minutes that tell today's level against the days before, and how far it may lie from theirs.
const LEVEL: usize = 15;
const APART: (f64, f64) = (0.6, 1.7);
/// Largest typical error of the shape over the last hour at which it is believed, as a share of the demand.
const BELIEVED: f64 = 0.2;
/// p80 and p95 above what the days before say, as factors.
const ABOVE: [f64; 2] = [1.08, 1.18];

/// Demand at the same time on the days before, at today's level.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Profile {
    /// By minute from now on.
    ahead: Vec<f64>,
}

impl Profile {
    /// The shape of the `horizon` seconds from now on; `None` with less than three days, and when the last hour was
    /// nothing like the same hour before.
    pub(super) fn of(input: &Input<'_>, horizon: f64) -> Option<Self> {
        let key = SignalKey { entity: input.workload.entity.clone(), role: Role::Demand };
        let now = input.now.floor_to(STEP);
        let from = now.plus(-(DAYS as f64) * DAY - 3_600.0);
        let grid = input.history.grid(&key, from, now, STEP);
        let minutes = (horizon / STEP).ceil().clamp(1.0, 720.0) as usize;
        let then = |minute: isize| median(&grid, now.since(grid.start), minute);
        let hour: Vec<(f64, f64)> = (1..=60_isize)
            .filter_map(|m| {
                let index = (now.since(grid.start) / STEP) as isize - m;
                let today = grid.values.get(usize::try_from(index).ok()?).copied().flatten()?;
                Some((today, then(-m)?)).filter(|(today, then)| *today > 0.0 && *then > 0.0)
            })
            .collect();
        if hour.len() < LEVEL {
            return None;
        }
        let newest = &hour[..LEVEL];
        let (today, before) = newest.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        let level = (today / before).clamp(APART.0, APART.1);
        let mut errors: Vec<f64> = hour.iter().map(|(today, then)| (then * level / today - 1.0).abs()).collect();
        errors.sort_by(f64::total_cmp);
        if errors.get(errors.len() / 2).is_none_or(|e| *e > BELIEVED) {
            return None;
        }
        // A rise is taken as early as it may come, a fall as late.
        let all: Vec<f64> = (0..minutes + EARLY).map(|m| then(m.cast_signed()).unwrap_or(0.0) * level).collect();
        let most =
            |m: usize| all[m.saturating_sub(EARLY)..(m + EARLY + 1).min(all.len())].iter().copied().fold(0.0, f64::max);
        Some(Self { ahead: (0..minutes).map(most).collect() })
    }

    /// p50, p80 and p95 on a step, each the higher of what was forecast and what the days before say.
    pub(super) fn raise(&self, paths: [&[f64]; 3], step: f64) -> [Vec<f64>; 3] {
        let factors = [1.0, ABOVE[0], ABOVE[1]];
        let mut factors = factors.into_iter();
        paths.map(|path| {
            let factor = factors.next().unwrap_or(1.0);
            let at = |i: usize| self.ahead.get((i as f64 * step / STEP) as usize).copied().unwrap_or(0.0);
            path.iter().enumerate().map(|(i, value)| value.max(at(i) * factor)).collect()
        })
    }
}

/// The median over the days before of the demand `minute` minutes after the end of a grid; `None` with too few days.
fn median(grid: &Grid, length: f64, minute: isize) -> Option<f64> {
    let end = (length / STEP) as isize;
    let per_day = (DAY / STEP) as isize;
    let mut values: Vec<f64> = (1..=DAYS.cast_signed())
        .filter_map(|day| grid.values.get(usize::try_from(end + minute - day * per_day).ok()?).copied().flatten())
        .filter(|v| v.is_finite())
        .collect();
    values.sort_by(f64::total_cmp);
    (values.len() >= FEWEST).then(|| values[values.len() / 2])
}
