//! Carries decisions out: checks, dry run, intent on disk, one conditional write, verification. One task owns the
//! ledger and the actuators; it exists in operate mode only.
//!
//! ```text
//! Prepare ─▶ checks ─▶ plan (server's dry run) ─▶ Proposed on disk ─▶ dialog
//! Confirm ─▶ checks and plan again ─▶ Approved, Applying on disk (fsync) ─▶ one write ─▶ Applied | Failed | Unknown
//! every 2 s ─▶ look at the target ─▶ Verified | Failed;  Unknown is looked for, never written again
//! ```

mod book;
mod checks;
mod identity;

use super::{Options, run::Event};
use crate::{
    act::{Actuator, Change, Outcome, Plan, Seen},
    ledger::machine::{self, Event as Step, Transition},
    model::{
        Action, ActionId, ActionState, Actor, Intent, Label, Picture, PlanHash, Prepared, Recommendation, Severity,
        Target, Time, WorkloadView, duration,
    },
    source,
};
use book::Book;
use std::{
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
/// Deadline of one look at a target, on top of the actuator's own.
const LOOK_DEADLINE: Duration = Duration::from_secs(20);
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
    let actor = identity::actor();
    let mut desk = Desk {
        book: Book::open(options.state.clone(), actor.clone(), options.clock.now()).await,
        actuator: actuator(&options, &events).await,
        actor,
        options,
        pictures,
        events,
        prepared: None,
        writes: JoinSet::new(),
        looks: JoinSet::new(),
    };
    desk.introduce().await;
    let mut look = time::interval(LOOK);
    look.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            intent = intents.recv() => match intent {
                Some(intent) => desk.hear(intent).await,
                None => break,
            },
            Some(done) = desk.writes.join_next() => desk.written(done).await,
            Some(seen) = desk.looks.join_next() => desk.looked(seen).await,
            _ = look.tick() => desk.tick().await,
        }
    }
    while let Some(done) = desk.writes.join_next().await {
        desk.written(done).await;
    }
}

/// Waits for the task's end: an intent that is on disk should get its outcome beside it.
pub(super) async fn finish(task: JoinHandle<()>) {
    if time::timeout(Duration::from_secs(4), task).await.is_err() {
        tracing::warn!("a write is still under way: its outcome will be looked for at the next start");
    }
}

async fn actuator(options: &Options, events: &mpsc::Sender<Event>) -> Actuator {
    let mut kubernetes = None;
    if let Some(settings) = &options.config.kubernetes {
        match source::kubernetes::connect_to_change(settings).await {
            Ok(client) => {
                let context = settings.context.as_deref().unwrap_or("in-cluster");
                kubernetes = Some((client, Label::new(context)));
            }
            Err(why) => tell(events, Severity::Look, format!("Kubernetes targets cannot be changed: {why}")).await,
        }
    }
    Actuator::new(kubernetes, &options.config.commands, options.clock)
        .with(&options.config.webhooks, &options.config.patch_files)
}

async fn tell(events: &mpsc::Sender<Event>, severity: Severity, text: String) {
    // The engine has ended: nobody is left to be told.
    let _ = events.send(Event::Notice(severity, text)).await;
}

type Written = (ActionId, Outcome);
type Looked = (ActionId, Instant, Result<Seen, String>);

struct Desk {
    options: Options,
    actor: Actor,
    pictures: watch::Receiver<Arc<Picture>>,
    events: mpsc::Sender<Event>,
    book: Book,
    actuator: Actuator,
    prepared: Option<(Prepared, Action)>,
    writes: JoinSet<Written>,
    looks: JoinSet<Looked>,
}

impl Desk {
    fn now(&self) -> Time {
        self.options.clock.now()
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
        self.actor.server_user = self.actuator.identity().await;
        self.book.set_actor(self.actor.clone());
        self.send(Event::Identity(Label::new(&self.actor.to_string()))).await;
        self.publish_book().await;
    }

    async fn publish_book(&self) {
        self.send(Event::Ledger(self.book.health())).await;
        self.send(Event::Actions(Arc::new(self.book.newest(SHOWN)))).await;
    }

    async fn hear(&mut self, intent: Intent) {
        tracing::info!("intent: {intent:?}");
        match intent {
            Intent::Prepare { workload, to, plan_hash } => self.prepare(&workload, to, &plan_hash).await,
            Intent::Confirm { action, plan_hash } => self.confirm(&action, &plan_hash).await,
            Intent::Abandon { action } => self.abandon(&action).await,
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
        self.notice(Severity::Look, why).await;
        None
    }

    async fn prepare(&mut self, workload: &Label, to: u32, hash: &PlanHash) {
        self.leave_prepared("another change was asked for").await;
        let Some((view, advice)) = self.on_screen(workload, hash).await else { return };
        let Some(target) = advice.target.clone() else {
            let mend = "set target = \"deploy/NAMESPACE/NAME\" in its [[workload]] to be able to approve";
            self.notice(Severity::Look, format!("{workload} has no target: {mend}")).await;
            return;
        };
        let now = self.now();
        let mut action = self.action(&advice, target, to, now);
        let plan = self.actuator.plan(&change(&action)).await;
        action.request = join(&plan.request);
        let mut refused = checks::refused(&view, &advice, &action, &self.book, &self.options.config.limits, now);
        refused.extend(plan.refused.clone());
        if !self.record(action.clone()).await {
            return;
        }
        let prepared = prepared(&view, &advice, &action, plan, refused, now);
        self.send(Event::Prepared(Some(Arc::new(prepared.clone())))).await;
        self.prepared = Some((prepared, action));
    }

    fn action(&self, advice: &Recommendation, target: Target, to: u32, now: Time) -> Action {
        let from = advice.current.desired;
        let edited = to != advice.recommended;
        let plan_hash = if edited {
            PlanHash::of(&[&advice.plan_hash.to_string(), "edited", &from.to_string(), &to.to_string()])
        } else {
            advice.plan_hash.clone()
        };
        let reason = if edited {
            format!("the operator's own count instead of {}", advice.recommended)
        } else {
            advice.reasons.first().cloned().unwrap_or_default()
        };
        Action {
            id: identity::action_id(now),
            workload: advice.workload.clone(),
            target,
            uid: advice.current.uid.clone(),
            from,
            to,
            plan_hash,
            state: ActionState::Proposed,
            actor: self.actor.clone(),
            reason: Label::new(&reason),
            request: Label::default(),
            evidence: checks::evidence(advice),
            created: now,
            updated: now,
            expires: advice.expires,
            verify_by: None,
            terms: crate::model::Terms::default(),
        }
    }

    async fn confirm(&mut self, id: &ActionId, hash: &PlanHash) {
        let Some((prepared, action)) = self.prepared.take_if(|(p, _)| p.action == *id) else {
            self.notice(Severity::Look, "nothing is waiting for that confirmation any more: ask again").await;
            return;
        };
        self.send(Event::Prepared(None)).await;
        let picture = self.picture();
        let now = self.now();
        let mut refused = prepared.refused.clone();
        match picture.workload(action.workload.as_str()) {
            Some(view) => refused.extend(checks::still_so(view, &action)),
            None => refused.push(Label::new("the workload is no longer there")),
        }
        let approve = Step::Approve {
            actor: self.actor.clone(),
            plan_hash: hash.clone(),
            refused,
            when: None,
            protected: action_is_protected(&picture, &action),
        };
        let Some(action) = self.step(action, &approve, now).await else { return };
        // Asked again at the last moment: the server may have changed while the dialog was open.
        let plan = self.actuator.plan(&change(&action)).await;
        let mut refused = plan.refused;
        refused.extend(plan.dry_run.err());
        let Some(action) = self.step(action, &Step::Begin { refused }, self.now()).await else { return };
        let (actuator, id) = (self.actuator.clone(), action.id.clone());
        self.writes.spawn(async move { (id, actuator.apply(&change(&action)).await) });
    }

    async fn abandon(&mut self, id: &ActionId) {
        if self.prepared.as_ref().is_some_and(|(p, _)| p.action == *id) {
            self.leave_prepared("left without confirming").await;
        }
    }

    async fn leave_prepared(&mut self, why: &str) {
        let Some((_, action)) = self.prepared.take() else { return };
        self.send(Event::Prepared(None)).await;
        let reject = Step::Reject { actor: self.actor.clone(), reason: Label::new(why) };
        self.step(action, &reject, self.now()).await;
    }

    async fn decline(&mut self, workload: &Label, hash: &PlanHash, how: Decline) {
        let Some((_, advice)) = self.on_screen(workload, hash).await else { return };
        let now = self.now();
        // A plan without a target is declined in the ledger under the workload's own name.
        let target = advice.target.clone().unwrap_or_else(|| Target::Command(workload.clone()));
        let mut action = self.action(&advice, target, advice.recommended, now);
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
        if let Decline::Reject(reason) = how {
            let reject = Step::Reject { actor: self.actor.clone(), reason };
            if self.step(action, &reject, now).await.is_none() {
                return;
            }
        }
        self.send(Event::Snoozed(workload.clone(), until)).await;
        self.notice(Severity::Ok, format!("{workload}: not asked again before {until}")).await;
    }

    async fn written(&mut self, done: Result<Written, tokio::task::JoinError>) {
        let (id, outcome) = match done {
            Ok(done) => done,
            Err(e) => {
                // The action stays Applying in the ledger and becomes Unknown at the next start.
                self.notice(Severity::Act, format!("the task that writes broke: {e}; check the target by hand")).await;
                return;
            }
        };
        let Some(action) = self.book.action(&id) else { return };
        let now = self.now();
        let verify_by = self.verify_by(&action, now);
        let step = match outcome {
            Outcome::Applied => Step::Accepted { verify_by },
            Outcome::Refused(reason) => Step::Refused { reason },
            Outcome::Unknown(reason) => Step::Lost { reason },
        };
        self.step(action, &step, now).await;
    }

    /// Twice the learned start-up and a rebalance, and a minute for the hold; a default where nothing is learned.
    fn verify_by(&self, action: &Action, now: Time) -> Time {
        let picture = self.picture();
        let capacity = picture.workload(action.workload.as_str()).and_then(|v| v.advice.capacity.clone());
        now.plus(capacity.map_or(300.0, |c| 60.0 + 2.0 * (c.start_up + c.rebalance)).max(120.0))
    }

    async fn tick(&mut self) {
        if let Some(health) = self.book.reopen(self.now()).await {
            self.send(Event::Ledger(health)).await;
            self.publish_book().await;
        }
        let now = self.now();
        if self.prepared.as_ref().is_some_and(|(p, _)| now >= p.expires) {
            self.prepared = None;
            self.send(Event::Prepared(None)).await;
            self.notice(Severity::Look, "the plan in the dialog expired: ask again").await;
        }
        for action in self.book.due(now) {
            self.step(action, &Step::Expire, now).await;
        }
        if self.looks.is_empty() {
            for action in self.book.to_watch() {
                let actuator = self.actuator.clone();
                self.looks.spawn(async move {
                    let begun = Instant::now();
                    let look = time::timeout(LOOK_DEADLINE, actuator.observe(&action.target)).await;
                    (action.id, begun, look.unwrap_or_else(|_| Err("no answer within 20 s".to_owned())))
                });
            }
        }
    }

    async fn looked(&mut self, seen: Result<Looked, tokio::task::JoinError>) {
        let Ok((id, begun, seen)) = seen else { return };
        let Some(action) = self.book.action(&id) else { return };
        let now = self.now();
        match seen {
            Err(why) => tracing::warn!("cannot look at {} of {id}: {why}", action.target),
            Ok(Seen { mut replicas, writer, .. }) => {
                // A command says what was asked for; what is at work is seen by the sources.
                if !action.target.is_kubernetes()
                    && let Some(view) = self.picture().workload(action.workload.as_str())
                    && let Some(r) = &view.state.replicas
                {
                    replicas.ready = replicas.ready.min(r.ready);
                }
                let verify_by = self.verify_by(&action, now);
                let waited = self.book.waited(&id, begun) * self.options.clock.speed();
                self.step(action, &Step::Observed { replicas, writer, verify_by, waited }, now).await;
            }
        }
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
                Some(*next)
            }
            Err(refusal) => {
                self.notice(Severity::Act, format!("{}: not done: {refusal}", action.workload)).await;
                // What was refused at the door is over: the ledger says so too.
                if matches!(action.state, ActionState::Proposed | ActionState::Approved) {
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
        match self.book.record(action).await {
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
        let Action { workload, from, to, reason, state, .. } = action;
        let severity = match state {
            ActionState::Failed | ActionState::Unknown => Severity::Act,
            _ => Severity::Ok,
        };
        if !matches!(state, ActionState::Approved | ActionState::Rejected | ActionState::Expired) {
            self.notice(severity, format!("{workload} {from} → {to} {}: {reason}", state.name())).await;
        }
    }
}

/// How an operator says no.
enum Decline {
    Reject(Label),
    Snooze(Time),
}

fn action_is_protected(picture: &Picture, action: &Action) -> bool {
    // What is no longer there is refused elsewhere; until then it counts as protected.
    picture.workload(action.workload.as_str()).is_none_or(|v| v.workload.guard.protected)
}

fn change(action: &Action) -> Change {
    Change {
        action: action.id.clone(),
        target: action.target.clone(),
        uid: action.uid.clone(),
        from: action.from,
        to: action.to,
        reason: action.reason.clone(),
        lever: action.terms.lever.clone(),
    }
}

fn join(lines: &[Label]) -> Label {
    let lines: Vec<&str> = lines.iter().map(Label::as_str).collect();
    Label::new(&lines.join(" · "))
}

fn prepared(
    view: &WorkloadView,
    advice: &Recommendation,
    action: &Action,
    plan: Plan,
    refused: Vec<Label>,
    now: Time,
) -> Prepared {
    let after = after(advice, action);
    Prepared {
        action: action.id.clone(),
        workload: action.workload.clone(),
        target: action.target.clone(),
        from: action.from,
        to: action.to,
        request: plan.request,
        owner: plan.owner,
        identity: plan.identity,
        dry_run: plan.dry_run,
        refused,
        after: Label::new(&after),
        plan_hash: action.plan_hash.clone(),
        expires: action.expires,
        evidence_age: view.state.data_age.max(now.since(view.state.at)),
        confirm: view.workload.guard.confirm,
    }
}

/// What happens once it is done.
fn after(advice: &Recommendation, action: &Action) -> String {
    let Some(c) = &advice.capacity else { return "verified when ready".to_owned() };
    let more = action.to > action.from;
    let still = if more { c.rebalance } else { c.rebalance_down };
    let ready = if more { format!("ready in about {}, ", duration(c.start_up)) } else { String::new() };
    let still =
        if still > 0.0 { format!("partitions stand still for about {}, ", duration(still)) } else { String::new() };
    format!("{ready}{still}then verified")
}

#[cfg(test)]
mod tests;
