//! From an address to a connection that can be asked: TCP, TLS, versions, SASL.

use super::{
    properties::{Access, OAUTHBEARER, Sasl, TlsFiles},
    wire::{Connection, Stream},
};
use crate::{
    model::{Label, Secret},
    process::read_secret,
};
use bytes::Bytes;
use kafka_protocol::{
    ResponseError,
    messages::{ApiVersionsRequest, SaslAuthenticateRequest, SaslHandshakeRequest},
    protocol::StrBytes,
};
use rsasl::{
    callback::{Context, Request, SessionCallback, SessionData},
    prelude::{Mechname, SASLClient, SASLConfig, SessionError},
    property::OAuthBearerToken,
};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, ServerName,
    pem::{self, PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::net::TcpStream;

/// Everything needed to connect to any broker of one cluster.
pub(super) struct Dialer {
    tls: Option<Tls>,
    sasl: Option<Sasl>,
    client_id: String,
    pub(super) deadline: Duration,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct Refused {
    /// A sentence.
    pub reason: String,
    /// The broker said no to our credentials: asking again soon would only lock the account.
    pub credentials: bool,
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Self { reason, credentials: false }
    }
}

/// A connection and how long its authentication lasts (KIP-368), if the broker limits it.
pub(super) struct Dialed {
    pub connection: Connection,
    pub lifetime: Option<Duration>,
}

impl Dialer {
    /// Reads the TLS files.
    pub(super) fn new(access: &Access) -> Result<Self, String> {
        Ok(Self {
            tls: access.tls.as_ref().map(Tls::new).transpose()?,
            sasl: access.sasl.clone(),
            client_id: access.client_id.clone(),
            deadline: access.deadline,
        })
    }

    /// Who the brokers see: for sentences about permissions.
    pub(super) fn principal(&self) -> String {
        match (&self.sasl, &self.tls) {
            (Some(sasl), _) if sasl.mechanism == OAUTHBEARER => "the principal of our token".to_owned(),
            (Some(sasl), _) => format!("User:{}", sasl.username),
            (None, Some(_)) => "this client certificate".to_owned(),
            (None, None) => "User:ANONYMOUS".to_owned(),
        }
    }

    /// Connects, negotiates, authenticates: all within two deadlines. The secret is read before: a command that prints it
    /// may take longer, and none of that time is the broker's.
    pub(super) async fn dial(&self, host: &str, port: u16) -> Result<Dialed, Refused> {
        let secret = match &self.sasl {
            None => None,
            Some(sasl) => Some(read_secret(&sasl.secret).await.map_err(|e| format!("{}: {e}", sasl.secret_key()))?),
        };
        tokio::time::timeout(self.deadline * 2, self.open(host, port, secret)).await.unwrap_or_else(|_| {
            let seconds = (self.deadline * 2).as_secs_f64();
            Err(Refused::from(format!("{host}:{port} did not answer within {seconds} s")))
        })
    }

    async fn open(&self, host: &str, port: u16, secret: Option<Secret>) -> Result<Dialed, Refused> {
        let at = |e: &dyn std::fmt::Display| format!("cannot connect to {host}:{port}: {e}");
        let tcp = TcpStream::connect((host, port)).await.map_err(|e| at(&e))?;
        tcp.set_nodelay(true).map_err(|e| at(&e))?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let name = ServerName::try_from(host.to_owned()).map_err(|e| at(&e))?;
                let stream = tokio_rustls::TlsConnector::from(tls.config().await).connect(name, tcp).await;
                Box::new(stream.map_err(|e| {
                    let mend = tls_mend(&e.to_string(), tls.files.cert.is_some());
                    format!("TLS with {host}:{port} failed: {e}; {mend}")
                })?)
            }
        };
        let mut connection = Connection::over(stream, &self.client_id);
        let said = connection.call(&ApiVersionsRequest::default(), self.deadline).await.map_err(|e| {
            // In TLS 1.3 a broker refuses a client's certificate after the handshake: the first answer is an alert.
            let hint = match &self.tls {
                Some(tls) if e.contains("alert") => format!("; {}", tls_mend(&e, tls.files.cert.is_some())),
                Some(_) => String::new(),
                None => " (a TLS listener does this to plain text: is security.protocol right?)".to_owned(),
            };
            format!("{host}:{port}: {e}{hint}")
        })?;
        if let Some(error) = ResponseError::try_from_code(said.error_code) {
            return Err(format!("{host}:{port} refused ApiVersions: {error}").into());
        }
        connection.set_versions(said.api_keys.iter().map(|k| (k.api_key, (k.min_version, k.max_version))).collect());
        let lifetime = match self.sasl.as_ref().zip(secret) {
            None => None,
            Some((sasl, secret)) => self.authenticate(&connection, sasl, secret).await.map_err(|mut refused| {
                refused.reason = format!("{host}:{port}: {}", refused.reason);
                refused
            })?,
        };
        Ok(Dialed { connection, lifetime })
    }

    async fn authenticate(
        &self,
        connection: &Connection,
        sasl: &Sasl,
        secret: Secret,
    ) -> Result<Option<Duration>, Refused> {
        let bearer = sasl.mechanism == OAUTHBEARER;
        let hello = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(sasl.mechanism));
        let said = connection.call(&hello, self.deadline).await?;
        if said.error_code != 0 {
            let offered: Vec<&str> = said.mechanisms.iter().map(StrBytes::as_str).collect();
            let reason = format!("the broker offers {}, not sasl.mechanism {}", offered.join(", "), sasl.mechanism);
            return Err(Refused { reason, credentials: true });
        }
        let failed = |e: &dyn std::fmt::Display| Refused {
            reason: format!("authentication by {} failed: {e}", sasl.mechanism),
            credentials: true,
        };
        let config = if bearer {
            SASLConfig::builder().with_defaults().with_callback(Token(secret))
        } else {
            SASLConfig::with_credentials(None, sasl.username.clone(), secret.expose().to_owned())
        };
        let config = config.map_err(|e| failed(&e))?;
        let name = Mechname::parse(sasl.mechanism.as_bytes()).map_err(|e| failed(&e))?;
        let mut session = SASLClient::new(config).start_suggested(&[name]).map_err(|e| failed(&e))?;
        let mut input: Option<Bytes> = None;
        let mut lifetime = None;
        loop {
            if let Some(problem) = input.as_deref().and_then(too_costly) {
                return Err(failed(&problem));
            }
            // RFC 7628: a challenge instead of success is the reason, as JSON.
            if let Some(said) = input.as_deref().filter(|said| bearer && !said.is_empty()) {
                let said = Label::new(&String::from_utf8_lossy(said));
                return Err(failed(&format!("the broker refuses the token of sasl.oauthbearer.token: {said}")));
            }
            let mut out = Vec::new();
            let state = session.step(input.as_deref(), &mut out).map_err(|e| failed(&e))?;
            if state.is_finished() && out.is_empty() {
                return Ok(lifetime); // the server's proof was the last word, and it was right
            }
            let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(out));
            let said = connection.call(&request, self.deadline).await?;
            if said.error_code != 0 {
                let why = said.error_message.map_or("the broker gave no reason".to_owned(), |m| m.to_string());
                let keys = if bearer { sasl.secret_key() } else { "sasl.username and sasl.password" };
                return Err(failed(&format!("{why}: check {keys}")));
            }
            lifetime = u64::try_from(said.session_lifetime_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
            if state.is_finished() {
                return Ok(lifetime);
            }
            input = Some(said.auth_bytes);
        }
    }
}

/// Hands the token to the mechanism.
struct Token(Secret);

impl SessionCallback for Token {
    fn callback(&self, _: &SessionData, _: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        request.satisfy::<OAuthBearerToken>(self.0.expose())?;
        Ok(())
    }
}

/// TLS as its files say now: certificates are renewed while we run.
struct Tls {
    files: TlsFiles,
    read: Mutex<(Vec<Option<SystemTime>>, Arc<rustls::ClientConfig>)>,
}

impl Tls {
    /// Reads the files; blocks for a moment, which only happens at start.
    fn new(files: &TlsFiles) -> Result<Self, String> {
        let stamps = files.all().map(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok()).collect();
        Ok(Self { files: files.clone(), read: Mutex::new((stamps, tls_config(files)?)) })
    }

    /// The configuration for a new connection, read again when a file has changed. Files that make no sense (half
    /// written, perhaps) leave the old one in use: the next connection looks again.
    async fn config(&self) -> Arc<rustls::ClientConfig> {
        let mut stamps = Vec::new();
        for path in self.files.all() {
            stamps.push(tokio::fs::metadata(path).await.and_then(|m| m.modified()).ok());
        }
        let (known, old) = self.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known == stamps {
            return old;
        }
        let files = self.files.clone();
        match tokio::task::spawn_blocking(move || tls_config(&files)).await {
            Ok(Ok(new)) => {
                tracing::info!("TLS files have changed and were read again");
                *self.read.lock().unwrap_or_else(PoisonError::into_inner) = (stamps, new.clone());
                new
            }
            Ok(Err(error)) => {
                tracing::warn!("TLS files have changed and cannot be read, the old ones stay in use: {error}");
                old
            }
            Err(_) => old, // the runtime ends
        }
    }
}

/// A server chooses the number of hash iterations of SCRAM; a hostile one could choose four billion. Kafka's default is 4096.
fn too_costly(server_first: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(server_first).ok()?;
    let iterations: u64 = text.split(',').find_map(|part| part.strip_prefix("i="))?.parse().ok()?;
    (iterations > 1_000_000).then_some("the broker asks for more than a million hash iterations")
}

/// `shown`: a client certificate was.
fn tls_mend(error: &str, shown: bool) -> &'static str {
    // Alerts by which servers refuse a client's certificate; Java sends BadCertificate when there is none.
    const REFUSED: [&str; 6] = [
        "alert: BadCertificate",
        "alert: CertificateRequired",
        "alert: CertificateUnknown",
        "alert: CertificateExpired",
        "alert: CertificateRevoked",
        "alert: UnknownCA",
    ];
    if REFUSED.iter().any(|alert| error.contains(alert)) {
        if shown {
            "the broker does not accept the client certificate in ssl.certificate.location"
        } else {
            "the broker wants a client certificate: give ssl.certificate.location and ssl.key.location"
        }
    } else if error.contains("UnknownIssuer") {
        "give the brokers' authority in ssl.ca.location"
    } else if error.contains("NotValidForName") {
        "the certificate does not name this host: connect by a name that it has, or add this one to it"
    } else {
        "is this listener a TLS listener, and is security.protocol right?"
    }
}

fn tls_config(files: &TlsFiles) -> Result<Arc<rustls::ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS: {e}"))?;
    let builder = match &files.ca {
        None => builder.with_platform_verifier().map_err(|e| format!("the platform's certificates: {e}"))?,
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in certificates(path, "ssl.ca.location")? {
                roots.add(certificate).map_err(|e| format!("ssl.ca.location {}: {e}", path.display()))?;
            }
            builder.with_root_certificates(roots)
        }
    };
    let config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert, "ssl.certificate.location")?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| unread("ssl.key.location", key, &e))?;
            builder
                .with_client_auth_cert(chain, secret)
                .map_err(|e| format!("ssl.key.location {}: {e}", key.display()))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn certificates(path: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match read {
        Ok(list) if !list.is_empty() => Ok(list),
        Ok(_) => Err(format!("{key} {}: no certificate in it", path.display())),
        Err(e) => Err(unread(key, path, &e)),
    }
}

/// Why a file is of no use, with the mend.
fn unread(key: &str, path: &Path, error: &pem::Error) -> String {
    let place = format!("{key} {}", path.display());
    match error {
        pem::Error::Io(e) if key == "ssl.ca.location" => format!(
            "{place} cannot be read: {e}; put the brokers' authority there, or remove {key}: then those of this machine count"
        ),
        pem::Error::Io(e) => format!(
            "{place} cannot be read: {e}; put it there, or remove ssl.certificate.location and ssl.key.location where the \
             brokers ask for no client certificate"
        ),
        e if key == "ssl.key.location" => format!("{place}: {e}: a PEM key without password is needed"),
        e => format!("{place}: {e}: certificates in PEM form are needed"),
    }
}
