//! HPAs and ScaledObjects as their APIs have them: `autoscaling/v2` of Kubernetes 1.36 and `keda.sh/v1alpha1` of KEDA 2.21.
//!
//! `manifest` reads them from YAML and JSON, `policy` decides as they would, `lint` judges them.

use super::{Label, Quantity};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// An HPA.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hpa {
    /// Namespace.
    pub namespace: Label,
    /// Name.
    pub name: Label,
    /// Scale target's kind.
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
    /// `spec.metrics`; empty: 80 % CPU, the API server's default.
    pub metrics: Vec<HpaMetric>,
    /// `spec.behavior` with what the API server fills in; `None` takes another path than the defaults: see
    /// `policy::hpa::Autoscaler`.
    pub behavior: Option<HpaBehavior>,
}

impl Default for Hpa {
    fn default() -> Self {
        Self {
            namespace: Label::new("default"),
            name: Label::new(""),
            target_kind: Label::new("Deployment"),
            target_name: Label::new(""),
            min: 1,
            max: 1,
            desired: None,
            keda: false,
            metrics: Vec::new(),
            behavior: None,
        }
    }
}

/// One of an HPA's metrics. As a sentence: `external s0-kafka-orders AverageValue 10`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HpaMetric {
    /// Where it comes from.
    pub source: MetricSource,
    /// The metric's name, or the resource's.
    pub name: Label,
    /// `selector.matchLabels`: which series of a metric from outside of the pods.
    pub selects: BTreeMap<Label, Label>,
    /// What it is held at; `None`: the object does not say it in a way that is understood.
    pub target: Option<MetricTarget>,
}

/// `type` of a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum MetricSource {
    /// CPU or memory of the pods.
    Resource,
    /// CPU or memory of one container of each pod.
    ContainerResource(Label),
    /// A metric of each pod.
    Pods,
    /// A metric of another object, `Kind/name`.
    Object(Label),
    /// A metric from outside of the cluster.
    External,
    /// A type that is not known here.
    Other(Label),
}

/// `target` of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MetricTarget {
    /// Percent of what the pods request.
    Utilization(u32),
    /// The total over the replicas (pods and resources: the mean of the pods).
    AverageValue(Quantity),
    /// The metric itself.
    Value(Quantity),
}

impl fmt::Display for HpaMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match &self.source {
            MetricSource::Resource => "resource",
            MetricSource::ContainerResource(_) => "container resource",
            MetricSource::Pods => "pods",
            MetricSource::Object(_) => "object",
            MetricSource::External => "external",
            MetricSource::Other(kind) => return f.write_str(kind.as_str()),
        };
        write!(f, "{word} {} ", self.name)?;
        match self.target {
            Some(target) => target.fmt(f),
            None => f.write_str("? ?"),
        }
    }
}

impl fmt::Display for MetricTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utilization(percent) => write!(f, "Utilization {percent}"),
            Self::AverageValue(quantity) => write!(f, "AverageValue {quantity}"),
            Self::Value(quantity) => write!(f, "Value {quantity}"),
        }
    }
}

/// `spec.behavior`. The default is what the API server fills in for `{scaleUp: {}, scaleDown: {}}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HpaBehavior {
    /// `scaleUp`: rules for adding.
    pub up: ScalingRules,
    /// `scaleDown`: rules for removing.
    pub down: ScalingRules,
}

impl Default for HpaBehavior {
    fn default() -> Self {
        let percent = ScalingPolicy { kind: ScalingUnit::Percent, value: 100, period: 15.0 };
        let pods = ScalingPolicy { kind: ScalingUnit::Pods, value: 4, period: 15.0 };
        let (select, tolerance) = (SelectPolicy::Max, None);
        Self {
            up: ScalingRules { window: Some(0.0), select, policies: vec![pods, percent], tolerance },
            down: ScalingRules { window: None, select, policies: vec![percent], tolerance },
        }
    }
}

/// `HPAScalingRules`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScalingRules {
    /// `stabilizationWindowSeconds`; absent down: the controller's flag; absent up: 0.
    pub window: Option<f64>,
    /// `selectPolicy`.
    pub select: SelectPolicy,
    /// `policies`.
    pub policies: Vec<ScalingPolicy>,
    /// `tolerance`, ratio (KEP-4951: alpha in 1.33, on by default since 1.35); absent: the controller's flag.
    pub tolerance: Option<f64>,
}

/// `selectPolicy`: which of several policies counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum SelectPolicy {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// One policy: at most `value` per `period`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScalingPolicy {
    /// Pods or percent.
    pub kind: ScalingUnit,
    /// How many.
    pub value: u32,
    /// `periodSeconds`.
    pub period: f64,
}

/// Unit of a [`ScalingPolicy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ScalingUnit {
    /// Pods.
    Pods,
    /// Percent of the count at the start of the period.
    Percent,
}

/// A KEDA ScaledObject. Seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// `idleReplicaCount`: the count while no trigger is active, below `min`.
    pub idle: Option<u32>,
    /// `pollingInterval` (30 when absent).
    pub polling: f64,
    /// `cooldownPeriod` (300 when absent): before the last step to zero, or to `idle`.
    pub cooldown: f64,
    /// `initialCooldownPeriod` (0 when absent): the same for an object that was never active, since it was made.
    pub initial_cooldown: f64,
    /// `triggers`.
    pub triggers: Vec<Trigger>,
    /// `fallback`.
    pub fallback: Option<Fallback>,
    /// `advanced.scalingModifiers`.
    pub modifiers: Option<ScalingModifiers>,
    /// `advanced.horizontalPodAutoscalerConfig.behavior`.
    pub behavior: Option<HpaBehavior>,
    /// Whether a pause annotation is set, and which: `paused-replicas=4`.
    pub paused: Option<Label>,
    /// What the annotations hold.
    pub holds: Holds,
}

impl Default for ScaledObject {
    fn default() -> Self {
        Self {
            namespace: Label::new("default"),
            name: Label::new(""),
            target_kind: Label::new("Deployment"),
            target_name: Label::new(""),
            min: 0,
            max: 100,
            idle: None,
            polling: 30.0,
            cooldown: 300.0,
            initial_cooldown: 0.0,
            triggers: Vec::new(),
            fallback: None,
            modifiers: None,
            behavior: None,
            paused: None,
            holds: Holds::default(),
        }
    }
}

impl ScaledObject {
    /// Its Kafka triggers.
    pub fn kafka(&self) -> impl Iterator<Item = &KafkaTrigger> {
        self.triggers.iter().filter_map(|t| match &t.source {
            TriggerSource::Kafka(kafka) => Some(kafka),
            _ => None,
        })
    }

    /// Bounds of the HPA that KEDA makes of it: at least one.
    pub fn hpa_bounds(&self) -> (u32, u32) {
        (self.min.max(1), self.max)
    }

    /// Whether `pollingInterval` and `cooldownPeriod` move the count at all: KEDA itself acts only below `min` or one.
    pub fn reaches_idle(&self) -> bool {
        self.min == 0 || self.idle.is_some()
    }
}

/// KEDA's annotations `autoscaling.keda.sh/…`.
#[allow(clippy::struct_excessive_bools)] // KEDA's own four switches
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Holds {
    /// `paused` or `paused-replicas`: no loop, and the HPA is deleted.
    pub stopped: bool,
    /// `paused-replicas`: the count that is set once before.
    pub replicas: Option<u32>,
    /// `paused-scale-in`.
    pub scale_in: bool,
    /// `paused-scale-out`.
    pub scale_out: bool,
    /// `force-activation`.
    pub active: bool,
}

/// `spec.fallback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fallback {
    /// `failureThreshold`: more failures in a row than this.
    pub after: u32,
    /// `replicas`.
    pub replicas: u32,
    /// `behavior`.
    pub behavior: FallbackBehavior,
}

/// `spec.fallback.behavior`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum FallbackBehavior {
    /// The count of the fallback.
    #[default]
    Static,
    /// The count that stands.
    CurrentReplicas,
    /// The larger of both.
    CurrentReplicasIfHigher,
    /// The smaller of both.
    CurrentReplicasIfLower,
    /// The formula sees the failed trigger as absent.
    ScalingModifiers,
}

/// `advanced.scalingModifiers`: one metric computed from the triggers'.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScalingModifiers {
    /// The expression (expr-lang). It is not evaluated here.
    pub formula: Label,
    /// `target`.
    pub target: Option<Quantity>,
}

/// A trigger of a ScaledObject.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trigger {
    /// `type`.
    pub kind: Label,
    /// `name`.
    pub name: Option<Label>,
    /// `metricType`.
    pub metric_type: TriggerMetric,
    /// `useCachedMetrics`: the HPA sees what the last poll saw.
    pub cached: bool,
    /// Keys of its metadata; values may hold credentials and are not kept.
    pub keys: Vec<Label>,
    /// What is known of it.
    pub source: TriggerSource,
}

impl From<KafkaTrigger> for Trigger {
    fn from(kafka: KafkaTrigger) -> Self {
        Self {
            kind: Label::new("kafka"),
            name: None,
            metric_type: TriggerMetric::AverageValue,
            cached: false,
            keys: Vec::new(),
            source: TriggerSource::Kafka(kafka),
        }
    }
}

/// `metricType` of a trigger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum TriggerMetric {
    /// The total over the replicas.
    #[default]
    AverageValue,
    /// The metric itself.
    Value,
    /// Percent of the request: of CPU and memory triggers.
    Utilization,
}

/// A trigger's metadata, where they are understood.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum TriggerSource {
    /// `kafka` or `apache-kafka`.
    Kafka(KafkaTrigger),
    /// `prometheus`.
    Prometheus {
        /// `query`.
        query: Label,
        /// `threshold`.
        threshold: Quantity,
        /// `activationThreshold`.
        activation: f64,
    },
    /// `cpu` or `memory`: `metadata.value`.
    Resource(Quantity),
    /// Anything else.
    Other,
}

/// A Kafka trigger of a ScaledObject. The default is KEDA's.
#[allow(clippy::struct_excessive_bools)] // KEDA's own switches
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KafkaTrigger {
    /// `consumerGroup`.
    pub group: Label,
    /// `topic`; empty: all topics of the group.
    pub topic: Option<Label>,
    /// `lagThreshold` (10 when absent).
    pub lag_threshold: f64,
    /// `activationLagThreshold` (0 when absent): more than this wakes from zero.
    pub activation: f64,
    /// `offsetResetPolicy: earliest`: a partition without a committed offset is behind by all that it holds, not by one.
    pub earliest: bool,
    /// `allowIdleConsumers`.
    pub allow_idle: bool,
    /// `limitToPartitionsWithLag`.
    pub limit_to_partitions_with_lag: bool,
    /// `ensureEvenDistributionOfPartitions`.
    pub ensure_even: bool,
    /// `excludePersistentLag`.
    pub exclude_persistent: bool,
    /// `scaleToZeroOnInvalidOffset`.
    pub zero_on_invalid_offset: bool,
    /// How many partitions `partitionLimitation` names.
    pub limited_to: Option<u32>,
}

impl Default for KafkaTrigger {
    fn default() -> Self {
        Self {
            group: Label::new(""),
            topic: None,
            lag_threshold: 10.0,
            activation: 0.0,
            earliest: false,
            allow_idle: false,
            limit_to_partitions_with_lag: false,
            ensure_even: false,
            exclude_persistent: false,
            zero_on_invalid_offset: false,
            limited_to: None,
        }
    }
}
