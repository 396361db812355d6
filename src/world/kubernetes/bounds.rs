//! PATCH of an HPA or a ScaledObject: its bounds and KEDA's pauses, under the same lock as everything else.

use super::{
    Face,
    objects::Resource,
    scale::{Patch, PatchParameters, unmoved},
    status::Status,
};
use crate::{model::Label, world::State};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State as Shared},
    http::HeaderMap,
};
use serde_json::Value;

/// Group, version, namespace, plural and name, as they stand in the path.
type Place = Path<(String, String, String, String, String)>;

pub(super) async fn patch(
    Shared(face): Shared<Face>,
    Path((group, version, namespace, plural, name)): Place,
    Query(parameters): Query<PatchParameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Status> {
    let patch = Patch::parse(&headers, &body)?;
    let dry_run = parameters.is_dry_run()?;
    let resource = Resource::find(&group, &version, &plural)
        .filter(|r| matches!(r, Resource::Hpa | Resource::ScaledObject))
        .ok_or_else(|| Status::not_found("the server could not find the requested resource"))?;
    face.world.with(|state| {
        let before = read(state, resource, &namespace, &name)?;
        let mut after = before.clone();
        patch.apply(&mut after)?;
        unmoved(&before, &after, &plural, &name)?;
        let bounds = Bounds::of(resource, &after, &name)?;
        if dry_run {
            return Ok(Json(after));
        }
        let paused = pause(&after);
        let found = match resource {
            Resource::Hpa => state.update_hpa(&namespace, &name, |h| (h.min, h.max) = (bounds.min, bounds.max)),
            _ => state.update_scaled_object(&namespace, &name, |s| {
                (s.min, s.max, s.paused) = (bounds.min, bounds.max, paused);
            }),
        };
        found.ok_or_else(|| Status::no_such_object(resource.group(), &plural, &name))?;
        read(state, resource, &namespace, &name).map(Json)
    })
}

fn read(state: &State, resource: Resource, namespace: &str, name: &str) -> Result<Value, Status> {
    let found = resource.all(state).into_iter().find(|o| o.namespace == namespace && o.name == name);
    found.map(|o| o.json).ok_or_else(|| Status::no_such_object(resource.group(), resource.plural(), name))
}

struct Bounds {
    min: u32,
    max: u32,
}

impl Bounds {
    fn of(resource: Resource, object: &Value, name: &str) -> Result<Self, Status> {
        let (min, max, least) = match resource {
            Resource::Hpa => (("minReplicas", 1), ("maxReplicas", 0), 1),
            _ => (("minReplicaCount", 0), ("maxReplicaCount", 100), 0),
        };
        let value = |(field, default): (&str, u32)| match object.pointer(&format!("/spec/{field}")) {
            None | Some(Value::Null) => Ok(default),
            Some(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(|| {
                Status::invalid(
                    name,
                    &format!("spec.{field}"),
                    &format!("{number}: must be greater than or equal to 0"),
                )
            }),
        };
        let bounds = Self { min: value(min)?, max: value(max)? };
        if bounds.min < least {
            return Err(Status::invalid(name, &format!("spec.{}", min.0), "0: must be greater than or equal to 1"));
        }
        if bounds.max < bounds.min || bounds.max == 0 {
            let why = format!("{}: must be greater than or equal to `{}`", bounds.max, min.0);
            return Err(Status::invalid(name, &format!("spec.{}", max.0), &why));
        }
        Ok(bounds)
    }
}

/// The first of KEDA's pause annotations, `paused-scale-in=true`.
fn pause(object: &Value) -> Option<Label> {
    let annotations = object.pointer("/metadata/annotations")?.as_object()?;
    annotations.iter().find_map(|(key, value)| {
        let pause = key.strip_prefix("autoscaling.keda.sh/").filter(|p| p.starts_with("paused"))?;
        Some(Label::new(&format!("{pause}={}", value.as_str()?)))
    })
}
