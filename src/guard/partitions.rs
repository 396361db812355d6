//! `partitions`: a consumer beyond the partitions has nothing to read.

use super::Case;
use crate::model::WorkloadKind;

pub(super) fn cap(case: &Case<'_>, count: u32) -> (u32, Option<String>) {
    let group = case.workload.entity.kind == WorkloadKind::ConsumerGroup;
    match case.state.partitions {
        Some(partitions) if group && partitions > 0 && count > partitions => {
            let note = format!("{partitions} partitions: {} of {count} replicas would idle", count - partitions);
            (partitions, Some(note))
        }
        _ => (count, None),
    }
}
