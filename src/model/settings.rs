//! How the edges are configured, already validated: what `config` makes and the sources and actuators take.

use super::{Entity, Label, ObjectKind, Secret, SignalKey, WeekSpan, Zone};
use std::{collections::BTreeMap, path::PathBuf};

/// Where a secret comes from. Files and commands are read again when the server says that the old one is no longer good.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretSource {
    /// In the configuration itself (only in a file that nobody else can read).
    Value(Secret),
    /// An environment variable.
    Env(String),
    /// The content of a file, without its last newline.
    File(PathBuf),
    /// The standard output of a command, without its last newline.
    Command(Vec<String>),
}

/// A value of a Kafka client property.
#[derive(Clone, Debug, PartialEq)]
pub enum Property {
    /// Plain text.
    Text(String),
    /// A secret (`sasl.password`, `ssl.key.password`).
    Secret(SecretSource),
}

/// `[kafka.NAME]`: librdkafka's property names, unchecked here; the reader names the key that it does not understand.
#[derive(Clone, Debug, PartialEq)]
pub struct KafkaSettings {
    /// Name.
    pub name: Label,
    /// Properties by librdkafka's name.
    pub properties: BTreeMap<String, Property>,
    /// Seconds between refreshes.
    pub refresh: f64,
    /// Patterns of dead-letter topics (`*` for anything, case does not matter); `None`: the usual ones.
    pub dead_letter: Option<Vec<String>>,
    /// How far back arrivals are asked of the brokers' time index at start, seconds; 0: not at all.
    pub backfill: f64,
}

impl KafkaSettings {
    /// The defaults for a cluster.
    pub fn new(name: impl Into<Label>, properties: BTreeMap<String, Property>) -> Self {
        Self { name: name.into(), properties, refresh: 2.0, dead_letter: None, backfill: 7.0 * 86_400.0 }
    }
}

/// TLS material, PEM.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsSettings {
    /// Extra certificate authority; the platform's are used when absent.
    pub ca: Option<PathBuf>,
    /// Client certificate chain.
    pub cert: Option<PathBuf>,
    /// Client key.
    pub key: Option<PathBuf>,
    /// Name to verify instead of the host's.
    pub server_name: Option<String>,
    /// Accept any certificate: watch only, and said on screen.
    pub insecure: bool,
}

/// `sigv4` of `[prometheus.NAME]`: requests are signed as Amazon's services want it.
#[derive(Clone, Debug, PartialEq)]
pub struct SigV4Settings {
    /// Region of the service.
    pub region: String,
    /// `aps` (Amazon Managed Prometheus), or what else speaks PromQL there.
    pub service: String,
    /// Where the keys are: the JSON of a `credential_process`, or a shared credentials file with a `[default]` profile.
    /// `None`: in `$AWS_ACCESS_KEY_ID`, `$AWS_SECRET_ACCESS_KEY` and, for a session, `$AWS_SESSION_TOKEN`.
    pub credentials: Option<SecretSource>,
}

/// `oauth2` of `[prometheus.NAME]`: a token is asked for with client credentials (RFC 6749 §4.4).
#[derive(Clone, Debug, PartialEq)]
pub struct OAuth2Settings {
    /// Who we are.
    pub client_id: String,
    /// What proves it.
    pub client_secret: SecretSource,
    /// Where tokens are given.
    pub token_url: String,
    /// What for.
    pub scopes: Vec<String>,
    /// Further parameters of the request for a token.
    pub params: BTreeMap<String, String>,
}

/// `[prometheus.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct PrometheusSettings {
    /// Name.
    pub name: Label,
    /// Base URL, path prefix included, no trailing slash, no user information; empty: the exporters are read directly.
    pub url: String,
    /// Further base URLs that are tried in this order when `url` does not answer.
    pub others: Vec<String>,
    /// Exporters by job, read directly while no URL answers: addresses of their metrics.
    pub scrape: BTreeMap<String, Vec<String>>,
    /// Basic authentication.
    pub basic: Option<(String, SecretSource)>,
    /// Bearer token.
    pub bearer: Option<SecretSource>,
    /// Extra headers.
    pub headers: BTreeMap<String, SecretSource>,
    /// Client credentials, for a bearer token.
    pub oauth2: Option<OAuth2Settings>,
    /// Signatures for Amazon's services.
    pub sigv4: Option<SigV4Settings>,
    /// TLS.
    pub tls: TlsSettings,
    /// Deadline of one request, seconds.
    pub timeout: f64,
    /// Seconds between refreshes.
    pub refresh: f64,
    /// Step of range queries, seconds.
    pub step: f64,
    /// How far back to fill the history at start, seconds.
    pub backfill: f64,
    /// Label matchers for the packs' `$sel`.
    pub select: BTreeMap<String, String>,
    /// Prefix of wrapped metric names (`ray_`, `kserve_`), for the packs.
    pub prefix: String,
    /// A folder of the user's own packs, beside the built-in ones.
    pub packs: Option<PathBuf>,
    /// Series that replace or complete the packs: PromQL per workload and role.
    pub custom: Vec<CustomSignal>,
    /// Workloads that matchers of their own tell apart: the packs are asked for each of them alone.
    pub selected: Vec<Selected>,
}

impl PrometheusSettings {
    /// The defaults for a URL.
    pub fn new(name: impl Into<Label>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            others: Vec::new(),
            scrape: BTreeMap::new(),
            basic: None,
            bearer: None,
            headers: BTreeMap::new(),
            oauth2: None,
            sigv4: None,
            tls: TlsSettings::default(),
            timeout: 10.0,
            refresh: 5.0,
            step: 15.0,
            backfill: 6.0 * 3600.0,
            select: BTreeMap::new(),
            prefix: String::new(),
            packs: None,
            custom: Vec::new(),
            selected: Vec::new(),
        }
    }
}

/// One user-defined series: `signals.demand = '…'` of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomSignal {
    /// The series it fills.
    pub key: SignalKey,
    /// PromQL; `$w` and `$sel` are replaced.
    pub query: String,
    /// Label matchers for its `$sel`, over those of the source.
    pub select: BTreeMap<String, String>,
}

/// An inference service or a queue with label matchers of its own: `select = { … }` of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// What they tell apart.
    pub entity: Entity,
    /// Label matchers for the packs' `$sel`, over those of the source.
    pub select: BTreeMap<String, String>,
}

/// `[kubernetes]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KubernetesSettings {
    /// Context of the kubeconfig; `None` in a pod: the service account.
    pub context: Option<String>,
    /// Kubeconfig file; `None`: `$KUBECONFIG`, then `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// Namespaces to watch; empty: all.
    pub namespaces: Vec<String>,
    /// Kinds to watch beside Deployments, StatefulSets, HPAs and ScaledObjects: those that targets name.
    pub kinds: Vec<ObjectKind>,
}

/// `[actuator.command.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandSettings {
    /// Name.
    pub name: Label,
    /// Argv that sets the count; `{to}` `{from}` `{target}` are replaced inside elements.
    pub apply: Vec<String>,
    /// Argv that prints the present count.
    pub observe: Option<Vec<String>>,
    /// Argv that says whether it would work.
    pub dry_run: Option<Vec<String>>,
    /// Deadline, seconds.
    pub timeout: f64,
}

/// `[actuator.webhook.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookSettings {
    /// Name.
    pub name: Label,
    /// Where the message goes: https, or http to this machine.
    pub url: String,
    /// `POST`, `PUT` or `PATCH`.
    pub method: String,
    /// What it is signed with, `whsec_BASE64`.
    pub secret: Option<SecretSource>,
    /// Bearer token.
    pub bearer: Option<SecretSource>,
    /// Extra headers.
    pub headers: BTreeMap<String, SecretSource>,
    /// Body; `{to}` `{from}` `{target}` `{action}` `{dry_run}` are replaced. `None`: a message with all of them.
    pub body: Option<String>,
    /// URL that tells the present count.
    pub observe: Option<String>,
    /// Where in that answer, a JSON pointer; empty: the answer is the count.
    pub observe_field: String,
    /// Whether the receiver knows dry runs.
    pub dry_run: bool,
    /// Deadline of one request, seconds.
    pub timeout: f64,
}

impl WebhookSettings {
    /// The defaults for a URL.
    pub fn new(name: impl Into<Label>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            method: "POST".to_owned(),
            secret: None,
            bearer: None,
            headers: BTreeMap::new(),
            body: None,
            observe: None,
            observe_field: "/replicas".to_owned(),
            dry_run: false,
            timeout: 15.0,
        }
    }
}

/// `[actuator.patch-file.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchFileSettings {
    /// Name.
    pub name: Label,
    /// A manifest in a checkout.
    pub file: PathBuf,
    /// The key that holds the count, exactly once in the file: `replicas`, `minReplicaCount`.
    pub key: String,
}

/// `[actuator.job.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSettings {
    /// Name: the first part of every Job's own.
    pub name: Label,
    /// A Job of `batch/v1` as it was read from its file; name, namespace, labels and workers are filled in.
    pub template: serde_json::Value,
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitSettings {
    /// Actions begun in any hour, all targets together.
    pub actions_per_hour: u32,
    /// Actions under way at once.
    pub in_flight: u32,
    /// While this file exists nothing is approved.
    pub freeze_file: Option<PathBuf>,
    /// In these spans of the week nothing is approved or begun.
    pub freeze: Vec<WeekSpan>,
    /// Only in these; empty: always.
    pub change: Vec<WeekSpan>,
    /// The zone that the spans are read in.
    pub zone: Zone,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            actions_per_hour: 12,
            in_flight: 3,
            freeze_file: None,
            freeze: Vec::new(),
            change: Vec::new(),
            zone: Zone::default(),
        }
    }
}

/// What happens to changes of ordinary targets while the shared ledger or a Lease cannot be had. Protected targets are
/// always refused then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenLost {
    /// Go on with the local ledger alone, and say so.
    #[default]
    Local,
    /// Refuse.
    Refuse,
}

/// Whether a Kubernetes Lease is held on a target while somebody decides about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaseUse {
    /// Where the server lets us; otherwise it is said.
    #[default]
    WhenAllowed,
    /// Always: without it nothing is changed.
    Required,
    /// Never.
    Off,
}

/// `[ledger]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerSettings {
    /// The cluster that the ledger is shared on, `[ledger.properties]` over those of its section; `None`: not shared.
    pub kafka: Option<KafkaSettings>,
    /// Topic of the history (`cleanup.policy=delete`), one partition: its offsets are the order.
    pub history: String,
    /// Topic of the present state (`cleanup.policy=compact`), one partition.
    pub state: String,
    /// When the shared ledger is lost.
    pub lost: WhenLost,
    /// Leases.
    pub lease: LeaseUse,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            kafka: None,
            history: "highwater.decisions".to_owned(),
            state: "highwater.state".to_owned(),
            lost: WhenLost::default(),
            lease: LeaseUse::default(),
        }
    }
}

/// How to draw the operator's eye when something becomes critical while they look elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alarm {
    /// Not at all.
    #[default]
    Off,
    /// By the bell.
    Bell,
    /// By the bell and a desktop notice (OSC 9: iTerm2, kitty, WezTerm, Windows Terminal, foot, ghostty).
    Desktop,
}

impl Alarm {
    /// Reads the word of the configuration.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "off" => Some(Self::Off),
            "bell" => Some(Self::Bell),
            "desktop" => Some(Self::Desktop),
            _ => None,
        }
    }
}
