//! Whether a group stands still: then its count is not what is wrong with it.

use super::super::{Input, Signals};
use crate::model::{Role, WorkloadKind};

/// Seconds that no rebalance takes, in which a group committed less than this share of what came and of what so many can do:
/// members that crash or rebalance again and again, or wait for something.
const STANDS: f64 = 180.0;
const LITTLE: f64 = 0.25;

/// Seconds in which a group committed little of what came, though its replicas are `able` to do more per second; longer
/// than a rebalance and than any of its commits takes. `None`: it does what it can.
pub(super) fn span(input: &Input<'_>, signals: &Signals, able: f64) -> Option<f64> {
    let span = input.watch().map_or(0.0, |watch| 2.0 * watch.unseen()).max(STANDS);
    let since = input.now.plus(-span);
    let mean = |role: Role| {
        let track = signals.track(role);
        let seen = (0..track.values.len()).filter(|i| track.at(*i) > since).filter_map(|i| track.values[i]);
        let (sum, count) = seen.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        (count * track.step >= 0.8 * span).then(|| sum / count)
    };
    let group = input.workload.entity.kind == WorkloadKind::ConsumerGroup;
    (group && mean(Role::Throughput)? < LITTLE * mean(Role::Demand)?.min(able)).then_some(span)
}
