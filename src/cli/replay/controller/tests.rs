use super::*;
use crate::{
    manifest::{self, Object},
    policy::hpa::Controller,
};

fn at(seconds: f64) -> Time {
    Time::from_secs(seconds)
}

fn row(at: Time, value: Option<f64>) -> Row {
    Row { line: 0, at, value, others: [None; 3], replicas: None, status: None, ready: None }
}

/// Rows `every` seconds apart.
fn rows(values: &[Option<f64>], every: f64) -> Vec<Row> {
    values.iter().enumerate().map(|(i, value)| row(at(i as f64 * every), *value)).collect()
}

fn settings(partitions: Option<u32>, start: u32) -> Settings {
    Settings { partitions, start, start_up: 30.0 }
}

fn read(text: &str) -> Scaled {
    let documents = manifest::documents(text).unwrap();
    let manifest = manifest::manifests(&documents).remove(0);
    assert_eq!(manifest.complaints, []);
    match manifest.object {
        Object::Hpa(hpa) => Scaled::hpa(&hpa, &Controller::default()).unwrap(),
        Object::ScaledObject(scaled) => Scaled::keda(&scaled, &Controller::default()).unwrap(),
    }
}

fn keda(yaml: &str) -> Scaled {
    read(&format!("apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nspec:\n  scaleTargetRef: {{name: x}}\n{yaml}"))
}

const KAFKA: &str = "  triggers: [{type: kafka, metadata: {bootstrapServers: k, consumerGroup: g, topic: t, lagThreshold: \"1000\"}}]\n";

#[test]
fn keda_wakes_from_zero_and_goes_back_after_the_cooldown() {
    let spec = keda(&format!("  maxReplicaCount: 30\n  cooldownPeriod: 60\n{KAFKA}"));
    let mut values = vec![Some(0.0); 4];
    values.extend([Some(5_000.0); 4]);
    values.extend([Some(0.0); 40]);
    let decided = Replayed::new(spec, settings(Some(24), 0)).run(&rows(&values, 15.0)).unwrap();
    let counts: Vec<u32> = decided.iter().map(|d| d.desired).collect();
    assert_eq!(&counts[..8], [0, 0, 0, 0, 1, 4, 5, 5], "one from zero, then at most to max(2 × current, 4) a sync");
    let back = decided.iter().position(|d| d.reason == "ScaledToZero" && d.current > 0);
    assert!(back.is_some_and(|i| (9..=12).contains(&i)), "{counts:?}");
    assert_eq!(counts.last(), Some(&0));
}

#[test]
fn without_partitions_there_is_no_cap() {
    let spec = || keda(&format!("  minReplicaCount: 6\n  maxReplicaCount: 100\n{KAFKA}"));
    let values = vec![Some(50_000.0); 10];
    let last = |partitions| {
        let decided = Replayed::new(spec(), settings(partitions, 6)).run(&rows(&values, 15.0)).unwrap();
        decided.last().map(|d| d.desired)
    };
    assert_eq!((last(Some(24)), last(None)), (Some(24), Some(50)));
}

#[test]
fn a_failed_read_holds_and_the_fallback_comes_after_its_threshold() {
    let spec = keda(&format!("  minReplicaCount: 2\n  fallback: {{failureThreshold: 3, replicas: 9}}\n{KAFKA}"));
    let mut values = vec![Some(4_000.0); 4];
    values.extend([None; 6]);
    let decided = Replayed::new(spec, settings(None, 2)).run(&rows(&values, 15.0)).unwrap();
    let counts: Vec<u32> = decided.iter().map(|d| d.desired).collect();
    assert_eq!(&counts[4..], [4, 4, 8, 9, 9, 9]);
    assert_eq!(decided[4].reason, "FailedGetMetrics");
    // Two polls and two syncs fail within 30 s: KEDA counts both.
}

#[test]
fn cpu_counts_unready_pods_as_idle_on_the_way_up() {
    let text = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec:\n  scaleTargetRef: {kind: Deployment, name: x}\n  maxReplicas: 20\n  metrics:\n    - type: Resource\n      resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}\n";
    let spec = || read(text);
    let row = |ready| Row { replicas: Some(8), status: Some(8), ready: Some(ready), ..row(at(0.0), Some(100.0)) };
    let desired = |ready| Replayed::new(spec(), settings(None, 1)).run(&[row(ready)]).unwrap()[0].desired;
    assert_eq!((desired(8), desired(4)), (16, 8), "four of eight idle: 50 % over all, as wanted");
}

#[test]
fn a_count_in_one_row_needs_one_in_all() {
    let mut two = rows(&[Some(1.0), Some(2.0)], 15.0);
    two[0].replicas = Some(3);
    two[1].line = 9;
    let error = Replayed::new(keda(KAFKA), settings(None, 0)).run(&two).unwrap_err();
    assert_eq!(error.0, 9, "empty lines between them are lines too");
}

#[test]
fn a_row_that_holds_is_no_lag_that_stands_still() {
    let kafka = KAFKA.replace("topic: t", "topic: t, excludePersistentLag: \"true\"");
    let spec = || keda(&format!("  minReplicaCount: 1\n  maxReplicaCount: 30\n{kafka}"));
    let counts = |values: &[Option<f64>]| -> Vec<u32> {
        let decided = Replayed::new(spec(), settings(Some(24), 1)).run(&rows(values, 60.0)).unwrap();
        decided.iter().map(|d| d.desired).collect()
    };
    let moving = counts(&[Some(20_000.0), Some(20_001.0)]);
    assert_eq!(moving, [4, 8, 16, 20, 20], "the row holds for four syncs: {moving:?}");
    assert_eq!(counts(&[Some(20_000.0), Some(20_000.0)])[4], 20, "stuck at the fifth, and the window holds");
    let long = [Some(20_000.0); 8];
    assert_eq!(counts(&long).last(), Some(&1), "stuck for as long as the window: {:?}", counts(&long));
}

#[test]
fn two_thousand_million_pods_are_a_few_groups() {
    let text = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec:\n  scaleTargetRef: {kind: Deployment, name: x}\n  maxReplicas: 2147483647\n";
    let values = vec![Some(300.0); 40];
    let decided = Replayed::new(read(text), settings(None, 1_000_000)).run(&rows(&values, 15.0)).unwrap();
    assert_eq!(decided.last().map(|d| d.desired), Some(2_147_483_647));
    let mut pods = Pods(vec![(at(0.0), 3)]);
    pods.resize(5, at(1.0));
    pods.resize(4, at(2.0));
    assert_eq!(pods.0, [(at(0.0), 3), (at(1.0), 1)], "the youngest go first");
    pods.resize(0, at(3.0));
    assert_eq!(pods.count(|_| true), 0);
}
