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
/// Work that has not come back within this many seconds after a change stands still for another reason.
const LONGEST: f64 = 180.0;
/// Share of the flow before the change at which work has come back.
const BACK: f64 = 0.9;

/// Seconds from asking for a replica to it being ready; `None` when no start-up was seen.
///
/// Increases of the count asked for are matched to increases of the ready count first in, first out; a decrease takes
/// back the newest. Both are seen one slot late at most, so half a slot is taken off.
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
            if let Some(at) = asked.pop_front() {
                took.push((((i - at) as f64 - 0.5) * step).max(0.0));
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
/// Counted as work lost: the missing share of the flow before the change, summed until the flow is back. An eager
/// rebalance, where all partitions stand still, gives its length; a cooperative one the share that was moved.
pub(super) fn standstill(slots: &[Slot], step: f64, change: Change) -> Option<f64> {
    let reach = (LONGEST / step).ceil().max(1.0) as usize;
    let mut lost = Vec::new();
    let mut next = 1;
    for i in 1..slots.len() {
        let (Some(was), Some(n)) = (slots[i - 1].replicas, slots[i].replicas) else { continue };
        if i < next || (was - n).abs() < 0.5 {
            continue;
        }
        next = i + (ONE_ACTION / step).ceil().max(1.0) as usize;
        if (n > was) != (change == Change::Up) {
            continue;
        }
        // The flow before: the mean of up to four slots, the one just before left out (it may hold the change).
        let calm = &slots[i.saturating_sub(5)..i.saturating_sub(1)];
        let flows: Vec<f64> = calm.iter().filter_map(|s| s.throughput).collect();
        let before = flows.iter().sum::<f64>() / flows.len().max(1) as f64;
        let after = slots.get(i - 1..(i + reach).min(slots.len())).unwrap_or_default();
        if flows.len() < 2 || before <= 0.0 {
            continue;
        }
        if let Some(seconds) = lost_work(after, before, step) {
            lost.push(seconds);
        }
    }
    (lost.len() >= CHANGES).then(|| quantile(&mut lost, STANDSTILL_QUANTILE)).flatten()
}

/// Seconds of the flow `before` that are missing until it is back; `None` when it does not come back (the demand fell,
/// or something else is wrong) or is not known.
fn lost_work(slots: &[Slot], before: f64, step: f64) -> Option<f64> {
    let (mut lost, mut dipped) = (0.0, false);
    for (i, slot) in slots.iter().enumerate() {
        let share = slot.throughput? / before;
        if share < BACK {
            dipped = true;
            lost += (1.0 - share) * step;
        } else if dipped || i >= 3 {
            return Some(lost); // back, or never gone within three slots
        }
    }
    None
}
