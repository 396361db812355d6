//! Kubernetes objects as the model has them. Tolerant: an absent field has the API's default, never an error.

use crate::{
    manifest,
    model::{
        Hpa, KubePod, KubeWorkload, Label, Mentions, ObjectKind, Quantity, Requests, ScaledObject, Target, Time, Vpa,
        VpaContainer, VpaMode, VpaRange,
    },
};
use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::Value;
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

fn label(value: &str) -> Label {
    Label::new(value)
}

fn count(data: &Value, pointer: &str) -> Option<u32> {
    data.pointer(pointer).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())
}

fn namespace(object: &DynamicObject) -> Label {
    label(object.metadata.namespace.as_deref().unwrap_or("default"))
}

/// A Deployment or StatefulSet, seen to change at `at`.
pub(super) fn workload(object: &DynamicObject, stateful: bool, at: Time) -> KubeWorkload {
    let (namespace, name) = (namespace(object), label(&object.name_any()));
    let target =
        if stateful { Target::StatefulSet { namespace, name } } else { Target::Deployment { namespace, name } };
    let generation = object.metadata.generation.unwrap_or(0);
    let observed = object.data.pointer("/status/observedGeneration").and_then(Value::as_i64).unwrap_or(0);
    KubeWorkload {
        target,
        uid: label(object.metadata.uid.as_deref().unwrap_or("")),
        image: image(&object.data),
        desired: count(&object.data, "/spec/replicas").unwrap_or(1),
        current: count(&object.data, "/status/replicas").unwrap_or(0),
        ready: count(&object.data, "/status/readyReplicas").unwrap_or(0),
        observed: observed >= generation,
        at,
        unheard: None,
        last_writer: last_writer(object),
        gitops: gitops(object),
        requests: requests(&object.data),
        mentions: Arc::new(mentions(&object.data)),
    }
}

/// What a pod template tells its containers. Values that come from Secrets and ConfigMaps are not read.
fn mentions(data: &Value) -> Mentions {
    let containers = data.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let containers = || containers.into_iter().flatten();
    let list = |c: &'_ Value, key: &str| c.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let env: Vec<(String, String)> = containers()
        .flat_map(|c| list(c, "env"))
        .filter_map(|e| Some((e.get("name")?.as_str()?.to_owned(), e.get("value")?.as_str()?.to_owned())))
        .collect();
    let args: Vec<Value> = containers().flat_map(|c| [list(c, "command"), list(c, "args")].concat()).collect();
    let args = args.iter().filter_map(|a| Some(("its arguments", a.as_str()?)));
    Mentions::of(env.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(args))
}

/// What the containers of a pod template ask for; those that ask for nothing are left out.
fn requests(data: &Value) -> Vec<Requests> {
    let containers = data.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let of = |c: &Value| Requests {
        container: label(text(c, "/name").unwrap_or("")),
        cpu: quantity(c, "/resources/requests/cpu"),
        memory: quantity(c, "/resources/requests/memory"),
    };
    let asks = |r: &Requests| r.cpu.is_some() || r.memory.is_some();
    containers.into_iter().flatten().map(of).filter(asks).collect()
}

fn text<'a>(data: &'a Value, pointer: &str) -> Option<&'a str> {
    data.pointer(pointer).and_then(Value::as_str)
}

/// A quantity, written as a text or as a number.
fn quantity(data: &Value, pointer: &str) -> Option<f64> {
    let value = data.pointer(pointer)?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Quantity::parse(&text).map(Quantity::value)
}

/// A running pod, without its owner: the way up is another matter.
pub(super) fn pod(object: &DynamicObject) -> KubePod {
    let data = &object.data;
    let shares = data.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true);
    let all = data.pointer("/status/podIPs").and_then(Value::as_array).into_iter().flatten();
    let first = data.pointer("/status/podIP");
    let texts = all.filter_map(|a| a.get("ip")).chain(first).filter_map(Value::as_str);
    let addresses: BTreeSet<IpAddr> = texts.filter(|_| !shares).filter_map(|t| t.parse().ok()).collect();
    KubePod {
        namespace: namespace(object),
        name: label(&object.name_any()),
        addresses: addresses.into_iter().collect(),
        owner: None,
    }
}

/// Images of the pod template.
fn image(data: &Value) -> Option<Label> {
    let containers = data.pointer("/spec/template/spec/containers")?.as_array()?;
    let images: Vec<&str> = containers.iter().filter_map(|c| c.get("image")?.as_str()).collect();
    (!images.is_empty()).then(|| label(&images.join(",")))
}

/// An object of a kind that a target names, as the targets that it is. One whose count is not known is none.
pub(super) fn named(object: &DynamicObject, kind: ObjectKind, at: Time) -> Vec<KubeWorkload> {
    let data = &object.data;
    let whole = workload(object, false, at);
    if kind == ObjectKind::Job {
        return one_of_jobs(object, whole).into_iter().collect();
    }
    let targets = manifest::targets(kind, &namespace(object), &label(&object.name_any()), data);
    let one = |target: Target| {
        let desired = manifest::desired(&target, data).ok()?;
        let ready = manifest::ready(&target, data, desired);
        let current = count(data, "/status/replicas").unwrap_or(ready);
        Some(KubeWorkload { target, desired, current, ready, ..whole.clone() })
    };
    targets.into_iter().filter_map(one).collect()
}

/// A Job as its part of what its template's Jobs ask for; none when it is over or was made otherwise. Together they have
/// no identity of their own.
fn one_of_jobs(object: &DynamicObject, whole: KubeWorkload) -> Option<KubeWorkload> {
    let template = object.labels().get(manifest::job::TEMPLATE)?;
    if manifest::job::is_over(object.metadata.deletion_timestamp.is_some(), &object.data) {
        return None;
    }
    let target = Target::Jobs { namespace: namespace(object), name: label(template) };
    let desired = manifest::job::workers(&object.data);
    let ready = manifest::job::ready(&object.data).min(desired);
    Some(KubeWorkload { target, uid: Label::default(), desired, current: ready, ready, ..whole })
}

/// Manager of the newest `managedFields` entry that holds `spec.replicas`. A hint: the server forgets the owner after a
/// scale to zero, and never records scale writes on objects applied without `spec.replicas` (measured on v1.36.4).
fn last_writer(object: &DynamicObject) -> Option<Label> {
    let entries = object.metadata.managed_fields.iter().flatten();
    entries
        .filter(|e| e.fields_v1.as_ref().is_some_and(|f| f.0.pointer("/f:spec/f:replicas").is_some()))
        .max_by_key(|e| e.time.as_ref().map(|t| t.0))
        .and_then(|e| e.manager.as_deref().map(label))
}

fn gitops(object: &DynamicObject) -> Option<Label> {
    if let Some(id) = object.annotations().get("argocd.argoproj.io/tracking-id") {
        return Some(label(&format!("Argo CD {}", id.split(':').next().unwrap_or(""))));
    }
    let flux = ["kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"];
    let name = flux.iter().find_map(|key| object.labels().get(*key))?;
    Some(label(&format!("Flux {name}")))
}

/// An HPA of autoscaling/v2. What is odd about it is `lint`'s to say.
pub(super) fn hpa(object: &DynamicObject) -> Hpa {
    manifest::hpa(&json(object)).0
}

/// A KEDA ScaledObject.
pub(super) fn scaled_object(object: &DynamicObject) -> ScaledObject {
    manifest::scaled_object(&json(object)).0
}

/// A VerticalPodAutoscaler.
pub(super) fn vpa(object: &DynamicObject) -> Vpa {
    let data = &object.data;
    let word = |pointer: &str| label(text(data, pointer).unwrap_or(""));
    let list = |pointer: &str| data.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    // A condition that is False says what is missing, and these two say so by being True.
    let wrong = |c: &&Value| {
        let holds = text(c, "/status") == Some("True");
        match text(c, "/type") {
            Some("RecommendationProvided") => !holds,
            Some("ConfigUnsupported" | "NoPodsMatched") => holds,
            _ => false,
        }
    };
    let said = |c: &Value| text(c, "/message").or_else(|| text(c, "/type")).map(label);
    Vpa {
        namespace: namespace(object),
        name: label(&object.name_any()),
        target_kind: word("/spec/targetRef/kind"),
        target_name: word("/spec/targetRef/name"),
        mode: VpaMode::of(text(data, "/spec/updatePolicy/updateMode")),
        containers: list("/status/recommendation/containerRecommendations").map(vpa_container).collect(),
        trouble: list("/status/conditions").find(wrong).and_then(said),
    }
}

fn vpa_container(value: &Value) -> VpaContainer {
    let range = |resource: &str| {
        let of = |bound: &str| quantity(value, &format!("/{bound}/{resource}"));
        let (lower, upper) = (of("lowerBound"), of("upperBound"));
        Some(VpaRange { target: of("target")?, lower, upper, uncapped: of("uncappedTarget") })
    };
    let name = label(text(value, "/containerName").unwrap_or(""));
    VpaContainer { name, cpu: range("cpu"), memory: range("memory") }
}

/// The object as the API wrote it. It came from JSON, so it becomes JSON.
fn json(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}
