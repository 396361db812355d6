//! The `/scale` subresource with the API server's compare-and-set.

use super::{Face, objects::instant, status::Status};
use crate::world::{Deployment, State};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State as Shared},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use json_patch::PatchOperation;
use serde_json::{Value, json};

/// `deployments` and the object's namespace and name, as they stand in the path.
type Place = Path<(String, String, String)>;

/// The scale of a deployment. At zero the server leaves `replicas` out: `"spec": {}`.
fn scale_of(d: &Deployment) -> Value {
    let spec = if d.desired == 0 { json!({}) } else { json!({"replicas": d.desired}) };
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": d.name, "namespace": d.namespace, "uid": d.uid,
            "resourceVersion": d.resource_version.to_string(), "creationTimestamp": instant(d.created),
        },
        "spec": spec,
        "status": {"replicas": d.current, "selector": format!("app={}", d.name)},
    })
}

fn find<'a>(state: &'a State, (namespace, plural, name): (&str, &str, &str)) -> Result<&'a Deployment, Status> {
    let found = if plural == "deployments" { state.deployment(namespace, name) } else { None };
    found.ok_or_else(|| Status::no_such_object("apps", plural, name))
}

/// GET `/scale`.
pub(super) async fn read(
    Shared(face): Shared<Face>,
    Path((namespace, plural, name)): Place,
) -> Result<Json<Value>, Status> {
    face.world.with(|state| find(state, (&namespace, &plural, &name)).map(|d| Json(scale_of(d))))
}

/// What a PATCH may carry.
pub(super) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
}

impl Patch {
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, Status> {
        let media = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let unreadable = |e: serde_json::Error| Status::bad_request(format!("error decoding patch: {e}"));
        match media.split(';').next().unwrap_or("").trim() {
            "application/json-patch+json" => serde_json::from_slice(body).map(Self::Json).map_err(unreadable),
            "application/merge-patch+json" => serde_json::from_slice(body).map(Self::Merge).map_err(unreadable),
            _ => Err(Status::unsupported_media()),
        }
    }

    pub(super) fn apply(&self, document: &mut Value) -> Result<(), Status> {
        match self {
            Self::Json(patch) => patch.0.iter().try_for_each(|operation| match operation {
                // The API server takes null for "not there"; the RFC has no such test.
                PatchOperation::Test(test)
                    if test.value.is_null() && document.pointer(test.path.as_str()).is_none() =>
                {
                    Ok(())
                }
                one => json_patch::patch(document, std::slice::from_ref(one)).map_err(|_| Status::patch_does_not_fit()),
            }),
            Self::Merge(patch) => {
                json_patch::merge(document, patch);
                Ok(())
            }
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PatchParameters {
    dry_run: Option<String>,
    field_manager: Option<String>,
}

impl PatchParameters {
    /// # Errors
    /// Any value but `All`.
    pub(super) fn is_dry_run(&self) -> Result<bool, Status> {
        match self.dry_run.as_deref() {
            None | Some("") => Ok(false),
            Some("All") => Ok(true),
            Some(other) => Err(Status::bad_request(format!("dryRun {other:?}: only All is known"))),
        }
    }
}

/// PATCH `/scale`: reads, tests and writes under the world's one lock, so of two writers one sees the other's count.
pub(super) async fn patch(
    Shared(face): Shared<Face>,
    Path((namespace, plural, name)): Place,
    Query(parameters): Query<PatchParameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Status> {
    let patch = Patch::parse(&headers, &body)?;
    let dry_run = parameters.is_dry_run()?;
    let manager = parameters.field_manager.as_deref().unwrap_or("unknown");
    face.world.with(|state| {
        let found = find(state, (&namespace, &plural, &name))?;
        let before = scale_of(found);
        let mut after = before.clone();
        patch.apply(&mut after)?;
        unmoved(&before, &after, &plural, &name)?;
        let count = wanted(&after, &name)?;
        if dry_run {
            // As it would be stored: a zero is left out.
            after["spec"] = if count == 0 { json!({}) } else { json!({"replicas": count}) };
            return Ok(Json(after));
        }
        let written = state.set_replicas(&namespace, &name, count, manager);
        written.map_err(|error| Status::not_found(&error.to_string()))?;
        find(state, (&namespace, &plural, &name)).map(|d| Json(scale_of(d)))
    })
}

/// A patch that carries another uid or version was made for another object, or for another state of it.
pub(super) fn unmoved(before: &Value, after: &Value, plural: &str, name: &str) -> Result<(), Status> {
    let carried =
        |pointer| (before.pointer(pointer) != after.pointer(pointer)).then(|| after.pointer(pointer)).flatten();
    if carried("/metadata/uid").is_some() {
        return Err(Status::conflict(plural, name, "Precondition failed: UID in precondition does not match"));
    }
    if carried("/metadata/resourceVersion").is_some() {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(Status::conflict(plural, name, why));
    }
    Ok(())
}

/// The count that a scale asks for.
fn wanted(scale: &Value, name: &str) -> Result<u32, Status> {
    let count = scale.pointer("/spec/replicas");
    let number = match count {
        None | Some(Value::Null) => return Ok(0),
        Some(number) => number.as_i64().ok_or_else(|| {
            Status::bad_request(format!("cannot restore struct from: {number} into Go struct field of type int32"))
        })?,
    };
    if number < 0 {
        let why = format!("{number}: must be greater than or equal to 0");
        return Err(Status::invalid(name, "spec.replicas", &why));
    }
    match i32::try_from(number) {
        Ok(number) => Ok(number.unsigned_abs()),
        Err(_) => Err(Status::bad_request(format!("{number} overflows int32"))),
    }
}
