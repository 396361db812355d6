//! How often a group commits, where that is more seldom than it is looked at. Kafka Streams commits every 30 s by default
//! (`commit.interval.ms`), Connect every 60 s (`offset.flush.interval.ms`), Flink with its checkpoints: what came since
//! the last commit looks like lag, and no replica takes it away.

use super::Place;
use crate::model::Time;
use std::collections::VecDeque;

/// Newest looks in which something was committed, and fewest that tell how often.
const LOOKS: usize = 20;
const FEWEST: usize = 5;
/// Commits are seldom when this many times the seconds between two looks lie between them.
const SELDOM: f64 = 1.5;
/// Seconds between two looks from which on a commit may be as old as the look before, however often commits come.
const FAR: f64 = 20.0;
/// Seconds between two commits that are believed at most: beyond them somebody does not work.
const LONGEST: f64 = 150.0;
/// This many times what is usual a commit may be late before what waits counts in full.
const PATIENCE: f64 = 1.5;

/// When a partition's committed offset was first seen to be what it is, and where its end was then.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    at: Time,
    end: f64,
    committed: f64,
}

impl Stamp {
    /// Whether nothing was committed since.
    fn is_still(&self, place: &Place) -> bool {
        (place.committed - self.committed).abs() < 0.5
    }
}

/// The newest commits of all partitions, and the seconds between those before.
#[derive(Clone, Debug, Default)]
pub(super) struct Commits {
    stamps: Vec<Stamp>,
    /// Per look in which something was committed: mean seconds since the commit before.
    gaps: VecDeque<f64>,
    every: Option<f64>,
}

impl Commits {
    /// Forgets where commits were, not how often they come.
    pub fn restart(&mut self) {
        self.stamps.clear();
    }

    /// One look, `dt` seconds after the one before. `telling`: whether so much came to a partition that there was
    /// something to commit.
    pub fn look(&mut self, at: Time, dt: f64, places: &[Place], telling: impl Fn(usize) -> bool) {
        let stamp = |place: &Place| Stamp { at, end: place.end, committed: place.committed };
        if self.stamps.len() != places.len() {
            self.stamps = places.iter().map(stamp).collect();
            return;
        }
        let (mut sum, mut seen) = (0.0, 0_u32);
        for (p, (was, place)) in self.stamps.iter_mut().zip(places).enumerate() {
            if was.is_still(place) {
                continue;
            }
            let gap = at.since(was.at);
            if telling(p) && gap <= LONGEST {
                (sum, seen) = (sum + gap, seen + 1);
            }
            *was = stamp(place);
        }
        if seen > 0 {
            self.gaps.push_back(sum / f64::from(seen));
            if self.gaps.len() > LOOKS {
                self.gaps.pop_front();
            }
            // The middlemost: a rebalance holds commits back now and then.
            let mut gaps: Vec<f64> = self.gaps.iter().copied().collect();
            let usual = super::super::quantile(&mut gaps, 0.5).filter(|_| gaps.len() >= FEWEST);
            self.every = usual.filter(|usual| *usual > SELDOM * dt);
        }
    }

    /// Seconds for which nothing that is committed says nothing: 0 where commits come about as often as looks.
    pub fn patience(&self) -> f64 {
        PATIENCE * self.every.unwrap_or(0.0)
    }

    /// Seconds by which a commit may be older than the look that it is seen in, `dt` seconds after the one before; 0 where
    /// that is little.
    pub fn may_be_old(&self, dt: f64) -> f64 {
        if self.every.is_some() || dt >= FAR { dt } else { 0.0 }
    }

    /// Records of a partition that waited when it was last committed; all that wait where that is too long ago, or where
    /// commits come about as often as looks.
    pub fn waiting(&self, at: Time, p: usize, place: &Place) -> f64 {
        let lag = (place.end - place.committed).max(0.0);
        let due = |s: &&Stamp| s.is_still(place) && at.since(s.at) <= self.patience();
        self.stamps.get(p).filter(due).map_or(lag, |stamp| (lag - (place.end - stamp.end).max(0.0)).max(0.0))
    }
}
