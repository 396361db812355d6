//! `highwater simulate`: a day of a workload under each policy, priced.

mod queue;
mod serving;

use super::{Failure, Outcome, args::ListFormat, print, series};
use crate::{
    contest::{self, Played, QueuePlayed, Round, Scenario, Standing, is_bound},
    model::{Sample, si},
    simulate::arena::{Game, Score},
};
use clap::Args;
use serde_json::json;
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// `simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// The scenario: a TOML file of a consumer group, an inference service ([service]) or a queue of jobs ([queue]). A
    /// group's time lag is told and priced as that of the whole topic: records that wait, of all partitions, over records
    /// that come.
    #[arg(long, value_name = "FILE")]
    pub scenario: PathBuf,
    /// Who plays: planner, planner-cold, hpa, hpa-unstabilised, hpa-cpu, keda, keda-tuned, threshold, threshold-70-50,
    /// fixed, oracle [default: planner,hpa,keda,threshold,fixed,oracle]. Services and queues have rivals of their own: a
    /// name that is not known is answered with those that are.
    #[arg(long, value_name = "NAME[,…]")]
    pub policy: Option<String>,
    /// Seeds to play, from the scenario's on; the table shows their means.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seeds: u64,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

/// Who plays when nobody is named.
const DEFAULT: &str = "planner,hpa,keda,threshold,fixed,oracle";
/// Names that are understood.
const KNOWN: &str = "planner, planner-cold, hpa, hpa-unstabilised, hpa-cpu, keda, keda-tuned, threshold, threshold-70-50, \
                     fixed, oracle";

pub(super) fn run(args: &Simulate) -> Outcome {
    let scenario = read(&args.scenario).map_err(Failure::usage)?;
    let points = scenario.csv().map(|path| samples(&path)).transpose()?;
    if args.seeds == 0 {
        return Err(Failure::usage("--seeds 0: at least one day must be played"));
    }
    if let Some(played) = scenario.queue() {
        return run_queue(args, &scenario, &played, points.as_deref());
    }
    if let Some(played) = scenario.service() {
        return run_service(args, &scenario, &played, points.as_deref());
    }
    let names = names(args.policy.as_deref(), DEFAULT);
    let with_oracle = names.iter().any(|n| n == "oracle");
    let names: Vec<String> = names.into_iter().filter(|n| n != "oracle").collect();
    let entrants = players(&names, "a group", KNOWN, |name| scenario.entrant(name))?;
    let game = scenario.game();
    let play = |seed: u64| -> Result<Round, String> {
        let season = scenario.season(seed, points.as_deref())?;
        Ok(contest::round(&game, &season, seed, &entrants, with_oracle.then(|| scenario.moves())))
    };
    let rounds = rounds(scenario.seed(), args.seeds, &play).map_err(Failure::usage)?; // of the demand's file
    let standings = contest::standings(&names, &rounds);
    let text = match args.format {
        ListFormat::Json => format!("{:#}\n", document(&scenario.name(), &game, &standings, &rounds)),
        ListFormat::Table => table(&scenario.name(), &game, &standings, &rounds),
    };
    print(&text)
}

/// A scenario with an inference service.
fn run_service(args: &Simulate, scenario: &Scenario, played: &Played, points: Option<&[Sample]>) -> Outcome {
    let mut names = names(args.policy.as_deref(), serving::DEFAULT);
    if args.policy.is_none() && matches!(played, Played::Service(_)) {
        names.push("oracle".to_owned());
    }
    let players = players(&names, "a service", serving::KNOWN, |name| scenario.player(name))?;
    let play = |seed: u64| serving::round(scenario, played, &players, seed, points);
    let rounds = rounds(scenario.seed(), args.seeds, &play).map_err(Failure::usage)?;
    print(&match args.format {
        ListFormat::Json => format!("{:#}\n", serving::document(&scenario.name(), &names, &rounds)),
        ListFormat::Table => serving::table(&scenario.name(), &names, &rounds),
    })
}

/// A scenario with a queue of jobs.
fn run_queue(args: &Simulate, scenario: &Scenario, played: &QueuePlayed, points: Option<&[Sample]>) -> Outcome {
    let names = names(args.policy.as_deref(), queue::DEFAULT);
    let players = players(&names, "a queue", queue::KNOWN, |name| scenario.queue_player(name))?;
    let play = |seed: u64| queue::round(scenario, played, &players, seed, points);
    let rounds = rounds(scenario.seed(), args.seeds, &play).map_err(Failure::usage)?;
    print(&match args.format {
        ListFormat::Json => format!("{:#}\n", queue::document(&scenario.name(), &names, &rounds)),
        ListFormat::Table => queue::table(&scenario.name(), &names, &rounds),
    })
}

/// The names of who plays.
fn names(asked: Option<&str>, default: &str) -> Vec<String> {
    asked.unwrap_or(default).split(',').map(|n| n.trim().to_owned()).collect()
}

/// Those who have these names; `of` what, and which names there are, for who asks for another.
fn players<T>(names: &[String], of: &str, known: &str, player: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Failure> {
    let unknown = |name: &String| Failure::usage(format!("--policy: no policy {name:?} for {of}: there are {known}"));
    names.iter().map(|name| player(name).ok_or_else(|| unknown(name))).collect()
}

/// Reads a scenario file; the error is a sentence with file, line and column.
pub(super) fn read(path: &Path) -> Result<Scenario, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    Scenario::parse(&text, path)
}

/// The values of a series file; what is missing lies between its neighbours.
pub(super) fn samples(path: &Path) -> Result<Vec<Sample>, Failure> {
    let rows = series::read(path)?;
    Ok(rows.into_iter().filter_map(|row| Some(Sample { at: row.at, value: row.value? })).collect())
}

/// Plays seeds on every core; the order of the rounds is that of the seeds.
fn rounds<T: Send>(first: u64, count: u64, play: &(dyn Fn(u64) -> Result<T, String> + Sync)) -> Result<Vec<T>, String> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(count as usize);
    let (next, done) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= count {
                        break;
                    }
                    let round = play(first.wrapping_add(i));
                    // A poisoned lock means that another seed panicked: the scope hands that panic on.
                    if let Ok(mut done) = done.lock() {
                        done.push((i, round));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().map_err(|_| "a game was cut short".to_owned())?;
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, round)| round).collect()
}

/// Means of the clairvoyant's score and of the lower bound.
fn clairvoyant(rounds: &[Round]) -> Option<(Score, f64)> {
    let found: Vec<(Score, f64)> = rounds.iter().filter_map(|r| r.clairvoyant).collect();
    let scores: Vec<Score> = found.iter().map(|(score, _)| *score).collect();
    let bound = found.iter().map(|(_, bound)| bound).sum::<f64>() / found.len() as f64;
    (!found.is_empty()).then(|| (Score::mean(&scores), bound))
}

fn document(name: &str, game: &Game, standings: &[Standing], rounds: &[Round]) -> serde_json::Value {
    let row = |name: &str, s: &Score, regret: Option<f64>, interval: Option<f64>| {
        json!({
            "policy": name, "price": s.price, "price_interval": interval, "regret": regret, "pod_hours": s.pod_hours,
            "average_replicas": s.average_replicas, "average_lag": s.average_lag, "p99_lag": s.p99_lag,
            "average_time_lag": s.average_time_lag, "slo_minutes": s.slo_minutes, "actions": s.actions,
            "flaps": s.flaps, "rebalances": s.rebalances,
        })
    };
    let mut policies: Vec<serde_json::Value> =
        standings.iter().map(|s| row(&s.name, &s.score, s.regret, s.interval)).collect();
    let best = clairvoyant(rounds);
    policies.extend(best.map(|(score, _)| row("oracle", &score, Some(0.0), None)));
    json!({
        "version": 1, "scenario": name, "seeds": rounds.len(),
        "clairvoyant": best.map(|(score, bound)| {
            json!({"price": score.price, "lower_bound": bound, "lower_bound_is_estimate": !is_bound(game)})
        }),
        "policies": policies,
    })
}

fn table(name: &str, game: &Game, standings: &[Standing], rounds: &[Round]) -> String {
    let seeds = rounds.len();
    let mut out = format!("{name}: means over {seeds} {}\n\n", if seeds == 1 { "seed" } else { "seeds" });
    let _ = writeln!(
        out,
        "{:<17} {:>15} {:>8} {:>8} {:>6} {:>9} {:>9} {:>7} {:>8} {:>8} {:>6} {:>9}",
        "POLICY",
        "PRICE",
        "REGRET",
        "POD-H",
        "PODS",
        "LAG",
        "P99 LAG",
        "LAG S",
        "SLO MIN",
        "ACTIONS",
        "FLAPS",
        "REBALANCES"
    );
    let mut row = |name: &str, s: &Score, regret: Option<f64>, interval: Option<f64>| {
        let price = match interval {
            Some(half) => format!("{:.1} ± {half:.1}", s.price),
            None => format!("{:.1}", s.price),
        };
        let regret = regret.map_or_else(|| "–".to_owned(), |r| format!("{:+.1} %", r * 100.0));
        let _ = writeln!(
            out,
            "{name:<17} {price:>15} {regret:>8} {:>8.1} {:>6.1} {:>9} {:>9} {:>7.2} {:>8.1} {:>8.1} {:>6.1} {:>9.1}",
            s.pod_hours,
            s.average_replicas,
            si(s.average_lag),
            si(s.p99_lag),
            s.average_time_lag,
            s.slo_minutes,
            s.actions,
            s.flaps,
            s.rebalances,
        );
    };
    for s in standings {
        row(&s.name, &s.score, s.regret, s.interval);
    }
    match clairvoyant(rounds) {
        Some((score, bound)) => {
            row("oracle", &score, Some(0.0), None);
            let _ = writeln!(
                out,
                "\nREGRET is over the oracle: the best timetable found by somebody who knows the day, {:.1} as played.\n\
                 {}",
                score.price,
                if is_bound(game) {
                    format!("By changes that take effect on a quarter of a minute nobody can pay less than {bound:.1}.")
                } else {
                    format!(
                        "{bound:.1} is an estimate of a bound: what nobody can pay less than may be a little lower."
                    )
                }
            );
        }
        None => out.push_str("\nNo regret: the oracle did not play.\n"),
    }
    out.push_str(
        "LAG S and SLO MIN are of the whole topic: records that wait, of all partitions, over records that come. The\n\
         partition that is furthest behind, which the dashboard shows, may be later.\n",
    );
    out
}
