//! The world's Kubernetes face: enough of the API on loopback that the real source and the real actuator can use it.
//!
//! Lists and watches of Deployments, StatefulSets (none live here), HPAs, ScaledObjects, VPAs and pods; `/scale` with the API
//! server's compare-and-set; discovery and the two self reviews. What the real server answers was measured on v1.36.4.

mod bounds;
mod objects;
mod pods;
mod scale;
mod status;
mod watch;

use super::World;
use crate::model::KubernetesSettings;
use axum::{
    Json, Router,
    extract::{Path, Query, State as Shared},
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use objects::Resource;
use serde_json::{Value, json};
use status::Status;
use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
};
use tokio::{net::TcpListener, sync::watch as signal};

/// Name of the context in the face's kubeconfig.
pub const CONTEXT: &str = "simulated";
/// Who everybody is to this server.
const USER: &str = "operator@simulated";
/// What it calls itself.
const VERSION: &str = "v1.33.0-highwater";

type Parameters = Query<BTreeMap<String, String>>;

/// A running face. Dropping it ends its server, its watches and its kubeconfig.
#[derive(Debug)]
pub struct KubernetesFace {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// A kubeconfig with one context, [`CONTEXT`].
    pub kubeconfig: PathBuf,
    /// Everything that serves ends when this goes.
    _alive: signal::Sender<()>,
}

impl KubernetesFace {
    /// How the source connects to this face: all namespaces.
    pub fn settings(&self) -> KubernetesSettings {
        KubernetesSettings {
            context: Some(CONTEXT.to_owned()),
            kubeconfig: Some(self.kubeconfig.clone()),
            namespaces: Vec::new(),
            kinds: Vec::new(),
        }
    }
}

impl Drop for KubernetesFace {
    fn drop(&mut self) {
        if let Some(directory) = self.kubeconfig.parent() {
            let _ = fs::remove_dir_all(directory); // our own directory; the system's cleaner gets what is left
        }
    }
}

/// What every handler has.
#[derive(Clone)]
struct Face {
    world: World,
    alive: signal::Receiver<()>,
}

/// Serves `world` on a port of 127.0.0.1 that is free, and writes a kubeconfig for it.
pub async fn serve(world: World) -> Result<KubernetesFace, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.map_err(|e| format!("the simulated Kubernetes cannot listen on loopback: {e}"))?;
    let address = listener.local_addr().map_err(|e| format!("the simulated Kubernetes has no address: {e}"))?;
    let kubeconfig = write_kubeconfig(address)
        .map_err(|e| format!("cannot write a kubeconfig for the simulated Kubernetes: {e}"))?;
    let (sender, alive) = signal::channel(());
    let app = router(Face { world, alive: alive.clone() });
    tokio::spawn(async move {
        let served = axum::serve(listener, app).with_graceful_shutdown(gone(alive)).await;
        if let Err(error) = served {
            tracing::warn!("the simulated Kubernetes stopped serving: {error}");
        }
    });
    Ok(KubernetesFace { url: format!("http://{address}"), kubeconfig, _alive: sender })
}

/// Waits until the face was dropped.
async fn gone(mut alive: signal::Receiver<()>) {
    while alive.changed().await.is_ok() {}
}

/// Writes the kubeconfig into a new directory of its own (JSON is YAML too).
fn write_kubeconfig(address: SocketAddr) -> io::Result<PathBuf> {
    let directory = std::env::temp_dir().join(format!("highwater-{}-{}", std::process::id(), address.port()));
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::DirBuilder::new().mode(0o700).create(&directory)?;
    let path = directory.join("kubeconfig");
    let content = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": USER, "user": {}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": USER}}],
        "current-context": CONTEXT,
    });
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?
        .write_all(content.to_string().as_bytes())?;
    Ok(path)
}

fn router(face: Face) -> Router {
    let scale = get(scale::read).patch(scale::patch);
    Router::new()
        .route("/version", get(version))
        .route("/api", get(|| async { Json(json!({"kind": "APIVersions", "versions": ["v1"]})) }))
        .route("/api/v1", get(|| async { Json(resource_list("v1", &[Resource::Pod])) }))
        .route("/api/v1/{plural}", get(list_core))
        .route("/api/v1/namespaces/{namespace}/{plural}", get(list_core_namespace))
        .route("/apis", get(groups))
        .route("/apis/{group}/{version}", get(resources))
        .route("/apis/{group}/{version}/{plural}", get(list_all))
        .route("/apis/{group}/{version}/namespaces/{namespace}/{plural}", get(list_namespace))
        .route("/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}", get(read_one).patch(bounds::patch))
        .route("/apis/apps/v1/namespaces/{namespace}/{plural}/{name}/scale", scale)
        .route("/apis/authentication.k8s.io/v1/selfsubjectreviews", post(who))
        .route("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", post(may))
        .fallback(nothing_here)
        .with_state(face)
}

async fn nothing_here(method: Method, uri: Uri) -> Status {
    Status::not_found(&format!("the server could not find the requested resource: {method} {}", uri.path()))
}

async fn version() -> Json<Value> {
    Json(json!({
        "major": "1", "minor": "33", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "simulated",
    }))
}

async fn groups() -> Json<Value> {
    let group = |name: &str, version: &str| {
        let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
        json!({"name": name, "versions": [version], "preferredVersion": version})
    };
    let groups = [("apps", "v1"), ("autoscaling", "v2"), ("autoscaling.k8s.io", "v1"), ("keda.sh", "v1alpha1")];
    let groups = groups.map(|(name, version)| group(name, version));
    Json(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
}

async fn resources(Path((group, version)): Path<(String, String)>) -> Response {
    let found: Vec<Resource> =
        Resource::ALL.into_iter().filter(|r| r.group() == group && r.version() == version).collect();
    if found.is_empty() {
        return Status::not_found("the server could not find the requested resource").into_response();
    }
    Json(resource_list(&format!("{group}/{version}"), &found)).into_response()
}

fn resource_list(group_version: &str, resources: &[Resource]) -> Value {
    let mut list = Vec::new();
    for resource in resources {
        let (plural, kind) = (resource.plural(), resource.kind());
        list.push(json!({
            "name": plural, "singularName": kind.to_lowercase(), "namespaced": true, "kind": kind,
            "verbs": if resource.has_scale() || matches!(resource, Resource::Pod | Resource::ReplicaSet | Resource::Vpa) { json!(["get", "list", "watch"]) } else { json!(["get", "list", "patch", "watch"]) },
        }));
        if resource.has_scale() {
            list.push(json!({
                "name": format!("{plural}/scale"), "singularName": "", "namespaced": true, "kind": "Scale",
                "group": "autoscaling", "version": "v1", "verbs": ["get", "patch"],
            }));
        }
    }
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list})
}

async fn list_all(
    Shared(face): Shared<Face>,
    Path((group, version, plural)): Path<(String, String, String)>,
    Query(parameters): Parameters,
) -> Response {
    match Resource::find(&group, &version, &plural) {
        Some(resource) => watch::list_or_watch(face, resource, None, &parameters),
        None => Status::not_found("the server could not find the requested resource").into_response(),
    }
}

async fn list_core(face: Shared<Face>, Path(plural): Path<String>, parameters: Parameters) -> Response {
    list_all(face, Path((String::new(), "v1".to_owned(), plural)), parameters).await
}

async fn list_core_namespace(
    face: Shared<Face>,
    Path((namespace, plural)): Path<(String, String)>,
    parameters: Parameters,
) -> Response {
    list_namespace(face, Path((String::new(), "v1".to_owned(), namespace, plural)), parameters).await
}

async fn list_namespace(
    Shared(face): Shared<Face>,
    Path((group, version, namespace, plural)): Path<(String, String, String, String)>,
    Query(parameters): Parameters,
) -> Response {
    match Resource::find(&group, &version, &plural) {
        Some(resource) => watch::list_or_watch(face, resource, Some(namespace), &parameters),
        None => Status::not_found("the server could not find the requested resource").into_response(),
    }
}

async fn read_one(
    Shared(face): Shared<Face>,
    Path((group, version, namespace, plural, name)): Path<(String, String, String, String, String)>,
) -> Response {
    let Some(resource) = Resource::find(&group, &version, &plural) else {
        return Status::not_found("the server could not find the requested resource").into_response();
    };
    let all = face.world.with(|state| resource.all(state));
    match all.into_iter().find(|o| o.namespace == namespace && o.name == name) {
        Some(object) => Json(object.json).into_response(),
        None => Status::no_such_object(resource.group(), &plural, &name).into_response(),
    }
}

/// Everybody is the same user here.
async fn who() -> (StatusCode, Json<Value>) {
    let answer = json!({
        "kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {"creationTimestamp": null},
        "status": {"userInfo": {"username": USER, "groups": ["system:authenticated"]}},
    });
    (StatusCode::CREATED, Json(answer))
}

/// What this face can do is allowed.
async fn may(Json(mut review): Json<Value>) -> (StatusCode, Json<Value>) {
    let word = |key: &str| review.pointer(&format!("/spec/resourceAttributes/{key}")).and_then(Value::as_str);
    let group = word("group").unwrap_or_default(); // the core group has no name
    let known = Resource::ALL.iter().any(|r| r.group() == group && Some(r.plural()) == word("resource"));
    let scale = word("group") == Some("apps") && word("subresource") == Some("scale");
    let bounds =
        matches!(word("group"), Some("autoscaling" | "keda.sh")) && word("subresource").is_none_or(str::is_empty);
    let allowed = match word("verb") {
        Some("patch") => known && (scale || bounds),
        Some("get") => known,
        Some("list" | "watch") => known && word("subresource").is_none_or(str::is_empty),
        _ => false,
    };
    if let Some(fields) = review.as_object_mut() {
        fields.insert("status".to_owned(), json!({"allowed": allowed}));
    }
    (StatusCode::CREATED, Json(review))
}
