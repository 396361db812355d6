//! A day played under whoever sets the count: a group second by second, as it is played for "what if"; a service as a
//! fluid, fifteen seconds at a time.

use super::{AHEAD, Day, SLOT, WORST};
use crate::{
    advise::what_if::{Found, Run},
    model::{Capacity, DayCourse, Forecast, MetricTarget, PlanStep, Price, Quantiles, Time, WorkloadKind},
    policy::hpa::{Autoscaler, Bounds, Controller, average_value},
};
use std::collections::VecDeque;

/// Targets of the HPA that is usually written: records of lag, and waiting requests, per replica.
const LAG: i64 = 10_000;
const WAITING: i64 = 5;

/// Who sets the count.
pub(super) enum Ruler<'a> {
    /// A plan, followed at its times.
    Steps(&'a [PlanStep]),
    /// An HPA, or KEDA over one.
    Hpa { bounds: Bounds, metric: Metric },
}

/// What an HPA looks at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Metric {
    /// What waits, thousandths per replica.
    Waiting(i64),
    /// CPU, percent of the request, taken as the share of what a replica can do.
    Cpu(u32),
}

/// What whoever sets the count sees.
struct Seen {
    asked: u32,
    ready: u32,
    waiting: f64,
    demand: f64,
}

impl<'a> Ruler<'a> {
    /// The autoscaler on the target; where there is none the HPA that is usually written. `None`: it has a metric that
    /// cannot be played.
    pub fn autoscaler(day: &Day<'a>) -> Option<(String, Self)> {
        let (workload, state) = (&*day.question.workload, &day.question.state);
        if let Some(hpa) = &state.hpa {
            let target = hpa.metrics.first().and_then(|m| m.target.as_ref())?;
            let metric = match target {
                MetricTarget::AverageValue(q) => Metric::Waiting(q.milli()),
                MetricTarget::Utilization(percent) => Metric::Cpu(*percent),
                MetricTarget::Value(_) => return None,
            };
            let bounds = Bounds { min: hpa.min, max: hpa.max, behavior: hpa.behavior.clone() };
            let name = if hpa.keda { "KEDA" } else { "HPA" };
            return Some((name.to_owned(), Ruler::Hpa { bounds, metric }));
        }
        let target = if workload.entity.kind == WorkloadKind::Inference { WAITING } else { LAG };
        let limits = workload.limits;
        let bounds = Bounds { min: limits.min, max: limits.max, behavior: None };
        Some(("usual HPA".to_owned(), Ruler::Hpa { bounds, metric: Metric::Waiting(target * 1_000) }))
    }

    fn wants(&self, memory: &mut Autoscaler, day: &Day<'_>, at: Time, seen: &Seen) -> u32 {
        match self {
            Self::Steps(steps) => {
                steps.iter().take_while(|s| s.at <= at).last().map_or(seen.asked, |step| step.replicas)
            }
            Self::Hpa { bounds, metric } => {
                let controller = Controller::default();
                let milli = |value: f64| (value * 1_000.0).round() as i64; // saturates
                let count = seen.asked.max(1);
                let proposal = Ok(match metric {
                    Metric::Waiting(target) => {
                        average_value(milli(seen.waiting), (*target).max(1), count, controller.tolerance)
                    }
                    Metric::Cpu(percent) => {
                        let Capacity { per_replica, scaling, .. } = &day.question.capacity;
                        let able = per_replica * scaling.each(seen.ready) * f64::from(seen.ready.max(1));
                        let busy = if seen.waiting > seen.demand { 1.0 } else { (seen.demand / able).min(1.0) };
                        let all = milli(busy * 100.0 * f64::from(seen.ready.max(1)));
                        average_value(all, i64::from((*percent).max(1)) * 1_000, count, controller.tolerance)
                    }
                });
                memory.sync(at, seen.asked, &proposal, bounds, &controller).replicas
            }
        }
    }
}

/// What a day came to.
#[derive(Default)]
struct Came {
    pod_hours: f64,
    actions: u32,
    most: u32,
    slo_minutes: f64,
    severe: f64,
}

impl Came {
    fn hold(&mut self, asked: u32, before: u32) {
        self.pod_hours += f64::from(asked) * SLOT / 3_600.0;
        self.actions += u32::from(asked != before);
        self.most = self.most.max(asked);
    }
}

impl Day<'_> {
    /// Plays the day on the median, and on the p95 path for how late it gets. `None`: it was told to stop.
    pub fn play(
        &self,
        name: String,
        ruler: &Ruler<'_>,
        forecast: &Forecast,
        go_on: &dyn Fn() -> bool,
    ) -> Option<DayCourse> {
        let [usual, busy] = [(|q| q.p50) as fn(&Quantiles) -> f64, |q| q.p95].map(|of| {
            let demand = self.demand(forecast, of);
            match self.question.workload.entity.kind {
                WorkloadKind::ConsumerGroup => self.group(ruler, &demand, go_on),
                _ => Some(self.fluid(ruler, &demand)),
            }
        });
        let (usual, busy) = (usual?, busy?);
        let Price { pod_hour, slo_minute, action } = self.question.workload.price;
        Some(DayCourse {
            name,
            pod_hours: usual.pod_hours,
            slo_minutes: usual.slo_minutes,
            slo_minutes_high: busy.slo_minutes,
            actions: usual.actions,
            most: usual.most,
            price: usual.pod_hours * pod_hour + usual.severe * slo_minute + f64::from(usual.actions) * action,
        })
    }

    /// The demand in each slot of a day.
    fn demand(&self, forecast: &Forecast, of: fn(&Quantiles) -> f64) -> Vec<f64> {
        let points = &forecast.points;
        let at = |i: usize| {
            let t = self.question.now.plus((i as f64 + 0.5) * SLOT);
            let point = points.partition_point(|q| q.t <= t).min(points.len().saturating_sub(1));
            points.get(point).map_or(0.0, of).max(0.0)
        };
        (0..(AHEAD / SLOT) as usize).map(at).collect()
    }

    /// A consumer group: partitions, members that start up and rebalance, commits that trail the work.
    fn group(&self, ruler: &Ruler<'_>, demand: &[f64], go_on: &dyn Fn() -> bool) -> Option<Came> {
        let question = self.question;
        let found = Found { state: &question.state, capacity: &question.capacity, replicas: self.replicas };
        let second: Vec<f64> = demand.iter().flat_map(|d| std::iter::repeat_n(*d, SLOT as usize)).collect();
        let mut run = Run::of(found, &second, self.slo);
        let (mut memory, mut came, mut asked) = (Autoscaler::default(), Came::default(), self.replicas.desired);
        for (i, demand) in demand.iter().enumerate() {
            let seen = Seen { asked, ready: run.members().0, waiting: run.lag(), demand: *demand };
            let wanted = ruler.wants(&mut memory, self, self.question.now.plus(i as f64 * SLOT), &seen);
            if wanted != asked {
                run.scale(wanted);
            }
            came.hold(wanted, asked);
            asked = wanted;
            run.play((i + 1) * SLOT as usize, go_on)?;
        }
        let course = run.finish(go_on)?;
        Some(Came { slo_minutes: course.slo_minutes, severe: course.severe, ..came })
    }

    /// A service: requests wait while more come than its replicas hold.
    fn fluid(&self, ruler: &Ruler<'_>, demand: &[f64]) -> Came {
        let mut fluid = Fluid { asked: self.replicas.desired, ready: self.replicas.desired, ..Fluid::default() };
        let (mut memory, mut came) = (Autoscaler::default(), Came::default());
        for (i, demand) in demand.iter().enumerate() {
            let t = i as f64 * SLOT;
            let seen = Seen { asked: fluid.asked, ready: fluid.ready, waiting: fluid.waiting, demand: *demand };
            let wanted = ruler.wants(&mut memory, self, self.question.now.plus(t), &seen);
            came.hold(wanted, fluid.asked);
            fluid.ask(wanted, t + self.question.capacity.start_up);
            fluid.arrive(t);
            let able = self.holds(fluid.ready);
            fluid.waiting = (fluid.waiting + (demand - able) * SLOT).max(0.0);
            let late = if fluid.waiting > 0.0 { fluid.waiting / able.max(f64::MIN_POSITIVE) } else { 0.0 };
            if late > self.slo {
                came.slo_minutes += SLOT / 60.0;
                came.severe += SLOT / 60.0 * (late / self.slo).min(WORST);
            }
        }
        came
    }
}

/// Replicas of a service, and what waits before them.
#[derive(Default)]
struct Fluid {
    asked: u32,
    ready: u32,
    /// When those that start will be ready, and how many.
    starting: VecDeque<(f64, u32)>,
    waiting: f64,
}

impl Fluid {
    /// A count is asked for: what goes, goes at once, those that have not come yet first; what comes is ready later.
    fn ask(&mut self, wanted: u32, ready_at: f64) {
        if wanted > self.asked {
            self.starting.push_back((ready_at, wanted - self.asked));
        }
        let mut fewer = self.asked.saturating_sub(wanted);
        while let Some((_, n)) = self.starting.back_mut().filter(|_| fewer > 0) {
            let gone = fewer.min(*n);
            (*n, fewer) = (*n - gone, fewer - gone);
            if *n == 0 {
                self.starting.pop_back();
            }
        }
        self.ready = self.ready.saturating_sub(fewer);
        self.asked = wanted;
    }

    fn arrive(&mut self, t: f64) {
        while let Some((_, n)) = self.starting.front().copied().filter(|(at, _)| *at <= t) {
            self.ready += n;
            self.starting.pop_front();
        }
    }
}
