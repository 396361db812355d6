//! Other defaults, as patches: what hands know from other programs.

use crate::tui::action::Action;

/// Keys of some actions.
type Patch = &'static [(Action, &'static [&'static str])];

/// Every preset by the name that `[keys] preset` takes.
pub const PRESETS: &[(&str, Patch)] = &[("default", &[]), ("vim", VIM), ("k9s", K9S)];

/// As in vim and less: pages by Control, `q` leaves a page and `Q` the program.
const VIM: Patch = &[
    (Action::Open, &["enter", "l"]),
    (Action::Back, &["esc", "h", "q"]),
    (Action::PageDown, &["ctrl-f", "ctrl-d", "pgdn"]),
    (Action::PageUp, &["ctrl-b", "ctrl-u", "pgup"]),
    (Action::NextPane, &["tab", "}"]),
    (Action::PreviousPane, &["shift-tab", "{"]),
    (Action::Quit, &["Q", "ctrl-c"]),
];

/// As in k9s: `d` describes, `s` scales, space marks, Ctrl-R refreshes.
const K9S: Patch = &[
    (Action::Explain, &["d", "e"]),
    (Action::ChangeCount, &["s"]),
    (Action::Sort, &["O"]),
    (Action::SortReverse, &["I"]),
    (Action::Redraw, &["ctrl-r", "ctrl-l"]),
    (Action::Quit, &["Q", "ctrl-c"]),
    (Action::Back, &["esc", "q"]),
    (Action::PageDown, &["ctrl-f", "pgdn"]),
    (Action::PageUp, &["ctrl-b", "pgup"]),
];
