//! From a key to a dialog: what would be done, by whose right, what stands against it. Nothing is changed on the target.

use super::{
    Desk,
    ask::{Asked, For},
    checks, share_second,
};
use crate::{
    act::Plan,
    engine::run::Event,
    model::{
        Action, ActionId, ActionState, Found, Label, Lever, PlanHash, Prepared, Recommendation, Second, Severity,
        Target, Terms, Time, Unprepared, WorkloadKind, WorkloadView, duration,
    },
};
use std::sync::Arc;
use tokio::task::JoinSet;

/// How long the plan of an undoing is good, seconds.
const UNDO_PLAN: f64 = 300.0;

impl Desk {
    pub(super) async fn prepare(&mut self, workload: &Label, to: u32, hash: &PlanHash, way: usize) {
        self.begin_anew("left undecided: another change was asked for").await;
        let Some((view, advice)) = self.on_screen(workload, hash).await else { return };
        let Some(target) = advice.target.clone() else {
            let mend = "set target = \"deploy/NAMESPACE/NAME\" in its [[workload]] to be able to approve";
            self.not_ready(workload, format!("{workload} has no target: {mend}")).await;
            return;
        };
        let now = self.now();
        let action = self.action(&view, &advice, target, to, now);
        self.ask(action, For::Dialog { view, way });
    }

    /// Leaves what was in the dialog, or was asked for it, for what is asked now.
    pub(super) async fn begin_anew(&mut self, why: &str) {
        self.dialogs = JoinSet::new();
        self.leave_prepared(why).await;
    }

    /// The way back to the count before: an action of its own, with its own condition, its own dialog and its own record.
    pub(super) async fn prepare_undo(&mut self, id: &ActionId) {
        self.begin_anew("left undecided: another change was asked for").await;
        let Some(done) = self.book.action(id) else {
            self.notice(Severity::Look, format!("there is no action {id} to undo")).await;
            return;
        };
        if !done.is_in_place() {
            let text = format!(
                "{} {} → {} is {}: there is nothing to undo",
                done.workload,
                done.from,
                done.to,
                done.state.name()
            );
            self.not_ready(&done.workload, text).await;
            return;
        }
        let picture = self.picture();
        let Some(view) = picture.workload(done.workload.as_str()).cloned() else {
            self.not_ready(&done.workload, format!("{} is no longer there", done.workload)).await;
            return;
        };
        let now = self.now();
        let (from, to) = (done.to, done.from);
        let action = Action {
            id: super::identity::action_id(now),
            from,
            to,
            plan_hash: PlanHash::of(&[
                "undo",
                done.id.0.as_str(),
                &from.to_string(),
                &to.to_string(),
                &now.to_string(),
            ]),
            state: ActionState::Proposed,
            actor: self.actor.clone(),
            reason: Label::new(&format!("undoes {}", done.id)),
            evidence: Label::new(&format!("{} was {} at {}", done.id, done.state.name(), done.updated)),
            created: now,
            updated: now,
            expires: now.plus(UNDO_PLAN),
            verify_by: None,
            terms: Terms {
                asked_by: Some(self.actor.clone()),
                undoes: Some(done.id.clone()),
                lever: done.terms.lever.as_ref().map(Lever::back),
                ..Terms::default()
            },
            ..done
        };
        self.ask(action, For::Dialog { view, way: 0 });
    }

    /// Writes an action down as proposed, whose target was asked, and shows it with all that stands against it.
    pub(super) async fn offer(&mut self, view: &WorkloadView, asked: Asked, way: usize) {
        let Asked { mut action, plan, ways, wanted, .. } = asked;
        let now = self.now();
        // Who we are may have been said meanwhile.
        action.actor = self.actor.clone();
        action.terms.asked_by = Some(self.actor.clone());
        action.request = checks::in_one_line(&plan.request);
        action.terms.second = view.workload.guard.protected.then_some(Second::Needed);
        let mut refused = self.refused(view, &action, now);
        refused.extend(plan.refused.clone());
        self.decide_alone(&action, &mut refused).await;
        if !self.record(action.clone()).await {
            self.stop_deciding();
            let why = format!("what is decided cannot be recorded: {}", self.book.health().detail);
            // It was said already; the dialog is told.
            self.send(Event::Unprepared(Unprepared { workload: action.workload, why: Label::new(&why) })).await;
            return;
        }
        let guess = self.guess(view, &action).cloned();
        let mut prepared = Prepared { asked: wanted, ways, way, guess, ..prepared(view, &action, plan, refused, now) };
        if let Some(at) = action.terms.lever.as_ref().and_then(|l| l.restore_at) {
            prepared.after = Label::new(&format!(
                "put back at {at} (as much later as it is begun later), or a minute after the next start should nobody \
                 operate then; {}",
                prepared.after
            ));
        }
        self.show(prepared, action).await;
    }

    /// Shows what waits for the confirming key.
    pub(super) async fn show(&mut self, mut prepared: Prepared, action: Action) {
        if let Some(waits) = self.waits_elsewhere(&action) {
            prepared.after = Label::new(&format!("{waits}; {}", prepared.after));
        }
        self.send(Event::Prepared(Some(Arc::new(prepared.clone())))).await;
        self.prepared = Some((prepared, action));
    }

    /// Everything that stands against an action now, but for what the server says.
    pub(super) fn refused(&self, view: &WorkloadView, action: &Action, now: Time) -> Vec<Label> {
        let (book, limits, behind) = (&self.book, &self.options.config.limits, self.clock.behind());
        let (lost, guess) = (self.options.config.ledger.lost, self.guess(view, action));
        checks::Case { view, action, book, limits, lost, guess, behind, now }.refused()
    }

    /// What speaks for a target that was guessed, as long as nobody has confirmed it. The way back from a change that was
    /// made is no new guess.
    pub(super) fn guess<'a>(&self, view: &'a WorkloadView, action: &Action) -> Option<&'a Found> {
        let workload = &view.workload;
        let is_new = action.terms.undoes.is_none() && !self.confirmed.holds(&workload.entity, &action.target);
        workload.found.as_ref().filter(|found| !found.certain && is_new)
    }

    pub(super) fn action(
        &self,
        view: &WorkloadView,
        advice: &Recommendation,
        target: Target,
        to: u32,
        now: Time,
    ) -> Action {
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
        let id = super::identity::action_id(now);
        Action {
            uid: advice.current.uid.clone(),
            plan_hash,
            actor: self.actor.clone(),
            reason: Label::new(&reason),
            evidence: checks::evidence(advice, &view.advice, to),
            expires: advice.expires,
            terms: Terms { asked_by: Some(self.actor.clone()), ..Terms::default() },
            ..Action::proposed(id, advice.workload.clone(), target, (from, to), now)
        }
    }
}

pub(super) fn prepared(view: &WorkloadView, action: &Action, plan: Plan, refused: Vec<Label>, now: Time) -> Prepared {
    let mut first = Vec::new();
    if let Some(c) = &view.advice.capacity {
        let more = action.to > action.from;
        if more {
            first.push(format!("ready in about {}, ", duration(c.start_up)));
        }
        // Only a group stops while its partitions move.
        if view.workload.entity.kind == WorkloadKind::ConsumerGroup {
            let pause = if more { c.standstill(action.to - action.from) } else { c.rebalance_down };
            first.push(format!("partitions stand still for about {}, ", duration(pause)));
        }
    }
    let verified = if first.is_empty() { "verified when ready" } else { "then verified" };
    let after = format!("{}{verified}; undone with U", first.concat());
    Prepared {
        action: action.id.clone(),
        workload: action.workload.clone(),
        target: action.target.clone(),
        from: action.from,
        to: action.to,
        asked: action.to,
        ways: Vec::new(),
        way: 0,
        request: plan.request,
        owner: plan.owner,
        identity: plan.identity,
        dry_run: plan.dry_run,
        refused,
        after: Label::new(&after),
        plan_hash: action.plan_hash.clone(),
        expires: action.expires,
        at: now,
        evidence_age: view.state.data_age.max(now.since(view.state.at)),
        guess: None,
        confirm: view.workload.guard.confirm,
        second: share_second::second(action, now),
    }
}
