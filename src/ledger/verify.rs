//! Reads a ledger without its lock and judges its chain.

use super::{
    FILE, LedgerError,
    entry::{Entry, ROOT, VERSION, chain_hash, split_hash},
};
use crate::model::Label;
use serde::Serialize;
use std::{fs, io, path::Path};

/// What a walk along the chain found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Entries whose hash is right, from the first.
    pub entries: u64,
    /// Hash of the last good entry: note it elsewhere, since a chain shows edits but not a cut-off end.
    pub head: Option<String>,
    /// Where the chain breaks, if it does.
    pub problem: Option<Problem>,
    /// Bytes of an unfinished last line: a crash in the middle of a write, or a write under way.
    pub torn: usize,
}

/// The first place where the chain does not hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Problem {
    /// Line in the file, from 1.
    pub line: u64,
    /// `seq` of that line, or the one that belongs there when it cannot be read.
    pub seq: u64,
    /// What is wrong with it.
    pub what: Label,
}

/// Everything a ledger's file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// Every line that can be read as an entry, also those after a break in the chain.
    pub entries: Vec<Entry>,
    /// The verdict.
    pub report: Report,
}

/// Reads the ledger in `dir` without locking it; a directory without a ledger is an empty one.
pub fn read(dir: &Path) -> Result<Contents, LedgerError> {
    let path = dir.join(FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(LedgerError::Io { what: "read", path, error }),
    };
    Ok(scan(&bytes).contents)
}

/// Walks along the chain of the ledger in `dir`.
pub fn verify(dir: &Path) -> Result<Report, LedgerError> {
    Ok(read(dir)?.report)
}

/// A file as recovery needs it.
pub(super) struct Scan {
    pub(super) contents: Contents,
    /// Where an unfinished last line begins.
    pub(super) torn_at: Option<usize>,
    /// The last line is whole and right but for its newline.
    pub(super) unterminated: bool,
}

/// Reads the bytes of a ledger line by line.
pub(super) fn scan(bytes: &[u8]) -> Scan {
    let mut entries = Vec::new();
    let mut report = Report { entries: 0, head: None, problem: None, torn: 0 };
    let (mut torn_at, mut unterminated) = (None, false);
    let mut at = 0;
    for (number, chunk) in (1..).zip(bytes.split_inclusive(|b| *b == b'\n')) {
        let line = chunk.strip_suffix(b"\n");
        let prev = report.head.as_deref().unwrap_or(ROOT);
        let (entry, wrong) = judge(line.unwrap_or(chunk), report.entries + 1, prev);
        match (entry, wrong) {
            (_, Some(_)) if line.is_none() => {
                torn_at = Some(at);
                report.torn = chunk.len();
            }
            (entry, Some(what)) => {
                let seq = entry.as_ref().map_or(report.entries + 1, |e| e.seq);
                report.problem.get_or_insert(Problem { line: number, seq, what: Label::new(&what) });
                entries.extend(entry);
            }
            (Some(entry), None) => {
                // Behind a break nothing fits the chain any more, so this cannot be reached there.
                unterminated = line.is_none();
                report.entries += 1;
                report.head = Some(entry.hash.clone());
                entries.push(entry);
            }
            (None, None) => {}
        }
        at += chunk.len();
    }
    Scan { contents: Contents { entries, report }, torn_at, unterminated }
}

/// The entry of a line, if it can be read, and what is wrong with it as number `seq` of a chain that ended in `prev`.
fn judge(line: &[u8], seq: u64, prev: &str) -> (Option<Entry>, Option<String>) {
    let Ok(text) = std::str::from_utf8(line) else { return (None, Some("not UTF-8".to_owned())) };
    let entry: Entry = match serde_json::from_str(text) {
        Ok(entry) => entry,
        Err(error) => return (None, Some(unreadable(text, &error))),
    };
    let wrong = match split_hash(text) {
        Some((body, _)) => entry.check(body, seq, prev),
        None => Some("it does not end with its hash".to_owned()),
    };
    (Some(entry), wrong)
}

fn unreadable(text: &str, error: &serde_json::Error) -> String {
    #[derive(serde::Deserialize)]
    struct Versioned {
        v: u32,
    }
    match serde_json::from_str::<Versioned>(text) {
        Ok(Versioned { v }) if v > VERSION => {
            format!("written by a newer version (format {v}; this one reads {VERSION})")
        }
        _ => format!("not an entry: {error}"),
    }
}

impl Entry {
    /// What is wrong with this entry as number `seq` of a chain that ended in `prev`; `None`: nothing.
    fn check(&self, body: &str, seq: u64, prev: &str) -> Option<String> {
        if self.v != VERSION {
            Some(format!("format {}; this version reads {VERSION}", self.v))
        } else if self.seq != seq {
            Some(format!(
                "it is number {} where {seq} belongs: entries are missing, repeated or out of order",
                self.seq
            ))
        } else if self.prev != prev {
            Some("it does not follow the entry before it: one of the two was changed".to_owned())
        } else if chain_hash(prev, body) == self.hash {
            None
        } else {
            Some("its hash is wrong: it was changed after it was written".to_owned())
        }
    }
}
