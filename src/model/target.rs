//! The object whose replica count changes.

use super::Label;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// What carries a count: a Kubernetes object or something behind a configured command.
///
/// ```
/// use highwater::model::Target;
/// let t: Target = "deploy/payments/fraud-scorer".parse().unwrap();
/// assert_eq!(t.to_string(), "deploy/payments/fraud-scorer");
/// assert!("pods/a/b".parse::<Target>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// `deploy/NAMESPACE/NAME`
    Deployment {
        /// Namespace.
        namespace: Label,
        /// Name.
        name: Label,
    },
    /// `sts/NAMESPACE/NAME`
    StatefulSet {
        /// Namespace.
        namespace: Label,
        /// Name.
        name: Label,
    },
    /// `command/NAME`: `[actuator.command.NAME]` of the configuration.
    Command(Label),
}

impl Target {
    /// Whether it lives in Kubernetes.
    pub fn is_kubernetes(&self) -> bool {
        !matches!(self, Self::Command(_))
    }

    /// The Kubernetes kind (`Deployment`, `StatefulSet`), namespace and name; `None` for a command.
    pub fn kubernetes(&self) -> Option<(&'static str, &Label, &Label)> {
        match self {
            Self::Deployment { namespace, name } => Some(("Deployment", namespace, name)),
            Self::StatefulSet { namespace, name } => Some(("StatefulSet", namespace, name)),
            Self::Command(_) => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployment { namespace, name } => write!(f, "deploy/{namespace}/{name}"),
            Self::StatefulSet { namespace, name } => write!(f, "sts/{namespace}/{name}"),
            Self::Command(name) => write!(f, "command/{name}"),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    /// The error is a sentence with the mend.
    fn from_str(s: &str) -> Result<Self, String> {
        let parts: Vec<&str> = s.split('/').collect();
        match parts.as_slice() {
            [_, rest @ ..] if rest.iter().any(|p| p.is_empty()) => Err(format!("{s:?} has an empty part")),
            ["deploy" | "deployment", ns, name] => {
                Ok(Self::Deployment { namespace: Label::new(ns), name: Label::new(name) })
            }
            ["sts" | "statefulset", ns, name] => {
                Ok(Self::StatefulSet { namespace: Label::new(ns), name: Label::new(name) })
            }
            ["command", name] => Ok(Self::Command(Label::new(name))),
            _ => Err(format!("{s:?} is not a target: write deploy/NAMESPACE/NAME, sts/NAMESPACE/NAME or command/NAME")),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}
