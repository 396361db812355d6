//! One line of the ledger: everything an [`Action`] is, and its place in the chain.

use crate::model::{Action, ActionId, ActionState, Actor, Label, PlanHash, Target, Terms, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Version of the format. A newer one is refused with a sentence, never guessed at.
pub(super) const VERSION: u32 = 1;
/// What the first entry has as `prev`.
pub(super) const ROOT: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One record. What is about no action (a torn line moved aside) has only `seq`, `at`, `actor` and `reason`.
///
/// In the file an entry is one line of compact JSON with its keys in this order. `hash` is the SHA-256 of `prev`
/// followed by the line without `,"hash":"…"`, in hexadecimal, so that a few lines of any language can check it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Version of the format.
    pub v: u32,
    /// 1, 2, 3, …
    pub seq: u64,
    /// When.
    pub at: Time,
    /// Which action.
    pub action: Option<ActionId>,
    /// Workload's name.
    pub workload: Option<Label>,
    /// What is changed.
    pub target: Option<Target>,
    /// Count it must find.
    pub from: Option<u32>,
    /// Count it writes.
    pub to: Option<u32>,
    /// Where the action stands from here on.
    pub state: Option<ActionState>,
    /// Who made the last decision.
    pub actor: Actor,
    /// Why.
    pub reason: Label,
    /// Identity of the plan that was on screen.
    pub plan_hash: Option<PlanHash>,
    /// The request, one line.
    pub request: Label,
    /// What the decision rested on.
    pub evidence: Label,
    /// `metadata.uid`, for objects.
    pub uid: Option<Label>,
    /// Not to be begun after.
    pub expires: Option<Time>,
    /// Must be ready by.
    pub verify_by: Option<Time>,
    /// What else was agreed.
    #[serde(default, skip_serializing_if = "Terms::is_plain")]
    pub terms: Terms,
    /// Hash of the entry before.
    pub prev: String,
    /// Hash of this one.
    pub hash: String,
}

impl Entry {
    /// An entry about an action, not yet sealed.
    pub(super) fn of_action(action: &Action) -> Self {
        Self {
            v: VERSION,
            seq: 0,
            at: action.updated,
            action: Some(action.id.clone()),
            workload: Some(action.workload.clone()),
            target: Some(action.target.clone()),
            from: Some(action.from),
            to: Some(action.to),
            state: Some(action.state),
            actor: action.actor.clone(),
            reason: action.reason.clone(),
            plan_hash: Some(action.plan_hash.clone()),
            request: action.request.clone(),
            evidence: action.evidence.clone(),
            uid: action.uid.clone(),
            expires: Some(action.expires),
            verify_by: action.verify_by,
            terms: action.terms.clone(),
            prev: String::new(),
            hash: String::new(),
        }
    }

    /// An entry about the ledger itself, not yet sealed.
    pub(super) fn of_note(text: &str, actor: &Actor, at: Time) -> Self {
        Self {
            v: VERSION,
            seq: 0,
            at,
            action: None,
            workload: None,
            target: None,
            from: None,
            to: None,
            state: None,
            actor: actor.clone(),
            reason: Label::new(text),
            plan_hash: None,
            request: Label::default(),
            evidence: Label::default(),
            uid: None,
            expires: None,
            verify_by: None,
            terms: Terms::default(),
            prev: String::new(),
            hash: String::new(),
        }
    }

    /// Makes it number `seq` of a chain that ended in `prev`; returns the line to write, newline included.
    pub(super) fn seal(&mut self, seq: u64, prev: &str) -> Result<String, serde_json::Error> {
        self.seq = seq;
        prev.clone_into(&mut self.prev);
        self.hash = String::new();
        let open = serde_json::to_string(self)?;
        let body = open.strip_suffix(EMPTY_HASH).unwrap_or(&open);
        self.hash = chain_hash(&self.prev, body);
        Ok(format!("{body},\"hash\":\"{}\"}}\n", self.hash))
    }

    /// The action as this entry leaves it, given its first entry's instant and actor; `None` for a note.
    pub(super) fn to_action(&self, created: Time, asked_by: &Actor) -> Option<Action> {
        Some(Action {
            id: self.action.clone()?,
            workload: self.workload.clone()?,
            target: self.target.clone()?,
            uid: self.uid.clone(),
            from: self.from?,
            to: self.to?,
            plan_hash: self.plan_hash.clone()?,
            state: self.state?,
            actor: self.actor.clone(),
            reason: self.reason.clone(),
            request: self.request.clone(),
            evidence: self.evidence.clone(),
            created,
            updated: self.at,
            expires: self.expires?,
            verify_by: self.verify_by,
            terms: Terms { asked_by: Some(asked_by.clone()), ..self.terms.clone() },
        })
    }
}

const EMPTY_HASH: &str = ",\"hash\":\"\"}";

/// What a line must have to hold the chain together, borrowed from it.
#[derive(Deserialize)]
pub(super) struct Link<'a> {
    pub(super) v: u32,
    pub(super) seq: u64,
    /// Action ids are our own base 32 and hold nothing that JSON escapes.
    #[serde(borrow)]
    pub(super) action: Option<&'a str>,
    pub(super) prev: &'a str,
    pub(super) hash: &'a str,
}

/// The part of a line that is hashed. `None`: the line does not end as an entry does.
pub(super) fn hashed_part<'a>(line: &'a str, hash: &str) -> Option<&'a str> {
    line.strip_suffix("\"}")?.strip_suffix(hash)?.strip_suffix(",\"hash\":\"")
}

/// The hash of an entry, in hexadecimal: SHA-256 of the previous entry's hash followed by this one's text.
pub(super) fn chain_hash(prev: &str, body: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hash = Sha256::new();
    hash.update(prev.as_bytes());
    hash.update(body.as_bytes());
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    hash.finalize().iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The actions as the entries leave them, oldest first. Replaying the log is all there is to recovery.
pub fn fold(entries: &[Entry]) -> Vec<Action> {
    let mut actions = BTreeMap::new();
    for entry in entries {
        fold_one(&mut actions, entry);
    }
    let mut actions: Vec<Action> = actions.into_values().collect();
    actions.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    actions
}

/// Takes one more entry into the fold.
pub(super) fn fold_one(actions: &mut BTreeMap<ActionId, Action>, entry: &Entry) {
    let Some(id) = &entry.action else { return };
    let before = actions.get(id);
    let created = before.map_or(entry.at, |a| a.created);
    let asked_by = before.and_then(|a| a.terms.asked_by.clone()).unwrap_or_else(|| entry.actor.clone());
    if let Some(action) = entry.to_action(created, &asked_by) {
        actions.insert(id.clone(), action);
    }
}
