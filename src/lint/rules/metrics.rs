//! Metrics: what is measured, how finely, and what happens when it cannot be read.

use super::{Finding, Group, Severity, Subject, counts::even_edit, finding};
use crate::{
    manifest::{Edit, Object},
    model::{FallbackBehavior, TriggerSource},
};

pub(in crate::lint) const GROUP: Group = Group {
    names: &[
        ("tolerance-stops-short", "a tolerance that keeps the last partitions from getting a consumer each"),
        ("gpu-busy-is-no-load", "a GPU's busy time or memory as a measure of load"),
        ("fallback-lowers", "a fallback that takes replicas away while the metric cannot be read"),
        ("fallback-has-no-count", "a fallback that cannot work with the triggers there are"),
        ("formula-not-evaluated", "scaling modifiers, which are not judged here"),
    ],
    judge,
};

fn judge(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = tolerance(subject).into_iter().chain(gpu(subject)).collect();
    if let Object::ScaledObject(scaled) = subject.object {
        findings.extend(fallback_lowers(subject));
        findings.extend(fallback_without(subject));
        if let Some(modifiers) = &scaled.modifiers {
            let what = format!("the formula {} is not evaluated here", modifiers.formula);
            let why = "Rules about lag targets judge the triggers one by one, and the object is neither replayed nor \
                       priced: what the formula makes of them decides."
                .to_owned();
            let pointer = "/spec/advanced/scalingModifiers/formula";
            findings.push(finding("formula-not-evaluated", Severity::Note, pointer, what, why, Vec::new()));
        }
    }
    findings
}

/// KEDA cuts the lag to one consumer a partition, and the HPA's tolerance then calls the last step too small to take
/// (keda#4791).
fn tolerance(subject: &Subject<'_>) -> Option<Finding> {
    let partitions = subject.partitions()?;
    let (p, (min, max)) = (partitions.value, subject.bounds());
    let lag = subject.lags().into_iter().find(|l| l.kafka.is_some())?;
    if subject.may_idle() || max < p || lag.kafka.is_some_and(|k| k.ensure_even || k.limit_to_partitions_with_lag) {
        return None;
    }
    let own = subject.behavior().and_then(|b| b.up.tolerance);
    let tolerance = own.unwrap_or(0.1);
    let stuck = (f64::from(p) / (1.0 + tolerance)).ceil() as u32;
    if stuck >= p || stuck < 2 {
        return None;
    }
    let does = |n: u32| p.div_ceil(n);
    let same = (1..=stuck).find(|n| does(*n) == does(stuck)).unwrap_or(stuck);
    let what = format!("from {stuck} replicas on the count does not rise to {p}, whatever is behind");
    let up = format!("{}/scaleUp", subject.behavior_pointer());
    // Divisors lie further apart than any tolerance; else the object's own tolerance helps.
    let (edit, since) = match even_edit(subject, p, min) {
        Ok(edit) => (edit, ""),
        Err(_) => (
            Edit::set(&format!("{up}/tolerance"), "0"),
            " A tolerance of its own is read by Kubernetes 1.35 and later; what is older drops it.",
        ),
    };
    let why = format!(
        "At one consumer a partition KEDA cuts the metric to {p} × lagThreshold {}; at {stuck} replicas that is {:.0} % \
         above the target, within the tolerance of {:.0} %. The busiest of {stuck} has {} partitions, so they do what \
         {same} would, at the price of {stuck} (keda#4791).{since}",
        partitions.source(),
        100.0 * (f64::from(p) / f64::from(stuck) - 1.0),
        100.0 * tolerance,
        does(stuck),
    );
    Some(finding("tolerance-stops-short", Severity::Warning, &lag.pointer, what, why, vec![edit]))
}

/// `DCGM_FI_DEV_GPU_UTIL` and memory that is allocated once.
fn gpu(subject: &Subject<'_>) -> Vec<Finding> {
    let named: Vec<(String, String)> = match subject.object {
        Object::Hpa(hpa) => {
            let metric = |(i, m): (usize, &crate::model::HpaMetric)| (format!("/spec/metrics/{i}"), m.name.to_string());
            hpa.metrics.iter().enumerate().map(metric).collect()
        }
        Object::ScaledObject(scaled) => {
            let query = |(i, t): (usize, &crate::model::Trigger)| match &t.source {
                TriggerSource::Prometheus { query, .. } => {
                    Some((format!("/spec/triggers/{i}/metadata/query"), query.to_string()))
                }
                _ => None,
            };
            scaled.triggers.iter().enumerate().filter_map(query).collect()
        }
    };
    let finding_of = |(pointer, name): (String, String)| {
        let lower = name.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|w| lower.contains(w));
        let why = if has(&["dcgm_fi_dev_gpu_util", "nvidia_gpu_duty_cycle", "gpu_utilization", "gpu_util"]) {
            "It is the share of time in which at least one kernel ran: one of 132 multiprocessors busy reads 100 %, and \
             continuous batching keeps it there from the first request to the last."
        } else if has(&["dcgm_fi_dev_fb_used", "gpu_memory_used", "gpu_mem_used"]) {
            "Inference servers take their memory at the start and keep it: the count can rise by it and never falls."
        } else {
            return None;
        };
        let what = format!("{name} says nothing about how much more a replica can take");
        let why = format!(
            "{why} Requests that wait (vllm:num_requests_waiting), or requests running against the batch that still \
             meets the SLO, do."
        );
        Some(finding("gpu-busy-is-no-load", Severity::Warning, &pointer, what, why, Vec::new()))
    };
    named.into_iter().filter_map(finding_of).collect()
}

fn fallback_lowers(subject: &Subject<'_>) -> Option<Finding> {
    let Object::ScaledObject(scaled) = subject.object else { return None };
    let fallback = scaled.fallback.filter(|f| f.behavior == FallbackBehavior::Static)?;
    let reach = subject.reach();
    if fallback.replicas >= reach {
        return None;
    }
    let facts = subject.facts;
    let needs = facts.rate.as_ref().and_then(|rate| Some((rate, facts.needs(rate.value)?)));
    if needs.as_ref().is_some_and(|(_, n)| fallback.replicas >= *n) {
        return None;
    }
    let what = format!(
        "while the metric cannot be read the count falls to {}, however many are at work",
        fallback.replicas.max(scaled.min)
    );
    let mut why = format!(
        "After {} failures KEDA shows the HPA a metric that asks for exactly {}. A broker that is being replaced looks \
         like that too, and is followed by the backlog of its absence.",
        fallback.after + 1,
        fallback.replicas
    );
    let severity = match needs {
        Some((rate, n)) => {
            why = format!("{why} The demand {} needs {n}.", rate.source());
            Severity::Warning
        }
        None => Severity::Note,
    };
    let pointer = "/spec/fallback/behavior";
    let mend = vec![Edit::set(pointer, "currentReplicasIfHigher")];
    Some(finding("fallback-lowers", severity, pointer, what, why, mend))
}

fn fallback_without(subject: &Subject<'_>) -> Option<Finding> {
    let Object::ScaledObject(scaled) = subject.object else { return None };
    scaled.fallback?;
    let resource = scaled.triggers.iter().position(|t| matches!(t.kind.as_str(), "cpu" | "memory"));
    let pointer = "/spec/fallback";
    let whole = scaled.triggers.iter().any(|t| t.metric_type == crate::model::TriggerMetric::Value);
    if whole && scaled.min == 0 {
        let what = "a fallback for a metric of type Value needs ready pods, and at zero there are none".to_owned();
        let why = "KEDA divides the fallback's count by the ready pods (2.17 and later; before, it refused the type): \
                   with none ready it gives up."
            .to_owned();
        return Some(finding("fallback-has-no-count", Severity::Warning, pointer, what, why, Vec::new()));
    }
    let index = resource.filter(|_| scaled.triggers.len() > 1)?;
    let kind = &scaled.triggers.get(index)?.kind;
    let what = format!("the fallback does not cover the {kind} trigger: metrics-server's failures are not KEDA's");
    let why =
        "The HPA reads resources itself. While they fail it never removes (a metric is missing), and no fallback \
               comes."
            .to_owned();
    Some(finding("fallback-has-no-count", Severity::Note, pointer, what, why, Vec::new()))
}
