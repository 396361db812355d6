//! Queues of jobs: what they showed of their jobs, and the plan that keeps their deadlines.
//!
//! A queue tells how many jobs wait and how many run, no more. Jobs that came, began and ended are read off the changes
//! of the two: the fewest that explain them. How many replicas a job takes shows while others wait: all are taken then.

use super::{super::Signals, Input, Recent, recent};
use crate::{
    capacity,
    model::{Capacity, Grid, Limits, Replicas, Role, Time, duration, si},
    policy::planner::{Plan, QueueProblem, Waiting, plan_queue},
};

/// Seconds that a job is taken to run when none was seen to end and nobody said so.
const RUN: f64 = 1_800.0;
/// A long run (p90) over the mean one: log-normal with a standard deviation of 0.6.
const LONG: f64 = 1.8;
/// Jobs that must have ended for their mean run to be believed.
const ENDED: f64 = 3.0;
/// Looks further apart than this leave room for jobs that came and ended between them.
const APART: f64 = 120.0;
/// Looks while jobs wait that tell how many replicas a job takes.
const TAKEN: u32 = 20;
/// Seconds from asking for a worker to it being ready, before that was seen: a node is started, an image is pulled.
const START_UP: f64 = 240.0;
/// Seconds that a job may take when no objective is configured.
const WITHIN: f64 = 3_600.0;
const DAY: f64 = 86_400.0;
/// KEDA's default `queueLength` and `listLength`: jobs that wait, per replica.
const KEDA_LENGTH: f64 = 5.0;

/// What a queue showed.
#[derive(Clone, Debug, Default, PartialEq)]
struct Jobs {
    waiting: f64,
    running: f64,
    /// When they came and how many, oldest first; and when the first look was.
    came: Vec<(Time, f64)>,
    since: Option<Time>,
    ended: f64,
    /// Seconds that they ran, all together.
    ran: f64,
    /// Looks at replicas while jobs waited, the replicas that were ready then and the jobs that ran on them.
    taken: (u32, f64, f64),
}

impl Jobs {
    fn of([waiting, running, ready]: [&Grid; 3], now: Time) -> Self {
        let mut jobs = Self::default();
        let mut before: Option<(Time, f64, f64)> = None;
        for i in 0..waiting.values.len().min(running.values.len()) {
            let at = waiting.at(i);
            let known = |grid: &Grid| grid.values.get(i).copied().flatten().filter(|v| v.is_finite() && *v >= 0.0);
            let (Some(waits), true) = (known(waiting), at <= now) else { continue };
            // A queue that does not say what runs still tells what waits.
            let runs = known(running).unwrap_or(0.0);
            jobs.since.get_or_insert(at);
            if let Some((then, waited, ran)) = before {
                let apart = at.since(then);
                let began = (waited - waits).max(runs - ran).max(0.0);
                let came = waits - waited + began;
                if came > 0.0 {
                    jobs.came.push((then.plus(apart / 2.0), came)); // some time between the looks
                }
                if apart <= APART {
                    jobs.ended += began - (runs - ran);
                    jobs.ran += runs * apart;
                }
            }
            if let Some(ready) = known(ready).filter(|_| waits > 0.0 && runs > 0.0) {
                let (looks, held, ran) = jobs.taken;
                jobs.taken = (looks + 1, held + ready, ran + runs);
            }
            before = Some((at, waits, runs));
            (jobs.waiting, jobs.running) = (waits, runs);
        }
        jobs
    }

    /// Replicas that a job takes on average, where one takes `most` at most: that many where it was not seen.
    fn takes(&self, most: f64) -> f64 {
        let (looks, held, ran) = self.taken;
        if looks >= TAKEN { (held / ran).clamp(1.0, most.max(1.0)) } else { most }
    }

    /// Seconds that a job runs on average; `None`: too few were seen to end.
    fn run(&self) -> Option<f64> {
        (self.ended >= ENDED && self.ran > 0.0).then(|| self.ran / self.ended)
    }

    /// Jobs per second in the last `seconds`.
    fn arriving(&self, now: Time, seconds: f64) -> f64 {
        let span = self.since.map_or(0.0, |at| now.since(at)).min(seconds);
        let came: f64 = self.came.iter().filter(|(at, _)| now.since(*at) <= seconds).map(|(_, n)| n).sum();
        if span > 0.0 { came / span.max(WITHIN) } else { 0.0 }
    }

    /// Those that wait, by when they came: the newest that came are taken to wait. Of those that were there before the
    /// first look it is only known that they are older.
    fn ages(&self, now: Time) -> Vec<(Time, f64)> {
        let mut left = self.waiting;
        let mut ages = Vec::new();
        for (at, came) in self.came.iter().rev() {
            if left <= 0.0 {
                break;
            }
            ages.push((*at, came.min(left)));
            left -= came;
        }
        if left > 0.0 {
            ages.push((self.since.unwrap_or(now), left));
        }
        ages
    }
}

/// A plan for a queue, with the words that belong to it.
pub(in crate::advise) struct QueueAdvice {
    pub plan: Plan,
    pub reasons: Vec<String>,
    /// What a rule on the queue's length would say.
    pub keda: u32,
}

/// Plans for a queue. The error says what is missing.
pub(in crate::advise) fn plan(
    input: &Input<'_>,
    signals: &Signals,
    replicas: &Replicas,
) -> Result<QueueAdvice, String> {
    let now = input.now;
    recent(signals, Role::Queue, now)
        .ok_or("what waits in the queue is not known: no metric pack or signals.queue tells it")?;
    let jobs = Jobs::of([Role::Queue, Role::Running, Role::Replicas].map(|role| signals.track(role)), now);
    let mut notes = Vec::new();
    let shape = input.workload.shape;
    let run = run(&jobs, shape.run, &mut notes);
    let takes = jobs.takes(f64::from(shape.gang));
    if takes < 0.95 * f64::from(shape.gang) {
        notes.push(format!("a job takes {takes:.1} replicas on average, by what ran while others waited"));
    }
    let work = run * takes;
    let start_up = capacity::start_up(signals.track(Role::Desired), signals.track(Role::Replicas), now);
    let start_up = start_up.unwrap_or_else(|| {
        notes.push(format!("no start-up seen: {} from asking to ready assumed", duration(START_UP)));
        START_UP
    });
    let promise = Promise::of(input, &mut notes);
    let waiting: Vec<Waiting> = jobs
        .ages(now)
        .into_iter()
        .map(|(came, n)| Waiting { due: promise.due(came).since(now), work: n * work })
        .collect();
    let within = promise.due(now).since(now);
    let busy = (jobs.running * takes).round().clamp(0.0, f64::from(u32::MAX)) as u32;
    let since_up = Recent::of(input, signals, &ready_after(start_up)).since_up;
    let problem = QueueProblem {
        waiting: &waiting,
        arriving: jobs.arriving(now, within.max(WITHIN)) * work,
        within,
        run: run * LONG,
        gang: shape.gang,
        current: replicas.desired,
        ready: replicas.ready,
        busy: busy.min(replicas.ready),
        // Half of a run is left of each, on average.
        running: jobs.running * work / 2.0,
        start_up,
        since_up,
        limits: input.workload.limits,
        price: input.workload.price,
    };
    let found = plan_queue(&problem).ok_or("the queue's numbers cannot be planned with")?;
    let mut reasons = vec![found.reason, flow(&jobs, now)];
    if problem.limits.max < shape.gang {
        let (gang, max) = (shape.gang, problem.limits.max);
        reasons.insert(0, format!("a job needs {gang} replicas at once and at most {max} are allowed: none can begin"));
    }
    let more = found.plan.replicas.saturating_sub(replicas.desired);
    if let Some(words) = input.state.quota_left.and_then(|left| headroom(more, left, shape.gpus)) {
        reasons.insert(0, words);
    }
    if problem.busy > 0 && found.plan.replicas <= problem.busy {
        reasons.push(format!("{} replicas are busy: what runs is not interrupted", problem.busy));
    }
    reasons.extend(notes);
    let Limits { min, max } = input.workload.limits;
    let keda = ((jobs.waiting / KEDA_LENGTH).ceil() as u32).max(min).min(max);
    Ok(QueueAdvice { plan: found.plan, reasons, keda })
}

/// Seconds that a job runs on average.
fn run(jobs: &Jobs, told: Option<f64>, notes: &mut Vec<String>) -> f64 {
    match (jobs.run(), told) {
        (Some(seen), _) => {
            notes.push(format!("a job runs {} ({} were seen to end)", duration(seen), si(jobs.ended)));
            seen
        }
        (None, Some(told)) => {
            notes.push(format!("a job runs {}, as configured: too few were seen to end", duration(told)));
            told
        }
        (None, None) => {
            let run = duration(RUN);
            notes.push(format!("how long a job runs is not known: {run} assumed (batch.run in the configuration)"));
            RUN
        }
    }
}

fn flow(jobs: &Jobs, now: Time) -> String {
    let hour: f64 = jobs.came.iter().filter(|(at, _)| now.since(*at) <= 3_600.0).map(|(_, n)| n).sum();
    format!("{} jobs wait, {} run, {} came in the last hour", si(jobs.waiting), si(jobs.running), si(hour))
}

/// What of `more` replicas the queue's quota has room for, when that is less: `left` accelerators, `gpus` a replica.
fn headroom(more: u32, left: f64, gpus: u32) -> Option<String> {
    let room = (left.max(0.0) / f64::from(gpus.max(1))).floor() as u32;
    (more > room).then(|| format!("+{more} recommended, quota for {room} left: what is beyond it is not admitted"))
}

/// What is promised of a job.
struct Promise {
    within: Option<f64>,
    deadline: Option<f64>,
}

impl Promise {
    fn of(input: &Input<'_>, notes: &mut Vec<String>) -> Self {
        let slo = &input.workload.slo;
        let within = slo.within.or(slo.queue_p95).filter(|s| s.is_finite() && *s > 0.0);
        if within.is_none() && slo.deadline.is_none() {
            notes.push(format!("no objective is configured: done within {} assumed", duration(WITHIN)));
            return Self { within: Some(WITHIN), deadline: None };
        }
        Self { within, deadline: slo.deadline }
    }

    /// When a job that came then must be done: the earlier of the two, where both are promised.
    fn due(&self, came: Time) -> Time {
        let within = self.within.map(|s| came.plus(s));
        let deadline = self.deadline.map(|of_day| {
            let wait = (of_day - came.secs().rem_euclid(DAY)).rem_euclid(DAY);
            came.plus(if wait > 0.0 { wait } else { DAY })
        });
        match (within, deadline) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b).unwrap_or(came),
        }
    }
}

/// A capacity of which only the start-up counts.
fn ready_after(start_up: f64) -> Capacity {
    Capacity { start_up, ..Capacity::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid(values: &[f64]) -> Grid {
        Grid { start: Time::from_secs(0.0), step: 15.0, values: values.iter().copied().map(Some).collect() }
    }

    fn of(waiting: &Grid, running: &Grid, now: f64) -> Jobs {
        Jobs::of([waiting, running, &Grid::default()], Time::from_secs(now))
    }

    #[test]
    fn jobs_that_came_and_ended_are_read_off_the_two_counts() {
        // Two come, one begins; the other begins as the first ends; then it ends too.
        let (waiting, running) = (grid(&[0.0, 2.0, 1.0, 1.0, 0.0, 0.0]), grid(&[0.0, 0.0, 1.0, 1.0, 1.0, 0.0]));
        let jobs = of(&waiting, &running, 75.0);
        assert_eq!((jobs.ended, jobs.ran), (2.0, 45.0));
        assert_eq!(jobs.came, [(Time::from_secs(7.5), 2.0)]);
        let waits = of(&waiting, &running, 50.0);
        assert_eq!(waits.ages(Time::from_secs(50.0)), [(Time::from_secs(7.5), 1.0)]);
    }

    #[test]
    fn what_came_while_nobody_looked_came_between_the_looks_and_not_before_all_of_them() {
        let (mut waiting, mut running) = (grid(&[0.0; 400]), grid(&[0.0; 400]));
        waiting.values[200..].fill(Some(80.0));
        for hole in [&mut waiting, &mut running] {
            hole.values[198..201].fill(None); // 200 is the one in which they came
        }
        let jobs = of(&waiting, &running, 6_000.0);
        assert_eq!(jobs.ages(Time::from_secs(6_000.0)), [(Time::from_secs(2_985.0), 80.0)]);
    }

    #[test]
    fn how_many_replicas_a_job_takes_shows_while_others_wait() {
        let (waiting, running, ready) = (grid(&[5.0; 40]), grid(&[4.0; 40]), grid(&[9.0; 40]));
        let takes = |waiting: &Grid, most| Jobs::of([waiting, &running, &ready], Time::from_secs(1e3)).takes(most);
        assert_eq!((takes(&waiting, 4.0), takes(&waiting, 2.0), takes(&waiting, 1.0)), (2.25, 2.0, 1.0));
        let none = grid(&[0.0; 40]);
        assert_eq!((takes(&none, 4.0), takes(&none, 1.0)), (4.0, 1.0), "idle ones are no part of a job");
    }

    #[test]
    fn more_than_the_quota_has_room_for_is_said() {
        let words = headroom(4, 5.0, 2).unwrap();
        assert!(words.starts_with("+4 recommended, quota for 2 left"), "{words}");
        assert!(headroom(4, -1.0, 1).unwrap().contains("quota for 0 left"), "borrowed");
        assert_eq!((headroom(2, 5.0, 2), headroom(0, 0.0, 1)), (None, None));
    }

    #[test]
    fn a_deadline_of_the_day_is_the_next_one_after_a_job_came() {
        let promise = Promise { within: None, deadline: Some(6.0 * 3_600.0) };
        let at = |text: &str| Time::parse(text).unwrap();
        assert_eq!(promise.due(at("2026-03-01T22:00:00Z")), at("2026-03-02T06:00:00Z"));
        assert_eq!(promise.due(at("2026-03-02T05:59:00Z")), at("2026-03-02T06:00:00Z"));
        assert_eq!(promise.due(at("2026-03-02T06:00:00Z")), at("2026-03-03T06:00:00Z"));
        let both = Promise { within: Some(3_600.0), ..promise };
        assert_eq!(both.due(at("2026-03-01T22:00:00Z")), at("2026-03-01T23:00:00Z"));
    }

    proptest! {
        #[test]
        fn no_job_is_lost_or_made_up(
            counts in prop::collection::vec((0_u32..20, 0_u32..20), 2..80),
        ) {
            let (w, r): (Vec<f64>, Vec<f64>) = counts.iter().map(|(w, r)| (f64::from(*w), f64::from(*r))).unzip();
            let now = Time::from_secs(15.0 * counts.len() as f64);
            let jobs = of(&grid(&w), &grid(&r), now.secs());
            let came: f64 = jobs.came.iter().map(|(_, n)| n).sum();
            // Those that were there and those that came are those that ended and those that are there.
            prop_assert!((w[0] + r[0] + came - jobs.ended - jobs.waiting - jobs.running).abs() < 1e-6);
            prop_assert!(jobs.ended >= -1e-9 && jobs.came.iter().all(|(_, n)| *n >= 0.0));
            let waiting: f64 = jobs.ages(now).iter().map(|(_, n)| n).sum();
            prop_assert!((waiting - jobs.waiting).abs() < 1e-6);
        }
    }
}
