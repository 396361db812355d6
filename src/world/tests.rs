//! What somebody who looks at a world relies on.

use super::*;

/// 2026-10-05T22:00:00Z.
const START: Time = Time::from_millis(1_791_237_600_000);

#[test]
fn the_same_seed_gives_the_same_world_however_it_is_looked_at() {
    let often = World::manual("fraud", 7, START).unwrap();
    let once = World::manual("fraud", 7, START).unwrap();
    for _ in 0..30 {
        often.advance(10.0);
    }
    once.advance(300.0);
    let picture = |w: &World| w.with(|s| format!("{:?} {:?} {:?}", s.topics, s.groups, s.deployments()));
    assert_eq!(picture(&often), picture(&once));
}

#[test]
fn scaling_makes_pods_that_get_ready_later() {
    let world = World::manual("fraud", 7, START).unwrap();
    let version = world.with(|s| s.version());
    world.with(|s| s.set_replicas("payments", "fraud-scorer", 12, "test")).unwrap();
    assert!(world.with(|s| s.version()) > version);
    world.advance(5.0);
    let counts =
        |w: &World| w.with(|s| s.deployment("payments", "fraud-scorer").map(|d| (d.desired, d.current, d.ready)));
    assert_eq!(counts(&world), Some((12, 12, 6)));
    world.advance(120.0);
    assert_eq!(counts(&world), Some((12, 12, 12)));
    let missing = world.with(|s| s.set_replicas("payments", "nobody", 1, "test")).unwrap_err();
    assert!(missing.to_string().contains("nobody"));
}

#[test]
fn scrapes_cover_the_history_in_steps() {
    let world = World::manual("fraud", 7, START).unwrap();
    world.with(|s| {
        let series = s.scrapes().named("kube_deployment_spec_replicas").next().unwrap();
        let points: Vec<_> = series.points(START.plus(-3600.0), START).collect();
        assert_eq!(points.len(), 241, "an hour at 15 s, both ends");
        assert!(points.windows(2).all(|w| w[1].0.millis() - w[0].0.millis() == 15_000));
        assert_eq!(series.label("deployment"), "fraud-scorer");
        assert_eq!(series.at(START.plus(-3.0), 300.0).unwrap().0, START.plus(-15.0));
    });
}
