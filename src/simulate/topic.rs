//! A topic: partitions that get unequal shares of what arrives, and what lay where at which time.

use super::{Random, STEP};

/// A topic's partitions. Offsets are fractional inside: a fluid model; readers floor them.
#[derive(Clone, Debug)]
pub struct Topic {
    shares: Vec<f64>,
    ends: Vec<f64>,
    /// Records that arrived and are not dealt out to `ends` yet: see [`Topic::defer`].
    deferred: f64,
}

impl Topic {
    /// `partitions` empty logs whose shares of the arrivals are log-normal with standard deviation `skew` of the
    /// logarithm (0: equal).
    pub fn new(partitions: usize, skew: f64, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let shares = (0..partitions).map(|_| random.log_normal(skew)).collect();
        let mut topic = Self { shares, ends: vec![0.0; partitions], deferred: 0.0 };
        topic.share_out();
        topic
    }

    /// Empty logs with these shares of the arrivals, which sum to 1.
    pub fn of(shares: &[f64]) -> Self {
        Self { shares: shares.to_vec(), ends: vec![0.0; shares.len()], deferred: 0.0 }
    }

    /// So many records more on each log, in the order of the partitions.
    pub fn append(&mut self, records: &[f64]) {
        for (end, more) in self.ends.iter_mut().zip(records) {
            *end += more.max(0.0);
        }
    }

    /// Begins each log at an offset that looks like months of use, in proportion to its share.
    #[must_use]
    pub fn with_past(mut self, records: f64) -> Self {
        for (end, share) in self.ends.iter_mut().zip(&self.shares) {
            *end += (records * share).floor();
        }
        self
    }

    /// One step of arrivals at `rate` records per second.
    pub fn produce(&mut self, rate: f64) {
        let records = rate.max(0.0) * STEP;
        for (end, share) in self.ends.iter_mut().zip(&self.shares) {
            *end += records * share;
        }
    }

    /// One step of arrivals that is only added up: `ends` stand still until [`Topic::settle`]. Costs no work per partition.
    pub(super) fn defer(&mut self, rate: f64) {
        self.deferred += rate.max(0.0) * STEP;
    }

    /// Deals out what was deferred; whether there was any.
    pub(super) fn settle(&mut self) -> bool {
        let records = std::mem::take(&mut self.deferred);
        if records > 0.0 {
            for (end, share) in self.ends.iter_mut().zip(&self.shares) {
                *end += records * share;
            }
        }
        records > 0.0
    }

    /// Log end of a partition with what was deferred.
    pub(super) fn end(&self, partition: usize) -> f64 {
        let of = |values: &[f64]| values.get(partition).copied().unwrap_or(0.0);
        of(&self.ends) + self.deferred * of(&self.shares)
    }

    /// Multiplies each partition's weight and makes the shares sum to 1 again.
    pub fn reweigh(&mut self, factors: impl IntoIterator<Item = f64>) {
        self.settle();
        for (share, factor) in self.shares.iter_mut().zip(factors) {
            *share *= factor;
        }
        self.share_out();
    }

    fn share_out(&mut self) {
        let sum: f64 = self.shares.iter().sum();
        for share in &mut self.shares {
            *share /= sum;
        }
    }

    /// Log end offsets, without what was deferred.
    pub fn ends(&self) -> &[f64] {
        &self.ends
    }

    /// Shares of the arrivals; they sum to 1.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// Number of partitions.
    pub fn partitions(&self) -> usize {
        self.ends.len()
    }
}
