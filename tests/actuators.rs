//! The example actuators, each against a fake of the tool or service that it is for: the count is read, changed once,
//! and read again as changed; a count that is not the one on screen changes nothing.

use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    routing::{get, post},
};
use highwater::{
    act::{Actuator, Change, Outcome},
    config::Config,
    model::{ActionId, CommandSettings, Target},
    process::Clock,
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tempfile::TempDir;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/actuators").join(name)
}

fn config(text: &str) -> Config {
    Config::parse(text, "example.toml", true).unwrap_or_else(|e| panic!("{e}"))
}

/// A tool of the tests' own, which keeps its state in `$HERE` and what it was asked in `$HERE/log`.
fn fake(dir: &Path, tool: &str, script: &str) {
    let path = dir.join(tool);
    let text = format!("#!/bin/sh\nset -eu\nHERE={}\necho \"{tool} $*\" >>\"$HERE/log\"\n{script}", dir.display());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The example's commands with the fakes first on their PATH.
fn with_fakes(mut command: CommandSettings, dir: &Path) -> CommandSettings {
    let path = format!("PATH={}:{}", dir.display(), std::env::var("PATH").unwrap());
    let scripts = example("").display().to_string();
    let wrap = |argv: &mut Vec<String>| {
        argv[0] = argv[0].replace("/etc/highwater/", &scripts);
        argv.splice(0..0, ["env".to_owned(), path.clone()]);
    };
    wrap(&mut command.apply);
    command.observe.as_mut().map(wrap).expect("every example can be observed");
    command
}

fn change(target: &Target, from: u32, to: u32) -> Change {
    Change {
        action: ActionId("a-1".into()),
        target: target.clone(),
        uid: None,
        from,
        to,
        reason: "test".into(),
        lever: None,
    }
}

/// 3 → 5 → 2, and a stale plan in between.
async fn round_trip(actuator: &Actuator, target: &Target) {
    let count = async || actuator.observe(target).await.unwrap().replicas.desired;
    assert_eq!(count().await, 3);
    let plan = actuator.plan(&change(target, 3, 5)).await;
    assert!(plan.refused.is_empty(), "{plan:?}");
    assert_eq!(count().await, 3, "a plan changes nothing");
    assert!(matches!(actuator.apply(&change(target, 4, 9)).await, Outcome::Refused(_)), "another count was on screen");
    assert_eq!(actuator.apply(&change(target, 3, 5)).await, Outcome::Applied);
    assert_eq!(count().await, 5);
    assert_eq!(actuator.apply(&change(target, 5, 2)).await, Outcome::Applied);
    assert_eq!(count().await, 2);
}

async fn command(file: &str, fakes: &[(&str, &str)], state: &[(&str, &str)]) -> String {
    let dir = TempDir::new().unwrap();
    for (tool, script) in fakes {
        fake(dir.path(), tool, script);
    }
    for (name, text) in state {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let config = config(&fs::read_to_string(example(file)).unwrap());
    let [settings] = config.commands.as_slice() else { panic!("one command in {file}") };
    let target = Target::Command(settings.name.clone());
    let actuator = Actuator::new(None, &[with_fakes(settings.clone(), dir.path())], Clock::wall());
    round_trip(&actuator, &target).await;
    fs::read_to_string(dir.path().join("log")).unwrap()
}

#[tokio::test]
async fn gke_node_pool() {
    let gcloud = r#"case "$1 $2" in
"container clusters") for a; do case $a in --num-nodes=*) echo "${a#*=}" >"$HERE/count";; esac; done ;;
"compute instance-groups") cat "$HERE/count" ;;
*) exit 2 ;;
esac"#;
    let log = command("gke-node-pool.toml", &[("gcloud", gcloud)], &[("count", "3\n")]).await;
    assert!(log.contains("--node-pool=gpu --num-nodes=5 --async --quiet"), "{log}");
}

#[tokio::test]
async fn ecs_service() {
    let aws = r#"case "$2" in
update-service) echo "$8" >"$HERE/count"; echo '{"service": {}}' ;;
describe-services) cat "$HERE/count" ;;
*) exit 2 ;;
esac"#;
    let log = command("ecs.toml", &[("aws", aws)], &[("count", "3\n")]).await;
    assert!(log.contains("aws ecs update-service --cluster prod --service orders --desired-count 5"), "{log}");
}

#[tokio::test]
async fn docker_compose_service() {
    let docker = r#"case " $* " in
*" ps "*) i=0; while [ $i -lt "$(cat "$HERE/count")" ]; do echo "container$i"; i=$((i + 1)); done ;;
*" up "*) for a; do case $a in consumer=*) echo "${a#*=}" >"$HERE/count";; esac; done ;;
*) exit 2 ;;
esac"#;
    let log = command("docker-compose.toml", &[("docker", docker)], &[("count", "3\n")]).await;
    assert!(log.contains("up --detach --no-recreate --scale consumer=5 -- consumer"), "{log}");
}

#[tokio::test]
async fn systemd_template_unit() {
    // Active units are files named after their numbers.
    let systemctl = r#"mkdir -p "$HERE/active"
case "$1" in
list-units) for f in "$HERE"/active/*; do [ -e "$f" ] && echo "consumer@${f##*/}.service loaded active running Consumer"; done || true ;;
start) n=${3#consumer@}; touch "$HERE/active/${n%.service}" ;;
stop) n=${3#consumer@}; rm "$HERE/active/${n%.service}" ;;
*) exit 2 ;;
esac"#;
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("active")).unwrap();
    for n in 1..=3 {
        fs::write(dir.path().join("active").join(n.to_string()), "").unwrap();
    }
    fake(dir.path(), "systemctl", systemctl);
    let config = config(&fs::read_to_string(example("systemd.toml")).unwrap());
    let settings = with_fakes(config.commands[0].clone(), dir.path());
    let target = Target::Command(settings.name.clone());
    round_trip(&Actuator::new(None, &[settings], Clock::wall()), &target).await;
    let mut left: Vec<_> = fs::read_dir(dir.path().join("active")).unwrap().map(|f| f.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["1", "2"], "the highest numbers are stopped");
}

/// A count behind an HTTP API, and the messages that it got.
#[derive(Clone)]
struct Service {
    count: Arc<Mutex<u64>>,
    heard: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    /// Where its messages have the count.
    at: &'static str,
    /// What it says about itself.
    says: fn(u64) -> Value,
}

async fn serve(service: Service, path: &str, read: &str) -> String {
    let write = async |State(s): State<Service>, headers: HeaderMap, Json(message): Json<Value>| {
        *s.count.lock().unwrap() = message.pointer(s.at).and_then(Value::as_u64).unwrap();
        s.heard.lock().unwrap().push((headers, message));
        Json(json!({}))
    };
    let show = async |State(s): State<Service>| Json((s.says)(*s.count.lock().unwrap()));
    let app = if path == read {
        Router::new().route(path, post(write).get(show))
    } else {
        Router::new().route(path, post(write)).route(read, get(show))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app.with_state(service)).await });
    url
}

async fn webhook(file: &str, host: &str, token: &str, service: Service, path: &str, read: &str) {
    let url = serve(service.clone(), path, read).await;
    // The example's own text, its host and its secret apart.
    let text = fs::read_to_string(example(file)).unwrap().replace(host, &url);
    let text: String = text
        .lines()
        .map(|l| if l.starts_with(token.split(' ').next().unwrap()) { token } else { l })
        .collect::<Vec<_>>()
        .join("\n");
    let config = config(&text);
    let target = Target::Webhook(config.webhooks[0].name.clone());
    let actuator = Actuator::new(None, &[], Clock::wall()).with(&config.webhooks, &[]);
    round_trip(&actuator, &target).await;
    let heard = service.heard.lock().unwrap();
    assert_eq!(heard.len(), 2, "one message a change");
    assert!(heard.iter().all(|(h, _)| h.values().any(|v| v.to_str().unwrap_or("").contains("the-token"))));
}

#[tokio::test]
async fn vertex_ai_endpoint() {
    let service = Service {
        count: Arc::new(Mutex::new(3)),
        heard: Arc::default(),
        at: "/deployedModel/dedicatedResources/minReplicaCount",
        says: |n| json!({"deployedModels": [{"id": "MODEL", "dedicatedResources": {"minReplicaCount": n}}]}),
    };
    let path = "/v1/projects/PROJECT/locations/europe-west4/endpoints/ENDPOINT";
    let (host, token) =
        ("https://europe-west4-aiplatform.googleapis.com", "bearer_token = { command = [\"echo\", \"the-token\"] }");
    webhook("vertex-endpoint.toml", host, token, service, &format!("{path}:mutateDeployedModel"), path).await;
}

#[tokio::test]
async fn nomad_job() {
    let service = Service {
        count: Arc::new(Mutex::new(3)),
        heard: Arc::default(),
        at: "/Count",
        says: |n| json!({"JobID": "orders", "TaskGroups": {"consumer": {"Desired": n}}}),
    };
    let token = "headers = { X-Nomad-Token = { command = [\"echo\", \"the-token\"] } }";
    webhook(
        "nomad.toml",
        "https://nomad.example.com:4646",
        token,
        service,
        "/v1/job/orders/scale",
        "/v1/job/orders/scale",
    )
    .await;
}
