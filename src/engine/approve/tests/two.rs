//! Two operators at two desks with one shared ledger: librdkafka's own mock brokers, and a server that says who each is.

use super::*;
use crate::model::{KafkaSettings, KubernetesSettings, LedgerSettings, Property, Second, SecretSource, WhenLost};
use axum::{Json, Router};
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};
use serde_json::json;

type Brokers = MockCluster<'static, DefaultProducerContext>;

fn brokers() -> Brokers {
    let cluster = MockCluster::new(1).unwrap();
    for topic in ["highwater.decisions", "highwater.state"] {
        cluster.create_topic(topic, 1, 1).unwrap();
    }
    cluster
}

/// A server that knows one thing: who asks.
async fn server(user: &'static str, dir: &Path) -> KubernetesSettings {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {},
        "status": {"userInfo": {"username": user}},
    });
    let app = Router::new().fallback(move || async move { Json(review) });
    tokio::spawn(async move { axum::serve(listener, app).await });
    let kubeconfig = dir.join(format!("kubeconfig-{user}"));
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": user, "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": user}}],
    });
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    KubernetesSettings { context: Some("c".into()), kubeconfig: Some(kubeconfig), ..KubernetesSettings::default() }
}

/// A pool that several desks move, and the brokers between them.
struct House {
    dir: tempfile::TempDir,
    brokers: Brokers,
    protected: bool,
}

impl House {
    fn new(protected: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("count"), "2\n").unwrap();
        Self { dir, brokers: brokers(), protected }
    }

    fn count(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("count")).unwrap().trim().to_owned()
    }

    fn settings(&self, lost: WhenLost) -> LedgerSettings {
        let bootstrap = Property::Text(self.brokers.bootstrap_servers());
        let properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap)]);
        let kafka = KafkaSettings::new("mock", properties);
        LedgerSettings { kafka: Some(kafka), lost, ..LedgerSettings::default() }
    }

    async fn desk(&self, user: &'static str) -> Bench {
        let kubernetes = server(user, self.dir.path()).await;
        let settings = self.settings(WhenLost::Local);
        let count = self.dir.path().join("count");
        let mut bench = Bench::with(SET, Vec::new(), |config, _| {
            config.commands = vec![command(&count, SET)];
            config.kubernetes = Some(kubernetes);
            config.ledger = settings;
        });
        bench.pictures.send_replace(guarded(2, self.protected));
        bench.next(|e| matches!(e, Event::Ledger(h) if h.detail.as_str().contains("; shared")).then_some(())).await;
        bench
    }
}

/// The usual picture of a target that may be protected.
fn guarded(replicas: u32, protected: bool) -> Arc<Picture> {
    let mut picture = (*picture(recommendation(Vec::new()), replicas)).clone();
    let mut view = (*picture.workloads[0]).clone();
    let mut workload = (*view.workload).clone();
    workload.guard.protected = protected;
    view.workload = Arc::new(workload);
    picture.workloads = vec![Arc::new(view)].into();
    Arc::new(picture)
}

impl Bench {
    /// The action of that identity in a state that `holds`.
    async fn sees(&mut self, id: &ActionId, holds: impl Fn(&Action) -> bool) -> Action {
        let id = id.clone();
        self.next(|e| match e {
            Event::Actions(all) => all.iter().find(|a| a.id == id && holds(a)).cloned(),
            _ => None,
        })
        .await
    }

    /// What waits for a second person.
    async fn pending(&mut self) -> Action {
        self.next(|e| match e {
            Event::Actions(all) => all.iter().find(|a| a.waits_for_second()).cloned(),
            _ => None,
        })
        .await
    }

    async fn looked_at(&mut self, id: &ActionId) -> Arc<Prepared> {
        self.intents.send(Intent::Second { action: id.clone() }).await.unwrap();
        self.next(|e| if let Event::Prepared(Some(p)) = e { Some(p) } else { None }).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_whose_secret_comes_late_is_shared_then() {
    let house = House::new(false);
    let secret = house.dir.path().join("secret");
    let mut settings = house.settings(WhenLost::Local);
    let password = Property::Secret(SecretSource::File(secret.clone()));
    settings.kafka.as_mut().unwrap().properties.insert("sasl.password".to_owned(), password);
    let mut bench = Bench::with(SET, Vec::new(), |config, _| config.ledger = settings);
    bench.next(|e| matches!(e, Event::Ledger(h) if h.detail.as_str().contains("not shared: ")).then_some(())).await;
    std::fs::write(secret, "x").unwrap();
    bench.next(|e| matches!(e, Event::Ledger(h) if h.detail.as_str().contains("; shared")).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protected_target_is_changed_by_two_people_and_by_no_fewer() {
    let house = House::new(true);
    let (mut alice, mut bob) = (house.desk("alice").await, house.desk("bob").await);
    let asked = alice.prepare(4).await;
    assert_eq!((asked.second.as_ref().map(|s| s.0), told(&asked).as_str()), (Some(Second::Needed), ""));
    alice.confirm(&asked).await;
    alice.told("a second person has 15 min").await;
    assert_eq!(house.count(), "2", "one person changes nothing");

    let pending = bob.pending().await;
    assert_eq!((pending.id.clone(), pending.actor.to_string()), (asked.action.clone(), "alice".to_owned()));
    let own = alice.looked_at(&asked.action).await;
    assert!(told(&own).contains("alice asked for it; another person approves it"), "{:?}", own.refused);
    alice.confirm(&own).await;
    alice.told("not done: held back").await;
    assert_eq!(house.count(), "2", "nor does the same person twice");

    let shown = bob.looked_at(&pending.id).await;
    assert_eq!(told(&shown), "");
    assert_eq!((&shown.plan_hash, &shown.request), (&asked.plan_hash, &asked.request), "one plan on both screens");
    assert!(shown.second.as_ref().is_some_and(|s| s.1.as_str().starts_with("alice asked for it")), "{shown:?}");
    bob.confirm(&shown).await;
    let done = alice.sees(&asked.action, |a| a.state == ActionState::Applied).await;
    assert_eq!(house.count(), "4");
    assert_eq!(done.actor.to_string(), "bob");
    assert_eq!(done.terms.asked_by.as_ref().map(ToString::to_string).as_deref(), Some("alice"));
    let of_bob: Vec<_> = bob.end().await.into_iter().filter(|e| e.action.as_ref() == Some(&pending.id)).collect();
    let story: Vec<_> = of_bob.iter().filter_map(|e| Some((e.state?.name(), e.actor.to_string()))).collect();
    let by = |state, who: &str| (state, who.to_owned());
    assert_eq!(
        story,
        [by("proposed", "alice"), by("approved", "bob"), by("applying", "bob"), by("applied", "bob")],
        "his ledger says who asked and who approved"
    );
    alice.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_person_may_say_no_and_leaving_the_dialog_is_no_answer() {
    let house = House::new(true);
    let (mut alice, mut bob) = (house.desk("alice").await, house.desk("bob").await);
    let asked = alice.prepare(4).await;
    alice.confirm(&asked).await;
    let pending = bob.pending().await;
    let shown = bob.looked_at(&pending.id).await;
    bob.intents.send(Intent::Abandon { action: shown.action.clone() }).await.unwrap();
    let again = bob.looked_at(&pending.id).await;
    assert_eq!(told(&again), "", "it waits on");
    bob.intents.send(Intent::Abandon { action: again.action.clone() }).await.unwrap();
    bob.intents.send(Intent::Cancel { action: pending.id.clone() }).await.unwrap();
    let refused = alice.sees(&asked.action, |a| a.state == ActionState::Rejected).await;
    assert_eq!((refused.actor.to_string(), house.count()), ("bob".to_owned(), "2".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_approve_the_same_at_once_one_writes_and_the_other_is_told_who() {
    let house = House::new(false);
    let (mut alice, mut bob) = (house.desk("alice").await, house.desk("bob").await);
    let (a, b) = (alice.prepare(4).await, bob.prepare(3).await);
    assert_eq!((told(&a), told(&b)), (String::new(), String::new()));
    tokio::join!(alice.confirm(&a), bob.confirm(&b));
    let over = |a: &Action| matches!(a.state, ActionState::Applied | ActionState::Failed | ActionState::Rejected);
    let (x, y) = (alice.sees(&a.action, over).await, bob.sees(&b.action, over).await);
    let (won, lost) = if x.state == ActionState::Applied { (x, y) } else { (y, x) };
    assert_eq!((won.state, house.count()), (ActionState::Applied, won.to.to_string()));
    assert_ne!(lost.state, ActionState::Applied, "{lost:?}");
    let named = lost.reason.as_str().contains(&won.actor.to_string()) || lost.reason.as_str().contains("the count is");
    assert!(named, "{}", lost.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_shared_ledger_is_lost_protected_targets_are_refused_and_others_as_configured() {
    for (lost, protected, part) in [
        (WhenLost::Local, false, ""),
        (WhenLost::Refuse, false, "[ledger] lost = \"refuse\""),
        (WhenLost::Local, true, "protected: a second person must approve, and"),
    ] {
        let nowhere = Property::Text("127.0.0.1:1".to_owned());
        let properties = BTreeMap::from([("bootstrap.servers".to_owned(), nowhere)]);
        let kafka = Some(KafkaSettings::new("gone", properties));
        let mut bench = Bench::with(SET, Vec::new(), |config, _| {
            config.ledger = LedgerSettings { kafka, lost, ..LedgerSettings::default() };
        });
        bench.pictures.send_replace(guarded(2, protected));
        let prepared = bench.prepare(4).await;
        assert!(
            if part.is_empty() { prepared.refused.is_empty() } else { told(&prepared).contains(part) },
            "{prepared:?}"
        );
        bench.confirm(&prepared).await;
        let wanted = if part.is_empty() { ActionState::Applied } else { ActionState::Rejected };
        let done = bench.state(wanted).await;
        assert_eq!(
            (bench.count().as_str(), done.terms.alone),
            if part.is_empty() { ("4", true) } else { ("2", false) }
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_operator_approved_for_later_is_theirs_to_cancel() {
    let house = House::new(false);
    let (mut alice, mut bob) = (house.desk("alice").await, house.desk("bob").await);
    let prepared = alice.prepare(4).await;
    let (action, plan_hash) = (prepared.action.clone(), prepared.plan_hash.clone());
    let at = Time::now().plus(600.0);
    alice.intents.send(Intent::ConfirmAt { action: action.clone(), plan_hash, at }).await.unwrap();
    bob.sees(&action, |a| a.state == ActionState::Approved).await;
    bob.intents.send(Intent::Cancel { action: action.clone() }).await.unwrap();
    assert_eq!(bob.told("cancelled").await, "g 2 → 4 is not cancelled: alice approved it, and only they can");
    assert!(bob.end().await.iter().all(|e| e.action.is_none()), "nothing of it is in bob's ledger");
    alice.intents.send(Intent::Cancel { action }).await.unwrap();
    assert_eq!(alice.told("cancelled").await, "g 2 → 4: cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_elsewhere_keeps_nobody_out_and_ends_with_its_program() {
    let house = House::new(false);
    let (mut alice, mut bob) = (house.desk("alice").await, house.desk("bob").await);
    let prepared = alice.prepare(4).await;
    let (action, plan_hash) = (prepared.action.clone(), prepared.plan_hash.clone());
    let at = Time::now().plus(6.0 * 3600.0);
    alice.intents.send(Intent::ConfirmAt { action: action.clone(), plan_hash, at }).await.unwrap();
    bob.sees(&action, |a| a.state == ActionState::Approved).await;
    let shown = bob.prepare(3).await;
    assert_eq!(told(&shown), "");
    let waits = format!("alice approved 2 → 4 for {at}, which will not be begun on another count");
    assert!(shown.after.as_str().starts_with(&waits), "{}", shown.after);
    alice.end().await;
    bob.sees(&action, |a| a.state == ActionState::Expired).await;
    assert!(!bob.prepare(3).await.after.as_str().contains("alice"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_quits_has_told_the_others_all_that_was_recorded() {
    let house = House::new(false);
    let mut alice = house.desk("alice").await;
    let left = alice.prepare(4).await.action.clone();
    alice.end().await;
    let whole = ledger::kafka::read_whole(&house.settings(WhenLost::Local)).await.unwrap();
    let last = &whole.entries.last().unwrap().entry;
    assert_eq!((last.action.as_ref(), last.state), (Some(&left), Some(ActionState::Expired)));
}
