//! `highwater forecast`: quantile paths for one series.

use super::{Failure, Outcome, args::Common, common, dashboard, print, series};
use crate::{
    forecast,
    model::{Forecast as Paths, Grid, Quantiles, Time, Zone, duration, si},
    source::prometheus::{Answer, Client},
    tui::{
        export::{SvgOptions, svg},
        theme::Depth,
        widget::chart::Chart,
    },
};
use clap::{Args, ValueEnum};
use ratatui::{buffer::Buffer, layout::Rect};
use serde_json::json;
use std::{fmt::Write, path::PathBuf};

/// `forecast`.
#[derive(Debug, Args)]
pub struct Forecast {
    /// The series: a file with the columns ts,value.
    #[arg(long, alias = "trace", value_name = "FILE", required_unless_present = "query", conflicts_with = "query")]
    pub csv: Option<PathBuf>,
    /// The series: what the Prometheus of --prometheus, or the first of the configuration, answers. One series only.
    #[arg(long, value_name = "PROMQL")]
    pub query: Option<String>,
    /// How far to look ahead.
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = super::series::seconds)]
    pub horizon: f64,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ForecastFormat::Table)]
    pub format: ForecastFormat,
}

/// What `forecast` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ForecastFormat {
    /// For a person.
    Table,
    /// For a program.
    Json,
    /// A picture: what was and what is expected.
    Svg,
}

/// Lines of the table at most; every so many points one is shown.
const LINES: usize = 20;
/// Steps that a query is asked in, seconds: the first that makes the horizon this many points or fewer. And how many
/// steps back: two weeks at 5 min.
const STEPS: [f64; 4] = [15.0, 30.0, 60.0, 300.0];
const AHEAD: f64 = 240.0;
const BACK: f64 = 4_032.0;
/// Values that a file's series keeps at least when several become one.
const FEWEST: usize = 240;
/// Columns and rows of the picture.
const PICTURE: (u16, u16) = (120, 30);

pub(super) fn run(common: &Common, args: &Forecast) -> Outcome {
    let (name, step, grid, now) = match (&args.csv, &args.query) {
        (Some(csv), _) => {
            let rows = series::read(csv)?;
            let grid = series::grid(&rows).map_err(|e| Failure::usage(format!("{}: {e}", csv.display())))?;
            let step = grid.step;
            let grid = coarser(&grid, args.horizon);
            let now = grid.at(grid.values.len().saturating_sub(1));
            (csv.display().to_string(), step, grid, now)
        }
        (None, Some(query)) => {
            let (grid, now) = ask(common, query, args.horizon)?;
            (query.clone(), grid.step, grid, now)
        }
        (None, None) => return Err(Failure::usage("name a series: --csv FILE or --query PROMQL")),
    };
    let mut result =
        forecast::forecast(&grid, now, args.horizon).map_err(|e| Failure::failed(format!("{name}: {e}")))?;
    if grid.step > step {
        let (wide, ahead) = (duration(grid.step), duration(args.horizon));
        result
            .warnings
            .push(format!("values are means of {wide}: steps of {} tell nothing {ahead} ahead", duration(step)));
    }
    match args.format {
        ForecastFormat::Json => print(&format!("{:#}\n", document(&result))),
        ForecastFormat::Table => print(&table(&result)),
        ForecastFormat::Svg => print(&picture(common, &name, &grid, &result)?),
    }
}

/// The means of so many steps that the horizon has [`AHEAD`] of them or fewer, as far as there is history for it. Seconds
/// say nothing of tomorrow, and of a series of seconds only hours are looked at.
fn coarser(grid: &Grid, horizon: f64) -> Grid {
    let wanted = (horizon / grid.step / AHEAD).ceil() as usize;
    let times = wanted.min(grid.values.len() / FEWEST).max(1);
    let lead = grid.values.len() % times;
    let mean = |part: &[Option<f64>]| {
        let known = part.iter().flatten().count();
        (known > 0).then(|| part.iter().flatten().sum::<f64>() / known as f64)
    };
    // The last value of a part tells its time, so that the newest stays the newest.
    let start = grid.at(lead + times - 1);
    Grid { start, step: grid.step * times as f64, values: grid.values[lead..].chunks(times).map(mean).collect() }
}

/// The series that a query answers, and its last instant.
fn ask(common: &Common, query: &str, horizon: f64) -> Result<(Grid, Time), Failure> {
    let config = common::config(common)?;
    let settings = config.prometheus.first().ok_or_else(|| {
        Failure::usage("--query needs a Prometheus: name it with --prometheus URL or in the configuration")
    })?;
    let step = STEPS.into_iter().find(|step| horizon / step <= AHEAD).unwrap_or(STEPS[STEPS.len() - 1]);
    let now = Time::now().floor_to(step);
    let from = now.plus(-BACK * step);
    let answer = common::runtime()?.block_on(async {
        // Without the URL: it may be refused for the password in it.
        let client = Client::new(settings).await.map_err(|e| Failure::usage(e.to_string()))?;
        client.range(query, from, now, step).await.map_err(|e| {
            let text = format!("{}: {e}", settings.url);
            if e.kind.is_fatal() { Failure::unreachable(text) } else { Failure::failed(text) }
        })
    })?;
    Ok((one(query, &answer, from, step)?, now))
}

/// The one series of an answer on its grid.
fn one(query: &str, answer: &Answer, from: Time, step: f64) -> Result<Grid, Failure> {
    let [series] = &answer.series[..] else {
        return Err(Failure::failed(match answer.series.len() {
            0 => format!("{query}: no series was answered: try it on the server's own page"),
            n => format!("{query}: {n} series were answered, a forecast is of one: write sum(…), or name its labels"),
        }));
    };
    let mut values = vec![None; BACK as usize + 1];
    for (at, value) in series.points.iter().filter(|(_, v)| v.is_finite()) {
        let slot = (at.since(from) / step).round();
        if let Some(place) = (slot >= 0.0).then(|| values.get_mut(slot as usize)).flatten() {
            *place = Some(*value);
        }
    }
    Ok(Grid { start: from, step, values }.without_lead())
}

fn picture(common: &Common, name: &str, grid: &Grid, forecast: &Paths) -> Result<String, Failure> {
    let (theme, ..) = dashboard::looks(common, &common::config(common)?, Some(Depth::True))?;
    let area = Rect::new(0, 0, PICTURE.0, PICTURE.1);
    let mut buffer = Buffer::empty(area);
    let ahead = forecast.horizon();
    Chart {
        theme: &theme,
        now: forecast.at,
        back: forecast.at.since(grid.start).clamp(grid.step, 2.0 * ahead.max(grid.step)),
        ahead,
        pan: 0.0,
        zone: &Zone::default(),
        unit: "",
        from_zero: true,
        history: Some(grid),
        second: None,
        forecast: Some(forecast),
        limits: Vec::new(),
        steps: Vec::new(),
        marks: Vec::new(),
        cross: None,
    }
    .draw(area, &mut buffer);
    let title = format!("{name}, {} ahead: p10, p50, p80 and p95", duration(ahead));
    Ok(svg(&buffer, &SvgOptions { title, ..SvgOptions::of(&theme) }))
}

fn document(result: &Paths) -> serde_json::Value {
    let weights: serde_json::Map<String, serde_json::Value> =
        result.weights.iter().map(|(name, w)| (name.clone(), json!(w))).collect();
    let points: Vec<serde_json::Value> = result
        .points
        .iter()
        .map(|q| json!({"t": q.t, "p10": q.p10, "p50": q.p50, "p80": q.p80, "p95": q.p95}))
        .collect();
    json!({
        "version": 1, "at": result.at, "step": result.step, "unit": null,
        "model": {"name": result.model, "weights": weights, "relative_error": result.relative_error},
        "coverage": result.covered.map(|c| json!({"10": c.under_10, "80": c.at_80, "95": c.at_95, "n": c.count})),
        "points": points, "warnings": result.warnings,
    })
}

fn table(result: &Paths) -> String {
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
        let [under, at_80, at_95] = [held.under_10, held.at_80, held.at_95].map(|share| share * 100.0);
        let _ = writeln!(
            out,
            "Of {} values so far {under:.0} % lay below its p10, {at_80:.0} % within its p80, {at_95:.0} % within its p95",
            held.count
        );
    }
    for warning in &result.warnings {
        let _ = writeln!(out, "Note: {warning}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::prometheus::Series;

    #[test]
    fn a_far_horizon_is_looked_at_in_means_that_end_with_the_newest_value() {
        let from = Time::from_secs(60_000.0);
        let values: Vec<Option<f64>> = (0..1_001).map(|i| (i % 7 != 0).then_some(f64::from(i))).collect();
        let fine = Grid { start: from, step: 15.0, values };
        assert_eq!(coarser(&fine, 3_600.0), fine, "240 steps ahead");
        let wide = coarser(&fine, 10_800.0);
        assert_eq!((wide.step, wide.values.len()), (45.0, 333));
        assert_eq!(wide.at(332), fine.at(1_000));
        assert_eq!(wide.values[332], Some(999.0), "998, 999 and 1000 without a gap");
        assert_eq!(coarser(&fine, 1e9).values.len(), 250, "history is not thrown away for it");
    }

    #[test]
    fn an_answer_of_one_series_is_a_grid_with_its_gaps() {
        let from = Time::from_secs(60_000.0);
        let at = |i: u32, v: f64| (from.plus(15.0 * f64::from(i)), v);
        let series = Series { points: vec![at(2, 5.0), at(3, f64::NAN), at(4, 7.0)], ..Series::default() };
        let answer = |n: usize| Answer { series: vec![series.clone(); n], ..Answer::default() };
        let grid = one("up", &answer(1), from, 15.0).unwrap();
        assert_eq!((grid.start, &grid.values[..4]), (from.plus(30.0), &[Some(5.0), None, Some(7.0), None][..]));
        assert!(one("up", &answer(3), from, 15.0).unwrap_err().to_string().contains("3 series were answered"));
        assert!(one("up", &answer(0), from, 15.0).unwrap_err().to_string().contains("no series was answered"));
    }
}
