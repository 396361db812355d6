//! A long ledger: opening it for writing, and walking along its chain. 100,000 entries of 20,000 actions, about 80 MB.

use highwater::{
    ledger::{self, Ledger},
    model::{Action, ActionId, ActionState, Actor, PlanHash, Target, Time},
};
use std::sync::LazyLock;

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

fn main() {
    divan::main();
}
