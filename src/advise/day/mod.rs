//! A whole day ahead: when to have how many replicas, for an approver to look at before going home. Pure.
//!
//! The forecast of the day (its quantiles from the days before) is planned for in slots of five minutes: a backward
//! programme over the counts that are worth having, on the p80 path, in the very prices that every other advice is made
//! with. What comes of it is then played in steps of fifteen seconds on the median and on the p95 path, beside keeping
//! the present count and beside the autoscaler that is there ([`course`]). Nobody approves a day as a whole: each step
//! comes up for approval at its time, planned anew with what is known by then.

mod course;

use super::{HOLDING, holds, situation};
use crate::{
    forecast, guard,
    history::History,
    model::{
        Advice, Capacity, DayCourse, DayPlan, Forecast, Grid, PlanStep, Price, Replicas, Role, SignalKey, Time,
        Workload, WorkloadKind, WorkloadState, duration, si,
    },
    policy::planner,
};
use course::Ruler;
use std::sync::Arc;

/// Seconds that are looked ahead, and the step of the plan.
const AHEAD: f64 = 86_400.0;
const STEP: f64 = 300.0;
/// Two steps that are less apart are one.
const MINUTE: f64 = 60.0;
/// Seconds between two looks of whoever sets the count when the day is played: the HPA controller's period.
const SLOT: f64 = 15.0;
/// Seconds of demand that the forecast is made from at most, and at least: a day is only known from days before.
const BACK: f64 = 8.0 * 86_400.0;
const LEAST: f64 = 2.0 * 86_400.0;
/// Counts are looked at up to the first that can do this many times the highest p95, and so many of them at most.
const ROOM: f64 = 1.3;
const COUNTS: u32 = 128;
/// Shares of what a count can do that the day is planned with, one after the other, and the minutes over the objective
/// with which a day is good enough.
const MARGINS: [f64; 4] = [1.0, 0.85, 0.7, 0.55];
const IN_TIME: f64 = 5.0;
/// What a replica does has changed when it differs by more than this share.
const OTHERS: f64 = 0.1;
/// A minute over the objective counts at most this many times.
const WORST: f64 = 10.0;

/// What a day's plan is made from. It is put together where the history is, and answered elsewhere: up to seconds of work.
#[derive(Clone, Debug)]
pub struct Question {
    workload: Arc<Workload>,
    state: WorkloadState,
    capacity: Capacity,
    /// What is recommended now: what the plan begins with.
    recommended: Option<u32>,
    demand: Grid,
    now: Time,
}

/// Why no day of a workload is planned now: its kind, nobody configured it, partial or old data, an unknown capacity.
/// `None`: a [`Question`] of it can be asked.
pub fn none_because(workload: &Workload, state: &WorkloadState, capacity: Option<&Capacity>) -> Option<String> {
    let held = || {
        let judged = guard::judge(&guard::Case { workload, state, wanted: 0, now: state.at });
        judged.blocked.into_iter().find(|b| HOLDING.contains(&b.guard)).map(|b| b.detail)
    };
    let unknown = || capacity.is_none().then(|| "what a replica can do is not known yet".to_owned());
    let found =
        || (!workload.configured).then(|| "a day is planned for workloads of the configuration only".to_owned());
    of_kind(workload.entity.kind).err().or_else(found).or_else(held).or_else(unknown)
}

fn of_kind(kind: WorkloadKind) -> Result<(), String> {
    match kind {
        WorkloadKind::ConsumerGroup | WorkloadKind::Inference => Ok(()),
        _ => Err(format!("a day is planned for consumer groups and services; this is {}", kind.name())),
    }
}

/// Whether a plan began with another count than there is now, with other advice, or with replicas that do clearly more or
/// less than is known now.
pub fn is_overtaken(plan: &DayPlan, state: &WorkloadState, advice: &Advice) -> bool {
    let (then, now) = (plan.capacity.as_planned(), advice.capacity.as_ref().map(Capacity::as_planned));
    let others = now.is_some_and(|now| (now - then).abs() > OTHERS * then);
    let count = plan.steps.first().map(|s| s.replicas);
    let first = plan.steps.iter().take_while(|s| s.at <= plan.at).last().map(|s| s.replicas);
    let recommended = advice.recommendation.as_ref().ok().map(|r| r.recommended);
    let moved = state.replicas.as_ref().is_some_and(|r| Some(r.desired) != count);
    others || moved || (recommended.is_some() && recommended != first)
}

/// A day with what is known of it.
struct Day<'a> {
    question: &'a Question,
    replicas: &'a Replicas,
    /// The objective, seconds.
    slo: f64,
}

impl Question {
    /// Asks for the plan of a workload's next 24 hours, which begins with what is recommended now; nothing after `now` is
    /// looked at.
    pub fn of(
        workload: &Arc<Workload>,
        state: &WorkloadState,
        capacity: &Capacity,
        recommended: Option<u32>,
        history: &History,
        now: Time,
    ) -> Self {
        let key = SignalKey { entity: workload.entity.clone(), role: Role::Demand };
        let end = now.floor_to(STEP);
        let demand = history.grid(&key, end.plus(-BACK), end, STEP);
        let (workload, state, capacity) = (workload.clone(), state.clone(), capacity.clone());
        Self { workload, state, capacity, recommended, demand, now }
    }

    /// When it was asked: what a plan of it is dated.
    pub fn at(&self) -> Time {
        self.now
    }

    /// Whose day it is.
    pub fn workload(&self) -> &Arc<Workload> {
        &self.workload
    }

    /// The plan; the error is a sentence that says what is missing. `go_on` is asked now and then; `None` when it said
    /// no.
    pub fn answer(&self, go_on: &dyn Fn() -> bool) -> Option<Result<DayPlan, String>> {
        let known = self.known();
        let (replicas, forecast) = match known {
            Ok(known) => known,
            Err(why) => return Some(Err(why)),
        };
        let mut basis = Vec::new();
        let slo = situation::objective(&self.workload, &mut basis);
        let day = Day { question: self, replicas, slo };
        let counts = counts(&day, &forecast);
        let (steps, plan) = best(&day, &counts, &forecast, go_on)?;
        let courses = courses(&day, &forecast, &steps, plan, go_on)?;
        basis.extend(self.words(&forecast));
        let capacity = self.capacity.clone();
        Some(Ok(DayPlan { at: self.now, forecast, capacity, steps, courses, basis }))
    }

    fn known(&self) -> Result<(&Replicas, Forecast), String> {
        of_kind(self.workload.entity.kind)?;
        let replicas = self.state.replicas.as_ref().ok_or("how many replicas there are is not known")?;
        Ok((replicas, self.look_ahead()?))
    }

    /// The demand of the next day; it takes two days that were seen.
    fn look_ahead(&self) -> Result<Forecast, String> {
        let grid = &self.demand;
        let first = grid.values.iter().position(Option::is_some);
        let seen = first.map_or(0.0, |i| grid.end().since(grid.at(i)));
        if seen < LEAST {
            let (needed, seen) = (duration(LEAST), duration(seen));
            return Err(format!("a day is known from days before: {needed} of demand are needed, {seen} were seen"));
        }
        // Made with whole slots, told from now on.
        let forecast = forecast::forecast(grid, grid.end().plus(-STEP), AHEAD + 2.0 * STEP)?;
        let points = forecast.points.iter().copied().filter(|q| q.t > self.now).collect();
        Ok(Forecast { at: self.now, points, ..forecast })
    }

    fn words(&self, forecast: &Forecast) -> Vec<String> {
        let capacity = &self.capacity;
        let bound = if capacity.is_lower_bound() { " or more: never seen at its limit" } else { "" };
        let mut basis = vec![format!(
            "planned for the p80 path, played on the median and, if busy, on the p95 with the same steps, which an autoscaler has not; a replica does {}/s{bound}, is ready in {}",
            si(capacity.per_replica),
            duration(capacity.start_up)
        )];
        basis.extend(forecast.warnings.iter().cloned());
        basis
    }
}

/// Counts up to what the busiest hour could need, and up to the present one. Those between useful ones are steps on the
/// way.
fn counts(day: &Day<'_>, forecast: &Forecast) -> Vec<u32> {
    let limits = day.question.workload.limits;
    let peak = forecast.points.iter().map(|q| q.p95).fold(0.0, f64::max);
    let enough = (limits.min..=limits.max).find(|n| day.holds(*n) > ROOM * peak).unwrap_or(limits.max);
    let top = enough.max(day.replicas.desired.min(limits.max));
    let apart = (top.saturating_sub(limits.min) / COUNTS + 1) as usize;
    let known = [enough, top, day.replicas.desired, day.recommended()];
    let mut counts: Vec<u32> = (limits.min..=top).step_by(apart).chain(known).collect();
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// The steps that cost least when they are played. The programme knows neither what waits nor how partitions are dealt
/// out: where its day gets late, it is asked again with less of what a count can do.
fn best(
    day: &Day<'_>,
    counts: &[u32],
    forecast: &Forecast,
    go_on: &dyn Fn() -> bool,
) -> Option<(Vec<PlanStep>, DayCourse)> {
    let mut best: Option<(Vec<PlanStep>, DayCourse)> = None;
    for margin in MARGINS {
        let steps = Programme { day, counts, margin }.steps(forecast);
        let course = day.play("plan".to_owned(), &Ruler::Steps(&steps), forecast, go_on)?;
        let in_time = course.slo_minutes <= IN_TIME;
        if best.as_ref().is_none_or(|(_, found)| course.price < found.price) {
            best = Some((steps, course));
        }
        if in_time {
            break;
        }
    }
    best
}

/// A backward programme over slots and counts. What waits is not in its state: a slot that cannot hold its demand is
/// priced by how late it would be at its end.
struct Programme<'a> {
    day: &'a Day<'a>,
    counts: &'a [u32],
    /// Share of what a count can do that is planned with.
    margin: f64,
}

impl Programme<'_> {
    fn steps(&self, forecast: &Forecast) -> Vec<PlanStep> {
        let day = self.day;
        let able: Vec<f64> = self.counts.iter().map(|n| self.margin * day.holds(*n)).collect();
        // A present count beyond the limits is left at once, and never asked for again.
        let limits = day.question.workload.limits;
        let within = |n: u32| (limits.min..=limits.max).contains(&n);
        let allowed = |from: u32, to: u32| {
            let (least, most) = guard::steps(&day.question.workload, &day.question.state, from);
            from == to || (within(to) && (least..=most).contains(&to))
        };
        // The price from each slot on, by count, and the count to go on with.
        let mut ahead = vec![0.0; self.counts.len()];
        let mut best: Vec<Vec<usize>> = Vec::with_capacity(forecast.points.len());
        for q in forecast.points.iter().rev() {
            let slot: Vec<f64> = self
                .counts
                .iter()
                .zip(&able)
                .zip(&ahead)
                .map(|((n, able), ahead)| self.slot(*n, *able, q.p80) + ahead)
                .collect();
            let choose = |from: usize| {
                let options = (0..self.counts.len()).filter(|to| allowed(self.counts[from], self.counts[*to]));
                let price = |to: usize| slot[to] + self.change(self.counts[from], self.counts[to]);
                options.min_by(|a, b| price(*a).total_cmp(&price(*b))).map_or((from, slot[from]), |to| (to, price(to)))
            };
            let chosen: Vec<(usize, f64)> = (0..self.counts.len()).map(choose).collect();
            ahead = chosen.iter().map(|(_, price)| *price).collect();
            best.push(chosen.into_iter().map(|(to, _)| to).collect());
        }
        self.forward(forecast, &best)
    }

    /// The steps of the best way, from the present count on; `best` is the count to go on with from each, the last slot
    /// first. Nothing is taken back as soon after an addition as the planner would not take it back.
    fn forward(&self, forecast: &Forecast, best: &[Vec<usize>]) -> Vec<PlanStep> {
        let (day, now) = (self.day, self.day.question.now);
        let place = |n: u32| self.counts.iter().position(|c| *c == n).unwrap_or(0);
        let (mut at, recommended) = (place(day.replicas.desired), place(day.recommended()));
        let mut steps = vec![PlanStep { at: now, replicas: day.replicas.desired }];
        let mut last_up: Option<Time> = None;
        for (q, next) in forecast.points.iter().zip(best.iter().rev()) {
            let begins = q.t.plus(-STEP);
            // What is added must be there when its slot begins. What cannot be there by then is the recommendation's.
            let is_now = begins.since(now) <= day.lead();
            let to = if is_now && day.question.recommended.is_some() { recommended } else { next[at] };
            if to > at {
                let asked = begins.plus(-day.lead()).max(now);
                last_up = Some(asked);
                self.add(&mut steps, PlanStep { at: asked, replicas: self.counts[to] });
                at = to;
            } else if to < at && last_up.is_none_or(|up| begins.since(up) > planner::SETTLE) {
                self.add(&mut steps, PlanStep { at: begins, replicas: self.counts[to] });
                at = to;
            }
        }
        steps
    }

    /// One more step: two within a minute are one where the guards allow that, else a minute apart.
    fn add(&self, steps: &mut Vec<PlanStep>, next: PlanStep) {
        // The present count is no step, and what is recommended now stays as it is.
        let [.., before, last] = steps[..] else { return steps.push(next) };
        if next.at.since(last.at) >= MINUTE {
            return steps.push(next);
        }
        let (least, most) = guard::steps(&self.day.question.workload, &self.day.question.state, before.replicas);
        if last.at <= self.day.question.now || !(least..=most).contains(&next.replicas) {
            return steps.push(PlanStep { at: last.at.plus(MINUTE), ..next });
        }
        steps.pop();
        if next.replicas != before.replicas {
            steps.push(PlanStep { at: last.at, ..next });
        }
    }

    /// Five minutes of a count.
    fn slot(&self, n: u32, able: f64, demand: f64) -> f64 {
        let Price { pod_hour, slo_minute, .. } = self.day.question.workload.price;
        let pods = f64::from(n) * STEP / 3_600.0 * pod_hour;
        let over = (demand - able).max(0.0);
        if over <= 0.0 {
            return pods;
        }
        // A slot that is late for a part of its length counts for that part.
        let late = over * STEP / demand.max(f64::MIN_POSITIVE) / self.day.slo;
        pods + slo_minute * STEP / 60.0 * late.clamp(0.1, WORST)
    }

    /// A change of the count: itself, the pods that start meanwhile, and work that stands still.
    fn change(&self, from: u32, to: u32) -> f64 {
        if from == to {
            return 0.0;
        }
        let (day, Price { pod_hour, slo_minute, action }) = (self.day, self.day.question.workload.price);
        let starting = f64::from(to.saturating_sub(from)) * day.question.capacity.start_up / 3_600.0 * pod_hour;
        let pause = day.pause(from, to);
        let late = if pause > day.slo { pause / 60.0 * (pause / day.slo).min(WORST) } else { 0.0 };
        action + starting + late * slo_minute
    }
}

/// The plan as it was played, keeping the present count, and the autoscaler that is there (else the HPA that is usually
/// written).
fn courses(
    day: &Day<'_>,
    forecast: &Forecast,
    steps: &[PlanStep],
    plan: DayCourse,
    go_on: &dyn Fn() -> bool,
) -> Option<Vec<DayCourse>> {
    let mut courses = vec![plan];
    let keep = (format!("keep {}", day.replicas.desired), Ruler::Steps(&steps[..1]));
    for (name, ruler) in std::iter::once(keep).chain(Ruler::autoscaler(day)) {
        courses.push(day.play(name, &ruler, forecast, go_on)?);
    }
    Some(courses)
}

impl Day<'_> {
    /// The count that is recommended now, else the present one.
    fn recommended(&self) -> u32 {
        self.question.recommended.unwrap_or(self.replicas.desired)
    }

    /// What a count is planned with, per second.
    fn holds(&self, n: u32) -> f64 {
        let Question { workload, state, capacity, .. } = self.question;
        holds(workload.entity.kind, state, capacity, n)
    }

    /// Seconds before a slot at which what it adds must be asked for.
    fn lead(&self) -> f64 {
        self.question.capacity.start_up + self.question.capacity.rebalance
    }

    /// Seconds for which a change stops the work, all of it together.
    fn pause(&self, from: u32, to: u32) -> f64 {
        let capacity = &self.question.capacity;
        let all = if to > from { capacity.standstill(to - from) } else { capacity.rebalance_down };
        let share = if self.question.state.sticky == Some(true) {
            f64::from(from.abs_diff(to)) / f64::from(from.max(to).max(1))
        } else {
            1.0
        };
        all * share
    }
}

#[cfg(test)]
mod tests;
