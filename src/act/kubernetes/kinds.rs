//! What is particular to a kind: what must not be done to it, and what the dialog should say.

use super::edit::Object;
use crate::{
    act::Change,
    manifest,
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
            if let Ok(at) = manifest::count_at(object.target, &found.data)
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
