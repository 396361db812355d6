use super::*;

const HPA: &str = "apiVersion: v1
kind: Service
metadata: {name: x}
spec: {ports: [{port: 80}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: orders}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: orders}
  minReplicas: 6
  maxReplicas: 30
  metrics:
    - type: External
      external:
        metric: {name: lag}
        target: {type: AverageValue, averageValue: 1k}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: 900
      policies: [{type: Percent, value: 10, periodSeconds: 60}]
      tolerance: 50m
";

#[test]
fn an_hpa_among_other_objects() {
    let spec = parse(HPA).unwrap();
    assert_eq!((spec.kind, spec.min, spec.max), ("hpa", 6, 30));
    assert_eq!(spec.metric, Metric::AverageValue(1_000_000));
    let behavior = spec.behavior.clone().unwrap();
    assert_eq!(behavior.up, Behavior::default().up, "what is not given is the API server's default");
    assert_eq!(behavior.down.window, Some(900.0));
    assert_eq!(spec.tolerance(0.1), Tolerance { up: 0.1, down: 0.05 });
}

#[test]
fn a_scaled_object() {
    let spec = parse(
        "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nspec:\n  scaleTargetRef: {name: x}\n  maxReplicaCount: 30\n  triggers:\n    - type: kafka\n      metadata: {lagThreshold: \"1000\", topic: a, allowIdleConsumers: \"false\"}\n",
    )
    .unwrap();
    assert_eq!((spec.kind, spec.min, spec.max), ("keda", 1, 30));
    assert!(matches!(spec.metric, Metric::Kafka(t) if t.lag_threshold == 1_000));
    let keda = spec.keda.unwrap();
    assert_eq!((keda.min, keda.fallback), (0, None));
    assert!((keda.polling - 30.0).abs() < 1e-9 && (keda.cooldown - 300.0).abs() < 1e-9);
}

#[test]
fn complaints_name_line_and_column() {
    let said = |text: &str| {
        let w = parse(text).unwrap_err();
        (w.line, w.column, w.what)
    };
    let (line, column, what) = said(&HPA.replace("averageValue: 1k", "averageValue: lots"));
    assert_eq!((line, column), (17, 52), "{what}");
    assert!(what.contains("\"lots\" is no quantity"), "{what}");
    let (line, _, what) = said(&HPA.replace("minReplicas: 6", "minReplicas: six"));
    assert_eq!(line, 11, "{what}");
    let (line, _, what) = said(&HPA.replace("maxReplicas: 30", "maxReplicas: 3"));
    assert!(line == 12 && what.contains("below minReplicas 6"), "{line} {what}");
    assert!(said("kind: Service\n").2.contains("no HorizontalPodAutoscaler"));
    assert!(said("a: [1\nb: 2").0 >= 1);
}

#[test]
fn quantities() {
    for (text, milli) in
        [("1", 1e3), ("100m", 100.0), ("0.1", 100.0), ("10k", 1e7), ("1Gi", 1_073_741_824e3), ("2e3", 2e6)]
    {
        assert_eq!(thousandths(text), Some(milli), "{text}");
    }
    assert_eq!(["", "k", "1x", "inf"].map(thousandths), [None; 4]);
}
