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
    /// Each metric's last value, for `excludePersistentLag`: a lag that has not changed counts as stuck.
    before: Vec<Option<f64>>,
}

impl Replayed {
    pub(super) fn new(scaled: Scaled, settings: Settings) -> Self {
        let before = vec![None; scaled.goals().len()];
        Self { scaled, settings, before }
    }

    /// Runs over the rows; the error has the line of the row.
    pub(super) fn run(mut self, rows: &[Row]) -> Result<Vec<Decided>, (usize, String)> {
        if rows.iter().any(|r| r.replicas.is_some()) {
            return rows
                .iter()
                .enumerate()
                .map(|(i, row)| {
                    let spec = row
                        .replicas
                        .ok_or((i + 2, "column replicas: a count in some rows needs one in all".to_owned()))?;
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
        let start = self.settings.start as usize;
        let mut pods: Vec<Time> = vec![first.at.plus(-self.settings.start_up); start];
        let mut out = Vec::new();
        for i in 0..syncs as usize {
            let at = first.at.plus(i as f64 * sync);
            let held = rows.partition_point(|r| r.at <= at).checked_sub(1).and_then(|r| rows.get(r));
            let spec = u32::try_from(pods.len()).unwrap_or(u32::MAX);
            let ready = pods.iter().filter(|asked| at.since(**asked) >= self.settings.start_up).count();
            let ready = u32::try_from(ready).unwrap_or(u32::MAX);
            let decided = self.sync(at, held, Counts { spec, status: spec, ready });
            pods.resize(decided.desired as usize, at); // the youngest go first
            out.push(decided);
        }
        Ok(out)
    }

    fn sync(&mut self, at: Time, row: Option<&Row>, counts: Counts) -> Decided {
        let goals: Vec<Goal> = self.scaled.goals().copied().collect();
        let value = |i: usize| row.and_then(|r| r.metric(i));
        let readings: Vec<Reading> =
            goals.iter().enumerate().map(|(i, goal)| self.reading(i, goal, value(i))).collect();
        let (desired, reason) = self.scaled.sync(at, counts, &readings);
        Decided { at, metric: value(0), current: counts.spec, desired, replicas: counts.ready, reason }
    }

    fn reading(&mut self, i: usize, goal: &Goal, value: Option<f64>) -> Reading {
        let Some(value) = value else { return Reading::Failed };
        let Goal::Kafka(trigger, _) = goal else { return Reading::Total(value) };
        let before = self.before.get_mut(i).and_then(|b| b.replace(value));
        let stuck = trigger.exclude_persistent && before == Some(value) && value > 0.0;
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
}

#[cfg(test)]
mod tests;
