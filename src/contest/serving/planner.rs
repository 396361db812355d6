//! The planner as a pilot of a pool: the dashboard's own advice on what the monitors saw, approved at once; where the
//! GPUs do not suffice for everybody's advice they are shared out by its prices.

use super::monitor::{self, Monitor};
use crate::{
    advise::{self, Input},
    forecast,
    model::{Forecast, GuardSettings, Recommendation, Role, SignalKey, Workload, WorkloadState},
    policy::planner::{Want, share},
    simulate::serving::{Game, Pilot, Reading, Seen},
};

/// How the planner is asked. Seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How far to look ahead.
    pub horizon: f64,
    /// Between the values of the grids that advice rests on.
    pub step: f64,
    /// Between the values of the series that is forecast, and how far back it goes.
    pub forecast: (f64, f64),
    /// A forecast is used again for this long.
    pub forecast_life: f64,
    /// The guards that hold a change back; an approver is never slower than they are.
    pub guard: GuardSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            horizon: 2_400.0,
            step: 15.0,
            forecast: (60.0, 3.0 * 86_400.0),
            forecast_life: 300.0,
            guard: GuardSettings { max_step_down: 0.5, ..GuardSettings::default() },
        }
    }
}

/// One service of the pool.
#[derive(Clone, Debug)]
struct Desk {
    workload: Workload,
    monitor: Monitor,
    forecast: Option<Forecast>,
    previous: Option<Recommendation>,
}

/// The planner on a pool.
#[derive(Clone, Debug)]
pub struct Planner {
    settings: Settings,
    desks: Vec<Desk>,
    /// GPUs of a replica, by service, and of the pool.
    gpus: Vec<u32>,
    budget: u32,
}

impl Planner {
    /// A planner that knows what `monitors` (one a service) have seen so far.
    pub fn new(game: &Game, monitors: Vec<Monitor>, settings: Settings) -> Self {
        let desks = monitors.into_iter().enumerate().filter_map(|(i, monitor)| {
            let workload = monitor::workload(game, i, settings.guard.clone())?;
            Some(Desk { workload, monitor, forecast: None, previous: None })
        });
        let gpus = game.services.iter().map(|s| s.gpus).collect();
        Self { desks: desks.collect(), gpus, settings, budget: game.gpus }
    }
}

impl Desk {
    /// Makes a new forecast when the present one is old. Without enough history there is none, and advice says so.
    fn look_ahead(&mut self, t: f64, settings: &Settings) {
        let now = self.monitor.instant(t);
        self.monitor.learn(now);
        if self.monitor.memory().profile().is_some() {
            self.forecast = None;
            return;
        }
        if self.forecast.as_ref().is_some_and(|f| now.since(f.at) < settings.forecast_life) {
            return;
        }
        let (step, span) = settings.forecast;
        let key = SignalKey { entity: self.workload.entity.clone(), role: Role::Demand };
        // The newest bucket is left out until it is whole: half a minute of a minute is not its mean.
        let until = now.floor_to(step);
        let grid = self.monitor.history().grid(&key, until.plus(-span), until, step);
        self.forecast = forecast::forecast(&grid, now, settings.horizon).ok();
    }

    fn advise(&mut self, t: f64, reading: &Reading, settings: &Settings) -> Option<&Recommendation> {
        let state: WorkloadState = self.monitor.look(t, reading);
        self.look_ahead(t, settings);
        let advice = advise::advise(&Input {
            workload: &self.workload,
            state: &state,
            history: self.monitor.history(),
            forecast: self.forecast.as_ref(),
            previous: self.previous.as_ref(),
            memory: Some(self.monitor.memory()),
            now: self.monitor.instant(t),
            horizon: settings.horizon,
            step: settings.step,
        });
        self.previous = advice.recommendation.ok().map(|r| *r);
        self.previous.as_ref()
    }
}

impl Pilot for Planner {
    fn decide(&mut self, seen: &Seen<'_>) -> Vec<Option<u32>> {
        let settings = &self.settings;
        let advice: Vec<Option<&Recommendation>> = self
            .desks
            .iter_mut()
            .zip(seen.services)
            .map(|(desk, reading)| desk.advise(seen.t, reading, settings))
            .collect();
        let asked = |r: &Recommendation| if r.blocked_by.is_empty() { r.recommended } else { r.current.desired };
        let wants: Vec<Want<'_>> = advice
            .iter()
            .zip(seen.services)
            .zip(&self.gpus)
            .map(|((r, reading), gpus)| match r {
                Some(r) => Want { alternatives: &r.alternatives, replicas: asked(r), gpus: *gpus },
                None => Want { alternatives: &[], replicas: reading.desired, gpus: *gpus },
            })
            .collect();
        share(self.budget, &wants).into_iter().map(Some).collect()
    }
}
