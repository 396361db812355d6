//! What was read from the brokers of one Kafka cluster.

use super::{Alert, Label, Time};
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
    /// What is wrong or about to be, worst first; a bounded number of them.
    pub alerts: Vec<Alert>,
    /// What the brokers do not tell us, and the permission that it takes.
    pub denied: Vec<Denied>,
    /// `offsets.retention.minutes`, seconds: how long the offsets of a group without members are kept.
    pub offsets_retention: Option<f64>,
    /// Requests that this refresh made, all brokers together.
    pub requests: u32,
    /// How long this refresh took, seconds.
    pub seconds: f64,
}

/// Something that the brokers do not tell us for want of a permission.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Denied {
    /// What cannot be told: `disks and sizes of logs`.
    pub what: Label,
    /// What to grant: `DescribeConfigs on topics`.
    pub grant: &'static str,
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
    /// Its log directories; empty: not known (DescribeLogDirs wants Describe on the cluster).
    pub log_dirs: Vec<LogDir>,
}

/// A log directory of a broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogDir {
    /// Path on the broker's machine.
    pub path: Label,
    /// Why it is offline, as a sentence.
    pub error: Option<Label>,
    /// Bytes of the logs in it.
    pub used: u64,
    /// Bytes of the file system; `None`: not told (before Kafka 3.3).
    pub total: Option<u64>,
    /// Bytes that are free there.
    pub usable: Option<u64>,
    /// When read.
    pub at: Time,
}

/// One topic.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Topic {
    /// Name.
    pub name: Label,
    /// Internal to Kafka (`__consumer_offsets`).
    pub internal: bool,
    /// Metadata error as a sentence (unauthorised, unknown), if any.
    pub error: Option<Label>,
    /// Partitions by number.
    pub partitions: Vec<Partition>,
    /// Sums over them.
    pub sums: Sums,
    /// The part of its configuration that decides what may be lost; `None`: not read, or not told.
    pub config: Option<TopicConfig>,
}

impl Topic {
    /// The same topic with its sums, for who has read its partitions.
    #[must_use]
    pub fn counted(self) -> Self {
        let count = |of: fn(&Partition) -> bool| self.partitions.iter().filter(|p| of(p)).count();
        let kept = |p: &Partition| Some(p.end?.saturating_sub(p.log_start?).max(0).cast_unsigned());
        let sums = Sums {
            offline: count(|p| p.leader.is_none()),
            under_replicated: count(Partition::is_under_replicated),
            records: self.partitions.iter().filter_map(kept).reduce(u64::saturating_add),
            all: self.partitions.iter().all(|p| kept(p).is_some()),
        };
        Self { sums, ..self }
    }
}

/// Sums over the partitions of a topic, made once when they are read: a screen orders thousands of topics by them in
/// every frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Partitions without a leader.
    pub offline: usize,
    /// Partitions with fewer in-sync replicas than assigned.
    pub under_replicated: usize,
    /// Offsets between the first that is kept and the end; `None`: of no partition known.
    pub records: Option<u64>,
    /// Whether `records` is of every partition; else it is the least that there are.
    pub all: bool,
}

/// The part of a topic's configuration that decides what may be lost, broker defaults included.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TopicConfig {
    /// `cleanup.policy` has `delete`: old segments go.
    pub deletes: bool,
    /// `cleanup.policy` has `compact`: offsets have holes, and only the newest record of a key is kept.
    pub compacts: bool,
    /// `retention.ms`, seconds; `None`: no limit by age.
    pub retention: Option<f64>,
    /// `retention.bytes`, per partition; `None`: no limit by size.
    pub retention_bytes: Option<u64>,
    /// `min.insync.replicas`.
    pub min_in_sync: u32,
    /// `message.timestamp.type` is `LogAppendTime`: timestamps are the broker's.
    pub broker_stamps: bool,
    /// When read.
    pub at: Time,
}

/// The last stable offset of a partition: what a `read_committed` consumer can read up to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stable {
    /// The offset.
    pub offset: i64,
    /// Since when it has stood there, by us.
    pub since: Time,
    /// When read.
    pub at: Time,
}

/// A transaction that is open on a partition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OpenTransaction {
    /// The producer's id and epoch.
    pub producer: (i64, i32),
    /// Its first offset on this partition: the last stable offset while it is the oldest.
    pub from: i64,
    /// `transactional.id`; `None`: not told (Describe on the transactional id), or no coordinator knows of it.
    pub transactional_id: Option<Label>,
    /// When it began, as its coordinator says; `None`: not told, or no coordinator knows of it.
    pub began: Option<Time>,
    /// After how many seconds its coordinator aborts it.
    pub timeout: Option<f64>,
    /// When this producer wrote last to this partition.
    pub wrote: Option<Time>,
}

/// One partition of a topic.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Partition {
    /// Its number.
    pub partition: i32,
    /// Leader's broker id; `None`: offline.
    pub leader: Option<i32>,
    /// Assigned replicas.
    pub replicas: Vec<i32>,
    /// In-sync replicas.
    pub isr: Vec<i32>,
    /// Replicas that are offline: their broker is away, or their log directory.
    pub offline: Vec<i32>,
    /// First offset still kept; `None`: not known.
    pub log_start: Option<i64>,
    /// Log end offset (high watermark: what a consumer can read up to); `None`: not known.
    pub end: Option<i64>,
    /// When `log_start` and `end` were read; an old value is kept when the leader does not answer.
    pub at: Time,
    /// The last stable offset, read more rarely than the end.
    pub stable: Option<Stable>,
    /// The oldest transaction that holds the last stable offset back, once it has stood still for a while.
    pub transaction: Option<Box<OpenTransaction>>,
    /// Bytes of its log at the leader, read every minute; `None`: not known.
    pub bytes: Option<u64>,
    /// Records per second arriving, over the last minutes.
    pub arrivals: Option<f64>,
    /// Of a dead-letter topic: about when its first kept record was written.
    pub oldest: Option<Time>,
}

impl Partition {
    /// Fewer in-sync replicas than assigned.
    pub fn is_under_replicated(&self) -> bool {
        self.isr.len() < self.replicas.len()
    }
}

/// The group protocol, or the framework that uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupType {
    /// The rebalance protocol of JoinGroup and SyncGroup.
    Classic,
    /// KIP-848.
    Consumer,
    /// KIP-932; lag is not a difference of offsets there.
    Share,
    /// Kafka Streams: a classic group with its assignor, or KIP-1071.
    Streams,
    /// The workers of a Kafka Connect cluster; they commit nothing here.
    Connect,
    /// Another type, or one that the broker did not say.
    #[default]
    Other,
}

/// The state of a group, in Kafka's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
    #[default]
    Unknown,
}

impl GroupState {
    /// Whether partitions may be standing still because of a rebalance.
    pub fn is_rebalancing(self) -> bool {
        matches!(self, Self::PreparingRebalance | Self::CompletingRebalance | Self::Assigning | Self::Reconciling)
    }
}

/// One consumer group.
#[derive(Clone, Debug, Default, Serialize)]
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
    /// Members, as far as they are told. See [`Group::member_count`].
    #[serde(rename = "member_list")]
    pub members: Vec<Member>,
    /// Whether nobody tells who is in it: a group of a type that we cannot ask about, or one that is not described to us.
    pub untold: bool,
    /// Every partition with a committed offset or an owner.
    pub partitions: Vec<GroupPartition>,
    /// Error of this group as a sentence (unauthorised, coordinator loading), if any.
    pub error: Option<Label>,
    /// When state and committed offsets were read.
    pub at: Time,
    /// Partitions that were read in this refresh, over all partitions; 0–1. Of a group without partitions: 1 when that
    /// was read in this refresh. 0 where it reads topics that are hidden from us: of how many is not told.
    pub coverage: f64,
    /// Sum of the partitions' lag; `None` when no partition is known. See [`Group::is_lower_bound`].
    pub lag: Option<u64>,
    /// Sum of the partitions' lost records.
    pub lost: Option<u64>,
    /// Largest time lag of the partitions, seconds; `None` while it is not known of one that has something to read.
    pub time_lag: Option<f64>,
    /// Seconds between its commits as they were seen, the median over its partitions: no finer than the refresh.
    pub commit_every: Option<f64>,
    /// The soonest deletion of an unread record.
    pub deletion: Option<Deletion>,
}

impl Group {
    /// Whether there may be more lag than is known: partitions that were not read, that have records and no committed
    /// offset, or whose log is shorter than what was committed.
    pub fn is_lower_bound(&self) -> bool {
        self.coverage < 1.0 || self.partitions.iter().any(|p| p.lag.is_none())
    }

    /// How many members it has; `None`: nobody tells.
    pub fn member_count(&self) -> Option<usize> {
        (!self.untold).then_some(self.members.len())
    }

    /// Whether it is known to have no members.
    pub fn is_deserted(&self) -> bool {
        self.member_count() == Some(0)
    }

    /// Members that own at least one partition. Workers of Connect own tasks instead: all of them count.
    pub fn active_members(&self) -> usize {
        self.members.iter().filter(|m| m.partitions > 0 || self.kind == GroupType::Connect).count()
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
#[derive(Clone, Debug, Default, Serialize)]
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
    /// `end − max(committed, log_start)`; 0 where nothing is kept. `None`: unknown, as it is without a committed offset and
    /// with one beyond the end.
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
    /// When the committed offset was last seen to move; `None`: not since we look.
    pub moved: Option<Time>,
    /// When its oldest unread record may be deleted; `None`: nothing unread, never, or not known.
    pub deletion: Option<Deletion>,
}

/// When the oldest unread record may be deleted at the earliest. Kafka deletes whole segments and never the active one,
/// so the truth is this or later.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Deletion {
    /// Seconds from the refresh on; 0: any moment.
    pub seconds: f64,
    /// `age` (retention.ms), `bytes` (retention.bytes) or `trend` (how fast the log start was seen to move).
    pub by: &'static str,
}
