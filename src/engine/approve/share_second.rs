//! Two people for a protected target: one asks, another approves, on another machine as likely as not. Who they are is
//! the server's word. The plan's hash that is shown to both, recorded and compared is one, and so is the change.

use super::{
    Desk,
    ask::{Asked, For},
    checks, prepare,
};
use crate::{
    ledger::machine::Event as Step,
    model::{Action, ActionId, Label, PlanHash, Second, Severity, Time, WorkloadView, duration},
};

/// How long the second person has, seconds: longer than a plan is good, for what it rests on is looked at anew then.
const PATIENCE: f64 = 900.0;

impl Desk {
    /// Puts what was shown before a second person: the confirming key on a protected target.
    pub(super) async fn ask_second(&mut self, action: Action, hash: &PlanHash, refused: Vec<Label>, now: Time) {
        self.stop_deciding();
        let until = now.plus(PATIENCE);
        let ask = Step::Ask { actor: self.actor.clone(), plan_hash: hash.clone(), refused, until };
        if let Some(action) = self.step(action, &ask, now).await {
            let (workload, from, to) = (&action.workload, action.from, action.to);
            let text = format!(
                "{workload} {from} → {to}: a second person has {} to approve it on their actions page",
                duration(PATIENCE)
            );
            self.notice(Severity::Ok, text).await;
        }
    }

    /// Shows what another person asked for, checked here and now, for this person's word.
    pub(super) async fn prepare_second(&mut self, id: &ActionId) {
        self.begin_anew("left undecided: another change was looked at").await;
        let Some(action) = self.book.action(id) else {
            return self.notice(Severity::Look, format!("there is no action {id} to approve")).await;
        };
        if !action.waits_for_second() {
            return self.not_ready(&action.workload, "that is not waiting for a second person any more").await;
        }
        let picture = self.picture();
        let Some(view) = picture.workload(action.workload.as_str()).cloned() else {
            let text = format!("{} is not seen from here, so it cannot be judged", action.workload);
            self.not_ready(&action.workload, text).await;
            return;
        };
        self.ask(action, For::Second { view });
    }

    /// The dialog of a second person, when the target was asked.
    pub(super) async fn offer_second(&mut self, view: &WorkloadView, asked: Asked) {
        let Asked { action, plan, .. } = asked;
        if !self.still_waits(&action) {
            return self.not_ready(&action.workload, "that is not waiting for a second person any more").await;
        }
        let now = self.now();
        let mut refused = self.against(&action, now);
        let request = checks::in_one_line(&plan.request);
        if plan.refused.is_empty() && request != action.request {
            refused.push(
                format!("the request would not be the one that was shown to {}: {request}", asker(&action)).into(),
            );
        }
        refused.extend(plan.refused.clone());
        if let Err(why) = crate::ledger::machine::may_second(&action, &self.actor) {
            refused.push(why.to_string().into());
        }
        let as_us = Action { actor: self.actor.clone(), ..action.clone() };
        self.decide_alone(&as_us, &mut refused).await;
        let guess = self.guess(view, &action).cloned();
        let prepared = crate::model::Prepared { guess, ..prepare::prepared(view, &action, plan, refused, now) };
        self.show(prepared, action).await;
    }

    /// Says no to what another person asked for, or takes back what one asked for oneself.
    pub(super) async fn refuse_second(&mut self, action: Action) {
        let Action { workload, from, to, .. } = &action;
        let (why, word) = if self.book.is_others(&action.id) {
            if let Err(why) = self.book.adopt(action.clone()).await {
                return self.notice(Severity::Act, format!("not recorded: {why}")).await;
            }
            ("a second person said no", "refused")
        } else {
            ("taken back by who asked", "taken back")
        };
        let text = format!("{workload} {from} → {to}: {word}");
        if self.reject(action, why).await {
            self.notice(Severity::Ok, text).await;
        }
    }
}

fn asker(action: &Action) -> String {
    action.terms.asked_by.as_ref().map_or_else(|| "whoever asked".to_owned(), ToString::to_string)
}

/// What the dialog of a protected target says of the two people.
pub(super) fn second(action: &Action, now: Time) -> Option<(Second, Label)> {
    let words = match action.terms.second? {
        Second::Needed => "protected: confirming asks for a second person, who approves it".to_owned(),
        Second::Asked => {
            let ago = duration(now.since(action.updated).max(0.0));
            format!("{} asked for it {ago} ago, with this plan; confirming approves it", asker(action))
        }
    };
    Some((action.terms.second?, words.into()))
}
