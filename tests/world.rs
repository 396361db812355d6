//! The reader of Kafka against the simulated world: what it shows is what the world knows.

use highwater::{
    model::{BrokerState, Group, GroupType, KafkaCluster, Time},
    source::kafka::Reader,
    world::{
        World,
        kafka::{KafkaFace, serve},
    },
};

/// 2026-10-05T22:00:00Z.
const START: Time = Time::from_millis(1_791_237_600_000);

async fn face(scenario: &str) -> (World, KafkaFace) {
    let world = World::manual(scenario, 3, START).unwrap();
    let face = serve(world.clone()).await.unwrap();
    (world, face)
}

fn group<'a>(cluster: &'a KafkaCluster, id: &str) -> &'a Group {
    cluster.groups.iter().find(|g| g.group == *id).unwrap()
}

#[tokio::test]
async fn lag_members_and_brokers_are_the_worlds_own() {
    let (world, face) = face("fraud").await;
    for _ in 0..3 {
        let mut reader = Reader::connect(&face.settings("sim"), world.clock()).unwrap();
        reader.refresh().await;
        let seen = reader.refresh().await;
        assert!(seen.brokers.len() == 3 && seen.brokers.iter().all(|b| b.state == BrokerState::Up));
        assert_eq!((seen.topics.len(), seen.groups.len()), (4, 4));
        for known in &seen.groups {
            let truth = world.with(|s| s.lags(known.group.as_str()));
            let lags: Vec<i64> = known.partitions.iter().map(|p| i64::try_from(p.lag.unwrap()).unwrap()).collect();
            assert_eq!(lags, truth, "{}", known.group);
            assert!(known.coverage >= 1.0 && known.lag == Some(truth.iter().sum::<i64>().unsigned_abs()));
            assert!(known.partitions.iter().all(|p| p.owner.is_some()), "{}", known.group);
        }
        let scorer = group(&seen, "fraud-scorer");
        assert_eq!((scorer.members.len(), scorer.kind), (6, GroupType::Classic));
        assert_eq!(group(&seen, "clickstream").kind, GroupType::Consumer);
        let (told, truth) = (scorer.time_lag.unwrap(), world.with(|s| s.time_lag("fraud-scorer")));
        assert!((told - truth).abs() < 10.0 + 0.3 * truth, "{told} s behind, in truth {truth}");
        world.advance(60.0);
    }
}

#[tokio::test]
async fn a_frozen_broker_is_said_and_nothing_is_forgotten() {
    let (world, face) = face("incident").await;
    let mut reader = Reader::connect(&face.settings("sim"), world.clock()).unwrap();
    let before = reader.refresh().await;
    world.advance(48.0); // frozen at 45 s, fenced at 55
    let during = reader.refresh().await;
    let down: Vec<i32> =
        during.brokers.iter().filter(|b| matches!(b.state, BrokerState::Down { .. })).map(|b| b.id).collect();
    assert_eq!(down, [1]);
    assert_eq!(during.groups.len(), before.groups.len(), "a group is not gone because its coordinator is silent");
    for known in &during.groups {
        assert!(known.coverage < 1.0, "{}: a third of its partitions is not known now", known.group);
        assert!(known.lag.is_some());
    }
}
