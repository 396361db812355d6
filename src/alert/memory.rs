//! What a watch remembers from one refresh to the next: of each partition, of each group, of each group's partitions.
//!
//! Nothing is learned from what was not read: rows that are not fresh leave everything as it was.

use crate::model::{Group, GroupPartition, GroupState, KafkaCluster, Label, Member, Partition, Time};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// Time constant of the smoothed arrival rate, seconds.
const SMOOTH: f64 = 120.0;
/// The speed of the log start is taken over at least one and at most two of these, seconds: retention moves it in leaps.
const TREND: f64 = 1_800.0;
/// Commit intervals kept per partition.
const INTERVALS: usize = 8;
/// How long what happened once (a reset, a rebalance) is told, seconds.
pub(super) const TOLD: f64 = 1_800.0;
/// Events kept per group, and of resets as many as it has partitions.
const EVENTS: usize = 64;
/// Stands for a committed offset where there is none.
pub(super) const NONE: i64 = -1;
/// Changes of a group within so many seconds belong to one rebalance.
const ONE_REBALANCE: f64 = 10.0;

/// A clock that runs backwards by more than this was set, seconds.
const SET_BACK: f64 = 5.0;

/// Everything remembered of one cluster.
#[derive(Debug, Default)]
pub(super) struct Memory {
    at: Time,
    topics: HashMap<Label, Vec<PartitionMemory>>,
    groups: HashMap<Label, GroupMemory>,
}

/// One partition of a topic.
#[derive(Clone, Debug, Default)]
pub(super) struct PartitionMemory {
    number: i32,
    end: Option<(i64, Time)>,
    arrivals: Option<f64>,
    /// Records that arrived since we look, and when the last of them did.
    pub(super) grown: i64,
    pub(super) grew: Option<Time>,
    /// Two sightings of the log start, the older one first.
    starts: Option<[(i64, Time); 2]>,
}

/// One group.
#[derive(Debug, Default)]
pub(super) struct GroupMemory {
    rows: Vec<Row>,
    /// How many there were at most.
    most: usize,
    state: GroupState,
    /// Who was in it: member id, and how a person knows it.
    members: BTreeMap<Label, String>,
    /// Last seen with members.
    pub(super) inhabited: Option<Time>,
    /// Rebalances, oldest first.
    pub(super) rebalances: VecDeque<Rebalance>,
    /// Resets of its offsets, oldest first.
    pub(super) resets: VecDeque<Reset>,
}

/// One partition as a group reads it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    topic: Label,
    partition: i32,
    /// [`NONE`]: a member reads it and has committed nothing.
    committed: i64,
    /// Since when it stands there, by us.
    pub(super) since: Time,
    /// When it was last seen to move.
    pub(super) moved: Option<Time>,
    /// The log end when it came to stand there.
    pub(super) end_then: i64,
    intervals: VecDeque<f32>,
    lag: u64,
}

/// A group came together anew.
#[derive(Clone, Debug)]
pub(super) struct Rebalance {
    pub(super) at: Time,
    pub(super) joined: Vec<String>,
    pub(super) left: Vec<String>,
}

/// A committed offset went where no reading takes it.
#[derive(Clone, Debug)]
pub(super) struct Reset {
    pub(super) at: Time,
    pub(super) topic: Label,
    pub(super) partition: i32,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) kind: ResetKind,
}

/// Where it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResetKind {
    /// Back: records are read again.
    Rewind,
    /// Back to the first record that is kept.
    ToStart,
    /// Forward over records that were deleted before they were read.
    OverLost,
    /// Forward to the end after it had stood still: what lies between is not read.
    ToEnd,
    /// There is none any more.
    Gone,
}

impl Memory {
    pub(super) fn update(&mut self, cluster: &mut KafkaCluster) {
        // What happened in the future would count as just now for as long as the clock was set back: a storm would not
        // end, and what stands would not be told.
        if cluster.at.since(self.at) < -SET_BACK {
            *self = Self::default();
        }
        self.at = cluster.at;
        for topic in &mut cluster.topics {
            let known = self.topics.entry(topic.name.clone()).or_default();
            known.truncate(topic.partitions.len());
            for (i, p) in topic.partitions.iter_mut().enumerate() {
                if known.get(i).is_none_or(|m| m.number != p.partition) {
                    known.truncate(i);
                    known.push(PartitionMemory { number: p.partition, ..PartitionMemory::default() });
                }
                if let Some(memory) = known.get_mut(i) {
                    memory.update(p);
                    p.arrivals = memory.arrivals;
                }
            }
        }
        let topics: HashSet<&Label> = cluster.topics.iter().map(|t| &t.name).collect();
        self.topics.retain(|name, _| topics.contains(name));
        let groups: HashSet<Label> = cluster.groups.iter().map(|g| g.group.clone()).collect();
        self.groups.retain(|name, _| groups.contains(name));
        for group in &mut cluster.groups {
            self.groups.entry(group.group.clone()).or_default().update(group, cluster.at);
        }
    }

    pub(super) fn partitions(&self, topic: &Label) -> &[PartitionMemory] {
        self.topics.get(topic).map_or(&[], Vec::as_slice)
    }

    pub(super) fn partition(&self, topic: &Label, number: i32) -> Option<&PartitionMemory> {
        let all = self.partitions(topic);
        all.binary_search_by_key(&number, |m| m.number).ok().and_then(|i| all.get(i))
    }

    pub(super) fn group(&self, group: &Label) -> Option<&GroupMemory> {
        self.groups.get(group)
    }
}

impl PartitionMemory {
    fn update(&mut self, p: &Partition) {
        if let Some(end) = p.end {
            match self.end {
                Some((before, at)) if end >= before && p.at >= at => {
                    let seconds = p.at.since(at);
                    if seconds <= 0.0 {
                        return; // not read again
                    }
                    let rate = (end - before) as f64 / seconds;
                    let weight = 1.0 - (-seconds / SMOOTH).exp();
                    self.arrivals = Some(self.arrivals.map_or(rate, |old| old + weight * (rate - old)));
                    if end > before {
                        self.grown += end - before;
                        self.grew = Some(p.at);
                    }
                }
                Some(_) => *self = Self { number: self.number, ..Self::default() }, // truncated, made again, or our clock was set back
                None => {}
            }
            self.end = Some((end, p.at));
        }
        if let Some(start) = p.log_start {
            self.starts = Some(match self.starts {
                Some([_, young]) if p.at.since(young.1) >= TREND => [young, (start, p.at)],
                Some(both) => both,
                None => [(start, p.at); 2],
            });
        }
    }

    /// Records per second that the log start moves by; `None`: not watched for long enough, or it stands.
    pub(super) fn start_speed(&self, start: i64, now: Time) -> Option<f64> {
        let [(from, at), _] = self.starts?;
        let seconds = now.since(at);
        (seconds >= 120.0 && start > from).then(|| (start - from) as f64 / seconds)
    }
}

impl GroupMemory {
    fn update(&mut self, group: &mut Group, now: Time) {
        let before = std::mem::take(&mut self.rows);
        let mut old = before.into_iter().peekable();
        let mut rows = Vec::with_capacity(group.partitions.len());
        let empty = group.is_deserted();
        self.most = self.most.max(old.len()); // all of its offsets may go back at once, and all of them are told
        for p in &mut group.partitions {
            let here = (&p.topic, p.partition);
            // Both lists are in the order of names and numbers, but for raw names that were scrubbed: those begin anew.
            while let Some(row) = old.next_if(|r| (&r.topic, r.partition) < here) {
                self.resets.extend(row.gone(now));
            }
            let known = old.next_if(|r| (&r.topic, r.partition) == here);
            if let Some(row) = Row::next(known, p, now, empty, &mut self.resets) {
                p.moved = row.moved;
                rows.push(row);
            }
        }
        self.resets.extend(old.filter_map(|row| row.gone(now)));
        self.rows = rows;
        group.commit_every = self.commit_every();
        if group.error.is_none() {
            self.assembly(group, now);
        }
        let old_news = |at: Time| now.since(at) > TOLD;
        while self.resets.len() > EVENTS.max(self.most) || self.resets.front().is_some_and(|r| old_news(r.at)) {
            self.resets.pop_front();
        }
        while self.rebalances.len() > EVENTS || self.rebalances.front().is_some_and(|r| old_news(r.at)) {
            self.rebalances.pop_front();
        }
    }

    /// Who came and who went, and whether the group came together anew.
    fn assembly(&mut self, group: &Group, now: Time) {
        let members: BTreeMap<Label, String> = group.members.iter().map(|m| (m.id.clone(), known_as(m))).collect();
        let first = self.inhabited.is_none() && self.members.is_empty() && self.state == GroupState::Unknown;
        let missing = |of: &BTreeMap<Label, String>, in_: &BTreeMap<Label, String>| -> Vec<String> {
            of.iter().filter(|(id, _)| !in_.contains_key(*id)).map(|(_, name)| name.clone()).collect()
        };
        let (joined, left) = (missing(&members, &self.members), missing(&self.members, &members));
        let began = group.state.is_rebalancing() && !self.state.is_rebalancing();
        if !first && (began || !joined.is_empty() || !left.is_empty()) {
            match self.rebalances.back_mut().filter(|last| now.since(last.at) < ONE_REBALANCE) {
                Some(last) => {
                    last.joined.extend(joined);
                    last.left.extend(left);
                }
                None => self.rebalances.push_back(Rebalance { at: now, joined, left }),
            }
        }
        if !members.is_empty() {
            self.inhabited = Some(now);
        }
        self.members = members;
        self.state = group.state;
    }

    /// The median of the seconds between two moves of a committed offset.
    fn commit_every(&self) -> Option<f64> {
        let mut all: Vec<f32> = self.rows.iter().flat_map(|r| r.intervals.iter().copied()).collect();
        let middle = all.len() / 2;
        (all.len() >= 3).then(|| f64::from(*all.select_nth_unstable_by(middle, f32::total_cmp).1))
    }

    /// When any of its offsets was last seen to move.
    pub(super) fn moved(&self) -> Option<Time> {
        self.rows.iter().filter_map(|r| r.moved).max()
    }

    /// What is remembered of one of its partitions.
    pub(super) fn row(&self, topic: &Label, partition: i32) -> Option<&Row> {
        let found = self.rows.binary_search_by(|r| (&r.topic, r.partition).cmp(&(topic, partition)));
        found.ok().and_then(|i| self.rows.get(i))
    }
}

/// How a person knows a member.
fn known_as(m: &Member) -> String {
    let name = m.instance_id.as_ref().unwrap_or(&m.client_id);
    format!("{name}@{}", m.host.as_str().trim_start_matches('/'))
}

impl Row {
    fn next(
        known: Option<Self>,
        p: &GroupPartition,
        now: Time,
        empty: bool,
        resets: &mut VecDeque<Reset>,
    ) -> Option<Self> {
        let (Some(end), true) = (p.end, p.fresh) else { return known };
        let committed = p.committed.or(p.owner.map(|_| NONE))?;
        let lag = p.lag.unwrap_or(0);
        let fresh = |moved, intervals| Self {
            topic: p.topic.clone(),
            partition: p.partition,
            committed,
            since: now,
            moved,
            end_then: end,
            intervals,
            lag,
        };
        let Some(mut row) = known else { return Some(fresh(None, VecDeque::new())) };
        if p.beyond_end || end < row.end_then {
            return Some(fresh(None, VecDeque::new())); // another log: nothing known holds
        }
        if committed == row.committed {
            row.lag = lag;
            return Some(row);
        }
        if let Some(kind) = row.reset(committed, end, p.log_start, empty, now) {
            let (topic, partition) = (p.topic.clone(), p.partition);
            resets.push_back(Reset { at: now, topic, partition, from: row.committed, to: committed, kind });
        }
        let mut intervals = row.intervals;
        if let Some(last) = row.moved {
            if intervals.len() >= INTERVALS {
                intervals.pop_front();
            }
            intervals.push_back(now.since(last) as f32);
        }
        Some(fresh(Some(now), intervals))
    }

    /// What is told when a group has no such partition any more.
    fn gone(self, now: Time) -> Option<Reset> {
        let Self { topic, partition, committed: from, .. } = self;
        (from != NONE).then_some(Reset { at: now, topic, partition, from, to: NONE, kind: ResetKind::Gone })
    }

    /// Whether going to `to` is not what reading does.
    fn reset(&self, to: i64, end: i64, start: Option<i64>, empty: bool, now: Time) -> Option<ResetKind> {
        match (self.committed, to) {
            (NONE, _) => return None,
            (_, NONE) => return Some(ResetKind::Gone),
            _ => {}
        }
        if to < self.committed {
            return Some(if Some(to) == start { ResetKind::ToStart } else { ResetKind::Rewind });
        }
        if start.is_some_and(|s| self.committed < s && to >= s) {
            return Some(ResetKind::OverLost);
        }
        // Without members nobody reads, but for consumers that assign themselves: those commit in a rhythm.
        let longest = self.intervals.iter().copied().fold(0.0, f32::max);
        let stood = empty && now.since(self.since) > 5.0 * f64::from(longest);
        (stood && to == end && self.lag >= 100).then_some(ResetKind::ToEnd)
    }
}
