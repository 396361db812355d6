//! `rebalance`: a count is not changed while the group is still moving partitions for the last reason.

use super::Case;
use crate::model::Blocked;

pub(super) fn block(case: &Case<'_>) -> Option<Blocked> {
    case.state.rebalancing.then(|| Blocked {
        guard: "rebalance",
        detail: "the group is rebalancing: another member now would start it over".to_owned(),
        until: None,
    })
}
