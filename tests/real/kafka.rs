//! Apache Kafka, started by `tests/real/kafka.sh`, and what a test does to it: topics, records, commits, freezing.

use crate::support::PATIENCE;
use highwater::model::{KafkaSettings, Property};
use kafka_protocol::{
    messages::{
        ApiKey, FindCoordinatorRequest, FindCoordinatorResponse, GroupId, OffsetCommitRequest, OffsetCommitResponse,
        RequestHeader, TopicName,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    },
    protocol::{Decodable, Encodable, StrBytes, encode_request_header_into_buffer},
};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord, Producer},
};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::Command,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// A running cluster of three brokers, ids 1 to 3.
pub struct Kafka {
    pub bootstrap: String,
    /// Process of each broker, in the order of ids.
    pub pids: Vec<i32>,
    /// JMX exporter's port of each broker.
    pub jmx: Vec<u16>,
    /// Data, logs and (secured) certificates.
    pub dir: PathBuf,
}

/// The plain cluster; `None` where Java or Maven are missing.
pub fn kafka() -> Option<Arc<Kafka>> {
    static ONE: OnceLock<Option<Arc<Kafka>>> = OnceLock::new();
    ONE.get_or_init(|| start("plain", "plain", 3, None)).clone()
}

/// One broker of another version: the last before 4, the last before 3.
pub fn kafka_of(version: &'static str) -> Option<Arc<Kafka>> {
    start(version, "plain", 1, Some(version))
}

/// A plain cluster for one test alone, which may do to it what it likes.
pub fn kafka_alone(name: &str) -> Option<Arc<Kafka>> {
    start(name, "plain", 3, None)
}

/// One broker with SASL_SSL, SCRAM and an authoriser: users `admin`, `viewer`, `nobody`, passwords `NAME-pass`.
pub fn secured_kafka() -> Option<Arc<Kafka>> {
    static ONE: OnceLock<Option<Arc<Kafka>>> = OnceLock::new();
    ONE.get_or_init(|| start("secured", "secured", 1, None)).clone()
}

fn script() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/real/kafka.sh")
}

fn start(name: &str, mode: &str, brokers: usize, version: Option<&str>) -> Option<Arc<Kafka>> {
    for program in ["java", "mvn", "openssl", "flock"] {
        if Command::new("sh").args(["-c", &format!("command -v {program}")]).output().is_ok_and(|o| !o.status.success())
        {
            super::skipped("Kafka", &format!("{program} is not installed"));
            return None;
        }
    }
    let dir = std::env::temp_dir().join(format!("highwater-kafka-{name}-{}", std::process::id()));
    let out = Command::new(script())
        .args(["start", dir.to_str().unwrap(), &brokers.to_string(), mode])
        .env("HIGHWATER_TEST_OWNER", std::process::id().to_string()) // the guard ends the servers with this process
        .envs(version.map(|v| ("HIGHWATER_TEST_KAFKA", v)))
        .output()
        .unwrap();
    if !out.status.success() {
        super::skipped("Kafka", &String::from_utf8_lossy(&out.stderr));
        return None;
    }
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    Some(Arc::new(Kafka {
        bootstrap: read("bootstrap").trim().to_owned(),
        pids: read("pids").lines().map(|l| l.parse().unwrap()).collect(),
        jmx: read("jmx").lines().map(|l| l.parse().unwrap()).collect(),
        dir,
    }))
}

impl Kafka {
    /// How the reader connects, with more properties.
    pub fn settings(&self, more: &[(&str, &str)]) -> KafkaSettings {
        let mut properties = BTreeMap::from([("bootstrap.servers".to_owned(), Property::Text(self.bootstrap.clone()))]);
        properties.extend(more.iter().map(|(k, v)| ((*k).to_owned(), Property::Text((*v).to_owned()))));
        KafkaSettings::new("real", properties)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    /// Makes a topic.
    pub async fn create(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let copies = if self.pids.len() > 1 { 2 } else { 1 };
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(copies));
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        // The controller of Kafka 2.8, a preview, loses a request now and then: asked again, the topic may be there already.
        for attempt in 1..=3 {
            match admin.create_topics([&new], &options).await.map(|mut made| made.remove(0)) {
                Ok(Ok(_)) => return,
                Ok(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) if attempt > 1 => return,
                failed => println!("{topic} was not made at attempt {attempt}: {failed:?}"),
            }
        }
        panic!("{topic} could not be made");
    }

    /// Deletes a topic.
    pub async fn delete(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        admin.delete_topics(&[topic], &options).await.unwrap().remove(0).unwrap();
    }

    /// Writes `n` records to each partition.
    pub async fn produce(&self, topic: &str, partitions: i32, n: usize) {
        let producer: FutureProducer =
            self.client().set("linger.ms", "20").set("message.timeout.ms", "30000").create().unwrap();
        let mut sent = Vec::new();
        for partition in 0..partitions {
            for _ in 0..n {
                let record = FutureRecord::<(), _>::to(topic).partition(partition).payload("x");
                sent.push(producer.send_result(record).unwrap());
            }
        }
        producer.flush(Duration::from_secs(30)).unwrap();
        for one in sent {
            one.await.unwrap().unwrap();
        }
    }

    /// Writes one record at each of these times (milliseconds since the epoch) to a partition.
    pub async fn produce_at(&self, topic: &str, partition: i32, times: &[i64]) {
        let producer: FutureProducer = self.client().set("queue.buffering.max.ms", "20").create().unwrap();
        for chunk in times.chunks(5_000) {
            let sent: Vec<_> = chunk
                .iter()
                .map(|at| {
                    let record: FutureRecord<(), str> =
                        FutureRecord::to(topic).partition(partition).timestamp(*at).payload("r");
                    producer.send_result(record).map_err(|(e, _)| e).unwrap()
                })
                .collect();
            for delivery in sent {
                delivery.await.unwrap().unwrap();
            }
        }
    }

    /// A producer that has written one record within a transaction and neither commits nor aborts.
    pub async fn hang(&self, topic: &str, transactional_id: &str) -> FutureProducer {
        let producer: FutureProducer = self
            .client()
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", "600000")
            .create()
            .unwrap();
        let wait = PATIENCE;
        producer.init_transactions(wait).unwrap();
        producer.begin_transaction().unwrap();
        let record: FutureRecord<(), str> = FutureRecord::to(topic).partition(0).payload("r");
        producer.send(record, wait).await.unwrap();
        producer
    }

    /// Deletes the records before an offset.
    pub async fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        let _ = admin.delete_records(&list, &options).await.unwrap();
    }

    /// A member that reads and commits until it is dropped; `protocol` is `classic` or `consumer` (KIP-848).
    /// Returns when it has its partitions.
    pub async fn member(&self, group: &str, topic: &str, protocol: &str) -> Arc<BaseConsumer> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", group)
            .set("group.protocol", protocol)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        consumer.subscribe(&[topic]).unwrap();
        let consumer = Arc::new(consumer);
        let polled = consumer.clone();
        tokio::task::spawn_blocking(move || {
            let deadline = Instant::now() + PATIENCE;
            while polled.assignment().unwrap().count() == 0 {
                assert!(Instant::now() < deadline, "no partitions within {PATIENCE:?}");
                let _ = polled.poll(Duration::from_millis(100)); // records are of no interest, only the assignment
            }
        })
        .await
        .unwrap();
        consumer
    }

    /// Commits offsets for a group without members, for many partitions at once.
    pub fn commit(&self, group: &str, offsets: &[(&str, &[(i32, i64)])]) {
        let topics = offsets.iter().map(|(topic, partitions)| {
            let partitions = partitions.iter().map(|(p, offset)| {
                OffsetCommitRequestPartition::default().with_partition_index(*p).with_committed_offset(*offset)
            });
            OffsetCommitRequestTopic::default()
                .with_name(TopicName(StrBytes::from_string((*topic).to_owned())))
                .with_partitions(partitions.collect())
        });
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(topics.collect());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let find = FindCoordinatorRequest::default().with_key(StrBytes::from_string(group.to_owned()));
            let found: FindCoordinatorResponse =
                ask(self.bootstrap.split(',').next().unwrap(), ApiKey::FindCoordinator, 2, &find);
            if found.error_code == 0 {
                let at = format!("{}:{}", found.host.as_str(), found.port);
                let said: OffsetCommitResponse = ask(&at, ApiKey::OffsetCommit, 7, &request);
                if said.topics.iter().all(|t| t.partitions.iter().all(|p| p.error_code == 0)) {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "cannot commit for {group}");
            std::thread::sleep(Duration::from_millis(100)); // the coordinator is loading
        }
    }

    /// Stops (SIGSTOP), continues (SIGCONT) or kills a broker.
    pub fn signal(&self, broker: i32, signal: rustix::process::Signal) {
        let pids = std::fs::read_to_string(self.dir.join("pids")).unwrap(); // one that was restarted has a new one
        let pid = pids.lines().nth(usize::try_from(broker - 1).unwrap()).unwrap().parse().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Starts a broker again that was killed; returns before it is ready.
    pub fn restart(&self, broker: i32) {
        let status = Command::new(script()).arg("restart").arg(&self.dir).arg(broker.to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Runs one of Kafka's own console tools.
    pub fn tool(&self, class: &str, args: &[&str]) -> String {
        let out = Command::new(script()).arg("tool").arg(&self.dir).arg(class).args(args).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// Requests that the brokers counted, by kind, all brokers together.
    pub async fn counted(&self) -> BTreeMap<String, u64> {
        let mut sum = BTreeMap::new();
        for port in &self.jmx {
            let text = http(*port).await;
            for line in text.lines().filter(|l| l.starts_with("kafka_requests_total{")) {
                let name = line.split("request=\"").nth(1).unwrap().split('"').next().unwrap();
                let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
                *sum.entry(name.to_owned()).or_default() += value as u64;
            }
        }
        sum
    }
}

async fn http(port: u16) -> String {
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    })
    .await
    .unwrap()
}

/// One request on a connection of its own; non-flexible versions only.
fn ask<Q: Encodable, A: Decodable>(at: &str, key: ApiKey, version: i16, request: &Q) -> A {
    let header = RequestHeader::default().with_request_api_key(key as i16).with_request_api_version(version);
    let mut frame = bytes::BytesMut::new();
    encode_request_header_into_buffer(&mut frame, &header).unwrap();
    request.encode(&mut frame, version).unwrap();
    let mut stream = TcpStream::connect(at).unwrap();
    stream.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&frame).unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut body = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut body).unwrap();
    A::decode(&mut bytes::Bytes::from(body.split_off(4)), version).unwrap()
}
