//! The ledger as the approval task sees it: its calls block on the disk, so they run off the async threads.

use super::put_back;
use crate::{
    ledger::Ledger,
    model::{Action, ActionId, ActionState, Actor, Label, LedgerHealth, Lever, Target, Time},
};
use std::{collections::HashMap, path::PathBuf, time::Instant};

/// The ledger, or the reason why there is none; without one nothing is approved.
pub(super) struct Book {
    dir: Option<PathBuf>,
    actor: Actor,
    ledger: Option<Ledger>,
    problem: String,
    /// When each action got its present state, on a clock that nobody can set; those of an earlier run: at the start.
    since: HashMap<ActionId, Instant>,
    start: Instant,
}

impl Book {
    /// Opens the ledger under the state directory.
    pub(super) async fn open(state: Option<PathBuf>, actor: Actor, now: Time) -> Self {
        let dir = state.map(|s| s.join("ledger"));
        let mut book = Self {
            dir,
            actor,
            ledger: None,
            problem: "no state directory: nothing can be recorded".into(),
            since: HashMap::new(),
            start: Instant::now(),
        };
        book.try_open(now).await;
        book
    }

    /// Names the actor of notes.
    pub(super) fn set_actor(&mut self, actor: Actor) {
        self.actor = actor;
    }

    async fn try_open(&mut self, now: Time) {
        let Some(dir) = self.dir.clone() else { return };
        let actor = self.actor.clone();
        match tokio::task::spawn_blocking(move || Ledger::open(&dir, actor, now)).await {
            Ok(Ok(ledger)) => self.ledger = Some(ledger),
            Ok(Err(e)) => self.problem = e.to_string(),
            Err(e) => self.problem = format!("opening the ledger broke: {e}"),
        }
    }

    /// Tries again when there is no ledger: another operator may have ended. Answers with the health when it worked.
    pub(super) async fn reopen(&mut self, now: Time) -> Option<LedgerHealth> {
        if self.ledger.is_some() || self.dir.is_none() {
            return None;
        }
        self.try_open(now).await;
        self.ledger.as_ref().map(Ledger::health)
    }

    pub(super) fn health(&self) -> LedgerHealth {
        match &self.ledger {
            Some(ledger) => ledger.health(),
            None => LedgerHealth { writable: false, detail: Label::new(&self.problem) },
        }
    }

    /// Writes an action down; synced to the disk when this returns `Ok`.
    pub(super) async fn record(&mut self, action: Action) -> Result<(), String> {
        let Some(mut ledger) = self.ledger.take() else { return Err(self.problem.clone()) };
        let id = action.id.clone();
        let written = tokio::task::spawn_blocking(move || {
            let result = ledger.record(&action).map(|_| ()).map_err(|e| e.to_string());
            (ledger, result)
        });
        match written.await {
            Ok((ledger, result)) => {
                self.ledger = Some(ledger);
                self.since.insert(id, Instant::now());
                result
            }
            Err(e) => {
                self.problem = format!("writing the ledger broke: {e}");
                Err(self.problem.clone())
            }
        }
    }

    pub(super) fn action(&self, id: &ActionId) -> Option<Action> {
        self.ledger.as_ref()?.actions().get(id).cloned()
    }

    /// Seconds from the record of an action's present state to `then`; negative when it came after.
    pub(super) fn waited(&self, id: &ActionId, then: Instant) -> f64 {
        let since = self.since.get(id).copied().unwrap_or(self.start);
        match then.checked_duration_since(since) {
            Some(later) => later.as_secs_f64(),
            None => -since.duration_since(then).as_secs_f64(),
        }
    }

    fn actions(&self) -> impl DoubleEndedIterator<Item = &Action> {
        self.ledger.iter().flat_map(|l| l.actions().values())
    }

    /// The newest actions, newest first (identities sort by creation).
    pub(super) fn newest(&self, most: usize) -> Vec<Action> {
        self.actions().rev().take(most).cloned().collect()
    }

    /// Actions to be looked at until they come to rest.
    pub(super) fn to_watch(&self) -> Vec<Action> {
        self.ledger.iter().flat_map(Ledger::to_watch).cloned().collect()
    }

    /// Actions whose time is over.
    pub(super) fn due(&self, now: Time) -> Vec<Action> {
        let due = |a: &&Action| match a.state {
            ActionState::Proposed | ActionState::Approved => now >= a.expires,
            // A look at the target decides first; this is for a target that cannot be looked at.
            ActionState::Applied => a.verify_by.is_some_and(|by| now.since(by) > 60.0),
            _ => false,
        };
        self.actions().filter(due).cloned().collect()
    }

    /// Writes begun since an instant.
    pub(super) fn begun_since(&self, since: Time) -> usize {
        use ActionState::{Expired, Proposed, Rejected, Superseded};
        let begun = |a: &&Action| a.updated >= since && !matches!(a.state, Proposed | Rejected | Expired | Superseded);
        self.actions().filter(begun).count()
    }

    /// Actions that were decided for and have not come to rest, those for later among them.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &Action> {
        use ActionState::{Applied, Applying, Approved, Unknown};
        self.actions().filter(|a| matches!(a.state, Approved | Applying | Applied | Unknown))
    }

    /// The same without those whose time has not come.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = &Action> {
        self.under_way().filter(|a| a.state != ActionState::Approved || a.terms.begin_at.is_none())
    }

    /// Whether a write to a target is on its way or of unknown outcome.
    pub(super) fn is_written(&self, target: &Target) -> bool {
        self.ledger.as_ref().is_some_and(|l| l.under_way(target).is_some())
    }

    /// Approved for an instant that has come.
    pub(super) fn due_to_begin(&self, now: Time) -> Vec<Action> {
        let due = |a: &&Action| a.state == ActionState::Approved && a.terms.begin_at.is_some_and(|at| now >= at);
        self.actions().filter(due).cloned().collect()
    }

    /// Changes whose bound is to be put back and for which nothing does it; see [`put_back::lacking`].
    pub(super) fn to_put_back(&self) -> Vec<(Action, Option<Lever>)> {
        put_back::lacking(|| self.actions())
    }

    /// Ways back that wait for the object that `action` is about.
    pub(super) fn waiting_put_backs(&self, action: &Action) -> Vec<Action> {
        let object = action.terms.lever.as_ref().map(|l| &l.object);
        let waits = |a: &&Action| a.state == ActionState::Approved && a.is_put_back() && a.id != action.id;
        let same = |a: &&Action| a.terms.lever.as_ref().map(|l| &l.object) == object;
        self.actions().filter(waits).filter(same).cloned().collect()
    }

    /// Changes of a target that were taken back since an instant, oldest first: by whom and when. One that was verified
    /// ends the count.
    pub(super) fn reverts(&self, target: &Target, since: Time) -> Vec<(Label, Time)> {
        let mut reverts = Vec::new();
        for action in self.actions().filter(|a| a.target == *target && a.updated >= since) {
            match &action.terms.reverted_by {
                _ if action.state == ActionState::Verified => reverts.clear(),
                Some(by) => reverts.push((by.clone(), action.updated)),
                None => {}
            }
        }
        reverts
    }

    /// A sentence that is about no state of an action; what cannot be written is in the log.
    pub(super) async fn note(&mut self, text: &str, now: Time) {
        let Some(mut ledger) = self.ledger.take() else { return };
        let text = text.to_owned();
        let written = tokio::task::spawn_blocking(move || {
            if let Err(e) = ledger.note(&text, now) {
                tracing::warn!("a note was not written: {e}");
            }
            ledger
        });
        match written.await {
            Ok(ledger) => self.ledger = Some(ledger),
            Err(e) => self.problem = format!("writing the ledger broke: {e}"),
        }
    }

    /// The instant of the newest entry.
    pub(super) fn last_at(&self) -> Option<Time> {
        self.ledger.as_ref()?.last_at()
    }
}
