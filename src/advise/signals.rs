//! The tracks that advice rests on, cut from the history on one step.

use super::Input;
use crate::{
    capacity::{self, Observed, ServiceCapacity, ServiceObserved},
    model::{Capacity, Grid, Role, SignalKey, WorkloadKind},
};

/// Seconds of history that are looked at: a day and an hour, so that yesterday's same hour is in it.
const BACK: f64 = 25.0 * 3600.0;

/// Seconds of everything but the demand once there was advice before: what it learned of older ones comes with it.
const BACK_AGAIN: f64 = 3.5 * 3600.0;

/// Seconds of everything where the group's members are watched: for what is shown, and two hours of demand for its level.
const BACK_WATCHED: (f64, f64) = (1_800.0, 7_200.0);

/// Grids of one workload, all on the same step and span.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    kind: WorkloadKind,
    demand: Grid,
    throughput: Grid,
    backlog: Grid,
    time_lag: Grid,
    latency: Grid,
    inter_token: Grid,
    utilisation: Grid,
    running: Grid,
    replicas: Grid,
    desired: Grid,
    none: Grid,
}

impl Signals {
    pub fn of(input: &Input<'_>) -> Self {
        let entity = &input.workload.entity;
        let watched = input.watch().is_some_and(capacity::Watch::knows_rate);
        let back = if watched {
            BACK_WATCHED.0
        } else if input.previous.is_some() && entity.kind == WorkloadKind::ConsumerGroup {
            BACK_AGAIN
        } else {
            BACK // what a service can do shows in how its latency moves with the load of a whole day; jobs end rarely
        };
        let shaped = input.memory.is_some_and(|m| m.profile().is_some());
        let of_demand = if shaped && watched { BACK_WATCHED.1 } else { BACK };
        let cut = |role, back: f64| {
            let key = SignalKey { entity: entity.clone(), role };
            input.history.grid(&key, input.now.plus(-back), input.now.plus(0.001), input.step)
        };
        let grid = |role| cut(role, back);
        let queue = grid(Role::Queue);
        let queued = entity.kind == WorkloadKind::Batch && queue.last().is_some();
        Self {
            kind: entity.kind,
            demand: cut(Role::Demand, of_demand),
            throughput: grid(Role::Throughput),
            backlog: if queued { queue } else { grid(Role::Backlog) },
            time_lag: grid(Role::TimeLag),
            latency: grid(Role::Latency),
            inter_token: grid(Role::InterToken),
            utilisation: grid(Role::Utilisation),
            running: grid(Role::Running),
            replicas: grid(Role::Replicas),
            desired: grid(Role::Desired),
            none: Grid::default(),
        }
    }

    /// The grid of a role that advice rests on (what waits, of a batch queue: its queue); an empty one for others.
    pub fn track(&self, role: Role) -> &Grid {
        match role {
            Role::Demand => &self.demand,
            Role::Throughput => &self.throughput,
            Role::Backlog | Role::Queue => &self.backlog,
            Role::TimeLag => &self.time_lag,
            Role::Latency => &self.latency,
            Role::InterToken => &self.inter_token,
            Role::Utilisation => &self.utilisation,
            Role::Running => &self.running,
            Role::Replicas => &self.replicas,
            Role::Desired => &self.desired,
            Role::Memory | Role::Progress => &self.none,
        }
    }

    /// What is forecast: the demand; of a batch queue that has none, what waits.
    pub fn forecast_track(&self) -> &Grid {
        if self.kind == WorkloadKind::Batch && self.demand.last().is_none() { &self.backlog } else { &self.demand }
    }

    /// What a replica of a service can do within its objectives; `None` for other kinds, and when nothing was seen.
    pub fn service(&self, input: &Input<'_>, previous: Option<&Capacity>) -> Option<ServiceCapacity> {
        let slo = &input.workload.slo;
        let observed = ServiceObserved {
            throughput: &self.throughput,
            waiting: &self.backlog,
            ttft: &self.latency,
            inter_token: &self.inter_token,
            replicas: &self.replicas,
            desired: &self.desired,
            slo: (slo.ttft_p95.or(slo.latency_p95).or(slo.queue_p95), slo.inter_token_p95),
            previous,
            now: input.now,
        };
        (self.kind == WorkloadKind::Inference).then(|| capacity::estimate_service(&observed)).flatten()
    }

    /// What a replica can do, as far as it was seen. The members of a group that was just met have only shown that they
    /// do so much; where the hours before saw them at their limit, that is known better.
    pub fn capacity(&self, input: &Input<'_>, previous: Option<&Capacity>) -> Option<Capacity> {
        let observed = self.observed(input, previous);
        let found = capacity::estimate(&observed)?;
        // By the series alone what came since a rare commit would be work that waits.
        let by_series = observed.watch.is_some_and(|w| w.unseen() <= 0.0);
        if !found.is_lower_bound() || !by_series {
            return Some(found);
        }
        // Where one partition holds most of what waits the group as a whole looks like one at its limit, and does what comes.
        let is_more = |c: &Capacity| !c.is_lower_bound() && c.high >= found.low;
        let before = capacity::estimate(&Observed { watch: None, ..observed }).filter(is_more);
        Some(before.unwrap_or(found))
    }

    fn observed<'a>(&'a self, input: &'a Input<'_>, previous: Option<&'a Capacity>) -> Observed<'a> {
        Observed {
            kind: self.kind,
            throughput: &self.throughput,
            demand: &self.demand,
            backlog: if super::holds::is_heaped(input.state) { &self.none } else { &self.backlog },
            time_lag: &self.time_lag,
            replicas: &self.replicas,
            desired: &self.desired,
            heaviest: super::holds::heaviest(input.state),
            previous,
            sticky: input.is_sticky(),
            watch: input.watch(),
            now: input.now,
        }
    }
}
