//! What is wrong with a cluster or a training run, or is about to be: a sentence with its mend, never a bare number.

use super::{Label, Severity, Time};
use serde::Serialize;

/// What an alert is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The cluster as a whole.
    Cluster,
    /// A broker, by `node.id`.
    Broker(i32),
    /// A topic.
    Topic(Label),
    /// A consumer group.
    Group(Label),
    /// A partition as one group reads it.
    GroupPartition {
        /// The group.
        group: Label,
        /// The topic.
        topic: Label,
        /// The partition's number.
        partition: i32,
    },
    /// A training run.
    Run(Label),
}

impl Subject {
    /// The group that this is about, if it is about one.
    pub fn group(&self) -> Option<&Label> {
        match self {
            Self::Group(group) | Self::GroupPartition { group, .. } => Some(group),
            _ => None,
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cluster => f.write_str("cluster"),
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Group(name) => write!(f, "group {name}"),
            Self::GroupPartition { group, topic, partition } => write!(f, "{group} {topic}/{partition}"),
            Self::Run(name) => write!(f, "run {name}"),
        }
    }
}

/// Which changes of a replica count would make it worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Holdback {
    /// None: scaling has nothing to do with it.
    #[default]
    Nothing,
    /// Fewer members would be slower at what is urgent.
    ScaleIn,
    /// Any change: it starts another rebalance.
    AnyChange,
}

/// One finding of one rule. Rules: `src/alert/`, and `src/engine/runs.rs` for training runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    /// The rule's name, as in the documentation: `lost`, `retention`, `stuck`, …
    pub rule: &'static str,
    /// [`Severity::Act`]: data are or will soon be lost or refused. [`Severity::Look`]: somebody should look.
    /// [`Severity::Unknown`]: it cannot be told, and `mend` says which permission is missing.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// What is the case, one sentence with its numbers.
    pub sentence: Label,
    /// What to do about it.
    pub mend: Label,
    /// When this was first seen, by us.
    pub since: Time,
    /// From which requests and numbers it follows; estimates and bounds are said to be such.
    pub evidence: Label,
    /// Which changes of the group's replica count it holds back.
    pub holds: Holdback,
}
