//! `cooldown`: time for the last change to show before the next one, more of it before a removal.

use super::Case;
use crate::model::{Blocked, duration};

pub(super) fn block(case: &Case<'_>, count: u32) -> Option<Blocked> {
    let (changed, _) = case.state.last_change?;
    let up = count > case.current()?;
    let guard = &case.workload.guard;
    let (wait, direction) = if up { (guard.cooldown_up, "up") } else { (guard.cooldown_down, "down") };
    // A change seen in the future means that the clock was set back: it counts as just now.
    let age = case.now.since(changed).max(0.0);
    (age < wait).then(|| Blocked {
        guard: "cooldown",
        detail: format!("changed {} ago: {} before the next change {direction}", duration(age), duration(wait)),
        until: Some(case.now.plus(wait - age)),
    })
}
