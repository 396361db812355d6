//! `highwater lint`: what is wrong with these HPAs and ScaledObjects, what it costs, and what to write instead.

mod known;
mod prices;
mod report;

use super::{
    Failure, Outcome,
    args::{Common, Lint, ListFormat},
    common, print,
};
use crate::{
    lint::{self, Facts, Finding, Known, Severity},
    manifest::{self, Document, Grade, Manifest},
    source,
};
use known::Workloads;
use prices::{Arena, Prices};
use std::path::Path;

/// An object with everything that is said about it.
struct Linted {
    /// Where it was read: a file, or the cluster.
    file: String,
    /// Number of its file.
    documents: usize,
    manifest: Manifest,
    facts: Facts,
    findings: Vec<Finding>,
    /// Price of a day, or why there is none; `None` when nobody asked.
    prices: Option<Result<Prices, String>>,
}

/// What was read: the objects, and the documents that tell places (none for the cluster's).
#[derive(Default)]
struct Read {
    objects: Vec<(String, usize, Manifest)>,
    documents: Vec<Vec<Document>>,
}

pub(super) fn run(common: &Common, args: &Lint) -> Outcome {
    if args.rules {
        return print(&report::rules());
    }
    let (read, workloads) = if args.live { live(common)? } else { (files(args)?, Workloads::configured(common)?) };
    let arena = Arena::new(args)?;
    let told = arena.facts(told(args)).map_err(Failure::usage)?;
    let manifests: Vec<Manifest> = read.objects.iter().map(|(_, _, m)| m.clone()).collect();
    let together = lint::judge_together(&manifests);
    let mut all = Vec::new();
    for (i, (file, documents, manifest)) in read.objects.into_iter().enumerate() {
        let facts = workloads.complete(told.clone(), &manifest).with_annotations(&manifest.value);
        let mut linted =
            Linted { file, documents, findings: lint::judge(&manifest, &facts), manifest, facts, prices: None };
        linted.prices = arena.price(&mut linted);
        let more = together.iter().filter(|(of, _)| *of == i).map(|(_, finding)| finding.clone());
        linted.findings.extend(more);
        all.push(linted);
    }
    let text = match args.format {
        ListFormat::Json => format!("{:#}\n", report::document(&all, &read.documents)),
        ListFormat::Table => report::text(&all, &read.documents),
    };
    print(&text)?;
    let worst = all.iter().flat_map(|l| &l.findings).map(|f| f.severity).max();
    Ok(u8::from(worst.is_some_and(|w| w >= Severity::Warning)))
}

/// What the command line tells.
fn told(args: &Lint) -> Facts {
    let default = Facts::default();
    Facts {
        partitions: args.partitions.map(|n| Known::told(n, "--partitions")),
        rate: args.rate.map(|n| Known::told(n, "--rate")),
        consumer_rate: args.consumer_rate.map(|n| Known::told(n, "--consumer-rate")),
        commit: args.commit.map_or(default.commit, |s| Known::told(s, "--commit")),
        protocol: args.protocol.map_or(default.protocol, |p| Known::told(p, "--protocol")),
        slo: args.slo.map_or(default.slo, |s| Known::told(s, "--slo")),
        range: None,
        cheapest_target: None,
    }
}

/// Reads the files. Everything that cannot be read is told at once, each with its line and column.
fn files(args: &Lint) -> Result<Read, Failure> {
    let (mut read, mut wrong) = (Read::default(), Vec::new());
    for path in &args.files {
        let (objects, documents) = match file(path) {
            Ok(found) => found,
            Err(what) => {
                wrong.push(what);
                continue;
            }
        };
        let name = path.display().to_string();
        for manifest in &objects {
            for complaint in manifest.complaints.iter().filter(|c| c.grade == Grade::Unreadable) {
                let place = manifest.place(&documents, &complaint.pointer);
                let place = place.map_or_else(|| "1:1".to_owned(), |p| p.to_string());
                wrong.push(format!("{name}:{place}: {}", complaint.what));
            }
        }
        read.objects.extend(objects.into_iter().map(|m| (name.clone(), read.documents.len(), m)));
        read.documents.push(documents);
    }
    if !wrong.is_empty() {
        return Err(Failure::usage(wrong.join("\n  ")));
    }
    if read.objects.is_empty() {
        let names: Vec<String> = args.files.iter().map(|f| f.display().to_string()).collect();
        return Err(Failure::usage(format!("no HorizontalPodAutoscaler and no ScaledObject in {}", names.join(", "))));
    }
    Ok(read)
}

fn file(path: &Path) -> Result<(Vec<Manifest>, Vec<Document>), String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {name}: {e}"))?;
    let documents = manifest::documents(&text).map_err(|w| format!("{name}:{}: {}", w.place, w.what))?;
    Ok((manifest::manifests(&documents), documents))
}

/// Reads the cluster, and what the other sources show of its workloads.
fn live(common: &Common) -> Result<(Read, Workloads), Failure> {
    common::log(common, None)?;
    let config = common::config(common)?;
    let Some(settings) = &config.kubernetes else {
        return Err(Failure::usage("--live needs a cluster: name it with --kube-context, or in the configuration"));
    };
    let name = settings.context.clone().unwrap_or_else(|| "in-cluster".to_owned());
    let objects =
        common::runtime()?.block_on(source::kubernetes::autoscalers(settings)).map_err(Failure::unreachable)?;
    let objects = objects.iter().filter_map(Manifest::read).map(|m| (format!("kubernetes {name}"), 0, m)).collect();
    Ok((Read { objects, documents: Vec::new() }, Workloads::seen(config)?))
}
