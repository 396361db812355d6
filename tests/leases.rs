//! Leases and notices on a real API server: one decides at a time, the others see who, and the target tells it.

use crate::real::kubernetes::{Namespace, kubernetes, wait};
use highwater::{
    act::{Actuator, Leases, NoLease, Outcome, Told},
    engine::Gate,
    model::{Action, ActionId, ActionState, Actor, Label, LeaseUse, LedgerSettings, Target, Time},
    process::Clock,
    source::kubernetes::connect_to_change,
};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, ListParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use std::time::{Instant, SystemTime};

async fn actuator(space: &Namespace, user: &str) -> Actuator {
    let client = connect_to_change(&space.server.settings(user, &[&space.name])).await.unwrap();
    Actuator::new(Some((client, Label::new("real"))), &[], Clock::wall())
}

async fn leases(space: &Namespace, user: &str) -> Leases {
    actuator(space, user).await.leases().unwrap()
}

/// What `config example --rbac` adds for operators who share.
async fn may_share(space: &Namespace) {
    let group = "rbac.authorization.k8s.io";
    let role = json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": {"name": "share"}, "rules": [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
    ]});
    space.create(role).await;
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "share"},
        "subjects": [{"kind": "Group", "name": "operators", "apiGroup": group}],
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "share"},
    });
    space.create(binding).await;
}

fn web(space: &Namespace) -> Target {
    format!("deploy/{}/web", space.name).parse().unwrap()
}

async fn lease(space: &Namespace) -> Value {
    space.get("coordination.k8s.io/v1", "Lease", "highwater-deployment-web").await
}

#[tokio::test]
async fn of_eight_who_reach_for_a_lease_one_holds_it_and_gives_it_up() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    may_share(&space).await;
    let target = web(&space);
    let (alice, bob) = (leases(&space, "alice").await, leases(&space, "bob").await);
    wait("the role is in force", async || alice.hold(&target, "alice/0").await.is_ok()).await;
    alice.release(&target, "alice/0").await;
    let reach = (0..8).map(|n| {
        let (leases, target) = (if n % 2 == 0 { alice.clone() } else { bob.clone() }, target.clone());
        async move { leases.hold(&target, &format!("operator-{n}/1")).await.map(|()| n) }
    });
    let reached = futures_util::future::join_all(reach).await;
    let held: Vec<_> = reached.iter().flatten().collect();
    assert_eq!(held.len(), 1, "{reached:?}");
    let holder = format!("operator-{}/1", held[0]);
    let object = lease(&space).await;
    assert_eq!(
        (&object["spec"]["holderIdentity"], &object["spec"]["leaseDurationSeconds"]),
        (&json!(holder), &json!(60))
    );
    assert_eq!(alice.hold(&target, &holder).await, Ok(()), "who holds it renews it");
    let told = bob.hold(&target, "bob/2").await.unwrap_err();
    assert!(matches!(&told, NoLease::Taken { by, .. } if by.as_str() == holder), "{told:?}");
    alice.release(&target, "somebody/else").await;
    assert!(bob.hold(&target, "bob/2").await.is_err(), "only who holds it gives it up");
    alice.release(&target, &holder).await;
    assert_eq!(bob.hold(&target, "bob/2").await, Ok(()));
    assert!(lease(&space).await["spec"]["leaseTransitions"].as_i64().unwrap() >= 2);
}

#[tokio::test]
async fn a_lease_that_nobody_renews_lapses_and_one_that_may_not_be_had_is_told() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    may_share(&space).await;
    let target = web(&space);
    let left = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "highwater-deployment-web"},
        // Its holder's clock is years behind: only how long it stays as it is counts.
        "spec": {"holderIdentity": "carol@corp/3", "leaseDurationSeconds": 1, "renewTime": "2020-01-01T00:00:00.000000Z"},
    });
    space.create(left).await;
    let alice = leases(&space, "alice").await;
    let first = alice.hold(&target, "alice/1").await;
    let taken = matches!(&first, Err(NoLease::Taken { by, left }) if by.as_str() == "carol@corp/3" && *left > 0.0);
    assert!(taken || matches!(first, Err(NoLease::NotAllowed(_))), "{first:?}");
    wait("it lapsed", async || alice.hold(&target, "alice/1").await.is_ok()).await;
    let viewer = leases(&space, "viewer").await;
    let refused = viewer.hold(&target, "viewer/1").await;
    assert!(matches!(&refused, Err(NoLease::NotAllowed(why)) if why.as_str().contains("grant get")), "{refused:?}");
}

fn action(space: &Namespace) -> Action {
    Action {
        state: ActionState::Applying,
        actor: Actor { server_user: Some("alice".into()), ..Actor::default() },
        ..Action::proposed(ActionId("01TEST".into()), "web".into(), web(space), (1, 2), Time::now())
    }
}

#[tokio::test]
async fn nothing_is_written_while_somebody_else_decides() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    may_share(&space).await;
    let target = web(&space);
    let (alice, bob) = (leases(&space, "alice").await, leases(&space, "bob").await);
    wait("the role is in force", async || bob.hold(&target, "bob@corp/9").await.is_ok()).await;
    let gate = |leases: &Leases, lease| Gate {
        shared: None,
        leases: Some(leases.clone()),
        settings: LedgerSettings { lease, ..LedgerSettings::default() },
        protected: false,
        intended: Instant::now(),
        intended_at: SystemTime::now(),
    };
    let pass = async |gate: Gate| gate.pass(&action(&space), async { Outcome::Applied }).await;
    let refused = pass(gate(&alice, LeaseUse::WhenAllowed)).await;
    assert!(
        matches!(&refused, Outcome::Refused(why) if why.as_str().starts_with("bob@corp is deciding")),
        "{refused:?}"
    );
    bob.release(&target, "bob@corp/9").await;
    assert_eq!(pass(gate(&alice, LeaseUse::WhenAllowed)).await, Outcome::Applied);
    assert_eq!(lease(&space).await["spec"]["holderIdentity"], Value::Null, "given up behind the write");
    // Who may not have leases goes on without, or does not, as configured.
    let viewer = leases(&space, "viewer").await;
    assert_eq!(pass(gate(&viewer, LeaseUse::WhenAllowed)).await, Outcome::Applied);
    let required = pass(gate(&viewer, LeaseUse::Required)).await;
    assert!(matches!(&required, Outcome::Refused(why) if why.as_str().contains("\"required\"")), "{required:?}");
}

#[tokio::test]
async fn a_target_tells_what_was_done_to_it() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    may_share(&space).await;
    let object = space.deployment("web", 1).await;
    let (target, uid) = (web(&space), object.metadata.uid.as_deref().map(Label::new));
    let alice = actuator(&space, "alice").await;
    let told = Told { reason: "Scaled", warning: false, note: "1 → 2 ".repeat(400), instance: "bastion".into() };
    wait("the role is in force", async || alice.tell(&target, uid.as_ref(), &told).await.is_ok()).await;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("events.k8s.io", "v1", "Event"));
    let api: Api<DynamicObject> = Api::namespaced_with(space.admin.clone(), &space.name, &kind);
    let events = api.list(&ListParams::default()).await.unwrap();
    let ours = |e: &&DynamicObject| e.data["regarding"]["name"] == "web" && e.data["reason"] == "Scaled";
    let event = &events.iter().find(ours).unwrap().data;
    assert_eq!(event["regarding"]["uid"].as_str(), uid.as_ref().map(Label::as_str));
    let note = event["note"].as_str().unwrap();
    assert!(note.len() <= 1024 && note.len() > 1000 && told.note.starts_with(note), "{}", note.len());
    assert_eq!((&event["type"], &event["reportingController"]), (&json!("Normal"), &json!("highwater")));
    let viewer = actuator(&space, "viewer").await;
    assert!(viewer.tell(&target, uid.as_ref(), &told).await.unwrap_err().contains("not allowed"));
}
