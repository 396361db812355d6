//! The rivals against the rules of their authors, row by row, and against what the real controller did.

use highwater::{
    manifest::{self, Object},
    model::Time,
    policy::{
        hpa::{
            Autoscaler, Behavior, Bounds, Controller, Kind, Phase, Pod, Policy, Readiness, Rules, Select, Tolerance,
            average_value, combine, pods_average, utilisation, value,
        },
        keda::{Partition, Reset, Trigger, even_consumers, metric},
        scaled::{Counts, Goal, Reading, Scaled},
    },
};
use serde::{Deserialize, de::DeserializeOwned};

fn fixture<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/fixtures/conformance/{name}", env!("CARGO_MANIFEST_DIR"));
    toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Every row is judged before any is reported: one look shows all that is wrong.
fn all_right(wrong: &[String], rows: usize, at_least: usize) {
    assert!(rows >= at_least, "{rows} rows, of at least {at_least}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[derive(Deserialize)]
struct Table<T> {
    row: Vec<T>,
    #[serde(default)]
    even: Vec<Even>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricRow {
    rule: String,
    metric: String,
    current: u32,
    target: i64,
    #[serde(default)]
    total: i64,
    #[serde(default)]
    ready: u32,
    /// Pods, ready or not, of a `Value`.
    status: Option<u32>,
    #[serde(default)]
    pods: Vec<PodRow>,
    want: Option<u32>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PodRow {
    r#use: Option<i64>,
    request: Option<i64>,
    #[serde(default)]
    phase: String,
    #[serde(default)]
    deleted: bool,
    ready: Option<bool>,
    started: Option<f64>,
}

impl PodRow {
    fn pod(&self) -> Pod {
        let phase = match self.phase.as_str() {
            "pending" => Phase::Pending,
            "failed" => Phase::Failed,
            _ => Phase::Running,
        };
        // The upstream table sets the last transition to the start.
        let started = self.started.unwrap_or(1e9);
        let ready = self.ready.unwrap_or(true);
        let readiness = Some(Readiness { ready, started, changed: started, sampled: 0.0, window: 60.0 });
        Pod { phase, deleted: self.deleted, readiness, usage: self.r#use, request: self.request, alike: 1 }
    }
}

#[test]
fn one_metric_proposes_what_upstream_proposes() {
    let table: Table<MetricRow> = fixture("hpa-metrics.toml");
    let controller = Controller { cpu_initialization: 120.0, initial_readiness_delay: 10.0, ..Controller::default() };
    let tolerance = Tolerance::default();
    let mut wrong = Vec::new();
    for row in &table.row {
        let pods: Vec<Pod> = row.pods.iter().map(PodRow::pod).collect();
        let got = match row.metric.as_str() {
            "utilisation" => utilisation(&pods, row.target, row.current, true, &controller, tolerance),
            "pods" => pods_average(&pods, row.target, row.current, false, &controller, tolerance),
            "value" => {
                let all = row.status.unwrap_or(row.ready.max(row.current));
                value(row.total, row.target, row.current, (all, row.ready), tolerance)
            }
            "average-value" => Ok(average_value(row.total, row.target, row.current, tolerance)),
            other => panic!("{}: no metric {other}", row.rule),
        };
        let right = match (&got, row.want, &row.error) {
            (Ok(count), Some(want), None) => *count == want,
            (Err(error), None, Some(want)) => error.contains(want.as_str()),
            _ => false,
        };
        if !right {
            wrong.push(format!("{}: {got:?}, not {:?}{:?}", row.rule, row.want, row.error));
        }
    }
    all_right(&wrong, table.row.len(), 50);
}

#[test]
fn several_metrics_agree_on_the_largest_and_never_shrink_on_a_part() {
    let failed = || Err("no data".to_owned());
    assert_eq!(combine(&[Ok(3), Ok(7), Ok(5)], 4), Ok(7));
    assert_eq!(combine(&[Ok(9), failed()], 4), Ok(9), "up on a part");
    assert_eq!(combine(&[Ok(4), failed()], 4), Ok(4));
    let error = combine(&[Ok(3), failed()], 4).unwrap_err();
    assert_eq!(error, "invalid metrics (1 invalid out of 2): no data");
    assert!(combine(&[failed(), failed()], 4).is_err());
    assert!(combine(&[], 4).is_err());
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SyncRow {
    rule: String,
    min: Option<u32>,
    max: Option<u32>,
    #[serde(default)]
    behavior: bool,
    up: Option<RulesRow>,
    down: Option<RulesRow>,
    steps: Vec<(f64, u32, i64, u32)>,
}

#[derive(Deserialize)]
struct RulesRow {
    window: f64,
    select: String,
    policies: Vec<(String, u32, f64)>,
}

impl RulesRow {
    fn rules(&self) -> Rules {
        let select = match self.select.as_str() {
            "min" => Select::Min,
            "disabled" => Select::Disabled,
            _ => Select::Max,
        };
        let policy = |(kind, value, period): &(String, u32, f64)| Policy {
            kind: if kind == "pods" { Kind::Pods } else { Kind::Percent },
            value: *value,
            period: *period,
        };
        let policies = self.policies.iter().map(policy).collect();
        Rules { window: Some(self.window), select, policies, tolerance: None }
    }
}

#[test]
fn sync_after_sync_writes_what_upstream_writes() {
    let table: Table<SyncRow> = fixture("hpa-syncs.toml");
    let mut wrong = Vec::new();
    for row in &table.row {
        let mut behavior = Behavior::default();
        behavior.up = row.up.as_ref().map_or(behavior.up, RulesRow::rules);
        behavior.down = row.down.as_ref().map_or(behavior.down, RulesRow::rules);
        let bounds = Bounds {
            min: row.min.unwrap_or(1),
            max: row.max.unwrap_or(100),
            behavior: row.behavior.then_some(behavior),
        };
        let mut autoscaler = Autoscaler::default();
        for (t, current, proposal, want) in &row.steps {
            let proposal = u32::try_from(*proposal).map_err(|_| "no data".to_owned());
            let got = autoscaler.sync(Time::from_secs(*t), *current, &proposal, &bounds, &Controller::default());
            if got.replicas != *want {
                wrong.push(format!("{} at {t} s: {got:?}, not {want}", row.rule));
            }
        }
    }
    all_right(&wrong, table.row.len(), 25);
}

#[derive(Deserialize)]
struct TraceRow {
    t_s: f64,
    metric_read: i64,
    spec_before: u32,
    status_before: u32,
    spec_after: u32,
}

#[test]
fn the_real_controller_did_the_same() {
    let folder = format!("{}/tests/fixtures/hpa-traces", env!("CARGO_MANIFEST_DIR"));
    let (mut wrong, mut rows) = (Vec::new(), 0);
    for name in ["def15_spike", "noise_tol", "notready", "ramp_up", "spike_behavior"] {
        let quick = Controller { sync: 2.0, downscale_stabilization: 20.0, ..Controller::default() };
        let controller = if name.starts_with("def15") { Controller::default() } else { quick };
        let behavior = name.ends_with("_behavior").then(Behavior::default);
        let bounds = Bounds { min: 6, max: 30, behavior };
        let mut autoscaler = Autoscaler::default();
        let mut reader = csv::Reader::from_path(format!("{folder}/{name}.csv")).unwrap();
        for row in reader.deserialize() {
            let row: TraceRow = row.unwrap();
            let milli = row.metric_read * 1000;
            let proposal = Ok(average_value(milli, 1_000_000, row.status_before, controller.tolerance));
            let got =
                autoscaler.sync(Time::from_secs(row.t_s), row.spec_before, &proposal, &bounds, &controller).replicas;
            rows += 1;
            if got != row.spec_after {
                wrong.push(format!("{name} at {} s: {got}, the controller wrote {}", row.t_s, row.spec_after));
            }
        }
    }
    all_right(&wrong, rows, 300);
}

#[derive(Deserialize)]
#[allow(clippy::struct_excessive_bools)] // KEDA's own switches
#[serde(deny_unknown_fields)]
struct KedaRow {
    rule: String,
    partitions: Vec<Vec<i64>>,
    threshold: Option<i64>,
    #[serde(default)]
    activation: i64,
    #[serde(default)]
    reset: String,
    #[serde(default)]
    allow_idle: bool,
    #[serde(default)]
    limit_to_partitions_with_lag: bool,
    #[serde(default)]
    ensure_even: bool,
    #[serde(default)]
    exclude_persistent: bool,
    #[serde(default)]
    zero_on_invalid_offset: bool,
    lag: i64,
    active: Option<bool>,
}

#[derive(Deserialize)]
struct Even {
    rule: String,
    args: (i64, i64, i64),
    want: i64,
}

#[test]
fn a_kafka_trigger_says_what_keda_says() {
    let table: Table<KedaRow> = fixture("keda-kafka.toml");
    let mut wrong = Vec::new();
    for row in &table.row {
        let offset = |o: Option<&i64>| o.copied().filter(|o| *o >= 0);
        let partitions: Vec<Partition> = row
            .partitions
            .iter()
            .map(|p| Partition { committed: offset(p.first()), end: offset(p.get(1)), before: offset(p.get(2)) })
            .collect();
        let trigger = Trigger {
            lag_threshold: row.threshold.unwrap_or(10),
            activation: row.activation,
            reset: if row.reset == "earliest" { Reset::Earliest } else { Reset::Latest },
            allow_idle: row.allow_idle,
            limit_to_partitions_with_lag: row.limit_to_partitions_with_lag,
            ensure_even: row.ensure_even,
            exclude_persistent: row.exclude_persistent,
            zero_on_invalid_offset: row.zero_on_invalid_offset,
        };
        let got = metric(&partitions, &trigger);
        if (got.lag, got.active) != (row.lag, row.active.unwrap_or(true)) {
            wrong.push(format!("{}: {got:?}, not {} {:?}", row.rule, row.lag, row.active));
        }
    }
    for row in &table.even {
        let got = even_consumers(row.args.0, row.args.1, row.args.2);
        if got != row.want {
            wrong.push(format!("{}: {got}, not {}", row.rule, row.want));
        }
    }
    all_right(&wrong, table.row.len() + table.even.len(), 25);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectRow {
    rule: String,
    /// YAML of a ScaledObject's spec, or of an HPA's.
    keda: Option<String>,
    hpa: Option<String>,
    #[serde(default)]
    annotations: String,
    /// More of the Kafka trigger, of its metadata, and a second trigger.
    #[serde(default)]
    trigger: String,
    #[serde(default)]
    metadata: String,
    #[serde(default)]
    second: String,
    partitions: Option<i64>,
    steps: Vec<Vec<i64>>,
}

impl ObjectRow {
    fn yaml(&self) -> String {
        let part = |yaml: &str| if yaml.starts_with('{') { yaml.to_owned() } else { format!("{{{yaml}}}") };
        let join = |parts: &[&str]| parts.iter().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join(", ");
        let inner = |yaml: &str| part(yaml).trim_start_matches('{').strip_suffix('}').unwrap().to_owned();
        let meta = format!("metadata: {{name: x, annotations: {{{}}}}}", self.annotations);
        if let Some(spec) = &self.keda {
            let metadata = "bootstrapServers: k, consumerGroup: g, topic: t, lagThreshold: \"1000\"";
            let metadata = join(&[metadata, &self.metadata]);
            let kafka = format!("{{{}}}", join(&["type: kafka", &self.trigger, &format!("metadata: {{{metadata}}}")]));
            let triggers = format!("triggers: [{}]", join(&[&kafka, &self.second]));
            let spec = join(&[
                "scaleTargetRef: {name: x}",
                &inner(spec),
                if spec.contains("triggers:") { "" } else { &triggers },
            ]);
            return format!("{{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, {meta}, spec: {{{spec}}}}}");
        }
        let spec = self.hpa.as_deref().unwrap();
        let external = "metrics: [{type: External, external: {metric: {name: lag}, target: {type: AverageValue, averageValue: 1k}}}]";
        let spec = join(&[
            "scaleTargetRef: {kind: Deployment, name: x}, maxReplicas: 1000",
            if spec.contains("metrics") { "" } else { external },
            &inner(spec),
        ]);
        format!("{{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, {meta}, spec: {{{spec}}}}}")
    }

    fn reading(&self, goal: &Goal, value: i64) -> Reading {
        match (goal, self.partitions) {
            _ if value < 0 => Reading::Failed,
            (Goal::Kafka(..), Some(count)) => {
                let lag = |p| Some(value / count + i64::from(p < value % count));
                Reading::Partitions(
                    (0..count).map(|p| Partition { committed: Some(0), end: lag(p), before: None }).collect(),
                )
            }
            _ => Reading::Total(value as f64),
        }
    }
}

#[test]
fn whole_objects_do_what_their_controllers_do() {
    let table: Table<ObjectRow> = fixture("objects.toml");
    let mut wrong = Vec::new();
    for row in &table.row {
        let yaml = row.yaml();
        let documents = manifest::documents(&yaml).unwrap_or_else(|w| panic!("{}: {w:?}\n{yaml}", row.rule));
        let read = manifest::manifests(&documents).remove(0);
        assert_eq!(read.complaints, [], "{}\n{yaml}", row.rule);
        let controller = Controller::default();
        let scaled = match &read.object {
            Object::Hpa(hpa) => Scaled::hpa(hpa, &controller),
            Object::ScaledObject(object) => Scaled::keda(object, &controller),
        };
        let mut scaled = scaled.unwrap();
        let goals: Vec<Goal> = scaled.goals().copied().collect();
        for step in &row.steps {
            let [seconds, current, values @ .., want] = step.as_slice() else { panic!("{}: {step:?}", row.rule) };
            let current = u32::try_from(*current).unwrap();
            let counts = Counts { spec: current, status: current, ready: current };
            let readings: Vec<Reading> = goals.iter().zip(values).map(|(g, v)| row.reading(g, *v)).collect();
            let (got, reason) = scaled.sync(Time::from_secs(*seconds as f64), counts, &readings);
            if i64::from(got) != *want {
                wrong.push(format!("{} at {seconds} s: {got} ({reason}), not {want}", row.rule));
            }
        }
    }
    all_right(&wrong, table.row.len(), 40);
}
