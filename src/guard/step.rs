//! `step`: no leap. A change is made smaller rather than held back; the rest follows after the cooldown.

use super::Case;

pub(super) fn cap(case: &Case<'_>, count: u32) -> (u32, Option<String>) {
    let Some(current) = case.current() else { return (count, None) };
    let guard = &case.workload.guard;
    let base = f64::from(current.max(1));
    if count > current {
        let most = factor(base * guard.max_step_up).max(current.saturating_add(1));
        let note =
            format!("step limit: at most {} times {current} at once, so {most} rather than {count}", guard.max_step_up);
        if count > most { (most, Some(note)) } else { (count, None) }
    } else {
        let fewer = factor(base * guard.max_step_down).max(1);
        let least = current.saturating_sub(fewer);
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
