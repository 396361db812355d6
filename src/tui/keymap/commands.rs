//! Keys of the operator's own commands.

use super::{Chord, Keymap};
use crate::{
    model::{Label, UserCommand},
    tui::action::Action,
};

impl Keymap {
    /// With the keys of these commands. None is taken from an action: what a key does by default an operator may have in
    /// their hands. Errors are sentences, each with the command that it is about.
    pub fn with_commands(mut self, commands: &[UserCommand]) -> Result<Self, Vec<(Label, String)>> {
        let mut errors = Vec::new();
        for command in commands {
            let mut wrong = |what: String| errors.push((command.name.clone(), what));
            if Action::parse(command.name.as_str()).is_some() {
                wrong(format!("{} is what the program itself calls an action: choose another name", command.name));
            }
            match command.key.as_deref().map(|key| self.own(key, command)) {
                Some(Ok(chord)) => self.commands.push((chord, command.name.clone())),
                Some(Err(why)) => wrong(why),
                None => {}
            }
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }

    /// The chord of a command's key, if it may have it.
    fn own(&self, key: &str, command: &UserCommand) -> Result<Chord, String> {
        let chord: Chord = key.parse()?;
        if !command.read_only && (chord.is_modified() || chord.typed().is_none_or(|c| c == ' ')) {
            return Err(format!(
                "{key:?} may not run it: what is not read-only needs a plain letter, for shells and multiplexers own the others"
            ));
        }
        if let Some((action, _)) = self.keys.iter().find(|(_, chords)| chords.contains(&chord)) {
            let name = action.name();
            return Err(format!(
                "the key {chord} is bound to {name}: choose another, or unbind it with {name} = \"\" under [keys]"
            ));
        }
        match self.command(chord) {
            Some(other) => Err(format!("the key {chord} runs the command {other} already")),
            None => Ok(chord),
        }
    }

    /// The command that a key runs.
    pub fn command(&self, chord: Chord) -> Option<&Label> {
        self.commands.iter().find(|(own, _)| *own == chord).map(|(_, name)| name)
    }

    /// The key of a command.
    pub fn command_key(&self, name: &Label) -> Option<String> {
        self.commands.iter().find(|(_, own)| own == name).map(|(chord, _)| chord.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Confirm;

    fn command(name: &str, key: &str, read_only: bool) -> UserCommand {
        UserCommand {
            name: Label::new(name),
            key: Some(key.to_owned()),
            about: Label::default(),
            argv: vec!["x".to_owned()],
            env: Vec::new(),
            read_only,
            confirm: Confirm::Yes,
            timeout: 1.0,
        }
    }

    #[test]
    fn a_command_takes_no_key_from_anybody() {
        let own = [command("lag", "ctrl-d", true), command("drain", "D", false)];
        let keymap = Keymap::default().with_commands(&own).unwrap();
        assert_eq!(keymap.command("ctrl-d".parse().unwrap()), Some(&own[0].name));
        assert_eq!(keymap.command_key(&own[1].name).as_deref(), Some("D"));
        let wrong = [
            command("quit", "D", false),
            command("again", "D", true),
            command("columns-of-mine", "C", true),
            command("drain", "ctrl-x", false),
            command("odd", "hyper-x", true),
        ];
        let errors = Keymap::default().with_commands(&wrong).unwrap_err();
        let told: Vec<String> = errors.iter().map(|(name, why)| format!("{name}: {why}")).collect();
        let told = told.join("\n");
        for part in [
            "quit: quit is what the program itself calls",
            "again: the key D runs the command quit already",
            "columns-of-mine: the key C is bound to columns: choose another, or unbind it with columns = \"\"",
            "drain: \"ctrl-x\" may not run it",
            "odd: \"hyper-x\" is no key",
        ] {
            assert!(told.contains(part), "{part} is missing in\n{told}");
        }
    }
}
