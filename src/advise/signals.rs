//! The tracks that advice rests on, cut from the history on one step.

use super::Input;
use crate::{
    capacity::{self, Observed},
    model::{Capacity, Grid, Role, SignalKey, Time, WorkloadKind},
};

/// Seconds of history that are looked at: a day and an hour, so that yesterday's same hour is in it.
const BACK: f64 = 25.0 * 3600.0;

/// Grids of one workload, all on the same step and span.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    kind: WorkloadKind,
    pub demand: Grid,
    pub throughput: Grid,
    pub backlog: Grid,
    pub time_lag: Grid,
    #[allow(dead_code)] // read by the queue model of inference services
    pub latency: Grid,
    #[allow(dead_code)] // read by the rule on CPU
    pub utilisation: Grid,
    pub replicas: Grid,
    pub desired: Grid,
}

impl Signals {
    pub fn of(input: &Input<'_>) -> Self {
        let entity = &input.workload.entity;
        let from = input.now.plus(-BACK);
        let grid = |role| {
            let key = SignalKey { entity: entity.clone(), role };
            input.history.grid(&key, from, input.now.plus(0.001), input.step)
        };
        let queue_role = if entity.kind == WorkloadKind::Batch { Role::Queue } else { Role::Backlog };
        let mut backlog = grid(queue_role);
        if backlog.last().is_none() {
            backlog = grid(Role::Backlog);
        }
        Self {
            kind: entity.kind,
            demand: grid(Role::Demand),
            throughput: grid(Role::Throughput),
            backlog,
            time_lag: grid(Role::TimeLag),
            latency: grid(Role::Latency),
            utilisation: grid(Role::Utilisation),
            replicas: grid(Role::Replicas),
            desired: grid(Role::Desired),
        }
    }

    /// What is forecast: the demand; of a batch queue that has none, what waits.
    pub fn forecast_track(&self) -> &Grid {
        if self.kind == WorkloadKind::Batch && self.demand.last().is_none() { &self.backlog } else { &self.demand }
    }

    /// What a replica can do, as far as it was seen.
    pub fn capacity(&self, now: Time) -> Option<Capacity> {
        capacity::estimate(&Observed {
            kind: self.kind,
            throughput: &self.throughput,
            demand: &self.demand,
            backlog: &self.backlog,
            time_lag: &self.time_lag,
            replicas: &self.replicas,
            desired: &self.desired,
            now,
        })
    }
}
