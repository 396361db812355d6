//! A token for client credentials: RFC 6749 §4.4, as Azure Monitor and many sign-in services give it.

use super::{
    client::{base, http, is_near, read},
    decode::{self, Number},
    failure::Failure,
    sigv4::encode,
};
use crate::{
    model::{OAuth2Settings, PrometheusSettings, Secret, Time, TlsSettings},
    process::read_secret,
};
use reqwest::StatusCode;
use serde::Deserialize;

/// Bytes read of an answer.
const BODY_LIMIT: usize = 64 * 1024;

/// A token, and when it is of no use any more.
pub(super) struct Token {
    pub secret: Secret,
    pub expires: Option<Time>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Seconds; Azure's first endpoint, the one that its Prometheus is documented with, puts them into quotes.
    expires_in: Option<Number>,
}

/// Asks for a token. The platform's authorities vouch for the service that gives it, whatever `tls` of the source says.
pub(super) async fn token(source: &PrometheusSettings, settings: &OAuth2Settings, now: Time) -> Result<Token, Failure> {
    let wrong = |why: String| Failure::settings(format!("`oauth2`: {why}"));
    let (url, id) = (settings.token_url.as_str(), settings.client_id.as_str());
    let place = base(url, "oauth2.token_url")?;
    let secret = read_secret(&settings.client_secret).await.map_err(wrong)?;
    let plain = PrometheusSettings { tls: TlsSettings::default(), ..source.clone() };
    let http = http(&plain, place.scheme() == "https", is_near(&place), source.timeout).await?;
    let mut form = vec![("grant_type", "client_credentials".to_owned())];
    if !settings.scopes.is_empty() {
        form.push(("scope", settings.scopes.join(" ")));
    }
    form.extend(settings.params.iter().map(|(name, value)| (name.as_str(), value.clone())));
    // Who we are stands in the form (Azure), or in a header where that is refused (§2.3.1): there is no telling before.
    let own = [("client_id", id.to_owned()), ("client_secret", secret.expose().to_owned())];
    let in_form = http.post(url).form(&[&form[..], &own[..]].concat());
    let in_header = http.post(url).basic_auth(encode(id, b""), Some(encode(secret.expose(), b""))).form(&form);
    let mut said = String::new();
    for request in [in_form, in_header] {
        let transport = |e| Failure::transport(&e, url, source.timeout);
        let request = request.build().map_err(transport)?;
        let (status, _, body) = read(&http, request, url, source.timeout, BODY_LIMIT).await?;
        if status.is_server_error() {
            return Err(Failure::status(status.as_u16(), "", url, true));
        }
        if status == StatusCode::OK {
            let granted: Granted = serde_json::from_slice(&body)
                .map_err(|_| wrong(format!("{url} answers, but not with an access_token: check `token_url`")))?;
            let expires = granted.expires_in.filter(|s| s.0.is_finite()).map(|seconds| now.plus(seconds.0));
            return Ok(Token { secret: Secret::new(granted.access_token), expires });
        }
        said = format!("{url} gives no token: {}{}", status.as_u16(), reason(&body, &secret));
    }
    Err(wrong(format!("{said}: check client_id, client_secret and scopes")))
}

/// Why a token is refused (§5.2), in the service's words unless these repeat the secret.
fn reason(body: &[u8], secret: &Secret) -> String {
    #[derive(Deserialize)]
    struct Refused {
        error: String,
        error_description: Option<String>,
    }
    let refused = serde_json::from_slice::<Refused>(body).ok();
    let text = refused.map(|r| r.error_description.unwrap_or(r.error));
    let line = decode::words(text.as_deref().map_or(body, str::as_bytes)).unwrap_or_default();
    if line.is_empty() || line.contains(secret.expose()) { String::new() } else { format!(" ({line})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lasts_as_long_as_is_said_in_quotes_or_not() {
        let lasts = |text: &str| serde_json::from_str::<Granted>(text).unwrap().expires_in.map(|seconds| seconds.0);
        assert_eq!(lasts(r#"{"token_type":"Bearer","expires_in":"86399","access_token":"t"}"#), Some(86_399.0));
        assert_eq!(lasts(r#"{"expires_in":3600,"access_token":"t"}"#), Some(3_600.0));
        assert_eq!(lasts(r#"{"access_token":"t"}"#), None);
    }
}
