//! Records that are lost to a group, or will be: `lost`, `retention`, `reset`.

use super::{
    Finding, Found, count, examples,
    memory::{Memory, NONE, ResetKind},
};
use crate::model::{
    Deletion, Group, GroupPartition, GroupType, Holdback, KafkaCluster, Label, Partition, Severity, Subject, Topic,
    TopicConfig, duration,
};
use std::collections::HashMap;

/// A deletion closer than this is urgent, seconds; of short retentions a quarter of it.
const SOON: f64 = 3_600.0;
/// A deletion closer than this is worth a look, seconds; of short retentions half of it.
const LATER: f64 = 24.0 * 3_600.0;

/// Works out when unread records may be deleted, for every partition of every group.
pub(super) fn deletions(cluster: &mut KafkaCluster, memory: &Memory) {
    let KafkaCluster { topics, groups, at, .. } = cluster;
    let index: HashMap<&Label, &Topic> = topics.iter().map(|t| (&t.name, t)).collect();
    for group in groups.iter_mut().filter(|g| reads_by_offset(g)) {
        let mut soonest: Option<Deletion> = None;
        for row in &mut group.partitions {
            let Some(topic) = index.get(&row.topic) else { continue };
            let found = topic.partitions.binary_search_by_key(&row.partition, |p| p.partition);
            let Some(p) = found.ok().and_then(|i| topic.partitions.get(i)) else { continue };
            let speed = || {
                memory.partition(&row.topic, row.partition).and_then(|m| m.start_speed(row.log_start.unwrap_or(0), *at))
            };
            row.deletion = deletion(row, p, topic.config.as_ref(), &speed);
            let sooner = |d: &Deletion| soonest.is_none_or(|s| d.seconds < s.seconds);
            soonest = row.deletion.filter(sooner).or(soonest);
        }
        group.deletion = soonest;
    }
}

/// A lower bound of the seconds until the oldest unread record may be deleted. With a configuration it follows from age
/// and size; without one from how fast the log start was seen to move.
fn deletion(
    row: &GroupPartition,
    p: &Partition,
    config: Option<&TopicConfig>,
    speed: &dyn Fn() -> Option<f64>,
) -> Option<Deletion> {
    let (Some(committed), Some(start), Some(end)) = (row.committed, row.log_start, row.end) else { return None };
    if row.lag.is_none_or(|lag| lag == 0) || row.beyond_end {
        return None;
    }
    let unread = committed.max(start);
    let Some(config) = config else {
        let seconds = (unread - start) as f64 / speed()?;
        return Some(Deletion { seconds, by: "trend" });
    };
    if !config.deletes {
        return None;
    }
    let by_age = config.retention.zip(row.time_lag).map(|(kept, age)| (kept - age, "age"));
    let by_bytes = config.retention_bytes.zip(p.bytes).zip(p.arrivals).and_then(|((kept, bytes), arrivals)| {
        let record = bytes as f64 / (end - start).max(1) as f64;
        let behind = record * (end - unread) as f64;
        (arrivals > 0.0).then(|| ((kept as f64 - behind) / (arrivals * record), "bytes"))
    });
    let soonest = [by_age, by_bytes].into_iter().flatten().min_by(|a, b| a.0.total_cmp(&b.0));
    soonest.map(|(seconds, by)| Deletion { seconds: seconds.max(0.0), by })
}

/// Whether lag and loss are differences of offsets in this group.
fn reads_by_offset(group: &Group) -> bool {
    !matches!(group.kind, GroupType::Share | GroupType::Connect)
}

pub(super) fn rules(cluster: &KafkaCluster, memory: &Memory, found: &mut Found) {
    let configs: HashMap<&Label, Option<&TopicConfig>> =
        cluster.topics.iter().map(|t| (&t.name, t.config.as_ref())).collect();
    let config = |topic: &Label| configs.get(topic).copied().flatten();
    for group in cluster.groups.iter().filter(|g| reads_by_offset(g)) {
        lost(group, &config, found);
        retention(group, &config, found);
        beyond(group, found);
        reset(group, cluster, memory, found);
    }
}

/// Records were deleted before the group read them. Compaction alone deletes nothing that a newer record does not replace.
fn lost<'a>(group: &Group, config: &dyn Fn(&Label) -> Option<&'a TopicConfig>, found: &mut Found) {
    let gone = |p: &&GroupPartition| {
        p.lost.is_some_and(|n| n > 0) && !config(&p.topic).is_some_and(|c| c.compacts && !c.deletes)
    };
    let rows: Vec<&GroupPartition> = group.partitions.iter().filter(gone).collect();
    if rows.is_empty() {
        return;
    }
    let sum = rows.iter().filter_map(|p| p.lost).fold(0_u64, u64::saturating_add);
    let told: Vec<String> = rows
        .iter()
        .map(|p| {
            let (committed, start) = (p.committed.unwrap_or(0), p.log_start.unwrap_or(0));
            format!("{}/{}: committed {committed}, log starts at {start}", p.topic, p.partition)
        })
        .collect();
    // A transaction ends with a marker that takes an offset, and readers that commit "the last record + 1" stand on it.
    let markers = rows.iter().all(|p| p.lost == Some(1));
    let sure = if !rows.iter().all(|p| config(&p.topic).is_some()) {
        " (no loss if the topic is compacted, which only DescribeConfigs tells)"
    } else if markers {
        " (no loss if its producers use transactions: the end of one takes an offset, too)"
    } else {
        ""
    };
    found.add(Finding {
        rule: "lost",
        severity: if markers { Severity::Look } else { Severity::Act },
        subject: Subject::Group(group.group.clone()),
        sentence: format!(
            "{} on {} {} deleted before this group read {}{sure}",
            count(usize::try_from(sum).unwrap_or(usize::MAX), "record"),
            count(rows.len(), "partition"),
            if sum == 1 { "was" } else { "were" },
            if sum == 1 { "it" } else { "them" }
        ),
        mend: "they are gone from Kafka: get them from their source, and give the topic more retention or the group \
               more speed"
            .into(),
        evidence: format!("OffsetFetch and ListOffsets earliest: {}", examples(&told)),
    });
}

/// Unread records come close to their deletion.
fn retention<'a>(group: &Group, config: &dyn Fn(&Label) -> Option<&'a TopicConfig>, found: &mut Found) {
    let Some(soonest) = group.deletion else { return };
    let Some(row) = group.partitions.iter().find(|p| p.deletion == Some(soonest)) else { return };
    let kept = config(&row.topic).and_then(|c| c.retention).unwrap_or(f64::INFINITY);
    let severity = match soonest.seconds {
        s if s < SOON.min(kept / 4.0) => Severity::Act,
        s if s < LATER.min(kept / 2.0) => Severity::Look,
        _ => return,
    };
    let when =
        if soonest.seconds < 1.0 { "any moment".to_owned() } else { format!("in {}", duration(soonest.seconds)) };
    let (limit, by) = match soonest.by {
        "age" => {
            let age = duration(row.time_lag.unwrap_or(0.0));
            ("retention.ms", format!("retention.ms is {}, the record is {age} old", duration(kept)))
        }
        "bytes" => ("retention.bytes", "retention.bytes, the size of the log and how fast it grows".to_owned()),
        _ => ("retention.ms and retention.bytes", "how fast the log start was seen to move".to_owned()),
    };
    let added = found.add(Finding {
        rule: "retention",
        severity,
        subject: Subject::Group(group.group.clone()),
        sentence: format!("unread records of {}/{} may be deleted {when}", row.topic, row.partition),
        mend: format!("raise {limit} of {} now, then let the group catch up", row.topic),
        evidence: format!(
            "{by}; a lower bound: whole segments are deleted, never the active one; committed {}, log starts at {}",
            row.committed.unwrap_or(0),
            row.log_start.unwrap_or(0)
        ),
    });
    if let Some(alert) = added {
        alert.holds = Holdback::ScaleIn;
    }
}

/// A log became shorter than what was read of it.
fn beyond(group: &Group, found: &mut Found) {
    let rows = group.partitions.iter().filter(|p| p.beyond_end);
    let told: Vec<String> = rows
        .map(|p| {
            format!(
                "{}/{} committed {}, ends at {}",
                p.topic,
                p.partition,
                p.committed.unwrap_or(0),
                p.end.unwrap_or(0)
            )
        })
        .collect();
    if told.is_empty() {
        return;
    }
    found.add(Finding {
        rule: "beyond-end",
        severity: Severity::Act,
        subject: Subject::Group(group.group.clone()),
        sentence: format!(
            "the committed offset lies beyond the end of the log on {}: {}",
            count(told.len(), "partition"),
            examples(&told)
        ),
        mend:
            "the topic was made again, or cut by an unclean election: its reader goes on where auto.offset.reset says, \
               or, if the log is longer again when it starts, skips what came meanwhile; set the offsets anew"
                .into(),
        evidence: "OffsetFetch, then ListOffsets".into(),
    });
}

/// Somebody or something moved the committed offsets other than by reading.
fn reset(group: &Group, cluster: &KafkaCluster, memory: &Memory, found: &mut Found) {
    let Some(memory) = memory.group(&group.group) else { return };
    for (kind, severity, what, mend) in [
        (ResetKind::Rewind, Severity::Look, "went back", "records are read again: expect duplicates and more lag"),
        (
            ResetKind::ToStart,
            Severity::Look,
            "went back to the start of the log",
            "everything that is kept is read again: was it meant? auto.offset.reset = earliest does this when a commit is lost",
        ),
        (
            ResetKind::OverLost,
            Severity::Act,
            "leapt over records that were deleted unread",
            "they are gone from Kafka: get them from their source, and give the topic more retention",
        ),
        (
            ResetKind::ToEnd,
            Severity::Act,
            "leapt to the end of the log while nobody read",
            "what lies between is not read by this group: set the offsets back if that was not meant",
        ),
        (
            ResetKind::Gone,
            Severity::Look,
            "are gone: expired, or deleted",
            "a reader begins there as auto.offset.reset says: commit the offsets again if it should go on where it was",
        ),
    ] {
        // With a topic its offsets go, too.
        let there = |topic: &Label| cluster.topics.binary_search_by(|t| t.name.cmp(topic)).is_ok();
        let all: Vec<_> =
            memory.resets.iter().filter(|r| r.kind == kind && (kind != ResetKind::Gone || there(&r.topic))).collect();
        let Some(last) = all.last() else { continue };
        let to = |to: i64| if to == NONE { "none".to_owned() } else { to.to_string() };
        let told: Vec<String> =
            all.iter().map(|r| format!("{}/{} from {} to {}", r.topic, r.partition, r.from, to(r.to))).collect();
        let added = found.add(Finding {
            rule: match kind {
                ResetKind::Rewind => "rewind",
                ResetKind::ToStart => "reset-to-start",
                ResetKind::OverLost => "reset-over-lost",
                ResetKind::ToEnd => "reset-to-end",
                ResetKind::Gone => "offsets-gone",
            },
            severity,
            subject: Subject::Group(group.group.clone()),
            sentence: format!("committed offsets {what}: {}", examples(&told)),
            mend: mend.into(),
            evidence: "OffsetFetch in two refreshes; told for 30 minutes".into(),
        });
        if let Some(alert) = added {
            alert.since = last.at;
        }
    }
}
