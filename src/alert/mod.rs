//! What is wrong with a cluster, or is about to be. Pure: rules over what was read, and a bounded memory of earlier refreshes.
//!
//! [`Watch::look`] completes a cluster as read: what takes two looks to know (rates, when a commit moved, when unread
//! records may be deleted), then the alerts. One family of rules a file; a rule says one sentence per subject, with its
//! mend, and where it cannot be told it says nothing: what we may not read is told once, by `permission`.

mod groups;
mod loss;
mod members;
mod memory;
mod replicas;
#[cfg(test)]
mod tests;
mod topics;

use crate::model::{Alert, Holdback, KafkaCluster, Label, Severity, Subject, Time};
use memory::Memory;
use std::collections::HashMap;

/// Alerts of one cluster at most: beyond it nobody reads them, and the worst come first. What holds a change back is always
/// among them: guards read them too.
const MOST: usize = 400;
/// Examples named in one sentence.
const EXAMPLES: usize = 4;
/// Bytes of them: the rest of the sentence needs some of a label's, too.
const ROOM: usize = 130;

/// Patterns of dead-letter topics: `*` stands for anything, case does not matter.
pub const DEAD_LETTER: [&str; 9] =
    ["*dlq*", "*.dlt", "*-dlt", "*_dlt", "*dead?letter*", "*deadletter*", "*.error", "*-errors", "*.errors"];

/// Watches one cluster from refresh to refresh.
#[derive(Debug, Default)]
pub struct Watch {
    dead_letter: Vec<String>,
    memory: Memory,
    /// When each alert was first raised; an alert that ended is forgotten.
    raised: HashMap<(&'static str, Subject), Time>,
}

impl Watch {
    /// Watches for dead-letter topics by these patterns (see [`DEAD_LETTER`]).
    pub fn new<T: AsRef<str>>(dead_letter: &[T]) -> Self {
        Self { dead_letter: dead_letter.iter().map(|p| p.as_ref().to_lowercase()).collect(), ..Self::default() }
    }

    /// Whether a topic is a dead-letter topic.
    pub fn is_dead_letter(&self, topic: &str) -> bool {
        let topic = topic.to_lowercase();
        self.dead_letter.iter().any(|pattern| matches(pattern.as_bytes(), topic.as_bytes()))
    }

    /// Completes a refresh with what takes more than one look, and with its alerts.
    pub fn look(&mut self, cluster: &mut KafkaCluster) {
        self.memory.update(cluster);
        loss::deletions(cluster, &self.memory);
        let mut found = Found { at: cluster.at, alerts: Vec::new() };
        replicas::rules(cluster, &mut found);
        loss::rules(cluster, &self.memory, &mut found);
        groups::rules(cluster, &self.memory, &mut found);
        members::rules(cluster, &self.memory, &mut found);
        let dead: Vec<bool> = cluster.topics.iter().map(|t| self.is_dead_letter(t.name.as_str())).collect();
        topics::rules(cluster, &dead, &self.memory, &mut found);
        let mut alerts = found.alerts;
        for alert in &mut alerts {
            let key = (alert.rule, alert.subject.clone());
            let first = self.raised.get(&key).map_or(alert.since, |before| alert.since.min(*before));
            alert.since = first;
        }
        self.raised = alerts.iter().map(|a| ((a.rule, a.subject.clone()), a.since)).collect();
        alerts.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.rule.cmp(b.rule)).then(a.subject.cmp(&b.subject)));
        let (all, mut place) = (alerts.len(), 0);
        alerts.retain(|a| {
            place += 1;
            place <= MOST || a.holds != Holdback::Nothing
        });
        let more = all - alerts.len();
        if more > 0 {
            cluster.notices.push(Label::new(&format!("{more} more alerts are not listed: these are the worst")));
        }
        cluster.alerts = alerts;
    }
}

/// What the rules of one look found.
struct Found {
    at: Time,
    alerts: Vec<Alert>,
}

/// One finding while it is put together.
struct Finding {
    rule: &'static str,
    severity: Severity,
    subject: Subject,
    sentence: String,
    mend: String,
    evidence: String,
}

impl Found {
    /// Adds a finding; returns it, for what is not usual in it (`since`, `holds`).
    fn add(&mut self, f: Finding) -> Option<&mut Alert> {
        self.alerts.push(Alert {
            rule: f.rule,
            severity: f.severity,
            subject: f.subject,
            sentence: f.sentence.into(),
            mend: f.mend.into(),
            since: self.at,
            evidence: f.evidence.into(),
            holds: Holdback::Nothing,
        });
        self.alerts.last_mut()
    }
}

/// `a, b, c, d and 8 more`; fewer where they are long: a sentence too long for a label is cut in the middle of a number.
fn examples<T: std::fmt::Display>(all: &[T]) -> String {
    let (mut text, mut named) = (String::new(), 0);
    for one in all.iter().take(EXAMPLES).map(ToString::to_string) {
        if named > 0 && text.len() + one.len() > ROOM {
            break;
        }
        text = if named > 0 { format!("{text}, {one}") } else { one };
        named += 1;
    }
    match all.len() - named {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// `1 partition`, `3 partitions`.
fn count(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

/// Whether a text matches a pattern of literals, `*` (anything) and `?` (one byte). Linear but for backtracking to the
/// last `*`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || Some(c) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == b'*'))
}
