//! `limits`: the bounds of the configuration, above every other rule.

use super::Case;

pub(super) fn cap(case: &Case<'_>, count: u32) -> (u32, Option<String>) {
    let limits = case.workload.limits;
    if count < limits.min {
        (limits.min, Some(format!("min = {} keeps it from {count}", limits.min)))
    } else if count > limits.max {
        (limits.max.max(limits.min), Some(format!("max = {} keeps it from {count}", limits.max)))
    } else {
        (count, None)
    }
}
