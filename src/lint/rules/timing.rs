//! Seconds: waiting before removing, looking, and waking.

use super::{Finding, Group, Severity, Subject, finding, round};
use crate::{
    lint::{LagTarget, Protocol},
    manifest::{Edit, Object},
    model::{KafkaTrigger, ScaledObject, ScalingRules, ScalingUnit, SelectPolicy},
};
use serde_json::json;

pub(in crate::lint) const GROUP: Group = Group {
    names: &[
        ("cooldown-only-to-zero", "a cooldownPeriod where nothing goes to zero, or where only the last step waits"),
        ("idle-above-zero", "an idle count above zero: the HPA puts the lowest count back"),
        ("no-down-stabilisation", "removing at once where every removal stops the group"),
        ("polling-does-nothing", "a pollingInterval where only the HPA's own syncs count"),
        ("polling-against-commit", "looking more often than offsets are committed, or seldom and cached"),
        ("persistent-lag-is-all-lag", "excludePersistentLag where commits come more seldom than looks"),
        ("activation-at-zero", "scaling to zero where a single record wakes, or keeps awake"),
    ],
    judge,
};

/// Default of `--horizontal-pod-autoscaler-downscale-stabilization`, seconds.
const STABILISATION: f64 = 300.0;
/// Default of `--horizontal-pod-autoscaler-sync-period`, seconds.
const SYNC: f64 = 15.0;
/// What is advised where a removal stops the whole group.
const CALM: f64 = 900.0;
/// The longest window that the API server takes, seconds.
const LONGEST: f64 = 3_600.0;

fn judge(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = down_stabilisation(subject).into_iter().collect();
    if let Object::ScaledObject(scaled) = subject.object {
        let rules = [cooldown, idle, polling, cached, persistent, activation];
        findings.extend(rules.iter().filter_map(|rule| rule(subject, scaled)));
    }
    findings
}

fn is_written(subject: &Subject<'_>, pointer: &str) -> bool {
    subject.written.pointer(pointer).is_some()
}

fn cooldown(subject: &Subject<'_>, scaled: &ScaledObject) -> Option<Finding> {
    let pointer = "/spec/cooldownPeriod";
    if !is_written(subject, pointer) {
        return None;
    }
    let (seconds, min) = (scaled.cooldown, scaled.min);
    let window = subject.down().window.unwrap_or(STABILISATION);
    let longer = if subject.facts.protocol.value == Protocol::Eager { seconds.max(CALM) } else { seconds };
    let wanted = longer.min(LONGEST);
    let key = format!("{}/scaleDown/stabilizationWindowSeconds", subject.behavior_pointer());
    if scaled.reaches_idle() {
        if seconds <= 0.0 || window > 0.0 {
            return None;
        }
        let what = format!("cooldownPeriod {seconds} protects only the last step: on the way there nothing waits");
        let why = "KEDA waits that long before it takes the last replica (or goes to idleReplicaCount). Every removal \
                   before that is the HPA's, and its scaleDown.stabilizationWindowSeconds is 0."
            .to_owned();
        let mend = vec![Edit::set(&key, wanted as u64)];
        return Some(finding("cooldown-only-to-zero", Severity::Note, pointer, what, why, mend));
    }
    let what = format!("cooldownPeriod {seconds} does nothing: with minReplicaCount {min} nothing ever goes to zero");
    let why = format!(
        "KEDA waits that long before the last step, from one to zero (or to idleReplicaCount). Every other removal is the \
         HPA's, which waits for scaleDown.stabilizationWindowSeconds: {window} s here."
    );
    let mut mend = vec![Edit::remove(pointer)];
    if wanted > window {
        mend.push(Edit::set(&key, wanted as u64));
    }
    Some(finding("cooldown-only-to-zero", Severity::Warning, pointer, what, why, mend))
}

/// Only at zero does the HPA keep still.
fn idle(_: &Subject<'_>, scaled: &ScaledObject) -> Option<Finding> {
    let idle = scaled.idle.filter(|idle| *idle > 0)?;
    let min = scaled.min;
    let pointer = "/spec/idleReplicaCount";
    let what = format!("idleReplicaCount {idle} does not last: the HPA puts {min} back at its next sync");
    let why = format!(
        "While no trigger is active KEDA writes {idle} at its polls, but only a count of zero stops the HPA: at {idle} it \
         finds fewer than minReplicaCount and writes {min}, so the count goes up and down for as long as nothing is to do. \
         KEDA's documentation names 0 as the only value that works."
    );
    Some(finding("idle-above-zero", Severity::Error, pointer, what, why, vec![Edit::set(pointer, 0)]))
}

/// Percent that may be removed within a minute.
fn a_minute(rules: &ScalingRules, reach: u32) -> f64 {
    let each = rules.policies.iter().map(|p| {
        let share = match p.kind {
            ScalingUnit::Percent => f64::from(p.value),
            ScalingUnit::Pods => 100.0 * f64::from(p.value) / f64::from(reach.max(1)),
        };
        share * (60.0 / p.period.max(1.0)).max(1.0)
    });
    match rules.select {
        SelectPolicy::Disabled => 0.0,
        SelectPolicy::Max => each.fold(0.0, f64::max),
        SelectPolicy::Min => each.fold(f64::INFINITY, f64::min),
    }
}

pub(super) fn down_stabilisation(subject: &Subject<'_>) -> Option<Finding> {
    // Only where the pods are consumers of a group, and where a count can fall.
    let group = !subject.lags().is_empty() || subject.partitions().is_some();
    if !group || subject.reach() <= subject.bounds().0 {
        return None;
    }
    let (rules, protocol) = (subject.down(), &subject.facts.protocol);
    let window = rules.window.unwrap_or(STABILISATION);
    let share = a_minute(&rules, subject.reach());
    let fast = share > 50.0;
    let eager = protocol.value == Protocol::Eager;
    let severity = match (window, eager) {
        (w, _) if rules.select == SelectPolicy::Disabled || (w > 0.0 && (!eager || !fast || w >= CALM)) => return None,
        (0.0, true) if fast => Severity::Error,
        _ => Severity::Warning,
    };
    let parent = subject.behavior_pointer();
    let pointer = format!("{parent}/scaleDown");
    let what = if window > 0.0 {
        format!("after {window} s the count falls at once to what is asked, and every fall stops the whole group")
    } else if fast {
        "no stabilisation on the way down: one low reading removes consumers at once".to_owned()
    } else {
        format!(
            "no stabilisation on the way down: every low reading removes up to {share:.0} % of the consumers a minute"
        )
    };
    let pause = if eager {
        "Under an eager protocol nobody reads while partitions are handed over; the lag that grows meanwhile asks for the \
         same replicas again."
    } else {
        "Every removal moves partitions, and the lag of those that move asks for the same replicas again."
    };
    let mut why = format!("{pause} Protocol: {} {}.", protocol.value, protocol.source());
    if eager {
        why.push_str(
            " Measured in the arena's base case (40 partitions, rebalances of 15 s): 900 s and a tenth a minute, with \
             even counts, take two thirds off what lag targets cost above the best timetable.",
        );
    }
    let mend = if eager {
        let policies = json!([{"type": "Percent", "value": 10, "periodSeconds": 60}]);
        vec![
            Edit::set(&format!("{pointer}/stabilizationWindowSeconds"), CALM as u64),
            Edit::set(&format!("{pointer}/policies"), policies),
        ]
    } else {
        vec![Edit::set(&format!("{pointer}/stabilizationWindowSeconds"), STABILISATION as u64)]
    };
    Some(finding("no-down-stabilisation", severity, &pointer, what, why, mend))
}

fn polling(subject: &Subject<'_>, scaled: &ScaledObject) -> Option<Finding> {
    let pointer = "/spec/pollingInterval";
    if !is_written(subject, pointer) {
        return None;
    }
    let (seconds, commit) = (scaled.polling, &subject.facts.commit);
    let cached = scaled.triggers.iter().any(|t| t.cached);
    if !scaled.reaches_idle() && !cached {
        let what =
            format!("pollingInterval {seconds} moves nothing: KEDA's own looks decide only between zero and one");
        let why = format!(
            "With minReplicaCount {} the HPA decides alone, and it asks the trigger itself at every sync ({SYNC} s by \
             default), unless useCachedMetrics says otherwise. A shorter interval only costs the brokers requests.",
            scaled.min
        );
        let mend = vec![Edit::remove(pointer)];
        return Some(finding("polling-does-nothing", Severity::Note, pointer, what, why, mend));
    }
    // What is shown from a cache cannot be looked at too often: see `cached`.
    if cached || seconds >= commit.value || scaled.kafka().next().is_none() {
        return None;
    }
    let what = format!("pollingInterval {seconds} is shorter than the commit interval of {} s", commit.value);
    let why = format!(
        "Between two commits {} every look finds the same committed offsets and a lag that only grows: nothing new is \
         learned, and the brokers pay for it.",
        commit.source()
    );
    let mend = vec![Edit::set(pointer, commit.value.ceil() as u64)];
    Some(finding("polling-against-commit", Severity::Note, pointer, what, why, mend))
}

fn cached(_: &Subject<'_>, scaled: &ScaledObject) -> Option<Finding> {
    let index = scaled.triggers.iter().position(|t| t.cached)?;
    if scaled.polling <= SYNC {
        return None;
    }
    let pointer = format!("/spec/triggers/{index}/useCachedMetrics");
    let what = format!("useCachedMetrics shows the HPA values that are up to {} s old", scaled.polling);
    let why = format!(
        "The HPA syncs every {SYNC} s and sees what the last poll saw: it decides on the same value {:.0} times, and on a \
         backlog that its last step may have cleared already.",
        (scaled.polling / SYNC).ceil()
    );
    let mend = vec![Edit::set("/spec/pollingInterval", SYNC as u64)];
    Some(finding("polling-against-commit", Severity::Warning, &pointer, what, why, mend))
}

fn persistent(subject: &Subject<'_>, scaled: &ScaledObject) -> Option<Finding> {
    let commit = &subject.facts.commit;
    let named = |k: &KafkaTrigger| k.exclude_persistent;
    let index = subject.lags().into_iter().find(|l| l.kafka.is_some_and(named))?.index;
    let look = scaled.polling.min(SYNC);
    if commit.value < look / 2.0 {
        return None;
    }
    let severity = if commit.value >= look { Severity::Error } else { Severity::Warning };
    let pointer = format!("/spec/triggers/{index}/metadata/excludePersistentLag");
    let what = "excludePersistentLag takes partitions for stuck that merely wait for their commit".to_owned();
    let why = format!(
        "A partition whose committed offset did not move between two looks counts as no lag. Looks come every {look} s and \
         more (the HPA's and KEDA's share one memory), commits every {} s {}: {} of the partitions are left out although \
         they are being read, and the count falls while they lag.",
        commit.value,
        commit.source(),
        if commit.value >= look { "most" } else { "many" }
    );
    Some(finding("persistent-lag-is-all-lag", severity, &pointer, what, why, vec![Edit::remove(&pointer)]))
}

fn activation(subject: &Subject<'_>, scaled: &ScaledObject) -> Option<Finding> {
    if !scaled.reaches_idle() {
        return None;
    }
    let lags = subject.lags();
    let lag = lags.iter().find(|l| l.kafka.is_some_and(|k| k.activation < 1.0))?;
    let kafka = lag.kafka?;
    let pointer = format!("/spec/triggers/{}/metadata/activationLagThreshold", lag.index);
    let what = "activationLagThreshold is 0: a single record wakes the workload, and keeps it awake".to_owned();
    let mut why = format!(
        "Active means a lag above it. Control records of transactions leave a lag of one a partition that is never \
         committed, and between two commits ({} s {}) the last records count as well.",
        subject.facts.commit.value,
        subject.facts.commit.source()
    );
    if !kafka.zero_on_invalid_offset && !kafka.earliest {
        why.push_str(" A partition that the group never committed counts as one record behind, for ever.");
    }
    let partitions = subject.partitions().map_or(1.0, |p| f64::from(p.value));
    let quiet = round(kafka.lag_threshold / 100.0).max(partitions);
    why = format!("{why} With {quiet}, as many may wait until there is one more: choose what may wait.");
    let mend = vec![Edit::set(&pointer, LagTarget::value(quiet))];
    Some(finding("activation-at-zero", Severity::Note, &pointer, what, why, mend))
}
