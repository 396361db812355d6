//! The planner for queues of jobs that must be done in time: the fewest workers that keep every deadline, and no more
//! changes than pay.
//!
//! Work is work: n workers for an hour cost what one costs for n hours, as long as they are busy. So the cheapest count
//! is the lowest that finishes what waits before the first deadline breaks (earliest deadline first, so the counts that
//! the deadlines ask for one after the other), and what is above it is idle time at the end. A job cannot be interrupted,
//! and a gang needs all its workers at once: the last start that keeps a deadline is one run before it, and a count below
//! the largest gang runs nothing of it.

use super::{Plan, SETTLE};
use crate::model::{Alternative, Limits, Price, duration};

/// Share of the time to a deadline that is planned with: runs differ.
const DERATE: f64 = 0.8;
/// Counts looked at, at most.
const COUNTS: u32 = 512;
/// A minute over a deadline is priced at most this many times.
const WORST: f64 = 10.0;

/// Jobs that wait, of about the same age.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiting {
    /// Seconds until they must be done; negative: over, and only how long they still take is priced.
    pub due: f64,
    /// Worker-seconds that they take together.
    pub work: f64,
}

/// One planning problem. Seconds; work in worker-seconds.
#[derive(Clone, Debug)]
pub struct QueueProblem<'a> {
    /// What waits.
    pub waiting: &'a [Waiting],
    /// What is expected to come, worker-seconds per second; it must be done `within` of its coming.
    pub arriving: f64,
    /// Seconds that a new job may take.
    pub within: f64,
    /// Seconds that a job runs, on the long side (p90).
    pub run: f64,
    /// Workers that a job needs at once, at most.
    pub gang: u32,
    /// Workers asked for, ready, and busy with jobs that cannot be interrupted.
    pub current: u32,
    /// See `current`.
    pub ready: u32,
    /// See `current`.
    pub busy: u32,
    /// Worker-seconds that the running jobs still take.
    pub running: f64,
    /// Seconds from asking to ready.
    pub start_up: f64,
    /// Seconds since the count was last raised; `None`: longer ago than matters.
    pub since_up: Option<f64>,
    /// Bounds.
    pub limits: Limits,
    /// Prices.
    pub price: Price,
}

/// A plan with its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuePlan {
    /// The count, and what the others would have cost.
    pub plan: Plan,
    /// Why, in a sentence.
    pub reason: String,
}

/// Plans; `None` when nothing waits, runs or comes and there is nothing to plan for but the lowest count, or when the
/// numbers are not finite.
///
/// The count is within the limits, never below what is busy (those jobs would be lost) unless the limit is.
pub fn plan_queue(problem: &QueueProblem<'_>) -> Option<QueuePlan> {
    let numbers = [problem.arriving, problem.within, problem.run, problem.running, problem.start_up];
    let sane = numbers.iter().all(|v| v.is_finite() && *v >= 0.0)
        && problem.waiting.iter().all(|w| w.due.is_finite() && w.work.is_finite() && w.work >= 0.0);
    if !sane {
        return None;
    }
    let mut jobs = problem.waiting.to_vec();
    jobs.sort_by(|a, b| a.due.total_cmp(&b.due));
    let Limits { min, max } = problem.limits;
    let max = max.max(min);
    let current = problem.current;
    let apart = ((max - min) / COUNTS + 1) as usize;
    let mut counts: Vec<u32> = (min..=max).step_by(apart).collect();
    counts.extend([max, current]);
    counts.sort_unstable();
    counts.dedup();
    let alternatives: Vec<Alternative> = counts.iter().map(|n| priced(problem, &jobs, *n)).collect();
    let settled = problem.since_up.is_none_or(|s| s > SETTLE);
    // What runs is not interrupted: fewer than are busy cannot be had yet, and are not asked for.
    let may = |n: u32| (min..=max).contains(&n) && (n >= current.min(max) || (settled && n >= problem.busy.min(max)));
    let best = alternatives.iter().filter(|a| may(a.replicas)).min_by(|a, b| {
        let moves = |x: &Alternative| x.replicas != current;
        a.price.total_cmp(&b.price).then(moves(a).cmp(&moves(b))).then(a.replicas.cmp(&b.replicas))
    });
    let replicas = best.map_or_else(|| current.max(min).min(max), |a| a.replicas);
    let reason = reason(problem, &jobs, replicas);
    let plan =
        Plan { replicas, steps: vec![(0.0, replicas)], alternatives, held_by_p95: None, hot: None, crowded: None };
    Some(QueuePlan { plan, reason })
}

/// What a count costs until all that waits now is done, and how long it is over deadlines.
fn priced(problem: &QueueProblem<'_>, jobs: &[Waiting], n: u32) -> Alternative {
    let p = problem;
    let gang = f64::from(p.gang.max(1));
    // While a gang gathers, those that came first stand idle: half of it on average.
    let useful = if f64::from(n) >= gang { f64::from(n) - (gang - 1.0) / 2.0 } else { 0.0 };
    let from_start = f64::from(n.min(p.ready));
    // Those that are ready work at once, the others after a start-up.
    let early = from_start.min(useful) * p.start_up;
    let begins = |before: f64| match before {
        _ if useful <= 0.0 => f64::MAX,
        work if work < early || work <= 0.0 && from_start >= gang => work / from_start.max(1.0),
        work => p.start_up + (work - early) / useful,
    };
    let mut done_work = p.running;
    let (mut minutes, mut severe) = (0.0, 0.0);
    // What comes later is due later: it does not hold up what waits.
    for job in jobs.iter().filter(|job| job.work > 0.0) {
        done_work += job.work;
        // The last one begins when the work before it is done, and then still has to run.
        let finish = begins(done_work - job.work.min(p.run * gang)) + p.run;
        // Of a job whose deadline is over only what is still to come can be helped, by any count.
        let late = (finish - (job.due * DERATE).max(0.0)).clamp(0.0, 86_400.0);
        if late > minutes * 60.0 {
            minutes = late / 60.0;
            severe = late / 60.0 * (1.0 + late / p.within.max(60.0)).min(WORST);
        }
    }
    // What comes can wait until it is there, unless that leaves no time to start workers for it.
    if p.arriving > useful && p.within < 2.0 * (p.start_up + p.run) {
        let behind = (p.arriving - useful) / p.arriving.max(1e-9) * p.within / 60.0;
        minutes += behind;
        severe += behind;
    }
    let work = p.running + jobs.iter().map(|j| j.work).sum::<f64>();
    let added = f64::from(n.saturating_sub(p.current)) * p.start_up;
    // Idle workers are paid for until the next look that may take them back, ten minutes at least after an addition.
    let spare = (f64::from(n) * SETTLE - work).max(0.0);
    let action = if n == p.current { 0.0 } else { p.price.action };
    let price = (work + added + spare) / 3600.0 * p.price.pod_hour + severe * p.price.slo_minute + action;
    Alternative { replicas: n, price, slo_minutes: minutes }
}

fn reason(problem: &QueueProblem<'_>, jobs: &[Waiting], n: u32) -> String {
    let hours = (problem.running + jobs.iter().map(|j| j.work).sum::<f64>()) / 3600.0;
    let Some(first) = jobs.iter().find(|j| j.work > 0.0) else {
        return format!("nothing waits; {} of {} workers are busy", problem.busy, problem.ready);
    };
    let due = if first.due >= 0.0 {
        format!("the first is due in {}", duration(first.due))
    } else {
        format!("the first is {} over its deadline", duration(-first.due))
    };
    format!(
        "{hours:.1} worker-hours are left and {due}: {n} workers, {} to start, runs of {}",
        duration(problem.start_up),
        duration(problem.run)
    )
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
