//! A trigger of a ScaledObject, with what its scaler refuses (`kafka_scaler.go`, `apache_kafka_scaler.go`,
//! `prometheus_scaler.go`, `cpu_memory_scaler.go`, `scalersconfig/typed_config.go`).

use super::{MOST_PARTITIONS, cursor::Cursor, hpa::quantity};
use crate::model::{KafkaTrigger, Label, Quantity, Trigger, TriggerMetric, TriggerSource};
use serde::de::DeserializeOwned;

/// Metadata that the Kafka scalers read; `…FromEnv` is allowed for the first three.
const KAFKA: [&str; 23] = [
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
    "identityOwner",
    "awsAccessKeyID",
    "awsAccessKeyIDFromEnv",
    "awsSecretAccessKeyFromEnv",
];
/// Of these the apache-kafka scaler reads none.
const SARAMA_ONLY: [&str; 4] = ["fullMetadata", "version", "unsafeSsl", "saslTokenProvider"];

/// Metadata that the Prometheus scaler and its ways to authenticate read.
const PROMETHEUS: [&str; 24] = [
    "serverAddress",
    "query",
    "queryParameters",
    "threshold",
    "activationThreshold",
    "namespace",
    "customHeaders",
    "ignoreNullValues",
    "unsafeSsl",
    "awsRegion",
    "timeout",
    "identityOwner",
    "authModes",
    "authMode",
    "apiKey",
    "method",
    "keyParamName",
    "cloud",
    "azureManagedPrometheusResourceURL",
    "credentialsFromEnv",
    "credentialsFromEnvFile",
    "awsAccessKeyID",
    "awsAccessKeyIDFromEnv",
    "awsSecretAccessKeyFromEnv",
];

/// Reads one trigger.
pub(super) fn read(part: &Cursor<'_>) -> Trigger {
    let known = ["type", "name", "useCachedMetrics", "metadata", "authenticationRef", "metricType"];
    part.known(&known, "a trigger");
    let kind = part.label("type");
    if kind.is_empty() {
        part.unreadable("the trigger has no type");
    }
    let metadata = Metadata { part, inner: part.map("metadata") };
    metadata.all_texts();
    let resource = matches!(kind.as_str(), "cpu" | "memory");
    let metric_type = if resource { resource_type(part, &metadata) } else { metric_type(part) };
    let cached = part.flag("useCachedMetrics");
    if cached && (resource || kind.as_str() == "cron") {
        part.field("useCachedMetrics").refused(&format!("useCachedMetrics does not go with {kind}: {REFUSED}"));
    }
    let keys = metadata.inner.iter().flat_map(Cursor::keys).map(Label::new).collect();
    let source = match kind.as_str() {
        "kafka" | "apache-kafka" => TriggerSource::Kafka(kafka(&metadata, kind.as_str())),
        "prometheus" => prometheus(&metadata),
        "cpu" | "memory" => resource_target(&metadata, metric_type),
        _ => TriggerSource::Other,
    };
    let name = part.text("name").filter(|n| !n.is_empty()).map(Label::new);
    Trigger { kind, name, metric_type, cached, keys, source }
}

/// Why a refused trigger comes to nothing.
const REFUSED: &str = "KEDA refuses the trigger";

/// Of an external metric: `AverageValue` where nothing is said (`GetMetricTargetType`).
fn metric_type(part: &Cursor<'_>) -> TriggerMetric {
    match part.text("metricType") {
        None | Some("" | "AverageValue") => TriggerMetric::AverageValue,
        Some("Value") => TriggerMetric::Value,
        Some("Utilization") => {
            part.field("metricType").refused("metricType Utilization goes with cpu and memory only");
            TriggerMetric::Utilization
        }
        Some(other) => {
            let what = format!("metricType {other:?}: AverageValue or Value belongs here");
            part.field("metricType").unreadable(&what);
            TriggerMetric::AverageValue
        }
    }
}

/// Of cpu and memory: it must be said, and no longer by `metadata.type` (`parseResourceMetadata`).
fn resource_type(part: &Cursor<'_>, metadata: &Metadata<'_>) -> TriggerMetric {
    if metadata.text("type").is_some() {
        metadata.refused("type", &format!("metadata.type went with KEDA 2.18: write metricType; {REFUSED}"));
    }
    let wanted = "Utilization or AverageValue belongs here";
    match part.text("metricType") {
        Some("Utilization") => TriggerMetric::Utilization,
        Some("AverageValue") => TriggerMetric::AverageValue,
        None | Some("") => {
            part.refused(&format!("metricType is missing: {wanted}; {REFUSED}"));
            let meant = metadata.text("type").is_some_and(|t| t == "AverageValue");
            if meant { TriggerMetric::AverageValue } else { TriggerMetric::Utilization }
        }
        Some(other) => {
            part.field("metricType").unreadable(&format!("metricType {other:?}: {wanted}"));
            TriggerMetric::Utilization
        }
    }
}

/// What cpu or memory is held at: a whole percent, or a quantity.
fn resource_target(metadata: &Metadata<'_>, metric_type: TriggerMetric) -> TriggerSource {
    let Some(inner) = &metadata.inner else {
        metadata.required(&["value"]);
        return TriggerSource::Other;
    };
    inner.known(&["value", "containerName", "type"], "a cpu or memory trigger's metadata");
    if metric_type == TriggerMetric::AverageValue {
        return quantity(inner, "value").map_or(TriggerSource::Other, TriggerSource::Resource);
    }
    metadata.required(&["value"]);
    let Some(text) = metadata.text("value") else { return TriggerSource::Other };
    let Some(percent) = text.parse::<i32>().ok().filter(|percent| *percent >= 1) else {
        let what = format!("{text:?}: with metricType Utilization a whole percent above zero belongs here");
        metadata.unreadable("value", &what);
        return TriggerSource::Other;
    };
    TriggerSource::Resource(Quantity::from_milli(i64::from(percent) * 1000))
}

fn prometheus(metadata: &Metadata<'_>) -> TriggerSource {
    metadata.required(&["serverAddress", "query", "threshold"]);
    if let Some(inner) = &metadata.inner {
        inner.known(&PROMETHEUS, "a prometheus trigger's metadata");
    }
    let activation = metadata.number("activationThreshold", 0.0);
    if metadata.text("threshold").is_none() {
        return TriggerSource::Other;
    }
    let threshold = Quantity::from_milli((metadata.number("threshold", 1.0) * 1000.0) as i64); // truncates, as upstream
    if threshold.milli() < 1 {
        metadata.unreadable("threshold", "threshold must be above zero");
        return TriggerSource::Other;
    }
    TriggerSource::Prometheus { query: Label::new(&metadata.text("query").unwrap_or_default()), threshold, activation }
}

fn kafka(metadata: &Metadata<'_>, kind: &str) -> KafkaTrigger {
    if let Some(inner) = &metadata.inner {
        let mut known: Vec<&str> =
            KAFKA.iter().copied().filter(|k| kind == "kafka" || !SARAMA_ONLY.contains(k)).collect();
        known.extend(["bootstrapServersFromEnv", "consumerGroupFromEnv", "topicFromEnv"]);
        inner.known(&known, &format!("a {kind} trigger's metadata"));
    }
    let topic = metadata.text("topic");
    let named = topic.is_some() || metadata.text("topicFromEnv").is_some();
    let threshold = metadata.integer("lagThreshold", 10);
    let limited_to = metadata.text("partitionLimitation").and_then(|text| {
        limitation(&text).map_err(|what| metadata.unreadable("partitionLimitation", &format!("{text:?}: {what}"))).ok()
    });
    let trigger = KafkaTrigger {
        group: Label::new(&metadata.text("consumerGroup").unwrap_or_default()),
        topic: topic.as_deref().map(Label::new),
        lag_threshold: if threshold < 1 { 10.0 } else { threshold as f64 },
        activation: metadata.integer("activationLagThreshold", 0) as f64,
        earliest: metadata.text("offsetResetPolicy").as_deref() == Some("earliest"),
        allow_idle: metadata.flag("allowIdleConsumers", false),
        limit_to_partitions_with_lag: metadata.flag("limitToPartitionsWithLag", false),
        ensure_even: metadata.flag("ensureEvenDistributionOfPartitions", false),
        exclude_persistent: metadata.flag("excludePersistentLag", false),
        zero_on_invalid_offset: metadata.flag("scaleToZeroOnInvalidOffset", false),
        limited_to: limited_to.filter(|_| named),
    };
    if threshold < 1 {
        metadata.refused("lagThreshold", "lagThreshold must be above zero: KEDA refuses it");
    }
    refused_kafka(metadata, &trigger, kind, named);
    trigger
}

/// What the scalers refuse (`kafkaMetadata.Validate`, `apacheKafkaMetadata.Validate`).
fn refused_kafka(metadata: &Metadata<'_>, trigger: &KafkaTrigger, kind: &str, named: bool) {
    let sarama = kind == "kafka";
    metadata.required(&["bootstrapServers", "consumerGroup"]);
    metadata.one_of("offsetResetPolicy", &["latest", "earliest"]);
    metadata.one_of("tls", &["enable", "disable"]);
    let last = if sarama { "oauthbearer" } else { "aws_msk_iam" };
    metadata.one_of("sasl", &["none", "plaintext", "scram_sha256", "scram_sha512", "gssapi", last]);
    let refuse = |key: &str, what: &str| metadata.refused(key, &format!("{what}: {REFUSED}"));
    let sasl = metadata.text("sasl").unwrap_or_default();
    let named_users = if sarama { &["plaintext", "scram_sha256", "scram_sha512"][..] } else { &["plaintext"] };
    if named_users.contains(&sasl.as_str()) && metadata.part.get("authenticationRef").is_none() {
        refuse("sasl", &format!("sasl {sasl} needs the username and the password of an authenticationRef"));
    }
    if trigger.activation < 0.0 {
        refuse("activationLagThreshold", "activationLagThreshold must not be below zero");
    }
    if trigger.allow_idle && trigger.limit_to_partitions_with_lag {
        refuse("allowIdleConsumers", "allowIdleConsumers and limitToPartitionsWithLag exclude one another");
    }
    if trigger.limit_to_partitions_with_lag && !named {
        refuse("limitToPartitionsWithLag", "limitToPartitionsWithLag needs a topic");
    }
    // The rest is checked by the scaler on sarama only; the other does as it is told.
    if sarama && trigger.ensure_even && trigger.limit_to_partitions_with_lag {
        let what = "limitToPartitionsWithLag and ensureEvenDistributionOfPartitions exclude one another";
        refuse("ensureEvenDistributionOfPartitions", what);
    }
    if sarama && trigger.ensure_even && !named {
        refuse("ensureEvenDistributionOfPartitions", "ensureEvenDistributionOfPartitions needs a topic");
    }
    if sarama && !named && !metadata.flag("fullMetadata", true) {
        refuse("fullMetadata", "fullMetadata false needs a topic");
    }
}

/// How many partitions `1,3-5` names; each counts once (`parsePartitionLimitation`).
fn limitation(text: &str) -> Result<u32, String> {
    let number = |text: &str| text.trim().parse::<i32>().ok().and_then(|n| u64::try_from(n).ok());
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some((number(from)?, number(to)?))
    };
    let ranges: Option<Vec<(u64, u64)>> = text.split(',').map(range).collect();
    let mut ranges = ranges.ok_or("write 1,3-5")?;
    ranges.sort_unstable();
    let (mut count, mut next) = (0, 0);
    for (from, to) in ranges {
        count += (to + 1).saturating_sub(from.max(next));
        next = next.max(to + 1);
    }
    match u32::try_from(count) {
        Ok(0) => Err("it names no partition".to_owned()),
        Ok(few) if count <= u64::from(MOST_PARTITIONS) => Ok(few),
        _ => Err(format!("it names {count} partitions, and {MOST_PARTITIONS} are the most that are taken")),
    }
}

/// A trigger's metadata: texts, all of them; an empty one is none.
struct Metadata<'a> {
    part: &'a Cursor<'a>,
    inner: Option<Cursor<'a>>,
}

impl Metadata<'_> {
    /// The API server takes nothing but texts here.
    fn all_texts(&self) {
        let Some(inner) = &self.inner else { return };
        for part in inner.keys().filter_map(|key| inner.get(key)).filter(|p| !p.is_text()) {
            let mend = part.plain().map_or("a text belongs here".to_owned(), |v| format!("write \"{v}\" in quotes"));
            part.refused(&format!("metadata are texts: {mend}, or the API server refuses it"));
        }
    }

    /// Complains of what is missing: neither here nor taken from the environment of the workload.
    fn required(&self, keys: &[&str]) {
        for key in keys {
            if self.text(key).is_none() && self.text(&format!("{key}FromEnv")).is_none() {
                self.refused(key, &format!("{key} is missing: {REFUSED}"));
            }
        }
    }

    fn one_of(&self, key: &str, words: &[&str]) {
        if let Some(text) = self.text(key).filter(|t| !words.contains(&t.as_str())) {
            self.refused(key, &format!("{key} {text:?}: {} belongs here; {REFUSED}", words.join(" or ")));
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        let text = self.inner.as_ref()?.get(key)?.plain()?;
        Some(text.trim().to_owned()).filter(|t| !t.is_empty())
    }

    fn flag(&self, key: &str, default: bool) -> bool {
        match self.text(key).as_deref() {
            Some("true" | "True" | "TRUE" | "t" | "T" | "1") => true,
            Some("false" | "False" | "FALSE" | "f" | "F" | "0") => false,
            None => default,
            Some(other) => {
                self.unreadable(key, &format!("{key}: {other:?} is neither true nor false"));
                default
            }
        }
    }

    fn integer(&self, key: &str, default: i64) -> i64 {
        self.json(key, "count").unwrap_or(default)
    }

    fn number(&self, key: &str, default: f64) -> f64 {
        self.json(key, "number").unwrap_or(default)
    }

    /// Numbers are read as JSON, as KEDA does: no `10k`, no `1000.0` for a count.
    fn json<T: DeserializeOwned>(&self, key: &str, kind: &str) -> Option<T> {
        let text = self.text(key)?;
        let read = serde_json::from_str(&text).ok();
        if read.is_none() {
            self.unreadable(key, &format!("{key}: {text:?} is no {kind}"));
        }
        read
    }

    fn place(&self, key: &str) -> Cursor<'_> {
        self.inner.as_ref().unwrap_or(self.part).field(key)
    }

    fn unreadable(&self, key: &str, what: &str) {
        self.place(key).unreadable(what);
    }

    fn refused(&self, key: &str, what: &str) {
        self.place(key).refused(what);
    }
}
