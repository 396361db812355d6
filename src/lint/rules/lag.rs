//! Targets on lag: what is seen is not what is behind, and a target per replica is a time lag in disguise.

use super::{Finding, Group, Severity, Subject, finding, round, timing::down_stabilisation};
use crate::{
    lint::{Facts, LagTarget},
    manifest::Edit,
    model::si,
};

pub(in crate::lint) const GROUP: Group = Group {
    names: &[
        ("lag-target-under-floor", "a lag target below what commits alone show"),
        ("lag-target-over-slo", "a lag target that is more seconds behind than the SLO allows"),
        ("target-per-replica", "a threshold per replica that was meant per partition"),
        ("value-on-total-lag", "the whole lag against a Value: the count multiplies itself at every sync"),
    ],
    judge,
};

fn judge(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for target in subject.lags() {
        findings.extend(value_on_total(subject, &target));
        if !target.whole {
            findings.extend(under_floor(subject, &target));
            findings.extend(over_slo(subject.facts, &target));
            findings.extend(per_replica(subject, &target));
        }
    }
    findings
}

/// A target between what commits show and what the SLO allows, records per replica: their geometric mean, or what the
/// arena found cheapest.
///
/// With a target of T records a replica the HPA rests where lag = T × n. It can rest only where n does what is demanded,
/// so it rests at a time lag of T / (what one consumer does).
pub(in crate::lint) fn good(facts: &Facts) -> Option<f64> {
    let one = facts.consumer_rate.as_ref()?.value;
    let (floor, ceiling) = (one * facts.commit.value / 2.0, one * facts.slo.value);
    Some(facts.cheapest_target.unwrap_or_else(|| round((floor * ceiling.max(floor)).sqrt())))
}

/// Without knowing what a consumer does: the smallest target for which commits alone ask for no more than the lowest
/// count.
fn modest(subject: &Subject<'_>) -> Option<f64> {
    let floor = subject.facts.visible_floor()?;
    Some(round(1.1 * floor / f64::from(subject.bounds().0.max(1))))
}

/// A higher target. It waits for a backlog before it adds, so it goes together with what keeps it from removing at once:
/// alone, under an eager protocol, it costs more than the fault (642 became 1106 in a day of the arena).
fn mend(subject: &Subject<'_>, target: &LagTarget<'_>) -> Vec<Edit> {
    let better = good(subject.facts).or_else(|| modest(subject)).filter(|b| *b > target.target);
    let Some(better) = better else { return Vec::new() };
    let mut edits = vec![Edit::set(&target.pointer, LagTarget::value(better))];
    edits.extend(down_stabilisation(subject).into_iter().flat_map(|f| f.mend));
    edits
}

fn under_floor(subject: &Subject<'_>, target: &LagTarget<'_>) -> Option<Finding> {
    let facts = subject.facts;
    let (floor, rate) = (facts.visible_floor()?, facts.rate.as_ref()?);
    let asked = (floor / target.target).ceil();
    let (min, reach) = (subject.bounds().0, subject.reach());
    let needs = facts.needs(rate.value).map(|n| n.max(min));
    // Within the HPA's tolerance of what is needed anyway, or at the lowest count, the floor does no harm.
    let most = f64::from(reach);
    let harmless = needs.map_or(asked < most, |n| asked.min(most) <= f64::from(n) * 1.1) || asked <= f64::from(min);
    if harmless {
        return None;
    }
    let pinned = asked >= f64::from(reach);
    let severity = if pinned { Severity::Error } else { Severity::Warning };
    let (key, records) = (target.key, si(target.target));
    let asks = if pinned {
        format!("holds the count at {reach}, the highest that can come, whatever is behind")
    } else {
        format!("asks for {asked:.0} replicas when nothing is behind")
    };
    let needed = match (needs, &facts.consumer_rate) {
        (Some(n), Some(one)) => format!(
            " {} records/s need {n}, at {} records/s a consumer {} and 80 % busy.",
            si(rate.value),
            si(one.value),
            one.source()
        ),
        _ => String::from(" What one consumer can process is not known (--consumer-rate tells)."),
    };
    let why = format!(
        "Offsets are committed every {} s {}, so half an interval of the {} records/s {} is always processed and not \
         committed: {} records of lag that nobody is behind by. {} records a replica make {asked:.0} replicas of them.{needed}",
        facts.commit.value,
        facts.commit.source(),
        si(rate.value),
        rate.source(),
        si(floor),
        records,
    );
    let what = format!("{key} {records} lies below what commits alone show, which {asks}");
    Some(finding("lag-target-under-floor", severity, &target.pointer, what, why, mend(subject, target)))
}

fn over_slo(facts: &Facts, target: &LagTarget<'_>) -> Option<Finding> {
    let one = facts.consumer_rate.as_ref()?;
    let rests = target.target / one.value;
    if rests <= facts.slo.value {
        return None;
    }
    let what = format!(
        "{} {} rests at {rests:.0} s behind, over the SLO of {} s",
        target.key,
        si(target.target),
        facts.slo.value
    );
    let mut why = format!(
        "The HPA rests where the lag is the target times the replicas, and it can rest only where these do what is \
         demanded: {} records at {} records/s a consumer {} are {rests:.0} s. SLO {} s {}.",
        si(target.target),
        si(one.value),
        one.source(),
        facts.slo.value,
        facts.slo.source(),
    );
    let (floor, ceiling) = (one.value * facts.commit.value / 2.0, (one.value * facts.slo.value).floor());
    let better = good(facts).filter(|b| *b <= ceiling).or(Some(ceiling).filter(|c| *c > floor));
    if better.is_none() {
        why = format!("{why} No target is both below it and above what commits alone show: commit more often.");
    }
    let mend = better.into_iter().map(|b| Edit::set(&target.pointer, LagTarget::value(b))).collect();
    Some(finding("lag-target-over-slo", Severity::Warning, &target.pointer, what, why, mend))
}

/// A number that is right per partition, where it means per replica: over the floor of one partition and under the floor
/// of the partitions that one replica has at the count that is needed.
fn per_replica(subject: &Subject<'_>, target: &LagTarget<'_>) -> Option<Finding> {
    let facts = subject.facts;
    let (floor, rate) = (facts.visible_floor()?, facts.rate.as_ref()?);
    let partitions = subject.partitions()?;
    let count = facts.needs(rate.value)?.min(partitions.value).max(1);
    let (one_partition, one_replica) = (floor / f64::from(partitions.value), floor / f64::from(count));
    let each = f64::from(partitions.value) / f64::from(count);
    if each < 2.0 || !(one_partition..one_replica).contains(&target.target) {
        return None;
    }
    let what =
        format!("{} {} is a sensible lag of one partition, but it is per replica", target.key, si(target.target));
    let why = format!(
        "The target is the whole lag over the replicas. With {} partitions {} and the {count} consumers that the demand \
         needs, each has {each:.0} partitions: what is {} a partition is {} a replica, and commits alone show {} of it.",
        partitions.value,
        partitions.source(),
        si(target.target),
        si(target.target * each),
        si(one_replica),
    );
    Some(finding("target-per-replica", Severity::Warning, &target.pointer, what, why, mend(subject, target)))
}

fn value_on_total(subject: &Subject<'_>, target: &LagTarget<'_>) -> Option<Finding> {
    if !target.whole {
        return None;
    }
    let floor = subject.facts.visible_floor();
    let never = floor.is_some_and(|f| f > target.target * 1.1);
    let severity = if never { Severity::Error } else { Severity::Warning };
    let what = format!("the whole lag is held at {} as a Value: every sync multiplies the count", si(target.target));
    let mut why = format!(
        "With Value the count becomes count × lag / {}: while a backlog lasts it doubles at every sync up to the highest \
         (prometheus-adapter#294), however many replicas are already on their way; with AverageValue it is lag / target.",
        si(target.target)
    );
    if let (Some(floor), true) = (floor, never) {
        let reach = subject.reach();
        why = format!(
            "{why} Commits alone show {} records {}, so the target is never met and the count stays at {reach}.",
            si(floor),
            subject.facts.commit.source()
        );
    }
    let per_replica = good(subject.facts).unwrap_or_else(|| {
        let (min, _) = subject.bounds();
        round((target.target / f64::from(min.max(1))).max(modest(subject).unwrap_or(0.0)).max(1.0))
    });
    let mend = if subject.is_keda() {
        let trigger = format!("/spec/triggers/{}", target.index);
        vec![
            Edit::set(&format!("{trigger}/metricType"), "AverageValue"),
            Edit::set(&target.pointer, LagTarget::value(per_replica)),
        ]
    } else {
        let parent = target.pointer.trim_end_matches("/value");
        vec![
            Edit::set(&format!("{parent}/type"), "AverageValue"),
            Edit::set(&format!("{parent}/averageValue"), LagTarget::value(per_replica)),
            Edit::remove(&target.pointer),
        ]
    };
    Some(finding("value-on-total-lag", severity, &target.pointer, what, why, mend))
}
