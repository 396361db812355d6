//! What a Kafka cluster looks like to the reader, whoever serves it: the simulated world's face, or Apache Kafka.

use crate::real;
use highwater::{
    model::{BrokerState, KafkaCluster, KafkaSettings, LogDir, Partition},
    process::Clock,
    source::kafka::Reader,
    world::{self, World},
};

/// The suite: reads only, and assumes at least one group with lag-free or lagging partitions. `more`: requests beyond the
/// budget that a broker costs which takes one group at a time.
async fn holds(settings: &KafkaSettings, clock: Clock, more: usize) {
    let mut reader = Reader::connect(settings, clock).unwrap();
    let first = reader.refresh().await;
    assert_eq!(reader.trouble(), None);
    assert!(!first.brokers.is_empty() && !first.topics.is_empty() && !first.groups.is_empty());
    for _ in 0..4 {
        let cluster = reader.refresh().await;
        every_broker_answers(&cluster);
        within_the_budget(&cluster, more);
        lag_follows_from_offsets(&cluster);
        assert!(cluster.at >= first.at);
    }
    what_ages_well_is_read_in_turn(&mut reader, more).await;
}

/// Configurations, disks and last stable offsets share what is left of the budget, and all come within some refreshes.
async fn what_ages_well_is_read_in_turn(reader: &mut Reader, more: usize) {
    for _ in 0..20 {
        let cluster = reader.refresh().await;
        within_the_budget(&cluster, more);
        let topics = cluster.topics.iter().all(|t| {
            let known = |p: &Partition| p.stable.is_some_and(|s| Some(s.offset) <= p.end) && p.bytes.is_some();
            t.config.as_ref().is_some_and(|c| c.deletes || c.compacts) && t.partitions.iter().all(known)
        });
        let disk = |d: &LogDir| d.total.is_none_or(|total| Some(total) > d.usable) && d.error.is_none();
        let disks = cluster.brokers.iter().all(|b| !b.log_dirs.is_empty() && b.log_dirs.iter().all(disk));
        if topics && disks && cluster.offsets_retention.is_some_and(|s| s > 0.0) && cluster.denied.is_empty() {
            return;
        }
        // The rota counts in seconds: a refresh at once would find nothing due.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    panic!("something that ages well was not read within twenty refreshes");
}

fn every_broker_answers(cluster: &KafkaCluster) {
    for b in &cluster.brokers {
        assert_eq!(b.state, BrokerState::Up, "broker {}", b.id);
        assert!(b.rtt.is_some_and(|s| s < 2.0));
    }
    assert!(cluster.brokers.windows(2).all(|w| w[0].id < w[1].id), "by id");
    let led: u32 = cluster.brokers.iter().map(|b| b.leads).sum();
    let partitions = cluster.topics.iter().flat_map(|t| &t.partitions);
    assert_eq!(led as usize, partitions.clone().filter(|p| p.leader.is_some()).count());
    for p in partitions {
        assert!(p.end.is_some() && p.log_start.is_some(), "every leader answered");
        assert!(p.log_start <= p.end);
    }
}

/// At most six requests per broker and one, whatever the numbers of groups and partitions.
fn within_the_budget(cluster: &KafkaCluster, more: usize) {
    let most = 6 * cluster.brokers.len() + 1 + more;
    assert!(cluster.requests as usize <= most, "{} requests, {most} allowed", cluster.requests);
}

fn lag_follows_from_offsets(cluster: &KafkaCluster) {
    for g in &cluster.groups {
        assert!(g.error.is_none(), "group {}: {:?}", g.group, g.error);
        assert!((g.coverage - 1.0).abs() < 1e-9, "group {}: coverage {}", g.group, g.coverage);
        let mut sum = None;
        for p in &g.partitions {
            let at = format!("{} {}/{}", g.group, p.topic, p.partition);
            assert!(p.fresh && !p.beyond_end, "{at}");
            if let (Some(c), Some(start), Some(end)) = (p.committed, p.log_start, p.end) {
                assert_eq!(p.lag, Some(u64::try_from((end - c.max(start)).max(0)).unwrap()), "{at}");
                assert_eq!(p.lost, Some(u64::try_from((start - c).max(0)).unwrap()), "{at}");
                sum = Some(sum.unwrap_or(0) + p.lag.unwrap());
            } else {
                assert_eq!((p.committed, p.lag), (None, None), "{at}: only a partition without a commit has no lag");
            }
            match p.lag {
                Some(0) => assert_eq!(p.time_lag, Some(0.0), "{at}"),
                Some(_) => assert!(p.time_lag.is_none_or(|s| s >= 0.0), "{at}"),
                None => assert_eq!(p.time_lag, None, "{at}"),
            }
            assert!(p.owner.is_none_or(|i| i < g.members.len()), "{at}");
            let topic = cluster.topics.iter().find(|t| t.name == p.topic);
            assert!(
                topic.is_some_and(|t| t.partitions.iter().any(|q| q.partition == p.partition)),
                "{at}: unknown topic"
            );
        }
        assert_eq!(g.lag, sum, "group {}", g.group);
    }
}

#[tokio::test]
async fn the_simulated_world_is_a_kafka_cluster() {
    let (scenario, _) = world::scenarios().next().unwrap();
    let world = World::start(scenario, 1, 10.0).unwrap();
    let clock = world.clock();
    let face = world::kafka::serve(world).await.unwrap();
    holds(&face.settings("world"), clock, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_kafka_is_one_too() {
    let Some(kafka) = tokio::task::spawn_blocking(real::kafka).await.unwrap() else { return };
    let _undisturbed = crate::real_kafka::quiet().await;
    holds_with_groups(&kafka, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_kafka_3_is_one_too() {
    let start = || real::kafka_of("3.9.2");
    let Some(kafka) = tokio::task::spawn_blocking(start).await.unwrap() else { return };
    holds_with_groups(&kafka, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_kafka_2_is_one_too() {
    let start = || real::kafka_of("2.8.2");
    let Some(kafka) = tokio::task::spawn_blocking(start).await.unwrap() else { return };
    holds_with_groups(&kafka, 1).await; // two groups, two requests
}

async fn holds_with_groups(kafka: &real::Kafka, more: usize) {
    kafka.create("contract", 4).await;
    kafka.produce("contract", 4, 30).await;
    kafka.commit("contract-behind", &[("contract", &[(0, 10), (1, 20), (2, 30), (3, 0)])]);
    let _member = kafka.member("contract-live", "contract", "classic").await;
    holds(&kafka.settings(&[]), Clock::wall(), more).await;
}
