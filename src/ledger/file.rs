//! The ledger's one writer: appends entries and syncs each to the disk before anything else may happen.

use super::{
    FILE, LOCK,
    entry::{Entry, ROOT, fold_one},
    machine::{self, Event, Transition},
    verify::{Line, Walk, walk},
};
use crate::{
    model::{Action, ActionId, ActionState, Actor, Label, LedgerHealth, Target, Time},
    process::BOUNDARY,
};
use rustix::fs::{FlockOperation, flock};
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Why something could not be recorded. Whatever was to follow the record must not happen.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The system said no.
    #[error("cannot {what} the ledger at {}: {error}", path.display())]
    Io {
        /// `open`, `write`, `sync`, …
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's word.
        error: io::Error,
    },
    /// Another process writes it.
    #[error("the ledger in {} is being written by {holder}: one process operates at a time (the others can watch)", dir.display())]
    Locked {
        /// Which directory.
        dir: PathBuf,
        /// Who, as it wrote of itself.
        holder: String,
    },
    /// It was marked read-only before.
    #[error("the ledger cannot be written: {0}")]
    ReadOnly(String),
    /// The record would tell a story that the state machine does not allow.
    #[error("refused to record that {id} becomes {}{}: the state machine does not allow it", after.name(), before.map_or(String::new(), |b| format!(" after {}", b.name())))]
    Story {
        /// Which action.
        id: ActionId,
        /// Where it stands.
        before: Option<ActionState>,
        /// Where it was to go.
        after: ActionState,
    },
    /// Another action on the same target is under way.
    #[error("{other} is {} on {target}: one action per target at a time", state.name())]
    Busy {
        /// The target.
        target: Target,
        /// The action under way.
        other: ActionId,
        /// Where that one stands.
        state: ActionState,
    },
    /// An entry that cannot be put into JSON (never seen).
    #[error("cannot put an entry into words: {0}")]
    Words(#[from] serde_json::Error),
}

/// The writer. Holds the lock of its directory until dropped. Calls block on the disk: use `spawn_blocking`.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    /// Bytes that it must have: what was read and what was written since.
    length: u64,
    /// Keeps the lock: closing the file gives it up.
    _lock: File,
    seq: u64,
    head: String,
    /// Hash of the first entry; empty: there is none.
    root: String,
    actor: Actor,
    actions: BTreeMap<ActionId, Action>,
    /// The newest instant in it: the time it was written, by a clock that may have been set since.
    last_at: Option<Time>,
    /// Writes that were under way when the last run ended, and the number of the record of their intent.
    interrupted: BTreeMap<ActionId, u64>,
    /// Why nothing may be written any more.
    broken: Option<String>,
}

impl Ledger {
    /// Opens the ledger in `dir` (made when absent, 0700) for writing and brings it to rest: a torn last line is moved
    /// aside, decisions of an earlier run expire, and a write that was under way becomes [`ActionState::Unknown`].
    ///
    /// A ledger whose chain is broken opens read-only: [`Ledger::health`] says where, [`Ledger::record`] refuses.
    pub fn open(dir: &Path, actor: Actor, now: Time) -> Result<Self, LedgerError> {
        let path = dir.join(FILE);
        let fail = |what, error| LedgerError::Io { what, path: path.clone(), error };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| fail("make the directory of", e))?;
        let lock = lock(dir, &actor)?;
        let mut file =
            private(OpenOptions::new().read(true).append(true).create(true), &path).map_err(|e| fail("open", e))?;
        sync_dir(dir).map_err(|e| fail("sync the directory of", e))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|e| fail("read", e))?;
        let Walk { lines, report, torn_at, unterminated } = walk(&bytes);
        let mut ledger = Self {
            path: path.clone(),
            file,
            length: bytes.len() as u64,
            _lock: lock,
            seq: report.entries,
            head: report.head.unwrap_or_else(|| ROOT.to_owned()),
            root: lines.first().map_or_else(String::new, |l| l.hash.to_owned()),
            actor,
            actions: BTreeMap::new(),
            last_at: None,
            interrupted: BTreeMap::new(),
            broken: None,
        };
        let unreadable = ledger.recall(&lines).err();
        if let Some((line, seq, what)) = report.problem.map(|p| (p.line, p.seq, p.what.to_string())).or(unreadable) {
            ledger.broken = Some(format!(
                "line {line} (entry {seq}) of {}: {what}. Find out who changed it; to begin a new chain, move the file away",
                path.display()
            ));
            return Ok(ledger);
        }
        // Behind a clock that was set back the story goes on where it was.
        let now = ledger.last_at.map_or(now, |last| last.max(now));
        if unterminated {
            ledger.write(b"\n")?;
        }
        if let Some(at) = torn_at {
            ledger.move_torn_line_aside(dir, &bytes, at, now)?;
        }
        ledger.rest(now)?;
        Ok(ledger)
    }

    /// Takes the actions from the lines: of each only the first and the last are read in full. What lies between is in
    /// the chain and nothing here needs it, which makes a long ledger open three times as fast.
    ///
    /// # Errors
    /// Line, number and what is wrong with a line that holds the chain and is no entry.
    fn recall(&mut self, lines: &[Line<'_>]) -> Result<(), (u64, u64, String)> {
        let parse = |line: &Line<'_>| {
            let unreadable = |e| (line.number, line.seq, format!("not an entry: {e}"));
            serde_json::from_str::<Entry>(line.text).map_err(unreadable)
        };
        let mut ends: HashMap<&str, (usize, usize)> = HashMap::new();
        for (i, line) in lines.iter().enumerate() {
            if let Some(id) = line.action {
                ends.entry(id).or_insert((i, i)).1 = i;
            }
        }
        for (first, last) in ends.into_values() {
            fold_one(&mut self.actions, &parse(&lines[first])?);
            let last = if last > first { parse(&lines[last])? } else { continue };
            fold_one(&mut self.actions, &last);
            if last.state == Some(ActionState::Applying) {
                self.interrupted.extend(last.action.map(|id| (id, last.seq)));
            }
        }
        self.last_at = lines.last().map(parse).transpose()?.map(|e| e.at);
        Ok(())
    }

    /// The instant of the newest entry.
    pub fn last_at(&self) -> Option<Time> {
        self.last_at
    }

    /// Records the action as it stands now, synced to the disk before this returns, and answers with the entry's number.
    ///
    /// Refused: a step that [`machine::may_follow`] does not know, and a second action under way on one target. After a
    /// failed write nothing more is written by this process: what the disk holds is no longer known.
    pub fn record(&mut self, action: &Action) -> Result<u64, LedgerError> {
        self.record_all(std::slice::from_ref(action))
    }

    /// Records several steps by one write and one sync: all of them, or after a crash the first few.
    pub fn record_all(&mut self, steps: &[Action]) -> Result<u64, LedgerError> {
        for (i, action) in steps.iter().enumerate() {
            let earlier = steps.iter().take(i).rfind(|a| a.id == action.id);
            self.may_record(earlier.or_else(|| self.actions.get(&action.id)).map(|a| a.state), action)?;
        }
        self.append(steps.iter().map(Entry::of_action).collect())
    }

    fn may_record(&self, before: Option<ActionState>, action: &Action) -> Result<(), LedgerError> {
        if !machine::may_follow(before, action.state) {
            return Err(LedgerError::Story { id: action.id.clone(), before, after: action.state });
        }
        if action.state == ActionState::Applying
            && let Some(other) = self.under_way(&action.target)
        {
            let (target, other, state) = (action.target.clone(), other.id.clone(), other.state);
            return Err(LedgerError::Busy { target, other, state });
        }
        Ok(())
    }

    /// Takes another operator's action from the shared ledger into this one, as it stands there, to go on with it.
    ///
    /// An action that is known here already stays as it is.
    pub fn adopt(&mut self, action: &Action) -> Result<(), LedgerError> {
        if !self.actions.contains_key(&action.id) {
            // Its first entry here says who asked, as the first one there does.
            let actor = action.terms.asked_by.clone().unwrap_or_else(|| action.actor.clone());
            self.append(vec![Entry::of_action(&Action { actor, ..action.clone() })])?;
        }
        Ok(())
    }

    /// Writes that were under way when the last run ended, with the number of the record of their intent: what became of
    /// them is looked for, and a claim that the shared ledger never had says that nothing was written.
    pub fn interrupted(&self) -> &BTreeMap<ActionId, u64> {
        &self.interrupted
    }

    /// Number of the last entry.
    pub fn last(&self) -> u64 {
        self.seq
    }

    /// What tells this ledger from every other: the beginning of its first entry's hash. `None`: it is empty.
    pub fn id(&self) -> Option<Label> {
        self.root.get(..16).map(Label::new)
    }

    /// Records a sentence about the ledger or the operator that is about no action.
    pub fn note(&mut self, text: &str, at: Time) -> Result<u64, LedgerError> {
        self.append(vec![Entry::of_note(text, &self.actor, at)])
    }

    /// Every action of this ledger, by its identity.
    pub fn actions(&self) -> &BTreeMap<ActionId, Action> {
        &self.actions
    }

    /// The action whose write is under way or of unknown outcome on `target`.
    pub fn under_way(&self, target: &Target) -> Option<&Action> {
        self.in_flight().find(|a| a.target == *target)
    }

    /// Actions whose write is under way or of unknown outcome.
    pub fn in_flight(&self) -> impl Iterator<Item = &Action> {
        self.actions.values().filter(|a| matches!(a.state, ActionState::Applying | ActionState::Unknown))
    }

    /// Actions that are to be watched: accepted but not yet ready, or of unknown outcome.
    pub fn to_watch(&self) -> impl Iterator<Item = &Action> {
        self.actions.values().filter(|a| matches!(a.state, ActionState::Applied | ActionState::Unknown))
    }

    /// Whether decisions can be recorded, and the number of entries or why not.
    pub fn health(&self) -> LedgerHealth {
        match &self.broken {
            None => LedgerHealth { writable: true, detail: format!("ok, {} entries", self.seq).into() },
            Some(why) => LedgerHealth { writable: false, detail: why.as_str().into() },
        }
    }

    /// Hash of the last entry.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts entries behind the chain; answers with the number of the last.
    fn append(&mut self, mut entries: Vec<Entry>) -> Result<u64, LedgerError> {
        if let Some(why) = &self.broken {
            return Err(LedgerError::ReadOnly(why.clone()));
        }
        let (mut seq, mut head, mut lines) = (self.seq, self.head.clone(), String::new());
        for entry in &mut entries {
            seq += 1;
            lines += &entry.seal(seq, &head)?;
            head.clone_from(&entry.hash);
        }
        self.write(lines.as_bytes())?;
        (self.seq, self.head) = (seq, head);
        for entry in &entries {
            if self.root.is_empty() {
                self.root.clone_from(&entry.hash);
            }
            self.last_at = self.last_at.max(Some(entry.at));
            fold_one(&mut self.actions, entry);
        }
        Ok(seq)
    }

    /// Writes and syncs; after a failure the ledger is closed for writing.
    fn write(&mut self, bytes: &[u8]) -> Result<(), LedgerError> {
        tracing::trace!(target: BOUNDARY, "writing an entry");
        let done = self.unmoved().and_then(|()| self.file.write_all(bytes)).map_err(|e| ("write", e));
        tracing::trace!(target: BOUNDARY, "written, not synced");
        let done = done.and_then(|()| self.file.sync_data().map_err(|e| ("sync", e)));
        tracing::trace!(target: BOUNDARY, "synced");
        self.length += bytes.len() as u64;
        done.map_err(|(what, error)| {
            self.broken =
                Some(format!("could not {what} {}: {error}; start again once that is mended", self.path.display()));
            LedgerError::Io { what, path: self.path.clone(), error }
        })
    }

    /// Whether what is written to is still the ledger that the next run will read: a file that was moved, deleted, cut (by a
    /// log rotation) or written by somebody else takes every entry and keeps none of the story.
    fn unmoved(&self) -> io::Result<()> {
        let (ours, there) = (self.file.metadata()?, fs::metadata(&self.path)?);
        if (ours.dev(), ours.ino(), ours.len()) == (there.dev(), there.ino(), self.length) {
            return Ok(());
        }
        Err(io::Error::other("somebody else moved it, replaced it, cut it or wrote to it since it was opened"))
    }

    /// Keeps the bytes of an unfinished line in a file of their own, cuts the ledger back and says so in it.
    fn move_torn_line_aside(&mut self, dir: &Path, bytes: &[u8], at: usize, now: Time) -> Result<(), LedgerError> {
        let aside = dir.join(format!("ledger.{}.torn", self.seq + 1));
        let fail =
            |path: &Path, error| LedgerError::Io { what: "move aside the torn line of", path: path.into(), error };
        let keep = || {
            let mut torn = private(OpenOptions::new().append(true).create(true), &aside)?;
            torn.write_all(bytes.get(at..).unwrap_or_default())?;
            torn.sync_all()?;
            self.file.set_len(at as u64)?;
            self.file.sync_all()?;
            sync_dir(dir)
        };
        keep().map_err(|e| fail(&aside, e))?;
        self.length = at as u64;
        let text =
            format!("recovered: an unfinished line of {} bytes was moved to {}", bytes.len() - at, aside.display());
        self.note(&text, now)?;
        Ok(())
    }

    /// Brings what an earlier run left behind to rest.
    fn rest(&mut self, now: Time) -> Result<(), LedgerError> {
        let left: Vec<Action> = self.actions.values().filter(|a| !a.state.is_final()).cloned().collect();
        for action in left {
            if let Ok(Transition::To(next)) = machine::next(&action, &Event::Restart, now) {
                self.record(&next)?;
            }
        }
        Ok(())
    }
}

/// Takes the directory's lock, or says who has it.
fn lock(dir: &Path, actor: &Actor) -> Result<File, LedgerError> {
    let path = dir.join(LOCK);
    let fail = |error| LedgerError::Io { what: "lock", path: path.clone(), error };
    let mut file =
        private(OpenOptions::new().read(true).write(true).create(true).truncate(false), &path).map_err(fail)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let known = file.take(200).read_to_string(&mut holder).is_ok() && !holder.is_empty();
            let holder = if known { holder } else { "another process".to_owned() };
            return Err(LedgerError::Locked { dir: dir.into(), holder });
        }
        Err(error) => return Err(fail(error.into())),
    }
    // Who holds it is a help for the next one's message, nothing rests on it.
    let _ = file.set_len(0).and_then(|()| write!(file, "{actor} (process {} on {})", actor.pid, actor.host));
    Ok(file)
}

/// Opens a file that nobody else may read, also when it was there before with other permissions.
fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
