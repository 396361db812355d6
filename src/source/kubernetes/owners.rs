//! Who owns what, from a pod up to what can be scaled, by `metadata.ownerReferences`.
//!
//! What is watched anyway tells its owners by itself. What lies between (ReplicaSets, StrimziPodSets, Jobs) is asked for
//! once by name, its metadata alone, and remembered by uid: the owner of an object never changes in practice.

use super::connect::words;
use crate::model::{Label, ObjectKind, PodOwner, Target};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    core::GroupVersion,
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};
use tokio::time::timeout;

/// Steps from a pod to its top: a pod of a model on KServe takes three, a worker of a LeaderWorkerSet four.
const HIGHEST: usize = 8;
/// Objects that are asked for at the same time.
const AT_ONCE: usize = 8;
const DEADLINE: Duration = Duration::from_secs(10);
/// Where Deployments and Rollouts write the hash that ends the name of their ReplicaSet.
const HASHES: [(&str, &str); 2] = [("pod-template-hash", "Deployment"), ("rollouts-pod-template-hash", "Rollout")];
/// The worker group of a pod of Ray.
const RAY_GROUP: &str = "ray.io/group";

/// An object as another one names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reference {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
    uid: String,
}

/// What lies above an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Above {
    /// Nothing: it is the top.
    Nothing,
    /// Its owner.
    Owner(Reference),
    /// It cannot be read, for good.
    Unread(String),
}

impl Above {
    /// By an object's metadata. The controller, or the only owner there is: Strimzi's objects name theirs without saying
    /// that it controls them.
    pub(super) fn of(metadata: &kube::api::ObjectMeta) -> Self {
        let all = metadata.owner_references.as_deref().unwrap_or_default();
        let owner =
            all.iter().find(|o| o.controller == Some(true)).or(if let [only] = all { Some(only) } else { None });
        let namespace = metadata.namespace.clone().unwrap_or_default();
        owner.map_or(Self::Nothing, |o| {
            Self::Owner(Reference {
                api_version: o.api_version.clone(),
                kind: o.kind.clone(),
                namespace,
                name: o.name.clone(),
                uid: o.uid.clone(),
            })
        })
    }
}

/// What is known of owners so far.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// What lies above the object of a uid.
    above: HashMap<String, Above>,
    /// Uids that were asked for and not answered.
    asked: HashSet<String>,
}

impl Owners {
    /// Learns from an object that was seen.
    pub(super) fn learn(&mut self, object: &DynamicObject) {
        if let Some(uid) = &object.metadata.uid {
            self.above.insert(uid.clone(), Above::of(&object.metadata));
        }
    }

    /// Takes the answer about an object in; `None`: nobody can say now, it is asked for again.
    pub(super) fn answer(&mut self, of: &Reference, above: Option<Above>) {
        self.asked.remove(&of.uid);
        if let Some(above) = above {
            self.above.insert(of.uid.clone(), above);
        }
    }

    /// The objects from `first` up, and why the way ends where it does; `Err`: the object that must be asked for first.
    fn climb<'a>(&'a self, first: &'a Reference) -> Result<(Vec<&'a Reference>, Option<&'a str>), &'a Reference> {
        let mut path = vec![first];
        let mut top = first;
        while path.len() < HIGHEST {
            match self.above.get(&top.uid) {
                None => return Err(top),
                Some(Above::Nothing) => return Ok((path, None)),
                Some(Above::Unread(why)) => return Ok((path, Some(why))),
                Some(Above::Owner(next)) => {
                    path.push(next);
                    top = next;
                }
            }
        }
        Ok((path, Some("the owners own each other")))
    }

    /// Objects that must be asked for before every way is known; they count as asked from now on.
    pub(super) fn missing<'a>(&mut self, firsts: impl Iterator<Item = &'a Reference>) -> Vec<Reference> {
        let mut room = AT_ONCE.saturating_sub(self.asked.len());
        let mut missing: Vec<Reference> = Vec::new();
        for first in firsts {
            if room == 0 {
                break;
            }
            if let Err(unknown) = self.climb(first)
                && !self.asked.contains(&unknown.uid)
                && missing.iter().all(|m| m.uid != unknown.uid)
            {
                missing.push(unknown.clone());
                room -= 1;
            }
        }
        self.asked.extend(missing.iter().map(|m| m.uid.clone()));
        missing
    }

    /// Forgets what no way leads over any more.
    pub(super) fn keep_only<'a>(&mut self, firsts: impl Iterator<Item = &'a Reference>) {
        let mut used: HashSet<String> = HashSet::new();
        for first in firsts {
            let mut next = Some(first);
            while let Some(object) = next.filter(|o| !used.contains(&o.uid)) {
                used.insert(object.uid.clone());
                next = match self.above.get(&object.uid) {
                    Some(Above::Owner(above)) => Some(above),
                    _ => None,
                };
            }
        }
        self.above.retain(|uid, _| used.contains(uid));
    }

    /// Kinds that can be scaled and were met as owners.
    pub(super) fn kinds(&self) -> BTreeSet<ObjectKind> {
        let met = self.above.values().filter_map(|a| match a {
            Above::Owner(owner) => Some(owner),
            Above::Nothing | Above::Unread(_) => None,
        });
        met.filter_map(kind_of).collect()
    }

    /// The way up from a pod's own owner. `labels` are the pod's: they name the worker group of Ray, and the Deployment
    /// where the ReplicaSet cannot be read.
    pub(super) fn owner(&self, first: &Reference, labels: &PodLabels) -> Option<PodOwner> {
        let (path, why) = self.climb(first).ok()?;
        let top = path.last()?;
        let unread = why.map(|why| format!("{} {} cannot be read: {why}", top.kind, top.name));
        let mut words: Vec<String> = path.iter().map(|r| format!("{} {}", r.kind, r.name)).collect();
        let mut target = target(top, labels);
        if let (Some(_), Some((kind, name))) = (why, labels.owner_of(&top.name)) {
            target = Target::of_kind(kind, &top.namespace, name);
            words.push(format!("{kind} {name}"));
        }
        let path = Label::new(&words.join(" → "));
        Some(PodOwner { path, target, unread: unread.map(|u| Label::new(&u)) })
    }
}

/// What of a pod's labels says who owns it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct PodLabels {
    /// The hash in its ReplicaSet's name, and the kind that writes it there.
    hash: Option<(String, &'static str)>,
    ray_group: Option<String>,
}

impl PodLabels {
    pub(super) fn of(pod: &DynamicObject) -> Self {
        let label = |key: &str| pod.labels().get(key).cloned();
        Self { hash: HASHES.iter().find_map(|(key, kind)| Some((label(key)?, *kind))), ray_group: label(RAY_GROUP) }
    }

    /// Kind and name of the owner of a ReplicaSet, by how the name was made.
    fn owner_of<'a>(&self, replica_set: &'a str) -> Option<(&'static str, &'a str)> {
        let (hash, kind) = self.hash.as_ref()?;
        Some((*kind, replica_set.strip_suffix(hash.as_str())?.strip_suffix('-')?))
    }
}

fn kind_of(owner: &Reference) -> Option<ObjectKind> {
    // Jobs are targets by their template, autoscalers own nothing.
    let named = |k: &ObjectKind| !matches!(k, ObjectKind::Job | ObjectKind::Hpa | ObjectKind::ScaledObject);
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    ObjectKind::ALL.into_iter().filter(named).find(|k| k.api().kind == owner.kind && k.api().group == group)
}

fn target(top: &Reference, labels: &PodLabels) -> Option<Target> {
    if top.api_version == "apps/v1" {
        return matches!(top.kind.as_str(), "Deployment" | "StatefulSet")
            .then(|| Target::of_kind(&top.kind, &top.namespace, &top.name))
            .flatten();
    }
    let kind = kind_of(top)?;
    let part = kind.has_part().then(|| labels.ray_group.as_deref().map(Label::new));
    if part == Some(None) {
        return None;
    }
    let (namespace, name) = (Label::new(&top.namespace), Label::new(&top.name));
    Some(Target::Object { kind, namespace, name, part: part.flatten() })
}

/// Asks for what lies above an object. `None`: there was no answer, or one that may be another the next time.
pub(super) async fn look(client: Client, of: Reference) -> (Reference, Option<Above>) {
    let above = ask(&client, &of).await;
    (of, above)
}

async fn ask(client: &Client, of: &Reference) -> Option<Above> {
    let Ok(version) = of.api_version.parse::<GroupVersion>() else {
        return Some(Above::Unread("its apiVersion is none".to_owned()));
    };
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(&version.group, &version.version, &of.kind));
    let api: Api<DynamicObject> = match of.namespace.as_str() {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    match timeout(DEADLINE, api.get_metadata(&of.name)).await {
        Ok(Ok(found)) if found.metadata.uid.as_deref() == Some(of.uid.as_str()) => Some(Above::of(&found.metadata)),
        Ok(Ok(_)) => Some(Above::Unread("it was made again under the same name".to_owned())),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
            Some(Above::Unread(format!("not allowed: grant get on {}", resource.plural)))
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Some(Above::Unread("it is gone".to_owned())),
        Ok(Err(error)) => {
            tracing::debug!("{} {}/{}: {}", of.kind, of.namespace, of.name, words(&error));
            None
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn object(kind: &str, name: &str, owner: Option<(&str, &str, &str)>, labels: &serde_json::Value) -> DynamicObject {
        let owners: Vec<_> = owner
            .iter()
            .map(|(api, kind, name)| json!({"apiVersion": api, "kind": kind, "name": name, "uid": format!("{kind}-{name}"), "controller": true}))
            .collect();
        serde_json::from_value(json!({"metadata": {
            "name": name, "namespace": "ml", "uid": format!("{kind}-{name}"), "ownerReferences": owners, "labels": labels,
        }}))
        .unwrap()
    }

    fn first(pod: &DynamicObject) -> Reference {
        match Above::of(&pod.metadata) {
            Above::Owner(first) => first,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pod_leads_over_what_is_between_to_what_can_be_scaled() {
        let mut owners = Owners::default();
        let pod = object("Pod", "m-1", Some(("apps/v1", "ReplicaSet", "m-7c9")), &json!({}));
        let first = first(&pod);
        assert_eq!(owners.owner(&first, &PodLabels::default()), None, "not known yet");
        let missing = owners.missing([&first].into_iter());
        assert_eq!(missing, std::slice::from_ref(&first));
        assert!(owners.missing([&first].into_iter()).is_empty(), "asked for once");
        owners.learn(&object("ReplicaSet", "m-7c9", Some(("apps/v1", "Deployment", "m")), &json!({})));
        owners.learn(&object(
            "Deployment",
            "m",
            Some(("serving.kserve.io/v1beta1", "InferenceService", "m")),
            &json!({}),
        ));
        owners.answer(&missing[0], None);
        assert_eq!(owners.kinds().into_iter().collect::<Vec<_>>(), [ObjectKind::InferenceService]);
        let top = owners.missing([&first].into_iter());
        assert_eq!(top[0].kind, "InferenceService");
        owners.answer(&top[0], Some(Above::Nothing));
        let found = owners.owner(&first, &PodLabels::default()).unwrap();
        assert_eq!(found.path.as_str(), "ReplicaSet m-7c9 → Deployment m → InferenceService m");
        assert_eq!(found.target.unwrap().to_string(), "inferenceservice/ml/m");
        assert_eq!(found.unread, None);
        owners.keep_only(std::iter::empty());
        assert!(owners.above.is_empty());
    }

    #[test]
    fn a_replica_set_that_may_not_be_read_leads_on_by_its_name_and_that_is_said() {
        let mut owners = Owners::default();
        let pod = object("Pod", "m-1", Some(("apps/v1", "ReplicaSet", "m-7c9")), &json!({"pod-template-hash": "7c9"}));
        let first = first(&pod);
        owners.answer(&first, Some(Above::Unread("not allowed".to_owned())));
        let found = owners.owner(&first, &PodLabels::of(&pod)).unwrap();
        assert_eq!(found.target.unwrap().to_string(), "deploy/ml/m");
        assert!(found.unread.unwrap().as_str().contains("not allowed"));
    }

    #[test]
    fn a_worker_of_ray_belongs_to_its_group() {
        let mut owners = Owners::default();
        let pod = object("Pod", "w", Some(("ray.io/v1", "RayCluster", "train")), &json!({"ray.io/group": "gpu"}));
        owners.answer(&first(&pod), Some(Above::Nothing));
        let found = owners.owner(&first(&pod), &PodLabels::of(&pod)).unwrap();
        assert_eq!(found.target.unwrap().to_string(), "raycluster/ml/train/gpu");
    }

    proptest! {
        /// Whatever owns whatever, in circles too: the way ends, and is either known or has one object to ask for.
        #[test]
        fn every_way_ends(edges in proptest::collection::vec((0u8..12, 0u8..12), 0..24), start in 0u8..12) {
            let mut owners = Owners::default();
            let name = |n: u8| n.to_string();
            for (from, to) in edges {
                owners.learn(&object("ReplicaSet", &name(from), Some(("apps/v1", "ReplicaSet", &name(to))), &json!({})));
            }
            let pod = object("Pod", "p", Some(("apps/v1", "ReplicaSet", &name(start))), &json!({}));
            let first = first(&pod);
            let known = owners.owner(&first, &PodLabels::default());
            prop_assert_eq!(known.is_none(), owners.missing([&first].into_iter()).len() == 1);
            prop_assert!(known.is_none_or(|k| k.target.is_none()), "a ReplicaSet is no target");
        }
    }
}
