//! The fields of the model that packs can fill, by name.

use crate::model::{BrokerMetrics, Gpu, Queue, Reading, Role, Service, Training, WorkloadKind};

/// A field of one kind of thing.
pub(super) type Field<T> = fn(&mut T) -> &mut Option<Reading>;

/// Where a concept's readings go, and the roles under which they are history too.
#[derive(Clone, Copy)]
pub(super) enum Slot {
    Gpu(Field<Gpu>),
    Service(Field<Service>, &'static [Role]),
    /// The pods that a service runs in: the labels are what is taken.
    Pods,
    Queue(Field<Queue>, &'static [Role]),
    /// A training run; whether older values are asked for too: they are its curve.
    Training(Field<Training>, bool),
    Broker(Field<BrokerMetrics>),
    /// Consumer groups as an exporter sees them: history from before we came. What is true of them now, the brokers say.
    Group(&'static [Role]),
}

const SLOTS: [(&str, Slot); 40] = [
    ("gpu.utilisation", Slot::Gpu(|g| &mut g.utilisation)),
    ("gpu.memory_used", Slot::Gpu(|g| &mut g.memory_used)),
    ("gpu.memory_total", Slot::Gpu(|g| &mut g.memory_total)),
    ("gpu.power", Slot::Gpu(|g| &mut g.power)),
    ("gpu.temperature", Slot::Gpu(|g| &mut g.temperature)),
    ("gpu.xid", Slot::Gpu(|g| &mut g.xid)),
    ("service.waiting", Slot::Service(|s| &mut s.waiting, &[Role::Backlog])),
    ("service.running", Slot::Service(|s| &mut s.running, &[])),
    ("service.request_rate", Slot::Service(|s| &mut s.request_rate, &[Role::Demand, Role::Throughput])),
    ("service.token_rate", Slot::Service(|s| &mut s.token_rate, &[])),
    ("service.ttft_p95", Slot::Service(|s| &mut s.ttft_p95, &[Role::Latency])),
    ("service.inter_token_p95", Slot::Service(|s| &mut s.inter_token_p95, &[])),
    ("service.latency_p95", Slot::Service(|s| &mut s.latency_p95, &[Role::Latency])),
    ("service.queue_p95", Slot::Service(|s| &mut s.queue_p95, &[])),
    ("service.kv_cache", Slot::Service(|s| &mut s.kv_cache, &[Role::Utilisation])),
    ("service.replicas", Slot::Service(|s| &mut s.replicas, &[Role::Replicas])),
    ("service.pods", Slot::Pods),
    ("queue.waiting", Slot::Queue(|q| &mut q.waiting, &[Role::Backlog, Role::Queue])),
    ("queue.running", Slot::Queue(|q| &mut q.running, &[Role::Running])),
    ("queue.workers", Slot::Queue(|q| &mut q.workers, &[])),
    ("queue.quota_left", Slot::Queue(|q| &mut q.quota_left, &[])),
    ("training.step", Slot::Training(|t| &mut t.step, true)),
    ("training.total_steps", Slot::Training(|t| &mut t.total_steps, false)),
    ("training.loss", Slot::Training(|t| &mut t.loss, true)),
    ("training.token_rate", Slot::Training(|t| &mut t.token_rate, false)),
    ("training.eta", Slot::Training(|t| &mut t.eta, false)),
    ("broker.cpu", Slot::Broker(|b| &mut b.cpu)),
    ("broker.heap", Slot::Broker(|b| &mut b.heap)),
    ("broker.memory", Slot::Broker(|b| &mut b.memory)),
    ("broker.bytes_in", Slot::Broker(|b| &mut b.bytes_in)),
    ("broker.bytes_out", Slot::Broker(|b| &mut b.bytes_out)),
    ("broker.messages_in", Slot::Broker(|b| &mut b.messages_in)),
    ("broker.under_replicated", Slot::Broker(|b| &mut b.under_replicated)),
    ("broker.offline", Slot::Broker(|b| &mut b.offline)),
    ("broker.handler_idle", Slot::Broker(|b| &mut b.handler_idle)),
    ("group.demand", Slot::Group(&[Role::Demand])),
    ("group.throughput", Slot::Group(&[Role::Throughput])),
    ("group.backlog", Slot::Group(&[Role::Backlog])),
    ("group.time_lag", Slot::Group(&[Role::TimeLag])),
    ("group.replicas", Slot::Group(&[Role::Replicas, Role::Desired])),
];

impl Slot {
    /// The slot of a name such as `service.waiting`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::place(name).map(|(_, slot)| slot)
    }

    /// The slot of a name with its place in the list, which says which of two sources of one history is the better.
    pub(super) fn place(name: &str) -> Option<(usize, Self)> {
        SLOTS.iter().enumerate().find(|(_, (n, _))| *n == name).map(|(i, (_, slot))| (i, *slot))
    }

    /// Every name, for an error.
    pub(super) fn names() -> String {
        SLOTS.map(|(name, _)| name).join(", ")
    }

    /// The table of a pack that tells its rows apart.
    pub(super) fn entity(self) -> &'static str {
        match self {
            Self::Gpu(_) => "gpu",
            Self::Service(..) | Self::Pods => "service",
            Self::Queue(..) => "queue",
            Self::Training(..) => "training",
            Self::Broker(_) => "broker",
            Self::Group(_) => "group",
        }
    }

    /// The kind of workload that it tells of.
    pub(super) fn kind(self) -> Option<WorkloadKind> {
        match self {
            Self::Service(..) | Self::Pods => Some(WorkloadKind::Inference),
            Self::Queue(..) => Some(WorkloadKind::Batch),
            Self::Broker(_) => Some(WorkloadKind::Brokers),
            Self::Group(_) => Some(WorkloadKind::ConsumerGroup),
            Self::Gpu(_) | Self::Training(..) => None,
        }
    }

    /// Whether it is asked at every refresh; the others are asked once, for the time before the start.
    pub(super) fn is_live(self) -> bool {
        !matches!(self, Self::Group(_))
    }

    /// The history that it also is.
    pub(super) fn roles(self) -> &'static [Role] {
        match self {
            Self::Service(_, roles) | Self::Queue(_, roles) | Self::Group(roles) => roles,
            Self::Gpu(_) | Self::Training(..) | Self::Broker(_) | Self::Pods => &[],
        }
    }
}
