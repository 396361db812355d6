//! The machine under arbitrary events, and what a reader of an action's story relies on.

use super::{super::Forward, *};
use crate::model::{LeverState, Replicas, Target};
use proptest::prelude::*;

const START: Time = Time::from_millis(1_800_000_000_000);

pub(crate) fn proposed(id: &str) -> Action {
    let target = Target::Deployment { namespace: "payments".into(), name: "fraud-scorer".into() };
    Action {
        uid: Some("u-1".into()),
        plan_hash: PlanHash::of(&["plan", id]),
        reason: "lag grows".into(),
        request: "PATCH …".into(),
        evidence: "demand 9.8k records/s".into(),
        ..Action::proposed(ActionId(Label::new(id)), "fraud-scorer".into(), target, (6, 10), START)
    }
}

fn seen(desired: u32, ready: u32, at: Time) -> Replicas {
    Replicas { desired, ready, at, origin: "test".into(), uid: Some("u-1".into()) }
}

/// A look that began `waited` seconds after the state was recorded.
fn observed(desired: u32, ready: u32, waited: f64) -> Event {
    let at = START.plus(waited);
    look(seen(desired, ready, at), None, waited)
}

fn look(replicas: Replicas, lever: Option<LeverState>, waited: f64) -> Event {
    let verify_by = replicas.at.plus(120.0);
    Event::Observed(Look { replicas, lever, writer: None, verify_by, expects: None, waited })
}

pub(crate) fn approve(action: &Action) -> Event {
    Event::Approve {
        actor: Actor::default(),
        plan_hash: action.plan_hash.clone(),
        refused: Vec::new(),
        when: None,
        protected: false,
    }
}

pub(crate) fn step(action: &Action, event: &Event, at: Time) -> Action {
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
        Just(Event::Leave { reason: "left".into() }),
        (hash, held.clone(), prop::option::of(0.0..600.0), any::<bool>()).prop_map(
            |(plan_hash, refused, at, protected)| {
                let when = at.map(|s| Window { at: START.plus(s), until: START.plus(s + 60.0) });
                Event::Approve { actor: person("bob@corp"), plan_hash, refused, when, protected }
            }
        ),
        held.prop_map(|refused| Event::Begin { refused }),
        (0.0..400.0).prop_map(|s| Event::Accepted { verify_by: START.plus(s) }),
        Just(Event::Refused { reason: "422".into() }),
        Just(Event::Lost { reason: "time-out".into() }),
        (5_u32..12, 0_u32..12, -10.0..600.0).prop_map(|(n, ready, waited)| observed(n, ready, waited)),
        Just(Event::RollBack { actor: Actor::default(), by: ActionId("b".into()) }),
        Just(Event::Restart),
    ]
}

fn person(name: &str) -> Actor {
    Actor { server_user: Some(name.into()), ..Actor::default() }
}

proptest! {
    /// The wall clock jumps by up to two hours either way between events; the machine's clock never goes back.
    #[test]
    fn no_story_writes_twice_or_late_or_something_else(
        story in prop::collection::vec((any_event(), 0.0..60.0, prop_oneof![4 => Just(0.0), 1 => -7200.0..7200.0]), 0..40),
        asked_by in prop::option::of(prop_oneof![Just("alice@corp"), Just("bob@corp")]),
    ) {
        let mut action = proposed("a");
        action.terms.asked_by = asked_by.map(person);
        let (mut clock, mut wall) = (Forward::new(START), START);
        let (mut passed, mut writes, mut now) = (0.0, 0, START);
        let mut approved: Option<(Time, bool)> = None;
        for (event, pause, jump) in story {
            passed += pause;
            wall = wall.plus(pause + jump);
            let later = clock.at(wall, passed);
            prop_assert!(later >= now && later >= START.plus(passed - 0.01), "no clock hides time that passed");
            now = later;
            let before = action.clone();
            match next(&action, &event, now) {
                Ok(Transition::To(after)) => {
                    prop_assert!(!before.state.is_final(), "{} was final", before.state.name());
                    prop_assert!(may_follow(Some(before.state), after.state), "an edge that the ledger refuses");
                    prop_assert_eq!(after.updated, now);
                    // What was decided about never changes on the way.
                    prop_assert_eq!(
                        (&after.id, &after.target, &after.uid, after.from, after.to, &after.plan_hash),
                        (&before.id, &before.target, &before.uid, before.from, before.to, &before.plan_hash)
                    );
                    if let Event::Approve { actor, when, protected, .. } = &event {
                        let another = action.terms.asked_by.as_ref().is_some_and(|a| a.server_user != actor.server_user);
                        prop_assert!(!protected || another, "a protected target needs two people");
                        prop_assert!(now < before.expires, "approved in time");
                        approved = Some((when.map_or(now, |w| w.at), when.is_some()));
                    } else {
                        prop_assert_eq!(after.expires, before.expires);
                    }
                    if after.state == ActionState::Applying {
                        writes += 1;
                        let (at, _) = approved.expect("approved before");
                        prop_assert!(at <= now && now < after.expires);
                    }
                    if before.state == ActionState::Unknown && let Event::Observed(look) = &event {
                        prop_assert!(look.waited >= 0.0);
                        let early = look.waited < SETTLE && look.replicas.uid == action.uid;
                        prop_assert!(after.state == ActionState::Applied || !early, "given up before it settled");
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
    let vary = |change: fn(&mut Event)| {
        let mut event = approve(&action);
        change(&mut event);
        event
    };
    let other = vary(|e| {
        if let Event::Approve { plan_hash, .. } = e {
            *plan_hash = PlanHash::of(&["another"]);
        }
    });
    assert!(matches!(next(&action, &other, START), Err(Refusal::Plan { .. })));
    assert!(matches!(next(&action, &approve(&action), action.expires), Err(Refusal::Expired { .. })));
    let frozen = vary(|e| {
        if let Event::Approve { refused, .. } = e {
            *refused = vec!["the freeze file exists".into()];
        }
    });
    let held = next(&action, &frozen, START).unwrap_err();
    assert_eq!(held.to_string(), "held back: the freeze file exists");
    let approved = step(&action, &approve(&action), START);
    let late = next(&approved, &Event::Begin { refused: Vec::new() }, action.expires);
    assert!(matches!(late, Err(Refusal::Expired { .. })), "approved in time, begun too late");
}

#[test]
fn an_approval_for_later_begins_then_or_not_at_all() {
    let action = proposed("a");
    let window = Window { at: START.plus(900.0), until: START.plus(960.0) };
    let later = Event::Approve {
        actor: person("alice@corp"),
        plan_hash: action.plan_hash.clone(),
        refused: Vec::new(),
        when: Some(window),
        protected: false,
    };
    let approved = step(&action, &later, START.plus(1.0));
    assert_eq!((approved.state, approved.expires), (ActionState::Approved, window.until));
    let begin = |at| next(&approved, &Event::Begin { refused: Vec::new() }, at);
    assert_eq!(begin(START.plus(400.0)), Err(Refusal::TooEarly { at: window.at }), "the plan's own expiry is past");
    assert!(matches!(begin(window.until), Err(Refusal::Expired { .. })), "asleep at the time");
    assert_eq!(begin(window.at).unwrap().action().map(|a| a.state), Some(ActionState::Applying));
    let cancel = Event::Reject { actor: person("bob@corp"), reason: "not tonight".into() };
    assert_eq!(step(&approved, &cancel, START.plus(2.0)).state, ActionState::Rejected);
    assert_eq!(step(&approved, &Event::Restart, START.plus(2.0)).state, ActionState::Expired);
}

#[test]
fn a_protected_target_needs_two_people_that_the_server_knows_apart() {
    let by = |asked: Option<&str>, approver: Actor| {
        let mut action = proposed("a");
        action.terms.asked_by = asked.map(person).or(Some(Actor { os_user: "alice".into(), ..Actor::default() }));
        let event = Event::Approve {
            actor: approver,
            plan_hash: action.plan_hash.clone(),
            refused: Vec::new(),
            when: None,
            protected: true,
        };
        next(&action, &event, START).map(|t| t.action().map(|a| a.state))
    };
    assert_eq!(by(Some("alice@corp"), person("bob@corp")), Ok(Some(ActionState::Approved)));
    let alone = by(Some("alice@corp"), person("alice@corp")).unwrap_err();
    assert!(alone.to_string().contains("alice@corp asked for it; another person"), "{alone}");
    let local = Actor { os_user: "bob".into(), host: "bastion".into(), ..Actor::default() };
    assert!(by(Some("alice@corp"), local).is_err(), "a local name is no identity");
    assert!(by(None, person("bob@corp")).is_err(), "nor was it for who asked");
}

#[test]
fn a_lost_write_is_looked_for_and_never_repeated() {
    let lost = step(&applying(), &Event::Lost { reason: "time-out".into() }, START.plus(10.0));
    assert_eq!(lost.state, ActionState::Unknown);
    let now = START.plus(10.0);
    let wait = |event: &Event| next(&lost, event, now) == Ok(Transition::Wait);
    let given_up = step(&lost, &Event::Reject { actor: person("bob@corp"), reason: "by hand".into() }, now);
    assert_eq!((given_up.state, given_up.actor), (ActionState::Failed, person("bob@corp")));
    assert!(wait(&observed(10, 6, -1.0)), "seen before the write: says nothing");
    assert!(wait(&observed(6, 6, SETTLE - 1.0)), "the request may still land");
    let woken = next(&lost, &observed(6, 6, 5.0), now.plus(7200.0));
    assert_eq!(woken, Ok(Transition::Wait), "a clock that was set ahead ends no wait");
    assert_eq!(step(&lost, &observed(10, 6, 1.0), now).state, ActionState::Applied);
    assert_eq!(step(&lost, &observed(6, 6, SETTLE), now).state, ActionState::Failed);
    let drifted = step(&lost, &observed(8, 8, SETTLE), now);
    assert!(drifted.reason.as_str().contains("neither 6 nor 10"), "{}", drifted.reason);
    assert!(next(&lost, &Event::Begin { refused: Vec::new() }, now).is_err());
}

#[test]
fn verified_means_ready_and_still_there_after_the_autoscalers_have_had_their_say() {
    let applied = applied();
    let at = |s| START.plus(3.0 + s);
    assert_eq!(next(&applied, &observed(10, 10, 1.0), at(1.0)), Ok(Transition::Wait), "ready, but just written");
    assert_eq!(step(&applied, &observed(10, 10, HOLD), at(HOLD)).state, ActionState::Verified);
    let taken_back = Event::Observed(Look {
        replicas: seen(6, 6, at(5.0)),
        lever: None,
        writer: Some("kube-controller-manager".into()),
        verify_by: at(60.0),
        expects: None,
        waited: 5.0,
    });
    let reverted = step(&applied, &taken_back, at(5.0));
    assert_eq!(reverted.state, ActionState::Failed);
    assert!(reverted.reason.as_str().contains("reverted by kube-controller-manager"), "{}", reverted.reason);
    assert_eq!(reverted.terms.reverted_by, Some("kube-controller-manager".into()));
    let slow = step(&applied, &observed(10, 8, 118.0), at(118.0));
    assert_eq!((slow.state, slow.reason.as_str().contains("8 of 10 ready")), (ActionState::Failed, true));
    let blind = step(&applied, &Event::Expire, at(118.0));
    assert_eq!(blind.state, ActionState::Failed, "nothing could be observed until the end");
}

#[test]
fn another_object_of_the_same_name_is_not_ours() {
    let mut stranger = seen(10, 10, START.plus(60.0));
    stranger.uid = Some("u-2".into());
    let event = look(stranger, None, 57.0);
    assert_eq!(step(&applied(), &event, START.plus(60.0)).state, ActionState::Failed);
}

#[test]
fn going_down_is_ready_when_the_surplus_is_gone() {
    let mut applied = applied();
    (applied.from, applied.to) = (10, 6);
    let at = START.plus(3.0 + HOLD);
    assert_eq!(next(&applied, &observed(6, 8, HOLD), at), Ok(Transition::Wait));
    assert_eq!(step(&applied, &observed(6, 6, HOLD), at).state, ActionState::Verified);
}

#[test]
fn where_a_bound_was_written_the_bound_is_what_is_looked_for() {
    use LeverState::{Before, Gone, Other, Written};
    let (applied, at) = (applied(), START.plus(3.0 + HOLD));
    let as_if = |action: &Action, lever, count| next(action, &look(seen(count, count, at), Some(lever), HOLD), at);
    let state = |action: &Action, lever, count| as_if(action, lever, count).unwrap().action().map(|a| a.state);
    assert_eq!(state(&applied, Written, 8), None, "the autoscaler is on its way");
    assert_eq!(state(&applied, Written, 12), Some(ActionState::Verified), "the metrics may ask for more");
    for moved in [Before, Other("hpa/a/b has 3 now".into()), Gone] {
        let after = as_if(&applied, moved.clone(), 10).unwrap().action().unwrap();
        assert!(after.state == ActionState::Failed && after.terms.reverted_by.is_some(), "{moved:?}: {}", after.reason);
    }
    let lowered = Action { from: 10, to: 6, ..applied.clone() };
    assert_eq!(state(&lowered, Written, 10), Some(ActionState::Verified), "the metrics decide how far it goes");
    // What only keeps a count has the same one before and after, and the look tells which of the two it is.
    let kept = Action { from: 6, to: 6, ..applied };
    assert_eq!(state(&kept, Written, 5), None, "fewer are ready than it is to keep");
    assert_eq!(state(&kept, Written, 9), Some(ActionState::Verified));
    assert_eq!(state(&kept, Before, 6), Some(ActionState::Failed));
    let lost = Action { state: ActionState::Unknown, ..kept.clone() };
    let late = START.plus(100.0);
    let after = |lever| step(&lost, &look(seen(6, 6, late), Some(lever), SETTLE), late);
    assert_eq!(after(Written).state, ActionState::Applied);
    assert!(after(Before).reason.as_str().starts_with("not applied"), "{}", after(Before).reason);
    let mut back = kept;
    back.terms.undoes = Some(ActionId("a".into()));
    assert_eq!(state(&back, Written, 2), Some(ActionState::Verified), "what was kept may go");
}
