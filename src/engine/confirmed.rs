//! Which found targets an operator has confirmed: what is only guessed is acted on by nobody before that.
//!
//! Kept as one line of JSON each in `confirmed.jsonl` of the state directory, the newest word last. It is about one
//! workload and one target: where another target is found later, it is a guess again.

use crate::model::{Entity, Found, Label, Target, Time};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// The file's name in the state directory.
pub const FILE: &str = "confirmed.jsonl";

/// An operator's word that a workload runs on a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Confirmation {
    pub(super) at: Time,
    /// Who, as the ledger would name them.
    pub(super) by: Label,
    pub(super) entity: Entity,
    pub(super) target: Target,
}

/// Every word that was given, by workload and target.
#[derive(Clone, Debug, Default)]
pub(super) struct Confirmed(HashMap<(Entity, Target), Confirmation>);

impl Confirmed {
    /// What earlier runs noted, and what of it could not be read, as a sentence.
    pub(super) fn read(dir: &Path) -> (Self, Option<String>) {
        let path = dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Default::default(),
            Err(e) => return (Self::default(), Some(format!("{} cannot be read: {e}", path.display()))),
        };
        let mut confirmed = Self::default();
        let mut bad = 0;
        for line in text.lines() {
            match serde_json::from_str(line) {
                Ok(word) => confirmed.add(word),
                Err(_) => bad += 1,
            }
        }
        let problem =
            format!("{bad} lines of {} are not understood: those links must be confirmed anew", path.display());
        (confirmed, (bad > 0).then_some(problem))
    }

    pub(super) fn add(&mut self, word: Confirmation) {
        self.0.insert((word.entity.clone(), word.target.clone()), word);
    }

    /// Whether somebody said that the workload runs on the target.
    pub(super) fn holds(&self, entity: &Entity, target: &Target) -> bool {
        self.0.contains_key(&(entity.clone(), target.clone()))
    }

    /// What was found, with the operator's word on top of it.
    pub(super) fn settle(&self, entity: &Entity, target: &Target, found: Found) -> Found {
        let Some(word) = self.0.get(&(entity.clone(), target.clone())).filter(|_| !found.certain) else { return found };
        let said = Label::new(&format!("{} confirmed it at {}", word.by, word.at));
        Found { certain: true, because: std::iter::once(said).chain(found.because).collect() }
    }
}

/// Puts a word on disk; it is there when this returns.
pub(super) fn keep(dir: &Path, word: &Confirmation) -> Result<(), String> {
    let path = dir.join(FILE);
    let line = serde_json::to_string(word).map_err(|e| e.to_string())?;
    let written = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).and_then(|mut file| {
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_all()
    });
    written.map_err(|e| format!("{} cannot be written: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WorkloadKind;

    #[test]
    fn a_word_is_about_one_workload_and_one_target_and_outlives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let entity = Entity { kind: WorkloadKind::ConsumerGroup, source: "prod".into(), id: "orders".into() };
        let target: Target = "deploy/shop/web".parse().unwrap();
        let word = Confirmation {
            at: Time::from_secs(1e9),
            by: "alice".into(),
            entity: entity.clone(),
            target: target.clone(),
        };
        assert!(Confirmed::read(dir.path()).1.is_none(), "no file is no problem");
        keep(dir.path(), &word).unwrap();
        std::fs::write(dir.path().join(FILE), fs::read_to_string(dir.path().join(FILE)).unwrap() + "{broken\n")
            .unwrap();
        let (confirmed, problem) = Confirmed::read(dir.path());
        assert!(problem.unwrap().starts_with("1 lines"));
        let settled = confirmed.settle(&entity, &target, Found::guess("its name"));
        assert!(settled.certain && settled.why().starts_with("alice confirmed it at 2001"), "{settled:?}");
        let other: Target = "deploy/shop/other".parse().unwrap();
        assert!(
            !confirmed.settle(&entity, &other, Found::guess("its name")).certain,
            "another target is a guess again"
        );
    }
}
