//! `highwater check`: every source, permission, target and pack, one line each, with the mend.

mod hand_over;

use super::{
    Outcome,
    args::{Common, ListFormat},
    common, print,
};
use crate::{
    act::Observer,
    config::Config,
    ledger,
    model::{CheckLine, Label, Target},
    process::Clock,
    source,
};
use futures_util::future::join_all;
use serde_json::json;
use std::{collections::BTreeSet, fmt::Write};

pub(super) fn run(common: &Common, format: ListFormat) -> Outcome {
    common::log(common, None)?;
    let config = common::config_with_sources(common)?;
    let lines = common::runtime()?.block_on(check(&config));
    let text = match format {
        ListFormat::Json => format!("{:#}\n", json!({ "version": 1, "checks": lines })),
        ListFormat::Table => table(&lines) + &hand_over::text(lines.iter().filter_map(|l| l.grant.as_ref())),
    };
    print(&text)?;
    Ok(match lines {
        _ if lines.iter().any(|l| l.unreachable) => 3,
        _ if lines.iter().any(|l| !l.ok) => 1,
        _ => 0,
    })
}

async fn check(config: &Config) -> Vec<CheckLine> {
    let mut lines = vec![line(
        "configuration",
        Ok(config.file.as_ref().map_or_else(|| "from the command line".to_owned(), |f| f.display().to_string())),
    )];
    let kafka = join_all(config.kafka.iter().map(source::kafka::check));
    let prometheus = join_all(config.prometheus.iter().map(source::prometheus::check));
    let targets: BTreeSet<Target> = config.workloads().into_iter().filter_map(|w| w.target).collect();
    let targets: Vec<Target> = targets.into_iter().collect();
    let kubernetes = async {
        let Some(settings) = &config.kubernetes else { return Vec::new() };
        let mut lines = source::kubernetes::check(settings).await;
        // A server that does not answer is said once.
        if !lines.iter().any(|l| l.unreachable) {
            lines.extend(source::kubernetes::check_targets(settings, &targets).await);
        }
        lines
    };
    let counts = counts(config);
    let shared = ledger::kafka::check(&config.ledger);
    let (kafka, prometheus, kubernetes, counts, shared) = tokio::join!(kafka, prometheus, kubernetes, counts, shared);
    lines.extend(kafka.into_iter().flatten());
    lines.extend(prometheus.into_iter().flatten());
    lines.extend(kubernetes);
    lines.extend(shared);
    lines.extend(counts);
    for w in config.workloads() {
        if w.target.as_ref().is_some_and(Target::is_kubernetes) && config.kubernetes.is_none() {
            let why = Err(("no Kubernetes is configured".to_owned(), "set [kubernetes] context".to_owned()));
            lines.push(line(&format!("workload {}: target", w.name), why));
        }
    }
    lines
}

/// Targets outside of Kubernetes: whether their counts can be seen.
async fn counts(config: &Config) -> Vec<CheckLine> {
    let observer = Observer::new(&config.commands, Clock::wall()).with(&config.webhooks, &config.patch_files);
    let commands = config
        .commands
        .iter()
        .map(|c| (Target::Command(c.name.clone()), "run the observe command by hand and compare"));
    let webhooks = config
        .webhooks
        .iter()
        .map(|w| (Target::Webhook(w.name.clone()), "set observe, observe_field and credentials of the webhook"));
    let files =
        config.patch_files.iter().map(|f| (Target::PatchFile(f.name.clone()), "set file and key of the patch file"));
    let mut lines = Vec::new();
    for (target, mend) in commands.chain(webhooks).chain(files) {
        let what = format!("{target}: observe");
        lines.push(match observer.count(&target).await {
            Ok(count) => line(&what, Ok(format!("count {count}"))),
            Err(why) => line(&what, Err((why, mend.to_owned()))),
        });
    }
    lines
}

fn line(what: &str, found: Result<String, (String, String)>) -> CheckLine {
    let (ok, detail, mend) = match found {
        Ok(detail) => (true, detail, None),
        Err((detail, mend)) => (false, detail, Some(Label::new(&mend))),
    };
    CheckLine { what: Label::new(what), ok, detail: Label::new(&detail), mend, unreachable: false, grant: None }
}

fn table(lines: &[CheckLine]) -> String {
    let width = lines.iter().map(|l| l.what.as_str().chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for l in lines {
        let mark = if l.ok { "ok  " } else { "FAIL" };
        let _ = writeln!(out, "{mark}  {:<width$}  {}", l.what, l.detail);
        if let Some(mend) = &l.mend {
            let _ = writeln!(out, "      {:<width$}  → {mend}", "");
        }
    }
    out
}
