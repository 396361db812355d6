//! `autoscaling/v2` HorizontalPodAutoscaler, and the `behavior` that ScaledObjects carry as well.

use super::cursor::Cursor;
use crate::model::{
    Hpa, HpaBehavior, HpaMetric, Label, MetricSource, MetricTarget, Quantity, ScalingPolicy, ScalingRules, ScalingUnit,
    SelectPolicy,
};
use std::collections::BTreeMap;

pub(super) fn read(object: &Cursor<'_>) -> Hpa {
    match object.text("apiVersion") {
        // Absent in items of a typed list.
        None | Some("autoscaling/v2") => {}
        Some(other) => {
            let what = format!(
                "apiVersion {other}: only autoscaling/v2 is read (kubectl get hpa.v2.autoscaling -o yaml writes it)"
            );
            object.get("apiVersion").unwrap_or_else(|| object.here()).unreadable(&what);
        }
    }
    let mut hpa = Hpa {
        namespace: namespace(object),
        name: object.at(&["metadata"]).map_or_else(|| Label::new(""), |m| m.label("name")),
        desired: object.at(&["status"]).and_then(|s| s.count("desiredReplicas")),
        ..Hpa::default()
    };
    let managed = object.at(&["metadata", "labels"]).and_then(|l| l.text("app.kubernetes.io/managed-by"));
    hpa.keda = managed == Some("keda-operator");
    let Some(spec) = object.get("spec") else {
        object.unreadable("the HorizontalPodAutoscaler has no spec");
        return hpa;
    };
    spec.known(&["scaleTargetRef", "minReplicas", "maxReplicas", "metrics", "behavior"], "an HPA's spec");
    if let Some(target) = spec.get("scaleTargetRef") {
        (hpa.target_kind, hpa.target_name) = (target.label("kind"), target.label("name"));
    }
    hpa.min = spec.count("minReplicas").unwrap_or(1);
    match (spec.get("maxReplicas"), spec.count("maxReplicas")) {
        (None, _) => spec.unreadable("spec.maxReplicas is missing"),
        (Some(place), Some(max)) if max < hpa.min => {
            hpa.max = max;
            place.unreadable(&format!("maxReplicas {max} is below minReplicas {}", hpa.min));
        }
        (_, max) => hpa.max = max.unwrap_or(hpa.min),
    }
    hpa.metrics = spec.list("metrics").iter().map(metric).collect();
    hpa.behavior = spec.get("behavior").map(|b| behavior(&b));
    hpa
}

/// `metadata.namespace`, `default` where it is absent.
pub(super) fn namespace(object: &Cursor<'_>) -> Label {
    Label::new(object.get("metadata").and_then(|m| m.text("namespace")).unwrap_or("default"))
}

fn metric(spec: &Cursor<'_>) -> HpaMetric {
    let kind = spec.text("type").unwrap_or("");
    let (source, key) = match kind {
        "Resource" => (MetricSource::Resource, "resource"),
        "ContainerResource" => {
            let container = spec.get("containerResource").map_or_else(|| Label::new(""), |c| c.label("container"));
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
            spec.get("type")
                .unwrap_or_else(|| spec.here())
                .unreadable(&format!("type {other:?} is no metric source: {known}"));
            return blank(MetricSource::Other(Label::new(other)), Label::new(""));
        }
    };
    let Some(part) = spec.get(key) else {
        spec.unreadable(&format!("a metric of type {kind} without its block {key}"));
        return blank(source, Label::new("?"));
    };
    let name = part.at(&["metric"]).map_or_else(|| part.label("name"), |m| m.label("name"));
    let chosen = part.at(&["metric", "selector", "matchLabels"]);
    let label = |chosen: &Cursor<'_>, key: &str| (Label::new(key), chosen.label(key));
    let selects = chosen.iter().flat_map(|c| c.keys().map(|key| label(c, key))).collect();
    HpaMetric { selects, target: target(&part, kind), ..blank(source, name) }
}

fn blank(source: MetricSource, name: Label) -> HpaMetric {
    HpaMetric { source, name, selects: BTreeMap::new(), target: None }
}

fn target(part: &Cursor<'_>, kind: &str) -> Option<MetricTarget> {
    let Some(target) = part.get("target") else {
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
        let place = target.get("type").unwrap_or_else(|| target.here());
        place.unreadable(&format!("target type {word:?} does not go with a {kind} metric"));
        return None;
    }
    match word {
        "Utilization" => {
            let percent = target.count("averageUtilization");
            if percent.is_none_or(|p| p == 0) {
                target.unreadable("target.averageUtilization must be above zero");
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
        up: rules(spec.get("scaleUp").as_ref(), default.up),
        down: rules(spec.get("scaleDown").as_ref(), default.down),
    }
}

fn rules(given: Option<&Cursor<'_>>, default: ScalingRules) -> ScalingRules {
    let Some(given) = given else { return default };
    given.known(&["stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance"], "scaling rules");
    let window = given.seconds("stabilizationWindowSeconds");
    if window.is_some_and(|w| w > 3_600.0) {
        given.refused("stabilizationWindowSeconds must not exceed 3600");
    }
    let select = match given.text("selectPolicy") {
        None => default.select,
        Some("Max") => SelectPolicy::Max,
        Some("Min") => SelectPolicy::Min,
        Some("Disabled") => SelectPolicy::Disabled,
        Some(other) => {
            given.unreadable(&format!("selectPolicy {other:?}: Max, Min or Disabled belongs here"));
            default.select
        }
    };
    let policies: Vec<ScalingPolicy> = given.list("policies").iter().filter_map(policy).collect();
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
            spec.unreadable(&format!("type {:?}: Pods or Percent belongs here", other.unwrap_or("")));
            return None;
        }
    };
    let (Some(value), Some(period)) = (spec.count("value"), spec.seconds("periodSeconds")) else {
        spec.unreadable("a policy needs value and periodSeconds");
        return None;
    };
    if value == 0 || !(1.0..=1_800.0).contains(&period) {
        spec.refused("value must be above zero and periodSeconds within 1 and 1800");
    }
    Some(ScalingPolicy { kind, value, period })
}
