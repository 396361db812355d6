//! `highwater snapshot`: one refresh, drawn once.

use super::{Failure, Outcome, args::Common, common, dashboard, demo::Stage, json, once, print};
use crate::{
    config::Config,
    model::{Label, Picture, Time},
    process::Clock,
    tui::{self, View, state::Pane, theme::Depth},
};
use clap::{Args, ValueEnum};
use ratatui::{buffer::Buffer, layout::Rect};
use std::sync::Arc;

/// `snapshot`.
#[derive(Debug, Args)]
pub struct Snapshot {
    /// The view to draw.
    #[arg(long, default_value = "overview")]
    pub view: String,
    /// Columns and rows.
    #[arg(long, default_value = "120x40")]
    pub size: String,
    /// What to print.
    #[arg(long, value_enum, default_value_t = SnapshotFormat::Text)]
    pub format: SnapshotFormat,
    /// The workload to select, for the workload view and the card.
    #[arg(long)]
    pub workload: Option<String>,
    /// Of the simulated world instead of yours: fraud, quiet or incident.
    #[arg(long, value_name = "SCENARIO")]
    pub demo: Option<String>,
    /// Seed of the simulated world.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// How long to look before drawing: two refreshes are needed for rates.
    #[arg(long, default_value = "5s", value_parser = super::args::settle, value_name = "DURATION")]
    pub settle: f64,
}

/// What `snapshot` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SnapshotFormat {
    /// Characters.
    Text,
    /// Characters with colours.
    Ansi,
    /// A picture.
    Svg,
    /// The data behind it.
    Json,
}

/// When the simulated world begins, 2026-03-12 14:07:32 UTC: the same seed then shows the same time of the same day.
const START: Time = Time::from_millis(1_773_324_452_000);

pub(super) fn run(common: &Common, args: &Snapshot) -> Outcome {
    common::log(common, None)?;
    let area = size(&args.size)?;
    let Some(view) = View::parse(&args.view) else {
        let names: Vec<&str> = View::ALL.iter().map(|v| v.name()).collect();
        let near = crate::config::nearest(&args.view, names.iter().copied());
        let mend = near.map_or_else(|| format!("there are {}", names.join(", ")), |n| format!("did you mean {n}?"));
        return Err(Failure::usage(format!("--view {:?}: no such view; {mend}", args.view)));
    };
    let runtime = common::runtime()?;
    let stage = match &args.demo {
        Some(scenario) => Some(runtime.block_on(Stage::build(common, scenario, args.seed, 1.0, START))?),
        None => None,
    };
    let (config, clock, state) = if let Some(stage) = &stage {
        (stage.config.clone(), stage.world.clock(), None)
    } else {
        let state = common::state_path().filter(|p| p.exists());
        (common::config_with_sources(common)?, Clock::wall(), state)
    };
    let past = stage.as_ref().map(|s| s.past.clone());
    let picture = runtime.block_on(once::picture(
        config.clone(),
        clock,
        state,
        past,
        once::Wait { settle: args.settle, days: view == View::Day },
    ))?;
    if let Some(name) = args.workload.as_deref().filter(|name| picture.workload(name).is_none()) {
        let not_seen = || Failure::failed(format!("no workload {name:?} was seen"));
        return Err(once::unreachable(&picture).unwrap_or_else(not_seen));
    }
    if args.format == SnapshotFormat::Json {
        print(&format!("{:#}\n", json::snapshot(&picture)))?;
    } else {
        print(&draw(common, &config, &picture, view, args, area)?)?;
    }
    once::unreachable(&picture).map_or(Ok(0), Err)
}

fn draw(
    common: &Common,
    config: &Config,
    picture: &Arc<Picture>,
    view: View,
    args: &Snapshot,
    area: Rect,
) -> Result<String, Failure> {
    // A picture has all colours, whatever this terminal can show.
    let auto = (args.format == SnapshotFormat::Svg).then_some(Depth::True);
    let (theme, shelf, keymap) = dashboard::looks(common, config, auto)?;
    let mut state = dashboard::screen(config, keymap, &shelf)?;
    state.view = view;
    state.size = (area.width, area.height);
    if let Some(name) = &args.workload {
        state.selected.insert(Pane::Workloads, Label::new(name));
    }
    let mut buffer = Buffer::empty(area);
    tui::draw(picture, &state, &theme, picture.at, area, &mut buffer);
    Ok(match args.format {
        SnapshotFormat::Ansi => tui::export::ansi(&buffer),
        SnapshotFormat::Svg => tui::export::svg(&buffer, &tui::export::SvgOptions::of(&theme)),
        SnapshotFormat::Text | SnapshotFormat::Json if common::color(common) => tui::export::ansi(&buffer),
        SnapshotFormat::Text | SnapshotFormat::Json => tui::export::text(&buffer),
    })
}

fn size(text: &str) -> Result<Rect, Failure> {
    let parsed = text.split_once(['x', '×']).and_then(|(w, h)| Some((w.parse::<u16>().ok()?, h.parse::<u16>().ok()?)));
    match parsed {
        Some((w @ 1..=1000, h @ 1..=500)) => Ok(Rect::new(0, 0, w, h)),
        _ => Err(Failure::usage(format!("--size {text:?}: write columns and rows, such as 120x40"))),
    }
}
