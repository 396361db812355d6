//! One more Job from a template is an action like any other: shown, conditional, verified, and taken back by what a Job
//! has for it.

use super::*;
use crate::real::kubernetes::{kubernetes, wait};
use highwater::act::{Actuator, Change, Outcome};
use highwater::source::kubernetes::connect_to_change;
use serde_json::json;

/// The example's template, where a configuration finds it.
const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/actuators/fine-tuning-job.yaml");

/// The stage with one workload over the Jobs of the example's template.
async fn stage(space: &Namespace, user: &str) -> Stage {
    let more = format!("[actuator.job.fine-tuning]\ntemplate = \"{TEMPLATE}\"\n");
    let target = format!("jobs/{}/fine-tuning", space.name);
    let settings = space.server.settings(user, &[&space.name]);
    Stage::with(settings, &[("tuning".to_owned(), target)], &more).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_started_verified_and_taken_back() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await.with_kubelet(Duration::ZERO);
    let stage = stage(&space, "alice").await;
    let mut desk = stage.start();
    let prepared = desk.prepare("tuning", 1).await;
    assert_eq!(prepared.from, 0, "no Job is a count too");
    assert!(prepared.owner.as_str().contains("one more starts 1 on 1 GPUs"), "{}", prepared.owner);
    assert!(prepared.request[0].as_str().starts_with("POST /apis/batch/v1/namespaces/"), "{:?}", prepared.request);
    assert!(space.list("batch/v1", "Job").await.is_empty(), "nothing is made before the key");
    desk.confirm(&prepared).await;
    desk.reaches(&prepared.action, ActionState::Verified).await;
    let jobs = space.list("batch/v1", "Job").await;
    let [job] = jobs.as_slice() else { panic!("one Job: {jobs:?}") };
    assert_eq!(job["metadata"]["labels"]["highwater.io/action"], json!(prepared.action.to_string()));
    assert_eq!((&job["spec"]["parallelism"], &job["metadata"]["labels"]["team"]), (&json!(1), &json!("ml")));

    // Two more in one Job, and the way back takes those two.
    let more = desk.approve("tuning", 2).await;
    desk.reaches(&more, ActionState::Verified).await;
    desk.send(Intent::Undo { action: more.clone() }).await;
    let back = desk.picture("the way back", |p| p.prepared.clone().filter(|p| p.to == 1 && p.from == 2)).await;
    assert!(back.refused.is_empty() && back.ways[0].as_str().contains("parallelism 1 → 0"), "{back:?}");
    desk.confirm(&back).await;
    desk.reaches(&back.action, ActionState::Verified).await;
    let mut left: Vec<_> =
        space.list("batch/v1", "Job").await.iter().map(|j| j["spec"]["parallelism"].clone()).collect();
    left.sort_by_key(serde_json::Value::as_u64);
    assert_eq!(left, [json!(0), json!(1)], "the Job that was made last is paused, the other goes on");
    desk.handle.stop().await;
    assert_eq!(stage.states(&more), ["proposed", "approved", "applying", "applied", "verified"]);
}

/// Of eight operators that saw the same Jobs one makes the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_eight_that_saw_the_same_jobs_one_makes_the_next() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    let stage = stage(&space, "bob").await;
    let client = connect_to_change(&server.settings("bob", &[&space.name])).await.unwrap();
    let bob = Actuator::new(Some((client, "real".into())), &[], stage.world.clock()).with_jobs(&stage.config.jobs);
    let target = stage.config.workloads[0].target.clone().unwrap();
    for round in 0_u32..5 {
        let change = |i: u32| Change {
            action: ActionId(format!("R{round}O{i}").as_str().into()),
            target: target.clone(),
            uid: None,
            from: round,
            to: round + 1,
            reason: "test".into(),
            lever: None,
        };
        assert!(bob.plan(&change(0)).await.refused.is_empty());
        let writers = (0..8).map(|i| {
            let (bob, change) = (bob.clone(), change(i));
            tokio::spawn(async move { bob.apply(&change).await })
        });
        let outcomes: Vec<Outcome> =
            futures_util::future::join_all(writers).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(outcomes.iter().filter(|o| **o == Outcome::Applied).count(), 1, "{outcomes:?}");
        let told = |o: &Outcome| matches!(o, Outcome::Refused(why) if why.as_str().contains("look again"));
        assert_eq!(outcomes.iter().filter(|o| told(o)).count(), 7, "{outcomes:?}");
        let count = async || bob.observe(&target).await.unwrap().replicas.desired;
        wait("it is seen", async || count().await == round + 1).await;
    }
    let lower = Change {
        action: ActionId("down".into()),
        target: target.clone(),
        uid: None,
        from: 5,
        to: 3,
        reason: "test".into(),
        lever: None,
    };
    assert!(bob.plan(&lower).await.offers.is_empty(), "no Job has two workers");
    assert!(matches!(bob.apply(&lower).await, Outcome::Refused(_)));
}
