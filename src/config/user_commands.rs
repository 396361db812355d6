//! `[[command]]`: programs of the operator's own.

use super::{Config, reader::Section};
use crate::model::{Confirm, Label, UserCommand, check_argv};

/// Longest that a command may run, seconds: nobody waits longer before a screen.
const LONGEST: f64 = 600.0;

pub(super) fn read(root: &Section<'_>, config: &mut Config) {
    for s in root.list("command") {
        let Some(command) = command(&s) else { continue };
        if config.user_commands.iter().any(|c| c.name == command.name) {
            s.wrong(
                "name",
                format!("{:?} is the name of another command too: names are unique", command.name.as_str()),
            );
        }
        let lines = s.lines();
        let line = lines.get("key").or_else(|| lines.get("name")).copied().unwrap_or_default();
        config.user_commands_at.insert(command.name.clone(), line);
        config.user_commands.push(command);
    }
}

fn command(s: &Section<'_>) -> Option<UserCommand> {
    let name = s.label("name").filter(|name| !name.is_empty());
    if name.is_none() {
        s.wrong("name", "is missing: every command has a unique name, for the palette");
    }
    let given = s.argv("argv");
    match &given {
        Some(argv) => {
            if let Err(why) = check_argv(argv) {
                s.wrong("argv", why);
            }
        }
        None if s.lines().contains_key("argv") => {} // what is wrong with it is said already
        None => s.wrong("argv", "is missing: write argv = [\"/path/to/program\", \"--group={group}\"]"),
    }
    let env = s.texts("env").unwrap_or_default();
    let legal = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if let Some(wrong) = env.iter().find(|name| !legal(name)) {
        s.wrong("env", format!("{wrong:?} is no variable's name: names alone belong here, their values are passed on"));
    }
    let read_only = s.boolean("read_only").unwrap_or_default();
    let timeout = s.duration("timeout").unwrap_or(30.0);
    if !(0.1..=LONGEST).contains(&timeout) {
        s.wrong("timeout", "a time from 100ms to 10m belongs here");
    }
    let confirm = match s.text("confirm") {
        None if read_only => Confirm::None,
        None | Some("key") => Confirm::Yes,
        Some("none") => Confirm::None,
        Some("name") => Confirm::TypeName,
        Some(other) => {
            s.wrong("confirm", format!("{other:?} is not known: none, key or name"));
            Confirm::Yes
        }
    };
    let key = s.text("key").map(str::to_owned);
    let about = s.label("about");
    s.finish();
    let (name, argv) = (name?, given?);
    let about = about.unwrap_or_else(|| Label::new(&format!("Run {}.", argv.first().map_or("", String::as_str))));
    Some(UserCommand { name, key, about, argv, env, read_only, confirm, timeout })
}
