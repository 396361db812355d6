//! What stands between the record of an intent and the one write when several operators are at work: a Lease on the
//! target, and the claim in the shared ledger. And what others do: shown, and finished where they went silent.

use super::{Desk, book::Other};
use crate::{
    act::{LEASE_TTL, Leases, NoLease, Outcome, Told},
    engine::run::Event,
    ledger::{
        kafka::{Claim, HELD_UP, Shared},
        machine::{Event as Step, SETTLE},
    },
    model::{Action, ActionState, Label, LeaseUse, LedgerSettings, Severity, Target, Time, WhenLost},
    process::BOUNDARY,
};
use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::time;

/// A write is begun so long after the record of its intent, or not at all: a process that was stopped in between, or a
/// machine that slept, may have been taken for silent, and another operator may have acted since.
pub const BEGIN_WITHIN: Duration = Duration::from_secs(12);
/// An intent of another operator without an end counts as left behind after this: its write is begun within
/// [`BEGIN_WITHIN`], may then be under way for [`SETTLE`], and the record of its end takes a moment. Seconds.
const SILENT: f64 = SETTLE + 15.0;
/// A lease is renewed in a third of its time, as client-go does.
const RENEW: Duration = Duration::from_secs(LEASE_TTL.as_secs() / 3);

/// How long the desk waits for the server that has it.
const LEASE: Duration = Duration::from_secs(5);

/// Lets one action's write through, or says why not. Nothing is written before everything that is asked for holds.
#[derive(Debug)]
pub struct Gate {
    /// The shared ledger, and the number of the synced record of intent in the own one.
    pub shared: Option<(Arc<Shared>, u64)>,
    /// The cluster's leases, where the target has one, and how they are used.
    pub leases: Option<Leases>,
    /// What was configured.
    pub settings: LedgerSettings,
    /// A protected target: nothing is done while anything is lost.
    pub protected: bool,
    /// When the intent was recorded.
    pub intended: Instant,
    /// The same by the clock on the wall, which goes on while the machine sleeps.
    pub intended_at: SystemTime,
}

impl Gate {
    /// Makes the write if lease and claim are ours.
    pub async fn pass(&self, action: &Action, write: impl Future<Output = Outcome>) -> Outcome {
        let holder = holder(action);
        let outcome = if let Err(why) = self.may_write(action, &holder).await {
            Outcome::Refused(why)
        } else {
            tracing::trace!(target: BOUNDARY, "sending the write");
            let outcome = write.await;
            tracing::trace!(target: BOUNDARY, "the write was answered");
            outcome
        };
        // Nobody is kept out any longer, whatever came of it. How it came out is not told late for that.
        if let Some(leases) = &self.leases {
            let _ = time::timeout(LEASE, leases.release(&action.target, &holder)).await; // else it lapses
        }
        outcome
    }

    async fn may_write(&self, action: &Action, holder: &str) -> Result<(), Label> {
        self.lease(action, holder).await?;
        self.claim(action).await?;
        self.in_time()
    }

    /// Whether the write may still be begun.
    fn in_time(&self) -> Result<(), Label> {
        let late = self.intended.elapsed().max(self.intended_at.elapsed().unwrap_or_default());
        if late < BEGIN_WITHIN {
            return Ok(());
        }
        let seconds = late.as_secs();
        Err(format!("{seconds} s passed since its intent was recorded, others may have acted since: ask again").into())
    }

    async fn claim(&self, action: &Action) -> Result<(), Label> {
        if action.terms.alone && !self.protected {
            return Ok(());
        }
        let Some((shared, seq)) = &self.shared else {
            return if self.protected { Err("protected, and the ledger is not shared".into()) } else { Ok(()) };
        };
        match shared.claim(*seq, &action.id).await {
            Claim::Won => Ok(()),
            Claim::Lost(why) => Err(format!("another operator came first: {why}").into()),
            Claim::NotShared(why) => Err(format!("the shared ledger was lost at this moment: {why}; ask again").into()),
        }
    }

    async fn lease(&self, action: &Action, holder: &str) -> Result<(), Label> {
        let Some(leases) = &self.leases else { return Ok(()) };
        match leases.hold(&action.target, holder).await {
            Ok(()) => Ok(()),
            Err(why) => self.without_lease(why),
        }
    }

    /// Whether it may go on without a lease.
    fn without_lease(&self, why: NoLease) -> Result<(), Label> {
        let required = self.settings.lease == LeaseUse::Required;
        match why {
            NoLease::Taken { by, left } => Err(deciding(&by, left)),
            NoLease::NotAllowed(why) if required => Err(format!("[ledger] lease = \"required\": {why}").into()),
            NoLease::Absent if required => Err("[ledger] lease = \"required\": the server has no leases".into()),
            NoLease::Lost(why) if required || self.protected || self.settings.lost == WhenLost::Refuse => Err(why),
            NoLease::NotAllowed(_) | NoLease::Absent | NoLease::Lost(_) => Ok(()),
        }
    }
}

/// Takes or renews a lease, or finds out soon that the server does not answer.
async fn hold(leases: &Leases, action: &Action) -> Result<(), NoLease> {
    let held = time::timeout(LEASE, leases.hold(&action.target, &holder(action))).await;
    held.unwrap_or_else(|_| Err(NoLease::Lost(format!("no answer about the Lease within {LEASE:?}").into())))
}

/// The beginning of a sentence, up to its details.
fn clause(why: &Label) -> Option<&str> {
    why.as_str().split(':').next()
}

/// `alice@corp/01K…`: who decides, and about which action.
fn holder(action: &Action) -> String {
    format!("{}/{}", action.actor, action.id)
}

fn deciding(by: &Label, left: f64) -> Label {
    let who = by.as_str().rsplit_once('/').map_or(by.as_str(), |(who, _)| who);
    format!("{who} is deciding about this target (its Lease lapses in {left:.0} s unless it is renewed)").into()
}

/// The Lease that is held while a dialog is open.
#[derive(Debug)]
pub(super) struct Deciding {
    action: Action,
    renewed: Instant,
}

impl Desk {
    /// The gate of an action whose intent was just recorded.
    pub(super) fn gate(&self, action: &Action) -> Gate {
        Gate {
            shared: self.book.shared().map(|shared| (shared, self.book.last())),
            leases: self.leases_for(action),
            settings: self.options.config.ledger.clone(),
            protected: action.terms.second.is_some(),
            intended: Instant::now(),
            intended_at: SystemTime::now(),
        }
    }

    fn leases_for(&self, action: &Action) -> Option<Leases> {
        let used = self.options.config.ledger.lease != LeaseUse::Off && action.target.is_kubernetes();
        self.leases.clone().filter(|_| used)
    }

    /// Whether an ordinary action is begun without the shared ledger, which is lost, because it is so configured.
    pub(super) fn goes_alone(&self, action: &Action) -> bool {
        let lost = self.book.link().is_some_and(|link| link.is_err());
        lost && action.terms.second.is_none() && self.options.config.ledger.lost == WhenLost::Local
    }

    /// Takes the lease for a dialog, where nothing stands against the change: who cannot confirm it keeps nobody else from
    /// deciding. Adds what stands against it for want of the lease.
    pub(super) async fn decide_alone(&mut self, action: &Action, refused: &mut Vec<Label>) {
        let Some(leases) = self.leases_for(action).filter(|_| refused.is_empty()) else { return };
        self.leases_given_up().await; // or the last dialog would stand in the way of this one
        let held = hold(&leases, action).await;
        // What was not answered may be done all the same.
        if matches!(held, Ok(()) | Err(NoLease::Lost(_))) {
            self.deciding = Some(Deciding { action: action.clone(), renewed: Instant::now() });
        }
        let Err(why) = held else { return };
        if let NoLease::NotAllowed(why) | NoLease::Lost(why) = &why
            && !std::mem::replace(&mut self.said_no_lease, true)
        {
            self.notice(Severity::Look, format!("nobody is kept from deciding at the same time: {why}")).await;
        }
        refused.extend(self.gate(action).without_lease(why).err());
    }

    /// Lets others decide again.
    pub(super) fn stop_deciding(&mut self) {
        if let Some(deciding) = self.deciding.take() {
            self.give_up_lease(deciding);
        }
    }

    /// Gives the lease of a dialog up.
    pub(super) fn give_up_lease(&mut self, deciding: Deciding) {
        if let Some(leases) = self.leases_for(&deciding.action) {
            let release = async move { leases.release(&deciding.action.target, &holder(&deciding.action)).await };
            self.giving_up.spawn(release);
        }
    }

    /// Waits until the leases that were held are given up.
    pub(super) async fn leases_given_up(&mut self) {
        let all = async { while self.giving_up.join_next().await.is_some() {} };
        let _ = time::timeout(LEASE, all).await; // one that could not be given up lapses
    }

    /// The end: others may decide again, and have all that was recorded here.
    pub(super) async fn part(&mut self) {
        let shared = self.book.shared();
        let told = async {
            if let Some(shared) = shared {
                shared.settled().await;
            }
        };
        tokio::join!(told, self.leases_given_up());
    }

    /// What another operator approved for later on the target of an action: it keeps nobody who is there from deciding, for
    /// its operator may have gone, and then finds another count.
    pub(super) fn waits_elsewhere(&self, action: &Action) -> Option<String> {
        let waits = |a: &&Action| a.target == action.target && self.book.waits_elsewhere(a);
        let Action { actor, from, to, terms, .. } = self.book.under_way().find(waits)?;
        let at = terms.begin_at?;
        Some(format!("{actor} approved {from} → {to} for {at}, which will not be begun on another count"))
    }

    /// Keeps the lease of an open dialog.
    pub(super) async fn keep_deciding(&mut self) {
        let Some(deciding) = self.deciding.as_mut().filter(|d| d.renewed.elapsed() > RENEW) else { return };
        deciding.renewed = Instant::now();
        let action = deciding.action.clone();
        let Some(leases) = self.leases_for(&action) else { return };
        if let Err(why) = hold(&leases, &action).await {
            tracing::warn!("the lease on {} could not be renewed: {why:?}", action.target);
        }
    }

    /// What the shared ledger brought: other operators' actions, and who the brokers say we are.
    pub(super) async fn hear_others(&mut self) {
        let now = self.now();
        self.learn_identity().await;
        let news = self.book.refresh(now);
        for action in &news {
            self.tell_of_other(action).await;
        }
        let link = self.book.link();
        if link != self.link {
            self.say_link(link).await;
        }
        let held_up = self.book.is_held_up();
        if std::mem::replace(&mut self.held_up, held_up) != held_up && held_up {
            self.notice(Severity::Look, HELD_UP).await;
        }
        if self.prepared.as_ref().is_some_and(|(_, a)| a.waits_for_second() && !self.still_waits(a))
            && let Some((gone, _)) = self.prepared.take()
        {
            self.stop_deciding();
            self.send(Event::Prepared(None)).await;
            self.not_ready(&gone.workload, "what you looked at was decided or taken back by somebody else").await;
        }
        self.finish_undone(now).await;
        self.publish_book().await;
    }

    pub(super) fn still_waits(&self, action: &Action) -> bool {
        self.book.action(&action.id).is_some_and(|a| a.waits_for_second())
    }

    async fn say_link(&mut self, link: Option<Result<(), Label>>) {
        match (&self.link, &link) {
            (Some(Ok(())), Some(Err(why))) => {
                let then = match self.options.config.ledger.lost {
                    WhenLost::Local => "ordinary targets go on with the own ledger, protected ones are refused",
                    WhenLost::Refuse => "nothing is approved until it is back",
                };
                self.notice(Severity::Act, format!("{why}; {then}")).await;
            }
            (Some(Err(_)), Some(Ok(()))) => {
                self.notice(Severity::Ok, "the ledger is shared with other operators").await;
            }
            // Brokers that are back may refuse a password that was changed; what follows the colon changes all the time.
            (Some(Err(before)), Some(Err(why))) if clause(before) != clause(why) => {
                self.notice(Severity::Look, why.as_str()).await;
            }
            _ => {}
        }
        self.link = link;
    }

    async fn tell_of_other(&self, action: &Action) {
        let Action { workload, from, to, actor, state, reason, .. } = action;
        let fresh = self.options.clock.now().since(action.updated) < SILENT;
        if action.waits_for_second() {
            let text =
                format!("{actor} asks for a second person: {workload} {from} → {to}; approve it on the actions page");
            self.notice(Severity::Look, text).await;
        } else if fresh && matches!(state, ActionState::Applied | ActionState::Failed | ActionState::Unknown) {
            self.notice(Severity::Ok, format!("{actor}: {workload} {from} → {to} {}: {reason}", state.name())).await;
        }
    }

    /// Changes of ours that another operator took back on purpose.
    async fn finish_undone(&mut self, now: Time) {
        use ActionState::{Applied, Verified};
        let undone: Vec<_> = self
            .book
            .others()
            .filter(|o| matches!(o.action.state, Applied | Verified))
            .filter_map(|o| Some((o.action.terms.undoes.clone()?, o.action.actor.clone(), o.action.id.clone())))
            .collect();
        for (id, actor, by) in undone {
            if let Some(action) = self.book.own(&id).filter(|a| a.state == Applied && !self.book.is_others(&a.id)) {
                self.step(action, &Step::RollBack { actor, by }, now).await;
            }
        }
    }

    /// What nobody else will bring to rest: writes of an earlier run of ours that were never begun, and intents whose
    /// operator went silent, from where on the target is looked at by us.
    pub(super) async fn finish_silent(&mut self, now: Time) {
        for action in self.book.to_watch() {
            if let Some(reason) = self.book.never_begun(&action) {
                self.step(action, &Step::Refused { reason }, now).await;
            }
        }
        if self.book.link() != Some(Ok(())) {
            return;
        }
        for action in self.silent() {
            let who = action.actor.to_string();
            if self.book.adopt(action.clone()).await.is_ok() && action.state == ActionState::Applying {
                let reason = Label::new(&format!("{who} went silent before saying how the write ended"));
                self.step(action, &Step::Lost { reason }, now).await;
            }
        }
    }

    /// Intents and writes of unknown outcome whose operator has said nothing for longer than a write can take.
    fn silent(&self) -> Vec<Action> {
        let left = |a: &Action| matches!(a.state, ActionState::Applying | ActionState::Unknown);
        let speed = self.options.clock.speed();
        let silent =
            |o: &&Other| o.since.elapsed().as_secs_f64() * speed > SILENT + self.longest_write(&o.action.target);
        self.book.others().filter(|o| left(&o.action)).filter(silent).map(|o| o.action.clone()).collect()
    }

    /// How long a command or a webhook may take, seconds; what a request to Kubernetes may is part of [`SETTLE`].
    pub(super) fn longest_write(&self, target: &Target) -> f64 {
        let config = &self.options.config;
        let timeout = match target {
            Target::Command(name) => config.commands.iter().find(|c| c.name == *name).map(|c| c.timeout),
            Target::Webhook(name) => config.webhooks.iter().find(|w| w.name == *name).map(|w| w.timeout),
            _ => None,
        };
        timeout.unwrap_or(0.0)
    }

    /// Tells on the target itself what was done to it; best effort.
    pub(super) fn tell_target(&self, action: &Action) {
        let (reason, warning) = match action.state {
            ActionState::Applied => ("Scaled", false),
            ActionState::Failed if action.terms.reverted_by.is_some() => ("ScaleReverted", true),
            ActionState::Failed => ("ScaleFailed", true),
            ActionState::Unknown => ("ScaleUnknown", true),
            _ => return,
        };
        let note = format!(
            "{} → {} by {} ({}): {}; action {}, plan {}",
            action.from,
            action.to,
            action.actor,
            action.state.name(),
            action.reason,
            action.id,
            action.plan_hash
        );
        let told = Told { reason, warning, note, instance: action.actor.host.clone() };
        let (actuator, target, uid) = (self.actuator.clone(), action.target.clone(), action.uid.clone());
        tokio::spawn(async move {
            if let Err(why) = actuator.tell(&target, uid.as_ref(), &told).await {
                tracing::info!("no notice on {target}: {why}");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ActionId;

    #[tokio::test]
    async fn what_was_intended_before_the_machine_slept_is_not_begun_after() {
        let action =
            Action::proposed(ActionId("a".into()), "g".into(), Target::Command("p".into()), (2, 4), Time::now());
        let gate = |slept| Gate {
            shared: None,
            leases: None,
            settings: LedgerSettings::default(),
            protected: false,
            intended: Instant::now(),
            intended_at: SystemTime::now() - Duration::from_secs(slept),
        };
        assert_eq!(gate(0).pass(&action, async { Outcome::Applied }).await, Outcome::Applied);
        let late = gate(3600).pass(&action, async { panic!("written") }).await;
        assert!(matches!(&late, Outcome::Refused(why) if why.as_str().contains("3600 s passed")), "{late:?}");
    }
}
