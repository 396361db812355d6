//! What n replicas can do together: partitions make some counts useless, a shared queue does not.

use super::Work;

/// A count is useful when it can do this much more than every smaller one.
const USEFUL: f64 = 1.01;

/// Replicas of one rate over one kind of work.
#[derive(Clone, Debug)]
pub struct Fleet {
    rate: f64,
    /// Partition shares; empty: a shared queue.
    shares: Vec<f64>,
    /// Latency without load, seconds, of a shared queue of requests.
    unloaded: Option<f64>,
}

impl Fleet {
    /// `rate`: what one replica is planned to do, per second.
    pub fn new(work: &Work, rate: f64) -> Self {
        match work {
            Work::Log { shares } => Self { rate, shares: normalised(shares), unloaded: None },
            Work::Shared { unloaded } => Self { rate, shares: Vec::new(), unloaded: Some(unloaded.max(0.0)) },
            Work::Jobs => Self { rate, shares: Vec::new(), unloaded: None },
        }
    }

    /// What one replica is planned to do, per second.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Share of the demand that each of `replicas` gets: partition p goes to replica p mod n, as the range and round
    /// robin assignors spread one topic. Empty for a shared queue.
    pub fn loads(&self, replicas: u32) -> Vec<f64> {
        let members = (replicas as usize).min(self.shares.len());
        let mut loads = vec![0.0; members];
        for (p, share) in self.shares.iter().enumerate() {
            if let Some(load) = loads.get_mut(p % members.max(1)) {
                *load += share;
            }
        }
        loads
    }

    /// Demand that `replicas` hold without any of them falling behind, per second.
    pub fn capacity(&self, replicas: u32) -> f64 {
        if self.shares.is_empty() {
            return self.rate * f64::from(replicas);
        }
        let heaviest = self.loads(replicas).into_iter().fold(0.0, f64::max);
        if heaviest > 0.0 { self.rate / heaviest } else { 0.0 }
    }

    /// Latency that load alone causes at `demand`, seconds; what is behind the backlog comes on top.
    pub fn latency(&self, replicas: u32, demand: f64) -> f64 {
        let Some(unloaded) = self.unloaded else { return 0.0 };
        let capacity = self.capacity(replicas);
        // At and above capacity the backlog tells the rest.
        let spare = if capacity > 0.0 { (1.0 - demand / capacity).max(0.02) } else { 0.02 };
        unloaded / spare
    }

    /// Whether `replicas` hold `demand` for good within the SLO.
    pub fn sustains(&self, replicas: u32, demand: f64, slo: f64) -> bool {
        demand <= self.capacity(replicas) && self.latency(replicas, demand) <= slo
    }

    /// The most replicas that can have work.
    pub fn most(&self) -> u32 {
        if self.shares.is_empty() { u32::MAX } else { u32::try_from(self.shares.len()).unwrap_or(u32::MAX) }
    }

    /// The partition with the largest share.
    pub fn hottest(&self) -> Option<(usize, f64)> {
        self.shares.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Counts from `min` to `max` that can do more than every smaller one, up to twice what `peak` within the SLO takes.
    ///
    /// With equal shares over P partitions these are {⌈P/k⌉}: of 21 to 39 consumers over 40 partitions some still read
    /// two, so that they hold no more than 20 do.
    pub fn useful(&self, min: u32, max: u32, peak: f64, slo: f64) -> Vec<u32> {
        let last = max.min(self.most());
        let mut enough = None;
        let mut best = 0.0;
        let mut counts = Vec::new();
        for n in min..=last {
            let capacity = self.capacity(n);
            if capacity > best * USEFUL || (n == 0 && min == 0) {
                best = capacity;
                counts.push(n);
            }
            if enough.is_none() && self.sustains(n, peak, slo) {
                enough = Some(n);
            }
            if enough.is_some_and(|e| n >= e.saturating_mul(2).saturating_add(2)) {
                break;
            }
        }
        counts
    }
}

/// Shares that sum to 1; equal ones where nothing is known or nothing flows.
fn normalised(shares: &[f64]) -> Vec<f64> {
    let clean: Vec<f64> = shares.iter().map(|s| if s.is_finite() { s.max(0.0) } else { 0.0 }).collect();
    let sum: f64 = clean.iter().sum();
    if sum > 0.0 {
        clean.into_iter().map(|s| s / sum).collect()
    } else {
        vec![1.0 / shares.len().max(1) as f64; shares.len()]
    }
}
