//! The operator's own commands: which this process may run, about what, and what came of it.

use super::{
    frame::Frame,
    input::Input,
    keymap::Chord,
    rows,
    state::{Pane, State},
};
use crate::{
    model::{Confirm, Entity, Label, Mode, Names, Picture, UserCommand, WorkloadKind, WorkloadView},
    process::{OUTPUT_LIMIT, Output},
};
use std::{sync::Arc, time::Duration};

/// Lines of output that are kept: more than anybody reads in a dialog.
const MOST_LINES: usize = 2_000;
/// Columns of a tab.
const TAB: usize = 8;
/// Characters that are scrubbed at once, below what a [`Label`] cuts.
const PIECE: usize = 100;

/// The commands of the configuration, as far as this process may run them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commands {
    offered: Vec<UserCommand>,
    /// Names of those that it may not.
    withheld: Vec<Label>,
}

impl Commands {
    /// Those that may be run in a mode. A watching process is not even given the argv of a command that is not declared
    /// read-only: there is nothing in it that could be run by mistake.
    pub fn of(all: &[UserCommand], mode: Mode) -> Self {
        let (offered, withheld): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|c| c.read_only || mode == Mode::Operate);
        Self { offered, withheld: withheld.into_iter().map(|c| c.name).collect() }
    }

    /// Those that can be run.
    pub fn offered(&self) -> &[UserCommand] {
        &self.offered
    }

    /// The command of a name, or why it is not run here.
    pub fn get(&self, name: &Label) -> Result<&UserCommand, String> {
        let found = self.offered.iter().find(|c| c.name == *name);
        found.ok_or_else(|| {
            if self.withheld.contains(name) {
                format!("watch is read-only, and {name} is not declared read_only: it runs in `highwater operate`")
            } else {
                format!("there is no command {name}")
            }
        })
    }
}

/// The argv for what is under the cursor, or why it cannot be run now.
pub fn prepare(command: &UserCommand, state: &State, picture: &Picture) -> Result<(Vec<String>, Names), String> {
    if let Some((_, name)) = &state.running {
        return Err(format!("{name} is still running: one command at a time"));
    }
    if !command.read_only && state.frozen.is_some() {
        return Err("the screen is frozen: go on first, so that it runs on what is true now".to_owned());
    }
    let names = names(state.shown(picture), state);
    Ok((command.fill(&names)?, names))
}

/// The names of what is under the cursor.
pub fn names(picture: &Picture, state: &State) -> Names {
    match state.pane() {
        Pane::Groups | Pane::Partitions => {
            let frame = Frame::new(picture, state);
            let Some(group) = frame.group() else { return Names::default() };
            let whole = of_entity(picture, WorkloadKind::ConsumerGroup, group.source, &group.item.group);
            if state.pane() == Pane::Groups {
                return whole;
            }
            let partitions = rows::partitions_of(group);
            let at = rows::cursor(Pane::Partitions, &partitions, state);
            let partition = partitions.get(at).map(|row| row.item);
            Names {
                topic: partition.map(|p| p.topic.clone()),
                partition: partition.map(|p| Label::new(&p.partition.to_string())),
                ..whole
            }
        }
        Pane::Topics => {
            let topics = rows::topics(picture, state);
            let at = rows::cursor(Pane::Topics, &topics, state);
            topics.get(at).map_or_else(Names::default, |row| Names {
                cluster: Some(row.source.clone()),
                topic: Some(row.item.name.clone()),
                ..Names::default()
            })
        }
        Pane::Services => {
            let services = rows::services(picture, state);
            let at = rows::cursor(Pane::Services, &services, state);
            let of = |row: &rows::Row<'_, crate::model::Service>| {
                of_entity(picture, WorkloadKind::Inference, row.source, &row.item.name)
            };
            services.get(at).map_or_else(Names::default, of)
        }
        Pane::Workloads | Pane::Stages | Pane::Alerts | Pane::Actions => {
            rows::current_workload(picture, state).map_or_else(Names::default, |view| of_workload(view))
        }
        _ => Names::default(),
    }
}

/// Of what is seen in a source, whether it is a workload or not.
fn of_entity(picture: &Picture, kind: WorkloadKind, source: &Label, id: &Label) -> Names {
    match picture.workloads.entity(kind, source, id) {
        Some(view) => of_workload(view),
        None => named(&Entity { kind, source: source.clone(), id: id.clone() }),
    }
}

fn named(entity: &Entity) -> Names {
    Names {
        id: Some(entity.id.clone()),
        cluster: Some(entity.source.clone()),
        group: (entity.kind == WorkloadKind::ConsumerGroup).then(|| entity.id.clone()),
        ..Names::default()
    }
}

fn of_workload(view: &WorkloadView) -> Names {
    let object = view.workload.target.as_ref().and_then(|t| t.kubernetes());
    Names {
        workload: Some(view.workload.name.clone()),
        namespace: object.map(|(_, namespace, _)| namespace.clone()),
        target: object.map(|(.., name)| name.clone()),
        ..named(&view.workload.entity)
    }
}

/// An argv as a person reads it: what is more than a plain word stands in quotes, so that one sees where it ends.
pub fn in_words(argv: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@,+%".contains(c);
    let word = |w: &String| if !w.is_empty() && w.chars().all(plain) { w.clone() } else { format!("{w:?}") };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A command that waits for its confirmation.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// What would be run.
    pub command: UserCommand,
    /// With which arguments.
    pub argv: Vec<String>,
    /// The key that opened the dialog; it never confirms.
    pub opener: Chord,
    /// Since when it can be read, on the monotonic clock.
    pub since: Duration,
    /// What must be typed under [`Confirm::TypeName`].
    pub name: Label,
    /// What is typed.
    pub typed: Input,
}

impl Ask {
    /// Whether a name has to be typed.
    pub fn types_name(&self) -> bool {
        self.command.confirm == Confirm::TypeName
    }
}

/// A command that was run, on screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// Which run it is, so that another's end is not taken for its own.
    pub number: u64,
    /// The command's name.
    pub name: Label,
    /// What was run, in words.
    pub words: String,
    /// When it was begun, on the monotonic clock.
    pub began: Duration,
    /// Seconds after which it is ended.
    pub timeout: f64,
    /// How it ended, or why it did not; `None`: it runs.
    pub answer: Option<Result<Arc<Said>, String>>,
}

/// What a program wrote and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Exit code; `None`: ended by a signal.
    pub code: Option<i32>,
    /// Lines of standard output, made harmless.
    pub out: Vec<String>,
    /// Lines of standard error, likewise.
    pub err: Vec<String>,
    /// Whether it wrote more than was kept.
    pub cut: bool,
}

impl Said {
    /// Keeps what can be shown.
    pub fn of(output: &Output) -> Self {
        let (out, more) = harmless(&output.stdout);
        let (err, still_more) = harmless(&output.stderr);
        Self { code: output.code, out, err, cut: more || still_more }
    }

    /// `ended well`, `exited with 3`, `was ended by a signal`.
    pub fn ending(&self) -> String {
        match self.code {
            Some(0) => "ended well".to_owned(),
            Some(code) => format!("exited with {code}"),
            None => "was ended by a signal".to_owned(),
        }
    }
}

/// Lines without control characters; whether some were left out.
fn harmless(bytes: &[u8]) -> (Vec<String>, bool) {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text.lines().take(MOST_LINES).map(line).collect();
    let cut = bytes.len() >= OUTPUT_LIMIT || text.lines().nth(MOST_LINES).is_some();
    (lines, cut)
}

/// A line without control characters; tabs as blanks, up to the next stop of what is shown.
fn line(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for (i, part) in raw.split('\t').enumerate() {
        if i > 0 {
            let used = out.chars().count();
            out.extend(std::iter::repeat_n(' ', TAB - used % TAB));
        }
        let chars: Vec<char> = part.chars().collect();
        out.extend(chars.chunks(PIECE).map(|piece| Label::new(&piece.iter().collect::<String>()).to_string()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_writes_cannot_steer_the_terminal() {
        let stdout = b"NAME\tLAG\n\x1b[2Jfraud\t12\r\n\xff\xfe\n".to_vec();
        let said = Said::of(&Output { code: Some(3), stdout, stderr: "x\n".repeat(3_000).into_bytes() });
        assert_eq!(said.out[0], "NAME    LAG");
        assert_eq!(said.out[1], "\\u{1b}[2Jfraud  12");
        assert!(said.out.iter().chain(&said.err).all(|l| !l.chars().any(char::is_control)));
        assert!(said.cut && said.err.len() == MOST_LINES && said.ending() == "exited with 3");
        let long = "é".repeat(1_000);
        assert_eq!(harmless(long.as_bytes()), (vec![long], false), "a long line is whole");
    }

    #[test]
    fn one_sees_where_each_argument_ends() {
        let argv = ["x", "--group=a", "b c", "", "\"q\""].map(str::to_owned);
        assert_eq!(in_words(&argv), r#"x --group=a "b c" "" "\"q\"""#);
    }
}
