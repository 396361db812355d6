//! The planner for inference services: counts for a load that never waits, with replicas that take minutes to start.
//!
//! A service has no log behind it: what comes is served now or late. So the state is the count alone, and what a stage
//! costs is what the *spread* of the demand costs there: GPUs, and the minutes over the objective of every quantile that
//! the count does not hold. Backwards over stages of a minute that gives what each count is worth at the moment when a
//! replica asked for now can be ready; until then only the replicas that are there or on their way serve.
//!
//! The spread that counts is that of a look one start-up ahead, at every stage: by then there will have been a newer
//! forecast, and a decision later can be made on it. Where the paths are those of a day without bursts ([`Bursts`]), one
//! that is on and one that may begin before help is ready are futures of their own.

use super::{Bursts, Plan, SETTLE};
use crate::model::{Alternative, Limits, Price};

/// Seconds of a stage.
const STAGE: f64 = 60.0;
/// Stages of a plan: at least, and at most.
const STAGES: (usize, usize) = (20, 120);
/// Share of the estimated rate that is planned with.
const DERATE: f64 = 0.98;
/// Seconds that a replica is seen to work late: one scrape.
const SEEN: f64 = 15.0;
/// Longest start-up that is believed, seconds.
const START_UP_MOST: f64 = 3_600.0;
/// Stages in which a pile is to be worked off.
const DRAIN: usize = 3;
/// A minute over the objective is priced at most this many times.
const WORST: f64 = 10.0;
/// Counts looked at, at most: beyond them they are some per cent apart.
const COUNTS: u32 = 96;
/// Points of the spread of demand: weight, and place as multiples of (p80 - p50) and (p95 - p80) above p50. Beyond p95
/// the normal distribution's distances are taken twice: demand has heavier tails.
const SPREAD: [(f64, f64, f64); 8] = [
    (0.45, 0.0, 0.0),
    (0.20, 0.5, 0.0),
    (0.15, 1.0, 0.0),
    (0.10, 1.0, 0.5),
    (0.05, 1.0, 1.0),
    (0.035, 1.0, 1.6),
    (0.0125, 1.0, 2.4),
    (0.0025, 1.0, 3.6),
];

/// Most weight that a burst which has not begun gets.
const BURST_MOST: f64 = 0.5;

/// One planning problem. Rates per second, times in seconds from now.
#[derive(Clone, Debug)]
pub struct ServiceProblem<'a> {
    /// Paths of demand from now on, one value per `step`: p50, p80, p95.
    pub paths: [&'a [f64]; 3],
    /// Seconds between the values of the paths.
    pub step: f64,
    /// Bursts on top of paths that are those of a day without any; `None`: the paths are of the demand as it will be.
    pub bursts: Option<&'a Bursts>,
    /// Requests that wait.
    pub waiting: f64,
    /// Count asked for.
    pub current: u32,
    /// Count ready.
    pub ready: u32,
    /// Seconds until each replica that was asked for and is not ready will be; missing ones take a whole start-up.
    pub in_flight: &'a [f64],
    /// Seconds from asking to ready.
    pub start_up: f64,
    /// Seconds since the count was last raised; `None`: longer ago than matters.
    pub since_up: Option<f64>,
    /// Whether a removal is looked at this time.
    pub may_shrink: bool,
    /// Bounds.
    pub limits: Limits,
    /// Requests per second of a replica within the objectives.
    pub rate: f64,
    /// Requests per second of a replica beyond which requests pile up.
    pub most: f64,
    /// Objective for the time to first token, seconds: what a pile is measured against.
    pub slo: f64,
    /// Prices; `pod_hour` is that of one replica with its GPUs.
    pub price: Price,
}

/// Plans; `None` when there is no path of demand or no rate above zero.
///
/// Multiplying demand, waiting requests and rates by a constant changes no count. Values that are not finite count as
/// zero.
pub fn plan_service(problem: &ServiceProblem<'_>) -> Option<Plan> {
    let usable = problem.rate.is_finite() && problem.rate > 0.0 && problem.step > 0.0 && !problem.paths[0].is_empty();
    if !usable {
        return None;
    }
    let course = Course::new(problem);
    let values = course.values(0);
    let after_up = course.values(course.stage_of(SETTLE));
    let after_stay = problem.since_up.filter(|s| *s <= SETTLE).map(|s| course.values(course.stage_of(SETTLE - s)));
    let mut alternatives = Vec::with_capacity(course.counts.len());
    for (i, count) in course.counts.iter().enumerate() {
        let ahead = if *count > problem.current { &after_up } else { after_stay.as_ref().unwrap_or(&values) };
        let (price, over) = course.first(*count);
        let (later, minutes) = ahead.first().map_or((0.0, 0.0), |stage| stage[i]);
        alternatives.push(Alternative { replicas: *count, price: price + later, slo_minutes: over + minutes });
    }
    let replicas = choose(problem, &alternatives, course.is_lost());
    let steps = course.follow(replicas, &values);
    // Counts that are followed by the plan would all look alike: what else there is, is priced as kept.
    for a in &mut alternatives {
        if a.replicas != replicas {
            (a.price, a.slo_minutes) = course.hold(a.replicas);
        }
        // Where one late stage follows another the time that a pile takes is the next one's.
        a.slo_minutes = a.slo_minutes.min(course.stages() as f64 * STAGE / 60.0);
    }
    Some(Plan { replicas, steps, alternatives, held_by_p95: None, hot: None, crowded: None })
}

/// The cheapest count that may be asked for; staying wins a tie. `lost`: no count holds the demand.
fn choose(problem: &ServiceProblem<'_>, alternatives: &[Alternative], lost: bool) -> u32 {
    let Limits { min, max } = problem.limits;
    let current = problem.current;
    let may_shrink = problem.may_shrink && !lost && problem.since_up.is_none_or(|s| s > SETTLE);
    let may = |n: u32| (min..=max).contains(&n) && (n >= current.min(max) || may_shrink);
    let best = alternatives.iter().filter(|a| may(a.replicas)).min_by(|a, b| {
        let moves = |x: &Alternative| x.replicas != current;
        a.price.total_cmp(&b.price).then(moves(a).cmp(&moves(b))).then(a.replicas.cmp(&b.replicas))
    });
    best.map_or_else(|| current.max(min).min(max), |a| a.replicas)
}

/// Demand in one stage, per second.
struct Demand {
    /// Weights, which sum to 1, and values.
    points: Vec<(f64, f64)>,
    /// The median of the paths, bursts as likely as they are.
    middle: f64,
}

/// What every count is worth from each stage on: price, and minutes over the objective.
type Values = Vec<Vec<(f64, f64)>>;

/// The problem on stages.
struct Course<'a> {
    problem: &'a ServiceProblem<'a>,
    counts: Vec<u32>,
    demand: Vec<Demand>,
    /// The stage at which what is asked for now is ready.
    works: usize,
    start_up: f64,
    /// Stages × counts: minutes over the objective, and their price.
    late: Vec<Vec<(f64, f64)>>,
    /// Requests that will wait when what is asked for now works.
    pile: f64,
}

impl<'a> Course<'a> {
    fn new(problem: &'a ServiceProblem<'a>) -> Self {
        let start_up = clean(problem.start_up).min(START_UP_MOST);
        let works = ((start_up + SEEN) / STAGE).ceil() as usize;
        let span = (problem.paths[0].len() as f64 * problem.step / STAGE).ceil() as usize;
        let stages = span.max(works + 10).clamp(STAGES.0, STAGES.1.max(works + 10));
        let demand = spread(problem, works, stages);
        let waits = clean(problem.waiting) / (DRAIN as f64 * STAGE);
        let peak = demand.iter().flat_map(|d| &d.points).map(|p| p.1).fold(0.0, f64::max) + waits;
        let counts = counts(problem, peak);
        let mut course = Self { problem, counts, demand, works, start_up, late: Vec::new(), pile: 0.0 };
        course.pile = course.piled();
        course.late = (0..stages)
            .map(|k| course.counts.iter().map(|n| course.late_at(k, f64::from(*n), course.draining(k))).collect())
            .collect();
        course
    }

    fn stages(&self) -> usize {
        self.demand.len()
    }

    /// The stage in which an instant lies, no later than the end.
    fn stage_of(&self, seconds: f64) -> usize {
        ((seconds.max(0.0) / STAGE).floor() as usize + 1).min(self.stages())
    }

    /// What waits when what is asked for now works: what waits now and what comes on top, less what is served until then.
    fn piled(&self) -> f64 {
        let p = self.problem;
        (0..self.works.min(self.stages())).fold(clean(p.waiting), |pile, stage| {
            let serves = self.serving(stage, p.current) * p.most.max(p.rate);
            (pile + (self.demand[stage].middle - serves) * STAGE).max(0.0)
        })
    }

    /// Requests per second that the pile adds to a stage: it is to be gone a few stages after help has come.
    fn draining(&self, stage: usize) -> f64 {
        let due = (self.works..self.works + DRAIN).contains(&stage);
        if due { self.pile / (DRAIN as f64 * STAGE) } else { 0.0 }
    }

    /// The first stage that a decision after this one can change: what is asked for now is ready one stage before.
    fn next(&self) -> usize {
        (self.works + 1).min(self.stages())
    }

    fn pods(&self, n: f64, seconds: f64) -> f64 {
        n * self.problem.price.pod_hour * seconds / 3600.0
    }

    /// Minutes over the objective in a stage with `n` replicas, and their price; `extra` requests per second come on top.
    fn late_at(&self, stage: usize, n: f64, extra: f64) -> (f64, f64) {
        let p = self.problem;
        let holds = n * p.rate * DERATE;
        let full = n * p.most.max(p.rate);
        let mut sum = (0.0, 0.0);
        for (weight, demand) in &self.demand[stage].points {
            let demand = demand + extra;
            if demand <= holds || demand <= 0.0 {
                continue;
            }
            // What piles up in a stage waits, and takes as long again to be worked off.
            let pile = if full > 0.0 { (demand / full - 1.0).max(0.0) * STAGE } else { STAGE * WORST };
            let severity = (1.0 + pile / p.slo.max(1e-3)).min(WORST);
            let minutes = STAGE / 60.0 * if pile > 0.0 { 2.0 } else { 1.0 };
            sum.0 += weight * minutes;
            sum.1 += weight * minutes * severity * p.price.slo_minute;
        }
        sum
    }

    /// Replicas that serve during a stage before what is asked for now works, when the count becomes `n`.
    fn serving(&self, stage: usize, n: u32) -> f64 {
        let p = self.problem;
        let until = (stage as f64 + 0.5) * STAGE;
        let missing = p.current.saturating_sub(p.ready) as usize;
        let known = p.in_flight.len().min(missing);
        let came = p.in_flight.iter().take(missing).filter(|s| **s <= until).count();
        let rest = if until >= self.start_up { missing - known } else { 0 };
        f64::from(n.min(p.ready + u32::try_from(came + rest).unwrap_or(u32::MAX)))
    }

    /// Price and minutes of asking for `n` now, up to the end of the stage in which that works.
    fn first(&self, n: u32) -> (f64, f64) {
        let p = self.problem;
        let mut price = if n == p.current { 0.0 } else { p.price.action };
        let mut minutes = 0.0;
        for stage in 0..self.next() {
            let serving = if stage < self.works { self.serving(stage, n) } else { f64::from(n) };
            // What waits is worked off within the first two stages, or it stays late.
            let extra = if stage < 2 { clean(p.waiting) / (2.0 * STAGE) } else { self.draining(stage) };
            let (over, cost) = self.late_at(stage, serving, extra);
            price += self.pods(f64::from(n), STAGE) + cost;
            minutes += over;
        }
        (price, minutes)
    }

    /// What each count is worth from the stage on at which what is asked for a minute from now works; before stage `locked` the count
    /// may only rise. The first entry belongs to that first stage, the last is zero.
    fn values(&self, locked: usize) -> Values {
        let width = self.counts.len();
        let first = self.next();
        let mut values: Values = vec![vec![(0.0, 0.0); width]; self.stages() - first + 1];
        for stage in (first..self.stages()).rev() {
            let k = stage - first;
            let (now, after) = values.split_at_mut(k + 1);
            for (i, from) in now[k].iter_mut().enumerate() {
                *from =
                    self.best(stage, i, locked, &after[0]).map_or((f64::MAX, 0.0), |(_, price, over)| (price, over));
            }
        }
        values
    }

    /// The cheapest count to go to from count `i` at a stage: its index, the price and the minutes from here on.
    fn best(&self, stage: usize, i: usize, locked: usize, after: &[(f64, f64)]) -> Option<(usize, f64, f64)> {
        let p = self.problem;
        let from = self.counts[i];
        let mut best: Option<(usize, f64, f64)> = None;
        for (j, to) in self.counts.iter().enumerate() {
            let allowed = *to == from || (p.limits.min..=p.limits.max).contains(to) && (*to > from || stage >= locked);
            if !allowed {
                continue;
            }
            let (over, late) = self.late[stage][j];
            let added = self.pods(f64::from(to.saturating_sub(from)), self.start_up);
            let action = if *to == from { 0.0 } else { p.price.action };
            let price = self.pods(f64::from(*to), STAGE) + added + action + late + after[j].0;
            if best.is_none_or(|(_, b, _)| price < b - 1e-12) {
                best = Some((j, price, over + after[j].1));
            }
        }
        best
    }

    /// What follows when `replicas` is asked for now: seconds from now, count.
    fn follow(&self, replicas: u32, values: &Values) -> Vec<(f64, u32)> {
        let mut steps = vec![(0.0, replicas)];
        let Some(mut at) = self.counts.iter().position(|n| *n == replicas) else { return steps };
        let locked = if replicas > self.problem.current { self.stage_of(SETTLE) } else { 0 };
        let first = self.next();
        for stage in first..self.stages() {
            let Some((to, ..)) = self.best(stage, at, locked, &values[stage - first + 1]) else { break };
            if to != at {
                let when = stage as f64 * STAGE;
                // Replicas that are to be ready then are asked for a start-up earlier.
                let asked = if to > at { (when - self.start_up).max(0.0) } else { when };
                steps.push((asked, self.counts[to]));
                at = to;
            }
        }
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        steps
    }

    /// Whether even the most that may be had is late for most of the time. A minute costs no more than [`WORST`] times its
    /// price, so then all counts are late alike, and the cheapest way to be late is no advice.
    fn is_lost(&self) -> bool {
        let limits = self.problem.limits;
        let most = self.counts.iter().rfind(|n| (limits.min..=limits.max).contains(n));
        most.is_some_and(|most| self.hold(*most).1 > 0.5 * self.stages() as f64 * STAGE / 60.0)
    }

    /// Price and minutes of staying at `n` over the whole course.
    fn hold(&self, n: u32) -> (f64, f64) {
        let (mut price, mut minutes) = self.first(n);
        for stage in self.next()..self.stages() {
            let (over, late) = self.late_at(stage, f64::from(n), self.draining(stage));
            price += self.pods(f64::from(n), STAGE) + late;
            minutes += over;
        }
        (price, minutes)
    }
}

/// What demand is multiplied by in a stage, with weights that sum to 1: a burst that is on ends sooner or later; one that
/// is not may have begun since the replicas that serve in that stage were asked for.
fn factors(bursts: Option<&Bursts>, stage: usize, works: usize) -> Vec<(f64, f64)> {
    let Some(bursts) = bursts else { return vec![(1.0, 1.0)] };
    if let Some(now) = &bursts.now {
        let middle = (stage as f64 + 0.5) * STAGE;
        let factor = |left: f64, of: f64| if middle < left { clean(of).max(1.0) } else { 1.0 };
        return now.ways.iter().map(|(weight, left, of)| (*weight, factor(*left, *of))).collect();
    }
    let within = ((stage.min(works) + 1) as f64 * STAGE).min(bursts.lasts);
    let begun = (clean(bursts.per_second) * within).min(BURST_MOST);
    vec![(1.0 - begun, 1.0), (begun, clean(bursts.factor).max(1.0))]
}

/// Demand at the points of the spread, by stage: as wide as the forecast is one start-up ahead, narrower before.
fn spread(problem: &ServiceProblem<'_>, works: usize, stages: usize) -> Vec<Demand> {
    let [p50, p80, p95] = problem.paths;
    let at = |path: &[f64], stage: usize| -> f64 {
        // The highest value within the stage: a stage must be held to its end.
        let from = (stage as f64 * STAGE / problem.step).floor() as usize;
        let to = (((stage + 1) as f64 * STAGE / problem.step).ceil() as usize).max(from + 1);
        let last = path.last().copied().map_or(0.0, clean);
        path.get(from..to.min(path.len()))
            .filter(|s| !s.is_empty())
            .map_or(last, |s| s.iter().copied().map(clean).fold(0.0, f64::max))
    };
    let one = |stage: usize| [at(p50, stage), at(p80, stage), at(p95, stage)];
    let [m, h, x] = one(works);
    let wide = (m > 0.0).then(|| ((h / m - 1.0).max(0.0), ((x - h) / m).max(0.0)));
    (0..stages)
        .map(|stage| {
            let [m, h, x] = one(stage);
            let (mut first, mut second) = ((h - m).max(0.0), (x - h).max(0.0));
            if let Some((a, b)) = wide.filter(|_| stage > works) {
                (first, second) = (first.min(a * m), second.min(b * m));
            }
            if problem.bursts.is_some() {
                // Past errors have bursts in them, which are counted on their own: beyond p80 it is as of a normal.
                second = second.min(first);
            }
            let factors = factors(problem.bursts, stage, works);
            let calm = SPREAD.map(|(weight, a, b)| (weight, m + a * first + b * second));
            let points = factors.iter().flat_map(|(w, f)| calm.map(|(weight, v)| (w * weight, f * v))).collect();
            Demand { points, middle: m * factors.iter().map(|(w, f)| w * f).sum::<f64>() }
        })
        .collect()
}

/// Counts worth a price: from the lowest allowed to what the highest demand takes or to the present one, where a limit may
/// let a removal stop on its way.
fn counts(problem: &ServiceProblem<'_>, peak: f64) -> Vec<u32> {
    let Limits { min, max } = problem.limits;
    let max = max.max(min);
    let needs = (peak / (problem.rate * DERATE)).ceil().min(1e6) as u32;
    let enough = needs.saturating_add(2).clamp(min, max);
    let top = enough.max(problem.current.min(max));
    let apart = ((top - min) / COUNTS + 1) as usize;
    let mut counts: Vec<u32> = (min..=top).step_by(apart).collect();
    counts.extend([enough, top, problem.current]);
    counts.sort_unstable();
    counts.dedup();
    counts
}

fn clean(value: f64) -> f64 {
    if value.is_finite() { value.max(0.0) } else { 0.0 }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
