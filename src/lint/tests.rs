//! Every rule fires on what is wrong, keeps silent on what is right, and its mend silences it.

use super::*;
use crate::manifest::{Grade, apply, documents, manifests};
use proptest::prelude::*;
use std::collections::BTreeSet;

mod truth;

/// 24 partitions, 6000 records/s (2000 to 12 000), 1000 a consumer, eager, commits every 5 s.
fn facts() -> Facts {
    Facts {
        partitions: Some(Known::told(24, "test")),
        rate: Some(Known::told(6_000.0, "test")),
        range: Some(Known::told((2_000.0, 12_000.0), "test")),
        consumer_rate: Some(Known::told(1_000.0, "test")),
        ..Facts::default()
    }
}

fn keda(spec: &str, metadata: &str) -> String {
    format!(
        "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: orders, namespace: payments}}\nspec:\n  \
         scaleTargetRef: {{name: orders}}\n{spec}  triggers:\n    - type: kafka\n      metadata: {{bootstrapServers: \
         \"k:9092\", consumerGroup: orders, topic: orders, {metadata}}}\n"
    )
}

fn hpa(spec: &str, target: &str) -> String {
    format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: orders, namespace: payments}}\nspec:\n  \
         scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: orders}}\n{spec}  metrics:\n    - type: External\n      \
         external: {{metric: {{name: kafka_consumergroup_lag}}, target: {{{target}}}}}\n"
    )
}

fn read(text: &str) -> Vec<Manifest> {
    manifests(&documents(text).unwrap())
}

fn fired(text: &str, facts: &Facts) -> BTreeSet<&'static str> {
    read(text).iter().flat_map(|m| judge(m, &facts.with_annotations(&m.value).0)).map(|f| f.rule).collect()
}

const CALM: &str = "  advanced:\n    horizontalPodAutoscalerConfig:\n      behavior:\n        scaleDown:\n          \
                    stabilizationWindowSeconds: 900\n          policies: [{type: Percent, value: 10, periodSeconds: 60}]\n";

/// A ScaledObject that there is nothing to say about.
fn sound() -> String {
    let bounds = "  minReplicaCount: 3\n  maxReplicaCount: 24\n";
    keda(&format!("{bounds}{CALM}"), "lagThreshold: \"16000\", ensureEvenDistributionOfPartitions: \"true\"")
}

/// Rule, an object that breaks it, and the same object without the fault.
fn cases() -> Vec<(&'static str, String, String)> {
    let bounds = "  minReplicaCount: 3\n  maxReplicaCount: 24\n";
    let even = "ensureEvenDistributionOfPartitions: \"true\"";
    let with = |metadata: &str| keda(&format!("{bounds}{CALM}"), metadata);
    let spec = |more: &str| keda(&format!("{bounds}{more}{CALM}"), &format!("lagThreshold: \"16000\", {even}"));
    let edges = |min: u32, max: u32, metadata: &str| {
        keda(&format!("  minReplicaCount: {min}\n  maxReplicaCount: {max}\n{CALM}"), metadata)
    };
    let lag = |threshold: &str| with(&format!("lagThreshold: \"{threshold}\", {even}"));
    let to_zero = |metadata: &str| edges(0, 24, &format!("lagThreshold: \"16000\", {even}, {metadata}"));
    let quick = |window: u32| {
        let of = format!("stabilizationWindowSeconds: {window}\n");
        to_zero("activationLagThreshold: \"100\"")
            .replace("stabilizationWindowSeconds: 900\n", &of)
            .replace("spec:\n", "spec:\n  cooldownPeriod: 900\n")
    };
    let plain = |down: &str| {
        let down = format!("  behavior: {{scaleDown: {{{down}}}}}\n");
        hpa(&format!("  minReplicas: 3\n  maxReplicas: 24\n{down}"), "type: AverageValue, averageValue: 16k")
    };
    let held = "stabilizationWindowSeconds: 900";
    let sized = |target: &str| {
        let down = format!("  behavior: {{scaleDown: {{{held}}}}}\n");
        hpa(&format!("  minReplicas: 3\n  maxReplicas: 24\n{down}"), target)
    };
    let gpu = |name: &str| {
        hpa("  maxReplicas: 8\n", "type: AverageValue, averageValue: 70").replace("kafka_consumergroup_lag", name)
    };
    let whole = |plain: bool| {
        let object = sound().replace("    - type: kafka\n", "    - type: kafka\n      metricType: Value\n");
        if plain { sound() } else { object }
    };
    let annotated = |value: &str| {
        let annotations = format!("annotations: {{autoscaling.keda.sh/paused: \"{value}\"}}, namespace: payments");
        sound().replace("namespace: payments", &annotations)
    };
    let at_zero = |more: &str| {
        let fallback = "spec:\n  fallback: {failureThreshold: 3, replicas: 4, behavior: currentReplicasIfHigher}\n";
        let object = to_zero("activationLagThreshold: \"100\"").replace("spec:\n", fallback);
        object.replace("    - type: kafka\n", &format!("    - type: kafka\n{more}"))
    };
    let fallback = |behavior: &str| spec(&format!("  fallback: {{failureThreshold: 3, replicas: 4{behavior}}}\n"));
    vec![
        ("lag-target-under-floor", lag("1000"), lag("16000")),
        (
            "lag-target-under-floor",
            sized("type: AverageValue, averageValue: 1k"),
            sized("type: AverageValue, averageValue: 16k"),
        ),
        ("lag-target-over-slo", lag("60000"), lag("16000")),
        ("target-per-replica", lag("1500"), lag("16000")),
        ("value-on-total-lag", whole(false), whole(true)),
        ("value-on-total-lag", sized("type: Value, value: 10k"), sized("type: AverageValue, averageValue: 16k")),
        ("max-over-partitions", edges(3, 30, &format!("lagThreshold: \"16000\", {even}")), sound()),
        ("max-over-partitions", edges(3, 30, "lagThreshold: \"16000\", allowIdleConsumers: \"true\""), sound()),
        ("counts-between-useful", with("lagThreshold: \"16000\""), sound()),
        ("counts-between-useful", edges(7, 24, &format!("lagThreshold: \"16000\", {even}")), sound()),
        ("min-over-demand", edges(12, 24, &format!("lagThreshold: \"16000\", {even}")), sound()),
        ("max-under-demand", edges(3, 8, &format!("lagThreshold: \"16000\", {even}")), sound()),
        ("nothing-to-decide", edges(24, 24, &format!("lagThreshold: \"16000\", {even}")), sound()),
        ("cooldown-only-to-zero", spec("  cooldownPeriod: 300\n"), sound()),
        (
            "cooldown-only-to-zero",
            spec("  cooldownPeriod: 300\n"),
            edges(0, 24, "lagThreshold: \"16000\"").replace("spec:\n", "spec:\n  cooldownPeriod: 300\n"),
        ),
        ("cooldown-only-to-zero", quick(0), quick(60)),
        ("idle-above-zero", spec("  idleReplicaCount: 1\n"), spec("  idleReplicaCount: 0\n")),
        ("no-down-stabilisation", plain("stabilizationWindowSeconds: 0"), plain(held)),
        ("no-down-stabilisation", plain("selectPolicy: Max"), plain("selectPolicy: Disabled")),
        ("polling-does-nothing", spec("  pollingInterval: 30\n"), sound()),
        (
            "polling-against-commit",
            to_zero("activationLagThreshold: \"100\"").replace("spec:\n", "spec:\n  pollingInterval: 2\n"),
            to_zero("activationLagThreshold: \"100\"").replace("spec:\n", "spec:\n  pollingInterval: 10\n"),
        ),
        (
            "polling-against-commit",
            sound().replace("    - type: kafka\n", "    - type: kafka\n      useCachedMetrics: true\n"),
            sound(),
        ),
        ("activation-at-zero", to_zero("offsetResetPolicy: latest"), to_zero("activationLagThreshold: \"100\"")),
        ("tolerance-stops-short", with("lagThreshold: \"16000\""), sound()),
        ("gpu-busy-is-no-load", gpu("DCGM_FI_DEV_GPU_UTIL"), gpu("vllm:num_requests_waiting")),
        ("fallback-lowers", fallback(""), fallback(", behavior: currentReplicasIfHigher")),
        ("fallback-has-no-count", at_zero("      metricType: Value\n"), at_zero("")),
        (
            "formula-not-evaluated",
            sound()
                .replace("  advanced:\n", "  advanced:\n    scalingModifiers: {formula: \"a * 2\", target: \"5\"}\n"),
            sound(),
        ),
        ("paused", annotated("yes"), annotated("false")),
        (
            "target-not-found",
            sized("type: AverageValue, averageValue: 16k").replace("apiVersion: apps/v1, ", ""),
            sound(),
        ),
        ("target-not-found", sound().replace("{name: orders}", "{name: orders, kind: Rollout}"), sound()),
        ("refused", with("lagThreshold: 16000"), sound()),
        ("unknown-field", spec("  maxReplicas: 9\n"), sound()),
        ("unknown-metadata", with("lagTreshold: \"16000\""), sound()),
    ]
}

#[test]
fn every_rule_fires_on_the_bad_and_is_silent_on_the_good() {
    for (rule, bad, good) in cases() {
        assert!(fired(&bad, &facts()).contains(rule), "{rule} is silent on\n{bad}");
        assert!(!fired(&good, &facts()).contains(rule), "{rule} fires on\n{good}");
    }
    let worst = fired(&sound(), &facts());
    assert!(worst.is_empty(), "{worst:?}");
}

#[test]
fn every_rule_has_a_case() {
    let tested: BTreeSet<&str> = cases().into_iter().map(|(rule, ..)| rule).collect();
    let elsewhere = ["two-writers", "persistent-lag-is-all-lag", "even-too-coarse", "unreadable"];
    for (rule, about) in rules() {
        assert!(tested.contains(rule) || elsewhere.contains(&rule), "{rule} ({about}) has no case");
    }
}

#[test]
fn a_mend_silences_its_rule_and_stays_readable() {
    for (rule, bad, _) in cases() {
        let manifest = read(&bad).remove(0);
        let facts = facts();
        let found = judge(&manifest, &facts);
        for finding in found.iter().filter(|f| f.rule == rule && !f.mend.is_empty()) {
            let mended = Manifest::read(&apply(&manifest.value, &finding.mend)).unwrap();
            assert!(mended.unreadable().is_none(), "{rule}: {:?}", mended.complaints);
            let still: Vec<Finding> =
                judge(&mended, &facts).into_iter().filter(|f| f.rule == rule && f.pointer == finding.pointer).collect();
            assert!(still.is_empty(), "{rule} still fires: {still:?}\nafter {:?}", finding.mend);
        }
    }
}

#[test]
fn rules_that_depend_on_intervals_and_divisors() {
    let exclude = sound().replace("ensureEven", "excludePersistentLag: \"true\", ensureEven");
    let slow = Facts { commit: Known::told(30.0, "test"), ..facts() };
    assert!(!fired(&exclude, &facts()).contains("persistent-lag-is-all-lag"), "5 s commits, looks every 15");
    assert!(fired(&exclude, &slow).contains("persistent-lag-is-all-lag"));
    let coarse = Facts { partitions: Some(Known::told(26, "test")), ..facts() };
    assert!(fired(&sound(), &coarse).contains("even-too-coarse"), "from 3 the next is 13");
    assert!(!fired(&sound(), &facts()).contains("even-too-coarse"));
}

#[test]
fn without_facts_only_what_needs_none_is_said() {
    let bare = Facts::default();
    let said = fired(
        &keda("  minReplicaCount: 6\n  maxReplicaCount: 30\n  cooldownPeriod: 300\n", "lagThreshold: \"1000\""),
        &bare,
    );
    assert_eq!(said.into_iter().collect::<Vec<_>>(), ["cooldown-only-to-zero", "no-down-stabilisation"]);
}

#[test]
fn annotations_tell_facts() {
    let annotations = "annotations: {highwater/partitions: \"24\", highwater/rate: \"6000\", highwater/consumer-rate: \
                       \"1000\", highwater/commit: 5s, highwater/protocol: consumer}, namespace: payments";
    let text = keda("  minReplicaCount: 3\n  maxReplicaCount: 30\n", "lagThreshold: \"1000\"");
    let said = fired(&text.replace("namespace: payments", annotations), &Facts::default());
    assert!(said.contains("lag-target-under-floor") && said.contains("max-over-partitions"), "{said:?}");
    assert!(!said.contains("no-down-stabilisation"), "nobody stops under KIP-848: {said:?}");
}

#[test]
fn two_autoscalers_on_one_target_fight_unless_one_made_the_other() {
    let scaled = sound();
    let own = hpa("  maxReplicas: 24\n", "type: AverageValue, averageValue: 16k");
    let fights = |text: String| judge_together(&read(&text)).iter().map(|(i, f)| (*i, f.rule)).collect::<Vec<_>>();
    assert_eq!(fights(format!("{scaled}---\n{own}")), [(1, "two-writers")]);
    assert_eq!(
        fights(format!("{own}---\n{}", own.replace("name: orders, namespace", "name: again, namespace"))),
        [(1, "two-writers")]
    );
    let made = own
        .replace("namespace: payments", "namespace: payments, labels: {app.kubernetes.io/managed-by: keda-operator}");
    assert_eq!(fights(format!("{scaled}---\n{made}")), []);
    assert_eq!(fights(format!("{scaled}---\n{}", own.replace("namespace: payments", "namespace: other"))), []);
    let over = |value: &str| {
        let annotation =
            format!("annotations: {{scaledobject.keda.sh/transfer-hpa-ownership: \"{value}\"}}, namespace: payments");
        let named =
            sound().replace("horizontalPodAutoscalerConfig:\n", "horizontalPodAutoscalerConfig:\n      name: orders\n");
        fights(format!("{}---\n{own}", named.replace("namespace: payments", &annotation)))
    };
    assert_eq!((over("true"), over("false")), (vec![], vec![(1, "two-writers")]));
    assert!(fired(&made, &facts()).is_empty(), "KEDA's HPA is its ScaledObject's business");
}

#[test]
fn numbers_say_where_they_come_from() {
    let facts = Facts { commit: Facts::default().commit, ..facts() };
    let manifest = read(&keda("  minReplicaCount: 6\n  maxReplicaCount: 30\n", "lagThreshold: \"1000\"")).remove(0);
    let found = judge(&manifest, &facts);
    let floor = found.iter().find(|f| f.rule == "lag-target-under-floor").unwrap();
    assert!(floor.why.contains("assumed: auto.commit.interval.ms"), "{}", floor.why);
    assert!(floor.why.contains("15k records of lag") || floor.why.contains("15.0k records"), "{}", floor.why);
    assert_eq!(
        found.iter().map(|f| f.severity).max(),
        Some(Severity::Error).filter(|_| floor.severity == Severity::Error).or(Some(Severity::Warning))
    );
}

#[test]
fn a_lag_in_seconds_is_no_lag_in_records() {
    let text = hpa("  maxReplicas: 24\n", "type: AverageValue, averageValue: 10");
    assert!(fired(&text, &facts()).contains("lag-target-under-floor"));
    let seconds = text.replace("kafka_consumergroup_lag", "kafka_consumergroup_lag_seconds");
    assert!(!fired(&seconds, &facts()).contains("lag-target-under-floor"));
}

#[test]
fn the_arena_prices_an_object_by_what_it_does() {
    use crate::simulate::arena::Game;
    use crate::simulate::group::{Assignor, GroupSettings, Protocol};
    let (protocol, assignor) = (Protocol::Cooperative, Assignor::Sticky);
    let group = GroupSettings { protocol, assignor, rebalance: 4.0, ..Game::default().group };
    let game = Game { partitions: 24, start: 8, group, ..Game::default() };
    let days = [Day { demand: vec![6_000.0; 7_200], seed: 1 }];
    let price = |text: &str| {
        let manifest = read(text).remove(0);
        play(&manifest.object, &game, &days)
    };
    let bounds = "  minReplicaCount: 3\n  maxReplicaCount: 24\n";
    let low = price(&keda(bounds, "lagThreshold: \"500\"")).unwrap();
    let good = price(&sound()).unwrap();
    assert!(low.average_replicas > 20.0, "commits alone pin it: {low:?}");
    assert!(good.price < low.price, "{good:?} {low:?}");
    let fixed = price(&keda("  minReplicaCount: 8\n  maxReplicaCount: 8\n", "lagThreshold: \"500\"")).unwrap();
    assert!((7.9..8.5).contains(&fixed.average_replicas), "its own bounds hold: {fixed:?}");
    let why = price(&sound().replace("type: kafka", "type: cron")).unwrap_err();
    assert!(why.contains("cron"), "{why}");
}

#[test]
fn a_lag_is_known_by_the_words_of_metric_names() {
    let query = |query: &str| {
        let trigger = format!(
            "    - type: prometheus\n      metadata: {{serverAddress: \"http://p\", threshold: \"10\", query: '{query}'}}\n"
        );
        let text = keda("  minReplicaCount: 2\n  maxReplicaCount: 24\n", "");
        format!("{}{trigger}", &text[..text.find("    - type: kafka").unwrap()])
    };
    let judged = |text: &str| fired(text, &facts()).contains("lag-target-under-floor");
    for lag in [
        "sum(kafka_consumergroup_lag{consumergroup=\"realtime-orders\"})",
        "sum(kafka_consumergroup_lag{consumergroup=\"feature-flags\"})",
        "sum(aws_kafka_sum_offset_lag) by (group)",
        "sum(kafka_consumergroup_lag{topic=~\"{{ .Values.topic }}\"",
    ] {
        assert!(judged(&query(lag)), "{lag}");
    }
    for other in [
        "sum(rate(http_requests_total{namespace=\"village\"}[1m]))",
        "sum(feature_flag_evaluations)",
        "max(kafka_consumergroup_lag_seconds)",
        "sum({job=\"lag\"})",
    ] {
        assert!(!judged(&query(other)), "{other}");
    }
    let named = |name: &str| {
        hpa("  maxReplicas: 24\n", "type: AverageValue, averageValue: 10").replace("kafka_consumergroup_lag", name)
    };
    for (name, is) in
        [("SumOffsetLag", true), ("s1-kafka-orders", true), ("EstimatedTimeLag", false), ("flagged", false)]
    {
        assert_eq!(judged(&named(name)), is, "{name}");
    }
}

#[test]
fn annotations_that_tell_nothing_are_said() {
    let told = |annotations: &str| {
        let value = documents(&format!("metadata: {{annotations: {{{annotations}}}}}")).unwrap().remove(0).value;
        Facts::default().with_annotations(&value)
    };
    let (facts, wrong) =
        told("highwater/commit: 1m, highwater/slo: 500ms, highwater/partitions: \"40\", other/rate: x");
    assert_eq!(wrong, []);
    assert_eq!((facts.commit.value, facts.slo.value, facts.partitions.map(|p| p.value)), (60.0, 0.5, Some(40)));
    for bad in [
        "partitions: forty",
        "partitions: \"4000000000\"",
        "rate: 5",
        "rate: fast",
        "slo: 0s",
        "protocol: sticky",
        "rat: \"5\"",
    ] {
        let (_, wrong) = told(&format!("highwater/{bad}"));
        assert_eq!(wrong.len(), 1, "{bad}");
        assert!(wrong[0].pointer.starts_with("/metadata/annotations/highwater~1"), "{wrong:?}");
    }
}

/// What the first finding of a rule says.
fn sentence(text: &str, facts: &Facts, rule: &str) -> String {
    let found = judge(&read(text)[0], facts).into_iter().find(|f| f.rule == rule);
    found.map(|f| format!("{} {}", f.what, f.why)).unwrap_or_default()
}

#[test]
fn sentences_say_what_is_so() {
    let even = "lagThreshold: \"16000\"";
    let both = format!(
        "{}    - {{type: cpu, metricType: Utilization, metadata: {{value: \"60\"}}}}\n",
        keda("  minReplicaCount: 3\n  maxReplicaCount: 30\n", even)
    );
    let said = sentence(&both, &facts(), "max-over-partitions");
    assert!(said.contains("A cpu trigger knows nothing of partitions"), "{said}");
    let mean = Facts { range: None, ..facts() };
    let said = sentence(&keda("  minReplicaCount: 16\n  maxReplicaCount: 24\n", even), &mean, "min-over-demand");
    assert!(said.contains("mean demand needs") && said.contains("Demand is 6k"), "{said}");
    let said = sentence(&keda("  minReplicaCount: 1\n  maxReplicaCount: 2\n", even), &mean, "max-under-demand");
    assert!(said.contains("do not carry the mean demand") && said.contains("Demand is 6k"), "{said}");
    let slow = sound().replace("stabilizationWindowSeconds: 900", "stabilizationWindowSeconds: 0");
    let said = sentence(&slow, &facts(), "no-down-stabilisation");
    assert!(said.contains("up to 10 % of the consumers a minute"), "{said}");
    let absurd = keda("  minReplicaCount: 1\n  maxReplicaCount: 2147483647\n", "allowIdleConsumers: \"true\"");
    assert!(sentence(&absurd, &facts(), "max-over-partitions").contains("51539606952 pod-hours"));
}

#[test]
fn what_v1_cannot_say_is_no_mend_of_it() {
    let text = "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: x}\nspec: {scaleTargetRef: {kind: \
                Deployment, name: x}, maxReplicas: 30, targetCPUUtilizationPercentage: 70}\n";
    let found = judge(&read(text)[0], &facts());
    let down = found.iter().find(|f| f.rule == "no-down-stabilisation").unwrap();
    assert!(down.mend.is_empty() && down.why.contains("write the object as autoscaling/v2"), "{down:?}");
}

proptest! {
    /// What is written instead silences what asked for it, whatever the numbers.
    #[test]
    fn any_mend_silences_its_rule(
        bounds in (0_u32..50, 1_u32..200), lag in 1_u64..200_000, partitions in 1_u32..400, rate in 100.0..1e6_f64,
        one in 10.0..10_000_f64, commit in 1_u32..120, slo in 5_u32..300, polling in 1_u32..120,
        eager in any::<bool>(), cached in any::<bool>(), even in any::<bool>(), keda_only in any::<bool>(),
    ) {
        let (min, max) = (bounds.0.min(bounds.1), bounds.1);
        let spec = format!("  minReplicaCount: {min}\n  maxReplicaCount: {max}\n  pollingInterval: {polling}\n  cooldownPeriod: 300\n");
        let more = format!("lagThreshold: \"{lag}\", ensureEvenDistributionOfPartitions: \"{even}\"");
        let cache = format!("    - type: kafka\n      useCachedMetrics: {cached}\n");
        let text = keda(&spec, &more).replace("    - type: kafka\n", &cache);
        let query = "    - {type: prometheus, metadata: {serverAddress: s, query: sum(kafka_consumergroup_lag), threshold: \"500\"}}\n";
        let text = if keda_only { text } else { text.replace("  triggers:\n", &format!("  triggers:\n{query}")) };
        let facts = Facts {
            partitions: Some(Known::told(partitions, "test")),
            rate: Some(Known::told(rate, "test")),
            range: Some(Known::told((rate / 2.0, rate * 2.0), "test")),
            consumer_rate: Some(Known::told(one, "test")),
            commit: Known::told(f64::from(commit), "test"),
            slo: Known::told(f64::from(slo), "test"),
            protocol: Known::told(if eager { Protocol::Eager } else { Protocol::Consumer }, "test"),
            ..Facts::default()
        };
        let manifest = read(&text).remove(0);
        for finding in judge(&manifest, &facts).iter().filter(|f| !f.mend.is_empty()) {
            let mended = Manifest::read(&apply(&manifest.value, &finding.mend)).unwrap();
            let same = |f: &Finding| (f.rule, &f.pointer) == (finding.rule, &finding.pointer);
            let still = judge(&mended, &facts).into_iter().find(same);
            let done = still.as_ref().is_none_or(|f| f.rule == "max-under-demand" && f.mend.is_empty());
            prop_assert!(done, "{finding:?}\nand after its mend\n{still:?}");
        }
    }

    /// Whatever stands in a trigger, nothing panics, and nothing is judged that cannot be read.
    #[test]
    fn any_numbers_are_judged_without_panic(
        min in 0_u32..50, max in 0_u32..200, lag in 0_u64..2_000_000, partitions in 1_u32..400, rate in 0.0..1e7_f64,
        window in 0_u32..4_000, percent in 0_u32..200,
    ) {
        let down = format!("  advanced: {{horizontalPodAutoscalerConfig: {{behavior: {{scaleDown: {{stabilizationWindowSeconds: \
                            {window}, policies: [{{type: Percent, value: {percent}, periodSeconds: 60}}]}}}}}}}}\n");
        let text = keda(&format!("  minReplicaCount: {min}\n  maxReplicaCount: {max}\n{down}"), &format!("lagThreshold: \"{lag}\""));
        let facts = Facts {
            partitions: Some(Known::told(partitions, "test")),
            rate: Some(Known::told(rate, "test")),
            range: Some(Known::told((rate / 2.0, rate * 2.0), "test")),
            ..facts()
        };
        let manifest = read(&text).remove(0);
        let found = judge(&manifest, &facts);
        if min > max {
            prop_assert!(found.iter().all(|f| f.rule == "unreadable" || f.rule == "refused"));
        }
        for finding in &found {
            prop_assert!(!finding.what.contains("NaN") && !finding.why.contains("inf "), "{finding:?}");
            let mended = Manifest::read(&apply(&manifest.value, &finding.mend)).unwrap();
            prop_assert!(mended.complaints.iter().all(|c| c.grade != Grade::Unreadable || manifest.complaints.contains(c)));
        }
    }
}
