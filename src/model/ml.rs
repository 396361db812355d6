//! What was read from Prometheus by the metric packs: GPUs, inference services, queues, brokers' own metrics.

use super::{Alert, Grid, Label, Reading, SignalKey, Time};
use serde::Serialize;
use std::sync::Arc;

/// The ML side and the brokers' metrics as known after one refresh of one Prometheus.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MlState {
    /// The name in the configuration (`[prometheus.NAME]`).
    pub source: Label,
    /// When this refresh ended.
    pub at: Time,
    /// Packs found by detection (`dcgm`, `vllm`, …).
    pub packs: Vec<Label>,
    /// GPUs by host and index.
    pub gpus: Vec<Gpu>,
    /// Inference services by name.
    pub services: Vec<Service>,
    /// Work queues by name.
    pub queues: Vec<Queue>,
    /// Training runs (user-defined series).
    pub trainings: Vec<Training>,
    /// Kafka brokers as their JMX exporters tell it.
    pub brokers: Vec<BrokerMetrics>,
    /// Series that this refresh did not tell, or not whole, although somebody should: workloads' own, and those of
    /// exporters that do not answer.
    pub untold: Vec<SignalKey>,
    /// Warnings and errors, word for word, as Prometheus gave them.
    pub warnings: Vec<Label>,
    /// How long this refresh took, seconds.
    pub seconds: f64,
    /// Requests that this refresh made.
    pub requests: u32,
}

/// One GPU.
#[derive(Clone, Debug, Serialize)]
pub struct Gpu {
    /// Host name.
    pub host: Label,
    /// Index or UUID on the host.
    pub gpu: Label,
    /// Model name.
    pub model: Option<Label>,
    /// Pod that holds it, when the exporter knows.
    pub pod: Option<Label>,
    /// Utilisation, ratio 0–1.
    pub utilisation: Option<Reading>,
    /// Memory used, bytes.
    pub memory_used: Option<Reading>,
    /// Memory in all, bytes.
    pub memory_total: Option<Reading>,
    /// Power, watts.
    pub power: Option<Reading>,
    /// Temperature, °C.
    pub temperature: Option<Reading>,
    /// Last XID error code, when one is set.
    pub xid: Option<Reading>,
}

/// One inference service (all replicas of one model).
#[derive(Clone, Debug, Default, Serialize)]
pub struct Service {
    /// Name (`model_name`, deployment, …).
    pub name: Label,
    /// Pack it was found by.
    pub pack: Label,
    /// Requests waiting.
    pub waiting: Option<Reading>,
    /// Requests running.
    pub running: Option<Reading>,
    /// Completed requests per second.
    pub request_rate: Option<Reading>,
    /// Generated tokens per second.
    pub token_rate: Option<Reading>,
    /// Time to first token, seconds, p95.
    pub ttft_p95: Option<Reading>,
    /// Inter-token latency, seconds, p95.
    pub inter_token_p95: Option<Reading>,
    /// End-to-end latency, seconds, p95.
    pub latency_p95: Option<Reading>,
    /// Time in queue, seconds, p95.
    pub queue_p95: Option<Reading>,
    /// KV cache in use, ratio 0–1.
    pub kv_cache: Option<Reading>,
    /// Replicas that export metrics.
    pub replicas: Option<Reading>,
    /// Pods that export them, `NAMESPACE/NAME`, or the name alone where the series does not say more.
    pub pods: Vec<Label>,
}

/// One queue of batch or training work.
#[derive(Clone, Debug, Serialize)]
pub struct Queue {
    /// Name.
    pub name: Label,
    /// Pack it was found by.
    pub pack: Label,
    /// Jobs or messages waiting.
    pub waiting: Option<Reading>,
    /// Jobs running or admitted.
    pub running: Option<Reading>,
    /// Consumers or workers.
    pub workers: Option<Reading>,
    /// Accelerators of its quota that nothing holds.
    pub quota_left: Option<Reading>,
}

/// One training run.
#[derive(Clone, Debug, Serialize)]
pub struct Training {
    /// Name.
    pub name: Label,
    /// Current step.
    pub step: Option<Reading>,
    /// Steps in all.
    pub total_steps: Option<Reading>,
    /// Loss.
    pub loss: Option<Reading>,
    /// Tokens per second.
    pub token_rate: Option<Reading>,
    /// Seconds until done at the present pace.
    pub eta: Option<Reading>,
    /// What it did so far says.
    pub course: Course,
}

/// What is said by the course of a training run, as far as it was seen.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Course {
    /// Steps per second of late; `None`: it stands, or was not seen for long enough.
    pub pace: Option<Reading>,
    /// Its loss over time.
    #[serde(skip)]
    pub curve: Arc<Grid>,
    /// Where its loss is going; `None`: it has no loss, or no step.
    pub fit: Option<Result<LossFit, Label>>,
    /// What is wrong with it.
    pub alerts: Vec<Alert>,
}

/// The loss of a training run by its steps, fitted: `floor + left × (s / step)^-exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LossFit {
    /// What it tends to.
    pub floor: f64,
    /// How far above that it is at `step`.
    pub left: f64,
    /// How fast it falls.
    pub exponent: f64,
    /// The newest step that it was fitted to.
    pub step: f64,
    /// By how much the same fit, made without the last quarter of the points, would have missed those, on average.
    pub missed: Option<f64>,
}

impl LossFit {
    /// The loss at a step.
    pub fn at(&self, step: f64) -> f64 {
        self.floor + self.left * (step / self.step).powf(-self.exponent)
    }
}

/// One broker's own metrics; joined to [`super::Broker`] by `broker` label, else host, else shown apart.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerMetrics {
    /// `broker`, `broker_id`, `node_id`, else `pod`, else `instance`, as the series said.
    pub broker: Label,
    /// CPU, cores.
    pub cpu: Option<Reading>,
    /// JVM heap in use, ratio 0–1.
    pub heap: Option<Reading>,
    /// Resident memory, bytes.
    pub memory: Option<Reading>,
    /// Bytes in per second, all topics.
    pub bytes_in: Option<Reading>,
    /// Bytes out per second, all topics.
    pub bytes_out: Option<Reading>,
    /// Messages in per second.
    pub messages_in: Option<Reading>,
    /// Under-replicated partitions by its own count.
    pub under_replicated: Option<Reading>,
    /// Offline partitions (only the active controller's count is right; the largest is taken).
    pub offline: Option<Reading>,
    /// Request handler idle ratio 0–1.
    pub handler_idle: Option<Reading>,
}
