//! Whether a change did what it was made for: after the replicas are ready, the lag or the latency must react as the
//! capacity that was learned says. A change that is ready and does not help is a finding, not a success. Pure.

use crate::model::{Action, ActionId, ActionState, Expected, Label, Role, Time, WorkloadView, duration, si};

/// How long the signal gets to react, seconds.
const REACTION: f64 = 120.0;
/// Share of the predicted fall that counts as "as predicted": forecasts and capacities are known to about a tenth.
const ENOUGH: f64 = 0.5;
/// A backlog of so many seconds of demand is what a group that keeps up has between two commits.
const KEPT_UP: f64 = 5.0;

/// A change that is ready and whose effect is still to be looked at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expecting {
    pub(super) action: ActionId,
    pub(super) workload: Label,
    pub(super) expects: Expected,
}

/// How it came out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) as_predicted: bool,
    pub(super) text: Label,
}

/// What a change to more replicas should do to what is seen now; `None`: nothing can be said (fewer replicas, no backlog,
/// unknown capacity, too little capacity to promise anything).
pub(super) fn expected(action: &Action, view: &WorkloadView, now: Time) -> Option<Expected> {
    let value = |role| view.signal(role)?.now.as_ref().map(|r| r.value);
    if action.to <= action.from {
        return None;
    }
    let due = now.plus(REACTION);
    let expected = |role, before, at_most, predicted| Some(Expected { role, before, at_most, predicted, due });
    let (capacity, demand) = (view.advice.capacity.as_ref()?, value(Role::Demand)?);
    let each = capacity.per_replica * capacity.scaling.each(action.to);
    let spare = each * f64::from(action.to) - demand;
    let backlog = value(Role::Backlog).filter(|b| *b > demand * KEPT_UP);
    if let Some(backlog) = backlog.filter(|_| spare > 0.0) {
        let fall = (spare * REACTION).min(backlog);
        let at_most = (backlog - ENOUGH * fall).max(demand * KEPT_UP);
        return expected(Role::Backlog, backlog, at_most, backlog - fall);
    }
    let limit = view.slo.as_ref().map(|s| s.limit)?;
    let latency = value(Role::Latency).filter(|l| spare > 0.0 && *l > limit)?;
    expected(Role::Latency, latency, latency - ENOUGH * (latency - limit), limit)
}

impl Expecting {
    /// Of a verified change that promised something.
    pub(super) fn of(action: &Action) -> Option<Self> {
        let expects = action.terms.expects.clone().filter(|_| action.state == ActionState::Verified)?;
        Some(Self { action: action.id.clone(), workload: action.workload.clone(), expects })
    }

    /// Looks at the signal; `None`: it cannot be seen now.
    pub(super) fn judge(&self, view: &WorkloadView) -> Option<Verdict> {
        let Expected { role, before, at_most, predicted, .. } = self.expects;
        let reading = view.signal(role)?.now.as_ref()?;
        let as_predicted = reading.value <= at_most;
        let show = |v: f64| if role == Role::Latency { duration(v) } else { si(v) };
        let name = if role == Role::Latency { "latency" } else { "lag" };
        let rest = if as_predicted {
            "as predicted"
        } else {
            "it did not react: look for another limit (downstream, partitions, a rebalance, one hot key)"
        };
        Some(Verdict {
            as_predicted,
            text: Label::new(&format!(
                "effect of {}: {name} {} → {} in {}, {} predicted: {rest}",
                self.action,
                show(before),
                show(reading.value),
                duration(REACTION),
                show(predicted)
            )),
        })
    }
}
