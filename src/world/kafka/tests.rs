//! The face asked by real requests over real sockets.

use super::*;
use crate::model::Time;
use bytes::{Buf, BufMut};
use kafka_protocol::{
    messages::*,
    protocol::{Decodable, Encodable, StrBytes},
};

/// 2026-10-05T22:00:00Z.
const START: Time = Time::from_millis(1_791_237_600_000);
const DEADLINE: Duration = Duration::from_secs(10);

struct Client(TcpStream);

impl Client {
    async fn connect(face: &KafkaFace, broker: usize) -> Self {
        let address = face.bootstrap.split(',').nth(broker).unwrap();
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Sends a request and decodes its answer; `None`: the broker closed the connection.
    async fn ask<Q: Encodable, A: Decodable>(&mut self, key: ApiKey, version: i16, request: Q) -> Option<A> {
        let mut body = BytesMut::new();
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(77)
            .with_client_id(Some(StrBytes::from_static_str("test")));
        header.encode(&mut body, key.request_header_version(version)).unwrap();
        request.encode(&mut body, version).unwrap();
        let mut frame = BytesMut::new();
        frame.put_i32(i32::try_from(body.len()).unwrap());
        frame.extend_from_slice(&body);
        self.0.write_all(&frame).await.ok()?;
        let length = tokio::time::timeout(DEADLINE, self.0.read_i32()).await.expect("an answer in time").ok()?;
        let mut answer = BytesMut::zeroed(length as usize);
        self.0.read_exact(&mut answer).await.ok()?;
        let mut answer = answer.freeze();
        let header = ResponseHeader::decode(&mut answer, key.response_header_version(version)).unwrap();
        assert_eq!(header.correlation_id, 77);
        let decoded = A::decode(&mut answer, version).unwrap();
        assert!(!answer.has_remaining(), "bytes left over");
        Some(decoded)
    }
}

/// A world that stands still unless it is advanced, and its face.
async fn face(scenario: &str) -> (World, KafkaFace) {
    let world = World::manual(scenario, 3, START).unwrap();
    let face = serve(world.clone()).await.unwrap();
    (world, face)
}

fn topic(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

#[tokio::test]
async fn every_version_that_is_offered_is_answered() {
    let (_world, face) = face("fraud").await;
    let mut client = Client::connect(&face, 0).await;
    let offered: ApiVersionsResponse = client.ask(ApiKey::ApiVersions, 3, ApiVersionsRequest::default()).await.unwrap();
    let range = |key: ApiKey| {
        let found = offered.api_keys.iter().find(|k| k.api_key == key as i16).unwrap();
        found.min_version..=found.max_version
    };
    for version in range(ApiKey::Metadata) {
        let request = MetadataRequest::default().with_topics(None);
        // Version 0 has no null list: empty asks for all there, which this encoder cannot say apart; ask by name.
        let request = if version == 0 {
            let named = metadata_request::MetadataRequestTopic::default().with_name(Some(topic("transactions")));
            request.with_topics(Some(vec![named]))
        } else {
            request
        };
        let answer: MetadataResponse = client.ask(ApiKey::Metadata, version, request).await.unwrap();
        assert_eq!((answer.brokers.len(), answer.topics[0].partitions.len()), (3, 24), "version {version}");
    }
    for version in range(ApiKey::ListGroups) {
        let _: ListGroupsResponse =
            client.ask(ApiKey::ListGroups, version, ListGroupsRequest::default()).await.unwrap();
    }
    for version in range(ApiKey::OffsetFetch) {
        let group = GroupId(StrBytes::from_static_str("nobody"));
        let request = if version >= 8 {
            let one = offset_fetch_request::OffsetFetchRequestGroup::default().with_group_id(group).with_topics(None);
            OffsetFetchRequest::default().with_groups(vec![one])
        } else {
            OffsetFetchRequest::default().with_group_id(group).with_topics((version < 2).then(Vec::new))
        };
        let _: OffsetFetchResponse = client.ask(ApiKey::OffsetFetch, version, request).await.unwrap();
    }
    for version in range(ApiKey::FindCoordinator) {
        let key = StrBytes::from_static_str("fraud-scorer");
        let request = if version >= 4 {
            FindCoordinatorRequest::default().with_coordinator_keys(vec![key])
        } else {
            FindCoordinatorRequest::default().with_key(key)
        };
        let _: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, version, request).await.unwrap();
    }
}

#[tokio::test]
async fn a_version_or_key_that_is_not_known_closes_the_connection() {
    let (_world, face) = face("fraud").await;
    let mut client = Client::connect(&face, 0).await;
    let request = produce_request::ProduceRequest::default();
    assert!(client.ask::<_, ProduceResponse>(ApiKey::Produce, 9, request).await.is_none());

    let mut client = Client::connect(&face, 0).await;
    client.0.write_all(&[0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff]).await.unwrap(); // Metadata version 99
    assert!(client.0.read_i32().await.is_err());

    let mut client = Client::connect(&face, 0).await;
    client.0.write_all(&[0x7f, 0xff, 0xff, 0xff]).await.unwrap(); // a frame of 2 GiB
    assert!(client.0.read_i32().await.is_err());

    // KIP-511: an ApiVersions request from the future is answered in version 0 with error 35 and the list.
    let mut client = Client::connect(&face, 0).await;
    client.0.write_all(&[0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff]).await.unwrap();
    let length = client.0.read_i32().await.unwrap();
    let mut answer = BytesMut::zeroed(length as usize);
    client.0.read_exact(&mut answer).await.unwrap();
    let mut answer = answer.freeze();
    assert_eq!(answer.get_i32(), 7);
    assert_eq!(ApiVersionsResponse::decode(&mut answer, 0).unwrap().error_code, 35);
}

/// Lag of every partition of one group, read as a monitor does: committed from the coordinator, ends from the leaders.
async fn read_lags(face: &KafkaFace, group: &str, topic_name: &str) -> BTreeMap<i32, i64> {
    let mut committed = BTreeMap::new();
    let mut ends = BTreeMap::new();
    for broker in 0..3 {
        let mut client = Client::connect(face, broker).await;
        let one = offset_fetch_request::OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
            .with_topics(None);
        let request = OffsetFetchRequest::default().with_groups(vec![one]);
        let answer: OffsetFetchResponse = client.ask(ApiKey::OffsetFetch, 8, request).await.unwrap();
        if answer.groups[0].error_code == 0 {
            for partition in &answer.groups[0].topics[0].partitions {
                committed.insert(partition.partition_index, partition.committed_offset);
            }
        }
        let partitions = (0..24)
            .map(|p| list_offsets_request::ListOffsetsPartition::default().with_partition_index(p).with_timestamp(-1));
        let wanted = list_offsets_request::ListOffsetsTopic::default()
            .with_name(topic(topic_name))
            .with_partitions(partitions.collect());
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![wanted]);
        let answer: ListOffsetsResponse = client.ask(ApiKey::ListOffsets, 7, request).await.unwrap();
        for partition in &answer.topics[0].partitions {
            if partition.error_code == 0 {
                ends.insert(partition.partition_index, partition.offset);
            }
        }
    }
    ends.into_iter().map(|(p, end)| (p, end - committed[&p])).collect()
}

#[tokio::test]
async fn lag_read_over_the_wire_is_the_worlds_own() {
    let (world, face) = face("fraud").await;
    for _ in 0..3 {
        let truth: BTreeMap<i32, i64> = (0..).zip(world.with(|s| s.lags("fraud-scorer"))).collect();
        assert!(truth.values().sum::<i64>() > 1000);
        assert_eq!(read_lags(&face, "fraud-scorer", "transactions").await, truth);
        world.advance(17.0);
    }
}

#[tokio::test]
async fn offsets_by_time_rise_with_it_and_end_where_the_log_ends() {
    let (world, face) = face("fraud").await;
    let mut client = Client::connect(&face, 0).await;
    let now = world.now();
    let mut at = async |t: i64| {
        let one = list_offsets_request::ListOffsetsPartition::default().with_partition_index(0).with_timestamp(t);
        let wanted = list_offsets_request::ListOffsetsTopic::default()
            .with_name(topic("transactions"))
            .with_partitions(vec![one]);
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![wanted]);
        let answer: ListOffsetsResponse = client.ask(ApiKey::ListOffsets, 9, request).await.unwrap();
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
        answer.topics[0].partitions[0].offset
    };
    let (first, end) = (at(-2).await, at(-1).await);
    let mut before = first;
    for back in [40.0 * 3600.0, 20.0 * 3600.0, 7.0 * 3600.0, 3600.0, 60.0, 1.0] {
        let offset = at(now.plus(-back).millis()).await;
        assert!(offset >= before && offset < end, "{back} s ago: {offset} of {first}..{end}");
        before = offset;
    }
    assert_eq!(at(now.plus(-40.0 * 3600.0).millis()).await, first, "retention is a day");
    assert_eq!(at(now.plus(5.0).millis()).await, -1, "nothing was written in the future");
    let minute = end - at(now.plus(-60.0).millis()).await;
    let rate = world.with(|s| s.topics[0].rate * s.topics[0].logs.shares()[0]);
    assert!((minute as f64 / 60.0 / rate - 1.0).abs() < 0.15, "{minute} in a minute at {rate}/s");
}

#[tokio::test]
async fn groups_are_described_by_their_kind_with_every_partition_owned_once() {
    let (_world, face) = face("fraud").await;
    let mut owned: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    let mut kinds = BTreeMap::new();
    for broker in 0..3 {
        let mut client = Client::connect(&face, broker).await;
        let listed: ListGroupsResponse = client.ask(ApiKey::ListGroups, 5, ListGroupsRequest::default()).await.unwrap();
        for group in &listed.groups {
            let id = group.group_id.to_string();
            kinds.insert(id.clone(), group.group_type.to_string());
            let request = DescribeGroupsRequest::default().with_groups(vec![group.group_id.clone()]);
            let classic: DescribeGroupsResponse = client.ask(ApiKey::DescribeGroups, 6, request).await.unwrap();
            let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group.group_id.clone()]);
            let modern: ConsumerGroupDescribeResponse =
                client.ask(ApiKey::ConsumerGroupDescribe, 1, request).await.unwrap();
            if group.group_type.as_str() == "classic" {
                assert_eq!(modern.groups[0].error_code, 69);
                for member in &classic.groups[0].members {
                    let mut bytes = member.member_assignment.clone();
                    let version = bytes.get_i16();
                    let held = ConsumerProtocolAssignment::decode(&mut bytes, version).unwrap();
                    owned.entry(id.clone()).or_default().extend(&held.assigned_partitions[0].partitions);
                }
            } else {
                assert_eq!(classic.groups[0].error_code, 69);
                for member in &modern.groups[0].members {
                    owned.entry(id.clone()).or_default().extend(&member.assignment.topic_partitions[0].partitions);
                }
            }
        }
    }
    assert_eq!(kinds["clickstream"], "consumer");
    assert_eq!(kinds["fraud-scorer"], "classic");
    assert_eq!(kinds.len(), 4);
    for (group, mut partitions) in owned {
        partitions.sort_unstable();
        assert_eq!(partitions, (0..24).collect::<Vec<_>>(), "{group}");
    }
}

#[tokio::test]
async fn a_frozen_broker_is_silent_and_loses_its_partitions() {
    let (world, face) = face("incident").await;
    world.advance(60.0); // frozen at 45 s, fenced ten seconds later
    let mut frozen = Client::connect(&face, 1).await;
    let asked = tokio::time::timeout(
        Duration::from_millis(150),
        frozen.ask::<_, MetadataResponse>(ApiKey::Metadata, 9, MetadataRequest::default().with_topics(None)),
    );
    assert!(asked.await.is_err(), "no answer, and no refusal either");

    let mut alive = Client::connect(&face, 0).await;
    let all = || MetadataRequest::default().with_topics(None);
    let seen: MetadataResponse = alive.ask(ApiKey::Metadata, 9, all()).await.unwrap();
    assert_eq!(seen.brokers.len(), 2);
    for partition in seen.topics.iter().flat_map(|t| &t.partitions) {
        assert_ne!(partition.leader_id, BrokerId(1));
        assert_eq!((partition.isr_nodes.len(), partition.replica_nodes.len()), (2, 3));
        assert_eq!(partition.offline_replicas, [BrokerId(1)]);
    }

    world.advance(200.0);
    let mut back = Client::connect(&face, 1).await;
    let seen: MetadataResponse = back.ask(ApiKey::Metadata, 9, all()).await.unwrap();
    assert!(seen.brokers.len() == 3 && seen.topics[0].partitions.iter().all(|p| p.isr_nodes.len() == 3));
}

#[tokio::test]
async fn dropping_the_face_closes_its_connections() {
    let (_world, face) = face("quiet").await;
    let mut client = Client::connect(&face, 2).await;
    let _: ApiVersionsResponse = client.ask(ApiKey::ApiVersions, 4, ApiVersionsRequest::default()).await.unwrap();
    drop(face);
    let closed = tokio::time::timeout(DEADLINE, client.0.read_i32()).await.unwrap();
    assert!(closed.is_err());
}

/// librdkafka is a reader that shares no line with ours: what it understands, others do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn librdkafka_reads_the_same_cluster() {
    use rdkafka::{
        ClientConfig, Offset, TopicPartitionList,
        consumer::{BaseConsumer, Consumer},
    };
    let (world, face) = face("fraud").await;
    let bootstrap = face.bootstrap.clone();
    let read = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &bootstrap).set("group.id", "fraud-scorer").create().unwrap();
        let metadata = consumer.fetch_metadata(None, DEADLINE).unwrap();
        let topics: Vec<_> = metadata.topics().iter().map(|t| (t.name().to_owned(), t.partitions().len())).collect();
        let groups: Vec<_> = ["fraud-scorer", "orders-etl"]
            .map(|id| {
                let list = consumer.fetch_group_list(Some(id), DEADLINE).unwrap();
                (list.groups()[0].state().to_owned(), list.groups()[0].members().len())
            })
            .to_vec();
        let mut asked = TopicPartitionList::new();
        for partition in 0..24 {
            asked.add_partition("transactions", partition);
        }
        let committed = consumer.committed_offsets(asked, DEADLINE).unwrap();
        let lags: Vec<i64> = committed
            .elements()
            .iter()
            .map(|e| {
                let (_, end) = consumer.fetch_watermarks("transactions", e.partition(), DEADLINE).unwrap();
                let Offset::Offset(committed) = e.offset() else { panic!("{e:?}") };
                end - committed
            })
            .collect();
        (metadata.brokers().len(), topics, groups, lags)
    })
    .await
    .unwrap();
    assert_eq!((read.0, read.1.len()), (3, 4));
    assert!(read.1.contains(&("fraud-dlq".to_owned(), 3)));
    assert_eq!(read.2, [("Stable".to_owned(), 6), ("Stable".to_owned(), 12)]);
    assert_eq!(read.3, world.with(|s| s.lags("fraud-scorer")));
}
