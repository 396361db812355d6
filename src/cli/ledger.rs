//! `highwater ledger`: the record of decisions and actions. Reads only; needs no lock.

use super::{
    Failure, Outcome,
    args::{Common, ExportFormat, Ledger, ListFormat},
    common, print,
};
use crate::{
    ledger::{self, Contents, Entry, Problem, kafka::Whole},
    model::Label,
};
use std::{collections::BTreeSet, fmt::Write, path::Path};

pub(super) fn run(common: &Common, command: Ledger) -> Outcome {
    common::log(common, None)?;
    if let Ledger::List { shared: true, .. }
    | Ledger::Show { shared: true, .. }
    | Ledger::Verify { shared: true }
    | Ledger::Export { shared: true, .. } = command
    {
        return run_shared(common, &command);
    }
    let dir =
        common::state_path().ok_or_else(|| Failure::failed("no home directory: set $XDG_STATE_HOME"))?.join("ledger");
    match command {
        Ledger::List { format: ListFormat::Json, .. } | Ledger::Export { format: ExportFormat::Json, .. } => {
            print_all(&dir, |all| Ok(ledger::export::json(all).map_err(failed)? + "\n"))
        }
        Ledger::List { format: ListFormat::Table, .. } => print_all(&dir, |all| Ok(table(all))),
        Ledger::Export { format: ExportFormat::Csv, .. } => {
            print_all(&dir, |all| ledger::export::csv(all).map_err(failed))
        }
        Ledger::Show { id, .. } => print_all(&dir, |all| show(all, &id)),
        Ledger::Verify { .. } => verify(&dir),
    }
}

/// The same over what every operator has written on the shared ledger's topic.
fn run_shared(common: &Common, command: &Ledger) -> Outcome {
    let config = common::config(common)?;
    if config.ledger.kafka.is_none() {
        return Err(Failure::usage("the ledger is not shared: set [ledger] kafka in the configuration"));
    }
    let read = common::runtime()?.block_on(ledger::kafka::read_whole(&config.ledger));
    let whole = read.map_err(Failure::unreachable)?;
    let all = || whole.entries.iter().map(|p| p.entry.clone()).collect::<Vec<_>>();
    match command {
        Ledger::List { format: ListFormat::Table, .. } => print(&table(&all())),
        Ledger::List { format: ListFormat::Json, .. } | Ledger::Export { format: ExportFormat::Json, .. } => {
            print(&(ledger::export::shared_json(&whole.entries).map_err(failed)? + "\n"))
        }
        Ledger::Export { format: ExportFormat::Csv, .. } => {
            print(&ledger::export::shared_csv(&whole.entries).map_err(failed)?)
        }
        Ledger::Show { id, .. } => print(&show(&all(), id)?),
        Ledger::Verify { .. } => verify_shared(&whole),
    }
}

/// Every line must be as it was sealed, and each operator's chain without a hole. Entries that do not hold (a claim that
/// came second) are no fault: the log decides so.
fn verify_shared(whole: &Whole) -> Outcome {
    if let Some((offset, what)) = whole.strange.iter().chain(&whole.breaks).min_by_key(|(offset, _)| *offset) {
        return Err(Failure::failed(format!("the record at offset {offset}: {what}")));
    }
    let ledgers: BTreeSet<&Label> = whole.entries.iter().map(|p| &p.ledger).collect();
    let void = whole.entries.iter().filter(|p| p.void.is_some()).count();
    print(&format!("ok, {} entries of {} ledgers, {void} void\n", whole.entries.len(), ledgers.len()))
}

/// What can be read of it is printed all the same; where its chain breaks that is no whole record, and the end says so.
fn print_all(dir: &Path, how: impl FnOnce(&[Entry]) -> Result<String, Failure>) -> Outcome {
    let Contents { entries, report } = ledger::read(dir).map_err(failed)?;
    if !entries.is_empty() || report.problem.is_none() {
        print(&how(&entries)?)?;
    }
    report.problem.map_or(Ok(0), |p| Err(broken(&p)))
}

fn broken(p: &Problem) -> Failure {
    Failure::failed(format!("the chain of the ledger breaks at line {} (entry {}): {}", p.line, p.seq, p.what))
}

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::failed(why.to_string())
}

fn table(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "no decisions yet: they are recorded by highwater operate\n".to_owned();
    }
    let mut out = String::new();
    let text = |o: Option<&Label>| o.map_or_else(|| "–".to_owned(), ToString::to_string);
    for e in entries {
        let change = match (e.from, e.to) {
            (Some(from), Some(to)) => format!("{from} → {to}"),
            _ => "–".to_owned(),
        };
        let state = e.state.map_or("note", |s| s.name());
        let _ = writeln!(
            out,
            "{:>5}  {}  {:<26}  {:<10}  {:<24} {change:>9}  {}  {}",
            e.seq,
            e.at,
            e.action.as_ref().map_or("–", |id| id.0.as_str()),
            state,
            text(e.workload.as_ref()),
            e.actor,
            e.reason
        );
    }
    out
}

/// The entries of one action, by the beginning of its identity.
fn show(entries: &[Entry], id: &str) -> Result<String, Failure> {
    let ids: BTreeSet<&str> = entries.iter().filter_map(|e| Some(e.action.as_ref()?.0.as_str())).collect();
    let named: Vec<&str> = ids.iter().copied().filter(|full| full.starts_with(id)).collect();
    let [full] = named.as_slice() else {
        let what = match named.len() {
            0 => format!("no action {id:?}"),
            several => format!("{several} actions begin with {id:?}: write more of it"),
        };
        return Err(Failure::failed(format!("{what}; see highwater ledger list")));
    };
    let story: Vec<&Entry> =
        entries.iter().filter(|e| e.action.as_ref().is_some_and(|a| a.0.as_str() == *full)).collect();
    Ok(serde_json::to_string_pretty(&story).map_err(failed)? + "\n")
}

fn verify(dir: &Path) -> Outcome {
    let report = ledger::verify(dir).map_err(failed)?;
    if let Some(problem) = &report.problem {
        return Err(broken(problem));
    }
    let unfinished = match report.torn {
        0 => String::new(),
        bytes => format!(", and an unfinished line of {bytes} bytes: being written now, or left by a crash"),
    };
    match &report.head {
        None if report.torn == 0 => print("ok, no entries yet\n"),
        head => {
            print(&format!("ok, {} entries, head {}{unfinished}\n", report.entries, head.as_deref().unwrap_or("none")))
        }
    }
}
