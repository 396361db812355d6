//! The rate of one replica, from saturated slots.

use super::{PROBE, Slot, quantile};
use crate::model::WorkloadKind;
use std::collections::BTreeMap;

/// A consumer group is saturated when more than this many seconds of work are waiting beyond what is always visible.
/// Committed offsets trail the work that is done (by the commit interval, 5 s by default), so some lag is always seen.
const WAITING: f64 = 8.0;
/// The always-visible lag that is believed at most, seconds of work.
const FLOOR: f64 = 15.0;
/// Saturated slots that a count needs before its median is compared with those of other counts.
const BUCKET: usize = 5;
/// Counts whose median is below this share of the best are held back by something else (skew, downstream).
const POOL: f64 = 0.8;
/// Saturated slots that a count needs before it is believed to be held back; the upper quartile of its rates is below
/// this share of the pool's; and more came in than flowed, by this factor. (When a group catches up, its last member to
/// do so looks like all of them being slow, but then less comes in than flows.)
const CAPPED: (usize, f64, f64) = (8, 0.85, 1.03);
/// Quantile of the flows of such counts that is the ceiling.
const CEILING: f64 = 0.6;
/// Slots in a row that are averaged: commits come in batches, so a single slot looks up to a third faster or slower
/// than the work is.
const TOGETHER: usize = 4;
/// Slots outside of this band around the pooled median (a rebalance, a batch of commits) are not counted.
const BAND: (f64, f64) = (0.7, 1.3);
/// Quantile of the band that is taken: half of the pods are slower than the median.
const CAREFUL: f64 = 0.2;
/// The estimate is at least this share of what was seen to flow without saturation.
const PROVEN: f64 = 0.85;
/// Most recent saturated slots that count.
const NEWEST: usize = 4_000;

/// A rate with its spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) samples: usize,
    /// More replicas than the pool's that brought less than they should: how many, and the flow of all together.
    pub(super) held_back: Option<(u64, f64)>,
}

/// One saturated slot, smoothed over its neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Saturated {
    n: u64,
    rate: f64,
    /// Clearly more came in than flowed.
    grows: bool,
}

/// Slots in a row, saturated or not, at one count: of each the rate per replica, and by how much work clearly piled up.
type Run = (bool, u64, Vec<(f64, f64)>);

/// The rate of one replica; `None` when nothing flowed.
pub(super) fn estimate(slots: &[Slot], kind: WorkloadKind) -> Option<Rate> {
    let waiting = waiting(slots, kind);
    let mut runs: Vec<Run> = Vec::new();
    let mut open = false;
    for i in 1..slots.len() {
        let (before, now) = (&slots[i - 1], &slots[i]);
        let (Some(was), Some(rate), true) = (before.rate(), now.rate(), settled(slots, i)) else {
            open = false;
            continue;
        };
        let saturated = waiting[i - 1] && waiting[i] && was > 0.0 && rate > 0.0;
        let growth = now.demand.zip(now.throughput).map_or(0.0, |(came, went)| came - CAPPED.2 * went);
        match runs.last_mut().filter(|(kind, ..)| open && *kind == saturated) {
            Some((.., rates)) => rates.push((rate, growth)),
            None => runs.push((saturated, now.replicas.unwrap_or(1.0) as u64, vec![(rate, growth)])),
        }
        open = true;
    }
    let (mut saturated, mut proven) = (Vec::new(), Vec::new());
    for (is_saturated, n, rates) in runs {
        for part in rates.chunks(TOGETHER) {
            let mean = part.iter().map(|(rate, _)| rate).sum::<f64>() / part.len() as f64;
            let grows = part.iter().map(|(_, growth)| growth).sum::<f64>() > 0.0;
            if is_saturated {
                saturated.extend(part.iter().map(|_| Saturated { n, rate: mean, grows }));
            } else if part.len() > 1 {
                proven.push(mean);
            }
        }
    }
    let proven = quantile(&mut proven, 0.95).filter(|r| *r > 0.0);
    let saturated = &saturated[saturated.len().saturating_sub(NEWEST)..];
    pooled(saturated, proven.unwrap_or(0.0))
        .or_else(|| proven.map(|value| Rate { value, low: value, high: value * PROBE, samples: 0, held_back: None }))
}

/// Whether the count had been the same for two slots before `i`: partitions that just moved drain what piled up.
fn settled(slots: &[Slot], i: usize) -> bool {
    slots[i.saturating_sub(2)..=i].iter().all(|s| s.replicas == slots[i].replicas)
}

/// For each slot: whether work was waiting in it.
fn waiting(slots: &[Slot], kind: WorkloadKind) -> Vec<bool> {
    if kind != WorkloadKind::ConsumerGroup {
        // A request or job that waits could have been served if a replica had been free.
        return slots.iter().map(|s| s.backlog.is_some_and(|b| b > 0.0)).collect();
    }
    let seconds = |s: &Slot| {
        let flow = s.throughput.filter(|f| *f > 0.0)?;
        Some(s.backlog? / flow)
    };
    let mut all: Vec<f64> = slots.iter().filter_map(seconds).collect();
    let floor = quantile(&mut all, 0.1).filter(|f| *f < FLOOR).unwrap_or(0.0);
    slots.iter().map(|s| seconds(s).is_some_and(|w| w > floor + WAITING)).collect()
}

/// Pools saturated slots over counts: see the constants. `None` without any.
fn pooled(saturated: &[Saturated], proven: f64) -> Option<Rate> {
    let mut by_count: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for slot in saturated {
        by_count.entry(slot.n).or_default().push(slot.rate);
    }
    if by_count.values().any(|rates| rates.len() >= BUCKET) {
        by_count.retain(|_, rates| rates.len() >= BUCKET);
    }
    let best = by_count.values_mut().filter_map(|rates| quantile(rates, 0.5)).fold(0.0, f64::max);
    by_count.retain(|_, rates| quantile(rates, 0.5).is_some_and(|m| m > POOL * best));
    let most = by_count.keys().next_back().copied();
    let mut pool: Vec<f64> = by_count.into_values().flatten().collect();
    let middle = quantile(&mut pool, 0.5)?.max(PROVEN * proven);
    pool.retain(|r| (BAND.0 * middle..=BAND.1 * middle).contains(r));
    let samples = pool.len();
    let at = |share: f64, pool: &mut Vec<f64>| quantile(pool, share).unwrap_or(middle).max(PROVEN * proven);
    let (low, value, high) = (at(0.1, &mut pool), at(CAREFUL, &mut pool), at(0.9, &mut pool));
    Some(Rate { value, low, high, samples, held_back: held_back(saturated, most, middle) })
}

/// The flow that counts above `most` (the highest of the pool) were held back at, with the highest of them.
fn held_back(saturated: &[Saturated], most: Option<u64>, middle: f64) -> Option<(u64, f64)> {
    let most = most?;
    let mut by_count: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for slot in saturated.iter().filter(|s| s.n > most && s.grows) {
        by_count.entry(slot.n).or_default().push(slot.rate);
    }
    let (fewest, share, _) = CAPPED;
    let flows = by_count.into_iter().filter(|(_, rates)| rates.len() >= fewest);
    let flows = flows.filter_map(|(n, mut rates)| Some((n, quantile(&mut rates, 0.75)?)));
    let (counts, mut totals): (Vec<u64>, Vec<f64>) =
        flows.filter(|(_, rate)| *rate < share * middle).map(|(n, rate)| (n, n as f64 * rate)).unzip();
    Some((*counts.last()?, quantile(&mut totals, CEILING)?))
}
