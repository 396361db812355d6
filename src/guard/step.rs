//! `step`: no leap. A change is made smaller rather than held back; the rest follows after the cooldown.

use super::Case;
use crate::model::GuardSettings;

/// The fewest and the most that one change may lead to from `current`.
pub fn steps(guard: &GuardSettings, current: u32) -> (u32, u32) {
    let base = f64::from(current.max(1));
    let most = factor(base * guard.max_step_up).max(current.saturating_add(1));
    (current.saturating_sub(factor(base * guard.max_step_down).max(1)), most)
}

pub(super) fn cap(case: &Case<'_>, count: u32) -> (u32, Option<String>) {
    let Some(current) = case.current() else { return (count, None) };
    let guard = &case.workload.guard;
    let (least, most) = steps(guard, current);
    if count > current {
        let note =
            format!("step limit: at most {} times {current} at once, so {most} rather than {count}", guard.max_step_up);
        if count > most { (most, Some(note)) } else { (count, None) }
    } else {
        let percent = guard.max_step_down * 100.0;
        let note =
            format!("step limit: at most {percent:.0} % of {current} removed at once, so {least} rather than {count}");
        if count < least { (least, Some(note)) } else { (count, None) }
    }
}

/// Rounded down; settings that make no sense (negative, not a number) allow nothing beyond the single replica.
fn factor(x: f64) -> u32 {
    (x + 1e-9).floor().clamp(0.0, f64::from(u32::MAX)) as u32
}
