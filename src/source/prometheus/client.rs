//! The HTTP client: few requests at once, a deadline and a size limit on each, credentials read where they live.

use super::{
    decode::{self, Answer, Bad},
    failure::{Failure, FailureKind},
    tls,
};
use crate::{
    model::{Label, PrometheusSettings, Secret, SecretSource, Time},
    process::read_secret,
};
use reqwest::{
    Method, StatusCode, Url,
    header::{HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER},
    redirect::Policy,
};
use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::{
    sync::{Mutex, Semaphore},
    task::spawn_blocking,
    time::{sleep, timeout},
};

/// Requests under way at once. Measured on 30 range queries: 8 were slower than 4.
const IN_FLIGHT: usize = 4;
/// Bytes read of one answer, after decompression: 600 series × 331 points are 5 MB.
const BODY_LIMIT: usize = 32 * 1024 * 1024;
/// Answers longer than this are decoded off the runtime's threads (about 2 ms of work).
const LONG_BODY: usize = 128 * 1024;
/// Longer queries are sent as POST forms: servers and proxies limit URLs to 8 KiB and less.
const LONG_QUERY: usize = 2000;
/// Further attempts after no connection, 502, 503, 504.
const RETRIES: u32 = 2;
/// Bounds of the wait before another attempt, seconds (full jitter under a doubling bound).
const BACKOFF: (f64, f64) = (0.1, 2.0);
/// The longest `Retry-After` that a request waits out itself; longer ones are the caller's to keep, seconds.
const PATIENCE: f64 = 2.0;
/// Prometheus refuses range queries with more points per series.
const MAX_POINTS: f64 = 11_000.0;

/// One Prometheus, or what speaks like it: Thanos, Mimir, VictoriaMetrics, a managed service.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    settings: PrometheusSettings,
    slots: Semaphore,
    requests: AtomicU32,
    credentials: Mutex<Option<Credentials>>,
}

impl Client {
    /// Sets up a client; nothing is sent yet. Certificate files and the platform's authorities are read here.
    pub async fn new(settings: &PrometheusSettings) -> Result<Self, Failure> {
        let url = base(&settings.url, "url")?;
        let http = http(settings, url.scheme() == "https", is_near(&url), settings.timeout).await?;
        let mut settings = settings.clone();
        settings.url.truncate(settings.url.trim_end_matches('/').len());
        Ok(Self {
            http,
            settings,
            slots: Semaphore::new(IN_FLIGHT),
            requests: AtomicU32::new(0),
            credentials: Mutex::new(None),
        })
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        &self.settings.url
    }

    /// Requests sent so far, retries included.
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Evaluates `query` at the server's own present.
    pub async fn instant(&self, query: &str) -> Result<Answer, Failure> {
        self.query("/api/v1/query", &[("query", query.to_owned())]).await
    }

    /// Evaluates `query` from `from` to `to`, both moved down to multiples of `step` seconds, so that two ranges of the
    /// same step share their grid (and a results cache in between works). More than 11,000 steps are refused here as
    /// Prometheus would refuse them.
    pub async fn range(&self, query: &str, from: Time, to: Time, step: f64) -> Result<Answer, Failure> {
        let (from, to) = (from.floor_to(step), to.floor_to(step));
        if !step.is_finite() || step <= 0.0 || to.since(from) / step > MAX_POINTS {
            let reason = format!("{} s in steps of {step} s are more than 11000 points", to.since(from));
            return Err(Failure::new(FailureKind::BadQuery, reason, "ask for a shorter range or a longer step"));
        }
        let parts =
            [("query", query.to_owned()), ("start", secs(from)), ("end", secs(to)), ("step", format!("{step}"))];
        self.query("/api/v1/query_range", &parts).await
    }

    /// The metric names among `wanted` (exact names) that had samples between `from` and `to`: one request.
    pub async fn names(&self, wanted: &[&str], from: Time, to: Time) -> Result<Vec<String>, Failure> {
        let selector = format!("{{__name__=~\"{}\"}}", wanted.join("|"));
        let parts = [("match[]", selector), ("start", secs(from)), ("end", secs(to))];
        let body = self.send(Method::GET, "/api/v1/label/__name__/values", &parts).await?;
        decode::names(&body).map_err(|bad| self.bad(bad))
    }

    /// The server's version; `None` when it does not say (VictoriaMetrics).
    pub async fn version(&self) -> Result<Option<Label>, Failure> {
        let body = self.send(Method::GET, "/api/v1/status/buildinfo", &[]).await?;
        decode::version(&body).map_err(|bad| self.bad(bad))
    }

    async fn query(&self, path: &str, parts: &[(&str, String)]) -> Result<Answer, Failure> {
        let long = parts.iter().map(|(_, v)| v.len()).sum::<usize>() > LONG_QUERY;
        let body = self.send(if long { Method::POST } else { Method::GET }, path, parts).await?;
        let decoded = if body.len() > LONG_BODY {
            let task = spawn_blocking(move || decode::answer(&body));
            task.await.unwrap_or_else(|e| Err(Bad::Garbled(e.to_string())))
        } else {
            decode::answer(&body)
        };
        decoded.map_err(|bad| self.bad(bad))
    }

    /// Sends until there is an answer or trying again is of no use.
    async fn send(&self, method: Method, path: &str, parts: &[(&str, String)]) -> Result<Vec<u8>, Failure> {
        let _slot = self.slots.acquire().await.map_err(|e| Failure::settings(e.to_string()))?;
        let (mut retries, mut renewed) = (0, false);
        loop {
            let failure = match self.once(method.clone(), path, parts).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            match failure.kind {
                FailureKind::Unauthorised if !renewed && self.credentials_can_change() => {
                    renewed = true;
                    *self.credentials.lock().await = None;
                }
                FailureKind::ConnectionRefused | FailureKind::Connect | FailureKind::Unavailable
                    if retries < RETRIES =>
                {
                    sleep(jitter(BACKOFF.1.min(BACKOFF.0 * 4_f64.powi(retries.cast_signed() + 1)))).await;
                    retries += 1;
                }
                FailureKind::TooMany if retries < RETRIES && failure.retry_after.is_some_and(|s| s <= PATIENCE) => {
                    sleep(Duration::from_secs_f64(failure.retry_after.unwrap_or(0.0))).await;
                    retries += 1;
                }
                _ => return Err(failure),
            }
        }
    }

    async fn once(&self, method: Method, path: &str, parts: &[(&str, String)]) -> Result<Vec<u8>, Failure> {
        let credentials = self.credentials().await?;
        let url = format!("{}{path}", self.settings.url);
        let mut request = self.http.request(method.clone(), url).headers(credentials.headers);
        if let Some(token) = &credentials.bearer {
            request = request.bearer_auth(token.expose());
        } else if let (Some((user, _)), Some(password)) = (&self.settings.basic, &credentials.password) {
            request = request.basic_auth(user, Some(password.expose()));
        }
        let request = if method == Method::POST { request.form(parts) } else { request.query(parts) };
        self.requests.fetch_add(1, Ordering::Relaxed);
        let deadline = Duration::from_secs_f64(self.settings.timeout.max(0.1) + 1.0);
        let late = || {
            let reason = format!("{} did not answer within {} s", self.settings.url, self.settings.timeout);
            Failure::new(FailureKind::Timeout, reason, "raise `timeout`, or give Prometheus less to do")
        };
        timeout(deadline, self.exchange(request)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<Vec<u8>, Failure> {
        let (status, headers, body) = read(request, &self.settings.url, self.settings.timeout, BODY_LIMIT).await?;
        if status == StatusCode::OK {
            return Ok(body);
        }
        let location = headers.get(LOCATION).and_then(|v| v.to_str().ok());
        let said = match (decode::refusal(&body), location) {
            (Some(Bad::Refused { kind, text }), _) => format!("{kind}: {text}"),
            (_, Some(location)) => format!("to {}", Label::new(location)),
            _ => String::new(),
        };
        let offered = self.settings.basic.is_some() || self.settings.bearer.is_some();
        let mut failure = Failure::status(status.as_u16(), &said, &self.settings.url, offered);
        let wait = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse::<u32>().ok());
        failure.retry_after = wait.map(f64::from);
        Err(failure)
    }

    fn bad(&self, bad: Bad) -> Failure {
        match bad {
            Bad::Refused { kind, text } => {
                Failure::new(FailureKind::Execution, format!("the query was refused ({kind}: {text})"), "")
            }
            Bad::Garbled(why) => Failure::new(
                FailureKind::Garbled,
                format!("{} answers, but not as Prometheus does ({why})", self.settings.url),
                "check `url`: a sign-in page or another service may stand there",
            ),
        }
    }

    /// Whether reading the credentials again can bring other ones.
    fn credentials_can_change(&self) -> bool {
        let moving = |s: &SecretSource| matches!(s, SecretSource::File(_) | SecretSource::Command(_));
        self.settings.bearer.as_ref().is_some_and(moving)
            || self.settings.basic.as_ref().is_some_and(|(_, s)| moving(s))
            || self.settings.headers.values().any(moving)
    }

    async fn credentials(&self) -> Result<Credentials, Failure> {
        let mut cached = self.credentials.lock().await;
        if let Some(credentials) = &*cached {
            return Ok(credentials.clone());
        }
        let credentials = read_credentials(&self.settings).await?;
        Ok(cached.insert(credentials).clone())
    }
}

/// A URL of the configuration's key `key`.
pub(super) fn base(text: &str, key: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).map_err(|e| Failure::settings(format!("`{key}` {text:?} is no URL: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(Failure::settings(format!("`{key}` {text:?} must begin with http:// or https://")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::settings(format!("`{key}` must not hold a password: use `basic`")));
    }
    Ok(url)
}

/// Sets up HTTP with a source's TLS; `near` is a network that is faster than compression and needs no proxy.
pub(super) async fn http(
    settings: &PrometheusSettings,
    encrypted: bool,
    near: bool,
    timeout: f64,
) -> Result<reqwest::Client, Failure> {
    let tls_settings = settings.tls.clone();
    let tls = spawn_blocking(move || tls::config(&tls_settings, encrypted))
        .await
        .map_err(|e| Failure::settings(format!("TLS cannot be set up: {e}")))??;
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .gzip(!near) // compression costs the server more than a fast network: 217 against 28 ms for 1 MB
        .connect_timeout(Duration::from_secs_f64(timeout.clamp(0.1, 5.0)))
        .timeout(Duration::from_secs_f64(timeout.max(0.1)))
        .pool_max_idle_per_host(IN_FLIGHT)
        .user_agent(concat!("highwater/", env!("CARGO_PKG_VERSION")));
    if near {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|e| Failure::settings(format!("the HTTP client cannot be set up: {e}")))
}

/// Sends a request and reads its answer, up to `limit` bytes.
pub(super) async fn read(
    request: reqwest::RequestBuilder,
    url: &str,
    timeout: f64,
    limit: usize,
) -> Result<(StatusCode, HeaderMap, Vec<u8>), Failure> {
    let transport = |e| Failure::transport(&e, url, timeout);
    let mut response = request.send().await.map_err(transport)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if body.len() + chunk.len() > limit {
            let reason = format!("the answer of {url} is larger than {} MiB", limit >> 20);
            return Err(Failure::new(FailureKind::TooLarge, reason, "narrow the query with `select`"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, headers, body))
}

/// What every request carries.
#[derive(Clone, Debug)]
struct Credentials {
    headers: HeaderMap,
    bearer: Option<Secret>,
    password: Option<Secret>,
}

/// Reads every secret where it lives.
async fn read_credentials(settings: &PrometheusSettings) -> Result<Credentials, Failure> {
    let mut headers = HeaderMap::new();
    for (name, source) in &settings.headers {
        let key = name
            .parse::<HeaderName>()
            .map_err(|_| Failure::settings(format!("`headers`: {name:?} is no header name")))?;
        let mut value = HeaderValue::from_str(secret(&format!("headers.{name}"), source).await?.expose())
            .map_err(|_| Failure::settings(format!("`headers.{name}`: the value has characters that none may have")))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    let mut credentials = Credentials { headers, bearer: None, password: None };
    if let Some(source) = &settings.bearer {
        credentials.bearer = Some(secret("bearer_token", source).await?);
    }
    if let Some((_, source)) = &settings.basic {
        credentials.password = Some(secret("basic.password", source).await?);
    }
    Ok(credentials)
}

async fn secret(key: &str, source: &SecretSource) -> Result<Secret, Failure> {
    read_secret(source).await.map_err(|e| Failure::settings(format!("`{key}`: {e}")))
}

/// Loopback, private and cluster-local hosts: the network there is faster than compression.
pub(super) fn is_near(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local(),
        Err(_) => !host.contains('.') || [".svc", ".local", ".localhost"].iter().any(|end| host.ends_with(end)),
    }
}

fn secs(t: Time) -> String {
    format!("{}", t.secs())
}

/// A random wait up to `most` seconds, so that many clients do not return together.
pub(super) fn jitter(most: f64) -> Duration {
    let random = RandomState::new().hash_one(0) as f64 / u64::MAX as f64; // seeded by the system for every instance
    Duration::from_secs_f64((BACKOFF.0 + random * (most - BACKOFF.0)).max(0.0))
}
