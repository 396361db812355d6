//! `highwater backtest`: how good the forecasts of a series would have been.

use super::{Failure, Outcome, args::ListFormat, print, series};
use crate::forecast;
use clap::Args;
use serde_json::json;
use std::{fmt::Write, path::PathBuf, time::Instant};

/// What is scored where nothing else is asked for, seconds.
const HORIZONS: [f64; 3] = [300.0, 900.0, 3_600.0];

/// `backtest`.
#[derive(Debug, Args)]
pub struct Backtest {
    /// The series: a file with the columns ts,value.
    #[arg(long, alias = "trace", value_name = "FILE")]
    pub csv: PathBuf,
    /// How far ahead to score [default: of 5m,15m,60m those that are a step of the series or more and within it].
    #[arg(long, value_name = "DURATION[,…]", value_delimiter = ',', value_parser = super::series::seconds)]
    pub horizons: Option<Vec<f64>>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

pub(super) fn run(args: &Backtest) -> Outcome {
    let rows = series::read(&args.csv)?;
    let grid = series::grid(&rows).map_err(|e| Failure::usage(format!("{}: {e}", args.csv.display())))?;
    let long = grid.step * grid.values.len() as f64;
    // One step ahead of a value each half hour is not 5 minutes ahead, and must not be called so.
    let (usual, left_out): (Vec<f64>, Vec<f64>) = HORIZONS.iter().partition(|h| (grid.step..long).contains(*h));
    let usual = if usual.is_empty() { vec![grid.step] } else { usual };
    let horizons = args.horizons.as_ref().unwrap_or(&usual);
    let began = Instant::now();
    let result =
        forecast::backtest(&grid, horizons).map_err(|e| Failure::failed(format!("{}: {e}", args.csv.display())))?;
    let seconds = began.elapsed().as_secs_f64();
    if args.format == ListFormat::Json {
        let horizons: Vec<serde_json::Value> = result
            .horizons
            .iter()
            .map(|h| {
                json!({
                    "horizon": h.horizon, "targets": h.targets, "relative_mase": h.relative_mase, "relative_pinball": h.relative_pinball,
                    "coverage": h.coverage, "upper_coverage": h.upper_coverage,
                })
            })
            .collect();
        let document = json!({
            "version": 1, "step": result.step, "origins": result.origins, "horizons": horizons,
            "weights": result.weights, "members": result.members, "seconds": seconds,
        });
        return print(&format!("{document:#}\n"));
    }
    let mut out = format!("{} origins, a value every {} s, {seconds:.1} s\n\n", result.origins, result.step);
    let _ = writeln!(
        out,
        "{:>8} {:>7} {:>9} {:>9}  {:>8} {:>8}  {:>9} {:>9}",
        "HORIZON", "TARGETS", "MASE", "PINBALL", "IN 80 %", "IN 95 %", "BELOW P80", "BELOW P95"
    );
    let ratio = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| format!("{v:.3}"));
    let share = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| format!("{:.0} %", v * 100.0));
    for h in &result.horizons {
        let _ = writeln!(
            out,
            "{:>8} {:>7} {:>9} {:>9}  {:>8} {:>8}  {:>9} {:>9}",
            crate::model::duration(h.horizon),
            h.targets,
            ratio(h.relative_mase),
            ratio(h.relative_pinball),
            share(h.coverage.at_80),
            share(h.coverage.at_95),
            share(h.upper_coverage.at_80),
            share(h.upper_coverage.at_95),
        );
    }
    if args.horizons.is_none() && !left_out.is_empty() {
        let names: Vec<String> = left_out.iter().map(|h| crate::model::duration(*h)).collect();
        let (step, long) = (crate::model::duration(grid.step), crate::model::duration(long));
        let _ = writeln!(out, "Not {}: the series has a value every {step} and is {long} long.", names.join(" and "));
    }
    out.push_str("\nMASE and PINBALL are relative to \"last value\" on the same origins: below 1 is better.\n");
    let mut weights: Vec<(&String, &f64)> = result.weights.iter().collect();
    weights.sort_by(|a, b| b.1.total_cmp(a.1));
    let mut each: Vec<f64> = result.horizons.iter().map(|h| h.horizon).collect();
    each.sort_by(f64::total_cmp);
    each.dedup();
    let middle = each.get(each.len() / 2).copied().unwrap_or(0.0);
    let _ = writeln!(out, "\n{:<12} {:>7} {:>7}   at {}", "MEMBER", "WEIGHT", "MASE", crate::model::duration(middle));
    for (name, weight) in weights {
        let alone = ratio(result.members.get(name).copied());
        let _ = writeln!(out, "{name:<12} {:>5.0} % {alone:>7}", weight * 100.0);
    }
    print(&out)
}
