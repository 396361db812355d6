//! Who owns a count on a real API server, by what each tool leaves behind on its objects, and what is done instead.

use crate::{
    real::kubernetes::{Namespace, kubernetes},
    real_kubernetes::{actuator, change, refusal, target},
};
use highwater::{
    act::Outcome,
    model::{Observation, PatchFileSettings, Target},
    process::Clock,
    source::kubernetes::run,
};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::json;

/// A manifest as it stands in git.
const MANIFEST: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations: {argocd.argoproj.io/tracking-id: "shop:apps/Deployment:web"}
spec:
  replicas: 2 # since the summer
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: m, image: x}]}
"#;

fn deployments(space: &Namespace) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("apps", "v1", "Deployment");
    Api::namespaced_with(space.admin.clone(), &space.name, &ApiResource::from_gvk(&gvk))
}

#[tokio::test]
async fn what_an_operator_made_is_scaled_at_its_top() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    let rollout = space
        .create(json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop"}, "spec": {"replicas": 2}}))
        .await;
    let owner = json!({"ownerReferences": [{
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "shop",
        "uid": rollout.metadata.uid, "controller": true,
    }]});
    space.deployment_with("shop-abc", 2, owner).await;
    let alice = actuator(&space, "alice").await;
    let made = alice.plan(&change(&alice, &target(&space, "deploy", "shop-abc"), 3).await).await;
    assert!(refusal(&made).contains(&format!("target = \"rollout/{}/shop\"", space.name)), "{made:?}");
    let top = change(&alice, &target(&space, "rollout", "shop"), 3).await;
    let plan = alice.plan(&top).await;
    assert!(plan.refused.is_empty() && plan.dry_run.is_ok(), "{plan:?}");
    assert_eq!(alice.apply(&top).await, Outcome::Applied);
    assert_eq!(alice.observe(&top.target).await.unwrap().replicas.desired, 3);
    let (out, mut inbox) = tokio::sync::mpsc::channel(16);
    let source = tokio::spawn(run(server.settings("alice", &[&space.name]), Clock::wall(), out));
    let seen = loop {
        if let Observation::Kubernetes(state) = inbox.recv().await.unwrap() {
            break state.workloads.iter().find(|w| w.target == top.target).unwrap().clone();
        }
    };
    source.abort();
    assert_eq!((seen.desired, Some(seen.uid)), (3, top.uid), "a kind that a target names is watched");
}

#[tokio::test]
async fn a_count_that_git_sets_is_left_to_git() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    let alice = actuator(&space, "alice").await;
    let api = deployments(&space);
    for (name, replicas) in [("counted", Some(2)), ("uncounted", None)] {
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "m", "image": "x"}]}},
            },
        });
        if let Some(replicas) = replicas {
            object["spec"]["replicas"] = json!(replicas);
        }
        let params = PatchParams::apply("kustomize-controller");
        api.patch(name, &params, &Patch::Apply(object)).await.unwrap();
    }
    let counted = alice.plan(&change(&alice, &target(&space, "deploy", "counted"), 3).await).await;
    assert!(refusal(&counted).contains("Flux applies this object and git sets its replicas"), "{counted:?}");
    let uncounted = alice.plan(&change(&alice, &target(&space, "deploy", "uncounted"), 3).await).await;
    assert!(uncounted.refused.is_empty() && uncounted.owner.as_str().contains("Flux"), "{uncounted:?}");
}

/// The same by what Argo CD leaves behind, and the way that is offered: the number in git, which the tool then rolls out.
#[tokio::test]
async fn what_argo_cd_applies_is_changed_by_a_patch_file() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    let alice = actuator(&space, "alice").await;
    let checkout = tempfile::TempDir::new().unwrap();
    let file = checkout.path().join("web.yaml");
    // What stands in git is applied as Argo CD does it.
    let sync = async || {
        let text = std::fs::read_to_string(&file).unwrap();
        let object: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let params = PatchParams::apply("argocd-controller").force();
        deployments(&space).patch("web", &params, &Patch::Apply(object)).await.unwrap();
    };
    std::fs::write(&file, MANIFEST).unwrap();
    sync().await;
    let direct = alice.plan(&change(&alice, &target(&space, "deploy", "web"), 3).await).await;
    assert!(refusal(&direct).contains("Argo CD applies this object and git sets its replicas"), "{direct:?}");
    assert!(refusal(&direct).contains("patch-file/NAME"), "{direct:?}");

    let settings = PatchFileSettings { name: "web".into(), file: file.clone(), key: "replicas".to_owned() };
    let files = alice.clone().with(&[], &[settings]);
    let by_git = change(&files, &Target::PatchFile("web".into()), 3).await;
    assert!(files.plan(&by_git).await.refused.is_empty());
    assert_eq!(files.apply(&by_git).await, Outcome::Applied);
    assert_eq!(space.replicas("web").await, 2, "nothing happens before it is rolled out");
    sync().await;
    assert_eq!(space.replicas("web").await, 3);
    assert!(space.writes("alice", "web").is_empty());
}

/// Kinds whose count is a field of the object itself: it is written only while it, and what it belongs to, are as shown.
#[tokio::test]
async fn a_count_without_a_scale_of_its_own_is_written_in_its_place() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    let admin = actuator(&space, "admin").await;
    space
        .create(json!({
            "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": "fraud"},
            "spec": {"predictor": {"maxReplicas": 4}},
        }))
        .await;
    let group = |name: &str| json!({"groupName": name, "replicas": 1, "minReplicas": 0, "maxReplicas": 5});
    space
        .create(json!({
            "apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "train"},
            "spec": {"workerGroupSpecs": [group("cpu"), group("gpu")]},
        }))
        .await;
    for text in ["inferenceservice/fraud", "raycluster/train/gpu"] {
        let (kind, name) = text.split_once('/').unwrap();
        let place = target(&space, kind, name);
        for to in [3, 2] {
            let change = change(&admin, &place, to).await;
            let plan = admin.plan(&change).await;
            assert!(plan.refused.is_empty() && plan.dry_run.is_ok(), "{plan:?}");
            assert_eq!(admin.apply(&change).await, Outcome::Applied, "{place}");
            assert_eq!(admin.observe(&place).await.unwrap().replicas.desired, to);
            assert!(matches!(admin.apply(&change).await, Outcome::Refused(_)), "{place}: what was shown is gone");
        }
        let above = admin.plan(&change(&admin, &place, 9).await).await;
        assert!(refusal(&above).contains("maxReplicas"), "{above:?}");
    }
    let ray = space.get("ray.io/v1", "RayCluster", "train").await;
    assert_eq!(ray["spec"]["workerGroupSpecs"][0]["replicas"], json!(1), "the other group is as it was");
}

/// Each operator's own kind is moved at its own field, and what is particular to it is said or refused.
#[tokio::test]
async fn each_operators_kind_is_moved_at_its_own_field() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    let admin = actuator(&space, "admin").await;
    let group = json!({"groupName": "gpu", "replicas": 1, "minReplicas": 0, "maxReplicas": 5});
    // (target's word, API, kind, spec, where the count is, what the dialog says of one more)
    let table = [
        (
            "leaderworkerset",
            "leaderworkerset.x-k8s.io/v1",
            "LeaderWorkerSet",
            json!({"replicas": 2, "leaderWorkerTemplate": {"size": 4}}),
            "/spec/replicas",
            "groups of 4 pods: 12 pods after",
        ),
        ("kafkaconnect", "kafka.strimzi.io/v1beta2", "KafkaConnect", json!({"replicas": 2}), "/spec/replicas", ""),
        (
            "kafkanodepool",
            "kafka.strimzi.io/v1beta2",
            "KafkaNodePool",
            json!({"replicas": 3, "roles": ["broker"]}),
            "/spec/replicas",
            "new brokers hold nothing until partitions move",
        ),
        (
            "rayservice",
            "ray.io/v1",
            "RayService",
            json!({"rayClusterConfig": {"workerGroupSpecs": [group]}}),
            "/spec/rayClusterConfig/workerGroupSpecs/0/replicas",
            "",
        ),
        (
            "inferenceservice",
            "serving.kserve.io/v1beta1",
            "InferenceService",
            json!({"predictor": {"minReplicas": 1}}),
            "/spec/predictor/minReplicas",
            "loads the model again",
        ),
    ];
    for (word, version, kind, spec, at, said) in table {
        space.create(json!({"apiVersion": version, "kind": kind, "metadata": {"name": "own"}, "spec": spec})).await;
        let name = if word == "rayservice" { "own/gpu" } else { "own" };
        let place = target(&space, word, name);
        let now = admin.observe(&place).await.unwrap().replicas.desired;
        let more = change(&admin, &place, now + 1).await;
        let plan = admin.plan(&more).await;
        assert!(plan.refused.is_empty() && plan.dry_run.is_ok(), "{word}: {plan:?}");
        assert!(plan.owner.as_str().contains(said), "{word}: {}", plan.owner);
        assert_eq!(admin.apply(&more).await, Outcome::Applied, "{word}");
        assert_eq!(space.get(version, kind, "own").await.pointer(at), Some(&json!(now + 1)), "{word}");
        assert!(matches!(admin.apply(&more).await, Outcome::Refused(_)), "{word}: what was shown is gone");
    }
    let fewer = change(&admin, &target(&space, "kafkanodepool", "own"), 3).await;
    assert!(refusal(&admin.plan(&fewer).await).contains("move them first"));
    space
        .create(json!({
            "apiVersion": "kafka.strimzi.io/v1beta2", "kind": "KafkaNodePool", "metadata": {"name": "quorum"},
            "spec": {"replicas": 3, "roles": ["controller"]},
        }))
        .await;
    let quorum = change(&admin, &target(&space, "kafkanodepool", "quorum"), 5).await;
    assert!(refusal(&admin.plan(&quorum).await).contains("has controllers"));
}

/// What such an operator made of its object is refused, by the whole chain of owners, with the target to use instead.
#[tokio::test]
async fn what_is_inside_of_an_operators_object_is_refused() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    let admin = actuator(&space, "admin").await;
    let owners = [
        ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "leaderworkerset"),
        ("serving.kserve.io/v1beta1", "InferenceService", "inferenceservice"),
        ("kafka.strimzi.io/v1beta2", "KafkaConnect", "kafkaconnect"),
        ("ray.io/v1", "RayCluster", "raycluster"),
    ];
    for (version, kind, word) in owners {
        let owner = space
            .create(json!({"apiVersion": version, "kind": kind, "metadata": {"name": "top"}, "spec": {"replicas": 1}}))
            .await;
        let owned_by = |version: &str, kind: &str, name: &str, uid: Option<String>| json!({"ownerReferences": [{"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true}]});
        let inner = format!("{word}-inner");
        let reference = owned_by(version, kind, "top", owner.metadata.uid);
        let middle = space.deployment_with(&inner, 1, reference).await;
        let mut leaf = owned_by("apps/v1", "Deployment", &inner, middle.metadata.uid);
        leaf["labels"] = json!({"made-by": "the-middle"});
        let name = format!("{word}-leaf");
        space.deployment_with(&name, 1, leaf).await;
        for made in [&inner, &name] {
            let plan = admin.plan(&change(&admin, &target(&space, "deploy", made), 2).await).await;
            let expected = format!("target = \"{word}/{}/top", space.name);
            assert!(refusal(&plan).contains(&expected), "{made}: {plan:?}");
        }
    }
}
