//! Everything a screen needs, immutable: the engine publishes one per refresh, the views only read it.

use super::{
    Action, Advice, Alert, DayPlan, KafkaCluster, KubeState, Label, MlState, Pipeline, Prepared, Reading, Role,
    SourceStatus, Time, Track, Unprepared, Workload, WorkloadState, Workloads,
};
use serde::Serialize;
use std::sync::Arc;

/// Whether this process may change anything. In `Watch` no actuator exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Read-only.
    Watch,
    /// With approvals.
    Operate,
}

/// How bad it is; orders worst last, so sort descending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing to see.
    Ok,
    /// Not known: partial, stale or missing data.
    Unknown,
    /// Will need attention within the horizon, or a cheaper count is offered.
    Look,
    /// Over its SLO, falling behind, or about to.
    Act,
}

/// How a workload stands to its SLO.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct SloState {
    /// `time_lag`, `ttft_p95`, …
    pub objective: &'static str,
    /// The limit, seconds.
    pub limit: f64,
    /// The value now, seconds; `None`: not known.
    pub value: Option<Reading>,
    /// Seconds of the value that may be work which is done and not committed yet.
    pub unseen: f64,
}

impl SloState {
    /// Whether it is met; `None`: not known.
    pub fn is_met(&self) -> Option<bool> {
        let late = self.value.as_ref()?.value;
        if late > self.limit && late <= self.limit + self.unseen { None } else { Some(late <= self.limit) }
    }

    /// Whether the values that come between two commits say nothing about it.
    pub fn is_blind(&self) -> bool {
        self.unseen > self.limit
    }
}

/// One signal of a workload as shown in a table or detail.
#[derive(Clone, Debug, Serialize)]
pub struct SignalView {
    /// Role.
    pub role: Role,
    /// Unit as printed: `records/s`, `requests/s`, `records`, `s`, `bytes`, `` for counts and ratios.
    pub unit: &'static str,
    /// The value now; `None`: missing.
    pub now: Option<Reading>,
    /// History on a regular grid, for chart and sparkline; gaps stay gaps.
    pub track: Arc<Track>,
}

/// One row of the overview and the page behind it.
#[derive(Clone, Debug, Serialize)]
pub struct WorkloadView {
    /// What it is.
    pub workload: Arc<Workload>,
    /// What is true of it now.
    pub state: Arc<WorkloadState>,
    /// How bad.
    pub severity: Severity,
    /// Why it has this severity, one short sentence.
    pub headline: String,
    /// Signals, demand first.
    pub signals: Vec<SignalView>,
    /// How it stands to its SLO, if it has one.
    pub slo: Option<SloState>,
    /// Forecast, capacity, recommendation.
    pub advice: Arc<Advice>,
    /// The plan of the next day, or what is missing for one; `None`: not worked out yet.
    pub day: Option<Arc<Result<DayPlan, String>>>,
    /// Snoozed until; `None` too while it is worse than it was then.
    pub snoozed: Option<Time>,
    /// The action on its target that is not final yet.
    pub action: Option<Action>,
}

impl WorkloadView {
    /// The signal of a role.
    pub fn signal(&self, role: Role) -> Option<&SignalView> {
        self.signals.iter().find(|s| s.role == role)
    }
}

/// A sentence for the operator, shown for a while at the bottom and kept in the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice {
    /// When.
    pub at: Time,
    /// How bad.
    pub severity: Severity,
    /// What.
    pub text: Label,
}

/// Whether decisions can be recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LedgerHealth {
    /// Whether records can be written; approvals are refused when not.
    pub writable: bool,
    /// `ok, 1,204 entries`, or why not.
    pub detail: Label,
}

/// Everything a screen needs at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Picture {
    /// Grows by one with each picture.
    pub seq: u64,
    /// When it was put together: the screen's "now" for ages is the clock, for forecasts this.
    pub at: Time,
    /// Whether anything can be changed.
    pub mode: Mode,
    /// Who we are on the systems that we would change.
    pub identity: Option<Label>,
    /// What this screen looks at, for the header: cluster and context names.
    pub title: Label,
    /// Health of the sources.
    pub sources: Vec<SourceStatus>,
    /// Kafka clusters.
    pub clusters: Vec<Arc<KafkaCluster>>,
    /// ML side, one per Prometheus.
    pub ml: Vec<Arc<MlState>>,
    /// Kubernetes, when there is one.
    pub kube: Option<Arc<KubeState>>,
    /// Workloads, worst first.
    pub workloads: Workloads,
    /// Which workloads feed which.
    pub pipelines: Arc<Vec<Pipeline>>,
    /// Actions, newest first.
    pub actions: Arc<Vec<Action>>,
    /// Whether decisions can be recorded.
    pub ledger: LedgerHealth,
    /// The change that waits for the confirming key.
    pub prepared: Option<Arc<Prepared>>,
    /// What was asked for last and could not be held ready; `None` once something was.
    pub unprepared: Option<Arc<Unprepared>>,
    /// Sentences for the operator, newest last.
    pub notices: Vec<Notice>,
}

impl Picture {
    /// Before anything was seen.
    pub fn empty(mode: Mode, title: impl Into<Label>, at: Time) -> Self {
        Self {
            seq: 0,
            at,
            mode,
            identity: None,
            title: title.into(),
            sources: Vec::new(),
            clusters: Vec::new(),
            ml: Vec::new(),
            kube: None,
            workloads: Workloads::default(),
            pipelines: Arc::default(),
            actions: Arc::new(Vec::new()),
            ledger: LedgerHealth { writable: false, detail: Label::new("no ledger in watch mode") },
            prepared: None,
            unprepared: None,
            notices: Vec::new(),
        }
    }

    /// The alerts of every cluster with the cluster's name, worst first.
    pub fn alerts(&self) -> Vec<(&Label, &Alert)> {
        let mut all: Vec<(&Label, &Alert)> =
            self.clusters.iter().flat_map(|c| c.alerts.iter().map(move |a| (&c.name, a))).collect();
        all.sort_by_key(|(_, a)| std::cmp::Reverse(a.severity)); // stable: each cluster's own order stays
        all
    }

    /// The view of a workload by name.
    pub fn workload(&self, name: &str) -> Option<&Arc<WorkloadView>> {
        self.workloads.named(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_is_judged_as_finely_as_commits_tell() {
        let met = |late: f64, unseen: f64| {
            let value = Reading::new(late, Time::from_secs(0.0), "kafka");
            SloState { objective: "time_lag", limit: 30.0, value, unseen }.is_met()
        };
        assert_eq!([met(29.0, 0.0), met(31.0, 0.0)], [Some(true), Some(false)]);
        assert_eq!([met(29.0, 90.0), met(60.0, 90.0), met(121.0, 90.0)], [Some(true), None, Some(false)]);
    }
}
