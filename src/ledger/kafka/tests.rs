//! Several ledgers on librdkafka's own mock brokers: what operators see of each other, and who may write.

mod door;

use super::*;
use crate::{
    ledger::{
        Ledger,
        machine::Event,
        machine::tests::{approve, proposed, step},
    },
    model::{Action, ActionState, Actor, Property, SecretSource, Time},
};
use door::Door;
use rdkafka::{
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _},
};
use std::collections::BTreeMap;

const NOW: Time = Time::from_millis(1_800_000_000_000);

fn brokers() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("highwater.decisions", 1, 1).unwrap();
    cluster.create_topic("highwater.state", 1, 1).unwrap();
    cluster
}

fn settings(cluster: &MockCluster<'_, DefaultProducerContext>) -> LedgerSettings {
    let bootstrap = Property::Text(cluster.bootstrap_servers());
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap)]);
    let kafka = KafkaSettings::new("mock", properties);
    LedgerSettings { kafka: Some(kafka), ..LedgerSettings::default() }
}

/// An operator with a ledger of their own.
struct Operator {
    dir: tempfile::TempDir,
    ledger: Ledger,
    shared: Shared,
    actor: Actor,
}

impl Operator {
    async fn new(name: &str, settings: &LedgerSettings) -> Self {
        Self::within(tempfile::tempdir().unwrap(), name, settings).await
    }

    async fn within(dir: tempfile::TempDir, name: &str, settings: &LedgerSettings) -> Self {
        let actor = Actor { server_user: Some(name.into()), ..Actor::default() };
        let mut ledger = Ledger::open(dir.path(), actor.clone(), NOW).unwrap();
        if ledger.id().is_none() {
            ledger.note("begins", NOW).unwrap();
        }
        let shared = Shared::open(settings, dir.path(), ledger.id().unwrap(), ledger.last()).unwrap();
        let operator = Self { dir, ledger, shared, actor };
        operator.until("it is live", |v| v.link().is_ok()).await;
        operator
    }

    async fn until(&self, what: &str, holds: impl Fn(&View) -> bool) {
        let mut view = self.shared.view();
        let waited = tokio::time::timeout(Duration::from_secs(20), view.wait_for(|v| holds(v))).await;
        assert!(matches!(waited, Ok(Ok(_))), "not within 20 s: {what}; {:?}", self.shared.view().borrow().link());
    }

    fn record(&mut self, action: &Action) -> u64 {
        let action = Action { actor: self.actor.clone(), ..action.clone() };
        let seq = self.ledger.record(&action).unwrap();
        self.shared.publish(seq);
        seq
    }

    /// Proposes, approves and records the intent; answers with the action and the intent's number.
    fn intend(&mut self, id: &str) -> (Action, u64) {
        let action = Action { actor: self.actor.clone(), ..proposed(id) };
        self.record(&action);
        let approved = step(&action, &approve(&action), NOW.plus(1.0));
        self.record(&approved);
        let begun = step(&approved, &Event::Begin { refused: Vec::new() }, NOW.plus(2.0));
        let seq = self.record(&begun);
        (begun, seq)
    }
}

fn state(view: &View, id: &str) -> Option<ActionState> {
    view.arbiter.held().values().find(|h| h.action.id.0.as_str() == id).map(|h| h.action.state)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_each_other_and_one_claim_wins() {
    let brokers = brokers();
    let settings = settings(&brokers);
    let (mut alice, mut bob) = (Operator::new("alice", &settings).await, Operator::new("bob", &settings).await);
    let pending = proposed("p");
    alice.record(&pending);
    bob.until("bob sees what alice proposed", |v| state(v, "p") == Some(ActionState::Proposed)).await;
    let ((a, first), (b, second)) = (alice.intend("a"), bob.intend("b"));
    let (first, second) = tokio::join!(alice.shared.claim(first, &a.id), bob.shared.claim(second, &b.id));
    let lost = match (&first, &second) {
        (Claim::Won, Claim::Lost(why)) | (Claim::Lost(why), Claim::Won) => why,
        other => panic!("{other:?}"),
    };
    assert!(lost.as_str().contains("came first on this target"), "{lost}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_recorded_while_the_brokers_were_away_is_published_once_when_they_are_back() {
    let brokers = brokers();
    let settings = settings(&brokers);
    let mut alice = Operator::new("alice", &settings).await;
    alice.intend("a");
    alice.until("it is in the log", |v| state(v, "a") == Some(ActionState::Applying)).await;
    let Operator { dir, shared, ledger, .. } = alice;
    drop((shared, ledger));
    {
        // A run without the brokers: the ledger goes on alone.
        let mut ledger = Ledger::open(dir.path(), Actor::default(), NOW.plus(10.0)).unwrap();
        ledger.note("alone", NOW.plus(11.0)).unwrap();
    }
    let alice = Operator::within(dir, "alice", &settings).await;
    alice.until("the restart is in the log", |v| state(v, "a") == Some(ActionState::Unknown)).await;
    let whole = read_whole(&settings).await.unwrap();
    let seqs: Vec<u64> = whole.entries.iter().map(|e| e.entry.seq).collect();
    // The first is older than the sharing; everything behind it is there, once and in order.
    assert_eq!(seqs, (2..=alice.ledger.last()).collect::<Vec<_>>());
    assert!(whole.entries.iter().all(|e| e.void.is_none()) && whole.strange.is_empty() && whole.breaks.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_ledger_fences_the_one_before_it_off() {
    let brokers = brokers();
    let settings = settings(&brokers);
    let mut alice = Operator::new("alice", &settings).await;
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(alice.dir.path().join(super::super::FILE), copy.path().join(super::super::FILE)).unwrap();
    let _thief = Operator::within(copy, "alice", &settings).await;
    alice.until("the first is replaced", |v| v.closed().is_some()).await;
    let (action, seq) = alice.intend("a");
    let claim = alice.shared.claim(seq, &action.id).await;
    assert!(matches!(&claim, Claim::NotShared(why) if why.as_str().contains("in the name of this one")), "{claim:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_entry_is_passed_over_and_what_a_newer_version_wrote_ends_the_sharing() {
    let brokers = brokers();
    let settings = settings(&brokers);
    let mut alice = Operator::new("alice", &settings).await;
    let mut config = rdkafka::ClientConfig::new();
    let producer: BaseProducer = config.set("bootstrap.servers", brokers.bootstrap_servers()).create().unwrap();
    let put = |text: &str| {
        let record = BaseRecord::<str, str>::to("highwater.decisions").partition(0).payload(text);
        producer.send(record.headers(record::headers(&"carol".into()))).unwrap();
        producer.flush(Duration::from_secs(10)).unwrap();
    };
    put("{\"v\":1,\"seq\":");
    alice.until("it was passed over", |v| v.strange == 1).await;
    let (action, seq) = alice.intend("a");
    assert_eq!(alice.shared.claim(seq, &action.id).await, Claim::Won);
    put("{\"v\":2,\"intends\":\"what nobody knows here\"}");
    alice.until("it is closed", |v| v.closed().is_some()).await;
    let claim = alice.shared.claim(seq, &action.id).await;
    assert!(
        matches!(&claim, Claim::NotShared(why) if why.as_str().contains("written by a newer version")),
        "{claim:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_with_two_partitions_is_refused_and_a_missing_one_is_told_with_the_mend() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("highwater.decisions", 2, 1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(dir.path(), Actor::default(), NOW).unwrap();
    ledger.note("begins", NOW).unwrap();
    let shared = Shared::open(&settings(&cluster), dir.path(), ledger.id().unwrap(), 1).unwrap();
    let mut view = shared.view();
    let told = view.wait_for(|v| matches!(v.reader, Link::Lost(_)));
    let told = tokio::time::timeout(Duration::from_secs(20), told).await.unwrap().unwrap().link().unwrap_err();
    assert!(told.as_str().contains("has 2 partitions"), "{told}");
    assert!(matches!(shared.claim(1, &proposed("a").id).await, Claim::NotShared(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_was_changed_is_told_and_read_again() {
    let mut door = Door::shut().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "old").unwrap();
    let text = |t: &str| Property::Text(t.to_owned());
    let all = [
        ("bootstrap.servers", text(&door.address)),
        ("security.protocol", text("SASL_PLAINTEXT")),
        ("sasl.mechanism", text("PLAIN")),
        ("sasl.username", text("alice")),
        ("sasl.password", Property::Secret(SecretSource::File(file.clone()))),
    ];
    let kafka = KafkaSettings::new("x", all.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
    let settings = LedgerSettings { kafka: Some(kafka), ..LedgerSettings::default() };
    let shared = Shared::open(&settings, dir.path(), "ours".into(), 1).unwrap();
    let mut view = shared.view();
    let told = view.wait_for(|v| v.link().is_err_and(|why| why.as_str().contains("refuse sasl.username alice")));
    let told = tokio::time::timeout(Duration::from_secs(30), told).await.unwrap().unwrap().link().unwrap_err();
    assert!(told.as_str().contains(&format!("write the new one into {}", file.display())), "{told}");
    assert!(!told.as_str().contains("old"), "{told}");
    std::fs::write(&file, "new").unwrap();
    let again = tokio::time::timeout(Duration::from_secs(60), door.tried.wait_for(|last| last == "new")).await;
    assert!(matches!(again, Ok(Ok(_))), "it is read again");
}
