//! What the sources tell the engine, over bounded channels.

use super::{KafkaCluster, KubeState, Label, MlState, Sample, SignalKey, Target, Time};
use serde::Serialize;
use std::sync::Arc;

/// One message from a source task to the engine.
#[derive(Clone, Debug)]
pub enum Observation {
    /// A Kafka refresh ended (perhaps with parts carried over from earlier ones).
    Kafka(Arc<KafkaCluster>),
    /// A Prometheus refresh ended.
    Ml(Arc<MlState>),
    /// Kubernetes changed.
    Kubernetes(Arc<KubeState>),
    /// A command target said its count.
    Count {
        /// `command/NAME`.
        target: Target,
        /// The count.
        count: u32,
        /// When.
        at: Time,
    },
    /// Samples of a signal that a workload's own PromQL defines, newest last.
    Signal {
        /// Which series.
        key: SignalKey,
        /// Samples.
        samples: Vec<Sample>,
    },
    /// Older samples of a series, found at start: put before what was seen since.
    Backfill {
        /// Which series.
        key: SignalKey,
        /// Samples, oldest first.
        samples: Vec<Sample>,
    },
    /// Likewise, and worth keeping on disk: the next run asks only for what is new since then.
    Past {
        /// Which series.
        key: SignalKey,
        /// Samples, oldest first.
        samples: Vec<Sample>,
    },
    /// What a training run did before it was first looked at.
    Run {
        /// The Prometheus.
        source: Label,
        /// The run.
        run: Label,
        /// Instants with its step and, where it is known, its loss, oldest first.
        points: Vec<(Time, f64, Option<f64>)>,
    },
    /// A source's health changed or was confirmed.
    Health(SourceStatus),
}

/// What kind of system a source reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A Kafka cluster.
    Kafka,
    /// A Prometheus API.
    Prometheus,
    /// A Kubernetes API.
    Kubernetes,
    /// An observing command.
    Command,
}

impl SourceKind {
    /// The name on screen and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Prometheus => "prometheus",
            Self::Kubernetes => "kubernetes",
            Self::Command => "command",
        }
    }

    /// A source by kind and name: `kafka prod`; one that is named after its kind is said once.
    pub fn named(self, name: &str) -> String {
        match self.name() {
            kind if kind == name => kind.to_owned(),
            kind => format!("{kind} {name}"),
        }
    }
}

/// Health of a source as it judges itself; whether its data are *stale* is computed from ages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No answer yet, none refused.
    Connecting,
    /// Everything asked was answered.
    Ok,
    /// Something was answered, something not.
    Degraded,
    /// Nothing was answered.
    Down,
}

/// One source as the header shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceStatus {
    /// Name in the configuration.
    pub name: Label,
    /// Kind.
    pub kind: SourceKind,
    /// Health.
    pub health: Health,
    /// Since when it has this health.
    pub since: Time,
    /// Last complete or partial answer.
    pub answered: Option<Time>,
    /// Seconds between refreshes that it aims at.
    pub cadence: f64,
    /// `3/3 brokers`, or why not, as a sentence with the mend.
    pub detail: Label,
}

impl SourceStatus {
    /// Seconds since the last answer.
    pub fn age(&self, now: Time) -> Option<f64> {
        self.answered.map(|t| now.since(t).max(0.0))
    }

    /// Whether what it said is too old to act on: more than two refreshes and a second.
    pub fn is_stale(&self, now: Time) -> bool {
        self.age(now).is_none_or(|age| age > 2.0 * self.cadence + 1.0)
    }
}

/// One line of `highwater check`: something that was tried, how it went, and the mend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckLine {
    /// What was tried: `kafka prod: brokers`, `target deploy/payments/fraud-scorer: patch scale`.
    pub what: Label,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub detail: Label,
    /// What to do about it, when it is not ok.
    pub mend: Option<Label>,
    /// Nothing answered at all (exit code 3).
    pub unreachable: bool,
    /// The right that is missing, where that is what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
}

/// A right that is missing, for whoever can give it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// A rule of Kubernetes' RBAC.
    Rule {
        /// Who lacks it, by the server's word.
        user: Label,
        /// Where; `None`: in all namespaces.
        namespace: Option<Label>,
        /// API group.
        group: Label,
        /// Plural, with its subresource: `deployments/scale`.
        resource: Label,
        /// The one object; `None`: all of them.
        name: Option<Label>,
        /// What must be allowed.
        verbs: Vec<&'static str>,
    },
    /// An entry of Kafka's access control lists.
    Acl {
        /// `bootstrap.servers` of the cluster.
        bootstrap: Label,
        /// Who lacks it: `User:viewer`.
        principal: Label,
        /// `--topic` or `--group`; Describe on it is what is lacking.
        resource: &'static str,
        /// Its name; `*`: all of them.
        name: Label,
    },
}

impl std::fmt::Display for Grant {
    /// `in payments: - {apiGroups: [apps], …}` or the command that adds the entry.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rule { namespace, .. } => match namespace {
                Some(namespace) => write!(f, "add to a Role in {namespace}: {}", self.rule()),
                None => write!(f, "add to a ClusterRole: {}", self.rule()),
            },
            Self::Acl { bootstrap, principal, resource, name } => write!(
                f,
                "kafka-acls.sh --bootstrap-server {} --add --allow-principal {} --operation Describe {resource} {}",
                quoted(bootstrap),
                quoted(principal),
                quoted(name)
            ),
        }
    }
}

impl Grant {
    /// The rule as it stands in a role; empty for what is no rule. Every text is a YAML string, whatever is in it.
    pub fn rule(&self) -> String {
        let Self::Rule { group, resource, name, verbs, .. } = self else { return String::new() };
        let names = name.as_ref().map_or_else(String::new, |n| format!("resourceNames: [{}], ", in_yaml(n)));
        let (group, resource, verbs) = (in_yaml(group), in_yaml(resource), verbs.join(", "));
        format!("- {{apiGroups: [{group}], resources: [{resource}], {names}verbs: [{verbs}]}}")
    }
}

/// Plain where that is safe, else a JSON string, which is YAML too.
fn in_yaml(text: &Label) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || matches!(c, '.' | '-' | '/');
    let starts = text.as_str().starts_with(|c: char| c.is_ascii_lowercase());
    if starts && text.as_str().chars().all(|c| plain(c) || c.is_ascii_digit()) {
        text.to_string()
    } else {
        serde_json::Value::from(text.as_str()).to_string()
    }
}

/// For a shell.
fn quoted(text: &Label) -> String {
    format!("'{}'", text.as_str().replace('\'', "'\\''"))
}
