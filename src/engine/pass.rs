//! One pass over everything: samples into the history, a state and an advice for each workload, a view for the screen.
//!
//! It runs off the async threads and owns the history while it runs; the engine buffers what arrives meanwhile.

use super::{
    HORIZON, STEP,
    charts::Charts,
    confirmed::Confirmed,
    discover,
    latest::{Latest, Samples},
    view::{self, Beside},
    watch,
};
use crate::{
    advise::{self, Allowance, Input, Learned, budget, day},
    history::History,
    model::{
        Action, ActionState, Advice, Budget, DayPlan, Entity, Label, Pipeline, Role, Sample, Severity, SignalKey, Time,
        Workload, WorkloadKind, WorkloadState, WorkloadView,
    },
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// A forecast is used again for this long, seconds: models of a 15 s step do not change faster.
const FORECAST_LIFE: f64 = 60.0;
/// Seconds for which the plan of a day is shown before it is made anew; and where the count or the advice that it began
/// with is another one.
const DAY_LIFE: f64 = 900.0;
const DAY_OVERTAKEN: f64 = 60.0;
/// Days that are planned in one go at most: what is made is soon on screen. Measured with the optimiser on, off the async
/// threads: 10 to 40 ms for a service, 0.1 to 0.7 s for a group of 20 partitions and 1.4 to 2.4 s for one of 512 or more,
/// the most where the day is late with any plan.
const DAYS: usize = 2;
/// Seconds between two prunings of what is kept in memory.
const PRUNE: f64 = 60.0;
/// Seconds between two savings of what was learned.
const LESSON: f64 = 300.0;
/// A clock that runs backwards by more than this was set, seconds.
const SET_BACK: f64 = 5.0;

/// Wall time that one pass may take: with thousands of groups they take turns, and the screen does not wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct WallTime {
    /// For new forecasts; the rest keep their older ones until the next pass.
    pub(super) forecasts: Duration,
    /// For new advice.
    pub(super) advice: Duration,
}

impl Default for WallTime {
    fn default() -> Self {
        Self { forecasts: Duration::from_millis(400), advice: Duration::from_secs(1) }
    }
}

/// What a pass keeps for the next one.
#[derive(Default)]
pub(super) struct Memory {
    history: History,
    charts: Charts,
    pub(super) wall_time: WallTime,
    at: Time,
    pruned: Time,
    /// When what was learned was last given away to be kept.
    kept: Time,
    /// The number of this pass, and of the one that last advised on a thing: who waited longest is first.
    turn: u64,
    turns: HashMap<Entity, u64>,
    /// Workloads that the last pass had no time for.
    waiting: usize,
    /// The days that are to be planned next.
    due: Vec<day::Question>,
    advice: HashMap<Entity, Arc<Advice>>,
    /// What looks at each thing taught.
    taught: HashMap<Entity, advise::Memory>,
    counts: HashMap<Entity, (u32, Option<(Time, u32)>)>,
    /// What flows into what, by the last pass.
    pipelines: Arc<Vec<Pipeline>>,
}

/// Plans of a day, with when each was made.
pub(super) type Days = HashMap<Entity, (Time, Arc<Result<DayPlan, String>>)>;

/// Until when a workload is not asked about, and how bad it was when that was said: what gets worse is told all the same.
/// By what it is: a cluster that answers later may have a group of its name, and the name.
pub(super) type Snoozes = HashMap<Entity, (Time, Severity)>;

/// What a pass reads.
pub(super) struct Given<'a> {
    pub(super) latest: &'a Latest,
    pub(super) samples: Samples,
    pub(super) configured: &'a [Arc<Workload>],
    pub(super) pipelines: &'a [Pipeline],
    pub(super) budgets: &'a [Budget],
    pub(super) snoozed: &'a Snoozes,
    /// Found targets that an operator confirmed.
    pub(super) confirmed: &'a Confirmed,
    pub(super) actions: &'a [Action],
    /// Plans of the next day that were made so far.
    pub(super) days: &'a Days,
    pub(super) now: Time,
}

/// One workload in the course of a pass.
struct Row {
    workload: Arc<Workload>,
    state: WorkloadState,
    advice: Arc<Advice>,
    /// The advice of the pass before.
    before: Option<Arc<Advice>>,
}

impl Row {
    fn member(&self) -> budget::Member<'_> {
        budget::Member { workload: &self.workload, state: &self.state, advice: &self.advice }
    }
}

impl Memory {
    /// With the history of earlier runs and what they learned.
    pub(super) fn new(history: History, learned: Vec<(Entity, Learned)>) -> Self {
        let mut memory = Self { history, ..Self::default() };
        for (entity, learned) in learned {
            memory.taught.entry(entity).or_default().recall(learned);
        }
        memory
    }

    /// Runs a pass.
    pub(super) fn pass(&mut self, given: &Given<'_>) -> Vec<Arc<WorkloadView>> {
        for (key, samples) in &given.samples.older {
            self.history.backfill(key, samples);
            self.charts.forget(key);
            // What was forecast without these days is not kept for its minute, and nobody's turn comes before this one.
            if key.role == Role::Demand {
                self.advice.remove(&key.entity);
                self.turns.remove(&key.entity);
                self.taught.entry(key.entity.clone()).or_default().forget_shape();
            }
        }
        for (key, sample) in &given.samples.new {
            self.history.record(key, *sample);
        }
        self.keep_time(given.now);
        let mut workloads = discover::workloads(given.configured, given.latest, given.confirmed);
        self.pipelines = Arc::new(discover::pipelines(given.pipelines, &workloads, given.latest));
        self.turn += 1;
        self.waiting = 0;
        let deciding = deciding(given.actions);
        workloads.sort_by_cached_key(|w| (!deciding.contains(&w.name), self.turns.get(&w.entity).copied()));
        if given.now.since(self.pruned) >= PRUNE {
            self.prune(&workloads, given.now);
        }
        let began = Instant::now();
        let urgent = |w: &Workload| deciding.contains(&w.name);
        let mut rows: Vec<Row> = workloads.into_iter().map(|w| self.row(urgent(&w), w, given, began)).collect();
        self.share_out(&mut rows, given);
        self.due = self.days_due(&rows, given);
        let mut views: Vec<_> = rows.into_iter().map(|row| Arc::new(self.view(row, given))).collect();
        view::sort(&mut views);
        let (took, waiting) = (began.elapsed(), self.waiting);
        tracing::debug!("a pass over {} workloads took {took:?}; {waiting} wait for the next one", views.len());
        views
    }

    /// What flows into what, by the last pass.
    pub(super) fn pipelines(&self) -> Arc<Vec<Pipeline>> {
        self.pipelines.clone()
    }

    /// The days that the last pass found to be due for a plan.
    pub(super) fn take_due(&mut self) -> Vec<day::Question> {
        std::mem::take(&mut self.due)
    }

    /// Whether what was learned is due to be kept.
    pub(super) fn is_lesson_due(&mut self, now: Time) -> bool {
        let due = !(0.0..LESSON).contains(&now.since(self.kept));
        if due {
            self.kept = now;
        }
        due
    }

    /// What was learned so far, for the next run.
    pub(super) fn lessons(&self, now: Time) -> Vec<(Entity, Learned)> {
        let lesson = |(entity, memory): (&Entity, &advise::Memory)| {
            let capacity = self.advice.get(entity)?.capacity.as_ref()?;
            Some((entity.clone(), memory.lesson(capacity, now)?))
        };
        self.taught.iter().filter_map(lesson).collect()
    }

    /// Workloads that the last pass had no time for: another pass soon is of use.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// A workload with its state and its advice, as if nobody shared anything with it. An urgent one is advised whatever
    /// time the pass has left.
    fn row(&mut self, urgent: bool, workload: Arc<Workload>, given: &Given<'_>, began: Instant) -> Row {
        let now = given.now;
        let changed = self.last_change(&workload, given);
        let state = discover::state(&workload, given.latest, changed, now);
        // What is old is shown, but it is no sample of now.
        if let Some(r) = state.replicas.as_ref().filter(|_| !state.is_stale()) {
            for (role, count) in [(Role::Replicas, r.ready), (Role::Desired, r.desired)] {
                let key = SignalKey { entity: workload.entity.clone(), role };
                self.history.record(&key, Sample { at: now, value: f64::from(count) });
            }
        }
        let before = self.advice.get(&workload.entity).cloned();
        let old = before.as_deref();
        let forecast = old.and_then(|a| a.forecast.as_ref());
        let spent = began.elapsed();
        let (may_forecast, may_advise) =
            (urgent || spent < self.wall_time.forecasts, urgent || spent < self.wall_time.advice);
        let usable = forecast.filter(|f| now.since(f.at) < FORECAST_LIFE || !may_forecast);
        let taught = self.taught.entry(workload.entity.clone()).or_default();
        taught.look_at(&state);
        if let Some(group) = discover::group(&workload, given.latest) {
            watch::look(taught, group, &state);
        }
        if may_forecast && taught.is_due(now) {
            taught.learn(&self.history, &workload.entity, now);
        }
        let advice = match &before {
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
                let input = Input { forecast: usable, ..self.input(&workload, &state, old, now) };
                Arc::new(advise::advise(&input))
            }
        };
        self.advice.insert(workload.entity.clone(), advice.clone());
        Row { workload, state, advice, before }
    }

    fn input<'a>(
        &'a self,
        workload: &'a Workload,
        state: &'a WorkloadState,
        before: Option<&'a Advice>,
        now: Time,
    ) -> Input<'a> {
        Input {
            workload,
            state,
            history: &self.history,
            forecast: None,
            previous: before.and_then(|a| a.recommendation.as_deref().ok()),
            memory: self.taught.get(&workload.entity),
            now,
            horizon: HORIZON,
            step: STEP,
        }
    }

    /// Where not everybody's advice fits into a pool, those that must do with less are advised again.
    fn share_out(&mut self, rows: &mut [Row], given: &Given<'_>) {
        for pool in given.budgets {
            let members: Vec<budget::Member<'_>> =
                rows.iter().filter(|r| pool.workloads.contains(&r.workload.name)).map(Row::member).collect();
            let allowances: BTreeMap<Label, Allowance> = budget::allowances(pool, &members);
            for row in rows.iter_mut() {
                let Some(allowance) = allowances.get(&row.workload.name) else { continue };
                let input = Input {
                    forecast: row.advice.forecast.as_ref(),
                    ..self.input(&row.workload, &row.state, row.before.as_deref(), given.now)
                };
                let advice = Arc::new(advise::advise_within(&input, Some(allowance)));
                self.advice.insert(row.workload.entity.clone(), advice.clone());
                row.advice = advice;
            }
        }
    }

    /// Workloads whose plan of the day is due, those without one and then the oldest first.
    fn days_due(&self, rows: &[Row], given: &Given<'_>) -> Vec<day::Question> {
        let made = |row: &Row| given.days.get(&row.workload.entity).map(|(at, _)| *at);
        let life = |row: &Row, plan: &Result<DayPlan, String>| match plan {
            Ok(plan) if day::is_overtaken(plan, &row.state, &row.advice) => DAY_OVERTAKEN,
            _ => DAY_LIFE,
        };
        let is_due = |row: &&Row| {
            let plan = given.days.get(&row.workload.entity);
            plan.is_none_or(|(at, plan)| !(0.0..life(row, plan)).contains(&given.now.since(*at)))
        };
        let can = |row: &&Row| day::none_because(&row.workload, &row.state, row.advice.capacity.as_ref()).is_none();
        let mut due: Vec<&Row> = rows.iter().filter(is_due).filter(can).collect();
        due.sort_by_key(|row| made(row));
        let question = |row: &Row| {
            let capacity = row.advice.capacity.as_ref()?;
            let recommended = row.advice.recommendation.as_ref().ok().map(|r| r.recommended);
            Some(day::Question::of(&row.workload, &row.state, capacity, recommended, &self.history, given.now))
        };
        due.into_iter().filter_map(question).take(DAYS).collect()
    }

    fn view(&mut self, row: Row, given: &Given<'_>) -> WorkloadView {
        let Row { workload, state, advice, .. } = row;
        let action = given
            .actions
            .iter()
            .find(|a| a.workload == workload.name && !a.state.is_final() && !a.is_put_back())
            .cloned();
        let snoozed = given.snoozed.get(&workload.entity).copied().filter(|(until, _)| *until > given.now);
        let day = given.days.get(&workload.entity).map(|(_, plan)| plan.clone());
        let unseen = self.taught.get(&workload.entity).map_or(0.0, |taught| taught.watch.unseen());
        let beside = Beside { advice, day, snoozed, unseen, action };
        view::view(workload, state, given.latest, (&self.history, &mut self.charts), beside, given.now)
    }

    /// A clock that was set back leaves a forecast, a change and samples in the future: they would count as new for as
    /// long as it was set back.
    fn keep_time(&mut self, now: Time) {
        if now.since(self.at) < -SET_BACK {
            self.advice.clear();
            self.taught.clear();
            self.charts.clear();
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
        self.taught.retain(|entity, memory| there.contains(entity) || memory.waits(now));
        self.counts.retain(|entity, _| there.contains(entity));
        self.charts.keep(&there);
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

/// Workloads that somebody is deciding about: an approval is judged by the advice of now, and so that is not to be missing
/// for want of time.
fn deciding(actions: &[Action]) -> HashSet<&Label> {
    let open = |a: &&Action| matches!(a.state, ActionState::Proposed | ActionState::Approved);
    actions.iter().filter(open).map(|a| &a.workload).collect()
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
