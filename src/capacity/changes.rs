//! What a change of the count costs: seconds until a replica is ready, seconds that work stands still.

use super::{Slot, quantile};
use std::collections::VecDeque;

/// Newest start-ups that count.
const START_UPS: usize = 200;
/// Quantile of the start-ups: the slower half matters, the slowest ones are other trouble.
const START_UP_QUANTILE: f64 = 0.6;
/// A replica that was asked for longer ago than this never came for another reason (no room, no image).
const NEVER: f64 = 1_800.0;
/// Fewest changes from which a standstill is learned, and its quantile: the cost of an *action* is what matters, and
/// jittering start-ups split one action into two or three rebalances.
const CHANGES: usize = 3;
const STANDSTILL_QUANTILE: f64 = 0.9;
/// Changes within this many seconds of one another are one action.
const ONE_ACTION: f64 = 60.0;
/// Seconds after a change within which what it made pile up is seen.
const SHOWS: f64 = 75.0;
/// A change is clean when no more than this many seconds of work, beyond what is always visible, were waiting before.
const CALM: f64 = 4.0;
/// The always-visible lag is at most this many seconds of work.
const FLOOR: f64 = 15.0;
/// More seconds than this pile up for another reason.
const LONGEST: f64 = 180.0;

/// Seconds from asking for a replica to it being ready; `None` when no start-up was seen.
///
/// Increases of the count asked for are matched to increases of the ready count first in, first out; a decrease takes
/// back the newest. Both are seen one slot late at most, so half a slot is taken off. What came in the very slot in which
/// it was asked for was not seen to start: the group's own members are both counts at once, and so is a first look.
pub(super) fn start_up(slots: &[Slot], step: f64) -> Option<f64> {
    let mut asked: VecDeque<usize> = VecDeque::new();
    let mut took: Vec<f64> = Vec::new();
    let counts: Vec<(usize, i64, i64)> = slots
        .iter()
        .enumerate()
        .filter_map(|(i, s)| Some((i, s.desired?.round() as i64, s.replicas?.round() as i64)))
        .collect();
    for pair in counts.windows(2) {
        let [(before, desired_was, ready_was), (i, desired, ready)] = *pair else { continue };
        if i - before > 2 {
            asked.clear(); // a gap: what happened in it cannot be dated
            continue;
        }
        for _ in desired_was..desired.min(desired_was + 1_000) {
            asked.push_back(i);
        }
        for _ in desired..desired_was {
            asked.pop_back();
        }
        while asked.front().is_some_and(|at| (i - at) as f64 * step > NEVER) {
            asked.pop_front();
        }
        for _ in ready_was..ready.min(ready_was + 1_000) {
            if let Some(at) = asked.pop_front()
                && at < i
            {
                took.push(((i - at) as f64 - 0.5) * step);
            }
        }
    }
    let newest = took.len().saturating_sub(START_UPS);
    quantile(&mut took[newest..], START_UP_QUANTILE)
}

/// Which changes of the ready count are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Replicas joined.
    Up,
    /// Replicas left.
    Down,
}

/// Seconds of standstill per change of the ready count in one direction; `None` with fewer than three clean ones.
///
/// Counted as what piled up: seconds of the demand that wait at most soon after the change, less what waited before. An
/// eager rebalance, where all partitions stand still, gives its length; a cooperative one the share that was moved.
pub(super) fn standstill(slots: &[Slot], step: f64, change: Change) -> Option<f64> {
    let waiting: Vec<Option<f64>> =
        slots.iter().map(|s| Some(s.backlog? / s.demand.or(s.throughput).filter(|d| *d > 0.0)?)).collect();
    let mut known: Vec<f64> = waiting.iter().flatten().copied().collect();
    let floor = quantile(&mut known, 0.3)?.min(FLOOR);
    let (reach, apart) = ((SHOWS / step).ceil() as usize, (ONE_ACTION / step).ceil().max(1.0) as usize);
    let (mut stalls, mut next) = (Vec::new(), 1);
    for i in 1..slots.len() {
        let (Some(was), Some(n)) = (slots[i - 1].replicas, slots[i].replicas) else { continue };
        if i < next || (was - n).abs() < 0.5 {
            continue;
        }
        next = i + apart;
        if (n > was) != (change == Change::Up) {
            continue;
        }
        // The slot just before may hold the beginning of the change.
        let before: Vec<f64> = waiting[i.saturating_sub(4)..i.saturating_sub(1)].iter().flatten().copied().collect();
        let after = waiting[i - 1..(i + reach).min(slots.len())].iter().flatten().copied().fold(0.0, f64::max);
        let calm = before.iter().sum::<f64>() / before.len() as f64;
        if before.len() >= 2 && calm < floor + CALM && after < LONGEST {
            stalls.push((after - calm).max(0.0));
        }
    }
    (stalls.len() >= CHANGES).then(|| quantile(&mut stalls, STANDSTILL_QUANTILE)).flatten()
}
