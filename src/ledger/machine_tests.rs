//! The machine under arbitrary events, and what a reader of an action's story relies on.

use super::*;
use crate::model::Target;
use proptest::prelude::*;

const START: Time = Time::from_millis(1_800_000_000_000);

pub(crate) fn proposed(id: &str) -> Action {
    Action {
        id: ActionId(Label::new(id)),
        workload: "fraud-scorer".into(),
        target: Target::Deployment { namespace: "payments".into(), name: "fraud-scorer".into() },
        uid: Some("u-1".into()),
        from: 6,
        to: 10,
        plan_hash: PlanHash::of(&["plan", id]),
        state: ActionState::Proposed,
        actor: Actor::default(),
        reason: "lag grows".into(),
        request: "PATCH …".into(),
        evidence: "demand 9.8k records/s".into(),
        created: START,
        updated: START,
        expires: START.plus(300.0),
        verify_by: None,
    }
}

fn seen(desired: u32, ready: u32, at: Time) -> Replicas {
    Replicas { desired, ready, at, origin: "test".into(), uid: Some("u-1".into()) }
}

fn observed(desired: u32, ready: u32, at: Time) -> Event {
    Event::Observed { replicas: seen(desired, ready, at), writer: None, verify_by: at.plus(120.0) }
}

fn approve(action: &Action) -> Event {
    Event::Approve { actor: Actor::default(), plan_hash: action.plan_hash.clone(), refused: Vec::new() }
}

fn step(action: &Action, event: &Event, at: Time) -> Action {
    next(action, event, at).unwrap().action().expect("a new state")
}

/// An action whose write is under way since `START + 2`.
fn applying() -> Action {
    let action = proposed("a");
    let action = step(&action, &approve(&action), START.plus(1.0));
    step(&action, &Event::Begin { refused: Vec::new() }, START.plus(2.0))
}

fn applied() -> Action {
    step(&applying(), &Event::Accepted { verify_by: START.plus(120.0) }, START.plus(3.0))
}

fn any_event() -> impl Strategy<Value = Event> {
    let hash = prop_oneof![Just(PlanHash::of(&["plan", "a"])), Just(PlanHash::of(&["another"]))];
    let held = prop_oneof![3 => Just(Vec::new()), 1 => Just(vec![Label::new("frozen")])];
    prop_oneof![
        (8_u32..12).prop_map(|to| Event::Supersede { to }),
        Just(Event::Expire),
        Just(Event::Reject { actor: Actor::default(), reason: "no".into() }),
        (hash, held.clone()).prop_map(|(plan_hash, refused)| Event::Approve {
            actor: Actor::default(),
            plan_hash,
            refused
        }),
        held.prop_map(|refused| Event::Begin { refused }),
        (0.0..400.0).prop_map(|s| Event::Accepted { verify_by: START.plus(s) }),
        Just(Event::Refused { reason: "422".into() }),
        Just(Event::Lost { reason: "time-out".into() }),
        (5_u32..12, 0_u32..12, 0.0..600.0).prop_map(|(n, ready, s)| observed(n, ready, START.plus(s))),
        Just(Event::RollBack { actor: Actor::default(), by: ActionId("b".into()) }),
        Just(Event::Restart),
    ]
}

proptest! {
    #[test]
    fn no_story_writes_twice_or_late_or_something_else(
        story in prop::collection::vec((any_event(), 0.0..60.0), 0..40)
    ) {
        let mut action = proposed("a");
        let (mut now, mut writes) = (START, 0);
        let mut approved = false;
        for (event, pause) in story {
            now = now.plus(pause);
            let before = action.clone();
            match next(&action, &event, now) {
                Ok(Transition::To(after)) => {
                    prop_assert!(!before.state.is_final(), "{} was final", before.state.name());
                    prop_assert!(may_follow(Some(before.state), after.state), "an edge that the ledger refuses");
                    prop_assert_eq!(after.updated, now);
                    // What was decided about never changes on the way.
                    prop_assert_eq!(
                        (&after.id, &after.target, &after.uid, after.from, after.to, &after.plan_hash, after.expires),
                        (&before.id, &before.target, &before.uid, before.from, before.to, &before.plan_hash, before.expires)
                    );
                    approved |= after.state == ActionState::Approved;
                    if after.state == ActionState::Applying {
                        writes += 1;
                        prop_assert!(approved && now < after.expires);
                    }
                    action = *after;
                }
                Ok(Transition::Wait) | Err(_) => prop_assert_eq!(&action, &before),
            }
        }
        prop_assert!(writes <= 1);
    }
}

#[test]
fn an_approval_is_of_the_plan_on_screen_in_time_and_with_nothing_against_it() {
    let action = proposed("a");
    let other = Event::Approve { actor: Actor::default(), plan_hash: PlanHash::of(&["another"]), refused: Vec::new() };
    assert!(matches!(next(&action, &other, START), Err(Refusal::Plan { .. })));
    assert!(matches!(next(&action, &approve(&action), action.expires), Err(Refusal::Expired { .. })));
    let frozen = Event::Approve {
        actor: Actor::default(),
        plan_hash: action.plan_hash.clone(),
        refused: vec!["the freeze file exists".into()],
    };
    let held = next(&action, &frozen, START).unwrap_err();
    assert_eq!(held.to_string(), "held back: the freeze file exists");
    let approved = step(&action, &approve(&action), START);
    let late = next(&approved, &Event::Begin { refused: Vec::new() }, action.expires);
    assert!(matches!(late, Err(Refusal::Expired { .. })), "approved in time, begun too late");
}

#[test]
fn a_lost_write_is_looked_for_and_never_repeated() {
    let lost = step(&applying(), &Event::Lost { reason: "time-out".into() }, START.plus(10.0));
    assert_eq!(lost.state, ActionState::Unknown);
    let at = |s| START.plus(10.0 + s);
    let wait = |event: &Event, now| next(&lost, event, now) == Ok(Transition::Wait);
    assert!(wait(&observed(10, 6, at(-1.0)), at(0.0)), "seen before the write: says nothing");
    assert!(wait(&observed(6, 6, at(SETTLE - 1.0)), at(SETTLE - 1.0)), "the request may still land");
    assert_eq!(step(&lost, &observed(10, 6, at(1.0)), at(1.0)).state, ActionState::Applied);
    assert_eq!(step(&lost, &observed(6, 6, at(SETTLE)), at(SETTLE)).state, ActionState::Failed);
    let drifted = step(&lost, &observed(8, 8, at(SETTLE)), at(SETTLE));
    assert!(drifted.reason.as_str().contains("neither 6 nor 10"), "{}", drifted.reason);
    assert!(next(&lost, &Event::Begin { refused: Vec::new() }, at(1.0)).is_err());
}

#[test]
fn verified_means_ready_and_still_there_after_the_autoscalers_have_had_their_say() {
    let applied = applied();
    let at = |s| START.plus(3.0 + s);
    assert_eq!(next(&applied, &observed(10, 10, at(1.0)), at(1.0)), Ok(Transition::Wait), "ready, but just written");
    assert_eq!(step(&applied, &observed(10, 10, at(HOLD)), at(HOLD)).state, ActionState::Verified);
    let taken_back = Event::Observed {
        replicas: seen(6, 6, at(5.0)),
        writer: Some("kube-controller-manager".into()),
        verify_by: at(60.0),
    };
    let reverted = step(&applied, &taken_back, at(5.0));
    assert_eq!(reverted.state, ActionState::Failed);
    assert!(reverted.reason.as_str().contains("kube-controller-manager"), "{}", reverted.reason);
    let slow = step(&applied, &observed(10, 8, at(118.0)), at(118.0));
    assert_eq!((slow.state, slow.reason.as_str().contains("8 of 10 ready")), (ActionState::Failed, true));
    let blind = step(&applied, &Event::Expire, at(118.0));
    assert_eq!(blind.state, ActionState::Failed, "nothing could be observed until the end");
}

#[test]
fn another_object_of_the_same_name_is_not_ours() {
    let mut stranger = seen(10, 10, START.plus(60.0));
    stranger.uid = Some("u-2".into());
    let event = Event::Observed { replicas: stranger, writer: None, verify_by: START.plus(120.0) };
    assert_eq!(step(&applied(), &event, START.plus(60.0)).state, ActionState::Failed);
}

#[test]
fn going_down_is_ready_when_the_surplus_is_gone() {
    let mut applied = applied();
    (applied.from, applied.to) = (10, 6);
    let at = |s| START.plus(3.0 + s);
    assert_eq!(next(&applied, &observed(6, 8, at(HOLD)), at(HOLD)), Ok(Transition::Wait));
    assert_eq!(step(&applied, &observed(6, 6, at(HOLD)), at(HOLD)).state, ActionState::Verified);
}
