//! What can be told of a real cluster beyond lag: transactions that hang, share groups, what is lost, who is to blame.

use crate::{
    real::{self, Kafka},
    support::PATIENCE,
};
use highwater::{
    model::{Alert, GroupType, KafkaCluster, Severity, Time},
    process::Clock,
    source::kafka::{Reader, sample},
};
use rdkafka::producer::Producer as _;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

async fn cluster() -> Option<Arc<Kafka>> {
    tokio::task::spawn_blocking(real::kafka).await.unwrap()
}

/// Refreshes until something is found, at most `seconds`.
async fn found<T>(reader: &mut Reader, seconds: u64, what: &str, find: impl Fn(&KafkaCluster) -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let cluster = reader.refresh().await;
        if let Some(found) = find(&cluster) {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} was not found within {seconds} s: {:?}", cluster.alerts);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_hangs_is_traced_to_its_producer() {
    let Some(kafka) = cluster().await else { return };
    let _alone = crate::real_kafka::quiet().await;
    kafka.create("hang", 1).await;
    kafka.produce("hang", 1, 5).await;
    let began = Time::now();
    let producer = kafka.hang("hang", "tx-hang").await;
    let mut reader = Reader::connect(&kafka.settings(&[]), Clock::wall()).unwrap();
    let (stable, end, open) = found(&mut reader, 120, "the producer", |c| {
        let p = c.topics.iter().find(|t| t.name == "hang")?.partitions.first()?;
        let open = p.transaction.clone().filter(|t| t.began.is_some())?;
        Some((p.stable?, p.end?, open))
    })
    .await;
    assert_eq!((stable.offset, end, open.from), (5, 6, 5));
    assert_eq!(open.transactional_id, Some("tx-hang".into()));
    assert_eq!(open.timeout, Some(600.0));
    assert!(open.began.unwrap().since(began).abs() < 30.0, "{open:?}");
    // The newest record that may be read lies before the open transaction, and later before the marker of its end.
    let settings = kafka.settings(&[]);
    let newest = async || sample(&settings, "hang", 0, None).await.map(|r| r.offset);
    assert_eq!(newest().await, Ok(4));
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(newest().await, Ok(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_records_dead_letters_and_risks_are_told_with_their_mend() {
    let Some(kafka) = cluster().await else { return };
    let _alone = crate::real_kafka::quiet().await;
    kafka.create("signal", 2).await;
    kafka.create("signal.DLT", 1).await;
    kafka.produce("signal", 2, 50).await;
    kafka.commit("signal-reader", &[("signal", &[(0, 10), (1, 50)])]);
    kafka.delete_records("signal", 0, 30).await;
    let mut reader = Reader::connect(&kafka.settings(&[]), Clock::wall()).unwrap();
    let lost: Alert = found(&mut reader, 40, "the loss", |c| {
        let of_group = |a: &&Alert| a.rule == "lost" && a.subject.group() == Some(&"signal-reader".into());
        let told = c.alerts.iter().find(of_group)?;
        (!told.sentence.as_str().contains("DescribeConfigs")).then(|| told.clone())
    })
    .await;
    assert!(lost.sentence.as_str().starts_with("20 records on 1 partition"), "{lost:?}");
    assert_eq!(lost.severity, Severity::Act);
    kafka.produce("signal.DLT", 1, 3).await;
    let dead: Alert = found(&mut reader, 40, "the dead letters", |c| {
        let told = c.alerts.iter().find(|a| a.rule == "dead-letter" && a.sentence.as_str().contains("grows"))?;
        told.sentence.as_str().contains("the oldest").then(|| told.clone())
    })
    .await;
    for word in ["holds 3 records", "nobody reads it", "fed by signal-reader"] {
        assert!(dead.sentence.as_str().contains(word), "{word}: {dead:?}");
    }
    let settings = kafka.settings(&[]);
    let newest = sample(&settings, "signal.DLT", 0, None).await.unwrap();
    let text = newest.value.map(|v| (v.kind, v.text, v.bytes));
    assert_eq!((newest.offset, text), (2, Some(("text", "x".to_owned(), 1))));
    assert_eq!(sample(&settings, "signal", 0, Some(31)).await.map(|r| r.offset), Ok(31));
    assert!(sample(&settings, "signal", 1, Some(50)).await.unwrap_err().contains("at its end"));
    // Records of 23.6 hours ago under a retention of a day: the rest of the day is what is left.
    kafka.create("ageing", 1).await;
    let old = Time::now().plus(-23.6 * 3600.0).millis();
    kafka.produce_at("ageing", 0, &[old, old + 1000, Time::now().millis()]).await;
    let day = "retention.ms=86400000";
    let args = ["--alter", "--entity-type", "topics", "--entity-name", "ageing", "--add-config", day];
    kafka.tool("kafka.admin.ConfigCommand", &args);
    kafka.commit("ageing-reader", &[("ageing", &[(0, 0)])]);
    let mut reader = Reader::connect(&kafka.settings(&[]), Clock::wall()).unwrap(); // configurations are read once in ten minutes
    let risk = found(&mut reader, 60, "the deletion to come", |c| {
        let group = c.groups.iter().find(|g| g.group == "ageing-reader")?;
        group.deletion.filter(|d| (d.seconds - 0.4 * 3600.0).abs() < 600.0)
    })
    .await;
    assert_eq!(risk.by, "age");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_group_has_the_brokers_own_lag() {
    let Some(kafka) = cluster().await else { return };
    let _alone = crate::real_kafka::quiet().await;
    kafka.create("shared", 1).await;
    kafka.produce("shared", 1, 50).await;
    let earliest = "share.auto.offset.reset=earliest";
    let args = ["--alter", "--entity-type", "groups", "--entity-name", "sharers", "--add-config", earliest];
    kafka.tool("kafka.admin.ConfigCommand", &args);
    let args = ["--topic", "shared", "--group", "sharers", "--max-messages", "20", "--timeout-ms", "30000"];
    kafka.tool("org.apache.kafka.tools.consumer.ConsoleShareConsumer", &args);
    let mut reader = Reader::connect(&kafka.settings(&[]), Clock::wall()).unwrap();
    let group = found(&mut reader, 40, "a share group whose lag is known", |c| {
        c.groups.iter().find(|g| g.group == "sharers" && g.lag.is_some()).cloned()
    })
    .await;
    assert_eq!(group.kind, GroupType::Share);
    assert!(group.lag.is_some_and(|lag| (1..=30).contains(&lag)), "20 of 50 were consumed: {:?}", group.partitions);
    assert_eq!(group.partitions[0].end, Some(50));
}
