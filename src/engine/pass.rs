//! One pass over everything: samples into the history, a state and an advice for each workload, a view for the screen.
//!
//! It runs off the async threads and owns the history while it runs; the engine buffers what arrives meanwhile.

use super::{
    HORIZON, STEP, discover,
    latest::{Latest, Samples},
    view::{self, Beside},
};
use crate::{
    advise::{self, Input},
    history::History,
    model::{Action, Advice, Entity, Label, Role, Sample, SignalKey, Time, Workload, WorkloadView},
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// A forecast is used again for this long, seconds: models of a 15 s step do not change faster.
const FORECAST_LIFE: f64 = 60.0;
/// Wall time for new forecasts in one pass; the rest keep their older ones until the next pass.
const FORECAST_BUDGET: Duration = Duration::from_millis(400);

/// What a pass keeps for the next one.
#[derive(Default)]
pub(super) struct Memory {
    history: History,
    advice: HashMap<Entity, Arc<Advice>>,
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
        }
        for (key, sample) in &given.samples.new {
            self.history.record(key, *sample);
        }
        let workloads = discover::workloads(given.configured, given.latest);
        let began = Instant::now();
        let mut views: Vec<_> = workloads.into_iter().map(|w| Arc::new(self.view(w, given, began))).collect();
        view::sort(&mut views);
        views
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
        let may_forecast = began.elapsed() < FORECAST_BUDGET;
        let usable = forecast.filter(|f| now.since(f.at) < FORECAST_LIFE || !may_forecast);
        let input = Input {
            workload: &workload,
            state: &state,
            history: &self.history,
            forecast: usable,
            previous: old.and_then(|a| a.recommendation.as_deref().ok()),
            now,
            horizon: HORIZON,
            step: STEP,
        };
        let advice = match old {
            // Over budget and never forecast: what was said before stands until there is time.
            Some(old) if !may_forecast && usable.is_none() => old.clone(),
            _ => Arc::new(advise::advise(&input)),
        };
        self.advice.insert(workload.entity.clone(), advice.clone());
        let action = given.actions.iter().find(|a| a.workload == workload.name && !a.state.is_final()).cloned();
        let snoozed = given.snoozed.get(&workload.name).copied().filter(|until| *until > now);
        let beside = Beside { advice, snoozed, action };
        view::view(workload, state, given.latest, &self.history, beside, now)
    }

    /// When the count of a workload was last seen to change, and from what. Kept here because sources tell states.
    fn last_change(&mut self, workload: &Workload, given: &Given<'_>) -> Option<(Time, u32)> {
        let seen = discover::state(workload, given.latest, None, given.now).replicas.map(|r| r.desired);
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
