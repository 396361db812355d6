//! What findings say is so, and what is right is left alone.

use super::*;

#[test]
fn a_mend_of_newer_versions_says_of_which() {
    let of = |partitions: u32| {
        let facts = Facts { partitions: Some(Known::told(partitions, "test")), ..facts() };
        let bounds = "  minReplicaCount: 3\n  maxReplicaCount: 40\n";
        sentence(&keda(bounds, "lagThreshold: \"16000\""), &facts, "tolerance-stops-short")
    };
    assert!(of(37).ends_with("read by Kubernetes 1.35 and later; what is older drops it."), "{}", of(37));
    assert!(of(24).ends_with("(keda#4791)."), "{}", of(24));
}

#[test]
fn a_lag_that_multiplies_the_count_is_not_cut_to_the_partitions() {
    let bounds = "  minReplicaCount: 6\n  maxReplicaCount: 30\n";
    let text =
        keda(bounds, "lagThreshold: \"16000\"").replace("type: kafka\n", "type: kafka\n      metricType: Value\n");
    let why = sentence(&text, &facts(), "max-over-partitions");
    assert!(why.contains("consumers beyond them idle") && why.contains("metricType Value"), "{why}");
}

#[test]
fn what_is_not_a_fault_is_not_called_one() {
    let of = |bounds: &str| fired(&keda(bounds, "lagThreshold: \"16000\""), &Facts::default());
    assert!(of("  minReplicaCount: 1\n  maxReplicaCount: 9\n").contains("no-down-stabilisation"));
    for fixed in ["  minReplicaCount: 3\n  maxReplicaCount: 3\n", "  minReplicaCount: 0\n  maxReplicaCount: 1\n"] {
        assert!(!of(fixed).contains("no-down-stabilisation"), "no count falls before the last: {fixed}");
    }
    let rollout = "{name: orders, kind: Rollout, apiVersion: argoproj.io/v1alpha1}";
    let found = fired(&sound().replace("{name: orders}", rollout), &facts());
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_word_of_another_kind_is_mended_into_ones_own() {
    let mended = |text: &str| {
        let manifest = read(text).remove(0);
        let found = judge(&manifest, &Facts::default());
        let edits: Vec<_> = found.iter().filter(|f| f.rule == "unknown-field").flat_map(|f| f.mend.clone()).collect();
        Manifest::read(&apply(&manifest.value, &edits)).unwrap()
    };
    let keda_of = mended(&keda("  minReplicas: 2\n  maxReplicas: 20\n", "lagThreshold: \"16000\""));
    let Object::ScaledObject(scaled) = &keda_of.object else { panic!("{:?}", keda_of.object) };
    assert_eq!((scaled.min, scaled.max, &keda_of.complaints[..]), (2, 20, &[][..]));
    let v2 = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: a}\nspec:\n  scaleTargetRef: \
              {apiVersion: apps/v1, kind: Deployment, name: a}\n  maxReplicas: 9\n  targetCPUUtilizationPercentage: 60\n";
    let hpa_of = mended(v2);
    let Object::Hpa(hpa) = &hpa_of.object else { panic!("{:?}", hpa_of.object) };
    assert_eq!(
        (hpa.metrics[0].to_string(), &hpa_of.complaints[..]),
        ("resource cpu Utilization 60".to_owned(), &[][..])
    );
}
