//! The world's objects as the API's JSON.

use super::pods;
use crate::{
    model::{
        Hpa, HpaMetric, KafkaTrigger, Label, MetricSource, MetricTarget, ScaledObject, Time, Vpa, VpaContainer,
        VpaRange,
    },
    world::{CONTAINER, Deployment, Meta, State},
};
use serde_json::{Map, Value, json};

/// A kind that this face serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Deployment,
    StatefulSet,
    Hpa,
    ScaledObject,
    Pod,
    ReplicaSet,
    Vpa,
}

/// One object with what lists and watches look at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Served {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) version: u64,
    pub(super) json: Value,
}

impl Resource {
    pub(super) const ALL: [Self; 7] =
        [Self::Deployment, Self::StatefulSet, Self::Hpa, Self::ScaledObject, Self::Pod, Self::ReplicaSet, Self::Vpa];

    pub(super) fn find(group: &str, version: &str, plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| (r.group(), r.version(), r.plural()) == (group, version, plural))
    }

    pub(super) fn group(self) -> &'static str {
        match self {
            Self::Deployment | Self::StatefulSet | Self::ReplicaSet => "apps",
            Self::Pod => "",
            Self::Hpa => "autoscaling",
            Self::ScaledObject => "keda.sh",
            Self::Vpa => "autoscaling.k8s.io",
        }
    }

    pub(super) fn version(self) -> &'static str {
        match self {
            Self::Deployment | Self::StatefulSet | Self::ReplicaSet | Self::Pod | Self::Vpa => "v1",
            Self::Hpa => "v2",
            Self::ScaledObject => "v1alpha1",
        }
    }

    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::Hpa => "HorizontalPodAutoscaler",
            Self::ScaledObject => "ScaledObject",
            Self::Pod => "Pod",
            Self::ReplicaSet => "ReplicaSet",
            Self::Vpa => "VerticalPodAutoscaler",
        }
    }

    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::Hpa => "horizontalpodautoscalers",
            Self::ScaledObject => "scaledobjects",
            Self::Pod => "pods",
            Self::ReplicaSet => "replicasets",
            Self::Vpa => "verticalpodautoscalers",
        }
    }

    pub(super) fn api_version(self) -> String {
        if self.group().is_empty() { self.version().to_owned() } else { format!("{}/{}", self.group(), self.version()) }
    }

    /// Whether its count can be read and written alone.
    pub(super) fn has_scale(self) -> bool {
        matches!(self, Self::Deployment | Self::StatefulSet)
    }

    /// Every object of this kind.
    pub(super) fn all(self, state: &State) -> Vec<Served> {
        match self {
            Self::Deployment => state.deployments().iter().map(|d| deployment(state, d)).collect(),
            Self::StatefulSet => Vec::new(),
            Self::Pod => pods::all(state),
            Self::ReplicaSet => pods::replica_sets(state),
            Self::Hpa => state.hpas().iter().map(|o| hpa(&o.meta, &o.value)).collect(),
            Self::ScaledObject => state.scaled_objects().iter().map(|o| scaled_object(&o.meta, &o.value)).collect(),
            Self::Vpa => state.vpas().iter().map(|o| vpa(&o.meta, &o.value)).collect(),
        }
    }

    pub(super) fn served(self, namespace: &str, name: &str, version: u64, mut json: Value) -> Served {
        if let Some(fields) = json.as_object_mut() {
            fields.insert("apiVersion".to_owned(), self.api_version().into());
            fields.insert("kind".to_owned(), self.kind().into());
        }
        Served { namespace: namespace.to_owned(), name: name.to_owned(), version, json }
    }
}

/// The API's instants have whole seconds.
pub(super) fn instant(t: Time) -> String {
    t.floor_to(1.0).to_string().replace(".000Z", "Z")
}

fn deployment(state: &State, d: &Deployment) -> Served {
    let (writer, written) = &d.last_writer;
    let labels = json!({"app": d.name});
    let mut status = Map::new();
    status.insert("observedGeneration".to_owned(), d.observed_generation.into());
    // As the server does, a zero is left out.
    let counts = [
        ("replicas", d.current),
        ("updatedReplicas", d.current),
        ("readyReplicas", d.ready),
        ("availableReplicas", d.ready),
        ("unavailableReplicas", d.desired.saturating_sub(d.ready)),
    ];
    status.extend(counts.into_iter().filter(|(_, n)| *n > 0).map(|(key, n)| (key.to_owned(), Value::from(n))));
    let json = json!({
        "metadata": {
            "name": d.name, "namespace": d.namespace, "uid": d.uid, "generation": d.generation,
            "resourceVersion": d.resource_version.to_string(), "creationTimestamp": instant(d.created),
            "labels": d.labels,
            "managedFields": [{
                "manager": writer, "operation": "Update", "subresource": "scale", "apiVersion": "apps/v1",
                "time": instant(*written), "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:replicas": {}}},
            }],
        },
        "spec": {
            "replicas": d.desired,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{
                    "name": CONTAINER, "image": "registry.invalid/simulated:1", "env": pods::environment(state, d),
                    "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
                }]},
            },
        },
        "status": status,
    });
    Resource::Deployment.served(&d.namespace, &d.name, d.resource_version, json)
}

fn metadata(namespace: &Label, name: &Label, meta: &Meta) -> Value {
    json!({
        "name": name, "namespace": namespace, "uid": meta.uid, "generation": meta.generation,
        "resourceVersion": meta.resource_version.to_string(), "creationTimestamp": instant(meta.created),
        "labels": meta.labels,
    })
}

fn hpa(meta: &Meta, hpa: &Hpa) -> Served {
    let json = json!({
        "metadata": metadata(&hpa.namespace, &hpa.name, meta),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": hpa.target_kind, "name": hpa.target_name},
            "minReplicas": hpa.min, "maxReplicas": hpa.max,
            "metrics": hpa.metrics.iter().filter_map(metric).collect::<Vec<Value>>(),
        },
        "status": {"desiredReplicas": hpa.desired.unwrap_or(0), "currentReplicas": hpa.desired.unwrap_or(0)},
    });
    Resource::Hpa.served(hpa.namespace.as_str(), hpa.name.as_str(), meta.resource_version, json)
}

/// In the API's words; a metric whose target is not known has none to serve.
fn metric(metric: &HpaMetric) -> Option<Value> {
    let goal = match metric.target? {
        MetricTarget::Utilization(percent) => json!({"type": "Utilization", "averageUtilization": percent}),
        MetricTarget::AverageValue(q) => json!({"type": "AverageValue", "averageValue": q}),
        MetricTarget::Value(q) => json!({"type": "Value", "value": q}),
    };
    let name = &metric.name;
    match &metric.source {
        MetricSource::Resource => Some(json!({"type": "Resource", "resource": {"name": name, "target": goal}})),
        MetricSource::Pods => Some(json!({"type": "Pods", "pods": {"metric": {"name": name}, "target": goal}})),
        MetricSource::External => {
            Some(json!({"type": "External", "external": {"metric": {"name": name}, "target": goal}}))
        }
        MetricSource::ContainerResource(_) | MetricSource::Object(_) | MetricSource::Other(_) => None,
    }
}

fn scaled_object(meta: &Meta, object: &ScaledObject) -> Served {
    let mut metadata = metadata(&object.namespace, &object.name, meta);
    if let Some((pause, value)) = object.paused.as_ref().and_then(|p| p.as_str().split_once('=')) {
        metadata["annotations"] = json!({format!("autoscaling.keda.sh/{pause}"): value});
    }
    let json = json!({
        "metadata": metadata,
        "spec": {
            "scaleTargetRef": {"kind": object.target_kind, "name": object.target_name},
            "minReplicaCount": object.min, "maxReplicaCount": object.max,
            "triggers": object.kafka().map(kafka_trigger).collect::<Vec<Value>>(),
        },
        "status": {"hpaName": format!("keda-hpa-{}", object.name)},
    });
    Resource::ScaledObject.served(object.namespace.as_str(), object.name.as_str(), meta.resource_version, json)
}

/// KEDA's trigger metadata are strings, all of them.
fn kafka_trigger(trigger: &KafkaTrigger) -> Value {
    let mut metadata = json!({
        "bootstrapServers": "kafka.simulated:9092",
        "consumerGroup": trigger.group,
        "lagThreshold": trigger.lag_threshold.to_string(),
        "allowIdleConsumers": trigger.allow_idle.to_string(),
        "limitToPartitionsWithLag": trigger.limit_to_partitions_with_lag.to_string(),
        "ensureEvenDistributionOfPartitions": trigger.ensure_even.to_string(),
        "excludePersistentLag": trigger.exclude_persistent.to_string(),
    });
    if let Some(topic) = &trigger.topic {
        metadata["topic"] = json!(topic);
    }
    json!({"type": "kafka", "metadata": metadata})
}

fn vpa(meta: &Meta, vpa: &Vpa) -> Served {
    let bound = |c: &VpaContainer, of: fn(&VpaRange) -> Option<f64>| {
        let memory = c.memory.as_ref().and_then(of).map(|bytes| format!("{bytes:.0}"));
        json!({"cpu": c.cpu.as_ref().and_then(of).map(|cores| format!("{:.0}m", cores * 1_000.0)), "memory": memory})
    };
    let container = |c: &VpaContainer| {
        json!({
            "containerName": c.name, "target": bound(c, |r| Some(r.target)), "lowerBound": bound(c, |r| r.lower),
            "upperBound": bound(c, |r| r.upper), "uncappedTarget": bound(c, |r| r.uncapped),
        })
    };
    let json = json!({
        "metadata": metadata(&vpa.namespace, &vpa.name, meta),
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": vpa.target_kind, "name": vpa.target_name},
            "updatePolicy": {"updateMode": vpa.mode.name()},
        },
        "status": {
            "conditions": [{"type": "RecommendationProvided", "status": "True"}],
            "recommendation": {"containerRecommendations": vpa.containers.iter().map(container).collect::<Vec<Value>>()},
        },
    });
    Resource::Vpa.served(vpa.namespace.as_str(), vpa.name.as_str(), meta.resource_version, json)
}
