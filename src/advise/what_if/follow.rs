//! The planner followed: asked a minute after an event and each minute from then on, within the guards that an approval
//! is under at that time. What is asked for when nothing happens is first what is on screen.

use super::{Course, DECIDED, Event, OBJECTIVE, Question, Run};
use crate::{
    advise::{cheapest_between, shares},
    guard,
    model::{Quantiles, Replicas, Role, Time, WorkloadState},
    policy::planner::{self, Bursts, Plan, Problem, Work},
};

/// Seconds between two times that the planner is asked.
const ANEW: usize = 60;

impl Question {
    /// The count that is asked for first, and what comes of all that is asked for; no course: nothing would be changed.
    /// `None`: it was told to stop.
    pub(super) fn follow(
        &self,
        event: &Event,
        mut run: Run,
        go_on: &dyn Fn() -> bool,
    ) -> Option<(u32, Option<Course>)> {
        let mut state = WorkloadState::clone(&self.view.state);
        let (mut count, mut first, mut is_changed) = (self.replicas.desired, None, false);
        for second in (DECIDED as usize..run.seconds()).step_by(ANEW) {
            run.play(second, go_on)?;
            if !go_on() {
                return None;
            }
            let now = self.now.plus(second as f64);
            state.rebalancing = run.members().2;
            let shown = self.view.advice.recommendation.as_ref().ok().map(|r| r.recommended);
            let next = if let Some(shown) = shown.filter(|_| first.is_none() && *event == Event::Nothing) {
                self.allowed(&state, shown, None, now)
            } else {
                let plan = self.plan(&run, &state, now);
                plan.map_or(count, |plan| self.allowed(&state, plan.replicas, Some(&plan), now))
            };
            first = first.or(Some(next));
            if next != count {
                run.scale(next);
                state.last_change = Some((now, count));
                state.replicas = state.replicas.map(|r| Replicas { desired: next, ..r });
                state.partition_owners.clear(); // they are dealt out anew
                (count, is_changed) = (next, true);
            }
        }
        let first = first.unwrap_or(count);
        Some((first, if is_changed { Some(run.finish(go_on)?) } else { None }))
    }

    /// What the guards leave of a count: the present one where they hold it back.
    fn allowed(&self, state: &WorkloadState, wanted: u32, plan: Option<&Plan>, now: Time) -> u32 {
        let current = state.replicas.as_ref().map_or(self.replicas.desired, |r| r.desired);
        let judge = |wanted| guard::judge(&guard::Case { workload: &self.view.workload, state, wanted, now });
        let mut judged = judge(wanted);
        if judged.recommended != wanted {
            let reachable = plan.and_then(|plan| cheapest_between(plan, current, judged.recommended));
            judged = judge(reachable.unwrap_or(judged.recommended));
        }
        if judged.blocked.is_empty() { judged.recommended } else { current }
    }

    /// What the planner would ask for in the state that a run is in.
    fn plan(&self, run: &Run, state: &WorkloadState, now: Time) -> Option<Plan> {
        let (workload, current) = (&self.view.workload, state.replicas.as_ref()?.desired);
        let forecast = self.view.advice.forecast.as_ref();
        let ahead = |of: fn(&Quantiles) -> f64| -> Vec<f64> {
            let points = forecast.map_or(&[][..], |f| &f.points);
            let later = points.iter().filter(|q| q.t > now);
            later.map(|q| of(q) * run.factor(q.t.since(self.now))).collect()
        };
        let (middle, demand, high) = (ahead(|q| q.p50), ahead(|q| q.p80), ahead(|q| q.p95));
        let (demand, step) = if demand.is_empty() { (run.rest(), 1.0) } else { (&demand[..], forecast?.step) };
        let track = self.view.signal(Role::Demand).map(|s| s.track.grid());
        let bursts = track.and_then(|t| Bursts::of(&t, self.now));
        let (ready, starting, rebalancing) = run.members();
        let since = state.last_change.map(|(at, from)| (now.since(at).max(0.0), from));
        // Those that start were asked for at the last change, or are there in place of one that died at the event.
        let gone = since.map_or(f64::INFINITY, |(seconds, _)| seconds).min(now.since(self.now));
        let in_flight = vec![(self.capacity.start_up - gone).max(5.0); starting];
        let problem = Problem {
            work: Work::Log { shares: shares(state), waits: Vec::new() },
            demand,
            middle: &middle,
            high: &high,
            bursts: bursts.as_ref(),
            step,
            backlog: run.backlog(),
            current,
            ready,
            in_flight: &in_flight,
            pausing: if rebalancing { self.capacity.rebalance / 2.0 } else { 0.0 },
            since_up: since.filter(|(_, from)| *from < current).map(|(seconds, _)| seconds),
            may_shrink: true,
            owners: &state.partition_owners,
            sticky: state.sticky == Some(true),
            limits: workload.limits,
            capacity: &self.capacity,
            slo: workload.slo.time_lag.unwrap_or(OBJECTIVE),
            price: workload.price,
        };
        planner::plan(&problem)
    }
}
