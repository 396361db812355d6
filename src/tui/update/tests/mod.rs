//! Keys in, effects out: the screen as a desk with an engine's picture on it and a hand on the keys.

mod accidents;
mod command;
mod decide;
mod later;
mod look;
mod monkey;

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
            shape: crate::model::Shape::default(),
            broker: None,
            found: None,
            configured: true,
        }),
        state: Arc::new(WorkloadState::unknown(NOW)),
        severity: Severity::Act,
        headline: "falls behind".into(),
        signals: Vec::new(),
        slo: None,
        advice: Arc::new(Advice { forecast: None, capacity: None, recommendation: Ok(Box::new(recommendation)) }),
        day: None,
        snoozed: None,
        action: None,
    })
}

fn picture(mode: Mode) -> Picture {
    let mut picture = Picture::empty(mode, "prod-eu", NOW);
    picture.workloads = vec![workload("fraud", 10), workload("orders", 4), workload("audit", 6)].into();
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
        asked: to,
        ways: Vec::new(),
        way: 0,
        request: vec![Label::new("PATCH deployments/fraud/scale")],
        owner: Label::new("none"),
        identity: Label::new("alice may patch"),
        dry_run: Ok(Label::new("accepted")),
        refused: Vec::new(),
        after: Label::new("ready in 40 s"),
        plan_hash: PlanHash::of(&[action]),
        expires: NOW.plus(240.0),
        at: NOW,
        evidence_age: 4.0,
        confirm,
        second: None,
        guess: None,
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
        (": k a f enter", View::Kafka, "-"),
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
fn what_is_not_possible_says_why() {
    type Spoil = fn(&mut Picture);
    let nothing: Spoil = |_| {};
    let cases: [(&str, &str, Spoil); 10] = [
        ("G a", "nothing to decide", nothing),
        ("space a", "frozen", nothing),
        ("7 a", "go to the overview", nothing),
        ("2 a", "no workload", nothing),
        ("5 enter", "no page about it", |p| {
            p.workloads.clear();
            p.ledger.writable = false;
        }),
        ("5 e", "no workload", |p| {
            p.workloads.clear();
            p.ledger.writable = false;
        }),
        ("8 enter", "plays consumer groups only", |p| {
            let view = Arc::make_mut(&mut p.workloads[0]);
            Arc::make_mut(&mut view.workload).entity.kind = WorkloadKind::Inference;
        }),
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
fn a_screen_is_saved_with_what_explains_it() {
    let mut desk = Desk::new(Mode::Watch);
    for keys in ["p", "e p", "esc ? p"] {
        assert_eq!(desk.press(keys), [Effect::SaveScreen], "{keys}");
    }
    assert!(matches!(desk.state.dialogs[..], [Dialog::Help(_)]), "it stays open");
    desk.press("esc :");
    assert_eq!(desk.press("p"), [], "a letter of the name there");
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
fn what_if_is_answered_in_its_own_dialog_and_given_up_with_it() {
    let play = |number| [Effect::Play { number, workload: Label::new("fraud") }];
    let mut desk = Desk::new(Mode::Watch);
    assert_eq!(desk.press("w"), play(1));
    assert!(desk.state.awaits(1));
    assert_eq!(desk.press("w"), [], "the same key leaves");
    assert!(!desk.state.awaits(1));
    assert_eq!(desk.press("w"), play(2));
    desk.event(Event::Played(1, Err("too late".into())));
    assert!(desk.state.awaits(2), "an older answer is not its answer");
    desk.event(Event::Played(2, Err("1 of 12 partitions is not known".into())));
    assert!(
        matches!(desk.state.dialogs.last(), Some(Dialog::WhatIf { answer: Some(Err(why)), .. }) if why.contains("12"))
    );
    desk.press("esc");
    assert!(desk.state.dialogs.is_empty());
}

#[test]
fn leaving_works_from_everywhere() {
    for before in ["", "?", "w", ":", "/ x", "a", "x w h y", "c", "z", "e"] {
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
