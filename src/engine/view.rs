//! One workload as a row of the overview and the page behind it: signals, objective, severity. Pure.

use super::{brokers, charts::Charts, discover, latest::Latest};
use crate::{
    history::History,
    model::{
        Action, Advice, Capacity, DayPlan, Label, Quality, Reading, Recommendation, Role, Severity, SignalKey,
        SignalView, SloState, SourceKind, Time, Workload, WorkloadKind, WorkloadState, WorkloadView, duration,
    },
};
use std::sync::Arc;

/// What is known of a workload besides the sources.
pub(super) struct Beside {
    pub(super) advice: Arc<Advice>,
    pub(super) day: Option<Arc<Result<DayPlan, String>>>,
    pub(super) snoozed: Option<(Time, Severity)>,
    /// Seconds for which work that is done may not be seen, see [`crate::capacity::Watch::unseen`].
    pub(super) unseen: f64,
    pub(super) action: Option<Action>,
}

/// Puts a view together.
pub(super) fn view(
    workload: Arc<Workload>,
    mut state: WorkloadState,
    latest: &Latest,
    (history, charts): (&History, &mut Charts),
    beside: Beside,
    now: Time,
) -> WorkloadView {
    let signals = signals(&workload, &state, latest, (history, charts), now);
    let slo = slo(&workload, &signals, latest, beside.unseen);
    state.notices.extend(slo.as_ref().and_then(rare_commits));
    let (severity, headline) = severity(&state, slo.as_ref(), &beside.advice);
    WorkloadView {
        workload,
        state: Arc::new(state),
        severity,
        headline,
        signals,
        slo,
        advice: beside.advice,
        day: beside.day,
        snoozed: beside.snoozed.filter(|(_, was)| severity <= *was).map(|(until, _)| until),
        action: beside.action,
    }
}

/// Roles of a kind of workload with their units, in the order that a screen lists them.
fn roles(kind: WorkloadKind) -> &'static [(Role, &'static str)] {
    match kind {
        WorkloadKind::ConsumerGroup => &[
            (Role::Demand, "records/s"),
            (Role::Throughput, "records/s"),
            (Role::Backlog, "records"),
            (Role::TimeLag, "s"),
            (Role::Replicas, ""),
        ],
        WorkloadKind::Inference => &[
            (Role::Demand, "requests/s"),
            (Role::Backlog, "requests"),
            (Role::Latency, "s"),
            (Role::Utilisation, "ratio"),
            (Role::Replicas, ""),
        ],
        WorkloadKind::Batch => &[(Role::Backlog, "jobs"), (Role::Progress, "ratio"), (Role::Replicas, "")],
        WorkloadKind::Brokers => &[
            (Role::Demand, "bytes/s"),
            (Role::Throughput, "bytes/s"),
            (Role::Utilisation, "cores"),
            (Role::Memory, "bytes"),
            (Role::Replicas, ""),
        ],
    }
}

fn signals(
    w: &Workload,
    state: &WorkloadState,
    latest: &Latest,
    (history, charts): (&History, &mut Charts),
    now: Time,
) -> Vec<SignalView> {
    let listed = roles(w.entity.kind).iter().copied();
    let own = w.signals.keys().filter(|r| !roles(w.entity.kind).iter().any(|(known, _)| known == *r));
    listed
        .chain(own.map(|r| (*r, "")))
        .map(|(role, unit)| {
            let key = SignalKey { entity: w.entity.clone(), role };
            let reading = reading(w, state, latest, history, role, now);
            SignalView { role, unit, now: reading, track: charts.of(key, history, now) }
        })
        .collect()
}

/// The value now. A user's own PromQL wins; what only the history knows keeps its own age.
fn reading(
    w: &Workload,
    state: &WorkloadState,
    latest: &Latest,
    history: &History,
    role: Role,
    now: Time,
) -> Option<Reading> {
    let of_history = |origin: &str| {
        let key = SignalKey { entity: w.entity.clone(), role };
        let sample = history.latest(&key).filter(|s| now.since(s.at) < 900.0)?;
        Reading::new(sample.value, sample.at, origin)
    };
    if w.signals.contains_key(&role) {
        return of_history(&format!("prometheus: {}", w.signals[&role]));
    }
    if w.entity.kind == WorkloadKind::Brokers && role != Role::Replicas {
        let (origin, quality) = brokers::origin(&w.entity.source, role, latest);
        return of_history(&origin).map(|r| r.with_quality(quality));
    }
    if role == Role::Replicas {
        let r = state.replicas.as_ref()?;
        return Reading::new(f64::from(r.ready), r.at, r.origin.clone());
    }
    if let Some(group) = discover::group(w, latest) {
        let origin = |how: &str| format!("{}: {how}", SourceKind::Kafka.named(w.entity.source.as_str()));
        let partial = |r: Reading| if group.is_lower_bound() { r.with_quality(Quality::Partial) } else { r };
        return match role {
            Role::Backlog => group
                .lag
                .and_then(|l| Reading::new(l as f64, group.at, origin("log end − committed offset, summed")))
                .map(partial),
            Role::TimeLag => group
                .time_lag
                .and_then(|t| Reading::new(t, group.at, origin("ListOffsets by timestamp, largest partition")))
                .map(|r| if group.lag == Some(0) { r } else { r.with_quality(Quality::Estimated) })
                .map(partial),
            Role::Demand => of_history(&origin("growth of the log ends over at least 12 s"))
                .map(|r| r.with_quality(Quality::Estimated)),
            Role::Throughput => of_history(&origin("growth of the committed offsets over at least 12 s"))
                .map(|r| r.with_quality(Quality::Estimated)),
            _ => of_history("history"),
        };
    }
    if let Some(s) = discover::service(w, latest) {
        return match role {
            Role::Demand | Role::Throughput => s.request_rate.clone(),
            Role::Backlog => s.waiting.clone(),
            Role::Latency => s.ttft_p95.clone().or_else(|| s.latency_p95.clone()),
            Role::Utilisation => s.kv_cache.clone(),
            _ => of_history("history"),
        };
    }
    if let Some(q) = discover::queue(w, latest) {
        return match role {
            Role::Backlog | Role::Queue => q.waiting.clone(),
            _ => of_history("history"),
        };
    }
    of_history("history")
}

/// The objective nearest to being broken, or the first one declared.
fn slo(w: &Workload, signals: &[SignalView], latest: &Latest, unseen: f64) -> Option<SloState> {
    let of_role = |role: Role| signals.iter().find(|s| s.role == role).and_then(|s| s.now.clone());
    let service = discover::service(w, latest);
    let of_service = |pick: fn(&crate::model::Service) -> &Option<Reading>| service.and_then(|s| pick(s).clone());
    let all = [
        ("time_lag", w.slo.time_lag, of_role(Role::TimeLag)),
        ("ttft_p95", w.slo.ttft_p95, of_service(|s| &s.ttft_p95)),
        ("inter_token_p95", w.slo.inter_token_p95, of_service(|s| &s.inter_token_p95)),
        ("queue_p95", w.slo.queue_p95, of_service(|s| &s.queue_p95)),
        ("latency_p95", w.slo.latency_p95, of_service(|s| &s.latency_p95)),
    ];
    let declared = all.into_iter().filter_map(|(objective, limit, value)| {
        let unseen = if objective == "time_lag" { unseen } else { 0.0 };
        limit.map(|limit| SloState { objective, limit, value, unseen })
    });
    let strain = |s: &SloState| s.value.as_ref().map_or(-1.0, |v| v.value / s.limit.max(1e-9));
    declared.reduce(|worst, next| if strain(&next) > strain(&worst) { next } else { worst })
}

/// A value over a limit: never in the same words as the limit.
fn over(value: f64, limit: f64) -> String {
    let [value, limit] = [value, limit].map(duration);
    if value == limit { format!("just over {limit}") } else { value }
}

/// That an objective is finer than what commits tell.
fn rare_commits(slo: &SloState) -> Option<Label> {
    let [limit, unseen] = [slo.limit, slo.unseen].map(duration);
    let text = format!("commits are rare: up to {unseen} behind may be done already, the objective is {limit}");
    slo.is_blind().then(|| Label::new(&text))
}

/// Minutes over the objective that count as none, as on the card.
const WITHIN: f64 = 0.05;
/// Minutes over the objective that are told where no other count is asked for.
const WORTH_A_WORD: f64 = 1.0;

/// Minutes over the objective with the present count.
fn staying(r: &Recommendation) -> f64 {
    r.price_of(r.current.desired).map_or(0.0, |a| a.slo_minutes)
}

/// Whether it will be late with the count that is kept, now and later.
fn is_late_and_kept(r: &Recommendation, now: Time) -> bool {
    !r.is_change() && r.more_later(now).is_none() && staying(r) >= WORTH_A_WORD
}

fn severity(state: &WorkloadState, slo: Option<&SloState>, advice: &Advice) -> (Severity, String) {
    if state.is_stale() {
        let age = if state.data_age.is_finite() { duration(state.data_age) + " old" } else { "none yet".to_owned() };
        return (Severity::Unknown, format!("data {age}"));
    }
    if state.coverage < 1.0 {
        // What was known of a partition is still told when its leader is silent: how many are known now, the coverage says.
        let of = state.partition_lags.len();
        let known = (state.coverage * of as f64).round() as usize;
        let unknown = of.saturating_sub(known).max(1);
        let why = match state.coverage {
            _ if of > 0 => format!("{unknown} of {of} partitions unknown"),
            // Replicas that export nothing, or series of its load that were not told.
            known if known > 0.0 => format!("{:.0} % of its inputs known", (known * 100.0).floor()),
            _ => "no data".to_owned(),
        };
        // The largest of some partitions' time lags is no larger than that of all.
        let known = slo.filter(|s| s.objective == "time_lag" && s.is_met() == Some(false));
        return match known.and_then(|s| Some((s.limit, s.value.as_ref().filter(|v| v.quality == Quality::Partial)?))) {
            Some((limit, v)) => {
                let (value, limit) = (duration(v.value), duration(limit));
                (Severity::Act, format!("at least {value} behind, the objective is {limit}; {why}"))
            }
            None => (Severity::Unknown, why),
        };
    }
    if let Some(slo) = slo
        && slo.is_met() == Some(false)
        && let Some(v) = &slo.value
    {
        let (value, limit) = (over(v.value, slo.limit), duration(slo.limit));
        let text = match slo.objective {
            "time_lag" => format!("{value} behind, the objective is {limit}"),
            latency => format!("{} {value}, the objective is {limit}", latency.replace('_', " ")),
        };
        return (Severity::Act, text);
    }
    // What replicas hold may only be known to be as much as was ever asked of them: they may well hold more.
    let unproven = advice.capacity.as_ref().is_some_and(Capacity::is_lower_bound);
    match &advice.recommendation {
        Ok(r) if r.recommended > r.current.desired => {
            let (over, needs) = (staying(r), format!("needs {}, has {}", r.recommended, r.current.desired));
            match duration(over * 60.0) {
                _ if over < WITHIN => (Severity::Look, needs),
                _ if unproven => {
                    (Severity::Look, format!("{needs}, unless they hold more than was ever asked of them"))
                }
                over => (Severity::Act, format!("{needs}: else {over} over the objective")),
            }
        }
        Ok(r) if !unproven && is_late_and_kept(r, state.at) => {
            let (over, has) = (duration(staying(r) * 60.0), r.current.desired);
            let (severity, but) = match state.partitions {
                _ if has >= r.limits.max => (Severity::Act, format!("max = {has} allows no more")),
                Some(all) if has >= all && all > 0 => (Severity::Act, format!("it has no more than {all} partitions")),
                _ => (Severity::Look, "no other count costs less".to_owned()),
            };
            (severity, format!("will be over the objective for {over}, and {but}"))
        }
        Ok(r) if r.is_change() => (Severity::Look, format!("{} would do", r.recommended)),
        advice => match (advice.as_ref().ok().and_then(|r| r.more_later(state.at)), state.notices.first()) {
            (Some(more), _) => {
                let clock: String = more.at.to_string().chars().skip(11).take(5).collect();
                let has = state.replicas.as_ref().map_or(0, |r| r.desired);
                (Severity::Look, format!("will need {} at {clock} UTC, has {has}", more.replicas))
            }
            (None, Some(notice)) => (Severity::Look, notice.to_string()),
            (None, None) => (Severity::Ok, String::new()),
        },
    }
}

/// Worst first; within a severity what staying costs over what is recommended, then backlog, then name.
pub(super) fn sort(views: &mut [Arc<WorkloadView>]) {
    let gain = |v: &WorkloadView| match &v.advice.recommendation {
        Ok(r) => match (r.price_of(r.current.desired), r.price_of(r.recommended)) {
            (Some(stay), Some(go)) => stay.price - go.price,
            _ => 0.0,
        },
        Err(_) => 0.0,
    };
    let backlog = |v: &WorkloadView| v.signal(Role::Backlog).and_then(|s| s.now.as_ref()).map_or(0.0, |r| r.value);
    views.sort_by(|a, b| {
        let snoozed = a.snoozed.is_some().cmp(&b.snoozed.is_some());
        snoozed
            .then(b.severity.cmp(&a.severity))
            .then(gain(b).total_cmp(&gain(a)))
            .then(backlog(b).total_cmp(&backlog(a)))
            .then(a.workload.name.cmp(&b.workload.name))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Alternative, Limits, PlanHash, Replicas, Rivals};

    /// What is said of a workload with six replicas of at most `max`: `to` is recommended, to stay is late for so long.
    fn said(max: u32, to: u32, slo_minutes: f64) -> (Severity, String) {
        let at = Time::from_secs(1e9);
        let current = Replicas { desired: 6, ready: 6, at, origin: "test".into(), uid: None };
        let state = WorkloadState { coverage: 1.0, data_age: 0.0, partitions: Some(40), ..WorkloadState::unknown(at) };
        let recommendation = Recommendation {
            workload: "orders".into(),
            target: None,
            current,
            recommended: to,
            wanted: to,
            limits: Limits { min: 1, max },
            at,
            expires: at,
            plan_hash: PlanHash::of(&[]),
            reasons: Vec::new(),
            blocked_by: Vec::new(),
            alternatives: vec![Alternative { replicas: 6, price: 1.0, slo_minutes }],
            steps: Vec::new(),
            others: Rivals::default(),
            capacity: None,
            coverage: 1.0,
        };
        let advice = Advice { forecast: None, capacity: None, recommendation: Ok(Box::new(recommendation)) };
        severity(&state, None, &advice)
    }

    #[test]
    fn what_is_missing_is_not_taken_for_replicas() {
        let at = Time::from_secs(1e9);
        let partial = WorkloadState { coverage: 0.5, data_age: 0.0, ..WorkloadState::unknown(at) };
        let advice = Advice { forecast: None, capacity: None, recommendation: Err(String::new()) };
        // One of the two series of a queue was not told; it has no replicas that tell metrics.
        let said = severity(&partial, None, &advice);
        assert_eq!(said, (Severity::Unknown, "50 % of its inputs known".to_owned()));
    }

    #[test]
    fn seconds_over_the_objective_are_not_no_minutes() {
        let (severity, text) = said(24, 8, 0.3);
        assert_eq!((severity, text.as_str()), (Severity::Act, "needs 8, has 6: else 18 s over the objective"));
        let (severity, text) = said(24, 8, 0.01);
        assert_eq!((severity, text.as_str()), (Severity::Look, "needs 8, has 6"), "its card says: within");
    }

    #[test]
    fn what_will_be_late_and_may_have_no_more_is_told_before_it_is_late() {
        let (severity, text) = said(6, 6, 12.0);
        assert_eq!(severity, Severity::Act, "{text}");
        assert_eq!(text, "will be over the objective for 12 min, and max = 6 allows no more");
        assert_eq!(said(24, 6, 12.0).0, Severity::Look);
        assert_eq!(said(6, 6, 0.2), (Severity::Ok, String::new()), "it is the cheapest");
    }
}
