//! An external-metrics API for the real HPA controller: numbers that tests set, over TLS, behind the API aggregator.

use super::kubernetes::create;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use kube::Client;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path as File,
    sync::{Arc, Mutex},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

const GROUP: &str = "external.metrics.k8s.io";
const VERSION: &str = "v1beta1";

/// By namespace and name: the value, and how often it was asked for.
type Values = Arc<Mutex<BTreeMap<(String, String), (u64, usize)>>>;

/// Served as long as the process lives, like the control plane that asks it.
#[derive(Clone, Default)]
pub struct Metrics {
    values: Values,
}

impl Metrics {
    /// Starts it with the certificates in `dir`, and tells the API server about it.
    pub async fn start(dir: &File, admin: &Client) -> Self {
        let metrics = Self::default();
        let tls = tls(dir);
        let app = Router::new()
            .route(&format!("/apis/{GROUP}/{VERSION}"), get(kinds))
            .route(&format!("/apis/{GROUP}/{VERSION}/namespaces/{{namespace}}/{{name}}"), get(value))
            .with_state(metrics.values.clone());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        // A thread with a runtime of its own: a test's runtime ends with the test.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let tcp = TcpListener::from_std(listener).unwrap();
                axum::serve(Tls { tcp, acceptor: TlsAcceptor::from(Arc::new(tls)) }, app).await.unwrap();
            });
        });
        create(
            admin,
            Some("default"),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "metrics"},
                "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
            }),
        )
        .await;
        create(
            admin,
            None,
            json!({
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": format!("{VERSION}.{GROUP}")},
                "spec": {
                    "group": GROUP, "version": VERSION, "groupPriorityMinimum": 100, "versionPriority": 100,
                    "insecureSkipTLSVerify": true,
                    "service": {"namespace": "default", "name": "metrics", "port": port},
                },
            }),
        )
        .await;
        metrics
    }

    pub fn set(&self, namespace: &str, name: &str, value: u64) {
        let mut values = self.values.lock().unwrap();
        values.entry((namespace.to_owned(), name.to_owned())).or_default().0 = value;
    }

    /// How often the HPA controller asked: once a sync.
    pub fn asked(&self, namespace: &str, name: &str) -> usize {
        self.values.lock().unwrap().get(&(namespace.to_owned(), name.to_owned())).map_or(0, |v| v.1)
    }
}

async fn kinds() -> Json<Value> {
    let kind = json!({"name": "*", "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList", "verbs": ["get"]});
    Json(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{GROUP}/{VERSION}"), "resources": [kind]}),
    )
}

async fn value(State(values): State<Values>, Path(key): Path<(String, String)>) -> Json<Value> {
    let name = key.1.clone();
    let found = values.lock().unwrap().get_mut(&key).map(|(value, asked)| {
        *asked += 1;
        *value
    });
    let now = highwater::model::Time::now().floor_to(1.0).to_string().replace(".000Z", "Z");
    let items: Vec<Value> = found
        .iter()
        .map(|v| json!({"metricName": name, "metricLabels": {}, "timestamp": now, "value": v.to_string()}))
        .collect();
    Json(json!({
        "kind": "ExternalMetricValueList", "apiVersion": format!("{GROUP}/{VERSION}"), "metadata": {}, "items": items,
    }))
}

fn tls(dir: &File) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(dir.join("broker.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(dir.join("broker.key")).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

struct Tls {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // A client that goes away in between is none.
            if let Ok((stream, address)) = self.tcp.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
