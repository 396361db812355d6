//! The pictures under `screenshots/`: the fixture's evening at its fixed instant, drawn by the program's own exporter, held
//! byte for byte to what is committed.

use super::super::{
    Theme, draw,
    export::{self, SvgOptions},
    fixture, log,
    state::Pane,
    update::tests::{Desk, prepared},
};
use crate::model::{Confirm, Label, Mode, Prepared};
use ratatui::{buffer::Buffer, layout::Rect};
use std::{path::Path, sync::Arc};

/// Set to `write`, the files are made anew: `make screenshots`.
const WRITE: &str = "HIGHWATER_SCREENSHOTS";

/// Name, keys pressed from the start on, columns and lines.
const SHOTS: [(&str, &str, (u16, u16)); 14] = [
    ("overview", "", (120, 36)),
    ("overview-80x24", "", (80, 24)),
    ("workload", "enter", (120, 36)),
    ("day", "enter P", (120, 36)),
    ("kafka", "2", (120, 36)),
    ("ml", "3", (120, 36)),
    ("actions", "4", (120, 36)),
    ("alerts", "5", (120, 36)),
    ("pipeline", "6", (120, 36)),
    ("log", "7", (120, 36)),
    ("backtest", "8", (120, 36)),
    ("explain", "e", (120, 36)),
    ("approve", "a", (120, 36)),
    ("help", "?", (120, 36)),
];

fn svg(keys: &str, size: (u16, u16)) -> String {
    let mut desk = Desk::new(Mode::Operate);
    let picture = fixture::picture(Mode::Operate);
    let mut before = picture.clone();
    before.sources[0].health = crate::model::Health::Ok;
    Arc::make_mut(&mut before.workloads[0]).severity = crate::model::Severity::Ok;
    desk.state.log.extend(log::changes(&before, &picture));
    desk.state.size = size;
    desk.state.backtest = Some(super::page_tests::backtest());
    desk.state.selected.insert(Pane::Workloads, Label::new("fraud-scorer"));
    desk.picture = Arc::new(picture);
    desk.press(keys);
    if keys == "a" {
        desk.answer(Prepared {
            request: vec![Label::new("PATCH deployments/fraud-scorer/scale  if uid = 7f3c21d8 and replicas = 6")],
            owner: Label::new("none (no HPA, no ScaledObject)"),
            identity: Label::new("alice@corp (server says) may patch deployments/scale"),
            at: fixture::NOW,
            expires: fixture::NOW.plus(238.0),
            ..prepared("00004-a1", "fraud-scorer", 10, Confirm::Yes)
        });
        desk.wait(500);
        desk.publish(|_| {}); // by now it listens
        desk.state.toasts.clear();
    }
    let (theme, area) = (Theme::default(), Rect::new(0, 0, size.0, size.1));
    let mut buf = Buffer::empty(area);
    draw(&desk.picture, &desk.state, &theme, fixture::NOW, area, &mut buf);
    export::svg(&buf, &SvgOptions::of(&theme))
}

#[test]
fn screenshots_are_what_the_program_draws() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots");
    let write = std::env::var(WRITE).is_ok_and(|v| v == "write");
    let mut differ = Vec::new();
    for (name, keys, size) in SHOTS {
        let (file, drawn) = (folder.join(format!("{name}.svg")), svg(keys, size));
        if write {
            std::fs::write(&file, &drawn).unwrap();
        }
        if std::fs::read_to_string(&file).ok().as_ref() != Some(&drawn) {
            differ.push(name);
        }
    }
    assert_eq!(differ, [""; 0], "not what is committed: look at what changed, then `make screenshots`");
}
