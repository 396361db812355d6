//! Entries as records of a topic, and back.

use crate::{
    ledger::{
        arbiter::Record,
        entry::{Entry, chain_hash, hashed_part},
        verify::newer,
    },
    model::{ActionState, Label},
};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};

/// Header with the identity of the ledger that a line is from.
const LEDGER: &str = "ledger";
/// Header of a greeting: the number that its sender drew. A greeting has no value.
const GREETING: &str = "greeting";

/// What a record of the history says.
#[derive(Debug)]
pub(super) enum Said {
    /// A line.
    Entry(Box<Record>),
    /// A writer took a ledger over; behind this no record of its predecessor can stand.
    Greeting { ledger: Label, nonce: u64 },
    /// A line of a format that this program does not know: nobody can tell here what its operator decides.
    Newer { ledger: Label, why: String },
    /// Neither: what is wrong with it.
    Strange(String),
}

pub(super) fn headers(ledger: &Label) -> OwnedHeaders {
    OwnedHeaders::new().insert(Header { key: LEDGER, value: Some(ledger.as_str()) })
}

pub(super) fn greeting(ledger: &Label, nonce: u64) -> OwnedHeaders {
    headers(ledger).insert(Header { key: GREETING, value: Some(&nonce.to_string()) })
}

/// Key in the state topic under which a ledger says how far it is published.
pub(super) fn progress_key(ledger: &Label) -> String {
    format!("ledger/{ledger}")
}

fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let headers = message.headers()?;
    let found = headers.iter().find(|h| h.key == name)?;
    found.value.map(|v| String::from_utf8_lossy(v).into_owned())
}

/// Reads a record of the history.
pub(super) fn read(message: &BorrowedMessage<'_>) -> Said {
    let Some(ledger) = header(message, LEDGER).map(|l| Label::new(&l)) else {
        return Said::Strange("it names no ledger".to_owned());
    };
    if let Some(nonce) = header(message, GREETING).and_then(|n| n.parse().ok()) {
        return Said::Greeting { ledger, nonce };
    }
    let text = message.payload().map(String::from_utf8_lossy).unwrap_or_default();
    if let Some(why) = newer(&text) {
        return Said::Newer { ledger, why };
    }
    match entry(&text) {
        Ok(entry) => Said::Entry(Box::new(Record { ledger, entry })),
        Err(why) => Said::Strange(why),
    }
}

/// A line as it was sealed.
///
/// # Errors
/// What is wrong with it.
pub(super) fn entry(text: &str) -> Result<Entry, String> {
    let entry: Entry = serde_json::from_str(text).map_err(|e| format!("not an entry: {e}"))?;
    let body = hashed_part(text, &entry.hash).ok_or("it does not end with its hash")?;
    if chain_hash(&entry.prev, body) == entry.hash {
        Ok(entry)
    } else {
        Err("its hash is wrong: it was changed".into())
    }
}

/// The record of an entry in the state topic: key, and the line while something may still follow.
pub(super) fn state(entry: &Entry, text: &str) -> Option<(String, Option<String>)> {
    let open = !entry.state.is_none_or(ActionState::is_final);
    Some((entry.action.as_ref()?.to_string(), open.then(|| text.to_owned())))
}
