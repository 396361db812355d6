//! Carries decisions out: checks, dry run, intent on disk, one conditional write, verification. One task owns the
//! ledger and the actuators; it exists in operate mode only.
//!
//! ```text
//! Prepare, Undo ─▶ checks ─▶ plan (server's dry run) ─▶ Proposed on disk ─▶ dialog            (prepare.rs)
//! Confirm ─▶ checks and plan again ─▶ Approved, Applying on disk (fsync) ─▶ one write          (carry.rs)
//! ConfirmAt ─▶ Approved on disk ─▶ … its time comes ─▶ everything checked again ─▶ as above
//! every 2 s ─▶ look at the target ─▶ Verified | Failed;  Unknown is looked for, never written again
//! ready ─▶ 2 min ─▶ has the lag reacted as predicted?                                          (effect.rs)
//! ```
//!
//! No target is waited for at the desk: each is asked in a task of its own (`ask.rs`), and so one that hangs holds nobody
//! else up. Only for the Lease on a target that just answered the desk waits, seconds at most (`share.rs`).

mod ask;
mod book;
mod carry;
mod checks;
mod confirm_link;
mod effect;
mod identity;
mod prepare;
mod put_back;
mod share;
mod share_second;

pub use share::{BEGIN_WITHIN, Gate};

use super::{Options, confirmed::Confirmed, run::Event};
use crate::{
    act::{Actuator, Change, Leases, Outcome, Seen},
    ledger::{
        Forward,
        machine::{self, Event as Step, Transition},
    },
    model::{
        Action, ActionId, ActionState, Actor, Intent, Label, Picture, PlanHash, Prepared, Recommendation, Severity,
        Target, Time, Unprepared, WorkloadView,
    },
};
use book::Book;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time,
};

/// How often targets of unfinished actions are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// A rejected plan is not shown as needing somebody again for this long, seconds.
const AFTER_REJECT: f64 = 900.0;
/// Actions that a picture carries, newest first.
const SHOWN: usize = 500;

/// Runs until the intents' sender is dropped; a write under way is waited for.
pub(super) async fn run(
    options: Options,
    pictures: watch::Receiver<Arc<Picture>>,
    mut intents: mpsc::Receiver<Intent>,
    events: mpsc::Sender<Event>,
) {
    let mut desk = Desk::new(options, pictures, events).await;
    desk.introduce().await;
    let mut look = time::interval(LOOK);
    look.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            intent = intents.recv() => match intent {
                // Who decides is not known before the cluster has said who we are.
                Some(intent) if !desk.connecting.is_empty() => desk.early.push(intent),
                Some(intent) => desk.hear(intent).await,
                None => break,
            },
            Some(connected) = desk.connecting.join_next() => desk.connected(connected).await,
            Some(asked) = desk.dialogs.join_next() => Box::pin(desk.answered(asked)).await, // too big for the stack
            Some(asked) = desk.last_looks.join_next() => Box::pin(desk.answered(asked)).await,
            Some(done) = desk.writes.join_next() => desk.written(done).await,
            Some(seen) = desk.looks.join_next() => desk.looked(seen).await,
            () = desk.book.changed() => desk.hear_others().await,
            _ = look.tick() => desk.tick().await,
        }
    }
    desk.leave_prepared("left undecided: the program ended").await;
    while let Some(asked) = desk.last_looks.join_next().await {
        Box::pin(desk.answered(asked)).await;
    }
    while let Some(done) = desk.writes.join_next().await {
        desk.written(done).await;
    }
    desk.leave_waiting().await;
    desk.part().await;
}

/// Waits for the task's end: an intent that is on disk should get its outcome beside it. Whether it did.
pub(super) async fn finish(task: JoinHandle<()>) -> bool {
    let ended = time::timeout(Duration::from_secs(4), task).await.is_ok();
    if !ended {
        tracing::warn!("a write is still under way: its outcome will be looked for at the next start");
    }
    ended
}

async fn tell(events: &mpsc::Sender<Event>, severity: Severity, text: String) {
    // The engine has ended: nobody is left to be told.
    let _ = events.send(Event::Notice(severity, text)).await;
}

/// The time of decisions: it never goes back, and it knows when the machine's clock did.
struct DeskClock {
    forward: Forward,
    begun: Instant,
    clock: crate::process::Clock,
}

impl DeskClock {
    fn uptime(&self) -> f64 {
        self.begun.elapsed().as_secs_f64() * self.clock.speed()
    }

    fn now(&mut self) -> Time {
        let (wall, uptime) = (self.clock.now(), self.uptime());
        self.forward.at(wall, uptime)
    }

    /// A ledger was opened: what it tells of has been.
    fn not_before(&mut self, last: Time) {
        let uptime = self.uptime();
        self.forward.at(last, uptime);
    }

    fn behind(&self) -> Option<f64> {
        self.forward.behind(self.clock.now(), self.uptime())
    }
}

type Written = (ActionId, Outcome);
type Looked = (ActionId, Instant, Result<Seen, String>);

struct Desk {
    options: Options,
    clock: DeskClock,
    actor: Actor,
    pictures: watch::Receiver<Arc<Picture>>,
    events: mpsc::Sender<Event>,
    book: Book,
    actuator: Actuator,
    prepared: Option<(Prepared, Action)>,
    writes: JoinSet<Written>,
    looks: JoinSet<Looked>,
    /// The first connection to the cluster, as long as it is being made; what was asked for meanwhile.
    connecting: JoinSet<ask::Connected>,
    early: Vec<Intent>,
    /// What targets are asked for a dialog: only what was asked for last is of interest.
    dialogs: JoinSet<ask::Asked>,
    /// What they are asked right before a write, and for which actions.
    last_looks: JoinSet<ask::Asked>,
    asking: HashSet<ActionId>,
    /// What verified changes should have done by now.
    expecting: Vec<effect::Expecting>,
    leases: Option<Leases>,
    /// The Lease that is held while a dialog is open.
    deciding: Option<share::Deciding>,
    /// Those that are being given up.
    giving_up: JoinSet<()>,
    /// It was said that there is no Lease.
    said_no_lease: bool,
    /// How the shared ledger was when it was last spoken of.
    link: Option<Result<(), Label>>,
    /// Nothing was read of it although its brokers answered.
    held_up: bool,
    /// What could not be begun when its time had come: when that was found, and why.
    held_back: HashMap<ActionId, (Instant, String)>,
    /// Targets of actions that could not be looked at, and why, as it was said last.
    unseen: HashMap<ActionId, String>,
    /// Found targets that an operator confirmed.
    confirmed: Confirmed,
}

impl Desk {
    async fn new(options: Options, pictures: watch::Receiver<Arc<Picture>>, events: mpsc::Sender<Event>) -> Self {
        let actor = identity::actor();
        let now = options.clock.now();
        let book = Book::open(options.state.clone(), options.config.ledger.clone(), actor.clone(), now).await;
        let start = book.last_at().map_or(now, |last| last.max(now));
        let clock = DeskClock { forward: Forward::new(start), begun: Instant::now(), clock: options.clock };
        let mut connecting = JoinSet::new();
        let actuator = ask::unconnected(&options);
        if actuator.lost_kubernetes().is_some() {
            let options = options.clone();
            connecting.spawn(async move { ask::connect(&options).await });
        }
        let confirmed = options.state.as_deref().map(|dir| Confirmed::read(dir).0).unwrap_or_default();
        let expecting = book.expecting(start);
        Self {
            options,
            clock,
            actor,
            pictures,
            events,
            book,
            actuator,
            prepared: None,
            writes: JoinSet::new(),
            looks: JoinSet::new(),
            connecting,
            early: Vec::new(),
            dialogs: JoinSet::new(),
            last_looks: JoinSet::new(),
            asking: HashSet::new(),
            expecting,
            leases: None,
            deciding: None,
            giving_up: JoinSet::new(),
            said_no_lease: false,
            link: None,
            held_up: false,
            held_back: HashMap::new(),
            unseen: HashMap::new(),
            confirmed,
        }
    }

    fn now(&mut self) -> Time {
        self.clock.now()
    }

    fn picture(&self) -> Arc<Picture> {
        self.pictures.borrow().clone()
    }

    async fn send(&self, event: Event) {
        let _ = self.events.send(event).await; // the engine has ended
    }

    async fn notice(&self, severity: Severity, text: impl Into<String>) {
        tell(&self.events, severity, text.into()).await;
    }

    async fn introduce(&mut self) {
        self.book.set_actor(self.actor.clone());
        self.send(Event::Identity(Label::new(&self.actor.to_string()))).await;
        self.link = self.book.link();
        self.publish_book().await;
    }

    async fn publish_book(&self) {
        self.send(Event::Ledger(self.book.health())).await;
        self.send(Event::Actions(Arc::new(self.book.newest(SHOWN)))).await;
    }

    async fn hear(&mut self, intent: Intent) {
        tracing::info!("intent: {intent:?}");
        match intent {
            Intent::Prepare { workload, to, plan_hash, way } => self.prepare(&workload, to, &plan_hash, way).await,
            Intent::Undo { action } => self.prepare_undo(&action).await,
            Intent::Confirm { action, plan_hash } => self.confirm(&action, &plan_hash, None).await,
            Intent::ConfirmAt { action, plan_hash, at } => self.confirm(&action, &plan_hash, Some(at)).await,
            Intent::ConfirmLink { action, plan_hash } => self.confirm_link(&action, &plan_hash).await,
            Intent::Second { action } => self.prepare_second(&action).await,
            Intent::Abandon { action } => self.abandon(&action).await,
            Intent::Cancel { action } => self.cancel(&action).await,
            Intent::Reject { workload, plan_hash, reason } => {
                self.decline(&workload, &plan_hash, Decline::Reject(reason)).await;
            }
            Intent::Snooze { workload, plan_hash, until } => {
                self.decline(&workload, &plan_hash, Decline::Snooze(until)).await;
            }
        }
    }

    /// The view and the recommendation that were on screen, or a notice why there is none any more.
    async fn on_screen(&self, workload: &Label, hash: &PlanHash) -> Option<(Arc<WorkloadView>, Recommendation)> {
        let picture = self.picture();
        let why = match picture.workload(workload.as_str()) {
            None => format!("{workload} is no longer there"),
            Some(view) => match &view.advice.recommendation {
                Err(why) => format!("{workload} has no recommendation: {why}"),
                Ok(r) if r.plan_hash != *hash => {
                    format!(
                        "the plan for {workload} changed while you looked ({hash} is now {}): look again",
                        r.plan_hash
                    )
                }
                Ok(r) => return Some((view.clone(), (**r).clone())),
            },
        };
        self.not_ready(workload, why).await;
        None
    }

    /// Says why nothing can be decided about a workload: to the log, and to the dialog that waits for an answer.
    async fn not_ready(&self, workload: &Label, why: impl Into<String>) {
        let why = why.into();
        self.send(Event::Unprepared(Unprepared { workload: workload.clone(), why: Label::new(&why) })).await;
        self.notice(Severity::Look, why).await;
    }

    async fn abandon(&mut self, id: &ActionId) {
        if self.prepared.as_ref().is_some_and(|(p, _)| p.action == *id) {
            self.leave_prepared("left without a decision").await;
        }
    }

    async fn leave_prepared(&mut self, why: &str) {
        let Some((_, action)) = self.prepared.take() else { return };
        self.stop_deciding();
        self.send(Event::Prepared(None)).await;
        // What another person asked for waits on when one leaves it.
        if !action.waits_for_second() {
            // To look is no decision: nobody is on record as having said no.
            let now = self.now();
            self.step(action, &Step::Leave { reason: Label::new(why) }, now).await;
        }
    }

    /// Whether it is on record; why not was said.
    async fn reject(&mut self, action: Action, why: &str) -> bool {
        let reject = Step::Reject { actor: self.actor.clone(), reason: Label::new(why) };
        let now = self.now();
        self.step(action, &reject, now).await.is_some()
    }

    /// Takes an approval for later back before its time, or gives up on a write of unknown outcome.
    async fn cancel(&mut self, id: &ActionId) {
        match self.book.action(id) {
            Some(action) if action.state == ActionState::Approved && self.book.is_others(id) => {
                let Action { workload, from, to, actor, .. } = action;
                let text = format!("{workload} {from} → {to} is not cancelled: {actor} approved it, and only they can");
                self.notice(Severity::Look, text).await;
            }
            Some(action) if action.state == ActionState::Approved => {
                let text = format!("{} {} → {}: cancelled", action.workload, action.from, action.to);
                if self.reject(action, "cancelled before its time").await {
                    self.notice(Severity::Ok, text).await;
                }
            }
            Some(action) if action.waits_for_second() => self.refuse_second(action).await,
            Some(action) if action.state == ActionState::Unknown && !self.book.is_others(id) => {
                self.give_up(action).await;
            }
            Some(action) => {
                let text = format!("{} cannot be cancelled any more: it is {}", action.workload, action.state.name());
                self.notice(Severity::Look, text).await;
            }
            None => self.notice(Severity::Look, format!("there is no action {id}")).await,
        }
    }

    async fn decline(&mut self, workload: &Label, hash: &PlanHash, how: Decline) {
        let Some((view, advice)) = self.on_screen(workload, hash).await else { return };
        let now = self.now();
        // A plan without a target is declined in the ledger under the workload's own name.
        let target = advice.target.clone().unwrap_or_else(|| Target::Command(workload.clone()));
        let mut action = self.action(&view, &advice, target, advice.recommended, now);
        let until = match &how {
            Decline::Reject(_) => now.plus(AFTER_REJECT),
            Decline::Snooze(until) => *until,
        };
        if let Decline::Snooze(until) = how {
            action.reason = Label::new(&format!("snoozed until {until}"));
        }
        if !self.record(action.clone()).await {
            return;
        }
        // It is ended at once: what stays proposed would pass for a dialog that somebody has open.
        let end = match how {
            Decline::Reject(reason) => Step::Reject { actor: self.actor.clone(), reason },
            Decline::Snooze(_) => Step::Leave { reason: action.reason.clone() },
        };
        if self.step(action, &end, now).await.is_none() {
            return;
        }
        self.send(Event::Snoozed(workload.clone(), until)).await;
        self.notice(Severity::Ok, format!("{workload}: not asked again before {until}")).await;
    }

    async fn tick(&mut self) {
        let now = self.now();
        if let Some(health) = self.book.reopen(now).await {
            self.clock.not_before(self.book.last_at().unwrap_or(now));
            self.expecting = self.book.expecting(now);
            self.send(Event::Ledger(health)).await;
            self.publish_book().await;
        }
        if let Some((expired, _)) = self.prepared.take_if(|(p, _)| now >= p.expires) {
            self.stop_deciding();
            self.send(Event::Prepared(None)).await;
            self.not_ready(&expired.workload, "the plan in the dialog expired: ask again").await;
        }
        self.keep_deciding().await;
        if !self.book.refresh(now).is_empty() {
            self.publish_book().await; // what others did not begin in time
        }
        if self.book.health().writable {
            self.go_on(now).await;
        }
    }

    /// What time brings. All of it is written down, so without a ledger none of it can be done: that was said once.
    async fn go_on(&mut self, now: Time) {
        self.finish_silent(now).await;
        for action in self.book.due(now) {
            self.step(action, &Step::Expire, now).await;
        }
        for action in self.book.due_to_begin(now) {
            self.begin(action).await;
        }
        self.plan_put_backs(now).await;
        self.look();
        self.judge_effects(now).await;
    }

    /// Takes one step of the machine and writes it down; `None` when it was refused or could not be written.
    async fn step(&mut self, action: Action, step: &Step, now: Time) -> Option<Action> {
        match machine::next(&action, step, now) {
            Ok(Transition::Wait) => None,
            Ok(Transition::To(next)) => {
                if !self.record((*next).clone()).await {
                    return None;
                }
                self.say(&next).await;
                self.tell_target(&next);
                Some(*next)
            }
            Err(refusal) => {
                self.notice(Severity::Act, format!("{}: not done: {refusal}", action.workload)).await;
                // What was refused at the door is over: the ledger says so too. What waits for a second person waits on.
                let waits = action.waits_for_second();
                if !waits && matches!(action.state, ActionState::Proposed | ActionState::Approved) {
                    let reject = Step::Reject { actor: self.actor.clone(), reason: Label::new(&refusal.to_string()) };
                    if let Ok(Transition::To(next)) = machine::next(&action, &reject, now) {
                        self.record(*next).await;
                    }
                }
                None
            }
        }
    }

    async fn record(&mut self, action: Action) -> bool {
        self.record_all(&action.id.clone(), vec![action]).await
    }

    /// Writes several steps of one action down, by one sync.
    async fn record_all(&mut self, id: &ActionId, steps: Vec<Action>) -> bool {
        match self.book.record(id, steps).await {
            Ok(()) => {
                self.publish_book().await;
                true
            }
            Err(why) => {
                self.send(Event::Ledger(self.book.health())).await;
                self.notice(Severity::Act, format!("not done, because it cannot be recorded: {why}")).await;
                false
            }
        }
    }

    async fn say(&self, action: &Action) {
        let state = action.state;
        let severity = match state {
            ActionState::Failed | ActionState::Unknown => Severity::Act,
            _ => Severity::Ok,
        };
        let later = state == ActionState::Approved && action.terms.begin_at.is_some();
        if later || !matches!(state, ActionState::Approved | ActionState::Rejected | ActionState::Expired) {
            self.notice(severity, action.said().to_string()).await;
        }
    }
}

/// How an operator says no.
enum Decline {
    Reject(Label),
    Snooze(Time),
}

fn change(action: &Action) -> Change {
    Change {
        action: action.id.clone(),
        target: action.target.clone(),
        uid: action.uid.clone(),
        from: action.from,
        to: action.to,
        reason: action.evidence.clone(), // the action's own reason tells of its last step, this stays what was shown
        lever: action.terms.lever.clone(),
    }
}

#[cfg(test)]
mod tests;
