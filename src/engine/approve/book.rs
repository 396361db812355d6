//! The ledger as the approval task sees it: its own, whose calls block on the disk and so run off the async threads, and
//! beside it what other operators have under way, where the ledger is shared.

use super::{effect::Expecting, put_back};
use crate::{
    ledger::{
        Ledger, LedgerError,
        kafka::{HELD_UP, Shared, View},
    },
    model::{Action, ActionId, ActionState, Actor, Label, LedgerHealth, LedgerSettings, Lever, Target, Time},
};
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::Instant,
};
use tokio::sync::watch;

/// The ledger, or the reason why there is none; without one nothing is approved.
pub(super) struct Book {
    dir: Option<PathBuf>,
    actor: Actor,
    ledger: Option<Ledger>,
    problem: String,
    /// When each action got its present state, on a clock that nobody can set; those of an earlier run: when it was opened.
    since: HashMap<ActionId, Instant>,
    start: Instant,
    settings: LedgerSettings,
    shared: Option<(Arc<Shared>, watch::Receiver<View>)>,
    /// Why it is not shared although it should be.
    unshared: Option<String>,
    /// Actions that other operators carry, as the shared ledger has them.
    others: BTreeMap<ActionId, Other>,
}

/// An action of another operator.
#[derive(Clone, Debug)]
pub(super) struct Other {
    pub(super) action: Action,
    /// When we learned of its present state.
    pub(super) since: Instant,
}

impl Book {
    /// Opens the ledger under the state directory.
    pub(super) async fn open(state: Option<PathBuf>, settings: LedgerSettings, actor: Actor, now: Time) -> Self {
        let dir = state.map(|s| s.join("ledger"));
        let mut book = Self {
            dir,
            actor,
            ledger: None,
            problem: "no state directory: nothing can be recorded".into(),
            since: HashMap::new(),
            start: Instant::now(),
            settings,
            shared: None,
            unshared: None,
            others: BTreeMap::new(),
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
            Ok(Ok(ledger)) => {
                self.ledger = Some(ledger);
                // What it tells of was begun up to now: another operator may have held it until a moment ago.
                self.start = Instant::now();
                self.since.clear();
            }
            Ok(Err(e)) => self.problem = e.to_string(),
            Err(e) => self.problem = format!("opening the ledger broke: {e}"),
        }
        self.share(now).await;
    }

    /// Joins the shared ledger, where one is configured and the own one can be written.
    async fn share(&mut self, now: Time) {
        let Some(kafka) = self.settings.kafka.clone() else { return };
        if self.ledger.as_ref().is_some_and(|l| l.id().is_none()) {
            self.note(&format!("a ledger begins; it is shared on kafka {}", kafka.name), now).await;
        }
        let (Some(dir), Some(ledger)) = (&self.dir, self.ledger.as_ref().filter(|l| l.health().writable)) else {
            return;
        };
        let Some(id) = ledger.id() else { return };
        match Shared::open(&self.settings, dir, id, ledger.last()) {
            Ok(shared) => {
                let view = shared.view();
                self.shared = Some((Arc::new(shared), view));
                self.unshared = None;
            }
            Err(why) => self.unshared = Some(why),
        }
    }

    /// The shared ledger.
    pub(super) fn shared(&self) -> Option<Arc<Shared>> {
        self.shared.as_ref().map(|(shared, _)| shared.clone())
    }

    /// Whether decisions are shared with other operators now: `None`: nobody asked for it; an error says why not.
    pub(super) fn link(&self) -> Option<Result<(), Label>> {
        match (&self.shared, &self.unshared) {
            (Some((_, view)), _) => Some(view.borrow().link()),
            (None, Some(why)) => Some(Err(Label::new(why))),
            (None, None) => self.settings.kafka.is_some().then(|| Err("the own ledger cannot be written".into())),
        }
    }

    /// Whether nothing is read of the shared ledger for a while although its brokers answer.
    pub(super) fn is_held_up(&self) -> bool {
        self.shared.as_ref().is_some_and(|(_, view)| view.borrow().held_up)
    }

    /// Waits until the shared ledger has news; for ever where there is none.
    pub(super) async fn changed(&mut self) {
        match &mut self.shared {
            // The sender lives as long as the threads; when they have ended there are no more news.
            Some((_, view)) => {
                if view.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            None => std::future::pending().await,
        }
    }

    /// Takes over what the shared ledger has of other operators; answers with those that are new or moved.
    pub(super) fn refresh(&mut self, now: Time) -> Vec<Action> {
        let Some((shared, view)) = &mut self.shared else { return Vec::new() };
        let arbiter = view.borrow_and_update().arbiter.clone();
        let own = self.ledger.as_ref().map(Ledger::actions);
        let mut others = BTreeMap::new();
        for (id, held) in arbiter.held().iter().filter(|(_, h)| h.ledger != *shared.ledger()) {
            // What this operator has taken over or has decided about is told by its own ledger until it is over.
            let decided = |a: &Action| a.state != ActionState::Proposed && !a.state.is_final();
            let ours = own.and_then(|a| a.get(id)).is_some_and(decided);
            if !ours || held.action.state.is_final() {
                others.insert(id.clone(), Other { action: lapsed(&held.action, now), since: held.since });
            }
        }
        let moved = |o: &&Other| self.others.get(&o.action.id).is_none_or(|b| b.action.state != o.action.state);
        let news = others.values().filter(moved).map(|o| o.action.clone()).collect();
        self.others = others;
        news
    }

    /// What others carry.
    pub(super) fn others(&self) -> impl Iterator<Item = &Other> {
        self.others.values()
    }

    /// Whether somebody else carries it.
    pub(super) fn is_others(&self, id: &ActionId) -> bool {
        self.others.contains_key(id)
    }

    /// Takes another operator's action into the own ledger, to go on with it here.
    pub(super) async fn adopt(&mut self, action: Action) -> Result<(), String> {
        let id = action.id.clone();
        self.others.remove(&id);
        self.write(&id, move |ledger| ledger.adopt(&action)).await
    }

    /// Number of the last entry of the own ledger.
    pub(super) fn last(&self) -> u64 {
        self.ledger.as_ref().map_or(0, Ledger::last)
    }

    /// Why the write of an action that an earlier run left open was certainly never made; `None`: it may have been.
    pub(super) fn never_begun(&self, action: &Action) -> Option<Label> {
        if action.state != ActionState::Unknown || action.terms.alone {
            return None;
        }
        let seq = self.ledger.as_ref()?.interrupted().get(&action.id)?;
        let (shared, view) = self.shared.as_ref()?;
        view.borrow().earlier_claim(shared.ledger(), *seq)?.err()
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
            Some(ledger) => {
                let mut health = ledger.health();
                let shared = match self.link() {
                    None => String::new(),
                    Some(Err(why)) => format!("; not shared: {why}"),
                    Some(Ok(())) => {
                        let seen =
                            |(_, v): &(_, watch::Receiver<View>)| (v.borrow().arbiter.ledgers(), v.borrow().strange);
                        let (ledgers, strange) = self.shared.as_ref().map_or((0, 0), seen);
                        let held_up = if self.is_held_up() { format!("; {HELD_UP}") } else { String::new() };
                        let strange = match strange {
                            0 => String::new(),
                            n => format!("; {n} of its records cannot be read: see highwater ledger verify --shared"),
                        };
                        format!("; shared, {ledgers} operators' ledgers{strange}{held_up}")
                    }
                };
                health.detail = Label::new(&format!("{}{shared}", health.detail));
                health
            }
            None => LedgerHealth { writable: false, detail: Label::new(&self.problem) },
        }
    }

    /// Writes the steps of an action down; synced to the disk when this returns `Ok`, and on its way to the other
    /// operators.
    pub(super) async fn record(&mut self, id: &ActionId, steps: Vec<Action>) -> Result<(), String> {
        self.write(id, move |ledger| ledger.record_all(&steps).map(|_| ())).await
    }

    async fn write(
        &mut self,
        id: &ActionId,
        how: impl FnOnce(&mut Ledger) -> Result<(), LedgerError> + Send + 'static,
    ) -> Result<(), String> {
        let Some(mut ledger) = self.ledger.take() else { return Err(self.problem.clone()) };
        let written = tokio::task::spawn_blocking(move || {
            let result = how(&mut ledger).map_err(|e| e.to_string());
            (ledger, result)
        });
        match written.await {
            Ok((ledger, result)) => {
                self.publish(&ledger);
                self.ledger = Some(ledger);
                if result.is_ok() {
                    self.since.insert(id.clone(), Instant::now());
                }
                result
            }
            Err(e) => {
                self.problem = format!("writing the ledger broke: {e}");
                Err(self.problem.clone())
            }
        }
    }

    fn publish(&self, ledger: &Ledger) {
        if let Some((shared, _)) = &self.shared {
            shared.publish(ledger.last());
        }
    }

    pub(super) fn action(&self, id: &ActionId) -> Option<Action> {
        self.others.get(id).map(|o| o.action.clone()).or_else(|| self.own(id))
    }

    /// An action as the own ledger has it.
    pub(super) fn own(&self, id: &ActionId) -> Option<Action> {
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

    /// Whether an action got its present state in an earlier run.
    pub(super) fn is_of_earlier_run(&self, id: &ActionId) -> bool {
        !self.since.contains_key(id)
    }

    /// Those that this operator carries.
    fn mine(&self) -> impl DoubleEndedIterator<Item = &Action> {
        self.ledger.iter().flat_map(|l| l.actions().values()).filter(|a| !self.others.contains_key(&a.id))
    }

    /// Everybody's.
    fn actions(&self) -> impl Iterator<Item = &Action> {
        self.mine().chain(self.others.values().map(|o| &o.action))
    }

    /// The newest actions, newest first (identities sort by creation).
    pub(super) fn newest(&self, most: usize) -> Vec<Action> {
        let mut newest: Vec<&Action> = self.mine().rev().take(most).collect();
        newest.extend(self.others.values().rev().take(most).map(|o| &o.action));
        newest.sort_by(|a, b| b.id.cmp(&a.id));
        newest.into_iter().take(most).cloned().collect()
    }

    /// Actions to be looked at until they come to rest.
    pub(super) fn to_watch(&self) -> Vec<Action> {
        self.mine().filter(|a| matches!(a.state, ActionState::Applied | ActionState::Unknown)).cloned().collect()
    }

    /// Actions whose time is over.
    pub(super) fn due(&self, now: Time) -> Vec<Action> {
        let due = |a: &&Action| match a.state {
            ActionState::Proposed | ActionState::Approved => now >= a.expires,
            // A look at the target decides first; this is for a target that cannot be looked at.
            ActionState::Applied => a.verify_by.is_some_and(|by| now.since(by) > 60.0),
            _ => false,
        };
        self.mine().filter(due).cloned().collect()
    }

    /// Writes begun since an instant, and those that came to rest since. What waits for its time is not begun.
    pub(super) fn begun_since(&self, since: Time) -> usize {
        use ActionState::{Expired, Proposed, Rejected, Superseded};
        let is_begun = |a: &Action| !matches!(a.state, Proposed | Rejected | Expired | Superseded) && !is_for_later(a);
        self.actions().filter(|a| a.updated >= since && is_begun(a)).count()
    }

    /// Actions that were decided for and have not come to rest, those for later among them.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &Action> {
        use ActionState::{Applied, Applying, Approved, Unknown};
        self.actions().filter(|a| matches!(a.state, Approved | Applying | Applied | Unknown))
    }

    /// The same without those whose time has not come.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = &Action> {
        self.under_way().filter(|a| !is_for_later(a))
    }

    /// Whether a write to a target is on its way or of unknown outcome.
    pub(super) fn is_written(&self, target: &Target) -> bool {
        use ActionState::{Applying, Unknown};
        self.actions().any(|a| matches!(a.state, Applying | Unknown) && a.target == *target)
    }

    /// Whether another operator approved it for an instant that has not come.
    pub(super) fn waits_elsewhere(&self, action: &Action) -> bool {
        is_for_later(action) && self.is_others(&action.id)
    }

    /// What this operator approved for an instant that has not come.
    pub(super) fn waiting(&self) -> Vec<Action> {
        self.mine().filter(|a| is_for_later(a)).cloned().collect()
    }

    /// Approved for an instant that has come.
    pub(super) fn due_to_begin(&self, now: Time) -> Vec<Action> {
        let due = |a: &&Action| a.state == ActionState::Approved && a.terms.begin_at.is_some_and(|at| now >= at);
        self.mine().filter(due).cloned().collect()
    }

    /// What changes that an earlier run verified should do, where it is not yet time to look.
    pub(super) fn expecting(&self, now: Time) -> Vec<Expecting> {
        self.mine().filter_map(Expecting::of).filter(|e| e.expects.due > now).collect()
    }

    /// Changes whose bound is to be put back and for which nothing does it; see [`put_back::lacking`].
    pub(super) fn to_put_back(&self) -> Vec<(Action, Option<Lever>)> {
        put_back::lacking(|| self.mine())
    }

    /// Ways back that wait for the object that `action` is about.
    pub(super) fn waiting_put_backs(&self, action: &Action) -> Vec<Action> {
        let object = action.terms.lever.as_ref().map(|l| &l.object);
        let waits = |a: &&Action| a.state == ActionState::Approved && a.is_put_back() && a.id != action.id;
        let same = |a: &&Action| a.terms.lever.as_ref().map(|l| &l.object) == object;
        self.mine().filter(waits).filter(same).cloned().collect()
    }

    /// Changes of a target that were taken back since an instant, oldest first: by whom and when. One that was verified
    /// ends the count.
    pub(super) fn reverts(&self, target: &Target, since: Time) -> Vec<(Label, Time)> {
        let mut reverts = Vec::new();
        let mut of_target: Vec<&Action> =
            self.actions().filter(|a| a.target == *target && a.updated >= since).collect();
        of_target.sort_by_key(|a| &a.id);
        for action in of_target {
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
            Ok(ledger) => {
                self.publish(&ledger);
                self.ledger = Some(ledger);
            }
            Err(e) => self.problem = format!("writing the ledger broke: {e}"),
        }
    }

    /// The instant of the newest entry.
    pub(super) fn last_at(&self) -> Option<Time> {
        self.ledger.as_ref()?.last_at()
    }
}

/// Approved for an instant that has not come.
fn is_for_later(action: &Action) -> bool {
    action.state == ActionState::Approved && action.terms.begin_at.is_some()
}

/// What was not begun in time is over, whether its operator is still there to say so or not.
fn lapsed(action: &Action, now: Time) -> Action {
    let mut action = action.clone();
    if matches!(action.state, ActionState::Proposed | ActionState::Approved) && now >= action.expires {
        action.state = ActionState::Expired;
        action.reason = Label::new(&format!("not begun by {}", action.expires));
    }
    action
}
