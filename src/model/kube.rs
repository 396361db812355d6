//! What was read from the Kubernetes API.

use super::{Label, Target, Time};
use serde::Serialize;

/// Scalable objects and autoscalers of the watched namespaces.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KubeState {
    /// The pinned context.
    pub context: Label,
    /// When the last watch event or list arrived.
    pub at: Time,
    /// Deployments and StatefulSets.
    pub workloads: Vec<KubeWorkload>,
    /// HorizontalPodAutoscalers (autoscaling/v2).
    pub hpas: Vec<Hpa>,
    /// KEDA ScaledObjects.
    pub scaled_objects: Vec<ScaledObject>,
    /// Sentences about what could not be read (403 on a resource, CRD absent is no notice).
    pub notices: Vec<Label>,
}

/// A Deployment or StatefulSet.
#[derive(Clone, Debug, Serialize)]
pub struct KubeWorkload {
    /// What it is.
    pub target: Target,
    /// `metadata.uid`: an object made again under the same name has another.
    pub uid: Label,
    /// `spec.replicas` (1 when absent).
    pub desired: u32,
    /// `status.replicas`.
    pub current: u32,
    /// `status.readyReplicas`.
    pub ready: u32,
    /// The controller has seen the latest spec: `status.observedGeneration >= metadata.generation`.
    pub observed: bool,
    /// When it was last seen to change.
    pub at: Time,
    /// Manager that last wrote `spec.replicas` by `managedFields`: a hint only (see kubernetes.md §7).
    pub last_writer: Option<Label>,
    /// Argo CD or Flux labels found: a GitOps tool may put the count back.
    pub gitops: Option<Label>,
}

/// An HPA.
#[derive(Clone, Debug, Serialize)]
pub struct Hpa {
    /// Namespace.
    pub namespace: Label,
    /// Name.
    pub name: Label,
    /// Scale target as `Kind/name`.
    pub target_kind: Label,
    /// Scale target's name.
    pub target_name: Label,
    /// `spec.minReplicas` (1 when absent).
    pub min: u32,
    /// `spec.maxReplicas`.
    pub max: u32,
    /// `status.desiredReplicas`.
    pub desired: Option<u32>,
    /// ScaledObject that made it (label `app.kubernetes.io/managed-by: keda-operator`).
    pub keda: bool,
    /// One sentence per metric: `external s0-kafka-orders AverageValue 10`.
    pub metrics: Vec<Label>,
}

/// A KEDA ScaledObject.
#[derive(Clone, Debug, Serialize)]
pub struct ScaledObject {
    /// Namespace.
    pub namespace: Label,
    /// Name.
    pub name: Label,
    /// Kind of the scale target (Deployment when absent).
    pub target_kind: Label,
    /// Scale target's name.
    pub target_name: Label,
    /// `minReplicaCount` (0 when absent).
    pub min: u32,
    /// `maxReplicaCount` (100 when absent).
    pub max: u32,
    /// Kafka triggers.
    pub kafka: Vec<KafkaTrigger>,
    /// Whether a pause annotation is set, and which.
    pub paused: Option<Label>,
}

/// A Kafka trigger of a ScaledObject.
#[allow(clippy::struct_excessive_bools)] // KEDA's own four switches
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KafkaTrigger {
    /// `consumerGroup`.
    pub group: Label,
    /// `topic`; empty: all topics of the group.
    pub topic: Option<Label>,
    /// `lagThreshold` (10 when absent).
    pub lag_threshold: f64,
    /// `allowIdleConsumers`.
    pub allow_idle: bool,
    /// `limitToPartitionsWithLag`.
    pub limit_to_partitions_with_lag: bool,
    /// `ensureEvenDistributionOfPartitions`.
    pub ensure_even: bool,
    /// `excludePersistentLag`.
    pub exclude_persistent: bool,
}
