//! `autoscaling/v2` HorizontalPodAutoscaler (and v1, which has CPU only), with what the API server refuses
//! (`pkg/apis/autoscaling/validation`), and the `behavior` that ScaledObjects carry as well.

use super::cursor::Cursor;
use crate::model::{
    Hpa, HpaBehavior, HpaMetric, Label, MetricSource, MetricTarget, Quantity, ScalingPolicy, ScalingRules, ScalingUnit,
    SelectPolicy,
};
use std::collections::BTreeMap;

pub(super) fn read(object: &Cursor<'_>) -> Hpa {
    annotations(object);
    let mut hpa = Hpa {
        namespace: namespace(object),
        name: object.at(&["metadata"]).map_or_else(|| Label::new(""), |m| m.label("name")),
        desired: object.at(&["status"]).and_then(|s| s.count("desiredReplicas")),
        ..Hpa::default()
    };
    let managed = object.at(&["metadata", "labels"]).and_then(|l| l.text("app.kubernetes.io/managed-by"));
    hpa.keda = managed == Some("keda-operator");
    let Some(v1) = is_v1(object) else { return hpa };
    let Some(spec) = object.map("spec") else {
        object.unreadable("the HorizontalPodAutoscaler has no spec");
        return hpa;
    };
    let both = ["scaleTargetRef", "minReplicas", "maxReplicas"];
    let own: &[&str] = if v1 { &["targetCPUUtilizationPercentage"] } else { &["metrics", "behavior"] };
    spec.known(&[&both, own].concat(), "an HPA's spec");
    if let Some(target) = spec.map("scaleTargetRef") {
        (hpa.target_kind, hpa.target_name) = (target.label("kind"), target.label("name"));
    }
    if hpa.target_kind.is_empty() || hpa.target_name.is_empty() {
        spec.field("scaleTargetRef").refused(&format!("scaleTargetRef with kind and name is missing: {REFUSED}"));
    }
    if v1 {
        let percent = spec.count("targetCPUUtilizationPercentage");
        let target = percent.map(MetricTarget::Utilization);
        hpa.metrics = target.into_iter().map(|t| with_target(blank(MetricSource::Resource, "cpu".into()), t)).collect();
    } else {
        hpa.metrics = spec.maps("metrics").iter().map(metric).collect();
        hpa.behavior = spec.map("behavior").map(|b| behavior(&b));
        no_policies(&spec);
    }
    bounds(&spec, &mut hpa);
    hpa
}

/// Why a refused object comes to nothing.
const REFUSED: &str = "the API server refuses the object";

/// Whether it is of `autoscaling/v1`, and not v2. Older and other versions are not read (`None`): their fields mean other
/// things; nor are metrics of v2 that the API server hides in an annotation when it is asked for v1.
fn is_v1(object: &Cursor<'_>) -> Option<bool> {
    let mend = "kubectl get hpa.v2.autoscaling -o yaml writes it";
    match object.text("apiVersion") {
        // Absent in items of a typed list.
        None | Some("autoscaling/v2") => Some(false),
        Some("autoscaling/v1") => {
            let annotations = object.at(&["metadata", "annotations"]);
            for name in ["metrics", "behavior"] {
                let key = format!("autoscaling.alpha.kubernetes.io/{name}");
                if let Some(hidden) = annotations.as_ref().and_then(|a| a.get(&key)) {
                    hidden.unreadable(&format!("{name} of autoscaling/v2 as an annotation of v1 are not read: {mend}"));
                }
            }
            Some(true)
        }
        Some(other) => {
            let what = format!("apiVersion {other}: only autoscaling/v2 and v1 are read ({mend})");
            object.field("apiVersion").unreadable(&what);
            None
        }
    }
}

fn bounds(spec: &Cursor<'_>, hpa: &mut Hpa) {
    hpa.min = spec.count("minReplicas").unwrap_or(1);
    let outside = |m: &HpaMetric| matches!(m.source, MetricSource::Object(_) | MetricSource::External);
    if hpa.min == 0 && !hpa.metrics.iter().any(outside) {
        let what =
            format!("minReplicas 0 needs an Object or External metric, which pods at zero still have: {REFUSED}");
        spec.field("minReplicas").refused(&what);
    }
    match (spec.get("maxReplicas"), spec.count("maxReplicas")) {
        (None, _) => spec.unreadable("spec.maxReplicas is missing"),
        (Some(place), Some(max)) if max < hpa.min => {
            hpa.max = max;
            place.unreadable(&format!("maxReplicas {max} is below minReplicas {}", hpa.min));
        }
        (Some(place), Some(0)) => {
            hpa.max = 0;
            place.refused(&format!("maxReplicas must be above zero: {REFUSED}"));
        }
        (_, max) => hpa.max = max.unwrap_or(hpa.min),
    }
}

/// `policies: []` is no default but a list without a policy. What KEDA writes leaves an empty list out.
fn no_policies(spec: &Cursor<'_>) {
    for rules in ["scaleUp", "scaleDown"].iter().filter_map(|side| spec.at(&["behavior", side])) {
        if let Some(place) = rules.get("policies").filter(|_| rules.list("policies").is_empty()) {
            place.refused(&format!("policies without a policy: leave the key out for the default; {REFUSED}"));
        }
    }
}

/// Annotations are texts: the API server takes nothing else.
pub(super) fn annotations(object: &Cursor<'_>) {
    let Some(annotations) = object.at(&["metadata", "annotations"]) else { return };
    for part in annotations.keys().filter_map(|key| annotations.get(key)).filter(|p| !p.is_text()) {
        let mend = part.plain().map_or("a text belongs here".to_owned(), |v| format!("write \"{v}\" in quotes"));
        part.refused(&format!("annotations are texts: {mend}, or {REFUSED}"));
    }
}

/// `metadata.namespace`, `default` where it is absent.
pub(super) fn namespace(object: &Cursor<'_>) -> Label {
    Label::new(object.map("metadata").and_then(|m| m.text("namespace")).unwrap_or("default"))
}

fn metric(spec: &Cursor<'_>) -> HpaMetric {
    let kind = spec.text("type").unwrap_or("");
    let (source, key) = match kind {
        "Resource" => (MetricSource::Resource, "resource"),
        "ContainerResource" => {
            let container = spec.map("containerResource").map_or_else(|| Label::new(""), |c| c.label("container"));
            (MetricSource::ContainerResource(container), "containerResource")
        }
        "Pods" => (MetricSource::Pods, "pods"),
        "Object" => {
            let described = spec.at(&["object", "describedObject"]);
            let name = described.map_or_else(String::new, |d| format!("{}/{}", d.label("kind"), d.label("name")));
            (MetricSource::Object(Label::new(&name)), "object")
        }
        "External" => (MetricSource::External, "external"),
        other => {
            let known = "Resource, ContainerResource, Pods, Object, External";
            spec.field("type").unreadable(&format!("type {other:?} is no metric source: {known}"));
            return blank(MetricSource::Other(Label::new(other)), Label::new(""));
        }
    };
    let Some(part) = spec.map(key) else {
        spec.unreadable(&format!("a metric of type {kind} without its block {key}"));
        return blank(source, Label::new("?"));
    };
    let name = part.at(&["metric"]).map_or_else(|| part.label("name"), |m| m.label("name"));
    if name.is_empty() {
        part.field("metric").refused(&format!("the metric has no name: {REFUSED}"));
    }
    let chosen = part.at(&["metric", "selector", "matchLabels"]);
    let label = |chosen: &Cursor<'_>, key: &str| (Label::new(key), chosen.label(key));
    let selects = chosen.iter().flat_map(|c| c.keys().map(|key| label(c, key))).collect();
    HpaMetric { selects, target: target(&part, kind), ..blank(source, name) }
}

fn with_target(metric: HpaMetric, target: MetricTarget) -> HpaMetric {
    HpaMetric { target: Some(target), ..metric }
}

fn blank(source: MetricSource, name: Label) -> HpaMetric {
    HpaMetric { source, name, selects: BTreeMap::new(), target: None }
}

fn target(part: &Cursor<'_>, kind: &str) -> Option<MetricTarget> {
    let Some(target) = part.map("target") else {
        part.unreadable("the metric has no target");
        return None;
    };
    let word = target.text("type").unwrap_or("");
    let plain = matches!(kind, "Object" | "External");
    let fits = match word {
        "Utilization" => matches!(kind, "Resource" | "ContainerResource"),
        "AverageValue" => true,
        "Value" => plain,
        _ => false,
    };
    if !fits {
        target.field("type").unreadable(&format!("target type {word:?} does not go with a {kind} metric"));
        return None;
    }
    // One of the two that go with the source: it is not for `type` to choose among them.
    let pair = if plain { ["value", "averageValue"] } else { ["averageUtilization", "averageValue"] };
    if kind != "Object" && pair.iter().all(|key| target.get(key).is_some()) {
        let [one, other] = pair;
        target.field(other).refused(&format!("{other} stands beside {one}, and one of them belongs here: {REFUSED}"));
    }
    match word {
        "Utilization" => {
            let percent = target.count("averageUtilization");
            if percent.is_none_or(|p| p == 0) {
                target.field("averageUtilization").unreadable("target.averageUtilization must be above zero");
            }
            percent.filter(|p| *p > 0).map(MetricTarget::Utilization)
        }
        "Value" => quantity(&target, "value").map(MetricTarget::Value),
        _ => quantity(&target, "averageValue").map(MetricTarget::AverageValue),
    }
}

/// A positive quantity.
pub(super) fn quantity(of: &Cursor<'_>, key: &str) -> Option<Quantity> {
    let Some(part) = of.get(key) else {
        of.unreadable(&format!("{key} is missing"));
        return None;
    };
    let text = part.plain().unwrap_or_default();
    match Quantity::parse(&text) {
        Some(quantity) if quantity.milli() >= 1 => return Some(quantity),
        Some(_) => part.unreadable(&format!("{text:?}: a target must be above zero")),
        None => part.unreadable(&format!("{text:?} is no quantity: write 10000, 10k, 500m or 1Gi")),
    }
    None
}

/// `behavior` with what the API server fills in.
pub(super) fn behavior(spec: &Cursor<'_>) -> HpaBehavior {
    spec.known(&["scaleUp", "scaleDown"], "behavior");
    let default = HpaBehavior::default();
    HpaBehavior {
        up: rules(spec.map("scaleUp").as_ref(), default.up),
        down: rules(spec.map("scaleDown").as_ref(), default.down),
    }
}

fn rules(given: Option<&Cursor<'_>>, default: ScalingRules) -> ScalingRules {
    let Some(given) = given else { return default };
    given.known(&["stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance"], "scaling rules");
    let window = given.seconds("stabilizationWindowSeconds");
    if window.is_some_and(|w| w > 3_600.0) {
        given.field("stabilizationWindowSeconds").refused("stabilizationWindowSeconds must not exceed 3600");
    }
    let select = match given.text("selectPolicy") {
        None => default.select,
        Some("Max") => SelectPolicy::Max,
        Some("Min") => SelectPolicy::Min,
        Some("Disabled") => SelectPolicy::Disabled,
        Some(other) => {
            given
                .field("selectPolicy")
                .unreadable(&format!("selectPolicy {other:?}: Max, Min or Disabled belongs here"));
            default.select
        }
    };
    let policies: Vec<ScalingPolicy> = given.maps("policies").iter().filter_map(policy).collect();
    let tolerance = given.get("tolerance").and_then(|part| {
        let text = part.plain().unwrap_or_default();
        let tolerance = Quantity::parse(&text).map(Quantity::value).filter(|t| *t >= 0.0);
        if tolerance.is_none() {
            part.unreadable(&format!("{text:?} is no tolerance: write 0.05 or 50m"));
        }
        tolerance
    });
    ScalingRules {
        window: window.or(default.window),
        select,
        policies: if policies.is_empty() { default.policies } else { policies },
        tolerance: tolerance.or(default.tolerance),
    }
}

fn policy(spec: &Cursor<'_>) -> Option<ScalingPolicy> {
    spec.known(&["type", "value", "periodSeconds"], "a scaling policy");
    let kind = match spec.text("type") {
        Some("Pods") => ScalingUnit::Pods,
        Some("Percent") => ScalingUnit::Percent,
        other => {
            spec.field("type").unreadable(&format!("type {:?}: Pods or Percent belongs here", other.unwrap_or("")));
            return None;
        }
    };
    let (Some(value), Some(period)) = (spec.count("value"), spec.seconds("periodSeconds")) else {
        if spec.get("value").is_none() || spec.get("periodSeconds").is_none() {
            spec.unreadable("a policy needs value and periodSeconds");
        }
        return None;
    };
    if value == 0 {
        spec.field("value").refused("value must be above zero");
    }
    if !(1.0..=1_800.0).contains(&period) {
        spec.field("periodSeconds").refused("periodSeconds must lie within 1 and 1800");
    }
    Some(ScalingPolicy { kind, value, period })
}
