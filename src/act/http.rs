//! The HTTP client of webhooks: no redirects, no way to addresses that only this machine can see, bounded answers.

use reqwest::{
    Client, RequestBuilder, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt as _;
use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// Bytes of an answer that are read.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request certainly did not leave.
    NotSent(String),
    /// It left, or may have.
    Broken(String),
}

impl Failure {
    pub(super) fn words(&self) -> &str {
        match self {
            Self::NotSent(why) | Self::Broken(why) => why,
        }
    }
}

/// A client for one request.
///
/// # Errors
/// A URL that leads nowhere it should, and a machine without certificate authorities, where one is needed.
pub(super) fn client(url: &str, deadline: Duration) -> Result<Client, String> {
    if let Some(problem) = url_problem(url) {
        return Err(problem.to_owned());
    }
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .timeout(deadline)
        .connect_timeout(deadline.min(Duration::from_secs(5)))
        .retry(reqwest::retry::never())
        .dns_resolver(Arc::new(Outside))
        .user_agent(concat!("highwater/", env!("CARGO_PKG_VERSION")));
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?;
    let tls = if url.starts_with("https://") {
        tls.with_platform_verifier()
            .map_err(|e| format!("this machine has no certificate authorities ({e}): install ca-certificates"))?
    } else {
        builder = builder.no_proxy();
        tls.with_root_certificates(RootCertStore::empty()) // nothing is verified over plain HTTP
    };
    builder = builder.tls_backend_preconfigured(tls.with_no_client_auth());
    builder.build().map_err(|e| format!("the HTTP client cannot be set up: {e}"))
}

/// Sends once and reads the whole answer.
pub(super) async fn exchange(request: RequestBuilder) -> Result<Answer, Failure> {
    let mut response = request.send().await.map_err(|e| failure(&e))?;
    let status = response.status();
    let header = response.headers().get("retry-after").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| failure(&e))? {
        let room = LONGEST_ANSWER - body.len();
        body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        if body.len() == LONGEST_ANSWER {
            break;
        }
    }
    Ok(Answer { status, retry_after: header, body })
}

/// The deepest cause in words; never the URL, which may hold a secret.
fn failure(error: &reqwest::Error) -> Failure {
    let mut deepest: &dyn Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    if error.is_connect() {
        Failure::NotSent(format!("cannot connect: {deepest}"))
    } else if error.is_timeout() {
        Failure::Broken("no answer in time".to_owned())
    } else if error.is_builder() {
        Failure::NotSent("the request cannot be made: look at url and headers".to_owned())
    } else {
        Failure::Broken(format!("the connection broke: {deepest}"))
    }
}

/// Resolves names to addresses outside of this link: a metadata service (169.254.169.254) is nobody's webhook. What was
/// looked at is what is connected to, so a name that answers differently a second time gains nothing.
struct Outside;

impl Resolve for Outside {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|a| is_outside(a.ip())).collect();
            if allowed.is_empty() {
                return Err(io::Error::other("its name leads to a link-local address, which no webhook has").into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Neither link-local nor unspecified.
pub(super) fn is_outside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_outside(v4.into()),
            None => !v6.is_unicast_link_local() && !v6.is_unspecified(),
        },
    }
}

/// What is wrong with a webhook's URL; `None`: nothing. The words never hold the URL. The configuration says some of it
/// earlier; here stands what must hold whoever made the URL.
pub(super) fn url_problem(url: &str) -> Option<&'static str> {
    let Ok(parsed) = reqwest::Url::parse(url) else { return Some("this is no URL: write https://HOST/PATH") };
    let Some(host) = parsed.host_str().filter(|h| !h.is_empty()) else { return Some("the URL names no host") };
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let loopback = host == "localhost" || address.is_some_and(|a| a.is_loopback());
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Some("user and password do not belong into the URL: use bearer_token or headers");
    }
    match parsed.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return Some("http:// goes to this machine only: use https://"),
        _ => return Some("a URL that starts with https:// belongs here"),
    }
    if address.is_some_and(|a| !is_outside(a)) {
        return Some("a link-local address is nobody's webhook");
    }
    None
}
