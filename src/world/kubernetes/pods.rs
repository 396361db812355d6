//! The pods of the world's deployments, each owned by a ReplicaSet that its deployment owns, as the API's JSON.

use super::objects::{Resource, Served};
use crate::world::{Deployment, State, objects::Part, pods};
use serde_json::{Value, json};

/// Where pods run: one node is enough for everybody.
const NODE: &str = "node-1";

/// The running pods of every deployment but the training queue's, whose workers are their runs' own.
pub(super) fn all(state: &State) -> Vec<Served> {
    state.deployments().iter().flat_map(|d| pods::of(state, d).into_iter().map(move |p| pod(d, &p))).collect()
}

/// The ReplicaSet of every deployment.
pub(super) fn replica_sets(state: &State) -> Vec<Served> {
    let one = |d: &Deployment| {
        let json = json!({"metadata": {
            "name": pods::replica_set(&d.name), "namespace": d.namespace, "uid": format!("rs-{}", d.uid),
            "resourceVersion": d.resource_version.to_string(),
            "ownerReferences": [owner("Deployment", &d.name, &d.uid)],
        }});
        Resource::ReplicaSet.served(&d.namespace, &pods::replica_set(&d.name), d.resource_version, json)
    };
    state.deployments().iter().map(one).collect()
}

fn owner(kind: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true, "blockOwnerDeletion": true})
}

fn pod(d: &Deployment, pod: &pods::Pod) -> Served {
    let json = json!({
        "metadata": {
            "name": pod.name, "namespace": d.namespace, "uid": format!("pod-{}", pod.name),
            "resourceVersion": d.resource_version.to_string(),
            "labels": {"app": d.name, "pod-template-hash": pods::HASH},
            "ownerReferences": [owner("ReplicaSet", &pods::replica_set(&d.name), &format!("rs-{}", d.uid))],
        },
        "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "registry.invalid/simulated:1"}]},
        "status": {
            "phase": "Running", "podIP": pod.address.to_string(), "podIPs": [{"ip": pod.address.to_string()}],
        },
    });
    Resource::Pod.served(&d.namespace, &pod.name, d.resource_version, json)
}

/// What a deployment's pods are told: a group's where the models are that it calls.
pub(super) fn environment(state: &State, d: &Deployment) -> Vec<Value> {
    let Part::Group(group) = d.part else { return Vec::new() };
    let calls = |other: &&Deployment| matches!(other.part, Part::Fleet(f) if state.services.get(f).is_some_and(|s| s.caller == group));
    let models = state.deployments().iter().filter(calls);
    let url =
        |m: &Deployment| json!({"name": "MODEL_URL", "value": format!("http://{}.{}:8000/v1", m.name, m.namespace)});
    models.map(url).collect()
}
