//! A desk and a server that is slow to take a lease back, and that does not know at first who asks.

use super::*;
use crate::model::KubernetesSettings;
use axum::{
    Json, Router,
    extract::State,
    http::{Method, StatusCode},
    response::{IntoResponse as _, Response},
    routing::any,
};
use serde_json::{Value, json};
use std::sync::Mutex;

#[derive(Default)]
struct Server {
    lease: Option<Value>,
    version: u32,
    /// How often it was asked who asks.
    reviews: u32,
}

type Shared = Arc<Mutex<Server>>;

fn status(code: u16, name: &str) -> Response {
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "details": {"name": name}, "metadata": {},
    });
    (StatusCode::from_u16(code).unwrap(), Json(body)).into_response()
}

/// Takes and gives leases as an API server does; to be given one back takes it a moment.
async fn lease(State(server): State<Shared>, method: Method, body: String) -> Response {
    if method == Method::GET {
        let found = server.lock().unwrap().lease.clone();
        return found.map_or_else(|| status(404, "highwater-deployment-web"), |l| Json(l).into_response());
    }
    let mut new: Value = serde_json::from_str(&body).unwrap();
    if new["spec"]["holderIdentity"].is_null() {
        time::sleep(Duration::from_millis(300)).await;
    }
    let mut server = server.lock().unwrap();
    let before = server.lease.as_ref().map(|l| l["metadata"]["resourceVersion"].clone());
    if before.unwrap_or_default() != new["metadata"]["resourceVersion"] {
        return status(409, "highwater-deployment-web");
    }
    server.version += 1;
    new["metadata"]["resourceVersion"] = server.version.to_string().into();
    server.lease = Some(new.clone());
    Json(new).into_response()
}

async fn review(State(server): State<Shared>) -> Response {
    let mut server = server.lock().unwrap();
    server.reviews += 1;
    if server.reviews == 1 {
        return status(503, "");
    }
    let user = json!({"userInfo": {"username": "alice@corp"}});
    let kind = "SelfSubjectReview";
    Json(json!({"apiVersion": "authentication.k8s.io/v1", "kind": kind, "metadata": {}, "status": user}))
        .into_response()
}

async fn bench(logged_in: bool) -> (Bench, Shared) {
    let shared = Shared::default();
    let leases = "/apis/coordination.k8s.io/v1/namespaces/shop/leases";
    let app = Router::new()
        .route(leases, any(lease))
        .route(&format!("{leases}/{{name}}"), any(lease))
        .route("/apis/authentication.k8s.io/v1/selfsubjectreviews", any(review))
        .fallback(async || status(404, ""))
        .with_state(shared.clone());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let bench = bench_at(listener.local_addr().unwrap(), logged_in);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (bench, shared)
}

fn bench_at(server: std::net::SocketAddr, logged_in: bool) -> Bench {
    let server = format!("http://{server}");
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    let bench = Bench::with(SET, Vec::new(), |config, dir| {
        let file = dir.join(if logged_in { "kubeconfig" } else { "later" });
        std::fs::write(dir.join("kubeconfig"), kubeconfig.to_string()).unwrap();
        let context = Some("c".into());
        config.kubernetes =
            Some(KubernetesSettings { context, kubeconfig: Some(file), ..KubernetesSettings::default() });
    });
    let target = Some("deploy/shop/web".parse().unwrap());
    bench.pictures.send_replace(picture(Recommendation { target, ..recommendation(Vec::new()) }, 2));
    bench
}

#[tokio::test]
async fn ones_own_last_dialog_does_not_stand_in_the_way_of_the_next_and_the_end_leaves_no_lease() {
    let (mut bench, server) = bench(true).await;
    for _ in 0..3 {
        let prepared = bench.prepare(4).await;
        assert!(!told(&prepared).contains("is deciding"), "{}", told(&prepared));
    }
    let holder = || server.lock().unwrap().lease.as_ref().unwrap()["spec"]["holderIdentity"].clone();
    assert!(holder().as_str().is_some_and(|h| h.starts_with("alice@corp/")), "{}", holder());
    bench.end().await;
    assert_eq!(holder(), Value::Null);
}

#[tokio::test]
async fn who_was_not_known_at_the_start_is_asked_for_again() {
    let (mut bench, server) = bench(true).await;
    bench.prepare(4).await;
    assert_eq!(server.lock().unwrap().reviews, 2 + 1, "at the start, for the dialog, and by its plan");
    let entries = bench.end().await;
    assert!(entries.iter().all(|e| e.actor.server_user.as_ref().is_some_and(|u| *u == *"alice@corp")), "{entries:?}");
}

#[tokio::test]
async fn who_logs_in_after_the_start_can_approve() {
    let (mut bench, server) = bench(false).await;
    let before = bench.prepare(4).await;
    assert!(
        told(&before).contains("Kubernetes targets cannot be changed: cannot read the kubeconfig"),
        "{}",
        told(&before)
    );
    std::fs::rename(bench.dir.path().join("kubeconfig"), bench.dir.path().join("later")).unwrap();
    let after = bench.prepare(4).await;
    assert!(!told(&after).contains("cannot be changed"), "{}", told(&after));
    assert!(server.lock().unwrap().lease.is_some(), "and it is decided alone");
}

#[tokio::test]
async fn a_server_that_hangs_holds_no_other_decision_up_and_that_it_hangs_is_said() {
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut bench = bench_at(silent.local_addr().unwrap(), true);
    let (workload, plan_hash) = (Label::new("g"), Bench::hash());
    let prepare = Intent::Prepare { workload: workload.clone(), to: 4, plan_hash: plan_hash.clone(), way: 0 };
    bench.intents.send(prepare).await.unwrap();
    bench.intents.send(Intent::Reject { workload, plan_hash, reason: "not now".into() }).await.unwrap();
    let mut order = Vec::new();
    for _ in 0..2 {
        let happened = |e| match e {
            Event::Snoozed(..) => Some("decided".to_owned()),
            Event::Unprepared(u) => Some(u.why.to_string()),
            _ => None,
        };
        order.push(bench.next(happened).await);
    }
    assert_eq!(order[0], "decided");
    assert!(order[1].starts_with("deploy/shop/web did not answer within 6 s"), "{}", order[1]);
}
