//! The recommendation in sentences with numbers, the most important first.

use super::{Input, per_second, situation::Situation};
use crate::{
    guard::Judgement,
    model::{Alternative, WorkloadKind, duration, si},
    policy::planner::Plan,
};

/// Other counts named with their prices.
const OTHERS_NAMED: usize = 2;

pub(super) fn reasons(
    input: &Input<'_>,
    situation: &Situation,
    plan: &Plan,
    wanted: u32,
    judgement: &Judgement,
) -> Vec<String> {
    let current = input.state.replicas.as_ref().map_or(0, |r| r.desired);
    let mut out = vec![demand_ahead(input, situation), holds(situation, current)];
    if let Some((partition, needs)) = plan.hot {
        out.insert(0, format!("partition {partition} alone needs {} replicas: more of them cannot help it", si(needs)));
    }
    out.extend(lateness(situation));
    out.extend(staying(plan, current));
    out.extend(prices(plan, judgement.recommended, current));
    out.extend(next(input, plan));
    if let Some(smaller) = plan.held_by_p95 {
        out.push(format!("{smaller} would be cheaper but would not hold a demand that comes one time in twenty (p95)"));
    }
    if wanted != judgement.recommended {
        out.push(format!("the plan is {wanted}; {} is the step towards it", judgement.recommended));
    }
    out.extend(judgement.notes.iter().cloned());
    out.extend(situation.notes.iter().cloned());
    out.extend(input.state.notices.iter().map(ToString::to_string));
    out
}

fn demand_ahead(input: &Input<'_>, situation: &Situation) -> String {
    let (ahead, value) = situation.peak;
    if input.workload.entity.kind == WorkloadKind::Batch && value <= 0.0 {
        let jobs = situation.waiting.map_or("an unknown number of".to_owned(), si);
        return format!("{jobs} jobs wait, to be done within {}", duration(situation.slo));
    }
    format!("demand reaches {} at {} (p80)", per_second(value), clock(input, ahead))
}

/// Hours and minutes of an instant ahead: of `…T14:21:00.000Z` the `14:21`.
fn clock(input: &Input<'_>, ahead: f64) -> String {
    input.now.plus(ahead).to_string().chars().skip(11).take(5).collect()
}

/// What the plan asks for after the present step, and when.
fn next(input: &Input<'_>, plan: &Plan) -> Option<String> {
    let (at, to) = *plan.steps.get(1)?;
    let change = i64::from(to) - i64::from(plan.replicas);
    Some(format!("next: {change:+} to {to} at {}", clock(input, at)))
}

fn holds(situation: &Situation, count: u32) -> String {
    let capacity = &situation.capacity;
    let each = per_second(capacity.per_replica);
    let basis = match capacity.samples {
        0 => format!("{each} each at a guess: never seen at their limit"),
        n => format!("{each} each, {n} obs"),
    };
    let (noun, verb) = if count == 1 { ("replica", "holds") } else { ("replicas", "hold") };
    format!("{count} {noun} {verb} {} ({basis})", per_second(situation.capacity_of(count)))
}

fn lateness(situation: &Situation) -> Option<String> {
    let late = situation.late?;
    let relation = if late > situation.slo { "over" } else { "within" };
    let limit = duration(situation.slo);
    Some(match situation.waiting {
        Some(waiting) => format!("{} waiting, {} late now, {relation} the {limit}", si(waiting), duration(late)),
        None => format!("{} late now, {relation} the {limit}", duration(late)),
    })
}

fn staying(plan: &Plan, current: u32) -> Option<String> {
    let stay = plan.alternatives.iter().find(|a| a.replicas == current)?;
    Some(format!("staying costs {}: {}", si(stay.price), over(stay)))
}

fn over(alternative: &Alternative) -> String {
    if alternative.slo_minutes > 0.0 {
        format!("{} over the SLO", duration(alternative.slo_minutes * 60.0))
    } else {
        "within the SLO".to_owned()
    }
}

/// The recommended count's price and those of the next larger counts: the usual question is "why not more?".
fn prices(plan: &Plan, recommended: u32, current: u32) -> Option<String> {
    let named = plan
        .alternatives
        .iter()
        .filter(|a| a.replicas >= recommended)
        .filter(|a| a.replicas != current)
        .take(OTHERS_NAMED + 1)
        .map(|a| format!("{} costs {}", a.replicas, si(a.price)))
        .collect::<Vec<_>>()
        .join("; ");
    (!named.is_empty()).then_some(named)
}
