//! What objects become, what a kubeconfig may be, and what an error never says.

use super::*;
use crate::model::{Target, Time};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const NOW: Time = Time::from_millis(1_800_000_000_000);

fn object(json: Value) -> DynamicObject {
    serde_json::from_value(json).unwrap()
}

#[test]
fn absent_fields_have_the_apis_defaults() {
    let bare = object(json!({"metadata": {"name": "web", "namespace": "a", "uid": "u", "generation": 2}}));
    let w = objects::workload(&bare, false, NOW);
    assert_eq!((w.desired, w.current, w.ready, w.observed), (1, 0, 0, false));
    let stateful = objects::workload(&bare, true, NOW);
    assert_eq!(stateful.target, "sts/a/web".parse::<Target>().unwrap());
    let scaled = objects::scaled_object(&object(json!({"metadata": {"name": "s"}, "spec": {"triggers": [
        {"type": "kafka", "metadata": {"consumerGroup": "g", "lagThreshold": "-3"}},
        {"type": "cron", "metadata": {}},
    ]}})));
    assert_eq!((scaled.min, scaled.max, scaled.target_kind.as_str()), (0, 100, "Deployment"));
    let kafka: Vec<_> = scaled.kafka().collect();
    assert_eq!((kafka.len(), scaled.triggers.len()), (1, 2));
    assert_eq!((kafka[0].lag_threshold, kafka[0].topic.as_ref()), (10.0, None));
}

#[test]
fn a_hostile_object_is_harmless() {
    let hostile = object(json!({
        "metadata": {"name": "\u{1b}]52;c;x\u{7}", "namespace": "n", "uid": "u"},
        "spec": {"replicas": -5}, "status": {"replicas": "many", "readyReplicas": 99_999_999_999_u64},
    }));
    let w = objects::workload(&hostile, false, NOW);
    assert!(!w.target.to_string().contains('\u{1b}'));
    assert_eq!((w.desired, w.current, w.ready), (1, 0, 0));
}

#[test]
fn metrics_read_as_sentences_and_any_pause_but_a_false_one_counts() {
    let hpa = objects::hpa(&object(json!({
        "metadata": {"name": "h", "labels": {"app.kubernetes.io/managed-by": "keda-operator"}},
        "spec": {"maxReplicas": 9, "scaleTargetRef": {"kind": "Deployment", "name": "web"}, "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
            {"type": "External", "external": {"metric": {"name": "s0-kafka"}, "target": {"type": "AverageValue", "averageValue": "10"}}},
            {"type": "FromTheFuture"},
        ]},
    })));
    let words: Vec<String> = hpa.metrics.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["resource cpu Utilization 70", "external s0-kafka AverageValue 10", "FromTheFuture"]);
    assert_eq!((hpa.keda, hpa.min, hpa.desired), (true, 1, None));
    let paused = |value: &str| {
        let annotations = json!({"autoscaling.keda.sh/paused": value});
        objects::scaled_object(&object(json!({"metadata": {"name": "s", "annotations": annotations}}))).paused
    };
    assert_eq!(paused("yes, please").unwrap().as_str(), "paused=yes, please");
    assert_eq!(paused("false"), None);
}

#[test]
fn a_vpa_is_read_with_its_bounds_and_with_what_it_waits_for() {
    let vpa = |spec: Value, status: Value| {
        objects::vpa(&object(json!({"metadata": {"name": "v", "namespace": "a"}, "spec": spec, "status": status})))
    };
    let of = json!({"targetRef": {"kind": "Deployment", "name": "web"}, "updatePolicy": {"updateMode": "Off"}});
    let told = json!({"recommendation": {"containerRecommendations": [{
        "containerName": "server", "target": {"cpu": "1200m", "memory": "2Gi"},
        "lowerBound": {"cpu": "0.8", "memory": 1_610_612_736_u64}, "upperBound": {"cpu": "2400m", "memory": "4Gi"},
    }]}});
    let seen = vpa(of, told);
    assert_eq!((seen.target_kind.as_str(), seen.target_name.as_str()), ("Deployment", "web"));
    let words = "VPA v (Off): server cpu 1.2 (0.8 to 2.4), memory 2 GiB (1.5 GiB to 4 GiB)";
    assert_eq!(seen.to_string(), words);
    let none = vpa(
        json!({}),
        json!({"conditions": [
            {"type": "LowConfidence", "status": "True", "message": "not this"},
            {"type": "NoPodsMatched", "status": "True", "message": "No pods match"},
        ]}),
    );
    assert_eq!((none.mode.name(), none.trouble.as_ref().map(Label::as_str)), ("Recreate", Some("No pods match")));
    let hostile = vpa(
        json!({"targetRef": 3}),
        json!({"recommendation": {"containerRecommendations": [7, {"target": {
        "cpu": "NaN", "memory": {}}}]}, "conditions": {}}),
    );
    assert!(hostile.containers.iter().all(|c| c.cpu.is_none() && c.memory.is_none()), "{hostile:?}");
}

fn failed(code: u16) -> watcher::Error {
    let status = kube::core::Status::failure(&format!("said {code}"), "X").with_code(code);
    watcher::Error::InitialListFailed(kube::Error::Api(status.boxed()))
}

#[test]
fn a_kind_that_is_missing_or_forbidden_does_not_hide_the_others() {
    let mut store = Store::new("test".into(), &[], &[]);
    let list = |store: &mut Store, slot: usize, items: Vec<DynamicObject>| {
        store.take(slot, Ok(Event::Init), NOW);
        for item in items {
            store.take(slot, Ok(Event::InitApply(item)), NOW);
        }
        store.take(slot, Ok(Event::InitDone), NOW);
    };
    let web = || object(json!({"metadata": {"name": "web", "namespace": "a", "uid": "u"}, "spec": {"replicas": 3}}));
    list(&mut store, 0, vec![web()]);
    store.take(1, Err(failed(403)), NOW);
    list(&mut store, 2, vec![]);
    assert!(!store.is_complete(false));
    store.take(3, Err(failed(404)), NOW);
    assert!(store.is_complete(false), "without KEDA nothing is missing");
    let (health, detail) = store.health();
    assert_eq!(health, Health::Degraded);
    assert!(detail.contains("statefulsets in all namespaces cannot be read") && detail.contains("grant"), "{detail}");
    assert_eq!((store.state().workloads.len(), store.state().notices.len()), (1, 1));

    let later = NOW.plus(60.0);
    store.take(0, Ok(Event::Init), later);
    store.take(0, Ok(Event::InitApply(web())), later);
    assert_eq!(store.state().workloads.len(), 1, "while a list is under way the old one stands");
    store.take(0, Ok(Event::InitDone), later);
    assert_eq!(store.state().workloads[0].at, NOW, "listed again, not changed");
    store.take(0, Ok(Event::Delete(web())), later);
    assert!(store.state().workloads.is_empty());
    store.take(0, Ok(Event::Apply(web())), later);
    store.take(0, Err(failed(403)), later);
    assert!(store.state().workloads.is_empty(), "a count that may no longer be read is no count of now");
    list(&mut store, 0, vec![]);
    // Nobody has to have a VPA, or the right to read it.
    for code in [404, 403] {
        store.take(5, Err(failed(code)), NOW);
        assert!(
            store.is_complete(false) && !store.health().1.contains("verticalpodautoscalers"),
            "{:?}",
            store.health()
        );
    }
    assert!(store.state().notices.iter().any(|n| n.as_str().contains("verticalpodautoscalers")), "but it is said");
    list(&mut store, 1, vec![]);
    assert_eq!(store.health().0, Health::Ok, "a permission granted later is found");
}

#[test]
fn a_namespace_that_is_named_twice_is_watched_once() {
    let twice = Store::new("test".into(), &["b".to_owned(), "a".to_owned(), "b".to_owned()], &[]);
    assert_eq!(
        twice.slots().count(),
        Store::new("test".into(), &["a".to_owned(), "b".to_owned()], &[]).slots().count()
    );
}

#[test]
fn a_kind_that_is_refused_again_and_again_hides_the_others_for_a_while_only() {
    let mut store = Store::new("test".into(), &[], &[]);
    for slot in 0..4 {
        store.take(slot, Err(failed(500)), NOW);
    }
    assert!(!store.is_complete(true), "nothing is known at all: the connection is begun again");
    for slot in 0..3 {
        store.take(slot, Ok(Event::Init), NOW);
        store.take(slot, Ok(Event::InitDone), NOW);
    }
    assert_eq!((store.is_complete(false), store.is_complete(true)), (false, true));
    assert_eq!(store.waiting_for(), "scaledobjects (the server answered 500: said 500)");
    assert!(store.health().1.contains("the watch of scaledobjects"), "{:?}", store.health());
}

/// A kubeconfig with this server and user in a directory of its own.
fn kubeconfig(server: &str, user: &Value) -> (tempfile::TempDir, KubernetesSettings) {
    let dir = tempfile::TempDir::new().unwrap();
    let path: PathBuf = dir.path().join("config");
    let content = json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "prod",
    });
    fs::write(&path, content.to_string()).unwrap();
    let settings = KubernetesSettings {
        context: Some("prod".into()),
        kubeconfig: Some(path),
        namespaces: Vec::new(),
        kinds: Vec::new(),
    };
    (dir, settings)
}

async fn error_of(settings: &KubernetesSettings) -> String {
    match connect(settings).await {
        Ok(_) => panic!("connected"),
        Err(why) => why,
    }
}

#[tokio::test]
async fn the_context_is_the_named_one_or_none() {
    let (_dir, good) = kubeconfig("http://127.0.0.1:1", &json!({}));
    assert!(connect(&good).await.is_ok(), "nothing is asked yet");
    let other = KubernetesSettings { context: Some("staging".into()), ..good.clone() };
    assert!(error_of(&other).await.contains("it has: prod"));
    let none = KubernetesSettings { context: None, ..good.clone() };
    assert!(error_of(&none).await.contains("--kube-context"), "current-context is not used");
    let missing = KubernetesSettings { kubeconfig: Some("/no/such/file".into()), ..good };
    assert!(error_of(&missing).await.contains("/no/such/file"));
}

#[tokio::test]
async fn what_a_plug_in_or_a_broken_file_says_stays_secret() {
    let token = "eyJhbGciOi-the-token";
    let script = format!("echo {token}; echo {token} >&2; exit 1");
    let exec = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
        "env": [{"name": "TOKEN", "value": token}], "interactiveMode": "Always",
    }});
    let (_dir, settings) = kubeconfig("http://127.0.0.1:1", &exec);
    let why = error_of(&settings).await;
    assert!(why.contains("log in") && !why.contains(token), "{why}");
    let (_dir, settings) = kubeconfig("http://127.0.0.1:1", &json!({}));
    let path = settings.kubeconfig.clone().unwrap();
    fs::write(&path, format!("users:\n- user: {{token: {token}, }}]\n")).unwrap();
    let why = error_of(&settings).await;
    assert!(why.contains("YAML") && !why.contains(token), "{why}");
}

#[tokio::test]
async fn nothing_is_changed_over_a_server_that_does_not_prove_itself() {
    let (_dir, plain) = kubeconfig("http://10.1.2.3:6443", &json!({}));
    let why = connect_to_change(&plain).await.err().unwrap();
    assert!(why.contains("without TLS"), "{why}");
    let (_dir, loopback) = kubeconfig("http://127.0.0.1:1", &json!({}));
    assert!(connect_to_change(&loopback).await.is_ok());
    let path = loopback.kubeconfig.clone().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let insecure = r#""server":"https://127.0.0.1:1","insecure-skip-tls-verify":true"#;
    fs::write(&path, text.replace(r#""server":"http://127.0.0.1:1""#, insecure)).unwrap();
    let why = connect_to_change(&loopback).await.err().unwrap();
    assert!(why.contains("insecure-skip-tls-verify"), "{why}");
    assert!(connect(&loopback).await.is_ok(), "watching is allowed");
}

#[tokio::test]
async fn a_busy_server_is_asked_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_dir, settings) = kubeconfig(&format!("http://{}", listener.local_addr().unwrap()), &json!({}));
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await; // whatever it is
            count.fetch_add(1, Ordering::SeqCst);
            let answer = "HTTP/1.1 503 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await; // the client may be gone
        }
    });
    let client = connect(&settings).await.unwrap();
    assert!(client.apiserver_version().await.is_err());
    assert_eq!(requests.load(Ordering::SeqCst), 1, "kube's own retries would send a write twice");
}

#[tokio::test]
async fn an_absent_server_is_down_with_a_reason() {
    let (_dir, settings) = kubeconfig("http://127.0.0.1:1", &json!({}));
    let (out, mut inbox) = tokio::sync::mpsc::channel(8);
    let task = tokio::spawn(run(settings.clone(), Clock::wall(), out));
    let detail = loop {
        match inbox.recv().await {
            Some(Observation::Health(status)) if matches!(status.health, Health::Degraded | Health::Down) => {
                break status.detail;
            }
            Some(_) => {}
            None => panic!("the source ended"),
        }
    };
    assert!(detail.as_str().contains("connection refused"), "{detail}");
    let lines = check(&settings).await;
    assert!(lines.iter().any(|l| l.unreachable && !l.ok), "{lines:?}");
    drop(inbox);
    tokio::time::timeout(Duration::from_secs(20), task).await.expect("it ends when nobody listens").unwrap();
}

#[test]
fn what_a_broken_watch_said_last_grows_old_from_then_on() {
    let mut store = Store::new("prod".into(), &[], &[]);
    let web = object(json!({"metadata": {"name": "web", "namespace": "a", "uid": "u"}}));
    let slot = store.slots().position(|(kind, _)| kind == Kind::Deployment).unwrap();
    let unheard = |store: &Store| store.state().workloads[0].unheard;
    for event in [Event::Init, Event::InitApply(web.clone()), Event::InitDone] {
        store.take(slot, Ok(event), NOW);
    }
    assert_eq!(unheard(&store), None);
    for seconds in [5.0, 6.0] {
        let broken = watcher::Error::NoResourceVersion;
        store.take(slot, Err(broken), NOW.plus(seconds));
    }
    store.confirm(NOW.plus(7.0));
    assert_eq!(unheard(&store), Some(NOW.plus(5.0)), "the server is alive, the watch is not");
    store.take(slot, Ok(Event::Apply(web)), NOW.plus(8.0));
    assert_eq!(unheard(&store), None);
}
