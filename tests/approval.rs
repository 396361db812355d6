//! The binary in a pseudo-terminal, approving a change of a command on the simulated world: cut off at every step, pasted
//! into, with hostile names; and what a watching process has open.

use crate::support::{
    terminal::{PATIENCE, Terminal},
    wait_for,
};
use highwater::{
    ledger::{self, Ledger},
    model::{ActionState, Actor, Time},
    world::{self, World},
};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A shell that finds this in a name would make a file of it. A command of this name is never run at all.
const HOSTILE: &str = "$(touch pwned)`touch pwned`;touch pwned|-rf";

/// A simulated world, and a home whose target is a script that keeps its count in a file.
struct Stage {
    home: tempfile::TempDir,
    _faces: (world::kafka::KafkaFace, world::prometheus::PrometheusFace),
}

impl Stage {
    async fn build() -> Self {
        let world = World::start("fraud", 7, 1.0).unwrap();
        let kafka = world::kafka::serve(world.clone()).await.unwrap();
        let prometheus = world::prometheus::serve(world).await.unwrap();
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().display();
        let config = format!(
            r#"
[kafka.w]
"bootstrap.servers" = "{}"
refresh = "1s"

[prometheus.w]
url = "{}"

[[workload]]
name = "fraud-scorer"
group = "fraud-scorer"
target = 'command/pool'
replicas = {{ min = 2, max = 24 }}
slo = {{ time_lag = "30s" }}

[actuator.command.'{HOSTILE}']
apply = ["sh", "-c", "touch {dir}/pwned", "{{target}}"]
observe = ["sh", "-c", "touch {dir}/pwned", "{{target}}"]

[actuator.command.pool]
apply = ["sh", "{dir}/scale.sh", "{{to}}", "{{target}}"]
observe = ["cat", "{dir}/count"]
timeout = "20s"
"#,
            kafka.bootstrap, prometheus.url
        );
        let file = home.path().join("highwater.toml");
        fs::write(&file, config).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap(); // there may be secrets in it
        // It is slow where the test wants to come between request and answer.
        let script =
            "cd \"$(dirname \"$0\")\"; echo \"$1 $2\" >> calls; echo \"$1\" > count; [ ! -e slow ] || sleep 9\n";
        fs::write(home.path().join("scale.sh"), script).unwrap();
        fs::write(home.path().join("count"), "6\n").unwrap();
        Self { home, _faces: (kafka, prometheus) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn start(&self, command: &str) -> Terminal {
        let (config, log) = (self.path("highwater.toml"), self.path("trace.log"));
        let args = [command, "-vv", "--config", config.to_str().unwrap(), "--log-file", log.to_str().unwrap()];
        Terminal::start(&args, self.home.path(), (140, 40))
    }

    /// Everything that was written below the home, but for what the test put there.
    fn written(&self) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        let mut dirs = vec![self.path("state")];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap().flatten() {
                if entry.path().is_dir() {
                    dirs.push(entry.path());
                } else {
                    found.push(entry.path());
                }
            }
        }
        found.push(self.path("trace.log"));
        let text = |path: PathBuf| (path.clone(), String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned());
        found.into_iter().map(text).collect()
    }

    /// Puts more into the configuration.
    fn configure(&self, more: &str) {
        let mut file = fs::OpenOptions::new().append(true).open(self.path("highwater.toml")).unwrap();
        file.write_all(more.as_bytes()).unwrap();
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.path("calls")).unwrap_or_default().lines().count()
    }

    fn ledger(&self) -> PathBuf {
        self.path("state/highwater/ledger")
    }

    /// The states that the ledger tells of, in order.
    fn states(&self) -> Vec<ActionState> {
        ledger::read(&self.ledger()).unwrap().entries.iter().filter_map(|e| e.state).collect()
    }

    fn wait_for_state(&self, state: ActionState) {
        wait_for(state.name(), PATIENCE, || (self.states().last() == Some(&state)).then_some(()));
    }

    /// Starts and opens the approval of a change to 8, ready for the confirming key. What the planner recommends hangs on
    /// the moment, so the count is the operator's own; a guard that holds it back for a moment is waited for.
    fn approving(&self) -> Terminal {
        let mut t = self.start("operate");
        t.wait_text("fraud-scorer");
        t.press("/fraud-scorer\r");
        wait_for("the change can be confirmed", 2 * PATIENCE, || {
            t.press("c");
            std::thread::sleep(Duration::from_millis(300));
            t.press("\u{15}8\r");
            let asked = Instant::now();
            while !t.text().contains("[y]") && asked.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(50));
            }
            let ready = t.text().contains("[y]");
            if !ready {
                t.press("\u{1b}");
            }
            ready.then_some(())
        });
        // The dialog does not listen for a moment, so that a key held too long cannot confirm.
        std::thread::sleep(Duration::from_millis(700));
        t
    }

    /// What an honest ledger of one that was cut off looks like, and what a new run makes of it.
    fn rests(&self) -> Vec<ActionState> {
        let report = ledger::verify(&self.ledger()).unwrap();
        assert_eq!(report.problem, None);
        let ledger = Ledger::open(&self.ledger(), Actor::default(), Time::now()).unwrap();
        assert!(ledger.health().writable);
        ledger.actions().values().map(|a| a.state).collect()
    }
}

async fn on_stage(play: impl FnOnce(Stage) + Send + 'static) {
    let stage = Stage::build().await;
    tokio::task::spawn_blocking(move || play(stage)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hung_up_at_every_step_the_ledger_reconciles() {
    on_stage(|stage| {
        // With the dialog open: nothing was written, nothing is left to decide.
        let mut t = stage.approving();
        t.signal("-HUP");
        assert_eq!(t.code(), 129);
        let rests = stage.rests(); // those before it were left while the cluster was not whole yet
        assert_eq!((stage.calls(), rests.last()), (0, Some(&ActionState::Expired)));
        assert!(rests.iter().all(|s| [ActionState::Expired, ActionState::Rejected].contains(s)), "{rests:?}");
        drop(t);

        // Between the request and its answer: it is known that it is not known.
        fs::write(stage.path("slow"), "").unwrap();
        let mut t = stage.approving();
        t.press("y");
        wait_for("the request is made", PATIENCE, || (stage.calls() == 1).then_some(()));
        assert_eq!(
            stage.states().last(),
            Some(&ActionState::Applying),
            "the intent lies on the disk before the request"
        );
        t.signal("-HUP");
        assert_eq!(t.code(), 129);
        assert_eq!(stage.states().last(), Some(&ActionState::Applying));
        drop(t);

        // A new run looks for it and finds it; nothing is asked for again.
        let mut t = stage.start("operate");
        stage.wait_for_state(ActionState::Applied);
        assert!(stage.states().contains(&ActionState::Unknown), "{:?}", stage.states());
        // While it waits until the replicas are ready.
        t.signal("-HUP");
        assert_eq!(t.code(), 129);
        assert_eq!(stage.rests().last(), Some(&ActionState::Applied));
        assert_eq!(stage.calls(), 1);
        let call = fs::read_to_string(stage.path("calls")).unwrap();
        assert!(call.trim_end().ends_with(" pool"), "{call}");
        assert!(!stage.path("pwned").exists() && !Path::new(env!("CARGO_MANIFEST_DIR")).join("pwned").exists());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pasted_keys_approve_nothing() {
    on_stage(|stage| {
        let mut t = stage.approving();
        t.press("\u{1b}[200~yyyy\n\u{1b}[201~"); // from a terminal that says that it is a paste
        t.press("yyyy\n"); // and from one that does not
        t.wait_text("approve nothing");
        assert!(!stage.states().contains(&ActionState::Approved), "{:?}", stage.states());
        std::thread::sleep(Duration::from_secs(1)); // neither is it taken for a held key
        t.press("y");
        wait_for("a pressed key does", PATIENCE, || (stage.calls() == 1).then_some(()));
        t.press("q");
        assert_eq!(t.code(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watching_process_opens_no_ledger_and_runs_no_command_that_changes() {
    on_stage(|stage| {
        let mut t = stage.start("watch");
        t.wait_text("WATCH");
        t.wait("the workload is there", PATIENCE, |s| s.contains("fraud-scorer").then_some(()));
        t.press("aytU4x");
        let open: Vec<PathBuf> = fs::read_dir(format!("/proc/{}/fd", t.pid()))
            .unwrap()
            .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok())
            .collect();
        assert!(open.len() > 3 && open.iter().all(|f| !f.to_string_lossy().contains("ledger")), "{open:?}");
        assert!(!stage.ledger().exists());
        t.press("q");
        assert_eq!(t.code(), 0);
        assert_eq!(stage.calls(), 0);
    })
    .await;
}

/// What every credential begins with.
const CANARY: &str = "canary-7f3a";

/// A credential in every place that an operating process reads one from.
fn credentials(stage: &Stage) -> String {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let kubeconfig = stage.path("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{closed}'}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         users: [{{name: u, user: {{token: {CANARY}-kube}}}}]\n"
    );
    fs::write(&kubeconfig, text).unwrap();
    fs::write(stage.path("token"), format!("{CANARY}-file")).unwrap();
    format!(
        r#"
[kubernetes]
context = "c"
kubeconfig = "{}"

[kafka.x]
"bootstrap.servers" = "127.0.0.1:{closed}"
"security.protocol" = "SASL_PLAINTEXT"
"sasl.mechanism" = "PLAIN"
"sasl.username" = "viewer"
"sasl.password" = "{CANARY}-sasl"

[prometheus.x]
url = "http://127.0.0.1:{closed}/x"
bearer_token = {{ command = ["sh", "-c", "echo {CANARY}-$(echo command)"] }}

[prometheus.y]
url = "http://127.0.0.1:{closed}"
bearer_token = {{ file = "{}" }}
headers = {{ X-Api-Key = "{CANARY}-header" }}

[prometheus.z]
url = "http://127.0.0.1:{closed}"
basic = {{ user = "viewer", password = "{CANARY}-basic" }}
"#,
        kubeconfig.display(),
        stage.path("token").display()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_credential_reaches_screen_log_ledger_or_history() {
    on_stage(|stage| {
        stage.configure(&credentials(&stage));
        let mut t = stage.approving();
        let mut screens = t.text();
        t.press("y");
        stage.wait_for_state(ActionState::Applied);
        for page in ["4", "2", "3", "1", "?"] {
            t.press(page);
            std::thread::sleep(Duration::from_millis(300)); // one frame of each; nothing is waited for
            screens += &t.text();
        }
        t.signal("-TERM");
        assert_eq!(t.code(), 143);
        let written = stage.written();
        assert!(
            written.iter().any(|(p, text)| p.ends_with("ledger.jsonl") && text.contains("applied")),
            "a ledger is there"
        );
        assert!(written.iter().any(|(p, text)| p.ends_with("trace.log") && text.lines().count() > 20), "and a log");
        for secret in ["kube", "sasl", "command", "file", "header", "basic"].map(|s| format!("{CANARY}-{s}")) {
            assert!(!screens.contains(&secret), "{secret} is on the screen");
            let holder = written.iter().find(|(_, text)| text.contains(&secret));
            assert_eq!(holder.map(|(p, _)| p), None, "{secret} was written");
        }
    })
    .await;
}
