//! One conditional write as data: where it goes, what it tests, what it sets, and what a good answer shows.

use super::FIELD_MANAGER;
use crate::{
    act::Change,
    manifest,
    model::{Field, FieldChange, Label, Lever, ObjectKind, Target},
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch},
};
use serde_json::{Value, json};

/// KEDA's annotation that keeps a ScaledObject from shrinking.
pub(super) const PAUSED_SCALE_IN: &str = "autoscaling.keda.sh/paused-scale-in";

/// A target with the words that the API has for it.
pub(super) struct Object<'a> {
    pub(super) target: &'a Target,
    pub(super) kind: &'static str,
    pub(super) resource: ApiResource,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    /// Whether the count is written through `/scale`.
    pub(super) scale: bool,
}

impl<'a> Object<'a> {
    /// # Errors
    /// Names that no Kubernetes object can have (they would end up in a path), and targets that are no objects.
    pub(super) fn of(target: &'a Target) -> Result<Self, String> {
        let (Some((kind, namespace, name)), Some(api)) = (target.kubernetes(), target.api()) else {
            return Err(format!("{target} is not in Kubernetes"));
        };
        let gvk = GroupVersionKind::gvk(api.group, api.version, api.kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, api.plural);
        let legal = |text: &str, longest: usize| {
            (1..=longest).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
                && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        };
        if !legal(namespace.as_str(), 63) || !legal(name.as_str(), 253) {
            return Err(format!("{target} cannot be the name of a Kubernetes object"));
        }
        let (namespace, name) = (namespace.as_str(), name.as_str());
        Ok(Self { target, kind, resource, namespace, name, scale: api.scale })
    }

    pub(super) fn api(&self, client: &Client) -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), self.namespace, &self.resource)
    }

    /// `Deployment payments/fraud-scorer`
    pub(super) fn words(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// A JSON Patch: the API server runs all of it in one step or none.
pub(super) struct Edit<'a> {
    pub(super) object: Object<'a>,
    subresource: Option<&'static str>,
    operations: Vec<Value>,
    /// Pointer and value of what a good answer shows; `None`: the field is gone.
    wanted: Vec<(String, Option<Value>)>,
}

impl<'a> Edit<'a> {
    /// Sets the count through `/scale`.
    ///
    /// At zero the server's scale has `"spec": {}`, so the count is tested as the empty spec and added instead of
    /// replaced.
    pub(super) fn scale(object: Object<'a>, uid: &str, from: u32, to: u32) -> Self {
        let count = if from == 0 { test("/spec", &json!({})) } else { test("/spec/replicas", &from.into()) };
        let op = if from == 0 { "add" } else { "replace" };
        Self {
            object,
            subresource: Some("scale"),
            operations: vec![
                test("/metadata/uid", &uid.into()),
                count,
                json!({"op": op, "path": "/spec/replicas", "value": to}),
            ],
            wanted: vec![("/spec/replicas".to_owned(), (to > 0).then(|| to.into()))],
        }
    }

    /// Sets the count in the object itself, where the kind has no `/scale`.
    pub(super) fn field(object: Object<'a>, found: &DynamicObject, change: &Change, uid: &str) -> Result<Self, String> {
        let at = manifest::count_at(object.target, &found.data)?;
        let count = manifest::desired(object.target, &found.data)?;
        if count != change.from {
            return Err(format!("the count is {count}, not the {} that was on screen: look again", change.from));
        }
        let present = found.data.pointer(&at).cloned();
        let mut operations = vec![test("/metadata/uid", &uid.into())];
        if let (Target::Object { part: Some(part), .. }, Some((group, _))) = (object.target, at.rsplit_once('/')) {
            operations.push(test(&format!("{group}/groupName"), &part.as_str().into()));
        }
        let from = present.map(|_| Value::from(change.from));
        operations.extend(set(&at, from.as_ref(), Some(&change.to.into())));
        Ok(Self { object, subresource: None, operations, wanted: vec![(at, Some(change.to.into()))] })
    }

    /// Sets the fields of a lever. `annotated`: the object has annotations at all.
    pub(super) fn lever(object: Object<'a>, lever: &Lever, annotated: bool) -> Result<Self, String> {
        let mut edit = Self {
            object,
            subresource: None,
            operations: vec![test("/metadata/uid", &lever.uid.as_str().into())],
            wanted: Vec::new(),
        };
        for change in &lever.set {
            let at = pointer(&lever.object, change.field)?;
            let value = |v: Option<u32>| v.map(|v| written(change.field, v));
            let (from, to) = (value(change.from), value(change.to));
            if change.field == Field::PausedScaleIn && !annotated {
                // The map itself is not there yet, so the key cannot be added to it.
                let map = to.clone().map(|to| json!({PAUSED_SCALE_IN: to}));
                edit.operations.extend(set("/metadata/annotations", None, map.as_ref()));
            } else {
                edit.operations.extend(set(&at, from.as_ref(), to.as_ref()));
            }
            edit.wanted.push((at, to));
        }
        Ok(edit)
    }

    pub(super) fn patch(&self) -> Result<Patch<()>, String> {
        let document = Value::from(self.operations.clone());
        serde_json::from_value(document).map(Patch::Json).map_err(|e| format!("cannot put the patch into words: {e}"))
    }

    pub(super) fn subresource(&self) -> Option<&'static str> {
        self.subresource
    }

    /// The request exactly as it goes out: line, content type, one operation a line.
    pub(super) fn lines(&self) -> Vec<Label> {
        let resource = &self.object.resource;
        let (version, plural) = (&resource.api_version, &resource.plural);
        let (namespace, name) = (self.object.namespace, self.object.name);
        let sub = self.subresource.map_or(String::new(), |s| format!("/{s}"));
        [
            format!("PATCH /apis/{version}/namespaces/{namespace}/{plural}/{name}{sub}?fieldManager={FIELD_MANAGER}")
                .into(),
            "Content-Type: application/json-patch+json".into(),
        ]
        .into_iter()
        .chain(self.operations.iter().map(|o| o.to_string().into()))
        .collect()
    }

    /// How the answer differs from what was asked for.
    pub(super) fn differs(&self, answer: &DynamicObject) -> Option<String> {
        let (at, wanted) = self.wanted.iter().find(|(at, wanted)| value_at(answer, at) != *wanted)?;
        let word = |v: Option<&Value>| v.map_or("nothing".to_owned(), Value::to_string);
        Some(format!(
            "the server answered with {} at {at} instead of {}",
            word(value_at(answer, at).as_ref()),
            word(wanted.as_ref())
        ))
    }
}

fn test(path: &str, value: &Value) -> Value {
    json!({"op": "test", "path": path, "value": value})
}

/// Test and write of one field. An absent field is tested as null, which the API server takes for "not there".
fn set(path: &str, from: Option<&Value>, to: Option<&Value>) -> Vec<Value> {
    let mut operations = vec![test(path, from.unwrap_or(&Value::Null))];
    match (from, to) {
        (None, None) => {}
        (Some(_), None) => operations.push(json!({"op": "remove", "path": path})),
        (Some(_), Some(to)) => operations.push(json!({"op": "replace", "path": path, "value": to})),
        (None, Some(to)) => operations.push(json!({"op": "add", "path": path, "value": to})),
    }
    operations
}

/// Where a lever's field stands.
///
/// # Errors
/// A field that the object does not have.
fn pointer(object: &Target, field: Field) -> Result<String, String> {
    let Target::Object { kind, .. } = object else { return Err(format!("{object} is no autoscaler")) };
    let at = match (kind, field) {
        (ObjectKind::Hpa, Field::Floor) => "/spec/minReplicas",
        (ObjectKind::Hpa, Field::Ceiling) => "/spec/maxReplicas",
        (ObjectKind::ScaledObject, Field::Floor) => "/spec/minReplicaCount",
        (ObjectKind::ScaledObject, Field::Ceiling) => "/spec/maxReplicaCount",
        (ObjectKind::Job, Field::Parallelism) => "/spec/parallelism",
        (ObjectKind::ScaledObject, Field::PausedScaleIn) => {
            return Ok(format!("/metadata/annotations/{}", PAUSED_SCALE_IN.replace('/', "~1")));
        }
        _ => return Err(format!("{object} has no such field")),
    };
    Ok(at.to_owned())
}

/// A field's value as the API has it.
fn written(field: Field, value: u32) -> Value {
    match field {
        Field::Floor | Field::Ceiling | Field::Parallelism => value.into(),
        Field::PausedScaleIn => (value != 0).to_string().into(),
    }
}

/// A value of the object, its metadata included.
fn value_at(object: &DynamicObject, pointer: &str) -> Option<Value> {
    match pointer.strip_prefix("/metadata/annotations/") {
        Some(key) => object.metadata.annotations.as_ref()?.get(&key.replace("~1", "/")).map(|v| v.as_str().into()),
        None => object.data.pointer(pointer).cloned(),
    }
}

/// A lever's field as it is now; `None`: absent.
pub(super) fn field_now(object: &DynamicObject, change: &FieldChange, lever: &Lever) -> Result<Option<u32>, String> {
    let value = value_at(object, &pointer(&lever.object, change.field)?);
    Ok(value.and_then(|v| match (change.field, v) {
        // KEDA takes every value that is not a boolean false for true.
        (Field::PausedScaleIn, v) => Some(u32::from(!v.as_str().is_some_and(super::owner::is_false))),
        (_, v) => v.as_u64().and_then(|n| u32::try_from(n).ok()),
    }))
}
