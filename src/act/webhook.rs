//! Asks a service to scale, by a signed POST: <https://www.standardwebhooks.com> (the specification's version 1).
//!
//! The action's id is the message's id, so a receiver can tell a message it has seen. It is sent once all the same.

use super::{
    Change, Outcome, Plan, Seen,
    command::{safe_argument, stale_count},
    http::{self, Failure},
};
use crate::{
    model::{Label, Replicas, Secret, SecretSource, WebhookSettings},
    process::{Clock, read_secret},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use reqwest::{Method, RequestBuilder, header::CONTENT_TYPE};
use serde_json::{Value, json};
use sha2::Sha256;
use std::{collections::BTreeMap, time::Duration};

/// The configured webhooks by name.
#[derive(Clone, Debug)]
pub(super) struct Webhooks {
    by_name: BTreeMap<Label, WebhookSettings>,
    clock: Clock,
}

impl Webhooks {
    pub(super) fn new(webhooks: &[WebhookSettings], clock: Clock) -> Self {
        Self { by_name: webhooks.iter().map(|w| (w.name.clone(), w.clone())).collect(), clock }
    }

    fn get(&self, name: &Label) -> Result<&WebhookSettings, String> {
        self.by_name.get(name).ok_or_else(|| format!("there is no [actuator.webhook.{name}] in the configuration"))
    }

    pub(super) async fn plan(&self, name: &Label, change: &Change) -> Plan {
        let prepared = self.get(name).and_then(|w| Ok((w, body(w, change, false)?)));
        let (webhook, body) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => return Plan::impossible(why),
        };
        let mut refused = Vec::new();
        let found = match check_count(webhook, change).await {
            Ok(found) => found,
            Err(why) => {
                refused.push(Label::new(&why));
                String::new()
            }
        };
        let dry_run = if webhook.dry_run {
            match send(webhook, change, true).await {
                Outcome::Applied => Ok(format!("accepted; {found}").into()),
                Outcome::Refused(why) | Outcome::Unknown(why) => Err(why),
            }
        } else {
            Ok(format!("not tried: dry_run is not set; {found}").into())
        };
        refused.extend(dry_run.as_ref().err().cloned());
        // A query may hold a key, and what is shown here is recorded too.
        let place = webhook.url.split_once('?').map_or(webhook.url.clone(), |(place, _)| format!("{place}?…"));
        let signed = if webhook.secret.is_some() { "signed (webhook-signature v1)" } else { "not signed" };
        Plan {
            request: vec![
                format!("{} {place}", webhook.method).into(),
                format!("webhook-id: {} · {signed}", change.action).into(),
                body.into(),
            ],
            owner: "whatever stands behind the webhook".into(),
            identity: "whoever its credentials say".into(),
            dry_run,
            refused,
            offers: Vec::new(),
        }
    }

    pub(super) async fn apply(&self, name: &Label, change: &Change) -> Outcome {
        let webhook = match self.get(name) {
            Ok(webhook) => webhook,
            Err(why) => return Outcome::Refused(why.into()),
        };
        if let Err(why) = check_count(webhook, change).await {
            return Outcome::Refused(why.into());
        }
        send(webhook, change, false).await
    }

    pub(super) async fn observe(&self, name: &Label) -> Result<Seen, String> {
        let count = count(self.get(name)?).await?;
        let replicas = Replicas {
            desired: count,
            ready: count,
            at: self.clock.now(),
            origin: format!("webhook {name}").into(),
            uid: None,
        };
        Ok(Seen { replicas, writer: None, lever: None })
    }
}

async fn check_count(webhook: &WebhookSettings, change: &Change) -> Result<String, String> {
    if webhook.observe.is_none() {
        return Ok("the present count is not known: there is no observe URL".to_owned());
    }
    stale_count(count(webhook).await?, change)
}

/// The present count, read from `observe`.
pub(super) async fn count(webhook: &WebhookSettings) -> Result<u32, String> {
    let name = &webhook.name;
    let url = webhook.observe.as_deref();
    let url = url.ok_or_else(|| format!("[actuator.webhook.{name}] has no observe URL"))?;
    let request = http::client(url, deadline(webhook))?.get(url).header("accept", "application/json");
    let request = Credentials::read(webhook, false).await?.on(request);
    let answer = http::exchange(request).await.map_err(|f| format!("webhook {name}: {}", f.words()))?;
    if !answer.status.is_success() {
        return Err(format!("webhook {name}: asked for the count, its server answered {}", answer.status));
    }
    let field = &webhook.observe_field;
    let wrong = || format!("webhook {name}: there is no count at observe_field {field:?} of the answer");
    let value: Value = serde_json::from_slice(&answer.body).map_err(|_| wrong())?;
    // Some services write their numbers as texts.
    let found = value.pointer(field).ok_or_else(wrong)?;
    let number = found.as_u64().or_else(|| found.as_str()?.trim().parse().ok()).ok_or_else(wrong)?;
    u32::try_from(number).map_err(|_| wrong())
}

/// Sends the message once.
async fn send(webhook: &WebhookSettings, change: &Change, dry_run: bool) -> Outcome {
    let prepared = async {
        let credentials = Credentials::read(webhook, true).await?;
        Ok::<_, String>((request(webhook, change, dry_run, &credentials)?, credentials))
    };
    let (request, credentials) = match prepared.await {
        Ok(prepared) => prepared,
        Err(why) => return Outcome::Refused(format!("webhook {}: not sent: {why}", webhook.name).into()),
    };
    let name = &webhook.name;
    match http::exchange(request).await {
        Ok(answer) if answer.status.is_success() => Outcome::Applied,
        Ok(answer) => {
            let said = credentials.hidden_in(&String::from_utf8_lossy(&answer.body));
            let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
            let wait = answer.retry_after.map_or(String::new(), |s| format!(" (ask again after {s})"));
            let words = format!("webhook {name} answered {}{wait}: {said}", answer.status);
            // Redirects are not followed. 301, 307 and 308 ask for the message at another place; after any other (303 above
            // all) it may have been taken. 4xx: refused before anything was done, but for 408, a time-out.
            if matches!(answer.status.as_u16(), 301 | 307 | 308 | 400..=407 | 409..=499) {
                Outcome::Refused(words.into())
            } else {
                Outcome::Unknown(words.into())
            }
        }
        Err(Failure::NotSent(why)) => Outcome::Refused(format!("webhook {name}: {why}").into()),
        Err(Failure::Broken(why)) => Outcome::Unknown(format!("webhook {name}: {why}").into()),
    }
}

fn request(
    webhook: &WebhookSettings,
    change: &Change,
    dry_run: bool,
    credentials: &Credentials,
) -> Result<RequestBuilder, String> {
    let body = body(webhook, change, dry_run)?;
    let method = Method::from_bytes(webhook.method.as_bytes()).map_err(|_| "method is none of HTTP's".to_owned())?;
    // A dry run is another message: its id must not stand in the way of the real one.
    let id = if dry_run { format!("{}-dry-run", change.action) } else { change.action.to_string() };
    let mut request = http::client(&webhook.url, deadline(webhook))?
        .request(method, &webhook.url)
        .header(CONTENT_TYPE, "application/json")
        .header("idempotency-key", &id)
        .header("webhook-id", &id);
    let at = (crate::model::Time::now().millis() / 1000).to_string(); // receivers compare with the wall clock
    if let Some(key) = &credentials.key {
        request = request.header("webhook-signature", sign(key, &id, &at, &body)?);
    }
    Ok(credentials.on(request.header("webhook-timestamp", at).body(body)))
}

/// What a webhook proves itself with, read for one request.
struct Credentials {
    /// What messages are signed with.
    key: Option<Secret>,
    bearer: Option<Secret>,
    headers: Vec<(String, Secret)>,
}

impl Credentials {
    /// `sign`: with the key for signatures, which only a message needs.
    async fn read(webhook: &WebhookSettings, sign: bool) -> Result<Self, String> {
        let read = async |source: Option<&SecretSource>| match source {
            Some(source) => read_secret(source).await.map(Some),
            None => Ok(None),
        };
        let key = read(webhook.secret.as_ref().filter(|_| sign)).await?;
        let bearer = read(webhook.bearer.as_ref()).await?;
        let mut headers = Vec::new();
        for (name, source) in &webhook.headers {
            headers.push((name.clone(), read_secret(source).await?));
        }
        Ok(Self { key, bearer, headers })
    }

    /// Puts them on a request.
    fn on(&self, mut request: RequestBuilder) -> RequestBuilder {
        if let Some(bearer) = &self.bearer {
            request = request.bearer_auth(bearer.expose());
        }
        for (name, value) in &self.headers {
            request = request.header(name, value.expose());
        }
        request
    }

    /// A text without them: some services repeat a request's headers in their errors.
    fn hidden_in(&self, text: &str) -> String {
        let all = self.key.iter().chain(&self.bearer).chain(self.headers.iter().map(|(_, value)| value));
        all.filter(|s| !s.expose().is_empty()).fold(text.to_owned(), |text, s| text.replace(s.expose(), "…"))
    }
}

/// `v1,` and the base 64 of HMAC-SHA256 over `id.timestamp.body`.
fn sign(secret: &Secret, id: &str, timestamp: &str, body: &str) -> Result<String, String> {
    let key = secret.expose().strip_prefix("whsec_").and_then(|k| STANDARD.decode(k.trim()).ok());
    let key = key.ok_or("its secret is not of the form whsec_BASE64")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| "its secret cannot be a key".to_owned())?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// The message: the configured text with its placeholders replaced, or everything that is known of the change.
fn body(webhook: &WebhookSettings, change: &Change, dry_run: bool) -> Result<String, String> {
    let name = safe_argument(webhook.name.as_str())?;
    let Some(template) = &webhook.body else {
        let message = json!({
            "type": "scale", "action": change.action, "target": name, "from": change.from, "to": change.to,
            "dry_run": dry_run, "reason": change.reason,
        });
        return Ok(message.to_string());
    };
    // Numbers, and names without quotes or backslashes: none of them can end the text that it stands in.
    let text = template
        .replace("{to}", &change.to.to_string())
        .replace("{from}", &change.from.to_string())
        .replace("{target}", name)
        .replace("{action}", safe_argument(&change.action.to_string())?)
        .replace("{dry_run}", &dry_run.to_string());
    Ok(text)
}

fn deadline(webhook: &WebhookSettings) -> Duration {
    Duration::from_secs_f64(webhook.timeout.clamp(0.1, 300.0))
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
