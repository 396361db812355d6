//! A desk and a server that is slow to take a lease back, and that does not know at first who asks. When a lease is held,
//! and by whom; and that nobody is kept out for longer than somebody decides.

use super::{
    server::{Api, desk_at},
    *,
};
use crate::model::LeaseUse;

impl Bench {
    async fn abandon(&self, prepared: &Prepared) {
        self.intents.send(Intent::Abandon { action: prepared.action.clone() }).await.unwrap();
    }
}

#[tokio::test]
async fn ones_own_last_dialog_does_not_stand_in_the_way_of_the_next_and_the_end_leaves_no_lease() {
    let api = Api::start().await;
    let mut bench = api.desk("alice");
    for _ in 0..3 {
        let prepared = bench.prepare(4).await;
        assert_eq!(told(&prepared), "");
    }
    assert!(api.holder().is_some_and(|h| h.starts_with("alice@corp/")), "{:?}", api.holder());
    bench.end().await;
    assert_eq!(api.holder(), None);
}

#[tokio::test]
async fn of_two_who_ask_at_once_one_decides_and_the_other_can_once_they_leave() {
    let api = Api::start().await;
    let (mut alice, mut bob) = (api.desk("alice"), api.desk("bob"));
    let (a, b) = tokio::join!(alice.prepare(4), bob.prepare(3));
    let (mut first, mut second) = ((alice, a), (bob, b));
    if !told(&first.1).is_empty() {
        std::mem::swap(&mut first, &mut second);
    }
    assert_eq!(told(&first.1), "");
    let holder = api.holder().unwrap();
    let who = holder.split('/').next().unwrap();
    assert!(told(&second.1).starts_with(&format!("{who} is deciding about this target")), "{}", told(&second.1));
    first.0.abandon(&first.1).await;
    api.free().await;
    let again = second.0.prepare(4).await;
    assert_eq!(told(&again), "");
    second.0.confirm(&again).await;
    second.0.state(ActionState::Applied).await;
    assert_eq!(api.count(), (4, 1));
    assert_eq!(api.holder(), None, "and behind the write it is free");
}

#[tokio::test]
async fn who_cannot_confirm_keeps_nobody_from_deciding() {
    let api = Api::start().await;
    let blocked = vec![Blocked { guard: "cooldown", detail: "changed a moment ago".into(), until: None }];
    let mut alice = api.desk_with("alice", blocked, |_, _| {});
    let looked = alice.prepare(4).await;
    assert!(told(&looked).contains("changed a moment ago"), "{}", told(&looked));
    assert_eq!(told(&*api.desk("bob").prepare(4).await), "");
}

#[tokio::test]
async fn a_refused_approval_gives_the_lease_back_at_once() {
    let api = Api::start().await;
    let mut alice = api.desk("alice");
    let prepared = alice.prepare(4).await;
    api.said().count = 3;
    alice.confirm(&prepared).await;
    let refused = alice.state(ActionState::Rejected).await;
    assert!(refused.reason.as_str().contains("the count is 3, not the 2"), "{}", refused.reason);
    api.free().await;
    assert_eq!(api.count(), (3, 0));
}

#[tokio::test]
async fn a_lease_whose_answer_was_lost_is_given_back_when_nothing_is_written() {
    let api = Api::start().await;
    let mut alice = api.desk_with("alice", Vec::new(), |config, _| config.ledger.lease = LeaseUse::Required);
    let prepared = alice.prepare(4).await;
    assert_eq!(told(&prepared), "");
    api.said().silent = 1;
    alice.confirm(&prepared).await;
    let failed = alice.state(ActionState::Failed).await;
    assert!(failed.reason.as_str().contains("refused, nothing was done: the lease"), "{}", failed.reason);
    assert_eq!((api.count(), api.holder()), ((2, 0), None));
}

#[tokio::test]
async fn who_was_not_known_at_the_start_is_asked_for_again() {
    let api = Api::start().await;
    api.said().unsure = 1;
    let mut bench = api.desk("alice");
    bench.prepare(4).await;
    assert_eq!(api.said().reviews, 2 + 1, "at the start, for the dialog, and by its plan");
    let entries = bench.end().await;
    assert!(entries.iter().all(|e| e.actor.server_user.as_ref().is_some_and(|u| *u == *"alice@corp")), "{entries:?}");
}

#[tokio::test]
async fn who_logs_in_after_the_start_can_approve() {
    let api = Api::start().await;
    let mut bench = api.desk_with("alice", Vec::new(), |config, dir| {
        config.kubernetes.as_mut().unwrap().kubeconfig = Some(dir.join("later"));
    });
    let before = bench.prepare(4).await;
    assert!(
        told(&before).contains("Kubernetes targets cannot be changed: cannot read the kubeconfig"),
        "{}",
        told(&before)
    );
    std::fs::rename(bench.dir.path().join("kubeconfig"), bench.dir.path().join("later")).unwrap();
    let after = bench.prepare(4).await;
    assert_eq!(told(&after), "");
    assert!(api.holder().is_some(), "and it is decided alone");
}

#[tokio::test]
async fn a_server_that_hangs_holds_no_other_decision_up_and_that_it_hangs_is_said() {
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut bench = desk_at(silent.local_addr().unwrap(), "alice", Vec::new(), |_, _| {});
    let (workload, plan_hash) = (Label::new("g"), Bench::hash());
    let prepare = Intent::Prepare { workload: workload.clone(), to: 4, plan_hash: plan_hash.clone(), way: 0 };
    bench.intents.send(prepare).await.unwrap();
    bench.intents.send(Intent::Reject { workload, plan_hash, reason: "not now".into() }).await.unwrap();
    let mut order = Vec::new();
    for _ in 0..2 {
        let happened = |e| match e {
            Event::Snoozed(..) => Some("decided".to_owned()),
            Event::Unprepared(u) => Some(u.why.to_string()),
            _ => None,
        };
        order.push(bench.next(happened).await);
    }
    assert_eq!(order[0], "decided");
    assert!(order[1].starts_with("deploy/shop/web did not answer within 6 s"), "{}", order[1]);
}
