//! What becomes of one approval when the request that writes goes wrong in each of the ways that it can.

use super::*;
use crate::real::{
    kubernetes::{kubernetes, wait},
    proxy::{Fault, Proxy},
};
use ActionState::{Failed, Verified};

/// A name, what happens to its write, where its action ends, what is said of it, and the count in the end.
const TABLE: [(&str, Fault, ActionState, &str, u64); 12] = [
    ("unauthorised", Fault::Answer(401), Failed, "refused, nothing was done", 1),
    ("forbidden", Fault::Answer(403), Failed, "refused, nothing was done", 1),
    ("missing", Fault::Answer(404), Failed, "refused, nothing was done", 1),
    ("conflict", Fault::Answer(409), Failed, "refused, nothing was done", 1),
    ("invalid", Fault::Answer(422), Failed, "refused, nothing was done", 1),
    ("busy", Fault::Answer(429), Failed, "refused, nothing was done", 1),
    ("broken", Fault::Answer(500), Failed, "not applied: the count is 1 after", 1),
    ("unavailable", Fault::Answer(503), Failed, "not applied: the count is 1 after", 1),
    ("hangs-before", Fault::HangBefore, Failed, "not applied: the count is 1 after", 1),
    ("hangs-after", Fault::HangAfter, Verified, "2 of 2 ready", 2),
    // The desk gives up after 15 s; this one arrives a moment later.
    ("late", Fault::Late(Duration::from_secs(17)), Verified, "2 of 2 ready", 2),
    ("cut", Fault::Cut, Verified, "2 of 2 ready", 2),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_leads_to_its_state_and_nothing_is_written_twice() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await.with_kubelet(Duration::ZERO);
    let proxy = Proxy::start(server.client("alice").await).await;
    for rows in TABLE.chunks(GROUPS.len()) {
        let names: Vec<&str> = rows.iter().map(|(name, ..)| *name).collect();
        for (name, fault, ..) in rows {
            space.deployment(name, 1).await;
            proxy.set(name, *fault);
        }
        let stage = Stage::build(&space, proxy.settings(&space.name), &names).await;
        play(&space, &proxy, &stage, rows).await;
    }
}

async fn play(space: &Namespace, proxy: &Proxy, stage: &Stage, rows: &[(&str, Fault, ActionState, &str, u64)]) {
    let mut desk = stage.start();
    let mut actions = Vec::new();
    for (name, ..) in rows {
        actions.push(desk.approve(name, 2).await);
    }
    for ((name, fault, state, reason, count), id) in rows.iter().copied().zip(&actions) {
        let ended = desk.action("it comes to rest", |a| a.id == *id && a.state.is_final()).await;
        assert_eq!(ended.state, state, "{name}: {ended:?}");
        assert!(ended.reason.as_str().contains(reason), "{name}: {}", ended.reason);
        assert_eq!(space.replicas(name).await, count, "{name}");
        let went = stage.states(id);
        let certain = matches!(fault, Fault::None | Fault::Answer(400..500));
        assert_eq!(went.contains(&"unknown"), !certain, "{name}: {went:?}");
        let writes = usize::from(count == 2);
        wait("the audit log has it", async || space.writes("alice", name).len() >= writes).await;
        assert_eq!(space.writes("alice", name).len(), writes, "{name}");
        assert_eq!(proxy.heard(name), 1, "{name}: one request that writes, whatever came of it");
    }
    desk.handle.stop().await;
}

/// The dialog shows one object; what is there when the key is pressed is another of the same name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_made_again_between_the_dialog_and_the_key_is_refused() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    space.deployment("web", 2).await;
    let stage = Stage::build(&space, server.settings("alice", &[&space.name]), &["web"]).await;
    let mut desk = stage.start();
    let prepared = desk.prepare("web", 3).await;
    let first = desk.action("it is proposed", |a| a.id == prepared.action).await.uid;
    space.delete("apps/v1", "Deployment", "web").await;
    space.deployment("web", 2).await;
    desk.picture("the new one is seen", |p| {
        let view = p.workload("web")?;
        let uid = view.state.replicas.as_ref()?.uid.clone();
        (uid != first && view.advice.recommendation.is_ok()).then_some(())
    })
    .await;
    desk.confirm(&prepared).await;
    let ended = desk.reaches(&prepared.action, ActionState::Rejected).await;
    assert!(ended.reason.as_str().contains("made again"), "{}", ended.reason);
    assert_eq!(space.replicas("web").await, 2);
    assert!(space.writes("alice", "web").is_empty());
    desk.handle.stop().await;
}
