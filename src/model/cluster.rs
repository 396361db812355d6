//! What was read from the brokers of one Kafka cluster.

use super::{Label, Time};
use serde::Serialize;

/// One cluster as known after one refresh. Parts that did not answer this time keep their last values and their own `at`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KafkaCluster {
    /// The name in the configuration (`[kafka.NAME]`).
    pub name: Label,
    /// The cluster id that the brokers report.
    pub cluster_id: Option<Label>,
    /// When this refresh ended.
    pub at: Time,
    /// Brokers by id.
    pub brokers: Vec<Broker>,
    /// Topics by name.
    pub topics: Vec<Topic>,
    /// Consumer groups by id.
    pub groups: Vec<Group>,
    /// Sentences for the operator about this cluster ("0 groups visible to User:viewer: …", "topic x was made again").
    pub notices: Vec<Label>,
    /// Requests that this refresh made, all brokers together.
    pub requests: u32,
    /// How long this refresh took, seconds.
    pub seconds: f64,
}

/// Whether a broker answers us. What the *cluster* thinks of it shows in the partitions' ISR.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum BrokerState {
    /// Answered within its deadline in this refresh.
    Up,
    /// Did not answer; asked again with back-off.
    Down {
        /// First failure in a row.
        since: Time,
        /// Why, as a sentence.
        reason: Label,
    },
}

/// One broker.
#[derive(Clone, Debug, Serialize)]
pub struct Broker {
    /// `node.id`.
    pub id: i32,
    /// Advertised host.
    pub host: Label,
    /// Advertised port.
    pub port: u16,
    /// `broker.rack`.
    pub rack: Option<Label>,
    /// Whether it answers us.
    #[serde(flatten)]
    pub state: BrokerState,
    /// Last complete answer.
    pub answered: Option<Time>,
    /// Round trip of the last answer, seconds.
    pub rtt: Option<f64>,
    /// Partitions it leads.
    pub leads: u32,
    /// Replicas it holds.
    pub replicas: u32,
    /// Of the partitions it leads: ISR smaller than the replica set.
    pub under_replicated: u32,
}

/// One topic.
#[derive(Clone, Debug, Serialize)]
pub struct Topic {
    /// Name.
    pub name: Label,
    /// Internal to Kafka (`__consumer_offsets`).
    pub internal: bool,
    /// Metadata error as a sentence (unauthorised, unknown), if any.
    pub error: Option<Label>,
    /// Partitions by number.
    pub partitions: Vec<Partition>,
}

/// One partition of a topic.
#[derive(Clone, Debug, Serialize)]
pub struct Partition {
    /// Its number.
    pub partition: i32,
    /// Leader's broker id; `None`: offline.
    pub leader: Option<i32>,
    /// Assigned replicas.
    pub replicas: Vec<i32>,
    /// In-sync replicas.
    pub isr: Vec<i32>,
    /// First offset still kept; `None`: not known.
    pub log_start: Option<i64>,
    /// Log end offset (high watermark: what a consumer can read up to); `None`: not known.
    pub end: Option<i64>,
    /// When `log_start` and `end` were read; an old value is kept when the leader does not answer.
    pub at: Time,
}

impl Partition {
    /// Fewer in-sync replicas than assigned.
    pub fn is_under_replicated(&self) -> bool {
        self.isr.len() < self.replicas.len()
    }
}

/// The group protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupType {
    /// The rebalance protocol of JoinGroup and SyncGroup.
    Classic,
    /// KIP-848.
    Consumer,
    /// KIP-932; lag is not a difference of offsets there.
    Share,
    /// Another type, or one that the broker did not say.
    Other,
}

/// The state of a group, in Kafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum GroupState {
    /// Members hold their partitions.
    Stable,
    /// A rebalance waits for members to join.
    PreparingRebalance,
    /// A rebalance waits for the assignment.
    CompletingRebalance,
    /// KIP-848: computing the target assignment.
    Assigning,
    /// KIP-848: members move to the target assignment.
    Reconciling,
    /// Offsets but no members.
    Empty,
    /// Gone.
    Dead,
    /// Not said, or not known to us.
    Unknown,
}

impl GroupState {
    /// Whether partitions may be standing still because of a rebalance.
    pub fn is_rebalancing(self) -> bool {
        matches!(self, Self::PreparingRebalance | Self::CompletingRebalance | Self::Assigning | Self::Reconciling)
    }
}

/// One consumer group.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Group id.
    pub group: Label,
    /// State.
    pub state: GroupState,
    /// Protocol type.
    #[serde(rename = "type")]
    pub kind: GroupType,
    /// Assignor (classic: the chosen protocol name; consumer: the server assignor).
    pub assignor: Option<Label>,
    /// Broker id of the coordinator.
    pub coordinator: Option<i32>,
    /// Members.
    #[serde(rename = "member_list")]
    pub members: Vec<Member>,
    /// Every partition with a committed offset or an owner.
    pub partitions: Vec<GroupPartition>,
    /// Error of this group as a sentence (unauthorised, coordinator loading), if any.
    pub error: Option<Label>,
    /// When state and committed offsets were read.
    pub at: Time,
    /// Partitions whose lag is known from this refresh, over all partitions; 0–1. 1 for a group with no partitions.
    pub coverage: f64,
    /// Sum of the partitions' lag; `None` when no partition is known. With `coverage < 1` it is a lower bound.
    pub lag: Option<u64>,
    /// Sum of the partitions' lost records.
    pub lost: Option<u64>,
    /// Largest time lag of the partitions, seconds.
    pub time_lag: Option<f64>,
}

impl Group {
    /// Members that own at least one partition.
    pub fn active_members(&self) -> usize {
        self.members.iter().filter(|m| m.partitions > 0).count()
    }
}

/// One member of a group.
#[derive(Clone, Debug, Serialize)]
pub struct Member {
    /// Member id.
    pub id: Label,
    /// `client.id`.
    pub client_id: Label,
    /// Host as the broker saw it.
    pub host: Label,
    /// `group.instance.id` of a static member: it keeps its partitions until its session ends.
    pub instance_id: Option<Label>,
    /// Partitions assigned to it.
    pub partitions: u32,
}

/// One partition as one group sees it. The semantics of kafka.md: committed is read *before* the end offset, so a race
/// can never make lag negative; a committed offset beyond the end is a truncated or recreated topic and is said so.
#[derive(Clone, Debug, Serialize)]
pub struct GroupPartition {
    /// Topic.
    pub topic: Label,
    /// Partition.
    pub partition: i32,
    /// Committed offset; `None`: none committed (not 0, not −1).
    pub committed: Option<i64>,
    /// First offset still kept.
    pub log_start: Option<i64>,
    /// Log end offset.
    pub end: Option<i64>,
    /// `max(0, end − max(committed, log_start))`; `None`: unknown.
    pub lag: Option<u64>,
    /// `max(0, log_start − committed)`: records deleted before they were read; `None`: unknown.
    pub lost: Option<u64>,
    /// Seconds since the oldest unread record was written, from ListOffsets by timestamp: an estimate between two rungs.
    pub time_lag: Option<f64>,
    /// Index into [`Group::members`] of the owner.
    pub owner: Option<usize>,
    /// Whether `committed` lies beyond `end`.
    pub beyond_end: bool,
    /// The older of the times at which the offsets were read.
    pub at: Time,
    /// Whether both offsets were read in this refresh; what coverage counts.
    pub fresh: bool,
}
