//! A decision being carried out, and what an operator asks for.

use super::{Confirm, Found, Label, Lever, PlanHash, Role, Target, Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The identity of one action, unique over hosts and time; sorts by creation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ActionId(pub Label);

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The eleven states of an action. The transitions and their guards are `ledger`'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionState {
    /// Shown and waiting for a decision.
    Proposed,
    /// A newer recommendation with another count took its place. Final.
    Superseded,
    /// Not decided or not begun in time. Final.
    Expired,
    /// An operator said no. Final.
    Rejected,
    /// An operator said yes; nothing written yet.
    Approved,
    /// The intent is on disk; the one write is under way.
    Applying,
    /// The write was accepted; waiting until ready.
    Applied,
    /// Ready in time at the count asked for. Final.
    Verified,
    /// Refused, reverted or not ready in time. Final.
    Failed,
    /// Undone by a linked action. Final.
    RolledBack,
    /// The write's outcome is not known (time-out, crash): reconciled by observing, never by trying again.
    Unknown,
}

impl ActionState {
    /// Whether nothing can follow.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Superseded | Self::Expired | Self::Rejected | Self::Verified | Self::Failed | Self::RolledBack
        )
    }

    /// The name in files, JSON and on screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Approved => "approved",
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::Verified => "verified",
            Self::Failed => "failed",
            Self::RolledBack => "rolled-back",
            Self::Unknown => "unknown",
        }
    }
}

/// Who acts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Who the server says we are (Kubernetes' SelfSubjectReview, or the principal that Kafka let in), where there is one.
    pub server_user: Option<Label>,
    /// Which server says so: `kubernetes`, or `kafka` and the cluster's id. Names of two servers are never compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouched_by: Option<Label>,
    /// Operating-system user.
    pub os_user: Label,
    /// Host name.
    pub host: Label,
    /// Process id.
    pub pid: u32,
    /// `SSH_CONNECTION`, when the session is one.
    pub ssh: Option<Label>,
}

impl fmt::Display for Actor {
    /// The server's view first: `alice@corp` or `root@host`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server_user {
            Some(user) => fmt::Display::fmt(user, f),
            None => write!(f, "{}@{}", self.os_user, self.host),
        }
    }
}

/// Where an action stands that needs a second person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Second {
    /// Its dialog is open: who looks at it has not asked yet.
    Needed,
    /// Asked for, with the plan as recorded; another person may approve it.
    Asked,
}

/// What an action was agreed under besides its counts. Absent in most; new kinds of agreement go here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// Who asked first; the ledger reads it from the action's first entry.
    #[serde(skip)]
    pub asked_by: Option<Actor>,
    /// The action whose change this one takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<ActionId>,
    /// Approved for this instant: not to be begun before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begin_at: Option<Time>,
    /// Who took the change back after it was accepted, as far as the server says; `?` when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverted_by: Option<Label>,
    /// Begun by this operator alone, while the shared ledger could not be asked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// What is written when the count has an owner (see [`Lever`]); absent: the count itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lever: Option<Lever>,
    /// The target is protected: another person than who asked approves. Absent: one is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<Second>,
    /// What it should do, said when its replicas were ready; absent: nothing can be promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expects: Option<Expected>,
}

/// How a signal should react to a change that is ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// Which: backlog or latency.
    pub role: Role,
    /// What it was when the replicas were ready.
    pub before: f64,
    /// What it should be at most when it is looked at.
    pub at_most: f64,
    /// The prediction itself, for the sentence.
    pub predicted: f64,
    /// When to look.
    pub due: Time,
}

impl Terms {
    /// Whether nothing is agreed that a file would have to hold.
    pub fn is_plain(&self) -> bool {
        Self { asked_by: None, ..self.clone() } == Self::default()
    }
}

/// One action as it stands now; the ledger is the fold of its entries into these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Identity.
    pub id: ActionId,
    /// Workload's name.
    pub workload: Label,
    /// What is changed.
    pub target: Target,
    /// `metadata.uid` that was on screen, for objects.
    pub uid: Option<Label>,
    /// The count it must find.
    pub from: u32,
    /// The count it writes.
    pub to: u32,
    /// Identity of the plan that was on screen.
    pub plan_hash: PlanHash,
    /// Where it stands.
    pub state: ActionState,
    /// Who made the last decision.
    pub actor: Actor,
    /// Why: the operator's reason, the server's refusal, the guard.
    pub reason: Label,
    /// The request that is made, one line for a person.
    pub request: Label,
    /// What the decision rested on: one line of signals, forecast and model.
    pub evidence: Label,
    /// First entry.
    pub created: Time,
    /// Last entry.
    pub updated: Time,
    /// Not to be begun after.
    pub expires: Time,
    /// Must be ready by (set when applied).
    pub verify_by: Option<Time>,
    /// What else was agreed.
    pub terms: Terms,
}

impl Action {
    /// A change as it begins: proposed by nobody in particular, for no reason yet, good for five minutes.
    pub fn proposed(id: ActionId, workload: Label, target: Target, (from, to): (u32, u32), now: Time) -> Self {
        Self {
            plan_hash: PlanHash::of(&[workload.as_str(), &from.to_string(), &to.to_string()]),
            id,
            workload,
            target,
            uid: None,
            from,
            to,
            state: ActionState::Proposed,
            actor: Actor::default(),
            reason: Label::default(),
            request: Label::default(),
            evidence: Label::default(),
            created: now,
            updated: now,
            expires: now.plus(300.0),
            verify_by: None,
            terms: Terms::default(),
        }
    }

    /// What became of it, as a sentence.
    pub fn said(&self) -> Label {
        let Self { workload, from, to, reason, state, .. } = self;
        Label::new(&format!("{workload} {from} → {to} {}: {reason}", state.name()))
    }

    /// Whether it puts a bound back that was moved for a surge. It waits beside other changes of its target instead of
    /// standing in their way, and waits for its moment instead of being refused.
    pub fn is_put_back(&self) -> bool {
        self.terms.lever.is_some() && self.terms.undoes.is_some() && self.terms.begin_at.is_some()
    }

    /// Whether what it wrote is there as far as is known, so that it can be taken back: also where it was not ready in time,
    /// which is when one wants to most.
    pub fn is_in_place(&self) -> bool {
        match self.state {
            ActionState::Applied | ActionState::Verified => true,
            ActionState::Failed => self.verify_by.is_some() && self.terms.reverted_by.is_none(),
            _ => false,
        }
    }

    /// Whether it waits for a second person.
    pub fn waits_for_second(&self) -> bool {
        self.state == ActionState::Proposed && self.terms.second == Some(Second::Asked)
    }

    /// Whether `other` asks for the very same write: what is compared between two operators beside the plan's hash.
    pub fn same_change(&self, other: &Self) -> bool {
        (&self.target, &self.uid, self.from, self.to, &self.plan_hash, &self.terms.lever)
            == (&other.target, &other.uid, other.from, other.to, &other.plan_hash, &other.terms.lever)
    }
}

/// What an operator asks for on the screen. The engine's approval task answers through the picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Intent {
    /// Check and dry-run a change and show what would be done; nothing is written to the target.
    Prepare {
        /// Workload's name.
        workload: Label,
        /// The count: the recommended one, or the operator's own.
        to: u32,
        /// The plan on screen when the key was pressed.
        plan_hash: PlanHash,
        /// Which of [`Prepared::ways`], where the count has an owner; 0 is the best one.
        way: usize,
    },
    /// Do what was prepared: the second, different key.
    Confirm {
        /// The prepared action.
        action: ActionId,
        /// Its plan hash as shown in the dialog.
        plan_hash: PlanHash,
    },
    /// Do what was prepared, but then: everything is checked again at that instant.
    ConfirmAt {
        /// The prepared action.
        action: ActionId,
        /// Its plan hash as shown in the dialog.
        plan_hash: PlanHash,
        /// When.
        at: Time,
    },
    /// Check and dry-run the way back from an action that was done, and show it like any other change.
    Undo {
        /// The action whose change is to be taken back.
        action: ActionId,
    },
    /// Take an approval for later back before its time, or say no to what waits for a second person.
    Cancel {
        /// The approved action.
        action: ActionId,
    },
    /// Check and dry-run what another person asked for, and show it for approval.
    Second {
        /// The action that waits for a second person.
        action: ActionId,
    },
    /// Say that the workload of a prepared change runs on its target, which was only guessed; then check it anew.
    ConfirmLink {
        /// The prepared action.
        action: ActionId,
        /// The plan on screen that it was prepared from.
        plan_hash: PlanHash,
    },
    /// Leave the dialog without doing it.
    Abandon {
        /// The prepared action.
        action: ActionId,
    },
    /// Say no, with a reason.
    Reject {
        /// Workload's name.
        workload: Label,
        /// The plan on screen.
        plan_hash: PlanHash,
        /// Why.
        reason: Label,
    },
    /// Do not ask again before an instant.
    Snooze {
        /// Workload's name.
        workload: Label,
        /// The plan on screen.
        plan_hash: PlanHash,
        /// When to ask again.
        until: Time,
    },
}

/// A change that was checked and dry-run and now waits for the confirming key: what the dialog shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prepared {
    /// The action it would become.
    pub action: ActionId,
    /// Workload's name.
    pub workload: Label,
    /// What is changed.
    pub target: Target,
    /// Count it must find.
    pub from: u32,
    /// Count it writes.
    pub to: u32,
    /// The count that was asked for. A way that only keeps the present count leads to another one.
    pub asked: u32,
    /// What can be written where the count has an owner, best first, in words; empty: the count itself is written.
    pub ways: Vec<Label>,
    /// Which of them this is.
    pub way: usize,
    /// The exact request, line by line.
    pub request: Vec<Label>,
    /// Who owns the count, in words ("none: no HPA, no ScaledObject").
    pub owner: Label,
    /// Who the server says we are, and whether it lets us.
    pub identity: Label,
    /// The dry run's answer: accepted, or why not.
    pub dry_run: Result<Label, Label>,
    /// What stands against it; empty: may be confirmed.
    pub refused: Vec<Label>,
    /// What happens after, in words ("ready in ~40 s, verified by 14:13").
    pub after: Label,
    /// Identity of this plan (of the edited one when the count was changed).
    pub plan_hash: PlanHash,
    /// Not to be confirmed after.
    pub expires: Time,
    /// When it was prepared.
    pub at: Time,
    /// Age of the evidence then, seconds.
    pub evidence_age: f64,
    /// How it is confirmed.
    pub confirm: Confirm,
    /// The target is a guess that nobody has confirmed yet: what speaks for it.
    pub guess: Option<Found>,
    /// A protected target: whether confirming asks for the second person or is the second person's word, and the sentence
    /// for it. `None`: one person is enough.
    pub second: Option<(Second, Label)>,
}

/// A change that could not be held ready: what the dialog says instead of waiting for an answer that will not come.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unprepared {
    /// Workload's name.
    pub workload: Label,
    /// Why not, as a sentence.
    pub why: Label,
}

impl Prepared {
    /// The way after this one, and what it does; `None`: there is no other.
    pub fn next_way(&self) -> Option<(usize, &Label)> {
        let next = (self.way + 1) % self.ways.len().max(1);
        self.ways.get(next).filter(|_| next != self.way).map(|words| (next, words))
    }

    /// Whether confirming can do anything.
    pub fn may_confirm(&self, now: Time) -> bool {
        self.refused.is_empty() && self.dry_run.is_ok() && now < self.expires
    }
}
