//! The record for others: the JSON of `ledger list` and a CSV for spreadsheets. Keys and columns are a contract.

use super::Entry;
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
        }
    }
}

/// `{"version":1,"entries":[…]}`; what an entry about the ledger itself has no word for is `null`.
pub fn json(entries: &[Entry]) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Document<'a> {
        version: u32,
        entries: Vec<Listed<'a>>,
    }
    serde_json::to_string(&Document { version: 1, entries: entries.iter().map(Listed::of).collect() })
}

/// The same as CSV with a header. A text that a spreadsheet would take for a formula gets an apostrophe before it.
pub fn csv(entries: &[Entry]) -> Result<String, csv::Error> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record([
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
    ])?;
    for entry in entries {
        let e = Listed::of(entry);
        out.write_record([
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
            e.begin_at.map(|t| t.to_string()).unwrap_or_default(),
            plain(e.reverted_by),
        ])?;
    }
    let bytes = out.into_inner().map_err(|e| csv::Error::from(e.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn plain(value: Option<&impl ToString>) -> String {
    let text = value.map(ToString::to_string).unwrap_or_default();
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text }
}
