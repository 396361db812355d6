//! What is known of one cluster between refreshes, and how answers change it. Pure: no socket, no clock.

use super::{
    details::{Grant, Named, Open},
    members::state,
    rota::in_turn,
    share::{ShareOffsets, SharePartition},
    timelag::Track,
};
use crate::model::{
    BrokerState, GroupPartition, GroupState, GroupType, Label, LogDir, Member, Stable, Time, TopicConfig,
};
use kafka_protocol::{
    ResponseError,
    messages::{
        GroupId, ListGroupsResponse, MetadataResponse, OffsetFetchResponse, TopicName,
        offset_fetch_response::{
            OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
            OffsetFetchResponseTopics,
        },
    },
    protocol::StrBytes,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Events (a topic was made again) are told for this long, seconds …
const EVENT_SECONDS: f64 = 600.0;
/// … and so many of them at most, the newest.
const EVENTS: usize = 200;
/// With more groups than this, rosters and descriptions are asked for every so many refreshes.
const FEW_GROUPS: (usize, u64) = (500, 3);
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
    pub log_dirs: Vec<LogDir>,
}

pub(super) struct TopicRow {
    pub raw: TopicName,
    pub label: Label,
    /// Topic id (all zero: the broker has none); another id under the same name is another topic.
    id: [u8; 16],
    pub internal: bool,
    pub error: Option<Label>,
    pub partitions: Vec<PartitionRow>,
    pub config: Option<TopicConfig>,
    /// Whether its configuration was asked for in this round.
    pub config_asked: bool,
    /// Whether its name is that of a dead-letter topic.
    pub dead_letter: bool,
}

pub(super) struct PartitionRow {
    pub number: i32,
    pub leader: Option<i32>,
    /// Which leader that is, counted from the first; −1: not told.
    pub epoch: i32,
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
    pub stable: Option<Stable>,
    /// The transaction that holds `stable` back.
    pub transaction: Option<Open>,
    pub bytes: Option<u64>,
}

/// By which requests a group is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Classic,
    Consumer,
    Share,
    /// By none that we speak: KIP-1071 and what is to come. Its offsets are read all the same.
    Other,
}

pub(super) struct GroupRow {
    pub label: Label,
    pub coordinator: i32,
    pub protocol: Protocol,
    pub kind: GroupType,
    pub state: GroupState,
    /// Its members' assignments are in the format of consumers.
    pub consumer: bool,
    pub assignor: Option<Label>,
    pub members: Vec<Member>,
    /// Whether its members were told.
    pub described: bool,
    /// Whether it reads topics that we may not describe: brokers leave them out of whatever they tell of it.
    pub hides: bool,
    /// Owned partitions: topic, partition, index of the member.
    pub owned: Vec<(StrBytes, i32, usize)>,
    /// Committed offsets that were read in this refresh and are not worked into `rows` yet.
    pub commits: Option<Vec<(StrBytes, i32, i64)>>,
    /// Likewise what a share group has not done with.
    pub shares: Option<Vec<SharePartition>>,
    /// As shown, with the raw topic name.
    pub rows: Vec<(StrBytes, GroupPartition)>,
    pub error: Option<Label>,
    pub at: Time,
    /// The refresh in which a roster listed it last.
    pub listed: u64,
    /// The refresh in which its offsets were read last; 0: never.
    pub read: u64,
    missed: u8,
}

/// Everything that one reader keeps.
#[derive(Default)]
pub(super) struct State {
    /// Number of the refresh under way, from 1.
    pub refresh: u64,
    /// When it began.
    pub now: Time,
    /// A leader or a broker is not where it was: Metadata is due, whatever its cadence.
    pub doubt: bool,
    /// A group is not where it was: rosters are due.
    pub moved: bool,
    pub cluster_id: Option<Label>,
    pub brokers: BTreeMap<i32, BrokerRow>,
    pub topics: Vec<TopicRow>,
    pub index: HashMap<StrBytes, usize>,
    pub groups: BTreeMap<StrBytes, GroupRow>,
    events: Vec<(Time, Label)>,
    /// Partitions that did not tell their end in this refresh, by error code: how many, and an example.
    pub mute: BTreeMap<i16, (u32, String)>,
    /// The refresh of each broker's last roster.
    rosters: HashMap<i32, u64>,
    pub offsets_retention: Option<f64>,
    pub refusals: BTreeSet<Grant>,
    /// Producers with hanging transactions, as far as coordinators know them.
    pub named: HashMap<i64, Named>,
}

impl State {
    /// Takes the answer to Metadata for all topics.
    pub(super) fn metadata(&mut self, said: MetadataResponse, now: Time) {
        self.doubt = false;
        self.cluster_id = said.cluster_id.map(|id| Label::new(&id));
        for row in self.brokers.values_mut() {
            row.registered = false;
        }
        for b in said.brokers {
            let unknown = || BrokerState::Down { since: now, reason: "not asked yet".into() };
            let row = self.brokers.entry(b.node_id.0).or_insert_with(|| BrokerRow::new(unknown(), true));
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
                        self.event(now, format!("topic {label} was made again: its offsets start anew"));
                    } else if !first {
                        self.event(now, format!("topic {label} is new"));
                    }
                    TopicRow {
                        raw: name,
                        label,
                        id,
                        internal: false,
                        error: None,
                        partitions: Vec::new(),
                        config: None,
                        config_asked: false,
                        dead_letter: false,
                    }
                }
            };
            row.internal = t.is_internal;
            row.error = sentence(t.error_code);
            let count = row.partitions.len();
            let mut known: HashMap<i32, PartitionRow> = row.partitions.drain(..).map(|p| (p.number, p)).collect();
            for p in t.partitions {
                let mut part = known.remove(&p.partition_index).unwrap_or_else(|| PartitionRow::new(p.partition_index));
                part.leader = (p.leader_id.0 >= 0).then_some(p.leader_id.0);
                part.epoch = p.leader_epoch;
                part.replicas = p.replica_nodes.iter().map(|b| b.0).collect();
                part.isr = p.isr_nodes.iter().map(|b| b.0).collect();
                part.offline = p.offline_replicas.iter().map(|b| b.0).collect();
                row.partitions.push(part);
            }
            row.partitions.sort_by_key(|p| p.number);
            if count != 0 && row.error.is_none() && count != row.partitions.len() {
                let text = format!("topic {}: {count} partitions became {}", row.label, row.partitions.len());
                self.event(now, text);
            }
            self.topics.push(row);
        }
        for gone in before.into_values() {
            self.event(now, format!("topic {} is gone, or no longer visible to us", gone.label));
        }
        self.topics.sort_by(|a, b| a.raw.cmp(&b.raw));
        self.index = self.topics.iter().enumerate().map(|(i, t)| (t.raw.0.clone(), i)).collect();
        self.offline_brokers(now);
    }

    /// Whether an answer to Metadata is older than what is known, by the epochs of leaders: they only rise while a topic lasts.
    pub(super) fn is_behind(&self, said: &MetadataResponse) -> bool {
        said.topics.iter().any(|t| {
            let known = t.name.as_ref().and_then(|n| self.topics.get(*self.index.get(&n.0)?));
            let same = known.filter(|k| k.id == *t.topic_id.as_bytes() && k.id != [0; 16]);
            let epoch = |number| {
                let place = same?.partitions.binary_search_by_key(&number, |p| p.number).ok()?;
                Some(same?.partitions.get(place)?.epoch)
            };
            t.partitions.iter().any(|p| p.leader_epoch >= 0 && Some(p.leader_epoch) < epoch(p.partition_index))
        })
    }

    /// A broker that fell out of the cluster is in no list any more, but replicas still name it.
    fn offline_brokers(&mut self, now: Time) {
        let named: HashSet<i32> =
            self.topics.iter().flat_map(|t| &t.partitions).flat_map(|p| p.replicas.iter().copied()).collect();
        self.brokers.retain(|id, row| row.registered || named.contains(id));
        for id in named {
            self.brokers.entry(id).or_insert_with(|| {
                BrokerRow::new(
                    BrokerState::Down { since: now, reason: "not registered with the cluster".into() },
                    false,
                )
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
        self.rosters.insert(broker, self.refresh);
        for g in said.groups {
            let (protocol, kind) = match (g.group_type.as_str(), g.protocol_type.as_str()) {
                ("" | "classic", "connect") => (Protocol::Classic, GroupType::Connect),
                ("" | "classic", _) => (Protocol::Classic, GroupType::Classic), // before ListGroups v5 all were
                ("consumer", _) => (Protocol::Consumer, GroupType::Consumer),
                ("share", _) => (Protocol::Share, GroupType::Share),
                ("streams", _) => (Protocol::Other, GroupType::Streams),
                _ => (Protocol::Other, GroupType::Other),
            };
            let row = self.groups.entry(g.group_id.0).or_insert_with_key(|raw| GroupRow::new(raw, now));
            row.coordinator = broker;
            row.protocol = protocol;
            // Which framework a classic group belongs to only its assignor tells.
            if row.kind != GroupType::Streams || kind != GroupType::Classic {
                row.kind = kind;
            }
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
        let now = self.refresh;
        let complete = !leaderless && self.brokers.keys().all(|id| self.rosters.get(id) == Some(&now));
        if complete {
            let mut gone = Vec::new();
            self.groups.retain(|_, g| {
                g.missed += u8::from(g.listed != now);
                if g.missed >= MISSING_ROSTERS {
                    gone.push(format!("group {} is gone: deleted, expired, or no longer visible to us", g.label));
                }
                g.missed < MISSING_ROSTERS
            });
            for text in gone {
                self.event(self.now, text);
            }
        }
    }

    /// Whether every broker has listed its groups.
    pub(super) fn rosters_complete(&self) -> bool {
        !self.brokers.is_empty() && self.brokers.keys().all(|id| self.rosters.contains_key(id))
    }

    /// Whether the last roster of its coordinator lists a group.
    pub(super) fn is_listed(&self, group: &GroupRow) -> bool {
        self.rosters.get(&group.coordinator) == Some(&group.listed)
    }

    /// Whether rosters and descriptions are asked for in this refresh.
    pub(super) fn rosters_are_due(&self) -> bool {
        self.moved || in_turn(self.refresh, self.groups.len(), FEW_GROUPS.0, FEW_GROUPS.1)
    }

    /// Whether a broker was never asked for its roster.
    pub(super) fn lacks_roster(&self, broker: i32) -> bool {
        !self.rosters.contains_key(&broker)
    }

    /// Starts a refresh.
    pub(super) fn begin(&mut self, now: Time) {
        self.refresh += 1;
        self.now = now;
        self.mute.clear();
        self.events.retain(|(at, _)| now.since(*at) < EVENT_SECONDS);
    }

    /// Takes committed offsets.
    pub(super) fn committed(&mut self, said: OffsetFetchResponse, now: Time) {
        for g in said.groups {
            let Some(row) = self.groups.get_mut(&g.group_id.0) else { continue };
            row.error = sentence(g.error_code);
            if row.error.is_some() {
                self.moved = true; // most often its coordinator: the next rosters tell
                continue;
            }
            let offsets = g.topics.into_iter().flat_map(|t| {
                let name = t.name.0;
                t.partitions.into_iter().filter(|p| p.error_code == 0 && p.committed_offset >= 0).map(move |p| {
                    (name.clone(), p.partition_index, p.committed_offset) // a handle on the frame, no copy
                })
            });
            row.commits = Some(offsets.collect());
            row.read = self.refresh;
            row.at = now;
        }
    }

    /// Takes how far share groups are.
    pub(super) fn shares(&mut self, said: Vec<ShareOffsets>, now: Time) {
        for g in said {
            let Some(row) = self.groups.get_mut(&g.group) else { continue };
            row.error = sentence(g.error);
            if row.error.is_none() {
                row.shares = Some(g.partitions);
                row.read = self.refresh;
                row.at = now;
            }
        }
    }

    /// Notes which topics are dead-letter topics.
    pub(super) fn mark_dead_letters(&mut self, is: impl Fn(&str) -> bool) {
        for topic in &mut self.topics {
            topic.dead_letter = is(topic.label.as_str());
        }
    }

    /// Adds a notice unless it stands there already.
    pub(super) fn notice_once(&mut self, now: Time, text: String) {
        let label = Label::from(text);
        if !self.events.iter().any(|(_, l)| *l == label) {
            self.events.push((now, label));
        }
    }

    fn event(&mut self, now: Time, text: String) {
        if self.events.len() >= EVENTS {
            self.events.remove(0);
        }
        self.events.push((now, text.into()));
    }

    /// The events that are still told, newest first.
    pub(super) fn notices(&self) -> impl Iterator<Item = &Label> {
        self.events.iter().rev().map(|(_, text)| text)
    }
}

impl BrokerRow {
    /// A broker that nothing is known of yet but its address.
    fn new(state: BrokerState, registered: bool) -> Self {
        Self {
            host: String::new(),
            port: 0,
            rack: None,
            state,
            answered: None,
            rtt: None,
            registered,
            log_dirs: Vec::new(),
        }
    }
}

impl TopicRow {
    pub(super) fn partition(&mut self, number: i32) -> Option<&mut PartitionRow> {
        let i = self.partitions.binary_search_by_key(&number, |p| p.number).ok()?;
        self.partitions.get_mut(i)
    }
}

impl PartitionRow {
    fn new(number: i32) -> Self {
        Self {
            number,
            leader: None,
            epoch: -1,
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
            stable: None,
            transaction: None,
            bytes: None,
        }
    }
}

impl GroupRow {
    fn new(raw: &StrBytes, now: Time) -> Self {
        Self {
            label: Label::new(raw),
            coordinator: -1,
            protocol: Protocol::Other,
            kind: GroupType::Other,
            state: GroupState::Unknown,
            consumer: false,
            assignor: None,
            members: Vec::new(),
            described: false,
            hides: false,
            owned: Vec::new(),
            commits: None,
            shares: None,
            rows: Vec::new(),
            error: None,
            at: now,
            listed: 0,
            read: 0,
            missed: 0,
        }
    }
}

/// The answer of a broker before Kafka 3.0, which is about one group, in the form of later ones.
pub(super) fn as_of_one_group(id: GroupId, said: OffsetFetchResponse) -> OffsetFetchResponse {
    let topic = |t: OffsetFetchResponseTopic| {
        let partitions = t.partitions.into_iter().map(|p| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(p.partition_index)
                .with_committed_offset(p.committed_offset)
                .with_error_code(p.error_code)
        });
        OffsetFetchResponseTopics::default().with_name(t.name).with_partitions(partitions.collect())
    };
    let group = OffsetFetchResponseGroup::default().with_group_id(id).with_error_code(said.error_code);
    OffsetFetchResponse::default().with_groups(vec![group.with_topics(said.topics.into_iter().map(topic).collect())])
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
