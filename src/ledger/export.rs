//! The record for others: the JSON of `ledger list` and a CSV for spreadsheets. Keys and columns are a contract.

use super::{Entry, kafka::Published};
use crate::model::{ActionId, ActionState, Label, PlanHash, Target, Time};
use serde::Serialize;

/// The keys of `ledger list --format json`, and the columns of the CSV in the same order.
#[derive(Serialize)]
struct Listed<'a> {
    seq: u64,
    at: Time,
    action: Option<&'a ActionId>,
    workload: Option<&'a Label>,
    target: Option<&'a Target>,
    from: Option<u32>,
    to: Option<u32>,
    state: Option<ActionState>,
    actor: String,
    reason: &'a Label,
    plan_hash: Option<&'a PlanHash>,
    prev: &'a str,
    hash: &'a str,
    server_user: Option<&'a Label>,
    os_user: &'a Label,
    host: &'a Label,
    ssh: Option<&'a Label>,
    uid: Option<&'a Label>,
    request: &'a Label,
    evidence: &'a Label,
    undoes: Option<&'a ActionId>,
    begin_at: Option<Time>,
    reverted_by: Option<&'a Label>,
    vouched_by: Option<&'a Label>,
    verify_by: Option<Time>,
}

/// What a shared entry has besides.
#[derive(Serialize)]
struct SharedListed<'a> {
    #[serde(flatten)]
    listed: Listed<'a>,
    ledger: &'a Label,
    offset: i64,
    void: Option<&'a Label>,
}

impl<'a> Listed<'a> {
    fn of(entry: &'a Entry) -> Self {
        Self {
            seq: entry.seq,
            at: entry.at,
            action: entry.action.as_ref(),
            workload: entry.workload.as_ref(),
            target: entry.target.as_ref(),
            from: entry.from,
            to: entry.to,
            state: entry.state,
            actor: entry.actor.to_string(),
            reason: &entry.reason,
            plan_hash: entry.plan_hash.as_ref(),
            prev: &entry.prev,
            hash: &entry.hash,
            server_user: entry.actor.server_user.as_ref(),
            os_user: &entry.actor.os_user,
            host: &entry.actor.host,
            ssh: entry.actor.ssh.as_ref(),
            uid: entry.uid.as_ref(),
            request: &entry.request,
            evidence: &entry.evidence,
            undoes: entry.terms.undoes.as_ref(),
            begin_at: entry.terms.begin_at,
            reverted_by: entry.terms.reverted_by.as_ref(),
            vouched_by: entry.actor.vouched_by.as_ref(),
            verify_by: entry.verify_by,
        }
    }
}

/// `{"version":1,"entries":[…]}`; what an entry about the ledger itself has no word for is `null`.
pub fn json(entries: &[Entry]) -> Result<String, serde_json::Error> {
    document(&entries.iter().map(Listed::of).collect::<Vec<_>>())
}

/// The same for the shared ledger; each entry also has `ledger` (whose), `offset` (its place in the topic, which decides)
/// and `void` (why it does not hold).
pub fn shared_json(entries: &[Published]) -> Result<String, serde_json::Error> {
    let listed = |p: &'_ Published| {
        let listed = Listed::of(&p.entry);
        serde_json::to_value(SharedListed { listed, ledger: &p.ledger, offset: p.offset, void: p.void.as_ref() })
    };
    document(&entries.iter().map(listed).collect::<Result<Vec<_>, _>>()?)
}

fn document(entries: &[impl Serialize]) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Document<'a, E> {
        version: u32,
        entries: &'a [E],
    }
    serde_json::to_string(&Document { version: 1, entries })
}

const COLUMNS: [&str; 25] = [
    "seq",
    "at",
    "action",
    "workload",
    "target",
    "from",
    "to",
    "state",
    "actor",
    "reason",
    "plan_hash",
    "prev",
    "hash",
    "server_user",
    "os_user",
    "host",
    "ssh",
    "uid",
    "request",
    "evidence",
    "undoes",
    "begin_at",
    "reverted_by",
    "vouched_by",
    "verify_by",
];

/// The same as CSV with a header. A text that a spreadsheet would take for a formula gets an apostrophe before it.
pub fn csv(entries: &[Entry]) -> Result<String, csv::Error> {
    table(COLUMNS.to_vec(), entries.iter().map(row))
}

/// The shared ledger as CSV.
pub fn shared_csv(entries: &[Published]) -> Result<String, csv::Error> {
    let columns = [COLUMNS.as_slice(), &["ledger", "offset", "void"]].concat();
    let row = |p: &Published| {
        let mut row = row(&p.entry);
        row.extend([plain(Some(&p.ledger)), p.offset.to_string(), plain(p.void.as_ref())]);
        row
    };
    table(columns, entries.iter().map(row))
}

fn table(columns: Vec<&str>, rows: impl Iterator<Item = Vec<String>>) -> Result<String, csv::Error> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(columns)?;
    for row in rows {
        out.write_record(row)?;
    }
    let bytes = out.into_inner().map_err(|e| csv::Error::from(e.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn row(entry: &Entry) -> Vec<String> {
    let e = Listed::of(entry);
    vec![
        e.seq.to_string(),
        e.at.to_string(),
        plain(e.action),
        plain(e.workload),
        plain(e.target),
        plain(e.from.as_ref()),
        plain(e.to.as_ref()),
        e.state.map_or("", ActionState::name).to_owned(),
        plain(Some(&e.actor)),
        plain(Some(e.reason)),
        plain(e.plan_hash),
        e.prev.to_owned(),
        e.hash.to_owned(),
        plain(e.server_user),
        plain(Some(e.os_user)),
        plain(Some(e.host)),
        plain(e.ssh),
        plain(e.uid),
        plain(Some(e.request)),
        plain(Some(e.evidence)),
        plain(e.undoes),
        plain(e.begin_at.as_ref()),
        plain(e.reverted_by),
        plain(e.vouched_by),
        plain(e.verify_by.as_ref()),
    ]
}

fn plain(value: Option<&impl ToString>) -> String {
    let text = value.map(ToString::to_string).unwrap_or_default();
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text }
}
