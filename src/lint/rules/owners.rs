//! Who writes the count: two at once, or nobody.

use super::{Finding, Group, Severity, Subject, finding};
use crate::{
    manifest::{Edit, Manifest, Object},
    model::Label,
};
use serde_json::Value;

pub(in crate::lint) const GROUP: Group = Group {
    names: &[
        ("two-writers", "two autoscalers on one target"),
        ("paused", "an autoscaler that an annotation has stopped"),
        ("target-not-found", "a target that is looked for where its kind is not"),
    ],
    judge,
};

fn judge(subject: &Subject<'_>) -> Vec<Finding> {
    paused(subject).into_iter().chain(not_found(subject)).collect()
}

/// Both controllers look a kind up in the group of `apiVersion` and nowhere else. KEDA fills in `apps/v1`; without one an
/// HPA looks among the core kinds, as for `extensions/v1beta1` among what went with Kubernetes 1.16.
fn not_found(subject: &Subject<'_>) -> Option<Finding> {
    let pointer = "/spec/scaleTargetRef";
    let written = subject.written.pointer(pointer)?;
    let of = |key: &str| written.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (version, kind) = if subject.is_keda() {
        (of("apiVersion").unwrap_or("apps/v1"), of("kind").unwrap_or("Deployment"))
    } else {
        (of("apiVersion").unwrap_or("v1"), of("kind")?)
    };
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let of_apps = matches!(kind, "Deployment" | "StatefulSet" | "ReplicaSet");
    let found = match group {
        "apps" => of_apps,
        "" => kind == "ReplicationController",
        _ => !of_apps,
    };
    if found {
        return None;
    }
    let what = format!("there is no {kind} of {version} that could be scaled");
    let why = "The kind is looked for in the group of apiVersion (absent: apps/v1 for KEDA, the core kinds for an HPA). It \
               is not there, so the count is never read and nothing scales.";
    let mend = if of_apps { vec![Edit::set(&format!("{pointer}/apiVersion"), "apps/v1")] } else { Vec::new() };
    Some(finding("target-not-found", Severity::Error, pointer, what, why, mend))
}

fn paused(subject: &Subject<'_>) -> Option<Finding> {
    let Object::ScaledObject(scaled) = subject.object else { return None };
    let paused = scaled.paused.as_ref()?;
    let name = paused.as_str().split('=').next().unwrap_or_default();
    let pointer = format!("/metadata/annotations/autoscaling.keda.sh~1{name}");
    let (what, why) = match (scaled.holds.stopped, name) {
        (true, "paused-replicas") => (
            format!("{paused}: there is no autoscaler now, and no pin either"),
            "KEDA sets the count once and deletes the HPA; what anybody writes afterwards stays. A pin is minReplicaCount \
             = maxReplicaCount.",
        ),
        (true, _) => (
            format!("{paused}: there is no autoscaler now"),
            "KEDA stops its loop and deletes the HPA; any value that is not a boolean false counts as true.",
        ),
        (false, _) => (
            format!("{paused}: one direction is closed"),
            "The HPA's selectPolicy is Disabled in that direction until the annotation goes.",
        ),
    };
    let severity = if scaled.holds.stopped { Severity::Warning } else { Severity::Note };
    Some(finding("paused", severity, &pointer, what, why, vec![Edit::remove(&pointer)]))
}

/// The target of an object.
fn target(object: &Object) -> (&Label, &Label, &Label) {
    match object {
        Object::Hpa(h) => (&h.namespace, &h.target_kind, &h.target_name),
        Object::ScaledObject(s) => (&s.namespace, &s.target_kind, &s.target_name),
    }
}

/// Two objects on one target: said at the later of the two, with the name of the other.
pub(in crate::lint) fn together(manifests: &[Manifest]) -> Vec<(usize, Finding)> {
    let mut findings = Vec::new();
    for (i, one) in manifests.iter().enumerate() {
        let other = manifests[..i].iter().find(|o| target(&o.object) == target(&one.object) && fights(o, one));
        let Some(other) = other.filter(|_| !target(&one.object).2.is_empty()) else { continue };
        let (namespace, kind, name) = target(&one.object);
        let what = format!("{} {namespace}/{name} is scaled by {} as well", kind.as_str(), other.title());
        let why = "Each puts back what the other writes, at every sync: the count is whoever came last, and every change \
                   is a rebalance or a cold start. Several metrics belong into one object, where the largest proposal wins."
            .to_owned();
        findings.push((i, finding("two-writers", Severity::Error, "/spec/scaleTargetRef", what, why, Vec::new())));
    }
    findings
}

/// KEDA's own HPA does what its ScaledObject says, and an HPA that KEDA has been told to take over is the same object.
fn fights(a: &Manifest, b: &Manifest) -> bool {
    let made = |m: &Manifest| matches!(&m.object, Object::Hpa(hpa) if hpa.keda);
    let takes = |scaled: &Manifest, hpa: &Manifest| {
        let name = "/spec/advanced/horizontalPodAutoscalerConfig/name";
        let over = "/metadata/annotations/scaledobject.keda.sh~1transfer-hpa-ownership";
        scaled.value.pointer(over).and_then(Value::as_str) == Some("true")
            && scaled.value.pointer(name) == hpa.value.pointer("/metadata/name")
    };
    match (&a.object, &b.object) {
        (Object::Hpa(_), Object::ScaledObject(_)) => !made(a) && !takes(b, a),
        (Object::ScaledObject(_), Object::Hpa(_)) => !made(b) && !takes(a, b),
        _ => true,
    }
}
