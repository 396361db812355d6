//! Several operators on one real Kafka: who writes, who is told why not, and what is left when they are killed.

mod silent;

use crate::{
    real::kafka,
    support::{
        PATIENCE,
        operator::{Operator, settings},
    },
};
use highwater::{
    act::Outcome,
    ledger::{
        self,
        kafka::{CLAIM_DEADLINE, View, read_whole},
    },
    model::{Action, ActionId, ActionState, LedgerSettings, Target, Time},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

/// An operator, and the folder of its ledger.
struct Desk {
    operator: Operator,
    _dir: tempfile::TempDir,
}

impl Desk {
    async fn new(name: &str, settings: &LedgerSettings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { operator: Operator::open(dir.path(), settings, name).await.unwrap(), _dir: dir }
    }

    async fn until(&self, what: &str, holds: impl Fn(&View) -> bool) {
        self.operator.until(what, holds).await.unwrap();
    }

    fn propose(&mut self, round: u32) -> Action {
        self.propose_for("pool", round)
    }

    fn propose_for(&mut self, pool: &str, round: u32) -> Action {
        let Operator { ledger, actor, .. } = &self.operator;
        let id = ActionId(format!("{round:03}-{actor}-{}", ledger.last()).into());
        let target = Target::Command(pool.into());
        let action = Action {
            actor: actor.clone(),
            ..Action::proposed(id, "fraud".into(), target, (round, round + 1), Time::now())
        };
        self.operator.record(&action).unwrap();
        action
    }

    /// Approves, records the intent and goes through the gate; answers with how it came out.
    async fn carry(&mut self, action: &Action, write: impl FnOnce() -> Outcome) -> Outcome {
        let action = self.operator.intend(action).unwrap();
        self.operator.carry(&action, async { write() }).await.unwrap()
    }
}

/// What an actuator without a condition of its own does: looks, then writes.
fn write(writes: &AtomicUsize, from: u32) -> Outcome {
    if writes.load(SeqCst) != from as usize {
        return Outcome::Refused("the count is not what it was".into());
    }
    writes.fetch_add(1, SeqCst);
    Outcome::Applied
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_eight_operators_one_writes_each_round_and_every_other_is_told_why() {
    const ROUNDS: u32 = 50;
    let Some(kafka) = kafka() else { return };
    let settings = settings(kafka.settings(&[]), "eight");
    kafka.create(&settings.history, 1).await;
    kafka.create(&settings.state, 1).await;
    let mut operators = Vec::new();
    for n in 0..8 {
        operators.push(Desk::new(&format!("operator-{n}"), &settings).await);
    }
    let writes = Arc::new(AtomicUsize::new(0));
    let mut told: BTreeSet<String> = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut tasks = Vec::new();
        for mut operator in operators.drain(..) {
            let writes = writes.clone();
            tasks.push(tokio::spawn(async move {
                let mut asked = 0;
                loop {
                    let action = operator.propose(round);
                    asked += 1;
                    let outcome = operator.carry(&action, || write(&writes, round)).await;
                    // On a busy machine the own record may come back too late: who is told to ask again does so.
                    let again = matches!(&outcome, Outcome::Refused(why) if why.as_str().ends_with("ask again"));
                    if !again {
                        return (operator, outcome, asked);
                    }
                }
            }));
        }
        let (mut won, mut all) = (Vec::new(), 0);
        for task in tasks {
            let (operator, outcome, asked) = task.await.unwrap();
            all += asked;
            match outcome {
                Outcome::Applied => won.push(operator.operator.actor.to_string()),
                Outcome::Refused(why) => {
                    let words = ["came first", "changed this target", "the count is"];
                    let named = words.iter().any(|w| why.as_str().contains(w));
                    assert!(named, "round {round}: {why}");
                    told.insert(why.as_str().split(" on this target").next().unwrap_or_default().to_owned());
                }
                Outcome::Unknown(why) => panic!("round {round}: {why}"),
            }
            operators.push(operator);
        }
        assert_eq!((won.len(), writes.load(SeqCst)), (1, round as usize + 1), "round {round}: {won:?}");
        // The next round begins when everybody has read how this one ended.
        for operator in &operators {
            let ended = |v: &View| {
                let round = format!("{round:03}-");
                let of_round = v.arbiter.held().values().filter(|h| h.action.id.0.as_str().starts_with(&round));
                let states: Vec<_> = of_round.map(|h| h.action.state).collect();
                states.len() == all && states.iter().all(|s| matches!(s, ActionState::Applied | ActionState::Failed))
            };
            operator.until("the round is over for everybody", ended).await;
        }
    }
    assert!(!told.is_empty());
    drop(operators);
    // What they sent last may still be on its way: both are asked until they tell of as many entries.
    let deadline = Instant::now() + PATIENCE;
    let whole = loop {
        let whole = read_whole(&settings).await.unwrap();
        let told = told_by_the_program(&kafka.bootstrap, &settings, whole.entries.len());
        let Err(why) = told else { break whole };
        assert!(Instant::now() < deadline, "{} entries: {why}", whole.entries.len());
    };
    assert!(whole.strange.is_empty() && whole.breaks.is_empty(), "{:?} {:?}", whole.strange, whole.breaks);
    let applied = whole.entries.iter().filter(|p| p.entry.state == Some(ActionState::Applied));
    assert_eq!(applied.filter(|p| p.void.is_none()).count(), ROUNDS as usize);
}

/// `highwater ledger … --shared` reads the same; the error is what it says of another number of entries.
fn told_by_the_program(bootstrap: &str, settings: &LedgerSettings, entries: usize) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("highwater.toml");
    let LedgerSettings { history, state, .. } = settings;
    let text = format!(
        "[kafka.real]\n\"bootstrap.servers\" = \"{bootstrap}\"\n\
         [ledger]\nkafka = \"real\"\nhistory = \"{history}\"\nstate = \"{state}\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        let out = command.arg("ledger").args(words).args(["--shared", "--config"]).arg(&file).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let verified = run(&["verify"]);
    if !verified.starts_with(&format!("ok, {entries} entries of 8 ledgers, ")) {
        return Err(verified);
    }
    let list: serde_json::Value = serde_json::from_str(&run(&["list", "--format", "json"])).unwrap();
    let list = list["entries"].as_array().unwrap();
    assert_eq!(list.len(), entries);
    assert!(list.windows(2).all(|w| w[0]["offset"].as_i64() < w[1]["offset"].as_i64()), "in the order that decides");
    assert!(list.iter().any(|e| e["void"].is_string()), "those who came second are there, with the reason");
    let csv = run(&["export", "--format", "csv"]);
    assert_eq!(csv.lines().count(), entries + 1);
    assert!(csv.lines().next().unwrap().ends_with(",ledger,offset,void"), "{csv}");
    let story = run(&["show", "007-operator-3"]);
    assert!(story.contains("\"proposed\"") && story.contains("operator-3"), "{story}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_broker_is_lost_within_seconds_and_a_claim_fails_closed_until_it_is_back() {
    let Some(kafka) = crate::real::kafka_alone("frozen-ledger") else { return };
    let settings = settings(kafka.settings(&[]), "frozen");
    kafka.create(&settings.history, 1).await;
    kafka.create(&settings.state, 1).await;
    let mut alice = Desk::new("alice", &settings).await;
    let freeze = |signal| (1..=3).for_each(|broker| kafka.signal(broker, signal));
    freeze(rustix::process::Signal::STOP);
    let action = alice.propose(0);
    let begun = Instant::now();
    let outcome = alice.carry(&action, || panic!("nothing is written without the own record seen")).await;
    freeze(rustix::process::Signal::CONT);
    assert!(matches!(&outcome, Outcome::Refused(why) if why.as_str().contains("lost at this moment")), "{outcome:?}");
    assert!(begun.elapsed() < CLAIM_DEADLINE + Duration::from_secs(10), "a person waits for it");
    alice.until("it is shared again", |v| v.link().is_ok()).await;
    // What was recorded meanwhile is there, once.
    let id = action.id.clone();
    alice
        .until("its end is told", |v| v.arbiter.held().get(&id).is_some_and(|h| h.action.state == ActionState::Failed))
        .await;
    let next = alice.propose(1);
    assert_eq!(alice.carry(&next, || Outcome::Applied).await, Outcome::Applied);
}

/// A pool whose count is a file. Every write leaves a line with the action that made it.
struct Pool {
    dir: tempfile::TempDir,
}

impl Pool {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script = "#!/bin/sh\ncd \"$(dirname \"$0\")\" || exit 75\ncase $1 in\nget) cat count;;\n\
                      set) echo \"$SCALE_ACTION_ID $2\" >>writes; echo \"$2\" >next.$$; mv next.$$ count;;\nesac\n";
        std::fs::write(dir.path().join("count"), "0\n").unwrap();
        std::fs::write(dir.path().join("writes"), "").unwrap();
        std::fs::write(dir.path().join("pool"), script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path().join("pool"), mode).unwrap();
        Self { dir }
    }

    fn script(&self) -> PathBuf {
        self.dir.path().join("pool")
    }

    fn ledger(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn count(&self) -> u32 {
        std::fs::read_to_string(self.dir.path().join("count")).unwrap().trim().parse().unwrap()
    }

    /// Which action wrote what, in order.
    fn writes(&self) -> Vec<(String, u32)> {
        let text = std::fs::read_to_string(self.dir.path().join("writes")).unwrap();
        let line = |l: &str| l.split_once(' ').map(|(id, n)| (id.to_owned(), n.parse().unwrap())).unwrap();
        text.lines().map(line).collect()
    }

    /// Whether a write that was begun is still under way, its operator alive or not.
    fn is_being_written(&self) -> bool {
        let script = self.script().display().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let words = |p: std::fs::DirEntry| std::fs::read(p.path().join("cmdline")).unwrap_or_default();
        processes.map(words).any(|w| {
            let words: Vec<_> = w.split(|b| *b == 0).collect();
            words.contains(&script.as_bytes()) && words.contains(&b"set".as_slice())
        })
    }
}

fn operator() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().and_then(Path::parent).unwrap().join("examples/operator")
}

/// Two operators, both killed at the same boundary of a trace that has every sync and every request, then started again.
struct Ordeal {
    pool: Pool,
    bootstrap: String,
    prefix: String,
}

impl Ordeal {
    fn start(&self, name: &str, add: u32, at: u64) -> std::process::Child {
        let (ledger, script) = (self.pool.ledger(name), self.pool.script());
        Command::new(operator())
            .args([ledger.to_str().unwrap(), &self.bootstrap, &self.prefix, name, script.to_str().unwrap()])
            .args([add.to_string(), at.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs both to their end; answers with the boundaries that they passed and whether both ended by themselves.
    fn both(&self, add: [u32; 2], at: u64) -> (BTreeSet<String>, bool) {
        let children = [self.start("alice", add[0], at), self.start("bob", add[1], at)];
        let (mut passed, mut whole) = (BTreeSet::new(), true);
        for child in children {
            let out = child.wait_with_output().unwrap();
            let told = String::from_utf8_lossy(&out.stderr).into_owned();
            let killed = std::os::unix::process::ExitStatusExt::signal(&out.status) == Some(9);
            assert!(out.status.success() || killed, "boundary {at}: {told}");
            whole &= out.status.success();
            passed.extend(told.lines().filter_map(|l| l.split_once(' ')).map(|(_, w)| w.to_owned()));
        }
        crate::support::wait_for("no write is under way", || (!self.pool.is_being_written()).then_some(()));
        (passed, whole)
    }

    /// Nothing was written twice, nothing that was written is lost, and everything came to rest.
    fn judge(&self, at: u64) {
        let writes = self.pool.writes();
        let ids: BTreeSet<&String> = writes.iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), writes.len(), "boundary {at}: an action wrote twice: {writes:?}");
        let (mut states, mut known) = (BTreeMap::new(), BTreeSet::new());
        for name in ["alice", "bob"] {
            let dir = self.pool.ledger(name);
            let report = ledger::verify(&dir).unwrap();
            assert!(report.problem.is_none() && report.torn == 0, "boundary {at}: {report:?}");
            let entries = ledger::read(&dir).unwrap().entries;
            let applied = entries.iter().filter(|e| e.state == Some(ActionState::Applied));
            known.extend(applied.filter_map(|e| e.action.as_ref()).map(ToString::to_string));
            for action in ledger::fold(&entries) {
                states.insert(action.id.to_string(), action.state);
            }
        }
        for (id, state) in &states {
            use ActionState::{Applied, Expired, Failed, Verified};
            assert!(matches!(state, Applied | Verified | Expired | Failed), "boundary {at}: {id} is {}", state.name());
            // One that was applied and then changed by the other operator before it was verified ends as failed, and why.
            let told = matches!(state, Applied | Verified) || known.contains(id);
            assert_eq!(told, ids.contains(id), "boundary {at}: {id} is {}, written {ids:?}", state.name());
        }
        assert_eq!(self.pool.count(), writes.last().map_or(0, |(_, n)| *n), "boundary {at}");
    }
}

#[test]
fn killed_at_every_sync_and_every_request_nothing_is_written_twice_and_nothing_is_lost() {
    let Some(kafka) = kafka() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let next = AtomicUsize::new(1);
    let (reached, last) = (Mutex::new(BTreeSet::new()), AtomicUsize::new(usize::MAX));
    let ordeal = |at: usize| {
        let ordeal = Ordeal { pool: Pool::new(), bootstrap: kafka.bootstrap.clone(), prefix: format!("killed-{at}") };
        let settings = settings(kafka.settings(&[]), &ordeal.prefix);
        runtime.block_on(async {
            kafka.create(&settings.history, 1).await;
            kafka.create(&settings.state, 1).await;
        });
        let (passed, whole) = ordeal.both([1, 100], at as u64);
        reached.lock().unwrap().extend(passed);
        // Started again they bring to rest what was left, and begin nothing.
        let (_, ended) = ordeal.both([0, 0], 0);
        assert!(ended, "boundary {at}: a restart did not end by itself");
        ordeal.judge(at as u64);
        let whole_log = runtime.block_on(read_whole(&settings)).unwrap();
        assert!(whole_log.strange.is_empty() && whole_log.breaks.is_empty(), "boundary {at}: {:?}", whole_log.breaks);
        if whole {
            last.fetch_min(at, SeqCst); // neither got so far: every boundary was tried
        }
    };
    // Four at a time: each waits for brokers most of the time.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, SeqCst);
                    if at > last.load(SeqCst) {
                        return;
                    }
                    ordeal(at);
                }
            });
        }
    });
    let reached = reached.into_inner().unwrap();
    let all = [
        "writing an entry",
        "written, not synced",
        "synced",
        "fencing",
        "fenced",
        "publishing",
        "sent, not committed",
        "delivered, not committed",
        "published",
        "sending the write",
        "the write was answered",
    ];
    assert!(all.iter().all(|b| reached.contains(*b)), "{reached:?}");
}

#[cfg(not(feature = "ledger-tls"))]
#[tokio::test]
async fn a_build_without_tls_says_so_and_how_to_have_it() {
    use highwater::model::{KafkaSettings, Property};
    let property = |k: &str, v: &str| (k.to_owned(), Property::Text(v.to_owned()));
    let properties = [property("bootstrap.servers", "127.0.0.1:1"), property("security.protocol", "SSL")];
    let ledger = settings(KafkaSettings::new("k", properties.into_iter().collect()), "highwater");
    let line = ledger::kafka::check(&ledger).await.unwrap();
    assert!(line.detail.as_str().contains("build with --features ledger-tls"), "{line:?}");
}
