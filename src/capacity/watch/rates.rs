//! The rate of one member from what members got done: the pool's mean less what the slower ones are slower by.

use super::{super::per_second, members::Took};
use crate::model::Capacity;
use std::collections::{BTreeMap, VecDeque};

/// Newest saturated spans that count.
const NEWEST: usize = 3_000;
/// Spans without saturation of which the upper end is one proof, and that quantile; the highest proof counts.
const BATCH: usize = 400;
const PROOF: f64 = 0.95;
/// Fewest spans for any proof at all.
const FIRST_PROOF: usize = 10;
/// Spans that a count needs before its median counts, and the share of the best median that it must reach: below,
/// something else holds its members back.
const BUCKET: usize = 5;
const POOL: f64 = 0.8;
/// Spans this far from the pool's median are something else.
const BAND: (f64, f64) = (0.7, 1.3);
/// The rate is at least this share of what flowed without saturation.
const PROVEN: f64 = 0.85;
/// Without saturated spans this many times what flowed is tried.
const PROBE: f64 = 1.25;
/// One member in five is slower than the mean by this many standard deviations, one in ten by the second.
const SLOW: (f64, f64) = (0.84, 1.28);
/// Spans that a count needs before it is believed to be held back, and the share of the rate that its upper quartile
/// stays below then.
const CAPPED: (usize, f64) = (8, 0.85);
/// Quantile of the flows of such counts that is the ceiling, and the share of it that a count brings which it holds back.
const CEILING: f64 = 0.6;
const AT_CEILING: f64 = 0.95;

/// Spans of work, newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    saturated: VecDeque<Took>,
    calm: Vec<f64>,
    proven: f64,
}

impl Rates {
    pub fn add(&mut self, took: Took) {
        if took.saturated {
            self.saturated.push_back(took);
            if self.saturated.len() > NEWEST {
                self.saturated.pop_front();
            }
        } else {
            self.calm.push(took.rate);
            if self.calm.len() >= BATCH {
                self.proven = self.proven.max(quantile(&mut self.calm, PROOF));
                self.calm.clear();
            }
        }
    }

    /// Rate, spread, samples and ceiling; the times of the result are zero. `None` before anything flowed.
    pub fn estimate(&self, assumptions: &mut Vec<String>) -> Option<Capacity> {
        let mut proven = self.proven;
        if self.calm.len() >= FIRST_PROOF {
            proven = proven.max(quantile(&mut self.calm.clone(), PROOF));
        }
        let of = |per_replica, low, high, samples, ceiling| Capacity {
            per_replica,
            low,
            high,
            samples,
            start_up: 0.0,
            rebalance: 0.0,
            rebalance_down: 0.0,
            ceiling,
            assumptions: Vec::new(),
        };
        let mut by_count: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for took in &self.saturated {
            by_count.entry(took.members).or_default().push(took.rate);
        }
        let buckets: BTreeMap<u32, [f64; 4]> = by_count
            .into_iter()
            .filter(|(_, rates)| rates.len() >= BUCKET.min(self.saturated.len()))
            .map(|(n, mut rates)| {
                (
                    n,
                    [
                        rates.len() as f64,
                        quantile(&mut rates, 0.5),
                        quantile(&mut rates, 0.6),
                        quantile(&mut rates, 0.75),
                    ],
                )
            })
            .collect();
        let best = buckets.values().map(|b| b[1]).fold(0.0, f64::max);
        if best <= 0.0 {
            if proven > 0.0 {
                assumptions.push(format!(
                    "no member was seen with work waiting: at least {} each flowed, what one can do at most is not known",
                    per_second(proven)
                ));
            }
            return (proven > 0.0).then(|| of(proven, proven, proven * PROBE, 0, None));
        }
        let in_pool = |n: u32| buckets.get(&n).is_some_and(|b| b[1] > POOL * best);
        let mut pool: Vec<f64> = self.saturated.iter().filter(|t| in_pool(t.members)).map(|t| t.rate).collect();
        let median = quantile(&mut pool, 0.5).max(PROVEN * proven);
        let within = |t: &&Took| in_pool(t.members) && t.rate > BAND.0 * median && t.rate < BAND.1 * median;
        let (mean, spread) = spread(self.saturated.iter().filter(within)).unwrap_or((median, 0.0));
        let at = |deviations: f64| (mean - deviations * spread).max(PROVEN * proven);
        let ceiling = ceiling(&buckets, median);
        // Where even the best count brought no more than the ceiling, its rate is a lower bound.
        let most = buckets.iter().filter(|(_, b)| b[1] >= best).map(|(n, b)| f64::from(*n) * b[1]).fold(0.0, f64::max);
        if let Some(total) = ceiling.filter(|c| most >= AT_CEILING * c) {
            assumptions
                .push(format!("at least {} each: what lies downstream held back even the fewest", per_second(mean)));
            return Some(of(mean * PROBE, mean, mean * PROBE, pool.len(), Some(total)));
        }
        if let Some(total) = ceiling {
            assumptions.push(format!(
                "all together never did more than {}, however many they were: what lies downstream takes no more",
                per_second(total)
            ));
        }
        Some(of(at(SLOW.0), at(SLOW.1), at(-SLOW.1), pool.len(), ceiling))
    }
}

/// Mean rate of the members, and how much they really differ: the variance between them less what the batches of
/// commits alone make of it (one-way analysis of variance). `None` without spans.
fn spread<'a>(spans: impl Iterator<Item = &'a Took>) -> Option<(f64, f64)> {
    // Per member: spans, sum of rates, sum of squares.
    let mut members: BTreeMap<u64, (f64, f64, f64)> = BTreeMap::new();
    for took in spans {
        let m = members.entry(took.member).or_default();
        *m = (m.0 + 1.0, m.1 + took.rate, m.2 + took.rate * took.rate);
    }
    let total = members.values().fold((0.0, 0.0), |a, m| (a.0 + m.0, a.1 + m.1));
    if total.0 < 1.0 {
        return None;
    }
    let mean = total.1 / total.0;
    let groups = members.len() as f64;
    if groups < 2.0 || total.0 <= groups {
        return Some((mean, 0.0));
    }
    let within: f64 = members.values().map(|(n, sum, squares)| (squares - sum * sum / n).max(0.0)).sum();
    let between: f64 = members.values().map(|(n, sum, _)| n * (sum / n - mean).powi(2)).sum();
    let noise = within / (total.0 - groups);
    let usual = (total.0 - members.values().map(|m| m.0 * m.0).sum::<f64>() / total.0) / (groups - 1.0);
    let variance = ((between / (groups - 1.0) - noise) / usual.max(1.0)).max(0.0);
    Some((mean, variance.sqrt()))
}

/// What all together were seen to do at most, when more of them should have done more.
fn ceiling(buckets: &BTreeMap<u32, [f64; 4]>, median: f64) -> Option<f64> {
    let capped = |b: &[f64; 4]| b[0] >= CAPPED.0 as f64 && b[3] < CAPPED.1 * median;
    let mut held: Vec<f64> = buckets.iter().filter(|(_, b)| capped(b)).map(|(n, b)| f64::from(*n) * b[3]).collect();
    if held.is_empty() {
        return None;
    }
    let free = buckets.iter().filter(|(_, b)| !capped(b)).map(|(n, b)| f64::from(*n) * b[3].min(median));
    Some(free.fold(quantile(&mut held, CEILING), f64::max))
}

/// The value at a share of a list that is not empty, by the nearest rank; 0 when it is. Sorts the list.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    super::super::quantile(values, share).unwrap_or(0.0)
}
