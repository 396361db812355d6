//! `keda.sh/v1alpha1` ScaledObject of KEDA 2.21, with what its validation refuses (`scaledobject_types.go`,
//! `scaledobject_webhook.go`).

use super::{
    cursor::Cursor,
    hpa::{annotations, behavior, namespace},
    trigger,
};
use crate::model::{Fallback, FallbackBehavior, Holds, Label, Quantity, ScaledObject, ScalingModifiers, Trigger};
use std::collections::BTreeSet;

/// Characters of a label's value.
const LONGEST_NAME: usize = 63;

/// Why a refused object comes to nothing.
const REFUSED: &str = "KEDA refuses the object";

pub(super) fn read(object: &Cursor<'_>) -> ScaledObject {
    let mut scaled = ScaledObject {
        namespace: namespace(object),
        name: object.map("metadata").map_or_else(|| Label::new(""), |m| m.label("name")),
        ..ScaledObject::default()
    };
    if let Some(other) = object.text("apiVersion").filter(|v| *v != "keda.sh/v1alpha1") {
        let what = format!("apiVersion {other}: a ScaledObject is of keda.sh/v1alpha1, and nobody reads this one");
        object.field("apiVersion").refused(&what);
    }
    annotations(object);
    (scaled.paused, scaled.holds) = holds(object);
    let Some(spec) = object.map("spec") else {
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
    if let Some(target) = spec.map("scaleTargetRef") {
        target.known(&["name", "kind", "apiVersion", "envSourceContainerName"], "scaleTargetRef");
        scaled.target_name = target.label("name");
        scaled.target_kind = target.text("kind").map_or(scaled.target_kind, Label::new);
    }
    if scaled.target_name.is_empty() {
        spec.field("scaleTargetRef").refused(&format!("scaleTargetRef with a name is missing: {REFUSED}"));
    }
    counts(&spec, &mut scaled);
    scaled.polling = spec.seconds("pollingInterval").unwrap_or(30.0).max(1.0);
    scaled.cooldown = spec.seconds("cooldownPeriod").unwrap_or(300.0);
    scaled.initial_cooldown = spec.seconds("initialCooldownPeriod").unwrap_or(0.0);
    triggers(&spec, &mut scaled);
    let mut own_name = None;
    if let Some(advanced) = spec.map("advanced") {
        let known = ["horizontalPodAutoscalerConfig", "restoreToOriginalReplicaCount", "scalingModifiers"];
        advanced.known(&known, "advanced");
        if let Some(config) = advanced.map("horizontalPodAutoscalerConfig") {
            config.known(&["behavior", "name"], "horizontalPodAutoscalerConfig");
            own_name = config.text("name").map(str::to_owned);
            scaled.behavior = config.map("behavior").map(|b| behavior(&b));
        }
        scaled.modifiers = advanced.map("scalingModifiers").and_then(|m| modifiers(&m));
    }
    scaled.fallback = spec.map("fallback").map(|f| fallback(&f, &scaled));
    name_of_hpa(object, &scaled, own_name);
    scaled
}

/// Both names are label values, and the HPA's is made of the object's where nobody names it (`verifyName`).
fn name_of_hpa(object: &Cursor<'_>, scaled: &ScaledObject, own: Option<String>) {
    let hpa = own.filter(|n| !n.is_empty()).unwrap_or_else(|| format!("keda-hpa-{}", scaled.name));
    for name in [scaled.name.as_str(), &hpa] {
        if name.len() > LONGEST_NAME {
            let what = format!("the name {name} has {} characters, {LONGEST_NAME} are the most: {REFUSED}", name.len());
            object.field("metadata").refused(&what);
        }
    }
}

/// The bounds, and what KEDA's validation says of them (`CheckReplicaCountBoundsAreValid`).
fn counts(spec: &Cursor<'_>, scaled: &mut ScaledObject) {
    let min = spec.count("minReplicaCount");
    scaled.min = min.unwrap_or(0);
    scaled.max = spec.count("maxReplicaCount").unwrap_or(100);
    scaled.idle = spec.count("idleReplicaCount");
    for key in ["maxReplicaCount", "pollingInterval"] {
        if let Some(place) = spec.get(key).filter(|_| spec.count(key) == Some(0)) {
            place.refused(&format!("{key} must be above zero: {REFUSED}"));
        }
    }
    if scaled.min > scaled.max {
        let what = format!("maxReplicaCount {} is below minReplicaCount {}", scaled.max, scaled.min);
        spec.field("maxReplicaCount").unreadable(&what);
    }
    // A minReplicaCount that is written is at least the HPA's 1; one that is not is 0, and nothing lies below.
    let lowest = min.map_or(0, |m| m.max(1));
    if let Some(idle) = scaled.idle.filter(|idle| *idle >= lowest) {
        let min = min.map_or("minReplicaCount, which is not written".to_owned(), |m| format!("minReplicaCount {m}"));
        spec.field("idleReplicaCount").refused(&format!("idleReplicaCount {idle} must be below {min}: {REFUSED}"));
    }
}

/// The triggers, and what is said of all of them together (`ValidateTriggers`, `verifyCPUMemoryScalers`).
fn triggers(spec: &Cursor<'_>, scaled: &mut ScaledObject) {
    let parts = spec.maps("triggers");
    scaled.triggers = parts.iter().map(trigger::read).collect();
    if scaled.triggers.is_empty() {
        spec.unreadable("the ScaledObject has no triggers");
    }
    let mut names = BTreeSet::new();
    for (part, name) in parts.iter().zip(&scaled.triggers).filter_map(|(p, t)| Some((p, t.name.as_ref()?))) {
        if !names.insert(name) {
            part.field("name").refused(&format!("two triggers have the name {name}: {REFUSED}"));
        }
    }
    let checked = matches!(scaled.target_kind.as_str(), "Deployment" | "StatefulSet");
    if checked && scaled.min == 0 && !scaled.triggers.is_empty() && scaled.triggers.iter().all(is_resource) {
        let what = format!("with nothing but cpu and memory triggers minReplicaCount must be above zero: {REFUSED}");
        spec.field("minReplicaCount").refused(&what);
    }
}

/// CPU and memory: the HPA's own metrics.
fn is_resource(trigger: &Trigger) -> bool {
    matches!(trigger.kind.as_str(), "cpu" | "memory")
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
        let place = annotations.field("autoscaling.keda.sh/paused-replicas");
        place.refused("paused-replicas is no count: KEDA stays in an error");
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
        part.field("target").refused("scalingModifiers.target must be a number above zero: KEDA refuses the object");
    }
    Some(ScalingModifiers { formula, target })
}

/// `CheckFallbackValid` and `verifyScaledObjects`: CPU and memory triggers have none, and a formula must be there to
/// stand in.
fn fallback(part: &Cursor<'_>, scaled: &ScaledObject) -> Fallback {
    part.known(&["failureThreshold", "replicas", "behavior"], "fallback");
    if scaled.modifiers.is_none() && !scaled.triggers.is_empty() && scaled.triggers.iter().all(is_resource) {
        part.refused("a fallback needs a trigger other than cpu and memory: KEDA refuses the object");
    }
    if scaled.modifiers.is_none() && part.text("behavior") == Some("scalingModifiers") {
        let what = format!("behavior scalingModifiers needs advanced.scalingModifiers.formula: {REFUSED}");
        part.field("behavior").refused(&what);
    }
    let behavior = match part.text("behavior") {
        None | Some("static") => FallbackBehavior::Static,
        Some("currentReplicas") => FallbackBehavior::CurrentReplicas,
        Some("currentReplicasIfHigher") => FallbackBehavior::CurrentReplicasIfHigher,
        Some("currentReplicasIfLower") => FallbackBehavior::CurrentReplicasIfLower,
        Some("scalingModifiers") => FallbackBehavior::ScalingModifiers,
        Some(other) => {
            part.field("behavior").unreadable(&format!(
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
