//! The operator's own commands under the rules of approvals.

use super::*;
use crate::{
    model::{Confirm, UserCommand},
    tui::{Keymap, command::Commands},
};

pub(super) fn own(name: &str, key: &str, argv: &[&str], read_only: bool, confirm: Confirm) -> UserCommand {
    UserCommand {
        name: Label::new(name),
        key: Some(key.to_owned()),
        about: Label::new("What it is for."),
        argv: argv.iter().map(|w| (*w).to_owned()).collect(),
        env: vec!["KUBECONFIG".to_owned()],
        read_only,
        confirm,
        timeout: 20.0,
    }
}

/// A desk with these commands, as the process of that mode has them.
pub(super) fn desk(mode: Mode, commands: &[UserCommand]) -> Desk {
    let mut desk = Desk::new(mode);
    desk.state.keymap = Arc::new(Keymap::default().with_commands(commands).unwrap());
    desk.state.commands = Arc::new(Commands::of(commands, mode));
    desk
}

fn both() -> [UserCommand; 2] {
    [
        own("show", "D", &["kubectl", "describe", "{target}", "-n{namespace}"], true, Confirm::None),
        own("drain", "Q", &["drain", "--group={group}"], false, Confirm::Yes),
    ]
}

fn argv(effects: &[Effect]) -> Option<Vec<&str>> {
    match effects {
        [Effect::Run { argv, .. }] => Some(argv.iter().map(String::as_str).collect()),
        [] => None,
        other => panic!("{other:?}"),
    }
}

fn said(code: i32) -> Arc<Said> {
    Arc::new(Said { code: Some(code), out: vec!["a line".to_owned()], err: Vec::new(), cut: false })
}

#[test]
fn what_only_reads_runs_at_once_on_what_is_under_the_cursor() {
    let mut desk = desk(Mode::Watch, &both());
    let effects = desk.press("j D");
    assert_eq!(argv(&effects).unwrap(), ["kubectl", "describe", "orders", "-npayments"]);
    let Effect::Run { number, env, timeout, .. } = &effects[0] else { panic!("{effects:?}") };
    assert_eq!((env.as_slice(), *timeout), (["KUBECONFIG".to_owned()].as_slice(), 20.0));
    let number = *number;
    assert_eq!(desk.press("esc D"), [], "one at a time");
    assert!(desk.said().contains("show is still running"), "{}", desk.said());
    desk.event(Event::Ran(number + 7, Ok(said(0))));
    assert!(desk.state.running.is_some(), "another's end is not its own");
    desk.event(Event::Ran(number, Ok(said(3))));
    assert_eq!(desk.said(), "show: exited with 3", "the dialog was left");
    assert_eq!(desk.state.log.newest().next().map(|e| e.text.as_str()), Some("show: exited with 3"));
    let effects = desk.press(": s h o w enter");
    assert!(argv(&effects).is_some(), "from the palette");
    desk.event(Event::Ran(number + 1, Ok(said(0))));
    assert!(matches!(desk.state.dialogs.last(), Some(Dialog::Ran { ran, .. }) if ran.answer == Some(Ok(said(0)))));
}

#[test]
fn what_may_change_something_is_shown_first_and_confirmed_by_another_key() {
    let mut desk = desk(Mode::Operate, &both());
    assert_eq!(desk.press("Q"), []);
    assert_eq!(desk.tap("y"), [], "not before it could be read");
    assert!(desk.said().contains("too quick"), "{}", desk.said());
    assert_eq!(desk.press("Q enter"), [], "neither the opener nor Enter");
    for key in ["d", "a", "y"] {
        desk.wait(180); // as a hand types
        assert_eq!(desk.tap(key), [], "{key}");
    }
    assert_eq!(desk.press(": d a y"), []);
    assert!(matches!(desk.state.dialogs[..], [Dialog::Palette { .. }]), "{:?}", desk.state.dialogs);
    desk.press("esc Q");
    desk.event(Event::Paste("y\ny".into()));
    desk.publish(|p| p.workloads.reverse());
    assert_eq!(argv(&desk.press("y")).unwrap(), ["drain", "--group=fraud"], "what was shown is what runs");
    desk.event(Event::Ran(1, Ok(said(0))));
    desk.press("esc");
    assert_eq!(desk.press("space Q"), [], "frozen");
    assert!(desk.said().contains("frozen"), "{}", desk.said());
    assert!(argv(&desk.press("D")).is_some(), "reading is always possible");
}

#[test]
fn a_watching_screen_has_only_what_reads() {
    let mut desk = desk(Mode::Watch, &both());
    assert_eq!(desk.press("Q"), []);
    assert!(desk.said().contains("not declared read_only: it runs in `highwater operate`"), "{}", desk.said());
    assert_eq!(desk.state.commands.offered().len(), 1, "the other's argv is not even here");
    assert_eq!(desk.press(": d r a i n enter"), []);
    desk.press("esc esc 2");
    assert_eq!(desk.press("D"), [], "there is no group on this page");
    assert!(desk.said().contains("show: there is no target under the cursor"), "{}", desk.said());
}

#[test]
fn a_name_is_typed_where_the_configuration_says_so() {
    let mut desk = desk(Mode::Operate, &[own("drop", "D", &["drop", "{group}"], false, Confirm::TypeName)]);
    assert_eq!(desk.press("D y enter"), [], "y is a letter of the name here");
    assert!(desk.said().contains("type fraud"), "{}", desk.said());
    assert_eq!(argv(&desk.press("backspace f r a u d enter")).unwrap(), ["drop", "fraud"]);
}

#[test]
fn a_hostile_name_is_refused_with_the_reason() {
    let mut desk = desk(Mode::Operate, &[own("drop", "D", &["drop", "{workload}"], true, Confirm::None)]);
    desk.publish(|p| p.workloads[0] = workload("--all", 10));
    assert_eq!(desk.press("D"), []);
    assert!(desk.said().contains("drop: \"--all\" begins with a dash"), "{}", desk.said());
    desk.publish(|p| p.workloads[0] = workload("a b; $(reboot)", 10));
    assert_eq!(argv(&desk.press("D")).unwrap(), ["drop", "a b; $(reboot)"], "one argument, read by no shell");
}
