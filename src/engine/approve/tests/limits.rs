//! Limits, freezes, a clock that was set back, a ledger that cannot be written: nothing is done and it is said why. And
//! whether a change helped.

use super::*;
use crate::{
    engine::approve::effect::{Expecting, expected},
    model::{Capacity, Reading, Role, SignalView},
};

/// What stands against the ordinary change when something is different.
async fn refused(change: impl FnOnce(&mut Config, &Path)) -> String {
    let mut bench = Bench::with(SET, Vec::new(), change);
    let prepared = bench.prepare(4).await;
    let against = prepared.refused.iter().map(Label::as_str).collect::<Vec<_>>().join("; ");
    bench.confirm(&prepared).await;
    bench.state(if against.is_empty() { ActionState::Applied } else { ActionState::Rejected }).await;
    assert_eq!(bench.count(), if against.is_empty() { "4" } else { "2" }, "{against}");
    against
}

#[tokio::test]
async fn limits_and_freezes_hold() {
    assert_eq!(refused(|_, _| {}).await, "");
    let hourly = refused(|c, _| c.limits.actions_per_hour = 0).await;
    assert!(hourly.contains("[limits] actions_per_hour allows 0"), "{hourly}");
    let at_once = refused(|c, _| c.limits.in_flight = 0).await;
    assert!(at_once.contains("[limits] in_flight allows 0"), "{at_once}");
    let all_week = || vec!["mon-sun".parse().unwrap()];
    let frozen = refused(|c, _| c.limits.freeze = all_week()).await;
    assert!(frozen.contains("mon-sun is in [limits] freeze"), "{frozen}");
    assert_eq!(refused(|c, _| c.limits.change = all_week()).await, "");
    let elsewhere = Time::now().plus(3.0 * 86_400.0);
    let day = |t: Time| ["thu", "fri", "sat", "sun", "mon", "tue", "wed"][(t.millis() / 86_400_000 % 7) as usize];
    let closed = refused(|c, _| c.limits.change = vec![day(elsewhere).parse().unwrap()]).await;
    assert!(closed.contains("outside of the hours for changes"), "{closed}");
    let file = refused(|c, dir| {
        let freeze = dir.join("freeze");
        std::fs::write(&freeze, "").unwrap();
        c.limits.freeze_file = Some(freeze);
    });
    assert!(file.await.contains("frozen: "));
}

#[tokio::test]
async fn a_freeze_that_begins_while_the_dialog_is_open_holds() {
    let mut freeze = std::path::PathBuf::new();
    let mut bench = Bench::with(SET, Vec::new(), |c, dir| {
        freeze = dir.join("freeze");
        c.limits.freeze_file = Some(freeze.clone());
    });
    let prepared = bench.prepare(4).await;
    assert!(prepared.refused.is_empty());
    std::fs::write(freeze, "").unwrap();
    bench.confirm(&prepared).await;
    bench.told("frozen").await;
    assert_eq!(bench.count(), "2");
}

#[tokio::test]
async fn an_operators_own_count_keeps_the_step_limit() {
    let mut bench = Bench::new(SET, Vec::new());
    let leap = bench.prepare(8).await;
    assert!(leap.refused.iter().any(|r| r.as_str().contains("1 to 4 is allowed")), "{:?}", leap.refused);
}

/// Three at once are more than the step limit of twice allows, and what the limits ask for all the same.
#[tokio::test]
async fn a_count_outside_of_the_limits_can_be_brought_back() {
    let mut bench = Bench::new(SET, Vec::new());
    let limits = Limits { min: 5, max: 8 };
    bench.pictures.send_replace(picture(Recommendation { limits, recommended: 5, ..recommendation(Vec::new()) }, 2));
    let back = bench.prepare(5).await;
    assert!(back.refused.is_empty(), "{:?}", back.refused);
    let further = bench.prepare(6).await;
    assert!(further.refused.iter().any(|r| r.as_str().contains("1 to 5 is allowed")), "{:?}", further.refused);
}

#[tokio::test]
async fn a_clock_that_was_set_back_applies_nothing() {
    let mut bench = Bench::with(SET, Vec::new(), |_, dir| {
        // An earlier run wrote at what was then the time.
        let home = dir.join("ledger");
        let mut ledger = ledger::Ledger::open(&home, Actor::default(), Time::now()).unwrap();
        ledger.note("an hour from now", Time::now().plus(3600.0)).unwrap();
    });
    let prepared = bench.prepare(4).await;
    let told = prepared.refused.iter().find(|r| r.as_str().starts_with("the machine's clock is"));
    assert!(told.is_some_and(|t| t.as_str().contains("it was set back")), "{:?}", prepared.refused);
    bench.confirm(&prepared).await;
    assert_eq!(bench.count(), "2");
    let entries = bench.end().await;
    assert!(entries.windows(2).all(|w| w[0].at <= w[1].at), "the story goes on where it was");
    assert!(entries.iter().all(|e| e.state != Some(ActionState::Applying)));
}

#[tokio::test]
async fn a_ledger_that_was_altered_or_cannot_be_opened_applies_nothing() {
    for spoil in
        [(|dir: &Path| std::fs::write(dir.join("ledger/ledger.jsonl"), "{\"v\":1}\n").unwrap()) as fn(&Path), |dir| {
            std::fs::create_dir(dir.join("ledger/ledger.jsonl")).unwrap();
        }]
    {
        let mut bench = Bench::with(SET, Vec::new(), |_, dir| {
            std::fs::create_dir(dir.join("ledger")).unwrap();
            spoil(dir);
        });
        let health = bench.next(|e| if let Event::Ledger(health) = e { Some(health) } else { None }).await;
        assert!(!health.writable && health.detail.as_str().contains("ledger.jsonl"), "{health:?}");
        let intent = Intent::Prepare { workload: "g".into(), to: 4, plan_hash: Bench::hash(), way: 0 };
        bench.intents.send(intent).await.unwrap();
        bench.told("not done, because it cannot be recorded").await;
        assert_eq!(bench.count(), "2");
    }
}

/// A view with a backlog and a demand, and a capacity of 1000/s per replica.
fn seen(backlog: f64, demand: f64) -> WorkloadView {
    let picture = picture(recommendation(Vec::new()), 4);
    let mut view = (*picture.workloads[0]).clone();
    let signal = |role, value| SignalView {
        role,
        unit: "",
        now: Reading::new(value, Time::now(), "test"),
        track: Arc::default(),
    };
    view.signals = vec![signal(Role::Demand, demand), signal(Role::Backlog, backlog)];
    let capacity = Capacity {
        per_replica: 1000.0,
        low: 900.0,
        high: 1100.0,
        samples: 9,
        start_up: 20.0,
        rebalance: 5.0,
        rebalance_one: 5.0,
        rebalance_down: 5.0,
        ..Capacity::default()
    };
    view.advice =
        Arc::new(Advice { forecast: None, capacity: Some(capacity), recommendation: Err("not needed".to_owned()) });
    view
}

#[test]
fn a_change_is_held_to_its_prediction() {
    let now = Time::now();
    let action = |from, to| Action { from, to, ..ledger_action() };
    // 4 replicas do 4000/s, 3000/s come: 1000/s are spare, so 120,000 should go in two minutes.
    let mut done = action(2, 4);
    done.terms.expects = expected(&done, &seen(200_000.0, 3000.0), now);
    let expecting = Expecting::of(&done).unwrap();
    let good = expecting.judge(&seen(90_000.0, 3000.0)).unwrap();
    assert!(
        good.as_predicted && good.text.as_str().contains("lag 200k → 90k in 2 min, 80k predicted"),
        "{}",
        good.text
    );
    let bad = expecting.judge(&seen(195_000.0, 3000.0)).unwrap();
    assert!(!bad.as_predicted && bad.text.as_str().contains("look for another limit"), "{}", bad.text);
    assert_eq!(expected(&action(4, 2), &seen(200_000.0, 3000.0), now), None, "fewer promise nothing");
    assert_eq!(expected(&action(2, 4), &seen(200_000.0, 5000.0), now), None, "too few to catch up");
    assert_eq!(expected(&action(2, 4), &seen(10_000.0, 3000.0), now), None, "nothing lies there");
}

#[tokio::test]
async fn what_a_change_should_do_is_still_looked_for_after_a_restart() {
    use ActionState::{Applied, Applying, Approved, Proposed, Verified};
    let mut bench = Bench::with(SET, Vec::new(), |_, dir| {
        let mut ledger = ledger::Ledger::open(&dir.join("ledger"), Actor::default(), Time::now()).unwrap();
        let mut action = ledger_action();
        for state in [Proposed, Approved, Applying, Applied, Verified] {
            action.state = state;
            if state == Verified {
                action.terms.expects = expected(&action, &seen(200_000.0, 3000.0), Time::now().plus(-115.0));
            }
            ledger.record(&action).unwrap();
        }
    });
    let mut later = (*picture(recommendation(Vec::new()), 4)).clone();
    later.workloads = vec![Arc::new(seen(90_000.0, 3000.0))].into();
    bench.pictures.send_replace(Arc::new(later));
    let told = bench.told("effect of a").await;
    assert!(told.contains("lag 200k → 90k"), "{told}");
}

fn ledger_action() -> Action {
    let action =
        Action::proposed(ActionId("a".into()), "g".into(), Target::Command("pool".into()), (2, 4), Time::now());
    Action { state: ActionState::Verified, ..action }
}
