//! Groups that do not move on: `stale`, `stuck`, `slow-commits`, `expiring`.

use super::{
    Finding, Found, count, examples,
    memory::{GroupMemory, Memory, Row},
};
use crate::model::{
    Group, GroupPartition, GroupState, GroupType, KafkaCluster, Member, Severity, Subject, Time, duration,
};

/// A commit that has stood for less than this, seconds, is no finding …
const STANDS: f64 = 60.0;
/// … nor one that has stood for fewer of the group's own commit intervals.
const INTERVALS: f64 = 10.0;
/// A rebalance waits for the slowest member to poll, seconds: `max.poll.interval.ms` by default.
const REBALANCE: f64 = 300.0;
/// Lag of a reader that has caught up: transaction markers and the record just written.
const CAUGHT_UP: u64 = 2;
/// Commits rarer than this are worth a look, seconds.
const RARE: f64 = 120.0;

pub(super) fn rules(cluster: &KafkaCluster, memory: &Memory, found: &mut Found) {
    for group in &cluster.groups {
        let Some(remembered) = memory.group(&group.group) else { continue };
        let offsets = !matches!(group.kind, GroupType::Share | GroupType::Connect);
        if offsets && group.coverage >= 1.0 {
            progress(group, remembered, cluster.at, found);
            slow_commits(group, found);
        }
        if offsets {
            expiring(group, remembered, cluster, found);
        }
    }
}

/// A row with something to read whose commit stands.
struct Standing<'a> {
    row: &'a GroupPartition,
    known: &'a Row,
    seconds: f64,
    /// Records that wait; where nothing was ever committed those that came since we look.
    wait: u64,
}

/// `stale`: nothing of the group moves. `stuck`: some of it does, so what stands has a reason of its own.
fn progress(group: &Group, memory: &GroupMemory, now: Time, found: &mut Found) {
    let rebalancing = group.state.is_rebalancing();
    let limit =
        STANDS.max(INTERVALS * group.commit_every.unwrap_or(0.0)).max(if rebalancing { REBALANCE } else { 0.0 });
    let mut standing = Vec::new();
    let mut moving = 0;
    for row in &group.partitions {
        let Some(known) = memory.row(&row.topic, row.partition) else { continue };
        let arrived = row.end.map_or(0, |end| u64::try_from(end - known.end_then).unwrap_or(0));
        let wait = row.lag.unwrap_or(arrived);
        if known.moved.is_some_and(|at| now.since(at) < limit) {
            moving += 1;
        } else if wait > CAUGHT_UP && now.since(known.since) >= limit {
            standing.push(Standing { row, known, seconds: now.since(known.since), wait });
        }
    }
    let Some(longest) = standing.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds)) else { return };
    let arrived: i64 = standing.iter().map(|s| s.row.end.unwrap_or(s.known.end_then) - s.known.end_then).sum();
    let ever = if longest.known.moved.is_some() { "" } else { " at least" };
    let stood = format!("{}{ever}", duration(longest.seconds));
    let since = now.plus(-longest.seconds);
    if moving == 0 {
        let (severity, who, mend) = match (rebalancing, group.is_deserted()) {
            (true, _) => (
                Severity::Act,
                "and does not come out of a rebalance",
                "a member does not come back to it: look for one that hangs in processing or was cut off",
            ),
            (_, true) => {
                (Severity::Look, "and has no members", "start its consumers, or delete the group if it is done with")
            }
            _ => (
                Severity::Act,
                "though it has members",
                "look at its members' logs: stuck in processing, failing to commit, or reading without committing?",
            ),
        };
        let added = found.add(Finding {
            rule: "stale",
            severity,
            subject: Subject::Group(group.group.clone()),
            sentence: format!(
                "has committed nothing for {stood} {who}; {arrived} records arrived meanwhile, {} wait",
                standing.iter().fold(0_u64, |sum, s| sum.saturating_add(s.wait))
            ),
            mend: mend.into(),
            evidence: "OffsetFetch and ListOffsets in successive refreshes, by our clock".into(),
        });
        if let Some(alert) = added {
            alert.since = since;
        }
        return;
    }
    // Where most of a group stands it is not one record's fault; a slow group is told by its lag.
    if standing.len() > moving || group.is_deserted() || rebalancing {
        return;
    }
    stuck(group, &standing, moving, now, found);
}

/// Members that stand on everything they own, and single partitions.
fn stuck(group: &Group, standing: &[Standing<'_>], moving: usize, now: Time, found: &mut Found) {
    // By member: how many of its partitions stand, and since when the last of them does.
    let mut stands: Vec<(usize, f64)> = vec![(0, f64::INFINITY); group.members.len()];
    for s in standing {
        if let Some(member) = s.row.owner.and_then(|i| stands.get_mut(i)) {
            *member = (member.0 + 1, member.1.min(s.seconds));
        }
    }
    let all_of = |(member, (n, _)): &(&Member, (usize, f64))| *n >= 2 && *n >= member.partitions as usize;
    let told: Vec<bool> = group.members.iter().zip(stands.iter().copied()).map(|m| all_of(&m)).collect();
    for kept in [false, true] {
        let members = group.members.iter().zip(stands.iter().copied()).filter(all_of);
        let members: Vec<_> = members.filter(|(m, _)| m.instance_id.is_some() == kept).collect();
        let Some(longest) = members.iter().map(|(_, (_, seconds))| *seconds).max_by(f64::total_cmp) else { continue };
        let text = |(m, (n, seconds)): &(&Member, (usize, f64))| {
            let name = m.instance_id.as_ref().unwrap_or(&m.client_id);
            format!("{name} at {} on all of its {} for {}", m.host, count(*n, "partition"), duration(*seconds))
        };
        let who: Vec<String> = members.iter().map(text).collect();
        let (verb, that) = if who.len() == 1 { (" commits", "that member") } else { ("s commit", "those members") };
        let added = found.add(Finding {
            rule: if kept { "static-member" } else { "stuck-member" },
            severity: Severity::Act,
            subject: Subject::Group(group.group.clone()),
            sentence: format!("{} member{verb} nothing: {}", who.len(), examples(&who)),
            mend: if kept {
                "a static member keeps its partitions until its session ends: if it was scaled away, remove it \
                 (kafka-consumer-groups has no verb for it; the admin client's removeMembersFromConsumerGroup does it)"
                    .into()
            } else {
                format!("restart {that}")
            },
            evidence: format!("OffsetFetch; {moving} other partitions of the group move on"),
        });
        if let Some(alert) = added {
            alert.since = now.plus(-longest);
        }
    }
    let untold = |i: usize| told.get(i) == Some(&false);
    let alone: Vec<&Standing<'_>> = standing.iter().filter(|s| s.row.owner.is_some_and(untold)).collect();
    for s in alone.iter().take(super::EXAMPLES) {
        let (topic, partition) = (s.row.topic.clone(), s.row.partition);
        let (place, from) = match s.row.committed {
            Some(offset) => (format!("stands at offset {offset}"), format!(" --offset {offset}")),
            None => ("has no committed offset".to_owned(), String::new()),
        };
        let added = found.add(Finding {
            rule: "stuck",
            severity: Severity::Act,
            sentence: format!(
                "{topic}/{partition} of {} {place} for {} while {} move on: a record that it cannot \
                 process?",
                group.group,
                duration(s.seconds),
                count(moving, "other partition")
            ),
            subject: Subject::GroupPartition { group: group.group.clone(), topic, partition },
            mend: format!(
                "look at that record (highwater sample {} {partition}{from}); more replicas do not help here",
                s.row.topic
            ),
            evidence: "OffsetFetch and ListOffsets in successive refreshes, by our clock".into(),
        });
        if let Some(alert) = added {
            alert.since = s.known.since;
        }
    }
    if alone.len() > super::EXAMPLES {
        let named: Vec<String> = alone.iter().map(|s| format!("{}/{}", s.row.topic, s.row.partition)).collect();
        found.add(Finding {
            rule: "stuck",
            severity: Severity::Act,
            subject: Subject::Group(group.group.clone()),
            sentence: format!("{} stand while {moving} move on: {}", count(named.len(), "partition"), examples(&named)),
            mend: "look at the records at their committed offsets; more replicas do not help here".into(),
            evidence: "OffsetFetch and ListOffsets in successive refreshes, by our clock".into(),
        });
    }
}

/// A group that commits rarely reads all of it again after a restart, and looks behind for as long.
fn slow_commits(group: &Group, found: &mut Found) {
    let Some(every) = group.commit_every.filter(|s| *s >= RARE) else { return };
    found.add(Finding {
        rule: "slow-commits",
        severity: Severity::Look,
        subject: Subject::Group(group.group.clone()),
        sentence: format!("commits every {}: a restart or rebalance reads that much again", duration(every)),
        mend: "commit more often (auto.commit.interval.ms, or after each batch)".into(),
        evidence: "the median of the times between moves of committed offsets, no finer than the refresh".into(),
    });
}

/// A group without members loses its position when `offsets.retention.minutes` have passed since the last one left.
fn expiring(group: &Group, memory: &GroupMemory, cluster: &KafkaCluster, found: &mut Found) {
    let Some(kept) = cluster.offsets_retention else { return };
    let gone = group.state == GroupState::Empty && group.lag.is_some_and(|lag| lag > CAUGHT_UP);
    // It left when we saw it leave, and who assigns partitions by hand is there when it commits; else it would have read
    // the oldest unread record soon after that was written.
    let seen = memory.inhabited.or(memory.moved());
    let away = match (seen, group.time_lag) {
        (Some(at), _) => cluster.at.since(at),
        (None, Some(age)) => age,
        (None, None) => return,
    };
    let left = kept - away;
    if !gone || left > kept / 2.0 {
        return;
    }
    let when = if left <= 60.0 { "any moment".to_owned() } else { format!("in about {}", duration(left)) };
    found.add(Finding {
        rule: "expiring",
        severity: if left < kept / 7.0 { Severity::Act } else { Severity::Look },
        subject: Subject::Group(group.group.clone()),
        sentence: format!("has no members: its offsets are deleted {when}, and its position is lost"),
        mend: "start a consumer, or commit its offsets anew, if it is still wanted; else delete the group".into(),
        evidence: format!(
            "offsets.retention.minutes is {}; gone for about {} ({})",
            duration(kept),
            duration(away),
            if seen.is_some() { "as seen" } else { "estimated from its oldest unread record" }
        ),
    });
}
