//! `recommend`, `snapshot` and `check` on the simulated world: what scripts get is what the contract says.

use super::support::{Home, assert_shape};
use crate::support::faces::Faces;
use serde_json::{Value, json};

/// A simulated world and the configuration of a home that finds it. Its addresses come from the command line.
struct Stage {
    home: Home,
    config: String,
    faces: Faces,
}

impl Stage {
    async fn build() -> Self {
        let faces = Faces::of("fraud").await;
        let settings = faces.kubernetes.settings();
        let context = format!(
            "\n[kubernetes]\ncontext = \"{}\"\nkubeconfig = \"{}\"\n",
            settings.context.unwrap(),
            settings.kubeconfig.unwrap().display()
        );
        let home = Home::new();
        let config = home.file("highwater.toml", &(include_str!("../../config/demo.toml").to_owned() + &context));
        Self { home, config, faces }
    }

    /// A command with the sources behind it.
    fn args<'a>(&'a self, command: &[&'a str]) -> Vec<&'a str> {
        let (kafka, prometheus) = (&self.faces.kafka.bootstrap, &self.faces.prometheus.url);
        let sources = ["--config", &self.config, "--kafka", kafka, "--prometheus", prometheus];
        command.iter().copied().chain(sources).collect()
    }

    /// A command that looks at the brokers alone for a second: where the history does not matter.
    fn brokers<'a>(&'a self, command: &[&'a str]) -> Vec<&'a str> {
        command.iter().copied().chain(["--kafka", &self.faces.kafka.bootstrap, "--settle", "1s"]).collect()
    }

    fn json(&self, command: &[&str]) -> Value {
        let ran = self.home.expect(0, &self.args(command));
        assert!(ran.err.is_empty(), "{command:?} says on standard error: {}", ran.err);
        ran.json()
    }
}

/// One entry of `recommendations`.
fn recommendation() -> Value {
    json!({
        "workload": "text", "kind": "text", "target": "text?",
        "replicas": { "current": "number?", "ready": "number?", "recommended": "number?", "min": "number",
                      "max": "number", "at": "time?" },
        "plan_hash": "text?", "expires": "time?", "coverage": "number",
        "reasons": "list", "blocked_by": "list", "signals": "map", "capacity": "any", "alternatives": "list",
        "others": "any",
    })
}

/// The workload that falls behind: there everything is known.
fn advised() -> Value {
    json!({
        "kind": "consumer-group", "target": "deploy/payments/fraud-scorer",
        "replicas": { "current": 6, "ready": 6, "recommended": "number", "min": 2, "max": 24, "at": "time" },
        "plan_hash": "text", "expires": "time", "coverage": 1.0, "reasons": ["text"],
        "signals": {
            "demand": { "now": "number", "unit": "records/s", "p50": "number", "p80": "number", "p95": "number",
                        "horizon": "number" },
            "lag": { "now": "number", "unit": "records" },
            "time_lag": { "now": "number", "unit": "s" },
        },
        "capacity": { "per_replica": "number", "low": "number", "high": "number", "samples": "number",
                      "at_recommended": "number" },
        "alternatives": [{ "replicas": "number", "price": "number", "slo_minutes": "number" }],
        "others": { "hpa": "number?", "keda": "number?", "threshold": "number?" },
    })
}

fn partition() -> Value {
    json!({ "topic": "text", "partition": "number", "committed": "number?", "log_start": "number?", "end": "number?",
            "lag": "number?", "lost": "number?" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_get_what_the_contract_says() {
    let stage = Stage::build().await;
    tokio::task::spawn_blocking(move || {
        recommend(&stage);
        snapshot(&stage);
        pictures(&stage);
        check(&stage);
        stage.home
    })
    .await
    .unwrap();
}

fn recommend(stage: &Stage) {
    let all = stage.json(&["recommend", "--format", "json"]);
    assert_shape(&all, &json!({ "version": 1, "at": "time", "recommendations": [recommendation()] }));
    let entries = all["recommendations"].as_array().unwrap();
    let scorer = entries.iter().find(|w| w["workload"] == "fraud-scorer").expect("the workload of the file");
    assert_shape(scorer, &advised());
    assert!(entries.iter().any(|w| w["kind"] == "inference") && entries.iter().any(|w| w["kind"] == "batch"));
    for entry in entries.iter().filter(|w| w["plan_hash"].is_null()) {
        assert_shape(entry, &json!({ "none_because": "text", "replicas": { "recommended": null } }));
    }
    let one = stage.home.expect(0, &stage.brokers(&["recommend", "orders-etl", "--format", "json"])).json();
    assert_eq!(one["recommendations"].as_array().map(Vec::len), Some(1));

    let ran = stage.home.expect(1, &stage.brokers(&["recommend", "fraud-scorre"]));
    assert!(ran.err.contains("did you mean fraud-scorer?"), "{}", ran.err);
    assert_eq!(ran.out, "", "nothing is said about what was not asked for");
    let table = stage.home.expect(0, &stage.brokers(&["recommend"])).out;
    assert!(table.starts_with("WORKLOAD") && table.contains("fraud-scorer"), "{table}");
}

fn snapshot(stage: &Stage) {
    let json = stage.json(&["snapshot", "--format", "json"]);
    let reading = json!({ "value": "number", "at": "time", "quality": "text", "origin": "text" });
    assert_shape(
        &json,
        &json!({
            "version": 1, "at": "time",
            "sources": [{ "name": "text", "kind": "text", "state": "ok", "age": "number?", "detail": "text" }],
            "cluster": {
                "brokers": [{ "id": "number", "host": "text", "port": "number", "state": "up" }],
                "topics": [{ "topic": "text", "partitions": "number", "under_replicated": "number" }],
                "groups": [{ "group": "text", "state": "text", "type": "text", "members": "number", "lag": "number?",
                             "time_lag": "number?", "lost": "number?", "coverage": "number",
                             "partitions": [partition()] }],
            },
            "ml": { "gpus": [{ "utilisation": reading }], "services": [{ "name": "text" }],
                    "queues": [{ "name": "text" }], "trainings": "list" },
            "workloads": [recommendation()],
        }),
    );
    for format in ["text", "json"] {
        let ran = stage.home.expect(1, &stage.brokers(&["snapshot", "--workload", "nobody", "--format", format]));
        assert!(ran.err.contains("no workload \"nobody\" was seen") && ran.out.is_empty(), "{ran:?}");
    }
    let kinds: Vec<&str> = json["sources"].as_array().unwrap().iter().filter_map(|s| s["kind"].as_str()).collect();
    assert_eq!(kinds, ["kafka", "prometheus", "kubernetes"]);
}

fn pictures(stage: &Stage) {
    for view in ["overview", "kafka", "ml", "actions", "workload"] {
        let args = stage.brokers(&["snapshot", "--view", view, "--size", "80x24"]);
        let text = stage.home.expect(0, &args).out;
        assert_eq!(text.lines().count(), 24, "{view}:\n{text}");
        assert!(!text.contains('\u{1b}') && text.contains("WATCH"), "{view}:\n{text}");
    }
    let of = |format| stage.home.expect(0, &stage.brokers(&["snapshot", "--format", format])).out;
    assert!(of("ansi").contains("\u{1b}["));
    let svg = of("svg");
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && svg.contains("fraud-scorer"));
}

fn check(stage: &Stage) {
    let checked = stage.json(&["check", "--format", "json"]);
    let line = json!({ "what": "text", "ok": true, "detail": "text", "mend": "text?", "unreachable": false });
    assert_shape(&checked, &json!({ "version": 1, "checks": [line] }));
    let what: Vec<&str> = checked["checks"].as_array().unwrap().iter().filter_map(|c| c["what"].as_str()).collect();
    assert!(what.contains(&"target deploy/payments/fraud-scorer: patch scale"), "{what:?}");
    assert!(what.contains(&"target deploy/ml/fraud-model: patch scale"), "{what:?}");
}
