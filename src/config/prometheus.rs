//! `[prometheus.NAME]`.

use super::{
    http_config,
    parse::texts,
    reader::{FreeValue, Section},
    url_problem,
};
use crate::model::{OAuth2Settings, PrometheusSettings, Secret, SecretSource, SigV4Settings, TlsSettings};
use std::collections::BTreeMap;

/// Headers that carry credentials; a tenant's name is none.
pub(super) fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = ["authorization", "cookie", "token", "secret", "password", "api-key", "apikey"];
    name.ends_with("key") || words.iter().any(|w| name.contains(w))
}

pub(super) fn read(name: &str, s: &Section<'_>) -> PrometheusSettings {
    let mut urls = s.text_or_texts("url").unwrap_or_default();
    for url in &mut urls {
        url.truncate(url.trim_end_matches('/').len());
        if let Some(problem) = url_problem(url) {
            s.wrong("url", problem);
        }
    }
    let mut p = PrometheusSettings::new(name, "");
    p.scrape = s.section("scrape").map(|t| scrape(&t)).unwrap_or_default();
    let mut urls = urls.into_iter();
    p.url = urls.next().unwrap_or_default();
    p.others = urls.collect();
    if p.url.is_empty() && p.scrape.is_empty() {
        s.wrong("url", "is missing: write url = \"http://HOST:9090\", or name exporters in `scrape`");
    }
    p.bearer = s.secret("bearer_token");
    if let Some(basic) = s.section("basic") {
        let user = basic.text("user").unwrap_or_default().to_owned();
        p.basic = basic.secret("password").map(|password| (user, password));
        if p.basic.is_none() {
            s.wrong("basic", "needs user and password");
        }
        basic.finish();
    }
    if let Some(headers) = s.section("headers") {
        let all = headers.free(is_secret_header).into_iter();
        let as_source = |value| match value {
            FreeValue::Text(text) => SecretSource::Value(Secret::new(text)),
            FreeValue::Secret(secret) => secret,
        };
        p.headers = all.map(|(key, value)| (key, as_source(value))).collect();
    }
    if let Some(own) = s.section("oauth2") {
        p.oauth2 = oauth2(&own);
        if p.oauth2.is_none() {
            s.wrong("oauth2", "needs client_id, client_secret and token_url");
        }
    }
    if let Some(own) = s.section("sigv4") {
        let region = own.text("region").map(str::to_owned);
        let service = own.text("service").unwrap_or("aps").to_owned();
        let credentials = own.secret("credentials");
        own.finish();
        p.sigv4 = region.map(|region| SigV4Settings { region, service, credentials });
        if p.sigv4.is_none() {
            s.wrong("sigv4", "needs the region: { region = \"eu-west-1\" }");
        }
    }
    let ways = [p.bearer.is_some(), p.basic.is_some(), p.oauth2.is_some(), p.sigv4.is_some()];
    if ways.iter().filter(|set| **set).count() > 1 {
        let key = if p.sigv4.is_some() { "sigv4" } else { "basic" };
        s.wrong(key, "keep one of bearer_token, basic, oauth2 and sigv4: each says who we are");
    }
    if let Some(tls) = s.section("tls") {
        p.tls = TlsSettings {
            ca: tls.path("ca"),
            cert: tls.path("cert"),
            key: tls.path("key"),
            server_name: tls.text("server_name").map(str::to_owned),
            insecure: tls.boolean("insecure").unwrap_or_default(),
        };
        if p.tls.cert.is_some() != p.tls.key.is_some() {
            s.wrong("tls", "cert and key belong together");
        }
        tls.finish();
    }
    if let Some(file) = s.path("http_config_file") {
        for problem in http_config::complete(&mut p, &file) {
            s.wrong("http_config_file", problem);
        }
    }
    p.timeout = s.duration("timeout").unwrap_or(p.timeout).max(0.1);
    p.refresh = s.duration("refresh").unwrap_or(p.refresh).max(1.0);
    p.step = s.duration("step").unwrap_or(p.step).max(1.0);
    p.backfill = s.duration("backfill").unwrap_or(p.backfill);
    p.prefix = s.text("prefix").map_or_else(String::new, str::to_owned);
    p.packs = s.path("packs");
    p.select = s.section("select").map(|t| texts(&t)).unwrap_or_default();
    s.finish();
    p
}

fn oauth2(s: &Section<'_>) -> Option<OAuth2Settings> {
    let (id, url) = (s.text("client_id").map(str::to_owned), s.text("token_url").map(str::to_owned));
    if let Some(problem) = url.as_deref().and_then(url_problem) {
        s.wrong("token_url", problem);
    }
    let secret = s.secret("client_secret");
    let scopes = s.texts("scopes").unwrap_or_default();
    let params = s.section("params").map(|t| texts(&t)).unwrap_or_default();
    s.finish();
    Some(OAuth2Settings { client_id: id?, client_secret: secret?, token_url: url?, scopes, params })
}

/// `scrape = { JOB = ["http://HOST:PORT/metrics"] }`.
fn scrape(s: &Section<'_>) -> BTreeMap<String, Vec<String>> {
    let all = s.free_lists();
    for (job, url) in all.iter().flat_map(|(job, urls)| urls.iter().map(move |url| (job, url))) {
        // A multi-target exporter takes a query: /probe?target=…
        if let Some(problem) = url_problem(url.split('?').next().unwrap_or_default()) {
            s.wrong(job, problem);
        }
    }
    all
}
