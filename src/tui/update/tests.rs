//! Keys in, effects out; and what no sequence of keys may ever do.

use super::*;
use crate::model::{
    ActionId, Advice, Confirm, Entity, GuardSettings, Label, LedgerHealth, Limits, Notice, PlanHash, Prepared, Price,
    Recommendation, Replicas, Rivals, Slo, Target, Workload, WorkloadKind, WorkloadState, WorkloadView,
};
use crossterm::event::{KeyCode, KeyModifiers};
use proptest::prelude::*;
use std::collections::BTreeMap;

pub(in crate::tui) const NOW: Time = Time::from_millis(1_700_000_000_000);

/// A workload that has 6 replicas and needs `to`.
fn workload(name: &str, to: u32) -> Arc<WorkloadView> {
    let current = Replicas {
        desired: 6,
        ready: 6,
        at: NOW,
        origin: Label::new("kubernetes prod"),
        uid: Some(Label::new("7f3c")),
    };
    let target = Target::Deployment { namespace: Label::new("payments"), name: Label::new(name) };
    let recommendation = Recommendation {
        workload: Label::new(name),
        target: Some(target.clone()),
        current,
        recommended: to,
        wanted: to,
        limits: Limits { min: 2, max: 24 },
        at: NOW,
        expires: NOW.plus(300.0),
        plan_hash: PlanHash::of(&[name]),
        reasons: vec!["demand reaches 15.1k/s".into()],
        blocked_by: Vec::new(),
        alternatives: Vec::new(),
        steps: Vec::new(),
        others: Rivals::default(),
        capacity: None,
        coverage: 1.0,
    };
    Arc::new(WorkloadView {
        workload: Arc::new(Workload {
            name: Label::new(name),
            entity: Entity { kind: WorkloadKind::ConsumerGroup, source: Label::new("prod"), id: Label::new(name) },
            target: Some(target),
            limits: Limits { min: 2, max: 24 },
            slo: Slo::default(),
            price: Price::default(),
            guard: GuardSettings::default(),
            signals: BTreeMap::new(),
            configured: true,
        }),
        state: Arc::new(WorkloadState::unknown(NOW)),
        severity: Severity::Act,
        headline: "falls behind".into(),
        signals: Vec::new(),
        slo: None,
        advice: Arc::new(Advice { forecast: None, capacity: None, recommendation: Ok(Box::new(recommendation)) }),
        snoozed: None,
        action: None,
    })
}

fn picture(mode: Mode) -> Picture {
    let mut picture = Picture::empty(mode, "prod-eu", NOW);
    picture.workloads = vec![workload("fraud", 10), workload("orders", 4), workload("audit", 6)];
    picture.ledger = LedgerHealth { writable: true, detail: Label::new("ok") };
    picture
}

pub(in crate::tui) fn prepared(action: &str, name: &str, to: u32, confirm: Confirm) -> Prepared {
    Prepared {
        action: ActionId(Label::new(action)),
        workload: Label::new(name),
        target: Target::Deployment { namespace: Label::new("payments"), name: Label::new(name) },
        from: 6,
        to,
        request: vec![Label::new("PATCH deployments/fraud/scale")],
        owner: Label::new("none"),
        identity: Label::new("alice may patch"),
        dry_run: Ok(Label::new("accepted")),
        refused: Vec::new(),
        after: Label::new("ready in 40 s"),
        plan_hash: PlanHash::of(&[action]),
        expires: NOW.plus(240.0),
        evidence_age: 4.0,
        confirm,
    }
}

/// A screen with an engine's picture and a hand on the keys.
pub(in crate::tui) struct Desk {
    pub(in crate::tui) state: State,
    pub(in crate::tui) picture: Arc<Picture>,
    uptime: Duration,
}

impl Desk {
    pub(in crate::tui) fn new(mode: Mode) -> Self {
        let mut state = State { size: (120, 30), ..State::default() };
        let picture = Arc::new(picture(mode));
        state.uptime = Duration::from_secs(1);
        Self { state, picture, uptime: Duration::from_secs(1) }
    }

    pub(in crate::tui) fn at(&self) -> Moment {
        Moment { now: NOW.plus(self.uptime.as_secs_f64()), uptime: self.uptime }
    }

    fn event(&mut self, event: Event) -> Vec<Effect> {
        let at = self.at();
        update(&mut self.state, event, &self.picture, at)
    }

    /// Presses keys one second apart; what the last one did.
    pub(in crate::tui) fn press(&mut self, keys: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        for key in keys.split(' ').filter(|k| !k.is_empty()) {
            self.wait(1_000);
            effects = self.tap(key);
        }
        effects
    }

    fn tap(&mut self, key: &str) -> Vec<Effect> {
        let chord: Chord = key.parse().unwrap();
        let modifiers = if key.starts_with("ctrl-") { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
        self.event(Event::Key(KeyEvent::new(chord.code(), modifiers)))
    }

    pub(in crate::tui) fn wait(&mut self, milliseconds: u64) {
        self.uptime += Duration::from_millis(milliseconds);
    }

    pub(in crate::tui) fn publish(&mut self, change: impl FnOnce(&mut Picture)) -> Vec<Effect> {
        let mut next = (*self.picture).clone();
        next.seq += 1;
        change(&mut next);
        self.picture = Arc::new(next);
        self.event(Event::Picture)
    }

    pub(in crate::tui) fn answer(&mut self, prepared: Prepared) -> Vec<Effect> {
        self.publish(|p| p.prepared = Some(Arc::new(prepared)))
    }

    fn said(&self) -> &str {
        self.state.toasts.last().map_or("", |t| &t.text)
    }
}

fn confirms(effects: &[Effect]) -> bool {
    effects.iter().any(|e| matches!(e, Effect::Send(Intent::Confirm { .. })))
}

#[test]
fn views_and_the_cursor() {
    for (keys, view, selected) in [
        ("j", View::Overview, "orders"),
        ("down down down", View::Overview, "audit"),
        ("G k", View::Overview, "orders"),
        ("j g", View::Overview, "fraud"),
        ("j enter", View::Workload, "orders"),
        ("enter j", View::Workload, "orders"),
        ("enter esc", View::Overview, "fraud"),
        ("2", View::Kafka, "-"),
        ("3", View::Ml, "-"),
        ("4 1", View::Overview, "fraud"),
        ("2 esc", View::Overview, "-"),
        (": a u d i t enter", View::Workload, "audit"),
        (": k a f enter", View::Kafka, "fraud"),
        ("/ o r d enter enter", View::Workload, "orders"),
    ] {
        let mut desk = Desk::new(Mode::Watch);
        assert_eq!(desk.press(keys), [], "{keys}");
        assert_eq!(desk.state.view, view, "{keys}");
        if selected != "-" {
            let at = rows::current_workload(&desk.picture, &desk.state).unwrap();
            assert_eq!(at.workload.name, *selected, "{keys}");
        }
    }
}

#[test]
fn the_cursor_follows_the_workload_not_the_line() {
    let mut desk = Desk::new(Mode::Operate);
    desk.press("j k"); // on fraud, first line
    desk.publish(|p| p.workloads.reverse());
    let effects = desk.press("a");
    assert!(matches!(&effects[..], [Effect::Send(Intent::Prepare { workload, to: 10, .. })] if workload == "fraud"));
}

#[test]
fn the_one_path_to_a_change() {
    let mut desk = Desk::new(Mode::Operate);
    let asked = desk.press("a");
    let [Effect::Send(Intent::Prepare { workload, to, plan_hash })] = &asked[..] else { panic!("{asked:?}") };
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

#[test]
fn what_is_not_possible_says_why() {
    type Spoil = fn(&mut Picture);
    let nothing: Spoil = |_| {};
    let cases: [(&str, &str, Spoil); 6] = [
        ("G a", "nothing to decide", nothing),
        ("space a", "frozen", nothing),
        ("2 a", "go to the overview", nothing),
        ("a", "ledger cannot be written", |p| p.ledger.writable = false),
        ("a", "no workload", |p| p.workloads.clear()),
        ("a", "watch is read-only", |p| p.mode = Mode::Watch),
    ];
    for (keys, words, spoil) in cases {
        let mut desk = Desk::new(Mode::Operate);
        desk.publish(spoil);
        assert_eq!(desk.press(keys), [], "{keys}");
        assert!(desk.said().contains(words), "{keys}: {words}: {}", desk.said());
        assert!(desk.state.dialogs.is_empty(), "{keys}");
    }
}

#[test]
fn a_frozen_screen_stays_and_goes_on() {
    let mut desk = Desk::new(Mode::Watch);
    desk.press("space");
    desk.publish(|p| p.workloads.clear());
    desk.press("j enter");
    assert_eq!(rows::current_workload(desk.state.shown(&desk.picture), &desk.state).unwrap().workload.name, *"orders");
    desk.press("space");
    assert!(desk.state.shown(&desk.picture).workloads.is_empty());
}

#[test]
fn notices_are_said_once_and_go_away() {
    let mut desk = Desk::new(Mode::Watch);
    let notice = Notice { at: NOW, severity: Severity::Look, text: Label::new("orders was rejected by bob") };
    desk.publish(|p| p.notices.push(notice));
    desk.publish(|_| {});
    assert_eq!(desk.state.toasts.len(), 1);
    desk.wait(60_000);
    desk.event(Event::Tick);
    desk.publish(|_| {});
    assert_eq!(desk.state.toasts, []);
}

#[test]
fn leaving_works_from_everywhere() {
    for before in ["", "?", ":", "/ x", "a", "x w h y", "c", "z", "e"] {
        let mut desk = Desk::new(Mode::Operate);
        desk.press(before);
        assert_eq!(desk.press("ctrl-c"), [Effect::Quit], "{before}");
        let mut desk = Desk::new(Mode::Operate);
        desk.press(before);
        desk.press("esc");
        assert!(desk.state.dialogs.is_empty(), "{before}");
        assert_eq!(desk.press("q"), [Effect::Quit], "{before}");
    }
}

/// One step of a random session.
#[derive(Clone, Debug)]
enum Step {
    Key(&'static str, u64),
    Paste(&'static str),
    Scroll(isize),
    Resize(u16, u16),
    Answer(&'static str, u32, u8, bool),
    Forget,
    Shuffle,
}

fn step() -> impl Strategy<Value = Step> {
    let keys = prop::sample::select(vec![
        "a",
        "a",
        "a",
        "y",
        "y",
        "y",
        "y",
        "a",
        "y",
        "enter",
        "esc",
        "c",
        "x",
        "z",
        "e",
        "j",
        "k",
        "G",
        "space",
        "?",
        ":",
        "/",
        "8",
        "2",
        "1",
        "tab",
        "ctrl-u",
        "backspace",
        "f",
        "r",
        "u",
        "d",
        "pgdn",
        "end",
        "]",
        "[",
        "s",
        "q",
    ]);
    prop_oneof![
        12 => (keys, prop::sample::select(vec![0_u64, 30, 300, 500, 1_000, 5_000])).prop_map(|(k, w)| Step::Key(k, w)),
        1 => prop::sample::select(vec!["y", "fraud\ny\n", "\u{1b}[31m"]).prop_map(Step::Paste),
        1 => (-100_isize..100).prop_map(Step::Scroll),
        1 => (0_u16..130, 0_u16..40).prop_map(|(w, h)| Step::Resize(w, h)),
        4 => (prop::sample::select(vec!["a1", "a2"]), prop::sample::select(vec![4_u32, 8, 10]), 0_u8..3, any::<bool>())
            .prop_map(|(id, to, confirm, good)| Step::Answer(id, to, confirm, good)),
        1 => Just(Step::Forget),
        1 => Just(Step::Shuffle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// No sequence of events panics; and a change is confirmed only for what has stood on screen, unchanged and free of
    /// refusals, for the dead time, by a key that is not the one that opened the dialog.
    #[test]
    fn nothing_is_confirmed_by_accident(
        steps in prop::collection::vec(step(), 1..80),
        watch in prop::bool::weighted(0.2),
    ) {
        let mode = if watch { Mode::Watch } else { Mode::Operate };
        let mut desk = Desk::new(mode);
        for step in steps {
            let before = desk.state.dialogs.last().cloned();
            let mut pressed = None;
            let effects = match step {
                Step::Key(key, wait) => {
                    desk.wait(wait);
                    pressed = Some(key.parse::<Chord>().unwrap());
                    desk.tap(key)
                }
                Step::Paste(text) => desk.event(Event::Paste(text.into())),
                Step::Scroll(lines) => desk.event(Event::Scroll(lines)),
                Step::Resize(w, h) => desk.event(Event::Resize(w, h)),
                Step::Answer(id, to, confirm, good) => {
                    let confirm = [Confirm::None, Confirm::Yes, Confirm::TypeName][usize::from(confirm)];
                    let mut answer = prepared(id, if to == 4 { "orders" } else { "fraud" }, to, confirm);
                    if !good {
                        answer.refused = vec![Label::new("cooldown")];
                    }
                    desk.answer(answer)
                }
                Step::Forget => desk.publish(|p| p.prepared = None),
                Step::Shuffle => desk.publish(|p| p.workloads.rotate_left(1)),
            };
            if mode == Mode::Watch {
                prop_assert!(!effects.iter().any(|e| matches!(e, Effect::Send(_))), "{effects:?}");
            }
            for effect in effects {
                let Effect::Send(Intent::Confirm { action, plan_hash }) = effect else { continue };
                let Some(Dialog::Approve(approve)) = &before else { panic!("no approval on screen") };
                let shown = approve.shown.as_ref().unwrap();
                let held = desk.picture.prepared.as_ref().unwrap();
                prop_assert_eq!((&action, &plan_hash), (&shown.prepared.action, &shown.prepared.plan_hash));
                prop_assert_eq!(&held.action, &action);
                prop_assert_eq!(held.to, approve.to);
                prop_assert!(held.may_confirm(desk.at().now));
                prop_assert!(desk.uptime.saturating_sub(shown.since) >= DEAD_TIME);
                prop_assert_ne!(pressed, Some(approve.opener));
            }
        }
        // Wherever it ended can be drawn.
        let area = ratatui::layout::Rect::new(0, 0, desk.state.size.0, desk.state.size.1);
        let mut buffer = ratatui::buffer::Buffer::empty(area);
        let theme = crate::tui::Theme::default();
        crate::tui::draw(&desk.picture, &desk.state, &theme, desk.at().now, area, &mut buffer);
    }
}
