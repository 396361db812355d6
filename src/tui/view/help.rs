//! The keys, made from the live keymap: what can be done here and now stands out.

use super::{
    super::{
        action::{Action, Section},
        state::State,
        theme::Slot,
        update::possible,
    },
    text::{Line, wrap},
};
use crate::model::{Picture, Time};

/// The lines of the help.
pub(super) fn lines(state: &State, picture: &Picture, now: Time, columns: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for section in Section::ALL {
        let actions: Vec<Action> =
            Action::ALL.iter().copied().filter(|a| a.section() == section && a.exists_in(picture.mode)).collect();
        if actions.is_empty() {
            continue;
        }
        if !lines.is_empty() {
            lines.push(Line::new());
        }
        lines.push(vec![(Slot::Head, section.title().to_owned())]);
        for action in actions {
            let keys: Vec<String> = state.keymap.keys(action).iter().map(ToString::to_string).collect();
            let keys = if keys.is_empty() { "no key".to_owned() } else { keys.join(" ") };
            let active = possible(action, state, picture, now).is_ok();
            let (key, text) = if active { (Slot::Key, Slot::Text) } else { (Slot::Dim, Slot::Dim) };
            let lead = format!("  {keys:<14}{:<15}", action.name());
            for mut line in wrap(&lead, text, action.doc(), columns) {
                line[0].0 = key;
                lines.push(line);
            }
        }
    }
    lines.push(Line::new());
    let end = "What is greyed cannot be done here and now. Keys can be changed under [keys] of the configuration.";
    lines.extend(wrap("", Slot::Dim, end, columns));
    lines
}
