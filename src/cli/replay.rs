//! `highwater replay`: what this HPA or ScaledObject would have done on these samples.

mod controller;

use super::{Failure, Outcome, args::RowFormat, print, series};
use crate::{
    manifest::{self, Complaint, MOST_PARTITIONS, Manifest, Object},
    policy::{
        hpa::{Controller, Tolerance},
        scaled::Scaled,
    },
};
use clap::Args;
use controller::{Decided, Replayed, Settings};
use serde_json::json;
use std::{fmt::Write, io::Write as _, path::PathBuf};

/// `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// A HorizontalPodAutoscaler (autoscaling/v2) or a ScaledObject (keda.sh/v1alpha1).
    #[arg(long, value_name = "FILE.yaml")]
    pub spec: PathBuf,
    /// Its metric: ts,value; further metrics in value2 to value4, in the object's order; with replicas (and status, ready)
    /// each row is one sync with that state. A lag does not show commits: for excludePersistentLag a row with the lag of
    /// the row before stands for a committed offset that did not move.
    #[arg(long, value_name = "FILE")]
    pub csv: PathBuf,
    /// Partitions of a Kafka trigger's topic, over which the lag is taken as evenly spread; without it no cap.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_PARTITIONS)))]
    pub partitions: Option<u32>,
    /// Count at the beginning, where the file has none [default: the lower bound].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(i32::MAX)))]
    pub start: Option<u32>,
    /// Time between syncs, where the file has no counts.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = super::series::seconds)]
    pub sync: f64,
    /// Time until a pod is ready, where the file has no counts.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::series::seconds_or_zero)]
    pub start_up: f64,
    /// The controller's --horizontal-pod-autoscaler-downscale-stabilization.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = super::series::seconds_or_zero)]
    pub downscale_stabilization: f64,
    /// The controller's --horizontal-pod-autoscaler-tolerance.
    #[arg(long, value_name = "RATIO", default_value_t = 0.1)]
    pub tolerance: f64,
    /// The controller's --horizontal-pod-autoscaler-initial-readiness-delay.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::series::seconds_or_zero)]
    pub initial_readiness_delay: f64,
    /// The controller's --horizontal-pod-autoscaler-cpu-initialization-period.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = super::series::seconds_or_zero)]
    pub cpu_initialization: f64,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub format: RowFormat,
}

pub(super) fn run(args: &Replay) -> Outcome {
    if !(args.tolerance.is_finite() && args.tolerance >= 0.0) {
        return Err(Failure::usage(format!("--tolerance {}: a ratio such as 0.1 belongs here", args.tolerance)));
    }
    let path = args.spec.display();
    let text = std::fs::read_to_string(&args.spec).map_err(|e| Failure::usage(format!("cannot read {path}: {e}")))?;
    let controller = Controller {
        sync: args.sync,
        downscale_stabilization: args.downscale_stabilization,
        tolerance: Tolerance { up: args.tolerance, down: args.tolerance },
        cpu_initialization: args.cpu_initialization,
        initial_readiness_delay: args.initial_readiness_delay,
    };
    let Played { object, scaled, notes } =
        scaled(&text, &controller).map_err(|e| Failure::usage(format!("{path}:{e}")))?;
    for note in notes {
        // stderr may be gone with the terminal: then nobody is left to be told.
        let _ = writeln!(std::io::stderr(), "highwater: {path}:{note}");
    }
    let (series, metrics) = series::read_metrics(&args.csv)?;
    if scaled.goals().len() > metrics {
        let (needs, file) = (scaled.goals().len(), args.csv.display());
        return Err(Failure::usage(format!(
            "{file}:1: the object looks at {needs} metrics and the file has {metrics}: name them value, value2, … in the \
             object's order"
        )));
    }
    let (kind, least) = match &object {
        Object::Hpa(hpa) => ("hpa", hpa.min),
        Object::ScaledObject(scaled) => ("keda", scaled.idle.unwrap_or(scaled.min)),
    };
    let settings =
        Settings { partitions: args.partitions, start: args.start.unwrap_or(least), start_up: args.start_up };
    let decided = Replayed::new(scaled, settings)
        .run(&series)
        .map_err(|(line, what)| Failure::usage(format!("{}:{line}: {what}", args.csv.display())))?;
    print(&match args.format {
        RowFormat::Json => format!("{:#}\n", document(kind, &decided)),
        RowFormat::Csv => csv(&decided),
        RowFormat::Table => table(kind, &decided),
    })
}

/// An object that can be played.
struct Played {
    object: Object,
    scaled: Scaled,
    /// What the object does not say although it seems to, and what else lies in its file; each begins with line and column.
    notes: Vec<String>,
}

/// The first HPA or ScaledObject of a file, ready to be played. The error begins with line and column.
fn scaled(text: &str, controller: &Controller) -> Result<Played, String> {
    let documents = manifest::documents(text).map_err(|w| format!("{}: {}", w.place, w.what))?;
    let mut manifests = manifest::manifests(&documents).into_iter();
    let Some(manifest) = manifests.next() else {
        let kinds: Vec<&str> = documents.iter().filter_map(|d| d.value.get("kind")?.as_str()).collect();
        let found = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
        return Err(format!("1:1: no HorizontalPodAutoscaler and no ScaledObject in it, but {found}"));
    };
    let at = |manifest: &Manifest, pointer: &str, what: &str| {
        let place = manifest.place(&documents, pointer).map_or_else(|| "1:1".to_owned(), |p| p.to_string());
        format!("{place}: {what}")
    };
    // What the API server or KEDA refuses was never replayed by anybody.
    let (ignored, wrong): (Vec<_>, Vec<_>) =
        manifest.complaints.iter().partition(|c| c.grade == manifest::Grade::Ignored);
    if let Some(complaint) = manifest.unreadable().or(wrong.first().copied()) {
        return Err(at(&manifest, &complaint.pointer, &complaint.what));
    }
    let meant = |c: &Complaint| c.meant.as_ref().map(|m| format!(". Did you mean {m}?")).unwrap_or_default();
    let mut notes: Vec<String> =
        ignored.iter().map(|c| at(&manifest, &c.pointer, &format!("{}{}", c.what, meant(c)))).collect();
    let title = manifest.title();
    notes.extend(manifests.map(|m| at(&m, "", &format!("{} is not replayed: the first is, {title}", m.title()))));
    let scaled = match &manifest.object {
        Object::Hpa(hpa) => Scaled::hpa(hpa, controller),
        Object::ScaledObject(scaled) => Scaled::keda(scaled, controller),
    };
    let scaled = scaled.map_err(|u| at(&manifest, &u.pointer, &u.what))?;
    Ok(Played { object: manifest.object, scaled, notes })
}

fn document(kind: &str, rows: &[Decided]) -> serde_json::Value {
    let rows: Vec<serde_json::Value> = rows
        .iter()
        .map(|r| {
            json!({
                "t": r.at, "metric": r.metric, "current": r.current, "desired": r.desired, "replicas": r.replicas,
                "reason": r.reason,
            })
        })
        .collect();
    json!({"version": 1, "kind": kind, "rows": rows})
}

fn csv(rows: &[Decided]) -> String {
    let mut out = "ts,metric,current,desired,replicas,reason\n".to_owned();
    for r in rows {
        let metric = r.metric.map(|m| m.to_string()).unwrap_or_default();
        let _ = writeln!(out, "{},{metric},{},{},{},{}", r.at.secs(), r.current, r.desired, r.replicas, r.reason);
    }
    out
}

fn table(kind: &str, rows: &[Decided]) -> String {
    let mut out = format!("{:<24} {:>12} {:>8} {:>8}  WHY\n", "TIME", "METRIC", "CURRENT", "DESIRED");
    for r in rows {
        let metric = r.metric.map_or_else(|| "–".to_owned(), |m| m.to_string());
        let _ = writeln!(out, "{:<24} {metric:>12} {:>8} {:>8}  {}", r.at, r.current, r.desired, r.reason);
    }
    let changes = rows.iter().filter(|r| r.current != r.desired).count();
    let _ = writeln!(out, "\n{kind}: {} syncs, {changes} changes", rows.len());
    out
}

#[cfg(test)]
mod tests;
