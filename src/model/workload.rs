//! Something with replicas: what it is, what it must keep, what it is allowed to do.

use super::{Alert, Found, Hpa, Label, Role, ScaledObject, Target, Time, Vertical};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What kind of thing has the replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadKind {
    /// A Kafka consumer group.
    ConsumerGroup,
    /// An inference service.
    Inference,
    /// A batch or training queue.
    Batch,
    /// A broker pool.
    Brokers,
}

impl WorkloadKind {
    /// The name in files and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConsumerGroup => "consumer-group",
            Self::Inference => "inference",
            Self::Batch => "batch",
            Self::Brokers => "brokers",
        }
    }
}

/// Where a workload's signals come from: the thing seen in a source, whatever the workload is called.
/// Together with a [`Role`] it is the key of a series in the history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    /// Kind of thing.
    pub kind: WorkloadKind,
    /// Name of the source in the configuration (`prod` of `[kafka.prod]`, `main` of `[prometheus.main]`).
    pub source: Label,
    /// Group id, service name, queue name.
    pub id: Label,
}

/// One workload as configured or discovered.
#[derive(Clone, Debug, Serialize)]
pub struct Workload {
    /// Unique name on screen and in commands.
    pub name: Label,
    /// Where its signals come from.
    pub entity: Entity,
    /// What would be scaled; `None`: recommendation only.
    pub target: Option<Target>,
    /// How the target was found; `None`: the configuration names it, or there is none.
    pub found: Option<Found>,
    /// Bounds of the count.
    pub limits: Limits,
    /// What it must keep.
    pub slo: Slo,
    /// What things cost.
    pub price: Price,
    /// Guards' settings.
    pub guard: GuardSettings,
    /// What one replica and one job take.
    pub shape: Shape,
    /// Of a broker pool: what one broker can do. `None`: nobody said so, usual figures are assumed.
    pub broker: Option<BrokerLimits>,
    /// PromQL that replaces a pack's expression for a role.
    pub signals: BTreeMap<Role, String>,
    /// Whether it stands in the configuration (else discovered).
    pub configured: bool,
}

/// Bounds of the replica count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Lowest count to recommend.
    pub min: u32,
    /// Highest count to recommend.
    pub max: u32,
}

impl Default for Limits {
    /// 1 to 100: KEDA's `maxReplicaCount` default is 100.
    fn default() -> Self {
        Self { min: 1, max: 100 }
    }
}

/// Service level objectives; each absent one is not watched. Seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// Seconds behind (consumer groups).
    pub time_lag: Option<f64>,
    /// Time to first token, p95.
    pub ttft_p95: Option<f64>,
    /// Inter-token latency, p95.
    pub inter_token_p95: Option<f64>,
    /// Time in queue, p95.
    pub queue_p95: Option<f64>,
    /// End-to-end latency, p95.
    pub latency_p95: Option<f64>,
    /// Batch: done within so long of coming.
    pub within: Option<f64>,
    /// Batch: done by this time of every day, seconds after midnight UTC.
    pub deadline: Option<f64>,
}

/// What one replica takes of a pool, and one job of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shape {
    /// GPUs of one replica (`gpus`), for pools that are shared ([`Budget`]).
    pub gpus: u32,
    /// Replicas that one job needs at once (`batch.gang`).
    pub gang: u32,
    /// Seconds that one job runs (`batch.run`), where that cannot be told from the queue. `None`: nobody said so.
    pub run: Option<f64>,
}

impl Default for Shape {
    fn default() -> Self {
        Self { gpus: 1, gang: 1, run: None }
    }
}

/// `[[budget]]`: GPUs that several workloads share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Budget {
    /// The pool's name.
    pub name: Label,
    /// GPUs in all.
    pub gpus: u32,
    /// Who shares them, by workload name.
    pub workloads: Vec<Label>,
}

/// What one broker can do, and how full it may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BrokerLimits {
    /// Bytes per second in, and the same out.
    pub network: f64,
    /// Bytes of disk.
    pub disk: f64,
    /// Cores.
    pub cores: f64,
    /// Share of the network and the disk that may be used with one broker down.
    pub fill: f64,
    /// CPU ratio that may be used with one broker down.
    pub cpu: f64,
    /// Bytes per second of the throttle under which partitions are moved, per broker.
    pub throttle: f64,
    /// Days that the disks must last.
    pub days: f64,
}

impl Default for BrokerLimits {
    /// 10 Gbit/s, 4 TB, 8 cores, three quarters full at most, 60 % CPU, moved at 50 MB/s, a week ahead.
    fn default() -> Self {
        Self { network: 1.25e9, disk: 4e12, cores: 8.0, fill: 0.75, cpu: 0.6, throttle: 50e6, days: 7.0 }
    }
}

/// What things cost, in one currency: the price J of DESIGN.md.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// One pod for one hour.
    pub pod_hour: f64,
    /// One minute above the SLO, times `min(10, value / SLO)`.
    pub slo_minute: f64,
    /// One change of the count.
    pub action: f64,
}

impl Default for Price {
    fn default() -> Self {
        Self { pod_hour: 1.0, slo_minute: 1.0, action: 0.05 }
    }
}

/// How an approval is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirm {
    /// The approving key is enough (the dialog is still shown for what the server answers).
    None,
    /// A second, different key.
    Yes,
    /// The target's name is typed.
    TypeName,
}

/// Settings of the guards for one workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuardSettings {
    /// Seconds after a change before the next one up.
    pub cooldown_up: f64,
    /// Seconds after a change before the next one down.
    pub cooldown_down: f64,
    /// Largest step up as a factor of the present count (2.0: at most twice).
    pub max_step_up: f64,
    /// Largest step down as a share of the present count (0.25: at most a quarter less).
    pub max_step_down: f64,
    /// Seconds after which a bound of an autoscaler that was moved for a surge is put back.
    pub surge: f64,
    /// Needs a second person (checked where identities are known).
    pub protected: bool,
    /// How approval is confirmed.
    pub confirm: Confirm,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self {
            cooldown_up: 60.0,
            cooldown_down: 300.0,
            max_step_up: 2.0,
            max_step_down: 0.25,
            surge: 3600.0,
            protected: false,
            confirm: Confirm::Yes,
        }
    }
}

/// The replica count as seen now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replicas {
    /// What was asked for (`spec.replicas`, the command's answer); for a bare group its members.
    pub desired: u32,
    /// What is ready; for a bare group its active members.
    pub ready: u32,
    /// When seen.
    pub at: Time,
    /// Where: `kubernetes prod-eu`, `command model-pool`, `group members`.
    pub origin: Label,
    /// `metadata.uid` of the target, when it is an object.
    pub uid: Option<Label>,
}

/// What is true of one workload at one refresh, joined from all sources: the input of policies, guards and advice
/// beside the history. Plain data; an absent source leaves its part `None`.
#[derive(Clone, Debug, Serialize)]
pub struct WorkloadState {
    /// When this was put together.
    pub at: Time,
    /// Count now.
    pub replicas: Option<Replicas>,
    /// Share of partitions (of a service: of its ready replicas' metrics) known in this refresh, 0–1.
    pub coverage: f64,
    /// Age of the oldest input that the advice would rest on, seconds.
    pub data_age: f64,
    /// Age beyond which the data count as stale, seconds (two refreshes of the slowest source).
    pub stale_after: f64,
    /// Consumer group: it is rebalancing.
    pub rebalancing: bool,
    /// Consumer group: the number of partitions it reads.
    pub partitions: Option<u32>,
    /// Consumer group: lag per partition, for shares, skew and KEDA's partition rules. `None` per unknown partition.
    pub partition_lags: Vec<Option<u64>>,
    /// Consumer group: records per second arriving at each partition (same order), when two refreshes are known.
    pub partition_rates: Vec<Option<f64>>,
    /// Consumer group: who owns each partition (same order), as a number of the member; `None`: nobody, or not known.
    pub partition_owners: Vec<Option<u32>>,
    /// Consumer group: whether a rebalance leaves where it is what need not move, and running (`cooperative-sticky`,
    /// KIP-848), rather than stopping and dealing out everything. `None`: not known.
    pub sticky: Option<bool>,
    /// Broker pool: copies of each partition, on average.
    pub copies: Option<f64>,
    /// Batch queue: accelerators of its quota that nothing holds.
    pub quota_left: Option<f64>,
    /// Images that the target's pods run, where it says.
    pub image: Option<Label>,
    /// CPU utilisation of request, ratio, for rules on CPU.
    pub cpu: Option<f64>,
    /// When the count was last seen to change, and from what.
    pub last_change: Option<(Time, u32)>,
    /// The HPA on the target.
    pub hpa: Option<Hpa>,
    /// The ScaledObject on the target.
    pub scaled_object: Option<ScaledObject>,
    /// The VPA on the target.
    pub vertical: Option<Box<Vertical>>,
    /// Sentences about this workload ("committed offset beyond the end on 2 partitions: topic made again?").
    pub notices: Vec<Label>,
    /// What was found about its consumer group.
    pub alerts: Vec<Alert>,
}

impl WorkloadState {
    /// Nothing known yet.
    pub fn unknown(at: Time) -> Self {
        Self {
            at,
            replicas: None,
            coverage: 0.0,
            data_age: f64::INFINITY,
            stale_after: 30.0,
            rebalancing: false,
            partitions: None,
            partition_lags: Vec::new(),
            partition_rates: Vec::new(),
            partition_owners: Vec::new(),
            sticky: None,
            copies: None,
            quota_left: None,
            image: None,
            cpu: None,
            last_change: None,
            hpa: None,
            scaled_object: None,
            vertical: None,
            notices: Vec::new(),
            alerts: Vec::new(),
        }
    }

    /// Whether the data are too old for advice.
    pub fn is_stale(&self) -> bool {
        self.data_age > self.stale_after
    }
}
