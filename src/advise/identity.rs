//! Which advice this is: its hash and how long it may be approved.

use super::Input;
use crate::model::{PlanHash, Replicas, Time};

/// Seconds that a recommendation may be approved.
const LIFETIME: f64 = 300.0;
/// The same advice is given a new lifetime when less than this is left, so that it does not end under a reader's eyes.
const RENEW: f64 = 60.0;
/// Without an earlier recommendation what is hashed is the minute: two looks within it agree, and expire together.
const BUCKET: f64 = 60.0;

pub(super) struct Identity {
    /// When it was made, to be shown.
    pub at: Time,
    pub expires: Time,
    pub plan_hash: PlanHash,
}

/// Only what matters for carrying it out is hashed: workload, target and its uid, from, to, limits, minute and expiry.
/// While these stay, the recommendation on screen keeps its hash although prices and reasons move with every refresh.
pub(super) fn of(input: &Input<'_>, replicas: &Replicas, to: u32) -> Identity {
    let same = input.previous.filter(|p| {
        p.workload == input.workload.name
            && p.target == input.workload.target
            && p.limits == input.workload.limits
            && p.current.uid == replicas.uid
            && (p.current.desired, p.recommended) == (replicas.desired, to)
            && p.at <= input.now
            && input.now < p.expires.plus(-RENEW)
    });
    let made = || (input.now, input.now.floor_to(BUCKET).plus(LIFETIME));
    let (at, expires) = same.map_or_else(made, |p| (p.at, p.expires));
    let minute = expires.plus(-LIFETIME);
    let target = input.workload.target.as_ref().map(ToString::to_string).unwrap_or_default();
    let limits = input.workload.limits;
    let plan_hash = PlanHash::of(&[
        input.workload.name.as_ref(),
        &target,
        &replicas.uid.as_ref().map(ToString::to_string).unwrap_or_default(),
        &replicas.desired.to_string(),
        &to.to_string(),
        &format!("{}..{}", limits.min, limits.max),
        &minute.to_string(),
        &expires.to_string(),
    ]);
    Identity { at, expires, plan_hash }
}
