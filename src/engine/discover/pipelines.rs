//! What flows into what, as far as it can be seen: pipelines to propose. Pure.
//!
//! A group feeds a service that runs in the same pods, or whose host or model its pods are told of; it feeds another
//! group over a topic that its pods are told of and that it does not read itself. What pods are told is no proof that
//! they use it: those links are guesses.

use crate::model::{
    Entity, Found, KafkaCluster, KubeState, KubeWorkload, Label, Mentions, Pipeline, Target, Workload, WorkloadKind,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Pipelines that are proposed at most, by name.
const MOST: usize = 40;
/// Workloads in a row at most.
const LONGEST: usize = 8;

/// What feeds what: by the places of two workloads, how it is known.
type Edges = BTreeMap<(usize, usize), Found>;

/// What a word in a pod's environment means.
#[derive(Clone, Copy)]
enum Meaning<'a> {
    /// Another's topic, on this cluster.
    Topic(&'a Label, &'a Label),
    /// The service at this place.
    Service(usize),
}

/// Pipelines that nobody configured, each at least two workloads long.
pub(super) fn proposed<'a>(
    configured: &[Pipeline],
    workloads: &[Arc<Workload>],
    kube: &KubeState,
    clusters: impl Iterator<Item = &'a KafkaCluster>,
) -> Vec<Pipeline> {
    let clusters: Vec<&KafkaCluster> = clusters.collect();
    let edges = edges(workloads, kube, &clusters);
    let mut found: Vec<Pipeline> = paths(&edges)
        .into_iter()
        .map(|path| {
            let names: Vec<Label> = path.iter().filter_map(|i| workloads.get(*i)).map(|w| w.name.clone()).collect();
            let steps = path.iter().zip(path.iter().skip(1));
            let links = steps.filter_map(|(a, b)| edges.get(&(*a, *b)).cloned()).collect();
            Pipeline { name: names.first().cloned().unwrap_or_default(), workloads: names, links }
        })
        .filter(|p| !configured.iter().any(|c| p.workloads.iter().all(|w| c.workloads.contains(w))))
        .collect();
    name(&mut found, configured);
    found
}

/// Each has the name of its first workload; where several begin there, of its last one too.
fn name(pipelines: &mut [Pipeline], configured: &[Pipeline]) {
    let mut taken: BTreeSet<Label> = configured.iter().map(|p| p.name.clone()).collect();
    let mut starts: BTreeMap<Label, usize> = BTreeMap::new();
    for p in pipelines.iter() {
        *starts.entry(p.name.clone()).or_default() += 1;
    }
    for p in pipelines {
        if starts.get(&p.name).is_some_and(|n| *n > 1) || taken.contains(&p.name) {
            let last = p.workloads.last().cloned().unwrap_or_default();
            p.name = Label::new(&format!("{} to {last}", p.name));
        }
        while !taken.insert(p.name.clone()) {
            p.name = Label::new(&format!("{}'", p.name));
        }
    }
}

fn edges(workloads: &[Arc<Workload>], kube: &KubeState, clusters: &[&KafkaCluster]) -> Edges {
    let objects: HashMap<&Target, &KubeWorkload> = kube.workloads.iter().map(|w| (&w.target, w)).collect();
    let reads = topics(clusters);
    let dictionary = dictionary(workloads, clusters);
    let mut readers: HashMap<(&Label, &Label), Vec<usize>> = HashMap::new();
    for (i, w) in workloads.iter().enumerate() {
        for topic in reads.get(&w.entity).into_iter().flatten() {
            readers.entry((&w.entity.source, topic)).or_default().push(i);
        }
    }
    let services = services(workloads);
    let mut edges = Edges::new();
    for (i, w) in workloads.iter().enumerate().filter(|(_, w)| w.entity.kind == WorkloadKind::ConsumerGroup) {
        let Some(object) = w.target.as_ref().and_then(|t| objects.get(t)) else { continue };
        for j in services.get(&object.target).into_iter().flatten() {
            together(i, *j, workloads, &mut edges);
        }
        let own = reads.get(&w.entity);
        for (word, place) in object.mentions.each() {
            for meaning in dictionary.get(&word).into_iter().flatten() {
                match meaning {
                    Meaning::Service(j) => {
                        let Some(service) = workloads.get(*j) else { continue };
                        let why = format!("{place} of {} names {}", object.target, service.name);
                        edges.entry((i, *j)).or_insert_with(|| Found::guess(&why));
                    }
                    Meaning::Topic(source, topic) => {
                        if **source != w.entity.source || own.is_some_and(|own| own.contains(*topic)) {
                            continue;
                        }
                        let why = format!("{place} of {} names {topic}, and it does not read that", object.target);
                        for j in readers.get(&(*source, *topic)).into_iter().flatten().filter(|j| **j != i) {
                            edges.entry((i, *j)).or_insert_with(|| Found::guess(&why));
                        }
                    }
                }
            }
        }
    }
    edges
}

/// The places of services by what their pods belong to.
fn services(workloads: &[Arc<Workload>]) -> HashMap<&Target, Vec<usize>> {
    let mut all: HashMap<&Target, Vec<usize>> = HashMap::new();
    for (i, w) in workloads.iter().enumerate().filter(|(_, w)| w.entity.kind == WorkloadKind::Inference) {
        if let Some(target) = &w.target {
            all.entry(target).or_default().push(i);
        }
    }
    all
}

/// The group and the service at two places run in the same pods.
fn together(i: usize, j: usize, workloads: &[Arc<Workload>], edges: &mut Edges) {
    let (Some(group), Some(service)) = (workloads.get(i), workloads.get(j)) else { return };
    let Some(target) = &service.target else { return };
    let sure = |w: &Workload| w.found.as_ref().is_none_or(|f| f.certain);
    let why = format!("both run in the pods of {target}");
    let found = if sure(group) && sure(service) { Found::certain(&why) } else { Found::guess(&why) };
    edges.insert((i, j), found);
}

/// The topics that each group reads.
fn topics<'a>(clusters: &[&'a KafkaCluster]) -> HashMap<Entity, BTreeSet<&'a Label>> {
    let mut all = HashMap::new();
    for cluster in clusters {
        for group in &cluster.groups {
            let kind = WorkloadKind::ConsumerGroup;
            let entity = Entity { kind, source: cluster.name.clone(), id: group.group.clone() };
            all.insert(entity, group.partitions.iter().map(|p| &p.topic).collect());
        }
    }
    all
}

/// Words by what they would mean to a pod: topics, the models of services, and hosts of services as pods name them. A
/// Service of Kubernetes is taken to have the name of what it leads to.
fn dictionary<'a>(workloads: &[Arc<Workload>], clusters: &[&'a KafkaCluster]) -> HashMap<u64, Vec<Meaning<'a>>> {
    let mut words: HashMap<u64, Vec<Meaning<'a>>> = HashMap::new();
    for cluster in clusters {
        for topic in cluster.topics.iter().filter(|t| !t.internal) {
            let meaning = Meaning::Topic(&cluster.name, &topic.name);
            words.entry(Mentions::key(topic.name.as_str())).or_default().push(meaning);
        }
    }
    for (i, service) in workloads.iter().enumerate().filter(|(_, w)| w.entity.kind == WorkloadKind::Inference) {
        let mut names = BTreeSet::from([service.entity.id.to_string()]);
        if let Some((_, namespace, name)) = service.target.as_ref().and_then(Target::kubernetes) {
            let whole = format!("{name}.{namespace}");
            names.extend([format!("{whole}.svc"), format!("{whole}.svc.cluster.local"), name.to_string(), whole]);
        }
        for name in names {
            words.entry(Mentions::key(&name)).or_default().push(Meaning::Service(i));
        }
    }
    words
}

/// Every way from where nothing comes in to where nothing goes on, none through a workload twice.
fn paths(edges: &Edges) -> Vec<Vec<usize>> {
    let mut next: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (a, b) in edges.keys() {
        next.entry(*a).or_default().push(*b);
    }
    let fed: BTreeSet<usize> = edges.keys().map(|(_, b)| *b).collect();
    let mut open: Vec<Vec<usize>> = next.keys().filter(|a| !fed.contains(a)).rev().map(|a| vec![*a]).collect();
    let mut done = Vec::new();
    while let Some(path) = open.pop() {
        let last = path.last().copied().unwrap_or_default();
        let on = next.get(&last).into_iter().flatten().filter(|n| !path.contains(n));
        let longer: Vec<Vec<usize>> = on.map(|n| path.iter().copied().chain([*n]).collect()).collect();
        if done.len() >= MOST {
            break;
        }
        if longer.is_empty() || path.len() >= LONGEST {
            done.push(path);
        } else {
            open.extend(longer.into_iter().rev());
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever feeds whatever: ways are bounded, never go in circles, and use only what is known.
        #[test]
        fn ways_follow_links_and_end(pairs in proptest::collection::btree_set((0usize..9, 0usize..9), 0..40)) {
            let edges: Edges = pairs.into_iter().map(|pair| (pair, Found::guess("x"))).collect();
            let all = paths(&edges);
            prop_assert!(all.len() <= MOST);
            for path in &all {
                prop_assert!(path.len() <= LONGEST);
                prop_assert_eq!(path.iter().collect::<BTreeSet<_>>().len(), path.len(), "nothing twice");
                prop_assert!(path.windows(2).all(|w| edges.contains_key(&(w[0], w[1]))));
            }
            let whole = all.iter().collect::<BTreeSet<_>>();
            prop_assert_eq!(whole.len(), all.len(), "no way twice");
        }
    }
}
