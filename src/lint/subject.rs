//! What rules look at: an HPA or a ScaledObject in common words.

use super::{Facts, Known};
use crate::promql;
use crate::{
    manifest::Object,
    model::{
        HpaBehavior, KafkaTrigger, MetricSource, MetricTarget, Quantity, ScalingRules, Trigger, TriggerMetric,
        TriggerSource,
    },
};
use serde_json::{Value, json};

/// One object with what is known around it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The object.
    pub object: &'a Object,
    /// What is known of its workload.
    pub facts: &'a Facts,
    /// As it is written: tells what was said from what is a default.
    pub written: &'a Value,
}

/// A lag that the object is held at.
#[derive(Clone, Debug)]
pub struct LagTarget<'a> {
    /// Number of the metric or trigger.
    pub index: usize,
    /// Where the target stands.
    pub pointer: String,
    /// Its key there: `lagThreshold`.
    pub key: &'static str,
    /// Records; per replica, unless it is a `Value`.
    pub target: f64,
    /// It is held against the whole lag.
    pub whole: bool,
    /// KEDA's Kafka trigger.
    pub kafka: Option<&'a KafkaTrigger>,
}

impl LagTarget<'_> {
    /// Another target in the words of the object: quantities and KEDA's metadata are texts.
    pub fn value(records: f64) -> Value {
        json!(format!("{}", records.round()))
    }
}

impl<'a> Subject<'a> {
    /// Lowest and highest count, as the HPA has them.
    pub fn bounds(&self) -> (u32, u32) {
        match self.object {
            Object::Hpa(hpa) => (hpa.min, hpa.max),
            Object::ScaledObject(scaled) => scaled.hpa_bounds(),
        }
    }

    /// Where the lowest count stands.
    pub fn min_pointer(&self) -> &'static str {
        if self.is_keda() { "/spec/minReplicaCount" } else { "/spec/minReplicas" }
    }

    /// Where the highest count stands.
    pub fn max_pointer(&self) -> &'static str {
        if self.is_keda() { "/spec/maxReplicaCount" } else { "/spec/maxReplicas" }
    }

    /// Last part of a pointer: the key.
    pub fn key(pointer: &str) -> &str {
        pointer.rsplit('/').next().unwrap_or(pointer)
    }

    /// Whether it is a ScaledObject.
    pub fn is_keda(&self) -> bool {
        matches!(self.object, Object::ScaledObject(_))
    }

    /// `behavior`, if there is one.
    pub fn behavior(&self) -> Option<&'a HpaBehavior> {
        match self.object {
            Object::Hpa(hpa) => hpa.behavior.as_ref(),
            Object::ScaledObject(scaled) => scaled.behavior.as_ref(),
        }
    }

    /// Rules for removing; without a behavior the API server's defaults, which come to the same on the way down.
    pub fn down(&self) -> ScalingRules {
        self.behavior().map_or_else(|| HpaBehavior::default().down, |b| b.down.clone())
    }

    /// Where `behavior` stands, or would.
    pub fn behavior_pointer(&self) -> &'static str {
        if self.is_keda() { "/spec/advanced/horizontalPodAutoscalerConfig/behavior" } else { "/spec/behavior" }
    }

    /// The lags that it is held at.
    pub fn lags(&self) -> Vec<LagTarget<'a>> {
        match self.object {
            Object::Hpa(hpa) => {
                let of = |(index, m): (usize, &crate::model::HpaMetric)| {
                    let part = match m.source {
                        MetricSource::External => "external",
                        MetricSource::Object(_) => "object",
                        _ => return None,
                    };
                    let (key, target, whole) = match m.target? {
                        MetricTarget::AverageValue(q) => ("averageValue", q.value(), false),
                        MetricTarget::Value(q) => ("value", q.value(), true),
                        MetricTarget::Utilization(_) => return None,
                    };
                    let pointer = format!("/spec/metrics/{index}/{part}/target/{key}");
                    is_lag(m.name.as_str()).then_some(LagTarget { index, pointer, key, target, whole, kafka: None })
                };
                hpa.metrics.iter().enumerate().filter_map(of).collect()
            }
            Object::ScaledObject(scaled) => scaled.triggers.iter().enumerate().filter_map(trigger_lag).collect(),
        }
    }

    /// Partitions that the object's triggers read: of those that are known, what `partitionLimitation` leaves.
    pub fn partitions(&self) -> Option<Known<u32>> {
        let Object::ScaledObject(scaled) = self.object else { return self.facts.partitions.clone() };
        let limited = scaled.kafka().find_map(|k| k.limited_to);
        limited.map(|n| Known::told(n, "partitionLimitation")).or_else(|| self.facts.partitions.clone())
    }

    /// Whether consumers beyond the partitions are asked for: KEDA cuts them off unless it is told not to, an HPA never.
    pub fn may_idle(&self) -> bool {
        match self.object {
            Object::Hpa(_) => true,
            Object::ScaledObject(scaled) => scaled.triggers.iter().any(|t| uncut(t).is_some()),
        }
    }

    /// The highest count that can really come: the bound, or the partitions where KEDA cuts there.
    pub fn reach(&self) -> u32 {
        let (_, max) = self.bounds();
        match self.partitions() {
            Some(partitions) if !self.may_idle() => max.min(partitions.value),
            _ => max,
        }
    }
}

/// Why a trigger may ask for more consumers than there are partitions; `None`: KEDA cuts what it shows.
pub(super) fn uncut(trigger: &Trigger) -> Option<String> {
    let TriggerSource::Kafka(k) = &trigger.source else {
        return Some(format!("A {} trigger knows nothing of partitions", trigger.kind));
    };
    // The lag is cut all the same, but to a factor of the count and not to a count.
    if trigger.metric_type == TriggerMetric::Value {
        return Some("With metricType Value the lag multiplies the count, cut to the partitions or not".to_owned());
    }
    let cut = !k.allow_idle || k.limit_to_partitions_with_lag || k.ensure_even;
    (!cut).then(|| "allowIdleConsumers is true".to_owned())
}

fn trigger_lag((index, t): (usize, &Trigger)) -> Option<LagTarget<'_>> {
    let whole = t.metric_type == TriggerMetric::Value;
    let (key, target, kafka) = match &t.source {
        TriggerSource::Kafka(kafka) => ("lagThreshold", kafka.lag_threshold, Some(kafka)),
        TriggerSource::Prometheus { query, threshold, .. } if reads_lag(query.as_str()) => {
            ("threshold", Quantity::value(*threshold), None)
        }
        _ => return None,
    };
    let pointer = format!("/spec/triggers/{index}/metadata/{key}");
    Some(LagTarget { index, pointer, key, target, whole, kafka })
}

/// Whether an expression reads a lag in records: by the names of its metrics, never by its labels.
fn reads_lag(query: &str) -> bool {
    match promql::metrics(query) {
        Ok(Some(names)) => names.iter().any(|name| is_lag(name)),
        // A name left open, or a template: what stands outside of braces and quotes.
        _ => outside(query).split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').any(is_lag),
    }
}

/// A text without what stands in braces or quotes.
fn outside(text: &str) -> String {
    let (mut depth, mut quoted, mut out) = (0_u32, false, String::new());
    for c in text.chars() {
        match c {
            '"' | '\'' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted => depth = depth.saturating_sub(1),
            _ if depth == 0 && !quoted => out.push(c),
            _ => {}
        }
    }
    out
}

/// Whether a metric's name is a lag in records: `kafka_consumergroup_lag`, not `…_lag_seconds`. KEDA names the metric of
/// its Kafka trigger `s0-kafka-TOPIC`.
fn is_lag(name: &str) -> bool {
    const TIMES: [&str; 9] = ["second", "seconds", "sec", "secs", "ms", "millis", "milliseconds", "time", "timelag"];
    let of_keda = name.strip_prefix('s').map(|n| n.trim_start_matches(|c: char| c.is_ascii_digit()));
    if of_keda.is_some_and(|rest| rest.starts_with("-kafka")) {
        return true;
    }
    let words = words(name);
    let lag = |w: &String| w.ends_with("lag") && !w.ends_with("flag");
    words.iter().any(lag) && !words.iter().any(|w| TIMES.contains(&w.as_str()))
}

/// The words of a name, small and without the numbers behind them: `SumOffsetLag2` is sum, offset, lag.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (small && c.is_uppercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphabetic(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        small = c.is_lowercase();
    }
    words
}

/// Counts that change what a group can do: with `p` partitions the busiest of `n` consumers has `ceil(p / n)` of them, so
/// every count between two of these does no more than the lower.
pub fn useful(partitions: u32) -> Vec<u32> {
    let mut counts: Vec<u32> = (1..=partitions).map(|each| partitions.div_ceil(each)).collect();
    counts.sort_unstable();
    counts.dedup();
    counts
}
