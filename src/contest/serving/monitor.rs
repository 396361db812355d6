//! From looks at a simulated service to what the dashboard would have in its history and state.

use crate::{
    advise::Memory,
    history::{Bounds, History},
    model::{
        Entity, GuardSettings, Label, Price, Replicas, Role, Sample, SignalKey, Slo, Time, Workload, WorkloadKind,
        WorkloadState,
    },
    simulate::serving::{Game, Reading},
};
use std::collections::BTreeMap;

/// Watches one service and keeps what was seen, under the roles that the engine gives to what Prometheus says.
#[derive(Clone, Debug)]
pub struct Monitor {
    history: History,
    keys: BTreeMap<Role, SignalKey>,
    origin: Label,
    /// Instant of the game's second 0.
    begin: Time,
    scrape: f64,
    late: f64,
    desired: Option<u32>,
    last: f64,
    changed: Option<(Time, u32)>,
    entity: Entity,
    memory: Memory,
}

impl Monitor {
    /// A monitor of service `index` of `game`, whose second 0 is `begin`, with nothing seen yet.
    pub fn new(game: &Game, index: usize, begin: Time) -> Self {
        let entity = entity(index);
        let key = |role| (role, SignalKey { entity: entity.clone(), role });
        Self {
            history: History::new(Bounds { span: 30.0 * 86_400.0, ..Bounds::default() }),
            keys: Role::ALL.into_iter().map(key).collect(),
            origin: Label::new("arena"),
            begin,
            scrape: game.scrape,
            late: game.late,
            desired: None,
            last: 0.0,
            changed: None,
            entity,
            memory: Memory::default(),
        }
    }

    /// Another game is watched from now on, whose second 0 is `begin`; what was seen stays.
    #[must_use]
    pub fn again(self, begin: Time) -> Self {
        Self { begin, desired: None, last: 0.0, changed: None, ..self }
    }

    /// Requests per second that were seen before the game.
    pub fn backfill(&mut self, rates: &[Sample]) {
        if let Some(key) = self.keys.get(&Role::Demand) {
            self.history.backfill(key, rates);
        }
    }

    /// What looks have taught so far.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Works the day's shape out when that is due.
    pub fn learn(&mut self, now: Time) {
        if self.memory.is_due(now) {
            self.memory.learn(&self.history, &self.entity, now);
        }
    }

    /// What was seen so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The instant of a second of the game.
    pub fn instant(&self, t: f64) -> Time {
        self.begin.plus(t)
    }

    /// Records one look at `t`; the state that it adds up to with those before.
    pub fn look(&mut self, t: f64, reading: &Reading) -> WorkloadState {
        let (now, scraped) = (self.instant(t), self.instant(t - self.late));
        self.put(Role::Demand, scraped, Some(reading.completed));
        self.put(Role::Throughput, scraped, Some(reading.completed));
        self.put(Role::Backlog, scraped, Some(reading.waiting));
        self.put(Role::Latency, scraped, reading.ttft_p95);
        self.put(Role::InterToken, scraped, reading.inter_token_p95);
        self.put(Role::Utilisation, scraped, Some(reading.kv_cache));
        if let Some(before) = self.desired.filter(|d| *d != reading.desired) {
            self.changed = Some((now, before));
            // The count is watched: it changed right after the last look, when pilots decide.
            self.put(Role::Desired, self.begin.plus(self.last + 1.0), Some(f64::from(reading.desired)));
        }
        self.put(Role::Replicas, now, Some(f64::from(reading.ready)));
        self.put(Role::Desired, now, Some(f64::from(reading.desired)));
        (self.desired, self.last) = (Some(reading.desired), t);
        WorkloadState {
            replicas: Some(Replicas {
                desired: reading.desired,
                ready: reading.ready,
                at: now,
                origin: self.origin.clone(),
                uid: None,
            }),
            coverage: 1.0,
            data_age: self.late,
            stale_after: 2.0 * self.scrape + self.late,
            last_change: self.changed,
            ..WorkloadState::unknown(now)
        }
    }

    fn put(&mut self, role: Role, at: Time, value: Option<f64>) {
        if let (Some(key), Some(value)) = (self.keys.get(&role), value) {
            self.history.record(key, Sample { at, value });
        }
    }
}

fn entity(index: usize) -> Entity {
    Entity { kind: WorkloadKind::Inference, source: Label::new("arena"), id: Label::new(&format!("service-{index}")) }
}

/// Service `index` of a game, as an operator would have configured it.
pub(super) fn workload(game: &Game, index: usize, guard: GuardSettings) -> Option<Workload> {
    let service = game.services.get(index)?;
    let entity = entity(index);
    Some(Workload {
        name: entity.id.clone(),
        entity,
        target: None,
        limits: service.limits,
        slo: Slo { ttft_p95: service.objective.ttft, inter_token_p95: service.objective.inter_token, ..Slo::default() },
        price: Price { pod_hour: game.price.pod_hour * f64::from(service.gpus), ..game.price },
        guard,
        signals: BTreeMap::new(),
        shape: crate::model::Shape::default(),
        broker: None,
        found: None,
        configured: true,
    })
}
