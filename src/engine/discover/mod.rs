//! Which workloads there are, and what is true of each now: configuration joined to what the sources said.

mod pipelines;
mod targets;
#[cfg(test)]
mod tests;

use super::{brokers, confirmed::Confirmed, latest::Latest, objects::Objects};
use crate::model::{
    Entity, Found, Group, GroupType, GuardSettings, Health, KubeState, Label, Limits, MlState, Pipeline, Price,
    Quality, Queue, Reading, Replicas, Role, Service, Slo, SourceKind, Target, Time, Vertical, Workload, WorkloadKind,
    WorkloadState,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// SLO of a discovered consumer group that nobody configured, seconds behind. Said to be assumed on screen.
pub(super) const ASSUMED_TIME_LAG: f64 = 60.0;
/// Seconds after which a replica that became ready has been scraped: Prometheus' usual interval is a minute at most.
const SCRAPED: f64 = 75.0;

/// Workloads of the configuration first, then one for each group, service and queue that none of them is about: those with
/// the target that was found for them, if one was.
pub(super) fn workloads(configured: &[Arc<Workload>], latest: &Latest, confirmed: &Confirmed) -> Vec<Arc<Workload>> {
    let mut found = found(latest);
    let mut all = configured.to_vec();
    let taken: BTreeSet<Entity> = configured.iter().map(|w| w.entity.clone()).collect();
    found.retain(|entity, _| !taken.contains(entity));
    doubt_shared(&mut found, configured);
    let mut names: BTreeSet<Label> = configured.iter().map(|w| w.name.clone()).collect();
    for entity in entities(latest) {
        if taken.contains(&entity) {
            continue;
        }
        let mut name = if entity.id.is_empty() { Label::new("(empty group id)") } else { entity.id.clone() };
        // A service, a queue and a group may share a name: each keeps one of its own.
        while !names.insert(name.clone()) {
            name = Label::new(&format!("{}/{name}", entity.source));
        }
        let found = found.remove(&entity);
        let settled = found.map(|(target, found)| {
            let found = confirmed.settle(&entity, &target, found);
            (target, found)
        });
        let (target, found) = settled.unzip();
        let time_lag = (entity.kind == WorkloadKind::ConsumerGroup).then_some(ASSUMED_TIME_LAG);
        all.push(Arc::new(Workload {
            name,
            entity,
            target,
            found,
            limits: Limits::default(),
            slo: Slo { time_lag, ..Slo::default() },
            price: Price::default(),
            guard: GuardSettings::default(),
            signals: BTreeMap::new(),
            shape: crate::model::Shape::default(),
            broker: None,
            configured: false,
        }));
    }
    all
}

/// One count cannot follow two: what runs several workloads is a guess until an operator says which of them it follows.
fn doubt_shared(found: &mut HashMap<Entity, (Target, Found)>, configured: &[Arc<Workload>]) {
    let mut runs: BTreeMap<Target, BTreeMap<Entity, Label>> = BTreeMap::new();
    for (entity, (target, _)) in found.iter() {
        runs.entry(target.clone()).or_default().insert(entity.clone(), entity.id.clone());
    }
    for (target, w) in configured.iter().filter_map(|w| Some((w.target.clone()?, w))) {
        runs.entry(target).or_default().insert(w.entity.clone(), w.name.clone());
    }
    for (entity, (target, found)) in found {
        let others = runs.get(target).into_iter().flatten().filter(|(other, _)| *other != entity);
        // A group and a service, or groups of two clusters, may have one name.
        let name = |(other, name): (&Entity, &Label)| {
            let same = *name == entity.id;
            if same { format!("{} {name} of {}", other.kind.name(), other.source) } else { name.to_string() }
        };
        let others: Vec<String> = others.map(name).take(3).collect();
        if !others.is_empty() {
            found.certain = false;
            found.because.insert(0, Label::new(&format!("it runs {} too, and has one count", others.join(", "))));
        }
    }
}

/// What was found to run the groups and services.
fn found(latest: &Latest) -> HashMap<Entity, (Target, Found)> {
    let Some(kube) = &latest.kube else { return HashMap::new() };
    let clusters = || latest.clusters.values().map(AsRef::as_ref);
    let index = targets::Index::new(&kube.state, clusters());
    targets::all(&index, clusters(), latest.ml.values().map(AsRef::as_ref))
}

/// The pipelines of the configuration, then those that are proposed.
pub(super) fn pipelines(configured: &[Pipeline], workloads: &[Arc<Workload>], latest: &Latest) -> Vec<Pipeline> {
    let mut all = configured.to_vec();
    if let Some(kube) = &latest.kube {
        let clusters = latest.clusters.values().map(AsRef::as_ref);
        all.extend(pipelines::proposed(configured, workloads, &kube.state, clusters));
    }
    all
}

fn entities(latest: &Latest) -> Vec<Entity> {
    let mut found = Vec::new();
    for (source, cluster) in &latest.clusters {
        let kind = WorkloadKind::ConsumerGroup;
        let groups = cluster.groups.iter().map(|g| Entity { kind, source: source.clone(), id: g.group.clone() });
        found.extend(groups);
    }
    for (source, ml) in &latest.ml {
        let entity = |kind, id: &Label| Entity { kind, source: source.clone(), id: id.clone() };
        found.extend(ml.services.iter().map(|s| entity(WorkloadKind::Inference, &s.name)));
        found.extend(ml.queues.iter().map(|q| entity(WorkloadKind::Batch, &q.name)));
    }
    found
}

/// The group that a workload is about.
pub(super) fn group<'a>(workload: &Workload, latest: &'a Latest) -> Option<&'a Group> {
    if workload.entity.kind != WorkloadKind::ConsumerGroup {
        return None;
    }
    latest.group(&workload.entity.source, &workload.entity.id)
}

/// The inference service that a workload is about.
pub(super) fn service<'a>(workload: &Workload, latest: &'a Latest) -> Option<&'a Service> {
    if workload.entity.kind != WorkloadKind::Inference {
        return None;
    }
    latest.ml.get(&workload.entity.source)?.services.iter().find(|s| s.name == workload.entity.id)
}

/// The queue that a workload is about.
pub(super) fn queue<'a>(workload: &Workload, latest: &'a Latest) -> Option<&'a Queue> {
    if workload.entity.kind != WorkloadKind::Batch {
        return None;
    }
    latest.ml.get(&workload.entity.source)?.queues.iter().find(|q| q.name == workload.entity.id)
}

/// What is true of a workload now. `changed` is when its count was last seen to change, and from what.
pub(super) fn state(workload: &Workload, latest: &Latest, changed: Option<(Time, u32)>, now: Time) -> WorkloadState {
    let mut state = WorkloadState::unknown(now);
    state.last_change = changed;
    state.replicas = replicas(workload, latest);
    if let (Some(kube), Some(target)) = (&latest.kube, &workload.target) {
        (state.hpa, state.scaled_object) = (kube.hpa(target).cloned(), kube.scaled_object(target).cloned());
        state.image = kube.workload(target).and_then(|w| w.image.clone());
        state.vertical = vertical(kube, target).map(Box::new);
        let troubles = state.vertical.as_ref().map_or_else(Vec::new, |v| v.troubles(state.hpa.as_ref()));
        state.notices.extend(troubles.iter().map(|t| Label::new(t)));
    }
    match workload.entity.kind {
        WorkloadKind::ConsumerGroup => {
            let Entity { source, id, .. } = &workload.entity;
            if let Some(group) = group(workload, latest) {
                group_state(group, workload, latest, now, &mut state);
            } else if latest.clusters.contains_key(source) {
                // Deleted, expired, misspelt or hidden: without a word it looks as if it were still to be read.
                state
                    .notices
                    .push(Label::new(&format!("{} lists no group {id}", SourceKind::Kafka.named(source.as_str()))));
            }
        }
        WorkloadKind::Inference | WorkloadKind::Batch => {
            let name = &workload.entity.source;
            if let Some(ml) = latest.ml.get(name) {
                let queue = queue(workload, latest);
                state.quota_left = queue.and_then(|q| q.quota_left.as_ref()).map(|left| left.value);
                let service = service(workload, latest).map(|s| {
                    exporting(s, &state, scraped(workload, latest, now)) * whole([&s.request_rate, &s.waiting])
                });
                let found = service.or(queue.map(|q| whole([&q.waiting, &q.running])));
                state.coverage = found.into_iter().chain(told(workload, ml)).reduce(f64::min).unwrap_or(0.0);
                state.data_age = now.since(ml.at).max(0.0);
                state.stale_after = stale_after(latest.cadence(SourceKind::Prometheus, name));
            }
        }
        WorkloadKind::Brokers => {
            if let Some(cluster) = latest.clusters.get(&workload.entity.source) {
                state.coverage = 1.0;
                state.data_age = now.since(cluster.at).max(0.0);
                state.stale_after = stale_after(latest.cadence(SourceKind::Kafka, &workload.entity.source));
                brokers::state(cluster, &mut state);
            }
        }
    }
    if let Some(r) = &state.replicas {
        // The count is as much an input as the lag is. Kubernetes tells changes, and a sign of life now and then: its word
        // only grows old while nothing is heard of it at all, or of this object.
        let unheard = |target| latest.kube.as_ref().and_then(|k| k.workload(target)?.unheard).is_some();
        if workload.target.as_ref().is_some_and(|t| !t.is_kubernetes() || is_down(latest) || unheard(t)) {
            state.data_age = state.data_age.max(now.since(r.at));
        }
    }
    state
}

/// Whether the Kubernetes API does not answer.
fn is_down(latest: &Latest) -> bool {
    let status = |kube: &Objects| latest.sources.get(&(SourceKind::Kubernetes, kube.state.context.clone()));
    latest.kube.as_ref().and_then(status).is_some_and(|s| s.health == Health::Down)
}

/// 1, or 0 where one of these is partial: by how much, nobody can say.
fn whole(readings: [&Option<Reading>; 2]) -> f64 {
    let partial = readings.into_iter().flatten().any(|r| r.quality == Quality::Partial);
    if partial { 0.0 } else { 1.0 }
}

/// Share of a workload's series of load that the last refresh told, of its own and of those that an exporter should tell;
/// `None`: there are none. (What is not there when nothing happens, a latency, is not waited for.)
fn told(workload: &Workload, ml: &MlState) -> Option<f64> {
    let of_load = |role: &Role| matches!(role, Role::Demand | Role::Backlog | Role::Queue);
    let own = workload.signals.keys().filter(|role| of_load(role)).count();
    let untold = ml.untold.iter().filter(|key| key.entity == workload.entity && of_load(&key.role)).count();
    let all = own.max(untold);
    (all > 0).then(|| all.saturating_sub(untold) as f64 / all as f64)
}

/// Share of a service's ready replicas whose metrics are there: what the others do is missing from every sum. `scraped`:
/// all that are ready should have been scraped by now.
fn exporting(service: &Service, state: &WorkloadState, scraped: bool) -> f64 {
    let ready = state.replicas.as_ref().map_or(0, |r| r.ready);
    match &service.replicas {
        Some(seen) if scraped && ready > 0 => (seen.value.max(0.0) / f64::from(ready)).min(1.0),
        _ => 1.0,
    }
}

/// Whether the target has been as it is for long enough that a replica which became ready last was scraped since.
fn scraped(workload: &Workload, latest: &Latest, now: Time) -> bool {
    let object = latest.kube.as_ref().zip(workload.target.as_ref()).and_then(|(kube, target)| kube.workload(target));
    object.is_none_or(|object| now.since(object.at) > SCRAPED)
}

/// Two refreshes, and two seconds for the way to the screen.
fn stale_after(cadence: f64) -> f64 {
    2.0 * cadence + 2.0_f64.max(cadence * 0.5)
}

/// Whether members keep what need not move in a rebalance. KIP-848 and Kafka Streams (KIP-429) always do; classic groups
/// name their assignor.
fn is_sticky(group: &Group) -> Option<bool> {
    match group.kind {
        GroupType::Consumer | GroupType::Streams => Some(true),
        GroupType::Classic => group.assignor.as_ref().map(|a| a.as_ref() == "cooperative-sticky"),
        GroupType::Share | GroupType::Connect | GroupType::Other => None,
    }
}

fn group_state(group: &Group, workload: &Workload, latest: &Latest, now: Time, state: &mut WorkloadState) {
    state.coverage = group.coverage;
    state.data_age = now.since(group.at).max(0.0);
    state.stale_after = stale_after(latest.cadence(SourceKind::Kafka, &workload.entity.source));
    state.rebalancing = group.state.is_rebalancing();
    state.partitions = Some(group.partitions.len() as u32);
    state.partition_lags = group.partitions.iter().map(|p| p.lag).collect();
    state.partition_owners = group.partitions.iter().map(|p| p.owner.and_then(|o| u32::try_from(o).ok())).collect();
    state.sticky = is_sticky(group);
    if let Some(rates) = latest.rates.get(&workload.entity.source) {
        state.partition_rates = group.partitions.iter().map(|p| rates.of_partition(&p.topic, p.partition)).collect();
    }
    state.alerts = latest.alerts(&workload.entity.source, &group.group);
    let beyond = group.partitions.iter().filter(|p| p.beyond_end).count();
    if beyond > 0 {
        state.notices.push(Label::new(&format!(
            "committed offset beyond the log end on {beyond} partitions: topic truncated or made again?"
        )));
    }
    if let Some(error) = &group.error {
        state.notices.push(error.clone());
    }
    // In the words of the rule: what only compaction took, or the end of a transaction, is no loss.
    state.notices.extend(state.alerts.iter().find(|a| a.rule == "lost").map(|a| a.sentence.clone()));
}

/// The count now, where it can be seen.
pub(super) fn replicas(workload: &Workload, latest: &Latest) -> Option<Replicas> {
    match &workload.target {
        Some(target) if target.is_kubernetes() => {
            let kube = latest.kube.as_ref()?;
            let found = kube.workload(target);
            let kube = &kube.state;
            let origin = Label::new(&SourceKind::Kubernetes.named(kube.context.as_str()));
            let at = found.and_then(|w| w.unheard).unwrap_or(kube.at);
            let count = |desired, ready, uid| Replicas { desired, ready, at, origin, uid };
            match (found, target) {
                // What a template's Jobs ask for has no identity: they come and go. No Job is a count too.
                (Some(found), Target::Jobs { .. }) => Some(count(found.desired, found.ready, None)),
                (None, Target::Jobs { .. }) => kube.jobs_followed.then(|| count(0, 0, None)),
                (Some(found), _) => Some(count(found.desired, found.ready, Some(found.uid.clone()))),
                (None, _) => None,
            }
        }
        Some(target) => {
            let (count, at) = *latest.counts.get(target)?;
            let origin = Label::new(&target.to_string());
            Some(Replicas { desired: count, ready: ready_members(workload, latest, count), at, origin, uid: None })
        }
        None => seen_replicas(workload, latest),
    }
}

/// Of a command's count, those that are seen at work: a group's active members, a service's exporting replicas.
fn ready_members(workload: &Workload, latest: &Latest, count: u32) -> u32 {
    seen_replicas(workload, latest).map_or(count, |seen| seen.ready.min(count))
}

/// Without a target: members of the group, or replicas that export metrics.
fn seen_replicas(workload: &Workload, latest: &Latest) -> Option<Replicas> {
    if workload.entity.kind == WorkloadKind::Brokers {
        return latest.clusters.get(&workload.entity.source).map(|c| brokers::replicas(c));
    }
    if let Some(g) = group(workload, latest) {
        let (desired, ready) = (g.member_count()? as u32, g.active_members() as u32);
        return Some(Replicas { desired, ready, at: g.at, origin: "group members".into(), uid: None });
    }
    let seen = service(workload, latest)?.replicas.as_ref()?;
    let n = seen.value.max(0.0) as u32;
    Some(Replicas { desired: n, ready: n, at: seen.at, origin: seen.origin.clone(), uid: None })
}

/// The VPA that names the target, beside what the target's pods ask for.
fn vertical(kube: &Objects, target: &Target) -> Option<Vertical> {
    let vpa = kube.vpa(target)?.clone();
    let requests = kube.workload(target).map_or_else(Vec::new, |w| w.requests.clone());
    let KubeState { at, context, .. } = &*kube.state;
    Some(Vertical { vpa, requests, at: *at, origin: Label::new(&SourceKind::Kubernetes.named(context.as_str())) })
}
