//! `highwater lint`: what is wrong with these HPAs and ScaledObjects, what it costs, and what to write instead.

mod known;
mod prices;
mod report;

use super::{
    Failure, Outcome,
    args::{Common, ListFormat},
    common, print,
};
use crate::{
    lint::{self, Facts, Finding, Known, Severity},
    manifest::{self, Document, Grade, MOST_PARTITIONS, Manifest},
    source,
};
use clap::Args;
use known::Workloads;
use prices::{Arena, Prices};
use std::path::{Path, PathBuf};

/// `lint`. What is not told here, by annotations (highwater/rate and so on) or by a scenario is taken for granted, and
/// said.
#[derive(Debug, Args)]
pub struct Lint {
    /// YAML files: several documents and lists may stand in one; objects of other kinds are passed over.
    #[arg(value_name = "FILE.yaml", required_unless_present_any = ["live", "rules"])]
    pub files: Vec<PathBuf>,
    /// The objects of the cluster instead.
    #[arg(long, conflicts_with = "files")]
    pub live: bool,
    /// List the rules, and the annotations that tell what no manifest holds.
    #[arg(long, conflicts_with_all = ["files", "live"])]
    pub rules: bool,
    /// Partitions of what the group reads.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_PARTITIONS)))]
    pub partitions: Option<u32>,
    /// Records per second, on the average.
    #[arg(long, value_name = "N", value_parser = super::args::positive)]
    pub rate: Option<f64>,
    /// Records per second that one consumer can process.
    #[arg(long, value_name = "N", value_parser = super::args::positive)]
    pub consumer_rate: Option<f64>,
    /// Time between two commits of a consumer [taken for granted: 5s].
    #[arg(long, value_name = "DURATION", value_parser = super::series::seconds)]
    pub commit: Option<f64>,
    /// How the group hands partitions over: eager, cooperative or consumer [taken for granted: eager].
    #[arg(long, value_name = "NAME")]
    pub protocol: Option<crate::lint::Protocol>,
    /// Most time behind [taken for granted: 30s].
    #[arg(long, value_name = "DURATION", value_parser = super::series::seconds)]
    pub slo: Option<f64>,
    /// Demand that was seen, records per second: ts,value. Prices every finding; needs --partitions and --consumer-rate.
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    pub history: Option<PathBuf>,
    /// The same by a scenario, as of `simulate`; it tells all of the above as well.
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["partitions", "rate", "consumer_rate", "commit", "protocol", "slo"])]
    pub scenario: Option<PathBuf>,
    /// Days that are played for a price, from the scenario's seed on.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub seeds: u64,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

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

impl Linted {
    /// Puts a finding without a mend where it belongs among the others and their prices.
    fn insert(&mut self, finding: Finding) {
        let at = self.findings.partition_point(|f| lint::worst_first(f, &finding).is_lt());
        self.findings.insert(at, finding);
        if let Some(Ok(prices)) = &mut self.prices {
            prices.mended.insert(at.min(prices.mended.len()), None);
        }
    }
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
        let (facts, _) = workloads.complete(told.clone(), &manifest).with_annotations(&manifest.value);
        let mut linted =
            Linted { file, documents, findings: lint::judge(&manifest, &facts), manifest, facts, prices: None };
        linted.prices = arena.price(&mut linted);
        for (_, finding) in together.iter().filter(|(of, _)| *of == i) {
            linted.insert(finding.clone());
        }
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
    Ok((manifest::manifests(&documents).into_iter().map(with_annotations).collect(), documents))
}

/// The object with what is wrong with the annotations that are read here.
fn with_annotations(mut manifest: Manifest) -> Manifest {
    let (_, wrong) = Facts::default().with_annotations(&manifest.value);
    manifest.complaints.extend(wrong);
    manifest
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
    let read = objects.iter().filter_map(Manifest::read).map(with_annotations);
    let objects = read.map(|m| (format!("kubernetes {name}"), 0, m)).collect();
    Ok((Read { objects, documents: Vec::new() }, Workloads::seen(config)?))
}
