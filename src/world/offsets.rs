//! Offsets as the brokers of this world answer them: whole numbers, and what lay where at which time.

use super::state::{State, TopicState};
use crate::{model::Time, simulate::group::Reading};

impl TopicState {
    /// Log end of a partition: the offset of the next record.
    pub(super) fn end(&self, partition: usize) -> i64 {
        self.logs.ends().get(partition).map_or(0, |end| end.floor() as i64)
    }

    /// First offset that retention has left.
    pub(super) fn log_start(&self, partition: usize, now: Time) -> i64 {
        (self.end_at(partition, now.plus(-self.retention), now).floor() as i64).clamp(0, self.end(partition))
    }

    /// Offset of the first record written at or after `at`; `None`: there is none.
    pub(super) fn first_since(&self, partition: usize, at: Time, now: Time) -> Option<i64> {
        let end = self.end(partition);
        let offset = (self.end_at(partition, at, now).ceil() as i64).max(self.log_start(partition, now));
        (at <= now && offset < end).then_some(offset)
    }

    /// Where the log ended at `at`: between two scrapes on the line between them, before the first at the mean rate.
    fn end_at(&self, partition: usize, at: Time, now: Time) -> f64 {
        let of = |ends: &Vec<f64>| ends.get(partition).copied().unwrap_or(0.0);
        let present = self.logs.ends().get(partition).copied().unwrap_or(0.0);
        let after = self.points.partition_point(|(t, _)| *t < at);
        let (t1, e1) = self.points.get(after).map_or((now, present), |(t, ends)| (*t, of(ends)));
        let Some((t0, e0)) = after.checked_sub(1).and_then(|i| self.points.get(i)).map(|(t, ends)| (*t, of(ends)))
        else {
            let share = self.logs.shares().get(partition).copied().unwrap_or(0.0);
            return (e1 - t1.since(at).max(0.0) * self.mean * share).max(0.0);
        };
        let span = t1.since(t0);
        if span <= 0.0 { e1 } else { e0 + (e1 - e0) * (at.since(t0) / span).clamp(0.0, 1.0) }
    }

    /// When the record at `offset` was written: on the line between the scrapes around it. `None`: it is not there yet.
    fn written(&self, partition: usize, offset: f64, now: Time) -> Option<Time> {
        let of = |ends: &Vec<f64>| ends.get(partition).copied().unwrap_or(0.0);
        let present = self.logs.ends().get(partition).copied().filter(|end| *end > offset)?;
        let after = self.points.partition_point(|(_, ends)| of(ends) <= offset);
        let (t1, e1) = self.points.get(after).map_or((now, present), |(t, ends)| (*t, of(ends)));
        let (t0, e0) = self.points.get(after.checked_sub(1)?).map(|(t, ends)| (*t, of(ends)))?;
        Some(t0.plus(t1.since(t0) * ((offset - e0) / (e1 - e0)).clamp(0.0, 1.0)))
    }
}

impl State {
    /// Committed offset and log end of each partition that a group reads.
    pub(super) fn partition_offsets(&self, group: usize) -> impl Iterator<Item = (i64, i64)> + '_ {
        let group = self.groups.get(group);
        let topic = group.and_then(|g| self.topics.get(g.topic));
        let readings = group.map_or(&[][..], |g| g.group.readings()).iter().enumerate();
        readings.map(move |(p, r)| (r.committed.floor() as i64, topic.map_or(0, |t| t.end(p))))
    }

    /// Seconds since the oldest record that a group has not committed was written, the largest of its partitions.
    /// Records from before the world's history count as written when it began.
    pub fn time_lag(&self, group: &str) -> f64 {
        let Some(group) = self.groups.iter().find(|g| g.id == group) else { return 0.0 };
        let Some(topic) = self.topics.get(group.topic) else { return 0.0 };
        let readings = group.group.readings().iter().enumerate();
        let began = topic.points.front().map_or(self.start, |(t, _)| *t);
        let age = |(p, r): (usize, &Reading)| match topic.written(p, r.committed, self.now()) {
            Some(at) => self.now().since(at),
            None if r.committed.floor() as i64 == topic.end(p) => 0.0,
            None => self.now().since(began),
        };
        readings.map(age).fold(0.0, f64::max)
    }

    /// Records of a group that lie unread behind each partition's log end, as committed offsets show it: what every
    /// reader of the Kafka face must come to. Empty for an unknown group.
    pub fn lags(&self, group: &str) -> Vec<i64> {
        let Some(group) = self.groups.iter().find(|g| g.id == group) else { return Vec::new() };
        let Some(topic) = self.topics.get(group.topic) else { return Vec::new() };
        let readings = group.group.readings().iter().enumerate();
        readings.map(|(p, r)| topic.end(p) - (r.committed.floor() as i64).max(topic.log_start(p, self.now()))).collect()
    }
}
