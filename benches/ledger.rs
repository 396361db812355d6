//! A long ledger: opening it for writing, and walking along its chain. 100,000 entries of 20,000 actions, about 80 MB.
//! And from the confirming key to the request: what is recorded, synced and claimed before the one write may go out, with
//! the own ledger alone and with a shared one (librdkafka's mock broker on loopback, or `HIGHWATER_BENCH_KAFKA=HOST:PORT`
//! with the topics `bench.decisions` and `bench.state`).

use divan::Bencher;
use highwater::{
    ledger::{
        self, Ledger,
        kafka::{Claim, Shared},
    },
    model::{Action, ActionId, ActionState, Actor, KafkaSettings, LedgerSettings, PlanHash, Property, Target, Time},
};
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};
use std::{
    collections::BTreeMap,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};

const START: Time = Time::from_millis(1_800_000_000_000);
const STATES: [ActionState; 5] =
    [ActionState::Proposed, ActionState::Approved, ActionState::Applying, ActionState::Applied, ActionState::Verified];

fn actor() -> Actor {
    Actor { os_user: "alice".into(), host: "bastion".into(), pid: 1, ..Actor::default() }
}

/// Written once, synced, and read by every sample.
static LONG: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let entries = (0..100_000_u32).map(|i| action(i / 5, STATES[i as usize % 5], START.plus(f64::from(i))));
    ledger::write_unsynced(dir.path(), entries).expect("the ledger is written");
    dir
});

fn action(number: u32, state: ActionState, at: Time) -> Action {
    let id = ActionId(format!("01HW{number:019}").into());
    let target = Target::Deployment { namespace: "payments".into(), name: "fraud-scorer".into() };
    Action {
        uid: Some("7f3c21d8-1c7a-4c1b-9c53-0f2c7e0c4a11".into()),
        plan_hash: PlanHash::of(&[&number.to_string()]),
        state,
        actor: actor(),
        reason: "demand grows to 12.4k/s by 14:21 and 6 replicas process 5.6k/s".into(),
        request: "PATCH /apis/apps/v1/namespaces/payments/deployments/fraud-scorer/scale if uid and replicas = 6"
            .into(),
        evidence:
            "demand 9.8k/s, p80 15.1k/s; 930/s per replica from 41 observations; staying costs 19.8, 10 costs 8.1"
                .into(),
        updated: at,
        expires: at.plus(300.0),
        ..Action::proposed(id, "fraud-scorer".into(), target, (6, 10), START)
    }
}

#[divan::bench]
fn open() {
    let ledger = Ledger::open(LONG.path(), actor(), START.plus(1e6)).expect("it opens");
    assert_eq!(ledger.actions().len(), 20_000);
}

#[divan::bench]
fn verify() {
    assert!(ledger::verify(LONG.path()).expect("it can be read").problem.is_none());
}

#[divan::bench]
fn read() {
    assert_eq!(ledger::read(LONG.path()).expect("it can be read").entries.len(), 100_000);
}

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Approves a proposed action and records the intent.
fn intend(ledger: &mut Ledger, number: u32) -> u64 {
    let steps = [ActionState::Approved, ActionState::Applying].map(|state| action(number, state, START));
    ledger.record_all(&steps).expect("approved, and the intent")
}

/// What comes behind the write, so that the target is free for the next one.
fn done(ledger: &mut Ledger, number: u32) -> u64 {
    ledger.record(&action(number, ActionState::Failed, START)).expect("the end")
}

#[divan::bench(sample_count = 100)]
fn approve_to_request_alone(bencher: Bencher<'_, '_>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ledger = Ledger::open(dir.path(), actor(), START).expect("it opens");
    bencher.bench_local(|| {
        let number = NEXT.fetch_add(1, SeqCst);
        ledger.record(&action(number, ActionState::Proposed, START)).expect("proposed");
        intend(&mut ledger, number);
        done(&mut ledger, number)
    });
}

#[divan::bench(sample_count = 100)]
fn approve_to_request_shared(bencher: Bencher<'_, '_>) {
    let mock: Option<MockCluster<'_, DefaultProducerContext>> =
        std::env::var("HIGHWATER_BENCH_KAFKA").is_err().then(|| {
            let cluster = MockCluster::new(1).expect("a mock broker");
            for topic in ["bench.decisions", "bench.state"] {
                cluster.create_topic(topic, 1, 1).expect("a topic");
            }
            cluster
        });
    let bootstrap = std::env::var("HIGHWATER_BENCH_KAFKA").unwrap_or_default();
    let bootstrap = mock.as_ref().map_or(bootstrap, MockCluster::bootstrap_servers);
    let mut properties = BTreeMap::from([("bootstrap.servers".to_owned(), Property::Text(bootstrap))]);
    if mock.is_some() {
        // A broker answers a waiting fetch when there is something; the mock lets it wait its time out.
        properties.insert("fetch.wait.max.ms".to_owned(), Property::Text("5".to_owned()));
    }
    let settings = LedgerSettings {
        kafka: Some(KafkaSettings::new("bench", properties)),
        history: "bench.decisions".to_owned(),
        state: "bench.state".to_owned(),
        ..LedgerSettings::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ledger = Ledger::open(dir.path(), actor(), START).expect("it opens");
    ledger.note("begins", START).expect("a note");
    let id = ledger.id().expect("an identity");
    let shared = runtime.block_on(Shared::open(&settings, dir.path(), id, ledger.last())).expect("it is shared");
    let mut view = shared.view();
    runtime.block_on(async { view.wait_for(|v| v.link().is_ok()).await.map(|_| ()) }).expect("it is live");
    let ledger = std::cell::RefCell::new(ledger);
    let settled = |seq| {
        let mut view = shared.view();
        let all = view.wait_for(|v| v.arbiter.last_of(shared.ledger()).is_some_and(|last| last >= seq));
        runtime.block_on(async { all.await.map(|_| ()) }).expect("it came back");
    };
    bencher
        .with_inputs(|| {
            // What lies between two decisions: the last one came to rest, the next was looked at.
            let number = NEXT.fetch_add(1, SeqCst);
            let seq = ledger.borrow_mut().record(&action(number, ActionState::Proposed, START)).expect("proposed");
            shared.publish(seq);
            settled(seq);
            number
        })
        .bench_local_values(|number| {
            let seq = intend(&mut ledger.borrow_mut(), number);
            shared.publish(seq);
            assert_eq!(runtime.block_on(shared.claim(seq, &ActionId(format!("01HW{number:019}").into()))), Claim::Won);
            // The end is recorded, not waited for; the input of the next sample waits.
            shared.publish(done(&mut ledger.borrow_mut(), number));
        });
}

fn main() {
    divan::main();
}
