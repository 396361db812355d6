//! The record of decisions: the action state machine (pure) and the file it is written to.
//!
//! [`machine::next`] says what may follow an event; [`Ledger`] writes it down, synced to the disk, before anything
//! else happens; [`read`], [`verify`] and [`export`] serve those who only look.

mod entry;
pub mod export;
mod file;
pub mod machine;
mod verify;

pub use entry::{Entry, fold};
pub use file::{Ledger, LedgerError};
pub use verify::{Contents, Problem, Report, read, verify};

/// Name of the log inside the ledger's directory.
pub const FILE: &str = "ledger.jsonl";
/// Name of the lock file beside it: held by the one process that writes.
const LOCK: &str = "ledger.lock";
