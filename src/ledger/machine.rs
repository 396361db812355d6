//! The state machine of an action: which event may follow which state, under which guard. Pure; time is an argument.
//!
//! The rule that everything else serves: at most one write request per action, never after its expiry, never when the
//! plan is not the one that was on screen, and never a second attempt when the outcome of the first is unknown.
//!
//! ```text
//! Proposed ──▶ Approved ──▶ Applying ──▶ Applied ──▶ Verified
//!    │            │            │  ╲         ▲  ╲
//!    ▼            ▼            ▼   ╲──▶ Unknown ╲──▶ RolledBack
//! Superseded   Expired       Failed ◀─────┘
//! Expired      Rejected        ▲
//! Rejected                     └── Applied (taken back, not ready in time)
//! ```
//!
//! Instants come from a clock that never goes back ([`super::Forward`]); how long something lasted is measured apart
//! from it, so that a clock that somebody sets ends no wait early.

mod look;

pub use look::Look;

use crate::model::{Action, ActionId, ActionState, Actor, Label, PlanHash, Second, Terms, Time};

/// How long after a write of unknown outcome the target must still show the old count before the write counts as lost.
/// An API server gives a request 60 s (`--request-timeout`); until then it may still land. Seconds.
pub const SETTLE: f64 = 75.0;

/// How long a count must have stayed before it is called verified: an HPA takes a foreign count back at its next sync,
/// 15 s by default. Seconds.
pub const HOLD: f64 = 20.0;

/// When an approval for later is to be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Not before.
    pub at: Time,
    /// Not after.
    pub until: Time,
}

/// What happens to an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A newer recommendation for the workload asks for another count.
    Supersede {
        /// The newer count.
        to: u32,
    },
    /// Time passed: refused while there is some left.
    Expire,
    /// An operator says no, or gives up looking for what became of a write.
    Reject {
        /// Who.
        actor: Actor,
        /// Why.
        reason: Label,
    },
    /// Whoever looked at it left without a decision.
    Leave {
        /// What they did instead.
        reason: Label,
    },
    /// An operator says yes.
    Approve {
        /// Who.
        actor: Actor,
        /// Hash of the plan in the dialog; must be the action's own.
        plan_hash: PlanHash,
        /// What policy, freeze file and limits hold against it; must be empty.
        refused: Vec<Label>,
        /// Not now but then: begun at `at`, or not at all after `until`.
        when: Option<Window>,
        /// The target is protected: who approves must be another person, by the server's word, than who asked.
        protected: bool,
    },
    /// An operator says yes, and the target is protected: another person is asked for.
    Ask {
        /// Who.
        actor: Actor,
        /// Hash of the plan in the dialog; must be the action's own.
        plan_hash: PlanHash,
        /// What stands against it; must be empty.
        refused: Vec<Label>,
        /// How long the other person has.
        until: Time,
    },
    /// The write is about to be made. The resulting state must be on disk before it is.
    Begin {
        /// What the checks of the last moment hold against it (owner, permission, dry run); must be empty.
        refused: Vec<Label>,
    },
    /// The target accepted the write.
    Accepted {
        /// Until when it must be ready.
        verify_by: Time,
    },
    /// The target refused the write: certainly nothing was done.
    Refused {
        /// In the target's words.
        reason: Label,
    },
    /// Nobody knows whether the write was done.
    Lost {
        /// What happened.
        reason: Label,
    },
    /// The target was looked at.
    Observed(Look),
    /// A linked action puts the old count back.
    RollBack {
        /// Who.
        actor: Actor,
        /// The linked action.
        by: ActionId,
    },
    /// The process that carried it ended; another one found it in the ledger.
    Restart,
}

impl Event {
    /// A word for sentences.
    fn name(&self) -> &'static str {
        match self {
            Self::Supersede { .. } => "be superseded",
            Self::Expire => "expire",
            Self::Reject { .. } => "be rejected",
            Self::Leave { .. } => "be left",
            Self::Approve { .. } => "be approved",
            Self::Ask { .. } => "be put before a second person",
            Self::Begin { .. } => "begin",
            Self::Accepted { .. } => "be accepted by the target",
            Self::Refused { .. } => "be refused by the target",
            Self::Lost { .. } => "be lost",
            Self::Observed(_) => "be observed",
            Self::RollBack { .. } => "be rolled back",
            Self::Restart => "survive a restart",
        }
    }
}

/// What follows from an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition {
    /// Nothing to record: go on waiting.
    Wait,
    /// The action as it stands now. Record it before anything else happens.
    To(Box<Action>),
}

impl Transition {
    /// The new action, if there is one.
    pub fn action(self) -> Option<Action> {
        match self {
            Self::Wait => None,
            Self::To(action) => Some(*action),
        }
    }
}

/// Why an event may not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The state does not allow it.
    #[error("an action that is {} cannot {event}", state.name())]
    State {
        /// Where it stands.
        state: ActionState,
        /// What was tried.
        event: &'static str,
    },
    /// Too late.
    #[error("the plan expired at {expires}: ask again for a fresh one")]
    Expired {
        /// When it expired.
        expires: Time,
    },
    /// Nothing to expire yet.
    #[error("the plan is good until {expires}")]
    NotYet {
        /// When it expires.
        expires: Time,
    },
    /// The plan is not the one that was on screen.
    #[error("the plan on screen was {shown}, the one recorded is {recorded}: look again before approving")]
    Plan {
        /// Hash in the dialog.
        shown: PlanHash,
        /// Hash of the action.
        recorded: PlanHash,
    },
    /// Guards, limits, owner or permission stand against it.
    #[error("held back: {}", sentence(reasons))]
    Held {
        /// Each as a sentence.
        reasons: Vec<Label>,
    },
    /// Approved for later.
    #[error("approved for {at}: it is not begun before")]
    TooEarly {
        /// When it may begin.
        at: Time,
    },
    /// A protected target and no second person.
    #[error("protected: {who}")]
    SecondPerson {
        /// What is missing.
        who: Label,
    },
    /// The newer recommendation asks for the same count.
    #[error("the newer recommendation asks for the same count")]
    SameCount,
}

fn sentence(reasons: &[Label]) -> String {
    reasons.iter().map(Label::as_str).collect::<Vec<_>>().join("; ")
}

/// Whether `after` may directly follow `before`: the edges of the machine, as data. The ledger checks every record
/// against it, so a mistake elsewhere cannot write a story that the machine does not tell.
pub fn may_follow(before: Option<ActionState>, after: ActionState) -> bool {
    use ActionState::{
        Applied, Applying, Approved, Expired, Failed, Proposed, Rejected, RolledBack, Superseded, Unknown, Verified,
    };
    let Some(before) = before else { return after == Proposed };
    match before {
        // Asking for a second person is said in a record of its own.
        Proposed => matches!(after, Proposed | Superseded | Expired | Rejected | Approved),
        Approved => matches!(after, Expired | Rejected | Applying),
        Applying => matches!(after, Applied | Failed | Unknown),
        Unknown => matches!(after, Applied | Failed),
        Applied => matches!(after, Verified | Failed | RolledBack),
        Superseded | Expired | Rejected | Verified | Failed | RolledBack => false,
    }
}

/// What `event` makes of `action` at `now`.
///
/// # Errors
/// A [`Refusal`] when the state does not allow the event or a guard stands against it; the action stays as it is.
pub fn next(action: &Action, event: &Event, now: Time) -> Result<Transition, Refusal> {
    use ActionState::{
        Applied, Applying, Approved, Expired, Failed, Proposed, Rejected, RolledBack, Superseded, Unknown,
    };
    let not_allowed = || Refusal::State { state: action.state, event: event.name() };
    let in_time = || if now < action.expires { Ok(()) } else { Err(Refusal::Expired { expires: action.expires }) };
    let step = Step { action, now };
    match (action.state, event) {
        (Proposed, Event::Supersede { to }) if *to == action.to => Err(Refusal::SameCount),
        (Proposed, Event::Supersede { to }) => {
            Ok(step.to(Superseded, format!("a newer recommendation asks for {to} instead of {}", action.to)))
        }
        (Proposed | Approved, Event::Expire) if now < action.expires => {
            Err(Refusal::NotYet { expires: action.expires })
        }
        (Proposed | Approved, Event::Expire) => Ok(step.to(Expired, format!("not begun by {}", action.expires))),
        (Proposed | Approved, Event::Reject { actor, reason }) => Ok(step.by(actor, Rejected, reason.clone())),
        (Proposed, Event::Leave { reason }) => Ok(step.to(Expired, reason.clone())),
        (Proposed, Event::Ask { actor, plan_hash, refused, until }) => {
            in_time()?;
            same_plan(action, plan_hash)?;
            none_held(refused)?;
            vouched(actor)?;
            Ok(step.asked(actor, *until))
        }
        (Proposed, Event::Approve { actor, plan_hash, refused, when, protected }) => {
            in_time()?;
            same_plan(action, plan_hash)?;
            none_held(refused)?;
            if *protected {
                may_second(action, actor)?;
            }
            Ok(step.approved(actor, *when))
        }
        (Approved, Event::Begin { refused }) => {
            in_time()?;
            if let Some(at) = action.terms.begin_at.filter(|at| now < *at) {
                return Err(Refusal::TooEarly { at });
            }
            none_held(refused)?;
            Ok(step.to(Applying, "the write is made once; if its outcome is lost it is looked for, not repeated"))
        }
        (Applying, Event::Accepted { verify_by }) => Ok(step.verified_by(*verify_by, "accepted by the target")),
        // Of a write whose outcome was lost it may come out that it was never begun: its claim never stood.
        (Applying | Unknown, Event::Refused { reason }) => {
            Ok(step.to(Failed, format!("refused, nothing was done: {reason}")))
        }
        (Applying, Event::Lost { reason }) => Ok(step.to(Unknown, format!("outcome unknown: {reason}"))),
        // Where the target tells nothing, only a person can: whoever gives up has looked by other means.
        (Unknown, Event::Reject { actor, reason }) => Ok(step.by(actor, Failed, reason.clone())),
        // A look from before the state says nothing about it.
        (Unknown | Applied, Event::Observed(look)) if look.waited < 0.0 => Ok(Transition::Wait),
        (Unknown, Event::Observed(look)) => Ok(step.reconcile(look)),
        (Applied, Event::Observed(look)) => Ok(step.verify(look)),
        (Applied, Event::Expire) => match action.verify_by {
            Some(by) if now >= by => Ok(step.to(Failed, format!("could not be seen ready by {by}"))),
            Some(by) => Err(Refusal::NotYet { expires: by }),
            None => Err(not_allowed()),
        },
        (Applied, Event::RollBack { actor, by }) => Ok(step.by(actor, RolledBack, format!("undone by {by}"))),
        // Whoever approves it carries it out: it does not hang on the process that asked.
        (Proposed, Event::Restart) if action.waits_for_second() => Ok(Transition::Wait),
        (Proposed | Approved, Event::Restart) => {
            Ok(step.to(Expired, "the program ended before it was begun; nothing is applied across a restart"))
        }
        (Applying, Event::Restart) => {
            Ok(step.to(Unknown, "outcome unknown: the program ended while the write was under way"))
        }
        (Applied | Unknown, Event::Restart) => Ok(Transition::Wait),
        _ => Err(not_allowed()),
    }
}

fn none_held(reasons: &[Label]) -> Result<(), Refusal> {
    if reasons.is_empty() { Ok(()) } else { Err(Refusal::Held { reasons: reasons.to_vec() }) }
}

fn same_plan(action: &Action, shown: &PlanHash) -> Result<(), Refusal> {
    let recorded = &action.plan_hash;
    if shown == recorded { Ok(()) } else { Err(Refusal::Plan { shown: shown.clone(), recorded: recorded.clone() }) }
}

fn lacking<T>(who: impl Into<Label>) -> Result<T, Refusal> {
    Err(Refusal::SecondPerson { who: who.into() })
}

/// Which servers say who somebody is. Kafka maps a client certificate to a principal by rules of its own
/// (`ssl.principal.mapping.rules`), under which two certificates may be one person, and has no request that asks for it.
const WHO_SAYS: &str =
    "Kubernetes does, and Kafka where one logs in by SASL (by a client certificate alone it does not)";

/// Whether a server says who `actor` is: somebody else could not be told from them otherwise.
fn vouched(actor: &Actor) -> Result<(), Refusal> {
    if actor.server_user.is_some() {
        Ok(())
    } else {
        lacking(format!("no server says who you are, so nobody can be the second; {WHO_SAYS}"))
    }
}

/// Whether `actor` is another person than who asked. Only the server's word counts, and only one server's: an
/// operating-system name is whatever the machine's owner says it is, and one person may have a name on each server.
///
/// # Errors
/// What is missing.
pub fn may_second(action: &Action, actor: &Actor) -> Result<(), Refusal> {
    let Some(asked) = &action.terms.asked_by else { return lacking("it is not known who asked for it") };
    match (&asked.server_user, &actor.server_user) {
        (None, _) => lacking("no server says who asked for it, so nobody can be known to be another person"),
        (_, None) => {
            lacking(format!("no server says who you are, so you cannot be known to be another person; {WHO_SAYS}"))
        }
        (Some(_), Some(_)) if asked.vouched_by != actor.vouched_by => {
            let by = |a: &Actor| a.vouched_by.as_ref().map_or("nobody".to_owned(), ToString::to_string);
            let (theirs, yours) = (by(asked), by(actor));
            lacking(format!("{asked} is known to {theirs} and you to {yours}, so you may be the same person"))
        }
        (Some(theirs), Some(yours)) if theirs == yours => {
            lacking(format!("{theirs} asked for it; another person approves it"))
        }
        _ => Ok(()),
    }
}

/// One step in the making.
struct Step<'a> {
    action: &'a Action,
    now: Time,
}

impl Step<'_> {
    fn to(&self, state: ActionState, reason: impl Into<Label>) -> Transition {
        let action = Action { state, reason: reason.into(), updated: self.now, ..self.action.clone() };
        Transition::To(Box::new(action))
    }

    fn by(&self, actor: &Actor, state: ActionState, reason: impl Into<Label>) -> Transition {
        let action =
            Action { state, actor: actor.clone(), reason: reason.into(), updated: self.now, ..self.action.clone() };
        Transition::To(Box::new(action))
    }

    fn asked(&self, actor: &Actor, until: Time) -> Transition {
        let action = Action {
            actor: actor.clone(),
            updated: self.now,
            expires: until,
            terms: Terms { second: Some(Second::Asked), ..self.action.terms.clone() },
            ..self.action.clone()
        };
        Transition::To(Box::new(action))
    }

    fn approved(&self, actor: &Actor, when: Option<Window>) -> Transition {
        let Action { expires, terms, .. } = self.action.clone();
        let (reason, expires, begin_at) = match when {
            None => ("approved".to_owned(), expires, terms.begin_at),
            // Consent for a later instant outlives the plan: what it rests on is checked anew then.
            Some(Window { at, until }) => (format!("approved for {at}"), until, Some(at)),
        };
        let action = Action {
            state: ActionState::Approved,
            actor: actor.clone(),
            reason: Label::new(&reason),
            updated: self.now,
            expires,
            terms: Terms { begin_at, ..terms },
            ..self.action.clone()
        };
        Transition::To(Box::new(action))
    }

    fn verified_by(&self, verify_by: Time, reason: impl Into<Label>) -> Transition {
        let action = Action {
            state: ActionState::Applied,
            verify_by: Some(verify_by),
            reason: reason.into(),
            updated: self.now,
            ..self.action.clone()
        };
        Transition::To(Box::new(action))
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
pub(crate) mod tests;
