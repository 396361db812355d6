//! The recommendation in sentences with numbers, the most important first. Prices, the capacity's assumptions, the
//! forecast's warnings and the workload's notices are not repeated: they stand in fields of their own.

use super::{Decision, Input, per_second, situation::Situation};
use crate::{
    model::{WorkloadKind, duration, si},
    policy::planner::Plan,
};

/// Below this share of the replicas' sum it is the partitions that hold them back, not the planner's margin alone.
const UNEVEN: f64 = 0.93;
/// From this share on a count does as much as another.
const NEARLY: f64 = 0.999;

/// `seen`: what a replica can do as it was measured, where the plan tries more.
pub(super) fn reasons(
    input: &Input<'_>,
    situation: &Situation,
    plan: &Plan,
    decision: &Decision,
    seen: f64,
) -> Vec<String> {
    let Decision { allowed, judgement, .. } = decision;
    let current = input.state.replicas.as_ref().map_or(0, |r| r.desired);
    let mut out = vec![demand_ahead(input, situation), holds(input, situation, current, seen)];
    if let Some((partition, needs)) = plan.hot {
        out.insert(0, format!("partition {partition} alone needs {} replicas; adding more cannot help it", si(needs)));
    }
    if let Some((partitions, needs)) = &plan.crowded {
        let which = partitions.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let needs = si(*needs);
        out.insert(
            0,
            format!(
                "partitions {which} lie with one member and need {needs} replicas; more of them leave these where they \
                 are: restart that member to have its partitions dealt anew"
            ),
        );
    }
    out.extend(lateness(situation, input.workload.entity.kind));
    if plan.replicas == judgement.recommended {
        out.extend(next(input, plan));
    }
    if let Some(smaller) = plan.held_by_p95 {
        // A log is refused by how late the futures that were played are, not by their highest demand.
        let but = match input.workload.entity.kind {
            WorkloadKind::ConsumerGroup => "is expected to be over the objective for minutes",
            _ => "would not hold the demand that comes one time in twenty (p95)",
        };
        out.push(format!("{smaller} would be cheaper but {but}"));
    }
    let does = |n: u32| situation.capacity_of(n);
    out.extend(cut(decision, does(judgement.recommended) >= NEARLY * does(*allowed)));
    out.extend(situation.notes.iter().cloned());
    out
}

/// What was made of the count that the plan wants, and by which rule. `as_much`: what is recommended does as much as what
/// is allowed.
pub(super) fn cut(decision: &Decision, as_much: bool) -> Vec<String> {
    let Decision { wanted, allowed, judgement } = decision;
    let step = judgement.recommended;
    let why = if step == *allowed {
        format!("{step} is the step that is allowed now")
    } else if as_much {
        format!("{allowed} is allowed now, and {step} does as much")
    } else {
        format!("{allowed} is allowed now, and {step} costs least of what was priced up to there")
    };
    let less = (*wanted != step).then(|| format!("the plan is {wanted}; {why}"));
    less.into_iter().chain(judgement.notes.iter().cloned()).collect()
}

fn demand_ahead(input: &Input<'_>, situation: &Situation) -> String {
    let (ahead, value) = situation.peak;
    format!("demand reaches {} at {} (p80)", per_second(value), clock(input, ahead))
}

/// Hours and minutes of an instant ahead: of `…T14:21:00.000Z` the `14:21 UTC`. A screen may show other clocks beside it.
fn clock(input: &Input<'_>, ahead: f64) -> String {
    input.now.plus(ahead).to_string().chars().skip(11).take(5).chain(" UTC".chars()).collect()
}

/// What the plan asks for after the present step, and when.
fn next(input: &Input<'_>, plan: &Plan) -> Option<String> {
    let (at, to) = *plan.steps.get(1)?;
    let change = i64::from(to) - i64::from(plan.replicas);
    Some(format!("next: {change:+} to {to} at {}", clock(input, at)))
}

fn holds(input: &Input<'_>, situation: &Situation, count: u32, seen: f64) -> String {
    let capacity = &situation.capacity;
    let (planned, all) = (capacity.per_replica * capacity.scaling.each(count), situation.capacity_of(count));
    let (noun, verb) = if count == 1 { ("replica", "holds") } else { ("replicas", "hold") };
    if capacity.is_lower_bound() {
        // Only what was seen is proven; the plan tries some more than that.
        let times = planned / seen.min(planned);
        let tried = if times > 1.005 { format!("; {times:.2} times that is tried") } else { String::new() };
        let (each, all) = (per_second(planned / times), per_second(all / times));
        return format!("{count} {noun} {verb} at least {all} ({each} each, {}){tried}", unproven(input, situation));
    }
    let each = per_second(planned);
    let uneven = if all < UNEVEN * planned * f64::from(count) { ", uneven partitions" } else { "" };
    format!("{count} {noun} {verb} {} ({each} each{uneven})", per_second(all))
}

/// Why what replicas hold is not known better.
fn unproven(input: &Input<'_>, situation: &Situation) -> &'static str {
    match (situation.late.is_some_and(|late| late > situation.slo), input.workload.entity.kind) {
        (false, _) => "never seen at their limit",
        // What holds back a late group may be something else than its members.
        (true, WorkloadKind::ConsumerGroup) => "late, and their limit is not measured yet",
        (true, _) => "their limit is reached, not measured yet",
    }
}

fn lateness(situation: &Situation, kind: WorkloadKind) -> Option<String> {
    let late = duration(situation.late?);
    let limit = duration(situation.slo);
    let how = match kind {
        WorkloadKind::Inference => format!("latency is {late}"),
        _ => format!("{late} behind"),
    };
    let unit = match kind {
        WorkloadKind::Inference => "requests",
        _ => "records",
    };
    Some(match situation.waiting {
        Some(waiting) => format!("{} {unit} waiting, {how}; the objective is {limit}", si(waiting)),
        None => format!("{how}; the objective is {limit}"),
    })
}
