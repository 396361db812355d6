//! Load for trying Highwater on a real cluster, and for its tests: a steady producer and slow consumers.
//!
//! ```text
//! load topic   BOOTSTRAP TOPIC PARTITIONS REPLICAS
//! load produce BOOTSTRAP TOPIC RECORDS_PER_SECOND
//! load consume BOOTSTRAP TOPIC GROUP RECORDS_PER_SECOND
//! load groups  BOOTSTRAP TOPIC PARTITIONS GROUPS
//! ```
//!
//! A consumer really joins the group by librdkafka, processes as slowly as it is told, commits every second, and leaves
//! the group on SIGTERM.

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer, StreamConsumer},
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use std::{error::Error, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["topic", bootstrap, topic, partitions, replicas] => {
            create(bootstrap, topic, partitions.parse()?, replicas.parse()?).await
        }
        ["produce", bootstrap, topic, rate] => produce(bootstrap, topic, rate.parse()?).await,
        ["consume", bootstrap, topic, group, rate] => consume(bootstrap, topic, group, rate.parse()?).await,
        ["groups", bootstrap, topic, partitions, groups] => {
            commit(bootstrap, topic, partitions.parse()?, groups.parse()?)
        }
        _ => Err("usage: see the first lines of examples/load.rs".into()),
    }
}

async fn create(bootstrap: &str, topic: &str, partitions: i32, replicas: i32) -> Result<(), Box<dyn Error>> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    for result in admin.create_topics([&new], &options).await? {
        result.map_err(|(name, code)| format!("{name}: {code}"))?;
    }
    Ok(())
}

/// Sends `rate` small records a second, spread over the partitions, in ticks of 50 ms.
async fn produce(bootstrap: &str, topic: &str, rate: f64) -> Result<(), Box<dyn Error>> {
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).set("linger.ms", "20").create()?;
    let mut stop = signal(SignalKind::terminate())?;
    let began = Instant::now();
    let mut sent = 0_u64;
    for tick in 1_u32.. {
        let due = began + Duration::from_millis(50) * tick;
        tokio::select! { () = sleep_until(due) => {}, _ = stop.recv() => break }
        let wanted = (began.elapsed().as_secs_f64() * rate) as u64;
        while sent < wanted {
            let key = sent.to_string();
            let record = BaseRecord::to(topic).key(&key).payload("a transaction to be scored");
            if producer.send(record).is_err() {
                break; // the queue is full, a broker may be away: the next tick tries again
            }
            sent += 1;
        }
    }
    producer.flush(Duration::from_secs(5))?;
    Ok(())
}

/// Makes `groups` groups without members that have committed offset 0 on every partition.
fn commit(bootstrap: &str, topic: &str, partitions: i32, groups: u32) -> Result<(), Box<dyn Error>> {
    for n in 0..groups {
        let group = format!("many-{n:04}");
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", bootstrap).set("group.id", group).create()?;
        let mut offsets = TopicPartitionList::new();
        for partition in 0..partitions {
            offsets.add_partition_offset(topic, partition, Offset::Offset(0))?;
        }
        consumer.commit(&offsets, CommitMode::Sync)?;
    }
    Ok(())
}

/// Reads as a member of `group`, at most `rate` records a second.
async fn consume(bootstrap: &str, topic: &str, group: &str, rate: f64) -> Result<(), Box<dyn Error>> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("client.id", format!("{group}-{}", std::process::id()))
        .set("auto.offset.reset", "earliest")
        .set("auto.commit.interval.ms", "1000")
        .set("session.timeout.ms", "10000")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .create()?;
    consumer.subscribe(&[topic])?;
    let mut stop = signal(SignalKind::terminate())?;
    let pace = Duration::from_secs_f64(1.0 / rate);
    let mut free_at = Instant::now();
    loop {
        tokio::select! {
            message = consumer.recv() => {
                if message.is_ok_and(|m| m.payload().is_some()) {
                    free_at = free_at.max(Instant::now()) + pace;
                    sleep_until(free_at).await;
                }
            }
            _ = stop.recv() => break,
        }
    }
    // What is processed but not committed would be done twice by the next owner. With the brokers gone librdkafka would
    // wait for them for ever: five seconds are enough for a cluster that is there.
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(5));
        std::process::exit(0);
    });
    let _ = consumer.commit_consumer_state(CommitMode::Sync); // nothing new to commit, or nobody to take it
    Ok(())
}
