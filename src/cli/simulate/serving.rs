//! Scenarios with an inference service: what consumers and GPUs cost together under each policy.

use crate::{
    contest::{
        Played, Player, Scenario, half_width,
        pipeline::Cost,
        serving::{Season, Standing, standings},
    },
    model::Sample,
    simulate::{arena, serving::Score},
};
use serde_json::json;
use std::fmt::Write;

/// Who plays when nobody is named; and the clairvoyant, where clients call on the service.
pub(super) const DEFAULT: &str = "planner,hpa,hpa-gpu,keda,knative,fixed";
/// Names that are understood.
pub(super) const KNOWN: &str =
    "planner, hpa, hpa-gpu, keda, keda-tuned, knative, fixed, and oracle where clients call on the service";

/// One seed's scores of one policy: the consumers' where there are any, and the service's.
pub(super) type Paid = (Option<arena::Score>, Score);

/// Plays one seed under every policy.
pub(super) fn round(
    scenario: &Scenario,
    played: &Played,
    players: &[Player],
    seed: u64,
    points: Option<&[Sample]>,
) -> Result<Vec<Paid>, String> {
    let season = scenario.season(seed, points)?;
    let behind: Season = scenario.service_season(&season);
    let play = |player: &Player| match (played, player) {
        (Played::Pipeline(pipeline), Player::Pipeline(pair)) => {
            let Cost { group, service } = pair.play(pipeline, &season, seed);
            Some((Some(group), service))
        }
        (Played::Service(game), Player::Service(entrant)) => Some((None, entrant.play(game, &behind, seed).score)),
        _ => None,
    };
    Ok(players.iter().filter_map(play).collect())
}

/// A row: both halves together.
struct Row {
    name: String,
    group: Option<arena::Score>,
    service: Score,
    price: f64,
    interval: Option<f64>,
}

impl Row {
    fn slo_minutes(&self) -> f64 {
        self.service.slo_minutes + self.group.map_or(0.0, |g| g.slo_minutes)
    }

    fn actions(&self) -> f64 {
        self.service.actions + self.group.map_or(0.0, |g| g.actions)
    }

    fn flaps(&self) -> f64 {
        self.service.flaps + self.group.map_or(0.0, |g| g.flaps)
    }
}

fn rows(names: &[String], rounds: &[Vec<Paid>]) -> Vec<Row> {
    let services: Vec<Vec<Score>> = rounds.iter().map(|r| r.iter().map(|(_, s)| *s).collect()).collect();
    let row = |(i, Standing { name, score, .. }): (usize, Standing)| {
        let paid: Vec<Paid> = rounds.iter().filter_map(|r| r.get(i).copied()).collect();
        let groups: Vec<arena::Score> = paid.iter().filter_map(|(g, _)| *g).collect();
        let prices: Vec<f64> = paid.iter().map(|(g, s)| s.price + g.map_or(0.0, |g| g.price)).collect();
        Row {
            name,
            group: (!groups.is_empty()).then(|| arena::Score::mean(&groups)),
            service: score,
            price: prices.iter().sum::<f64>() / prices.len().max(1) as f64,
            interval: half_width(&prices),
        }
    };
    standings(names, &services).into_iter().enumerate().map(row).collect()
}

/// The price of the row of a name.
fn price_of(rows: &[Row], name: &str) -> Option<f64> {
    rows.iter().find(|r| r.name == name).map(|r| r.price)
}

pub(super) fn document(name: &str, names: &[String], rounds: &[Vec<Paid>]) -> serde_json::Value {
    let rows = rows(names, rounds);
    let (fixed, best) = (price_of(&rows, "fixed"), price_of(&rows, "oracle"));
    let policy = |r: &Row| {
        json!({
            "policy": r.name, "price": r.price, "price_interval": r.interval, "regret": best.map(|b| r.price / b - 1.0),
            "of_fixed": fixed.map(|f| r.price / f), "pod_hours": r.group.map(|g| g.pod_hours),
            "gpu_hours": r.service.gpu_hours, "average_replicas": r.service.average_replicas,
            "slo_minutes": r.slo_minutes(), "actions": r.actions(), "flaps": r.flaps(),
        })
    };
    let policies: Vec<serde_json::Value> = rows.iter().map(policy).collect();
    let clairvoyant = best.map(|price| json!({"price": price, "lower_bound": null}));
    json!({"version": 1, "scenario": name, "seeds": rounds.len(), "clairvoyant": clairvoyant, "policies": policies})
}

pub(super) fn table(name: &str, names: &[String], rounds: &[Vec<Paid>]) -> String {
    let rows = rows(names, rounds);
    let seeds = rounds.len();
    let mut out = format!("{name}: means over {seeds} {}\n\n", if seeds == 1 { "seed" } else { "seeds" });
    let _ = writeln!(
        out,
        "{:<12} {:>17} {:>8} {:>9} {:>8} {:>8} {:>8} {:>8} {:>6}",
        "POLICY", "PRICE", "REGRET", "OF FIXED", "POD-H", "GPU-H", "SLO MIN", "ACTIONS", "FLAPS"
    );
    let (fixed, best) = (price_of(&rows, "fixed"), price_of(&rows, "oracle"));
    for r in &rows {
        let price = match r.interval {
            Some(half) => format!("{:.1} ± {half:.1}", r.price),
            None => format!("{:.1}", r.price),
        };
        let pods = r.group.map_or_else(|| "–".to_owned(), |g| format!("{:.1}", g.pod_hours));
        let regret = best.map_or_else(|| "–".to_owned(), |b| format!("{:+.1} %", (r.price / b - 1.0) * 100.0));
        let of_fixed = fixed.map_or_else(|| "–".to_owned(), |f| format!("{:.0} %", r.price / f * 100.0));
        let _ = writeln!(
            out,
            "{:<12} {price:>17} {regret:>8} {of_fixed:>9} {pods:>8} {:>8.1} {:>8.1} {:>8.1} {:>6.1}",
            r.name,
            r.service.gpu_hours,
            r.slo_minutes(),
            r.actions(),
            r.flaps(),
        );
    }
    out.push_str("\nfixed: the smallest counts that keep every objective on that very day, found by trying them.\n");
    if best.is_some() {
        out.push_str(
            "REGRET is over the oracle: the cheapest timetable found by somebody who knows the day, as played. It is no\n\
             bound: a better search may find a cheaper one.\n",
        );
    }
    out
}
