//! `[ledger]`: who else sees the record of decisions, and what holds when they cannot be asked.

use super::{parse::properties, reader::Section};
use crate::model::{KafkaSettings, LeaseUse, LedgerSettings, WhenLost};

/// Reads the section; `clusters`: those that `kafka` may name.
pub(super) fn read(s: &Section<'_>, clusters: &[KafkaSettings]) -> LedgerSettings {
    let default = LedgerSettings::default();
    let topic = |key, default: &str| {
        let name = s.text(key).unwrap_or(default);
        if let Some(problem) = topic_problem(name) {
            s.wrong(key, problem);
        }
        name.to_owned()
    };
    let ledger = LedgerSettings {
        kafka: cluster(s, clusters),
        history: topic("history", &default.history),
        state: topic("state", &default.state),
        lost: match s.text("lost") {
            None | Some("local") => WhenLost::Local,
            Some("refuse") => WhenLost::Refuse,
            Some(other) => {
                s.wrong("lost", format!("{other:?} is not known: local or refuse"));
                default.lost
            }
        },
        lease: match s.text("lease") {
            None | Some("when-allowed") => LeaseUse::WhenAllowed,
            Some("required") => LeaseUse::Required,
            Some("off") => LeaseUse::Off,
            Some(other) => {
                s.wrong("lease", format!("{other:?} is not known: when-allowed, required or off"));
                default.lease
            }
        },
    };
    if ledger.history == ledger.state {
        s.wrong("state", "needs a topic of its own: the history is kept, the state is compacted");
    }
    s.finish();
    ledger
}

/// The named cluster with `[ledger.properties]` over its own: who may write the ledger is seldom who reads the lag.
fn cluster(s: &Section<'_>, clusters: &[KafkaSettings]) -> Option<KafkaSettings> {
    let over = s.section("properties").map(|t| properties(&t)).unwrap_or_default();
    let Some(name) = s.label("kafka") else {
        if !over.is_empty() {
            s.wrong("properties", "belongs to a cluster: name one with kafka = \"NAME\"");
        }
        return None;
    };
    let Some(found) = clusters.iter().find(|k| k.name == name) else {
        s.wrong("kafka", format!("no section [kafka.{name}] in this file"));
        return None;
    };
    let mut cluster = found.clone();
    cluster.properties.extend(over);
    Some(cluster)
}

/// What is wrong with the name of a topic; `None`: nothing. Kafka's own rule.
fn topic_problem(name: &str) -> Option<&'static str> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let ok = (1..=249).contains(&name.len()) && name.bytes().all(legal) && !matches!(name, "." | "..");
    (!ok).then_some("is no name for a topic: letters, digits, dots, dashes and underscores, at most 249")
}
