//! Writes whose outcome nobody can find out, a ledger that is taken away under the desk, and changes that are in place
//! without being ready.

use super::*;
use crate::ledger::Ledger;

/// Times as fast as life: a write of unknown outcome settles in 3 s.
const SPEED: f64 = 25.0;

fn unobserved(config: &mut Config) {
    config.commands[0].observe = None;
}

impl Bench {
    async fn cancel(&self, action: &ActionId) {
        self.intents.send(Intent::Cancel { action: action.clone() }).await.unwrap();
    }
}

#[tokio::test]
async fn an_outcome_that_nobody_can_find_out_is_given_up_by_a_person_and_not_too_soon() {
    let mut bench = Bench::at_speed(SPEED, "exit 1", Vec::new(), |config, _| unobserved(config));
    let prepared = bench.prepare(4).await;
    bench.confirm(&prepared).await;
    let lost = bench.state(ActionState::Unknown).await;
    bench.cancel(&lost.id).await;
    bench.told("its write may still land").await;
    let next = bench.prepare(4).await;
    assert!(told(&next).contains("is unknown since"), "it holds its target: {}", told(&next));
    time::sleep(Duration::from_secs(4)).await;
    bench.cancel(&lost.id).await;
    bench.told("given up: its outcome could not be found out").await;
    let next = bench.prepare(4).await;
    assert_eq!(told(&next), "", "the target is free again");
}

#[tokio::test]
async fn why_a_target_cannot_be_looked_at_is_said_once() {
    let mut bench = Bench::with("exit 1", Vec::new(), |config, _| unobserved(config));
    let prepared = bench.prepare(4).await;
    bench.confirm(&prepared).await;
    bench.state(ActionState::Unknown).await;
    let why = "command/pool cannot be looked at: [actuator.command.pool] has no observe command";
    bench.told(why).await;
    let again = time::timeout(Duration::from_secs(5), bench.told(why)).await;
    assert!(again.is_err(), "said again: {again:?}");
}

/// What an operator on this machine left behind in the middle of a write, and lets go of after a while.
async fn left_behind(timeout: f64, locked: Duration) -> (Bench, ActionId) {
    let id = ActionId("left".into());
    let mut held = None;
    let bench = Bench::at_speed(SPEED, "exit 0", Vec::new(), |config, dir| {
        config.commands[0].timeout = timeout;
        let mut ledger = Ledger::open(&dir.join("ledger"), Actor::default(), Time::now()).unwrap();
        let target = Target::Command("pool".into());
        let action = Action::proposed(ActionId("left".into()), "g".into(), target, (2, 4), Time::now());
        for state in [ActionState::Proposed, ActionState::Approved, ActionState::Applying] {
            ledger.record(&Action { state, ..action.clone() }).unwrap();
        }
        held = Some(ledger);
    });
    time::sleep(locked).await;
    drop(held);
    (bench, id)
}

#[tokio::test]
async fn what_another_operator_left_behind_is_as_old_as_the_look_at_their_ledger() {
    let (mut bench, id) = left_behind(10.0, Duration::from_secs(5)).await;
    bench.state(ActionState::Unknown).await;
    bench.cancel(&id).await;
    bench.told("its write may still land").await;
}

#[tokio::test]
async fn a_command_that_outlives_its_operator_is_waited_for_as_long_as_it_may_take() {
    let (mut bench, id) = left_behind(3000.0, Duration::ZERO).await;
    bench.state(ActionState::Unknown).await;
    time::sleep(Duration::from_secs(6)).await; // it may be at work until two minutes have passed here
    bench.cancel(&id).await;
    bench.told("its write may still land").await;
}

#[tokio::test]
async fn without_its_ledger_a_desk_does_nothing_and_says_so_once() {
    let mut bench = Bench::new(SET, Vec::new());
    let prepared = bench.prepare(4).await;
    let at = Time::now().plus(2.0);
    let intent = Intent::ConfirmAt { action: prepared.action.clone(), plan_hash: prepared.plan_hash.clone(), at };
    bench.intents.send(intent).await.unwrap();
    bench.state(ActionState::Approved).await;
    std::fs::rename(bench.dir.path().join("ledger"), bench.dir.path().join("elsewhere")).unwrap();
    bench.told("cannot be recorded").await;
    let again = time::timeout(Duration::from_secs(5), bench.told("cannot be recorded")).await;
    assert!(again.is_err(), "said again: {again:?}");
    assert_eq!(bench.count(), "2");
}

#[tokio::test]
async fn a_change_that_did_not_get_ready_can_be_taken_back() {
    use ActionState::{Applied, Applying, Approved, Failed, Proposed};
    let mut bench = Bench::with(SET, Vec::new(), |_, dir| {
        let mut ledger = Ledger::open(&dir.join("ledger"), Actor::default(), Time::now()).unwrap();
        let target = Target::Command("pool".into());
        let now = Time::now();
        let action = Action::proposed(ActionId("0".into()), "g".into(), target, (1, 2), now);
        for state in [Proposed, Approved, Applying, Applied, Failed] {
            ledger.record(&Action { state, verify_by: Some(now), ..action.clone() }).unwrap();
        }
    });
    let back = bench.asked_back(&ActionId("0".into())).await;
    assert_eq!((back.from, back.to, told(&back).as_str()), (2, 1, ""));
    bench.confirm(&back).await;
    bench.state(ActionState::Applied).await;
    assert_eq!(bench.count(), "1");
}
