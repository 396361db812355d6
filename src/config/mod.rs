//! Loads, merges and validates `highwater.toml`; every error names file, line, key and the mend.
//!
//! The keys are the contract of the command line; an unknown one is refused with the nearest known, and all problems
//! of a file are told at once.

mod actuators;
mod http_config;
mod ledger;
mod parse;
mod prometheus;
mod reader;
mod shape;
mod user_commands;

pub use parse::is_kafka_secret;
pub use reader::{Problem, Problems, nearest, parse_duration};

use crate::model::{
    Alarm, BrokerLimits, Budget, CommandSettings, CustomSignal, Entity, GuardSettings, JobSettings, KafkaSettings,
    KubernetesSettings, Label, LedgerSettings, LimitSettings, Limits, Link, ObjectKind, PatchFileSettings, Pipeline,
    Price, PrometheusSettings, Property, Role, Selected, Shape, SignalKey, Slo, Target, UserCommand, WebhookSettings,
    Workload, WorkloadKind,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Everything that can be configured, validated.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where it was read from, if from a file.
    pub file: Option<PathBuf>,
    /// `[ui]`.
    pub ui: Ui,
    /// `[keys]`: action name → keys; an empty list unbinds.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Line of each entry of `[keys]`, for errors that only the screen's keymap can find.
    pub keys_at: BTreeMap<String, usize>,
    /// `[links]`.
    pub links: Vec<Link>,
    /// `[[command]]`.
    pub user_commands: Vec<UserCommand>,
    /// Line of each one's key, else of its name, for errors that only the screen's keymap can find.
    pub user_commands_at: BTreeMap<Label, usize>,
    /// `[kafka.NAME]`.
    pub kafka: Vec<KafkaSettings>,
    /// `[prometheus.NAME]`.
    pub prometheus: Vec<PrometheusSettings>,
    /// `[kubernetes]`.
    pub kubernetes: Option<KubernetesSettings>,
    /// `[[workload]]`.
    pub workloads: Vec<WorkloadConfig>,
    /// `[[pipeline]]`.
    pub pipelines: Vec<Pipeline>,
    /// `[[budget]]`.
    pub budgets: Vec<Budget>,
    /// `[actuator.command.NAME]`.
    pub commands: Vec<CommandSettings>,
    /// `[actuator.webhook.NAME]`.
    pub webhooks: Vec<WebhookSettings>,
    /// `[actuator.patch-file.NAME]`.
    pub patch_files: Vec<PatchFileSettings>,
    /// `[actuator.job.NAME]`.
    pub jobs: Vec<JobSettings>,
    /// `[limits]`.
    pub limits: LimitSettings,
    /// `[ledger]`.
    pub ledger: LedgerSettings,
}

/// `[ui]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ui {
    /// Theme's name, or the path of a theme file.
    pub theme: String,
    /// Seconds between refreshes of the brokers.
    pub refresh: f64,
    /// Draw with ASCII only.
    pub ascii: Option<bool>,
    /// At most one frame a second.
    pub low_bandwidth: bool,
    /// Listen to the mouse.
    pub mouse: bool,
    /// How to draw the operator's eye when something becomes critical.
    pub alarm: Alarm,
    /// Columns of the overview that are not shown.
    pub hide: Vec<String>,
}

impl Default for Ui {
    fn default() -> Self {
        Self {
            theme: "harbor-dark".to_owned(),
            refresh: 2.0,
            ascii: None,
            low_bandwidth: false,
            mouse: false,
            alarm: Alarm::Off,
            hide: Vec::new(),
        }
    }
}

/// `[[workload]]`: overrides and completes what is discovered.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadConfig {
    /// Unique name.
    pub name: Label,
    /// Kind.
    pub kind: WorkloadKind,
    /// Its `[kafka.NAME]`; `None`: the first.
    pub kafka: Option<Label>,
    /// Its `[prometheus.NAME]`; `None`: the first.
    pub prometheus: Option<Label>,
    /// Group id, service or queue name; the workload's own name when absent.
    pub id: Option<Label>,
    /// Label matchers for its PromQL and for the packs.
    pub select: BTreeMap<String, String>,
    /// What would be scaled.
    pub target: Option<Target>,
    /// Bounds.
    pub limits: Option<Limits>,
    /// Objectives.
    pub slo: Slo,
    /// Prices.
    pub price: Price,
    /// Guards.
    pub guard: GuardSettings,
    /// What one replica and one job take.
    pub shape: Shape,
    /// What one broker can do.
    pub broker: Option<BrokerLimits>,
    /// PromQL by role.
    pub signals: BTreeMap<Role, String>,
}

/// Sources named on the command line; they go over the file's.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--kafka HOST:PORT[,…]`
    pub kafka: Option<String>,
    /// `--kafka-config FILE`, already parsed.
    pub kafka_properties: BTreeMap<String, Property>,
    /// `--prometheus URL`
    pub prometheus: Option<String>,
    /// `--kube-context NAME`
    pub kube_context: Option<String>,
    /// `--namespace NS`
    pub namespaces: Vec<String>,
    /// `--theme NAME`
    pub theme: Option<String>,
    /// `--ascii`
    pub ascii: bool,
    /// `--low-bandwidth`
    pub low_bandwidth: bool,
}

impl Config {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let alone = |what: String| Problems {
            file: path.display().to_string(),
            list: vec![Problem { line: 0, key: String::new(), what }],
        };
        let text = std::fs::read_to_string(path)
            .map_err(|e| alone(format!("cannot read the configuration: {e}; name another with --config")))?;
        let mut config = Self::parse(&text, &path.display().to_string(), is_private(path))?;
        config.file = Some(path.to_owned());
        Ok(config)
    }

    /// Reads text; `private` says whether secrets may stand in it in plain text.
    pub fn parse(text: &str, file: &str, private: bool) -> Result<Self, Problems> {
        parse::parse(text, private).map_err(|list| Problems { file: file.to_owned(), list })
    }

    /// The file that is used when none is named: `$HIGHWATER_CONFIG`, then the platform's configuration folder.
    pub fn find() -> Option<PathBuf> {
        if let Some(path) = std::env::var_os("HIGHWATER_CONFIG") {
            return Some(PathBuf::from(path));
        }
        Self::usual_place().filter(|p| p.exists())
    }

    /// `highwater.toml` in the platform's configuration folder, whether it is there or not.
    pub fn usual_place() -> Option<PathBuf> {
        Some(directories::ProjectDirs::from("", "", "highwater")?.config_dir().join("highwater.toml"))
    }

    /// Puts the command line over the file.
    pub fn apply(&mut self, over: Overrides) {
        if over.kafka.is_some() || !over.kafka_properties.is_empty() {
            if self.kafka.is_empty() {
                let name = Label::new("kafka");
                let settings = KafkaSettings::new(name, BTreeMap::new());
                self.kafka.push(KafkaSettings { refresh: self.ui.refresh, ..settings });
            }
            self.kafka.truncate(1);
            for kafka in &mut self.kafka {
                kafka.properties.extend(over.kafka_properties.clone());
                if let Some(bootstrap) = &over.kafka {
                    kafka.properties.insert("bootstrap.servers".to_owned(), Property::Text(bootstrap.clone()));
                }
            }
        }
        if let Some(url) = over.prometheus {
            match self.prometheus.first_mut() {
                Some(first) => (first.url, first.others) = (url, Vec::new()),
                None => self.prometheus.push(PrometheusSettings::new("prometheus", url)),
            }
            self.prometheus.truncate(1);
        }
        if over.kube_context.is_some() || !over.namespaces.is_empty() {
            let kubernetes = self.kubernetes.get_or_insert_default();
            kubernetes.context = over.kube_context.or(kubernetes.context.take());
            if !over.namespaces.is_empty() {
                kubernetes.namespaces = over.namespaces;
            }
        }
        if let Some(theme) = over.theme {
            self.ui.theme = theme;
        }
        if over.ascii {
            self.ui.ascii = Some(true);
        }
        self.ui.low_bandwidth |= over.low_bandwidth;
        self.give_sources_to_signals();
        self.give_kinds_to_kubernetes();
    }

    /// The name of the source that a workload's signals come from: the one that it names, else the first of its kind.
    fn source_of(&self, workload: &WorkloadConfig) -> Option<Label> {
        match workload.kind {
            WorkloadKind::ConsumerGroup | WorkloadKind::Brokers => {
                workload.kafka.clone().or_else(|| self.kafka.first().map(|k| k.name.clone()))
            }
            WorkloadKind::Inference | WorkloadKind::Batch => {
                workload.prometheus.clone().or_else(|| self.prometheus.first().map(|p| p.name.clone()))
            }
        }
    }

    /// The configured workloads, each joined to its source. One whose source is not configured is left out (and was
    /// refused when the file was read, unless the command line took the source away).
    pub fn workloads(&self) -> Vec<Workload> {
        self.workloads.iter().filter_map(|w| self.joined(w)).collect()
    }

    /// What a workload is about: kind, source (`None`: none is configured) and name in it.
    fn about(&self, w: &WorkloadConfig) -> (WorkloadKind, Option<Label>, Label) {
        let source = self.source_of(w);
        let id = match (w.kind, &source) {
            (WorkloadKind::Brokers, Some(source)) => source.clone(), // the pool of a cluster is the cluster's
            _ => w.id.clone().unwrap_or_else(|| w.name.clone()),
        };
        (w.kind, source, id)
    }

    fn joined(&self, w: &WorkloadConfig) -> Option<Workload> {
        let (kind, source, id) = self.about(w);
        Some(Workload {
            name: w.name.clone(),
            entity: Entity { kind, source: source?, id },
            target: w.target.clone(),
            limits: w.limits.unwrap_or_else(|| shape::limits(w.kind)),
            slo: w.slo.clone(),
            price: w.price,
            guard: w.guard.clone(),
            shape: w.shape,
            broker: w.broker,
            signals: w.signals.clone(),
            found: None,
            configured: true,
        })
    }

    /// Hands each workload's own PromQL, and its matchers for the packs, to the Prometheus that answers it.
    fn give_sources_to_signals(&mut self) {
        let (mut custom, mut selected) = (Vec::new(), Vec::new());
        for workload in &self.workloads {
            let Some(whole) = self.joined(workload) else { continue };
            selected.extend(selected_by(workload, &whole.entity));
            let answers = workload.prometheus.clone().or_else(|| self.prometheus.first().map(|p| p.name.clone()));
            // As in the packs, one rate is what a service is asked for and what it does: what a replica can do is learned in
            // the unit of the demand.
            let rate = workload.signals.get(&Role::Demand).filter(|_| workload.kind == WorkloadKind::Inference);
            let rate = rate.filter(|_| !workload.signals.contains_key(&Role::Throughput));
            let done = rate.map(|query| (&Role::Throughput, query));
            for (role, query) in workload.signals.iter().chain(done) {
                let key = SignalKey { entity: whole.entity.clone(), role: *role };
                let (query, select) = (query.clone(), workload.select.clone());
                custom.push((answers.clone(), CustomSignal { key, query, select }));
            }
        }
        for prometheus in &mut self.prometheus {
            let own = custom.iter().filter(|(name, _)| name.as_ref() == Some(&prometheus.name));
            prometheus.custom = own.map(|(_, signal)| signal.clone()).collect();
            let here = selected.iter().filter(|s| s.entity.source == prometheus.name);
            prometheus.selected = here.cloned().collect();
        }
    }

    /// Kinds that targets name: they are watched, others are not, for most clusters do not have them.
    pub fn kinds(&self) -> Vec<ObjectKind> {
        let kind = |w: &WorkloadConfig| match w.target {
            Some(Target::Object { kind, .. }) => Some(kind),
            Some(Target::Jobs { .. }) => Some(ObjectKind::Job),
            _ => None,
        };
        self.workloads.iter().filter_map(kind).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn give_kinds_to_kubernetes(&mut self) {
        let kinds = self.kinds();
        if let Some(kubernetes) = &mut self.kubernetes {
            kubernetes.kinds = kinds;
        }
    }

    /// The series that workloads' own PromQL fills.
    pub fn own_series(&self) -> BTreeSet<SignalKey> {
        self.prometheus.iter().flat_map(|p| p.custom.iter().map(|c| c.key.clone())).collect()
    }

    /// Where something stands, for errors found after the file was read: the file, or the command line.
    pub fn origin(&self) -> String {
        self.file.as_ref().map_or_else(|| "command line".to_owned(), |f| f.display().to_string())
    }

    /// Whether anything is configured to be read.
    pub fn has_sources(&self) -> bool {
        !self.kafka.is_empty() || !self.prometheus.is_empty() || self.kubernetes.is_some()
    }
}

/// The matchers that the packs are asked with for a workload alone. Its name is none: the packs' rows have it anyway.
fn selected_by(workload: &WorkloadConfig, entity: &Entity) -> Option<Selected> {
    let of_packs = matches!(workload.kind, WorkloadKind::Inference | WorkloadKind::Batch);
    let more = workload.select.iter().any(|(label, value)| label != "model_name" || value != entity.id.as_str());
    (of_packs && more).then(|| Selected { entity: entity.clone(), select: workload.select.clone() })
}

/// What is wrong with the base URL of a Prometheus; `None`: nothing. The words never hold the URL, which may hold a secret.
pub fn url_problem(url: &str) -> Option<&'static str> {
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return Some("a URL that starts with http:// or https:// belongs here");
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match host {
        "" => Some("the URL names no host"),
        _ if host.contains('@') => Some(
            "user and password do not belong into the URL: use basic = { user = …, password = { env = … } } in a file",
        ),
        _ if rest.contains(['?', '#']) => Some("a base URL has no query: give parameters as headers or leave them out"),
        _ => None,
    }
}

/// Whether nobody but the owner can read the file.
fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|m| m.permissions().mode().trailing_zeros() >= 6)
}

#[cfg(test)]
mod tests;
