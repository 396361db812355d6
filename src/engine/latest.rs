//! The newest word of every source, and the samples that each word adds to the history.

use super::{brokers, objects::Objects, rates::Rates, runs::Runs};
use crate::model::{
    Alert, Entity, Group, KafkaCluster, Label, MlState, Observation, Quality, Reading, Role, Sample, SignalKey,
    SourceKind, SourceStatus, Target, Time, WorkloadKind,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// Notices of one refresh that are told one by one.
const NEWS: usize = 5;

/// Spans of a group's older samples that wait for a cluster which has such a group: exporters may tell of clusters that we
/// do not read, and then they wait for ever.
const UNPLACED: usize = 10_000;

/// What every source said last.
#[derive(Default)]
pub(super) struct Latest {
    pub(super) clusters: BTreeMap<Label, Arc<KafkaCluster>>,
    /// By cluster and group: a pass asks for each group many times.
    places: HashMap<Label, HashMap<Label, Place>>,
    pub(super) ml: BTreeMap<Label, Arc<MlState>>,
    pub(super) kube: Option<Objects>,
    pub(super) counts: HashMap<Target, (u32, Time)>,
    pub(super) sources: BTreeMap<(SourceKind, Label), SourceStatus>,
    pub(super) rates: BTreeMap<Label, Rates>,
    runs: Runs,
    /// Series that a workload's own PromQL fills: what packs and brokers say about them is not recorded too.
    own: BTreeSet<SignalKey>,
    /// Older samples of groups that no cluster has shown yet.
    unplaced: Vec<(SignalKey, Vec<Sample>)>,
    /// Sentences for the operator from the sources; whoever shows them takes them.
    pub(super) news: Vec<Label>,
}

/// Where a group stands in `groups` of its cluster, and what was found about it in `alerts`.
#[derive(Default)]
struct Place {
    group: usize,
    alerts: Vec<usize>,
}

/// Samples to be recorded: new ones, and older ones that fill the time before.
#[derive(Default)]
pub(super) struct Samples {
    pub(super) new: Vec<(SignalKey, Sample)>,
    pub(super) older: Vec<(SignalKey, Vec<Sample>)>,
    /// Of the older ones, those to be kept on disk.
    pub(super) kept: Vec<(SignalKey, Sample)>,
}

impl Latest {
    /// Nothing seen yet; `own`: series that workloads' own PromQL fills.
    pub(super) fn new(own: BTreeSet<SignalKey>) -> Self {
        Self { own, ..Self::default() }
    }

    /// Takes an observation in and adds its samples.
    pub(super) fn apply(&mut self, observation: Observation, samples: &mut Samples) {
        match observation {
            Observation::Kafka(cluster) => {
                let rates = self.rates.entry(cluster.name.clone()).or_default();
                rates.update(&cluster);
                let from = samples.new.len();
                kafka_samples(&cluster, rates, &mut samples.new);
                leave_own(&self.own, from, &mut samples.new);
                self.places.insert(cluster.name.clone(), places(&cluster));
                self.news.extend(news(self.clusters.get(&cluster.name).map(AsRef::as_ref), &cluster));
                self.clusters.insert(cluster.name.clone(), cluster);
                for (key, found) in std::mem::take(&mut self.unplaced) {
                    self.place(key, found, samples);
                }
            }
            Observation::Ml(mut ml) => {
                self.runs.look(Arc::make_mut(&mut ml));
                let from = samples.new.len();
                ml_samples(&ml, &mut samples.new);
                for cluster in self.clusters.values() {
                    brokers::samples(cluster, &ml, self.clusters.len() == 1, &mut samples.new);
                }
                leave_own(&self.own, from, &mut samples.new);
                self.ml.insert(ml.source.clone(), ml);
            }
            Observation::Kubernetes(kube) => self.kube = Some(Objects::new(kube)),
            Observation::Count { target, count, at } => {
                self.counts.insert(target, (count, at));
            }
            Observation::Signal { key, samples: found } => {
                samples.new.extend(found.into_iter().map(|s| (key.clone(), s)));
            }
            Observation::Backfill { key, samples: found } => self.place(key, found, samples),
            Observation::Past { key, .. } if self.own.contains(&key) => {}
            Observation::Past { key, samples: found } => {
                samples.kept.extend(found.iter().map(|s| (key.clone(), *s)));
                samples.older.push((key, found));
            }
            Observation::Run { source, run, points } => self.runs.past(&source, &run, &points),
            Observation::Health(status) => {
                self.sources.insert((status.kind, status.name.clone()), status);
            }
        }
    }

    /// Puts older samples where they belong. An exporter that Prometheus scrapes knows a group's name but not our name
    /// of its cluster: such samples go to the one cluster that has a group of that name.
    fn place(&mut self, mut key: SignalKey, found: Vec<Sample>, samples: &mut Samples) {
        let foreign = key.entity.kind == WorkloadKind::ConsumerGroup && !self.clusters.contains_key(&key.entity.source);
        if foreign {
            let has = |c: &&Arc<KafkaCluster>| self.group(&c.name, &key.entity.id).is_some();
            let mut homes = self.clusters.values().filter(has);
            match (homes.next(), homes.next()) {
                (Some(home), None) => key.entity.source = home.name.clone(),
                (Some(_), Some(_)) => return, // ambiguous: a guess would be somebody else's history
                (None, _) if self.unplaced.len() >= UNPLACED => return,
                (None, _) => {
                    self.unplaced.push((key, found));
                    return;
                }
            }
        }
        samples.older.push((key, found));
    }

    /// A group of a cluster.
    pub(super) fn group(&self, cluster: &Label, group: &Label) -> Option<&Group> {
        let place = self.places.get(cluster)?.get(group)?;
        self.clusters.get(cluster)?.groups.get(place.group)
    }

    /// What was found about a group.
    pub(super) fn alerts(&self, cluster: &Label, group: &Label) -> Vec<Alert> {
        let all = self.clusters.get(cluster).map_or(&[][..], |c| &c.alerts);
        let place = self.places.get(cluster).and_then(|places| places.get(group));
        place.into_iter().flat_map(|p| &p.alerts).filter_map(|i| all.get(*i)).cloned().collect()
    }

    /// The cadence of a source, seconds; a guess of 5 s before it said so.
    pub(super) fn cadence(&self, kind: SourceKind, name: &Label) -> f64 {
        self.sources.get(&(kind, name.clone())).map_or(5.0, |s| s.cadence)
    }
}

fn places(cluster: &KafkaCluster) -> HashMap<Label, Place> {
    let place = |(group, g): (usize, &Group)| (g.group.clone(), Place { group, ..Place::default() });
    let mut places: HashMap<Label, Place> = cluster.groups.iter().enumerate().map(place).collect();
    for (i, alert) in cluster.alerts.iter().enumerate() {
        if let Some(place) = alert.subject.group().and_then(|group| places.get_mut(group)) {
            place.alerts.push(i);
        }
    }
    places
}

/// Takes out of what was added what a workload's own PromQL fills: two measures of one thing are never mixed.
fn leave_own(own: &BTreeSet<SignalKey>, from: usize, samples: &mut Vec<(SignalKey, Sample)>) {
    if !own.is_empty() {
        let found = samples.split_off(from);
        samples.extend(found.into_iter().filter(|(key, _)| !own.contains(key)));
    }
}

/// What the reader noticed and had not noticed in the refresh before: a topic made again, nothing visible for want of
/// permission. A storm of them is cut short: the Kafka view has them all.
fn news(before: Option<&KafkaCluster>, now: &KafkaCluster) -> Vec<Label> {
    let known: HashSet<&Label> = before.into_iter().flat_map(|c| &c.notices).collect();
    let mut fresh: Vec<&Label> = now.notices.iter().filter(|n| !known.contains(n)).collect();
    let more = fresh.len().saturating_sub(NEWS);
    fresh.truncate(NEWS);
    let rest = (more > 0).then(|| format!("{}: {more} more notices", now.name).into());
    fresh.into_iter().map(|n| Label::new(&format!("{}: {n}", now.name))).chain(rest).collect()
}

fn kafka_samples(cluster: &KafkaCluster, rates: &Rates, out: &mut Vec<(SignalKey, Sample)>) {
    for group in &cluster.groups {
        let entity =
            Entity { kind: WorkloadKind::ConsumerGroup, source: cluster.name.clone(), id: group.group.clone() };
        let mut add = |role: Role, value: Option<f64>| {
            if let Some(value) = value {
                out.push((SignalKey { entity: entity.clone(), role }, Sample { at: group.at, value }));
            }
        };
        // Partial sums are shown, but never learned from.
        if group.coverage >= 1.0 {
            add(Role::Backlog, group.lag.map(|l| l as f64));
            add(Role::TimeLag, group.time_lag);
        }
        if let Some(r) = rates.of_group(group.group.as_str()).filter(|r| r.at == group.at) {
            add(Role::Demand, r.demand);
            add(Role::Throughput, r.throughput);
        }
    }
}

fn ml_samples(ml: &MlState, out: &mut Vec<(SignalKey, Sample)>) {
    let mut add = |kind: WorkloadKind, id: &Label, role: Role, reading: Option<&Reading>| {
        // As with groups: what is partial is shown, but never learned from.
        if let Some(r) = reading.filter(|r| r.quality != Quality::Partial) {
            let entity = Entity { kind, source: ml.source.clone(), id: id.clone() };
            out.push((SignalKey { entity, role }, Sample { at: r.at, value: r.value }));
        }
    };
    for s in &ml.services {
        let kind = WorkloadKind::Inference;
        add(kind, &s.name, Role::Demand, s.request_rate.as_ref());
        add(kind, &s.name, Role::Throughput, s.request_rate.as_ref());
        add(kind, &s.name, Role::Backlog, s.waiting.as_ref());
        add(kind, &s.name, Role::Latency, s.ttft_p95.as_ref().or(s.latency_p95.as_ref()));
        add(kind, &s.name, Role::InterToken, s.inter_token_p95.as_ref());
        add(kind, &s.name, Role::Utilisation, s.kv_cache.as_ref());
    }
    for q in &ml.queues {
        add(WorkloadKind::Batch, &q.name, Role::Backlog, q.waiting.as_ref());
        add(WorkloadKind::Batch, &q.name, Role::Queue, q.waiting.as_ref());
        add(WorkloadKind::Batch, &q.name, Role::Running, q.running.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_groups_own_promql_tells_the_brokers_do_not_tell_too() {
        let entity = Entity { kind: WorkloadKind::ConsumerGroup, source: "k".into(), id: "orders".into() };
        let key = |role| SignalKey { entity: entity.clone(), role };
        let group =
            Group { group: "orders".into(), coverage: 1.0, lag: Some(5), time_lag: Some(2.0), ..Group::default() };
        let cluster = Arc::new(KafkaCluster { name: "k".into(), groups: vec![group], ..KafkaCluster::default() });
        let mut latest = Latest::new([key(Role::Backlog)].into());
        let mut samples = Samples::default();
        latest.apply(Observation::Kafka(cluster), &mut samples);
        let found = vec![Sample { at: Time::default(), value: 1.0 }];
        latest.apply(Observation::Past { key: key(Role::Backlog), samples: found }, &mut samples);
        let recorded: Vec<_> = samples.new.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!((recorded, samples.older.len()), (vec![key(Role::TimeLag)], 0));
    }

    #[test]
    fn what_is_told_of_a_cluster_that_we_do_not_read_does_not_pile_up() {
        let entity = Entity { kind: WorkloadKind::ConsumerGroup, source: "main".into(), id: "theirs".into() };
        let key = SignalKey { entity, role: Role::Demand };
        let mut latest = Latest::default();
        for _ in 0..=UNPLACED {
            latest.apply(Observation::Backfill { key: key.clone(), samples: Vec::new() }, &mut Samples::default());
        }
        assert_eq!(latest.unplaced.len(), UNPLACED);
    }
}
