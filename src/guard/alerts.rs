//! What was found on the group's cluster (`src/alert`) and what a change of its count would make worse: a storm of
//! rebalances by any change, unread records close to their deletion by fewer members. The guard has the alert's name.

use super::Case;
use crate::model::{Blocked, Holdback};

pub(super) fn block(case: &Case<'_>, count: u32) -> Vec<Blocked> {
    let fewer = case.current().is_some_and(|current| count < current);
    let worse = |holds: Holdback| match holds {
        Holdback::Nothing => false,
        Holdback::ScaleIn => fewer,
        Holdback::AnyChange => true,
    };
    let alerts = case.state.alerts.iter().filter(|a| worse(a.holds));
    alerts.map(|a| Blocked { guard: a.rule, detail: a.sentence.to_string(), until: None }).collect()
}
