//! Whether a change did what it was made for: after the replicas are ready, the lag or the latency must react as the
//! capacity that was learned says. A change that is ready and does not help is a finding, not a success. Pure.

use crate::model::{Action, Label, Role, Time, WorkloadView, duration, si};

/// How long the signal gets to react, seconds.
const REACTION: f64 = 120.0;
/// Share of the predicted fall that counts as "as predicted": forecasts and capacities are known to about a tenth.
const ENOUGH: f64 = 0.5;
/// A backlog of so many seconds of demand is what a group that keeps up has between two commits.
const KEPT_UP: f64 = 5.0;

/// What is expected of a change, from the moment that it is ready.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expectation {
    pub(super) action: Label,
    pub(super) workload: Label,
    role: Role,
    /// The signal when the replicas were ready.
    before: f64,
    /// What it should be at most when it is looked at.
    at_most: f64,
    /// The prediction itself, for the sentence.
    predicted: f64,
    /// When to look.
    pub(super) due: Time,
}

/// How it came out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) as_predicted: bool,
    pub(super) text: Label,
}

impl Expectation {
    /// What a change to more replicas should do to what is seen now; `None`: nothing can be said (fewer replicas, no
    /// backlog, unknown capacity, too little capacity to promise anything).
    pub(super) fn of(action: &Action, view: &WorkloadView, now: Time) -> Option<Self> {
        let value = |role| view.signal(role)?.now.as_ref().map(|r| r.value);
        if action.to <= action.from {
            return None;
        }
        let (action_id, workload) = (action.id.0.clone(), action.workload.clone());
        let due = now.plus(REACTION);
        let expectation = |role, before, at_most, predicted| {
            Some(Self { action: action_id, workload, role, before, at_most, predicted, due })
        };
        let (capacity, demand) = (view.advice.capacity.as_ref()?, value(Role::Demand)?);
        let spare = capacity.per_replica * f64::from(action.to) - demand;
        let backlog = value(Role::Backlog).filter(|b| *b > demand * KEPT_UP);
        if let Some(backlog) = backlog.filter(|_| spare > 0.0) {
            let fall = (spare * REACTION).min(backlog);
            let at_most = (backlog - ENOUGH * fall).max(demand * KEPT_UP);
            return expectation(Role::Backlog, backlog, at_most, backlog - fall);
        }
        let limit = view.slo.as_ref().map(|s| s.limit)?;
        let latency = value(Role::Latency).filter(|l| spare > 0.0 && *l > limit)?;
        expectation(Role::Latency, latency, latency - ENOUGH * (latency - limit), limit)
    }

    /// Looks at the signal; `None`: it cannot be seen now.
    pub(super) fn judge(&self, view: &WorkloadView) -> Option<Verdict> {
        let reading = view.signal(self.role)?.now.as_ref()?;
        let as_predicted = reading.value <= self.at_most;
        let show = |v: f64| if self.role == Role::Latency { duration(v) } else { si(v) };
        let name = if self.role == Role::Latency { "latency" } else { "lag" };
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
                show(self.before),
                show(reading.value),
                duration(REACTION),
                show(self.predicted)
            )),
        })
    }
}
