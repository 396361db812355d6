//! Who would have cost what on the demand that was seen: the hours on screen played in the arena under each rule, from
//! what is known of the group. Pure, and long: off the screen's task.

use crate::{
    contest::{Entrant, PlannerSettings, Season},
    model::{Label, Picture, Role, Sample, Time, WorkloadKind, WorkloadView},
    policy::threshold,
    simulate::{
        Assignor,
        arena::{Game, Score},
        group::{GroupSettings, Protocol},
    },
};

/// Share of the demand that is only seen, not played: what a forecast needs to begin with.
const SEEN: f64 = 0.25;
/// Fewest seconds that are worth playing.
const LEAST: f64 = 1_800.0;
/// Days are a matter of luck; this many are played and the mean is told.
const SEEDS: u64 = 3;

/// What is to be played.
#[derive(Clone, Debug)]
pub struct Question {
    workload: Label,
    game: Game,
    season: Season,
    entrants: Vec<(String, Entrant)>,
    assumed: Vec<String>,
}

/// What everybody would have paid.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The workload.
    pub workload: Label,
    /// First instant that was played, and for how many seconds.
    pub span: (Time, f64),
    /// Rule and mean score, the cheapest first.
    pub rows: Vec<(String, Score)>,
    /// What was assumed for want of observations.
    pub assumed: Vec<String>,
    /// Times that it was played.
    pub seeds: u64,
}

impl Question {
    /// The demand of a workload's chart under each rule; the error says what is missing.
    pub fn of(picture: &Picture, workload: &str) -> Result<Self, String> {
        let view = picture.workload(workload).ok_or_else(|| format!("{workload} is not in the picture any more"))?;
        if view.workload.entity.kind != WorkloadKind::ConsumerGroup {
            return Err(format!("{workload}: only consumer groups are played so far"));
        }
        let missing = |what: &str| format!("{workload}: {what} is not known yet");
        let capacity = view.advice.capacity.as_ref().filter(|c| !c.is_lower_bound());
        let capacity = capacity.ok_or_else(|| missing("what one replica can process"))?;
        let replicas = view.state.replicas.as_ref().ok_or_else(|| missing("the replica count"))?;
        let partitions = view.state.partitions.filter(|n| *n > 0).ok_or_else(|| missing("the number of partitions"))?;
        let samples = demand(view);
        let (first, last) = samples.first().zip(samples.last()).ok_or_else(|| missing("the demand"))?;
        let seconds = last.at.since(first.at);
        if seconds * (1.0 - SEEN) < LEAST {
            return Err(format!(
                "{workload}: {} of demand were seen, {} are needed",
                crate::model::duration(seconds),
                crate::model::duration(LEAST / (1.0 - SEEN))
            ));
        }
        let mut assumed = capacity.assumptions.clone();
        let protocol = match view.state.sticky {
            Some(true) => Protocol::Cooperative,
            Some(false) => Protocol::Eager,
            None => {
                assumed.push("an eager group: its protocol is not known".to_owned());
                Protocol::Eager
            }
        };
        let game = Game {
            partitions: partitions as usize,
            group: GroupSettings {
                protocol,
                assignor: if protocol == Protocol::Eager { Assignor::RoundRobin } else { Assignor::Sticky },
                rebalance: capacity.rebalance,
                start_up: (capacity.start_up, capacity.start_up / 4.0),
                consumer_rate: capacity.per_replica,
                scaling: capacity.scaling,
                ..GroupSettings::default()
            },
            start: replicas.desired.max(1),
            limits: view.workload.limits,
            slo: view.workload.slo.time_lag.unwrap_or(30.0),
            price: view.workload.price,
            ..Game::default()
        };
        if view.workload.slo.time_lag.is_none() {
            assumed.push("an objective of 30 s behind: none is configured".to_owned());
        }
        let begin = first.at.plus(seconds * SEEN);
        let (history, played): (Vec<Sample>, Vec<Sample>) = samples.iter().copied().partition(|s| s.at < begin);
        let season = Season { operated: every_second(&history), history, played: every_second(&played), begin };
        Ok(Self {
            workload: view.workload.name.clone(),
            entrants: entrants(&game, capacity.per_replica),
            game,
            season,
            assumed,
        })
    }

    /// How many games it takes.
    pub fn games(&self) -> usize {
        self.entrants.len() * SEEDS as usize
    }

    /// Plays it; `None`: `go_on`, which is told how many games were played, said no before the next one.
    pub fn answer(&self, go_on: &dyn Fn(usize) -> bool) -> Option<Answer> {
        let mut played = 0;
        let mut rows = Vec::new();
        for (name, entrant) in &self.entrants {
            let mut scores = Vec::new();
            for seed in 0..SEEDS {
                if !go_on(played) {
                    return None;
                }
                played += 1;
                scores.push(entrant.play(&self.game, &self.season, seed).score);
            }
            rows.push((name.clone(), Score::mean(&scores)));
        }
        rows.sort_by(|a, b| a.1.price.total_cmp(&b.1.price));
        let span = (self.season.begin, self.season.played.len() as f64);
        Some(Answer { workload: self.workload.clone(), span, rows, assumed: self.assumed.clone(), seeds: SEEDS })
    }
}

/// Each rule with its usual settings.
fn entrants(game: &Game, rate: f64) -> Vec<(String, Entrant)> {
    let target = (10.0 * rate).max(1.0);
    vec![
        ("planner".to_owned(), Entrant::Planner(PlannerSettings::default())),
        (format!("HPA on lag, {} a replica", crate::model::si(target)), Entrant::hpa(target)),
        ("HPA on CPU, 70 %".to_owned(), Entrant::hpa_cpu(70)),
        (format!("KEDA, lag threshold {}", crate::model::si(target)), Entrant::keda(target as i64)),
        ("CPU rule, 80 % and 30 %".to_owned(), Entrant::Threshold(threshold::Rule::default())),
        (format!("always {}", game.start), Entrant::Fixed(game.start)),
    ]
}

/// The samples of the chart.
fn demand(view: &WorkloadView) -> Vec<Sample> {
    let Some(signal) = view.signal(Role::Demand) else { return Vec::new() };
    let track = signal.track.grid();
    let known = track.values.iter().enumerate().filter_map(|(i, v)| Some(Sample { at: track.at(i), value: (*v)? }));
    known.collect()
}

/// One value a second, on the straight line between two samples.
fn every_second(samples: &[Sample]) -> Vec<f64> {
    let mut out = Vec::new();
    for pair in samples.windows(2) {
        let seconds = pair[1].at.since(pair[0].at).round().max(1.0);
        let at = |s: f64| pair[0].value + (pair[1].value - pair[0].value) * s / seconds;
        out.extend((0..seconds as u32).map(|s| at(f64::from(s))));
    }
    out
}

/// Where the page stands with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Backtest {
    /// The workload that is played.
    pub workload: Label,
    /// Which question it is.
    pub number: u64,
    /// Games that were played, and how many there are; `None`: it has not begun.
    pub played: Option<(usize, usize)>,
    /// The answer; `None`: it is being played.
    pub answer: Option<Result<std::sync::Arc<Answer>, String>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Mode, tui::fixture};

    #[test]
    fn what_is_missing_is_said() {
        let picture = fixture::picture(Mode::Watch);
        for (workload, words) in
            [("fraud-model", "only consumer groups"), ("legacy-mailer", "not known"), ("x", "any more")]
        {
            let why = Question::of(&picture, workload).map(|_| ()).unwrap_err();
            assert!(why.contains(words), "{workload}: {why}");
        }
    }

    #[test]
    fn everybody_pays_for_the_same_hours() {
        let picture = fixture::picture(Mode::Watch);
        let mut question = Question::of(&picture, "fraud-scorer").unwrap();
        let seconds = question.season.played.len();
        assert!((15_000..16_300).contains(&seconds), "three quarters of the six hours on the chart: {seconds}");
        question.season.played.truncate(1_200); // the whole is for the bench of an optimised build
        question.entrants.retain(|(name, _)| name.starts_with("always") || name.starts_with("HPA on lag"));
        let told = std::cell::RefCell::new(Vec::new());
        let go_on = |played| {
            told.borrow_mut().push(played);
            true
        };
        let answer = question.answer(&go_on).unwrap();
        assert_eq!((told.into_inner(), question.games()), ((0..6).collect(), 6));
        assert_eq!(answer.rows.len(), 2);
        assert!(
            answer.rows.is_sorted_by(|a, b| a.1.price <= b.1.price) && answer.rows[0].1.pod_hours > 0.0,
            "{answer:?}"
        );
        assert_eq!(question.answer(&|_| false), None, "it can be left");
    }

    #[test]
    fn between_two_samples_lies_a_line() {
        let at = |s: f64, value: f64| Sample { at: Time::from_secs(s), value };
        assert_eq!(every_second(&[at(0.0, 1.0), at(2.0, 3.0), at(3.0, 0.0)]), [1.0, 2.0, 3.0]);
    }
}
