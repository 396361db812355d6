//! The path of a decision: two keys, read answers, reasons, bounds.

use super::*;
use crate::model::Unprepared;

fn confirms(effects: &[Effect]) -> bool {
    effects.iter().any(|e| matches!(e, Effect::Send(Intent::Confirm { .. })))
}

#[test]
fn the_one_path_to_a_change() {
    let mut desk = Desk::new(Mode::Operate);
    let asked = desk.press("a");
    let [Effect::Send(Intent::Prepare { workload, to, plan_hash, way: 0 })] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((workload.as_str(), *to, plan_hash), ("fraud", 10, &PlanHash::of(&["fraud"])));
    assert_eq!(desk.press("y"), [], "nothing to confirm before the answer");
    assert_eq!(desk.answer(prepared("a1", "fraud", 10, Confirm::Yes)), []);
    desk.wait(300);
    assert_eq!(desk.tap("y"), [], "dead time");
    assert_eq!(desk.press("enter a space"), [], "other keys do nothing");
    let done = desk.press("y");
    let intent = Intent::Confirm { action: ActionId(Label::new("a1")), plan_hash: PlanHash::of(&["a1"]) };
    assert_eq!(done, [Effect::Send(intent)]);
    assert!(desk.state.dialogs.is_empty());
    assert_eq!(desk.publish(|_| {}), [], "what was confirmed is not let go");
    assert_eq!(desk.press("y"), []);
}

#[test]
fn where_the_count_has_an_owner_another_way_can_be_asked_for() {
    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    assert_eq!(desk.press("w"), [], "before the answer there is nothing to choose from");
    let ways = vec!["floor 2 → 10".into(), "paused-scale-in: keeps the 6".into()];
    let first = Prepared { ways: ways.clone(), ..prepared("a1", "fraud", 10, Confirm::Yes) };
    desk.answer(first.clone());
    let asked = desk.press("w");
    let left = Effect::Send(Intent::Abandon { action: ActionId("a1".into()) });
    assert!(matches!(&asked[..], [l, Effect::Send(Intent::Prepare { to: 10, way: 1, .. })] if *l == left), "{asked:?}");
    desk.answer(Prepared { ways, way: 1, to: 6, asked: 10, ..prepared("a2", "fraud", 6, Confirm::Yes) });
    assert!(confirms(&desk.press("y")), "the answer is to the question although it keeps the count");
    desk.press("a");
    desk.answer(prepared("a3", "fraud", 10, Confirm::Yes));
    assert_eq!(desk.press("w"), [], "there is one way");
}

#[test]
fn a_held_key_and_pasted_text_confirm_nothing() {
    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    desk.answer(prepared("a1", "fraud", 10, Confirm::Yes));
    for _ in 0..100 {
        desk.wait(50);
        assert_eq!(desk.tap("y"), []);
    }
    assert_eq!(desk.event(Event::Paste("y".into())), []);
    desk.wait(1_000);
    let mut repeat = KeyEvent::new(KeyCode::Char('y'), KeyModifiers::NONE);
    repeat.kind = KeyEventKind::Repeat;
    assert_eq!(desk.event(Event::Key(repeat)), []);
    assert!(confirms(&desk.press("y")));
}

#[test]
fn a_word_that_is_typed_into_an_approval_confirms_nothing() {
    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    desk.answer(prepared("a1", "fraud", 10, Confirm::Yes));
    desk.wait(5_000);
    for key in ["d", "a", "y"] {
        desk.wait(180); // as a hand types
        assert_eq!(desk.tap(key), [], "{key}");
    }
    assert!(desk.said().contains("too quick"), "{}", desk.said());
    assert_eq!(desk.press(":"), [Effect::Send(Intent::Abandon { action: ActionId("a1".into()) })]);
    assert_eq!(desk.press("d a y"), []);
    assert!(matches!(desk.state.dialogs[..], [Dialog::Palette { .. }]), "{:?}", desk.state.dialogs);
}

#[test]
fn an_answer_that_changes_under_the_hand_must_be_read_anew() {
    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    desk.answer(prepared("a1", "fraud", 10, Confirm::Yes));
    desk.wait(1_000);
    let mut changed = prepared("a1", "fraud", 10, Confirm::Yes);
    changed.from = 7;
    desk.answer(changed.clone());
    assert_eq!(desk.tap("y"), []);
    changed.evidence_age = 9.0;
    desk.wait(1_000);
    desk.answer(changed);
    assert!(confirms(&desk.tap("y")), "older evidence alone changes nothing to the eye");
}

#[test]
fn what_cannot_be_confirmed_says_why() {
    type Spoil = fn(&mut Prepared);
    let cases: [(&str, Spoil); 4] = [
        ("expired", |p| p.expires = NOW),
        ("dry run was refused", |p| p.dry_run = Err(Label::new("403"))),
        ("cooldown", |p| p.refused = vec![Label::new("cooldown for 40 s")]),
        ("type fraud", |p| p.confirm = Confirm::TypeName),
    ];
    for (words, spoil) in cases {
        let mut desk = Desk::new(Mode::Operate);
        desk.press("a");
        let mut answer = prepared("a1", "fraud", 10, Confirm::Yes);
        spoil(&mut answer);
        desk.answer(answer);
        let effects = desk.press(if words == "type fraud" { "y enter" } else { "y" });
        assert_eq!(effects, [], "{words}");
        assert!(desk.said().contains(words), "{words}: {}", desk.said());
    }
    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    desk.answer(prepared("a1", "fraud", 10, Confirm::Yes));
    desk.publish(|p| p.prepared = None);
    assert_eq!(desk.press("y"), []);
    assert!(desk.said().contains("no longer held ready"));
}

#[test]
fn what_cannot_be_held_ready_is_said_instead_of_waiting() {
    let refusal = |name: &str, why: &str| Some(Arc::new(Unprepared { workload: name.into(), why: why.into() }));
    let mut desk = Desk::new(Mode::Operate);
    desk.publish(|p| p.unprepared = refusal("fraud", "an older refusal"));
    desk.press("a");
    desk.publish(|p| p.seq += 1);
    assert_eq!(desk.press("y"), []);
    assert!(desk.said().contains("has not answered yet"), "what lay there before is no answer: {}", desk.said());
    desk.publish(|p| p.unprepared = refusal("orders", "of another workload"));
    assert_eq!(desk.press("y"), []);
    assert!(desk.said().contains("has not answered yet"), "{}", desk.said());
    desk.publish(|p| p.unprepared = refusal("fraud", "fraud has no recommendation: the data is 40 s old"));
    assert_eq!(desk.press("y"), []);
    assert!(desk.said().contains("the data is 40 s old"), "{}", desk.said());
    // Asked again, it is held ready: the refusal is past.
    desk.press("esc a");
    desk.answer(prepared("a1", "fraud", 10, Confirm::Yes));
    desk.wait(500);
    assert!(confirms(&desk.press("y")));
}

#[test]
fn a_name_is_typed_where_it_is_asked_for_and_enter_is_enough_where_nothing_is() {
    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    desk.answer(prepared("a1", "fraud", 10, Confirm::TypeName));
    assert!(confirms(&desk.press("f r a u d enter")));

    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    desk.answer(prepared("a1", "fraud", 10, Confirm::None));
    assert!(confirms(&desk.press("enter")));

    let mut desk = Desk::new(Mode::Operate);
    desk.press(": a p p r o v e enter");
    desk.answer(prepared("a1", "fraud", 10, Confirm::None));
    assert_eq!(desk.press("enter"), [], "Enter opened it");
    assert!(confirms(&desk.press("y")));
}

#[test]
fn leaving_gives_back_what_was_prepared_even_when_the_answer_comes_later() {
    let abandon = [Effect::Send(Intent::Abandon { action: ActionId(Label::new("a1")) })];
    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    desk.answer(prepared("a1", "fraud", 10, Confirm::Yes));
    assert_eq!(desk.press("esc"), abandon);
    assert_eq!(desk.publish(|_| {}), [], "once");

    let mut desk = Desk::new(Mode::Operate);
    assert_eq!(desk.press("a esc"), []);
    assert_eq!(desk.answer(prepared("a1", "fraud", 10, Confirm::Yes)), abandon);
    assert_eq!(desk.publish(|_| {}), []);
}

#[test]
fn help_above_an_approval_starts_its_dead_time_again() {
    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    desk.answer(prepared("a1", "fraud", 10, Confirm::Yes));
    assert_eq!(desk.press("? y esc"), []);
    desk.wait(100);
    assert_eq!(desk.tap("y"), []);
    assert!(confirms(&desk.press("y")));
}

#[test]
fn what_a_terminal_is_too_small_to_show_is_not_answered() {
    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    desk.answer(prepared("a1", "fraud", 10, Confirm::Yes));
    desk.event(Event::Resize(40, 10));
    assert_eq!(desk.press("y"), [], "nothing of it is on screen");
    assert_eq!(desk.press("esc"), []);
    desk.event(Event::Resize(120, 30));
    desk.wait(100);
    assert_eq!(desk.tap("y"), [], "it came on screen just now");
    assert!(desk.said().contains("too quick"), "{}", desk.said());
    assert!(confirms(&desk.press("y")));
    desk.event(Event::Resize(20, 3));
    assert_eq!(desk.press("q"), [Effect::Quit]);
}

#[test]
fn another_count_is_checked_against_its_bounds() {
    for (keys, to) in [
        ("c ctrl-u 8 enter", Some(8)),
        ("c ctrl-u 2 5 enter", None),
        ("c ctrl-u 1 enter", None),
        ("c ctrl-u 6 enter", None),
        ("c ctrl-u x enter", None),
        ("c ctrl-u enter", None),
    ] {
        let mut desk = Desk::new(Mode::Operate);
        let effects = desk.press(keys);
        let asked = match &effects[..] {
            [Effect::Send(Intent::Prepare { to, .. })] => Some(*to),
            _ => None,
        };
        assert_eq!(asked, to, "{keys}");
        if to.is_none() {
            assert!(matches!(desk.state.dialogs.last(), Some(Dialog::Count { problem: Some(_), .. })), "{keys}");
        }
    }
}

#[test]
fn reject_and_snooze_carry_the_plan_on_screen() {
    let hash = PlanHash::of(&["fraud"]);
    let mut desk = Desk::new(Mode::Operate);
    assert_eq!(desk.press("x enter"), [], "a reason is asked for");
    let rejected = desk.press("t o o space m a n y enter");
    let intent =
        Intent::Reject { workload: Label::new("fraud"), plan_hash: hash.clone(), reason: Label::new("too many") };
    assert_eq!(rejected, [Effect::Send(intent)]);

    for (keys, seconds) in [("z enter", 900.0), ("z j enter", 3_600.0), ("z 3", 14_400.0)] {
        let mut desk = Desk::new(Mode::Operate);
        let effects = desk.press(keys);
        let until = desk.at().now.plus(seconds);
        let intent = Intent::Snooze { workload: Label::new("fraud"), plan_hash: hash.clone(), until };
        assert_eq!(effects, [Effect::Send(intent)], "{keys}");
    }
}

/// A guessed target has a key of its own, with the same care; what it confirms is the link and nothing more.
#[test]
fn a_guess_is_confirmed_by_its_own_key_before_the_change_can_be() {
    let guessed = |id: &str, confirm| {
        let mut p = prepared(id, "fraud", 10, confirm);
        p.guess = Some(crate::model::Found::guess("it has the name of the group"));
        p.refused = vec![Label::new("that fraud runs on deploy/payments/fraud is a guess: confirm that first")];
        p
    };
    for confirm in [Confirm::Yes, Confirm::None, Confirm::TypeName] {
        let mut desk = Desk::new(Mode::Operate);
        desk.press("a");
        desk.answer(guessed("a1", confirm));
        desk.wait(300);
        assert_eq!(desk.tap("L"), [], "dead time");
        assert_eq!(desk.event(Event::Paste("L".into())), []);
        assert_eq!(desk.press("y enter"), [], "a guess is not acted on");
        let linked = desk.press("L");
        let intent = Intent::ConfirmLink { action: ActionId(Label::new("a1")), plan_hash: PlanHash::of(&["fraud"]) };
        assert_eq!(linked, [Effect::Send(intent)]);
        assert!(!confirms(&linked) && !desk.state.dialogs.is_empty(), "the change itself is another key");
        // What is checked anew is read anew.
        desk.answer(prepared("a2", "fraud", 10, Confirm::Yes));
        assert_eq!(desk.tap("y"), []);
        assert!(confirms(&desk.press("y")));
        assert_eq!(desk.press("L"), [], "there is nothing to confirm on the page");
    }
    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    desk.answer(prepared("a1", "fraud", 10, Confirm::Yes));
    assert_eq!(desk.press("L"), [], "what is certain has no such key");
}

#[test]
fn a_count_that_is_planned_for_later_can_be_asked_for_now() {
    let mut desk = Desk::new(Mode::Operate);
    desk.publish(|picture| {
        let view = Arc::make_mut(&mut picture.workloads[0]);
        if let Ok(r) = &mut Arc::make_mut(&mut view.advice).recommendation {
            r.recommended = r.current.desired;
            let step = |at, replicas| crate::model::PlanStep { at, replicas };
            r.steps = vec![step(NOW, 6), step(NOW.plus(120.0), 8)];
        }
    });
    desk.press("a");
    assert!(desk.said().contains("8 come up for approval at 22:15 UTC; c asks for them now"), "{}", desk.said());
    desk.press("c");
    assert!(matches!(desk.state.dialogs.last(), Some(Dialog::Count { input, .. }) if input.text() == "8"));
}
