//! The HTTP client: few requests at once, a deadline and a size limit on each, credentials read where they live.

use super::{
    credentials::Credentials,
    decode::{self, Answer, Bad},
    failure::{Failure, FailureKind},
    tls,
};
use crate::model::{Label, PrometheusSettings, Time};
use reqwest::{
    Method, StatusCode, Url,
    header::{HeaderMap, LOCATION, RETRY_AFTER},
    redirect::Policy,
};
use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
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
    /// It takes no forms.
    no_forms: AtomicBool,
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
            no_forms: AtomicBool::new(false),
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

    /// The metric names among `wanted` (exact names) that had samples between `from` and `to`: one request, two where
    /// names can be asked for one at a time only (Google Cloud Monitoring): then all are read.
    pub async fn names(&self, wanted: &[&str], from: Time, to: Time) -> Result<Vec<String>, Failure> {
        const PATH: &str = "/api/v1/label/__name__/values";
        let selector = format!("{{__name__=~\"{}\"}}", wanted.join("|"));
        let parts = [("start", secs(from)), ("end", secs(to)), ("match[]", selector)];
        let body = match self.send(Method::GET, PATH, &parts).await {
            Err(failure) if matches!(failure.kind, FailureKind::BadQuery | FailureKind::Execution) => {
                let [from, to, _] = parts;
                self.send(Method::GET, PATH, &[from, to]).await.map_err(|_| failure)?
            }
            sent => sent?,
        };
        let mut names = decode::names(&body).map_err(|bad| self.bad(bad))?;
        names.retain(|name| wanted.contains(&name.as_str()));
        Ok(names)
    }

    /// The server's version; `None` when it does not say (VictoriaMetrics).
    pub async fn version(&self) -> Result<Option<Label>, Failure> {
        let body = self.send(Method::GET, "/api/v1/status/buildinfo", &[]).await?;
        decode::version(&body).map_err(|bad| self.bad(bad))
    }

    async fn query(&self, path: &str, parts: &[(&str, String)]) -> Result<Answer, Failure> {
        let long = parts.iter().map(|(_, v)| v.len()).sum::<usize>() > LONG_QUERY;
        let body = if long && !self.no_forms.load(Ordering::Relaxed) {
            match self.send(Method::POST, path, parts).await {
                // Google Cloud Monitoring knows GET only.
                Err(failure) if failure.kind == FailureKind::NotFound => {
                    let body = self.send(Method::GET, path, parts).await?;
                    self.no_forms.store(true, Ordering::Relaxed);
                    body
                }
                sent => sent?,
            }
        } else {
            self.send(Method::GET, path, parts).await?
        };
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
                // Of what has expired Amazon says 403, and a proxy that signs people in sends them to its page.
                FailureKind::Unauthorised | FailureKind::Forbidden | FailureKind::Redirect
                    if !renewed && Credentials::can_change(&self.settings) =>
                {
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
        let now = Time::now();
        let credentials = self.credentials(now).await?;
        let request = self.http.request(method.clone(), format!("{}{path}", self.settings.url));
        let request = if method == Method::POST { request.form(parts) } else { request.query(parts) };
        let transport = |e| Failure::transport(&e, &self.settings.url, self.settings.timeout);
        let mut request = request.build().map_err(transport)?;
        credentials.put(&mut request, now)?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let deadline = Duration::from_secs_f64(self.settings.timeout.max(0.1) + 1.0);
        let late = || {
            let reason = format!("{} did not answer within {} s", self.settings.url, self.settings.timeout);
            Failure::new(FailureKind::Timeout, reason, "raise `timeout`, or give Prometheus less to do")
        };
        let answer = timeout(deadline, self.exchange(request)).await.unwrap_or_else(|_| Err(late()));
        answer.map_err(|failure| credentials.hidden_in(failure))
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Vec<u8>, Failure> {
        let (url, timeout) = (&self.settings.url, self.settings.timeout);
        let (status, headers, body) = read(&self.http, request, url, timeout, BODY_LIMIT).await?;
        if status == StatusCode::OK {
            return Ok(body);
        }
        let location = headers.get(LOCATION).and_then(|v| v.to_str().ok());
        let said = match (decode::refusal(&body), location) {
            (Some(Bad::Refused { kind, text }), _) if kind.as_str() == "timeout" => {
                let reason = format!("the query took too long ({text})");
                return Err(Failure::new(FailureKind::Execution, reason, "narrow it with `select`"));
            }
            (Some(Bad::Refused { kind, text }), _) => format!("{kind}: {text}"),
            (_, Some(location)) => format!("to {}", Label::new(location)),
            _ => decode::words(&body).unwrap_or_default(),
        };
        let mut failure = Failure::status(status.as_u16(), &said, url, Credentials::are_offered(&self.settings));
        failure.retry_after = headers.get(RETRY_AFTER).and_then(|v| retry_after(v.to_str().ok()?, Time::now()));
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

    async fn credentials(&self, now: Time) -> Result<Credentials, Failure> {
        let mut cached = self.credentials.lock().await;
        if let Some(credentials) = cached.as_ref().filter(|c| c.last(now)) {
            return Ok(credentials.clone());
        }
        let credentials = Credentials::read(&self.settings, now).await?;
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
    http: &reqwest::Client,
    request: reqwest::Request,
    url: &str,
    timeout: f64,
    limit: usize,
) -> Result<(StatusCode, HeaderMap, Vec<u8>), Failure> {
    let transport = |e| Failure::transport(&e, url, timeout);
    let mut response = http.execute(request).await.map_err(transport)?;
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

/// Loopback, private and cluster-local hosts: the network there is faster than compression.
pub(super) fn is_near(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local(),
        Err(_) => !host.contains('.') || [".svc", ".local", ".localhost"].iter().any(|end| host.ends_with(end)),
    }
}

/// Seconds of a `Retry-After`: a number of them, or an instant.
fn retry_after(text: &str, now: Time) -> Option<f64> {
    let text = text.trim();
    let until =
        || jiff::fmt::rfc2822::parse(text).ok().map(|at| at.timestamp().as_millisecond() as f64 / 1000.0 - now.secs());
    text.parse::<u32>().ok().map(f64::from).or_else(until).map(|seconds| seconds.max(0.0))
}

fn secs(t: Time) -> String {
    format!("{}", t.secs())
}

/// A random wait up to `most` seconds, so that many clients do not return together.
pub(super) fn jitter(most: f64) -> Duration {
    let random = RandomState::new().hash_one(0) as f64 / u64::MAX as f64; // seeded by the system for every instance
    Duration::from_secs_f64((BACKOFF.0 + random * (most - BACKOFF.0)).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_an_instant() {
        let now = Time::parse("2015-10-21T07:27:00Z").unwrap();
        assert_eq!(retry_after(" 120 ", now), Some(120.0));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(60.0));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:26:00 GMT", now), Some(0.0), "past");
        assert_eq!(retry_after("soon", now), None);
    }
}
