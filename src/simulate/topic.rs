//! A topic: partitions that get unequal shares of what arrives, and what lay where at which time.

use super::{Random, STEP};

/// A topic's partitions. Offsets are fractional inside: a fluid model; readers floor them.
#[derive(Clone, Debug)]
pub struct Topic {
    shares: Vec<f64>,
    ends: Vec<f64>,
}

impl Topic {
    /// `partitions` empty logs whose shares of the arrivals are log-normal with standard deviation `skew` of the
    /// logarithm (0: equal).
    pub fn new(partitions: usize, skew: f64, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let raw: Vec<f64> = (0..partitions).map(|_| random.log_normal(skew)).collect();
        let sum: f64 = raw.iter().sum();
        Self { shares: raw.iter().map(|r| r / sum).collect(), ends: vec![0.0; partitions] }
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

    /// Log end offsets.
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
