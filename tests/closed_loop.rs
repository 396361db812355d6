//! The main job on real systems: three brokers and a Prometheus, consumers that really join and are too few, the real
//! binary in a pseudo-terminal. The lag grows, the recommendation appears; a broker freezes: the screen lives, coverage
//! falls, approval is held back, and comes back. Keys are sent, consumers start, the lag drains, the ledger holds the story.

use crate::{
    real::{self, Kafka},
    support::terminal::Terminal,
};
use rustix::process::Signal;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

const TOPIC: &str = "transactions";
const GROUP: &str = "fraud-scorer";
/// Records per second: what comes in, and what one consumer can do.
const DEMAND: &str = "300";
const EACH: &str = "75";

/// The load generator (`examples/load.rs`), which `cargo test` builds beside the tests.
fn load() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().and_then(Path::parent).unwrap().join("examples/load")
}

fn scale(dir: &Path, want: &str, consumer: &[&str]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/scale.sh");
    let status = Command::new(script).arg(dir.join("pool")).arg(want).arg(load()).args(consumer).status().unwrap();
    assert!(status.success());
}

/// Producer and consumers end with the test, however it ends.
struct Load<'a> {
    dir: &'a Path,
    producer: Child,
}

impl<'a> Load<'a> {
    fn start(kafka: &Kafka, dir: &'a Path) -> Self {
        scale(dir, "2", &["consume", &kafka.bootstrap, TOPIC, GROUP, EACH]);
        let producer = Command::new(load())
            .args(["produce", &kafka.bootstrap, TOPIC, DEMAND])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { dir, producer }
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        let _ = self.producer.kill(); // it may have ended by itself
        let _ = self.producer.wait();
        scale(self.dir, "0", &[]);
    }
}

fn configuration(dir: &Path, bootstrap: &str, prometheus: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/scale.sh");
    let (pool, load) = (dir.join("pool").display().to_string(), load().display().to_string());
    format!(
        r#"
[kafka.real]
"bootstrap.servers" = "{bootstrap}"
refresh = "1s"

[prometheus.real]
url = "{prometheus}"
refresh = "2s"

[[workload]]
name = "{GROUP}"
group = "{GROUP}"
target = "command/pool"
replicas = {{ min = 1, max = 12 }}
slo = {{ time_lag = "10s" }}
guard = {{ max_step_up = 4.0 }}

[actuator.command.pool]
apply = ["{script}", "{pool}", "{{to}}", "{load}", "consume", "{bootstrap}", "{TOPIC}", "{GROUP}", "{EACH}"]
observe = ["{script}", "{pool}", "get"]
timeout = "10s"
"#
    )
}

/// One GPU and one service, as dcgm-exporter and vLLM tell them.
fn machine_learning() -> String {
    let labels = r#"gpu="0",UUID="GPU-1",modelName="NVIDIA H100",Hostname="node-1""#;
    let service = r#"model_name="scorer-model",engine="0""#;
    format!(
        "DCGM_FI_DEV_GPU_UTIL{{{labels}}} 87\nDCGM_FI_DEV_FB_USED{{{labels}}} 60000\nDCGM_FI_DEV_FB_FREE{{{labels}}} 20000\n\
         vllm:num_requests_running{{{service}}} 12\nvllm:num_requests_waiting{{{service}}} 5\n\
         vllm:kv_cache_usage_perc{{{service}}} 0.62\n"
    )
}

/// The count after the arrow of the workload's row.
fn needed(screen: &str) -> Option<u32> {
    let row = screen.lines().find(|l| l.contains(GROUP) && l.contains('→'))?;
    row.split('→').nth(1)?.split_whitespace().next()?.parse().ok()
}

fn states(home: &Path) -> Vec<String> {
    let ledger = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["ledger", "list", "--format", "json"])
        .env("XDG_STATE_HOME", home.join("state"))
        .output()
        .unwrap();
    let story: serde_json::Value = serde_json::from_slice(&ledger.stdout).unwrap();
    let entries = story["entries"].as_array().unwrap();
    entries.iter().filter_map(|e| e["state"].as_str()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_grows_an_operator_approves_consumers_start_and_the_lag_drains() {
    let found = tokio::task::spawn_blocking(|| real::kafka_alone("loop")).await.unwrap();
    let Some(kafka) = found else { return };
    let gpu = real::prometheus::exporter(machine_learning).await;
    let jobs = ["kafka-1", "kafka-2", "kafka-3"];
    let mut targets: Vec<(&str, SocketAddr)> =
        jobs.into_iter().zip(&kafka.jmx).map(|(job, port)| (job, (Ipv4Addr::LOCALHOST, *port).into())).collect();
    targets.push(("ml", gpu.address));
    let Some(prometheus) = real::prometheus::prometheus(&targets).await else { return };
    kafka.create(TOPIC, 24).await;
    let url = prometheus.url.clone();
    tokio::task::spawn_blocking(move || the_main_job(&kafka, &url)).await.unwrap();
}

fn the_main_job(kafka: &Arc<Kafka>, prometheus: &str) {
    let dir = tempfile::tempdir().unwrap();
    let _load = Load::start(kafka, dir.path());
    let file = dir.path().join("highwater.toml");
    std::fs::write(&file, configuration(dir.path(), &kafka.bootstrap, prometheus)).unwrap();
    let mut t = Terminal::start(&["operate", "--config", file.to_str().unwrap()], dir.path(), (160, 45));

    t.wait_text("OPERATE");
    t.wait("the group is seen", |s| s.contains(GROUP).then_some(()));
    let to = t.wait("more consumers are recommended", |s| needed(s).filter(|n| *n >= 4));
    assert!(to <= 12, "{to} is above the configured maximum");
    t.press("3");
    t.wait("the ML side is there", |s| (s.contains("scorer-model") && s.contains("87%")).then_some(()));
    t.press("2");
    t.wait("every broker answers and its exporter is joined to it", |s| {
        let joined = s.lines().filter(|l| l.contains(" up ") && l.contains("MiB")).count();
        (joined == 3).then_some(())
    });
    t.press("1");

    kafka.signal(2, Signal::STOP);
    t.wait("data are missing, and the advice is held", |s| {
        (s.contains("not known") && s.contains("held by coverage")).then_some(())
    });
    kafka.signal(2, Signal::CONT);
    // By now the backlog is long; on a busy machine it may take a while until that many are asked for as drain it soon.
    t.wait("all is known again", |s| {
        (!s.contains("not known") && !s.contains("held") && needed(s).is_some_and(|n| n >= 8)).then_some(())
    });

    t.press("a");
    t.wait("the plan may be confirmed", |s| (s.contains("command/pool") && s.contains("[y]")).then_some(()));
    t.press("y"); // alone: a key with others right behind it is taken for a paste
    t.wait("the dialog is done", |s| (!s.contains("[y]")).then_some(()));
    t.press("4");
    t.wait("the change is verified", |s| s.contains("verified").then_some(()));
    t.press("1");
    t.wait("the lag drains below the objective", |s| {
        let row = s.lines().find(|l| l.contains(GROUP) && !l.contains('─'))?;
        let behind = row.split(" s ").next()?.split_whitespace().last()?.trim_start_matches(['~', '≥']).parse::<f64>();
        behind.ok().filter(|b| *b < 10.0).map(|_| ())
    });
    t.press("q");
    assert_eq!(t.code(), 0);
    assert_eq!(states(dir.path()), ["proposed", "approved", "applying", "applied", "verified"]);
}
