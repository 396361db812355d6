//! Targets and pipelines found without any configuration: on the simulated world, and on a real API server.

use crate::{
    cli::support::Home,
    real::kubernetes::{kubernetes, wait},
    support::{PATIENCE, faces::Faces},
};
use highwater::{
    config::Config,
    model::{KubeState, Label, Observation, Picture},
    process::Clock,
    source::kubernetes::{check, run},
    world,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// Nothing but addresses is given. What runs where follows from what the three systems say of each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_simulated_world_is_joined_with_no_configuration() {
    let faces = Faces::of("fraud").await;
    let mut handle = faces.watch(Config::default());
    let wanted = [
        ("clickstream", "deploy/web/clickstream"),
        ("fraud-model", "deploy/ml/fraud-model"),
        ("fraud-scorer", "deploy/payments/fraud-scorer"),
        ("orders-etl", "deploy/orders/orders-etl"),
        ("payments-audit", "deploy/payments/payments-audit"),
    ];
    let certain = |p: &Picture, name: &str, target: &str| {
        p.workload(name).is_some_and(|v| {
            let found = v.workload.found.as_ref().is_some_and(|f| f.certain);
            found && v.workload.target.as_ref().is_some_and(|t| t.to_string() == target)
        })
    };
    let deadline = Instant::now() + PATIENCE;
    let picture: Arc<Picture> = loop {
        let picture = handle.pictures.borrow_and_update().clone();
        let all = wanted.iter().all(|(name, target)| certain(&picture, name, target));
        if all && !picture.pipelines.is_empty() {
            break picture;
        }
        let seen = || {
            picture
                .workloads
                .iter()
                .map(|v| (&v.workload.name, &v.workload.target, &v.workload.found))
                .collect::<Vec<_>>()
        };
        let next = timeout_at(deadline, handle.pictures.changed()).await;
        assert!(matches!(next, Ok(Ok(()))), "not in time: {:#?}, {:#?}", seen(), picture.pipelines);
    };
    let flow = &picture.pipelines[0];
    let names: Vec<&str> = flow.workloads.iter().map(Label::as_str).collect();
    assert_eq!(names, ["fraud-scorer", "fraud-model"]);
    assert!(!flow.links[0].certain, "what a pod is told is no proof that it uses it");
    assert!(flow.links[0].why().contains("MODEL_URL of deploy/payments/fraud-scorer"), "{flow:?}");
    handle.stop().await;
}

/// What is printed is a configuration that `check` takes, with every target that was found and the guess as a comment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_is_written_down_for_review() {
    let faces = Faces::of("fraud").await;
    let home = Home::new();
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    std::fs::copy(&faces.kubernetes.kubeconfig, home.path().join(".kube/config")).unwrap();
    let (brokers, url) = (faces.kafka.bootstrap.clone(), faces.prometheus.url.clone());
    let text = tokio::task::spawn_blocking(move || {
        let found =
            ["config", "example", "--from-live", "--settle", "8s", "--kube-context", world::kubernetes::CONTEXT];
        home.expect(0, &[&found[..], &["--kafka", &brokers, "--prometheus", &url]].concat()).out
    })
    .await
    .unwrap();
    assert!(text.contains("target = \"deploy/payments/fraud-scorer\""), "{text}");
    assert!(text.contains("# a guess: MODEL_URL of deploy/payments/fraud-scorer names fraud-model"), "{text}");
    assert!(text.contains("# workloads = [\"fraud-scorer\", \"fraud-model\"]"), "{text}");
    let read = Config::parse(&text, "found.toml", true).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!((read.workloads.len(), read.pipelines.len()), (5, 0), "{text}");
    let reviewed =
        text.replace("\n# [[pipeline]]\n# name", "\n[[pipeline]]\nname").replace("\n# workloads", "\nworkloads");
    assert_eq!(Config::parse(&reviewed, "found.toml", true).unwrap().pipelines.len(), 1, "{reviewed}");
}

/// The newest state that `look` finds something in.
async fn seen<T>(inbox: &mut tokio::sync::mpsc::Receiver<Observation>, look: impl Fn(&KubeState) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let next = timeout_at(deadline, inbox.recv()).await.expect("in time").expect("the source runs");
        if let Observation::Kubernetes(state) = next
            && let Some(found) = look(&state)
        {
            return found;
        }
    }
}

/// Real ReplicaSets, a Rollout above a Deployment, and who may not look: the way from a pod to its top.
#[tokio::test]
async fn pods_lead_to_their_owners_on_a_real_server() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await.with_kubelet(Duration::ZERO);
    space.deployment("web", 2).await;
    let rollout = space
        .create(json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop"}, "spec": {"replicas": 1}}))
        .await;
    let owner = json!({"ownerReferences": [{
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "shop", "uid": rollout.metadata.uid, "controller": true,
    }]});
    space.deployment_with("under", 1, owner).await;
    wait("three pods are there", async || space.list("v1", "Pod").await.len() == 3).await;
    let mut settings = server.settings("alice", &[&space.name]);
    settings.kinds.clear(); // nobody named Rollouts: they are met on the way
    let (out, mut inbox) = tokio::sync::mpsc::channel(16);
    let source = tokio::spawn(run(settings, Clock::wall(), out));
    let paths = seen(&mut inbox, |state| {
        let mut all: Vec<(String, String)> = Vec::new();
        for pod in &state.pods {
            let owner = pod.owner.as_ref()?;
            assert_eq!(owner.unread, None);
            let kinds: Vec<&str> = owner.path.as_str().split(" → ").filter_map(|s| s.split(' ').next()).collect();
            all.push((owner.target.as_ref()?.to_string(), kinds.join(" ")));
        }
        all.sort();
        let counted = state.workloads.iter().any(|w| w.target.to_string() == format!("rollout/{}/shop", space.name));
        (all.len() == 3 && counted).then_some(all)
    })
    .await;
    source.abort();
    let web = (format!("deploy/{}/web", space.name), "ReplicaSet Deployment".to_owned());
    let shop = (format!("rollout/{}/shop", space.name), "ReplicaSet Deployment Rollout".to_owned());
    assert_eq!(paths, [web.clone(), web, shop], "and the Rollout is followed from then on");

    // Who may not read pods sees the rest all the same, and is told what that costs and what to ask for.
    let settings = server.settings("viewer", &[&space.name]);
    let (out, mut inbox) = tokio::sync::mpsc::channel(16);
    let source = tokio::spawn(run(settings.clone(), Clock::wall(), out));
    let (pods, workloads) = seen(&mut inbox, |state| {
        let told = state.notices.iter().any(|n| n.as_str().contains("what runs where is guessed by names"));
        told.then_some((state.pods.len(), state.workloads.len()))
    })
    .await;
    source.abort();
    assert!(pods == 0 && workloads >= 2);
    let lines = check(&settings).await;
    let line = lines.iter().find(|l| l.what.as_str().contains("pods in")).unwrap();
    assert!(!line.ok && line.mend.as_ref().unwrap().as_str().contains("resources: [pods]"), "{line:?}");
    assert!(
        check(&server.settings("alice", &[&space.name]))
            .await
            .iter()
            .all(|l| l.ok || !l.what.as_str().contains("pods"))
    );
}
