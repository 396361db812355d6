//! One series: samples in time order, thinned with age.

use super::Fold;
use crate::model::{Grid, Role, Sample, Time};
use std::collections::VecDeque;

/// The ladder of resolutions: samples at least as old as the first number (seconds) are folded into aligned buckets of
/// the second. Three hours at 15 s and a day and a half at 1 min are what short and seasonal forecasts look at.
const LADDER: [(f64, f64); 3] = [(600.0, 15.0), (10_800.0, 60.0), (129_600.0, 300.0)];
/// Of demand, minutes are kept as long as anything: its shape over a day is made of them.
const LADDER_OF_DEMAND: [(f64, f64); 3] = [(600.0, 15.0), (10_800.0, 60.0), (691_200.0, 300.0)];
/// How often the ladder's ages are halved before the oldest samples are dropped instead.
const HALVINGS: i32 = 8;
/// Samples from the end whose instant counts as "now" for thinning: a few samples from a clock that jumped ahead must
/// not make everything else old.
const FROM_END: usize = 8;
/// Distances on either side of a hole that tell how far apart samples usually are.
const NEIGHBOURS: usize = 4;
/// A hole this many times the usual distance is a gap.
const GAP: f64 = 1.5;

/// A sample as it is kept, half as large: milliseconds after the series' base, and the value in seven digits.
#[derive(Clone, Copy, Debug)]
struct Kept {
    after: u32,
    value: f32,
}

/// Samples with strictly increasing instants, none more than 49 days after the first.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    base: Time,
    kept: VecDeque<Kept>,
}

impl Series {
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn latest(&self) -> Option<Sample> {
        self.kept.back().map(|k| self.sample(*k))
    }

    pub(super) fn oldest(&self) -> Option<Time> {
        self.kept.front().map(|k| self.instant(*k))
    }

    fn instant(&self, kept: Kept) -> Time {
        Time::from_millis(self.base.millis() + i64::from(kept.after))
    }

    fn sample(&self, kept: Kept) -> Sample {
        Sample { at: self.instant(kept), value: f64::from(kept.value) }
    }

    /// The sample at a place that there is.
    fn get(&self, i: usize) -> Sample {
        self.sample(self.kept[i])
    }

    fn samples(&self, places: std::ops::Range<usize>) -> impl Iterator<Item = Sample> + '_ {
        self.kept.range(places).map(move |k| self.sample(*k))
    }

    /// The place of the first sample at an instant or later.
    fn place(&self, at: Time) -> usize {
        self.kept.partition_point(|k| self.instant(*k) < at)
    }

    /// As it is kept; `None`: too far after the base, or too large a value.
    fn pack(&self, sample: Sample) -> Option<Kept> {
        let after = sample.at.millis().checked_sub(self.base.millis())?;
        let kept = Kept { after: u32::try_from(after).ok()?, value: sample.value as f32 };
        kept.value.is_finite().then_some(kept)
    }

    /// Puts a sample where it belongs; nearly always that is the end. Returns whether it was kept.
    pub(super) fn insert(&mut self, sample: Sample) -> bool {
        if self.kept.is_empty() {
            self.base = sample.at;
        } else if sample.at < self.base {
            self.merge(std::iter::once(sample));
            return self.base == sample.at;
        }
        let Some(kept) = self.pack(sample) else { return false };
        if self.kept.back().is_none_or(|last| last.after < kept.after) {
            self.kept.push_back(kept);
            return true;
        }
        match self.kept.binary_search_by_key(&kept.after, |k| k.after) {
            Ok(i) => self.kept[i] = kept,
            Err(i) => self.kept.insert(i, kept),
        }
        true
    }

    /// Adds many samples in any order; an instant that is known keeps its value.
    pub(super) fn merge(&mut self, samples: impl Iterator<Item = Sample>) {
        let mut all: Vec<Sample> = self.samples(0..self.len()).chain(samples).collect();
        all.sort_by_key(|s| s.at); // stable: of equal instants the known one stays first
        all.dedup_by_key(|s| s.at);
        self.fill_with(&all);
    }

    fn fill_with(&mut self, all: &[Sample]) {
        self.base = all.first().map_or(self.base, |s| s.at);
        self.kept.clear();
        for sample in all {
            self.kept.extend(self.pack(*sample));
        }
    }

    /// Keeps `[from, to]` only.
    pub(super) fn keep(&mut self, from: Time, to: Time) {
        self.kept.truncate(self.kept.partition_point(|k| self.instant(*k) <= to));
        self.kept.drain(..self.place(from));
        // Long before the distance from the base does not fit any more.
        if self.kept.front().is_some_and(|k| k.after > u32::MAX / 2) {
            let all: Vec<Sample> = self.samples(0..self.len()).collect();
            self.fill_with(&all);
        }
    }

    /// Samples from an instant on.
    pub(super) fn since(&self, from: Time) -> Vec<Sample> {
        self.samples(self.place(from)..self.len()).collect()
    }

    /// Brings the length down to three quarters of `limit` once it is exceeded (so that the work is done rarely):
    /// first by thinning with the ladder, its ages halved as often as needed, then by dropping the oldest.
    pub(super) fn fit(&mut self, limit: usize, role: Role) {
        if self.len() <= limit {
            return;
        }
        let target = limit / 4 * 3;
        for halving in 0..HALVINGS {
            self.thin(role, 0.5_f64.powi(halving));
            if self.len() <= target {
                return;
            }
        }
        self.kept.drain(..self.len().saturating_sub(target));
    }

    /// Folds samples into the buckets that their age asks for.
    fn thin(&mut self, role: Role, scale: f64) {
        let (fold, ladder) = (Fold::of(role), if role == Role::Demand { &LADDER_OF_DEMAND } else { &LADDER });
        let Some(now) = self.kept.get(self.len().saturating_sub(FROM_END)).map(|k| self.instant(*k)) else { return };
        let bucket = |at: Time| {
            let age = now.since(at);
            let rung = ladder.iter().rev().find(|(from, _)| from * scale <= age);
            rung.map_or((at, 0.0), |(_, width)| (at.floor_to(*width), *width))
        };
        let all: Vec<Sample> = self.samples(0..self.len()).collect();
        let one = |chunk: &[Sample]| {
            let value = fold.values(chunk.iter().map(|s| s.value))?;
            let first = chunk[0].at;
            let mean = chunk.iter().map(|s| s.at.since(first)).sum::<f64>() / chunk.len() as f64;
            Some(Sample { at: first.plus(mean), value })
        };
        let thinned: Vec<Sample> = all.chunk_by(|a, b| bucket(a.at) == bucket(b.at)).filter_map(one).collect();
        self.fill_with(&thinned);
    }

    /// Writes the samples before `to` into an empty grid. See [`super::History::grid`] for the rules.
    pub(super) fn fill(&self, grid: &mut Grid, to: Time, fold: Fold) {
        let (first, last) = (self.place(grid.start), self.place(to.min(grid.end())));
        let index = |at: Time| (at.since(grid.start) / grid.step).floor() as usize;
        let mut i = first;
        while i < last {
            let slot = index(self.get(i).at);
            let end = (i..last).find(|j| index(self.get(*j).at) != slot).unwrap_or(last);
            if let Some(value) = grid.values.get_mut(slot) {
                *value = fold.values(self.samples(i..end).map(|s| s.value));
            }
            i = end;
        }
        // A hole at the left edge may be bridged from the sample before the grid.
        for i in first.saturating_sub(1)..last.saturating_sub(1) {
            self.bridge(i, grid, fold);
        }
    }

    /// Fills the buckets between sample `i` and the next one, when samples are rarer than the grid there.
    fn bridge(&self, i: usize, grid: &mut Grid, fold: Fold) {
        let (a, b) = (self.get(i), self.get(i + 1));
        let distance = b.at.since(a.at);
        if distance <= grid.step || self.is_gap(i, distance) {
            return;
        }
        let from = (a.at.since(grid.start) / grid.step).floor();
        let to = (b.at.since(grid.start) / grid.step).floor();
        for slot in (from + 1.0).max(0.0) as usize..to.max(0.0) as usize {
            let middle = grid.at(slot).plus(grid.step / 2.0);
            let share = (middle.since(a.at) / distance).clamp(0.0, 1.0);
            if let Some(value @ None) = grid.values.get_mut(slot) {
                *value = Some(if fold == Fold::Last { a.value } else { a.value + share * (b.value - a.value) });
            }
        }
    }

    /// Whether the hole after sample `i` is longer than 1.5 times the usual distance around it: the upper median of up
    /// to four distances on either side.
    fn is_gap(&self, i: usize, distance: f64) -> bool {
        let near = |j: usize| self.get(j + 1).at.since(self.get(j).at);
        let last = self.len() - 1;
        // Between two holes as long as this one nothing is missing: the common case, without sorting.
        if i > 0 && i + 1 < last && distance <= GAP * near(i - 1).min(near(i + 1)) {
            return false;
        }
        let around = i.saturating_sub(NEIGHBOURS)..(i + 1 + NEIGHBOURS).min(last);
        let mut distances: Vec<f64> = around.filter(|j| *j != i).map(near).collect();
        distances.sort_by(f64::total_cmp);
        distances.get(distances.len() / 2).is_none_or(|usual| distance > GAP * usual)
    }
}
