//! The engine on the simulated world: what three sources say over real protocols becomes one picture with advice.

use crate::support::{PATIENCE, faces::Faces};
use highwater::{
    config::Config,
    engine::{self, Options},
    model::{Health, KafkaSettings, Picture, Role, Severity},
    world::{self, World},
};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// Waits for a picture in which `look` finds something.
async fn picture_with<T>(handle: &mut engine::Handle, what: &str, look: impl Fn(&Picture) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let picture: Arc<Picture> = handle.pictures.borrow_and_update().clone();
        if let Some(found) = look(&picture) {
            return found;
        }
        let next = timeout_at(deadline, handle.pictures.changed()).await;
        assert!(matches!(next, Ok(Ok(()))), "not in time: {what}. The workloads last seen: {:#?}", picture.workloads);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_falls_behind_is_on_top_with_a_priced_recommendation() {
    let faces = Faces::of("fraud").await;
    let config = Config::parse(include_str!("../config/demo.toml"), "demo.toml", false).unwrap();
    let mut handle = faces.watch(config);

    let view = picture_with(&mut handle, "more replicas for fraud-scorer, worst first", |p| {
        let first = p.workloads.first().filter(|v| v.workload.name == "fraud-scorer")?;
        let r = first.advice.recommendation.as_ref().ok()?;
        (r.recommended > r.current.desired).then(|| first.clone())
    })
    .await;
    let r = view.advice.recommendation.as_ref().unwrap();
    assert_eq!(view.severity, Severity::Act);
    assert!((r.current.desired, r.coverage) == (6, 1.0) && r.recommended <= 24, "{r:?}");
    let price = |n| r.price_of(n).map(|a| a.price).unwrap();
    assert!(price(r.recommended) < price(r.current.desired), "it costs less than staying: {:?}", r.alternatives);
    assert!(!r.reasons.is_empty() && r.blocked_by.is_empty(), "{r:?}");
    let forecast = view.advice.forecast.as_ref().expect("a band over the history that was there before us");
    assert!(forecast.points.iter().all(|q| q.p10 <= q.p50 && q.p50 <= q.p80 && q.p80 <= q.p95));
    for role in [Role::Demand, Role::Backlog, Role::TimeLag, Role::Replicas] {
        let reading = view.signal(role).and_then(|s| s.now.clone());
        assert!(reading.is_some_and(|r| !r.origin.is_empty()), "{role:?} has a value with an origin");
    }

    let picture = handle.pictures.borrow().clone();
    let ml = picture.ml.first().expect("the ML side");
    assert!(ml.gpus.len() == 8 && ml.services.len() == 1 && !ml.queues.is_empty() && ml.brokers.len() == 3, "{ml:?}");
    assert_eq!(picture.clusters.first().map(|c| c.brokers.len()), Some(3));
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clusters_are_read_side_by_side_each_at_its_own_pace() {
    let near = World::start("fraud", 7, 1.0).unwrap();
    let far = World::start("fraud", 8, 1.0).unwrap();
    let near_face = world::kafka::serve(near.clone()).await.unwrap();
    let far_face = world::kafka::serve(far.clone()).await.unwrap();
    let mut config = Config::default();
    config.kafka.push(KafkaSettings { refresh: 0.3, ..near_face.settings("near") });
    config.kafka.push(KafkaSettings { refresh: 1.0, ..far_face.settings("far") });
    let mut handle = engine::watch(Options { config, clock: near.clock(), state: None, past: None, days: false });
    let seen = picture_with(&mut handle, "both clusters, and a workload for each group of each", |p| {
        let whole = |name: &str| {
            let cluster = p.clusters.iter().find(|c| c.name == *name)?;
            let all = !cluster.groups.is_empty() && cluster.groups.iter().all(|g| g.coverage >= 1.0);
            all.then_some(cluster.groups.len())
        };
        let groups = whole("near")? + whole("far")?;
        (p.workloads.len() == groups).then(|| p.clone())
    })
    .await;
    let cadence = |name: &str| seen.sources.iter().find(|s| s.name == *name).map(|s| s.cadence);
    assert_eq!((cadence("near"), cadence("far")), (Some(0.3), Some(1.0)));
    let names: std::collections::BTreeSet<_> = seen.workloads.iter().map(|w| w.workload.name.clone()).collect();
    assert_eq!(names.len(), seen.workloads.len(), "groups of one name in two clusters are two workloads");

    drop(far_face);
    let at = seen.clusters.iter().find(|c| c.name == "near").map(|c| c.at);
    picture_with(&mut handle, "the far cluster down, the near one read on", |p| {
        let health = |name: &str| p.sources.iter().find(|s| s.name == *name).map(|s| s.health);
        let down = health("far") == Some(Health::Down) && p.clusters.iter().any(|c| c.name == "far");
        let on = p.clusters.iter().find(|c| c.name == "near").map(|c| c.at) > at;
        (down && health("near") == Some(Health::Ok) && on).then_some(())
    })
    .await;
    handle.stop().await;
}
