//! What goes out, how it is signed, and what each answer means.

use super::*;
use crate::model::{ActionId, Target};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse as _,
    routing::{get, post},
};
use std::sync::{Arc, Mutex};

type Heard = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// An endpoint that answers with `status` and remembers what it heard; it says the count is 6.
async fn endpoint(status: u16) -> (String, Heard) {
    let heard = Heard::default();
    let scale = async move |State(heard): State<Heard>, headers: HeaderMap, body: Bytes| {
        heard.lock().unwrap().push((headers, String::from_utf8(body.to_vec()).unwrap()));
        (
            StatusCode::from_u16(status).unwrap(),
            [("retry-after", "3"), ("location", "http://169.254.169.254/")],
            "said so",
        )
            .into_response()
    };
    let app = Router::new()
        .route("/scale", post(scale))
        .route("/count", get(async || r#"{"pools": [{"size": "6"}]}"#))
        .with_state(heard.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, heard)
}

/// The specification's own example secret.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn settings(url: &str) -> WebhookSettings {
    WebhookSettings {
        observe: Some(format!("{url}/count")),
        observe_field: "/pools/0/size".to_owned(),
        secret: Some(SecretSource::Value(Secret::new(SECRET))),
        timeout: 2.0,
        ..WebhookSettings::new("pool", format!("{url}/scale"))
    }
}

fn change() -> Change {
    let target = Target::Webhook("pool".into());
    Change { action: ActionId("a-1".into()), target, uid: None, from: 6, to: 10, reason: "lag".into(), lever: None }
}

fn hooks(settings: WebhookSettings) -> Webhooks {
    Webhooks::new(&[settings], Clock::wall())
}

#[test]
fn the_signature_is_the_one_of_the_specification() {
    let secret = Secret::new(SECRET);
    let body = r#"{"test": 2432232314}"#;
    let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body).unwrap();
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert!(sign(&Secret::new("plain"), "a", "1", "").unwrap_err().contains("whsec_"));
}

#[tokio::test]
async fn one_signed_message_goes_out_after_the_count_was_seen() {
    let (url, heard) = endpoint(202).await;
    let hooks = hooks(settings(&url));
    let plan = hooks.plan(&"pool".into(), &change()).await;
    assert!(plan.refused.is_empty(), "{plan:?}");
    assert_eq!(heard.lock().unwrap().len(), 0, "without dry_run a plan sends nothing");
    assert_eq!(hooks.observe(&"pool".into()).await.unwrap().replicas.desired, 6);
    assert_eq!(hooks.apply(&"pool".into(), &change()).await, Outcome::Applied);
    let heard = heard.lock().unwrap();
    let [(headers, body)] = heard.as_slice() else { panic!("one message: {heard:?}") };
    assert_eq!(
        (&headers["webhook-id"], &headers["idempotency-key"]),
        (&"a-1".parse().unwrap(), &"a-1".parse().unwrap())
    );
    let at = headers["webhook-timestamp"].to_str().unwrap();
    assert_eq!(headers["webhook-signature"].to_str().unwrap(), sign(&Secret::new(SECRET), "a-1", at, body).unwrap());
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["from"], &body["to"], &body["dry_run"]), (&json!(6), &json!(10), &json!(false)));
    assert_eq!(plan.request[2].as_str(), body.to_string(), "the plan shows the message");
}

#[tokio::test]
async fn a_dry_run_says_that_it_is_one_and_has_another_id() {
    let (url, heard) = endpoint(200).await;
    let body = Some(r#"{"size": {to}, "validateOnly": {dry_run}}"#.to_owned());
    let hooks = hooks(WebhookSettings { dry_run: true, body, ..settings(&url) });
    assert!(hooks.plan(&"pool".into(), &change()).await.dry_run.is_ok());
    let heard = heard.lock().unwrap();
    assert_eq!(heard[0].0["webhook-id"], "a-1-dry-run");
    assert_eq!(heard[0].1, r#"{"size": 10, "validateOnly": true}"#);
}

#[tokio::test]
async fn a_key_in_the_query_is_sent_and_not_shown() {
    let (url, heard) = endpoint(200).await;
    let hooks = hooks(WebhookSettings { url: format!("{url}/scale?key=canary"), ..settings(&url) });
    let plan = hooks.plan(&"pool".into(), &change()).await;
    assert_eq!(plan.request[0].as_str(), format!("POST {url}/scale?…"));
    assert_eq!(hooks.apply(&"pool".into(), &change()).await, Outcome::Applied);
    assert_eq!(heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn each_answer_is_certain_or_unknown_and_asked_for_once() {
    for (status, certain) in [
        (301, true),
        (302, false),
        (303, false),
        (307, true),
        (400, true),
        (401, true),
        (409, true),
        (410, true),
        (429, true),
        (408, false),
        (500, false),
        (503, false),
    ] {
        let (url, heard) = endpoint(status).await;
        let outcome = hooks(settings(&url)).apply(&"pool".into(), &change()).await;
        let ((Outcome::Refused(why), true) | (Outcome::Unknown(why), false)) = (&outcome, certain) else {
            panic!("{status}: {outcome:?}")
        };
        assert!(why.as_str().contains(&status.to_string()) && why.as_str().contains("said so"), "{why}");
        assert_eq!(heard.lock().unwrap().len(), 1, "{status}: sent once, and no redirect followed");
    }
}

#[tokio::test]
async fn silence_is_unknown_and_nobody_listening_is_not() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let silent = WebhookSettings { timeout: 0.3, ..WebhookSettings::new("pool", &url) };
    let outcome = hooks(silent.clone()).apply(&"pool".into(), &change()).await;
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
    drop(listener);
    let outcome = hooks(silent).apply(&"pool".into(), &change()).await;
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
}

#[tokio::test]
async fn another_count_or_no_secret_sends_nothing() {
    let (url, heard) = endpoint(200).await;
    let stale = Change { from: 7, ..change() };
    assert!(matches!(hooks(settings(&url)).apply(&"pool".into(), &stale).await, Outcome::Refused(_)));
    let secret = Some(SecretSource::Env("HIGHWATER_NO_SUCH".into()));
    let outcome = hooks(WebhookSettings { secret, ..settings(&url) }).apply(&"pool".into(), &change()).await;
    assert!(matches!(&outcome, Outcome::Refused(why) if why.as_str().contains("HIGHWATER_NO_SUCH")), "{outcome:?}");
    let secret = Some(SecretSource::Value(Secret::new("hunter2")));
    let outcome = hooks(WebhookSettings { secret, ..settings(&url) }).apply(&"pool".into(), &change()).await;
    assert!(!format!("{outcome:?}").contains("hunter2"), "{outcome:?}");
    assert_eq!(heard.lock().unwrap().len(), 0);
}

/// A proxy's debug page, such as there are.
#[tokio::test]
async fn a_service_that_repeats_our_headers_gives_nothing_away() {
    let echo = async |headers: HeaderMap| (StatusCode::BAD_GATEWAY, format!("{headers:?}"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(echo)).await });
    let secret = |text: &str| SecretSource::Value(Secret::new(text));
    let webhook = WebhookSettings {
        bearer: Some(secret("canary-bearer")),
        headers: [("accept".to_owned(), secret("canary-header"))].into(), // the first of all headers in the answer
        ..WebhookSettings::new("pool", &url)
    };
    let Outcome::Unknown(why) = hooks(webhook).apply(&"pool".into(), &change()).await else { panic!("a 502") };
    assert!(why.as_str().contains("502") && !why.as_str().contains("canary"), "{why}");
}

#[test]
fn only_urls_that_lead_outside_or_to_this_machine_are_taken() {
    use crate::act::http::url_problem as problem;
    for good in ["https://ops.example.com/scale", "http://127.0.0.1:8080/x", "http://localhost/x", "https://[::1]/x"] {
        assert_eq!(problem(good), None, "{good}");
    }
    for bad in [
        "http://ops.example.com/",
        "ftp://x/",
        "nonsense",
        "https://me:pw@ops.example.com/",
        "https://169.254.169.254/",
        "https://[fe80::1]/",
        "https://[::ffff:169.254.1.1]/",
        "https://0.0.0.0/",
    ] {
        assert!(problem(bad).is_some(), "{bad}");
    }
}
