//! Approvals for later, and the way back.

use super::*;
use crate::model::{Action as Done, ActionState, Second, Terms};

fn done(id: &str, state: ActionState, begin_at: Option<Time>) -> Done {
    let target = Target::Deployment { namespace: Label::new("payments"), name: Label::new("fraud") };
    Done {
        state,
        terms: Terms { begin_at, ..Terms::default() },
        ..Done::proposed(ActionId(Label::new(id)), "fraud".into(), target, (6, 10), NOW)
    }
}

#[test]
fn an_approval_for_later_says_when_and_needs_two_more_keys() {
    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    assert_eq!(desk.press("t"), [], "the server has not answered yet");
    desk.answer(prepared("a1", "fraud", 10, Confirm::Yes));
    assert_eq!(desk.press("t"), []);
    desk.event(Event::Paste("23:59\n".into()));
    assert_eq!(desk.press("ctrl-u 9 9 enter"), []);
    assert!(matches!(desk.state.dialogs.last(), Some(Dialog::At { problem: Some(p), .. }) if p.contains("14:20")));
    let effects = desk.press("ctrl-u + 1 5 enter");
    let at = desk.at().now.plus(900.0);
    let action = ActionId(Label::new("a1"));
    assert_eq!(effects, [Effect::Send(Intent::ConfirmAt { action, plan_hash: PlanHash::of(&["a1"]), at })]);
    assert!(desk.state.dialogs.is_empty());
    assert!(desk.said().contains("approved for") && desk.said().contains("cancels"), "{}", desk.said());
}

#[test]
fn leaving_the_time_goes_back_to_the_approval_and_its_dead_time() {
    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    desk.answer(prepared("a1", "fraud", 10, Confirm::Yes));
    desk.press("t esc");
    desk.wait(100);
    assert_eq!(desk.tap("y"), [], "read it first");
    assert!(matches!(&desk.press("y")[..], [Effect::Send(Intent::Confirm { .. })]));
}

#[test]
fn a_plan_that_could_not_be_read_yet_is_not_approved_for_later_either() {
    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    desk.answer(prepared("a1", "fraud", 10, Confirm::Yes));
    for key in ["t", "enter"] {
        desk.wait(150);
        assert_eq!(desk.tap(key), [], "{key}");
    }
    assert!(matches!(desk.state.dialogs.last(), Some(Dialog::At { problem: Some(p), .. }) if p.contains("too quick")));
    assert!(matches!(&desk.press("enter")[..], [Effect::Send(Intent::ConfirmAt { .. })]));
}

#[test]
fn what_cannot_be_confirmed_cannot_be_for_later_either() {
    let mut desk = Desk::new(Mode::Operate);
    desk.press("a");
    let mut refused = prepared("a1", "fraud", 10, Confirm::Yes);
    refused.refused = vec![Label::new("frozen")];
    desk.answer(refused);
    assert_eq!(desk.press("t"), []);
    assert!(desk.said().contains("frozen"), "{}", desk.said());
    assert!(matches!(desk.state.dialogs.last(), Some(Dialog::Approve(_))));
}

#[test]
fn one_key_asks_for_the_count_before_and_another_confirms() {
    let mut desk = Desk::new(Mode::Operate);
    assert_eq!(desk.press("U"), [], "nothing was done yet");
    assert!(desk.said().contains("nothing to undo"), "{}", desk.said());
    desk.publish(|p| {
        p.actions = Arc::new(vec![done("d2", ActionState::Failed, None), done("d1", ActionState::Verified, None)]);
    });
    assert_eq!(desk.press("U"), [Effect::Send(Intent::Undo { action: ActionId(Label::new("d1")) })]);
    desk.answer(prepared("u1", "fraud", 6, Confirm::Yes));
    assert_eq!(desk.press("U"), [], "the key that opened it does not confirm it");
    assert!(matches!(&desk.press("y")[..], [Effect::Send(Intent::Confirm { action, .. })] if action.0 == "u1"));
}

#[test]
fn an_approval_for_later_is_cancelled_on_the_actions_page() {
    let mut desk = Desk::new(Mode::Operate);
    desk.publish(|p| p.actions = Arc::new(vec![done("d1", ActionState::Approved, Some(NOW.plus(900.0)))]));
    assert_eq!(desk.press("4 x"), [Effect::Send(Intent::Cancel { action: ActionId(Label::new("d1")) })]);
    desk.publish(|p| p.actions = Arc::new(vec![done("d1", ActionState::Applying, None)]));
    assert_eq!(desk.press("x"), []);
    let mut watch = Desk::new(Mode::Watch);
    watch.publish(|p| p.actions = Arc::new(vec![done("d1", ActionState::Approved, Some(NOW.plus(900.0)))]));
    assert_eq!(watch.press("4 x U t"), [], "watch cancels nothing");
}

#[test]
fn what_waits_for_a_second_person_is_decided_on_the_actions_page() {
    let mut desk = Desk::new(Mode::Operate);
    let mut asked = done("p1", ActionState::Proposed, None);
    asked.terms.second = Some(Second::Asked);
    asked.actor.server_user = Some("alice@corp".into());
    desk.publish(|p| {
        let mut view = (*p.workloads[0]).clone();
        view.action = Some(asked.clone());
        p.workloads[0] = Arc::new(view);
        p.actions = Arc::new(vec![asked.clone()]);
    });
    assert_eq!(desk.press("a"), [], "it is not decided where the recommendation stands");
    assert!(desk.said().contains("alice@corp asks for a second person for 6 → 10"), "{}", desk.said());
    let action = ActionId(Label::new("p1"));
    let look = [Effect::Send(Intent::Second { action: action.clone() })];
    let shown = || Prepared {
        second: Some((Second::Asked, "alice@corp asked for it".into())),
        ..prepared("p1", "fraud", 10, Confirm::Yes)
    };
    assert_eq!(desk.press("4 a"), look);
    desk.answer(shown());
    assert_eq!(desk.press("esc"), [Effect::Send(Intent::Abandon { action: action.clone() })]);
    assert_eq!(desk.press("a"), look, "one may come back to it");
    desk.answer(shown());
    let plan_hash = PlanHash::of(&["p1"]);
    assert_eq!(desk.press("y"), [Effect::Send(Intent::Confirm { action: action.clone(), plan_hash })]);
    assert_eq!(desk.press("x"), [Effect::Send(Intent::Cancel { action })]);
}
