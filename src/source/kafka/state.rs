//! What is known of one cluster between refreshes, and how answers change it. Pure: no socket, no clock.

use super::{shape, timelag::Track};
use crate::model::{BrokerState, GroupPartition, GroupState, GroupType, Label, Member, Time};
use bytes::{Buf, Bytes};
use kafka_protocol::{
    ResponseError,
    messages::{
        ConsumerGroupDescribeResponse, ConsumerProtocolAssignment, DescribeGroupsResponse, ListGroupsResponse,
        MetadataResponse, OffsetFetchResponse, TopicName,
    },
    protocol::{Decodable, StrBytes},
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Events (a topic was made again) are told for this long, seconds.
const EVENT_SECONDS: f64 = 600.0;
/// A group must be missing from this many complete rosters: while a coordinator moves, nobody lists its groups for a moment.
const MISSING_ROSTERS: u8 = 2;

pub(super) struct BrokerRow {
    pub host: String,
    pub port: u16,
    pub rack: Option<Label>,
    pub state: BrokerState,
    pub answered: Option<Time>,
    pub rtt: Option<f64>,
    /// Whether the last Metadata lists it; else only replicas name it.
    pub registered: bool,
}

pub(super) struct TopicRow {
    pub raw: TopicName,
    pub label: Label,
    /// Topic id (all zero: the broker has none); another id under the same name is another topic.
    id: [u8; 16],
    pub internal: bool,
    pub error: Option<Label>,
    pub partitions: Vec<PartitionRow>,
}

pub(super) struct PartitionRow {
    pub number: i32,
    pub leader: Option<i32>,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub offline: Vec<i32>,
    pub log_start: Option<i64>,
    pub end: Option<i64>,
    pub at: Time,
    /// The refresh in which `end` was read last.
    pub fresh: u64,
    pub track: Track,
    /// Whether a group reads it, so that its boundaries are worth keeping.
    pub read: bool,
    /// The timestamp to ask for next, and how much it matters.
    pub probe: Option<(i64, f64)>,
}

pub(super) struct GroupRow {
    pub label: Label,
    pub coordinator: i32,
    pub kind: GroupType,
    pub state: GroupState,
    /// Its members' assignments are in the format of consumers.
    consumer: bool,
    pub assignor: Option<Label>,
    pub members: Vec<Member>,
    /// Owned partitions: topic, partition, index of the member.
    pub owned: Vec<(StrBytes, i32, usize)>,
    /// Committed offsets that were read in this refresh and are not worked into `rows` yet.
    pub commits: Option<Vec<(StrBytes, i32, i64)>>,
    /// As shown, with the raw topic name.
    pub rows: Vec<(StrBytes, GroupPartition)>,
    pub error: Option<Label>,
    pub at: Time,
    /// The refresh in which a roster listed it last.
    pub listed: u64,
    missed: u8,
}

/// Everything that one reader keeps.
#[derive(Default)]
pub(super) struct State {
    /// Number of the refresh under way, from 1.
    pub refresh: u64,
    pub cluster_id: Option<Label>,
    pub brokers: BTreeMap<i32, BrokerRow>,
    pub topics: Vec<TopicRow>,
    pub index: HashMap<StrBytes, usize>,
    pub groups: BTreeMap<StrBytes, GroupRow>,
    events: Vec<(Time, Label)>,
    /// Brokers whose roster of this refresh is complete.
    rosters: HashSet<i32>,
}

impl State {
    /// Takes the answer to Metadata for all topics.
    pub(super) fn metadata(&mut self, said: MetadataResponse, now: Time) {
        self.cluster_id = said.cluster_id.map(|id| Label::new(&id));
        for row in self.brokers.values_mut() {
            row.registered = false;
        }
        for b in said.brokers {
            let unknown = || BrokerState::Down { since: now, reason: "not asked yet".into() };
            let row = self.brokers.entry(b.node_id.0).or_insert_with(|| BrokerRow {
                host: String::new(),
                port: 0,
                rack: None,
                state: unknown(),
                answered: None,
                rtt: None,
                registered: true,
            });
            row.registered = true;
            b.host.as_str().clone_into(&mut row.host);
            row.port = u16::try_from(b.port).unwrap_or(0);
            row.rack = b.rack.map(|r| Label::new(&r));
        }
        let mut before: HashMap<StrBytes, TopicRow> =
            std::mem::take(&mut self.topics).into_iter().map(|t| (t.raw.0.clone(), t)).collect();
        let first = self.refresh <= 1 || before.is_empty();
        for t in said.topics {
            let Some(name) = t.name else { continue };
            let id = *t.topic_id.as_bytes();
            let mut row = match before.remove(&name.0) {
                Some(row) if row.id == id || row.id == [0; 16] || id == [0; 16] => row,
                old => {
                    let label = old.as_ref().map_or_else(|| Label::new(&name.0), |o| o.label.clone());
                    if old.is_some() {
                        self.events.push((now, format!("topic {label} was made again: its offsets start anew").into()));
                    } else if !first {
                        self.events.push((now, format!("topic {label} is new").into()));
                    }
                    TopicRow { raw: name, label, id, internal: false, error: None, partitions: Vec::new() }
                }
            };
            row.internal = t.is_internal;
            row.error = sentence(t.error_code);
            let count = row.partitions.len();
            let mut known: HashMap<i32, PartitionRow> = row.partitions.drain(..).map(|p| (p.number, p)).collect();
            for p in t.partitions {
                let mut part = known.remove(&p.partition_index).unwrap_or_else(|| PartitionRow::new(p.partition_index));
                part.leader = (p.leader_id.0 >= 0).then_some(p.leader_id.0);
                part.replicas = p.replica_nodes.iter().map(|b| b.0).collect();
                part.isr = p.isr_nodes.iter().map(|b| b.0).collect();
                part.offline = p.offline_replicas.iter().map(|b| b.0).collect();
                row.partitions.push(part);
            }
            row.partitions.sort_by_key(|p| p.number);
            if count != 0 && row.error.is_none() && count != row.partitions.len() {
                let text = format!("topic {}: {count} partitions became {}", row.label, row.partitions.len());
                self.events.push((now, text.into()));
            }
            self.topics.push(row);
        }
        for gone in before.into_values() {
            self.events.push((now, format!("topic {} is gone, or no longer visible to us", gone.label).into()));
        }
        self.topics.sort_by(|a, b| a.raw.cmp(&b.raw));
        self.index = self.topics.iter().enumerate().map(|(i, t)| (t.raw.0.clone(), i)).collect();
        self.offline_brokers(now);
    }

    /// A broker that fell out of the cluster is in no list any more, but replicas still name it.
    fn offline_brokers(&mut self, now: Time) {
        let named: HashSet<i32> =
            self.topics.iter().flat_map(|t| &t.partitions).flat_map(|p| p.replicas.iter().copied()).collect();
        self.brokers.retain(|id, row| row.registered || named.contains(id));
        for id in named {
            self.brokers.entry(id).or_insert_with(|| BrokerRow {
                host: String::new(),
                port: 0,
                rack: None,
                state: BrokerState::Down { since: now, reason: "not registered with the cluster".into() },
                answered: None,
                rtt: None,
                registered: false,
            });
        }
    }

    /// Takes one broker's list of the groups that it coordinates.
    pub(super) fn roster(&mut self, broker: i32, said: ListGroupsResponse, now: Time) {
        if let Some(error) = sentence(said.error_code) {
            let mend = if said.error_code == 31 { ": grant Describe on the cluster" } else { "" };
            self.notice_once(now, format!("broker {broker} lists no groups: {error}{mend}"));
            return;
        }
        self.rosters.insert(broker);
        for g in said.groups {
            let kind = match g.group_type.as_str() {
                "" | "classic" => GroupType::Classic, // before ListGroups v5 there was no other
                "consumer" => GroupType::Consumer,
                "share" => GroupType::Share,
                _ => GroupType::Other,
            };
            let row = self.groups.entry(g.group_id.0).or_insert_with_key(|raw| GroupRow::new(raw, now));
            row.coordinator = broker;
            row.kind = kind;
            row.consumer = matches!(g.protocol_type.as_str(), "consumer" | "");
            if !g.group_state.is_empty() {
                row.state = state(&g.group_state);
            }
            row.listed = self.refresh;
            row.missed = 0;
        }
    }

    /// Drops groups that are really gone: missing from rosters in which no broker and no coordinator partition was missing.
    pub(super) fn drop_deleted(&mut self) {
        let leaderless = self
            .index
            .get("__consumer_offsets".as_bytes())
            .and_then(|i| self.topics.get(*i))
            .is_some_and(|t| t.partitions.iter().any(|p| p.leader.is_none()));
        let complete = !leaderless && self.brokers.keys().all(|id| self.rosters.contains(id));
        let now = self.refresh;
        if complete {
            self.groups.retain(|_, g| {
                g.missed += u8::from(g.listed != now);
                g.missed < MISSING_ROSTERS
            });
        }
    }

    /// Whether every broker listed its groups in this refresh.
    pub(super) fn rosters_complete(&self) -> bool {
        !self.brokers.is_empty() && self.brokers.keys().all(|id| self.rosters.contains(id))
    }

    /// Starts a refresh.
    pub(super) fn begin(&mut self, now: Time) {
        self.refresh += 1;
        self.rosters.clear();
        self.events.retain(|(at, _)| now.since(*at) < EVENT_SECONDS);
    }

    /// Takes committed offsets.
    pub(super) fn committed(&mut self, said: OffsetFetchResponse, now: Time) {
        for g in said.groups {
            let Some(row) = self.groups.get_mut(&g.group_id.0) else { continue };
            row.error = sentence(g.error_code);
            if row.error.is_some() {
                continue;
            }
            let offsets = g.topics.into_iter().flat_map(|t| {
                let name = t.name.0;
                t.partitions.into_iter().filter(|p| p.error_code == 0 && p.committed_offset >= 0).map(move |p| {
                    (name.clone(), p.partition_index, p.committed_offset) // a handle on the frame, no copy
                })
            });
            row.commits = Some(offsets.collect());
            row.at = now;
        }
    }

    /// Takes the descriptions of classic groups.
    pub(super) fn classic(&mut self, said: DescribeGroupsResponse) {
        for g in said.groups {
            let Some(row) = self.groups.get_mut(&g.group_id.0).filter(|_| g.error_code == 0) else { continue };
            row.state = state(&g.group_state);
            row.assignor = (!g.protocol_data.is_empty()).then(|| Label::new(&g.protocol_data));
            let consumer = row.consumer;
            row.describe(g.members.into_iter().map(|m| {
                let owned = if consumer { assignment(m.member_assignment) } else { Vec::new() };
                let instance = m.group_instance_id.as_deref().map(Label::new);
                (member(&m.member_id, &m.client_id, &m.client_host, instance), owned)
            }));
        }
    }

    /// Takes the descriptions of KIP-848 groups.
    pub(super) fn consumer(&mut self, said: ConsumerGroupDescribeResponse) {
        for g in said.groups {
            let Some(row) = self.groups.get_mut(&g.group_id.0).filter(|_| g.error_code == 0) else { continue };
            row.state = state(&g.group_state);
            row.assignor = (!g.assignor_name.is_empty()).then(|| Label::new(&g.assignor_name));
            row.describe(g.members.into_iter().map(|m| {
                let owned = m.assignment.topic_partitions.into_iter().map(|t| (t.topic_name.0, t.partitions)).collect();
                let instance = m.instance_id.as_deref().map(Label::new);
                (member(&m.member_id, &m.client_id, &m.client_host, instance), owned)
            }));
        }
    }

    /// Adds a notice unless it stands there already.
    pub(super) fn notice_once(&mut self, now: Time, text: String) {
        let label = Label::from(text);
        if !self.events.iter().any(|(_, l)| *l == label) {
            self.events.push((now, label));
        }
    }

    /// The events that are still told, newest first.
    pub(super) fn notices(&self) -> impl Iterator<Item = &Label> {
        self.events.iter().rev().map(|(_, text)| text)
    }
}

impl PartitionRow {
    fn new(number: i32) -> Self {
        Self {
            number,
            leader: None,
            replicas: Vec::new(),
            isr: Vec::new(),
            offline: Vec::new(),
            log_start: None,
            end: None,
            at: Time::default(),
            fresh: 0,
            track: Track::default(),
            read: false,
            probe: None,
        }
    }
}

impl GroupRow {
    fn new(raw: &StrBytes, now: Time) -> Self {
        Self {
            label: Label::new(raw),
            coordinator: -1,
            kind: GroupType::Other,
            state: GroupState::Unknown,
            consumer: false,
            assignor: None,
            members: Vec::new(),
            owned: Vec::new(),
            commits: None,
            rows: Vec::new(),
            error: None,
            at: now,
            listed: 0,
            missed: 0,
        }
    }

    fn describe(&mut self, members: impl Iterator<Item = (Member, Vec<(StrBytes, Vec<i32>)>)>) {
        self.members.clear();
        self.owned.clear();
        for (i, (mut member, assigned)) in members.enumerate() {
            for (topic, partitions) in assigned {
                member.partitions += partitions.len() as u32;
                self.owned.extend(partitions.into_iter().map(|p| (topic.clone(), p, i)));
            }
            self.members.push(member);
        }
    }
}

fn member(id: &str, client: &str, host: &str, instance_id: Option<Label>) -> Member {
    Member { id: Label::new(id), client_id: Label::new(client), host: Label::new(host), instance_id, partitions: 0 }
}

/// The partitions in a classic member's assignment. Another format than the consumers' owns nothing that we know of.
fn assignment(mut blob: Bytes) -> Vec<(StrBytes, Vec<i32>)> {
    if blob.len() < 2 {
        return Vec::new();
    }
    let version = blob.get_i16().clamp(0, 3); // newer ones only add fields at the end
    if shape::check(&shape::ASSIGNMENT, version, &blob).is_err() {
        return Vec::new();
    }
    ConsumerProtocolAssignment::decode(&mut blob, version)
        .map(|a| a.assigned_partitions.into_iter().map(|t| (t.topic.0, t.partitions)).collect())
        .unwrap_or_default()
}

/// Kafka's words for states; classic groups say `CompletingRebalance`, KIP-848 groups `Assigning` and `Reconciling`.
fn state(word: &str) -> GroupState {
    match word {
        "Stable" => GroupState::Stable,
        "PreparingRebalance" => GroupState::PreparingRebalance,
        "CompletingRebalance" => GroupState::CompletingRebalance,
        "Assigning" => GroupState::Assigning,
        "Reconciling" => GroupState::Reconciling,
        "Empty" => GroupState::Empty,
        "Dead" => GroupState::Dead,
        _ => GroupState::Unknown,
    }
}

/// An error code as a sentence; `None`: no error.
pub(super) fn sentence(code: i16) -> Option<Label> {
    let error = ResponseError::try_from_code(code)?;
    Some(match error {
        ResponseError::CoordinatorLoadInProgress => "the coordinator is still loading its offsets".into(),
        ResponseError::NotCoordinator | ResponseError::CoordinatorNotAvailable => "the coordinator is moving".into(),
        ResponseError::GroupAuthorizationFailed => "not authorised: grant Describe on the group".into(),
        ResponseError::TopicAuthorizationFailed => "not authorised: grant Describe on the topic".into(),
        ResponseError::UnknownTopicOrPartition => "unknown topic: being deleted, or not visible to us".into(),
        ResponseError::LeaderNotAvailable => "no leader at the moment".into(),
        other => format!("{other} (error {code})").into(),
    })
}
