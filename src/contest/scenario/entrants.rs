//! The policies of a scenario, by name, with the settings that stand in its file.

use super::Scenario;
use crate::{
    contest::{Entrant, Metric, PlannerSettings},
    model::GuardSettings,
    policy::{
        hpa::{Controller, Tolerance},
        keda, threshold,
    },
};

use super::tables::Seconds;

impl Scenario {
    /// The policy of a name.
    pub fn entrant(&self, name: &str) -> Option<Entrant> {
        let p = &self.policy;
        let controller = Controller {
            sync: p.hpa.sync.0,
            downscale_stabilization: p.hpa.downscale_stabilization.0,
            tolerance: Tolerance { up: p.hpa.tolerance.0, down: p.hpa.tolerance.0 },
            ..Controller::default()
        };
        let hpa = |metric, controller| Entrant::Hpa { metric, behavior: None, controller };
        let lag = p.hpa.target_average_value.0;
        let trigger = keda::Trigger {
            lag_threshold: (p.keda.lag_threshold.0.round() as i64).max(1),
            ensure_even: p.keda.ensure_even,
            allow_idle: p.keda.allow_idle,
            limit_to_partitions_with_lag: p.keda.limit_to_partitions_with_lag,
            ..keda::Trigger::default()
        };
        let rule = threshold::Rule { up: p.threshold.up.0, down: p.threshold.down.0, step: p.threshold.step.0 };
        Some(match name {
            "planner" => Entrant::Planner(self.planner()),
            "planner-cold" => Entrant::PlannerCold(self.planner()),
            "hpa" => hpa(Metric::Lag(lag), controller),
            "hpa-unstabilised" => hpa(Metric::Lag(lag), Controller { downscale_stabilization: 0.0, ..controller }),
            "hpa-cpu" => hpa(Metric::Cpu(i64::from(p.hpa.utilisation.0)), controller),
            "keda" => hpa(Metric::Keda(trigger), Controller::default()),
            "keda-tuned" => Entrant::keda_tuned(trigger),
            "threshold" => Entrant::Threshold(rule),
            "threshold-70-50" => Entrant::Threshold(threshold::Rule { up: 0.7, down: 0.5, ..rule }),
            "fixed" => Entrant::Fixed(p.fixed.replicas.unwrap_or(self.group.replicas.max.0)),
            _ => return None,
        })
    }

    fn planner(&self) -> PlannerSettings {
        let (t, default) = (self.policy.planner, PlannerSettings::default());
        let seconds = |given: Option<Seconds>, default: f64| given.map_or(default, |s| s.0);
        let guard = default.guard.clone();
        PlannerSettings {
            every: seconds(t.every, default.every),
            horizon: seconds(t.horizon, default.horizon),
            step: self.observe.scrape.0,
            guard: GuardSettings {
                cooldown_up: seconds(t.cooldown_up, guard.cooldown_up),
                cooldown_down: seconds(t.cooldown_down, guard.cooldown_down),
                max_step_up: t.max_step_up.map_or(guard.max_step_up, |s| s.0),
                max_step_down: t.max_step_down.map_or(guard.max_step_down, |s| s.0),
                ..guard
            },
            ..default
        }
    }
}
