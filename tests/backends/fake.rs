//! A Prometheus of one inference service, with a quirk before it.

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::IntoResponse,
};
use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::net::TcpListener;

/// What is seen of a request.
pub(super) struct Asked {
    pub method: String,
    /// With the prefix, as it came.
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Query and form, decoded: `name=value&`.
    pub text: String,
    /// Requests before this one.
    pub before: u32,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.text.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    }

    /// From, to and step of a range query, seconds.
    pub(super) fn range(&self) -> Option<(f64, f64, f64)> {
        Some((self.number("start")?, self.number("end")?, self.number("step")?))
    }

    /// As a Prometheus would answer where four requests run on the model `fraud` and three wait.
    pub(super) fn answered(&self) -> String {
        let one = |key: &str, value: &str| format!(r#"[{{"metric":{{"model_name":"fraud"}},"{key}":{value}}}]"#);
        let asks = |metric: &str| self.text.contains(&format!("sum by (model_name) ({metric}{{"));
        let data = if self.path.ends_with("/label/__name__/values") {
            r#"["up","vllm:num_requests_running"]"#.to_owned()
        } else if let Some((from, to, step)) = self.range() {
            let points = std::iter::successors(Some(from), |t| Some(t + step)).take_while(|t| *t <= to);
            let points: Vec<String> = points.map(|t| format!("[{t},\"3\"]")).collect();
            let result = if asks("vllm:num_requests_waiting") {
                one("values", &format!("[{}]", points.join(",")))
            } else {
                "[]".into()
            };
            format!(r#"{{"resultType":"matrix","result":{result}}}"#)
        } else {
            let result =
                if asks("vllm:num_requests_running") { one("value", r#"[1700000000,"4"]"#) } else { "[]".into() };
            format!(r#"{{"resultType":"vector","result":{result}}}"#)
        };
        format!(r#"{{"status":"success","data":{data}}}"#)
    }
}

/// Status and body.
pub(super) struct Response(u16, String);

impl Response {
    pub(super) fn plain(status: u16, text: &str) -> Self {
        Self(status, text.to_owned())
    }
}

impl From<String> for Response {
    fn from(body: String) -> Self {
        Self(200, body)
    }
}

/// An error in Prometheus' envelope.
pub(super) fn refusal(status: u16, kind: &str, text: &str) -> Response {
    Response(status, format!(r#"{{"status":"error","errorType":"{kind}","error":"{text}"}}"#))
}

/// What a backend does before it answers as Prometheus would; `None`: nothing.
pub(super) type Quirk = Arc<dyn Fn(&Asked) -> Option<Response> + Send + Sync>;

/// Serves on loopback until the test's runtime ends; the base URL.
pub(super) async fn serve(prefix: &'static str, quirk: Quirk) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}{prefix}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicU32::new(0));
    let router = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let (quirk, count) = (Arc::clone(&quirk), Arc::clone(&count));
        async move {
            if !uri.path().starts_with(&format!("{prefix}/api/v1/")) {
                return StatusCode::NOT_FOUND.into_response();
            }
            let query = uri.query().unwrap_or_default().to_owned();
            let both = format!("http://x/?{query}&{}", String::from_utf8_lossy(&body));
            let both = reqwest::Url::parse(&both).unwrap();
            let text: Vec<String> = both.query_pairs().map(|(name, value)| format!("{name}={value}&")).collect();
            let text = text.concat();
            let (method, path) = (method.to_string(), uri.path().to_owned());
            let before = count.fetch_add(1, Ordering::Relaxed);
            let asked = Asked { method, path, query, headers, body, text, before };
            let Response(status, body) = quirk(&asked).unwrap_or_else(|| asked.answered().into());
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
