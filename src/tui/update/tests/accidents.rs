//! What no sequence of keys may ever do.

use super::*;

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
    let keys: Vec<&str> =
        "a a a y y y y a y enter esc c x z e w v j k G space ? : / 8 7 6 5 2 1 tab ctrl-u backspace f r u d \
        pgdn end ] [ s q m n C T o p Y S"
            .split_whitespace()
            .collect();
    let keys = prop::sample::select(keys);
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
