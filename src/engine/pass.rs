//! One pass over everything: samples into the history, a state and an advice for each workload, a view for the screen.
//!
//! It runs off the async threads and owns the history while it runs; the engine buffers what arrives meanwhile.

use super::{
    HORIZON, STEP, discover,
    latest::{Latest, Samples},
    view::{self, Beside},
    watch,
};
use crate::{
    advise::{self, Input},
    history::History,
    model::{
        Action, Advice, Entity, Label, Role, Sample, SignalKey, Time, Workload, WorkloadKind, WorkloadState,
        WorkloadView,
    },
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// A forecast is used again for this long, seconds: models of a 15 s step do not change faster.
const FORECAST_LIFE: f64 = 60.0;
/// Wall time for new forecasts in one pass; the rest keep their older ones until the next pass.
const FORECAST_BUDGET: Duration = Duration::from_millis(400);

/// Wall time for new advice in one pass: with thousands of groups they take turns, and the screen does not wait.
const ADVICE_BUDGET: Duration = Duration::from_secs(1);
/// Seconds between two prunings of what is kept in memory.
const PRUNE: f64 = 60.0;
/// A clock that runs backwards by more than this was set, seconds.
const SET_BACK: f64 = 5.0;

/// What a pass keeps for the next one.
#[derive(Default)]
pub(super) struct Memory {
    history: History,
    at: Time,
    pruned: Time,
    /// The number of this pass, and of the one that last advised on a thing: who waited longest is first.
    turn: u64,
    turns: HashMap<Entity, u64>,
    /// Workloads that the last pass had no time for.
    waiting: usize,
    advice: HashMap<Entity, Arc<Advice>>,
    /// What looks at each thing taught.
    taught: HashMap<Entity, advise::Memory>,
    counts: HashMap<Entity, (u32, Option<(Time, u32)>)>,
}

/// What a pass reads.
pub(super) struct Given<'a> {
    pub(super) latest: &'a Latest,
    pub(super) samples: Samples,
    pub(super) configured: &'a [Arc<Workload>],
    pub(super) snoozed: &'a HashMap<Label, Time>,
    pub(super) actions: &'a [Action],
    pub(super) now: Time,
}

impl Memory {
    /// With the history of earlier runs.
    pub(super) fn new(history: History) -> Self {
        Self { history, ..Self::default() }
    }

    /// Runs a pass.
    pub(super) fn pass(&mut self, given: &Given<'_>) -> Vec<Arc<WorkloadView>> {
        for (key, samples) in &given.samples.older {
            self.history.backfill(key, samples);
            // What was forecast without these days is not kept for its minute.
            if key.role == Role::Demand {
                self.advice.remove(&key.entity);
                self.taught.entry(key.entity.clone()).or_default().forget_shape();
            }
        }
        for (key, sample) in &given.samples.new {
            self.history.record(key, *sample);
        }
        self.keep_time(given.now);
        let mut workloads = discover::workloads(given.configured, given.latest);
        self.turn += 1;
        self.waiting = 0;
        workloads.sort_by_cached_key(|w| self.turns.get(&w.entity).copied());
        if given.now.since(self.pruned) >= PRUNE {
            self.prune(&workloads, given.now);
        }
        let began = Instant::now();
        let mut views: Vec<_> = workloads.into_iter().map(|w| Arc::new(self.view(w, given, began))).collect();
        view::sort(&mut views);
        let (took, waiting) = (began.elapsed(), self.waiting);
        tracing::debug!("a pass over {} workloads took {took:?}; {waiting} wait for the next one", views.len());
        views
    }

    /// Workloads that the last pass had no time for: another pass soon is of use.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    fn view(&mut self, workload: Arc<Workload>, given: &Given<'_>, began: Instant) -> WorkloadView {
        let now = given.now;
        let changed = self.last_change(&workload, given);
        let state = discover::state(&workload, given.latest, changed, now);
        if let Some(r) = &state.replicas {
            for (role, count) in [(Role::Replicas, r.ready), (Role::Desired, r.desired)] {
                let key = SignalKey { entity: workload.entity.clone(), role };
                self.history.record(&key, Sample { at: now, value: f64::from(count) });
            }
        }
        let old = self.advice.get(&workload.entity);
        let forecast = old.and_then(|a| a.forecast.as_ref());
        let spent = began.elapsed();
        let (may_forecast, may_advise) = (spent < FORECAST_BUDGET, spent < ADVICE_BUDGET);
        let usable = forecast.filter(|f| now.since(f.at) < FORECAST_LIFE || !may_forecast);
        let taught = self.taught.entry(workload.entity.clone()).or_default();
        if let Some(group) = discover::group(&workload, given.latest) {
            watch::look(taught, group, &state);
        }
        if may_forecast && taught.is_due(now) {
            taught.learn(&self.history, &workload.entity, now);
        }
        let input = Input {
            workload: &workload,
            state: &state,
            history: &self.history,
            forecast: usable,
            previous: old.and_then(|a| a.recommendation.as_deref().ok()),
            memory: Some(taught),
            now,
            horizon: HORIZON,
            step: STEP,
        };
        let advice = match old {
            Some(old) if !may_advise || (!may_forecast && usable.is_none()) => {
                self.waiting += 1;
                stands(old, &state)
            }
            None if !may_advise => {
                self.waiting += 1;
                Arc::new(waits(None))
            }
            _ => {
                self.turns.insert(workload.entity.clone(), self.turn);
                Arc::new(advise::advise(&input))
            }
        };
        self.advice.insert(workload.entity.clone(), advice.clone());
        let action = given
            .actions
            .iter()
            .find(|a| a.workload == workload.name && !a.state.is_final() && !a.is_put_back())
            .cloned();
        let snoozed = given.snoozed.get(&workload.name).copied().filter(|until| *until > now);
        let beside = Beside { advice, snoozed, action };
        view::view(workload, state, given.latest, &self.history, beside, now)
    }

    /// A clock that was set back leaves a forecast, a change and samples in the future: they would count as new for as
    /// long as it was set back.
    fn keep_time(&mut self, now: Time) {
        if now.since(self.at) < -SET_BACK {
            self.advice.clear();
            self.taught.clear();
            self.pruned = Time::default();
            for (_, change) in self.counts.values_mut() {
                *change = change.map(|(at, from)| (at.min(now), from));
            }
        }
        self.at = now;
    }

    /// From when to when demand of consumer groups is known, by cluster and group.
    pub(super) fn known_demand(&self) -> HashMap<Label, HashMap<Label, (Time, Time)>> {
        let mut known: HashMap<Label, HashMap<Label, (Time, Time)>> = HashMap::new();
        let is = |k: &&SignalKey| k.role == Role::Demand && k.entity.kind == WorkloadKind::ConsumerGroup;
        for key in self.history.keys().filter(is) {
            if let (Some(from), Some(to)) = (self.history.oldest(key), self.history.latest(key)) {
                let Entity { source, id, .. } = key.entity.clone();
                known.entry(source).or_default().insert(id, (from, to.at));
            }
        }
        known
    }

    /// Workloads that something is remembered about.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.advice.len().max(self.counts.len())
    }

    /// Lets go of what is too old, of what lies ahead of the clock, and of workloads that are no longer there.
    fn prune(&mut self, workloads: &[Arc<Workload>], now: Time) {
        self.pruned = now;
        self.history.prune(now);
        let there: HashSet<&Entity> = workloads.iter().map(|w| &w.entity).collect();
        self.advice.retain(|entity, _| there.contains(entity));
        self.taught.retain(|entity, _| there.contains(entity));
        self.counts.retain(|entity, _| there.contains(entity));
        self.turns.retain(|entity, _| there.contains(entity));
    }

    /// When the count of a workload was last seen to change, and from what. Kept here because sources tell states.
    fn last_change(&mut self, workload: &Workload, given: &Given<'_>) -> Option<(Time, u32)> {
        let seen = discover::replicas(workload, given.latest).map(|r| r.desired);
        let kept = self.counts.get(&workload.entity).copied();
        let next = match (seen, kept) {
            (Some(n), Some((before, _))) if n != before => (n, Some((given.now, before))),
            (Some(n), None) => (n, None),
            _ => return kept.and_then(|(_, change)| change),
        };
        self.counts.insert(workload.entity.clone(), next);
        next.1
    }
}

/// What was said before, while it is still about what is true now.
fn stands(old: &Arc<Advice>, state: &WorkloadState) -> Arc<Advice> {
    let complete = state.coverage >= 1.0 && !state.is_stale();
    let count = state.replicas.as_ref().map(|r| r.desired);
    match &old.recommendation {
        Ok(r) if !complete || Some(r.current.desired) != count => Arc::new(waits(Some(old))),
        _ => old.clone(),
    }
}

/// No advice in this pass, for want of time.
fn waits(old: Option<&Advice>) -> Advice {
    let why = "waits for its turn: there are more workloads than one pass has time for".to_owned();
    Advice {
        forecast: old.and_then(|a| a.forecast.clone()),
        capacity: old.and_then(|a| a.capacity.clone()),
        recommendation: Err(why),
    }
}
