//! `step`: no leap. A change is made smaller rather than held back; the rest follows after the cooldown.

use super::{Case, partitions};
use crate::model::{Workload, WorkloadState};

/// The fewest and the most that one change may lead to from `current`: a step of the guard's, and from outside of the
/// limits, or from more consumers than partitions, as far as these. They win over the step, or nothing could ever be
/// brought back within them.
pub fn steps(workload: &Workload, state: &WorkloadState, current: u32) -> (u32, u32) {
    let (limits, (least, most)) = (workload.limits, step(workload, current));
    let useful = partitions::useful(workload, state).unwrap_or(u32::MAX);
    (least.min(limits.max.min(useful).max(limits.min)), most.max(limits.min))
}

/// By the guard's settings alone.
fn step(workload: &Workload, current: u32) -> (u32, u32) {
    let (guard, base) = (&workload.guard, f64::from(current.max(1)));
    let most = factor(base * guard.max_step_up).max(current.saturating_add(1));
    (current.saturating_sub(factor(base * guard.max_step_down).max(1)), most)
}

pub(super) fn cap(case: &Case<'_>, count: u32) -> (u32, Option<String>) {
    let Some(current) = case.current() else { return (count, None) };
    let guard = &case.workload.guard;
    let usual = step(case.workload, current);
    let (least, most) = steps(case.workload, case.state, current);
    let allowed = count.min(most).max(least);
    let why = if usual.0 != least && allowed == least || usual.1 != most && allowed == most {
        format!("from {current} only back within limits and partitions at once")
    } else if count > current {
        format!("at most {} times {current} at once", guard.max_step_up)
    } else {
        format!("at most {:.0} % of {current} removed at once", guard.max_step_down * 100.0)
    };
    (allowed, (allowed != count).then(|| format!("step limit: {why}, so {allowed} rather than {count}")))
}

/// Rounded down; settings that make no sense (negative, not a number) allow nothing beyond the single replica.
fn factor(x: f64) -> u32 {
    (x + 1e-9).floor().clamp(0.0, f64::from(u32::MAX)) as u32
}
