//! Answers about consumer groups: who is in them, what they have committed, who coordinates them.

use super::{
    Face,
    cluster::{address, name},
};
use crate::{
    simulate::{
        Assignor, Random,
        group::{Consumer, Protocol},
    },
    world::{
        pods,
        state::{GroupState, State},
    },
};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        BrokerId, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerProtocolAssignment,
        DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest, FindCoordinatorResponse, GroupId,
        ListGroupsRequest, ListGroupsResponse, OffsetFetchRequest, OffsetFetchResponse,
        consumer_group_describe_response as modern, consumer_protocol_assignment as assignment,
        describe_groups_response as classic,
        find_coordinator_response::Coordinator,
        list_groups_response::ListedGroup,
        offset_fetch_response::{
            OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
            OffsetFetchResponseTopic, OffsetFetchResponseTopics,
        },
    },
    protocol::{Encodable, StrBytes},
};

// Error codes of the protocol.
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const NOT_COORDINATOR: i16 = 16;
const GROUP_ID_NOT_FOUND: i16 = 69;

/// Version of the assignment that classic members hold (`ConsumerProtocolAssignment`).
const ASSIGNMENT_VERSION: i16 = 1;

fn text(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

fn find<'a>(state: &'a State, id: &str) -> Option<(usize, &'a GroupState)> {
    state.groups.iter().enumerate().find(|(_, g)| g.id == id)
}

fn is_modern(group: &GroupState) -> bool {
    group.group.settings().protocol == Protocol::Consumer
}

fn state_name(group: &GroupState) -> &'static str {
    match (group.group.consumers().is_empty(), group.group.is_rebalancing(), is_modern(group)) {
        (true, ..) => "Empty",
        (_, true, true) => "Reconciling",
        (_, true, false) => "PreparingRebalance",
        (_, false, _) => "Stable",
    }
}

pub(super) fn list(face: &Face, request: &ListGroupsRequest) -> ListGroupsResponse {
    face.world.with(|state| {
        let passes = |filter: &[StrBytes], value: &str| {
            filter.is_empty() || filter.iter().any(|f| f.as_str().eq_ignore_ascii_case(value))
        };
        let here = state.groups.iter().enumerate().filter(|(g, _)| state.coordinator(*g) == Some(face.broker));
        let groups = here.filter_map(|(_, group)| {
            let (state, kind) = (state_name(group), if is_modern(group) { "consumer" } else { "classic" });
            (passes(&request.states_filter, state) && passes(&request.types_filter, kind)).then(|| {
                ListedGroup::default()
                    .with_group_id(GroupId(text(group.id)))
                    .with_protocol_type(text("consumer"))
                    .with_group_state(text(state))
                    .with_group_type(text(kind))
            })
        });
        ListGroupsResponse::default().with_groups(groups.collect())
    })
}

/// What a member calls itself and where it seems to come from, the same for its whole life.
struct Identity {
    member: StrBytes,
    client: StrBytes,
    host: StrBytes,
}

fn identity(group: &GroupState, consumer: &Consumer) -> Identity {
    let mut random = Random::new(consumer.serial ^ group.id.bytes().map(u64::from).sum::<u64>() << 32);
    let (a, b) = (random.bits(), random.bits());
    let client = format!("{}-{}", group.id, consumer.serial);
    let uuid =
        format!("{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", a >> 32, a & 0xffff, b & 0xfff, (b >> 12) & 0xfff, b >> 16);
    let host = format!("/{}", pods::address(group.id, consumer.serial));
    let member = if is_modern(group) { uuid } else { format!("{client}-{uuid}") };
    Identity { member: text(&member), client: text(&client), host: text(&host) }
}

fn owned(group: &GroupState, consumer: usize) -> Vec<i32> {
    let readings = group.group.readings().iter().zip(0..);
    readings.filter(|(r, _)| r.owner == Some(consumer)).map(|(_, p)| p).collect()
}

pub(super) fn describe_classic(
    face: &Face,
    request: &DescribeGroupsRequest,
    version: i16,
) -> Result<DescribeGroupsResponse, String> {
    face.world.with(|state| {
        let mut groups = Vec::with_capacity(request.groups.len());
        for id in &request.groups {
            let answer = classic::DescribedGroup::default().with_group_id(id.clone());
            groups.push(match find(state, id.as_str()) {
                Some((g, _)) if state.coordinator(g) != Some(face.broker) => answer.with_error_code(NOT_COORDINATOR),
                Some((_, group)) if !is_modern(group) => classic_group(state, group, answer)?,
                // Since version 6 an unknown group is an error; before, and for KIP-848 groups too, it was "Dead".
                _ if version >= 6 => answer
                    .with_group_state(text("Dead"))
                    .with_error_code(GROUP_ID_NOT_FOUND)
                    .with_error_message(Some(text(&format!("Group {} not found.", id.as_str())))),
                _ => answer.with_group_state(text("Dead")),
            });
        }
        Ok(DescribeGroupsResponse::default().with_groups(groups))
    })
}

fn classic_group(
    state: &State,
    group: &GroupState,
    answer: classic::DescribedGroup,
) -> Result<classic::DescribedGroup, String> {
    // While members join, a broker shows neither the protocol nor the assignments.
    let stable = state_name(group) == "Stable";
    let topic = state.topics.get(group.topic).map_or("", |t| t.name);
    let mut members = Vec::with_capacity(group.group.consumers().len());
    for (c, consumer) in group.group.consumers().iter().enumerate() {
        let who = identity(group, consumer);
        let held = if stable { encode_assignment(topic, owned(group, c))? } else { Bytes::new() };
        members.push(
            classic::DescribedGroupMember::default()
                .with_member_id(who.member)
                .with_client_id(who.client)
                .with_client_host(who.host)
                .with_member_assignment(held),
        );
    }
    let assignor = if stable { group.group.settings().assignor.name() } else { "" };
    Ok(answer
        .with_group_state(text(state_name(group)))
        .with_protocol_type(text("consumer"))
        .with_protocol_data(text(assignor))
        .with_members(members))
}

/// The bytes that the leader of a classic group hands to a member: a version, then the partitions.
fn encode_assignment(topic: &str, partitions: Vec<i32>) -> Result<Bytes, String> {
    let topics = if partitions.is_empty() {
        Vec::new()
    } else {
        vec![assignment::TopicPartition::default().with_topic(name(topic)).with_partitions(partitions)]
    };
    let mut out = BytesMut::new();
    out.put_i16(ASSIGNMENT_VERSION);
    ConsumerProtocolAssignment::default()
        .with_assigned_partitions(topics)
        .encode(&mut out, ASSIGNMENT_VERSION)
        .map_err(|e| e.to_string())?;
    Ok(out.freeze())
}

pub(super) fn describe_consumer(face: &Face, request: &ConsumerGroupDescribeRequest) -> ConsumerGroupDescribeResponse {
    face.world.with(|state| {
        let groups = request.group_ids.iter().map(|id| {
            let answer = modern::DescribedGroup::default().with_group_id(id.clone());
            match find(state, id.as_str()) {
                Some((g, _)) if state.coordinator(g) != Some(face.broker) => answer.with_error_code(NOT_COORDINATOR),
                Some((_, group)) if is_modern(group) => modern_group(state, group, answer),
                _ => answer
                    .with_group_state(text("Dead"))
                    .with_error_code(GROUP_ID_NOT_FOUND)
                    .with_error_message(Some(text(&format!("Group {} not found.", id.as_str())))),
            }
        });
        ConsumerGroupDescribeResponse::default().with_groups(groups.collect())
    })
}

fn modern_group(state: &State, group: &GroupState, answer: modern::DescribedGroup) -> modern::DescribedGroup {
    let topic = state.topics.get(group.topic).map_or("", |t| t.name);
    let epoch = 1 + group.group.rebalances() as i32;
    let members = group.group.consumers().iter().enumerate().map(|(c, consumer)| {
        let who = identity(group, consumer);
        let held = modern::TopicPartitions::default().with_topic_name(name(topic)).with_partitions(owned(group, c));
        let held = modern::Assignment::default().with_topic_partitions(vec![held]);
        modern::Member::default()
            .with_member_id(who.member)
            .with_client_id(who.client)
            .with_client_host(who.host)
            .with_member_epoch(epoch)
            .with_member_type(1)
            .with_subscribed_topic_names(vec![name(topic)])
            .with_target_assignment(held.clone())
            .with_assignment(held)
    });
    let assignor = if group.group.settings().assignor == Assignor::Range { "range" } else { "uniform" };
    answer
        .with_group_state(text(state_name(group)))
        .with_group_epoch(epoch)
        .with_assignment_epoch(epoch)
        .with_assignor_name(text(assignor))
        .with_members(members.collect())
}

/// The committed offsets of one group on one topic, for the partitions asked for (`None`: all that have one).
fn committed(group: &GroupState, partitions: Option<&[i32]>) -> Vec<(i32, i64)> {
    let offset = |p: i32| {
        let reading = usize::try_from(p).ok().and_then(|p| group.group.readings().get(p));
        reading.map_or(-1, |r| r.committed.floor() as i64)
    };
    match partitions {
        Some(asked) => asked.iter().map(|p| (*p, offset(*p))).collect(),
        None => (0..).zip(group.group.readings()).map(|(p, r)| (p, r.committed.floor() as i64)).collect(),
    }
}

pub(super) fn offset_fetch(face: &Face, request: &OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
    face.world.with(|state| {
        if version >= 8 {
            let groups = request.groups.iter().map(|asked| {
                let answer = OffsetFetchResponseGroup::default().with_group_id(asked.group_id.clone());
                let topics = asked.topics.as_ref().map(|topics| {
                    topics.iter().map(|t| (t.name.as_str(), t.partition_indexes.as_slice())).collect::<Vec<_>>()
                });
                match fetch(face, state, asked.group_id.as_str(), topics.as_deref()) {
                    Err(code) => answer.with_error_code(code),
                    Ok(topics) => {
                        answer.with_topics(topics.into_iter().map(|(t, offsets)| batch_topic(t, &offsets)).collect())
                    }
                }
            });
            return OffsetFetchResponse::default().with_groups(groups.collect());
        }
        let topics = request
            .topics
            .as_ref()
            .map(|topics| topics.iter().map(|t| (t.name.as_str(), t.partition_indexes.as_slice())).collect::<Vec<_>>());
        match fetch(face, state, request.group_id.as_str(), topics.as_deref()) {
            Err(code) => OffsetFetchResponse::default().with_error_code(code),
            Ok(topics) => OffsetFetchResponse::default()
                .with_topics(topics.into_iter().map(|(t, offsets)| single_topic(t, &offsets)).collect()),
        }
    })
}

type Offsets<'a> = Vec<(&'a str, Vec<(i32, i64)>)>;

/// Offsets of a group per topic; −1: none committed. An unknown group has none, without an error, as on a real broker.
fn fetch<'a>(face: &Face, state: &'a State, id: &str, asked: Option<&[(&'a str, &[i32])]>) -> Result<Offsets<'a>, i16> {
    let found = find(state, id);
    if let Some((g, _)) = found
        && state.coordinator(g) != Some(face.broker)
    {
        return Err(NOT_COORDINATOR);
    }
    let read = found.and_then(|(_, group)| state.topics.get(group.topic).map(|t| (group, t.name)));
    Ok(match (asked, read) {
        (None, None) => Vec::new(),
        (None, Some((group, topic))) => vec![(topic, committed(group, None))],
        (Some(asked), read) => asked
            .iter()
            .map(|(topic, partitions)| match read {
                Some((group, own)) if own == *topic => (*topic, committed(group, Some(partitions))),
                _ => (*topic, partitions.iter().map(|p| (*p, -1)).collect()),
            })
            .collect(),
    })
}

fn batch_topic(topic: &str, offsets: &[(i32, i64)]) -> OffsetFetchResponseTopics {
    let partitions = offsets.iter().map(|(p, offset)| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(*p)
            .with_committed_offset(*offset)
            .with_metadata(Some(text("")))
    });
    OffsetFetchResponseTopics::default().with_name(name(topic)).with_partitions(partitions.collect())
}

fn single_topic(topic: &str, offsets: &[(i32, i64)]) -> OffsetFetchResponseTopic {
    let partitions = offsets.iter().map(|(p, offset)| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(*p)
            .with_committed_offset(*offset)
            .with_metadata(Some(text("")))
    });
    OffsetFetchResponseTopic::default().with_name(name(topic)).with_partitions(partitions.collect())
}

pub(super) fn find_coordinator(face: &Face, request: &FindCoordinatorRequest, version: i16) -> FindCoordinatorResponse {
    face.world.with(|state| {
        let of = |key: &str| -> Result<(BrokerId, StrBytes, i32), i16> {
            // A group that does not exist yet has a coordinator too: the one its name falls on.
            let group = find(state, key).map_or_else(|| key.len(), |(g, _)| g);
            state.coordinator(group).map(|b| address(face, state, b)).ok_or(COORDINATOR_NOT_AVAILABLE)
        };
        if version >= 4 {
            let coordinators = request.coordinator_keys.iter().map(|key| {
                let answer = Coordinator::default().with_key(key.clone());
                match of(key.as_str()) {
                    Ok((node, host, port)) => answer.with_node_id(node).with_host(host).with_port(port),
                    Err(code) => answer.with_node_id(BrokerId(-1)).with_port(-1).with_error_code(code),
                }
            });
            return FindCoordinatorResponse::default().with_coordinators(coordinators.collect());
        }
        match of(request.key.as_str()) {
            Ok((node, host, port)) => {
                FindCoordinatorResponse::default().with_node_id(node).with_host(host).with_port(port)
            }
            Err(code) => {
                FindCoordinatorResponse::default().with_node_id(BrokerId(-1)).with_port(-1).with_error_code(code)
            }
        }
    })
}
