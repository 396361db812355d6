//! The JSON of the contract. Missing is `null`, never 0 and never NaN; durations are seconds; instants RFC 3339 in UTC.

use super::recommend::no_day;
use crate::{
    advise,
    model::{
        Broker, BrokerState, Group, Health, KafkaCluster, Picture, Quantiles, Role, SignalView, SourceStatus, Time,
        Topic, WorkloadView,
    },
};
use serde_json::{Value, json};

/// `recommend --format json`. `days`: the plans of the day were asked for.
pub(super) fn recommendations(picture: &Picture, views: &[&WorkloadView], days: bool) -> Value {
    let all: Vec<Value> = views.iter().map(|v| workload(v, days)).collect();
    json!({ "version": 1, "at": picture.at, "recommendations": all })
}

/// `snapshot --format json`.
pub(super) fn snapshot(picture: &Picture) -> Value {
    let sources: Vec<Value> = picture.sources.iter().map(|s| source(s, picture.at)).collect();
    let clusters: Vec<Value> = picture.clusters.iter().map(|c| cluster(c)).collect();
    let all = |pick: fn(&crate::model::MlState) -> Value| -> Vec<Value> {
        picture.ml.iter().flat_map(|m| pick(m).as_array().cloned().unwrap_or_default()).collect()
    };
    let workloads: Vec<Value> = picture.workloads.iter().map(|w| workload(w, false)).collect();
    json!({
        "version": 1,
        "at": picture.at,
        "sources": sources,
        "cluster": clusters.first(),
        "clusters": clusters,
        "ml": {
            "gpus": all(|m| json!(m.gpus)),
            "services": all(|m| json!(m.services)),
            "queues": all(|m| json!(m.queues)),
            "trainings": all(|m| json!(m.trainings)),
            "brokers": all(|m| json!(m.brokers)),
            "warnings": all(|m| json!(m.warnings)),
        },
        "workloads": workloads,
    })
}

fn source(s: &SourceStatus, now: Time) -> Value {
    let state = match s.health {
        Health::Down | Health::Connecting => "down",
        _ if s.answered.is_none() => "down",
        _ if s.is_stale(now) => "stale",
        Health::Degraded => "degraded",
        Health::Ok => "ok",
    };
    json!({ "name": s.name, "kind": s.kind, "state": state, "since": s.since, "age": s.age(now), "detail": s.detail })
}

fn cluster(c: &KafkaCluster) -> Value {
    json!({
        "name": c.name,
        "cluster_id": c.cluster_id,
        "at": c.at,
        "requests": c.requests,
        "seconds": c.seconds,
        "brokers": c.brokers.iter().map(broker).collect::<Vec<_>>(),
        "topics": c.topics.iter().map(topic).collect::<Vec<_>>(),
        "groups": c.groups.iter().map(group).collect::<Vec<_>>(),
        "notices": c.notices,
        "alerts": c.alerts,
        "denied": c.denied,
    })
}

fn broker(b: &Broker) -> Value {
    let (state, reason) = match &b.state {
        BrokerState::Up => ("up", None),
        BrokerState::Down { reason, .. } => ("down", Some(reason)),
    };
    json!({
        "id": b.id, "host": b.host, "port": b.port, "rack": b.rack, "state": state, "reason": reason,
        "answered": b.answered, "rtt": b.rtt, "leads": b.leads, "replicas": b.replicas,
        "under_replicated": b.under_replicated, "log_dirs": b.log_dirs,
    })
}

fn topic(t: &Topic) -> Value {
    json!({
        "topic": t.name, "internal": t.internal, "error": t.error, "partitions": t.partitions.len(),
        "under_replicated": t.sums.under_replicated, "offline": t.sums.offline,
        "arrivals": t.partitions.iter().map(|p| p.arrivals).sum::<Option<f64>>(), "config": t.config,
    })
}

fn group(g: &Group) -> Value {
    let partitions: Vec<Value> = g
        .partitions
        .iter()
        .map(|p| {
            json!({
                "topic": p.topic, "partition": p.partition, "committed": p.committed, "log_start": p.log_start,
                "end": p.end, "lag": p.lag, "lost": p.lost, "time_lag": finite(p.time_lag), "fresh": p.fresh, "at": p.at,
            })
        })
        .collect();
    json!({
        "group": g.group, "state": g.state, "type": g.kind, "members": g.member_count(), "lag": g.lag,
        "time_lag": finite(g.time_lag), "lost": g.lost, "coverage": g.coverage, "coordinator": g.coordinator,
        "at": g.at, "error": g.error, "commit_every": g.commit_every, "deletion": g.deletion, "partitions": partitions,
    })
}

/// One workload with its recommendation, or the reason why there is none.
fn workload(view: &WorkloadView, days: bool) -> Value {
    let w = &view.workload;
    let advice = &view.advice;
    let replicas = view.state.replicas.as_ref();
    let r = advice.recommendation.as_ref().ok();
    let limits = r.map_or(w.limits, |r| r.limits);
    let forecast = advice.forecast.as_ref();
    let peak = |q: fn(&Quantiles) -> f64| forecast.and_then(|f| f.peak(q)).map(|(_, v)| v);
    let mut signals = serde_json::Map::new();
    for signal in &view.signals {
        let mut entry = reading(signal);
        if signal.role == Role::Demand && forecast.is_some() {
            entry["p50"] = json!(peak(|q| q.p50));
            entry["p80"] = json!(peak(|q| q.p80));
            entry["p95"] = json!(peak(|q| q.p95));
            entry["horizon"] = json!(forecast.map(crate::model::Forecast::horizon));
        }
        let name = if signal.role == Role::Backlog && signal.unit == "records" { "lag" } else { signal.role.name() };
        signals.insert(name.to_owned(), entry);
    }
    let capacity = advice.capacity.as_ref().map(|c| {
        // What the plan counts on, as the reasons say it: no multiple of one replica where partitions are uneven.
        let holds = |n: u32| advise::holds(w.entity.kind, &view.state, c, n);
        json!({
            "per_replica": c.per_replica, "low": c.low, "high": c.high, "samples": c.samples,
            "exponent": c.scaling.exponent,
            "at_recommended": r.map(|r| holds(r.recommended)),
            "start_up": c.start_up, "rebalance": c.rebalance, "assumptions": c.assumptions,
        })
    });
    json!({
        "workload": w.name,
        "kind": w.entity.kind,
        "target": w.target,
        "severity": view.severity,
        "headline": view.headline,
        "replicas": {
            "current": replicas.map(|r| r.desired), "ready": replicas.map(|r| r.ready),
            "recommended": r.map(|r| r.recommended), "min": limits.min, "max": limits.max,
            "at": replicas.map(|r| r.at),
        },
        "plan_hash": r.map(|r| &r.plan_hash),
        "expires": r.map(|r| r.expires),
        "coverage": view.state.coverage,
        "reasons": r.map_or_else(|| json!([]), |r| json!(r.reasons)),
        "blocked_by": r.map_or_else(|| json!([]), |r| json!(r.blocked_by)),
        "none_because": advice.recommendation.as_ref().err(),
        "signals": signals,
        "capacity": capacity,
        "alternatives": r.map_or_else(|| json!([]), |r| json!(r.alternatives)),
        "others": r.map(|r| &r.others),
        "steps": r.map_or_else(|| json!([]), |r| json!(r.steps)),
        "day": day(view, days),
    })
}

/// The plan of the next 24 hours, or the reason why there is none; `null` where it was not `asked` for.
fn day(view: &WorkloadView, asked: bool) -> Value {
    match view.day.as_deref() {
        None if asked => json!({ "none_because": no_day(view) }),
        None => Value::Null,
        Some(Err(why)) => json!({ "none_because": why }),
        Some(Ok(plan)) => json!({
            "at": plan.at, "steps": plan.steps, "courses": plan.courses, "basis": plan.basis,
            "forecast": { "step": plan.forecast.step, "points": plan.forecast.points },
        }),
    }
}

fn reading(signal: &SignalView) -> Value {
    let now = signal.now.as_ref();
    json!({
        "now": now.map(|r| r.value), "unit": signal.unit, "at": now.map(|r| r.at),
        "quality": now.map(|r| r.quality), "origin": now.map(|r| &r.origin),
    })
}

fn finite(x: Option<f64>) -> Option<f64> {
    x.filter(|v| v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Mode, WorkloadState},
        tui::fixture,
    };
    use std::sync::Arc;

    /// The group of the fixture, on 24 partitions that get alike.
    fn group() -> WorkloadView {
        let picture = fixture::picture(Mode::Operate);
        let mut view = (**picture.workload("fraud-scorer").unwrap()).clone();
        let rates = vec![Some(100.0); 24];
        view.state = Arc::new(WorkloadState { partitions: Some(24), partition_rates: rates, ..(*view.state).clone() });
        view
    }

    #[test]
    fn what_the_recommended_count_holds_is_what_the_plan_counts_on() {
        let mut view = group();
        let mut advice = (*view.advice).clone();
        advice.recommendation.as_mut().unwrap().recommended = 20;
        advice.capacity.as_mut().unwrap().per_replica = 930.0;
        view.advice = Arc::new(advice);
        let holds = workload(&view, false)["capacity"]["at_recommended"].as_f64().unwrap();
        assert!((holds - 12.0 * 930.0).abs() < 1e-6, "the busiest of twenty has two of 24 partitions: {holds}");
    }

    #[test]
    fn a_day_that_was_asked_for_is_a_plan_or_a_reason() {
        let mut view = group();
        assert!(workload(&view, true)["day"]["steps"].is_array());
        view.day = None;
        assert!(workload(&view, true)["day"]["none_because"].is_string());
        assert_eq!(workload(&view, false)["day"], Value::Null);
    }
}
