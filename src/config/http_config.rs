//! Prometheus' own `http_config` (promtool's `--http.config.file`), so that a file that works there works here.
//!
//! Source: prometheus.io "Configuration", `<http_config>`, 3.x. What is not followed here is refused, never read over;
//! `follow_redirects` alone has no effect: redirects are told, not followed, since credentials would travel along.

use super::reader::nearest;
use crate::{
    manifest::{Document, Place, documents},
    model::{OAuth2Settings, PrometheusSettings, Secret, SecretSource},
};
use serde_json::{Map, Value};
use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

/// Longest file that is read, bytes.
const LONGEST: u64 = 256 * 1024;

/// Keys that Prometheus knows and that are not followed here, and what to do instead.
const ELSEWHERE: [(&str, &str); 10] = [
    ("tls_config", "the platform's authorities vouch for token_url"),
    ("proxy_url", "name the proxy in the environment, as HTTPS_PROXY"),
    ("no_proxy", "name these hosts in the environment, as NO_PROXY"),
    ("proxy_connect_header", "proxies are asked without headers of their own"),
    ("username_file", "write the name itself, as `username`"),
    ("ca", "write it into a file and name that as `ca_file`"),
    ("cert", "write it into a file and name that as `cert_file`"),
    ("key", "write it into a file and name that as `key_file`"),
    ("min_version", "TLS 1.2 and 1.3 are spoken"),
    ("max_version", "TLS 1.2 and 1.3 are spoken"),
];

/// Completes the settings from the file: keys that are set already win. Hands back what is wrong, each with its place.
pub(super) fn complete(settings: &mut PrometheusSettings, file: &Path) -> Vec<String> {
    let read = || {
        let length = std::fs::metadata(file).map_err(|e| format!("cannot be read: {e}"))?.len();
        if length > LONGEST {
            return Err(format!("is {length} bytes long: that is no http_config"));
        }
        std::fs::read_to_string(file).map_err(|e| format!("cannot be read: {e}"))
    };
    let name = file.display();
    match read() {
        Err(why) => vec![format!("{name}: {why}")],
        Ok(text) => {
            let wrong = merge(settings, &text, file.parent().unwrap_or(Path::new("")));
            wrong.into_iter().map(|wrong| format!("{name}:{wrong}")).collect()
        }
    }
}

/// Paths are relative to the file's `folder`, as they are for Prometheus.
fn merge(settings: &mut PrometheusSettings, text: &str, folder: &Path) -> Vec<String> {
    let documents = match documents(text) {
        Ok(documents) => documents,
        Err(wrong) => return vec![format!("{}: {}", wrong.place, wrong.what)],
    };
    let document = match documents.as_slice() {
        [] => return Vec::new(),
        [document] => document,
        _ => return vec!["1:1: more than one document".to_owned()],
    };
    let Some(map) = document.value.as_object() else { return vec!["1:1: keys and values belong here".to_owned()] };
    let said = RefCell::default();
    read(settings, &Part { document, folder, at: String::new(), map, said: &said });
    let mut said: Vec<(Place, String)> = said.into_inner();
    said.sort_by_key(|(place, _)| (place.line, place.column));
    said.into_iter().map(|(place, what)| format!("{place}: {what}")).collect()
}

fn read(settings: &mut PrometheusSettings, top: &Part<'_>) {
    let (mut basic, mut bearer, mut ways) = (None, top.secret("bearer_token", "bearer_token_file"), 0);
    ways += u32::from(bearer.is_some());
    if let Some(part) = top.part("basic_auth") {
        ways += 1;
        let user = part.text("username").unwrap_or_default().to_owned();
        match part.secret("password", "password_file") {
            Some(password) => basic = Some((user, password)),
            None => top.wrong("basic_auth", "needs a password or a password_file"),
        }
        part.finish(&["username", "password", "password_file"]);
    }
    if let Some(part) = top.part("authorization") {
        ways += 1;
        if part.text("type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            part.wrong(
                "type",
                "only Bearer is followed: write `headers = { Authorization = … }` of this source instead",
            );
        }
        bearer = part.secret("credentials", "credentials_file");
        part.finish(&["type", "credentials", "credentials_file"]);
    }
    let mut oauth2 = None;
    if let Some(part) = top.part("oauth2") {
        ways += 1;
        oauth2 = part.oauth2();
        if oauth2.is_none() {
            top.wrong("oauth2", "needs client_id, token_url, and client_secret or client_secret_file");
        }
    }
    if ways > 1 {
        top.wrong("", "one of basic_auth, authorization, oauth2 and bearer_token is enough, and all there may be");
    }
    let own = settings.bearer.is_some() || settings.basic.is_some() || settings.oauth2.is_some();
    if !own && settings.sigv4.is_none() {
        (settings.basic, settings.bearer, settings.oauth2) = (basic, bearer, oauth2);
    }
    if let Some(part) = top.part("tls_config") {
        let tls = &mut settings.tls;
        tls.ca = tls.ca.take().or(part.path("ca_file"));
        if tls.cert.is_none() && tls.key.is_none() {
            (tls.cert, tls.key) = (part.path("cert_file"), part.path("key_file"));
            if tls.cert.is_some() != tls.key.is_some() {
                top.wrong("tls_config", "cert_file and key_file belong together");
            }
        }
        tls.server_name = tls.server_name.take().or(part.text("server_name").map(str::to_owned));
        tls.insecure |= part.boolean("insecure_skip_verify").unwrap_or_default();
        part.finish(&["ca_file", "cert_file", "key_file", "server_name", "insecure_skip_verify"]);
    }
    if let Some(part) = top.part("http_headers") {
        for name in part.map.keys() {
            if let Some(source) = part.part(name).and_then(|header| header.only_value()) {
                settings.headers.entry(name.clone()).or_insert(source);
            }
        }
    }
    for key in ["follow_redirects", "enable_http2"] {
        top.boolean(key);
    }
    if top.boolean("proxy_from_environment") == Some(false) {
        top.wrong(
            "proxy_from_environment",
            "the environment's proxies are always used: take them out of it, and this key",
        );
    }
    let known = ["basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file"];
    let others = ["tls_config", "http_headers", "follow_redirects", "enable_http2", "proxy_from_environment"];
    top.finish(&[known, others].concat());
}

/// A map of the file.
struct Part<'d> {
    document: &'d Document,
    folder: &'d Path,
    /// Its JSON pointer.
    at: String,
    map: &'d Map<String, Value>,
    said: &'d RefCell<Vec<(Place, String)>>,
}

impl<'d> Part<'d> {
    /// Notes what is wrong with a key, or with the map itself. Values are never repeated: they may be secrets.
    fn wrong(&self, key: &str, what: &str) {
        let pointer = if key.is_empty() { self.at.clone() } else { self.pointer(key) };
        let place = self.document.place(&pointer).unwrap_or(Place { line: 1, column: 1 });
        let key = pointer.trim_start_matches('/').replace('/', ".");
        let key = if key.is_empty() { key } else { format!("{key}: ") };
        self.said.borrow_mut().push((place, format!("{key}{what}")));
    }

    fn pointer(&self, key: &str) -> String {
        format!("{}/{}", self.at, key.replace('~', "~0").replace('/', "~1"))
    }

    fn typed<T>(&self, key: &str, what: &str, read: impl Fn(&'d Value) -> Option<T>) -> Option<T> {
        let value = self.map.get(key)?;
        let read = read(value);
        if read.is_none() {
            self.wrong(key, what);
        }
        read
    }

    fn text(&self, key: &str) -> Option<&'d str> {
        self.typed(key, "a text belongs here (in quotes, where it looks like a number)", Value::as_str)
    }

    fn boolean(&self, key: &str) -> Option<bool> {
        self.typed(key, "true or false belongs here", Value::as_bool)
    }

    fn texts(&self, key: &str) -> Vec<&'d str> {
        let texts = |v: &'d Value| v.as_array()?.iter().map(Value::as_str).collect();
        self.typed(key, "a list of texts belongs here", texts).unwrap_or_default()
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(|path| self.folder.join(path))
    }

    fn part(&self, key: &str) -> Option<Part<'d>> {
        let map = self.typed(key, "keys and values belong here", Value::as_object)?;
        Some(Part { document: self.document, folder: self.folder, at: self.pointer(key), map, said: self.said })
    }

    /// A secret that stands here, or in a file.
    fn secret(&self, inline: &str, file: &str) -> Option<SecretSource> {
        let here = self.text(inline).map(|text| SecretSource::Value(Secret::new(text)));
        let there = self.path(file).map(SecretSource::File);
        if here.is_some() && there.is_some() {
            self.wrong(file, &format!("{inline} is set too: one of them is enough"));
        }
        here.or(there)
    }

    fn oauth2(&self) -> Option<OAuth2Settings> {
        let (id, url) = (self.text("client_id"), self.text("token_url"));
        let secret = self.secret("client_secret", "client_secret_file");
        let params = self
            .part("endpoint_params")
            .map(|part| part.map.keys().filter_map(|key| Some((key.clone(), part.text(key)?.to_owned()))).collect());
        let scopes = self.texts("scopes").into_iter().map(str::to_owned).collect();
        self.finish(&["client_id", "client_secret", "client_secret_file", "token_url", "scopes", "endpoint_params"]);
        Some(OAuth2Settings {
            client_id: id?.to_owned(),
            client_secret: secret?,
            token_url: url?.to_owned(),
            scopes,
            params: params.unwrap_or_default(),
        })
    }

    /// The value of a header: Prometheus' lists may hold several, of which one can be sent.
    fn only_value(&self) -> Option<SecretSource> {
        let value = |text: &str| SecretSource::Value(Secret::new(text));
        let mut found = Vec::new();
        for key in ["values", "secrets", "files"] {
            for text in self.texts(key) {
                found.push(if key == "files" { SecretSource::File(self.folder.join(text)) } else { value(text) });
            }
        }
        self.finish(&["values", "secrets", "files"]);
        if found.len() != 1 {
            self.wrong("", "one value belongs to a header");
        }
        found.pop()
    }

    /// Names the keys that are not `known`.
    fn finish(&self, known: &[&str]) {
        for key in self.map.keys().filter(|key| !known.contains(&key.as_str())) {
            let elsewhere = ELSEWHERE.iter().find(|(name, _)| name == key).map(|(_, mend)| *mend);
            let elsewhere =
                elsewhere.or(key.ends_with("_ref").then_some("secret providers are Prometheus' own: name a file"));
            let near = nearest(key, known.iter().copied());
            self.wrong(
                key,
                &match (elsewhere, near) {
                    (Some(mend), _) => format!("is not followed here: {mend}"),
                    (None, Some(near)) => format!("unknown key; did you mean {near}?"),
                    (None, None) => format!("unknown key; known here: {}", known.join(", ")),
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(text: &str) -> Result<PrometheusSettings, String> {
        let mut settings = PrometheusSettings::new("main", "https://x");
        let wrong = merge(&mut settings, text, Path::new("/etc/prometheus"));
        if wrong.is_empty() { Ok(settings) } else { Err(wrong.join("\n")) }
    }

    #[test]
    fn what_prometheus_reads_is_read() {
        let text = "authorization:\n  credentials_file: token\ntls_config: {ca_file: ca.pem, cert_file: /c.pem, key_file: k.pem, \
            server_name: p, insecure_skip_verify: false}\nhttp_headers:\n  X-Scope-OrgID:\n    values: [team-a]\n  \
            X-Key:\n    files: [key]\nfollow_redirects: true\n";
        let s = merged(text).unwrap();
        let file = |name: &str| Some(Path::new("/etc/prometheus").join(name));
        assert_eq!(s.bearer.map(|b| b == SecretSource::File(file("token").unwrap())), Some(true));
        assert_eq!((s.tls.ca, s.tls.cert, s.tls.key), (file("ca.pem"), file("/c.pem"), file("k.pem")));
        assert_eq!((s.tls.server_name.as_deref(), s.tls.insecure), (Some("p"), false));
        assert!(matches!(&s.headers["X-Scope-OrgID"], SecretSource::Value(v) if v.expose() == "team-a"));
        assert_eq!(s.headers["X-Key"], SecretSource::File(file("key").unwrap()));
        let s = merged("basic_auth: {username: u, password: '0123'}\n").unwrap();
        assert!(matches!(&s.basic, Some((user, SecretSource::Value(v))) if user == "u" && v.expose() == "0123"));
        assert_eq!(merged("bearer_token: hunter2").unwrap().bearer, Some(SecretSource::Value(Secret::new("hunter2"))));
        let text = "oauth2: {client_id: app, client_secret_file: s, token_url: 'https://t', scopes: [a, b], \
            endpoint_params: {resource: r}}\n";
        let oauth2 = merged(text).unwrap().oauth2.unwrap();
        assert_eq!(
            (oauth2.client_id.as_str(), oauth2.token_url.as_str(), oauth2.scopes.len()),
            ("app", "https://t", 2)
        );
        assert_eq!(
            (oauth2.client_secret, oauth2.params["resource"].as_str()),
            (SecretSource::File(file("s").unwrap()), "r")
        );
        assert_eq!(merged("# nothing\n").unwrap(), PrometheusSettings::new("main", "https://x"));
    }

    #[test]
    fn our_own_keys_win() {
        let token = Some(SecretSource::Env("T".into()));
        let mut own = PrometheusSettings { bearer: token.clone(), ..PrometheusSettings::new("main", "https://x") };
        own.tls.ca = Some("/own.pem".into());
        own.headers.insert("X-Scope-OrgID".into(), SecretSource::Env("ORG".into()));
        let text = "basic_auth: {username: u, password: p}\ntls_config: {ca_file: ca.pem, server_name: name}\n\
            http_headers: {X-Scope-OrgID: {values: [team-a]}}\n";
        assert_eq!(merge(&mut own, text, Path::new("/")), Vec::<String>::new());
        assert_eq!((own.bearer, own.basic, own.tls.ca), (token, None, Some("/own.pem".into())));
        assert_eq!(own.tls.server_name.as_deref(), Some("name"));
        assert_eq!(own.headers["X-Scope-OrgID"], SecretSource::Env("ORG".into()));
    }

    #[test]
    fn what_is_wrong_or_not_followed_is_told_with_its_place_and_without_its_value() {
        let text = "basic_auth:\n  username: viewer\n  passwrd: hunter2\nproxy_url: http://hunter2\nauthorization:\n  \
            type: Digest\n  credentials: hunter2\ntls_config:\n  ca: hunter2\n  cert_file: c.pem\nhttp_headers:\n  X-A:\n    \
            values: [hunter2, b]\nfollow_redirects: hunter2\nbearer_token: 123\n";
        insta::assert_snapshot!(merged(text).unwrap_err(), @r"
        1:1: basic_auth: needs a password or a password_file
        1:1: one of basic_auth, authorization, oauth2 and bearer_token is enough, and all there may be
        3:12: basic_auth.passwrd: unknown key; did you mean password?
        4:12: proxy_url: is not followed here: name the proxy in the environment, as HTTPS_PROXY
        6:9: authorization.type: only Bearer is followed: write `headers = { Authorization = … }` of this source instead
        8:1: tls_config: cert_file and key_file belong together
        9:7: tls_config.ca: is not followed here: write it into a file and name that as `ca_file`
        12:3: http_headers.X-A: one value belongs to a header
        14:19: follow_redirects: true or false belongs here
        15:15: bearer_token: a text belongs here (in quotes, where it looks like a number)
        ");
        for (text, told) in [
            ("basic_auth: [", "1:"),
            ("- a\n", "1:1: keys and values"),
            ("{}\n---\n{a: b}\n", "1:1: more than one document"),
            ("bearer_token: a\nbearer_token_file: b\n", "2:20: bearer_token_file: bearer_token is set too"),
            ("authorization: {credentials_ref: x}", "secret providers"),
            (
                "oauth2: {client_id: app, token_url: 'https://t', tls_config: {}}",
                "oauth2.tls_config: is not followed here",
            ),
        ] {
            let error = merged(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
