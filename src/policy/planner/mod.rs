//! The planner: a rolling-horizon cost programme. What to ask for now, what next and when, and what everything else
//! would cost.
//!
//! One scalar decides: pod-hours + priced minutes over the SLO × min(10, value / SLO) + priced changes. A few weighted
//! futures of demand ([`scenarios`]) are each solved backwards over stages of a minute ([`programme`]): what every
//! count with every backlog is worth from then on, when it may still be changed. The first decision, which cannot wait
//! to see which future it is, is played slot by slot up to the moment when what is asked for now works ([`rollout`]),
//! with the replicas that are still starting and the pause that is under way; the cheapest on average is taken. The
//! plan is made anew with every refresh.
//!
//! A removal waits until ten minutes after the last addition and is only looked at once a minute: noise between two
//! looks would otherwise be paid for with pauses. A threshold in the price does the same job much worse (0.1 pod-hours
//! of it cost 12 %).

mod budget;
mod bursts;
mod dynamics;
mod fleet;
mod piles;
mod programme;
mod queue;
mod rollout;
mod scenarios;
mod service;

pub use budget::{Want, share};
pub use bursts::{Burst, Bursts};
pub use dynamics::{NEARLY, WORTH};
pub use fleet::Fleet;
pub use queue::{QueuePlan, QueueProblem, Waiting, plan_queue};
pub use service::{ServiceProblem, plan_service};

use crate::model::{Alternative, Capacity, Limits, Price};
use dynamics::{Count, Promise};
use programme::{Frame, Levels, Values};
use rollout::{Branch, Roll};
use scenarios::{Scenario, clean};

/// Seconds between the slots of the first decision.
const SLOT: f64 = 15.0;
/// Share of the estimated rate of a shared queue that is planned with: room for noise. Of a log it is the whole rate: a
/// log only waits (0.95 cost 3 %).
const DERATE: f64 = 0.95;
/// Stages of a plan at most, and slots of each at least.
const STAGES: usize = 30;
const STAGE_SLOTS: usize = 4;
/// Minutes over the SLO, weighted over the futures, that a removal may cost while what a replica can do is not known: a
/// pause of its own is priced, not refused.
const KEEPS: f64 = 2.0;
/// Replicas that an addition of the programme is taken to be, which does not ask by how many: its standstill depends on it.
const USUAL_ADDITION: u32 = 4;
/// Seconds of no removal after an addition.
pub const SETTLE: f64 = 600.0;
/// Seconds that a replica is seen to work late: one scrape.
const SEEN: f64 = 15.0;
/// Longest start-up and standstill that are believed, seconds.
const START_UP_MOST: f64 = 3_600.0;
const PAUSE_MOST: f64 = 600.0;

/// How demand becomes lateness.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// A log of partitions, each read by one replica: lateness is the age of the oldest unread record.
    Log {
        /// Share of the demand per partition, summing to 1; its length is the number of partitions.
        shares: Vec<f64>,
        /// Records that wait per partition, in the same order; empty: not known, taken as the demand is spread.
        waits: Vec<f64>,
    },
    /// One queue before replicas that share their work among requests (continuous batching): lateness is
    /// `unloaded / (1 - load)`, as of processor sharing, plus the wait behind the backlog.
    Shared {
        /// Latency without load, seconds.
        unloaded: f64,
    },
    /// One queue of jobs: lateness is the time until what waits is done.
    Jobs,
}

/// One planning problem. Rates per second, times in seconds from now.
#[derive(Clone, Debug)]
pub struct Problem<'a> {
    /// How demand becomes lateness.
    pub work: Work,
    /// The p80 path of demand from now on, one value per `step`.
    pub demand: &'a [f64],
    /// The median path on the same step; empty: the p80 path alone is planned for.
    pub middle: &'a [f64],
    /// The p95 path: a smaller count of a shared queue must hold it too. (A log only waits, and that has its price.)
    pub high: &'a [f64],
    /// Bursts of the demand, as far as they are known.
    pub bursts: Option<&'a Bursts>,
    /// Seconds between the values of the paths.
    pub step: f64,
    /// What waits beyond what always waits between two commits.
    pub backlog: f64,
    /// Count asked for.
    pub current: u32,
    /// Count ready.
    pub ready: u32,
    /// Seconds until each replica that was asked for and is not ready will be; missing ones take a whole start-up.
    pub in_flight: &'a [f64],
    /// Seconds that work still stands still for because of the last change.
    pub pausing: f64,
    /// Seconds since the count was last raised; `None`: longer ago than matters.
    pub since_up: Option<f64>,
    /// Whether a removal is looked at this time.
    pub may_shrink: bool,
    /// Owner of each partition, as a member's number below `current`; empty: not known.
    pub owners: &'a [Option<u32>],
    /// Whether a rebalance leaves where it is, and running, what need not move.
    pub sticky: bool,
    /// Bounds.
    pub limits: Limits,
    /// What a replica can do.
    pub capacity: &'a Capacity,
    /// Most seconds late.
    pub slo: f64,
    /// Prices.
    pub price: Price,
}

/// What the planner found.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The cheapest count within the bounds to ask for now.
    pub replicas: u32,
    /// When to ask for which count, seconds from now: `replicas` at 0, and what would follow if the futures stay as
    /// likely as they are now.
    pub steps: Vec<(f64, u32)>,
    /// Every count considered, by count, the present one among them. The chosen one is priced as the plan goes on from
    /// it; the others as kept over the whole horizon: what not acting, or acting otherwise, costs.
    pub alternatives: Vec<Alternative>,
    /// Smaller counts were cheaper but would not hold the p95 path: the cheapest of them.
    pub held_by_p95: Option<u32>,
    /// The partition that alone is more than one replica can do, with the replicas that it would need.
    pub hot: Option<(usize, f64)>,
    /// Partitions that one member holds even at the largest count, with the replicas that they would need together:
    /// each for itself they would be held.
    pub crowded: Option<(Vec<usize>, f64)>,
}

/// Seconds within which an addition is asked for at once where a group stops at every change (3 % cheaper over a day and
/// a quarter less late). One that goes on meanwhile would pay for many small changes.
const SOON: f64 = 120.0;
/// Such an addition may cost at most this many times what waiting is thought to cost: one for a surge that the present
/// count outlasts would be the dearest mistake of a day (up to 1 % cheaper than with no limit; with 1.1, one that puts
/// off what it needs for an hour).
const AT_ONCE: f64 = 1.2;

/// Plans; `None` when there is no path of demand or no capacity above zero.
///
/// Multiplying demand, backlog and rates by a constant changes no count. Values that are not finite count as zero.
pub fn plan(problem: &Problem<'_>) -> Option<Plan> {
    let rate = usable_rate(problem)?;
    let fleet = fleet(problem, rate);
    let (first, stages, per_stage) = shape(problem);
    let (frame, scenarios) = futures(problem, &fleet, None);
    let backlog = clean(problem.backlog) / rate;
    let values: Vec<Values> = scenarios.iter().map(|s| Values::new(&frame, s, first)).collect();
    // What is added now stays for ten minutes, and so does what was added before. Where a change stops little, that is no
    // reason to wait with it: a plan that could ask a minute later without such a bond would do so again and again.
    let least = problem.current.min(problem.limits.max);
    let bound = frame.counts.iter().position(|c| c.replicas >= least).unwrap_or(0);
    let locked = |seconds: f64| -> Vec<Values> {
        let until = (seconds / frame.stage).floor().max(0.0) as usize + 1;
        scenarios.iter().zip(&values).map(|(s, v)| v.locked(&frame, s, until, bound)).collect()
    };
    let after_up = (!problem.sticky).then(|| locked(SETTLE));
    let after_stay = problem.since_up.filter(|s| *s <= SETTLE && !problem.sticky).map(|s| locked(SETTLE - s));
    let considered = (0..frame.counts.len()).map(|i| {
        let replicas = frame.counts[i].replicas;
        let roll = Roll::new(problem, &fleet, &frame, replicas, first * per_stage);
        let (mut price, mut slo_minutes, mut left) = (0.0, 0.0, Vec::with_capacity(scenarios.len()));
        let bond = if replicas > problem.current { &after_up } else { &after_stay };
        let ahead = bond.as_ref().filter(|_| i >= bound).unwrap_or(&values);
        for (scenario, ahead) in scenarios.iter().zip(ahead) {
            let (cost, after) = roll.play(&frame, scenario, backlog);
            price += scenario.weight * (cost.price + ahead.at(&frame, first, i, after));
            slo_minutes += scenario.weight * cost.slo_minutes;
            left.push(after);
        }
        (Alternative { replicas, price, slo_minutes }, left)
    });
    let (mut alternatives, left): (Vec<Alternative>, Vec<Vec<f64>>) = considered.unzip();
    let place = |n: u32| frame.counts.iter().position(|c| c.replicas == n);
    // How the plan goes on from a count: worked out only for those that may be chosen.
    let follow = |n: u32| {
        let Some(i) = place(n) else { return (0.0, Vec::new()) };
        let branch = |((scenario, values), backlog)| Branch { scenario, values, backlog };
        let branches = scenarios.iter().zip(&values).zip(left[i].iter().copied()).map(branch).collect();
        let last_up = if n > problem.current { 0.0 } else { -problem.since_up.unwrap_or(f64::MAX) };
        rollout::follow(&frame, branches, first, i, last_up)
    };
    let (mut replicas, held_by_p95) = choose(problem, &fleet, &alternatives, |n| follow(n).0);
    let (mut later, mut steps) = follow(replicas);
    // An addition that is due before anybody has read and approved it is due now; the programme, which works in stages,
    // would put it off from plan to plan.
    let due = steps.first().filter(|(at, n)| *at <= SOON && *n > replicas && replicas >= problem.current);
    let price = |n: u32| alternatives.iter().find(|a| a.replicas == n).map_or(f64::INFINITY, |a| a.price);
    let worth = |more: &u32| price(*more) <= AT_ONCE * price(replicas);
    let stops_all = matches!(problem.work, Work::Log { .. }) && !problem.sticky;
    if let Some(more) = due.map(|(_, n)| *n).filter(|more| stops_all && worth(more)) {
        replicas = more;
        (later, steps) = follow(more);
    }
    // What is put off to the last minutes of the horizon is put off to where nothing is known.
    let known = stages as f64 * frame.stage - SETTLE;
    let follows = steps.into_iter().filter(|(at, _)| *at <= known);
    // Counts that are followed by the plan would all look alike: what else there is, is priced as kept.
    for (i, a) in alternatives.iter_mut().enumerate() {
        if a.replicas == replicas {
            a.slo_minutes += later;
            continue;
        }
        *a = held(problem, &fleet, &frame, &scenarios, i);
    }
    let peak = problem.demand.iter().copied().map(clean).fold(0.0, f64::max);
    Some(Plan {
        replicas,
        steps: std::iter::once((0.0, replicas)).chain(follows).collect(),
        alternatives,
        held_by_p95,
        hot: fleet.hottest().map(|(p, share)| (p, share * peak / rate)).filter(|(_, needs)| *needs > 1.0),
        crowded: fleet.crowded(problem.limits.max, peak),
    })
}

/// What a count costs that is asked for now and kept, whether a plan would look at it or not; `None` as of [`plan`].
pub fn if_kept(problem: &Problem<'_>, replicas: u32) -> Option<Alternative> {
    let fleet = fleet(problem, usable_rate(problem)?);
    let (frame, scenarios) = futures(problem, &fleet, Some(replicas));
    let at = frame.counts.iter().position(|c| c.replicas == replicas)?;
    Some(held(problem, &fleet, &frame, &scenarios, at))
}

/// The futures that are planned for, and the counts to get through them: those worth a price, and one that is asked about.
fn futures(problem: &Problem<'_>, fleet: &Fleet, also: Option<u32>) -> (Frame, Vec<Scenario>) {
    let (_, stages, per_stage) = shape(problem);
    let mut scenarios = scenarios::scenarios(problem, fleet.rate(), stages, per_stage);
    let mut frame = frame_of(problem, fleet, &scenarios, also, false);
    let backlog = clean(problem.backlog) / fleet.rate();
    if piles::stay(problem, fleet, &frame, &scenarios, backlog) {
        frame = frame_of(problem, fleet, &scenarios, also, true);
        piles::heap(fleet, &frame, &mut scenarios, backlog);
    }
    (frame, scenarios)
}

/// Count number `at` of the frame asked for now and never changed again, over all slots of the futures.
fn held(problem: &Problem<'_>, fleet: &Fleet, frame: &Frame, scenarios: &[Scenario], at: usize) -> Alternative {
    let replicas = frame.counts[at].replicas;
    let slots = scenarios.iter().map(|s| s.slots.len()).max().unwrap_or(0);
    let roll = Roll::new(problem, fleet, frame, replicas, slots);
    let cost = roll.hold(frame, scenarios, clean(problem.backlog) / fleet.rate(), at);
    Alternative { replicas, price: cost.price, slo_minutes: cost.slo_minutes }
}

/// Records or requests per second that `replicas` can be planned with.
pub fn capacity_of(work: &Work, capacity: &Capacity, replicas: u32) -> f64 {
    Fleet::new(work, planned_rate(work, capacity)).known(capacity).capacity(replicas)
}

/// What one replica is planned to do, where that and the demand are known.
fn usable_rate(problem: &Problem<'_>) -> Option<f64> {
    let rate = planned_rate(&problem.work, problem.capacity);
    (rate.is_finite() && rate > 0.0 && problem.step > 0.0 && !problem.demand.is_empty()).then_some(rate)
}

/// What one replica is planned to do, per second.
fn planned_rate(work: &Work, capacity: &Capacity) -> f64 {
    capacity.per_replica * if matches!(work, Work::Log { .. }) { 1.0 } else { DERATE }
}

fn fleet(problem: &Problem<'_>, rate: f64) -> Fleet {
    Fleet::new(&problem.work, rate).known(problem.capacity).dealt(problem.sticky, problem.owners)
}

/// The stage at which what is asked for now works, the number of stages, and the slots of each.
fn shape(problem: &Problem<'_>) -> (usize, usize, usize) {
    let capacity = problem.capacity;
    let works = clean(capacity.start_up).min(START_UP_MOST) + clean(capacity.rebalance).min(PAUSE_MOST) + SEEN;
    let horizon = (problem.step * problem.demand.len() as f64).clamp(works + SETTLE, 1e6);
    let per_stage = ((horizon / SLOT / STAGES as f64).ceil() as usize).max(STAGE_SLOTS);
    let stage = per_stage as f64 * SLOT;
    ((works / stage).ceil() as usize, (horizon / stage).ceil() as usize, per_stage)
}

/// `also`: a count that is looked at in any case. `stuck`: what waits stays with a few members, so that counts and backlogs
/// must be told apart more finely.
fn frame_of(problem: &Problem<'_>, fleet: &Fleet, scenarios: &[Scenario], also: Option<u32>, stuck: bool) -> Frame {
    let (rate, capacity, (.., per_stage)) = (fleet.rate(), problem.capacity, shape(problem));
    let peak = scenarios.iter().map(Scenario::peak).fold(0.0, f64::max);
    // What waits must be worked off within the SLO as well.
    let high = problem.high.iter().copied().map(clean).fold(peak * rate, f64::max)
        + clean(problem.backlog) / problem.slo.max(1.0);
    let Limits { min, max } = problem.limits;
    let allowed = |n: u32| (min..=max).contains(&n);
    let mut numbers = candidates(problem, fleet, high);
    if stuck {
        numbers.extend(fleet.lighter(min, max, peak * rate));
    }
    numbers.extend(also);
    numbers.sort_unstable();
    numbers.dedup();
    // A step that is put off costs what it costs now: else it is put off for ever.
    let count = |n| Count::new(fleet, n, allowed(n)).reached_from(fleet, problem.current);
    let counts: Vec<Count> = numbers.into_iter().map(count).collect();
    let levels = Levels::new((peak.max(1.0) * problem.slo.max(1e-3)).max(clean(problem.backlog) / rate / 32.0));
    let most = counts.iter().filter(|c| c.allowed).map(|c| c.capacity).fold(0.0, f64::max);
    let pause = |seconds: f64| clean(seconds).min(PAUSE_MOST);
    Frame {
        levels: if stuck { levels.finer() } else { levels },
        promise: Promise::new(&problem.work, problem.slo, problem.price, problem.sticky),
        stage: per_stage as f64 * SLOT,
        start_up: clean(capacity.start_up).min(START_UP_MOST),
        pause: [pause(capacity.standstill(USUAL_ADDITION)), pause(capacity.rebalance_down)],
        most,
        counts,
    }
}

/// Counts worth a price: those that add capacity over every smaller one, the bounds, and the present count.
fn candidates(problem: &Problem<'_>, fleet: &Fleet, peak: f64) -> Vec<u32> {
    let Limits { min, max } = problem.limits;
    let mut counts = fleet.useful(min, max, peak, problem.slo);
    counts.extend([min, problem.current]);
    // All that there is, where it holds more than the rest; where no count is in time, as more of them still leave less
    // undone; or where more would not help.
    let best = counts.iter().map(|n| fleet.capacity(*n)).fold(0.0, f64::max);
    let differs = fleet.capacity(max) > best || peak > best || fleet.ceiling().is_finite();
    if max >= min && max <= fleet.most() && differs {
        counts.push(max);
    }
    counts
}

/// The cheapest count that may be asked for, and the smaller one that only being late speaks against. `later`: minutes
/// over the SLO of the plan that goes on from a count, beyond those of its alternative.
fn choose(
    problem: &Problem<'_>,
    fleet: &Fleet,
    alternatives: &[Alternative],
    later: impl Fn(u32) -> f64,
) -> (u32, Option<u32>) {
    let Limits { min, max } = problem.limits;
    let current = problem.current;
    let high = problem.high.iter().chain(problem.demand).copied().map(clean).fold(0.0, f64::max);
    let may_shrink = problem.may_shrink && problem.since_up.is_none_or(|s| s > SETTLE);
    let may = |n: u32| (min..=max).contains(&n) && (n >= current.min(max) || may_shrink);
    let a_log = matches!(problem.work, Work::Log { .. });
    // While the rate is a lower bound every count may look bad: then the cheapest way to be late is no advice.
    let keeps = |a: &Alternative| match a_log {
        true if !problem.capacity.is_lower_bound() => true,
        true => a.slo_minutes + later(a.replicas) <= KEEPS,
        false => fleet.sustains(a.replicas, high, problem.slo),
    };
    let mut cheapest: Vec<&Alternative> = alternatives.iter().filter(|a| may(a.replicas)).collect();
    cheapest.sort_by(|a, b| {
        let moves = |x: &Alternative| x.replicas != current;
        a.price.total_cmp(&b.price).then(moves(a).cmp(&moves(b))).then(a.replicas.cmp(&b.replicas))
    });
    let chosen = cheapest.iter().find(|a| a.replicas >= current || keeps(a));
    let replicas = chosen.map_or_else(|| current.max(min).min(max), |a| a.replicas);
    // The cheapest of all is another one only where it was refused.
    (replicas, cheapest.first().map(|a| a.replicas).filter(|n| *n < replicas && *n < current))
}

#[cfg(test)]
mod tests;
