//! What the exporters of this world say at a scrape: real names, labels and units of each exporter.
//!
//! Sources: dcgm-exporter's default counters, vLLM's V1 metrics, jmx_exporter with Strimzi's rules, Kueue's and
//! kube-state-metrics' references. `training_*` is a convention of ours: there is no standard.

use super::{
    hardware::{Broker, Gpu, Holder},
    pods,
    series::{Key, Scrapes},
    state::{GroupState, Service, State},
};
use crate::simulate::{fleet::Replica, histogram::Histogram};

type Labels = Vec<(&'static str, String)>;

/// The three names of a histogram's series.
macro_rules! names {
    ($name:literal) => {
        [concat!($name, "_bucket"), concat!($name, "_sum"), concat!($name, "_count")]
    };
}

/// Every exporter's series into the scrape under way.
pub(super) fn write(state: &State, out: &mut Scrapes) {
    for (i, broker) in state.brokers.iter().enumerate().filter(|(_, b)| b.answers()) {
        jmx(state, i, broker, out);
    }
    for (i, gpu) in state.gpus.iter().enumerate() {
        dcgm(state, i, gpu, out);
    }
    for (i, service) in state.services.iter().enumerate() {
        for (n, replica) in service.fleet.replicas().iter().enumerate().filter(|(_, r)| r.is_ready()) {
            vllm(service, [i as u32, replica.serial as u32], n, replica, out);
        }
    }
    for (i, group) in state.groups.iter().enumerate() {
        kafka_exporter(state, i, group, out);
    }
    kueue(state, out);
    training(state, out);
    kube_state(state, out);
    up(state, out);
}

fn text(s: &str) -> String {
    s.to_owned()
}

fn jmx(state: &State, i: usize, b: &Broker, out: &mut Scrapes) {
    let key = |n: usize| [i as u32, n as u32];
    let labels = || -> Labels {
        vec![
            ("broker", b.id.to_string()),
            ("pod", format!("prod-broker-{}", b.id)),
            ("instance", format!("prod-broker-{}:9404", b.id)),
            ("job", text("kafka-resources-metrics")),
            ("namespace", text("kafka")),
            ("strimzi_io_cluster", text("prod")),
        ]
    };
    let with = |more: Labels| move || labels().into_iter().chain(more).collect::<Labels>();
    for (name, all, part) in [
        ("kafka_server_brokertopicmetrics_bytesin_total", b.bytes_in, 0),
        ("kafka_server_brokertopicmetrics_bytesout_total", b.bytes_out, 1),
        ("kafka_server_brokertopicmetrics_messagesin_total", b.messages, 2),
    ] {
        out.put(name, key(0), all.floor(), labels);
        for ((t, topic), sums) in state.topics.iter().enumerate().zip(&b.topics) {
            let value = sums.get(part).copied().unwrap_or(0.0).floor();
            out.put(name, key(1 + t), value, || with(vec![("topic", text(topic.name))])());
        }
    }
    let (leads, holds, short) = partitions(state, i);
    out.put("kafka_server_replicamanager_leadercount", key(0), leads, labels);
    out.put("kafka_server_replicamanager_partitioncount", key(0), holds, labels);
    out.put("kafka_server_replicamanager_underreplicatedpartitions", key(0), short, labels);
    out.put("kafka_server_replicamanager_underminisrpartitioncount", key(0), 0.0, labels);
    out.put("kafka_server_replicamanager_offlinereplicacount", key(0), 0.0, labels);
    let active = state.brokers.iter().position(Broker::answers) == Some(i);
    out.put("kafka_controller_kafkacontroller_activecontrollercount", key(0), f64::from(u8::from(active)), labels);
    let offline = if active { offline(state) } else { 0.0 };
    out.put("kafka_controller_kafkacontroller_offlinepartitionscount", key(0), offline, labels);
    let idle = (1.0 - b.load / 4.0).clamp(0.02, 0.99);
    out.put("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", key(0), idle, labels);
    out.put("kafka_network_socketserver_networkprocessoravgidle_percent", key(0), 0.5 + idle / 2.0, labels);
    out.put("process_cpu_seconds_total", key(0), b.cpu, labels);
    out.put("process_resident_memory_bytes", key(0), 5.1e9 + b.heap * 0.2, labels);
    out.put("jvm_memory_used_bytes", key(0), b.heap.floor(), with(vec![("area", text("heap"))]));
    out.put("jvm_memory_max_bytes", key(0), 4_294_967_296.0, with(vec![("area", text("heap"))]));
}

/// Partitions that a broker leads, holds, and leads with a short ISR.
fn partitions(state: &State, broker: usize) -> (f64, f64, f64) {
    let in_sync = |b: usize| state.brokers.get(b).is_some_and(|x| x.is_in_sync(state.now()));
    let (mut leads, mut holds, mut short) = (0.0, 0.0, 0.0);
    for (t, topic) in state.topics.iter().enumerate() {
        for p in 0..topic.logs.partitions() {
            holds += f64::from(u8::from(state.replicas(t, p).any(|b| b == broker)));
            if state.leader(t, p) == Some(broker) {
                leads += 1.0;
                short += f64::from(u8::from(!state.replicas(t, p).all(in_sync)));
            }
        }
    }
    (leads, holds, short)
}

fn offline(state: &State) -> f64 {
    let topics = state.topics.iter().enumerate();
    topics
        .map(|(t, topic)| (0..topic.logs.partitions()).filter(|p| state.leader(t, *p).is_none()).count())
        .sum::<usize>() as f64
}

fn dcgm(state: &State, i: usize, gpu: &Gpu, out: &mut Scrapes) {
    // The pod is part of the labels: another holder makes another series, as with the real exporter.
    let pod = match gpu.holder {
        Some(Holder::Replica { fleet, serial }) => {
            state.services.get(fleet).map(|s| ("ml", pods::name(s.model, serial), "vllm", serial as u32))
        }
        Some(Holder::Job { serial }) => Some(("ml", format!("{}-worker-0", run(serial)), "trainer", serial as u32)),
        None => None,
    };
    let family = match gpu.holder {
        Some(Holder::Replica { .. }) => 1 << 20,
        Some(Holder::Job { .. }) => 2 << 20,
        None => 0,
    };
    let key = [i as u32, family + pod.as_ref().map_or(0, |(.., serial)| *serial)];
    let labels = || -> Labels {
        let mut labels = vec![
            ("gpu", gpu.index.to_string()),
            ("UUID", gpu.uuid.clone()),
            ("device", format!("nvidia{}", gpu.index)),
            ("modelName", text("NVIDIA H100 80GB HBM3")),
            ("Hostname", text(gpu.host)),
            ("instance", format!("{}:9400", gpu.host)),
            ("job", text("dcgm-exporter")),
            ("DCGM_FI_DRIVER_VERSION", text("550.54.15")),
        ];
        if let Some((namespace, pod, container, _)) = &pod {
            labels.extend([("namespace", text(namespace)), ("pod", pod.clone()), ("container", text(container))]);
        }
        labels
    };
    let used = gpu.memory_used().floor();
    for (name, value) in [
        ("DCGM_FI_DEV_GPU_UTIL", (gpu.busy * 100.0).round()),
        ("DCGM_FI_DEV_MEM_COPY_UTIL", (gpu.busy * 61.0).round()),
        ("DCGM_FI_DEV_FB_USED", used),
        ("DCGM_FI_DEV_FB_FREE", Gpu::MEMORY - Gpu::RESERVED - used),
        ("DCGM_FI_DEV_FB_RESERVED", Gpu::RESERVED),
        ("DCGM_FI_DEV_POWER_USAGE", (gpu.power() * 1000.0).round() / 1000.0),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", gpu.energy.floor()),
        ("DCGM_FI_DEV_GPU_TEMP", gpu.temperature.round()),
        ("DCGM_FI_DEV_XID_ERRORS", gpu.xid),
        ("DCGM_FI_DEV_SM_CLOCK", if gpu.busy > 0.0 { 1980.0 } else { 345.0 }),
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", gpu.busy),
        ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", gpu.busy * 0.42),
        ("DCGM_FI_PROF_DRAM_ACTIVE", gpu.busy * 0.55),
    ] {
        out.put(name, key, value, labels);
    }
}

/// Address of a replica's exporter.
fn instance(n: usize, r: &Replica) -> String {
    format!("10.8.{}.{}:8000", n % 2, 20 + r.serial)
}

/// The name of a training run.
fn run(serial: u64) -> String {
    let kinds = ["train-embeddings", "fraud-finetune", "risk-distill", "merchant-graph"];
    let kind = kinds.get((serial % kinds.len() as u64) as usize).copied().unwrap_or("train");
    format!("{kind}-{serial}")
}

fn vllm(service: &Service, key: Key, n: usize, r: &Replica, out: &mut Scrapes) {
    let labels = || -> Labels {
        vec![
            ("engine", text("0")),
            ("model_name", text(service.model)),
            ("namespace", text("ml")),
            ("pod", pods::name(service.model, r.serial)),
            ("instance", instance(n, r)),
            ("job", text("vllm")),
        ]
    };
    let settings = service.fleet.settings();
    let finished = r.finished.floor();
    out.put("vllm:num_requests_running", key, r.running.round(), labels);
    out.put("vllm:num_requests_waiting", key, r.waiting.round(), labels);
    out.put("vllm:kv_cache_usage_perc", key, r.kv_cache, labels);
    out.put("vllm:prompt_tokens_total", key, (finished * settings.prompt).floor(), labels);
    out.put("vllm:generation_tokens_total", key, (finished * settings.answer).floor(), labels);
    for (reason, share) in [("stop", 0.97), ("length", 0.03)] {
        let reasons = [key[0] | if reason == "stop" { 0 } else { 1 << 16 }, key[1]];
        out.put("vllm:request_success_total", reasons, (finished * share).floor(), || {
            labels().into_iter().chain([("finished_reason", text(reason))]).collect()
        });
    }
    for (names, histogram) in [
        (names!("vllm:time_to_first_token_seconds"), &r.ttft),
        (names!("vllm:inter_token_latency_seconds"), &r.inter_token),
        (names!("vllm:e2e_request_latency_seconds"), &r.latency),
        (names!("vllm:request_queue_time_seconds"), &r.queued),
    ] {
        buckets(names, key, histogram, &labels, out);
    }
}

fn buckets(
    [bucket, sum, count]: [&'static str; 3],
    key: Key,
    h: &Histogram,
    labels: &dyn Fn() -> Labels,
    out: &mut Scrapes,
) {
    let total = h.count().floor();
    let with = |le: String| labels().into_iter().chain([("le", le)]).collect::<Labels>();
    let mut number = 0;
    for (bound, below) in h.buckets() {
        number += 1;
        out.put(bucket, [key[0] | number << 16, key[1]], below.floor().min(total), || with(le(bound)));
    }
    out.put(bucket, [key[0] | (number + 1) << 16, key[1]], total, || with(text("+Inf")));
    out.put(sum, key, h.sum(), labels);
    out.put(count, key, total, labels);
}

/// A bucket bound as client libraries write it: always with a fraction.
fn le(bound: f64) -> String {
    format!("{bound:?}")
}

/// danielqsj/kafka_exporter: what a cluster that was watched before we came has in its Prometheus.
fn kafka_exporter(state: &State, i: usize, group: &GroupState, out: &mut Scrapes) {
    let Some(topic) = state.topics.get(group.topic) else { return };
    let labels = || -> Labels {
        vec![
            ("consumergroup", text(group.id)),
            ("job", text("kafka-exporter")),
            ("instance", text("prod-kafka-exporter:9308")),
        ]
    };
    for (p, (reading, end)) in group.group.readings().iter().zip(topic.logs.ends()).enumerate() {
        let with = || {
            let more = [("topic", text(topic.name)), ("partition", p.to_string())];
            labels().into_iter().chain(more).collect::<Labels>()
        };
        let key = [i as u32, p as u32];
        out.put("kafka_consumergroup_current_offset", key, reading.committed.floor(), with);
        out.put("kafka_consumergroup_lag", key, (end.floor() - reading.committed.floor()).max(0.0), with);
    }
    out.put("kafka_consumergroup_members", [i as u32, 0], group.group.consumers().len() as f64, labels);
}

fn kueue(state: &State, out: &mut Scrapes) {
    let labels = || -> Labels {
        vec![
            ("cluster_queue", text("training")),
            ("job", text("kueue")),
            ("instance", text("kueue-controller-manager:8443")),
        ]
    };
    let with = |more: Labels| move || labels().into_iter().chain(more).collect::<Labels>();
    let batch = &state.batch;
    let gpus = || vec![("cohort", text("ml")), ("flavor", text("h100")), ("resource", text("nvidia.com/gpu"))];
    out.put("kueue_pending_workloads", [0, 0], batch.waiting().len() as f64, with(vec![("status", text("active"))]));
    out.put("kueue_pending_workloads", [0, 1], 0.0, with(vec![("status", text("inadmissible"))]));
    out.put("kueue_admitted_active_workloads", [0, 0], batch.running().len() as f64, labels);
    out.put("kueue_admitted_workloads_total", [0, 0], batch.admitted() as f64, labels);
    // Kueue admits as much as there are GPUs; how many of them workers stand on is the deployment's count.
    let quota = state.gpus.len() as f64;
    out.put("kueue_cluster_queue_nominal_quota", [0, 0], quota, || with(gpus())());
    out.put("kueue_cluster_queue_resource_usage", [0, 0], f64::from(batch.used()), || with(gpus())());
}

/// Tokens of one training step.
const TOKENS: f64 = 8_192.0;

fn training(state: &State, out: &mut Scrapes) {
    for job in state.batch.running() {
        let labels = || vec![("run", run(job.serial)), ("job", text("training"))];
        let key = [0, job.serial as u32];
        out.put("training_step", key, job.step.floor(), labels);
        out.put("training_total_steps", key, job.steps, labels);
        out.put("training_loss", key, job.loss(), labels);
        out.put("training_tokens_total", key, (job.step * TOKENS).floor(), labels);
    }
}

fn kube_state(state: &State, out: &mut Scrapes) {
    let job = || ("job", text("kube-state-metrics"));
    for (i, d) in state.deployments.iter().enumerate() {
        let labels = || vec![("namespace", d.namespace.clone()), ("deployment", d.name.clone()), job()];
        let key = [i as u32, 0];
        out.put("kube_deployment_spec_replicas", key, f64::from(d.desired), labels);
        out.put("kube_deployment_status_replicas", key, f64::from(d.current), labels);
        out.put("kube_deployment_status_replicas_ready", key, f64::from(d.ready), labels);
    }
    for (i, hpa) in state.hpas.iter().enumerate() {
        let h = &hpa.value;
        let labels =
            || vec![("namespace", h.namespace.to_string()), ("horizontalpodautoscaler", h.name.to_string()), job()];
        let key = [i as u32, 0];
        out.put("kube_horizontalpodautoscaler_spec_min_replicas", key, f64::from(h.min), labels);
        out.put("kube_horizontalpodautoscaler_spec_max_replicas", key, f64::from(h.max), labels);
        if let Some(desired) = h.desired {
            out.put("kube_horizontalpodautoscaler_status_desired_replicas", key, f64::from(desired), labels);
        }
    }
}

fn up(state: &State, out: &mut Scrapes) {
    for (i, b) in state.brokers.iter().enumerate() {
        out.put("up", [0, i as u32], f64::from(u8::from(b.answers())), || {
            vec![("job", text("kafka-resources-metrics")), ("instance", format!("prod-broker-{}:9404", b.id))]
        });
    }
    for (i, service) in state.services.iter().enumerate() {
        for (n, r) in service.fleet.replicas().iter().enumerate().filter(|(_, r)| r.is_ready()) {
            out.put("up", [2 + i as u32, r.serial as u32], 1.0, || {
                vec![("job", text("vllm")), ("instance", instance(n, r))]
            });
        }
    }
    for (i, job) in ["kube-state-metrics", "kueue", "training"].into_iter().enumerate() {
        out.put("up", [1, i as u32], 1.0, || vec![("job", text(job)), ("instance", format!("{job}:8080"))]);
    }
}
