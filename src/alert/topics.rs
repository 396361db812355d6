//! What shows on topics: `hot-partition`, `dead-letter`, `hanging-transaction`.

use super::{Finding, Found, count, examples, memory::Memory};
use crate::model::{Group, KafkaCluster, Label, Partition, Severity, Subject, Topic, duration, si};
use std::collections::HashMap;

/// The busiest partition's rate over the mean that is worth a look.
const HOT: f64 = 3.0;
/// Records per second of a whole topic below which skew does not matter.
const QUIET: f64 = 10.0;
/// Growth of a dead-letter topic within so many seconds counts as going on.
const GROWING: f64 = 600.0;
/// A last stable offset that stands behind the end for so long, seconds, is worth a look; a transaction may take
/// `transaction.timeout.ms` (a minute by default) …
const HANGS: f64 = 90.0;
/// … and this at most (`transaction.max.timeout.ms`): beyond it nobody aborts it any more.
const HANGS_FOR_EVER: f64 = 900.0;

pub(super) fn rules(cluster: &KafkaCluster, dead: &[bool], memory: &Memory, found: &mut Found) {
    let readers = Readers::new(&cluster.groups);
    for (topic, dead) in cluster.topics.iter().zip(dead) {
        if *dead {
            dead_letter(topic, &readers, memory, found);
        } else if !topic.internal {
            hot(topic, found);
        }
        hanging(topic, cluster, found);
    }
}

/// One partition gets far more than its share: its reader is the slowest, and more members do not help.
fn hot(topic: &Topic, found: &mut Found) {
    let rates: Vec<(i32, f64)> = topic.partitions.iter().filter_map(|p| Some((p.partition, p.arrivals?))).collect();
    let sum: f64 = rates.iter().map(|(_, r)| r).sum();
    let Some((partition, most)) = rates.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)) else { return };
    let mean = sum / rates.len() as f64;
    if rates.len() < 4 || rates.len() < topic.partitions.len() || sum < QUIET || most < HOT * mean {
        return;
    }
    found.add(Finding {
        rule: "hot-partition",
        severity: Severity::Look,
        subject: Subject::Topic(topic.name.clone()),
        sentence: format!(
            "partition {partition} gets {} records/s, the mean of {} is {}",
            si(most),
            count(rates.len(), "partition"),
            si(mean)
        ),
        mend: "spread the keys better, or give the partition a reader of its own: more members do not split it".into(),
        evidence: "growth of the log ends over some minutes (ListOffsets)".into(),
    });
}

/// Records that somebody could not process wait here.
fn dead_letter(topic: &Topic, readers: &Readers<'_>, memory: &Memory, found: &mut Found) {
    let kept = |p: &Partition| p.end.zip(p.log_start).map_or(0, |(end, start)| (end - start).max(0));
    let records: i64 = topic.partitions.iter().map(kept).sum();
    if records == 0 {
        return;
    }
    let growth = memory.partitions(&topic.name);
    let grown: i64 = growth.iter().map(|m| m.grown).sum();
    let growing = growth.iter().any(|m| m.grew.is_some_and(|at| found.at.since(at) < GROWING));
    let by = readers.of.get(&topic.name).map_or(&[][..], Vec::as_slice);
    let held = if records == 1 { "1 record".to_owned() } else { format!("{} records", si(records as f64)) };
    let grows = if growing { format!(" and grows ({} since we look)", si(grown as f64)) } else { String::new() };
    let oldest = topic.partitions.iter().filter_map(|p| p.oldest).min();
    let age = oldest.map_or(String::new(), |at| format!(", the oldest about {} old", duration(found.at.since(at))));
    let read = match by {
        [] => "nobody reads it".to_owned(),
        some => format!("read by {}", examples(some)),
    };
    let from =
        readers.feeder(topic.name.as_str()).map_or(String::new(), |g| format!(" (a guess by its name: fed by {g})"));
    found.add(Finding {
        rule: "dead-letter",
        severity: Severity::Look, // nothing is lost, and what fails stands for itself
        subject: Subject::Topic(topic.name.clone()),
        sentence: format!("holds {held}{grows}{age}; {read}{from}"),
        mend: format!(
            "look at its newest record for the cause (highwater sample {} {}), then read them again or drop them",
            topic.name,
            topic.partitions.iter().find(|p| kept(p) > 0).map_or(0, |p| p.partition)
        ),
        evidence: "its name is that of a dead-letter topic; ListOffsets, OffsetFetch".into(),
    });
}

/// Who reads what, looked up once: there may be as many dead-letter topics as groups.
struct Readers<'a> {
    /// Groups by topic.
    of: HashMap<&'a Label, Vec<&'a Label>>,
    /// The group that a name belongs to: its own, else that of a topic which it reads.
    named: HashMap<&'a str, &'a Label>,
}

impl<'a> Readers<'a> {
    fn new(groups: &'a [Group]) -> Self {
        let mut of: HashMap<&Label, Vec<&Label>> = HashMap::new();
        for group in groups {
            for rows in group.partitions.chunk_by(|a, b| a.topic == b.topic) {
                of.entry(&rows[0].topic).or_default().push(&group.group);
            }
        }
        let topics = of.iter().filter_map(|(topic, groups)| Some((topic.as_str(), *groups.last()?)));
        let mut named: HashMap<&str, &Label> = topics.collect();
        named.extend(groups.iter().map(|g| (g.group.as_str(), &g.group)));
        Self { of, named }
    }

    /// The group whose name, or one of whose topics' names, a dead-letter topic's name begins with: the longest wins.
    fn feeder(&self, name: &str) -> Option<&'a Label> {
        let mut ends = name.rmatch_indices(['.', '-', '_']).map(|(at, _)| at).filter(|at| *at >= 3);
        ends.find_map(|at| self.named.get(name.get(..at)?).copied())
    }
}

/// A transaction that does not end keeps `read_committed` consumers from everything after it. One may hold many
/// partitions: the partition that stands longest is told.
fn hanging(topic: &Topic, cluster: &KafkaCluster, found: &mut Found) {
    let held = |p: &Partition| {
        let (stable, end) = p.stable.zip(p.end)?;
        let seconds = stable.at.since(stable.since); // no longer than it was seen: its leader may be silent since
        (stable.offset < end && seconds >= HANGS).then_some((stable, end, seconds))
    };
    let mut all: Vec<_> = topic.partitions.iter().filter_map(|p| Some((p, held(p)?))).collect();
    all.sort_by(|(_, a), (_, b)| b.2.total_cmp(&a.2));
    let Some((p, (stable, end, seconds))) = all.first() else { return };
    let (number, offset) = (p.partition, stable.offset);
    // While its coordinator knows of it, it may take what its producer asked for: an hour of a batch is no accident.
    let timeout = p.transaction.as_ref().and_then(|t| t.timeout);
    let for_ever = *seconds > HANGS_FOR_EVER.max(timeout.map_or(0.0, |t| t + HANGS));
    let who = p.transaction.as_ref().map(|t| {
        let id = t.transactional_id.as_ref().map_or("unknown".to_owned(), |id| format!("{id}"));
        let began = t.began.map_or(String::new(), |at| format!(", began {} ago", duration(cluster.at.since(at))));
        format!(" by producer {} epoch {}, transactional id {id}{began},", t.producer.0, t.producer.1)
    });
    let others: Vec<i32> = all.iter().skip(1).map(|(p, _)| p.partition).collect();
    let too = match others.as_slice() {
        [] => String::new(),
        [one] => format!("; partition {one} is held, too"),
        some => format!("; partitions {} are held, too", examples(some)),
    };
    let added = found.add(Finding {
        rule: "hanging-transaction",
        severity: if for_ever { Severity::Act } else { Severity::Look },
        subject: Subject::Topic(topic.name.clone()),
        sentence: format!(
            "a transaction{} has held partition {number} at offset {offset} for {}: read_committed consumers wait for {}{too}",
            who.unwrap_or_default(),
            duration(*seconds),
            count((end - offset) as usize, "record")
        ),
        mend: if for_ever {
            format!(
                "no coordinator will end it: kafka-transactions abort --topic {} --partition {number} --start-offset \
                 {offset}",
                topic.name
            )
        } else {
            let after = timeout.map_or(String::new(), |t| format!(" ({})", duration(t)));
            format!("its coordinator aborts it after transaction.timeout.ms{after}; look at the producer")
        },
        evidence: "ListOffsets up to the last stable offset; DescribeProducers, ListTransactions".into(),
    });
    if let Some(alert) = added {
        alert.since = stable.since;
    }
}
