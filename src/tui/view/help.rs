//! The keys, made from the live keymap: what can be done here and now stands out.

use super::{
    super::{
        action::{Action, Section},
        command,
        frame::Frame,
        state::State,
        theme::Slot,
        update::{Here, possible},
    },
    text::{Line, wrap},
};
use crate::model::{Picture, Time};

/// The lines of the help.
pub(super) fn lines(state: &State, picture: &Picture, now: Time, columns: usize) -> Vec<Line> {
    let frame = Frame::new(state.shown(picture), state);
    let here = Here::new(&frame, picture, now);
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
            let active = possible(action, &here).is_ok();
            let (key, text) = if active { (Slot::Key, Slot::Text) } else { (Slot::Dim, Slot::Dim) };
            let lead = format!("  {keys:<14}{:<15}", action.name());
            for mut line in wrap(&lead, text, action.doc(), columns) {
                line[0].0 = key;
                lines.push(line);
            }
        }
    }
    lines.extend(own(state, picture, columns));
    lines.push(Line::new());
    let table = "In the overview: (8) under HPA or KEDA is what a usual one would say where there is none; COST/H is what the change adds to the price of an hour of pods.";
    lines.extend(wrap("", Slot::Dim, table, columns));
    let end = "What is greyed cannot be done here and now. Keys can be changed under [keys] of the configuration.";
    lines.extend(wrap("", Slot::Dim, end, columns));
    lines
}

/// The operator's own commands.
fn own(state: &State, picture: &Picture, columns: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for command in state.commands.offered() {
        if lines.is_empty() {
            lines.extend([Line::new(), vec![(Slot::Head, "Your commands".to_owned())]]);
        }
        let key = state.keymap.command_key(&command.name).unwrap_or_else(|| "no key".to_owned());
        let active = command::prepare(command, state, picture).is_ok();
        let (slot, text) = if active { (Slot::Key, Slot::Text) } else { (Slot::Dim, Slot::Dim) };
        let lead = format!("  {key:<14}{:<15}", command.name);
        for mut line in wrap(&lead, text, command.about.as_str(), columns) {
            line[0].0 = slot;
            lines.push(line);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Confirm, Label, Mode, UserCommand},
        tui::{
            Keymap,
            command::Commands,
            fixture,
            palette::{self, Item},
        },
    };
    use std::sync::Arc;

    #[test]
    fn own_commands_are_listed_and_greyed_where_they_cannot_be_run() {
        let command = |name: &str, argv: &str| UserCommand {
            name: Label::new(name),
            key: Some(name[..1].to_uppercase()),
            about: Label::new("What it is for."),
            argv: vec!["x".to_owned(), argv.to_owned()],
            env: Vec::new(),
            read_only: true,
            confirm: Confirm::None,
            timeout: 1.0,
        };
        let own = [command("drain", "{group}"), command("fetch", "{topic}")];
        let keymap = Keymap::default().with_commands(&own).unwrap();
        let state = State { commands: Arc::new(Commands::of(&own, Mode::Watch)), ..State::new(keymap) };
        let picture = fixture::picture(Mode::Watch);
        let lines = lines(&state, &picture, fixture::NOW, 100);
        let line = |name: &str| lines.iter().find(|l| l.first().is_some_and(|(_, t)| t.contains(name))).unwrap();
        assert_eq!(line("drain")[0], (Slot::Key, "  D             drain          ".to_owned()));
        assert_eq!(line("drain")[1].1, "What it is for.");
        assert_eq!(line("fetch")[0].0, Slot::Dim, "no topic is under the cursor of the overview");
        let offered = palette::matching("dra", &picture, &state.commands);
        assert_eq!(offered[0].name(), "drain");
    }

    /// The README, the manual and `highwater keys` are held to the same list where they are made.
    #[test]
    fn help_and_palette_say_what_the_keymap_says() {
        let (state, picture) = (State::default(), fixture::picture(Mode::Operate));
        let text = |line: &Line| line.iter().map(|(_, t)| t.as_str()).collect::<String>();
        let lines: Vec<String> = lines(&state, &picture, fixture::NOW, 400).iter().map(text).collect();
        let offered = palette::matching("", &picture, &state.commands);
        for listed in state.keymap.listed() {
            let (name, doc) = (listed.action.name(), listed.action.doc());
            let line = format!("  {:<14}{name:<15}{doc}", listed.keys.join(" "));
            assert_eq!(lines.iter().filter(|l| **l == line).count(), 1, "{line}");
            let own = |item: &&Item| item.name() == name && matches!(item, Item::Action(_));
            assert!(offered.iter().find(own).is_none_or(|item| item.doc() == doc), "{name}");
            let elsewhere = listed.section == Section::Move || listed.action.view().is_some();
            let without = listed.action.is_of_approval() || ["open", "back", "palette"].contains(&name);
            assert_eq!(offered.iter().any(|i| own(&i)), !elsewhere && !without, "{name}");
        }
    }
}
