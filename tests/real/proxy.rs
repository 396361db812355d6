//! Stands between an actuator and the API server and breaks the one request that writes to an object.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header::CONTENT_TYPE, request::Parts},
    response::Response,
};
use highwater::model::KubernetesSettings;
use kube::Client;
use serde_json::json;
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

/// What becomes of a PATCH that is no dry run. Everything else goes through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    /// Answered with this status; the server hears nothing.
    Answer(u16),
    /// Nobody answers, and the server hears nothing.
    HangBefore,
    /// The server hears of it only after this long, when nobody waits any more.
    Late(Duration),
    /// The server has done it, and nobody says so.
    HangAfter,
    /// The server has done it, and its answer ends in the middle.
    Cut,
}

/// By the object's name: what becomes of its writes, and how many there were.
type Faults = Arc<Mutex<BTreeMap<String, (Fault, usize)>>>;

/// Ends when dropped.
pub struct Proxy {
    dir: TempDir,
    url: String,
    faults: Faults,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Way {
    server: Client,
    faults: Faults,
}

impl Proxy {
    /// Passes requests on as the user of `server`.
    pub async fn start(server: Client) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let faults = Faults::default();
        let app = Router::new().fallback(handle).with_state(Way { server, faults: faults.clone() });
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { dir: TempDir::new().unwrap(), url, faults, task }
    }

    /// What becomes of writes to `object` from now on.
    pub fn set(&self, object: &str, fault: Fault) {
        self.faults.lock().unwrap().entry(object.to_owned()).or_insert((fault, 0)).0 = fault;
    }

    /// Writes to `object` that came this way.
    pub fn heard(&self, object: &str) -> usize {
        self.faults.lock().unwrap().get(object).map_or(0, |(_, heard)| *heard)
    }

    /// How Highwater connects this way.
    pub fn settings(&self, namespace: &str) -> KubernetesSettings {
        let kubeconfig = self.dir.path().join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: p, cluster: {{server: '{}'}}}}]\n\
             users: [{{name: p, user: {{}}}}]\ncontexts: [{{name: p, context: {{cluster: p, user: p}}}}]\n",
            self.url
        );
        std::fs::write(&kubeconfig, text).unwrap();
        KubernetesSettings {
            context: Some("p".to_owned()),
            kubeconfig: Some(kubeconfig),
            namespaces: vec![namespace.to_owned()],
            kinds: Vec::new(),
        }
    }

    /// A client that goes this way.
    pub fn client(&self) -> Client {
        let mut config = kube::Config::new(self.url.parse().unwrap());
        config.default_retry = false;
        Client::try_from(config).unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The fault for a request, which is counted. Only writes have one: a PATCH that is no dry run.
fn fault(way: &Way, request: &Request) -> Fault {
    let dry_run = request.uri().query().is_some_and(|q| q.contains("dryRun=All"));
    if request.method() != Method::PATCH || dry_run {
        return Fault::None;
    }
    let mut faults = way.faults.lock().unwrap();
    let names: Vec<&str> = request.uri().path().split('/').collect();
    match faults.iter_mut().find(|(name, _)| names.contains(&name.as_str())) {
        Some((_, (fault, heard))) => {
            *heard += 1;
            *fault
        }
        None => Fault::None,
    }
}

async fn handle(State(way): State<Way>, request: Request) -> Response {
    let fault = fault(&way, &request);
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    match fault {
        Fault::None => way.stream(&head, body).await,
        Fault::Answer(code) => answer(code),
        Fault::HangBefore => std::future::pending().await,
        Fault::Late(after) => {
            // The client gives up and this handler with it, but not what is under way to the server.
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                way.forward(&head, body).await;
            });
            std::future::pending().await
        }
        Fault::HangAfter => {
            way.forward(&head, body).await;
            std::future::pending().await
        }
        Fault::Cut => {
            let (status, kind, body) = way.forward(&head, body).await;
            let half = body.slice(..body.len() / 2);
            let parts = futures_util::stream::iter([Ok(half), Err(io::Error::other("cut"))]);
            Response::builder()
                .status(status)
                .header(CONTENT_TYPE, kind)
                .header("content-length", body.len())
                .body(Body::from_stream(parts))
                .unwrap()
        }
    }
}

impl Way {
    async fn send(&self, head: &Parts, body: Bytes) -> http::Response<kube::client::Body> {
        let path = head.uri.path_and_query().unwrap().as_str();
        let mut request = http::Request::builder().method(head.method.clone()).uri(path);
        for name in ["content-type", "accept"] {
            if let Some(value) = head.headers.get(name) {
                request = request.header(name, value);
            }
        }
        let request = request.body(kube::client::Body::from(body.to_vec())).unwrap();
        self.server.send(request).await.unwrap()
    }

    /// Passes the answer on as it comes: a watch has no end.
    async fn stream(&self, head: &Parts, body: Bytes) -> Response {
        self.send(head, body).await.map(Body::new)
    }

    async fn forward(&self, head: &Parts, body: Bytes) -> (StatusCode, String, Bytes) {
        let answer = self.send(head, body).await;
        let (status, kind) = (answer.status(), answer.headers().get(CONTENT_TYPE).cloned());
        let kind = kind.map_or_else(String::new, |k| k.to_str().unwrap().to_owned());
        (status, kind, answer.into_body().collect_bytes().await.unwrap())
    }
}

fn answer(code: u16) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": "Test",
        "message": format!("answered {code} in the server's place"), "details": {"retryAfterSeconds": 2},
    });
    Response::builder()
        .status(code)
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(status.to_string()))
        .unwrap()
}
