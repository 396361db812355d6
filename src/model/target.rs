//! The object whose replica count changes.

use super::Label;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// What carries a count: a Kubernetes object or something behind a configured actuator.
///
/// ```
/// use highwater::model::Target;
/// let t: Target = "deploy/payments/fraud-scorer".parse().unwrap();
/// assert_eq!(t.to_string(), "deploy/payments/fraud-scorer");
/// let t: Target = "raycluster/ml/trainers/gpu-workers".parse().unwrap();
/// assert_eq!(t.kubernetes().unwrap().0, "RayCluster");
/// assert!("pods/a/b".parse::<Target>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// `deploy/NAMESPACE/NAME`
    Deployment {
        /// Namespace.
        namespace: Label,
        /// Name.
        name: Label,
    },
    /// `sts/NAMESPACE/NAME`
    StatefulSet {
        /// Namespace.
        namespace: Label,
        /// Name.
        name: Label,
    },
    /// `command/NAME`: `[actuator.command.NAME]` of the configuration.
    Command(Label),
    /// An object of another kind, such as `rollout/NAMESPACE/NAME`.
    Object {
        /// What it is.
        kind: ObjectKind,
        /// Namespace.
        namespace: Label,
        /// Name.
        name: Label,
        /// Worker group of a Ray cluster (`raycluster/NAMESPACE/NAME/GROUP`); none has it else.
        part: Option<Label>,
    },
    /// `jobs/NAMESPACE/NAME`: the Jobs that are made from the template `[actuator.job.NAME]`. The count is of the workers
    /// of those that are not finished; one more Job is what raises it.
    Jobs {
        /// Namespace.
        namespace: Label,
        /// Name of the template.
        name: Label,
    },
    /// `webhook/NAME`: `[actuator.webhook.NAME]` of the configuration.
    Webhook(Label),
    /// `patch-file/NAME`: `[actuator.patch-file.NAME]` of the configuration.
    PatchFile(Label),
}

/// Kinds beside Deployment and StatefulSet that carry a count, or a bound of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// HorizontalPodAutoscaler: its bounds are written, see [`crate::model::Lever`].
    Hpa,
    /// KEDA's ScaledObject: likewise.
    ScaledObject,
    /// Argo Rollouts.
    Rollout,
    /// LeaderWorkerSet: the count is of groups, not of pods.
    LeaderWorkerSet,
    /// Strimzi's pool of Kafka nodes.
    KafkaNodePool,
    /// Strimzi's Kafka Connect.
    KafkaConnect,
    /// Strimzi's MirrorMaker 2.
    KafkaMirrorMaker2,
    /// Strimzi's HTTP bridge.
    KafkaBridge,
    /// KServe: the count is `spec.predictor.minReplicas`.
    InferenceService,
    /// A worker group of a Ray cluster: the count is its `minReplicas`.
    RayCluster,
    /// A worker group of a Ray service: likewise.
    RayService,
    /// One Job: its parallelism is written, see [`crate::model::Lever`]. Targets are templates ([`Target::Jobs`]).
    Job,
}

/// Where the API keeps a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKind {
    /// `Deployment`
    pub kind: &'static str,
    /// `apps`
    pub group: &'static str,
    /// `v1`
    pub version: &'static str,
    /// `deployments`
    pub plural: &'static str,
    /// Whether the count is written through `/scale`.
    pub scale: bool,
}

const fn api(kind: &'static str, group: &'static str, version: &'static str, plural: &'static str) -> ApiKind {
    ApiKind { kind, group, version, plural, scale: true }
}

const fn without_scale(api: ApiKind) -> ApiKind {
    ApiKind { scale: false, ..api }
}

impl ObjectKind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Hpa,
        Self::ScaledObject,
        Self::Rollout,
        Self::LeaderWorkerSet,
        Self::KafkaNodePool,
        Self::KafkaConnect,
        Self::KafkaMirrorMaker2,
        Self::KafkaBridge,
        Self::InferenceService,
        Self::RayCluster,
        Self::RayService,
        Self::Job,
    ];

    /// The first word of a target.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hpa => "hpa",
            Self::ScaledObject => "scaledobject",
            Self::Rollout => "rollout",
            Self::LeaderWorkerSet => "leaderworkerset",
            Self::KafkaNodePool => "kafkanodepool",
            Self::KafkaConnect => "kafkaconnect",
            Self::KafkaMirrorMaker2 => "kafkamirrormaker2",
            Self::KafkaBridge => "kafkabridge",
            Self::InferenceService => "inferenceservice",
            Self::RayCluster => "raycluster",
            Self::RayService => "rayservice",
            Self::Job => "job",
        }
    }

    /// Where the API keeps it: the versions that the operators' current releases serve.
    pub fn api(self) -> ApiKind {
        match self {
            Self::Hpa => without_scale(api("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers")),
            Self::ScaledObject => without_scale(api("ScaledObject", "keda.sh", "v1alpha1", "scaledobjects")),
            Self::Rollout => api("Rollout", "argoproj.io", "v1alpha1", "rollouts"),
            Self::LeaderWorkerSet => api("LeaderWorkerSet", "leaderworkerset.x-k8s.io", "v1", "leaderworkersets"),
            Self::KafkaNodePool => api("KafkaNodePool", "kafka.strimzi.io", "v1beta2", "kafkanodepools"),
            Self::KafkaConnect => api("KafkaConnect", "kafka.strimzi.io", "v1beta2", "kafkaconnects"),
            Self::KafkaMirrorMaker2 => api("KafkaMirrorMaker2", "kafka.strimzi.io", "v1beta2", "kafkamirrormaker2s"),
            Self::KafkaBridge => api("KafkaBridge", "kafka.strimzi.io", "v1beta2", "kafkabridges"),
            Self::InferenceService => {
                without_scale(api("InferenceService", "serving.kserve.io", "v1beta1", "inferenceservices"))
            }
            Self::RayCluster => without_scale(api("RayCluster", "ray.io", "v1", "rayclusters")),
            Self::RayService => without_scale(api("RayService", "ray.io", "v1", "rayservices")),
            Self::Job => without_scale(api("Job", "batch", "v1", "jobs")),
        }
    }

    /// Whether a worker group must be named too.
    pub fn has_part(self) -> bool {
        matches!(self, Self::RayCluster | Self::RayService)
    }
}

impl Target {
    /// Whether it lives in Kubernetes.
    pub fn is_kubernetes(&self) -> bool {
        self.api().is_some()
    }

    /// The Kubernetes kind (`Deployment`, `StatefulSet`), namespace and name; `None` outside of Kubernetes.
    pub fn kubernetes(&self) -> Option<(&'static str, &Label, &Label)> {
        let kind = self.api()?.kind;
        match self {
            Self::Deployment { namespace, name }
            | Self::StatefulSet { namespace, name }
            | Self::Jobs { namespace, name }
            | Self::Object { namespace, name, .. } => Some((kind, namespace, name)),
            Self::Command(_) | Self::Webhook(_) | Self::PatchFile(_) => None,
        }
    }

    /// Where the API keeps it; `None` outside of Kubernetes.
    pub fn api(&self) -> Option<ApiKind> {
        match self {
            Self::Deployment { .. } => Some(api("Deployment", "apps", "v1", "deployments")),
            Self::StatefulSet { .. } => Some(api("StatefulSet", "apps", "v1", "statefulsets")),
            Self::Object { kind, .. } => Some(kind.api()),
            Self::Jobs { .. } => Some(ObjectKind::Job.api()),
            Self::Command(_) | Self::Webhook(_) | Self::PatchFile(_) => None,
        }
    }

    /// The target of a Kubernetes kind, where it is one that can be scaled without naming a part of it.
    pub fn of_kind(kind: &str, namespace: &str, name: &str) -> Option<Self> {
        let (namespace, name) = (Label::new(namespace), Label::new(name));
        match kind {
            "Deployment" => Some(Self::Deployment { namespace, name }),
            "StatefulSet" => Some(Self::StatefulSet { namespace, name }),
            _ => {
                let kind = ObjectKind::ALL.into_iter().find(|k| k.api().kind == kind && !k.has_part())?;
                Some(Self::Object { kind, namespace, name, part: None })
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployment { namespace, name } => write!(f, "deploy/{namespace}/{name}"),
            Self::StatefulSet { namespace, name } => write!(f, "sts/{namespace}/{name}"),
            Self::Object { kind, namespace, name, part: None } => write!(f, "{}/{namespace}/{name}", kind.word()),
            Self::Object { kind, namespace, name, part: Some(part) } => {
                write!(f, "{}/{namespace}/{name}/{part}", kind.word())
            }
            Self::Jobs { namespace, name } => write!(f, "jobs/{namespace}/{name}"),
            Self::Command(name) => write!(f, "command/{name}"),
            Self::Webhook(name) => write!(f, "webhook/{name}"),
            Self::PatchFile(name) => write!(f, "patch-file/{name}"),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    /// The error is a sentence with the mend.
    fn from_str(s: &str) -> Result<Self, String> {
        let parts: Vec<&str> = s.split('/').collect();
        if parts.iter().skip(1).any(|p| p.is_empty()) {
            return Err(format!("{s:?} has an empty part"));
        }
        match parts.as_slice() {
            ["deploy" | "deployment", ns, name] => {
                Ok(Self::Deployment { namespace: Label::new(ns), name: Label::new(name) })
            }
            ["sts" | "statefulset", ns, name] => {
                Ok(Self::StatefulSet { namespace: Label::new(ns), name: Label::new(name) })
            }
            ["jobs", ns, name] => Ok(Self::Jobs { namespace: Label::new(ns), name: Label::new(name) }),
            ["command", name] => Ok(Self::Command(Label::new(name))),
            ["webhook", name] => Ok(Self::Webhook(Label::new(name))),
            ["patch-file", name] => Ok(Self::PatchFile(Label::new(name))),
            [word, ns, name, part @ ..] if part.len() <= 1 => {
                let kind = ObjectKind::ALL.into_iter().find(|k| k.word() == *word).ok_or_else(|| not_a_target(s))?;
                let part = part.first().map(|p| Label::new(p));
                match (kind.has_part(), part) {
                    (true, None) => Err(format!("{s:?} names no worker group: write {word}/NAMESPACE/NAME/GROUP")),
                    (false, Some(_)) => Err(format!("{s:?} has a part too many: write {word}/NAMESPACE/NAME")),
                    (_, part) => Ok(Self::Object { kind, namespace: Label::new(ns), name: Label::new(name), part }),
                }
            }
            _ => Err(not_a_target(s)),
        }
    }
}

fn not_a_target(s: &str) -> String {
    // What has bounds and no count is written, never named as a target.
    let counted =
        ObjectKind::ALL.iter().filter(|k| !matches!(k, ObjectKind::Hpa | ObjectKind::ScaledObject | ObjectKind::Job));
    let kinds: Vec<&str> = counted.map(|k| k.word()).collect();
    format!(
        "{s:?} is not a target: write command/NAME, webhook/NAME, patch-file/NAME or KIND/NAMESPACE/NAME, where KIND is \
         deploy, sts, jobs, {}",
        kinds.join(", ")
    )
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_as_it_is_written() {
        for kind in ObjectKind::ALL {
            let part = kind.has_part().then(|| Label::new("gpu"));
            let target = Target::Object { kind, namespace: "ml".into(), name: "x".into(), part };
            assert_eq!(target.to_string().parse(), Ok(target));
        }
        assert_eq!("jobs/ml/tune".parse::<Target>().unwrap().to_string(), "jobs/ml/tune");
        assert!("raycluster/ml/x".parse::<Target>().unwrap_err().contains("GROUP"));
        assert!("rollout/ml/x/y".parse::<Target>().unwrap_err().contains("too many"));
        assert_eq!(Target::of_kind("Rollout", "a", "b").unwrap().to_string(), "rollout/a/b");
        assert_eq!(Target::of_kind("DaemonSet", "a", "b"), None);
    }
}
