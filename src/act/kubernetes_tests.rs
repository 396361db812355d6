//! The exact request, and what each way of failing means.

use super::*;
use crate::model::ActionId;
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use std::{net::SocketAddr, pin::pin, sync::Arc, sync::atomic::AtomicUsize, sync::atomic::Ordering};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const UID: &str = "0f1e2d3c-0000-4000-8000-000000000001";

fn change(from: u32, to: u32) -> Change {
    Change {
        action: ActionId("a-1".into()),
        target: "deploy/payments/fraud-scorer".parse().unwrap(),
        uid: Some(UID.into()),
        from,
        to,
        reason: "lag".into(),
        lever: None,
    }
}

fn scaler(client: Client) -> Scaler {
    Scaler::new(client, "test".into(), Clock::wall()).with_deadline(Duration::from_millis(500))
}

/// What the actuator sends for `change`, and what it makes of a good answer.
async fn sent(change: Change) -> (Request<Body>, Outcome) {
    let (service, handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let scaler = scaler(Client::new(service, "default"));
    let to = change.to;
    let server = async {
        let mut handle = pin!(handle);
        let (request, answer) = handle.next_request().await.expect("one request");
        let spec = if to == 0 { json!({}) } else { json!({"replicas": to}) };
        let scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {}, "spec": spec});
        answer.send_response(Response::new(Body::from(scale.to_string().into_bytes())));
        request
    };
    tokio::join!(server, async { scaler.apply(&change).await })
}

async fn body(request: Request<Body>) -> Value {
    serde_json::from_slice(&request.into_body().collect_bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn one_patch_tests_object_and_count_and_then_writes() {
    let (request, outcome) = sent(change(6, 10)).await;
    assert_eq!(outcome, Outcome::Applied);
    assert_eq!(request.method(), "PATCH");
    let uri = request.uri().to_string();
    assert_eq!(
        uri.replace("?&", "?"),
        "/apis/apps/v1/namespaces/payments/deployments/fraud-scorer/scale?fieldManager=highwater"
    );
    assert_eq!(request.headers()["content-type"], "application/json-patch+json");
    let expected = json!([
        {"op": "test", "path": "/metadata/uid", "value": UID},
        {"op": "test", "path": "/spec/replicas", "value": 6},
        {"op": "replace", "path": "/spec/replicas", "value": 10},
    ]);
    assert_eq!(body(request).await, expected);
}

#[tokio::test]
async fn from_zero_the_empty_spec_is_tested() {
    let (request, outcome) = sent(change(0, 4)).await;
    assert_eq!(outcome, Outcome::Applied);
    let expected = json!([
        {"op": "test", "path": "/metadata/uid", "value": UID},
        {"op": "test", "path": "/spec", "value": {}},
        {"op": "add", "path": "/spec/replicas", "value": 4},
    ]);
    assert_eq!(body(request).await, expected);
    let (_, outcome) = sent(change(4, 0)).await;
    assert_eq!(outcome, Outcome::Applied, "at zero the answer has an empty spec");
}

#[tokio::test]
async fn the_plan_shows_what_is_sent() {
    let change = change(6, 10);
    let lines = Edit::scale(Object::of(&change.target).unwrap(), UID, change.from, change.to).lines();
    let (request, _) = sent(change).await;
    assert_eq!(lines[0].as_str(), format!("PATCH {}", request.uri().to_string().replace("?&", "?")));
    let operations: Vec<Value> = lines[2..].iter().map(|l| serde_json::from_str(l.as_str()).unwrap()).collect();
    assert_eq!(Value::from(operations), body(request).await);
}

#[tokio::test]
async fn a_stateful_set_has_its_own_path() {
    let (request, _) = sent(Change { target: "sts/ml/trainer".parse().unwrap(), ..change(1, 2) }).await;
    assert_eq!(request.uri().path(), "/apis/apps/v1/namespaces/ml/statefulsets/trainer/scale");
}

#[tokio::test]
async fn names_that_no_object_can_have_send_nothing() {
    let (service, handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let scaler = scaler(Client::new(service, "default"));
    drop(handle);
    for (namespace, name) in
        [("..", "x"), ("a", "../../secrets"), ("a", "x?y"), ("A", "x"), ("a", "\u{1b}[2J"), ("a/b", "x")]
    {
        let target = Target::Deployment { namespace: namespace.into(), name: name.into() };
        let outcome = scaler.apply(&Change { target: target.clone(), ..change(1, 2) }).await;
        assert!(
            matches!(&outcome, Outcome::Refused(why) if why.as_str().contains("cannot be the name")),
            "{outcome:?}"
        );
        let plan = scaler.plan(&Change { target, ..change(1, 2) }).await;
        assert!(!plan.refused.is_empty());
    }
    let no_uid = scaler.apply(&Change { uid: None, ..change(1, 2) }).await;
    assert!(matches!(no_uid, Outcome::Refused(_)));
}

/// A server that answers every connection with `answer` and closes it; counts the requests.
async fn server(answer: Vec<u8>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; 16 * 1024];
            if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                count.fetch_add(1, Ordering::SeqCst);
            }
            if answer == b"hang" {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            let _ = stream.write_all(&answer).await; // a client that is gone has what it wanted
        }
    });
    (address, requests)
}

fn client(address: SocketAddr) -> Client {
    let mut config = kube::Config::new(format!("http://{address}").parse().unwrap());
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

fn http(code: u16, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn status(code: u16, details: &Value) -> Vec<u8> {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "X",
        "message": format!("said {code}"), "details": details,
    });
    http(code, &body.to_string())
}

#[tokio::test]
async fn each_fault_is_either_certain_or_unknown_and_sent_once() {
    let causes =
        json!({"causes": [{"field": "spec.replicas", "message": "must be at most 5", "reason": "FieldValueInvalid"}]});
    let none = json!({});
    let scale = r#"{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{},"spec":{"replicas":7}}"#;
    let cut = |n: usize| http(200, scale)[..n].to_vec();
    // (answer, certainly not done, a word of the sentence)
    let table: Vec<(Vec<u8>, bool, &str)> = vec![
        (status(400, &none), true, "400"),
        (status(401, &none), true, "log in"),
        (status(403, &none), true, "not allowed"),
        (status(404, &none), true, "not there"),
        (status(409, &none), true, "somebody else"),
        (status(422, &none), true, "look again"),
        (status(422, &causes), true, "must be at most 5"),
        (status(429, &json!({"retryAfterSeconds": 3})), true, "in 3 s"),
        (status(408, &none), false, "408"),
        (status(500, &none), false, "500"),
        (status(503, &none), false, "503"),
        (status(504, &none), false, "504"),
        (http(502, "<html>bad gateway</html>"), false, "502"),
        (http(200, "{}"), false, "answer"),
        (http(200, "nonsense"), false, "answer"),
        (http(200, scale), false, "7 at /spec/replicas instead of 10"),
        (cut(20), false, "connection"),
        (cut(http(200, scale).len() - 10), false, ""),
        (Vec::new(), false, "connection"),
        (b"hang".to_vec(), false, "no answer within"),
    ];
    for (answer, certain, word) in table {
        let said = String::from_utf8_lossy(&answer).into_owned();
        let (address, requests) = server(answer).await;
        let outcome = scaler(client(address)).apply(&change(6, 10)).await;
        let ((Outcome::Refused(why), true) | (Outcome::Unknown(why), false)) = (&outcome, certain) else {
            panic!("{said}: {outcome:?}")
        };
        assert!(why.as_str().contains(word), "{said}: {why}");
        assert_eq!(requests.load(Ordering::SeqCst), 1, "{said}: sent once");
    }
}

#[tokio::test]
async fn what_is_not_allowed_names_the_verb_that_is_missing() {
    for (target, verb, mend) in [
        ("jobs/ml/tune", "create", "grant verb create on it in a Role"),
        ("deploy/payments/web", "patch", "grant verb patch on it, by name, in a Role"),
    ] {
        let review = json!({
            "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {}, "spec": {},
            "status": {"allowed": false},
        });
        let (address, _) = server(http(201, &review.to_string())).await;
        let target = target.parse().unwrap();
        let why = scaler(client(address)).may(&Object::of(&target).unwrap(), verb).await.unwrap_err();
        assert!(why.contains(mend), "{why}");
    }
}

#[tokio::test]
async fn nobody_listening_is_certainly_not_done() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let outcome = scaler(client(address)).apply(&change(6, 10)).await;
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
}

#[test]
fn an_authentication_error_keeps_its_token_to_itself() {
    let token = "eyJhbGciOi-the-token";
    let output = std::process::Command::new("true").output().unwrap();
    let output = std::process::Output { stdout: token.as_bytes().to_vec(), ..output };
    let error = kube::client::AuthError::AuthExecRun { cmd: format!("TOKEN={token} login"), out: Box::new(output) };
    let outcome = fault::Fault::from(kube::Error::Auth(error)).outcome();
    assert!(matches!(&outcome, Outcome::Refused(why) if !why.as_str().contains(token)), "{outcome:?}");
}
