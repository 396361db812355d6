//! What a request is allowed in with: secrets read where they live, kept until they expire or are refused.

use super::{failure::Failure, oauth2, sigv4::Signer};
use crate::{
    model::{PrometheusSettings, Secret, SecretSource, Time},
    process::read_secret,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{
    Request,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};

/// Seconds before their end that credentials are read again.
const AHEAD: f64 = 60.0;
/// Seconds that credentials are kept at least, whatever they say of their end.
const LEAST: f64 = 30.0;

/// Shorter secrets are words that stand in other texts too.
const SHORTEST: usize = 6;

/// What every request of a source carries.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    headers: HeaderMap,
    signer: Option<Signer>,
    secrets: Vec<Secret>,
    /// When they are to be read again.
    renew: Option<Time>,
}

impl Credentials {
    /// Reads every secret where it lives.
    pub(super) async fn read(settings: &PrometheusSettings, now: Time) -> Result<Self, Failure> {
        let (mut headers, mut secrets) = (HeaderMap::new(), Vec::new());
        for (name, source) in &settings.headers {
            let key = name
                .parse::<HeaderName>()
                .map_err(|_| Failure::settings(format!("`headers`: {name:?} is no header name")))?;
            let place = format!("headers.{name}");
            let own = secret(&place, source).await?;
            headers.insert(key, value(&place, own.expose())?);
            secrets.push(own);
        }
        if let Some(source) = &settings.bearer {
            let token = secret("bearer_token", source).await?;
            headers.insert(AUTHORIZATION, value("bearer_token", &format!("Bearer {}", token.expose()))?);
            secrets.push(token);
        } else if let Some((user, source)) = &settings.basic {
            let password = secret("basic.password", source).await?;
            let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
            headers.insert(AUTHORIZATION, value("basic", &format!("Basic {pair}"))?);
            secrets.extend([password, Secret::new(pair)]);
        }
        let mut expires = None;
        if let Some(own) = &settings.oauth2 {
            let token = oauth2::token(settings, own, now).await?;
            headers.insert(AUTHORIZATION, value("oauth2", &format!("Bearer {}", token.secret.expose()))?);
            secrets.push(token.secret);
            expires = token.expires;
        }
        let mut signer = None;
        if let Some(sigv4) = &settings.sigv4 {
            let own = Signer::read(sigv4).await?;
            secrets.extend(own.token().cloned());
            expires = own.expires();
            signer = Some(own);
        }
        let renew = expires.map(|at| at.plus(-AHEAD).max(now.plus(LEAST)));
        Ok(Self { headers, signer, secrets, renew })
    }

    /// Whether they may still be used.
    pub(super) fn last(&self, now: Time) -> bool {
        self.renew.is_none_or(|at| now < at)
    }

    /// Puts them into a request that is otherwise ready to be sent.
    pub(super) fn put(&self, request: &mut Request, now: Time) -> Result<(), Failure> {
        request.headers_mut().extend(self.headers.clone());
        self.signer.as_ref().map_or(Ok(()), |signer| signer.sign(request, now))
    }

    /// A failure without the server's words where these repeat a secret of ours.
    pub(super) fn hidden_in(&self, failure: Failure) -> Failure {
        let repeats =
            |secret: &Secret| secret.expose().len() >= SHORTEST && failure.reason.as_str().contains(secret.expose());
        if !self.secrets.iter().any(repeats) {
            return failure;
        }
        Failure {
            reason: "the server refused, in words that repeat a credential: they are not shown".into(),
            ..failure
        }
    }

    /// Whether reading them again can bring other ones.
    pub(super) fn can_change(settings: &PrometheusSettings) -> bool {
        let moving = |s: &SecretSource| matches!(s, SecretSource::File(_) | SecretSource::Command(_));
        settings.bearer.as_ref().is_some_and(moving)
            || settings.basic.as_ref().is_some_and(|(_, s)| moving(s))
            || settings.headers.values().any(moving)
            || settings.oauth2.is_some()
            || settings.sigv4.as_ref().and_then(|s| s.credentials.as_ref()).is_some_and(moving)
    }

    /// Whether there are any.
    pub(super) fn are_offered(settings: &PrometheusSettings) -> bool {
        settings.basic.is_some()
            || settings.bearer.is_some()
            || settings.oauth2.is_some()
            || settings.sigv4.is_some()
            || settings.headers.keys().any(|name| name.eq_ignore_ascii_case(AUTHORIZATION.as_str()))
    }
}

/// A header's value that is never printed; `place` is the configuration's key.
fn value(place: &str, text: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Failure::settings(format!("`{place}`: the value has characters that none may have")))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn secret(key: &str, source: &SecretSource) -> Result<Secret, Failure> {
    read_secret(source).await.map_err(|e| Failure::settings(format!("`{key}`: {e}")))
}
