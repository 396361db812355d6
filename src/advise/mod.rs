//! History → forecast → capacity → policies → guards → a recommendation with its explanation. Pure.

pub mod brokers;
pub mod budget;
pub mod day;
mod holds;
mod identity;
mod memory;
mod rivals;
mod signals;
mod situation;
pub mod what_if;
mod words;

use crate::{
    capacity::{ServiceCapacity, Watch},
    forecast::{
        self,
        profile::{self, Outlook},
    },
    guard::{self, Case, Judgement},
    history::History,
    model::{
        Advice, Capacity, Forecast, PlanStep, Recommendation, Replicas, Rivals, Role, Time, Workload, WorkloadKind,
        WorkloadState,
    },
    policy::planner::{self, Plan},
};
pub use budget::Allowance;
pub use holds::{heap, holds, shares};
use identity::Identity;
pub use memory::{Learned, Memory};
use signals::Signals;
use situation::{Ahead, Situation};

/// Guards that say that what is known is not enough for advice: the count is shown as it is, and held.
const HOLDING: [&str; 2] = ["coverage", "stale"];
/// A count that was recommended stays while no other is cheaper by this share: the screen does not flicker.
const SETTLED: f64 = 0.02;

/// Everything that advice on one workload rests on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// What it is, what it must keep, what it may do.
    pub workload: &'a Workload,
    /// What is true of it now.
    pub state: &'a WorkloadState,
    /// What was seen.
    pub history: &'a History,
    /// A recent forecast of its demand to use again; `None`: one is made.
    pub forecast: Option<&'a Forecast>,
    /// The recommendation that is on screen: while nothing material changed it keeps its identity and expiry.
    /// `None`: there is none.
    pub previous: Option<&'a Recommendation>,
    /// What earlier looks taught; `None`: only the history is known.
    pub memory: Option<&'a Memory>,
    /// The instant of the advice; nothing after it is looked at.
    pub now: Time,
    /// Seconds to look ahead.
    pub horizon: f64,
    /// Seconds between the values of every grid.
    pub step: f64,
}

impl Input<'_> {
    /// Demand ahead by the day's shape, where one is known.
    fn outlook(&self, signals: &Signals) -> Option<Outlook> {
        let profile = self.memory.and_then(Memory::profile)?;
        profile.outlook(signals.track(Role::Demand), self.now, self.horizon)
    }

    /// What is known of the group from looking at its members.
    fn watch(&self) -> Option<&Watch> {
        let is_group = self.workload.entity.kind == WorkloadKind::ConsumerGroup;
        self.memory.filter(|_| is_group).map(|m| &m.watch).filter(|w| w.knows())
    }

    /// Whether a rebalance leaves what need not move: as the group says, else as was seen.
    fn is_sticky(&self) -> bool {
        self.state.sticky.or_else(|| self.watch()?.is_sticky()) == Some(true)
    }
}

/// What the workload should have, and why; or a sentence that says what is missing.
///
/// With partial or old inputs no count is computed: the recommendation stays at the present count, blocked by the
/// guard that says why. Without a forecast the last value is planned on, and a reason says so.
pub fn advise(input: &Input<'_>) -> Advice {
    advise_within(input, None)
}

/// The same where a pool that is shared with others allows no more than so many replicas.
pub fn advise_within(input: &Input<'_>, allowance: Option<&Allowance>) -> Advice {
    let signals = Signals::of(input);
    let outlook = input.outlook(&signals);
    // One that was made before the day's shape could be used is not what is planned on.
    let again = input.forecast.filter(|f| outlook.is_none() || f.model == profile::NAME);
    let forecast = match (again, &outlook) {
        (Some(forecast), _) => Ok(forecast.clone()),
        (None, Some(outlook)) => Ok(outlook.forecast()),
        (None, None) => forecast::forecast(signals.forecast_track(), input.now, input.horizon),
    };
    let shown = input.previous.filter(|p| p.workload == input.workload.name);
    // What an earlier run learned is joined anew each time: it must not look as if this run had seen it.
    let learned = shown.and_then(|p| p.capacity.as_ref()).filter(|c| !memory::is_recalled(c));
    let recalled = |seen: Option<Capacity>| match input.memory {
        Some(memory) => memory.with_learned(seen, input.now),
        None => seen,
    };
    let mut service = signals.service(input, learned);
    if let Some(service) = &mut service {
        service.capacity = recalled(Some(service.capacity.clone())).unwrap_or_else(|| service.capacity.clone());
    }
    let capacity = match &service {
        Some(service) => Some(service.capacity.clone()),
        // What a broker holds is configured, not learned.
        None if input.workload.entity.kind == WorkloadKind::Brokers => None,
        None => recalled(signals.capacity(input, learned)),
    };
    let ahead = Ahead { outlook, forecast: &forecast };
    let known = Known { ahead, capacity: capacity.as_ref(), service: service.as_ref(), allowance };
    let recommendation = recommend(input, &signals, &known).map(Box::new);
    Advice { forecast: forecast.ok(), capacity, recommendation }
}

/// What was worked out before a count is decided.
struct Known<'a> {
    ahead: Ahead<'a>,
    capacity: Option<&'a Capacity>,
    service: Option<&'a ServiceCapacity>,
    allowance: Option<&'a Allowance>,
}

fn recommend(input: &Input<'_>, signals: &Signals, known: &Known<'_>) -> Result<Recommendation, String> {
    let kind = input.workload.entity.kind;
    let replicas = input.state.replicas.as_ref().ok_or_else(|| no_count(input.workload))?;
    let held = judge(input, replicas.desired);
    if held.blocked.iter().any(|b| HOLDING.contains(&b.guard)) {
        let reasons = held.blocked.iter().map(|b| b.detail.clone()).collect();
        let draft = Draft { reasons, rivals: Rivals::default(), plan: None, wanted: replicas.desired, judgement: held };
        return Ok(finish(input, replicas, known.capacity, draft));
    }
    if kind == WorkloadKind::Brokers {
        return brokers::recommend(input, replicas);
    }
    if kind == WorkloadKind::Batch {
        let queue = situation::plan_queue(input, signals, replicas)?;
        let decision = decide(input, &queue.plan, replicas.desired, known.allowance);
        let mut reasons = queue.reasons;
        reasons.extend(words::cut(&decision, false));
        let Decision { wanted, judgement, .. } = decision;
        let rivals = Rivals { keda: Some(queue.keda), ..Rivals::default() };
        return Ok(finish(input, replicas, None, Draft { reasons, rivals, plan: Some(queue.plan), wanted, judgement }));
    }
    let mut situation = Situation::of(input, signals, &known.ahead, known.capacity, replicas)?;
    let plan = match known.service {
        Some(service) => situation.plan_service(input, signals, service),
        None => planner::plan(&situation.problem(input)),
    };
    let mut plan = plan.ok_or("what a replica can do is not known yet: its estimate is not above zero".to_owned())?;
    let decision = decide(input, &plan, replicas.desired, known.allowance);
    // A step on the way may be a count that no plan looks at. Whoever approves it is to see what it costs.
    let step = decision.judgement.recommended;
    if known.service.is_none() && plan.alternatives.iter().all(|a| a.replicas != step) {
        plan.alternatives.extend(planner::if_kept(&situation.problem(input), step));
        plan.alternatives.sort_by_key(|a| a.replicas);
    }
    let rivals = rivals::of(input, signals, &situation);
    let seen = known.capacity.map_or(situation.capacity.per_replica, |c| c.per_replica);
    let reasons = words::reasons(input, &situation, &plan, &decision, seen);
    let Decision { wanted, judgement, .. } = decision;
    Ok(finish(input, replicas, known.capacity, Draft { reasons, rivals, plan: Some(plan), wanted, judgement }))
}

/// What becomes of the count that the plan wants.
struct Decision {
    wanted: u32,
    /// What the guards and a shared pool leave of it; of the counts up to there the cheapest is recommended.
    allowed: u32,
    judgement: Judgement,
}

/// The count that the plan wants, and what the guards and a shared pool leave of it.
fn decide(input: &Input<'_>, plan: &Plan, current: u32, allowance: Option<&Allowance>) -> Decision {
    let wanted = settled(input, plan);
    let cut = allowance.filter(|a| a.replicas < wanted);
    let asked = cut.map_or(wanted, |a| a.replicas);
    let mut judgement = judge(input, asked);
    let allowed = judgement.recommended;
    if allowed != asked {
        let again = judge(input, cheapest_between(plan, current, allowed).unwrap_or(allowed));
        judgement = Judgement { notes: judgement.notes, ..again };
    }
    // In the order in which they cut.
    judgement.notes.splice(0..0, cut.map(|a| a.why.clone()));
    Decision { wanted, allowed, judgement }
}

/// What is decided of a recommendation before it gets its identity.
struct Draft {
    reasons: Vec<String>,
    rivals: Rivals,
    plan: Option<Plan>,
    wanted: u32,
    judgement: Judgement,
}

fn finish(input: &Input<'_>, replicas: &Replicas, capacity: Option<&Capacity>, draft: Draft) -> Recommendation {
    let Identity { at, expires, plan_hash } = identity::of(input, replicas, draft.judgement.recommended);
    let steps = steps(input, at, &draft);
    Recommendation {
        workload: input.workload.name.clone(),
        target: input.workload.target.clone(),
        current: replicas.clone(),
        recommended: draft.judgement.recommended,
        wanted: draft.wanted,
        limits: input.workload.limits,
        at,
        expires,
        plan_hash,
        reasons: draft.reasons,
        blocked_by: draft.judgement.blocked,
        alternatives: draft.plan.map_or_else(Vec::new, |p| p.alternatives),
        steps,
        others: draft.rivals,
        capacity: capacity.cloned(),
        coverage: input.state.coverage,
    }
}

/// The recommended count first; then what the plan asks for later. Where a limit allows only a step of what the plan
/// wants now, what comes later is another plan's.
fn steps(input: &Input<'_>, at: Time, draft: &Draft) -> Vec<PlanStep> {
    let recommended = draft.judgement.recommended;
    let followed = draft.plan.as_ref().filter(|plan| plan.replicas == recommended);
    let later = followed.into_iter().flat_map(|plan| plan.steps.iter().skip(1));
    let mut steps = vec![PlanStep { at, replicas: recommended }];
    for (seconds, replicas) in later {
        if steps.last().is_none_or(|s| s.replicas != *replicas) {
            steps.push(PlanStep { at: input.now.plus(*seconds), replicas: *replicas });
        }
    }
    steps
}

fn judge(input: &Input<'_>, wanted: u32) -> Judgement {
    guard::judge(&Case { workload: input.workload, state: input.state, wanted, now: input.now })
}

/// The plan's count, or the change on screen while keeping that is about as cheap as following the plan. A plan that is
/// followed mostly costs less than its count kept, so what is on screen is let go rather too soon than too late.
fn settled(input: &Input<'_>, plan: &Plan) -> u32 {
    let price = |n: u32| plan.alternatives.iter().find(|a| a.replicas == n).map(|a| a.price);
    let current = input.state.replicas.as_ref().map(|r| r.desired);
    let shown = input.previous.filter(|p| Some(p.current.desired) == current && p.workload == input.workload.name);
    // Only a change is kept: staying has no such bonus, since that would be a threshold on acting.
    let shown = shown.map(|p| p.wanted).filter(|n| Some(*n) != current);
    // Never below what the plan found to hold. A group's removal that is worth little comes and goes with the noise
    // otherwise, once a minute, and nobody can read it.
    let is_group = input.workload.entity.kind == WorkloadKind::ConsumerGroup;
    let blind = input.watch().is_some_and(Watch::is_blind);
    let barely = is_group && !blind && Some(plan.replicas) == current && plan.held_by_p95.is_none();
    match shown.and_then(|n| Some((n, price(n)?, price(plan.replicas)?))) {
        Some((n, old, new)) if (n > plan.replicas || barely) && old <= new * (1.0 + SETTLED) => n,
        _ => plan.replicas,
    }
}

/// The cheapest count that was considered on the way from `from` to `to`; `None` when none lies there.
fn cheapest_between(plan: &Plan, from: u32, to: u32) -> Option<u32> {
    let (low, high) = (from.min(to), from.max(to));
    let on_the_way = plan.alternatives.iter().filter(|a| (low..=high).contains(&a.replicas) && a.replicas != from);
    on_the_way.min_by(|a, b| a.price.total_cmp(&b.price)).map(|a| a.replicas)
}

fn no_count(workload: &Workload) -> String {
    match &workload.target {
        Some(target) => format!("the present count of {target} is not known yet"),
        None => "how many replicas there are is not known: give the workload a target".to_owned(),
    }
}

/// What the kind's demand is called with its unit, for sentences: `15.1k/s`.
fn per_second(value: f64) -> String {
    format!("{}/s", crate::model::si(value))
}

/// The newest value of a role that is not older than a quarter of an hour.
fn recent(signals: &Signals, role: Role, now: Time) -> Option<f64> {
    let (at, value) = signals.track(role).last()?;
    (now.since(at) <= 900.0).then_some(value)
}

#[cfg(test)]
mod tests;
