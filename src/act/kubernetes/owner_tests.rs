//! Who is found to own a count, from the marks that tools leave on objects.

use super::*;
use serde_json::json;

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

#[test]
fn the_newest_writer_of_the_count_is_told_and_others_are_not() {
    let object = object(json!({
        "metadata": {"name": "x", "managedFields": [
            {"manager": "helm", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kube-controller-manager", "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kubectl", "time": "2026-01-03T00:00:00Z", "fieldsV1": {"f:spec": {"f:template": {}}}},
        ]},
    }));
    assert_eq!(writer(object.managed_fields()).unwrap().as_str(), "kube-controller-manager");
}

#[test]
fn an_operator_that_made_the_object_is_named_with_the_target_to_use() {
    let owner = |kind: &str| OwnerReference { kind: kind.into(), name: "web".into(), ..OwnerReference::default() };
    assert!(made_by_words(&owner("Rollout"), "shop").as_str().contains("target = \"rollout/shop/web\""));
    assert!(made_by_words(&owner("RayCluster"), "ml").as_str().contains("raycluster/ml/web/GROUP"));
    assert!(made_by_words(&owner("Spaceship"), "ml").as_str().contains("by its own means"));
}

#[test]
fn git_that_sets_the_count_refuses_and_git_that_does_not_is_said() {
    let marked = |managed: Value, annotations: Value| {
        object(json!({"metadata": {
            "name": "x", "labels": {"kustomize.toolkit.fluxcd.io/name": "apps"},
            "annotations": annotations, "managedFields": managed,
        }}))
    };
    let replicas = json!([{"manager": "kustomize-controller", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
    let (against, _) = gitops(&marked(replicas, json!({})));
    assert!(against.unwrap().as_str().contains("patch-file"));
    let (against, note) = gitops(&marked(json!([]), json!({})));
    assert!(against.is_none() && note.unwrap().starts_with("Flux"));
    // What kubectl and Argo CD applied last stands in an annotation.
    let last = json!({"kubectl.kubernetes.io/last-applied-configuration": "{\"spec\":{\"replicas\":3}}"});
    assert!(gitops(&marked(json!([]), last)).0.is_some());
    assert_eq!(gitops(&object(json!({"metadata": {"name": "x"}}))), (None, None));
}

#[test]
fn an_hpa_of_kedas_is_known_by_owner_or_label() {
    let labelled = json!({"app.kubernetes.io/managed-by": "keda-operator", "scaledobject.keda.sh/name": "orders"});
    let by_label = object(json!({"metadata": {"name": "keda-hpa-orders", "labels": labelled}}));
    assert_eq!(kedas(&by_label).as_deref(), Some("orders"));
    let owners = json!([{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "o", "uid": "1"}]);
    assert_eq!(kedas(&object(json!({"metadata": {"name": "x", "ownerReferences": owners}}))).as_deref(), Some("o"));
    assert_eq!(kedas(&object(json!({"metadata": {"name": "x"}}))), None);
}
