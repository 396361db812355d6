//! What a finding costs: the same days of the arena under the object as it is written, with each mend, and with all.

use super::{Lint, Linted};
use crate::{
    cli::{Failure, series, simulate},
    contest::{Scenario, Season},
    lint::{self, Day, Facts, Finding, Known, Protocol},
    manifest::{Edit, Manifest, apply},
    simulate::{
        arena::{Game, Score},
        group,
    },
};
use std::path::Path;

/// Share of the minutes below the low end and above the high end of a demand's range.
const TAIL: f64 = 0.02;

/// What a day costs under an object.
pub(super) struct Prices {
    /// As it is written.
    pub(super) written: Score,
    /// With the mend of each finding; `None` where it has none.
    pub(super) mended: Vec<Option<Score>>,
    /// With all mends: the edits and what they come to.
    pub(super) all: Option<(Vec<Edit>, Score)>,
    /// The planner on the same days, which sees what a dashboard would have seen before.
    pub(super) planner: Option<Score>,
    /// Days that were played, each with its seed.
    pub(super) days: u64,
    /// How long such a day is, seconds.
    pub(super) seconds: f64,
}

/// Where days to play come from.
pub(super) enum Arena {
    /// Nowhere: findings have no price.
    None,
    /// A scenario; its name, for who tells a fact.
    Scenario(Box<Scenario>, u64),
    /// A demand that was seen, with the name of its file and how long it lasts, seconds.
    History { csv: String, name: String, seconds: f64, seeds: u64 },
}

impl Arena {
    pub(super) fn new(args: &Lint) -> Result<Self, Failure> {
        if let Some(path) = &args.scenario {
            let scenario = simulate::read(path).map_err(Failure::usage)?;
            let other = scenario.queue().map(|_| "[queue]").or_else(|| scenario.service().map(|_| "[service]"));
            if let Some(table) = other {
                return Err(Failure::usage(format!(
                    "{}: it has a {table}, and HPAs and ScaledObjects are priced on a consumer group alone: name a \
                     scenario with nothing but a [group]",
                    path.display()
                )));
            }
            return Ok(Self::Scenario(Box::new(scenario), args.seeds));
        }
        let Some(path) = &args.history else { return Ok(Self::None) };
        let rows = series::read(path)?;
        let seconds = match (rows.first(), rows.last()) {
            (Some(first), Some(last)) => last.at.since(first.at),
            _ => 0.0,
        };
        if seconds < 600.0 {
            return Err(Failure::usage(format!("{}: less than ten minutes of demand", path.display())));
        }
        let absolute = std::path::absolute(path).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
        let csv = absolute.to_str().ok_or_else(|| Failure::usage("--history: the path is not UTF-8"))?.to_owned();
        Ok(Self::History { csv, name: path.display().to_string(), seconds, seeds: args.seeds })
    }

    /// What the days tell, with what the command line told.
    pub(super) fn facts(&self, told: Facts) -> Result<Facts, String> {
        match self {
            Self::None => Ok(told),
            Self::Scenario(scenario, _) => {
                let by = format!("scenario {}", scenario.name());
                let game = scenario.game();
                let (rate, range) = demand(scenario)?;
                Ok(Facts {
                    partitions: Some(Known::told(game.partitions as u32, &by)),
                    rate: Some(Known::told(rate, &by)),
                    range: Some(Known::told(range, &by)),
                    consumer_rate: Some(Known::told(game.group.consumer_rate, &by)),
                    commit: Known::told(game.group.commit, &by),
                    protocol: Known::told(protocol(game.group.protocol), &by),
                    slo: Known::told(game.slo, &by),
                    cheapest_target: None,
                })
            }
            Self::History { name, .. } => {
                let by = format!("history {name}");
                let (rate, range) = demand(&self.seen(&told, 1, 1.0)?)?;
                Ok(Facts {
                    rate: told.rate.clone().or_else(|| Some(Known::told(rate, &by))),
                    range: Some(Known::told(range, &by)),
                    ..told
                })
            }
        }
    }

    /// Prices of an object and its findings. Finds the lag target that is cheapest on these days first, and lets the rules
    /// say it.
    pub(super) fn price(&self, linted: &mut Linted) -> Option<Result<Prices, String>> {
        let scenario = match self.scenario(&linted.facts)? {
            Ok(scenario) => scenario,
            Err(why) => return Some(Err(why)),
        };
        Some(self.play(&scenario, linted))
    }

    /// The scenario for an object; `None` when nobody asked for prices.
    fn scenario(&self, facts: &Facts) -> Option<Result<Scenario, String>> {
        match self {
            Self::None => None,
            Self::Scenario(scenario, _) => Some(Ok((**scenario).clone())),
            Self::History { .. } => {
                let (Some(partitions), Some(one)) = (&facts.partitions, &facts.consumer_rate) else {
                    let what = "the arena must know --partitions and --consumer-rate (or the annotations \
                                highwater/partitions and highwater/consumer-rate)";
                    return Some(Err(what.to_owned()));
                };
                Some(self.seen(facts, partitions.value, one.value))
            }
        }
    }

    /// The demand that was seen as a scenario: its later half is played, a day at the most.
    fn seen(&self, facts: &Facts, partitions: u32, consumer_rate: f64) -> Result<Scenario, String> {
        let Self::History { csv, seconds, .. } = self else { return Err("no history".to_owned()) };
        let scored = (seconds / 2.0).min(86_400.0).floor();
        let csv = toml::Value::String(csv.clone());
        let text = format!(
            "[demand]\ncsv = {csv}\nscored = {scored:?}\n[group]\npartitions = {partitions}\nprotocol = \"{}\"\ncommit = \
             {:?}\nconsumer_rate = {consumer_rate:?}\nreplicas = {{ max = {partitions} }}\n[slo]\ntime_lag = {:?}\n",
            facts.protocol.value, facts.commit.value, facts.slo.value
        );
        Scenario::parse(&text, Path::new("history"))
    }

    fn play(&self, scenario: &Scenario, linted: &mut Linted) -> Result<Prices, String> {
        let seeds = match self {
            Self::Scenario(_, seeds) | Self::History { seeds, .. } => *seeds,
            Self::None => 0,
        };
        let game = scenario.game();
        let mut days = Vec::new();
        for seed in (0..seeds).map(|i| scenario.seed().wrapping_add(i)) {
            days.push(Day { demand: season(scenario, seed)?.played, seed });
        }
        let seconds = days.first().map_or(0.0, |d| d.demand.len() as f64);
        let written = lint::play(&linted.manifest.object, &game, &days)?;
        let with = |edits: &[Edit]| -> Result<Score, String> {
            let mended = Manifest::read(&apply(&linted.manifest.value, edits));
            lint::play(&mended.ok_or("the mend is no object")?.object, &game, &days)
        };
        let judged = |target: Option<f64>| {
            let facts = Facts { cheapest_target: target, ..linted.facts.clone() };
            lint::judge(&linted.manifest, &facts)
        };
        let mut best: Option<(f64, Option<f64>)> = None;
        // Only a finding about a lag target has use for one.
        let sought = linted.findings.iter().any(|f| f.rule.contains("target") || f.rule.contains("lag"));
        for target in lint::targets(&linted.facts).into_iter().filter(|_| sought) {
            let price = with(&together(&judged(Some(target))))?.price;
            if best.is_none_or(|(least, _)| price < least) {
                best = Some((price, Some(target)));
            }
        }
        let findings = judged(best.and_then(|(_, target)| target));
        let mended = findings.iter().map(|f| (!f.mend.is_empty()).then(|| with(&f.mend)).transpose());
        let mended = mended.collect::<Result<Vec<_>, _>>()?;
        let edits = together(&findings);
        let all = if edits.is_empty() { None } else { Some((edits.clone(), with(&edits)?)) };
        linted.findings = findings;
        Ok(Prices { written, mended, all, planner: planner(scenario, &game, seeds)?, days: seeds, seconds })
    }
}

/// All mends as one: of two that set the same, the later counts.
pub(super) fn together(findings: &[Finding]) -> Vec<Edit> {
    let mut edits: Vec<Edit> = Vec::new();
    for edit in findings.iter().flat_map(|f| &f.mend) {
        edits.retain(|e| e.pointer() != edit.pointer());
        edits.push(edit.clone());
    }
    edits
}

/// A seed's season; a file's series is the same for every seed.
fn season(scenario: &Scenario, seed: u64) -> Result<Season, String> {
    let points = scenario.csv().map(|path| simulate::samples(&path)).transpose().map_err(|e| e.text)?;
    scenario.season(seed, points.as_deref())
}

fn planner(scenario: &Scenario, game: &Game, seeds: u64) -> Result<Option<Score>, String> {
    let Some(entrant) = scenario.entrant("planner") else { return Ok(None) };
    let mut scores = Vec::new();
    for seed in (0..seeds).map(|i| scenario.seed().wrapping_add(i)) {
        let season = season(scenario, seed)?;
        scores.push(entrant.play(game, &season, seed).score);
    }
    Ok(Some(Score::mean(&scores)))
}

/// Mean and range of the demand that is played, minute by minute.
fn demand(scenario: &Scenario) -> Result<(f64, (f64, f64)), String> {
    let season = season(scenario, scenario.seed())?;
    let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len().max(1) as f64;
    let mut minutes: Vec<f64> = season.played.chunks(60).map(mean).collect();
    minutes.sort_by(f64::total_cmp);
    let at = |share: f64| minutes.get((share * (minutes.len().saturating_sub(1)) as f64) as usize).copied();
    let range = (at(TAIL).unwrap_or(0.0), at(1.0 - TAIL).unwrap_or(0.0));
    Ok((mean(&season.played), range))
}

fn protocol(of: group::Protocol) -> Protocol {
    match of {
        group::Protocol::Eager => Protocol::Eager,
        group::Protocol::Cooperative => Protocol::Cooperative,
        group::Protocol::Consumer => Protocol::Consumer,
    }
}
