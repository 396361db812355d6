//! `keda.sh/v1alpha1` ScaledObject of KEDA 2.21, with what its validation refuses (`scaledobject_types.go`,
//! `kafka_scaler.go`, `apache_kafka_scaler.go`).

use super::{
    cursor::Cursor,
    hpa::{behavior, namespace, quantity},
};
use crate::model::{
    Fallback, FallbackBehavior, Holds, KafkaTrigger, Label, Quantity, ScaledObject, ScalingModifiers, Trigger,
    TriggerMetric, TriggerSource,
};

/// Metadata that the Kafka scalers read; `…FromEnv` is allowed for the first three.
const KAFKA: [&str; 19] = [
    "bootstrapServers",
    "consumerGroup",
    "topic",
    "partitionLimitation",
    "lagThreshold",
    "activationLagThreshold",
    "offsetResetPolicy",
    "allowIdleConsumers",
    "excludePersistentLag",
    "scaleToZeroOnInvalidOffset",
    "limitToPartitionsWithLag",
    "ensureEvenDistributionOfPartitions",
    "fullMetadata",
    "version",
    "tls",
    "unsafeSsl",
    "sasl",
    "saslTokenProvider",
    "awsRegion",
];
/// Of these the apache-kafka scaler reads none.
const SARAMA_ONLY: [&str; 4] = ["fullMetadata", "version", "unsafeSsl", "saslTokenProvider"];

pub(super) fn read(object: &Cursor<'_>) -> ScaledObject {
    let mut scaled = ScaledObject {
        namespace: namespace(object),
        name: object.get("metadata").map_or_else(|| Label::new(""), |m| m.label("name")),
        ..ScaledObject::default()
    };
    (scaled.paused, scaled.holds) = holds(object);
    let Some(spec) = object.get("spec") else {
        object.unreadable("the ScaledObject has no spec");
        return scaled;
    };
    let fields = [
        "scaleTargetRef",
        "pollingInterval",
        "initialCooldownPeriod",
        "cooldownPeriod",
        "idleReplicaCount",
        "minReplicaCount",
        "maxReplicaCount",
        "advanced",
        "triggers",
        "fallback",
    ];
    spec.known(&fields, "a ScaledObject's spec");
    if let Some(target) = spec.get("scaleTargetRef") {
        scaled.target_name = target.label("name");
        scaled.target_kind = target.text("kind").map_or(scaled.target_kind, Label::new);
    }
    counts(&spec, &mut scaled);
    scaled.polling = spec.seconds("pollingInterval").unwrap_or(30.0).max(1.0);
    scaled.cooldown = spec.seconds("cooldownPeriod").unwrap_or(300.0);
    scaled.initial_cooldown = spec.seconds("initialCooldownPeriod").unwrap_or(0.0);
    scaled.triggers = spec.list("triggers").iter().map(trigger).collect();
    if scaled.triggers.is_empty() {
        spec.unreadable("the ScaledObject has no triggers");
    }
    if let Some(advanced) = spec.get("advanced") {
        let known = ["horizontalPodAutoscalerConfig", "restoreToOriginalReplicaCount", "scalingModifiers"];
        advanced.known(&known, "advanced");
        if let Some(config) = advanced.get("horizontalPodAutoscalerConfig") {
            config.known(&["behavior", "name"], "horizontalPodAutoscalerConfig");
            scaled.behavior = config.get("behavior").map(|b| behavior(&b));
        }
        scaled.modifiers = advanced.get("scalingModifiers").and_then(|m| modifiers(&m));
    }
    scaled.fallback = spec.get("fallback").map(|f| fallback(&f, &scaled));
    scaled
}

/// The bounds, and what KEDA's validation says of them (`CheckReplicaCountBoundsAreValid`).
fn counts(spec: &Cursor<'_>, scaled: &mut ScaledObject) {
    scaled.min = spec.count("minReplicaCount").unwrap_or(0);
    scaled.max = spec.count("maxReplicaCount").unwrap_or(100);
    scaled.idle = spec.count("idleReplicaCount");
    if scaled.min > scaled.max {
        let place = spec.get("maxReplicaCount").unwrap_or_else(|| spec.here());
        place.unreadable(&format!("maxReplicaCount {} is below minReplicaCount {}", scaled.max, scaled.min));
    }
    if let (Some(idle), Some(place)) = (scaled.idle.filter(|i| *i >= scaled.min), spec.get("idleReplicaCount")) {
        let min = scaled.min;
        place.refused(&format!("idleReplicaCount {idle} must be below minReplicaCount {min}: KEDA refuses the object"));
    }
}

/// The annotations `autoscaling.keda.sh/…`: the first that is set as a sentence, and all of them as switches.
fn holds(object: &Cursor<'_>) -> (Option<Label>, Holds) {
    let Some(annotations) = object.at(&["metadata", "annotations"]) else { return (None, Holds::default()) };
    let of = |name: &str| annotations.get(&format!("autoscaling.keda.sh/{name}")).and_then(|a| a.plain());
    // KEDA takes every value that is not a boolean false for true (`getBoolAnnotation`).
    let on = |name: &str| {
        let off = |v: &str| matches!(v, "false" | "False" | "FALSE" | "f" | "F" | "0");
        of(name).filter(|value| !off(value))
    };
    let replicas = of("paused-replicas");
    let said = [
        ("paused-replicas", replicas.clone()),
        ("paused", on("paused")),
        ("paused-scale-in", on("paused-scale-in")),
        ("paused-scale-out", on("paused-scale-out")),
    ];
    let paused = said.iter().find_map(|(name, value)| Some(Label::new(&format!("{name}={}", value.as_ref()?))));
    let holds = Holds {
        stopped: replicas.is_some() || on("paused").is_some(),
        replicas: replicas.as_ref().and_then(|n| n.parse().ok()),
        scale_in: on("paused-scale-in").is_some(),
        scale_out: on("paused-scale-out").is_some(),
        active: on("force-activation").is_some(),
    };
    if replicas.is_some() && holds.replicas.is_none() {
        annotations.refused("paused-replicas is no count: KEDA stays in an error");
    }
    (paused, holds)
}

fn modifiers(part: &Cursor<'_>) -> Option<ScalingModifiers> {
    part.known(&["formula", "target", "activationTarget", "metricType"], "scalingModifiers");
    part.keys().next()?; // an empty block is none
    let formula = part.label("formula");
    if formula.is_empty() {
        part.refused("scalingModifiers without a formula: KEDA refuses the object");
    }
    let target = part.get("target").and_then(|t| t.plain()).and_then(|t| Quantity::parse(&t)).filter(|t| t.milli() > 0);
    if target.is_none() {
        part.refused("scalingModifiers.target must be a number above zero: KEDA refuses the object");
    }
    Some(ScalingModifiers { formula, target })
}

/// `CheckFallbackValid`: CPU and memory triggers have none.
fn fallback(part: &Cursor<'_>, scaled: &ScaledObject) -> Fallback {
    part.known(&["failureThreshold", "replicas", "behavior"], "fallback");
    let resource = |t: &Trigger| matches!(t.kind.as_str(), "cpu" | "memory");
    if scaled.modifiers.is_none() && !scaled.triggers.is_empty() && scaled.triggers.iter().all(resource) {
        part.refused("a fallback needs a trigger other than cpu and memory: KEDA refuses the object");
    }
    let behavior = match part.text("behavior") {
        None | Some("static") => FallbackBehavior::Static,
        Some("currentReplicas") => FallbackBehavior::CurrentReplicas,
        Some("currentReplicasIfHigher") => FallbackBehavior::CurrentReplicasIfHigher,
        Some("currentReplicasIfLower") => FallbackBehavior::CurrentReplicasIfLower,
        Some("scalingModifiers") => FallbackBehavior::ScalingModifiers,
        Some(other) => {
            part.unreadable(&format!(
                "behavior {other:?}: static, currentReplicas, currentReplicasIfHigher, currentReplicasIfLower or \
                 scalingModifiers belongs here"
            ));
            FallbackBehavior::Static
        }
    };
    for key in ["failureThreshold", "replicas"] {
        if part.get(key).is_none() {
            part.unreadable(&format!("fallback.{key} is missing"));
        }
    }
    Fallback {
        after: part.count("failureThreshold").unwrap_or(0),
        replicas: part.count("replicas").unwrap_or(0),
        behavior,
    }
}

fn trigger(part: &Cursor<'_>) -> Trigger {
    let known = ["type", "name", "useCachedMetrics", "metadata", "authenticationRef", "metricType"];
    part.known(&known, "a trigger");
    let kind = part.label("type");
    if kind.is_empty() {
        part.unreadable("the trigger has no type");
    }
    let metric_type = match part.text("metricType") {
        None | Some("AverageValue") => TriggerMetric::AverageValue,
        Some("Value") => TriggerMetric::Value,
        Some("Utilization") => TriggerMetric::Utilization,
        Some(other) => {
            part.unreadable(&format!("metricType {other:?}: AverageValue, Value or Utilization belongs here"));
            TriggerMetric::AverageValue
        }
    };
    let metadata = Metadata(part.get("metadata"));
    metadata.all_texts();
    let keys = metadata.0.iter().flat_map(Cursor::keys).map(Label::new).collect();
    let source = match kind.as_str() {
        "kafka" | "apache-kafka" => TriggerSource::Kafka(kafka(&metadata, kind.as_str())),
        "prometheus" => prometheus(part, &metadata),
        "cpu" | "memory" => match &metadata.0 {
            Some(m) => quantity(m, "value").map_or(TriggerSource::Other, TriggerSource::Resource),
            None => TriggerSource::Other,
        },
        _ => TriggerSource::Other,
    };
    let resource = matches!(kind.as_str(), "cpu" | "memory");
    // CPU and memory aim at utilisation where nothing else is said.
    let metric_type =
        if resource && part.get("metricType").is_none() { TriggerMetric::Utilization } else { metric_type };
    if metric_type == TriggerMetric::Utilization && !resource {
        part.refused("metricType Utilization goes with cpu and memory only");
    }
    let name = part.text("name").map(Label::new);
    Trigger { kind, name, metric_type, cached: part.flag("useCachedMetrics"), keys, source }
}

fn prometheus(part: &Cursor<'_>, metadata: &Metadata<'_>) -> TriggerSource {
    let Some(inner) = &metadata.0 else {
        part.unreadable("the trigger has no metadata");
        return TriggerSource::Other;
    };
    let query = metadata.text("query").unwrap_or_default();
    match quantity(inner, "threshold") {
        Some(threshold) => TriggerSource::Prometheus {
            query: Label::new(&query),
            threshold,
            activation: metadata.number("activationThreshold", 0.0),
        },
        None => TriggerSource::Other,
    }
}

fn kafka(metadata: &Metadata<'_>, kind: &str) -> KafkaTrigger {
    if let Some(inner) = &metadata.0 {
        let mut known: Vec<&str> =
            KAFKA.iter().copied().filter(|k| kind == "kafka" || !SARAMA_ONLY.contains(k)).collect();
        known.extend(["bootstrapServersFromEnv", "consumerGroupFromEnv", "topicFromEnv"]);
        inner.known(&known, &format!("a {kind} trigger's metadata"));
    }
    let topic = metadata.text("topic").filter(|t| !t.is_empty());
    let named = topic.is_some() || metadata.text("topicFromEnv").is_some();
    let threshold = metadata.integer("lagThreshold", 10);
    if threshold < 1 {
        metadata.refused("lagThreshold", "lagThreshold must be above zero: KEDA refuses it");
    }
    let trigger = KafkaTrigger {
        group: Label::new(&metadata.text("consumerGroup").unwrap_or_default()),
        topic: topic.as_deref().map(Label::new),
        lag_threshold: if threshold < 1 { 10.0 } else { threshold as f64 },
        activation: metadata.integer("activationLagThreshold", 0) as f64,
        earliest: metadata.text("offsetResetPolicy").as_deref() == Some("earliest"),
        allow_idle: metadata.flag("allowIdleConsumers"),
        limit_to_partitions_with_lag: metadata.flag("limitToPartitionsWithLag"),
        ensure_even: metadata.flag("ensureEvenDistributionOfPartitions"),
        exclude_persistent: metadata.flag("excludePersistentLag"),
        zero_on_invalid_offset: metadata.flag("scaleToZeroOnInvalidOffset"),
        limited_to: metadata.text("partitionLimitation").filter(|_| named).and_then(|text| {
            let count = limitation(&text);
            if count.is_none() {
                metadata.unreadable("partitionLimitation", &format!("{text:?}: write 1,3-5"));
            }
            count
        }),
    };
    let refuse = |key: &str, what: &str| metadata.refused(key, &format!("{what}: KEDA refuses the trigger"));
    if trigger.allow_idle && trigger.limit_to_partitions_with_lag {
        refuse("allowIdleConsumers", "allowIdleConsumers and limitToPartitionsWithLag exclude one another");
    }
    // The next two are checked by the scaler on sarama only; the other does as it is told.
    if kind == "kafka" && trigger.ensure_even && trigger.limit_to_partitions_with_lag {
        let what = "limitToPartitionsWithLag and ensureEvenDistributionOfPartitions exclude one another";
        refuse("ensureEvenDistributionOfPartitions", what);
    }
    if kind == "kafka" && trigger.ensure_even && !named {
        refuse("ensureEvenDistributionOfPartitions", "ensureEvenDistributionOfPartitions needs a topic");
    }
    if trigger.limit_to_partitions_with_lag && !named {
        refuse("limitToPartitionsWithLag", "limitToPartitionsWithLag needs a topic");
    }
    trigger
}

/// How many partitions `1,3-5` names (`parsePartitionLimitation`).
fn limitation(text: &str) -> Option<u32> {
    let mut count = 0_u32;
    for part in text.split(',').map(str::trim) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (from.trim().parse::<u32>().ok()?, to.trim().parse::<u32>().ok()?);
        count = count.checked_add(to.saturating_sub(from).checked_add(u32::from(to >= from))?)?;
    }
    Some(count)
}

/// A trigger's metadata: texts, all of them.
struct Metadata<'a>(Option<Cursor<'a>>);

impl Metadata<'_> {
    /// The API server takes nothing but texts here.
    fn all_texts(&self) {
        let Some(inner) = &self.0 else { return };
        for key in inner.keys() {
            if let Some(part) = inner.get(key).filter(|p| !p.is_text()) {
                let value = part.plain().unwrap_or_default();
                part.refused(&format!("metadata are texts: write \"{value}\" in quotes, or the API server refuses it"));
            }
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.0.as_ref()?.get(key)?.plain()
    }

    fn flag(&self, key: &str) -> bool {
        match self.text(key).as_deref().map(str::trim) {
            Some("true" | "True" | "TRUE" | "t" | "T" | "1") => true,
            None | Some("false" | "False" | "FALSE" | "f" | "F" | "0" | "") => false,
            Some(other) => {
                self.unreadable(key, &format!("{key}: {other:?} is neither true nor false"));
                false
            }
        }
    }

    fn integer(&self, key: &str, default: i64) -> i64 {
        let Some(text) = self.text(key).filter(|t| !t.is_empty()) else { return default };
        text.trim().parse::<i64>().unwrap_or_else(|_| {
            self.unreadable(key, &format!("{key}: {text:?} is no count"));
            default
        })
    }

    fn number(&self, key: &str, default: f64) -> f64 {
        let Some(text) = self.text(key).filter(|t| !t.is_empty()) else { return default };
        text.trim().parse::<f64>().ok().filter(|n| n.is_finite()).unwrap_or_else(|| {
            self.unreadable(key, &format!("{key}: {text:?} is no number"));
            default
        })
    }

    fn unreadable(&self, key: &str, what: &str) {
        if let Some(part) = self.0.as_ref().and_then(|m| m.get(key)) {
            part.unreadable(what);
        }
    }

    fn refused(&self, key: &str, what: &str) {
        if let Some(part) = self.0.as_ref().and_then(|m| m.get(key)) {
            part.refused(what);
        }
    }
}
