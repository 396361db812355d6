//! Approvals for later, the way back, and what becomes of changes that others take back or that do not help.

use super::*;

impl Bench {
    async fn confirm_at(&mut self, prepared: &Prepared, at: Time) {
        let (action, plan_hash) = (prepared.action.clone(), prepared.plan_hash.clone());
        self.intents.send(Intent::ConfirmAt { action, plan_hash, at }).await.unwrap();
    }

    async fn done(&mut self, to: u32) -> Action {
        let prepared = self.prepare(to).await;
        assert!(prepared.refused.is_empty(), "{prepared:?}");
        self.confirm(&prepared).await;
        self.state(ActionState::Applied).await
    }

    pub(super) async fn asked_back(&mut self, action: &ActionId) -> Arc<Prepared> {
        self.intents.send(Intent::Undo { action: action.clone() }).await.unwrap();
        self.next(|e| if let Event::Prepared(Some(p)) = e { Some(p) } else { None }).await
    }
}

#[tokio::test]
async fn an_approval_for_later_is_begun_then() {
    let mut bench = Bench::new(SET, Vec::new());
    let prepared = bench.prepare(4).await;
    bench.confirm_at(&prepared, Time::now().plus(1.0)).await;
    let waits = bench.state(ActionState::Approved).await;
    assert!(waits.terms.begin_at.is_some() && bench.count() == "2", "{waits:?}");
    let applied = bench.state(ActionState::Applied).await;
    assert_eq!(bench.count(), "4");
    assert!(applied.updated >= waits.terms.begin_at.unwrap());
}

#[tokio::test]
async fn what_was_approved_for_later_is_checked_anew_then() {
    let mut bench = Bench::new(SET, Vec::new());
    let prepared = bench.prepare(4).await;
    bench.confirm_at(&prepared, Time::now().plus(1.0)).await;
    bench.state(ActionState::Approved).await;
    let mut other_way = recommendation(Vec::new());
    other_way.recommended = 1;
    bench.pictures.send_replace(picture(other_way, 2));
    let rejected = bench.state(ActionState::Rejected).await;
    assert!(rejected.reason.as_str().contains("1 is recommended now instead of 4"), "{}", rejected.reason);
    assert_eq!(bench.count(), "2");
}

#[tokio::test]
async fn an_approval_for_later_outlasts_what_stands_against_it_for_a_moment() {
    let mut bench = Bench::new(SET, Vec::new());
    let prepared = bench.prepare(4).await;
    bench.confirm_at(&prepared, Time::now().plus(3.0)).await;
    bench.state(ActionState::Approved).await;
    let partial = Blocked { guard: "coverage", detail: "1 of 40 partitions unknown".into(), until: None };
    bench.pictures.send_replace(picture(recommendation(vec![partial]), 2));
    bench.told("g 2 → 4 waits, it is not begun yet: coverage: 1 of 40 partitions unknown").await;
    assert_eq!(bench.count(), "2");
    bench.pictures.send_replace(picture(recommendation(Vec::new()), 2));
    bench.state(ActionState::Applied).await;
    assert_eq!(bench.count(), "4");
}

#[tokio::test]
async fn an_approval_for_later_can_be_cancelled_and_holds_its_target_until_then() {
    let mut bench = Bench::new(SET, Vec::new());
    let prepared = bench.prepare(4).await;
    bench.confirm_at(&prepared, Time::now().plus(600.0)).await;
    let waits = bench.state(ActionState::Approved).await;
    let second = bench.prepare(3).await;
    assert!(second.refused.iter().any(|r| r.as_str().contains("cancel it first")), "{:?}", second.refused);
    bench.intents.send(Intent::Cancel { action: waits.id.clone() }).await.unwrap();
    bench.told("cancelled").await;
    assert!(bench.prepare(4).await.refused.is_empty());
    bench.intents.send(Intent::Cancel { action: waits.id }).await.unwrap();
    bench.told("cannot be cancelled any more: it is rejected").await;
}

#[tokio::test]
async fn what_waits_for_its_time_is_no_action_of_this_hour() {
    let mut bench = Bench::with(SET, Vec::new(), |c, _| c.limits.actions_per_hour = 1);
    let prepared = bench.prepare(4).await;
    bench.confirm_at(&prepared, Time::now().plus(600.0)).await;
    let waits = bench.state(ActionState::Approved).await;
    let hourly = |p: &Prepared| p.refused.iter().any(|r| r.as_str().starts_with("1 actions in the last hour"));
    assert!(!hourly(&*bench.prepare(3).await), "it is not begun");
    bench.intents.send(Intent::Cancel { action: waits.id }).await.unwrap();
    bench.told("cancelled").await;
    bench.done(4).await;
    let second = bench.prepare(3).await;
    assert!(
        second.refused.iter().any(|r| r.as_str().starts_with("1 actions in the last hour")),
        "{:?}",
        second.refused
    );
}

#[tokio::test]
async fn an_instant_in_the_past_or_far_ahead_is_no_approval() {
    for away in [-1.0, 13.0 * 3600.0] {
        let mut bench = Bench::new(SET, Vec::new());
        let prepared = bench.prepare(4).await;
        bench.confirm_at(&prepared, Time::now().plus(away)).await;
        bench.told("not within the next 12 hours").await;
        assert_eq!(bench.count(), "2");
    }
}

#[tokio::test]
async fn a_change_is_undone_by_a_change_of_its_own() {
    let cooldown = Blocked { guard: "cooldown", detail: "changed a moment ago".into(), until: None };
    let mut bench = Bench::new(SET, Vec::new());
    let done = bench.done(4).await;
    // What holds new changes back does not hold the way back.
    bench.pictures.send_replace(picture(recommendation(vec![cooldown]), 4));
    let back = bench.asked_back(&done.id).await;
    assert_eq!((back.from, back.to, back.refused.len()), (4, 2, 0));
    assert_eq!(bench.count(), "4", "asking changes nothing");
    bench.confirm(&back).await;
    let undone = bench.next(|e| match e {
        Event::Actions(all) => all.iter().find(|a| a.state == ActionState::RolledBack).cloned(),
        _ => None,
    });
    assert_eq!(undone.await.id, done.id);
    assert_eq!(bench.count(), "2");
    let entries = bench.end().await;
    let undo = entries.iter().find(|e| e.terms.undoes.as_ref() == Some(&done.id)).unwrap();
    assert_eq!((undo.from, undo.to), (Some(4), Some(2)));
}

#[tokio::test]
async fn there_is_no_way_back_from_what_moved_on() {
    let mut bench = Bench::new(SET, Vec::new());
    let done = bench.done(4).await;
    bench.set("5");
    bench.state(ActionState::Failed).await;
    bench.intents.send(Intent::Undo { action: done.id }).await.unwrap();
    bench.told("there is nothing to undo").await;
    assert_eq!(bench.count(), "5");
}

#[tokio::test]
async fn two_changes_that_were_taken_back_bench_their_target() {
    let mut bench = Bench::new(SET, Vec::new());
    for _ in 0..2 {
        bench.done(4).await;
        bench.set("2"); // an autoscaler that thinks otherwise
        let failed = bench.state(ActionState::Failed).await;
        assert!(failed.reason.as_str().contains("reverted"), "{}", failed.reason);
    }
    bench.told("command/pool is benched for an hour: 2 changes were taken back").await;
    let third = bench.prepare(4).await;
    assert!(third.refused.iter().any(|r| r.as_str().starts_with("benched until")), "{:?}", third.refused);
    bench.confirm(&third).await;
    bench.state(ActionState::Rejected).await;
    assert_eq!(bench.count(), "2");
    assert!(bench.end().await.iter().any(|e| e.action.is_none() && e.reason.as_str().contains("benched")));
}

/// From the confirming intent to the first thing that the command does. `cargo test --release … -- --ignored`
#[tokio::test]
#[ignore = "a measurement"]
async fn how_long_from_approval_to_request() {
    let mut taken = Vec::new();
    for _ in 0..20 {
        let mut bench = Bench::new("date +%s%N > FILE.at; echo \"$1\" > FILE", Vec::new());
        let prepared = bench.prepare(4).await;
        let asked = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        bench.confirm(&prepared).await;
        bench.state(ActionState::Applied).await;
        let began: u128 = std::fs::read_to_string(bench.dir.path().join("count.at")).unwrap().trim().parse().unwrap();
        taken.push((began - asked) / 1000);
    }
    taken.sort_unstable();
    println!("approve to request: median {} us, worst {} us", taken[10], taken[19]);
}
