//! Which Kubernetes object the replicas of a discovered workload are, and what speaks for it. Pure.
//!
//! | what is seen | how strong |
//! |---|---|
//! | a KEDA trigger or an HPA's metric names the group | proven, when one cluster alone has such a group |
//! | the brokers see all members at addresses of pods of one owner | proven from two pods on |
//! | the series of a service carry namespace and pod | proven |
//! | the same for a part of the members, or for one pod | seen |
//! | a client id that begins with a pod's name, a KEDA query | said: clients and queries say what they like |
//! | the object has the name of the group or of the model | a name |
//!
//! What is seen and said alike is certain too. Where the strongest evidence points at two objects nothing is proposed,
//! and what contradicts makes a guess of what was certain.

use crate::model::{
    Entity, Found, Group, KafkaCluster, KubePod, KubeState, Label, MlState, Service, Target, TriggerSource,
    WorkloadKind,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

/// How much a piece of evidence is worth, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// It has the name.
    Name,
    /// Somebody says so.
    Said,
    /// The systems show it in part.
    Seen,
    /// The systems show it.
    Proven,
}

/// One piece of evidence for one object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Evidence {
    pub(super) target: Target,
    pub(super) strength: Strength,
    pub(super) why: String,
}

/// The object that the evidence points at, if it points at one.
pub(super) fn decide(mut evidence: Vec<Evidence>) -> Option<(Target, Found)> {
    evidence.sort_by_key(|e| Reverse(e.strength));
    let Evidence { target, strength, .. } = evidence.first()?.clone();
    if evidence.iter().any(|e| e.target != target && e.strength == strength) {
        return None;
    }
    let (own, other): (Vec<Evidence>, Vec<Evidence>) = evidence.into_iter().partition(|e| e.target == target);
    let against: Vec<Evidence> = other.into_iter().filter(|e| e.strength > Strength::Name).collect();
    let certain = match strength {
        Strength::Proven => true,
        Strength::Seen => own.len() > 1,
        Strength::Said | Strength::Name => false,
    };
    let but = |e: &Evidence| Label::new(&format!("against it, for {}: {}", e.target, e.why));
    let because = own.iter().map(|e| Label::new(&e.why)).chain(against.iter().map(but)).collect();
    Some((target, Found { certain: certain && against.is_empty(), because }))
}

/// What was seen, arranged for looking up. Only objects whose count is known are proposed.
pub(super) struct Index<'a> {
    /// `None`: several pods say that they have this address.
    by_address: HashMap<IpAddr, Option<&'a KubePod>>,
    by_name: HashMap<&'a str, Vec<&'a KubePod>>,
    targets: HashMap<&'a str, Vec<&'a Target>>,
    known: BTreeSet<&'a Target>,
    /// Autoscalers that name a group.
    named: HashMap<Label, Vec<Named>>,
    /// How many clusters have a group of this name.
    homes: HashMap<&'a Label, usize>,
}

/// An autoscaler that names a group.
struct Named {
    target: Target,
    topic: Option<Label>,
    /// It says so itself, and not in a query that may mean anything.
    plainly: bool,
    who: String,
}

impl<'a> Index<'a> {
    pub(super) fn new(kube: &'a KubeState, clusters: impl Iterator<Item = &'a KafkaCluster>) -> Self {
        let mut index = Self {
            by_address: HashMap::new(),
            by_name: HashMap::new(),
            targets: HashMap::new(),
            known: kube.workloads.iter().map(|w| &w.target).collect(),
            named: named(kube),
            homes: HashMap::new(),
        };
        for group in clusters.flat_map(|c| &c.groups) {
            *index.homes.entry(&group.group).or_default() += 1;
        }
        for pod in &kube.pods {
            index.by_name.entry(pod.name.as_str()).or_default().push(pod);
            for address in &pod.addresses {
                index.by_address.entry(*address).and_modify(|taken| *taken = None).or_insert(Some(pod));
            }
        }
        for target in &index.known {
            if let Some((_, _, name)) = target.kubernetes() {
                index.targets.entry(name.as_str()).or_default().push(target);
            }
        }
        index
    }

    /// The object whose pods are the members of a group.
    pub(super) fn of_group(&self, group: &Group) -> Option<(Target, Found)> {
        let mut evidence = self.of_autoscalers(group);
        let all = group.members.len();
        let at = |host: &Label| self.by_address.get(&address(host)?).copied().flatten();
        let places = group.members.iter().filter_map(|m| at(&m.host));
        for (target, pods) in self.owners(places) {
            let proven = pods.members == all && pods.names.len() > 1 && pods.unread.is_none();
            let strength = if proven { Strength::Proven } else { Strength::Seen };
            let why = format!("{} of {all} members come from addresses of its pods: {}", pods.members, pods.path());
            evidence.push(Evidence { target, strength, why });
        }
        let called = group.members.iter().filter_map(|m| self.pod_called(m.client_id.as_str()));
        for (target, pods) in self.owners(called) {
            let why = format!("the client ids of {} of {all} members begin with names of its pods", pods.members);
            evidence.push(Evidence { target, strength: Strength::Said, why });
        }
        evidence.extend(self.by_name_alone(&group.group, "the group"));
        decide(evidence)
    }

    /// The object whose pods export the series of a service.
    pub(super) fn of_service(&self, service: &Service) -> Option<(Target, Found)> {
        let all = service.pods.len();
        let places = service.pods.iter().filter_map(|label| match label.as_str().split_once('/') {
            Some((namespace, name)) => {
                self.by_name.get(name)?.iter().copied().find(|p| p.namespace.as_str() == namespace)
            }
            None => self.only(label.as_str()),
        });
        let exact = service.pods.iter().all(|p| p.as_str().contains('/'));
        let mut evidence = Vec::new();
        for (target, pods) in self.owners(places) {
            let proven = exact && pods.members == all && pods.unread.is_none();
            let strength = if proven { Strength::Proven } else { Strength::Seen };
            let why = format!("{} of {all} pods that export its series are its own: {}", pods.members, pods.path());
            evidence.push(Evidence { target, strength, why });
        }
        evidence.extend(self.by_name_alone(&service.name, "the model"));
        decide(evidence)
    }

    fn of_autoscalers(&self, group: &Group) -> Vec<Evidence> {
        let alone = self.homes.get(&group.group).is_none_or(|n| *n == 1);
        let reads = |topic: &Label| group.partitions.is_empty() || group.partitions.iter().any(|p| p.topic == *topic);
        let all = self.named.get(&group.group).into_iter().flatten().filter(|n| self.known.contains(&n.target));
        let evidence = |n: &Named| {
            let proven = n.plainly && alone && n.topic.as_ref().is_none_or(reads);
            let strength = if proven { Strength::Proven } else { Strength::Said };
            Evidence { target: n.target.clone(), strength, why: format!("{} scales it by this group's lag", n.who) }
        };
        all.map(evidence).collect()
    }

    /// Pods by what owns them, where that can be scaled and is known.
    fn owners(&self, pods: impl Iterator<Item = &'a KubePod>) -> BTreeMap<Target, Pods<'a>> {
        let mut all: BTreeMap<Target, Pods<'a>> = BTreeMap::new();
        for pod in pods {
            let Some(owner) = &pod.owner else { continue };
            let Some(target) = owner.target.as_ref().filter(|t| self.known.contains(t)) else { continue };
            let seen = all.entry(target.clone()).or_insert_with(|| Pods::new(pod, &owner.path));
            seen.members += 1;
            seen.names.insert(&pod.name);
            seen.unread = seen.unread.or(owner.unread.as_ref());
        }
        all
    }

    /// The pod whose name begins a client's id: `web-7c9d-x2x4b-consumer-1` is web-7c9d-x2x4b's.
    fn pod_called(&self, id: &str) -> Option<&'a KubePod> {
        let ends = id.match_indices('-').map(|(at, _)| at).chain([id.len()]).collect::<Vec<_>>();
        ends.into_iter().rev().find_map(|end| self.only(id.get(..end)?))
    }

    /// The pod of a name, when no other namespace has one of that name.
    fn only(&self, name: &str) -> Option<&'a KubePod> {
        match self.by_name.get(name)?.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    fn by_name_alone(&self, name: &Label, what: &str) -> Option<Evidence> {
        let [target] = self.targets.get(name.as_str())?.as_slice() else { return None };
        let why = format!("it has the name of {what}");
        Some(Evidence { target: (*target).clone(), strength: Strength::Name, why })
    }
}

/// Pods of one owner.
struct Pods<'a> {
    members: usize,
    names: BTreeSet<&'a Label>,
    first: &'a Label,
    path: &'a Label,
    unread: Option<&'a Label>,
}

impl<'a> Pods<'a> {
    fn new(first: &'a KubePod, path: &'a Label) -> Self {
        Self { members: 0, names: BTreeSet::new(), first: &first.name, path, unread: None }
    }

    /// `web-7c9d-x2x4b → ReplicaSet web-7c9d → Deployment web`, and what of it was not read.
    fn path(&self) -> String {
        let unread = self.unread.map_or_else(String::new, |why| format!(" ({why})"));
        format!("{} → {}{unread}", self.first, self.path)
    }
}

/// The address in a host as brokers write it: `/10.0.0.7`, `web.example/10.0.0.7`.
fn address(host: &Label) -> Option<IpAddr> {
    let text = host.as_str();
    text.rsplit_once('/').map_or(text, |(_, address)| address).parse().ok()
}

/// Autoscalers by the groups that they name. KEDA's own HPAs say nothing that its ScaledObjects do not.
fn named(kube: &KubeState) -> HashMap<Label, Vec<Named>> {
    let mut all: HashMap<Label, Vec<Named>> = HashMap::new();
    for object in &kube.scaled_objects {
        let at = |kind: &Label, name: &Label| Target::of_kind(kind.as_str(), object.namespace.as_str(), name.as_str());
        let Some(target) = at(&object.target_kind, &object.target_name) else { continue };
        let who = format!("ScaledObject {}/{}", object.namespace, object.name);
        for trigger in &object.triggers {
            let (groups, topic, plainly) = match &trigger.source {
                TriggerSource::Kafka(kafka) => (vec![kafka.group.clone()], kafka.topic.clone(), true),
                TriggerSource::Prometheus { query, .. } => (groups_in(query.as_str()), None, false),
                TriggerSource::Resource(_) | TriggerSource::Other => continue,
            };
            for group in groups {
                let (target, who, topic) = (target.clone(), who.clone(), topic.clone());
                all.entry(group).or_default().push(Named { target, topic, plainly, who });
            }
        }
    }
    for hpa in kube.hpas.iter().filter(|h| !h.keda) {
        let Some(target) = Target::of_kind(hpa.target_kind.as_str(), hpa.namespace.as_str(), hpa.target_name.as_str())
        else {
            continue;
        };
        for metric in &hpa.metrics {
            let topic = metric.selects.get("topic").cloned();
            for group in metric.selects.iter().filter(|(key, _)| key.as_str().contains("group")).map(|(_, v)| v) {
                let who = format!("HPA {}/{}", hpa.namespace, hpa.name);
                let (target, topic) = (target.clone(), topic.clone());
                all.entry(group.clone()).or_default().push(Named { target, topic, plainly: true, who });
            }
        }
    }
    all
}

/// The groups that a query selects: `…{consumergroup="orders"}`.
fn groups_in(query: &str) -> Vec<Label> {
    let parts: Vec<&str> = query.split('"').collect();
    let quoted = parts.windows(2).step_by(2);
    let of_group = |before: &str| {
        let name = before.trim_end().strip_suffix('=').map_or("", str::trim_end);
        let label = name.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
        label.is_some_and(|label| label.contains("group"))
    };
    let value = |pair: &[&str]| Some(Label::new(pair.get(1)?)).filter(|_| pair.first().is_some_and(|b| of_group(b)));
    quoted.filter_map(value).collect()
}

/// What was found for the groups and services that nobody configured.
pub(super) fn all<'a>(
    index: &Index<'a>,
    clusters: impl Iterator<Item = &'a KafkaCluster>,
    ml: impl Iterator<Item = &'a MlState>,
) -> HashMap<Entity, (Target, Found)> {
    let mut found = HashMap::new();
    for cluster in clusters {
        for group in &cluster.groups {
            let kind = WorkloadKind::ConsumerGroup;
            let entity = || Entity { kind, source: cluster.name.clone(), id: group.group.clone() };
            found.extend(index.of_group(group).map(|of| (entity(), of)));
        }
    }
    for ml in ml {
        for service in &ml.services {
            let kind = WorkloadKind::Inference;
            let entity = || Entity { kind, source: ml.source.clone(), id: service.name.clone() };
            found.extend(index.of_service(service).map(|of| (entity(), of)));
        }
    }
    found
}
