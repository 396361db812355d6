//! From the confirming key to a final state: approve, begin, one write, and looking at the target until it is known how
//! it came out.

use super::{
    Desk, Looked, Written,
    ask::{Asked, For},
    change, checks,
    effect::{self, Expecting},
};
use crate::{
    act::{Outcome, Seen},
    engine::run::Event,
    ledger::machine::{self, Event as Step, Look, SETTLE, Transition, Window},
    model::{Action, ActionId, ActionState, Label, PlanHash, Second, Severity, Time, duration},
};
use std::time::{Duration, Instant};
use tokio::{task::JoinError, time};

/// Deadline of one look at a target, whatever its own: the next looks at the others wait for it.
const LOOK_DEADLINE: Duration = Duration::from_secs(20);
/// An approval for later that could not begin within this is not begun at all, seconds: who approved it for 14:20 did not
/// approve it for whenever the machine wakes up.
const PUNCTUAL: f64 = 120.0;
/// What stands against it then is refused for good when less than this is left, seconds: there is no time for another try.
const LAST: f64 = 25.0;
/// Nobody approves further ahead than this, seconds: what is known does not reach so far.
const AHEAD: f64 = 12.0 * 3600.0;

impl Desk {
    pub(super) async fn confirm(&mut self, id: &ActionId, hash: &PlanHash, at: Option<Time>) {
        let Some((prepared, action)) = self.prepared.take_if(|(p, _)| p.action == *id) else {
            self.notice(Severity::Look, "nothing is waiting for that confirmation any more: ask again").await;
            return;
        };
        self.send(Event::Prepared(None)).await;
        let now = self.now();
        let mut refused = prepared.refused.clone();
        refused.extend(self.against(&action, now));
        if let Some(at) = at.filter(|at| *at <= now || at.since(now) > AHEAD) {
            refused.push(Label::new(&format!("{at} is not within the next 12 hours")));
        }
        if action.terms.second == Some(Second::Needed) {
            if at.is_some() {
                refused.push("a second person decides when: ask without a time".into());
            }
            return self.ask_second(action, hash, refused, now).await;
        }
        // Another person's plan goes on in the own ledger, with who asked.
        if self.book.is_others(&action.id)
            && let Err(why) = self.book.adopt(action.clone()).await
        {
            self.stop_deciding();
            return self.notice(Severity::Act, format!("not done, because it cannot be recorded: {why}")).await;
        }
        let when = at.map(|at| Window { at, until: at.plus(PUNCTUAL) });
        let protected = self.is_protected(&action) || action.terms.second.is_some();
        let approve = Step::Approve { actor: self.actor.clone(), plan_hash: hash.clone(), refused, when, protected };
        let may_begin = at.is_none() && matches!(machine::next(&action, &approve, now), Ok(Transition::To(_)));
        if may_begin {
            // Everything is asked once more: the server may have changed while the dialog was open.
            let (approve, deciding) = (Box::new(approve), self.deciding.take().map(Box::new));
            return self.ask(action, For::Confirmed { approve, deciding });
        }
        self.step(action, &approve, now).await; // or says why not, and writes that down
        self.stop_deciding();
    }

    /// What is begun at once is approved and begun by one record: a sync costs more than anything else on this way.
    /// Whether it was begun.
    pub(super) async fn approve_and_begin(&mut self, asked: Asked, approve: &Step) -> bool {
        let action = &asked.action;
        if self.book.action(&action.id).is_none_or(|a| a.state != action.state) {
            let text = format!("{} {} → {} was ended meanwhile: ask again", action.workload, action.from, action.to);
            self.notice(Severity::Act, text).await;
            return false;
        }
        let now = self.now();
        let Ok(Transition::To(approved)) = machine::next(action, approve, now) else {
            self.step(asked.action, approve, now).await;
            return false;
        };
        // Others may have begun since the key was pressed.
        let mut refused = asked.against();
        refused.extend(self.against(action, now));
        let begin = Step::Begin { refused };
        if let Ok(Transition::To(begun)) = machine::next(&self.ready(&approved), &begin, now) {
            let recorded = self.record_all(&action.id, vec![*approved, (*begun).clone()]).await;
            if recorded {
                self.say(&begun).await;
                self.write(*begun);
            }
            return recorded;
        }
        if self.record((*approved).clone()).await {
            self.step(*approved, &begin, now).await;
        }
        false
    }

    /// An approved action as it would be begun now.
    fn ready(&self, action: &Action) -> Action {
        let mut action = action.clone();
        action.terms.alone = self.goes_alone(&action);
        action
    }

    /// The one write, whose intent is on the disk.
    fn write(&mut self, action: Action) {
        // The gate holds the lease from here, and gives it up.
        let (actuator, id, gate) = (self.actuator.clone(), action.id.clone(), self.gate(&action));
        self.writes.spawn(async move {
            let change = change(&action);
            (id, Box::pin(gate.pass(&action, actuator.apply(&change))).await) // too big for the stack
        });
    }

    fn is_protected(&self, action: &Action) -> bool {
        // What is no longer there is refused elsewhere; until then it counts as protected.
        let picture = self.picture();
        picture.workload(action.workload.as_str()).is_none_or(|v| v.workload.guard.protected)
    }

    /// What stands against an action as things are now: freeze, limits, guards, what was seen of the target.
    pub(super) fn against(&self, action: &Action, now: Time) -> Vec<Label> {
        let picture = self.picture();
        let Some(view) = picture.workload(action.workload.as_str()) else {
            return vec![Label::new("the workload is no longer there")];
        };
        let mut against = self.refused(view, action, now);
        against.extend(checks::still_so(view, action));
        against
    }

    /// An approval whose time has come: everything is asked again, and the newest recommendation must still point the same
    /// way. Then the intent on disk, and the one write.
    pub(super) async fn begin(&mut self, action: Action) {
        if self.asking.contains(&action.id) {
            return;
        }
        let now = self.now();
        let refused = self.against_begun(&action, now);
        if !refused.is_empty() {
            self.not_begun(action, refused, now).await;
        } else if !self.rests(&action) {
            self.ask(action, For::Due);
        }
    }

    /// Something stands against an approval whose time has come. It may be over in a moment (a rebalance, a refresh that
    /// missed a partition), and whoever approved it is not there to ask again: while there is time it waits. It only delays
    /// a way back.
    async fn not_begun(&mut self, action: Action, refused: Vec<Label>, now: Time) {
        let in_time = action.expires.since(now) > LAST && self.unwanted(&action).is_none();
        if action.is_put_back() || in_time {
            self.hold_back(&action, &refused).await;
        } else {
            self.step(self.ready(&action), &Step::Begin { refused }, now).await;
        }
    }

    /// The same when the target was asked.
    pub(super) async fn begin_now(&mut self, mut asked: Asked) {
        // It may have been taken back or have expired meanwhile.
        let is_due = |a: &Action| a.state == ActionState::Approved;
        let Some(action) = self.book.action(&asked.action.id).filter(is_due) else { return };
        let now = self.now();
        let mut refused = self.against_begun(&action, now);
        if let Some(bound) = asked.bound.take().filter(|_| refused.is_empty())
            && !self.is_as_left(&action, bound).await
        {
            return;
        }
        refused.extend(asked.against());
        let now = self.now();
        if !refused.is_empty() {
            return self.not_begun(action, refused, now).await;
        }
        if let Some(action) = self.step(self.ready(&action), &Step::Begin { refused }, now).await {
            self.write(action);
        }
    }

    /// The program ends, and what waits for its time with it: nobody else need wait for that.
    pub(super) async fn leave_waiting(&mut self) {
        let now = self.now();
        for action in self.book.waiting() {
            self.step(action, &Step::Restart, now).await;
        }
    }

    fn against_begun(&self, action: &Action, now: Time) -> Vec<Label> {
        let mut refused = self.against(action, now);
        refused.extend(self.unwanted(action));
        refused
    }

    /// That the newest recommendation points another way. A way back needs none.
    fn unwanted(&self, action: &Action) -> Option<Label> {
        let picture = self.picture();
        let view = picture.workload(action.workload.as_str()).filter(|_| !action.is_put_back())?;
        checks::still_wanted(view, action)
    }

    pub(super) async fn written(&mut self, done: Result<Written, JoinError>) {
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
        let done = self.step(action, &step, now).await;
        if let Some(done) = done.filter(|a| a.state == ActionState::Applied) {
            self.roll_back_undone(&done, now).await;
        }
    }

    /// An undoing that arrived ends what it undoes, where that was still being watched.
    async fn roll_back_undone(&mut self, done: &Action, now: Time) {
        let undone = done.terms.undoes.as_ref().and_then(|id| self.book.action(id));
        if let Some(undone) = undone.filter(|a| a.state == ActionState::Applied) {
            let step = Step::RollBack { actor: self.actor.clone(), by: done.id.clone() };
            self.step(undone, &step, now).await;
        }
    }

    /// Twice the learned start-up and a rebalance, and a minute for the hold; a default where nothing is learned.
    fn verify_by(&self, action: &Action, now: Time) -> Time {
        let picture = self.picture();
        let capacity = picture.workload(action.workload.as_str()).and_then(|v| v.advice.capacity.clone());
        now.plus(capacity.map_or(300.0, |c| 60.0 + 2.0 * (c.start_up + c.rebalance)).max(120.0))
    }

    /// Starts a look at every target that something is waited for from.
    pub(super) fn look(&mut self) {
        if !self.looks.is_empty() || !self.connecting.is_empty() {
            return;
        }
        for action in self.book.to_watch() {
            let actuator = self.actuator.clone();
            self.looks.spawn(async move {
                let begun = Instant::now();
                let look = time::timeout(LOOK_DEADLINE, actuator.look(&change(&action))).await;
                (action.id, begun, look.unwrap_or_else(|_| Err("no answer within 20 s".to_owned())))
            });
        }
    }

    pub(super) async fn looked(&mut self, seen: Result<Looked, JoinError>) {
        let Ok((id, begun, seen)) = seen else { return };
        let Some(action) = self.book.action(&id) else { return };
        let now = self.now();
        // While another write of ours is on its way to this target its count says nothing about this one.
        if action.state == ActionState::Applied && self.book.is_written(&action.target) {
            return;
        }
        match seen {
            Err(why) => self.not_seen(&action, why).await,
            Ok(seen) => {
                self.unseen.remove(&id);
                let Seen { mut replicas, writer, lever } = seen;
                // Of a bound it is not known who moved it: the writer is that of the count.
                let writer = writer.filter(|_| lever.is_none());
                // A command says what was asked for; what is at work is seen by the sources.
                if !action.target.is_kubernetes()
                    && let Some(view) = self.picture().workload(action.workload.as_str())
                    && let Some(r) = &view.state.replicas
                {
                    replicas.ready = replicas.ready.min(r.ready);
                }
                let verify_by = self.verify_by(&action, now);
                let waited = self.waited(&action, begun);
                let picture = self.picture();
                let view = picture.workload(action.workload.as_str());
                let expects = view.and_then(|v| effect::expected(&action, v, now));
                let step = Step::Observed(Look { replicas, lever, writer, verify_by, expects, waited });
                if let Some(after) = self.step(action, &step, now).await {
                    self.follow_up(&after, now).await;
                }
            }
        }
    }

    /// What cannot be looked at holds its target: the operator is told why, once for each reason.
    async fn not_seen(&mut self, action: &Action, why: String) {
        if self.unseen.get(&action.id) != Some(&why) {
            let text = format!("{}: {} cannot be looked at: {why}", action.workload, action.target);
            self.notice(Severity::Look, text).await;
            self.unseen.insert(action.id.clone(), why);
        }
    }

    /// Seconds from the record of an action's present state to `then`; negative when it came after. A command that an
    /// earlier run began may go on without us for as long as it may take: that is no waiting.
    fn waited(&self, action: &Action, then: Instant) -> f64 {
        let waited = self.book.waited(&action.id, then) * self.options.clock.speed();
        if action.state == ActionState::Unknown && self.book.is_of_earlier_run(&action.id) {
            return (waited - self.longest_write(&action.target)).max(0.0);
        }
        waited
    }

    /// Ends an action whose outcome nobody can find out (a command that cannot be observed, an object that is gone), which
    /// would hold its target for ever. Not before the write can no longer land.
    pub(super) async fn give_up(&mut self, action: Action) {
        let left = SETTLE - self.waited(&action, Instant::now());
        if left > 0.0 {
            let text = format!(
                "{} {} → {}: its write may still land, so it is looked for {} more before one can give up",
                action.workload,
                action.from,
                action.to,
                duration(left.ceil())
            );
            return self.notice(Severity::Look, text).await;
        }
        let reason = "given up: its outcome could not be found out; look at the target before the next change";
        let now = self.now();
        self.step(action, &Step::Reject { actor: self.actor.clone(), reason: reason.into() }, now).await;
    }

    /// What a look that decided something leads to.
    async fn follow_up(&mut self, action: &Action, now: Time) {
        match action.state {
            ActionState::Applied => self.roll_back_undone(action, now).await,
            ActionState::Verified => self.expecting.extend(Expecting::of(action)),
            ActionState::Failed if action.terms.reverted_by.is_some() => {
                let reverts = self.book.reverts(&action.target, now.plus(-24.0 * 3600.0)).len();
                if reverts >= checks::BENCH_AFTER {
                    let text = format!(
                        "{} is benched for an hour: {reverts} changes were taken back; find out who owns its count",
                        action.target
                    );
                    self.book.note(&text, now).await;
                    self.notice(Severity::Act, text).await;
                }
            }
            _ => {}
        }
    }

    /// Says of changes that are ready whether they helped. What cannot be seen a minute after its time is let go.
    pub(super) async fn judge_effects(&mut self, now: Time) {
        let (due, later) =
            std::mem::take(&mut self.expecting).into_iter().partition(|e: &Expecting| now >= e.expects.due);
        self.expecting = later;
        let picture = self.picture();
        for expecting in due {
            let verdict = picture.workload(expecting.workload.as_str()).and_then(|v| expecting.judge(v));
            match verdict {
                Some(verdict) => {
                    self.book.note(verdict.text.as_str(), now).await;
                    let severity = if verdict.as_predicted { Severity::Ok } else { Severity::Look };
                    self.notice(severity, format!("{}: {}", expecting.workload, verdict.text)).await;
                }
                None if now.since(expecting.expects.due) < 60.0 => self.expecting.push(expecting),
                None => tracing::warn!("the effect of {} cannot be seen", expecting.action),
            }
        }
    }
}
