//! What a look at the target says of an action: whether a lost write arrived, whether an accepted one is ready and stayed.

use super::{HOLD, SETTLE, Step, Transition};
use crate::model::{Action, ActionState, Expected, Label, LeverState, Replicas, Terms, Time};

/// What a look at the target showed.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// What it has now.
    pub replicas: Replicas,
    /// How what was written in place of the count stands: a bound, a Job of its own. `None`: the count itself is written.
    pub lever: Option<LeverState>,
    /// Manager that last wrote the count, where the server says so (a hint only).
    pub writer: Option<Label>,
    /// Until when it must be ready, if this shows that a lost write did arrive.
    pub verify_by: Time,
    /// What the change should do if it is ready now.
    pub expects: Option<Expected>,
    /// Seconds from the record of the present state to the beginning of this look, by a clock that nobody can set.
    /// Negative: the look is older than the state and says nothing about it.
    pub waited: f64,
}

/// Where a look found the target.
enum Found {
    Written,
    Before,
    Other,
}

impl Step<'_> {
    /// What the look found where the write was to be seen, and in words.
    fn found(&self, look: &Look) -> (Found, String) {
        let Action { from, to, .. } = self.action;
        let count = look.replicas.desired;
        match &look.lever {
            None if count == *to => (Found::Written, format!("the count is {to}")),
            None if count == *from => (Found::Before, format!("the count is {from}")),
            None => (Found::Other, format!("the count is {count}")),
            Some(LeverState::Written) => (Found::Written, "it is as it was written".to_owned()),
            Some(LeverState::Before) => (Found::Before, "it is as it was before".to_owned()),
            Some(LeverState::Other(words)) => (Found::Other, words.to_string()),
            Some(LeverState::Gone) => (Found::Other, "what was written is gone".to_owned()),
        }
    }

    /// Finds out what became of a write whose answer was lost.
    pub(super) fn reconcile(&self, look: &Look) -> Transition {
        let Action { from, to, .. } = self.action;
        if self.is_another(&look.replicas) {
            return self.to(ActionState::Failed, "the object was made again under the same name");
        }
        let who = look.writer.as_ref().map_or(String::new(), |w| format!(", last written by {w}"));
        match self.found(look) {
            (Found::Written, words) => self.verified_by(look.verify_by, format!("{words}, as asked for{who}")),
            _ if look.waited < SETTLE => Transition::Wait, // the request may still land
            (Found::Before, words) => self.to(
                ActionState::Failed,
                format!("not applied: {words} after {SETTLE} s{who}; nothing is tried again by itself"),
            ),
            (Found::Other, words) => self.to(ActionState::Failed, format!("{words}, neither {from} nor {to}{who}")),
        }
    }

    /// Watches an accepted write until it is ready.
    pub(super) fn verify(&self, look: &Look) -> Transition {
        let Action { to, verify_by, .. } = self.action;
        if self.is_another(&look.replicas) {
            return self.to(ActionState::Failed, "the object was made again under the same name");
        }
        match self.found(look) {
            (Found::Written, _) => {}
            (_, words) => return self.reverted(look.writer.as_ref(), &words),
        }
        let (ready, pods) = (self.is_ready(look), look.replicas.ready);
        if ready && look.waited >= HOLD {
            return self.verified(look, format!("{pods} of {to} ready, and what was written stayed"));
        }
        match verify_by {
            Some(by) if self.now >= *by && !ready => {
                self.to(ActionState::Failed, format!("{pods} of {to} ready by {by}"))
            }
            _ => Transition::Wait,
        }
    }

    /// Going up, surplus pods of a roll-out do no harm; going down, the surplus must be gone. A bound that is lowered or
    /// put back lets an autoscaler go as far as it likes.
    fn is_ready(&self, look: &Look) -> bool {
        let Action { from, to, terms, .. } = self.action;
        let ready = look.replicas.ready;
        match look.lever {
            _ if to > from => ready >= *to,
            None => ready == *to,
            Some(_) => to < from || terms.undoes.is_some() || ready >= *to,
        }
    }

    /// Whether `replicas` is another object under the same name. Two unknown identities count as the same.
    fn is_another(&self, replicas: &Replicas) -> bool {
        matches!((&self.action.uid, &replicas.uid), (Some(ours), Some(theirs)) if ours != theirs)
    }

    fn verified(&self, look: &Look, reason: String) -> Transition {
        let action = Action {
            state: ActionState::Verified,
            reason: reason.into(),
            updated: self.now,
            terms: Terms { expects: look.expects.clone(), ..self.action.terms.clone() },
            ..self.action.clone()
        };
        Transition::To(Box::new(action))
    }

    fn reverted(&self, by: Option<&Label>, words: &str) -> Transition {
        let who = by.map_or(String::new(), |w| format!(" by {w}"));
        let action = Action {
            state: ActionState::Failed,
            reason: Label::new(&format!("reverted{who}: {words}")),
            updated: self.now,
            terms: Terms { reverted_by: Some(by.cloned().unwrap_or("?".into())), ..self.action.terms.clone() },
            ..self.action.clone()
        };
        Transition::To(Box::new(action))
    }
}
