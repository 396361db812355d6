//! HPAs and ScaledObjects as their YAML says, in the terms of `policy`. Every complaint names line and column.

use crate::policy::{
    hpa::{Behavior, Kind, Policy, Rules, Select, Tolerance},
    keda,
};
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use std::collections::BTreeMap;

/// What is replayed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spec {
    /// `hpa` or `keda`.
    pub(super) kind: &'static str,
    /// Bounds: of the HPA, or of the HPA that KEDA makes (at least one).
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) behavior: Option<Behavior>,
    /// Tolerances of the spec's own.
    pub(super) tolerance: Tolerances,
    pub(super) metric: Metric,
    /// KEDA's part beyond the HPA.
    pub(super) keda: Option<Keda>,
}

/// The metric and its target; thousandths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Metric {
    /// Object or external, `AverageValue`.
    AverageValue(i64),
    /// Object or external, `Value`.
    Value(i64),
    /// Pods, or a resource's `AverageValue`; whether it is CPU.
    PodsAverage(i64, bool),
    /// A resource's utilisation, percent (not thousandths); whether it is CPU.
    Utilisation(i64, bool),
    /// KEDA's Kafka trigger.
    Kafka(keda::Trigger),
}

/// What KEDA does itself. Seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Keda {
    /// `minReplicaCount`, which may be zero.
    pub(super) min: u32,
    pub(super) polling: f64,
    pub(super) cooldown: f64,
    /// The trigger is active above this.
    pub(super) activation: f64,
    pub(super) fallback: Option<Fallback>,
}

/// `spec.fallback`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fallback {
    /// More failures in a row than this.
    pub(super) after: u32,
    pub(super) replicas: u32,
    pub(super) behavior: FallbackBehavior,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum FallbackBehavior {
    #[default]
    Static,
    CurrentReplicas,
    CurrentReplicasIfHigher,
    CurrentReplicasIfLower,
}

/// A complaint with its place.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) line: u64,
    pub(super) column: u64,
    pub(super) what: String,
}

fn wrong<T>(at: Location, what: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { line: at.line(), column: at.column(), what: what.into() })
}

/// Reads the first HPA or ScaledObject of a file.
pub(super) fn parse(text: &str) -> Result<Spec, Wrong> {
    let documents: Vec<Document> = serde_saphyr::from_multiple(text).map_err(|e| {
        let (line, column) = e.location().map_or((1, 1), |l| (l.line(), l.column()));
        let said = e.without_snippet().to_string();
        Wrong { line, column, what: said.lines().next().unwrap_or("not YAML").to_owned() }
    })?;
    for document in &documents {
        match (document.kind.value.as_str(), document.api_version.as_str()) {
            ("HorizontalPodAutoscaler", "autoscaling/v2") => return horizontal(document),
            ("HorizontalPodAutoscaler", other) => {
                let what = format!(
                    "apiVersion {other}: only autoscaling/v2 is replayed (kubectl get hpa.v2.autoscaling -o yaml)"
                );
                return wrong(document.kind.referenced, what);
            }
            ("ScaledObject", _) => return scaled_object(document),
            _ => {}
        }
    }
    let kinds: Vec<&str> = documents.iter().map(|d| d.kind.value.as_str()).collect();
    let found = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
    let what = format!("no HorizontalPodAutoscaler and no ScaledObject in it, but {found}");
    Err(Wrong { line: 1, column: 1, what })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    api_version: String,
    kind: Spanned<String>,
    #[serde(default)]
    spec: Option<Body>,
}

/// The fields of both kinds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    min_replicas: Option<u32>,
    max_replicas: Option<Spanned<u32>>,
    metrics: Option<Vec<MetricSpec>>,
    behavior: Option<BehaviorSpec>,
    min_replica_count: Option<u32>,
    max_replica_count: Option<Spanned<u32>>,
    polling_interval: Option<f64>,
    cooldown_period: Option<f64>,
    triggers: Option<Vec<Trigger>>,
    advanced: Option<Advanced>,
    fallback: Option<FallbackSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricSpec {
    r#type: Spanned<String>,
    resource: Option<Source>,
    container_resource: Option<Source>,
    pods: Option<Source>,
    object: Option<Source>,
    external: Option<Source>,
}

#[derive(Debug, Deserialize)]
struct Source {
    name: Option<String>,
    target: Target,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    r#type: Spanned<String>,
    value: Option<Spanned<String>>,
    average_value: Option<Spanned<String>>,
    average_utilization: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BehaviorSpec {
    scale_up: Option<RulesSpec>,
    scale_down: Option<RulesSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RulesSpec {
    stabilization_window_seconds: Option<f64>,
    select_policy: Option<SelectName>,
    policies: Option<Vec<PolicySpec>>,
    tolerance: Option<Spanned<String>>,
}

/// `selectPolicy` in YAML.
#[derive(Clone, Copy, Debug, Deserialize)]
enum SelectName {
    Max,
    Min,
    Disabled,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicySpec {
    r#type: PolicyKind,
    value: u32,
    period_seconds: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum PolicyKind {
    Pods,
    Percent,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trigger {
    r#type: Spanned<String>,
    #[serde(default)]
    metric_type: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Advanced {
    horizontal_pod_autoscaler_config: Option<HpaConfig>,
}

#[derive(Debug, Deserialize)]
struct HpaConfig {
    behavior: Option<BehaviorSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FallbackSpec {
    failure_threshold: u32,
    replicas: u32,
    #[serde(default)]
    behavior: FallbackBehavior,
}

fn horizontal(document: &Document) -> Result<Spec, Wrong> {
    let place = document.kind.referenced;
    let Some(body) = &document.spec else { return wrong(place, "the HorizontalPodAutoscaler has no spec") };
    let Some(max) = &body.max_replicas else { return wrong(place, "spec.maxReplicas is missing") };
    let min = body.min_replicas.unwrap_or(1);
    if min > max.value {
        return wrong(max.referenced, format!("maxReplicas {} is below minReplicas {min}", max.value));
    }
    let metrics = body.metrics.as_deref().unwrap_or_default();
    let metric = match metrics {
        // The API server's default where none is given.
        [] => Metric::Utilisation(80, true),
        [one] => metric(one)?,
        [_, second, ..] => {
            let what = format!("{} metrics, but the series has one value a row: leave one in", metrics.len());
            return wrong(second.r#type.referenced, what);
        }
    };
    let (behavior, tolerance) = behavior(body.behavior.as_ref())?;
    Ok(Spec { kind: "hpa", min, max: max.value, behavior, tolerance, metric, keda: None })
}

fn metric(spec: &MetricSpec) -> Result<Metric, Wrong> {
    let place = spec.r#type.referenced;
    let (source, plain) = match spec.r#type.value.as_str() {
        "Resource" => (&spec.resource, false),
        "ContainerResource" => (&spec.container_resource, false),
        "Pods" => (&spec.pods, false),
        "Object" => (&spec.object, true),
        "External" => (&spec.external, true),
        other => {
            let known = "Resource, ContainerResource, Pods, Object, External";
            return wrong(place, format!("type {other:?} is no metric source: {known}"));
        }
    };
    let Some(source) = source else {
        return wrong(place, format!("a metric of type {} without its block", spec.r#type.value));
    };
    let (target, cpu) = (&source.target, source.name.as_deref() == Some("cpu"));
    let at = target.r#type.referenced;
    let positive = |value: Option<&Spanned<String>>, key: &str| match value {
        None => wrong(at, format!("target.{key} is missing")),
        Some(text) => quantity(text),
    };
    match (target.r#type.value.as_str(), plain) {
        ("AverageValue", true) => Ok(Metric::AverageValue(positive(target.average_value.as_ref(), "averageValue")?)),
        ("Value", true) => Ok(Metric::Value(positive(target.value.as_ref(), "value")?)),
        ("AverageValue", false) => {
            Ok(Metric::PodsAverage(positive(target.average_value.as_ref(), "averageValue")?, cpu))
        }
        ("Utilization", false) => match target.average_utilization.filter(|u| *u > 0) {
            Some(percent) => Ok(Metric::Utilisation(percent, cpu)),
            None => wrong(at, "target.averageUtilization must be above zero"),
        },
        (other, _) => wrong(at, format!("target type {other:?} does not go with a {} metric", spec.r#type.value)),
    }
}

/// Of the way up and the way down; `None`: the controller's.
type Tolerances = (Option<f64>, Option<f64>);

/// `behavior` with what the API server fills in, and the tolerances it may carry.
fn behavior(spec: Option<&BehaviorSpec>) -> Result<(Option<Behavior>, Tolerances), Wrong> {
    let Some(spec) = spec else { return Ok((None, (None, None))) };
    let default = Behavior::default();
    let rules = |given: Option<&RulesSpec>, default: Rules| {
        let Some(given) = given else { return default };
        let policies = given.policies.as_ref().filter(|p| !p.is_empty()).map(|list| {
            let policy = |p: &PolicySpec| Policy {
                kind: match p.r#type {
                    PolicyKind::Pods => Kind::Pods,
                    PolicyKind::Percent => Kind::Percent,
                },
                value: p.value,
                period: p.period_seconds,
            };
            list.iter().map(policy).collect()
        });
        let select = match given.select_policy {
            None => default.select,
            Some(SelectName::Max) => Select::Max,
            Some(SelectName::Min) => Select::Min,
            Some(SelectName::Disabled) => Select::Disabled,
        };
        let window = given.stabilization_window_seconds.or(default.window);
        Rules { window, select, policies: policies.unwrap_or(default.policies) }
    };
    let tolerance = |given: Option<&RulesSpec>| -> Result<Option<f64>, Wrong> {
        let Some(text) = given.and_then(|r| r.tolerance.as_ref()) else { return Ok(None) };
        match thousandths(&text.value) {
            Some(milli) if milli >= 0.0 => Ok(Some(milli / 1000.0)),
            _ => wrong(text.referenced, format!("{:?} is no tolerance", text.value)),
        }
    };
    let own = (tolerance(spec.scale_up.as_ref())?, tolerance(spec.scale_down.as_ref())?);
    let up = rules(spec.scale_up.as_ref(), default.up);
    let down = rules(spec.scale_down.as_ref(), default.down);
    Ok((Some(Behavior { up, down }), own))
}

fn scaled_object(document: &Document) -> Result<Spec, Wrong> {
    let place = document.kind.referenced;
    let Some(body) = &document.spec else { return wrong(place, "the ScaledObject has no spec") };
    let triggers = body.triggers.as_deref().unwrap_or_default();
    let trigger = match triggers {
        [] => return wrong(place, "the ScaledObject has no triggers"),
        [one] => one,
        [_, second, ..] => {
            let what = format!("{} triggers, but the series has one value a row: leave one in", triggers.len());
            return wrong(second.r#type.referenced, what);
        }
    };
    let (metric, activation) = keda_metric(trigger)?;
    let min = body.min_replica_count.unwrap_or(0);
    let max = body.max_replica_count.as_ref().map_or(100, |m| m.value);
    if min > max {
        let at = body.max_replica_count.as_ref().map_or(place, |m| m.referenced);
        return wrong(at, format!("maxReplicaCount {max} is below minReplicaCount {min}"));
    }
    let config = body.advanced.as_ref().and_then(|a| a.horizontal_pod_autoscaler_config.as_ref());
    let (behavior, tolerance) = behavior(config.and_then(|c| c.behavior.as_ref()))?;
    let fallback = body.fallback.as_ref().map(|f| Fallback {
        after: f.failure_threshold,
        replicas: f.replicas,
        behavior: f.behavior,
    });
    let keda = Keda {
        min,
        polling: body.polling_interval.unwrap_or(30.0).max(1.0),
        cooldown: body.cooldown_period.unwrap_or(300.0).max(0.0),
        activation,
        fallback,
    };
    Ok(Spec { kind: "keda", min: min.max(1), max, behavior, tolerance, metric, keda: Some(keda) })
}

/// The trigger's metric, and what it must exceed to be active.
fn keda_metric(trigger: &Trigger) -> Result<(Metric, f64), Wrong> {
    let place = trigger.r#type.referenced;
    let text = |key: &str| trigger.metadata.get(key);
    let integer = |key: &str, default: i64| match text(key) {
        None => Ok(default),
        Some(v) => match v.value.trim().parse::<i64>() {
            Ok(n) if n >= 0 => Ok(n),
            _ => wrong(v.referenced, format!("{key}: {:?} is no count", v.value)),
        },
    };
    let switch = |key: &str| match text(key).map(|v| (v.value.trim(), v.referenced)) {
        Some(("true", _)) => Ok(true),
        None | Some(("false", _)) => Ok(false),
        Some((other, at)) => wrong(at, format!("{key}: {other:?} is neither true nor false")),
    };
    let value = trigger.metric_type.as_deref() == Some("Value");
    match trigger.r#type.value.as_str() {
        "kafka" | "apache-kafka" => {
            let reset = match text("offsetResetPolicy").map(|v| v.value.as_str()) {
                Some("earliest") => keda::Reset::Earliest,
                _ => keda::Reset::Latest,
            };
            let trigger = keda::Trigger {
                lag_threshold: integer("lagThreshold", 10)?,
                activation: integer("activationLagThreshold", 0)?,
                reset,
                allow_idle: switch("allowIdleConsumers")?,
                limit_to_partitions_with_lag: switch("limitToPartitionsWithLag")?,
                ensure_even: switch("ensureEvenDistributionOfPartitions")?,
                exclude_persistent: switch("excludePersistentLag")?,
                zero_on_invalid_offset: switch("scaleToZeroOnInvalidOffset")?,
            };
            if trigger.lag_threshold < 1 {
                return wrong(place, "lagThreshold must be above zero");
            }
            if trigger.allow_idle && trigger.limit_to_partitions_with_lag {
                return wrong(place, "allowIdleConsumers and limitToPartitionsWithLag exclude one another");
            }
            if trigger.ensure_even && trigger.limit_to_partitions_with_lag {
                let what = "limitToPartitionsWithLag and ensureEvenDistributionOfPartitions exclude one another";
                return wrong(place, what);
            }
            Ok((Metric::Kafka(trigger), trigger.activation as f64))
        }
        "prometheus" => {
            let Some(threshold) = text("threshold") else { return wrong(place, "the trigger has no threshold") };
            let target = quantity(threshold)?;
            let activation = text("activationThreshold").map_or(Ok(0.0), |v| match v.value.trim().parse::<f64>() {
                Ok(n) if n.is_finite() => Ok(n),
                _ => wrong(v.referenced, format!("activationThreshold: {:?} is no number", v.value)),
            })?;
            Ok((if value { Metric::Value(target) } else { Metric::AverageValue(target) }, activation))
        }
        other => {
            wrong(place, format!("triggers of type {other:?} are not replayed: kafka, apache-kafka and prometheus are"))
        }
    }
}

/// A positive quantity of Kubernetes in thousandths, rounded up as upstream's `MilliValue`.
fn quantity(text: &Spanned<String>) -> Result<i64, Wrong> {
    match thousandths(&text.value) {
        Some(milli) if milli >= 1.0 => Ok(milli.ceil() as i64), // saturates
        Some(_) => wrong(text.referenced, format!("{:?}: a target must be above zero", text.value)),
        None => wrong(text.referenced, format!("{:?} is no quantity: write 10000, 10k, 500m or 1Gi", text.value)),
    }
}

fn thousandths(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 14] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("", 1.0),
    ];
    let (suffix, factor) = UNITS.iter().find(|(suffix, _)| text.ends_with(suffix))?;
    let number = text.strip_suffix(suffix)?.parse::<f64>().ok().filter(|n| n.is_finite())?;
    // Whole thousandths must come out whole: 0.1 * 1000 is not 100 in binary.
    let milli = number * factor * 1000.0;
    Some(if (milli - milli.round()).abs() < 1e-6 * milli.abs().max(1.0) { milli.round() } else { milli })
}

impl Spec {
    /// The tolerance in force, with the controller's where the spec has none.
    pub(super) fn tolerance(&self, controller: f64) -> Tolerance {
        let (up, down) = self.tolerance;
        Tolerance { up: up.unwrap_or(controller), down: down.unwrap_or(controller) }
    }
}

#[cfg(test)]
mod tests;
