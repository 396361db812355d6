//! An API server on loopback with one Deployment, `deploy/shop/web`, and the Lease on it; and desks of several people before
//! it. To be given a Lease back takes it a moment.

use super::*;
use crate::model::KubernetesSettings;
use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{any, get, patch, post},
};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard},
};
use tokio::net::TcpListener;

const UID: &str = "0f1e2d3c-0000-4000-8000-000000000001";
const LEASE: &str = "highwater-deployment-web";

/// What the server has, and what it is told to do wrong.
pub(super) struct Said {
    pub(super) count: u32,
    /// Patches that were no dry runs.
    pub(super) writes: u32,
    /// Somebody else writes this right before the next patch that is no dry run.
    pub(super) moves: Option<u32>,
    /// Writes of the Lease that are made and answered with an error.
    pub(super) silent: u32,
    /// Questions who asks, and those that are answered with an error first.
    pub(super) reviews: u32,
    pub(super) unsure: u32,
    /// KEDA scales the Deployment.
    pub(super) scaled: bool,
    lease: Option<Value>,
    version: u32,
}

type Shared = Arc<(Mutex<Said>, watch::Sender<Option<String>>)>;

pub(super) struct Api {
    address: SocketAddr,
    shared: Shared,
}

impl Api {
    pub(super) async fn start() -> Self {
        let said = Said {
            count: 2,
            writes: 0,
            moves: None,
            silent: 0,
            reviews: 0,
            unsure: 0,
            scaled: false,
            lease: None,
            version: 0,
        };
        let shared: Shared = Arc::new((Mutex::new(said), watch::Sender::new(None)));
        let leases = "/apis/coordination.k8s.io/v1/namespaces/shop/leases";
        let web = "/apis/apps/v1/namespaces/shop/deployments/web";
        let none = json!({"apiVersion": "autoscaling/v2", "kind": "List", "metadata": {}, "items": []});
        let app = Router::new()
            .route(leases, any(lease))
            .route(&format!("{leases}/{{name}}"), any(lease))
            .route(web, get(deployment))
            .route(&format!("{web}/scale"), patch(scale))
            .route(
                "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers",
                get(move || async move { Json(none) }),
            )
            .route("/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects", get(scaled_objects))
            .route("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", post(may))
            .route("/apis/authentication.k8s.io/v1/selfsubjectreviews", post(who))
            .fallback(async || status(404, ""))
            .with_state(shared.clone());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, shared }
    }

    pub(super) fn said(&self) -> MutexGuard<'_, Said> {
        self.shared.0.lock().unwrap()
    }

    /// The count, and how often it was written.
    pub(super) fn count(&self) -> (u32, u32) {
        let said = self.said();
        (said.count, said.writes)
    }

    /// Who holds the Lease.
    pub(super) fn holder(&self) -> Option<String> {
        self.shared.1.borrow().clone()
    }

    /// Waits until nobody holds it: much sooner than it would lapse.
    pub(super) async fn free(&self) {
        let mut holder = self.shared.1.subscribe();
        let freed = time::timeout(Duration::from_secs(10), holder.wait_for(Option::is_none)).await;
        assert!(freed.is_ok(), "still held by {:?}", self.holder());
    }

    pub(super) fn desk(&self, user: &str) -> Bench {
        self.desk_with(user, Vec::new(), |_, _| {})
    }

    pub(super) fn desk_with(
        &self,
        user: &str,
        blocked: Vec<Blocked>,
        change: impl FnOnce(&mut Config, &Path),
    ) -> Bench {
        desk_at(self.address, user, blocked, change)
    }
}

/// A desk whose target is the Deployment of the server at that address.
pub(super) fn desk_at(
    server: SocketAddr,
    user: &str,
    blocked: Vec<Blocked>,
    change: impl FnOnce(&mut Config, &Path),
) -> Bench {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{server}")}}],
        "users": [{"name": "u", "user": {"token": user}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    let bench = Bench::with(SET, Vec::new(), |config, dir| {
        let file = dir.join("kubeconfig");
        std::fs::write(&file, kubeconfig.to_string()).unwrap();
        let context = Some("c".into());
        config.kubernetes =
            Some(KubernetesSettings { context, kubeconfig: Some(file), ..KubernetesSettings::default() });
        change(config, dir);
    });
    let mut advice = recommendation(blocked);
    advice.target = Some("deploy/shop/web".parse().unwrap());
    advice.current.uid = Some(UID.into());
    bench.pictures.send_replace(picture(advice, 2));
    bench
}

fn status(code: u16, name: &str) -> Response {
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "details": {"name": name}, "metadata": {},
    });
    (StatusCode::from_u16(code).unwrap(), Json(body)).into_response()
}

/// Takes and gives the Lease, each write on the condition of its version.
async fn lease(State(shared): State<Shared>, method: Method, body: String) -> Response {
    if method == Method::GET {
        let found = shared.0.lock().unwrap().lease.clone();
        return found.map_or_else(|| status(404, LEASE), |l| Json(l).into_response());
    }
    let mut new: Value = serde_json::from_str(&body).unwrap();
    let holder = new["spec"]["holderIdentity"].as_str().map(str::to_owned);
    if holder.is_none() {
        time::sleep(Duration::from_millis(300)).await;
    }
    let mut said = shared.0.lock().unwrap();
    let before = said.lease.as_ref().map(|l| l["metadata"]["resourceVersion"].clone());
    if before.unwrap_or_default() != new["metadata"]["resourceVersion"] {
        return status(409, LEASE);
    }
    said.version += 1;
    new["metadata"]["resourceVersion"] = said.version.to_string().into();
    said.lease = Some(new.clone());
    shared.1.send_replace(holder);
    if said.silent > 0 {
        said.silent -= 1;
        return status(503, LEASE);
    }
    Json(new).into_response()
}

async fn deployment(State(shared): State<Shared>) -> Response {
    let count = shared.0.lock().unwrap().count;
    Json(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "uid": UID, "generation": 1},
        "spec": {"replicas": count}, "status": {"replicas": count, "readyReplicas": count, "observedGeneration": 1},
    }))
    .into_response()
}

/// Runs a JSON Patch of the count, if all that it tests holds.
async fn scale(State(shared): State<Shared>, RawQuery(query): RawQuery, body: String) -> Response {
    let operations: Vec<Value> = serde_json::from_str(&body).unwrap();
    let is_dry_run = query.is_some_and(|q| q.contains("dryRun"));
    let mut said = shared.0.lock().unwrap();
    if let Some(count) = said.moves.take_if(|_| !is_dry_run) {
        said.count = count;
    }
    let holds = |o: &Value| if o["path"] == "/metadata/uid" { o["value"] == UID } else { o["value"] == said.count };
    if !operations.iter().filter(|o| o["op"] == "test").all(holds) {
        return status(422, "web");
    }
    let to = operations.last().unwrap()["value"].clone();
    if !is_dry_run {
        said.writes += 1;
        said.count = u32::try_from(to.as_u64().unwrap()).unwrap();
    }
    Json(json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {}, "spec": {"replicas": to}}))
        .into_response()
}

async fn scaled_objects(State(shared): State<Shared>) -> Response {
    if !shared.0.lock().unwrap().scaled {
        return status(404, "");
    }
    let own = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
        "metadata": {"name": "web", "namespace": "shop", "uid": "so"},
        "spec": {"scaleTargetRef": {"name": "web"}, "minReplicaCount": 1, "maxReplicaCount": 9},
    });
    let kind = "ScaledObjectList";
    Json(json!({"apiVersion": "keda.sh/v1alpha1", "kind": kind, "metadata": {}, "items": [own]})).into_response()
}

async fn may() -> Response {
    let kind = "SelfSubjectAccessReview";
    let allowed = json!({"allowed": true});
    Json(json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "metadata": {}, "spec": {}, "status": allowed}))
        .into_response()
}

async fn who(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let mut said = shared.0.lock().unwrap();
    said.reviews += 1;
    if said.reviews <= said.unsure {
        return status(503, "");
    }
    let token = headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
    let user = json!({"userInfo": {"username": format!("{token}@corp")}});
    let kind = "SelfSubjectReview";
    Json(json!({"apiVersion": "authentication.k8s.io/v1", "kind": kind, "metadata": {}, "status": user}))
        .into_response()
}
