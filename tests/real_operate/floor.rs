//! Counts that somebody else has a say in: floors that are raised and put back, changes that are taken back.

use super::*;
use crate::real::kubernetes::{kubernetes, wait};
use serde_json::{Value, json};

async fn floor(space: &Namespace, name: &str) -> Value {
    space.get("autoscaling/v2", "HorizontalPodAutoscaler", name).await["spec"]["minReplicas"].clone()
}

fn way_back(of: &ActionId, state: ActionState) -> impl Fn(&Action) -> bool {
    move |a| a.is_put_back() && a.terms.undoes.as_ref() == Some(of) && a.state == state
}

/// The whole way on the HPA's own controller: raised, followed, written down to be put back, lost with the process, found
/// again by the next, put back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raised_floor_outlives_the_process_and_is_put_back() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await.with_kubelet(Duration::ZERO);
    server.metrics().set(&space.name, "held", 40); // ten a pod: four pods
    space.deployment("held", 4).await;
    space.hpa("held", 2, 8).await;
    let stage = Stage::build(&space, server.settings("alice", &[&space.name]), &["held"]).await;

    let mut desk = stage.start();
    let prepared = desk.prepare("held", 6).await;
    assert!(prepared.ways[0].as_str().contains("floor 2 → 6"), "{:?}", prepared.ways);
    assert!(prepared.after.as_str().contains("put back at"), "{}", prepared.after);
    desk.confirm(&prepared).await;
    let raise = prepared.action.clone();
    wait("the HPA follows its floor", async || space.replicas("held").await == 6).await;
    desk.reaches(&raise, ActionState::Verified).await;
    let first = desk.action("the way back waits", way_back(&raise, ActionState::Approved)).await;
    assert_eq!((first.from, first.to), (6, 4));
    assert_eq!(first.request.as_str(), format!("hpa/{}/held: floor 6 → 2", space.name));
    desk.handle.stop().await;
    assert_eq!(floor(&space, "held").await, json!(6));

    let mut desk = stage.start();
    desk.reaches(&first.id, ActionState::Expired).await;
    let again = desk.action("the way back waits again", way_back(&raise, ActionState::Approved)).await;
    assert_ne!(again.id, first.id);
    desk.reaches(&again.id, ActionState::Verified).await;
    assert_eq!(floor(&space, "held").await, json!(2));
    wait("the metric decides again", async || space.replicas("held").await == 4).await;
    desk.handle.stop().await;
    assert_eq!(stage.states(&again.id), ["proposed", "approved", "applying", "applied", "verified"]);
    assert_eq!(space.writes("alice", "held").len(), 2, "one request up, one back");
}

/// Where KEDA owns the count one may choose to only keep it: nothing shrinks until the annotation goes again by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keda_is_not_to_shrink_is_kept_and_let_go_again() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await.with_kubelet(Duration::ZERO);
    space.deployment("orders", 3).await;
    space.scaled_object("orders", 2, 8).await;
    space.kedas_hpa("orders", 2, 8).await;
    let pause = async || {
        let object = space.get("keda.sh/v1alpha1", "ScaledObject", "orders").await;
        object["metadata"]["annotations"]["autoscaling.keda.sh/paused-scale-in"].clone()
    };
    let stage = Stage::build(&space, server.settings("alice", &[&space.name]), &["orders"]).await;
    let mut desk = stage.start();
    let prepared = desk.prepare_way("orders", 5, 1).await;
    assert_eq!((prepared.from, prepared.to, prepared.ways.len()), (3, 3, 2), "{:?}", prepared.ways);
    assert!(prepared.ways[1].as_str().contains("keeps the 3 there are"), "{:?}", prepared.ways);
    desk.confirm(&prepared).await;
    let kept = prepared.action.clone();
    desk.reaches(&kept, ActionState::Verified).await;
    assert_eq!(pause().await, json!("true"));
    let back = desk.action("the way back was gone", way_back(&kept, ActionState::Verified)).await;
    assert_eq!(back.request.as_str(), format!("scaledobject/{}/orders: paused-scale-in true → unset", space.name));
    assert_eq!(pause().await, Value::Null);
    assert_eq!(space.replicas("orders").await, 3);
    desk.handle.stop().await;
}

/// What an operator cancels stays; what somebody else moved is left alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_back_is_cancelled_or_finds_that_somebody_else_decided() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await.with_kubelet(Duration::ZERO);
    for name in ["kept", "moved"] {
        server.metrics().set(&space.name, name, 40);
        space.deployment(name, 4).await;
        space.hpa(name, 2, 8).await;
    }
    let stage = Stage::build(&space, server.settings("alice", &[&space.name]), &["kept", "moved"]).await;
    let mut desk = stage.start();
    let kept = desk.approve("kept", 6).await;
    let moved = desk.approve("moved", 6).await;
    let cancelled = desk.action("the way back waits", way_back(&kept, ActionState::Approved)).await;
    desk.send(Intent::Cancel { action: cancelled.id.clone() }).await;
    desk.reaches(&cancelled.id, ActionState::Rejected).await;
    desk.reaches(&moved, ActionState::Verified).await;
    space.patch("autoscaling/v2", "HorizontalPodAutoscaler", "moved", json!({"spec": {"minReplicas": 3}})).await;
    let left = desk.action("it finds another floor", way_back(&moved, ActionState::Rejected)).await;
    assert!(left.reason.as_str().contains("somebody else moved it"), "{}", left.reason);
    assert!(left.updated >= cancelled.terms.begin_at.unwrap(), "the cancelled one's time has passed as well");
    assert_eq!((floor(&space, "kept").await, floor(&space, "moved").await), (json!(6), json!(3)));
    desk.handle.stop().await;
}

/// A floor that somebody lowered while the raise was still being watched, and counts that the HPA takes back: the one who
/// did it is named, and after two of them the target is left alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_a_count_back_is_named_and_two_of_them_bench_the_target() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await.with_kubelet(Duration::ZERO);
    server.metrics().set(&space.name, "fought", 20);
    space.deployment("fought", 2).await;
    let stage = Stage::build(&space, server.settings("alice", &[&space.name]), &["fought"]).await;
    let mut desk = stage.start();
    for round in 0..2 {
        let id = desk.approve("fought", 4).await;
        desk.reaches(&id, ActionState::Applied).await;
        // An autoscaler that was not there when it was approved.
        space.hpa("fought", 1, 3).await;
        let failed = desk.reaches(&id, ActionState::Failed).await;
        let by = failed.terms.reverted_by.as_ref().map(highwater::model::Label::as_str);
        assert_eq!(by, Some("kube-controller-manager"), "round {round}: {failed:?}");
        assert!(failed.reason.as_str().starts_with("reverted by kube-controller-manager"), "{}", failed.reason);
        wait("the metric decides", async || space.replicas("fought").await == 2).await;
        space.delete("autoscaling/v2", "HorizontalPodAutoscaler", "fought").await;
    }
    let told = desk.told("is benched for an hour").await;
    assert!(told.contains("2 changes were taken back"), "{told}");
    desk.handle.stop().await;
    let notes = stage.entries().into_iter().filter(|e| e.action.is_none());
    assert!(notes.map(|e| e.reason.to_string()).any(|r| r.contains("benched")), "and the ledger has it");
}
