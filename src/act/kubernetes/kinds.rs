//! What is particular to a kind: where its count is, what counts as ready, and what must not be done to it.

use super::{edit::Object, is_autoscaler};
use crate::{
    act::Change,
    model::{Label, ObjectKind, Target},
};
use kube::api::DynamicObject;
use serde_json::Value;

fn kind(object: &Object<'_>) -> Option<ObjectKind> {
    match object.target {
        Target::Object { kind, .. } => Some(*kind),
        _ => None,
    }
}

fn count(found: &DynamicObject, pointer: &str) -> Option<u32> {
    found.data.pointer(pointer).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())
}

fn text<'a>(found: &'a DynamicObject, pointer: &str) -> Option<&'a str> {
    found.data.pointer(pointer).and_then(Value::as_str)
}

/// The count that is asked for.
///
/// # Errors
/// Where the object does not say: GET `/scale` of a custom resource without `spec.replicas` is a 500 (v1.36.4), so no
/// default is guessed for those.
pub(super) fn desired(object: &Object<'_>, found: &DynamicObject) -> Result<u32, String> {
    if is_autoscaler(object.target) {
        return Err(format!("{} is an autoscaler: name what it scales as the target", object.words()));
    }
    let at = object.count_at(found)?;
    match (count(found, &at), kind(object)) {
        (Some(count), _) => Ok(count),
        // The API server's default for its own kinds, and KServe's.
        (None, None | Some(ObjectKind::InferenceService)) => Ok(1),
        (None, Some(_)) => {
            Err(format!("the count of {} is not known: it has no {}", object.words(), at.replace('/', ".")))
        }
    }
}

/// What is ready of the count.
pub(super) fn ready(object: &Object<'_>, found: &DynamicObject, desired: u32) -> u32 {
    let of = |at| count(found, at).unwrap_or(0);
    match kind(object) {
        Some(
            ObjectKind::KafkaNodePool
            | ObjectKind::KafkaConnect
            | ObjectKind::KafkaMirrorMaker2
            | ObjectKind::KafkaBridge,
        ) => {
            // Strimzi tells how many there are, and whether all is well.
            if says_ready(found) || kind(object) == Some(ObjectKind::KafkaNodePool) {
                of("/status/replicas")
            } else {
                0
            }
        }
        Some(ObjectKind::InferenceService) => {
            if says_ready(found) {
                desired
            } else {
                0
            }
        }
        Some(ObjectKind::RayCluster) => of("/status/readyWorkerReplicas"),
        Some(ObjectKind::RayService) => of("/status/activeServiceStatus/rayClusterStatus/readyWorkerReplicas"),
        _ => of("/status/readyReplicas"),
    }
}

fn says_ready(found: &DynamicObject) -> bool {
    let conditions = found.data.pointer("/status/conditions").and_then(Value::as_array);
    let is = |c: &Value, key: &str, value: &str| c.get(key).and_then(Value::as_str) == Some(value);
    conditions.is_some_and(|all| all.iter().any(|c| is(c, "type", "Ready") && is(c, "status", "True")))
}

/// What stands against a change of this kind, and what the dialog should say about it.
pub(super) fn against(object: &Object<'_>, found: &DynamicObject, change: &Change) -> (Vec<Label>, Vec<String>) {
    let (mut against, mut notes): (Vec<Label>, Vec<String>) = (Vec::new(), Vec::new());
    let name = object.name;
    match kind(object) {
        Some(ObjectKind::Rollout) => {
            if let Some(phase @ ("Progressing" | "Paused")) = text(found, "/status/phase")
                && found.data.pointer("/spec/strategy/canary").is_some()
            {
                against.push(
                    format!("a canary of Rollout {name} is under way ({phase}): promote or abort it first").into(),
                );
            }
        }
        Some(ObjectKind::LeaderWorkerSet) => {
            let size = count(found, "/spec/leaderWorkerTemplate/size").unwrap_or(1);
            notes.push(format!("the count is of groups of {size} pods: {} pods after", change.to.saturating_mul(size)));
        }
        Some(ObjectKind::KafkaNodePool) => {
            let roles = found.data.pointer("/spec/roles").and_then(Value::as_array);
            if roles.is_some_and(|r| r.iter().any(|r| r == "controller")) {
                against.push(format!("KafkaNodePool {name} has controllers: their number is no matter of load").into());
            }
            if change.to < change.from {
                against.push(
                    "Strimzi takes no broker away that still has partitions: move them first (KafkaRebalance, mode \
                     remove-brokers)"
                        .into(),
                );
            } else {
                notes.push(
                    "new brokers hold nothing until partitions move to them (KafkaRebalance, mode add-brokers)"
                        .to_owned(),
                );
            }
        }
        Some(ObjectKind::InferenceService) => {
            let max = count(found, "/spec/predictor/maxReplicas").filter(|max| *max > 0 && change.to > *max);
            if let Some(max) = max {
                against.push(format!("its maxReplicas is {max}: raise that in its manifest").into());
            }
            let mode = found.metadata.annotations.as_ref().and_then(|a| a.get("serving.kserve.io/deploymentMode"));
            if mode.is_none_or(|m| m != "RawDeployment" && m != "Standard") {
                notes.push("in serverless mode a new revision is rolled out, which loads the model again".to_owned());
            }
        }
        Some(ObjectKind::RayCluster | ObjectKind::RayService) => {
            if let Ok(at) = object.count_at(found)
                && let Some((group, _)) = at.rsplit_once('/')
                && let Some(max) = count(found, &format!("{group}/maxReplicas")).filter(|max| change.to > *max)
            {
                against.push(format!("maxReplicas of the worker group is {max}: raise that in its manifest").into());
            }
        }
        _ => {}
    }
    (against, notes)
}
