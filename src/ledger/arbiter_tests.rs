//! Any number of operators, any order of their records: at most one stands on a target, and every reader agrees.

use super::*;
use crate::{
    ledger::machine::{Event, next, tests::proposed},
    model::{Actor, Time},
};
use proptest::prelude::*;

const NOW: Time = Time::from_millis(1_800_000_000_000);

fn person(name: &str) -> Actor {
    Actor { server_user: Some(name.into()), vouched_by: Some("kubernetes".into()), ..Actor::default() }
}

/// An operator who writes what the machine lets it write, as its own ledger would.
struct Operator {
    ledger: Label,
    actor: Actor,
    seq: u64,
    prev: String,
}

impl Operator {
    fn new(name: &str) -> Self {
        Self { ledger: name.into(), actor: person(name), seq: 0, prev: super::super::entry::ROOT.to_owned() }
    }

    fn line(&mut self, action: &Action) -> Record {
        self.seq += 1;
        let mut entry = Entry::of_action(action);
        entry.seal(self.seq, &self.prev).unwrap();
        self.prev.clone_from(&entry.hash);
        Record { ledger: self.ledger.clone(), entry }
    }

    fn propose(&self, id: &str) -> Action {
        let mut action = Action { actor: self.actor.clone(), ..proposed(id) };
        action.terms.asked_by = Some(self.actor.clone());
        action
    }
}

fn stepped(action: &Action, event: &Event) -> Action {
    next(action, event, action.updated.plus(1.0)).unwrap().action().unwrap()
}

/// Approved by who proposed it.
fn approved(action: &Action) -> Action {
    stepped(
        action,
        &Event::Approve {
            actor: action.actor.clone(),
            plan_hash: action.plan_hash.clone(),
            refused: Vec::new(),
            when: None,
            protected: false,
        },
    )
}

fn begun(action: &Action) -> Action {
    stepped(action, &Event::Begin { refused: Vec::new() })
}

/// Takes a record and answers with what it was worth.
fn take(arbiter: &mut Arbiter, record: &Record) -> Verdict {
    arbiter.take(record, Instant::now())
}

#[test]
fn the_first_claim_stands_until_it_came_to_rest_and_the_second_is_told_why() {
    let (mut alice, mut bob, mut log) = (Operator::new("alice"), Operator::new("bob"), Arbiter::default());
    let (a, b) = (alice.propose("a"), bob.propose("b"));
    let (a2, b2) = (approved(&a), approved(&b));
    for record in [alice.line(&a), bob.line(&b), alice.line(&a2), bob.line(&b2), alice.line(&begun(&a2))] {
        assert_eq!(take(&mut log, &record), Verdict::Valid);
    }
    let late = bob.line(&begun(&b2));
    let Verdict::Void(why) = take(&mut log, &late) else { panic!("two stand on one target") };
    assert!(why.as_str().starts_with("alice (6 → 10, a) came first"), "{why}");
    assert_eq!(log.verdict_of(&"bob".into(), late.entry.seq), Some(Err(why)));
    assert_eq!(log.held()[&b.id].action.state, ActionState::Failed, "nobody waits for what was never begun");
    let failed = stepped(&begun(&b2), &Event::Refused { reason: "alice came first".into() });
    assert_eq!(take(&mut log, &bob.line(&failed)), Verdict::Echo);
    let done = stepped(&begun(&a2), &Event::Refused { reason: "422".into() });
    assert_eq!(take(&mut log, &alice.line(&done)), Verdict::Valid);
    let c = bob.propose("c");
    let c2 = approved(&c);
    for record in [bob.line(&c), bob.line(&c2), bob.line(&begun(&c2))] {
        assert_eq!(take(&mut log, &record), Verdict::Valid, "the target is free again");
    }
}

#[test]
fn a_claim_on_what_was_changed_since_it_was_proposed_is_void_although_the_target_is_free() {
    let (mut alice, mut bob, mut log) = (Operator::new("alice"), Operator::new("bob"), Arbiter::default());
    let (a, b) = (alice.propose("a"), bob.propose("b"));
    let (a2, b2) = (approved(&a), approved(&b));
    let a3 = begun(&a2);
    let a4 = stepped(&a3, &Event::Accepted { verify_by: NOW.plus(300.0) });
    for record in [bob.line(&b), bob.line(&b2), alice.line(&a), alice.line(&a2), alice.line(&a3), alice.line(&a4)] {
        assert_eq!(take(&mut log, &record), Verdict::Valid);
    }
    let stale = bob.line(&begun(&b2));
    assert!(
        matches!(take(&mut log, &stale), Verdict::Void(w) if w.as_str() == "alice (a) changed this target since it was proposed")
    );
}

#[test]
fn a_protected_change_is_approved_by_another_person_and_carried_by_them() {
    let (mut alice, mut bob, mut log) = (Operator::new("alice"), Operator::new("bob"), Arbiter::default());
    let mut a = alice.propose("a");
    a.terms.second = Some(Second::Needed);
    assert_eq!(take(&mut log, &alice.line(&a)), Verdict::Valid);
    let second =
        |action: &Action, by: &Actor| Action { state: ActionState::Approved, actor: by.clone(), ..action.clone() };
    let early = bob.line(&second(&a, &bob.actor));
    assert!(matches!(take(&mut log, &early), Verdict::Void(w) if w.as_str().contains("has not asked")));
    let asked = stepped(
        &a,
        &Event::Ask {
            actor: alice.actor.clone(),
            plan_hash: a.plan_hash.clone(),
            refused: Vec::new(),
            until: NOW.plus(900.0),
        },
    );
    assert_eq!(take(&mut log, &alice.line(&asked)), Verdict::Valid);
    let own = alice.line(&second(&asked, &alice.actor));
    assert!(matches!(take(&mut log, &own), Verdict::Void(w) if w.as_str().contains("another person")));
    let mut elsewhere = bob.actor.clone();
    elsewhere.vouched_by = Some("kafka abc".into());
    let other = bob.line(&second(&asked, &elsewhere));
    assert!(matches!(take(&mut log, &other), Verdict::Void(w) if w.as_str().contains("may be the same person")));
    let another = Action { to: 12, ..second(&asked, &bob.actor) };
    assert!(matches!(take(&mut log, &bob.line(&another)), Verdict::Void(w) if w.as_str().contains("not the change")));
    assert_eq!(take(&mut log, &bob.line(&asked)), Verdict::Echo, "bob takes it into his own ledger");
    let approved = second(&asked, &bob.actor);
    assert_eq!(take(&mut log, &bob.line(&approved)), Verdict::Valid);
    let stolen = alice.line(&begun(&approved));
    assert!(matches!(take(&mut log, &stolen), Verdict::Void(w) if w.as_str().contains("carried by bob")));
    assert_eq!(take(&mut log, &bob.line(&begun(&approved))), Verdict::Valid);
    let held = &log.held()[&a.id];
    assert_eq!(held.action.terms.asked_by.as_ref().map(ToString::to_string).as_deref(), Some("alice"));
    assert_eq!((held.ledger.as_str(), held.action.actor.to_string().as_str()), ("bob", "bob"));
}

#[test]
fn lines_that_were_there_before_or_do_not_follow_are_void() {
    let (mut alice, mut log) = (Operator::new("alice"), Arbiter::default());
    let first = alice.line(&alice.propose("a"));
    assert_eq!(take(&mut log, &first), Verdict::Valid);
    assert!(matches!(take(&mut log, &first), Verdict::Void(w) if w.as_str().contains("in the log before")));
    alice.prev = "f".repeat(64);
    let forged = alice.line(&alice.propose("b"));
    assert!(matches!(take(&mut log, &forged), Verdict::Void(w) if w.as_str().contains("does not follow")));
}

/// A reader that begins in the middle comes to the verdicts of one that has read all of it.
#[test]
fn what_the_state_topic_remembers_gives_way_to_the_history() {
    let mut alice = Operator::new("alice");
    let a = alice.propose("a");
    let (a2, a3) = (approved(&a), begun(&approved(&a)));
    let story = [alice.line(&a), alice.line(&a2), alice.line(&a3)];
    for from in 0..3 {
        let mut log = Arbiter::default();
        log.remember(&story[2], Instant::now());
        assert!(log.on_target(&a.target).is_some(), "open, and older than what is read");
        for record in &story[from..] {
            assert_eq!(take(&mut log, record), Verdict::Valid, "{from}");
        }
        assert_eq!(log.verdict_of(&"alice".into(), 3), Some(Ok(())));
        assert_eq!(log.held()[&a.id].action.state, ActionState::Applying);
    }
}

/// What an operator does next, chosen by the test: which of its actions, and whether it goes on or gives up.
#[derive(Clone, Copy, Debug)]
struct Move {
    who: usize,
    /// 0: propose; 1: approve; 2: begin; 3: the target said yes; 4: no; 5: lost; 6: it is seen done; 7: seen not done.
    what: u8,
    /// Which action, of all that there are: operators also try what is none of their business.
    which: usize,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = (0_usize..3, 0_u8..8, 0_usize..6).prop_map(|(who, what, which)| Move { who, what, which });
    proptest::collection::vec(one, 1..120)
}

/// The state that a move writes, as if nothing held its author back but the edges of the machine.
fn after(action: &Action, what: u8, actor: &Actor) -> Option<Action> {
    use ActionState::{Applied, Applying, Approved, Failed, Proposed, Unknown};
    let to = match (action.state, what) {
        (Proposed, 1) => Approved,
        (Approved, 2) => Applying,
        (Applying, 3) | (Unknown, 6) => Applied,
        (Applying, 4) | (Unknown, 7) => Failed,
        (Applying, 5) => Unknown,
        _ => return None,
    };
    Some(Action { state: to, actor: actor.clone(), ..action.clone() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Three operators write whatever the machine's edges allow, their own and each other's actions, protected or not.
    #[test]
    fn whatever_is_written_one_stands_on_a_target_and_all_readers_agree(moves in moves(), protected: bool) {
        let mut operators = ["alice", "bob", "carol"].map(Operator::new);
        let (mut log, mut records) = (Arbiter::default(), Vec::new());
        for (n, Move { who, what, which }) in moves.into_iter().enumerate() {
            let operator = &mut operators[who];
            let next = if what == 0 {
                let mut action = operator.propose(&format!("{n:03}"));
                action.terms.second = protected.then_some(Second::Asked);
                Some(action)
            } else {
                let held = log.held().values().nth(which);
                held.and_then(|h| after(&h.action, what, &operator.actor))
            };
            let Some(next) = next else { continue };
            let before = log.clone();
            let record = operator.line(&next);
            let verdict = take(&mut log, &record);
            records.push((record, verdict));
            let standing = log.held().values().filter(|h| stands(h.action.state)).count();
            prop_assert!(standing <= 1, "{standing} on one target");
            for (id, held) in log.held().iter() {
                let (now, was) = (held.action.state, before.held().get(id).map(|h| h.action.state));
                prop_assert!(was.is_none_or(|was| !was.is_final() || was == now), "{id} left {was:?}");
                if protected && stands(now) {
                    let asked = held.action.terms.asked_by.as_ref().map(ToString::to_string);
                    let approved = before.held().get(id).map(|h| h.action.actor.to_string());
                    prop_assert!(was != Some(ActionState::Approved) || asked != approved, "one person alone");
                }
            }
        }
        let mut other = Arbiter::default();
        for (record, verdict) in &records {
            prop_assert_eq!(&take(&mut other, record), verdict, "two readers of one log");
        }
    }
}
