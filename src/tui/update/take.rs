//! What is taken away from the screen: notes, rows, and the names of their files.

use super::{
    super::{note, rows, state::State},
    Effect, Press,
};
use crate::model::{Severity, Time};

/// Saves a note of the workload under the cursor, or of those that are marked, and sends it to the terminal.
pub(super) fn note(state: &mut State, press: Press<'_>) -> Vec<Effect> {
    let picture = state.shown(press.picture);
    let marked = picture.workloads.iter().filter(|w| state.marked.contains(&w.workload.name));
    let mut views: Vec<_> = marked.collect();
    if views.is_empty() {
        views.extend(rows::current_workload(picture, state));
    }
    let Some(first) = views.first() else { return Vec::new() };
    let name = file_name(first.workload.name.as_str(), press.at.now, "md");
    let now = press.at.now;
    let notes: Vec<String> = views.iter().map(|v| note::of_workload(v, picture, state, now)).collect();
    let text = notes.join("\n");
    vec![Effect::Copy(text.clone()), Effect::Save { folder: "notes", files: vec![(name, text)] }]
}

/// A file's name for something at an instant: `fraud-scorer-20260312T140732Z.md`.
pub fn file_name(what: &str, at: Time, ending: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let what: String = what.chars().take(60).map(plain).collect();
    let at: String = at.to_string().chars().take(19).filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{what}-{at}Z.{ending}")
}

/// Sends the row under the cursor to the terminal's clipboard.
pub(super) fn copy(state: &mut State, press: Press<'_>) -> Vec<Effect> {
    let Some(text) = rows::line(state.shown(press.picture), state) else { return Vec::new() };
    state.say(Severity::Ok, format!("sent to the terminal: {text}"));
    vec![Effect::Copy(text)]
}
