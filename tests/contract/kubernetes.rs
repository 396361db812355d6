//! What the source and the actuator rely on in a Kubernetes API. `Subject` is all that a server must bring.

use crate::{
    real::kubernetes::{Namespace, kubernetes},
    support::PATIENCE,
};
use highwater::{
    act::{Actuator, Change, Outcome},
    model::{ActionId, Health, KubeState, KubernetesSettings, Label, Lever, LeverState, Observation, Target},
    process::Clock,
    source::kubernetes::{check, check_targets, connect, connect_to_change, run},
    world::{World, kubernetes::KubernetesFace},
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};

/// A server with objects in it.
struct Subject {
    settings: KubernetesSettings,
    /// A Deployment that nobody else scales, with more than one replica.
    free: Target,
    /// A Deployment under an HPA whose floor is below its count.
    under_hpa: Target,
    /// A Deployment under a ScaledObject.
    under_keda: Target,
    /// Ends the server, or the namespace's kubelet, when dropped.
    server: Option<Server>,
}

#[allow(dead_code)] // held for their ends
enum Server {
    Face(KubernetesFace),
    Real(Namespace),
}

impl Subject {
    async fn face() -> Option<Self> {
        let world = World::start("fraud", 7, 1.0).unwrap();
        let face = highwater::world::kubernetes::serve(world).await.unwrap();
        Some(Self {
            settings: face.settings(),
            free: "deploy/payments/fraud-scorer".parse().unwrap(),
            under_hpa: "deploy/orders/orders-etl".parse().unwrap(),
            under_keda: "deploy/web/clickstream".parse().unwrap(),
            server: Some(Server::Face(face)),
        })
    }

    async fn real() -> Option<Self> {
        let space = kubernetes().await?.namespace().await;
        for name in ["free", "held", "scaled"] {
            space.deployment(name, 3).await;
        }
        space.hpa("held", 2, 8).await;
        space.scaled_object("scaled", 2, 8).await;
        space.kedas_hpa("scaled", 2, 8).await;
        space.vpa("free").await;
        let target = |name: &str| format!("deploy/{}/{name}", space.name).parse().unwrap();
        Some(Self {
            settings: space.server.settings("alice", &[&space.name]),
            free: target("free"),
            under_hpa: target("held"),
            under_keda: target("scaled"),
            server: Some(Server::Real(space)),
        })
    }

    async fn client(&self) -> Client {
        connect(&self.settings).await.unwrap()
    }

    async fn actuator(&self) -> Actuator {
        let client = connect_to_change(&self.settings).await.unwrap();
        Actuator::new(Some((client, Label::new("test"))), &[], Clock::wall())
    }
}

/// Every test of the contract, against the simulated world's face and against a real API server.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod face {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Subject::face().await.unwrap()).await;
            })*
        }
        mod real {
            $(#[tokio::test]
            async fn $name() {
                if let Some(subject) = super::Subject::real().await {
                    super::$name(subject).await;
                }
            })*
        }
    };
}

contract!(
    the_source_sees_what_there_is_and_what_changes,
    a_plan_changes_nothing_and_shows_the_exact_request,
    a_stale_plan_another_object_and_a_missing_one_are_refused,
    zero_is_a_count_like_any_other,
    of_eight_writers_exactly_one_wins_each_round,
    what_an_autoscaler_owns_is_not_scaled_directly,
    a_bound_is_moved_and_put_back,
    stale_wrong_and_malformed_writes_are_told_apart,
    check_says_what_may_be_read_and_scaled,
);

fn api(client: &Client, target: &Target) -> (Api<Deployment>, String) {
    let (_, namespace, name) = target.kubernetes().unwrap();
    (Api::namespaced(client.clone(), namespace.as_str()), name.to_string())
}

/// A change of the target as it is now.
async fn change(actuator: &Actuator, target: &Target, to: u32) -> Change {
    let seen = actuator.observe(target).await.unwrap().replicas;
    Change {
        action: ActionId("a-1".into()),
        target: target.clone(),
        uid: seen.uid,
        from: seen.desired,
        to,
        reason: "test".into(),
        lever: None,
    }
}

async fn count(actuator: &Actuator, target: &Target) -> u32 {
    actuator.observe(target).await.unwrap().replicas.desired
}

/// The next state for which `wanted` holds.
async fn state_where(inbox: &mut mpsc::Receiver<Observation>, wanted: impl Fn(&KubeState) -> bool) -> KubeState {
    let found = timeout(PATIENCE, async {
        loop {
            if let Observation::Kubernetes(state) = inbox.recv().await.expect("the source ended")
                && wanted(&state)
            {
                return (*state).clone();
            }
        }
    });
    found.await.expect("no such state in time")
}

async fn health_where(inbox: &mut mpsc::Receiver<Observation>, wanted: Health) -> String {
    let found = timeout(PATIENCE, async {
        loop {
            if let Observation::Health(status) = inbox.recv().await.expect("the source ended")
                && status.health == wanted
            {
                return status.detail.to_string();
            }
        }
    });
    found.await.expect("no such health in time")
}

async fn the_source_sees_what_there_is_and_what_changes(subject: Subject) {
    let (out, mut inbox) = mpsc::channel(16);
    let source = tokio::spawn(run(subject.settings.clone(), Clock::wall(), out));
    let first = state_where(&mut inbox, |_| true).await;
    let seen = first.workloads.iter().find(|w| w.target == subject.free).expect("the free deployment");
    assert!(seen.desired > 0 && !seen.uid.is_empty());
    assert!(first.notices.is_empty(), "{:?}", first.notices);
    let name = |t: &Target| t.kubernetes().unwrap().2.clone();
    assert!(first.hpas.iter().any(|h| h.target_name == name(&subject.under_hpa) && !h.metrics.is_empty()));
    let scaled = first.scaled_objects.iter().find(|s| s.target_name == name(&subject.under_keda)).unwrap();
    assert_eq!(scaled.kafka().count(), 1);
    let vpas = |s: &KubeState| s.vpas.iter().any(|v| v.target_name == name(&subject.free)); // nobody waits for them
    let advised = if vpas(&first) { first.clone() } else { state_where(&mut inbox, vpas).await };
    let vpa = advised.vpas.iter().find(|v| v.target_name == name(&subject.free)).unwrap();
    assert_eq!((vpa.mode.name(), vpa.target_kind.as_str()), ("Off", "Deployment"));
    let cpu = vpa.containers[0].cpu.unwrap();
    assert!(cpu.lower.unwrap() < cpu.target && cpu.target < cpu.upper.unwrap(), "{vpa}");
    assert!(health_where(&mut inbox, Health::Ok).await.contains("deployments"));

    let to = seen.desired + 1;
    let actuator = subject.actuator().await;
    assert_eq!(actuator.apply(&change(&actuator, &subject.free, to).await).await, Outcome::Applied);
    let scaled = |s: &KubeState| s.workloads.iter().any(|w| w.target == subject.free && w.desired == to);
    let after = state_where(&mut inbox, scaled).await;
    let after = after.workloads.iter().find(|w| w.target == subject.free).unwrap();
    assert_eq!(after.last_writer.as_ref().map(Label::as_str), Some("highwater"));
    source.abort();
}

async fn a_plan_changes_nothing_and_shows_the_exact_request(subject: Subject) {
    let actuator = subject.actuator().await;
    let change = change(&actuator, &subject.free, 9).await;
    let plan = actuator.plan(&change).await;
    assert_eq!((plan.refused.as_slice(), plan.dry_run.is_ok()), ([].as_slice(), true), "{plan:?}");
    let (_, namespace, name) = subject.free.kubernetes().unwrap();
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale?fieldManager=highwater");
    assert!(plan.request.iter().any(|l| l.as_str() == format!("PATCH {path}")), "{:?}", plan.request);
    assert!(plan.owner.as_str().contains("no HPA"), "{}", plan.owner);
    assert!(!plan.identity.is_empty());
    assert_eq!(count(&actuator, &subject.free).await, change.from);
    assert_eq!(actuator.apply(&change).await, Outcome::Applied);
    assert_eq!(count(&actuator, &subject.free).await, 9);
}

async fn a_stale_plan_another_object_and_a_missing_one_are_refused(subject: Subject) {
    let actuator = subject.actuator().await;
    let good = change(&actuator, &subject.free, 9).await;
    let stale = Change { from: good.from + 1, ..good.clone() };
    let other = Change { uid: Some("11111111-2222-4333-8444-555555555555".into()), ..good.clone() };
    let missing = format!("deploy/{}/nobody", subject.free.kubernetes().unwrap().1).parse().unwrap();
    let nobody = Change { uid: None, ..good.clone() };
    let missing = Change { target: missing, ..good.clone() };
    for wrong in [&stale, &other, &nobody, &missing] {
        let outcome = actuator.apply(wrong).await;
        assert!(matches!(outcome, Outcome::Refused(_)), "{wrong:?}: {outcome:?}");
        assert!(!actuator.plan(wrong).await.refused.is_empty(), "{wrong:?}");
    }
    assert_eq!(count(&actuator, &subject.free).await, good.from);
}

async fn zero_is_a_count_like_any_other(subject: Subject) {
    let actuator = subject.actuator().await;
    for to in [0, 3, 0, 5] {
        let change = change(&actuator, &subject.free, to).await;
        assert!(actuator.plan(&change).await.dry_run.is_ok());
        assert_eq!(actuator.apply(&change).await, Outcome::Applied, "{} to {to}", change.from);
        assert_eq!(count(&actuator, &subject.free).await, to);
    }
    let client = subject.client().await;
    let (api, name) = api(&client, &subject.free);
    let change = change(&actuator, &subject.free, 0).await;
    assert_eq!(actuator.apply(&change).await, Outcome::Applied);
    let scale = api.get_scale(&name).await.unwrap();
    assert_eq!(scale.spec.and_then(|s| s.replicas), None, "at zero the field is left out");
}

async fn of_eight_writers_exactly_one_wins_each_round(subject: Subject) {
    let actuator = subject.actuator().await;
    for round in 0..5 {
        let from = change(&actuator, &subject.free, 0).await;
        let writers = (0..8).map(|i| {
            let (actuator, change) = (actuator.clone(), Change { to: 20 + round * 8 + i, ..from.clone() });
            tokio::spawn(async move { (change.to, actuator.apply(&change).await) })
        });
        let mut winners = Vec::new();
        for outcome in futures_util::future::join_all(writers).await {
            match outcome.unwrap() {
                (to, Outcome::Applied) => winners.push(to),
                (_, Outcome::Refused(why)) => assert!(why.as_str().contains("look again"), "{why}"),
                (_, unknown @ Outcome::Unknown(_)) => panic!("{unknown:?}"),
            }
        }
        assert_eq!(winners, [count(&actuator, &subject.free).await], "round {round}");
    }
}

async fn what_an_autoscaler_owns_is_not_scaled_directly(subject: Subject) {
    let actuator = subject.actuator().await;
    let hpa = actuator.plan(&change(&actuator, &subject.under_hpa, 20).await).await;
    assert!(hpa.refused.iter().any(|r| r.as_str().contains("minReplicas")), "{hpa:?}");
    let keda = actuator.plan(&change(&actuator, &subject.under_keda, 20).await).await;
    assert_eq!(keda.refused.len(), 1, "KEDA's own HPA is not named twice: {keda:?}");
    assert!(keda.refused[0].as_str().contains("minReplicaCount"), "{keda:?}");
}

/// The offer for a change of a count that an autoscaler owns, as the change to plan next.
async fn offered(actuator: &Actuator, target: &Target, to: u32) -> Change {
    let direct = change(actuator, target, to).await;
    let plan = actuator.plan(&direct).await;
    let lever = plan.offers.first().unwrap_or_else(|| panic!("no offer: {plan:?}")).lever.clone();
    Change { lever: Some(lever), ..direct }
}

async fn a_bound_is_moved_and_put_back(subject: Subject) {
    let actuator = subject.actuator().await;
    for target in [&subject.under_hpa, &subject.under_keda] {
        let to = count(&actuator, target).await + 1;
        let change = offered(&actuator, target, to).await;
        let plan = actuator.plan(&change).await;
        assert_eq!((plan.refused.as_slice(), plan.dry_run.is_ok()), ([].as_slice(), true), "{plan:?}");
        assert_eq!(actuator.look(&change).await.unwrap().lever, Some(LeverState::Before), "a plan changes nothing");
        assert_eq!(actuator.apply(&change).await, Outcome::Applied);
        assert_eq!(actuator.look(&change).await.unwrap().lever, Some(LeverState::Written));
        let again = actuator.apply(&change).await;
        assert!(matches!(&again, Outcome::Refused(why) if why.as_str().contains("look again")), "{again:?}");
        assert!(!actuator.plan(&change).await.refused.is_empty(), "what was moved is no longer as it was");

        let back = Change { lever: change.lever.as_ref().map(Lever::back), ..change.clone() };
        assert_eq!(actuator.apply(&back).await, Outcome::Applied);
        assert_eq!(actuator.look(&change).await.unwrap().lever, Some(LeverState::Before));
    }
    // KEDA's switch against shrinking comes and goes as a whole.
    let direct = change(&actuator, &subject.under_keda, count(&actuator, &subject.under_keda).await + 1).await;
    let hold = actuator.plan(&direct).await.offers.remove(1).lever;
    let hold = Change { lever: Some(hold), ..direct };
    assert_eq!(actuator.apply(&hold).await, Outcome::Applied);
    assert_eq!(actuator.look(&hold).await.unwrap().lever, Some(LeverState::Written));
    let back = Change { lever: hold.lever.as_ref().map(Lever::back), ..hold.clone() };
    assert_eq!(actuator.apply(&back).await, Outcome::Applied);
    assert_eq!(actuator.look(&hold).await.unwrap().lever, Some(LeverState::Before));
    // A bound of another target is no lever for this one.
    let wrong = Change {
        target: subject.free.clone(),
        ..offered(&actuator, &subject.under_hpa, count(&actuator, &subject.under_hpa).await + 1).await
    };
    assert!(matches!(actuator.apply(&wrong).await, Outcome::Refused(_)));
}

async fn stale_wrong_and_malformed_writes_are_told_apart(subject: Subject) {
    let client = subject.client().await;
    let (api, name) = api(&client, &subject.free);
    let write = async |patch: Patch<serde_json::Value>| {
        let error = api.patch_scale(&name, &PatchParams::default(), &patch).await.unwrap_err();
        let kube::Error::Api(status) = error else { panic!("{error:?}") };
        (status.code, status.details.map_or(0, |d| d.causes.len()))
    };
    let json = |ops| Patch::Json::<serde_json::Value>(serde_json::from_value(ops).unwrap());
    let test = json(json!([{"op": "test", "path": "/spec/replicas", "value": 4711}]));
    assert_eq!(write(test).await, (422, 0), "a failed test names no cause");
    let negative = json(json!([{"op": "replace", "path": "/spec/replicas", "value": -1}]));
    assert_eq!(write(negative).await, (422, 1), "a bad value names its field");
    let version = Patch::Merge(json!({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 2}}));
    assert_eq!(write(version).await.0, 409);
    let uid = Patch::Merge(json!({"metadata": {"uid": "another"}, "spec": {"replicas": 2}}));
    assert_eq!(write(uid).await.0, 409);
}

async fn check_says_what_may_be_read_and_scaled(subject: Subject) {
    let lines = check(&subject.settings).await;
    assert!(lines.len() >= 6 && lines.iter().all(|l| l.ok), "{lines:#?}");
    let lines = check_targets(&subject.settings, &[subject.free.clone(), Target::Command("x".into())]).await;
    assert!(matches!(lines.as_slice(), [line] if line.ok), "{lines:#?}");
}

/// Face only: a server that goes away is said to be gone.
#[tokio::test]
async fn a_server_that_goes_away_is_noticed() {
    let mut subject = Subject::face().await.unwrap();
    let (out, mut inbox) = mpsc::channel(16);
    let source = tokio::spawn(run(subject.settings.clone(), Clock::wall(), out));
    state_where(&mut inbox, |_| true).await;
    subject.server = None;
    let why = timeout(PATIENCE, async {
        loop {
            if let Some(Observation::Health(status)) = inbox.recv().await
                && matches!(status.health, Health::Degraded | Health::Down)
            {
                return status.detail.to_string();
            }
        }
    });
    let why = why.await.unwrap();
    assert!(why.contains("refused") || why.contains("connection"), "{why}");
    source.abort();
}
