//! `coverage`: no advice on a part of the partitions.

use super::Case;
use crate::model::Blocked;

pub(super) fn block(case: &Case<'_>) -> Option<Blocked> {
    let share = case.state.coverage;
    let detail = match case.state.partitions {
        _ if share >= 1.0 => return None,
        Some(all) if all > 0 && share.is_finite() => {
            let known = (share * f64::from(all)).round().min(f64::from(all - 1));
            format!("{known} of {all} partitions known: held until all answer")
        }
        _ if share.is_finite() => {
            format!("{:.0} % of the inputs known: held until all answer", (share * 100.0).floor())
        }
        _ => "how much of the inputs is known cannot be told: held".to_owned(),
    };
    Some(Blocked { guard: "coverage", detail, until: None })
}
