//! Who is in a group and who reads what: `rebalances`, `unassigned`, `idle-members`.

use super::{
    Finding, Found, count, examples,
    memory::{Memory, Rebalance},
};
use crate::model::{Group, GroupState, GroupType, Holdback, KafkaCluster, Label, Severity, Subject, Time, duration};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Rebalances within [`WINDOW`] that make a storm.
const STORM: usize = 4;
/// Seconds that rebalances are counted over.
const WINDOW: f64 = 600.0;
/// A group that came together less than this ago, seconds, may still be dealing out partitions.
const SETTLED: f64 = 20.0;

pub(super) fn rules(cluster: &KafkaCluster, memory: &Memory, found: &mut Found) {
    let sizes: HashMap<&Label, usize> = cluster.topics.iter().map(|t| (&t.name, t.partitions.len())).collect();
    for group in &cluster.groups {
        let Some(remembered) = memory.group(&group.group) else { continue };
        storm(group, remembered.rebalances.iter(), cluster.at, found);
        let deals = matches!(group.kind, GroupType::Classic | GroupType::Consumer | GroupType::Streams);
        let settled = remembered.rebalances.back().is_none_or(|r| cluster.at.since(r.at) >= SETTLED);
        if deals && settled && group.state == GroupState::Stable && !group.members.is_empty() {
            unassigned(group, &sizes, found);
            idle(group, found);
        }
    }
}

/// Each rebalance stops some or all of a group; one more member starts another.
fn storm<'a>(group: &Group, rebalances: impl Iterator<Item = &'a Rebalance>, now: Time, found: &mut Found) {
    let recent: Vec<&Rebalance> = rebalances.filter(|r| now.since(r.at) < WINDOW).collect();
    let (Some(first), true) = (recent.first(), recent.len() >= STORM) else { return };
    let mut times: BTreeMap<&String, (usize, usize)> = BTreeMap::new();
    for r in &recent {
        r.joined.iter().for_each(|who| times.entry(who).or_default().0 += 1);
        r.left.iter().for_each(|who| times.entry(who).or_default().1 += 1);
    }
    let mut who: Vec<(&String, (usize, usize))> = times.into_iter().collect();
    who.sort_by_key(|(_, (joined, left))| std::cmp::Reverse(joined + left));
    let told: Vec<String> = who.iter().map(|(name, (joined, left))| came_and_went(name, *joined, *left)).collect();
    let who = if told.is_empty() { "nobody joined or left".to_owned() } else { examples(&told) };
    let added = found.add(Finding {
        rule: "rebalances",
        severity: Severity::Act,
        subject: Subject::Group(group.group.clone()),
        sentence: format!("{} rebalances in {}: {who}", recent.len(), duration(now.since(first.at).max(1.0))),
        mend: "look at the members that come and go: crashes, max.poll.interval.ms exceeded, sessions that time out, \
               an autoscaler that flaps"
            .into(),
        evidence: "members and states of successive refreshes; what happened between two refreshes is not seen".into(),
    });
    if let Some(alert) = added {
        alert.since = first.at;
        alert.holds = Holdback::AnyChange;
    }
}

fn came_and_went(name: &str, joined: usize, left: usize) -> String {
    match (joined, left) {
        (0, n) => format!("{name} left {}", count(n, "time")),
        (n, 0) => format!("{name} joined {}", count(n, "time")),
        (n, m) => format!("{name} joined {}, left {}", count(n, "time"), count(m, "time")),
    }
}

/// Partitions of the group's topics that no member reads.
fn unassigned(group: &Group, sizes: &HashMap<&Label, usize>, found: &mut Found) {
    let mut owned: BTreeMap<&Label, HashSet<i32>> = BTreeMap::new();
    for row in group.partitions.iter().filter(|p| p.owner.is_some()) {
        owned.entry(&row.topic).or_default().insert(row.partition);
    }
    let mut holes = Vec::new();
    for (topic, mine) in &owned {
        let all = sizes.get(topic).copied().unwrap_or(0);
        let free = (0..).take(all).filter(|p: &i32| !mine.contains(p));
        holes.extend(free.map(|p| format!("{topic}/{p}")));
    }
    if holes.is_empty() {
        return;
    }
    let (n, verb) = (holes.len(), if holes.len() == 1 { "has" } else { "have" });
    found.add(Finding {
        rule: "unassigned",
        severity: Severity::Act,
        subject: Subject::Group(group.group.clone()),
        sentence: format!(
            "{} {verb} no reader though the group is stable: {}",
            count(n, "partition"),
            examples(&holes)
        ),
        mend: "new partitions are found within metadata.max.age.ms; else a member assigns partitions by hand, or its \
               assignor leaves some out"
            .into(),
        evidence: "the members' assignments (DescribeGroups, ConsumerGroupDescribe) and Metadata".into(),
    });
}

/// Members without a partition do nothing but wait for another one to fail.
fn idle(group: &Group, found: &mut Found) {
    let idle: Vec<&Label> = group.members.iter().filter(|m| m.partitions == 0).map(|m| &m.client_id).collect();
    if idle.is_empty() || idle.len() == group.members.len() {
        return; // where nobody shows a partition, the assignment is in a format of its own
    }
    let read = group.partitions.iter().filter(|p| p.owner.is_some()).count();
    found.add(Finding {
        rule: "idle-members",
        severity: Severity::Look,
        subject: Subject::Group(group.group.clone()),
        sentence: format!(
            "{} of {} own no partition ({} in all): {}",
            idle.len(),
            count(group.members.len(), "member"),
            read,
            examples(&idle)
        ),
        mend: "as many members as partitions are of use: remove some, or add partitions".into(),
        evidence: "the members' assignments (DescribeGroups, ConsumerGroupDescribe)".into(),
    });
}
