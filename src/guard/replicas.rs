//! `replicas`: no change of a count that is not known.

use super::Case;
use crate::model::Blocked;

pub(super) fn block(case: &Case<'_>) -> Option<Blocked> {
    case.state.replicas.is_none().then(|| Blocked {
        guard: "replicas",
        detail: "the present count is not known: no source tells the target's replicas".to_owned(),
        until: None,
    })
}
