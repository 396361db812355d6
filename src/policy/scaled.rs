//! An HPA or a ScaledObject at work: readings of its metrics in, the count that is written out, sync after sync.
//!
//! `replay` feeds it with rows of a file, `lint` with what a simulated group shows.

use super::{
    hpa::{
        Autoscaler, Bounds, Controller, Phase, Pod, Readiness, Select, Tolerance, average_value, combine, pods_average,
        utilisation, value,
    },
    keda::{self, Activity, Operator},
};
use crate::model::{
    Fallback, FallbackBehavior, Hpa, HpaBehavior, HpaMetric, MetricSource, MetricTarget, ScaledObject, Time, Trigger,
    TriggerMetric, TriggerSource,
};

/// A metric and what it is held at. Targets are thousandths; utilisation is percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Object or external: the total over the target.
    AverageValue(i64),
    /// Object or external: the metric itself.
    Value(i64),
    /// Pods, or a resource's `AverageValue`; whether it is CPU.
    PodsAverage(i64, bool),
    /// A resource's utilisation; whether it is CPU.
    Utilisation(i64, bool),
    /// KEDA's Kafka trigger; whether its type is `Value`.
    Kafka(keda::Trigger, bool),
}

/// What one metric says at a sync.
#[derive(Clone, Debug, Default)]
pub enum Reading {
    /// It could not be read.
    #[default]
    Failed,
    /// A total; of a metric of pods their mean (percent, for utilisation); of a Kafka trigger the lag, with no cap.
    Total(f64),
    /// Offsets, for a Kafka trigger.
    Partitions(Vec<keda::Partition>),
    /// The pods one by one.
    Pods(Vec<Pod>),
}

/// The counts that a sync finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// `spec.replicas`.
    pub spec: u32,
    /// `status.replicas`.
    pub status: u32,
    /// Ready pods.
    pub ready: u32,
}

/// Why an object cannot be played, and where that stands: a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplayable {
    /// Where.
    pub pointer: String,
    /// A sentence.
    pub what: String,
}

/// An object being played.
#[derive(Clone, Debug)]
pub struct Scaled {
    goals: Vec<Track>,
    bounds: Bounds,
    controller: Controller,
    memory: Autoscaler,
    operator: Option<Operator>,
    fallback: Option<Fallback>,
}

/// A goal with KEDA's memory of it.
#[derive(Clone, Debug)]
struct Track {
    goal: Goal,
    /// A KEDA trigger is active above this.
    activation: f64,
    failures: u32,
    /// `useCachedMetrics`, with what the last look saw.
    cached: Option<Reading>,
}

impl Scaled {
    /// An HPA. Tolerances of its own go over the controller's.
    pub fn hpa(hpa: &Hpa, controller: &Controller) -> Result<Self, Unplayable> {
        let goal = |(i, m): (usize, &HpaMetric)| {
            let goal = goal(m).ok_or_else(|| Unplayable {
                pointer: format!("/spec/metrics/{i}"),
                what: format!("the metric {m} is not understood"),
            })?;
            Ok(Track::new(goal, 0.0))
        };
        let mut goals: Vec<Track> = hpa.metrics.iter().enumerate().map(goal).collect::<Result<_, _>>()?;
        if goals.is_empty() {
            goals.push(Track::new(Goal::Utilisation(80, true), 0.0));
        }
        let bounds = Bounds { min: hpa.min, max: hpa.max, behavior: hpa.behavior.clone() };
        Ok(Self::new(goals, bounds, controller))
    }

    /// A ScaledObject: KEDA's operator and the HPA that it makes.
    pub fn keda(object: &ScaledObject, controller: &Controller) -> Result<Self, Unplayable> {
        if object.modifiers.is_some() {
            return Err(Unplayable {
                pointer: "/spec/advanced/scalingModifiers/formula".to_owned(),
                what: "scalingModifiers are not evaluated: what the formula gives cannot be played".to_owned(),
            });
        }
        let track = |(i, t): (usize, &Trigger)| {
            let (goal, activation) = trigger_goal(t).ok_or_else(|| Unplayable {
                pointer: format!("/spec/triggers/{i}/type"),
                what: format!(
                    "triggers of type {} are not replayed: kafka, apache-kafka, prometheus, cpu and memory are",
                    t.kind
                ),
            })?;
            Ok(Track { cached: t.cached.then(Reading::default), ..Track::new(goal, activation) })
        };
        let goals = object.triggers.iter().enumerate().map(track).collect::<Result<_, _>>()?;
        let (min, max) = object.hpa_bounds();
        let bounds = Bounds { min, max, behavior: held(object) };
        let scaled = Self::new(goals, bounds, controller);
        Ok(Self { operator: Some(Operator::new(object)), fallback: object.fallback, ..scaled })
    }

    fn new(goals: Vec<Track>, bounds: Bounds, controller: &Controller) -> Self {
        let own = |of: fn(&HpaBehavior) -> Option<f64>| bounds.behavior.as_ref().and_then(of);
        let tolerance = Tolerance {
            up: own(|b| b.up.tolerance).unwrap_or(controller.tolerance.up),
            down: own(|b| b.down.tolerance).unwrap_or(controller.tolerance.down),
        };
        let controller = Controller { tolerance, ..*controller };
        Self { goals, bounds, controller, memory: Autoscaler::default(), operator: None, fallback: None }
    }

    /// The metrics with their targets, in the order of the readings.
    pub fn goals(&self) -> impl ExactSizeIterator<Item = &Goal> {
        self.goals.iter().map(|t| &t.goal)
    }

    /// The controller's settings in force.
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// One sync of the controllers: what `spec.replicas` is after it, and why. A reading that is not there has failed.
    pub fn sync(&mut self, now: Time, counts: Counts, readings: &[Reading]) -> (u32, &'static str) {
        let (controller, fallback) = (&self.controller, self.fallback);
        if let Some(operator) = &mut self.operator {
            let goals = &mut self.goals;
            if let Some(written) = operator.look(now, counts.spec, || poll(goals, readings, counts, fallback)) {
                return written;
            }
        }
        let propose = |(i, track): (usize, &mut Track)| {
            let cached = track.cached.clone();
            let reading = cached.as_ref().or(readings.get(i)).unwrap_or(&Reading::Failed);
            let stands_in = track.look(reading, counts, fallback);
            track.propose(reading, stands_in, counts, controller)
        };
        let proposals: Vec<_> = self.goals.iter_mut().enumerate().map(propose).collect();
        let proposal = combine(&proposals, counts.spec);
        let decision = self.memory.sync(now, counts.spec, &proposal, &self.bounds, controller);
        (decision.replicas, decision.reason)
    }
}

impl Track {
    fn new(goal: Goal, activation: f64) -> Self {
        Self { goal, activation, failures: 0, cached: None }
    }

    /// CPU and memory: the HPA reads them itself, and KEDA never looks.
    fn is_resource(&self) -> bool {
        matches!(self.goal, Goal::Utilisation(..) | Goal::PodsAverage(..))
    }

    fn is_active(&self, reading: &Reading) -> bool {
        match (reading, &self.goal) {
            (Reading::Partitions(partitions), Goal::Kafka(trigger, _)) => keda::metric(partitions, trigger).active,
            (Reading::Total(total), _) => *total > self.activation,
            _ => false,
        }
    }

    /// A look at the metric, KEDA's own or for the HPA: both count failures. What the fallback shows instead, thousandths
    /// (`GetMetricsWithFallback`).
    fn look(&mut self, reading: &Reading, counts: Counts, fallback: Option<Fallback>) -> Option<i64> {
        if !matches!(reading, Reading::Failed) {
            self.failures = 0;
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        self.stand_in(fallback.filter(|f| self.failures > f.after)?, counts)
    }

    /// What the metric proposes, or what stands in for it, before windows, rates and bounds.
    fn propose(
        &self,
        reading: &Reading,
        stands_in: Option<i64>,
        counts: Counts,
        controller: &Controller,
    ) -> Result<u32, String> {
        let Counts { spec, status, ready } = counts;
        let tolerance = controller.tolerance;
        let milli = |x: f64| (x * 1000.0).round() as i64; // saturates
        let total = match (reading, stands_in) {
            (_, Some(milli)) => milli,
            (Reading::Failed, None) => return Err("the metric could not be read".to_owned()),
            (Reading::Total(total), _) => milli(*total),
            (Reading::Partitions(partitions), _) => match &self.goal {
                Goal::Kafka(trigger, _) => keda::metric(partitions, trigger).lag.saturating_mul(1000),
                _ => return Err("offsets are no reading of this metric".to_owned()),
            },
            (Reading::Pods(_), _) => 0,
        };
        let pods = |usage| match reading {
            Reading::Pods(pods) => pods.clone(),
            _ => stand_ins(counts, usage),
        };
        match self.goal {
            Goal::AverageValue(target) => Ok(average_value(total, target, status, tolerance)),
            Goal::Value(target) => value(total, target, spec, (status, ready), tolerance),
            Goal::PodsAverage(target, cpu) => pods_average(&pods(total), target, spec, cpu, controller, tolerance),
            // Percent of a request of 100 000 thousandths: a thousand a percent.
            Goal::Utilisation(percent, cpu) => utilisation(&pods(total), percent, spec, cpu, controller, tolerance),
            Goal::Kafka(trigger, plain) => {
                let target = trigger.lag_threshold.max(1).saturating_mul(1000);
                if plain {
                    value(total, target, spec, (status, ready), tolerance)
                } else {
                    Ok(average_value(total, target, status, tolerance))
                }
            }
        }
    }

    /// KEDA's fallback: the metric that asks for a count (`doFallback`). Resources have none, and a `Value` none without
    /// ready pods.
    fn stand_in(&self, fallback: Fallback, counts: Counts) -> Option<i64> {
        let current = counts.spec;
        let count = f64::from(match fallback.behavior {
            FallbackBehavior::Static => fallback.replicas,
            FallbackBehavior::CurrentReplicas => current,
            FallbackBehavior::CurrentReplicasIfHigher => current.max(fallback.replicas),
            FallbackBehavior::CurrentReplicasIfLower => current.min(fallback.replicas),
            FallbackBehavior::ScalingModifiers => return None,
        });
        let ready = (counts.ready > 0).then_some(f64::from(counts.ready));
        let (target, per) = match self.goal {
            Goal::AverageValue(target) => (target, 1.0),
            Goal::Value(target) => (target, ready?),
            Goal::Kafka(trigger, plain) => {
                (trigger.lag_threshold.saturating_mul(1000), if plain { ready? } else { 1.0 })
            }
            Goal::PodsAverage(..) | Goal::Utilisation(..) => return None,
        };
        Some((target as f64 * count / per) as i64) // truncates, as upstream does
    }
}

/// KEDA's own look at every trigger (`getScaledObjectState`). A fallback that stands in is active and no failure.
fn poll(tracks: &mut [Track], readings: &[Reading], counts: Counts, fallback: Option<Fallback>) -> Activity {
    // Resources wake nothing, and where there is nothing else nothing would: then KEDA takes the object for active.
    let mut activity = Activity { active: tracks.iter().all(Track::is_resource), failed: false };
    for (i, track) in tracks.iter_mut().enumerate().filter(|(_, t)| !t.is_resource()) {
        let reading = readings.get(i).unwrap_or(&Reading::Failed);
        let stands_in = track.look(reading, counts, fallback);
        activity.active |= stands_in.is_some() || track.is_active(reading);
        activity.failed |= stands_in.is_none() && matches!(reading, Reading::Failed);
        if let Some(cached) = &mut track.cached {
            *cached = stands_in.map_or_else(|| reading.clone(), |milli| Reading::Total(milli as f64 / 1000.0));
        }
    }
    activity
}

/// The behavior of the HPA that KEDA makes: a paused direction is `Disabled` (`newHPAForScaledObject`).
fn held(object: &ScaledObject) -> Option<HpaBehavior> {
    let mut behavior = object.behavior.clone();
    if object.holds.scale_in {
        behavior.get_or_insert_default().down.select = Select::Disabled;
    }
    if object.holds.scale_out {
        behavior.get_or_insert_default().up.select = Select::Disabled;
    }
    behavior
}

fn goal(metric: &HpaMetric) -> Option<Goal> {
    let cpu = metric.name.as_str() == "cpu";
    match (&metric.source, metric.target?) {
        (MetricSource::Object(_) | MetricSource::External, MetricTarget::AverageValue(q)) => {
            Some(Goal::AverageValue(q.milli()))
        }
        (MetricSource::Object(_) | MetricSource::External, MetricTarget::Value(q)) => Some(Goal::Value(q.milli())),
        (MetricSource::Pods, MetricTarget::AverageValue(q)) => Some(Goal::PodsAverage(q.milli(), false)),
        (_, MetricTarget::AverageValue(q)) => Some(Goal::PodsAverage(q.milli(), cpu)),
        (_, MetricTarget::Utilization(percent)) => Some(Goal::Utilisation(i64::from(percent), cpu)),
        _ => None,
    }
}

/// The metric of a trigger, and what it must exceed to be active.
fn trigger_goal(trigger: &Trigger) -> Option<(Goal, f64)> {
    let plain = trigger.metric_type == TriggerMetric::Value;
    match &trigger.source {
        TriggerSource::Kafka(kafka) => Some((Goal::Kafka(kafka.into(), plain), kafka.activation)),
        TriggerSource::Prometheus { threshold, activation, .. } => {
            let target = threshold.milli();
            Some((if plain { Goal::Value(target) } else { Goal::AverageValue(target) }, *activation))
        }
        TriggerSource::Resource(q) => {
            let cpu = trigger.kind.as_str() == "cpu";
            Some(match trigger.metric_type {
                TriggerMetric::Utilization => (Goal::Utilisation(q.milli() / 1000, cpu), 0.0),
                _ => (Goal::PodsAverage(q.milli(), cpu), 0.0),
            })
        }
        TriggerSource::Other => None,
    }
}

/// Pods that all use the same; those that are not ready are up and young, which only CPU asks about.
fn stand_ins(counts: Counts, usage: i64) -> Vec<Pod> {
    let pods = |ready: bool, alike: u32| {
        let age = if ready { 1e9 } else { 10.0 };
        Pod {
            phase: Phase::Running,
            deleted: false,
            readiness: Some(Readiness { ready, started: age, changed: age, sampled: 0.0, window: 30.0 }),
            usage: Some(usage),
            request: Some(100_000),
            alike,
        }
    };
    let ready = counts.ready.min(counts.status);
    let groups = [pods(true, ready), pods(false, counts.status - ready)];
    groups.into_iter().filter(|g| g.alike > 0).collect()
}

#[cfg(test)]
mod tests;
