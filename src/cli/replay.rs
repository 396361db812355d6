//! `highwater replay`: what this HPA or ScaledObject would have done on these samples.

mod controller;
mod spec;

use super::{
    Failure, Outcome,
    args::{Replay, RowFormat},
    print, series,
};
use crate::policy::hpa::Controller;
use controller::{Decided, Replayed, Settings};
use serde_json::json;
use std::fmt::Write;

pub(super) fn run(args: &Replay) -> Outcome {
    let path = args.spec.display();
    let text = std::fs::read_to_string(&args.spec).map_err(|e| Failure::usage(format!("cannot read {path}: {e}")))?;
    let spec = spec::parse(&text).map_err(|w| Failure::usage(format!("{path}:{}:{}: {}", w.line, w.column, w.what)))?;
    let rows = series::read(&args.csv)?;
    if !(args.tolerance.is_finite() && args.tolerance >= 0.0) {
        return Err(Failure::usage(format!("--tolerance {}: a ratio such as 0.1 belongs here", args.tolerance)));
    }
    let settings = Settings {
        controller: Controller {
            sync: args.sync,
            downscale_stabilization: args.downscale_stabilization,
            tolerance: spec.tolerance(args.tolerance),
            cpu_initialization: args.cpu_initialization,
            initial_readiness_delay: args.initial_readiness_delay,
        },
        partitions: args.partitions,
        start: args.start,
        start_up: args.start_up,
    };
    let kind = spec.kind;
    let decided = Replayed::new(spec, settings)
        .run(&rows)
        .map_err(|(line, what)| Failure::usage(format!("{}:{line}: {what}", args.csv.display())))?;
    print(&match args.format {
        RowFormat::Json => format!("{:#}\n", document(kind, &decided)),
        RowFormat::Csv => csv(&decided),
        RowFormat::Table => table(kind, &decided),
    })
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
