//! `stale`: no advice on what was true a while ago.

use super::Case;
use crate::model::{Blocked, duration};

pub(super) fn block(case: &Case<'_>) -> Option<Blocked> {
    let state = case.state;
    if state.data_age <= state.stale_after {
        return None; // an age that is not a number is no age
    }
    let limit = duration(state.stale_after);
    let detail = if state.data_age.is_finite() {
        format!("the oldest input is {} old, more than {limit}: held until it is read again", duration(state.data_age))
    } else {
        "an input was never read: held until it is".to_owned()
    };
    Some(Blocked { guard: "stale", detail, until: None })
}
