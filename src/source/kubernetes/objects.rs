//! Kubernetes objects as the model has them. Tolerant: an absent field has the API's default, never an error.

use crate::model::{Hpa, KafkaTrigger, KubeWorkload, Label, ScaledObject, Target, Time};
use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::Value;

fn label(value: &str) -> Label {
    Label::new(value)
}

fn text<'a>(data: &'a Value, pointer: &str) -> Option<&'a str> {
    data.pointer(pointer).and_then(Value::as_str)
}

fn count(data: &Value, pointer: &str) -> Option<u32> {
    data.pointer(pointer).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())
}

fn namespace(object: &DynamicObject) -> Label {
    label(object.metadata.namespace.as_deref().unwrap_or("default"))
}

/// A Deployment or StatefulSet, seen to change at `at`.
pub(super) fn workload(object: &DynamicObject, stateful: bool, at: Time) -> KubeWorkload {
    let (namespace, name) = (namespace(object), label(&object.name_any()));
    let target =
        if stateful { Target::StatefulSet { namespace, name } } else { Target::Deployment { namespace, name } };
    let generation = object.metadata.generation.unwrap_or(0);
    let observed = object.data.pointer("/status/observedGeneration").and_then(Value::as_i64).unwrap_or(0);
    KubeWorkload {
        target,
        uid: label(object.metadata.uid.as_deref().unwrap_or("")),
        desired: count(&object.data, "/spec/replicas").unwrap_or(1),
        current: count(&object.data, "/status/replicas").unwrap_or(0),
        ready: count(&object.data, "/status/readyReplicas").unwrap_or(0),
        observed: observed >= generation,
        at,
        last_writer: last_writer(object),
        gitops: gitops(object),
    }
}

/// Manager of the newest `managedFields` entry that holds `spec.replicas`. A hint: the server forgets the owner after a
/// scale to zero, and never records scale writes on objects applied without `spec.replicas` (measured on v1.36.4).
fn last_writer(object: &DynamicObject) -> Option<Label> {
    let entries = object.metadata.managed_fields.iter().flatten();
    entries
        .filter(|e| e.fields_v1.as_ref().is_some_and(|f| f.0.pointer("/f:spec/f:replicas").is_some()))
        .max_by_key(|e| e.time.as_ref().map(|t| t.0))
        .and_then(|e| e.manager.as_deref().map(label))
}

fn gitops(object: &DynamicObject) -> Option<Label> {
    if let Some(id) = object.annotations().get("argocd.argoproj.io/tracking-id") {
        return Some(label(&format!("Argo CD {}", id.split(':').next().unwrap_or(""))));
    }
    let flux = ["kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"];
    let name = flux.iter().find_map(|key| object.labels().get(*key))?;
    Some(label(&format!("Flux {name}")))
}

/// An HPA of autoscaling/v2.
pub(super) fn hpa(object: &DynamicObject) -> Hpa {
    let data = &object.data;
    let managed = object.labels().get("app.kubernetes.io/managed-by");
    Hpa {
        namespace: namespace(object),
        name: label(&object.name_any()),
        target_kind: label(text(data, "/spec/scaleTargetRef/kind").unwrap_or("")),
        target_name: label(text(data, "/spec/scaleTargetRef/name").unwrap_or("")),
        min: count(data, "/spec/minReplicas").unwrap_or(1),
        max: count(data, "/spec/maxReplicas").unwrap_or(1),
        desired: count(data, "/status/desiredReplicas"),
        keda: managed.is_some_and(|m| m == "keda-operator"),
        metrics: list(data, "/spec/metrics").iter().map(|m| label(&metric(m))).collect(),
    }
}

/// `external s0-kafka-orders AverageValue 10`, `resource cpu Utilization 70`.
fn metric(metric: &Value) -> String {
    let kind = text(metric, "/type").unwrap_or("");
    let (word, part) = match kind {
        "Resource" => ("resource", "resource"),
        "ContainerResource" => ("container resource", "containerResource"),
        "Pods" => ("pods", "pods"),
        "Object" => ("object", "object"),
        "External" => ("external", "external"),
        other => return other.to_owned(),
    };
    let part = metric.get(part).unwrap_or(&Value::Null);
    let name = text(part, "/metric/name").or_else(|| text(part, "/name")).unwrap_or("?");
    let target = part.get("target").unwrap_or(&Value::Null);
    let goal = match text(target, "/type") {
        Some("Utilization") => plain(target.get("averageUtilization")),
        Some("AverageValue") => plain(target.get("averageValue")),
        _ => plain(target.get("value")),
    };
    format!("{word} {name} {} {goal}", text(target, "/type").unwrap_or("?"))
}

/// A quantity or number as it is written.
fn plain(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => "?".to_owned(),
    }
}

fn list<'a>(data: &'a Value, pointer: &str) -> &'a [Value] {
    data.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A KEDA ScaledObject with its Kafka triggers.
pub(super) fn scaled_object(object: &DynamicObject) -> ScaledObject {
    let data = &object.data;
    let pauses = ["paused-replicas", "paused", "paused-scale-in", "paused-scale-out"];
    let paused = pauses.iter().find_map(|pause| {
        let value = object.annotations().get(&format!("autoscaling.keda.sh/{pause}"))?;
        // KEDA takes every value that is not a boolean false for true.
        let off =
            *pause != "paused-replicas" && matches!(value.as_str(), "false" | "False" | "FALSE" | "f" | "F" | "0");
        (!off).then(|| label(&format!("{pause}={value}")))
    });
    ScaledObject {
        namespace: namespace(object),
        name: label(&object.name_any()),
        target_kind: label(text(data, "/spec/scaleTargetRef/kind").unwrap_or("Deployment")),
        target_name: label(text(data, "/spec/scaleTargetRef/name").unwrap_or("")),
        min: count(data, "/spec/minReplicaCount").unwrap_or(0),
        max: count(data, "/spec/maxReplicaCount").unwrap_or(100),
        kafka: list(data, "/spec/triggers").iter().filter_map(kafka_trigger).collect(),
        paused,
    }
}

fn kafka_trigger(trigger: &Value) -> Option<KafkaTrigger> {
    if !matches!(text(trigger, "/type"), Some("kafka" | "apache-kafka")) {
        return None;
    }
    let metadata = trigger.get("metadata").unwrap_or(&Value::Null);
    let word = |key: &str| metadata.get(key).and_then(Value::as_str).filter(|s| !s.is_empty());
    let flag = |key| word(key).is_some_and(|v| matches!(v, "true" | "True" | "TRUE" | "t" | "T" | "1"));
    let threshold = word("lagThreshold").and_then(|v| v.parse::<f64>().ok()).filter(|v| v.is_finite() && *v > 0.0);
    Some(KafkaTrigger {
        group: label(word("consumerGroup").or_else(|| word("group")).unwrap_or("")),
        topic: word("topic").map(label),
        lag_threshold: threshold.unwrap_or(10.0),
        allow_idle: flag("allowIdleConsumers"),
        limit_to_partitions_with_lag: flag("limitToPartitionsWithLag"),
        ensure_even: flag("ensureEvenDistributionOfPartitions"),
        exclude_persistent: flag("excludePersistentLag"),
    })
}
