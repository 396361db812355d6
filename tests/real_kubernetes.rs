//! What only a real API server and its controllers can show: who takes a count back, who may, and what a lost answer did.

use crate::cli::support::{Home, closed_port};
use crate::real::{
    kubernetes::{Audited, Namespace, kubernetes, wait},
    proxy::{Fault, Proxy},
};
use highwater::{
    act::{Actuator, Change, Outcome, Plan},
    model::{ActionId, Label, Lever, LeverState, Observation, Target},
    process::Clock,
    source::kubernetes::{check, check_targets, connect_to_change, run},
};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::json;
use std::time::Duration;

pub async fn actuator(space: &Namespace, user: &str) -> Actuator {
    let client = connect_to_change(&space.server.settings(user, &[&space.name])).await.unwrap();
    Actuator::new(Some((client, Label::new("real"))), &[], Clock::wall())
}

pub fn target(space: &Namespace, kind: &str, name: &str) -> Target {
    format!("{kind}/{}/{name}", space.name).parse().unwrap()
}

pub async fn change(actuator: &Actuator, target: &Target, to: u32) -> Change {
    let seen = actuator.observe(target).await.unwrap().replicas;
    let action = ActionId("a-1".into());
    Change { action, target: target.clone(), uid: seen.uid, from: seen.desired, to, reason: "test".into(), lever: None }
}

pub fn refusal(plan: &Plan) -> String {
    plan.refused.iter().map(Label::as_str).collect::<Vec<_>>().join("; ")
}

/// The proof that the owner check is needed, kept: what it refuses is really taken back, what it offers really stays.
#[tokio::test]
async fn a_direct_write_under_an_hpa_is_taken_back_and_its_floor_stays() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await.with_kubelet(Duration::ZERO);
    let metrics = server.metrics();
    metrics.set(&space.name, "held", 40);
    space.deployment("held", 4).await;
    space.hpa("held", 2, 8).await;
    let alice = actuator(&space, "alice").await;
    let held = target(&space, "deploy", "held");
    let syncs = async |n: usize| {
        let before = metrics.asked(&space.name, "held");
        wait("the HPA looked again", async || metrics.asked(&space.name, "held") >= before + n).await;
    };
    syncs(2).await;
    wait("four are ready", async || alice.observe(&held).await.unwrap().replicas.ready == 4).await;

    let direct = change(&alice, &held, 6).await;
    let plan = alice.plan(&direct).await;
    assert!(refusal(&plan).contains("HPA held writes this count"), "{plan:?}");
    // The check switched off: the plan is not asked.
    assert_eq!(alice.apply(&direct).await, Outcome::Applied);
    wait("the HPA took it back", async || space.replicas("held").await == 4).await;

    let lever = plan.offers[0].lever.clone();
    let floor = Change { lever: Some(lever.clone()), ..direct };
    let plan = alice.plan(&floor).await;
    assert_eq!((refusal(&plan).as_str(), plan.dry_run.is_ok()), ("", true), "{plan:?}");
    assert_eq!(alice.apply(&floor).await, Outcome::Applied);
    wait("the HPA follows its floor", async || space.replicas("held").await == 6).await;
    syncs(3).await;
    assert_eq!(space.replicas("held").await, 6, "and stays there");
    assert_eq!(alice.look(&floor).await.unwrap().lever, Some(LeverState::Written));

    let back = Change { lever: Some(lever.back()), ..floor };
    assert_eq!(alice.apply(&back).await, Outcome::Applied);
    wait("the metric decides again", async || space.replicas("held").await == 4).await;
    assert_eq!(space.writes("alice", "held").len(), 3, "one request each");
}

#[tokio::test]
async fn kedas_own_hpa_is_never_patched_and_its_rules_are_told() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    space.deployment("orders", 3).await;
    let scaled = space.scaled_object("orders", 2, 8).await;
    let hpa = space.kedas_hpa("orders", 2, 8).await;
    let alice = actuator(&space, "alice").await;
    let orders = target(&space, "deploy", "orders");
    let direct = change(&alice, &orders, 5).await;
    let plan = alice.plan(&direct).await;
    assert!(plan.offers.iter().all(|o| o.lever.object == target(&space, "scaledobject", "orders")), "{plan:?}");
    let offer = plan.offers[0].lever.clone();
    let uid = Label::new(hpa.metadata.uid.as_deref().unwrap());
    let on_hpa = Lever { object: target(&space, "hpa", "keda-hpa-orders"), uid, ..offer.clone() };
    let on_hpa = Change { lever: Some(on_hpa), ..direct.clone() };
    assert!(refusal(&alice.plan(&on_hpa).await).contains("ScaledObject"));
    assert!(matches!(alice.apply(&on_hpa).await, Outcome::Refused(_)));
    assert_eq!(space.writes("alice", "keda-hpa-orders").len(), 0);
    // A floor above the ceiling breaks the rule of KEDA's own definition, and the dry run shows the server's words.
    let mut above = offer.clone();
    above.set[0].to = Some(9);
    let above = alice.plan(&Change { lever: Some(above), ..direct.clone() }).await;
    assert!(above.dry_run.unwrap_err().as_str().contains("minReplicaCount must be at most"));
    assert_eq!(scaled.metadata.uid.as_deref(), Some(offer.uid.as_str()));

    // A paused ScaledObject lets go of the count, and that is said.
    let gvk = GroupVersionKind::gvk("keda.sh", "v1alpha1", "ScaledObject");
    let resource = kube::api::ApiResource::from_gvk(&gvk);
    let api: Api<DynamicObject> = Api::namespaced_with(space.admin.clone(), &space.name, &resource);
    let pause = json!({"metadata": {"annotations": {"autoscaling.keda.sh/paused-replicas": "3"}}});
    api.patch("orders", &PatchParams::default(), &Patch::Merge(pause)).await.unwrap();
    let plan = alice.plan(&direct).await;
    assert!(plan.refused.is_empty() && plan.owner.as_str().contains("KEDA deleted its HPA"), "{plan:?}");
}

#[tokio::test]
async fn an_object_made_again_under_the_same_name_is_not_touched() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    space.deployment("web", 2).await;
    let alice = actuator(&space, "alice").await;
    let shown = change(&alice, &target(&space, "deploy", "web"), 5).await;
    space.delete("apps/v1", "Deployment", "web").await;
    assert!(matches!(alice.apply(&shown).await, Outcome::Refused(why) if why.as_str().contains("404")));
    space.deployment("web", 2).await;
    assert!(refusal(&alice.plan(&shown).await).contains("made again"));
    assert!(matches!(alice.apply(&shown).await, Outcome::Refused(why) if why.as_str().contains("look again")));
    assert_eq!(space.replicas("web").await, 2);
}

#[tokio::test]
async fn each_user_may_what_the_server_says_and_is_who_the_server_says() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    space.deployment("web", 2).await;
    let web = target(&space, "deploy", "web");
    for user in ["alice", "bob"] {
        let actuator = actuator(&space, user).await;
        assert_eq!(actuator.identity().await, Some(Label::new(user)));
        assert!(actuator.plan(&change(&actuator, &web, 3).await).await.refused.is_empty());
    }
    let viewer = actuator(&space, "viewer").await;
    let change = change(&viewer, &web, 3).await;
    let plan = viewer.plan(&change).await;
    assert!(refusal(&plan).contains("not allowed to patch deployments/scale of web"), "{plan:?}");
    assert!(plan.identity.as_str().contains("viewer") && plan.dry_run.is_err());
    assert!(matches!(viewer.apply(&change).await, Outcome::Refused(why) if why.as_str().contains("403")));
    assert_eq!(space.replicas("web").await, 2);
    let writes = space.writes("viewer", "web");
    assert_eq!(writes.iter().map(Audited::code).collect::<Vec<_>>(), [403], "asked once, refused");
    let nobody = actuator(&space, "nobody").await;
    assert!(nobody.observe(&web).await.unwrap_err().contains("403"));
}

/// Every way for the one write to go wrong, on a real server: what is said of it, and how often the server heard it.
#[tokio::test]
async fn a_broken_write_is_refused_or_unknown_and_never_made_twice() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    space.deployment("web", 1).await;
    let web = target(&space, "deploy", "web");
    let proxy = Proxy::start(server.client("alice").await).await;
    let alice = Actuator::new(Some((proxy.client(), Label::new("real"))), &[], Clock::wall())
        .with_deadline(Duration::from_millis(700));
    // (fault, certainly not done, requests that reach the server)
    let table = [
        (Fault::Answer(401), true, 0),
        (Fault::Answer(403), true, 0),
        (Fault::Answer(404), true, 0),
        (Fault::Answer(409), true, 0),
        (Fault::Answer(422), true, 0),
        (Fault::Answer(429), true, 0),
        (Fault::Answer(500), false, 0),
        (Fault::Answer(503), false, 0),
        (Fault::HangBefore, false, 0),
        (Fault::Late(Duration::from_millis(900)), false, 1),
        (Fault::HangAfter, false, 1),
        (Fault::Cut, false, 1),
    ];
    let (mut heard, mut count) = (0, 1);
    for (fault, certain, reaches) in table {
        let change = change(&alice, &web, count + 1).await;
        proxy.set("web", fault);
        let outcome = alice.apply(&change).await;
        match (&outcome, certain) {
            (Outcome::Refused(_), true) | (Outcome::Unknown(_), false) => {}
            _ => panic!("{fault:?}: {outcome:?}"),
        }
        proxy.set("web", Fault::None);
        heard += reaches;
        if reaches > 0 {
            count += 1;
            // A lost answer is looked for: the write has arrived, or will.
            wait("the write shows", async || alice.observe(&web).await.unwrap().replicas.desired == count).await;
        }
        wait("the audit log has it", async || space.writes("alice", "web").len() >= heard).await;
        assert_eq!(space.writes("alice", "web").len(), heard, "{fault:?}");
        assert_eq!(alice.observe(&web).await.unwrap().replicas.desired, count, "{fault:?}");
    }
    assert_eq!(alice.apply(&change(&alice, &web, count + 1).await).await, Outcome::Applied);
    wait("the last one is in the log", async || space.writes("alice", "web").len() == heard + 1).await;
}

#[tokio::test]
async fn looking_changes_nothing_by_the_servers_own_record() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    space.deployment("web", 2).await;
    let settings = server.settings("viewer", &[&space.name]);
    // This viewer sees counts, not pods: that is said, and nothing else is missing.
    let missing: Vec<_> = check(&settings).await.into_iter().filter(|l| !l.ok).collect();
    assert!(missing.iter().all(|l| format!("{} {}", l.what, l.detail).contains("pods")), "{missing:?}");
    let (out, mut inbox) = tokio::sync::mpsc::channel(16);
    let source = tokio::spawn(run(settings, Clock::wall(), out));
    loop {
        if let Observation::Kubernetes(state) = inbox.recv().await.unwrap() {
            assert_eq!(state.workloads.len(), 1);
            break;
        }
    }
    source.abort();
    let log = server.audited(&format!("/namespaces/{}/", space.name));
    let seen: Vec<_> = log.iter().filter(|a| a.user() == "viewer").collect();
    assert!(seen.iter().any(|a| a.verb == "watch"), "{seen:?}");
    assert!(!seen.iter().any(|a| a.changes()), "{seen:?}");
}

/// A roll-out that is held back is seen as such: asked for, not ready.
#[tokio::test]
async fn what_is_not_ready_is_not_counted_as_ready() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await.with_kubelet(Duration::ZERO);
    space.deployment("web", 1).await;
    let web = target(&space, "deploy", "web");
    let alice = actuator(&space, "alice").await;
    wait("one is ready", async || alice.observe(&web).await.unwrap().replicas.ready == 1).await;
    space.kubelet().hold(true);
    assert_eq!(alice.apply(&change(&alice, &web, 3).await).await, Outcome::Applied);
    wait("three pods are there", async || {
        space.get("apps/v1", "Deployment", "web").await["status"]["replicas"] == json!(3)
    })
    .await;
    let seen = alice.observe(&web).await.unwrap().replicas;
    assert_eq!((seen.desired, seen.ready), (3, 1));
    space.kubelet().hold(false);
    wait("three are ready", async || alice.observe(&web).await.unwrap().replicas.ready == 3).await;
}

/// The roles that `config example --rbac` prints are enough, and `check` says the rest in the words to add.
#[tokio::test]
async fn the_printed_roles_are_enough_and_check_names_what_is_missing() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    space.deployment("web", 2).await;
    space.deployment("held", 2).await;
    space.hpa("held", 2, 8).await;
    let targets = ["web", "held"].map(|name| target(&space, "deploy", name));
    let settings = server.settings("nobody", &[&space.name]);
    let missing = async || {
        let lines = check_targets(&settings, &targets).await;
        let mends = lines.iter().filter(|l| !l.ok).map(|l| l.mend.as_ref().unwrap().to_string());
        mends.collect::<Vec<String>>()
    };
    let before = missing().await;
    assert!(before.iter().any(|m| m.contains("resources: [deployments/scale], resourceNames: [web]")), "{before:?}");

    let roles = include_str!("../config/rbac.yaml").replace("payments", &space.name).replace("fraud-scorer", "web");
    let roles = roles.replace("kind: Group, name: operators", "kind: User, name: nobody");
    for document in roles.split("\n---\n") {
        space.apply_any(serde_saphyr::from_str(document).unwrap()).await;
    }
    wait("the roles are known", async || missing().await.len() == 2).await;
    let after = missing().await.join("\n");
    assert!(after.contains("[deployments/scale], resourceNames: [held]"), "{after}");
    assert!(after.contains("[horizontalpodautoscalers], resourceNames: [held]"), "{after}");
    let nobody = actuator(&space, "nobody").await;
    let change = change(&nobody, &targets[0], 3).await;
    let plan = nobody.plan(&change).await;
    assert!(plan.refused.is_empty(), "{plan:?}");
    assert_eq!(nobody.apply(&change).await, Outcome::Applied);
}

/// What `check` prints for an administrator can be applied as it is, and then nothing is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_check_prints_for_an_administrator_mends_everything_that_it_found() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    for name in ["web", "held"] {
        space.deployment(name, 2).await;
    }
    space.hpa("held", 2, 8).await;
    let home = Home::new();
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/config/actuators/fine-tuning-job.yaml");
    let workload = |name: &str, target: &str| {
        format!("[[workload]]\nname = \"{name}\"\ngroup = \"{name}\"\ntarget = \"{target}/{}/{name}\"\n", space.name)
    };
    let file = home.file(
        "h.toml",
        &format!(
            "[kafka.k]\n\"bootstrap.servers\" = \"127.0.0.1:{}\"\n[actuator.job.tune]\ntemplate = \"{template}\"\n\
             [kubernetes]\ncontext = \"real\"\nkubeconfig = \"{}\"\nnamespaces = [\"{}\"]\n{}{}{}",
            closed_port(),
            server.kubeconfig("nobody").display(),
            space.name,
            workload("web", "deploy"),
            workload("held", "deploy"),
            workload("tune", "jobs"),
        ),
    );
    let home = std::sync::Arc::new(home);
    let check = async || {
        let (home, file) = (home.clone(), file.clone());
        let ran = tokio::task::spawn_blocking(move || home.run(&["check", "--config", &file])).await.unwrap();
        let failed = ran.out.lines().filter(|l| l.starts_with("FAIL") && !l.contains("kafka k"));
        (failed.map(str::to_owned).collect::<Vec<_>>(), ran.out)
    };
    // Who may not look is not told of autoscalers, so their rules are found once the others are there.
    let (failed, text) = check().await;
    assert!(!failed.is_empty(), "{text}");
    for _ in 0..2 {
        let (failed, text) = check().await;
        if failed.is_empty() {
            break;
        }
        let (_, yaml) = text.split_once("for kubectl apply -f:\n").unwrap_or_else(|| panic!("{text}"));
        for document in yaml.split("---\n").filter(|d| d.contains("kind:")) {
            space.replace_any(serde_saphyr::from_str(document).unwrap()).await;
        }
        wait("the roles are known", async || check().await.0.len() < failed.len()).await;
    }
    let (failed, text) = check().await;
    assert_eq!(failed, [""; 0], "{text}");
}

/// Of eight operators that saw the same count one writes, fifty times over, and each of the others is told why not.
#[tokio::test]
async fn of_eight_operators_one_writes_each_round_by_the_servers_own_record() {
    const ROUNDS: usize = 50;
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    // A kind without a controller here: the count is all that moves.
    let rollout = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "many"}, "spec": {"replicas": 1}});
    space.create(rollout).await;
    let many = target(&space, "rollout", "many");
    let mut operators = Vec::new();
    for i in 0..8 {
        operators.push(actuator(&space, if i % 2 == 0 { "alice" } else { "bob" }).await);
    }
    for round in 0..ROUNDS {
        let shown = change(&operators[0], &many, 0).await;
        let writers = (0_u32..).zip(&operators).map(|(i, operator)| {
            let (operator, change) = (operator.clone(), Change { to: 10 * (round as u32 + 1) + i, ..shown.clone() });
            tokio::spawn(async move { (change.to, operator.apply(&change).await) })
        });
        let mut winners = Vec::new();
        for outcome in futures_util::future::join_all(writers).await {
            match outcome.unwrap() {
                (to, Outcome::Applied) => winners.push(to),
                (_, Outcome::Refused(why)) => assert!(why.as_str().contains("look again"), "{why}"),
                (_, unknown @ Outcome::Unknown(_)) => panic!("{unknown:?}"),
            }
        }
        assert_eq!(winners, [operators[0].observe(&many).await.unwrap().replicas.desired], "round {round}");
    }
    let codes = || {
        let all = ["alice", "bob"].into_iter().flat_map(|user| space.writes(user, "many"));
        let (done, refused): (Vec<_>, Vec<_>) = all.map(|w| w.code()).partition(|code| *code == 200);
        (done.len(), refused.len())
    };
    wait("the audit log has them all", async || codes() == (ROUNDS, 7 * ROUNDS)).await;
}
