//! Scales by running a configured argv. Never a shell; names are checked before they become arguments.
//!
//! Exit codes of the apply command: 0 done, 10 nothing to do, 75 (`EX_TEMPFAIL`) certainly not done. Any other, a
//! signal or a deadline: nobody knows.

use super::{Change, Outcome, Plan, Seen};
use crate::{
    model::{CommandSettings, Label, Replicas},
    process::{Clock, Output, RunError, run},
};
use std::{collections::BTreeMap, time::Duration};

const DONE: i32 = 0;
const NOTHING_TO_DO: i32 = 10;
const CERTAINLY_NOT_DONE: i32 = 75;

/// The configured commands by name.
#[derive(Clone, Debug)]
pub(super) struct Commands {
    by_name: BTreeMap<Label, CommandSettings>,
    clock: Clock,
}

impl Commands {
    pub(super) fn new(commands: &[CommandSettings], clock: Clock) -> Self {
        Self { by_name: commands.iter().map(|c| (c.name.clone(), c.clone())).collect(), clock }
    }

    fn get(&self, name: &Label) -> Result<&CommandSettings, String> {
        self.by_name.get(name).ok_or_else(|| format!("there is no [actuator.command.{name}] in the configuration"))
    }

    pub(super) async fn plan(&self, name: &Label, change: &Change) -> Plan {
        let prepared = self.get(name).and_then(|c| Ok((c, fill(&c.apply, name, Some(change))?)));
        let (command, argv) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => return Plan::impossible(why),
        };
        let mut refused = Vec::new();
        let found = match self.check_count(command, change).await {
            Ok(found) => found,
            Err(why) => {
                refused.push(Label::new(&why));
                String::new()
            }
        };
        let dry_run = self.dry_run(command, change, &found).await;
        if let Err(why) = &dry_run {
            refused.push(why.clone());
        }
        Plan {
            request: std::iter::once(in_words(&argv))
                .chain(environment(change, false).iter().map(|(k, v)| format!("{k}={v}").into()))
                .collect(),
            owner: "whatever stands behind the command".into(),
            identity: "the user that this program runs as".into(),
            dry_run,
            refused,
            offers: Vec::new(),
        }
    }

    /// Finds the count that was on screen, as far as the command can say.
    async fn check_count(&self, command: &CommandSettings, change: &Change) -> Result<String, String> {
        if command.observe.is_none() {
            return Ok("the present count is not known: there is no observe command".to_owned());
        }
        stale_count(self.count(command).await?, change)
    }

    async fn dry_run(&self, command: &CommandSettings, change: &Change, found: &str) -> Result<Label, Label> {
        let Some(template) = &command.dry_run else {
            return Ok(format!("not tried: there is no dry_run command; {found}").into());
        };
        let argv = fill(template, &command.name, Some(change))?;
        match run(&argv, &environment(change, true), deadline(command)).await {
            Ok(Output { code: Some(DONE | NOTHING_TO_DO), .. }) => Ok(format!("accepted; {found}").into()),
            Ok(output) => Err(format!("the dry run {}", ending(&output)).into()),
            Err(error) => Err(error.to_string().into()),
        }
    }

    pub(super) async fn apply(&self, name: &Label, change: &Change) -> Outcome {
        let prepared = self.get(name).and_then(|c| Ok((c, fill(&c.apply, name, Some(change))?)));
        let (command, argv) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => return Outcome::Refused(why.into()),
        };
        if let Err(why) = self.check_count(command, change).await {
            return Outcome::Refused(why.into());
        }
        judge(&run(&argv, &environment(change, false), deadline(command)).await)
    }

    async fn count(&self, command: &CommandSettings) -> Result<u32, String> {
        let name = &command.name;
        let template = command.observe.as_deref();
        let template = template.ok_or_else(|| format!("[actuator.command.{name}] has no observe command"))?;
        let argv = fill_observe(template, name)?;
        let env = [("SCALE_TARGET", name.as_str().to_owned())];
        let output = run(&argv, &env, deadline(command)).await.map_err(|e| e.to_string())?;
        parse_count(name, &output)
    }

    pub(super) async fn observe(&self, name: &Label) -> Result<Seen, String> {
        let count = self.count(self.get(name)?).await?;
        // A command says one number: what it reports is both asked for and there.
        let replicas = Replicas {
            desired: count,
            ready: count,
            at: self.clock.now(),
            origin: format!("command {name}").into(),
            uid: None,
        };
        Ok(Seen { replicas, writer: None, lever: None })
    }
}

/// The count as it was found, or how it differs from the one on screen.
pub(super) fn stale_count(count: u32, change: &Change) -> Result<String, String> {
    if count == change.from {
        Ok(format!("the present count is {count}"))
    } else {
        Err(format!("the count is {count}, not the {} that was on screen: look again", change.from))
    }
}

fn deadline(command: &CommandSettings) -> Duration {
    Duration::from_secs_f64(command.timeout.clamp(0.1, 3600.0))
}

/// How a run of the apply command counts.
fn judge(result: &Result<Output, RunError>) -> Outcome {
    match result {
        Ok(Output { code: Some(DONE | NOTHING_TO_DO), .. }) => Outcome::Applied,
        Ok(output @ Output { code: Some(CERTAINLY_NOT_DONE), .. }) => {
            Outcome::Refused(format!("the command {}", ending(output)).into())
        }
        Ok(output) => Outcome::Unknown(format!("the command {}", ending(output)).into()),
        Err(error @ RunError::Start { .. }) => Outcome::Refused(error.to_string().into()),
        Err(error) => Outcome::Unknown(error.to_string().into()),
    }
}

/// `exited with 3: cannot reach the pool`, with the last line that it wrote to standard error.
fn ending(output: &Output) -> String {
    let how = output.code.map_or("was ended by a signal".to_owned(), |code| format!("exited with {code}"));
    let said = String::from_utf8_lossy(&output.stderr);
    match said.lines().rfind(|l| !l.trim().is_empty()) {
        Some(line) => format!("{how}: {}", line.trim()),
        None => how,
    }
}

/// The variables that a command gets beside its argv.
fn environment(change: &Change, dry_run: bool) -> [(&'static str, String); 6] {
    let name = change.target.to_string();
    let name = name.strip_prefix("command/").unwrap_or(&name);
    [
        ("SCALE_ACTION_ID", change.action.to_string()),
        ("SCALE_TARGET", name.to_owned()),
        ("SCALE_FROM", change.from.to_string()),
        ("SCALE_TO", change.to.to_string()),
        ("SCALE_DRY_RUN", u8::from(dry_run).to_string()),
        ("SCALE_REASON", change.reason.to_string()),
    ]
}

/// An argv as a person reads it: JSON shows where each element begins and ends.
fn in_words(argv: &[String]) -> Label {
    let words: Vec<String> = argv.iter().map(|w| serde_json::Value::from(w.as_str()).to_string()).collect();
    format!("[{}]", words.join(", ")).into()
}

pub(super) fn fill_observe(template: &[String], name: &Label) -> Result<Vec<String>, String> {
    fill(template, name, None)
}

/// Replaces the placeholders inside each element. `{from}` and `{to}` exist only where there is a change.
fn fill(template: &[String], name: &Label, change: Option<&Change>) -> Result<Vec<String>, String> {
    if template.first().is_none_or(String::is_empty) {
        return Err(format!("[actuator.command.{name}] names no program"));
    }
    let name = safe_argument(name.as_str())?;
    let fill_one = |word: &String| {
        let word = word.replace("{target}", name);
        match change {
            Some(c) => word.replace("{to}", &c.to.to_string()).replace("{from}", &c.from.to_string()),
            None => word,
        }
    };
    Ok(template.iter().map(fill_one).collect())
}

/// A name that may become (part of) an argument: `^[A-Za-z0-9._-]{1,253}$` and no leading dash, so that it can be
/// neither an option nor anything that a careless script would evaluate.
pub(super) fn safe_argument(name: &str) -> Result<&str, String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if (1..=253).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(legal) {
        Ok(name)
    } else {
        Err(format!("{name:?} cannot be an argument of a command: use letters, digits, dot, dash and underscore"))
    }
}

/// The count that an observe command printed.
pub(super) fn parse_count(name: &Label, output: &Output) -> Result<u32, String> {
    if output.code != Some(0) {
        return Err(format!("the observe command of {name} {}", ending(output)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let text = text.trim();
    text.parse().map_err(|_| {
        format!("the observe command of {name} printed {:?} where a count belongs", Label::new(text).as_str())
    })
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
