//! What the source and the actuator rely on in a Kubernetes API. `Subject` is all that a server must bring.

use highwater::{
    act::{Actuator, Change, Outcome},
    model::{ActionId, Health, KubeState, KubernetesSettings, Label, Observation, Target},
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
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with objects in it.
struct Subject {
    settings: KubernetesSettings,
    /// A Deployment that nobody else scales, with more than one replica.
    free: Target,
    /// A Deployment under an HPA.
    under_hpa: Target,
    /// A Deployment under a ScaledObject.
    under_keda: Target,
    /// Ends the server when dropped.
    face: Option<KubernetesFace>,
}

impl Subject {
    async fn face() -> Self {
        let world = World::start("fraud", 7, 1.0).unwrap();
        let face = highwater::world::kubernetes::serve(world).await.unwrap();
        Self {
            settings: face.settings(),
            free: "deploy/payments/fraud-scorer".parse().unwrap(),
            under_hpa: "deploy/orders/orders-etl".parse().unwrap(),
            under_keda: "deploy/web/clickstream".parse().unwrap(),
            face: Some(face),
        }
    }

    async fn client(&self) -> Client {
        connect(&self.settings).await.unwrap()
    }

    async fn actuator(&self) -> Actuator {
        let client = connect_to_change(&self.settings).await.unwrap();
        Actuator::new(Some((client, Label::new("test"))), &[], Clock::wall())
    }
}

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

#[tokio::test]
async fn the_source_sees_what_there_is_and_what_changes() {
    let subject = Subject::face().await;
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

#[tokio::test]
async fn a_plan_changes_nothing_and_shows_the_exact_request() {
    let subject = Subject::face().await;
    let actuator = subject.actuator().await;
    let change = change(&actuator, &subject.free, 9).await;
    let plan = actuator.plan(&change).await;
    assert_eq!((plan.refused.as_slice(), plan.dry_run.is_ok()), ([].as_slice(), true), "{plan:?}");
    let path = "/apis/apps/v1/namespaces/payments/deployments/fraud-scorer/scale?fieldManager=highwater";
    assert!(plan.request.iter().any(|l| l.as_str() == format!("PATCH {path}")), "{:?}", plan.request);
    assert!(plan.owner.as_str().contains("no HPA"), "{}", plan.owner);
    assert!(!plan.identity.is_empty());
    assert_eq!(count(&actuator, &subject.free).await, change.from);
    assert_eq!(actuator.apply(&change).await, Outcome::Applied);
    assert_eq!(count(&actuator, &subject.free).await, 9);
}

#[tokio::test]
async fn a_stale_plan_another_object_and_a_missing_one_are_refused() {
    let subject = Subject::face().await;
    let actuator = subject.actuator().await;
    let good = change(&actuator, &subject.free, 9).await;
    let stale = Change { from: good.from + 1, ..good.clone() };
    let other = Change { uid: Some("11111111-2222-4333-8444-555555555555".into()), ..good.clone() };
    let nobody = Change { uid: None, ..good.clone() };
    let missing = Change { target: "deploy/payments/nobody".parse().unwrap(), ..good.clone() };
    for wrong in [&stale, &other, &nobody, &missing] {
        let outcome = actuator.apply(wrong).await;
        assert!(matches!(outcome, Outcome::Refused(_)), "{wrong:?}: {outcome:?}");
        assert!(!actuator.plan(wrong).await.refused.is_empty(), "{wrong:?}");
    }
    assert_eq!(count(&actuator, &subject.free).await, good.from);
}

#[tokio::test]
async fn zero_is_a_count_like_any_other() {
    let subject = Subject::face().await;
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

#[tokio::test]
async fn of_eight_writers_exactly_one_wins_each_round() {
    let subject = Subject::face().await;
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

#[tokio::test]
async fn what_an_autoscaler_owns_is_not_scaled_directly() {
    let subject = Subject::face().await;
    let actuator = subject.actuator().await;
    let hpa = actuator.plan(&change(&actuator, &subject.under_hpa, 20).await).await;
    assert!(hpa.refused.iter().any(|r| r.as_str().contains("minReplicas")), "{hpa:?}");
    let keda = actuator.plan(&change(&actuator, &subject.under_keda, 20).await).await;
    assert_eq!(keda.refused.len(), 1, "KEDA's own HPA is not named twice: {keda:?}");
    assert!(keda.refused[0].as_str().contains("minReplicaCount"), "{keda:?}");
}

#[tokio::test]
async fn stale_wrong_and_malformed_writes_are_told_apart() {
    let subject = Subject::face().await;
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

#[tokio::test]
async fn check_says_what_may_be_read_and_scaled() {
    let subject = Subject::face().await;
    let lines = check(&subject.settings).await;
    assert!(lines.len() == 6 && lines.iter().all(|l| l.ok), "{lines:#?}");
    let lines = check_targets(&subject.settings, &[subject.free.clone(), Target::Command("x".into())]).await;
    assert!(matches!(lines.as_slice(), [line] if line.ok), "{lines:#?}");
}

/// Face only: a server that goes away is said to be gone.
#[tokio::test]
async fn a_server_that_goes_away_is_noticed() {
    let mut subject = Subject::face().await;
    let (out, mut inbox) = mpsc::channel(16);
    let source = tokio::spawn(run(subject.settings.clone(), Clock::wall(), out));
    state_where(&mut inbox, |_| true).await;
    subject.face = None;
    let why = timeout(Duration::from_secs(40), async {
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
