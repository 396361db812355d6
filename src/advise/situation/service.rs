//! Inference services: what the planner for services is asked, and what is said of it.

use super::{super::Signals, Input, Situation, may_shrink, per_second, profile::Profile, recent};
use crate::{
    capacity::{Limit, ServiceCapacity},
    model::{Role, Time, duration},
    policy::planner::{Plan, ServiceProblem, plan_service},
};

/// Seconds over which a growing pile of requests is looked at: what finishes is not all that arrives.
const PILE: f64 = 90.0;
/// What arrives is believed to be at most this many times what finishes.
const PILE_MOST: f64 = 3.0;
/// Seconds by which what every day has may come earlier or later: what finishes tells of what came some time before.
const EDGE: f64 = 60.0;

impl Situation {
    /// The plan of a service; what it rests on is added to the notes. `None` when nothing can be planned on.
    pub fn plan_service(&mut self, input: &Input<'_>, signals: &Signals, service: &ServiceCapacity) -> Option<Plan> {
        self.notes.extend(sentences(input, signals, service));
        let more = piling(signals, input.now);
        if more > 1.05 {
            let percent = (more - 1.0) * 100.0;
            self.notes.push(format!("requests pile up: {percent:.0} % more arrive than finish"));
        }
        let forecast = [&self.paths.p50, &self.paths.p80, &self.paths.p95];
        let raised = forecast.map(|p| p.iter().map(|v| v * more).collect::<Vec<f64>>());
        let step = self.paths.step;
        let [p50, p80, p95] = if self.shaped {
            raised.map(|path| widened(&path, step))
        } else if let Some(days) = Profile::of(input, step * self.paths.p50.len() as f64) {
            days.raise([&raised[0], &raised[1], &raised[2]], step)
        } else {
            raised
        };
        let highest = p80.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        if let Some((i, peak)) = highest.filter(|(_, peak)| **peak > 1.05 * self.peak.1) {
            self.peak = (i as f64 * self.paths.step, *peak);
            self.notes.push("the demand ahead is that of the days before: the forecast alone is lower".to_owned());
        }
        plan_service(&ServiceProblem {
            paths: [&p50, &p80, &p95],
            step: self.paths.step,
            bursts: self.bursts.as_ref().filter(|_| self.shaped),
            waiting: self.waiting.unwrap_or(0.0),
            current: self.current,
            ready: self.ready,
            in_flight: &self.recent.in_flight,
            start_up: service.capacity.start_up,
            since_up: self.recent.since_up,
            may_shrink: may_shrink(input),
            limits: self.limits,
            rate: self.capacity.per_replica,
            most: service.most.max(self.capacity.per_replica),
            slo: self.slo,
            price: input.workload.price,
        })
    }
}

/// The highest within [`EDGE`] of each value: a rise is taken as early as it may come, a fall as late.
fn widened(path: &[f64], step: f64) -> Vec<f64> {
    let steps = (EDGE / step.max(1e-3)) as usize;
    let around = |i: usize| &path[i.saturating_sub(steps)..(i + steps + 1).min(path.len())];
    (0..path.len()).map(|i| around(i).iter().copied().fold(0.0, f64::max)).collect()
}

/// What arrives over what finishes, by how the pile grew lately; 1 where it did not.
fn piling(signals: &Signals, now: Time) -> f64 {
    let track = signals.track(Role::Backlog);
    let newest: Vec<(Time, f64)> = (0..track.values.len())
        .rev()
        .map_while(|i| (now.since(track.at(i)) <= PILE).then(|| (track.at(i), track.values[i])))
        .filter_map(|(at, v)| Some((at, v?)))
        .collect();
    let (Some((t1, last)), Some((t0, first))) = (newest.first(), newest.last()) else { return 1.0 };
    let seconds = t1.since(*t0);
    let Some(flow) = recent(signals, Role::Throughput, now).filter(|f| *f > 0.0 && seconds > 0.0) else { return 1.0 };
    (1.0 + (last - first) / seconds / flow).clamp(1.0, PILE_MOST)
}

/// Which objective a replica breaks first, and how near the one for tokens is.
fn sentences(input: &Input<'_>, signals: &Signals, service: &ServiceCapacity) -> Vec<String> {
    let slo = &input.workload.slo;
    let rate = per_second(service.capacity.per_replica);
    let mut out = Vec::new();
    match (service.limit, slo.inter_token_p95) {
        (Limit::InterToken, Some(limit)) => {
            out.push(format!("at {rate} a replica's tokens come {} apart (p95): that is its limit", duration(limit)));
        }
        (Limit::FirstToken, _) => out.push(format!("beyond {rate} a replica's batch is full and requests wait")),
        _ => {}
    }
    if let (Some(now), Some(limit)) = (recent(signals, Role::InterToken, input.now), slo.inter_token_p95) {
        out.push(format!("tokens come {} apart; the objective is {}", duration(now), duration(limit)));
    }
    out
}
