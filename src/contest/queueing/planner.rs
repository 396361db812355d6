//! The planner as a pilot of a queue: the dashboard's own advice on what a monitor saw, approved at once.

use super::{Keda, Metric, Season};
use crate::{
    advise::{self, Input},
    history::{Bounds, History},
    model::{
        Entity, Forecast, GuardSettings, Label, Price, Recommendation, Replicas, Role, Sample, Shape, SignalKey, Slo,
        Time, Workload, WorkloadKind, WorkloadState,
    },
    simulate::queueing::{Game, Pilot, Seen, play},
};
use std::collections::BTreeMap;

/// Seconds between two looks at the advice.
const EVERY: f64 = 60.0;

/// What an operator would have written of the queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// What is promised of a job: `within`, `deadline` or both.
    pub slo: Slo,
    /// Workers that a job needs at once, at most.
    pub gang: u32,
    /// The guards that hold a change back; an approver is never slower than they are.
    pub guard: GuardSettings,
}

/// What was seen of a queue, under the roles that the engine gives to what Prometheus says.
#[derive(Clone, Debug)]
struct Monitor {
    history: History,
    /// Instant of the game's second 0.
    begin: Time,
    last: Option<Seen>,
    changed: Option<(Time, u32)>,
}

fn entity() -> Entity {
    Entity { kind: WorkloadKind::Batch, source: Label::new("arena"), id: Label::new("queue") }
}

impl Monitor {
    /// Records one look; the state that it adds up to with those before.
    fn look(&mut self, seen: &Seen, scrape: f64) -> WorkloadState {
        let now = self.begin.plus(seen.t);
        if let Some(last) = self.last.filter(|last| last.desired != seen.desired) {
            self.changed = Some((now, last.desired));
            // The count is watched: it changed right after the last look, when pilots decide.
            self.put(Role::Desired, self.begin.plus(last.t + 1.0), seen.desired);
        }
        self.put(Role::Queue, now, seen.waiting);
        self.put(Role::Running, now, seen.running);
        self.put(Role::Replicas, now, seen.ready);
        self.put(Role::Desired, now, seen.desired);
        self.last = Some(*seen);
        let origin = Label::new("arena");
        WorkloadState {
            replicas: Some(Replicas { desired: seen.desired, ready: seen.ready, at: now, origin, uid: None }),
            coverage: 1.0,
            data_age: 0.0,
            stale_after: 2.0 * scrape,
            last_change: self.changed,
            ..WorkloadState::unknown(now)
        }
    }

    fn put(&mut self, role: Role, at: Time, value: u32) {
        self.history.record(&SignalKey { entity: entity(), role }, Sample { at, value: f64::from(value) });
    }
}

/// What a day under KEDA (one waiting job a worker) shows.
pub(super) fn watch(game: &Game, season: &Season, seed: u64) -> History {
    struct Watched(Keda, Monitor, f64);
    impl Pilot for Watched {
        fn decide(&mut self, seen: &Seen) -> Option<u32> {
            self.1.look(seen, self.2);
            self.0.decide(seen)
        }
    }
    let (jobs, seconds) = (&season.before.0, season.before.1);
    let begin = season.begin.plus(-f64::from(seconds));
    let history = History::new(Bounds { span: 2.0 * 86_400.0, ..Bounds::default() });
    let monitor = Monitor { history, begin, last: None, changed: None };
    let mut watched = Watched(Keda::new(game, Metric::Waiting(1.0)), monitor, game.scrape);
    // Other chances than the day that is scored: who knew its jitter would know the future.
    play(game, jobs, seconds, seed ^ super::super::TRAINING, &mut watched);
    watched.1.history
}

/// The planner on a queue.
#[derive(Clone, Debug)]
pub struct Planner {
    workload: Workload,
    monitor: Monitor,
    scrape: f64,
    /// Nothing is forecast of a queue: it is planned on what waits.
    forecast: Forecast,
    previous: Option<Recommendation>,
    next: f64,
}

impl Planner {
    /// A planner that knows what lies in a history, for a game that begins at `begin`.
    pub fn new(game: &Game, settings: &Settings, begin: Time, history: History) -> Self {
        let workload = Workload {
            name: entity().id.clone(),
            entity: entity(),
            target: None,
            limits: game.limits,
            slo: settings.slo.clone(),
            price: Price { pod_hour: game.price.pod_hour * f64::from(game.gpus), ..game.price },
            guard: settings.guard.clone(),
            signals: BTreeMap::new(),
            shape: Shape { gpus: game.gpus, gang: settings.gang, run: None },
            broker: None,
            found: None,
            configured: true,
        };
        let forecast = Forecast {
            at: begin,
            step: game.scrape,
            points: Vec::new(),
            model: String::new(),
            weights: Vec::new(),
            relative_error: None,
            covered: None,
            warnings: Vec::new(),
        };
        let monitor = Monitor { history, begin, last: None, changed: None };
        Self { workload, monitor, scrape: game.scrape, forecast, previous: None, next: 0.0 }
    }
}

impl Pilot for Planner {
    fn decide(&mut self, seen: &Seen) -> Option<u32> {
        let state = self.monitor.look(seen, self.scrape);
        if seen.t < self.next {
            return None;
        }
        self.next = seen.t + EVERY;
        let advice = advise::advise(&Input {
            workload: &self.workload,
            state: &state,
            history: &self.monitor.history,
            forecast: Some(&self.forecast),
            previous: self.previous.as_ref(),
            memory: None,
            now: state.at,
            horizon: 3_600.0,
            step: self.scrape,
        });
        self.previous = advice.recommendation.ok().map(|r| *r);
        self.previous.as_ref().filter(|r| r.blocked_by.is_empty()).map(|r| r.recommended)
    }
}
