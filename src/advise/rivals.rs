//! What the well-known rules would say on the same data: shown beside ours, never acted on.

use super::{Input, Signals, recent, situation::Situation};
use crate::{
    model::{Rivals, Role, WorkloadKind},
    policy::{
        hpa::{Tolerance, average_value},
        keda,
        threshold::{self, Rule, Seen},
    },
};

/// Target of an assumed HPA on lag, records per replica: the figure of published comparisons.
const LAG_PER_REPLICA: i64 = 10_000;
/// Target of an assumed HPA on waiting requests, per replica, as vLLM production-stack's tutorial has it.
const WAITING_PER_REPLICA: i64 = 5;
/// Seconds for which a low CPU counts as staying low.
const LOW_FOR: f64 = 300.0;

pub(super) fn of(input: &Input<'_>, signals: &Signals, situation: &Situation) -> Rivals {
    Rivals { hpa: hpa(input, situation), keda: keda(input), threshold: threshold(input, signals, situation) }
}

/// The HPA that is there, else one with the target above and the workload's limits, where it would settle.
fn hpa(input: &Input<'_>, situation: &Situation) -> Option<u32> {
    if let Some(desired) = input.state.hpa.as_ref().filter(|h| !h.keda).and_then(|h| h.desired) {
        return Some(desired);
    }
    let per_replica = match input.workload.entity.kind {
        WorkloadKind::ConsumerGroup => LAG_PER_REPLICA,
        WorkloadKind::Inference => WAITING_PER_REPLICA,
        WorkloadKind::Batch | WorkloadKind::Brokers => return None,
    };
    let limits = input.workload.limits;
    let current = input.state.replicas.as_ref()?.desired;
    let milli = (situation.waiting? * 1000.0).round() as i64; // saturates
    let count = average_value(milli, per_replica * 1000, current, Tolerance::default());
    Some(count.max(limits.min).min(limits.max))
}

/// The ScaledObject's Kafka triggers, the largest of them; without one KEDA's defaults with the workload's limits.
fn keda(input: &Input<'_>) -> Option<u32> {
    if input.workload.entity.kind != WorkloadKind::ConsumerGroup || input.state.partition_lags.is_empty() {
        return None;
    }
    let behind = |lag: u64| {
        let end = i64::try_from(lag).unwrap_or(i64::MAX);
        keda::Partition { committed: Some(0), end: Some(end), before: None }
    };
    let lags: Option<Vec<keda::Partition>> = input.state.partition_lags.iter().map(|l| l.map(behind)).collect();
    let lags = lags?;
    let current = input.state.replicas.as_ref()?.desired;
    let limits = input.workload.limits;
    let assumed = || keda::replicas(&lags, &keda::Trigger::default(), current, limits.min, limits.max);
    let Some(object) = &input.state.scaled_object else { return Some(assumed()) };
    let said = object.kafka().map(|t| keda::replicas(&lags, &t.into(), current, object.min, object.max));
    said.max().or_else(|| Some(assumed()))
}

fn threshold(input: &Input<'_>, signals: &Signals, situation: &Situation) -> Option<u32> {
    let track = signals.track(Role::Utilisation);
    let window = (LOW_FOR / input.step).ceil().max(1.0) as usize;
    let from = track.values.len().saturating_sub(window);
    let mut cpu: Vec<Option<f64>> = track.values[from..].to_vec();
    if cpu.iter().all(Option::is_none) {
        cpu.clear();
    }
    if let Some(last) = cpu.last_mut() {
        *last = input.state.cpu.or(*last).or_else(|| recent(signals, Role::Utilisation, input.now));
    }
    let seen = Seen {
        current: input.state.replicas.as_ref()?.desired,
        cpu: &cpu,
        behind: situation.late.map(|late| (late, situation.slo)),
    };
    threshold::replicas(&seen, &Rule::default(), input.workload.limits)
}
