//! Client properties: librdkafka's names (and Java's `client.properties`) to what this reader needs.

use crate::model::{Label, Property, Secret, SecretSource};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// How to reach a cluster, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Access {
    /// Host and port, tried in turn.
    pub bootstrap: Vec<(String, u16)>,
    /// TLS files; `None`: plain text.
    pub tls: Option<TlsFiles>,
    /// SASL.
    pub sasl: Option<Sasl>,
    /// `client.id`.
    pub client_id: String,
    /// Deadline of one request.
    pub deadline: Duration,
}

/// PEM files of a TLS connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TlsFiles {
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// Those that are configured.
    pub(super) fn all(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.ca, &self.cert, &self.key].into_iter().flatten()
    }
}

/// SASL credentials.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`.
    pub mechanism: &'static str,
    /// Empty with a token: who it stands for only the brokers know.
    pub username: String,
    /// The password, or the token. It is read anew for every connection.
    pub secret: SecretSource,
}

impl Sasl {
    /// The property that holds its secret.
    pub(super) fn secret_key(&self) -> &'static str {
        if self.mechanism == OAUTHBEARER { TOKEN } else { "sasl.password" }
    }
}

/// Deadline of one request when `socket.timeout.ms` does not say otherwise: a screen that refreshes every two seconds
/// gains nothing from waiting longer, and a broker that is slower than this is a finding.
const DEADLINE: Duration = Duration::from_millis(1500);

/// Mechanisms, by name.
const MECHANISMS: [&str; 4] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", OAUTHBEARER];
/// The one that takes a token.
pub(super) const OAUTHBEARER: &str = "OAUTHBEARER";
/// Our own property: librdkafka has none for a token that something else fetches.
pub(super) const TOKEN: &str = "sasl.oauthbearer.token";

/// Known properties of clients in general that change nothing for a reader of offsets.
const HARMLESS: [&str; 14] = [
    "group.id",
    "auto.offset.reset",
    "enable.auto.commit",
    "api.version.request",
    "broker.address.family",
    "broker.version.fallback",
    "metadata.max.age.ms",
    "statistics.interval.ms",
    "log.connection.close",
    "socket.keepalive.enable",
    "compression.type",
    "acks",
    "linger.ms",
    "request.timeout.ms",
];

/// Whether every property can be honoured; the files that they name are not looked at.
///
/// # Errors
/// Sentences that name the keys.
pub fn understood(properties: &BTreeMap<String, Property>) -> Result<(), String> {
    access(properties).map(drop)
}

/// Checks properties; every problem is a sentence that names the key.
pub(super) fn access(properties: &BTreeMap<String, Property>) -> Result<Access, String> {
    let mut problems = Vec::new();
    let text = |key: &str| match properties.get(key) {
        Some(Property::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let bootstrap = match text("bootstrap.servers").or_else(|| text("metadata.broker.list")) {
        None => Err("bootstrap.servers is missing: give the address of one or more brokers, host:port".to_owned()),
        Some(list) => addresses(list),
    };
    let bootstrap = bootstrap.unwrap_or_else(|problem| {
        problems.push(problem);
        Vec::new()
    });
    let protocol = text("security.protocol").unwrap_or("PLAINTEXT").to_ascii_uppercase();
    let (with_tls, with_sasl) = match protocol.as_str() {
        "PLAINTEXT" => (false, false),
        "SSL" => (true, false),
        "SASL_PLAINTEXT" => (false, true),
        "SASL_SSL" => (true, true),
        other => {
            problems.push(format!(
                "security.protocol = {other:?} is unknown: use PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
            ));
            (false, false)
        }
    };
    let deadline = match text("socket.timeout.ms").map(str::parse::<u64>) {
        None => DEADLINE,
        Some(Ok(ms @ 100..=60_000)) => Duration::from_millis(ms),
        Some(_) => {
            problems.push("socket.timeout.ms must be a number of milliseconds from 100 to 60000".to_owned());
            DEADLINE
        }
    };
    for (key, value) in properties {
        if let Some(problem) = refused(key, value) {
            problems.push(problem);
        }
    }
    let tls = TlsFiles {
        ca: text("ssl.ca.location").map(PathBuf::from),
        cert: text("ssl.certificate.location").map(PathBuf::from),
        key: text("ssl.key.location").map(PathBuf::from),
    };
    if tls.cert.is_some() != tls.key.is_some() {
        problems.push("ssl.certificate.location and ssl.key.location belong together: give both or none".to_owned());
    }
    let sasl = with_sasl.then(|| sasl(properties)).transpose().unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    if problems.is_empty() {
        Ok(Access {
            bootstrap,
            tls: with_tls.then_some(tls),
            sasl,
            client_id: text("client.id").unwrap_or("highwater").to_owned(),
            deadline,
        })
    } else {
        Err(problems.join("; "))
    }
}

/// Why a property cannot be honoured; `None`: used, or without effect on a reader.
fn refused(key: &str, value: &Property) -> Option<String> {
    let shown = match value {
        Property::Text(text) => text.as_str(),
        Property::Secret(_) => "",
    };
    match key {
        "bootstrap.servers"
        | "metadata.broker.list"
        | "security.protocol"
        | "sasl.mechanism"
        | "sasl.mechanisms"
        | "sasl.username"
        | "sasl.password"
        | TOKEN
        | "ssl.ca.location"
        | "ssl.certificate.location"
        | "ssl.key.location"
        | "client.id"
        | "socket.timeout.ms" => None,
        "ssl.endpoint.identification.algorithm" if shown.eq_ignore_ascii_case("https") => None,
        "ssl.endpoint.identification.algorithm" => Some(format!(
            "{key} = {shown:?} is not supported: host names are always verified; put the names that you use into the brokers' certificates"
        )),
        "enable.ssl.certificate.verification" if shown.eq_ignore_ascii_case("true") => None,
        "enable.ssl.certificate.verification" => {
            Some(format!("{key} = {shown:?} is not supported: give the brokers' authority in ssl.ca.location"))
        }
        "ssl.key.password" => Some(format!(
            "{key}: encrypted keys are not supported; decrypt it once with `openssl pkey -in KEY -out PLAIN` and guard the file"
        )),
        "ssl.keystore.location" | "ssl.truststore.location" | "ssl.keystore.password" | "ssl.truststore.password" => {
            Some(format!(
                "{key} is not supported: give PEM files in ssl.ca.location, ssl.certificate.location and ssl.key.location (`openssl pkcs12 -in STORE -out FILE.pem -nodes` converts; a JKS first with keytool -importkeystore -deststoretype PKCS12)"
            ))
        }
        "sasl.oauthbearer.method" if shown.eq_ignore_ascii_case("default") => None,
        _ if key.starts_with("sasl.oauthbearer.") => Some(format!(
            "{key} is not supported: give the token itself in {TOKEN} = {{ command = […] }} or {{ file = \"PATH\" }}; it is read anew for every connection"
        )),
        _ if key.starts_with("sasl.kerberos.") => {
            Some(format!("{key} is not supported: Highwater speaks {}", MECHANISMS.join(", ")))
        }
        _ if HARMLESS.contains(&key)
            || [
                "queue.",
                "fetch.",
                "message.",
                "socket.",
                "retry.",
                "reconnect.",
                "log.",
                "topic.",
                "session.",
                "ssl.",
            ]
            .iter()
            .any(|p| key.starts_with(p)) =>
        {
            tracing::debug!(key, "property has no effect on a reader of offsets");
            None
        }
        _ => Some(format!(
            "{} is not a property that Highwater knows: remove it or correct its spelling",
            Label::new(key)
        )),
    }
}

fn sasl(properties: &BTreeMap<String, Property>) -> Result<Sasl, String> {
    let asked = match properties.get("sasl.mechanism").or_else(|| properties.get("sasl.mechanisms")) {
        Some(Property::Text(text)) => text.trim(),
        _ => return Err(format!("sasl.mechanism is missing: use {}", MECHANISMS.join(", "))),
    };
    let mechanism = MECHANISMS.into_iter().find(|m| m.eq_ignore_ascii_case(asked)).ok_or_else(|| {
        format!(
            "sasl.mechanism = {asked:?} is not supported: use {} (ask for a listener that offers one)",
            MECHANISMS.join(", ")
        )
    })?;
    let given = |key: &str| match properties.get(key) {
        Some(Property::Secret(source)) => Some(source.clone()),
        Some(Property::Text(text)) => Some(SecretSource::Value(Secret::new(text))),
        None => None,
    };
    if mechanism == OAUTHBEARER {
        let missing = || {
            format!("{TOKEN} is missing: give it as {{ command = […] }}, {{ file = \"PATH\" }} or {{ env = \"NAME\" }}")
        };
        return Ok(Sasl { mechanism, username: String::new(), secret: given(TOKEN).ok_or_else(missing)? });
    }
    let username = match properties.get("sasl.username") {
        Some(Property::Text(text)) => text.clone(),
        _ => return Err("sasl.username is missing".to_owned()),
    };
    let missing = "sasl.password is missing: give it as { env = \"NAME\" }, { file = \"PATH\" } or { command = […] }";
    Ok(Sasl { mechanism, username, secret: given("sasl.password").ok_or(missing)? })
}

/// `host:port,[::1]:port,…`; the port defaults to 9092 as in librdkafka.
fn addresses(list: &str) -> Result<Vec<(String, u16)>, String> {
    let mut out = Vec::new();
    for word in list.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        let word = word.split_once("://").map_or(word, |(_, rest)| rest);
        let wrong = || format!("bootstrap.servers: {word:?} is not host:port");
        let (host, port) = match word.strip_prefix('[').and_then(|w| w.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => word.rsplit_once(':').map_or((word, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(9092), str::parse).map_err(|_| wrong())?;
        if host.is_empty() || port == 0 {
            return Err(wrong());
        }
        out.push((host.to_owned(), port));
    }
    if out.is_empty() { Err("bootstrap.servers is empty: give host:port".to_owned()) } else { Ok(out) }
}

/// Reads a Java `client.properties` (escapes and continued lines included) into librdkafka's names.
///
/// `sasl.jaas.config` becomes `sasl.username` and `sasl.password` (PlainLoginModule, ScramLoginModule); a PEM trust or key
/// store becomes `ssl.ca.location` and so on; other stores are kept under their Java names, and the reader says what to do.
///
/// ```
/// use highwater::{model::Property, source::kafka::properties::parse_java};
/// let text = "bootstrap.servers=k1:9092\nsasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule \\\n  required username=\"viewer\" password=\"x\";";
/// let read = parse_java(text).unwrap();
/// assert_eq!(read["sasl.username"], Property::Text("viewer".into()));
/// assert!(matches!(read["sasl.password"], Property::Secret(_)));
/// ```
pub fn parse_java(text: &str) -> Result<BTreeMap<String, Property>, String> {
    let mut raw = java_lines(text)?;
    let mut out = BTreeMap::new();
    if let Some(jaas) = raw.remove("sasl.jaas.config") {
        let module = jaas.split_whitespace().next().unwrap_or_default();
        let bearer = module.ends_with("OAuthBearerLoginModule");
        if !bearer && !module.ends_with("PlainLoginModule") && !module.ends_with("ScramLoginModule") {
            // The word is not repeated: in a line that was mistyped it may be the password.
            let mend = "begin with org.apache.kafka.common.security.scram.ScramLoginModule, ….plain.PlainLoginModule or ….oauthbearer.OAuthBearerLoginModule";
            return Err(format!("sasl.jaas.config: its login module is not supported: {mend}"));
        }
        for (option, key) in [("username", "sasl.username"), ("password", "sasl.password")].iter().filter(|_| !bearer) {
            let value =
                jaas_option(&jaas, option).ok_or_else(|| format!("sasl.jaas.config: no {option}=\"…\" in it"))?;
            let property = if *option == "password" {
                Property::Secret(SecretSource::Value(Secret::new(value)))
            } else {
                Property::Text(value)
            };
            out.insert((*key).to_owned(), property);
        }
    }
    // KIP-768: a file whose token is read by the login module.
    if let Some(path) = raw.get("sasl.oauthbearer.token.endpoint.url").and_then(|url| url.strip_prefix("file:")) {
        let path = format!("/{}", path.trim_start_matches('/'));
        out.insert(TOKEN.to_owned(), Property::Secret(SecretSource::File(path.into())));
        raw.remove("sasl.oauthbearer.token.endpoint.url");
    }
    let mut pem = |store: &str| raw.remove(store).is_some_and(|k| k.eq_ignore_ascii_case("PEM"));
    let (trust, key) = (pem("ssl.truststore.type"), pem("ssl.keystore.type"));
    if trust && let Some(path) = raw.remove("ssl.truststore.location") {
        out.insert("ssl.ca.location".to_owned(), Property::Text(path));
    }
    if key && let Some(path) = raw.remove("ssl.keystore.location") {
        out.insert("ssl.certificate.location".to_owned(), Property::Text(path.clone())); // one file holds both
        out.insert("ssl.key.location".to_owned(), Property::Text(path));
    }
    for (key, value) in raw {
        let secret = key.contains("password");
        let property =
            if secret { Property::Secret(SecretSource::Value(Secret::new(value))) } else { Property::Text(value) };
        out.insert(key, property);
    }
    Ok(out)
}

/// `java.util.Properties`: comments, `=`, `:` or blank between key and value, `\` at the end of a line, `\t \n \uXXXX`.
fn java_lines(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut out = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((n, line)) = lines.next() {
        let mut logical = line.trim_start().to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while logical.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1 {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim_start()),
                None => break,
            }
        }
        let wrong = |what: &str| format!("line {}: {what}", n + 1);
        let mut halves = [String::new(), String::new()];
        let mut half = 0;
        let mut chars = logical.trim_end().chars().peekable();
        while let Some(c) = chars.next() {
            let literal = match c {
                '\\' => match chars.next() {
                    Some('t') => '\t',
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('u') => {
                        let code: String = chars.by_ref().take(4).collect();
                        let code = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                        code.ok_or_else(|| wrong("a \\u that four hexadecimal digits of a character do not follow"))?
                    }
                    Some(c) => c,
                    None => break,
                },
                '=' | ':' | ' ' | '\t' if half == 0 => {
                    half = 1;
                    let mut separator = c;
                    while let Some(next @ ('=' | ':' | ' ' | '\t')) = chars.peek().copied() {
                        if matches!(next, '=' | ':') && matches!(separator, '=' | ':') {
                            break;
                        }
                        if matches!(next, '=' | ':') {
                            separator = next;
                        }
                        chars.next();
                    }
                    continue;
                }
                c => c,
            };
            halves[half].push(literal);
        }
        let [key, value] = halves;
        if half == 0 {
            return Err(wrong(&format!("{} has no value", Label::new(&key))));
        }
        out.insert(key, value);
    }
    Ok(out)
}

/// The value of `name="…"` in a JAAS line.
fn jaas_option(jaas: &str, name: &str) -> Option<String> {
    let mut rest = jaas;
    loop {
        let at = rest.find(name)?;
        let boundary = rest.get(..at).and_then(|s| s.chars().next_back()).is_none_or(char::is_whitespace);
        let after = rest.get(at + name.len()..)?.trim_start();
        match after.strip_prefix('=').map(str::trim_start).and_then(|v| v.strip_prefix('"')) {
            Some(value) if boundary => {
                let mut out = String::new();
                let mut chars = value.chars();
                loop {
                    match chars.next()? {
                        '\\' => out.push(chars.next()?),
                        '"' => return Some(out),
                        c => out.push(c),
                    }
                }
            }
            _ => rest = rest.get(at + name.len()..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(pairs: &[(&str, &str)]) -> BTreeMap<String, Property> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), Property::Text((*v).to_owned()))).collect()
    }

    #[test]
    fn addresses_of_all_kinds() {
        let read = access(&of(&[("bootstrap.servers", "k1, k2:1234,[::1]:9,SASL_SSL://k3:77")])).unwrap();
        let wanted = [("k1", 9092), ("k2", 1234), ("::1", 9), ("k3", 77)].map(|(h, p)| (h.to_owned(), p));
        assert_eq!(read.bootstrap, wanted);
    }

    #[test]
    fn every_problem_names_its_key() {
        let error = access(&of(&[
            ("bootstrap.servers", "k1"),
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "GSSAPI"),
            ("ssl.keystore.location", "/x.jks"),
            ("bootstrap.server", "typo"),
            ("ssl.certificate.location", "/c.pem"),
        ]))
        .unwrap_err();
        for word in ["GSSAPI", "SCRAM-SHA-512", "ssl.keystore.location", "bootstrap.server is not", "ssl.key.location"]
        {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
    }

    #[test]
    fn java_properties_with_jaas_and_pem() {
        let text = "# c\nbootstrap.servers = k1:9092,\\\n   k2:9092\nsecurity.protocol:SASL_SSL\nsasl.mechanism SCRAM-SHA-512\n\
            ssl.truststore.type=PEM\nssl.truststore.location=/ca.pem\n\
            sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=\"v\" password=\"a\\\\\"b=c\";";
        let read = parse_java(text).unwrap();
        let access = access(&read).unwrap();
        assert_eq!(access.bootstrap.len(), 2);
        assert_eq!(access.tls.unwrap().ca.unwrap(), PathBuf::from("/ca.pem"));
        let sasl = access.sasl.unwrap();
        assert_eq!((sasl.mechanism, sasl.username.as_str()), ("SCRAM-SHA-512", "v"));
        assert_eq!(sasl.secret, SecretSource::Value(Secret::new("a\"b=c")));
    }

    #[test]
    fn tokens_come_from_files_and_commands_only() {
        let text = "bootstrap.servers=k1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\n\
            sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;\n\
            sasl.oauthbearer.token.endpoint.url=file:///run/token";
        let sasl = access(&parse_java(text).unwrap()).unwrap().sasl.unwrap();
        assert_eq!((sasl.mechanism, sasl.secret), (OAUTHBEARER, SecretSource::File("/run/token".into())));
        let fetched = text.replace("file:///run/token", "https://issuer/token");
        let error = access(&parse_java(&fetched).unwrap()).unwrap_err();
        assert!(error.contains("sasl.oauthbearer.token = { command"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*|[a-z=:\\\\u\\n #\"]*") {
            let _ = parse_java(&text); // the sentence or the map: either is fine, a panic is not
            let _ = addresses(&text);
        }
    }
}
