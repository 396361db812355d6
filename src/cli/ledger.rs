//! `highwater ledger`: the record of decisions and actions. Reads only; needs no lock.

use super::{
    Failure, Outcome,
    args::{Common, ExportFormat, Ledger, ListFormat},
    common, print,
};
use crate::ledger::{self, Entry};
use std::{fmt::Write, path::Path};

pub(super) fn run(common: &Common, command: Ledger) -> Outcome {
    common::log(common, None)?;
    let dir =
        common::state_path().ok_or_else(|| Failure::failed("no home directory: set $XDG_STATE_HOME"))?.join("ledger");
    match command {
        Ledger::List { format: ListFormat::Json } | Ledger::Export { format: ExportFormat::Json } => {
            print(&(export_json(&entries(&dir)?)? + "\n"))
        }
        Ledger::List { format: ListFormat::Table } => print(&table(&entries(&dir)?)),
        Ledger::Export { format: ExportFormat::Csv } => {
            let csv = ledger::export::csv(&entries(&dir)?).map_err(|e| Failure::failed(e.to_string()))?;
            print(&csv)
        }
        Ledger::Show { id } => show(&entries(&dir)?, &id),
        Ledger::Verify => verify(&dir),
    }
}

fn entries(dir: &Path) -> Result<Vec<Entry>, Failure> {
    if !dir.join(ledger::FILE).exists() {
        return Ok(Vec::new());
    }
    Ok(ledger::read(dir).map_err(|e| Failure::failed(e.to_string()))?.entries)
}

fn export_json(entries: &[Entry]) -> Result<String, Failure> {
    ledger::export::json(entries).map_err(|e| Failure::failed(e.to_string()))
}

fn table(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "no decisions yet: they are recorded by highwater operate\n".to_owned();
    }
    let mut out = String::new();
    let text = |o: Option<&crate::model::Label>| o.map_or_else(|| "–".to_owned(), ToString::to_string);
    for e in entries {
        let change = match (e.from, e.to) {
            (Some(from), Some(to)) => format!("{from} → {to}"),
            _ => "–".to_owned(),
        };
        let state = e.state.map_or("note", |s| s.name());
        let _ = writeln!(
            out,
            "{:>5}  {}  {:<10}  {:<24} {change:>9}  {}  {}",
            e.seq,
            e.at,
            state,
            text(e.workload.as_ref()),
            e.actor,
            e.reason
        );
    }
    out
}

fn show(entries: &[Entry], id: &str) -> Outcome {
    let story: Vec<&Entry> =
        entries.iter().filter(|e| e.action.as_ref().is_some_and(|a| a.0.as_str().starts_with(id))).collect();
    if story.is_empty() {
        return Err(Failure::failed(format!("no action {id:?}: see highwater ledger list")));
    }
    let text = serde_json::to_string_pretty(&story).map_err(|e| Failure::failed(e.to_string()))?;
    print(&(text + "\n"))
}

fn verify(dir: &Path) -> Outcome {
    if !dir.join(ledger::FILE).exists() {
        return print("ok, no entries yet\n");
    }
    let report = ledger::verify(dir).map_err(|e| Failure::failed(e.to_string()))?;
    match report.problem {
        None => print(&format!("ok, {} entries, head {}\n", report.entries, report.head.as_deref().unwrap_or("none"))),
        Some(p) => Err(Failure::failed(format!("line {} (entry {}): {}", p.line, p.seq, p.what))),
    }
}
