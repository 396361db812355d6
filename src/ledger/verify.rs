//! Reads a ledger without its lock and judges its chain.

use super::{
    FILE, LedgerError,
    entry::{Entry, Link, ROOT, VERSION, chain_hash, hashed_part},
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
    let bytes = bytes(dir)?;
    let Walk { lines, mut report, .. } = walk(&bytes);
    let mut entries = Vec::with_capacity(lines.len());
    for Line { number, text, seq, .. } in lines {
        match serde_json::from_str::<Entry>(text) {
            Ok(entry) => entries.push(entry),
            Err(error) => report.break_at(number, seq, &format!("not an entry: {error}")),
        }
    }
    Ok(Contents { entries, report })
}

/// Walks along the chain of the ledger in `dir`.
pub fn verify(dir: &Path) -> Result<Report, LedgerError> {
    Ok(walk(&bytes(dir)?).report)
}

fn bytes(dir: &Path) -> Result<Vec<u8>, LedgerError> {
    let path = dir.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(LedgerError::Io { what: "read", path, error }),
    }
}

impl Report {
    /// Notes a break in the chain; the first one counts.
    fn break_at(&mut self, line: u64, seq: u64, what: &str) {
        if self.problem.as_ref().is_none_or(|p| line < p.line) {
            self.problem = Some(Problem { line, seq, what: Label::new(what) });
        }
    }
}

/// A line that reads as an entry, whether it fits the chain or not.
pub(super) struct Line<'a> {
    pub(super) number: u64,
    pub(super) seq: u64,
    pub(super) action: Option<&'a str>,
    pub(super) hash: &'a str,
    pub(super) text: &'a str,
}

/// What a walk along the chain saw. Lines are looked at, not taken apart: that is for who needs what is in them.
pub(super) struct Walk<'a> {
    pub(super) lines: Vec<Line<'a>>,
    pub(super) report: Report,
    /// Where an unfinished last line begins.
    pub(super) torn_at: Option<usize>,
    /// The last line is whole and right but for its newline.
    pub(super) unterminated: bool,
}

/// Walks along the bytes of a ledger line by line.
pub(super) fn walk(bytes: &[u8]) -> Walk<'_> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut report = Report { entries: 0, head: None, problem: None, torn: 0 };
    let (mut torn_at, mut unterminated) = (None, false);
    let (mut at, mut prev) = (0, ROOT);
    for (number, chunk) in (1..).zip(bytes.split_inclusive(|b| *b == b'\n')) {
        let line = chunk.strip_suffix(b"\n");
        let expected = report.entries + 1;
        let (link, wrong) = judge(line.unwrap_or(chunk), expected, prev);
        match (link, wrong) {
            (_, Some(_)) if line.is_none() => {
                torn_at = Some(at);
                report.torn = chunk.len();
            }
            (link, Some(what)) => {
                report.break_at(number, link.as_ref().map_or(expected, |(l, _)| l.seq), &what);
                lines.extend(link.map(|(l, text)| Line { number, seq: l.seq, action: l.action, hash: l.hash, text }));
            }
            (Some((link, text)), None) => {
                // Behind a break nothing fits the chain any more, so this cannot be reached there.
                unterminated = line.is_none();
                report.entries += 1;
                prev = link.hash;
                lines.push(Line { number, seq: link.seq, action: link.action, hash: link.hash, text });
            }
            (None, None) => {}
        }
        at += chunk.len();
    }
    report.head = (report.entries > 0).then(|| prev.to_owned());
    Walk { lines, report, torn_at, unterminated }
}

/// The entry of a line, if it can be read, and what is wrong with it as number `seq` of a chain that ended in `prev`.
fn judge<'a>(line: &'a [u8], seq: u64, prev: &str) -> (Option<(Link<'a>, &'a str)>, Option<String>) {
    let Ok(text) = std::str::from_utf8(line) else { return (None, Some("not UTF-8".to_owned())) };
    match serde_json::from_str::<Link<'a>>(text) {
        Ok(link) => {
            let wrong = check(&link, text, seq, prev);
            (Some((link, text)), wrong)
        }
        Err(error) => (None, Some(unreadable(text, &error))),
    }
}

fn unreadable(text: &str, error: &serde_json::Error) -> String {
    newer(text).unwrap_or_else(|| format!("not an entry: {error}"))
}

/// That a line is of a format which this program does not know; `None`: it is not.
pub(super) fn newer(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        v: u32,
    }
    let Versioned { v } = serde_json::from_str(text).ok()?;
    (v > VERSION).then(|| another(v))
}

fn another(v: u32) -> String {
    format!("written by a newer version (format {v}; this one reads {VERSION})")
}

/// What is wrong with a line as number `seq` of a chain that ended in `prev`; `None`: nothing.
fn check(link: &Link<'_>, text: &str, seq: u64, prev: &str) -> Option<String> {
    let Some(body) = hashed_part(text, link.hash) else { return Some("it does not end with its hash".to_owned()) };
    if link.v != VERSION {
        Some(another(link.v))
    } else if link.seq != seq {
        Some(format!("it is number {} where {seq} belongs: entries are missing, repeated or out of order", link.seq))
    } else if link.prev != prev {
        Some("it does not follow the entry before it: one of the two was changed".to_owned())
    } else if chain_hash(prev, body) == link.hash {
        None
    } else {
        Some("its hash is wrong: it was changed after it was written".to_owned())
    }
}
