//! A long session of random events on the pure update function and the views: nothing panics, nothing is approved without
//! the two proper keys, and nothing that is remembered grows without end.

use super::*;
use crate::tui::{
    Theme, View, draw, fixture,
    hits::Hit,
    state::Sort,
    theme::{Charset, Depth},
    under,
};
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};

/// Events of `cargo test`; `make monkey` asks for a million.
const EVENTS: u64 = 20_000;
/// Events between two frames.
const FRAME: u64 = 40;

/// Resident memory of this process, MiB; `None` where Linux does not tell it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
}

/// A generator whose whole state is its seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len() as u64) as usize]
    }
}

fn key(dice: &mut Dice) -> KeyEvent {
    let named = [
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::Backspace,
        KeyCode::Delete,
        KeyCode::F(1),
    ];
    // What opens and what confirms comes more often than chance would have it.
    let code = match dice.roll(10) {
        0..2 => *dice.pick(&named),
        2..4 => KeyCode::Char(*dice.pick(&['a', 'y', 'a', 'y', 't', 'c', 'U', 'x'])),
        _ => KeyCode::Char(char::from(32 + dice.roll(95) as u8)),
    };
    let modifiers = if dice.roll(12) == 0 { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
    KeyEvent::new(code, modifiers)
}

#[test]
fn a_monkey_at_the_keys() {
    let events = std::env::var("HIGHWATER_MONKEY").ok().and_then(|n| n.parse().ok()).unwrap_or(EVENTS);
    let mut dice = Dice(20_261_128);
    let own = [
        command::own("drain", "D", &["drain", "--group={group}"], false, Confirm::Yes),
        command::own("show", "E", &["show", "{workload}"], true, Confirm::None),
    ];
    let mut desk = command::desk(Mode::Operate, &own);
    desk.picture = Arc::new(fixture::picture(Mode::Operate));
    desk.state.themes = vec!["harbor-dark".into(), "mono".into()];
    let themes = [
        Theme::default(),
        Theme::fallback(Depth::Ansi16, Charset::Block),
        Theme::fallback(Depth::None, Charset::Ascii),
    ];
    let (mut confirmed, mut ran, mut clicks, mut views) = (0, 0, 0, std::collections::BTreeSet::new());
    let mut early = None;
    for n in 0..events {
        desk.wait(*dice.pick(&[0, 5, 80, 300, 700, 1_500]));
        let before = desk.state.dialogs.last().cloned();
        let mut pressed = None;
        let effects = match dice.roll(40) {
            0 => desk.event(Event::Paste(dice.pick(&["y", "yyyy\n", "a\ny\n", "lag>10k", "\u{1b}[31m"]).to_string())),
            1 => desk.event(Event::Scroll(dice.roll(9).cast_signed() as isize - 4)),
            2 => desk.event(Event::Resize(dice.roll(260) as u16, dice.roll(80) as u16)),
            9 if dice.roll(10) == 0 => {
                let place = Position::new(dice.roll(260) as u16, dice.roll(80) as u16);
                let hit = under(&desk.picture, &desk.state, dice.pick(&themes), desk.at().now, place);
                hit.map_or_else(Vec::new, |hit| desk.event(Event::Click(hit)))
            }
            // Somebody who means it: out of what is open, to the worst, approve, and yes.
            roll @ 11..17 => {
                let code = match (&before, roll) {
                    (Some(Dialog::Approve(_) | Dialog::Ask(_)), _) => KeyCode::Char('y'),
                    (Some(_), _) => KeyCode::Esc,
                    (None, 11) => KeyCode::Char('1'),
                    (None, 12) => KeyCode::Char('g'),
                    (None, 13) if desk.state.frozen.is_some() => KeyCode::Char(' '),
                    (None, 16) => KeyCode::Char('D'),
                    (None, _) => KeyCode::Char('a'),
                };
                let key = KeyEvent::from(code);
                pressed = Some(Chord::of(&key));
                desk.event(Event::Key(key))
            }
            10 => {
                // What lay there a page ago.
                let pane = *dice.pick(&View::ALL).panes().first().unwrap_or(&Pane::Workloads);
                let row = dice.roll(40) as usize;
                clicks += 1;
                desk.event(Event::Click(*dice.pick(&[Hit::Row(pane, row), Hit::Tab(pane), Hit::Head(Sort::Demand)])))
            }
            3 | 4 => {
                // Mostly the answer that is waited for.
                let (name, to) = match &before {
                    Some(Dialog::Approve(a)) if dice.roll(4) > 0 => (a.plan.workload.clone(), a.to),
                    _ => (desk.picture.workloads[dice.roll(3) as usize].workload.name.clone(), *dice.pick(&[6, 8, 10])),
                };
                let confirm = *dice.pick(&[Confirm::None, Confirm::Yes, Confirm::TypeName]);
                let expires = desk.at().now.plus(240.0);
                desk.answer(Prepared { expires, ..prepared(&format!("a{n}"), name.as_str(), to, confirm) })
            }
            5 => desk.publish(|p| p.prepared = None),
            6 => desk.publish(|p| p.workloads.rotate_left(1)),
            7 => {
                let next = fixture::later(&desk.picture, 30.0);
                desk.publish(|p| *p = Picture { prepared: p.prepared.clone(), ..next })
            }
            17 => {
                desk.state.running.clone().map_or_else(Vec::new, |(n, _)| desk.event(Event::Ran(n, Err("gone".into()))))
            }
            8 if dice.roll(50) == 0 => desk.publish(|p| *p = fixture::picture(Mode::Operate)),
            _ => {
                let key = key(&mut dice);
                pressed = Some(Chord::of(&key));
                desk.event(Event::Key(key))
            }
        };
        for effect in &effects {
            if let Effect::Run { name, .. } = effect
                && *name == "drain"
            {
                let Some(Dialog::Ask(ask)) = &before else { panic!("event {n}: {name} ran from {before:?}") };
                assert!(pressed.is_some_and(|p| p != ask.opener), "event {n}: one key opened and confirmed");
                assert!(desk.uptime.saturating_sub(ask.since) >= DEAD_TIME, "event {n}");
                ran += 1;
            }
            let Effect::Send(Intent::Confirm { action, .. } | Intent::ConfirmAt { action, .. }) = effect else {
                continue;
            };
            let approve = match (&before, desk.state.dialogs.last()) {
                (Some(Dialog::Approve(approve)), _) => Some(approve.clone()),
                (Some(Dialog::At { .. }), _) => None, // the line lies above the approval, which is gone by now
                other => panic!("event {n}: confirmed from {other:?}"),
            };
            if let Some(approve) = approve {
                let shown = approve.shown.as_ref().expect("something stands on screen");
                assert_eq!(&shown.prepared.action, action, "event {n}");
                assert_ne!(pressed, Some(approve.opener), "event {n}: one key opened and confirmed");
                assert!(desk.uptime.saturating_sub(shown.since) >= DEAD_TIME, "event {n}");
            }
            assert!(pressed.is_some(), "event {n}: nothing but a key confirms");
            confirmed += 1;
        }
        assert!(desk.state.dialogs.len() < 8 && desk.state.toasts.len() <= 3, "event {n}: {:?}", desk.state.dialogs);
        assert!(desk.state.log.newest().count() <= 1_000 && desk.state.marked.len() <= 40, "event {n}");
        views.insert(desk.state.view);
        if n == events / 10 {
            early = resident();
        }
        if n % FRAME == 0 {
            let (columns, lines) = desk.state.size;
            let area = Rect::new(0, 0, columns, lines);
            let mut buf = Buffer::empty(area);
            draw(&desk.picture, &desk.state, dice.pick(&themes), desk.at().now, area, &mut buf);
        }
    }
    assert_eq!(views.len(), View::ALL.len(), "it saw every page: {views:?}");
    let tried = format!("{confirmed} confirmed, {ran} commands, {clicks} clicks");
    assert!(confirmed > 10 && ran > 5 && clicks > 10, "the rules above were tried: {tried}");
    if let Some((early, late)) = early.zip(resident()) {
        println!("{events} events, {tried}; {early} MiB after a tenth, {late} at the end");
        // The log, the past and what the allocator keeps are full after the first tenth.
        assert!(events < 500_000 || late < early + 32, "memory grew from {early} to {late} MiB");
    }
}
