//! Scenarios with a queue of jobs: what workers cost that do them in time, under each policy.

use crate::{
    contest::{QueuePlayed, Scenario, half_width, queueing},
    model::Sample,
    simulate::queueing::Score,
};
use serde_json::json;
use std::fmt::Write;

/// Who plays when nobody is named.
pub(super) const DEFAULT: &str = "planner,keda,keda-tuned,autoscaler,fixed";
/// Names that are understood.
pub(super) const KNOWN: &str = "planner, keda, keda-tuned, autoscaler, fixed";

/// One seed: what everybody paid, and what nobody can pay less than.
pub(super) struct Round {
    scores: Vec<Score>,
    bound: f64,
}

/// Plays one seed under every policy.
pub(super) fn round(
    scenario: &Scenario,
    played: &QueuePlayed,
    players: &[queueing::Entrant],
    seed: u64,
    points: Option<&[Sample]>,
) -> Result<Round, String> {
    let season = played.season(&scenario.season(seed, points)?, seed)?;
    let scores = players.iter().map(|player| player.play(&played.game, &season, seed)).collect();
    Ok(Round { scores, bound: queueing::lower_bound(&played.game, &season) })
}

/// A policy's mean score, and half the width of its price's 95 % interval.
struct Row<'a> {
    name: &'a str,
    score: Score,
    interval: Option<f64>,
}

fn rows<'a>(names: &'a [String], rounds: &[Round]) -> Vec<Row<'a>> {
    let row = |(i, name): (usize, &'a String)| {
        let scores: Vec<Score> = rounds.iter().filter_map(|r| r.scores.get(i).copied()).collect();
        let prices: Vec<f64> = scores.iter().map(|s| s.price).collect();
        Row { name, score: Score::mean(&scores), interval: half_width(&prices) }
    };
    names.iter().enumerate().map(row).collect()
}

fn fixed(rows: &[Row<'_>]) -> Option<f64> {
    rows.iter().find(|r| r.name == "fixed").map(|r| r.score.price).filter(|price| *price > 0.0)
}

/// Mean of the bounds.
fn bound(rounds: &[Round]) -> f64 {
    rounds.iter().map(|r| r.bound).sum::<f64>() / rounds.len().max(1) as f64
}

pub(super) fn document(name: &str, names: &[String], rounds: &[Round]) -> serde_json::Value {
    let rows = rows(names, rounds);
    let fixed = fixed(&rows);
    let policy = |r: &Row<'_>| {
        json!({
            "policy": r.name, "price": r.score.price, "price_interval": r.interval,
            "of_fixed": fixed.map(|f| r.score.price / f), "worker_hours": r.score.worker_hours,
            "busy_hours": r.score.busy_hours, "slo_minutes": r.score.slo_minutes, "late_jobs": r.score.late_jobs,
            "actions": r.score.actions, "flaps": r.score.flaps,
        })
    };
    let policies: Vec<serde_json::Value> = rows.iter().map(policy).collect();
    let clairvoyant = json!({"price": null, "lower_bound": bound(rounds)});
    json!({"version": 1, "scenario": name, "seeds": rounds.len(), "clairvoyant": clairvoyant, "policies": policies})
}

pub(super) fn table(name: &str, names: &[String], rounds: &[Round]) -> String {
    let rows = rows(names, rounds);
    let seeds = rounds.len();
    let mut out = format!("{name}: means over {seeds} {}\n\n", if seeds == 1 { "seed" } else { "seeds" });
    let _ = writeln!(
        out,
        "{:<12} {:>17} {:>9} {:>9} {:>7} {:>8} {:>9} {:>8} {:>6}",
        "POLICY", "PRICE", "OF FIXED", "WORKER-H", "BUSY-H", "SLO MIN", "LATE JOBS", "ACTIONS", "FLAPS"
    );
    let fixed = fixed(&rows);
    for Row { name, score: s, interval } in &rows {
        let price = match interval {
            Some(half) => format!("{:.1} ± {half:.1}", s.price),
            None => format!("{:.1}", s.price),
        };
        let of_fixed = fixed.map_or_else(|| "–".to_owned(), |f| format!("{:.0} %", s.price / f * 100.0));
        let _ = writeln!(
            out,
            "{name:<12} {price:>17} {of_fixed:>9} {:>9.1} {:>7.1} {:>8.1} {:>9.1} {:>8.1} {:>6.1}",
            s.worker_hours, s.busy_hours, s.slo_minutes, s.late_jobs, s.actions, s.flaps,
        );
    }
    let _ = writeln!(
        out,
        "\nNobody can pay less than {:.1}: every job that is due holds its workers for as long as it runs.\n\
         keda: five waiting jobs a worker, keda-tuned: one; autoscaler: a worker for each that the jobs waiting and running\n\
         need; fixed: the smallest count that keeps every deadline on that very day, found by trying them.",
        bound(rounds)
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_queue_is_played_like_a_group_or_a_service() {
        let text = "[demand]\ngenerator = \"diurnal\"\nmean = 20\nscored = \"3h\"\nhistory = \"3h\"\n\
                    [queue]\nwithin = \"1h\"\nrun = \"5m\"\nreplicas = { min = 0, max = 12 }\n";
        let scenario = Scenario::parse(text, Path::new("night.toml")).unwrap();
        let names: Vec<String> = DEFAULT.split(',').map(str::to_owned).collect();
        let players: Vec<_> = names.iter().map(|n| scenario.queue_player(n).unwrap()).collect();
        let played = scenario.queue().unwrap();
        let rounds: Vec<Round> = (1..3).map(|seed| round(&scenario, &played, &players, seed, None).unwrap()).collect();
        let document = document("night", &names, &rounds);
        let bound = document["clairvoyant"]["lower_bound"].as_f64().unwrap();
        let prices: Vec<f64> =
            document["policies"].as_array().unwrap().iter().map(|p| p["price"].as_f64().unwrap()).collect();
        assert!(bound > 0.0 && prices.len() == 5 && prices.iter().all(|price| *price >= bound), "{bound} {prices:?}");
        let table = table("night", &names, &rounds);
        assert!(table.starts_with("night: means over 2 seeds") && table.contains("Nobody can pay less"), "{table}");
        assert!(KNOWN.split(", ").all(|name| scenario.queue_player(name).is_some()));
    }
}
