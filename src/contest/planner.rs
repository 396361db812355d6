//! The planner as a pilot: the dashboard's own advice on what the monitor saw, approved at once.

use super::monitor::{self, Monitor};
use crate::{
    advise::{self, Input},
    forecast,
    model::{Forecast, GuardSettings, Recommendation, Role, SignalKey, Time, Workload},
    simulate::arena::{Game, Pilot, Seen},
};
use std::time::Duration;

/// Seconds of demand that tell whether a burst is on.
const RECENT: f64 = 5_700.0;
/// A group this many seconds late, beyond what is always seen, is planned for at every look.
const LATE: f64 = 10.0;

/// How the planner is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannerSettings {
    /// Seconds between two plans; at looks in between only what cannot wait is planned for.
    pub every: f64,
    /// Seconds to look ahead.
    pub horizon: f64,
    /// Seconds between the values of the grids that advice rests on.
    pub step: f64,
    /// Seconds between the values of the series that is forecast, and how far back it goes.
    pub forecast: (f64, f64),
    /// A forecast is used again for this long, seconds.
    pub forecast_life: f64,
    /// The guards that hold a change back; an approver is never slower than they are.
    pub guard: GuardSettings,
}

impl Default for PlannerSettings {
    fn default() -> Self {
        Self {
            every: 60.0,
            horizon: 1_800.0,
            step: 15.0,
            forecast: (60.0, 3.0 * 86_400.0),
            forecast_life: 60.0,
            guard: GuardSettings {
                cooldown_down: 60.0,
                max_step_up: 4.0,
                max_step_down: 0.5,
                ..GuardSettings::default()
            },
        }
    }
}

/// The planner on one group.
#[derive(Clone, Debug)]
pub struct Planner {
    settings: PlannerSettings,
    workload: Workload,
    monitor: Monitor,
    /// When the next plan is due; `None`: at the first look.
    next: Option<Time>,
    /// Whether a burst was on in the last look.
    bursting: bool,
    forecast: Option<Forecast>,
    previous: Option<Recommendation>,
    /// Processor time that each advice took, forecast aside.
    took: Vec<Duration>,
}

impl Planner {
    /// A planner that knows what `monitor` has seen so far.
    pub fn new(game: &Game, monitor: Monitor, settings: PlannerSettings) -> Self {
        let workload = monitor::workload(game, settings.guard.clone());
        Self {
            settings,
            workload,
            monitor,
            next: None,
            bursting: false,
            forecast: None,
            previous: None,
            took: Vec::new(),
        }
    }

    /// The 99th percentile of the processor time that one advice took, seconds, forecast aside; `None` before the first.
    pub fn p99_seconds(&self) -> Option<f64> {
        let mut took = self.took.clone();
        took.sort_unstable();
        took.get(took.len() * 99 / 100).map(Duration::as_secs_f64)
    }

    /// Whether the next plan cannot wait: a burst has begun, or what waits is late.
    fn is_urgent(&mut self, now: Time) -> bool {
        let memory = self.monitor.memory();
        let key = SignalKey { entity: self.workload.entity.clone(), role: Role::Demand };
        let step = self.settings.step;
        let outlook = memory.profile().and_then(|profile| {
            let recent = self.monitor.history().grid(&key, now.plus(-RECENT), now.plus(0.001), step);
            profile.outlook(&recent, now, step)
        });
        let on = outlook.is_some_and(|o| !o.burst.is_empty());
        let was = std::mem::replace(&mut self.bursting, on);
        let begins = on && !was;
        begins || memory.watch.late() > LATE
    }

    /// Makes a new forecast when the present one is old. Without enough history there is none, and advice says so.
    fn look_ahead(&mut self, now: Time) {
        if self.forecast.as_ref().is_some_and(|f| now.since(f.at) < self.settings.forecast_life) {
            return;
        }
        let (step, span) = self.settings.forecast;
        let key = SignalKey { entity: self.workload.entity.clone(), role: Role::Demand };
        // The newest bucket is left out until it is whole: half a minute of a minute is not its mean.
        let until = now.floor_to(step);
        let grid = self.monitor.history().grid(&key, until.plus(-span), until, step);
        self.forecast = forecast::forecast(&grid, now, self.settings.horizon).ok();
    }
}

impl Pilot for Planner {
    fn decide(&mut self, seen: &Seen<'_>) -> Option<u32> {
        let state = self.monitor.look(seen);
        let now = self.monitor.instant(seen);
        let urgent = self.is_urgent(now);
        if self.next.is_some_and(|next| now < next) && !urgent {
            return None;
        }
        // On multiples of the clock, whenever the day begins: advice looks at removals in the first look of a minute.
        self.next = Some(now.floor_to(self.settings.every).plus(self.settings.every));
        self.monitor.learn(now);
        if self.monitor.memory().profile().is_none() {
            self.look_ahead(now);
        }
        let began = processor_time();
        let advice = advise::advise(&Input {
            workload: &self.workload,
            state: &state,
            history: self.monitor.history(),
            forecast: self.forecast.as_ref().filter(|_| self.monitor.memory().profile().is_none()),
            previous: self.previous.as_ref(),
            memory: Some(self.monitor.memory()),
            now,
            horizon: self.settings.horizon,
            step: self.settings.step,
        });
        self.took.push(processor_time().saturating_sub(began));
        let recommendation = *advice.recommendation.ok()?;
        let count = recommendation.blocked_by.is_empty().then_some(recommendation.recommended);
        self.previous = Some(recommendation);
        count
    }
}

/// What this thread has used of its processor. Days are played on every core at once, where a clock on the wall would also
/// count the others.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
