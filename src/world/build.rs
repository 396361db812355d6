//! Puts a scenario's parts together and lives through the history before the show.

use super::{
    autoscalers::{Metric, Sync},
    hardware::{Broker, Gpu},
    objects::{CONTAINER, Deployment, Meta, Object, Part},
    scenario::SCENARIOS,
    state::{Event, GroupState, Service, State, TopicState},
};
use crate::{
    model::{
        Hpa, HpaMetric, KafkaTrigger, Label, MetricSource, MetricTarget, Quantity, ScaledObject, Time, Vpa,
        VpaContainer, VpaMode, VpaRange,
    },
    policy::{hpa::Autoscaler, keda},
    simulate::{
        Random,
        batch::{Batch, BatchSettings},
        demand::{Demand, DemandSettings},
        fleet::{Fleet, FleetSettings},
        group::{Group, GroupSettings},
        topic::Topic,
    },
};
use std::collections::{BTreeMap, VecDeque};
use tokio::sync::watch;

/// Seconds of history before the show begins.
pub(super) const HISTORY: f64 = 8.0 * 3600.0;
/// Seconds in a day.
const DAY: f64 = 86_400.0;

/// Builds a scenario and lives through its history. The error names the scenarios that there are.
pub(super) fn build(name: &str, seed: u64, start: Time, changes: watch::Sender<u64>) -> Result<State, String> {
    let Some((_, _, parts)) = SCENARIOS.iter().find(|(known, ..)| *known == name) else {
        let names: Vec<&str> = SCENARIOS.iter().map(|(name, ..)| *name).collect();
        return Err(format!("there is no scenario {name:?}: choose one of {}", names.join(", ")));
    };
    let mut random = Random::new(seed);
    let mut batch = Batch::new(BatchSettings::default(), random.bits());
    let quota = batch.settings().quota;
    for (gang, steps) in [(2, 190_000.0), (1, 60_000.0), (1, 40_000.0)] {
        batch.submit(gang, steps);
    }
    let state = State::new(start.plus(-HISTORY), start, batch, random.fork(1), changes);
    let mut builder = Builder { state, random };
    builder.machines();
    parts(&mut builder);
    builder.deployment("ml", "trainer", quota, Part::Training);
    builder.vpa("payments", "fraud-scorer");
    let mut state = builder.state;
    state.events.make_contiguous().sort_by(|a, b| a.0.total_cmp(&b.0));
    state.advance_to(start);
    Ok(state)
}

/// Puts parts together; every part draws its seed in the order in which parts are added.
pub(super) struct Builder {
    state: State,
    random: Random,
}

impl Builder {
    /// Three brokers in three racks, eight GPUs on two hosts.
    fn machines(&mut self) {
        for (id, rack) in [(0, "eu-1a"), (1, "eu-1b"), (2, "eu-1c")] {
            let broker = Broker::new(id, rack, &mut self.random);
            self.state.brokers.push(broker);
        }
        for host in ["gpu-node-1", "gpu-node-2"] {
            for index in 0..4 {
                let gpu = Gpu::new(host, index, &mut self.random);
                self.state.gpus.push(gpu);
            }
        }
    }

    /// A topic with its demand; `record` is bytes. Returns its index.
    pub(super) fn topic(
        &mut self,
        name: &'static str,
        partitions: usize,
        skew: f64,
        d: DemandSettings,
        record: f64,
    ) -> usize {
        let mean = d.mean;
        self.state.topics.push(TopicState {
            name,
            logs: Topic::new(partitions, skew, self.random.bits()).with_past(mean * 30.0 * DAY),
            demand: Demand::new(d, self.random.bits()),
            record,
            rate: 0.0,
            mean,
            retention: DAY,
            points: VecDeque::new(),
        });
        self.state.topics.len() - 1
    }

    /// A group on a topic with the deployment `namespace/name` that runs it. Returns its index.
    pub(super) fn consumers(
        &mut self,
        id: &'static str,
        topic: usize,
        settings: GroupSettings,
        count: u32,
        (namespace, name): (&str, &str),
    ) -> usize {
        let seed = self.random.bits();
        if let Some(logs) = self.state.topics.get(topic).map(|t| &t.logs) {
            let group = Group::new(settings, logs, count, seed);
            self.state.groups.push(GroupState { id, topic, group, rate: 0.0 });
        }
        let index = self.state.groups.len().saturating_sub(1);
        self.deployment(namespace, name, count, Part::Group(index));
        index
    }

    /// An inference service that `caller` calls `per_record` times for each record, with its deployment.
    pub(super) fn service(
        &mut self,
        model: &'static str,
        caller: usize,
        per_record: f64,
        settings: FleetSettings,
        count: u32,
        (namespace, name): (&str, &str),
    ) {
        let fleet = Fleet::new(settings, count, self.random.bits());
        self.state.services.push(Service { model, fleet, caller, per_record });
        self.deployment(namespace, name, count, Part::Fleet(self.state.services.len() - 1));
    }

    /// Something that happens `at` seconds after the show begins (before it: in the history).
    pub(super) fn event(&mut self, at: f64, event: Event) {
        self.state.events.push_back((at, event));
    }

    /// An HPA on the deployment of the same name that aims at `target` records of lag per replica.
    pub(super) fn hpa(&mut self, namespace: &str, name: &str, group: usize, (min, max): (u32, u32), target: i64) {
        self.autoscaler(namespace, name, name, (min, max), ("kafka_consumergroup_lag", target), BTreeMap::new());
        self.sync(group, Metric::Lag(target));
    }

    fn sync(&mut self, group: usize, metric: Metric) {
        let hpa = self.state.hpas.len().saturating_sub(1);
        self.state.syncs.push(Sync { hpa, group, metric, memory: Autoscaler::default() });
    }

    fn autoscaler(
        &mut self,
        namespace: &str,
        name: &str,
        target: &str,
        (min, max): (u32, u32),
        (metric, target_lag): (&str, i64),
        labels: BTreeMap<String, String>,
    ) {
        let keda = labels.contains_key("scaledobject.keda.sh/name");
        let desired = self.state.deployment(namespace, target).map(|d| d.desired);
        let value = Hpa {
            namespace: Label::new(namespace),
            name: Label::new(name),
            target_kind: Label::new("Deployment"),
            target_name: Label::new(target),
            min,
            max,
            desired,
            keda,
            metrics: vec![HpaMetric {
                source: MetricSource::External,
                name: Label::new(metric),
                selects: BTreeMap::new(),
                target: Some(MetricTarget::AverageValue(Quantity::from_milli(target_lag.saturating_mul(1000)))),
            }],
            behavior: None,
        };
        let meta = self.meta(labels);
        self.state.hpas.push(Object { meta, value });
    }

    /// A ScaledObject with one Kafka trigger on the deployment of the same name, and the HPA that KEDA makes of it.
    pub(super) fn scaled_object(
        &mut self,
        namespace: &str,
        name: &str,
        group: usize,
        (min, max): (u32, u32),
        lag_threshold: i64,
    ) {
        let Some(read) = self.state.groups.get(group) else { return };
        let topic = self.state.topics.get(read.topic).map_or("", |t| t.name);
        let labels = BTreeMap::from([
            ("app.kubernetes.io/managed-by".to_owned(), "keda-operator".to_owned()),
            ("scaledobject.keda.sh/name".to_owned(), name.to_owned()),
        ]);
        let metric = format!("s0-kafka-{topic}");
        let (group_id, group_topic) = (Label::new(read.id), Label::new(topic));
        self.autoscaler(
            namespace,
            &format!("keda-hpa-{name}"),
            name,
            (min.max(1), max),
            (&metric, lag_threshold),
            labels,
        );
        self.sync(group, Metric::Keda(keda::Trigger { lag_threshold, ..keda::Trigger::default() }));
        let trigger = KafkaTrigger {
            group: group_id,
            topic: Some(group_topic),
            lag_threshold: lag_threshold as f64,
            ..KafkaTrigger::default()
        };
        let value = ScaledObject {
            namespace: Label::new(namespace),
            name: Label::new(name),
            target_kind: Label::new("Deployment"),
            target_name: Label::new(name),
            min,
            max,
            triggers: vec![trigger.into()],
            ..ScaledObject::default()
        };
        let meta = self.meta(BTreeMap::new());
        self.state.scaled_objects.push(Object { meta, value });
    }

    /// A VPA that only recommends, on the deployment of the same name: what its pods ask for is within its bounds.
    fn vpa(&mut self, namespace: &str, name: &str) {
        let range = |lower, target, upper| {
            Some(VpaRange { target, lower: Some(lower), upper: Some(upper), uncapped: Some(target) })
        };
        let gib = |n: f64| n * 1_073_741_824.0;
        let value = Vpa {
            namespace: Label::new(namespace),
            name: Label::new(name),
            target_kind: Label::new("Deployment"),
            target_name: Label::new(name),
            mode: VpaMode::Off,
            containers: vec![VpaContainer {
                name: Label::new(CONTAINER),
                cpu: range(0.41, 0.63, 1.1),
                memory: range(gib(0.75), gib(1.25), gib(2.0)),
            }],
            trouble: None,
        };
        let meta = self.meta(BTreeMap::new());
        self.state.vpas.push(Object { meta, value });
    }

    fn deployment(&mut self, namespace: &str, name: &str, count: u32, part: Part) {
        let labels = BTreeMap::from([("app.kubernetes.io/name".to_owned(), name.to_owned())]);
        let meta = self.meta(labels);
        self.state.deployments.push(Deployment {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: meta.uid,
            generation: 3,
            observed_generation: 3,
            resource_version: meta.resource_version,
            created: meta.created,
            desired: count,
            current: count,
            ready: count,
            labels: meta.labels,
            last_writer: ("kubectl".to_owned(), self.state.start.plus(-3.0 * DAY)),
            part,
        });
    }

    fn meta(&mut self, labels: BTreeMap<String, String>) -> Meta {
        self.state.version += 1;
        Meta {
            uid: self.uid(),
            resource_version: self.state.version,
            generation: 1,
            created: self.state.start.plus(-20.0 * DAY),
            labels,
        }
    }

    /// A random (version 4) UUID.
    fn uid(&mut self) -> String {
        let (a, b) = (self.random.bits(), self.random.bits());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            0x8000 | ((b >> 48) & 0x3fff),
            b & 0xffff_ffff_ffff
        )
    }
}
