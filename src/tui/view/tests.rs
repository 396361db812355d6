//! The panels of this room as text, at the sizes that matter.

use super::super::{
    Theme, draw,
    theme::{Charset, Depth},
    update::tests::{Desk, NOW, prepared},
};
use crate::model::{
    Action, ActionId, ActionState, Actor, Confirm, Health, Label, Mode, PlanHash, SourceKind, SourceStatus, Target,
    Unprepared,
};
use ratatui::{buffer::Buffer, layout::Rect};
use std::sync::Arc;

/// The screen as text, trailing blanks dropped.
fn text(desk: &Desk, theme: &Theme) -> String {
    let (columns, lines) = desk.state.size;
    let area = Rect::new(0, 0, columns, lines);
    let mut buffer = Buffer::empty(area);
    draw(&desk.picture, &desk.state, theme, desk.at().now, area, &mut buffer);
    let line = |y: u16| (0..columns).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..lines).map(line).collect::<Vec<_>>().join("\n")
}

fn unicode(desk: &Desk) -> String {
    text(desk, &Theme::fallback(Depth::True, Charset::Braille))
}

fn source(kind: SourceKind, health: Health, detail: &str) -> SourceStatus {
    SourceStatus {
        name: Label::new("prod"),
        kind,
        health,
        since: NOW.plus(-120.0),
        answered: Some(NOW.plus(-1.4)),
        cadence: 1_000.0,
        detail: Label::new(detail),
    }
}

fn action(id: &str, state: ActionState, reason: &str) -> Action {
    let target = Target::Deployment { namespace: Label::new("payments"), name: Label::new("fraud") };
    Action {
        plan_hash: PlanHash::of(&[id]),
        state,
        actor: Actor {
            server_user: Some(Label::new("alice@corp")),
            vouched_by: None,
            os_user: Label::new("alice"),
            host: Label::new("jump-1"),
            pid: 4711,
            ssh: Some(Label::new("10.0.0.1 5022 10.0.0.2 22")),
        },
        reason: Label::new(reason),
        request: Label::new("PATCH deployments/fraud/scale replicas 6 → 10"),
        evidence: Label::new("demand p80 15.1k/s, capacity 930/s a replica"),
        created: NOW.plus(-90.0),
        updated: NOW.plus(-30.0),
        expires: NOW.plus(200.0),
        verify_by: Some(NOW.plus(60.0)),
        ..Action::proposed(ActionId(Label::new(id)), "fraud".into(), target, (6, 10), NOW)
    }
}

/// Three sources, one of them down, and two actions.
fn busy(mode: Mode, size: (u16, u16)) -> Desk {
    let mut desk = Desk::new(mode);
    desk.state.size = size;
    desk.publish(|p| {
        p.identity = Some(Label::new("alice@corp"));
        p.sources = vec![
            source(SourceKind::Kafka, Health::Ok, "3/3 brokers"),
            source(SourceKind::Prometheus, Health::Down, "connection refused by 10.0.0.9:9090"),
            source(SourceKind::Kubernetes, Health::Ok, "prod-eu"),
        ];
        p.actions = Arc::new(vec![
            action("a2", ActionState::Applied, "surge"),
            action("a1", ActionState::Failed, "the deployment is not ready: 2 of 10 after 60 s"),
        ]);
    });
    desk
}

#[test]
fn header_at_every_width() {
    let mut lines = String::new();
    for (mode, columns) in
        [(Mode::Operate, 140), (Mode::Operate, 120), (Mode::Watch, 100), (Mode::Operate, 80), (Mode::Watch, 60)]
    {
        let desk = busy(mode, (columns, 15));
        let screen = unicode(&desk);
        lines += &screen.lines().take(2).collect::<Vec<_>>().join("\n");
        lines += "\n\n";
    }
    let mut desk = busy(Mode::Operate, (120, 15));
    desk.press("space");
    desk.wait(65_000);
    lines += unicode(&desk).lines().next().unwrap();
    insta::assert_snapshot!(lines);
}

#[test]
fn approval() {
    let mut desk = busy(Mode::Operate, (100, 28));
    desk.press("a");
    let waiting = unicode(&desk);
    let why = "fraud has no recommendation: 12 of 40 partitions were read";
    desk.publish(|p| p.unprepared = Some(Arc::new(Unprepared { workload: "fraud".into(), why: why.into() })));
    let nothing = unicode(&desk);
    desk.answer(prepared("a3", "fraud", 10, Confirm::Yes));
    assert!(unicode(&desk).contains("read it first") && !unicode(&desk).contains("[y]"), "it does not listen yet");
    desk.wait(500);
    desk.publish(|_| {});
    let asked = unicode(&desk);
    let mut refused = prepared("a3", "fraud", 10, Confirm::Yes);
    refused.refused = vec![Label::new("cooldown: the count changed 20 s ago, 60 s are required")];
    desk.answer(refused);
    let not_now = unicode(&desk);
    desk.answer(prepared("a3", "fraud", 10, Confirm::TypeName));
    desk.press("f r a");
    desk.state.toasts.clear();
    insta::assert_snapshot!([waiting, nothing, asked, not_now, unicode(&desk)].join("\n\n"));
}

#[test]
fn an_approval_on_a_small_screen_keeps_its_head_and_is_scrolled() {
    let mut desk = busy(Mode::Operate, (60, 15));
    desk.press("a");
    let request = (0..20).map(|i| Label::new(&format!("line {i} of the request"))).collect();
    desk.answer(crate::model::Prepared { request, ..prepared("a3", "fraud", 10, Confirm::Yes) });
    desk.wait(500);
    desk.publish(|_| {}); // by now it listens
    let head = |screen: &str| screen.contains("fraud   replicas  6  →  10") && screen.contains("deploy/");
    let end = unicode(&desk);
    assert!(head(&end) && end.contains("[y] do it") && end.contains("pgup page up"), "{end}");
    desk.press("pgup pgup pgup pgup pgup");
    let begin = unicode(&desk);
    assert!(head(&begin) && begin.contains("line 0 of") && !begin.contains("[y]"), "{begin}");
    assert_eq!(begin.matches("fraud   replicas").count(), 1, "{begin}");
    desk.press("j j");
    let on = unicode(&desk);
    assert!(head(&on) && !on.contains("line 0 of") && on.contains("line 1 of"), "{on}");
    assert!(matches!(&desk.press("y")[..], [crate::tui::Effect::Send(_)]), "it may be confirmed from there");
}

#[test]
fn an_approval_tells_both_counts_and_the_cluster_however_long_names_are() {
    for name in ["fraud-scorer-".repeat(19), "欺诈检测".repeat(30)] {
        let mut desk = busy(Mode::Operate, (80, 24));
        desk.publish(|p| {
            let mut view = (*p.workloads[0]).clone();
            Arc::make_mut(&mut view.workload).name = Label::new(&name);
            p.title = Label::new("arn:aws:eks:eu-west-1:123456789012:cluster/payments-prod");
            p.workloads = vec![Arc::new(view)].into();
        });
        desk.press("a");
        desk.answer(prepared("a3", &name, 10, Confirm::Yes));
        let screen = unicode(&desk);
        assert!(screen.contains("…   replicas  6  →  10 ") && screen.contains("cluster/payments-prod"), "{screen}");
    }
}

#[test]
fn small_dialogs() {
    let mut shots = Vec::new();
    for keys in ["x n o", "c ctrl-u 9 9 enter", "z j", ": z o o", "/ l a g >", "? j"] {
        let mut desk = busy(Mode::Operate, (80, 20));
        desk.press(keys);
        shots.push(format!("{keys}\n{}", unicode(&desk)));
    }
    insta::assert_snapshot!(shots.join("\n\n"));
}

#[test]
fn explanation() {
    let mut desk = busy(Mode::Operate, (100, 40));
    desk.press("e");
    insta::assert_snapshot!(unicode(&desk));
}

#[test]
fn actions() {
    let mut desk = busy(Mode::Operate, (120, 28));
    desk.press("4 j");
    let list = unicode(&desk);
    desk.press("enter");
    let mut empty = Desk::new(Mode::Watch);
    empty.state.size = (80, 15);
    empty.press("4");
    insta::assert_snapshot!([list, unicode(&desk), unicode(&empty)].join("\n\n"));
}

#[test]
fn watch_shows_no_key_that_decides() {
    for keys in ["", "?", ":", "enter"] {
        let mut desk = busy(Mode::Watch, (200, 50));
        desk.press(keys);
        let screen = unicode(&desk);
        assert!(screen.contains("WATCH") && !screen.contains("OPERATE"));
        for word in ["approve", "reject", "snooze", "change-count", " do it"] {
            assert!(!screen.contains(word), "{word} after {keys:?}:\n{screen}");
        }
    }
}

#[test]
fn ascii_means_ascii() {
    let theme = Theme::fallback(Depth::None, Charset::Ascii);
    for keys in ["", "4 enter", "?", "e", "a", "z", ":", "/ ü"] {
        let mut desk = busy(Mode::Operate, (100, 30));
        desk.press(keys);
        desk.answer(prepared("a3", "fraud", 10, Confirm::Yes));
        let screen = text(&desk, &theme);
        assert!(screen.is_ascii(), "{keys}:\n{screen}");
    }
}

#[test]
fn a_small_terminal_says_what_it_needs() {
    for size in [(59, 40), (200, 14), (1, 1)] {
        let desk = busy(Mode::Operate, size);
        let screen = unicode(&desk);
        let lines: Vec<&str> = screen.lines().filter(|l| !l.is_empty()).collect();
        assert_eq!(lines.len(), usize::from(size.1.min(2)), "{screen}");
        let brief = "3 workloads · 3 need you";
        assert!(
            lines.get(1).is_none_or(|l| l.trim_start().starts_with(brief)),
            "it still says how it stands: {screen}"
        );
    }
    let desk = busy(Mode::Operate, (60, 15));
    assert!(unicode(&desk).contains("OPERATE"));
}
