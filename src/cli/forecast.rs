//! `highwater forecast`: quantile paths for one series.

use super::{Failure, Outcome, args::ListFormat, print, series};
use crate::{
    forecast,
    model::{Quantiles, si},
};
use clap::Args;
use serde_json::json;
use std::{fmt::Write, path::PathBuf};

/// `forecast`.
#[derive(Debug, Args)]
pub struct Forecast {
    /// The series: a file with the columns ts,value.
    #[arg(long, value_name = "FILE")]
    pub csv: PathBuf,
    /// How far to look ahead.
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = super::series::seconds)]
    pub horizon: f64,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

/// Lines of the table at most; every so many points one is shown.
const LINES: usize = 20;

pub(super) fn run(args: &Forecast) -> Outcome {
    let rows = series::read(&args.csv)?;
    let wrong = |e: String| Failure::usage(format!("{}: {e}", args.csv.display()));
    let grid = series::grid(&rows).map_err(wrong)?;
    let now = grid.at(grid.values.len().saturating_sub(1));
    let result = forecast::forecast(&grid, now, args.horizon)
        .map_err(|e| Failure::failed(format!("{}: {e}", args.csv.display())))?;
    if args.format == ListFormat::Json {
        let weights: serde_json::Map<String, serde_json::Value> =
            result.weights.iter().map(|(name, w)| (name.clone(), json!(w))).collect();
        let points: Vec<serde_json::Value> = result
            .points
            .iter()
            .map(|q| json!({"t": q.t, "p10": q.p10, "p50": q.p50, "p80": q.p80, "p95": q.p95}))
            .collect();
        let document = json!({
            "version": 1, "at": result.at, "step": result.step, "unit": null,
            "model": {"name": result.model, "weights": weights, "relative_error": result.relative_error},
            "coverage": result.covered.map(|c| json!({"80": c.at_80, "95": c.at_95, "n": c.count})),
            "points": points, "warnings": result.warnings,
        });
        return print(&format!("{document:#}\n"));
    }
    let mut out = String::new();
    let _ = writeln!(out, "{:<24} {:>9} {:>9} {:>9} {:>9}", "TIME", "P10", "P50", "P80", "P95");
    let every = result.points.len().div_ceil(LINES).max(1);
    let last = result.points.len().saturating_sub(1);
    let shown = result.points.iter().enumerate().filter(|(i, _)| (i + 1) % every == 0 || *i == last);
    for (_, Quantiles { t, p10, p50, p80, p95 }) in shown {
        let _ = writeln!(out, "{t:<24} {:>9} {:>9} {:>9} {:>9}", si(*p10), si(*p50), si(*p80), si(*p95));
    }
    let members: Vec<String> = result.weights.iter().map(|(name, w)| format!("{name} {:.0} %", w * 100.0)).collect();
    let _ = writeln!(out, "\nModel: {} of {}", result.model, members.join(", "));
    if let Some(error) = result.relative_error {
        let _ = writeln!(out, "Error on this series so far: {:.0} % of that of \"last value\"", error * 100.0);
    }
    if let Some(held) = result.covered {
        let (at_80, at_95) = (held.at_80 * 100.0, held.at_95 * 100.0);
        let _ = writeln!(
            out,
            "Its 80 % band held {at_80:.0} % of {} values so far, its 95 % band {at_95:.0} %",
            held.count
        );
    }
    for warning in &result.warnings {
        let _ = writeln!(out, "Note: {warning}");
    }
    print(&out)
}
