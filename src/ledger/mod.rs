//! The record of decisions: the action state machine (pure) and the file it is written to.
//!
//! [`machine::next`] says what may follow an event; [`Ledger`] writes it down, synced to the disk, before anything
//! else happens; [`read`], [`verify`] and [`export`] serve those who only look. [`kafka`] shares it between operators, and
//! [`arbiter`] says who of them may write.

pub mod arbiter;
mod clock;
mod entry;
pub mod export;
mod file;
#[cfg(test)]
#[path = "interleave_tests.rs"]
mod interleave_tests;
pub mod kafka;
pub mod machine;
mod verify;

pub use clock::{Forward, SET_BACK};
pub use entry::{Entry, fold};
pub use file::{Ledger, LedgerError};
pub use verify::{Contents, Problem, Report, read, verify};

/// Writes a whole ledger at once and syncs it once: for measurements and for tests of long ones, never for decisions.
#[doc(hidden)]
pub fn write_unsynced(
    dir: &std::path::Path,
    actions: impl IntoIterator<Item = crate::model::Action>,
) -> Result<(), Box<dyn std::error::Error>> {
    let (mut prev, mut text) = (entry::ROOT.to_owned(), String::new());
    for (seq, action) in (1..).zip(actions) {
        let mut entry = Entry::of_action(&action);
        text += &entry.seal(seq, &prev)?;
        prev = entry.hash;
    }
    let path = dir.join(FILE);
    std::fs::write(&path, text)?;
    Ok(std::fs::File::open(path)?.sync_all()?)
}

/// Name of the log inside the ledger's directory.
pub const FILE: &str = "ledger.jsonl";
/// Name of the lock file beside it: held by the one process that writes.
const LOCK: &str = "ledger.lock";
