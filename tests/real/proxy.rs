//! Stands between an actuator and the API server and breaks the one request that writes.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use kube::Client;
use serde_json::json;
use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
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

/// Ends when dropped.
pub struct Proxy {
    pub url: String,
    fault: Arc<Mutex<Fault>>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Way {
    server: Client,
    fault: Arc<Mutex<Fault>>,
}

impl Proxy {
    /// Passes requests on as the user of `server`.
    pub async fn start(server: Client) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fault = Arc::new(Mutex::new(Fault::None));
        let app = Router::new().fallback(handle).with_state(Way { server, fault: fault.clone() });
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, fault, task }
    }

    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
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

async fn handle(State(way): State<Way>, request: Request) -> Response {
    let dry_run = request.uri().query().is_some_and(|q| q.contains("dryRun=All"));
    let fault = if request.method() == Method::PATCH && !dry_run { *way.fault.lock().unwrap() } else { Fault::None };
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    match fault {
        Fault::None => whole(way.forward(&head, body).await),
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
    async fn forward(&self, head: &axum::http::request::Parts, body: Bytes) -> (StatusCode, String, Bytes) {
        let path = head.uri.path_and_query().unwrap().as_str();
        let mut request = http::Request::builder().method(head.method.clone()).uri(path);
        for name in ["content-type", "accept"] {
            if let Some(value) = head.headers.get(name) {
                request = request.header(name, value);
            }
        }
        let request = request.body(kube::client::Body::from(body.to_vec())).unwrap();
        let answer = self.server.send(request).await.unwrap();
        let (status, kind) = (answer.status(), answer.headers().get(CONTENT_TYPE).cloned());
        let kind = kind.map_or_else(String::new, |k| k.to_str().unwrap().to_owned());
        (status, kind, answer.into_body().collect_bytes().await.unwrap())
    }
}

fn whole((status, kind, body): (StatusCode, String, Bytes)) -> Response {
    Response::builder().status(status).header(CONTENT_TYPE, kind).body(Body::from(body)).unwrap()
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
