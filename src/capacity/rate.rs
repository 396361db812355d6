//! The rate of one replica, from saturated slots.

use super::{ENOUGH, PROBE, Slot, quantile};
use crate::model::{Capacity, WorkloadKind};
use std::collections::BTreeMap;

/// A consumer group is saturated when more than this many seconds of work are waiting beyond what is always visible.
/// Committed offsets trail the work that is done (by the commit interval, 5 s by default), so some lag is always seen.
const WAITING: f64 = 8.0;
/// The always-visible lag that is believed at most, seconds of work.
const FLOOR: f64 = 15.0;
/// Saturated slots that a count needs before it is compared with others.
const BUCKET: usize = 8;
/// Slots in a row that are averaged, and fewest: commits come in batches, so a single slot looks up to a third faster
/// or slower than the work is.
const TOGETHER: usize = 4;
const TOGETHER_LEAST: usize = 3;
/// Slots before one for which the count must have been the same: a rebalance is over by then, and a minute into which
/// older samples were folded holds one count.
const SETTLED: usize = 4;
/// Quantile of a count's rates that is compared with those of other counts. What is seen of a whole group is never more
/// than its replicas can do, but often less: a few members are behind while the others wait for work.
const REACHED: f64 = 0.75;
/// Slots within this band around the best count's are pooled.
const BAND: (f64, f64) = (0.93, 1.07);
/// The estimate is at least this share of what was seen to flow without saturation.
const PROVEN: f64 = 0.85;
/// Most recent saturated slots that count.
const NEWEST: usize = 4_000;
/// Saturated slots that a count needs before it is believed to be held back; the upper quartile of its rates is below
/// this share of the pool's; and more came in than flowed, by this factor. (When a group catches up, its last member to
/// do so looks like all of them being slow, but then less comes in than flows.)
const CAPPED: (usize, f64, f64) = (12, 0.85, 1.03);
/// What lies downstream takes the same whatever comes in: the distance of the quartiles as a share of the median.
const STEADY: f64 = 0.1;
/// Quantile of the flows of such counts that is the ceiling.
const CEILING: f64 = 0.6;

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

impl Rate {
    /// A rate that was learned before.
    pub(super) fn of(before: &Capacity) -> Self {
        let Capacity { per_replica, low, high, samples, .. } = *before;
        Self { value: per_replica, low, high, samples, held_back: None }
    }

    /// A lower bound where one replica had `heaviest` times the work of the average: that much flowed through it.
    /// A rate from saturated slots is of replicas that all had enough to do, and stays.
    pub(super) fn at_least(self, heaviest: f64) -> Self {
        if self.samples > 0 || !heaviest.is_finite() || heaviest <= 1.0 {
            return self;
        }
        Self { value: self.value * heaviest, low: self.low * heaviest, high: self.high * heaviest, ..self }
    }

    /// This rate beside one that was learned before. What is seen of a group is rarely more than its replicas can do and
    /// often less: more is believed at once, less only on half as many slots as the other rests on. However often it is
    /// asked, the same slots say the same.
    pub(super) fn beside(self, before: &Capacity) -> Self {
        let needed = if self.value >= before.per_replica { ENOUGH } else { ENOUGH.max(before.samples / 2) };
        if self.samples >= needed || self.low > before.high {
            return self;
        }
        Self { held_back: self.held_back, ..Self::of(before) }
    }
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
            if is_saturated && part.len() >= TOGETHER_LEAST.min(slots.len() / 8).max(1) {
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

/// Whether the count had been the same for a while before `i`.
fn settled(slots: &[Slot], i: usize) -> bool {
    slots[i.saturating_sub(SETTLED)..=i].iter().all(|s| s.replicas == slots[i].replicas)
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
    let reached = by_count.values_mut().filter_map(|rates| quantile(rates, REACHED)).fold(0.0, f64::max);
    let reached = reached.max(PROVEN * proven);
    by_count.retain(|_, rates| rates.iter().any(|r| *r >= BAND.0 * reached));
    let most = by_count.keys().next_back().copied()?;
    let within = |r: &f64| (BAND.0 * reached..=BAND.1 * reached).contains(r);
    let mut pool: Vec<f64> = by_count.into_values().flatten().filter(within).collect();
    let samples = pool.len();
    let at = |share: f64, pool: &mut Vec<f64>| quantile(pool, share).unwrap_or(reached).max(PROVEN * proven);
    let (low, value, high) = (at(0.1, &mut pool), at(0.5, &mut pool), at(0.9, &mut pool));
    Some(Rate { value, low, high, samples, held_back: held_back(saturated, most, value) })
}

/// The flow that counts above `most` (the highest that reached the rate) were held back at, with the highest of them.
fn held_back(saturated: &[Saturated], most: u64, rate: f64) -> Option<(u64, f64)> {
    let mut by_count: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for slot in saturated.iter().filter(|s| s.n > most && s.grows) {
        by_count.entry(slot.n).or_default().push(slot.rate);
    }
    let (fewest, share, _) = CAPPED;
    let (mut counts, mut totals) = (Vec::new(), Vec::new());
    for (n, mut rates) in by_count.into_iter().filter(|(_, rates)| rates.len() >= fewest) {
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|q| quantile(&mut rates, q).unwrap_or(0.0));
        if high < share * rate && high - low < STEADY * middle {
            counts.push(n);
            totals.push(n as f64 * high);
        }
    }
    Some((*counts.last()?, quantile(&mut totals, CEILING)?))
}
