//! The controllers over a series: one sync a row where the rows carry the counts, else syncs of our own making.

use super::super::series::Row;
use crate::{
    model::Time,
    policy::{
        keda,
        scaled::{Counts, Goal, Reading, Scaled},
    },
};

/// Syncs that are made at most, where the rows carry no counts.
const MOST: f64 = 2e6;

/// What stands in for the cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) partitions: Option<u32>,
    pub(super) start: u32,
    pub(super) start_up: f64,
}

/// One sync.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decided {
    pub(super) at: Time,
    /// The first metric's value.
    pub(super) metric: Option<f64>,
    /// `spec.replicas` before the sync.
    pub(super) current: u32,
    /// What the controller writes.
    pub(super) desired: u32,
    /// Replicas that are ready at the sync.
    pub(super) replicas: u32,
    pub(super) reason: &'static str,
}

/// An object being replayed.
pub(super) struct Replayed {
    scaled: Scaled,
    settings: Settings,
    /// Each metric's last row, its value, and whether it counted as stuck, for `excludePersistentLag`.
    before: Vec<Option<(Time, f64, bool)>>,
}

impl Replayed {
    pub(super) fn new(scaled: Scaled, settings: Settings) -> Self {
        let before = vec![None; scaled.goals().len()];
        Self { scaled, settings, before }
    }

    /// Runs over the rows; the error has the line of the row.
    pub(super) fn run(mut self, rows: &[Row]) -> Result<Vec<Decided>, (u64, String)> {
        if rows.iter().any(|r| r.replicas.is_some()) {
            return rows
                .iter()
                .map(|row| {
                    let spec = row
                        .replicas
                        .ok_or((row.line, "column replicas: a count in some rows needs one in all".to_owned()))?;
                    let status = row.status.unwrap_or(spec);
                    let counts = Counts { spec, status, ready: row.ready.unwrap_or(status) };
                    Ok(self.sync(row.at, Some(row), counts))
                })
                .collect();
        }
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
        let sync = self.scaled.controller().sync;
        let syncs = (last.at.since(first.at) / sync).floor() + 1.0;
        if syncs > MOST {
            return Err((2, format!("{syncs:.0} syncs of {sync} s: choose a longer --sync")));
        }
        let mut pods = Pods(vec![(first.at.plus(-self.settings.start_up), self.settings.start)]);
        let mut out = Vec::new();
        for i in 0..syncs as usize {
            let at = first.at.plus(i as f64 * sync);
            let held = rows.partition_point(|r| r.at <= at).checked_sub(1).and_then(|r| rows.get(r));
            let spec = pods.count(|_| true);
            let ready = pods.count(|asked| at.since(asked) >= self.settings.start_up);
            let decided = self.sync(at, held, Counts { spec, status: spec, ready });
            pods.resize(decided.desired, at);
            out.push(decided);
        }
        Ok(out)
    }

    fn sync(&mut self, at: Time, row: Option<&Row>, counts: Counts) -> Decided {
        let goals: Vec<Goal> = self.scaled.goals().copied().collect();
        let value = |i: usize| row.and_then(|r| r.metric(i));
        let read = row.map_or(at, |r| r.at);
        let readings: Vec<Reading> =
            goals.iter().enumerate().map(|(i, goal)| self.reading(i, goal, read, value(i))).collect();
        let (desired, reason) = self.scaled.sync(at, counts, &readings);
        Decided { at, metric: value(0), current: counts.spec, desired, replicas: counts.ready, reason }
    }

    fn reading(&mut self, i: usize, goal: &Goal, read: Time, value: Option<f64>) -> Reading {
        let Some(value) = value else { return Reading::Failed };
        let Goal::Kafka(trigger, _) = goal else { return Reading::Total(value) };
        let stuck = self.is_stuck(i, read, value) && trigger.exclude_persistent;
        let Some(count) = self.settings.partitions.map(i64::from) else {
            return Reading::Total(if stuck { 0.0 } else { value });
        };
        let total = value.round() as i64;
        let partition = |p| {
            let lag = total / count + i64::from(p < total % count);
            keda::Partition { committed: Some(0), end: Some(lag), before: stuck.then_some(0) }
        };
        Reading::Partitions((0..count).map(partition).collect())
    }

    /// Whether a lag stands where the row before had it. A row that merely holds until the next tells nothing new.
    fn is_stuck(&mut self, i: usize, read: Time, value: f64) -> bool {
        let Some(before) = self.before.get_mut(i) else { return false };
        let stuck = match *before {
            Some((at, _, stuck)) if at == read => stuck,
            Some((_, last, _)) => last.total_cmp(&value).is_eq() && value > 0.0,
            None => false,
        };
        *before = Some((read, value, stuck));
        stuck
    }
}

/// Pods by when they were asked for, the oldest first.
struct Pods(Vec<(Time, u32)>);

impl Pods {
    fn count(&self, is: impl Fn(Time) -> bool) -> u32 {
        self.0.iter().filter(|(asked, _)| is(*asked)).map(|(_, n)| n).sum()
    }

    /// To so many: more are asked for now, and the youngest go first.
    fn resize(&mut self, to: u32, now: Time) {
        let mut before = 0;
        for (_, n) in &mut self.0 {
            *n = (*n).min(to - before);
            before += *n;
        }
        self.0.push((now, to - before));
        self.0.retain(|(_, n)| *n > 0);
    }
}

#[cfg(test)]
mod tests;
