//! Answers about brokers, topics, their configuration and their offsets.

use super::Face;
use crate::{
    model::Time,
    world::{State, hardware::Broker, state::TopicState},
};
use kafka_protocol::{
    messages::{
        BrokerId, DescribeClusterResponse, DescribeConfigsRequest, DescribeConfigsResponse, DescribeLogDirsResponse,
        ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse, TopicName,
        describe_cluster_response::DescribeClusterBroker,
        describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult},
        describe_log_dirs_response::{DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic},
        list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    },
    protocol::StrBytes,
};

/// The cluster id that every broker reports.
pub(super) const CLUSTER_ID: &str = "Highwater-simulated-00";
const HOST: &str = "127.0.0.1";

// Error codes of the protocol.
pub(super) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const LEADER_NOT_AVAILABLE: i16 = 5;
const NOT_LEADER: i16 = 6;
const UNSUPPORTED_VERSION: i16 = 35;
const INVALID_REQUEST: i16 = 42;

/// Bytes of a broker's disk.
const DISK_BYTES: i64 = 2_000_000_000_000;

pub(super) fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// Node id and address of a broker.
pub(super) fn address(face: &Face, state: &State, broker: usize) -> (BrokerId, StrBytes, i32) {
    let port = face.ports.get(broker).copied().unwrap_or(0);
    (id(state, broker), StrBytes::from_static_str(HOST), i32::from(port))
}

fn id(state: &State, broker: usize) -> BrokerId {
    BrokerId(state.brokers.get(broker).map_or(-1, |b| b.id))
}

/// Indices of the brokers that the controller thinks are there.
fn registered(state: &State) -> impl Iterator<Item = usize> + '_ {
    (0..state.brokers.len()).filter(|b| state.brokers.get(*b).is_some_and(|x| x.is_registered(state.now())))
}

fn rack(state: &State, broker: usize) -> Option<StrBytes> {
    state.brokers.get(broker).map(|b| StrBytes::from_static_str(b.rack))
}

pub(super) fn metadata(face: &Face, request: &MetadataRequest) -> MetadataResponse {
    face.world.with(|state| {
        let brokers = registered(state).map(|b| {
            let (node, host, port) = address(face, state, b);
            MetadataResponseBroker::default()
                .with_node_id(node)
                .with_host(host)
                .with_port(port)
                .with_rack(rack(state, b))
        });
        let topics = match &request.topics {
            Some(named) => named
                .iter()
                .map(|wanted| {
                    let known = |t: &TopicState| wanted.name.as_ref().is_some_and(|n| n.as_str() == t.name);
                    match state.topics.iter().position(known) {
                        Some(t) => topic(state, t),
                        None => MetadataResponseTopic::default()
                            .with_name(wanted.name.clone())
                            .with_error_code(UNKNOWN_TOPIC_OR_PARTITION),
                    }
                })
                .collect(),
            None => (0..state.topics.len()).map(|t| topic(state, t)).collect(),
        };
        MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_cluster_id(Some(StrBytes::from_static_str(CLUSTER_ID)))
            .with_controller_id(registered(state).next().map_or(BrokerId(-1), |b| id(state, b)))
            .with_topics(topics)
    })
}

fn topic(state: &State, t: usize) -> MetadataResponseTopic {
    let Some(topic) = state.topics.get(t) else { return MetadataResponseTopic::default() };
    let now = state.now();
    let is = |b: &usize, test: fn(&Broker, Time) -> bool| state.brokers.get(*b).is_some_and(|x| test(x, now));
    let partitions = (0..topic.logs.partitions()).zip(0..).map(|(p, number)| {
        let leader = state.leader(t, p);
        let replicas: Vec<usize> = state.replicas(t, p).collect();
        let nodes = |kept: &dyn Fn(&usize) -> bool| -> Vec<BrokerId> {
            replicas.iter().filter(|b| kept(b)).map(|b| id(state, *b)).collect()
        };
        MetadataResponsePartition::default()
            .with_partition_index(number)
            .with_leader_id(leader.map_or(BrokerId(-1), |b| id(state, b)))
            .with_error_code(if leader.is_some() { 0 } else { LEADER_NOT_AVAILABLE })
            .with_replica_nodes(nodes(&|_| true))
            .with_isr_nodes(nodes(&|b| is(b, Broker::is_in_sync)))
            .with_offline_replicas(nodes(&|b| !is(b, Broker::is_registered)))
    });
    MetadataResponseTopic::default()
        .with_name(Some(name(topic.name)))
        // A topic made again would get another id; these live as long as the world.
        .with_topic_id(format!("7e57ab1e-0000-4000-8000-{:012x}", t + 1).parse().unwrap_or_default())
        .with_partitions(partitions.collect())
}

pub(super) fn describe(face: &Face) -> DescribeClusterResponse {
    face.world.with(|state| {
        let brokers = registered(state).map(|b| {
            let (node, host, port) = address(face, state, b);
            DescribeClusterBroker::default()
                .with_broker_id(node)
                .with_host(host)
                .with_port(port)
                .with_rack(rack(state, b))
        });
        DescribeClusterResponse::default()
            .with_brokers(brokers.collect())
            .with_cluster_id(StrBytes::from_static_str(CLUSTER_ID))
            .with_controller_id(registered(state).next().map_or(BrokerId(-1), |b| id(state, b)))
            .with_endpoint_type(1)
    })
}

/// Every partition that the broker holds a replica of, in its one directory.
pub(super) fn log_dirs(face: &Face) -> DescribeLogDirsResponse {
    face.world.with(|state| {
        let now = state.now();
        let mut used = 0_i64;
        let topics = state.topics.iter().enumerate().map(|(t, topic)| {
            let held =
                (0..topic.logs.partitions()).zip(0..).filter(|(p, _)| state.replicas(t, *p).any(|b| b == face.broker));
            let partitions = held.map(|(p, number)| {
                let size = ((topic.end(p) - topic.log_start(p, now)) as f64 * topic.record) as i64;
                used = used.saturating_add(size);
                DescribeLogDirsPartition::default().with_partition_index(number).with_partition_size(size)
            });
            DescribeLogDirsTopic::default().with_partitions(partitions.collect()).with_name(name(topic.name))
        });
        let dir = DescribeLogDirsResult::default().with_log_dir(StrBytes::from_static_str("/var/lib/kafka"));
        let dir = dir.with_topics(topics.collect());
        let total = DISK_BYTES.max(used * 2);
        DescribeLogDirsResponse::default()
            .with_results(vec![dir.with_total_bytes(total).with_usable_bytes(total - used)])
    })
}

/// Topics (resource type 2) and the broker that is spoken to (4): another broker's configuration must be asked of that
/// broker.
pub(super) fn configs(face: &Face, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    face.world.with(|state| {
        let results = request.resources.iter().map(|resource| {
            let found: Result<Vec<(&str, String)>, i16> = match resource.resource_type {
                2 => match state.topics.iter().find(|t| resource.resource_name.as_str() == t.name) {
                    Some(t) => Ok(vec![
                        ("retention.ms", format!("{}", (t.retention * 1000.0) as i64)),
                        ("retention.bytes", "-1".to_owned()),
                        ("cleanup.policy", "delete".to_owned()),
                        ("min.insync.replicas", "2".to_owned()),
                        ("message.timestamp.type", "CreateTime".to_owned()),
                    ]),
                    None => Err(UNKNOWN_TOPIC_OR_PARTITION),
                },
                4 if resource.resource_name.as_str() == id(state, face.broker).to_string() => Ok(vec![
                    ("offsets.retention.minutes", "10080".to_owned()),
                    ("broker.rack", state.brokers.get(face.broker).map_or(String::new(), |b| b.rack.to_owned())),
                ]),
                _ => Err(INVALID_REQUEST),
            };
            let result = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            match found {
                Err(code) => result.with_error_code(code),
                Ok(all) => {
                    let wanted = |key: &str| {
                        resource.configuration_keys.as_ref().is_none_or(|keys| keys.iter().any(|k| k.as_str() == key))
                    };
                    let configs = all.into_iter().filter(|(key, _)| wanted(key)).map(|(key, value)| {
                        DescribeConfigsResourceResult::default()
                            .with_name(StrBytes::from_string(key.to_owned()))
                            .with_value(Some(StrBytes::from_string(value)))
                            .with_config_source(5) // DEFAULT_CONFIG
                    });
                    result.with_configs(configs.collect())
                }
            }
        });
        DescribeConfigsResponse::default().with_results(results.collect())
    })
}

pub(super) fn list_offsets(face: &Face, request: &ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
    face.world.with(|state| {
        let topics = request.topics.iter().map(|wanted| {
            let t = state.topics.iter().position(|t| wanted.name.as_str() == t.name);
            let partitions = wanted.partitions.iter().map(|p| {
                let answer = ListOffsetsPartitionResponse::default().with_partition_index(p.partition_index);
                match offset(state, face.broker, t, p.partition_index, p.timestamp, version) {
                    Ok((offset, timestamp)) => {
                        answer.with_offset(offset).with_timestamp(timestamp).with_leader_epoch(0)
                    }
                    Err(code) => answer.with_error_code(code).with_offset(-1).with_timestamp(-1).with_leader_epoch(-1),
                }
            });
            ListOffsetsTopicResponse::default().with_name(wanted.name.clone()).with_partitions(partitions.collect())
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    })
}

/// Offset and timestamp for one of the special times or a time in milliseconds; −1 for both: no such record.
fn offset(
    state: &State,
    broker: usize,
    topic: Option<usize>,
    partition: i32,
    timestamp: i64,
    version: i16,
) -> Result<(i64, i64), i16> {
    let t = topic.ok_or(UNKNOWN_TOPIC_OR_PARTITION)?;
    let topic = state.topics.get(t).ok_or(UNKNOWN_TOPIC_OR_PARTITION)?;
    let p = usize::try_from(partition).ok().filter(|p| *p < topic.logs.partitions());
    let p = p.ok_or(UNKNOWN_TOPIC_OR_PARTITION)?;
    if state.leader(t, p) != Some(broker) {
        return Err(NOT_LEADER);
    }
    let now = state.now();
    match timestamp {
        -1 => Ok((topic.end(p), -1)),
        -2 => Ok((topic.log_start(p, now), -1)),
        -3 if version >= 7 => Ok((topic.end(p) - 1, now.millis())), // the newest record
        -4 if version >= 8 => Ok((topic.log_start(p, now), -1)),    // local log: there is no other
        -5 if version >= 9 => Ok((-1, -1)),                         // tiered storage: there is none
        ..0 => Err(UNSUPPORTED_VERSION),
        at => Ok(topic.first_since(p, Time::from_millis(at), now).map_or((-1, -1), |offset| (offset, at))),
    }
}
