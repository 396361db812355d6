//! What has been seen: samples per signal in rings, gaps kept as gaps, persisted between runs.
//!
//! [`History`] is memory and arithmetic only; [`store::Store`] keeps it in a file. Memory is bounded by
//! [`Bounds::samples`] over all series together: what is old is kept coarser, never what is new.

mod recall;
mod series;
pub mod store;

pub use recall::recall;

use crate::model::{Grid, Role, Sample, SignalKey, Time};
use series::Series;
use std::collections::BTreeMap;

/// Longest grid that is ever built: 8 days at 5 s fits; a wrong step costs memory, not the process.
const MAX_GRID: usize = 200_000;
/// A sample this many seconds ahead of the clock came from a clock that was set back since.
const AHEAD: f64 = 60.0;

/// How several samples become one, in a bucket of a grid and when old samples are thinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// The mean: rates and ratios, whose integral must stay.
    Mean,
    /// The highest: what hurts at its peak (backlog, seconds behind, latency, memory).
    Max,
    /// The newest: counts of things and progress, where a mean would be a number that never was.
    Last,
}

impl Fold {
    /// The fold of a role.
    pub fn of(role: Role) -> Self {
        match role {
            Role::Demand | Role::Throughput | Role::Utilisation => Self::Mean,
            Role::Backlog | Role::TimeLag | Role::Latency | Role::InterToken | Role::Memory => Self::Max,
            // Of one instant both: jobs that move from the queue to work are neither lost nor seen twice.
            Role::Queue | Role::Running | Role::Replicas | Role::Desired | Role::Progress => Self::Last,
        }
    }

    /// Folds the values of one bucket, oldest first; `None` when there are none.
    fn values(self, values: impl Iterator<Item = f64>) -> Option<f64> {
        let (mut count, mut out) = (0_u32, 0.0_f64);
        for v in values {
            out = match self {
                Self::Mean => out + (v - out) / f64::from(count + 1),
                Self::Max if count > 0 => out.max(v),
                Self::Max | Self::Last => v,
            };
            count += 1;
        }
        (count > 0).then_some(out)
    }
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Samples of all series together (8 bytes each); shared out evenly, at least [`Bounds::FEWEST`] a series.
    pub samples: usize,
    /// Seconds that the oldest sample may be old.
    pub span: f64,
}

impl Bounds {
    /// Samples that any series may keep, however many series there are: an hour at 15 s.
    pub const FEWEST: usize = 240;
    /// Samples that no series needs to exceed: 8 days on the rungs of the ladder (see `series`).
    pub const MOST: usize = 6_000;
    /// The same of demand, whose minutes are kept: a day's shape is made of them.
    pub const MOST_DEMAND: usize = 18_000;
}

impl Default for Bounds {
    /// 3 million samples (24 MB) over 8 days: a week and a day, so that a weekly pattern is seen once in full.
    fn default() -> Self {
        Self { samples: 3_000_000, span: 8.0 * 86_400.0 }
    }
}

/// Every series that was seen, by key.
///
/// ```
/// use highwater::{history::History, model::{Entity, Label, Role, Sample, SignalKey, Time, WorkloadKind}};
/// let entity = Entity { kind: WorkloadKind::ConsumerGroup, source: "prod".into(), id: "orders".into() };
/// let key = SignalKey { entity, role: Role::Demand };
/// let mut history = History::default();
/// for (at, value) in [(0, 10.0), (15, 20.0), (45, 40.0)] {
///     history.record(&key, Sample { at: Time::from_secs(f64::from(at)), value });
/// }
/// let grid = history.grid(&key, Time::from_secs(0.0), Time::from_secs(60.0), 15.0);
/// assert_eq!(grid.values, [Some(10.0), Some(20.0), None, Some(40.0)], "a missed scrape is a gap");
/// ```
#[derive(Clone, Debug, Default)]
pub struct History {
    bounds: Bounds,
    series: BTreeMap<SignalKey, Series>,
}

impl History {
    /// An empty history that keeps at most what `bounds` says.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, series: BTreeMap::new() }
    }

    /// Adds one sample wherever its time belongs; one at the same instant is replaced. Returns whether it was kept:
    /// a value that is not finite never is, nor what lies 49 days ahead of all else (a clock that jumped).
    pub fn record(&mut self, key: &SignalKey, sample: Sample) -> bool {
        if !sample.value.is_finite() {
            return false;
        }
        if !self.series.contains_key(key) {
            self.series.insert(key.clone(), Series::default());
        }
        let limit = self.limit(key.role);
        let Some(series) = self.series.get_mut(key) else { return false };
        let kept = series.insert(sample);
        series.fit(limit, key.role);
        kept
    }

    /// Adds older samples, in any order, without replacing what was seen since: at an instant that is known already,
    /// the known value stays.
    pub fn backfill(&mut self, key: &SignalKey, samples: &[Sample]) {
        let series = self.series.entry(key.clone()).or_default();
        series.merge(samples.iter().copied().filter(|s| s.value.is_finite()));
        let limit = self.limit(key.role);
        if let Some(series) = self.series.get_mut(key) {
            series.fit(limit, key.role);
        }
    }

    /// The newest sample of a series.
    pub fn latest(&self, key: &SignalKey) -> Option<Sample> {
        self.series.get(key)?.latest()
    }

    /// The instant of the oldest sample of a series.
    pub fn oldest(&self, key: &SignalKey) -> Option<Time> {
        self.series.get(key)?.oldest()
    }

    /// The series from `from` (rounded down to a multiple of `step`) to `to` (excluded), folded per bucket of `step`
    /// seconds by [`Fold::of`]. `values[i]` covers `[at(i), at(i) + step)`.
    ///
    /// A bucket without a sample is `None`, except where samples are simply rarer than the grid: between two samples
    /// not further apart than 1.5 times the usual distance around them, the values in between are interpolated
    /// ([`Fold::Last`]: held). An unknown key gives a grid of `None`.
    pub fn grid(&self, key: &SignalKey, from: Time, to: Time, step: f64) -> Grid {
        let step = if step.is_finite() { step.max(0.001) } else { 1.0 };
        let start = from.floor_to(step);
        let len = ((to.since(start) / step).ceil().max(0.0) as usize).min(MAX_GRID);
        let mut grid = Grid { start, step, values: vec![None; len] };
        if let Some(series) = self.series.get(key) {
            series.fill(&mut grid, to, Fold::of(key.role));
        }
        grid
    }

    /// Samples of a series from `from` on, oldest first.
    pub fn samples(&self, key: &SignalKey, from: Time) -> Vec<Sample> {
        self.series.get(key).map_or_else(Vec::new, |s| s.since(from))
    }

    /// Every key with at least one sample, in order.
    pub fn keys(&self) -> impl Iterator<Item = &SignalKey> {
        self.series.keys()
    }

    /// Number of samples held.
    pub fn len(&self) -> usize {
        self.series.values().map(Series::len).sum()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Drops what is older than the bounds allow, what lies ahead of `now` (the clock was set back) and series that
    /// have become empty; call it every minute or so. Until then the number of samples is bounded all the same.
    pub fn prune(&mut self, now: Time) {
        let (from, to) = (now.plus(-self.bounds.span), now.plus(AHEAD));
        let limits = [self.limit(Role::Demand), self.limit(Role::Backlog)];
        self.series.retain(|key, series| {
            series.keep(from, to);
            series.fit(limits[usize::from(key.role != Role::Demand)], key.role);
            series.len() > 0
        });
    }

    /// Samples that one series of a role may hold now.
    pub fn limit(&self, role: Role) -> usize {
        let most = if role == Role::Demand { Bounds::MOST_DEMAND } else { Bounds::MOST };
        (self.bounds.samples / self.series.len().max(1)).clamp(Bounds::FEWEST, most)
    }
}

#[cfg(test)]
mod tests;
