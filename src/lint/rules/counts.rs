//! Bounds and counts: partitions make most of them useless, and demand makes some of them wrong.

use super::{Finding, Group, Severity, Subject, finding};
use crate::{
    lint::subject::{self, useful},
    manifest::{Edit, Object},
    model::{TriggerSource, si},
};

pub(in crate::lint) const GROUP: Group = Group {
    names: &[
        ("max-over-partitions", "a highest count that the partitions do not allow, or that idles"),
        ("counts-between-useful", "counts that cost more and do no more than a lower one"),
        ("even-too-coarse", "ensureEvenDistributionOfPartitions where the divisors lie far apart"),
        ("min-over-demand", "a lowest count that forbids what quiet hours need"),
        ("max-under-demand", "a highest count that forbids what the peak needs"),
        ("nothing-to-decide", "a lowest count that is the highest"),
    ],
    judge,
};

/// Neighbouring divisors further apart than this make steps too coarse to follow demand.
const COARSE: f64 = 2.5;

fn judge(subject: &Subject<'_>) -> Vec<Finding> {
    let all =
        [max_over_partitions, bounds_between, between, even_too_coarse, min_over_demand, max_under_demand, nothing];
    all.iter().filter_map(|rule| rule(subject)).collect()
}

fn max_over_partitions(subject: &Subject<'_>) -> Option<Finding> {
    let partitions = subject.partitions()?;
    let (p, (min, max)) = (partitions.value, subject.bounds());
    if max <= p || (!subject.is_keda() && subject.lags().is_empty()) {
        return None;
    }
    let (key, pointer) = (Subject::key(subject.max_pointer()), subject.max_pointer());
    let over = max - p;
    let (what, why) = if subject.may_idle() {
        let who = uncut(subject);
        (
            format!("{key} {max} is {over} over the {p} partitions: consumers beyond them idle and are paid"),
            format!(
                "A partition has one consumer at most. {who}, so a backlog asks for up to {max}, {over} of which get \
                 nothing to do: {} pod-hours a day at the most, and every one of them joins by a rebalance. Partitions {}.",
                u64::from(over) * 24,
                partitions.source()
            ),
        )
    } else {
        (
            format!("{key} {max} can never come: KEDA cuts the lag to one consumer a partition, and there are {p}"),
            format!(
                "allowIdleConsumers is false, so the metric is cut to {p} × lagThreshold and the HPA never asks for more \
                 than {p}; whoever reads {max} plans with {over} replicas that do not exist. Partitions {}.",
                partitions.source()
            ),
        )
    };
    let mend = if p >= min.max(1) { vec![Edit::set(pointer, p)] } else { Vec::new() };
    Some(finding("max-over-partitions", Severity::Warning, pointer, what, why, mend))
}

/// Why nothing cuts the count to the partitions.
fn uncut(subject: &Subject<'_>) -> String {
    let Object::ScaledObject(scaled) = subject.object else { return "An HPA knows nothing of partitions".to_owned() };
    scaled.triggers.iter().find_map(subject::uncut).unwrap_or_default()
}

/// The demand at one end of its range: records per second, where they come from, and words for it. Where only the mean is
/// known, the mean.
struct Demand {
    rate: f64,
    source: String,
    /// The end of the range as a subject: `quiet hours`.
    name: &'static str,
    /// What demand does there: `falls to`.
    verb: &'static str,
}

fn demand(subject: &Subject<'_>, high: bool) -> Option<Demand> {
    let facts = subject.facts;
    let (name, verb) = if high { ("the peak", "rises to") } else { ("quiet hours", "falls to") };
    if let Some(range) = &facts.range {
        let (low, top) = range.value;
        return Some(Demand { rate: if high { top } else { low }, source: range.source(), name, verb });
    }
    let rate = facts.rate.as_ref()?;
    let (name, verb) = if high { ("the mean demand", "is") } else { ("mean demand", "is") };
    Some(Demand { rate: rate.value, source: rate.source(), name, verb })
}

/// A bound between two useful counts: the lowest is paid all night.
fn bounds_between(subject: &Subject<'_>) -> Option<Finding> {
    let partitions = subject.partitions()?;
    let (p, (min, max)) = (partitions.value, subject.bounds());
    let counts = useful(p);
    let below = |n: u32| counts.iter().copied().take_while(|c| *c <= n).last();
    let useless = |n: u32| n < p && !counts.contains(&n);
    let (pointer, n, severity) = if useless(min) {
        (subject.min_pointer(), min, Severity::Warning)
    } else if useless(max) {
        (subject.max_pointer(), max, Severity::Note)
    } else {
        return None;
    };
    let lower = below(n)?;
    let what = format!("{} {n} does no more than {lower} would", Subject::key(pointer));
    let why = format!(
        "With {p} partitions {} the busiest of {n} consumers has {} of them, as the busiest of {lower} has: the other {} \
         only share the rest. Counts that differ: {}.",
        partitions.source(),
        p.div_ceil(n),
        n - lower,
        list(&counts),
    );
    Some(finding("counts-between-useful", severity, pointer, what, why, vec![Edit::set(pointer, lower)]))
}

/// Counts between the bounds that nobody keeps the autoscaler from.
fn between(subject: &Subject<'_>) -> Option<Finding> {
    let partitions = subject.partitions()?;
    let (p, (min, _)) = (partitions.value, subject.bounds());
    // Of those that may ask for any count the one that can be told otherwise.
    let uneven = subject.lags().into_iter().filter(|l| !l.kafka.is_some_and(|k| k.ensure_even));
    let lag = uneven.min_by_key(|l| l.kafka.is_none())?;
    let top = subject.reach().min(p);
    let counts: Vec<u32> = useful(p).into_iter().filter(|n| (min..=top).contains(n)).collect();
    let useless = (top + 1).saturating_sub(min).saturating_sub(u32::try_from(counts.len()).unwrap_or(u32::MAX));
    if useless == 0 || top <= min {
        return None;
    }
    let what = format!("of the counts {min} to {top} only {} differ in what they can do", list(&counts));
    let mut why = format!(
        "With {p} partitions {} the busiest consumer decides, so {useless} of these {} counts cost more and do no more; \
         each step between them is a rebalance for nothing.",
        partitions.source(),
        top + 1 - min,
    );
    let mend = match even_edit(subject, p, min) {
        Ok(edit) => vec![edit],
        Err(reason) => {
            why.push_str(&reason);
            Vec::new()
        }
    };
    let severity = if mend.is_empty() { Severity::Note } else { Severity::Warning };
    Some(finding("counts-between-useful", severity, &lag.pointer, what, why, mend))
}

/// `ensureEvenDistributionOfPartitions`, where the trigger can have it and the divisors are close enough.
pub(super) fn even_edit(subject: &Subject<'_>, partitions: u32, min: u32) -> Result<Edit, String> {
    let Object::ScaledObject(scaled) = subject.object else {
        return Err(" An HPA cannot be kept from them; KEDA's ensureEvenDistributionOfPartitions can.".to_owned());
    };
    let uneven = scaled.triggers.iter().enumerate().find_map(|(i, t)| match &t.source {
        TriggerSource::Kafka(kafka) if !kafka.ensure_even => Some((i, kafka)),
        _ => None,
    });
    let Some((index, kafka)) = uneven else {
        return Err(" KEDA's kafka trigger could keep to the divisors; this one cannot.".to_owned());
    };
    if kafka.topic.is_none() || kafka.limit_to_partitions_with_lag {
        return Err(" ensureEvenDistributionOfPartitions needs a topic and no limitToPartitionsWithLag.".to_owned());
    }
    let widest = widest_step(partitions, min);
    if widest > COARSE {
        return Err(format!(
            " ensureEvenDistributionOfPartitions allows divisors of {partitions} only ({}): a step of {widest:.1} times \
             is too coarse (keda#7517).",
            list(&divisors(partitions))
        ));
    }
    Ok(Edit::set(&format!("/spec/triggers/{index}/metadata/ensureEvenDistributionOfPartitions"), "true"))
}

fn divisors(partitions: u32) -> Vec<u32> {
    (1..=partitions).filter(|n| partitions.is_multiple_of(*n)).collect()
}

/// The widest step between neighbouring counts that are allowed: the lowest, and the divisors above it.
fn widest_step(partitions: u32, min: u32) -> f64 {
    let mut counts = vec![min.max(1)];
    counts.extend(divisors(partitions).into_iter().filter(|n| *n > min.max(1)));
    counts.windows(2).map(|w| f64::from(w[1]) / f64::from(w[0])).fold(1.0, f64::max)
}

fn even_too_coarse(subject: &Subject<'_>) -> Option<Finding> {
    let partitions = subject.partitions()?;
    let (p, (min, _)) = (partitions.value, subject.bounds());
    let lag = subject.lags().into_iter().find(|l| l.kafka.is_some_and(|k| k.ensure_even))?;
    let widest = widest_step(p, min);
    if widest <= COARSE {
        return None;
    }
    let pointer = format!("/spec/triggers/{}/metadata/ensureEvenDistributionOfPartitions", lag.index);
    let what = format!("ensureEvenDistributionOfPartitions allows {} of {p} partitions only", list(&divisors(p)));
    let why = format!(
        "Counts must divide {p} {}, and one step multiplies the count by {widest:.1}: a little more lag than one count \
         carries asks for all of the next (keda#7517). Partitions with more divisors (24, 36, 48, 60) cure it for good.",
        partitions.source()
    );
    Some(finding("even-too-coarse", Severity::Warning, &pointer, what, why, vec![Edit::remove(&pointer)]))
}

fn min_over_demand(subject: &Subject<'_>) -> Option<Finding> {
    let facts = subject.facts;
    let (min, _) = subject.bounds();
    let demand = demand(subject, false)?;
    let needs = facts.needs(demand.rate)?;
    // A useful count at least; one replica more or less is nobody's mistake.
    let needs = subject.partitions().map_or(needs, |p| up_to_useful(p.value, needs));
    if min <= needs + 1 || min < 3 {
        return None;
    }
    let one = facts.consumer_rate.as_ref()?;
    let pointer = subject.min_pointer();
    let need = if demand.verb == "is" { "needs" } else { "need" };
    let what = format!("{} {min} forbids the {needs} that {} {need}", Subject::key(pointer), demand.name);
    let why = format!(
        "Demand {} {} records/s {}; at {} records/s a consumer {} and 80 % busy {needs} do it. Every hour at \
         that level pays {} pods for nothing.",
        demand.verb,
        si(demand.rate),
        demand.source,
        si(one.value),
        one.source(),
        min - needs,
    );
    Some(finding("min-over-demand", Severity::Warning, pointer, what, why, vec![Edit::set(pointer, needs)]))
}

fn max_under_demand(subject: &Subject<'_>) -> Option<Finding> {
    let facts = subject.facts;
    let demand = demand(subject, true)?;
    let one = facts.consumer_rate.as_ref()?;
    let (reach, pointer) = (subject.reach(), subject.max_pointer());
    let partitions = subject.partitions();
    // What a count does: the busiest consumer holds it up.
    let carries = |count: u32| match &partitions {
        Some(p) if p.value > 0 => {
            let n = count.min(p.value).max(1);
            one.value * f64::from(p.value) / f64::from(p.value.div_ceil(n))
        }
        _ => one.value * f64::from(count),
    };
    if carries(reach) >= demand.rate {
        return None;
    }
    let all = partitions.as_ref().is_some_and(|p| reach >= p.value);
    let needs = facts.needs(demand.rate)?;
    let enough = |n: &u32| *n >= needs && carries(*n) >= demand.rate;
    let possible = partitions.as_ref().map_or(needs, |p| useful(p.value).into_iter().find(enough).unwrap_or(p.value));
    let what = format!("{reach} replicas, the highest that can come, do not carry {}", demand.name);
    let mut why = format!(
        "Demand {} {} records/s {}; {reach} replicas do {} at {} records/s a consumer {}.",
        demand.verb,
        si(demand.rate),
        demand.source,
        si(carries(reach)),
        si(one.value),
        one.source()
    );
    if all {
        why.push_str(" Every partition has a consumer by then: only more partitions or faster consumers help.");
    } else if carries(possible) < demand.rate {
        why.push_str(" A consumer for every partition does not do it either: more partitions or faster consumers do.");
    }
    let mend = if all || possible <= reach { Vec::new() } else { vec![Edit::set(pointer, possible)] };
    Some(finding("max-under-demand", Severity::Error, pointer, what, why, mend))
}

fn nothing(subject: &Subject<'_>) -> Option<Finding> {
    let (min, max) = subject.bounds();
    let idles = matches!(subject.object, Object::ScaledObject(s) if s.reaches_idle());
    if min != max || idles {
        return None;
    }
    let pointer = subject.max_pointer();
    let what = format!("lowest and highest count are both {min}: nothing is left to decide");
    let why = "The controllers put every other count back, an operator's too, and never choose one.".to_owned();
    Some(finding("nothing-to-decide", Severity::Warning, pointer, what, why, Vec::new()))
}

/// The next useful count that is not below.
fn up_to_useful(partitions: u32, n: u32) -> u32 {
    useful(partitions).into_iter().find(|c| *c >= n).unwrap_or(partitions)
}

/// `1, 2, 3 and 6`; long lists are cut in the middle.
fn list(counts: &[u32]) -> String {
    let words: Vec<String> = counts.iter().map(u32::to_string).collect();
    match words.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] if words.len() <= 12 => format!("{} and {last}", first.join(", ")),
        [first @ .., last] => format!("{}, … and {last}", first[..4].join(", ")),
    }
}
