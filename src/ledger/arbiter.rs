//! Who may do what when several operators write one log: the log's order decides. Pure; every reader of the same log
//! comes to the same verdicts, so nobody has to ask anybody.
//!
//! The log is a Kafka topic of one partition, and its records are the lines of the operators' own ledgers. An operator
//! may write to a target only after reading back its own record of intent ([`ActionState::Applying`]) with the verdict
//! [`Verdict::Valid`]. Why at most one operator can be there at a time:
//!
//! 1. All readers see the same records in the same order, and [`Arbiter::take`] is a function of them alone.
//! 2. It holds an intent valid only while no other intent on the target stands ([`ActionState::Applying`] or
//!    [`ActionState::Unknown`]), so of two intents the later one is void until the first has come to rest. And one that
//!    was proposed before another was begun stays void: the count that it must find is no longer what it was.
//! 3. An intent comes to rest by a record of who carries it, or by [`ActionState::Unknown`] and then what the target
//!    shows. Others may write that record only after [`super::machine::SETTLE`] of silence, and who carries an intent
//!    begins its write within seconds of reading it back, or not at all.
//! 4. No record of an operator's earlier life can land later: the producer of each ledger has a transactional id, and
//!    its successor is only heard after it has fenced it off (see [`super::kafka`]).
//!
//! What is left is a process that is stopped for a minute between reading back and writing; there the target's own
//! condition (uid and present count) has the last word.

use super::{entry::Entry, machine};
use crate::model::{Action, ActionId, ActionState, Label, Second, Target};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    sync::Arc,
    time::Instant,
};

/// Actions that came to rest and are still known; the history topic holds all of them.
const RESTING: usize = 2000;

/// Void records of one ledger whose reason is still known.
const VOIDS: usize = 256;

/// One record of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Whose ledger it is a line of.
    pub ledger: Label,
    /// The line.
    pub entry: Entry,
}

/// An action as the log has it.
#[derive(Clone, Debug)]
pub struct Held {
    /// As its last valid record left it; who asked first is in its terms.
    pub action: Action,
    /// The ledger whose operator carries it: that of the last valid record.
    pub ledger: Label,
    /// When this reader saw that record.
    pub since: Instant,
    /// Place of its first record among those that this reader took.
    proposed: u64,
}

/// What a record is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Valid,
    /// It says what is known already: an operator took somebody else's action into its own ledger.
    Echo,
    /// It does not hold; everybody acts as if it were not there.
    Void(Label),
}

/// Where the chain of a ledger stands in the log.
#[derive(Clone, Debug, Default)]
struct Chain {
    seq: u64,
    hash: String,
    /// Records of this ledger that are void, by number: what an operator asks about its own.
    void: BTreeMap<u64, Label>,
}

/// The state of the log so far.
#[derive(Clone, Debug, Default)]
pub struct Arbiter {
    held: Arc<BTreeMap<ActionId, Held>>,
    chains: BTreeMap<Label, Chain>,
    /// Records taken.
    taken: u64,
    /// Actions from the state topic of which the history has shown nothing yet.
    remembered: BTreeSet<ActionId>,
    /// By target: the place of the last record of an intent that held or came to rest, and whose it was.
    begun: BTreeMap<Target, (u64, Label)>,
}

impl Arbiter {
    /// Knows an action from the state topic whose history is older than what is read. Should the history show it after
    /// all, the history counts.
    pub(super) fn remember(&mut self, record: &Record, seen: Instant) {
        self.keep(&record.ledger, &record.entry, seen);
        self.remembered.extend(record.entry.action.clone());
    }

    /// Whether `other` is the same log at the same place.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.taken == other.taken && self.held.len() == other.held.len()
    }

    /// Takes the next record; `seen`: when it was read.
    pub fn take(&mut self, record: &Record, seen: Instant) -> Verdict {
        let Record { ledger, entry } = record;
        self.taken += 1;
        let cut = entry.action.as_ref().is_some_and(|id| self.remembered.remove(id));
        if let (true, Some(id)) = (cut, &entry.action) {
            Arc::make_mut(&mut self.held).remove(id);
        }
        let verdict = match self.follows(ledger, entry) {
            Err(why) => Verdict::Void(why),
            Ok(()) => self.judge(ledger, entry, cut),
        };
        let chain = self.chains.entry(ledger.clone()).or_default();
        if entry.seq > chain.seq {
            chain.seq = entry.seq;
            chain.hash.clone_from(&entry.hash);
            if let Verdict::Void(why) = &verdict {
                chain.void.insert(entry.seq, why.clone());
                if chain.void.len() > VOIDS {
                    chain.void.pop_first();
                }
            }
        }
        match &verdict {
            Verdict::Valid => self.keep(ledger, entry, seen),
            Verdict::Void(why) if entry.state == Some(ActionState::Applying) => self.lose(ledger, entry, why, seen),
            _ => {}
        }
        verdict
    }

    /// The actions of all operators.
    pub fn held(&self) -> &Arc<BTreeMap<ActionId, Held>> {
        &self.held
    }

    /// Number of the last record of a ledger in the log.
    pub fn last_of(&self, ledger: &Label) -> Option<u64> {
        self.chains.get(ledger).map(|c| c.seq)
    }

    /// What became of a ledger's own record; `None`: it is not in the log (yet).
    pub fn verdict_of(&self, ledger: &Label, seq: u64) -> Option<Result<(), Label>> {
        let chain = self.chains.get(ledger).filter(|c| c.seq >= seq)?;
        Some(chain.void.get(&seq).map_or(Ok(()), |why| Err(why.clone())))
    }

    /// Who stands on a target with an intent or a write of unknown outcome.
    pub fn on_target(&self, target: &Target) -> Option<&Held> {
        self.held.values().find(|h| stands(h.action.state) && h.action.target == *target)
    }

    /// Number of ledgers that have written.
    pub fn ledgers(&self) -> usize {
        self.chains.len()
    }

    /// Whether a line follows the one before it in its own ledger.
    fn follows(&self, ledger: &Label, entry: &Entry) -> Result<(), Label> {
        let Some(chain) = self.chains.get(ledger) else { return Ok(()) };
        if entry.seq <= chain.seq {
            return Err(format!("entry {} of {ledger} was in the log before", entry.seq).into());
        }
        if entry.seq == chain.seq + 1 && entry.prev != chain.hash {
            return Err(format!("entry {} of {ledger} does not follow the one before it", entry.seq).into());
        }
        Ok(())
    }

    /// `cut`: the beginning of this action's story is older than what is read.
    fn judge(&self, ledger: &Label, entry: &Entry, cut: bool) -> Verdict {
        let (Some(id), Some(state)) = (&entry.action, entry.state) else { return Verdict::Valid };
        let Some(held) = self.held.get(id) else {
            // A ledger that is shared from now on brings what it has under way; a claim needs its whole story.
            return match state {
                ActionState::Applying if !cut => void("nobody proposed and approved it here"),
                _ => Verdict::Valid,
            };
        };
        let (before, carrier) = (held.action.state, held.ledger == *ledger);
        // Its carrier says with a record of its own that a lost claim ended it.
        if state == before && (!carrier || state.is_final()) {
            return Verdict::Echo;
        }
        if !machine::may_follow(Some(before), state) {
            return void(format!("it is {} already", before.name()));
        }
        let Some(next) = entry.to_action(held.action.created, &entry.actor) else { return void("it is no action") };
        if !next.same_change(&held.action) && state != ActionState::Proposed {
            return void("it is not the change that was proposed");
        }
        self.allowed(held, &next, carrier)
    }

    /// Whether this ledger may take this step.
    fn allowed(&self, held: &Held, next: &Action, carrier: bool) -> Verdict {
        use ActionState::{Applied, Applying, Approved, Failed, Proposed, Rejected, Unknown};
        let not_theirs = || void(format!("it is carried by {}", held.action.actor));
        match (held.action.state, next.state) {
            (Proposed, Approved) if held.action.terms.second.is_some() => {
                if held.action.terms.second != Some(Second::Asked) {
                    return void("who proposed it has not asked for a second person yet");
                }
                match machine::may_second(&held.action, &next.actor) {
                    Ok(()) => Verdict::Valid,
                    Err(why) => void(why.to_string()),
                }
            }
            (Approved, Applying) if carrier => self.claim(held, next),
            // Anybody may say no. And where an operator went silent: anybody may say that the outcome is not known, and then what the target shows.
            (Proposed, Rejected) | (Applying, Unknown) | (Unknown, Applied | Failed) => Verdict::Valid,
            _ if carrier => Verdict::Valid,
            _ => not_theirs(),
        }
    }

    fn claim(&self, held: &Held, next: &Action) -> Verdict {
        if let Some(Held { action: other, .. }) = self.on_target(&next.target) {
            let Action { actor, from, to, id, state, .. } = other;
            return void(format!("{actor} ({from} → {to}, {id}) came first on this target and is {}", state.name()));
        }
        // A bound that is put back waits beside other changes, and looks at the bound itself before it is written.
        let newer = self.begun.get(&next.target).filter(|(at, _)| *at > held.proposed && !next.is_put_back());
        newer.map_or(Verdict::Valid, |(_, who)| void(format!("{who} changed this target since it was proposed")))
    }

    /// A claim that came second ends its action: whoever carried it reads the same, and writes nothing.
    fn lose(&mut self, ledger: &Label, entry: &Entry, why: &Label, since: Instant) {
        let Some(held) = entry.action.as_ref().and_then(|id| Arc::make_mut(&mut self.held).get_mut(id)) else { return };
        if held.ledger == *ledger && held.action.state == ActionState::Approved {
            held.action.state = ActionState::Failed;
            held.action.reason = format!("not begun: {why}").into();
            held.action.updated = entry.at;
            held.since = since;
        }
    }

    fn keep(&mut self, ledger: &Label, entry: &Entry, since: Instant) {
        let Some(id) = &entry.action else { return };
        let held = Arc::make_mut(&mut self.held);
        let slot = held.entry(id.clone());
        let (created, asked_by, proposed) = match &slot {
            btree_map::Entry::Occupied(o) => {
                let Held { action, proposed, .. } = o.get();
                (action.created, action.terms.asked_by.clone().unwrap_or_else(|| entry.actor.clone()), *proposed)
            }
            btree_map::Entry::Vacant(_) => (entry.at, entry.actor.clone(), self.taken),
        };
        let Some(action) = entry.to_action(created, &asked_by) else { return };
        let stood = matches!(&slot, btree_map::Entry::Occupied(o) if stands(o.get().action.state));
        if stood || stands(action.state) {
            self.begun.insert(action.target.clone(), (self.taken, format!("{} ({id})", action.actor).into()));
        }
        let now = Held { action, ledger: ledger.clone(), since, proposed };
        match slot {
            btree_map::Entry::Occupied(mut o) => *o.get_mut() = now,
            btree_map::Entry::Vacant(v) => {
                v.insert(now);
            }
        }
        if held.len() > 2 * RESTING {
            let resting: Vec<ActionId> =
                held.iter().filter(|(_, h)| h.action.state.is_final()).map(|(id, _)| id.clone()).collect();
            for id in resting.iter().take(resting.len().saturating_sub(RESTING)) {
                held.remove(id);
            }
        }
    }
}

fn stands(state: ActionState) -> bool {
    matches!(state, ActionState::Applying | ActionState::Unknown)
}

fn void(why: impl Into<Label>) -> Verdict {
    Verdict::Void(why.into())
}

#[cfg(test)]
#[path = "arbiter_tests.rs"]
mod tests;
