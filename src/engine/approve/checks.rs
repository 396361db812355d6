//! What stands against a change before any server is asked: guards, bounds, limits, freeze, ledger. Each is a sentence
//! with the mend. Pure, but for the one look at the freeze file.

use super::book::Book;
use crate::model::{Action, Label, LimitSettings, Recommendation, Time, WorkloadView, si};

/// Everything that stands against `action`.
pub(super) fn refused(
    view: &WorkloadView,
    advice: &Recommendation,
    action: &Action,
    book: &Book,
    limits: &LimitSettings,
    now: Time,
) -> Vec<Label> {
    let mut against: Vec<String> = advice.blocked_by.iter().map(|b| format!("{}: {}", b.guard, b.detail)).collect();
    let Action { from, to, .. } = action;
    let bounds = advice.limits;
    if to == from {
        against.push(format!("the count is {from} already"));
    }
    if *to < bounds.min || *to > bounds.max {
        against
            .push(format!("{to} is outside of {} to {}: change replicas of its [[workload]]", bounds.min, bounds.max));
    }
    if let Some(partitions) = view.state.partitions.filter(|p| to > p && *p > 0) {
        against.push(format!("{to} consumers on {partitions} partitions: {} would idle", to - partitions));
    }
    if now >= advice.expires {
        against.push("the plan expired: wait for the next one".to_owned());
    }
    if view.workload.guard.protected {
        against
            .push("protected: needs a second person, and identities are not shared between operators yet".to_owned());
    }
    let health = book.health();
    if !health.writable {
        against.push(format!("the ledger cannot be written: {}", health.detail));
    }
    if let Some(other) = book.under_way().find(|a| a.target == action.target) {
        against.push(format!(
            "{} → {} on this target is {} since {}",
            other.from,
            other.to,
            other.state.name(),
            other.updated
        ));
    }
    let in_flight = book.under_way().count();
    if in_flight >= limits.in_flight as usize {
        against.push(format!("{in_flight} actions are under way, [limits] in_flight allows {}", limits.in_flight));
    }
    let begun = book.begun_since(now.plus(-3600.0));
    if begun >= limits.actions_per_hour as usize {
        against.push(format!(
            "{begun} actions in the last hour, [limits] actions_per_hour allows {}",
            limits.actions_per_hour
        ));
    }
    if let Some(file) = limits.freeze_file.as_ref().filter(|f| f.exists()) {
        against.push(format!("frozen: {} exists; remove it when the freeze is over", file.display()));
    }
    against.iter().map(|s| Label::new(s)).collect()
}

/// What changed since the dialog was opened.
pub(super) fn still_so(view: &WorkloadView, action: &Action) -> Vec<Label> {
    let mut against = Vec::new();
    if view.state.is_stale() {
        against.push(Label::new("the data went stale while the dialog was open"));
    }
    if view.state.coverage < 1.0 {
        against.push(Label::new("part of the data went missing while the dialog was open"));
    }
    if let Some(r) = &view.state.replicas {
        if r.desired != action.from {
            against.push(Label::new(&format!("the count is {} now, not {}", r.desired, action.from)));
        }
        if r.uid.is_some() && r.uid != action.uid {
            against.push(Label::new("the object was deleted and made again"));
        }
    }
    against
}

/// One line of what the decision rests on.
pub(super) fn evidence(advice: &Recommendation) -> Label {
    let capacity = advice.capacity.as_ref().map_or_else(
        || "capacity unknown".to_owned(),
        |c| format!("{}/s per replica from {} observations", si(c.per_replica), c.samples),
    );
    let price = |n: u32| advice.price_of(n).map_or_else(|| "?".to_owned(), |a| format!("{:.2}", a.price));
    Label::new(&format!(
        "{}; {capacity}; staying costs {}, {} costs {}; coverage {:.0} %",
        advice.reasons.first().map_or("", String::as_str),
        price(advice.current.desired),
        advice.recommended,
        price(advice.recommended),
        advice.coverage * 100.0
    ))
}
