//! What was read from the Kubernetes API.

use super::{Hpa, Label, ScaledObject, Target, Time};
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
    /// Whether the Jobs of templates are followed everywhere: one that has no Job then has the count 0.
    pub jobs_followed: bool,
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
    /// Images of the pod template's containers, in its order, with commas between them; `None`: it has no template.
    pub image: Option<Label>,
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
