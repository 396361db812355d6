//! Operators that fall silent while they hold a claim: another one takes over after their deadline, and they may no longer
//! write when they come to.

use super::{Desk, Pool};
use crate::{
    real::kafka,
    support::{PATIENCE, operator::settings},
};
use highwater::{
    act::Outcome,
    config::Config,
    engine::{self, Options},
    ledger::kafka::read_whole,
    model::{Action, ActionState, Time},
    process::Clock,
};
use rdkafka::producer::Producer as _;
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

/// How fast the clock of who takes over runs: the minute and a half of silence are three seconds.
const SPEED: f64 = 30.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_falls_silent_is_taken_over_and_may_not_write_any_more() {
    let Some(kafka) = kafka() else { return };
    let settings = settings(kafka.settings(&[]), "silent");
    kafka.create(&settings.history, 1).await;
    kafka.create(&settings.state, 1).await;
    // One fell silent before its write, one behind it.
    let (before, behind) = (Pool::new(), Pool::new());
    let (mut alice, mut carol) = (Desk::new("alice", &settings).await, Desk::new("carol", &settings).await);
    let (a, c) = (alice.propose_for("before", 0), carol.propose_for("behind", 0));
    let (a, c) = (alice.operator.intend(&a).unwrap(), carol.operator.intend(&c).unwrap());
    std::fs::write(behind.dir.path().join("count"), "1\n").unwrap();

    let actuator = |name: &str, pool: &Pool| {
        let script = pool.script().display().to_string();
        format!("[actuator.command.{name}]\napply = ['{script}', 'set', '{{to}}']\nobserve = ['{script}', 'get']\n")
    };
    let text = format!(
        "[kafka.real]\n\"bootstrap.servers\" = \"{}\"\n[ledger]\nkafka = \"real\"\nhistory = \"{}\"\nstate = \"{}\"\n{}{}",
        kafka.bootstrap,
        settings.history,
        settings.state,
        actuator("before", &before),
        actuator("behind", &behind)
    );
    let home = tempfile::tempdir().unwrap();
    let options = Options {
        config: Config::parse(&text, "test.toml", true).unwrap_or_else(|e| panic!("{e}")),
        clock: Clock::scaled(Time::now(), SPEED),
        state: Some(home.path().to_owned()),
        past: None,
        days: false,
    };
    let mut bob = engine::operate(options);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let rested = loop {
        let actions = bob.pictures.borrow_and_update().actions.clone();
        let rested =
            |x: &&Action| matches!(x.state, ActionState::Applied | ActionState::Verified | ActionState::Failed);
        let of = |of: &Action| actions.iter().find(|x| x.id == of.id).filter(rested);
        if let (Some(a), Some(c)) = (of(&a), of(&c)) {
            break (a.clone(), c.clone());
        }
        let next = timeout_at(deadline, bob.pictures.changed()).await;
        assert!(matches!(next, Ok(Ok(()))), "nobody took over: {actions:#?}");
    };
    assert_eq!((rested.0.state, before.count()), (ActionState::Failed, 0));
    assert!(rested.0.reason.as_str().starts_with("not applied: the count is 0"), "{}", rested.0.reason);
    assert!(matches!(rested.1.state, ActionState::Applied | ActionState::Verified), "{}", rested.1.reason);

    // She comes to, and has read what happened or not: nothing is written.
    let fenced = alice.operator.carry(&a, async { panic!("taken over, so nothing is written") }).await.unwrap();
    assert!(matches!(&fenced, Outcome::Refused(why) if why.as_str().contains("took it over")), "{fenced:?}");
    let begun = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
    let late = carol.propose_for("third", 0);
    let late = carol.operator.intend(&late).unwrap();
    carol.operator.intended = begun;
    let stopped = carol.operator.carry(&late, async { panic!("a minute later nothing is written") }).await.unwrap();
    assert!(
        matches!(&stopped, Outcome::Refused(why) if why.as_str().contains(" s passed since its intent was recorded")),
        "{stopped:?}"
    );
    bob.stop().await;
    let whole = read_whole(&settings).await.unwrap();
    assert!(whole.strange.is_empty() && whole.breaks.is_empty(), "{:?} {:?}", whole.strange, whole.breaks);
}

/// Nobody reads past a transaction that is open. Whoever waits for its own record is told what holds it up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_its_process_left_open_is_said_and_nothing_is_written_meanwhile() {
    let Some(kafka) = kafka() else { return };
    let settings = settings(kafka.settings(&[]), "held-up");
    kafka.create(&settings.history, 1).await;
    kafka.create(&settings.state, 1).await;
    let mut alice = Desk::new("alice", &settings).await;
    let left_open = kafka.hang(&settings.history, "somebody").await;
    let action = alice.propose(0);
    let outcome = alice.carry(&action, || panic!("its own record did not come back")).await;
    assert!(matches!(&outcome, Outcome::Refused(why) if why.as_str().contains("is held up")), "{outcome:?}");
    alice.until("the brokers answer all the same", |v| v.held_up && v.link().is_ok()).await;
    tokio::task::spawn_blocking(move || left_open.abort_transaction(PATIENCE)).await.unwrap().unwrap();
    alice.until("it is over", |v| !v.held_up).await;
    let next = alice.propose(1);
    assert_eq!(alice.carry(&next, || Outcome::Applied).await, Outcome::Applied);
}
