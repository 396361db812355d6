//! The binary in a pseudo-terminal, approving a change of a command on the simulated world: cut off at every step, pasted
//! into, with hostile names; and what a watching process has open.

mod secrets;

use crate::support::{PATIENCE, terminal::Terminal, wait_for};
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

/// What a dialog says where nothing could be held ready.
const NOTHING_ASKED: &str = "then ask again";

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
dry_run = ["sh", "-c", "touch {dir}/asked; while [ -e {dir}/slow-answer ]; do sleep 0.2; done"]
timeout = "20s"
"#,
            kafka.bootstrap, prometheus.url
        );
        let file = home.path().join("highwater.toml");
        fs::write(&file, config).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap(); // there may be secrets in it
        // It waits where the test wants to come between request and answer, up to its deadline.
        let script = "cd \"$(dirname \"$0\")\"; echo \"$1 $2\" >> calls; echo \"$1\" > count; while [ -e slow ]; do sleep 0.2; done\n";
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
        wait_for(state.name(), || (self.states().last() == Some(&state)).then_some(()));
    }

    /// Starts and opens the approval of a change to 8, ready for the confirming key. What the planner recommends hangs on
    /// the moment, so the count is the operator's own; a guard that holds it back for a moment is waited for.
    fn approving(&self) -> Terminal {
        let mut t = self.start("operate");
        t.wait_text("fraud-scorer");
        t.press("/");
        t.press("fraud-scorer\r");
        t.wait("only it is shown", |s| (!s.contains("clickstream")).then_some(()));
        let deadline = Instant::now() + PATIENCE;
        while !ready_to_approve(&mut t) {
            assert!(Instant::now() < deadline, "held back all the time. The screen:\n{}", t.text());
        }
        t
    }

    /// Presses what approves, in a dialog that is ready, until an action gets to `state`. On a busy machine the data may go
    /// stale between dialog and key, or a key come so soon that it was not meant; then it is asked for again, as an operator
    /// would.
    fn approve(&self, t: &mut Terminal, state: ActionState, keys: fn(&mut Terminal)) {
        let deadline = Instant::now() + PATIENCE;
        let before = self.states().len();
        let decided = || self.states()[before..].contains(&state);
        loop {
            t.wait("an older refusal is gone", |s| (!refuses(s)).then_some(()));
            let rejected = self.states().len();
            keys(t);
            t.wait("it is decided, or told why not", |s| {
                (decided() || refuses(s) || self.states()[rejected..].contains(&ActionState::Rejected)).then_some(())
            });
            leave(t);
            while !decided() && !ready_to_approve(t) {
                assert!(Instant::now() < deadline, "held back all the time. The screen:\n{}", t.text());
            }
            if decided() {
                return;
            }
        }
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

/// Asks for 8. Whatever stands against a question for a moment (nothing recommended yet, data that is too old on a busy
/// machine) is waited out: the key is pressed again. What it types into a question that is there by then is overwritten.
fn ask(t: &mut Terminal) {
    let mut pressed: Option<Instant> = None;
    wait_for("the question for a count", || {
        let asked = t.text().contains("Change the count");
        if !asked && pressed.is_none_or(|at| at.elapsed() > Duration::from_secs(2)) {
            t.press("c");
            pressed = Some(Instant::now());
        }
        asked.then_some(())
    });
    t.press("\u{15}8\r");
    t.wait("it is asked", |s| (!s.contains("Change the count")).then_some(()));
}

/// Asks for 8 and waits for what comes of it: whether it can be confirmed. When not, the dialog is left again.
fn ready_to_approve(t: &mut Terminal) -> bool {
    ask(t);
    let ready = t.wait("the server's answer, or why nothing was asked", |s| match () {
        () if s.contains("[y]") => Some(true),
        () if ["cannot be done as it stands", NOTHING_ASKED, "no longer held"].iter().any(|w| s.contains(w)) => {
            Some(false)
        }
        () => None,
    });
    if !ready {
        leave(t);
    }
    ready
}

/// Whether a screen says that a key did not decide.
fn refuses(screen: &str) -> bool {
    ["too quick", "taken for a paste", "no longer held", "has expired"].iter().any(|words| screen.contains(words))
}

/// Leaves whatever is open about an approval.
fn leave(t: &mut Terminal) {
    wait_for("the dialog is left", || {
        let open = t.text().contains("Approve");
        if open {
            t.press("\u{1b}");
        }
        (!open).then_some(())
    });
}

async fn on_stage(play: impl FnOnce(Stage) + Send + 'static) {
    let stage = Stage::build().await;
    tokio::task::spawn_blocking(move || play(stage)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hung_up_at_every_step_the_ledger_reconciles() {
    on_stage(|stage| {
        // While the dry run is under way: there is nothing to tell of yet.
        fs::write(stage.path("slow-answer"), "").unwrap();
        let mut t = stage.start("operate");
        t.wait_text("fraud-scorer");
        t.press("/");
        t.press("fraud-scorer\r");
        let mut asked = false;
        while !asked {
            ask(&mut t);
            asked = t.wait("the dry run is under way, or why there is none", |s| {
                let begun = stage.path("asked").exists();
                (begun || s.contains(NOTHING_ASKED)).then_some(begun)
            });
            if !asked {
                leave(&mut t);
            }
        }
        t.signal("-HUP");
        assert_eq!(t.code(), 129);
        assert_eq!(stage.calls(), 0);
        fs::remove_file(stage.path("slow-answer")).unwrap();
        drop(t);

        // With the dialog open: nothing was written, nothing is left to decide.
        let mut t = stage.approving();
        t.signal("-HUP");
        assert_eq!(t.code(), 129);
        let rests = stage.rests(); // those before it were left while the cluster was not whole yet
        assert_eq!((stage.calls(), rests.last()), (0, Some(&ActionState::Expired)));
        assert!(rests.iter().all(|s| [ActionState::Expired, ActionState::Rejected].contains(s)), "{rests:?}");
        drop(t);

        // Approved for later: nothing is begun for somebody who is not there.
        let mut t = stage.approving();
        stage.approve(&mut t, ActionState::Approved, |t| {
            t.press("t");
            t.wait_text("Approve for later");
            t.press("\u{15}+30"); // over the instant that is suggested
            t.wait_text("at (UTC): +30");
            t.press("\r"); // alone: with others right before it it would be taken for a paste
        });
        t.signal("-HUP");
        assert_eq!(t.code(), 129);
        assert_eq!((stage.calls(), stage.rests().last()), (0, Some(&ActionState::Expired)));
        drop(t);

        // Between the request and its answer: it is known that it is not known.
        fs::write(stage.path("slow"), "").unwrap();
        let mut t = stage.approving();
        stage.approve(&mut t, ActionState::Applying, |t| t.press("y"));
        wait_for("the request is made", || (stage.calls() == 1).then_some(()));
        assert_eq!(
            stage.states().last(),
            Some(&ActionState::Applying),
            "the intent lies on the disk before the request"
        );
        t.signal("-HUP");
        assert_eq!(t.code(), 129);
        t.wait_text("a write may be under way");
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
        stage.approve(&mut t, ActionState::Applying, |t| t.press("y"));
        wait_for("it is done once", || (stage.calls() == 1).then_some(()));
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
        t.wait("the workload is there", |s| s.contains("fraud-scorer").then_some(()));
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
