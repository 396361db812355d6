//! Bounds that were moved for a surge are put back: an action of its own, approved with the change that it puts back,
//! visible and cancellable until its time comes.

use super::{Desk, identity};
use crate::{
    act::Seen,
    ledger::machine::Event as Step,
    model::{Action, ActionId, ActionState, Label, Lever, LeverState, PlanHash, Severity, Terms, Time},
};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How long the way back may take to find its moment before it is written down anew, seconds. A freeze delays it, no more.
const PATIENCE: f64 = 600.0;
/// One whose time has passed leaves this long to cancel it, seconds.
const LATE: f64 = 60.0;
/// How often what is held back is tried.
const RETRY: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 20 });

impl Desk {
    /// Writes down the way back of every change that has one and lacks it: right after the change, after a restart, and
    /// when the last attempt found no moment or failed.
    pub(super) async fn plan_put_backs(&mut self, now: Time) {
        for (done, earlier) in self.book.to_put_back() {
            let Some(mut action) = put_back(&done, earlier, identity::action_id(now), now) else { continue };
            // A second surge on top of the first: its way back leads to where the first one's would have led.
            let before = self.book.waiting_put_backs(&action);
            for waiting in &before {
                take_over(&mut action, waiting);
            }
            if !self.record(Action { state: ActionState::Proposed, ..action.clone() }).await {
                return; // the next look tries again
            }
            if !self.record(action.clone()).await {
                continue;
            }
            // Only now: a way back that is ended before the next one is written down could be lost in between.
            for waiting in before {
                self.reject(waiting, &format!("taken over by {}", action.id)).await;
            }
            let at = action.terms.begin_at.unwrap_or(now);
            let text =
                format!("{}: {} is put back at {at}; cancel it on the actions page", done.workload, action.request);
            self.notice(Severity::Ok, text).await;
        }
    }

    /// Whether a bound is still as the surge left it. When it is not, somebody else has decided about it, and it is left
    /// alone for good.
    pub(super) async fn is_as_left(&mut self, action: &Action, bound: Result<Seen, String>) -> bool {
        let found = match bound {
            Ok(seen) => seen.lever,
            Err(why) => {
                self.hold_back(action, &[Label::new(&why)]).await;
                return false;
            }
        };
        let why = match found {
            Some(LeverState::Before) => return true,
            Some(LeverState::Written) => "it is back already".to_owned(),
            Some(LeverState::Other(words)) => format!("somebody else moved it: {words}"),
            Some(LeverState::Gone) | None => "it is gone".to_owned(),
        };
        let reject = Step::Reject { actor: self.actor.clone(), reason: Label::new(&format!("not put back: {why}")) };
        let now = self.now();
        self.step(action.clone(), &reject, now).await;
        self.notice(Severity::Look, format!("{}: {} is not done: {why}", action.workload, action.request)).await;
        false
    }

    /// Whether it was held back a moment ago, so that a server in trouble is not asked every two seconds.
    pub(super) fn rests(&self, action: &Action) -> bool {
        self.held_back.get(&action.id).is_some_and(|(when, _)| when.elapsed() < RETRY)
    }

    /// What cannot be begun now although its time has come waits; the operator is told why, once for each reason.
    pub(super) async fn hold_back(&mut self, action: &Action, against: &[Label]) {
        let why = against.iter().map(Label::as_str).collect::<Vec<_>>().join("; ");
        let told = self.held_back.insert(action.id.clone(), (Instant::now(), why.clone()));
        if told.is_none_or(|(_, before)| before != why) {
            let Action { workload, from, to, request, .. } = action;
            let text = if action.is_put_back() {
                format!("{workload}: {request} waits, it is not put back yet: {why}")
            } else {
                format!("{workload} {from} → {to} waits, it is not begun yet: {why}")
            };
            self.notice(Severity::Look, text).await;
        }
    }
}

/// The changes whose bound is to be put back and for which nothing waits, is under way or was done; each with where the
/// last attempt would have led. What an operator cancelled and what somebody else moved stays as it is; what expired, failed
/// on the way or was only looked at in a dialog is no way back.
pub(super) fn lacking<'a, I>(actions: impl Fn() -> I) -> Vec<(Action, Option<Lever>)>
where
    I: Iterator<Item = &'a Action>,
{
    use ActionState::{Expired, Failed, Proposed, Rejected, Superseded};
    let settles = |back: &Action| match back.state {
        Expired | Superseded => false,
        Proposed | Rejected => back.is_put_back(),
        Failed => back.terms.reverted_by.is_some(),
        _ => true,
    };
    let mut ways: HashMap<&ActionId, (bool, Option<&Lever>)> = HashMap::new();
    for back in actions().filter(|a| a.terms.lever.is_some()) {
        let Some(undone) = &back.terms.undoes else { continue };
        let way = ways.entry(undone).or_default();
        way.0 |= settles(back);
        if back.is_put_back() {
            way.1 = back.terms.lever.as_ref();
        }
    }
    let has_expiry = |a: &&Action| a.terms.lever.as_ref().is_some_and(|l| l.restore_at.is_some());
    let lacks = |a: &Action| match ways.get(&a.id) {
        None => Some((a.clone(), None)),
        Some((settled, lever)) => (!settled).then(|| (a.clone(), lever.cloned())),
    };
    actions().filter(|a| a.is_in_place()).filter(has_expiry).filter_map(lacks).collect()
}

/// Lets `back` end where `waiting` would have ended, field by field, if it begins where that one ends.
fn take_over(back: &mut Action, waiting: &Action) {
    let Some(older) = waiting.terms.lever.as_ref() else { return };
    for change in back.terms.lever.iter_mut().flat_map(|l| &mut l.set) {
        if let Some(other) = older.set.iter().find(|o| o.field == change.field && o.from == change.to) {
            change.to = other.to;
        }
    }
    if let Some(lever) = &back.terms.lever {
        back.request = Label::new(&lever.to_string());
        back.plan_hash = PlanHash::of(&["put back", back.id.0.as_str(), &lever.to_string()]);
    }
}

/// The way back of a change, approved for its time; `earlier`: what an attempt before would have written.
fn put_back(done: &Action, earlier: Option<Lever>, id: ActionId, now: Time) -> Option<Action> {
    let lever = done.terms.lever.as_ref()?;
    // A surge that was approved for later lasts as long as one that begins at once.
    let later = done.terms.begin_at.map_or(0.0, |begun| begun.since(done.created).max(0.0));
    let at = lever.restore_at?.plus(later);
    let at = if at > now { at } else { now.plus(LATE) };
    let back = earlier.unwrap_or_else(|| lever.back());
    Some(Action {
        id,
        from: done.to,
        to: done.from,
        plan_hash: PlanHash::of(&["put back", done.id.0.as_str(), &back.to_string()]),
        state: ActionState::Approved,
        reason: Label::new(&format!("approved with {}: its bound is put back", done.id)),
        request: Label::new(&back.to_string()),
        evidence: Label::new(&format!("{} was {} at {}", done.id, done.state.name(), done.updated)),
        created: now,
        updated: now,
        expires: at.plus(PATIENCE),
        verify_by: None,
        terms: Terms {
            asked_by: Some(done.actor.clone()),
            undoes: Some(done.id.clone()),
            begin_at: Some(at),
            lever: Some(back),
            ..Terms::default()
        },
        ..done.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, Field, FieldChange, Lever, Target};

    const NOW: Time = Time::from_millis(1_800_000_000_000);

    fn raised(id: &str, (from, to): (u32, u32), restore_at: f64) -> Action {
        let lever = Lever {
            object: "hpa/payments/fraud".parse().unwrap(),
            uid: "u".into(),
            set: vec![FieldChange { field: Field::Floor, from: Some(from), to: Some(to) }],
            restore_at: Some(NOW.plus(restore_at)),
        };
        let target = Target::Deployment { namespace: "payments".into(), name: "fraud".into() };
        Action {
            uid: Some("t".into()),
            state: ActionState::Verified,
            actor: Actor { os_user: "alice".into(), ..Actor::default() },
            terms: Terms { lever: Some(lever), ..Terms::default() },
            ..Action::proposed(ActionId(id.into()), "fraud".into(), target, (from, to), NOW)
        }
    }

    #[test]
    fn a_bound_goes_back_when_its_time_comes_and_never_in_a_rush() {
        let back = put_back(&raised("a", (2, 10), 3600.0), None, ActionId("b".into()), NOW).unwrap();
        assert!(back.is_put_back());
        assert_eq!(back.request.as_str(), "hpa/payments/fraud: floor 10 → 2");
        assert_eq!((back.from, back.to, back.state), (10, 2, ActionState::Approved));
        assert_eq!(back.terms.begin_at, Some(NOW.plus(3600.0)));
        let late = put_back(&raised("a", (2, 10), -500.0), None, ActionId("b".into()), NOW).unwrap();
        assert_eq!(late.terms.begin_at, Some(NOW.plus(60.0)), "a minute to cancel it, however late it is");
        let mut tonight = raised("a", (2, 10), 3600.0);
        let begun = NOW.plus(6.0 * 3600.0);
        tonight.terms.begin_at = Some(begun);
        let back = put_back(&tonight, None, ActionId("b".into()), begun.plus(5.0)).unwrap();
        assert_eq!(back.terms.begin_at, Some(begun.plus(3600.0)), "it lasts its hour from when it was begun");
        let mut stays = raised("a", (2, 10), 0.0);
        stays.terms.lever.as_mut().unwrap().restore_at = None;
        assert_eq!(put_back(&stays, None, ActionId("b".into()), NOW), None);
    }

    fn still_lacking(actions: &[Action]) -> Vec<String> {
        lacking(|| actions.iter()).iter().map(|(a, _)| a.id.to_string()).collect()
    }

    #[test]
    fn a_raised_bound_is_never_forgotten_unless_somebody_decides_so() {
        use ActionState::{Applied, Approved, Expired, Failed, Rejected, Verified};
        let raise = raised("a", (2, 10), 3600.0);
        let waiting = put_back(&raise, None, ActionId("b".into()), NOW).unwrap();
        let dialog = Action {
            id: ActionId("c".into()),
            terms: Terms { begin_at: None, ..waiting.terms.clone() },
            ..waiting.clone()
        };
        let with = |state, back: &Action| still_lacking(&[raise.clone(), Action { state, ..back.clone() }]);
        assert_eq!(still_lacking(std::slice::from_ref(&raise)), ["a"]);
        for state in [Approved, ActionState::Applying, Applied, Verified, Rejected] {
            assert_eq!(with(state, &waiting), [""; 0], "{state:?}: waits, is done, or an operator cancelled it");
        }
        assert_eq!(with(Expired, &waiting), ["a"], "a restart, or no moment in time");
        assert_eq!(with(Failed, &waiting), ["a"], "the server refused it");
        let mut taken_back = waiting.clone();
        taken_back.terms.reverted_by = Some("somebody".into());
        assert_eq!(with(Failed, &taken_back), [""; 0], "somebody raised it again");
        for state in [Rejected, Expired, Failed] {
            assert_eq!(with(state, &dialog), ["a"], "{state:?}: an undoing that was looked at and left undid nothing");
        }
        assert_eq!(with(Verified, &dialog), [""; 0]);
        let mut late = raise.clone();
        (late.state, late.verify_by) = (Failed, Some(NOW));
        assert_eq!(still_lacking(std::slice::from_ref(&late)), ["a"], "not ready in time, but raised");
        late.verify_by = None;
        assert_eq!(still_lacking(&[late]), [""; 0], "refused: nothing was raised");
    }

    #[test]
    fn a_surge_upon_a_surge_ends_where_the_first_began() {
        let first = put_back(&raised("a", (2, 10), 3600.0), None, ActionId("b".into()), NOW).unwrap();
        let mut second = put_back(&raised("c", (10, 14), 3600.0), None, ActionId("d".into()), NOW).unwrap();
        take_over(&mut second, &first);
        assert_eq!(second.request.as_str(), "hpa/payments/fraud: floor 14 → 2");
        let mut other = put_back(&raised("e", (5, 14), 3600.0), None, ActionId("f".into()), NOW).unwrap();
        take_over(&mut other, &first);
        let anew =
            put_back(&raised("c", (10, 14), 0.0), second.terms.lever.clone(), ActionId("g".into()), NOW).unwrap();
        assert_eq!(anew.request.as_str(), "hpa/payments/fraud: floor 14 → 2", "after a restart too");
        assert_eq!(other.request.as_str(), "hpa/payments/fraud: floor 14 → 5", "somebody else moved it in between");
    }
}
