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

fn said(text: &str) -> String {
    scaled(text, &Controller::default()).err().unwrap()
}

#[test]
fn an_hpa_among_other_objects_has_its_own_tolerance() {
    let Played { object, scaled, notes } = scaled(HPA, &Controller::default()).unwrap();
    assert_eq!(notes, [""; 0]);
    assert!(matches!(object, Object::Hpa(hpa) if (hpa.min, hpa.max) == (6, 30)));
    assert_eq!(scaled.controller().tolerance, Tolerance { up: 0.1, down: 0.05 });
}

#[test]
fn complaints_begin_with_line_and_column() {
    let what = said(&HPA.replace("averageValue: 1k", "averageValue: lots"));
    assert_eq!(what, "17:52: \"lots\" is no quantity: write 10000, 10k, 500m or 1Gi");
    assert!(said(&HPA.replace("minReplicas: 6", "minReplicas: six")).starts_with("11:16: "));
    let what = said(&HPA.replace("maxReplicas: 30", "maxReplicas: 3"));
    assert!(what.starts_with("12:16: maxReplicas 3 is below minReplicas 6"), "{what}");
    assert!(said("kind: Service\n").contains("no HorizontalPodAutoscaler"));
    assert!(said("a: [1\nb: 2").starts_with(|c: char| c.is_ascii_digit()));
    let formula = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nspec:\n  advanced:\n    scalingModifiers: {formula: a + b, target: \"5\"}\n  scaleTargetRef: {name: x}\n  triggers: [{type: cron, metadata: {}}]\n";
    assert!(said(formula).starts_with("5:33: scalingModifiers are not evaluated"), "{}", said(formula));
}

#[test]
fn what_is_not_read_and_not_replayed_is_said() {
    let again = HPA.replace("name: orders}\nspec", "name: again}\nspec");
    let text = format!("{}---\n{again}", HPA.replace("  minReplicas: 6", "  minReplica: 6"));
    let notes = scaled(&text, &Controller::default()).unwrap().notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].starts_with("11:15: minReplica is no field of an HPA's spec"), "{notes:?}");
    assert!(notes[0].ends_with("Did you mean minReplicas?"), "{notes:?}");
    assert!(notes[1].contains("default/again is not replayed: the first is, HorizontalPodAutoscaler"), "{notes:?}");
}
