//! What a count can be planned with: the figure of the sentences, for whoever draws or explains it.

use crate::{
    model::{Capacity, WorkloadKind, WorkloadState},
    policy::planner::{self, Work},
};

/// Records or requests per second that `replicas` of a workload hold: what the plan counts on, so with the planner's
/// margin, and where there are partitions no more than the replica with the heaviest of them allows.
///
/// Of a capacity that is only a lower bound (`samples` is 0) its high end is taken, as the plan does.
pub fn holds(kind: WorkloadKind, state: &WorkloadState, capacity: &Capacity, replicas: u32) -> f64 {
    let work = match kind {
        WorkloadKind::ConsumerGroup => Work::Log { shares: shares(state) },
        WorkloadKind::Inference | WorkloadKind::Batch | WorkloadKind::Brokers => Work::Jobs,
    };
    if capacity.samples > 0 {
        return planner::capacity_of(&work, capacity, replicas);
    }
    let per_replica = capacity.high.max(capacity.per_replica);
    planner::capacity_of(&work, &Capacity { per_replica, ..capacity.clone() }, replicas)
}

/// What arrives at each partition, as shares of no particular sum: as it was seen, else equal. Empty: the partitions are
/// not known.
pub fn shares(state: &WorkloadState) -> Vec<f64> {
    let partitions = state.partitions.unwrap_or(0) as usize;
    let rates: Option<Vec<f64>> = state.partition_rates.iter().copied().collect();
    match rates.filter(|r| r.iter().sum::<f64>() > 0.0) {
        Some(rates) if rates.len() >= partitions => rates,
        _ => vec![1.0; partitions],
    }
}
