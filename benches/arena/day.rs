//! One case, one seed: everybody's day.

use highwater::{
    contest::{Entrant, FOLLOWED, Planner, PlannerSettings, Scenario, Season, cold, redrawn, search, trained},
    model::GuardSettings,
    simulate::arena::{Game, Outcome, Score, play as play_game},
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    time::Instant,
};

/// Who plays, by the names that scenarios give them.
pub const ENTRANTS: [&str; 9] = [
    "planner",
    "planner-cold",
    "hpa",
    "hpa-unstabilised",
    "keda",
    "keda-tuned",
    "threshold",
    "threshold-70-50",
    "fixed",
];
/// The planner with the guards that are shipped, and the cases in which it plays too.
pub const SHIPPED: &str = "planner, shipped guards";
const GUARDED: [&str; 2] = ["eager-15s", "cooperative-4s"];

/// A case: a scenario file.
pub struct Case {
    pub name: String,
    pub scenario: Scenario,
    pub fingerprint: u64,
    /// How many are played.
    pub seeds: u64,
}

impl Case {
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let scenario = Scenario::parse(&text, path)?;
        Ok(Self { name: scenario.name(), scenario, fingerprint: fingerprint(text.as_bytes()), seeds: 0 })
    }

    /// Whether the planner with the shipped guards plays too.
    pub fn is_guarded(&self) -> bool {
        GUARDED.contains(&self.name.as_str())
    }
}

pub fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// What one policy's day came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Played {
    pub policy: String,
    pub score: Score,
    /// The highest count that it asked for.
    pub most: u32,
    /// 99th percentile of the time of one advice, seconds; of planners only.
    pub p99: Option<f64>,
}

/// A day, and what it depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Day {
    pub case: String,
    pub scenario: u64,
    pub seed: u64,
    pub moves: usize,
    /// The binary that played it; 0: this one, just now.
    pub program: u64,
    pub played: Vec<Played>,
    pub oracle: Score,
    /// Price of the oracle's timetable with other start-ups.
    pub redrawn: f64,
    pub bound: f64,
    /// Seconds that all of it took.
    pub seconds: f64,
}

/// What is drawn of a day: demand, and some policies' counts and lags.
pub struct Curves {
    pub demand: Vec<f64>,
    pub slo: f64,
    pub policies: Vec<(&'static str, u32, Outcome)>,
}

/// Plays a day.
pub fn play(case: &Case, seed: u64, moves: usize) -> Result<(Day, Curves), String> {
    let began = Instant::now();
    let (game, season) = (case.scenario.game(), case.scenario.season(seed, None)?);
    let mut played = Vec::new();
    let mut tables = Vec::new();
    let mut curves = Curves { demand: season.played.clone(), slo: game.slo, policies: Vec::new() };
    for name in ENTRANTS {
        let entrant = case.scenario.entrant(name).ok_or_else(|| format!("no policy {name}"))?;
        let (outcome, p99) = enter(&entrant, &game, &season, seed);
        let most = outcome.changes.iter().map(|(_, n)| *n).max().unwrap_or(game.start);
        played.push(Played { policy: name.to_owned(), score: outcome.score, most, p99 });
        if outcome.changes.len() <= FOLLOWED {
            tables.push(outcome.changes.clone());
        }
        if matches!(name, "planner" | "hpa") {
            curves.policies.push((name, game.start, outcome));
        }
    }
    if let Some(Entrant::Planner(settings)) = case.scenario.entrant("planner").filter(|_| case.is_guarded()) {
        let settings = PlannerSettings { guard: GuardSettings::default(), ..settings };
        let (outcome, p99) = enter(&Entrant::Planner(settings), &game, &season, seed);
        let most = outcome.changes.iter().map(|(_, n)| *n).max().unwrap_or(game.start);
        played.push(Played { policy: SHIPPED.to_owned(), score: outcome.score, most, p99 });
    }
    let found = search(&game, &season.played, seed, moves, &tables);
    let day = Day {
        case: case.name.clone(),
        scenario: case.fingerprint,
        seed,
        moves,
        program: 0,
        played,
        oracle: found.outcome.score,
        redrawn: redrawn(&game, &season.played, seed, &found.outcome.changes),
        bound: found.lower_bound,
        seconds: began.elapsed().as_secs_f64(),
    };
    curves.policies.push(("clairvoyant", game.start, found.outcome));
    Ok((day, curves))
}

/// Plays one policy; of a planner also how long an advice took.
fn enter(entrant: &Entrant, game: &Game, season: &Season, seed: u64) -> (Outcome, Option<f64>) {
    let (monitor, settings) = match entrant {
        Entrant::Planner(settings) => (trained(game, season, seed), settings),
        Entrant::PlannerCold(settings) => (cold(game, season), settings),
        other => return (other.play(game, season, seed), None),
    };
    let mut pilot = Planner::new(game, monitor, settings.clone());
    let outcome = play_game(game, &season.played, seed, &mut pilot);
    (outcome, pilot.p99_seconds())
}
