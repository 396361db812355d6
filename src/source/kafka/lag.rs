//! Offsets to lag: joins committed offsets with the log, and makes the picture that goes out. Pure.

use super::{
    share::SharePartition,
    state::{GroupRow, PartitionRow, State, TopicRow, sentence},
};
use crate::model::{
    Broker, BrokerState, Group, GroupPartition, GroupState, KafkaCluster, Label, Partition, Sums, Time, Topic,
};
use kafka_protocol::{messages::ListOffsetsResponse, protocol::StrBytes};
use std::collections::{BTreeSet, HashMap};

/// Said of a group that reads what we may not see.
const HIDES: &str = "it reads topics that are hidden from us: grant Describe on all of them";

/// What a ListOffsets request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spec {
    /// Log end (high watermark).
    Latest,
    /// Log start.
    Earliest,
    /// First record at or after each partition's own probe.
    Probe,
    /// Last stable offset.
    Stable,
}

impl State {
    /// The partitions that `broker` leads, as a request for `spec`: topic, (partition, timestamp).
    pub(super) fn asked_of(&self, broker: i32, spec: Spec) -> Vec<(usize, Vec<(i32, i64)>)> {
        let stamp = |p: &PartitionRow| match spec {
            Spec::Latest | Spec::Stable => Some(-1),
            Spec::Earliest => Some(-2),
            Spec::Probe => p.probe.map(|(t, _)| t),
        };
        let of_topic = |(i, t): (usize, &TopicRow)| {
            let led = t.partitions.iter().filter(|p| p.leader == Some(broker));
            let asked: Vec<_> = led.filter_map(|p| Some((p.number, stamp(p)?))).collect();
            (!asked.is_empty()).then_some((i, asked))
        };
        self.topics.iter().enumerate().filter_map(of_topic).collect()
    }

    /// The weight of the probe that matters most at a broker.
    pub(super) fn heaviest_probe(&self, broker: i32) -> Option<f64> {
        self.led_by(broker).filter_map(|p| p.probe.map(|(_, weight)| weight)).reduce(f64::max)
    }

    /// Whether a broker leads a partition whose end is known and whose start is not: one that has just been made.
    pub(super) fn lacks_start(&self, broker: i32) -> bool {
        self.led_by(broker).any(|p| p.end.is_some() && p.log_start.is_none())
    }

    fn led_by(&self, broker: i32) -> impl Iterator<Item = &PartitionRow> {
        self.topics.iter().flat_map(|t| &t.partitions).filter(move |p| p.leader == Some(broker))
    }

    /// Takes offsets of partitions.
    pub(super) fn offsets(&mut self, spec: Spec, said: ListOffsetsResponse, now: Time) {
        let refresh = self.refresh;
        for t in said.topics {
            let Some(topic) = self.index.get(&t.name.0).and_then(|i| self.topics.get_mut(*i)) else { continue };
            for p in t.partitions {
                let found = topic.partitions.binary_search_by_key(&p.partition_index, |q| q.number);
                let Some(row) = found.ok().and_then(|i| topic.partitions.get_mut(i)) else { continue };
                // Only a question by time may find nothing. Else the leader moved, or we are not authorised.
                if p.error_code != 0 || (p.offset < 0 && spec != Spec::Probe) {
                    self.doubt = true;
                    if spec == Spec::Latest {
                        let example = || (0, format!("{}/{}", topic.label, row.number));
                        self.mute.entry(p.error_code).or_insert_with(example).0 += 1;
                    }
                    continue; // the old value stands, with its age
                }
                match spec {
                    Spec::Latest => {
                        row.end = Some(p.offset);
                        row.at = now;
                        row.fresh = refresh;
                        if row.read {
                            row.track.live(p.offset, now.millis());
                        }
                    }
                    Spec::Earliest => row.log_start = Some(p.offset),
                    Spec::Stable => row.stable(p.offset, now),
                    Spec::Probe => {
                        let (Some((asked, _)), Some(end)) = (row.probe.take(), row.end) else { continue };
                        // −1 without an error: no record at or after; the boundary is then the log end.
                        let found = (p.offset >= 0).then_some((p.offset, p.timestamp));
                        row.track.answered(asked, found, end, now.millis());
                    }
                }
            }
        }
    }

    /// Works fresh committed offsets into every group's rows. Groups that were not read keep theirs, marked as old.
    pub(super) fn join(&mut self, now: Time) {
        let refresh = self.refresh;
        let State { topics, index, groups, .. } = self;
        for topic in topics.iter_mut() {
            for p in &mut topic.partitions {
                p.read = false;
                p.probe = None;
            }
        }
        let nobody = Label::default();
        for group in groups.values_mut() {
            if let Some(shares) = group.shares.take() {
                share_rows(group, shares, topics, index, now);
                continue;
            }
            let Some(commits) = group.commits.take() else {
                // Its members may have been described anew all the same.
                let owners: HashMap<_, _> = group.owned.iter().map(|(raw, p, member)| ((raw, *p), *member)).collect();
                for (raw, row) in &mut group.rows {
                    row.fresh = false;
                    row.owner = owners.get(&(&*raw, row.partition)).copied();
                    if let Some(p) = partition(topics, index, raw, row.partition) {
                        p.read = true;
                    }
                }
                continue;
            };
            let mut wanted: HashMap<(StrBytes, i32), (Option<i64>, Option<usize>)> =
                commits.into_iter().map(|(topic, p, offset)| ((topic, p), (Some(offset), None))).collect();
            for (topic, p, member) in &group.owned {
                wanted.entry((topic.clone(), *p)).or_default().1 = Some(*member);
            }
            group.rows.clear();
            for ((raw, number), (committed, owner)) in wanted {
                let label = index.get(&raw).and_then(|i| topics.get(*i)).map_or(&nobody, |t| &t.label).clone();
                let label = if label.is_empty() { Label::new(&raw) } else { label };
                let mut row = empty_row(label, number, committed, owner, group.at);
                if let Some(p) = partition(topics, index, &raw, number) {
                    p.read = true;
                    fill(&mut row, p, refresh, now);
                }
                group.rows.push((raw, row));
            }
            group.rows.sort_by(|(a, x), (b, y)| (a, x.partition).cmp(&(b, y.partition)));
        }
        dead_letters(topics, refresh, now);
    }

    /// The picture of this refresh.
    pub(super) fn picture(&self, name: &Label, principal: &str, now: Time) -> KafkaCluster {
        let mut notices: Vec<Label> = self.notices().cloned().collect();
        if self.rosters_complete() && self.groups.is_empty() {
            notices.push(
                format!(
                    "0 groups visible to {principal}: none exist, or it lacks Describe on groups (or on the cluster)"
                )
                .into(),
            );
        }
        if !self.brokers.is_empty() && self.topics.is_empty() {
            notices.push(format!("0 topics visible to {principal}: none exist, or it lacks Describe on topics").into());
        }
        let unlisted = self.brokers.iter().filter(|(id, b)| b.registered && self.lacks_roster(**id));
        for (id, _) in unlisted.filter(|_| !self.groups.is_empty()) {
            notices.push(
                format!("broker {id} has not listed its groups yet: those that it coordinates are missing").into(),
            );
        }
        for (code, (count, example)) in &self.mute {
            let why = sentence(*code).unwrap_or_else(|| "no offset and no error".into());
            notices.push(format!("no log end of {}: {why}", and_more(example, *count as usize, "partition")).into());
        }
        let rows = self.groups.values().flat_map(|g| &g.rows).filter(|(_, row)| !row.fresh);
        let hidden: BTreeSet<&Label> =
            rows.filter(|(raw, _)| !self.index.contains_key(raw)).map(|(_, row)| &row.topic).collect();
        if let Some(example) = hidden.first() {
            let topics = and_more(example, hidden.len(), "topic");
            notices.push(
                format!("groups read {topics}: not visible to {principal}; deleted, or it lacks Describe").into(),
            );
        }
        let groups: Vec<Group> = self.groups.values().map(|g| self.group(g)).collect();
        KafkaCluster {
            name: name.clone(),
            cluster_id: self.cluster_id.clone(),
            at: now,
            brokers: self.broker_list(),
            topics: self.topic_list(),
            groups,
            notices,
            denied: self.denied(),
            offsets_retention: self.offsets_retention,
            ..KafkaCluster::default()
        }
    }

    fn broker_list(&self) -> Vec<Broker> {
        let mut list: Vec<Broker> = self
            .brokers
            .iter()
            .map(|(id, b)| Broker {
                id: *id,
                host: Label::new(&b.host),
                port: b.port,
                rack: b.rack.clone(),
                state: b.state.clone(),
                answered: b.answered,
                rtt: b.rtt,
                leads: 0,
                replicas: 0,
                under_replicated: 0,
                log_dirs: b.log_dirs.clone(),
            })
            .collect();
        for p in self.topics.iter().flat_map(|t| &t.partitions) {
            for replica in &p.replicas {
                if let Ok(i) = list.binary_search_by_key(replica, |b| b.id) {
                    list[i].replicas += 1;
                }
            }
            if let Some(i) = p.leader.and_then(|leader| list.binary_search_by_key(&leader, |b| b.id).ok()) {
                list[i].leads += 1;
                list[i].under_replicated += u32::from(p.isr.len() < p.replicas.len());
            }
        }
        list
    }

    fn topic_list(&self) -> Vec<Topic> {
        let partition = |p: &PartitionRow| Partition {
            partition: p.number,
            leader: p.leader,
            replicas: p.replicas.clone(),
            isr: p.isr.clone(),
            offline: p.offline.clone(),
            log_start: p.log_start,
            end: p.end,
            at: p.at,
            stable: p.stable,
            transaction: self.open_transaction(p).map(Box::new),
            bytes: p.bytes,
            ..Partition::default()
        };
        let oldest = |p: &PartitionRow| {
            let start = p.log_start.filter(|s| p.end.is_some_and(|end| end > *s))?;
            p.track.written(start).map(|ms| Time::from_millis(ms as i64))
        };
        let topic = |t: &TopicRow| Topic {
            name: t.label.clone(),
            internal: t.internal,
            error: t.error.clone(),
            partitions: t
                .partitions
                .iter()
                .map(|p| Partition { oldest: oldest(p).filter(|_| t.dead_letter), ..partition(p) })
                .collect(),
            config: t.config.clone(),
            sums: Sums::default(),
        };
        self.topics.iter().map(|t| topic(t).counted()).collect()
    }

    fn group(&self, g: &GroupRow) -> Group {
        let partitions: Vec<GroupPartition> = g.rows.iter().map(|(_, row)| row.clone()).collect();
        let sum = |of: fn(&GroupPartition) -> Option<u64>| {
            partitions.iter().filter_map(of).fold(None, |sum: Option<u64>, n| Some(sum.unwrap_or(0).saturating_add(n)))
        };
        let known = partitions.iter().filter(|p| p.fresh).count();
        let coverage = match partitions.len() {
            _ if g.hides => 0.0,
            0 => f64::from(u8::from(g.read == self.refresh)),
            n => known as f64 / n as f64,
        };
        let down = self.brokers.get(&g.coordinator).and_then(|b| match &b.state {
            BrokerState::Down { .. } => {
                Some(format!("its coordinator, broker {}, does not answer", g.coordinator).into())
            }
            BrokerState::Up => None,
        });
        Group {
            group: g.label.clone(),
            state: g.state,
            kind: g.kind,
            assignor: g.assignor.clone(),
            coordinator: (g.coordinator >= 0).then_some(g.coordinator),
            members: g.members.clone(),
            untold: !g.described && !matches!(g.state, GroupState::Empty | GroupState::Dead),
            error: g.error.clone().or(down).or_else(|| g.hides.then(|| HIDES.into())),
            at: g.at,
            coverage,
            lag: sum(|p| p.lag),
            lost: sum(|p| p.lost),
            time_lag: time_lag(&partitions),
            partitions,
            ..Group::default()
        }
    }
}

/// `a`, `a and 3 more topics`.
fn and_more(example: &dyn std::fmt::Display, count: usize, thing: &str) -> String {
    match count.saturating_sub(1) {
        0 => example.to_string(),
        1 => format!("{example} and 1 more {thing}"),
        more => format!("{example} and {more} more {thing}s"),
    }
}

/// The largest time lag of a group's partitions. While it is not known of one that has something to read, it is not known
/// of the group: the others, caught up perhaps, would speak for it.
fn time_lag(rows: &[GroupPartition]) -> Option<f64> {
    let unknown = |p: &GroupPartition| p.lag.is_some_and(|lag| lag > 0) && p.time_lag.is_none();
    if rows.iter().any(unknown) {
        return None;
    }
    rows.iter().filter_map(|p| p.time_lag).reduce(f64::max)
}

/// Rows of a share group: lag is the brokers' own figure, and where they know none it is unknown.
fn share_rows(
    group: &mut GroupRow,
    shares: Vec<SharePartition>,
    topics: &mut [TopicRow],
    index: &HashMap<StrBytes, usize>,
    now: Time,
) {
    group.rows.clear();
    for s in shares {
        let mut row = empty_row(Label::new(&s.topic), s.partition, s.start, None, group.at);
        (row.lag, row.fresh) = (s.lag, s.lag.is_some());
        if let Some(p) = partition(topics, index, &s.topic, s.partition) {
            p.read = true;
            (row.log_start, row.end) = (p.log_start, p.end);
            row.time_lag = match (s.lag, s.start) {
                (Some(0), _) => Some(0.0),
                (Some(_), Some(start)) => p.behind(start, now),
                _ => None,
            };
        }
        group.rows.push((s.topic, row));
    }
    group.rows.sort_by(|(a, x), (b, y)| (a, x.partition).cmp(&(b, y.partition)));
}

/// The age of what dead-letter topics keep is worth knowing even when nobody reads them.
fn dead_letters(topics: &mut [TopicRow], refresh: u64, now: Time) {
    for p in topics.iter_mut().filter(|t| t.dead_letter).flat_map(|t| &mut t.partitions) {
        let (Some(start), Some(end)) = (p.log_start, p.end) else { continue };
        p.read = true;
        if end > start && p.fresh == refresh {
            p.track.live(end, p.at.millis());
            p.behind(start, now);
        }
    }
}

impl PartitionRow {
    /// How many seconds ago the record at an offset was written. Notes which timestamp the partition should be asked for
    /// to know it better, where that matters more than what was noted before.
    fn behind(&mut self, offset: i64, now: Time) -> Option<f64> {
        if let Some(probe) = self.track.probe(offset, now.millis())
            && self.probe.is_none_or(|(_, weight)| probe.1 > weight)
        {
            self.probe = Some(probe);
        }
        self.track.written(offset).map(|ms| ((now.millis() as f64 - ms) / 1000.0).max(0.0))
    }
}

fn partition<'a>(
    topics: &'a mut [TopicRow],
    index: &HashMap<StrBytes, usize>,
    raw: &StrBytes,
    number: i32,
) -> Option<&'a mut PartitionRow> {
    topics.get_mut(*index.get(raw)?)?.partition(number)
}

fn empty_row(topic: Label, partition: i32, committed: Option<i64>, owner: Option<usize>, at: Time) -> GroupPartition {
    GroupPartition { topic, partition, committed, owner, at, ..GroupPartition::default() }
}

/// Completes a row from its partition, and notes which timestamp the partition should be asked for next.
fn fill(row: &mut GroupPartition, p: &mut PartitionRow, refresh: u64, now: Time) {
    row.log_start = p.log_start;
    row.end = p.end;
    row.fresh = p.end.is_some() && p.fresh == refresh;
    row.at = if p.end.is_some() && p.at < row.at { p.at } else { row.at };
    let Some(end) = p.end else { return };
    let unread = match (row.committed, p.log_start) {
        // Where nothing is kept nothing is unread, wherever its reader would begin.
        (None, Some(start)) if start >= end => end,
        (None, _) => return,
        (Some(committed), start) => {
            row.lost = start.map(|start| u64::try_from(start - committed).unwrap_or(0));
            // Committed was read first, so only a truncated or recreated log is shorter: where its reader goes on then
            // (auto.offset.reset), and what it has to read, nobody knows. An old end was passed meanwhile, perhaps.
            row.beyond_end = row.fresh && committed > end;
            if committed > end {
                return;
            }
            committed.max(start.unwrap_or(committed))
        }
    };
    row.lag = Some(u64::try_from(end - unread).unwrap_or(0));
    if row.lag == Some(0) {
        row.time_lag = Some(0.0);
        return;
    }
    if row.fresh {
        p.track.live(end, p.at.millis()); // the first group that reads a partition starts its track
    }
    row.time_lag = p.behind(unread, now);
}
