//! Why a request got no answer, as a sentence with its mend: every cause reads differently.

use crate::model::Label;
use std::{error::Error, fmt, io};

/// What stood between a question and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The settings cannot be used: a URL, a header, a certificate file, a secret.
    Settings,
    /// The host has no address.
    Dns,
    /// Nothing listens there.
    ConnectionRefused,
    /// No connection for another reason.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// No answer within the deadline.
    Timeout,
    /// 401.
    Unauthorised,
    /// 403.
    Forbidden,
    /// 404 or 405: no Prometheus API under this path.
    NotFound,
    /// 3xx: redirects are never followed, since credentials would travel along.
    Redirect,
    /// 429.
    TooMany,
    /// 400 `bad_data`: this query is wrong. Others may be fine.
    BadQuery,
    /// 422 `execution`, 503 `timeout`: this query could not be evaluated. Others may be fine.
    Execution,
    /// 5xx.
    Unavailable,
    /// The answer is larger than what is read.
    TooLarge,
    /// An answer, but not Prometheus'.
    Garbled,
}

/// What backends say of a query that asks for too much: samples, points, series, chunks, time.
const LIMITS: [&str; 11] = [
    "load too many samples", // Prometheus, Mimir, Cortex
    "maximum resolution",    // Prometheus: 11,000 points
    "took too long",         // our own words for a query's timeout
    "deadline exceeded",
    "query timed out",
    "cannot select more than", // VictoriaMetrics: -search.maxSamplesPerQuery
    "too many points",         // VictoriaMetrics: -search.maxPointsPerTimeseries
    "err-mimir-max-",
    "exceeded the maximum number of", // Mimir
    "hit the max number of",          // Cortex
    "exceeds the limit",              // Mimir, Cortex: a span of time
];

impl FailureKind {
    /// Whether the source as a whole is out, so that asking on is of no use in this refresh.
    pub fn is_fatal(self) -> bool {
        !matches!(self, Self::BadQuery | Self::Execution | Self::TooLarge | Self::Garbled)
    }

    /// Whether one heavy query of a sound source looks the same: the server, or a proxy before it, gave it up.
    fn may_be_heavy(self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable | Self::Connect)
    }
}

/// As many queries given up in one round are the source's failure: with four under way a source that hangs costs one
/// deadline.
const GIVEN_UP: usize = 4;

/// What a round of queries met, to tell a few heavy queries from a source that is out.
#[derive(Debug, Default)]
pub(super) struct Round {
    answered: bool,
    given_up: Vec<Failure>,
}

impl Round {
    /// Hands a query's result back, a failure of its own included; an error when the failure is the source's.
    pub(super) fn take<T>(&mut self, result: Result<T, Failure>) -> Result<Result<T, Failure>, Failure> {
        match result {
            Err(failure) if failure.kind.may_be_heavy() && self.given_up.len() + 1 < GIVEN_UP => {
                self.given_up.push(failure.clone());
                Ok(Err(failure))
            }
            Err(failure) if failure.kind.is_fatal() => Err(failure),
            answer => {
                self.answered = true; // a refusal is an answer too
                Ok(answer)
            }
        }
    }

    /// The source's failure, if nothing at all was answered in the end.
    pub(super) fn end(self) -> Result<(), Failure> {
        self.given_up.into_iter().next().filter(|_| !self.answered).map_or(Ok(()), Err)
    }
}

/// A request without an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The cause.
    pub kind: FailureKind,
    /// What happened, as a sentence without a full stop.
    pub reason: Label,
    /// What to do about it.
    pub mend: Option<Label>,
    /// Seconds that the server asked us to stay away (429).
    pub retry_after: Option<f64>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mend {
            Some(mend) => write!(f, "{}: {mend}", self.reason),
            None => write!(f, "{}", self.reason),
        }
    }
}

impl Error for Failure {}

impl Failure {
    pub(super) fn new(kind: FailureKind, reason: impl Into<Label>, mend: &str) -> Self {
        let mend = (!mend.is_empty()).then(|| Label::new(mend));
        Self { kind, reason: reason.into(), mend, retry_after: None }
    }

    /// Whether the source refuses the amount that was asked for: less of it may be answered.
    pub(super) fn is_limit(&self) -> bool {
        let said = self.reason.as_str();
        match self.kind {
            FailureKind::TooLarge => true,
            FailureKind::BadQuery | FailureKind::Execution => LIMITS.iter().any(|words| said.contains(words)),
            _ => false,
        }
    }

    pub(super) fn settings(reason: impl Into<Label>) -> Self {
        Self::new(FailureKind::Settings, reason, "")
    }

    /// From an error below HTTP; `url` is the base URL, `timeout` the deadline in seconds.
    pub(super) fn transport(error: &reqwest::Error, url: &str, timeout: f64) -> Self {
        if error.is_builder() {
            return Self::settings(format!(
                "no request can be made for {url}: a credential or `url` has forbidden characters"
            ));
        }
        let causes = causes(error);
        let text = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
        if let Some(tls) = causes.iter().find_map(|c| tls_error(*c)) {
            return Self::tls(tls, url);
        }
        if causes.iter().any(|c| c.to_string().contains("dns error")) {
            return Self::new(
                FailureKind::Dns,
                format!("the host of {url} has no address ({text})"),
                "check the host name in `url`, or the resolver",
            );
        }
        let refused = causes.iter().filter_map(|c| c.downcast_ref::<io::Error>());
        if refused.into_iter().any(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            return Self::new(
                FailureKind::ConnectionRefused,
                format!("nothing listens at {url} (connection refused)"),
                "start Prometheus, or correct the port in `url`",
            );
        }
        if error.is_timeout() {
            let (what, mend) = if error.is_connect() {
                ("did not accept a connection", "check the route to it: network, firewall, VPN")
            } else {
                ("did not answer", "raise `timeout`, or give Prometheus less to do")
            };
            return Self::new(FailureKind::Timeout, format!("{url} {what} within {timeout} s"), mend);
        }
        let mend = if error.is_connect() {
            "check `url` and the route to it"
        } else {
            "check the port and the scheme of `url`: a server that speaks TLS needs https"
        };
        Self::new(FailureKind::Connect, format!("the connection to {url} failed ({text})"), mend)
    }

    fn tls(error: &rustls::Error, url: &str) -> Self {
        use rustls::{CertificateError as C, Error as E};
        let mend = match error {
            E::InvalidCertificate(C::UnknownIssuer) => "name the authority that signed it with `tls.ca`",
            E::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
                "use the name that stands in its certificate, in `url` or as `tls.server_name`"
            }
            E::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => "its certificate must be renewed",
            E::AlertReceived(_) => "it may want a client certificate: set `tls.cert` and `tls.key`",
            E::InvalidMessage(_) => "that port may speak plain HTTP: try http:// in `url`",
            _ => "check `tls` in the configuration",
        };
        Self::new(FailureKind::Tls, format!("TLS with {url} failed ({error})"), mend)
    }

    /// From an HTTP status that is not 200; `said` is what the body's envelope says, `offered` whether we sent
    /// credentials.
    pub(super) fn status(status: u16, said: &str, url: &str, offered: bool) -> Self {
        let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
        match status {
            401 if offered => Self::new(
                FailureKind::Unauthorised,
                format!("{url} does not accept our credentials: 401{said}"),
                "renew `bearer_token` or `basic` of this source",
            ),
            401 => Self::new(
                FailureKind::Unauthorised,
                format!("{url} wants credentials: 401{said}"),
                "set `bearer_token` or `basic` of this source",
            ),
            403 => Self::new(
                FailureKind::Forbidden,
                format!("{url} knows us but does not let us query: 403{said}"),
                "ask for the right to query, or correct a tenant header such as X-Scope-OrgID in `headers`",
            ),
            404 | 405 => Self::new(
                FailureKind::NotFound,
                format!("there is no Prometheus API under {url}: {status} for /api/v1{said}"),
                "add the path prefix to `url`: /prometheus (Mimir), /api/prom (Grafana Cloud), /select/0/prometheus (VictoriaMetrics cluster)",
            ),
            429 => Self::new(
                FailureKind::TooMany,
                format!("{url} limits our requests: 429{said}"),
                "raise `refresh` of this source",
            ),
            400 => Self::new(FailureKind::BadQuery, format!("the query was refused: 400{said}"), ""),
            422 => Self::new(FailureKind::Execution, format!("the query could not be evaluated: 422{said}"), ""),
            300..=399 => Self::new(
                FailureKind::Redirect,
                format!("{url} sends us elsewhere: {status}{said}"),
                "put the final address into `url`; if it is a sign-in page, set `bearer_token` or `headers`",
            ),
            500..=599 => Self::new(
                FailureKind::Unavailable,
                format!("{url} cannot answer now: {status}{said}"),
                "it is asked again; look at its own log if this stays",
            ),
            _ => Self::new(FailureKind::Garbled, format!("{url} answered {status}{said}"), "is it a Prometheus?"),
        }
    }
}

/// The error and everything below it.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> Vec<&'e (dyn Error + 'static)> {
    let (mut all, mut next) = (Vec::new(), Some(error));
    while let Some(error) = next {
        all.push(error);
        next = error.source();
    }
    all
}

/// A rustls error, also one that hides inside an `io::Error` (whose `source` skips it).
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    error.downcast_ref::<rustls::Error>().or_else(|| {
        let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
        inner.downcast_ref::<rustls::Error>().or_else(|| inner.downcast_ref::<io::Error>().and_then(|e| tls_error(e)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: FailureKind) -> Result<(), Failure> {
        Err(Failure::new(kind, "x", ""))
    }

    #[test]
    fn a_few_queries_that_are_given_up_are_heavy_and_many_or_all_of_them_are_an_outage() {
        use FailureKind::{Execution, Forbidden, Timeout, Unavailable};
        let mut round = Round::default();
        assert!(round.take(of(Timeout)).unwrap().is_err() && round.take(of(Execution)).unwrap().is_err());
        assert!(round.end().is_ok(), "a refusal shows that the source is there");
        let mut round = Round::default();
        assert!(round.take(of(Unavailable)).is_ok());
        assert_eq!(round.end().unwrap_err().kind, Unavailable, "nothing at all was answered");
        let mut round = Round::default();
        assert!(round.take(Ok(())).is_ok() && (1..GIVEN_UP).all(|_| round.take(of(Timeout)).is_ok()));
        assert!(round.take(of(Timeout)).is_err(), "a source that hangs costs no more deadlines than are under way");
        assert!(Round::default().take(of(Forbidden)).is_err());
    }
}
