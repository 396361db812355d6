//! Arrival and processing rates of consumer groups from the offsets of two refreshes.

use crate::model::{Group, KafkaCluster, Label, Time};
use std::collections::{HashMap, HashSet, VecDeque};

/// Weight of a new value in the smoothed rate of a partition: about the last minute at a refresh of 2 s.
const SMOOTHING: f64 = 0.1;

/// One offset, or a sum of them, as seen at an instant. Wide enough for a sum of whatever a broker may claim.
type Seen = (i128, Time);

/// A group's rates are taken over this span, seconds: longer than a commit interval (5 s by default), so that
/// commits in steps do not look like work in bursts.
const SPAN: f64 = 12.0;

/// What is remembered between refreshes of one cluster.
#[derive(Default)]
pub(super) struct Rates {
    ends: HashMap<(Label, i32), (Seen, Option<f64>)>,
    groups: HashMap<Label, Window>,
}

/// Rates of one group over the last refreshes that saw all of it; per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct GroupRates {
    /// Records arriving at all of its partitions.
    pub(super) demand: Option<f64>,
    /// Records whose offsets were committed.
    pub(super) throughput: Option<f64>,
    /// When.
    pub(super) at: Time,
}

/// The sums of a group's offsets at the last refreshes, oldest first.
#[derive(Default)]
struct Window {
    sums: VecDeque<Sums>,
    rates: GroupRates,
}

/// Sums over all partitions of a group at one refresh. Sums over other partitions are not comparable.
#[derive(Clone, Copy)]
struct Sums {
    at: Time,
    partitions: usize,
    end: i128,
    committed: i128,
}

impl Rates {
    /// Takes a refresh. A group with any partition unknown, or whose offsets went back (a reset, a topic made again),
    /// gets no rate this time: a missing partition must never look like a drop in demand.
    pub(super) fn update(&mut self, cluster: &KafkaCluster) {
        let mut gone_back: HashSet<&Label> = HashSet::new();
        for topic in &cluster.topics {
            for p in &topic.partitions {
                let Some(end) = p.end.map(i128::from) else { continue };
                let (seen, smooth) = self.ends.entry((topic.name.clone(), p.partition)).or_insert(((end, p.at), None));
                if let Some(rate) = per_second(*seen, (end, p.at)) {
                    *smooth = Some(smooth.map_or(rate, |old| old + SMOOTHING * (rate - old)));
                } else if end < seen.0 {
                    *smooth = None; // truncated or made again: what was learned is about another log
                    gone_back.insert(&topic.name);
                }
                *seen = (end, p.at);
            }
        }
        let topics: HashSet<&Label> = cluster.topics.iter().map(|t| &t.name).collect();
        self.ends.retain(|(topic, _), _| topics.contains(topic));
        let groups: HashSet<&Label> = cluster.groups.iter().map(|g| &g.group).collect();
        self.groups.retain(|id, _| groups.contains(id));
        for group in &cluster.groups {
            let window = self.groups.entry(group.group.clone()).or_default();
            // The growth of its other topics may hide in the sum that one of them began anew.
            if !gone_back.is_empty() && group.partitions.iter().any(|p| gone_back.contains(&p.topic)) {
                window.sums.clear();
            }
            window.update(group);
        }
    }

    /// The group's rates.
    pub(super) fn of_group(&self, group: &str) -> Option<&GroupRates> {
        self.groups.get(group).map(|w| &w.rates)
    }

    /// The smoothed arrival rate of a partition.
    pub(super) fn of_partition(&self, topic: &Label, partition: i32) -> Option<f64> {
        self.ends.get(&(topic.clone(), partition)).and_then(|(_, smooth)| *smooth)
    }
}

impl Window {
    fn update(&mut self, group: &Group) {
        self.rates = GroupRates { at: group.at, ..GroupRates::default() };
        let end: Option<i128> = group.partitions.iter().map(|p| p.end.map(i128::from)).sum();
        let whole = group.coverage >= 1.0 && !group.partitions.is_empty();
        // A partition without a commit has not been processed: its rate is not known, its arrivals are.
        let (Some(end), true) = (end, whole) else { return };
        let committed = group.partitions.iter().filter_map(|p| p.committed.map(i128::from)).sum();
        let partitions = group.partitions.iter().filter(|p| p.committed.is_some()).count() + group.partitions.len();
        let now = Sums { at: group.at, partitions, end, committed };
        let comparable =
            |s: &Sums| s.partitions == partitions && s.end <= end && s.committed <= committed && s.at < now.at;
        if !self.sums.iter().all(comparable) {
            self.sums.clear();
        }
        while self.sums.len() > 1 && self.sums.get(1).is_some_and(|second| now.at.since(second.at) >= SPAN) {
            self.sums.pop_front();
        }
        if let Some(first) = self.sums.front() {
            self.rates.demand = per_second((first.end, first.at), (end, now.at));
            self.rates.throughput = per_second((first.committed, first.at), (committed, now.at));
        }
        self.sums.push_back(now);
    }
}

/// Offsets per second between two sightings; `None` when no time passed or the offset went back.
fn per_second(before: Seen, now: Seen) -> Option<f64> {
    let seconds = now.1.since(before.1);
    let records = now.0 - before.0;
    (seconds > 0.0 && records >= 0).then(|| records as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GroupPartition, GroupState, GroupType, Partition, Topic};

    fn cluster(at: i64, ends: &[Option<i64>], committed: &[i64]) -> KafkaCluster {
        let at = Time::from_millis(at);
        let partition = |i: i32, end: Option<i64>| Partition {
            partition: i,
            leader: Some(0),
            replicas: vec![0],
            isr: vec![0],
            log_start: Some(0),
            end,
            at,
            ..Partition::default()
        };
        let seen = |i: i32, c: i64, end: Option<i64>| GroupPartition {
            topic: "t".into(),
            partition: i,
            committed: Some(c),
            log_start: Some(0),
            end,
            lag: end.map(|e| (e - c).unsigned_abs()),
            lost: Some(0),
            time_lag: None,
            owner: None,
            beyond_end: false,
            at,
            fresh: end.is_some(),
            ..GroupPartition::default()
        };
        KafkaCluster {
            at,
            topics: vec![Topic {
                name: "t".into(),
                partitions: (0..).zip(ends).map(|(i, e)| partition(i, *e)).collect(),
                ..Topic::default()
            }],
            groups: vec![Group {
                group: "g".into(),
                state: GroupState::Stable,
                kind: GroupType::Classic,
                assignor: None,
                coordinator: Some(0),
                members: Vec::new(),
                partitions: (0..).zip(committed.iter().zip(ends)).map(|(i, (c, e))| seen(i, *c, *e)).collect(),
                error: None,
                at,
                coverage: ends.iter().filter(|e| e.is_some()).count() as f64 / ends.len() as f64,
                ..Group::default()
            }],
            ..KafkaCluster::default()
        }
    }

    #[test]
    fn rates_are_differences_over_the_time_between() {
        let mut rates = Rates::default();
        rates.update(&cluster(0, &[Some(100), Some(200)], &[90, 190]));
        assert_eq!(rates.of_group("g").and_then(|r| r.demand), None, "one refresh is no rate");
        rates.update(&cluster(2_000, &[Some(120), Some(240)], &[100, 200]));
        let r = rates.of_group("g").copied().unwrap();
        assert_eq!((r.demand, r.throughput), (Some(30.0), Some(10.0)));
    }

    #[test]
    fn an_unknown_partition_is_no_drop_in_demand() {
        let mut rates = Rates::default();
        rates.update(&cluster(0, &[Some(100), Some(200)], &[90, 190]));
        rates.update(&cluster(2_000, &[Some(120), None], &[100, 200]));
        assert_eq!(rates.of_group("g").and_then(|r| r.demand), None);
    }

    #[test]
    fn a_topic_made_again_gives_no_negative_rate() {
        let mut rates = Rates::default();
        rates.update(&cluster(0, &[Some(100)], &[90]));
        rates.update(&cluster(2_000, &[Some(5)], &[0]));
        let r = rates.of_group("g").copied().unwrap();
        assert_eq!((r.demand, r.throughput), (None, None));
    }
}
