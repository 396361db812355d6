//! The local ledger as outbox: the lines that the log does not have yet.

use crate::ledger::{FILE, entry::Link};
use std::{
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
};

/// Lines of one transaction at most.
const BATCH: usize = 200;

/// Reads the ledger's file behind its writer.
#[derive(Debug)]
pub(super) struct Outbox {
    path: PathBuf,
    reader: Option<BufReader<File>>,
    /// A line that was read and is beyond what may be published.
    waiting: Option<Line>,
    /// Number of the last line that was handed out.
    after: u64,
}

/// One line as it is published.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) seq: u64,
    /// Without the newline.
    pub(super) text: String,
}

impl Outbox {
    pub(super) fn new(dir: &Path) -> Self {
        Self { path: dir.join(FILE), reader: None, waiting: None, after: 0 }
    }

    /// Goes on behind line number `after`.
    pub(super) fn seek(&mut self, after: u64) {
        *self = Self { path: std::mem::take(&mut self.path), reader: None, waiting: None, after };
    }

    /// The next lines up to number `synced`; empty: none.
    pub(super) fn next(&mut self, synced: u64) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        while lines.len() < BATCH && self.after < synced {
            let Some(line) = self.line()? else { break };
            if line.seq > synced {
                self.waiting = Some(line);
                break;
            }
            if line.seq > self.after {
                self.after = line.seq;
                lines.push(line);
            }
        }
        Ok(lines)
    }

    fn line(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.waiting.take() {
            return Ok(Some(line));
        }
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(BufReader::new(File::open(&self.path)?)),
        };
        let mut text = String::new();
        reader.read_line(&mut text)?;
        // Lines up to the synced one are whole; this is for a file that was cut behind our back.
        let Some(whole) = text.strip_suffix('\n') else { return Ok(None) };
        let link: Link<'_> = serde_json::from_str(whole).map_err(io::Error::other)?;
        Ok(Some(Line { seq: link.seq, text: whole.to_owned() }))
    }
}
