use super::*;
use crate::model::{FallbackBehavior, Quantity, TriggerSource};
use serde_json::json;

const LIST: &str = "\
# two files in one
apiVersion: v1
kind: Service
metadata: {name: x}
---
apiVersion: v1
kind: List
items:
  - apiVersion: keda.sh/v1alpha1
    kind: ScaledObject
    metadata:
      name: orders
      namespace: payments
      annotations:
        autoscaling.keda.sh/paused-scale-in: \"yes\"
    spec:
      scaleTargetRef: {name: orders}
      minReplicaCount: 6
      maxReplicaCount: 30
      triggers:
        - type: kafka
          metadata:
            consumerGroup: orders
            topic: orders
            lagTreshold: \"1000\"
            lagThreshold: 1000
  - apiVersion: autoscaling/v2
    kind: HorizontalPodAutoscaler
    metadata: {name: web}
    spec:
      scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
      maxReplicas: 9
      metrics:
        - type: Resource
          resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
";

fn read(text: &str) -> (Vec<Manifest>, Vec<Document>) {
    let documents = documents(text).unwrap();
    (manifests(&documents), documents)
}

#[test]
fn objects_are_found_in_lists_and_complaints_have_places() {
    let (found, documents) = read(LIST);
    let titles: Vec<String> = found.iter().map(Manifest::title).collect();
    assert_eq!(titles, ["ScaledObject payments/orders", "HorizontalPodAutoscaler default/web"]);
    let said: Vec<(Grade, String, String)> = found[0]
        .complaints
        .iter()
        .map(|c| (c.grade, found[0].place(&documents, &c.pointer).unwrap().to_string(), c.what.clone()))
        .collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!((said[0].0, said[0].1.as_str()), (Grade::Refused, "26:27"), "a number where a text belongs");
    assert_eq!((said[1].0, said[1].1.as_str()), (Grade::Ignored, "25:26"), "a slip of the pen");
    assert_eq!(found[0].complaints[1].meant.as_deref(), Some("lagThreshold"));
    let Object::ScaledObject(scaled) = &found[0].object else { panic!() };
    assert!(matches!(&scaled.triggers[0].source, TriggerSource::Kafka(k) if (k.lag_threshold - 1_000.0).abs() < 1e-9));
    assert_eq!(scaled.paused.as_ref().map(ToString::to_string).as_deref(), Some("paused-scale-in=yes"));
    assert!(scaled.holds.scale_in && !scaled.holds.stopped);
    let Object::Hpa(hpa) = &found[1].object else { panic!() };
    assert_eq!(hpa.metrics[0].to_string(), "resource cpu Utilization 70");
    assert_eq!(found[1].complaints, []);
}

#[test]
fn a_place_that_is_not_there_is_that_of_its_parent() {
    let (found, documents) = read(LIST);
    let place = |pointer: &str| found[0].place(&documents, pointer).unwrap().to_string();
    assert_eq!(place("/spec/minReplicaCount"), "18:24", "of a value the value");
    assert_eq!(place("/spec/triggers/0/metadata"), "22:11", "of a block its key");
    assert_eq!(place("/spec/advanced/horizontalPodAutoscalerConfig"), "16:5");
    assert_eq!(place("/metadata/annotations/autoscaling.keda.sh~1paused-scale-in"), "15:46");
}

#[test]
fn broken_yaml_has_a_place() {
    for (text, line) in [("a: [1\nb: 2", 2), ("kind: X\n\tspec: 1\n", 2), ("a: 'x\n", 1), ("a: 1\na: 2\n", 2)] {
        let wrong = documents(text).unwrap_err();
        assert!(wrong.place.line >= 1 && wrong.place.line <= line + 1, "{text:?}: {wrong:?}");
    }
    assert!(documents("").unwrap().is_empty());
    assert!(documents("---\n---\n").unwrap().is_empty());
}

#[test]
fn what_keda_refuses_is_said() {
    let refused = |spec: Value| {
        let (_, said) = scaled_object(&json!({"kind": "ScaledObject", "spec": spec}));
        let refused = said.iter().filter(|c| c.grade == Grade::Refused);
        refused.map(|c| c.pointer.clone()).collect::<Vec<_>>()
    };
    let kafka = |metadata: Value| json!([{"type": "kafka", "metadata": metadata}]);
    assert_eq!(refused(json!({"triggers": kafka(json!({"topic": "t", "lagThreshold": "5"}))})), [""; 0]);
    for (spec, pointer) in [
        (json!({"triggers": kafka(json!({"lagThreshold": "0"}))}), "/spec/triggers/0/metadata/lagThreshold"),
        (
            json!({"triggers": kafka(json!({"topic": "t", "allowIdleConsumers": "true", "limitToPartitionsWithLag": "true"}))}),
            "/spec/triggers/0/metadata/allowIdleConsumers",
        ),
        (
            json!({"triggers": kafka(json!({"ensureEvenDistributionOfPartitions": "true"}))}),
            "/spec/triggers/0/metadata/ensureEvenDistributionOfPartitions",
        ),
        (json!({"idleReplicaCount": 2, "minReplicaCount": 2, "triggers": kafka(json!({}))}), "/spec/idleReplicaCount"),
        (
            json!({"fallback": {"failureThreshold": 3, "replicas": 4},
                   "triggers": [{"type": "cpu", "metadata": {"value": "70"}}]}),
            "/spec/fallback",
        ),
        (
            json!({"advanced": {"scalingModifiers": {"formula": "a", "target": "0"}}, "triggers": kafka(json!({}))}),
            "/spec/advanced/scalingModifiers",
        ),
    ] {
        assert_eq!(refused(spec.clone()), [pointer], "{spec}");
    }
}

#[test]
fn fields_of_a_scaled_object() {
    let (scaled, said) = scaled_object(&json!({"kind": "ScaledObject", "spec": {
        "scaleTargetRef": {"name": "x", "kind": "StatefulSet"}, "idleReplicaCount": 0, "minReplicaCount": 2,
        "pollingInterval": 10, "fallback": {"failureThreshold": 3, "replicas": 4, "behavior": "currentReplicasIfHigher"},
        "triggers": [
            {"type": "kafka", "metadata": {"topic": "t", "partitionLimitation": "1,3-5"}},
            {"type": "cpu", "metadata": {"value": "70"}},
        ],
    }}));
    assert_eq!(said, []);
    assert_eq!((scaled.idle, scaled.min, scaled.max), (Some(0), 2, 100));
    assert_eq!(scaled.fallback.unwrap().behavior, FallbackBehavior::CurrentReplicasIfHigher);
    assert_eq!(scaled.kafka().next().unwrap().limited_to, Some(4));
    assert!(matches!(scaled.triggers[1].source, TriggerSource::Resource(q) if q == Quantity::from_milli(70_000)));
}

#[test]
fn edits_can_be_applied_and_shown() {
    let (found, _) = read(LIST);
    let edits = [
        Edit::set("/spec/triggers/0/metadata/lagThreshold", "15000"),
        Edit::set("/spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleDown/stabilizationWindowSeconds", 900),
        Edit::remove("/spec/cooldownPeriod"),
    ];
    let mended = Manifest::read(&apply(&found[0].value, &edits)).unwrap();
    let Object::ScaledObject(scaled) = &mended.object else { panic!() };
    assert_eq!(scaled.behavior.as_ref().unwrap().down.window, Some(900.0));
    assert!((scaled.kafka().next().unwrap().lag_threshold - 15_000.0).abs() < 1e-9);
    let yaml = yaml_of(&found[0].value, &edits);
    assert_eq!(
        yaml,
        "spec:\n  advanced:\n    horizontalPodAutoscalerConfig:\n      behavior:\n        scaleDown:\n          \
         stabilizationWindowSeconds: 900\n  triggers:\n  - metadata:\n      lagThreshold: \"15000\"\n    type: \
         kafka\n# remove spec.cooldownPeriod"
    );
}
