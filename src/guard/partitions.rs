//! `partitions`: a consumer beyond the partitions has nothing to read.

use super::Case;
use crate::model::{Workload, WorkloadKind, WorkloadState};

/// Consumers that have something to read, at most; `None`: no such bound is known.
pub(super) fn useful(workload: &Workload, state: &WorkloadState) -> Option<u32> {
    let group = workload.entity.kind == WorkloadKind::ConsumerGroup;
    state.partitions.filter(|p| group && *p > 0)
}

pub(super) fn cap(case: &Case<'_>, count: u32) -> (u32, Option<String>) {
    match useful(case.workload, case.state) {
        Some(partitions) if count > partitions => {
            let note = format!("{partitions} partitions: {} of {count} replicas would idle", count - partitions);
            (partitions, Some(note))
        }
        _ => (count, None),
    }
}
