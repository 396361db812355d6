//! The Kafka reader against Apache Kafka: its numbers are the brokers' own, and a silent broker costs only its own part.

use crate::{
    real::{self, Kafka},
    support::PATIENCE,
};
use highwater::{
    model::{BrokerState, Group, KafkaCluster, Time},
    process::Clock,
    source::kafka::{Reader, check},
};
use rustix::process::Signal;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Mutex, MutexGuard};

/// Tests that freeze brokers or count requests want the shared cluster for themselves.
pub async fn quiet() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::const_new(());
    ONE.lock().await
}

async fn cluster() -> Option<Arc<Kafka>> {
    tokio::task::spawn_blocking(real::kafka).await.unwrap()
}

fn group<'a>(cluster: &'a KafkaCluster, name: &str) -> &'a Group {
    cluster.groups.iter().find(|g| g.group == *name).unwrap_or_else(|| panic!("no group {name}"))
}

/// Refreshes until `holds`.
async fn until(reader: &mut Reader, what: &str, holds: impl Fn(&KafkaCluster) -> bool) -> KafkaCluster {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let cluster = reader.refresh().await;
        if holds(&cluster) {
            return cluster;
        }
        assert!(Instant::now() < deadline, "{what} did not come true within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// `LAG` of Kafka's own console tool by group, topic and partition; `None` where it prints `-`.
fn console_lag(kafka: &Kafka) -> BTreeMap<(String, String, i32), Option<i64>> {
    let text = kafka.tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        &["--describe", "--all-groups", "--offsets"],
    );
    let rows = text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>());
    rows.filter(|w| w.len() >= 6 && w[0] != "GROUP" && w[2].parse::<i32>().is_ok())
        .map(|w| ((w[0].to_owned(), w[1].to_owned(), w[2].parse().unwrap()), w[5].parse().ok()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_equals_the_console_tool_on_every_partition_within_the_budget() {
    let Some(kafka) = cluster().await else { return };
    let _alone = quiet().await;
    kafka.create("truth", 6).await;
    kafka.produce("truth", 6, 50).await;
    kafka.commit("truth-empty", &[("truth", &[(0, 50), (1, 49), (2, 0), (3, 25)])]);
    kafka.commit("truth-lost", &[("truth", &[(5, 10)])]);
    kafka.delete_records("truth", 5, 30).await;
    let _classic = kafka.member("truth-classic", "truth", "classic").await;
    let next = kafka.member("truth-848", "truth", "consumer").await;
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset("truth", 1, rdkafka::Offset::Offset(42)).unwrap();
    rdkafka::consumer::Consumer::commit(&*next, &list, rdkafka::consumer::CommitMode::Sync).unwrap();

    let mut reader = Reader::connect(&kafka.settings(&[]), Clock::wall()).unwrap();
    let steady = until(&mut reader, "two live groups", |c| {
        ["truth-classic", "truth-848"]
            .iter()
            .all(|n| c.groups.iter().any(|g| g.group == **n && g.active_members() == 1))
    })
    .await;
    let lost = group(&steady, "truth-lost");
    assert_eq!((lost.lag, lost.lost), (Some(20), Some(20)), "ours splits the tool's 40");
    assert_eq!(group(&steady, "truth-848").kind, highwater::model::GroupType::Consumer);
    assert_eq!(group(&steady, "truth-classic").partitions.len(), 6, "owned partitions without a commit are rows");

    let theirs = console_lag(&kafka);
    assert!(theirs.len() >= 4 + 1 + 6 + 6, "{theirs:?}");
    let mut compared = 0;
    for ((name, topic, number), lag) in &theirs {
        let ours = group(&steady, name).partitions.iter().find(|p| p.topic == **topic && p.partition == *number);
        let ours = ours.unwrap_or_else(|| panic!("{name} {topic}/{number} is missing"));
        let sum = ours.lag.map(|l| i64::try_from(l + ours.lost.unwrap()).unwrap());
        assert_eq!(sum, *lag, "{name} {topic}/{number}");
        compared += 1;
    }
    let total: usize = steady.groups.iter().map(|g| g.partitions.len()).sum();
    assert_eq!(compared, total, "the tool and we know the same rows");

    let before = kafka.counted().await;
    let picture = reader.refresh().await;
    let after = kafka.counted().await;
    // What brokers and members ask each other goes on meanwhile; these kinds only we ask (the clients' Metadata is rare).
    let ours = [
        "ListGroups",
        "DescribeGroups",
        "ConsumerGroupDescribe",
        "OffsetFetch",
        "ListOffsets",
        "Metadata",
        "DescribeConfigs",
        "DescribeLogDirs",
        "DescribeProducers",
        "ListTransactions",
        "DescribeTransactions",
        "ShareGroupDescribe",
        "DescribeShareGroupOffsets",
    ];
    let counted: u64 = ours.iter().map(|k| after.get(*k).unwrap_or(&0) - before.get(*k).unwrap_or(&0)).sum();
    println!(
        "one refresh: {} requests by our count, {counted} by the brokers', {:.1} ms",
        picture.requests,
        picture.seconds * 1e3
    );
    assert!(counted <= 6 * 3 + 1, "{counted} requests");
    assert_eq!(u64::from(picture.requests), counted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_coordinator_keeps_its_groups_with_falling_coverage_and_comes_back() {
    let Some(kafka) = cluster().await else { return };
    let _alone = quiet().await;
    kafka.create("frozen", 3).await;
    kafka.produce("frozen", 3, 10).await;
    let names: Vec<String> = (0..12).map(|i| format!("frozen-{i}")).collect();
    for name in &names {
        kafka.commit(name, &[("frozen", &[(0, 1), (1, 2), (2, 3)])]);
    }
    let mut reader = Reader::connect(&kafka.settings(&[]), Clock::wall()).unwrap();
    let before = until(&mut reader, "all groups", |c| {
        names.iter().all(|n| c.groups.iter().any(|g| g.group == **n && g.lag == Some(24)))
    })
    .await;
    let victim = group(&before, "frozen-0").coordinator.unwrap();
    let mine: Vec<&String> = names.iter().filter(|n| group(&before, n).coordinator == Some(victim)).collect();
    kafka.signal(victim, Signal::STOP);
    let frozen = Instant::now();
    let mut lowest = 1.0_f64;
    let mut slowest = 0.0_f64;
    while frozen.elapsed() < Duration::from_secs(6) {
        let cluster = reader.refresh().await;
        slowest = slowest.max(cluster.seconds);
        for name in &mine {
            let g = group(&cluster, name); // it panics when the group vanished
            assert_eq!(g.lag, Some(24), "the last value stays");
            lowest = lowest.min(g.coverage);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let down = reader.refresh().await;
    let state = &down.brokers.iter().find(|b| b.id == victim).unwrap().state;
    kafka.signal(victim, Signal::CONT);
    assert!(matches!(state, BrokerState::Down { .. }), "{state:?}");
    assert!(lowest < 1.0, "coverage fell");
    let woken = Instant::now();
    until(&mut reader, "full coverage again", |c| {
        c.brokers.iter().all(|b| b.state == BrokerState::Up)
            && names.iter().all(|n| group(c, n).coverage > 0.999 && group(c, n).lag == Some(24))
    })
    .await;
    println!(
        "frozen: slowest refresh {slowest:.2} s; whole again {:.1} s after SIGCONT",
        woken.elapsed().as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn time_lag_is_found_without_reading_and_topics_made_again_are_told() {
    let Some(kafka) = cluster().await else { return };
    let _alone = quiet().await;
    kafka.create("aged", 1).await;
    kafka.produce("aged", 1, 5).await;
    let written = Instant::now();
    kafka.commit("aged-behind", &[("aged", &[(0, 2)])]);
    kafka.commit("aged-done", &[("aged", &[(0, 5)])]);
    let mut reader = Reader::connect(&kafka.settings(&[]), Clock::wall()).unwrap();
    let bracketed = |c: &KafkaCluster| {
        let lag = c.groups.iter().find(|g| g.group == "aged-behind").and_then(|g| g.time_lag);
        lag.is_some_and(|s| (s - written.elapsed().as_secs_f64()).abs() < 3.0)
    };
    let cluster = until(&mut reader, "a time lag close to the truth", bracketed).await;
    assert_eq!(group(&cluster, "aged-done").time_lag, Some(0.0));
    kafka.delete("aged").await;
    kafka.create("aged", 2).await;
    let told = |c: &KafkaCluster| c.notices.iter().any(|n| n.as_str().contains("aged"));
    until(&mut reader, "a notice about the topic", told).await;
}

/// The producer's stamps are the truth: how long ago the record at the committed offset was sent, at uneven rates and depths.
#[tokio::test(flavor = "multi_thread")]
async fn time_lag_is_what_the_stamps_of_the_producer_say() {
    let Some(kafka) = cluster().await else { return };
    let _alone = quiet().await;
    kafka.create("stamped", 3).await;
    // Half an hour, ever faster, on each partition with a rhythm of its own; one record is a minute ahead of its time.
    let now = Time::now();
    let sent = |p: i32| -> Vec<i64> {
        let pace = 1.0 + f64::from(p);
        let ago = |i: u32| 1_800.0 * (1.0 - f64::from(i) / 600.0).powf(pace);
        let late = |i: u32| if i == 100 { 60.0 } else { 0.0 };
        (0..600).map(|i| now.plus(-ago(i) + late(i)).millis()).collect()
    };
    let stamps = [sent(0), sent(1), sent(2)];
    for (p, stamps) in (0_i32..).zip(&stamps) {
        kafka.produce_at("stamped", p, stamps).await;
    }
    let depths = [[20, 600, 600], [600, 77, 600], [300, 400, 580], [600, 600, 599], [550, 30, 10]];
    for (i, depth) in depths.iter().enumerate() {
        let offsets: Vec<(i32, i64)> = (0_i32..).zip(depth.map(|d: usize| i64::try_from(d).unwrap())).collect();
        kafka.commit(&format!("stamped-{i}"), &[("stamped", &offsets)]);
    }
    let error = |c: &KafkaCluster, i: usize| {
        let unread = (0..3).filter_map(|p| stamps[p].get(depths[i][p]));
        let truth = unread.map(|at| Time::now().since(Time::from_millis(*at))).fold(0.0, f64::max);
        let said = c.groups.iter().find(|g| g.group == format!("stamped-{i}").as_str())?.time_lag?;
        Some((said, truth))
    };
    let mut reader = Reader::connect(&kafka.settings(&[]), Clock::wall()).unwrap();
    let close = |c: &KafkaCluster| {
        (0..depths.len())
            .all(|i| error(c, i).is_some_and(|(said, truth)| (said - truth).abs() <= (0.1 * truth).max(1.0)))
    };
    let cluster = until(&mut reader, "time lags within a tenth or a second of the truth", close).await;
    for i in 0..depths.len() {
        println!("stamped-{i}: (said, truth) in seconds {:.2?}", error(&cluster, i).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_groups_cost_what_one_costs() {
    let Some(kafka) = cluster().await else { return };
    let _alone = quiet().await;
    kafka.create("wide", 50).await;
    kafka.produce("wide", 50, 4).await;
    let offsets: Vec<(i32, i64)> = (0..50).map(|p| (p, i64::from(p % 4))).collect();
    for i in 0..200 {
        kafka.commit(&format!("wide-{i}"), &[("wide", &offsets)]);
    }
    let mut reader = Reader::connect(&kafka.settings(&[]), Clock::wall()).unwrap();
    let whole = |c: &KafkaCluster| {
        c.groups.iter().filter(|g| g.group.as_str().starts_with("wide-") && g.lag == Some(127)).count() == 200
    };
    until(&mut reader, "200 groups", whole).await;
    let mut times = Vec::new();
    for _ in 0..5 {
        let cluster = reader.refresh().await;
        assert!(whole(&cluster) && cluster.requests <= 19);
        times.push(cluster.seconds);
    }
    times.sort_by(f64::total_cmp);
    println!("200 groups x 50 partitions: refreshes of {:.0} to {:.0} ms", times[0] * 1e3, times[4] * 1e3);
}

#[tokio::test(flavor = "multi_thread")]
async fn scram_over_tls_and_sentences_for_what_is_not_allowed() {
    let Some(kafka) = tokio::task::spawn_blocking(real::secured_kafka).await.unwrap() else { return };
    let ca = kafka.dir.join("ca.pem");
    let of = |user: &str, password: &str, mechanism: &str| {
        kafka.settings(&[
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", user),
            ("sasl.password", password),
            ("ssl.ca.location", ca.to_str().unwrap()),
        ])
    };
    for mechanism in ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] {
        let mut reader = Reader::connect(&of("admin", "admin-pass", mechanism), Clock::wall()).unwrap();
        let cluster = reader.refresh().await;
        assert_eq!(reader.trouble(), None, "{mechanism}");
        assert_eq!(cluster.brokers.len(), 1);
        assert_eq!(cluster.brokers[0].state, BrokerState::Up, "{mechanism}");
    }
    let mut nobody = Reader::connect(&of("nobody", "nobody-pass", "SCRAM-SHA-512"), Clock::wall()).unwrap();
    let cluster = nobody.refresh().await;
    let said: Vec<&str> = cluster.notices.iter().map(highwater::model::Label::as_str).collect();
    assert!(said.iter().any(|n| n.contains("0 groups visible to User:nobody")), "{said:?}");
    let lines = check(&of("admin", "wrong", "SCRAM-SHA-512")).await;
    let detail = lines.iter().map(|l| l.detail.as_str()).collect::<String>();
    assert!(lines.iter().any(|l| l.unreachable) && detail.contains("sasl.password"), "{lines:?}");
    let plain = check(&kafka.settings(&[])).await;
    assert!(plain.iter().any(|l| l.detail.as_str().contains("security.protocol")), "{plain:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_opens_the_listener_that_wants_one() {
    let Some(kafka) = tokio::task::spawn_blocking(real::secured_kafka).await.unwrap() else { return };
    let listener = std::fs::read_to_string(kafka.dir.join("mutual")).unwrap();
    let file = |name: &str| kafka.dir.join(name).to_str().unwrap().to_owned();
    let of = |client: Option<&str>| {
        let mut all = vec![
            ("bootstrap.servers", listener.trim().to_owned()),
            ("security.protocol", "SSL".to_owned()),
            ("ssl.ca.location", file("ca.pem")),
        ];
        if let Some(name) = client {
            all.push(("ssl.certificate.location", file(&format!("{name}.pem"))));
            all.push(("ssl.key.location", file(&format!("{name}.key"))));
        }
        kafka.settings(&all.iter().map(|(k, v)| (*k, v.as_str())).collect::<Vec<_>>())
    };
    let mut reader = Reader::connect(&of(Some("client")), Clock::wall()).unwrap();
    let cluster = reader.refresh().await;
    assert_eq!(reader.trouble(), None);
    assert_eq!(cluster.brokers[0].state, BrokerState::Up);
    for (client, word) in
        [(None, "wants a client certificate"), (Some("other"), "does not accept the client certificate")]
    {
        let lines = check(&of(client)).await;
        let detail = lines.iter().map(|l| l.detail.as_str()).collect::<String>();
        assert!(lines.iter().any(|l| l.unreachable) && detail.contains(word), "{client:?}: {lines:?}");
    }
}
