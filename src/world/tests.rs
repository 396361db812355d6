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

/// Lag of a group as the committed offsets show it.
fn lag(world: &World, id: &str) -> f64 {
    world.with(|s| {
        let group = s.groups.iter().find(|g| g.id == id).unwrap();
        group.group.lag(s.topics[group.topic].logs.ends())
    })
}

#[test]
fn fraud_falls_behind_within_a_minute_and_twelve_replicas_mend_it() {
    for seed in 1..4 {
        let world = World::manual("fraud", seed, START).unwrap();
        let before = lag(&world, "fraud-scorer");
        world.advance(60.0);
        assert!(lag(&world, "fraud-scorer") > before + 20_000.0, "seed {seed}: {before}");
        world.advance(60.0);
        let behind = lag(&world, "fraud-scorer");
        let (seconds, rate) = world.with(|s| (s.time_lag("fraud-scorer"), s.topics[0].rate));
        assert!(
            (20.0..60.0).contains(&seconds) && seconds > behind / rate,
            "seed {seed}: the worst partition is {seconds} s behind"
        );
        world.with(|s| s.set_replicas("payments", "fraud-scorer", 12, "test")).unwrap();
        let mut waiting = 0.0_f64;
        for _ in 0..30 {
            world.advance(10.0);
            waiting = waiting.max(world.with(|s| s.services[0].fleet.backlog()));
        }
        assert!(lag(&world, "fraud-scorer") < behind / 2.0, "seed {seed}: {behind}");
        assert!(waiting > 100.0, "seed {seed}: the model behind it is next: {waiting}");
        world.with(|s| s.set_replicas("ml", "fraud-model", 5, "test")).unwrap();
        world.advance(300.0);
        assert!(world.with(|s| s.services[0].fleet.backlog()) < 10.0);
    }
}

#[test]
fn quiet_stays_quiet_for_hours() {
    let world = World::manual("quiet", 2, START).unwrap();
    for _ in 0..24 {
        world.advance(300.0);
        world.with(|s| {
            for group in &s.groups {
                let topic = &s.topics[group.topic];
                let seconds = group.group.lag(topic.logs.ends()) / topic.rate;
                assert!(seconds < 15.0, "{} is {seconds} s behind", group.id);
            }
        });
    }
}

#[test]
fn the_incident_shows_a_frozen_broker_a_storm_and_a_poison_record() {
    let world = World::manual("incident", 2, START).unwrap();
    let short = |w: &World| {
        w.with(|s| {
            let now = s.now();
            s.scrapes()
                .named("kafka_server_replicamanager_underreplicatedpartitions")
                .filter_map(|series| series.at(now, 300.0))
                .map(|(_, v)| v)
                .sum::<f64>()
        })
    };
    assert!(short(&world) < 0.5);
    let (rebalances, poisoned) =
        world.with(|s| (s.groups[2].group.rebalances(), s.groups[3].group.readings()[17].committed));
    world.advance(120.0);
    assert!(short(&world) > 50.0, "two brokers lead what three did");
    assert!(world.with(|s| s.groups[2].group.rebalances()) > rebalances + 5);
    let still = world.with(|s| s.groups[3].group.readings()[17].committed);
    assert!((still - poisoned).abs() < 1e-9, "the poisoned partition's commit stands");
    world.advance(180.0);
    assert!(short(&world) < 0.5, "the broker is back and in sync");
}

#[test]
fn every_scraped_value_is_a_number_and_counters_never_fall() {
    let world = World::manual("incident", 4, START).unwrap();
    world.advance(900.0);
    world.with(|s| {
        assert!(s.scrapes().series().len() > 300);
        for series in s.scrapes().series() {
            let values: Vec<f64> = series.points(s.scrapes().first(), s.now()).map(|(_, v)| v).collect();
            assert!(
                !values.is_empty() && values.iter().all(|v| v.is_finite()),
                "{} {:?}",
                series.name(),
                series.labels()
            );
            let counter = ["_total", "_bucket", "_count", "_sum"].iter().any(|end| series.name().ends_with(end));
            if counter {
                assert!(values.windows(2).all(|w| w[0] <= w[1]), "{} {:?}", series.name(), series.labels());
            }
            assert!(series.labels().windows(2).all(|w| w[0].0 < w[1].0), "labels are sorted and each is named once");
        }
    });
}

#[test]
fn an_hpa_puts_back_what_somebody_else_wrote() {
    let world = World::manual("quiet", 2, START).unwrap();
    world.with(|s| s.set_replicas("orders", "orders-etl", 5, "kubectl")).unwrap();
    world.advance(40.0);
    let orders = |w: &World| w.with(|s| s.deployment("orders", "orders-etl").cloned()).unwrap();
    let back = orders(&world);
    assert!(back.desired >= 12, "{}", back.desired);
    assert_eq!(back.last_writer.0, "kube-controller-manager");
    // Its bounds are the lever: lowered, it goes where its metric leads.
    world.with(|s| s.update_hpa("orders", "orders-etl", |h| h.min = 8)).unwrap();
    let mut fewest = back.desired;
    for _ in 0..60 {
        world.advance(20.0);
        fewest = fewest.min(orders(&world).desired);
    }
    assert_eq!(fewest, 8);
}

#[test]
fn a_scaled_object_leads_the_hpa_that_keda_made_of_it() {
    let world = World::manual("quiet", 2, START).unwrap();
    let hpa =
        |w: &World| w.with(|s| s.hpas().iter().find(|h| h.value.keda).map(|h| (h.value.min, h.value.max))).unwrap();
    assert_eq!(hpa(&world), (2, 30));
    let counts = world.with(|s| {
        let now = s.now();
        let series =
            s.scrapes().named("kube_deployment_spec_replicas").find(|x| x.label("deployment") == "clickstream");
        series.unwrap().points(now.plus(-4.0 * 3600.0), now).map(|(_, v)| v as u32).collect::<Vec<_>>()
    });
    // KEDA compares whole multiples of the threshold, so a remainder lets one more than the 24 partitions through.
    assert!(counts.iter().all(|n| (10..=25).contains(n)), "no more than there are partitions: {counts:?}");
    let changes = counts.windows(2).filter(|w| w[0] != w[1]).count();
    assert!(changes < 30, "{changes} changes in four quiet hours");
    world.with(|s| s.update_scaled_object("web", "clickstream", |o| o.max = 16)).unwrap();
    world.advance(20.0);
    assert_eq!(hpa(&world), (2, 16));
}

#[tokio::test(start_paused = true)]
async fn a_running_world_moves_by_itself_and_tells_its_watchers() {
    assert!(World::start_at("quiet", 1, 0.0, START).is_err());
    let world = World::start_at("quiet", 1, 10.0, START).unwrap();
    assert!(world.now() >= START && (world.clock().speed() - 10.0).abs() < 1e-9);
    let version = world.with(|s| s.version());
    let waiting = tokio::spawn({
        let world = world.clone();
        async move { world.changed(version).await }
    });
    tokio::task::yield_now().await;
    world.with(|s| s.set_replicas("payments", "payments-audit", 4, "test")).unwrap();
    assert!(waiting.await.unwrap() > version);
    assert!(World::start("nothing", 1, 1.0).unwrap_err().contains("fraud, quiet, incident"));
}
