//! Scenario files: one consumer group, its demand, what is observed, the SLO, the prices, and the policies' settings.

mod tables;

use super::super::series;
use crate::{
    contest::{Entrant, Metric, PlannerSettings, Season},
    model::{GuardSettings, Limits, Price, Sample, Time},
    policy::{
        hpa::{Controller, Tolerance},
        keda, threshold,
    },
    simulate::{
        Assignor,
        arena::Game,
        demand::{Demand, DemandSettings, Surge},
        group::{GroupSettings, Protocol},
    },
};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tables::{
    DemandTable, Generator, GroupTable, Observe, Policies, PriceTable, ProtocolName, Replicas, Seconds, Seed, SloTable,
};

const DAY: f64 = 86_400.0;
/// Second 0 of generated demand: a Monday, midnight.
const EPOCH: &str = "2026-01-05T00:00:00Z";
/// Seconds that are generated or read at most: a year.
const LONGEST: f64 = 366.0 * DAY;

/// A scenario as it stands in its file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Scenario {
    demand: DemandTable,
    #[serde(default)]
    group: GroupTable,
    #[serde(default)]
    observe: Observe,
    #[serde(default)]
    slo: SloTable,
    #[serde(default)]
    price: PriceTable,
    #[serde(default)]
    seed: Seed,
    #[serde(default)]
    policy: Policies,
    /// Where it was read from: a series is looked for beside it.
    #[serde(skip)]
    file: PathBuf,
}

/// A demand series with one value a second, and how many of them are scored.
pub(in crate::cli) struct Series {
    begin: Time,
    rates: Vec<f64>,
    scored: usize,
}

impl Scenario {
    /// Reads a file; the error is a sentence with file, line and column.
    pub(in crate::cli) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        Self::parse(&text, path)
    }

    /// The same of a text; `path` is where its series are looked for.
    pub(in crate::cli) fn parse(text: &str, path: &Path) -> Result<Self, String> {
        let mut scenario: Self = toml::from_str(text).map_err(|e| {
            let (line, column) = place(text, e.span().map_or(0, |s| s.start));
            format!("{}:{line}:{column}: {}", path.display(), e.message().replace('\n', " "))
        })?;
        path.clone_into(&mut scenario.file);
        scenario.check().map_err(|(key, what)| {
            let (line, column) = place(text, text.find(key).unwrap_or(0));
            format!("{}:{line}:{column}: {what}", path.display())
        })?;
        Ok(scenario)
    }

    /// What no single value can tell; the error begins with a word to find the place by.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let r = self.group.replicas;
        if r.min > r.max.0 {
            return Err(("replicas", format!("replicas: min = {} is above max = {}", r.min, r.max.0)));
        }
        if r.start.is_some_and(|n| !(r.min..=r.max.0).contains(&n)) {
            return Err(("replicas", format!("replicas: start must lie within {} and {}", r.min, r.max.0)));
        }
        let d = &self.demand;
        match (&d.csv, d.generator) {
            (Some(_), Some(_)) => {
                return Err(("demand", "demand: csv or generator, not both".to_owned()));
            }
            (None, None) => {
                let known = "diurnal, batch-night, flash-crowd or growth";
                return Err(("demand", format!("demand: name a csv file or a generator ({known})")));
            }
            _ => {}
        }
        if d.mean.is_some_and(|m| d.peak.is_some_and(|p| p.0 < m.0)) {
            return Err(("peak", "demand: peak must not be below mean".to_owned()));
        }
        if self.observe.scrape.0 < 1.0 {
            return Err(("scrape", "observe: scrape must be at least 1s, the arena's own step".to_owned()));
        }
        if self.slo.time_lag.0 <= 0.0 {
            return Err(("time_lag", "slo: time_lag must be above zero".to_owned()));
        }
        if d.scored.is_some_and(|s| !(60.0..=LONGEST).contains(&s.0)) {
            return Err(("scored", "demand: scored must lie between a minute and a year".to_owned()));
        }
        if d.history.is_some_and(|s| s.0 > LONGEST) {
            return Err(("history", "demand: history must not be longer than a year".to_owned()));
        }
        Ok(())
    }

    /// The scenario's name: its file's.
    pub(in crate::cli) fn name(&self) -> String {
        self.file.file_stem().map_or_else(|| "scenario".to_owned(), |s| s.to_string_lossy().into_owned())
    }

    /// First seed.
    pub(in crate::cli) fn seed(&self) -> u64 {
        self.seed.value
    }

    /// Moves of the search for the best timetable.
    pub(in crate::cli) fn moves(&self) -> usize {
        self.policy.oracle.moves
    }

    /// The rules of the game.
    pub(in crate::cli) fn game(&self) -> Game {
        let g = &self.group;
        let (protocol, assignor) = match g.protocol {
            ProtocolName::Eager => (Protocol::Eager, Assignor::RoundRobin),
            ProtocolName::Cooperative => (Protocol::Cooperative, Assignor::Sticky),
            ProtocolName::Consumer => (Protocol::Consumer, Assignor::Sticky),
        };
        let Replicas { start, min, max } = g.replicas;
        Game {
            partitions: g.partitions.0 as usize,
            skew: g.skew.0,
            group: GroupSettings {
                protocol,
                assignor,
                rebalance: g.rebalance.0,
                start_up: (g.start_up.mean.0, g.start_up.sd.0),
                commit: g.commit.0,
                consumer_rate: g.consumer_rate.0,
                rate_spread: g.rate_noise.0,
            },
            ceiling: g.ceiling.map_or(f64::INFINITY, |c| c.0),
            start: start.unwrap_or(min.midpoint(max.0)),
            limits: Limits { min, max: max.0 },
            scrape: self.observe.scrape.0,
            lost_scrapes: self.observe.lost.0.min(1.0),
            crashes: g.crashes.0,
            slo: self.slo.time_lag.0,
            price: Price {
                pod_hour: self.price.pod_hour.0,
                slo_minute: self.price.slo_minute.0,
                action: self.price.action.0,
            },
        }
    }

    /// The policy of a name.
    pub(in crate::cli) fn entrant(&self, name: &str) -> Option<Entrant> {
        let p = &self.policy;
        let controller = Controller {
            sync: p.hpa.sync.0,
            downscale_stabilization: p.hpa.downscale_stabilization.0,
            tolerance: Tolerance { up: p.hpa.tolerance.0, down: p.hpa.tolerance.0 },
            ..Controller::default()
        };
        let hpa = |metric, controller| Entrant::Hpa { metric, behavior: None, controller };
        let lag = p.hpa.target_average_value.0;
        let trigger = keda::Trigger {
            lag_threshold: (p.keda.lag_threshold.0.round() as i64).max(1),
            ensure_even: p.keda.ensure_even,
            allow_idle: p.keda.allow_idle,
            limit_to_partitions_with_lag: p.keda.limit_to_partitions_with_lag,
            ..keda::Trigger::default()
        };
        let rule = threshold::Rule { up: p.threshold.up.0, down: p.threshold.down.0, step: p.threshold.step.0 };
        Some(match name {
            "planner" => Entrant::Planner(self.planner()),
            "planner-cold" => Entrant::PlannerCold(self.planner()),
            "hpa" => hpa(Metric::Lag(lag), controller),
            "hpa-unstabilised" => hpa(Metric::Lag(lag), Controller { downscale_stabilization: 0.0, ..controller }),
            "hpa-cpu" => hpa(Metric::Cpu(i64::from(p.hpa.utilisation.0)), controller),
            "keda" => hpa(Metric::Keda(trigger), Controller::default()),
            "keda-tuned" => Entrant::keda_tuned(trigger.lag_threshold),
            "threshold" => Entrant::Threshold(rule),
            "threshold-70-50" => Entrant::Threshold(threshold::Rule { up: 0.7, down: 0.5, ..rule }),
            "fixed" => Entrant::Fixed(p.fixed.replicas.unwrap_or(self.group.replicas.max.0)),
            _ => return None,
        })
    }

    fn planner(&self) -> PlannerSettings {
        let (t, default) = (self.policy.planner, PlannerSettings::default());
        let seconds = |given: Option<Seconds>, default: f64| given.map_or(default, |s| s.0);
        let guard = default.guard.clone();
        PlannerSettings {
            every: seconds(t.every, default.every),
            horizon: seconds(t.horizon, default.horizon),
            step: self.observe.scrape.0,
            guard: GuardSettings {
                cooldown_up: seconds(t.cooldown_up, guard.cooldown_up),
                cooldown_down: seconds(t.cooldown_down, guard.cooldown_down),
                max_step_up: t.max_step_up.map_or(guard.max_step_up, |s| s.0),
                max_step_down: t.max_step_down.map_or(guard.max_step_down, |s| s.0),
                ..guard
            },
            ..default
        }
    }

    /// The demand of a seed; a file's is the same for every seed. The error is a sentence.
    pub(in crate::cli) fn series(&self, seed: u64) -> Result<Series, String> {
        let scored = self.demand.scored.map_or(DAY, |s| s.0) as usize;
        let Some(csv) = &self.demand.csv else { return Ok(self.generated(seed, scored)) };
        let path = self.file.parent().map_or_else(|| csv.clone(), |dir| dir.join(csv));
        let rows = series::read(&path).map_err(|failure| failure.to_string())?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Err("no rows".to_owned()) };
        if last.at.since(first.at) > LONGEST {
            return Err(format!("{}: more than a year of demand", path.display()));
        }
        let points: Vec<(f64, f64)> =
            rows.iter().filter_map(|r| Some((r.at.since(first.at), r.value?.max(0.0)))).collect();
        let rates = every_second(&points);
        if rates.len() < scored {
            let (has, wants) = (crate::model::duration(rates.len() as f64), crate::model::duration(scored as f64));
            return Err(format!("{}: {has} of demand, but scored = {wants}", path.display()));
        }
        Ok(Series { begin: first.at, rates, scored })
    }

    fn generated(&self, seed: u64, scored: usize) -> Series {
        let d = &self.demand;
        let mean = d.mean.map_or(10_000.0, |m| m.0);
        let kind = d.generator.unwrap_or(Generator::Diurnal);
        let surge =
            |start: f64, ramp: f64, hold: f64, factor: f64, every: f64| Surge { start, ramp, hold, factor, every };
        let calendar = surge(2.0 * 3_600.0, 30.0, 540.0, 1.5, 4.0 * 3_600.0);
        let history = d.history.map_or(7.0 * DAY, |h| h.0).round();
        let higher = d.peak.map(|p| p.0 / mean);
        let (daily, surges) = match kind {
            Generator::Diurnal | Generator::Growth => (higher.map_or(0.55, |h| h - 1.0), vec![calendar]),
            Generator::FlashCrowd => {
                let crowd = surge(history + scored as f64 * 0.6, 30.0, 1_140.0, higher.unwrap_or(3.0), 0.0);
                (0.55, vec![calendar, crowd])
            }
            Generator::BatchNight => (0.2, vec![surge(2.0 * 3_600.0, 600.0, 4_800.0, higher.unwrap_or(5.0), DAY)]),
        };
        let settings = DemandSettings {
            mean,
            daily: daily.min(1.0),
            peak: 14.0 * 3_600.0,
            surges,
            bursts: d.bursts.map_or(if kind == Generator::BatchNight { 0.0 } else { 6.0 }, |b| b.0),
            noise: d.noise.map_or(0.05, |n| n.0),
            ..DemandSettings::default()
        };
        let mut demand = Demand::new(settings, seed ^ 0xDE_3A2D);
        let total = history as usize + scored;
        let growth = d.growth.map_or(if kind == Generator::Growth { 1.4 } else { 1.0 }, |g| g.0) - 1.0;
        let rates = (0..total)
            .map(|second| {
                let since = (second as f64 - history).max(0.0) / scored.max(1) as f64;
                demand.rate(second as f64) * (1.0 + growth * since)
            })
            .collect();
        Series { begin: Time::parse(EPOCH).unwrap_or_default(), rates, scored }
    }
}

impl Series {
    /// Cuts it into what policies may have seen and what is played.
    pub(in crate::cli) fn season(&self, scenario: &Scenario) -> Season {
        let cut = self.rates.len() - self.scored;
        let step = scenario.observe.scrape.0.round().max(1.0) as usize;
        let history = self.rates[..cut]
            .chunks(step)
            .enumerate()
            .map(|(i, slot)| Sample {
                at: self.begin.plus(((i + 1) * step) as f64),
                value: slot.iter().sum::<f64>() / slot.len() as f64,
            })
            .collect();
        let operated = (scenario.observe.operated.0 as usize).min(cut);
        Season {
            history,
            operated: self.rates[cut - operated..cut].to_vec(),
            played: self.rates[cut..].to_vec(),
            begin: self.begin.plus(cut as f64),
        }
    }
}

/// Values between points, one a second; before the first and after the last there are none.
fn every_second(points: &[(f64, f64)]) -> Vec<f64> {
    let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else { return Vec::new() };
    let mut right = 0;
    (0..=(last - first).floor() as usize)
        .map(|second| {
            let t = first + second as f64;
            while right + 1 < points.len() && points[right].0 < t {
                right += 1;
            }
            let (t1, v1) = points[right];
            let (t0, v0) = points[right.saturating_sub(1)];
            if t1 > t0 { v0 + (v1 - v0) * ((t - t0) / (t1 - t0)).clamp(0.0, 1.0) } else { v1 }
        })
        .collect()
}

/// Line and column, from 1, of a byte offset.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        Scenario::parse(text, Path::new("s.toml")).unwrap_err()
    }

    #[test]
    fn an_empty_group_is_the_base_case() {
        let scenario = Scenario::parse("[demand]\ngenerator = \"diurnal\"\n", Path::new("base.toml")).unwrap();
        assert_eq!(scenario.game(), Game::default());
        assert_eq!(scenario.name(), "base");
        let season = scenario.series(1).unwrap().season(&scenario);
        assert_eq!((season.played.len(), season.operated.len(), season.history.len()), (86_400, 86_400, 7 * 5_760));
        let mean = season.played.iter().sum::<f64>() / 86_400.0;
        assert!((9_500.0..12_000.0).contains(&mean), "{mean}");
        assert_eq!(season.history.last().map(|s| s.at), Some(season.begin));
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_column() {
        let head = "[demand]\ngenerator = \"diurnal\"\n";
        assert!(
            said(&format!("{head}[group]\nrebalance = \"soon\"\n"))
                .starts_with("s.toml:4:13: \"soon\" is no unit of time")
        );
        assert!(said(&format!("{head}[group]\npartition = 4\n")).starts_with("s.toml:4:1: unknown field"));
        assert!(
            said(&format!("{head}[group]\nreplicas = {{ min = 9, max = 4 }}\n"))
                .starts_with("s.toml:4:1: replicas: min")
        );
        assert!(said("[demand]\ngenerator = \"lunar\"\n").starts_with("s.toml:2:13: unknown variant"));
        assert!(said("[demand]\nscored = \"1d\"\n").contains("name a csv file or a generator"));
        assert!(said("[demand\n").starts_with("s.toml:1:"));
        assert!(
            said(&format!("{head}[group]\nconsumer_rate = -1.0\n")).starts_with("s.toml:4:17: -1 must be above zero")
        );
    }

    #[test]
    fn rows_become_seconds() {
        assert_eq!(every_second(&[(0.0, 0.0), (4.0, 8.0), (6.0, 8.0)]), [0.0, 2.0, 4.0, 6.0, 8.0, 8.0, 8.0]);
        assert!(every_second(&[]).is_empty());
    }
}
