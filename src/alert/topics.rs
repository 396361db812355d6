//! What shows on topics: `hot-partition`, `dead-letter`, `hanging-transaction`.

use super::{Finding, Found, count, examples, memory::Memory};
use crate::model::{Group, KafkaCluster, Label, Partition, Severity, Subject, Topic, duration, si};

/// The busiest partition's rate over the mean that is worth a look.
const HOT: f64 = 3.0;
/// Records per second of a whole topic below which skew does not matter.
const QUIET: f64 = 10.0;
/// Growth of a dead-letter topic within so many seconds counts as going on.
const GROWING: f64 = 600.0;
/// Milliseconds since the epoch before which no record was written (Kafka's first release, 2011): an earlier time is none,
/// as producers without a clock write it.
const FIRST: i64 = 1_293_840_000_000;
/// A last stable offset that stands behind the end for so long, seconds, is worth a look; a transaction may take
/// `transaction.timeout.ms` (a minute by default) …
const HANGS: f64 = 90.0;
/// … and this at most (`transaction.max.timeout.ms`): beyond it nobody aborts it any more.
const HANGS_FOR_EVER: f64 = 900.0;

pub(super) fn rules(cluster: &KafkaCluster, dead: &[bool], memory: &Memory, found: &mut Found) {
    for (topic, dead) in cluster.topics.iter().zip(dead) {
        if *dead {
            dead_letter(topic, cluster, memory, found);
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
fn dead_letter(topic: &Topic, cluster: &KafkaCluster, memory: &Memory, found: &mut Found) {
    let kept = |p: &Partition| p.end.zip(p.log_start).map_or(0, |(end, start)| (end - start).max(0));
    let records: i64 = topic.partitions.iter().map(kept).sum();
    if records == 0 {
        return;
    }
    let growth = memory.partitions(&topic.name);
    let grown: i64 = growth.iter().map(|m| m.grown).sum();
    let growing = growth.iter().any(|m| m.grew.is_some_and(|at| cluster.at.since(at) < GROWING));
    let readers: Vec<&Label> = cluster
        .groups
        .iter()
        .filter(|g| g.partitions.iter().any(|p| p.topic == topic.name))
        .map(|g| &g.group)
        .collect();
    let held = if records == 1 { "1 record".to_owned() } else { format!("{} records", si(records as f64)) };
    let grows = if growing { format!(" and grows ({} since we look)", si(grown as f64)) } else { String::new() };
    let oldest = topic.partitions.iter().filter_map(|p| p.oldest).filter(|at| at.millis() >= FIRST).min();
    let age = oldest.map_or(String::new(), |at| format!(", the oldest about {} old", duration(cluster.at.since(at))));
    let read = match readers.as_slice() {
        [] => "nobody reads it".to_owned(),
        some => format!("read by {}", examples(some)),
    };
    let from = feeder(topic, &cluster.groups).map_or(String::new(), |g| format!(" (a guess by its name: fed by {g})"));
    found.add(Finding {
        rule: "dead-letter",
        severity: if growing && readers.is_empty() { Severity::Act } else { Severity::Look },
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

/// The group whose name, or one of whose topics' names, the dead-letter topic's name begins with: the longest wins.
fn feeder<'a>(topic: &Topic, groups: &'a [Group]) -> Option<&'a Label> {
    let name = topic.name.as_str();
    let begins = |stem: &Label| {
        let rest = name.strip_prefix(stem.as_str())?;
        rest.starts_with(['.', '-', '_']).then_some(stem.as_str().len())
    };
    let fit = |g: &Group| {
        let by_topic = g.partitions.iter().filter(|p| p.topic != topic.name).filter_map(|p| begins(&p.topic)).max();
        begins(&g.group).max(by_topic).filter(|n| *n >= 3)
    };
    groups.iter().filter_map(|g| Some((fit(g)?, &g.group))).max_by_key(|(fit, _)| *fit).map(|(_, g)| g)
}

/// A transaction that does not end keeps `read_committed` consumers from everything after it.
fn hanging(topic: &Topic, cluster: &KafkaCluster, found: &mut Found) {
    for p in &topic.partitions {
        let (Some(stable), Some(end)) = (p.stable, p.end) else { continue };
        let seconds = cluster.at.since(stable.since);
        if stable.offset >= end || seconds < HANGS {
            continue;
        }
        let for_ever = seconds > HANGS_FOR_EVER;
        let who = p.transaction.as_ref().map(|t| {
            let id = t.transactional_id.as_ref().map_or("unknown".to_owned(), |id| format!("{id}"));
            let began = t.began.map_or(String::new(), |at| format!(", began {} ago", duration(cluster.at.since(at))));
            format!("producer {} epoch {}, transactional id {id}{began}", t.producer.0, t.producer.1)
        });
        let blame = who.as_ref().map_or(String::new(), |who| format!(" by {who}"));
        let added = found.add(Finding {
            rule: "hanging-transaction",
            severity: if for_ever { Severity::Act } else { Severity::Look },
            subject: Subject::Topic(topic.name.clone()),
            sentence: format!(
                "a transaction{blame} has held partition {} at offset {} for {}: read_committed consumers wait for {}",
                p.partition,
                stable.offset,
                duration(seconds),
                count((end - stable.offset) as usize, "record")
            ),
            mend: if for_ever {
                format!(
                    "no coordinator will end it: kafka-transactions abort --topic {} --partition {} --start-offset {}",
                    topic.name, p.partition, stable.offset
                )
            } else {
                "its coordinator aborts it after transaction.timeout.ms; look at the producer".into()
            },
            evidence: "ListOffsets up to the last stable offset; DescribeProducers, ListTransactions".into(),
        });
        if let Some(alert) = added {
            alert.since = stable.since;
        }
    }
}
