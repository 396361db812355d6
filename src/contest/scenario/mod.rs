//! Scenario files: one consumer group, inference service or queue of jobs, its demand, what is observed, the SLO, the
//! prices, and the policies' settings.

mod check;
mod entrants;
mod queue;
mod season;
mod service;
mod tables;

pub use queue::QueuePlayed;
pub use service::{Played, Player};

use crate::{
    model::{Limits, Price, Scaling},
    simulate::{
        Assignor,
        arena::{Game, Hot, Trouble},
        demand::DemandSettings,
        group::{GroupSettings, Protocol},
    },
};
use check::{Written, place};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tables::{
    DemandTable, GroupTable, Observe, Policies, PriceTable, ProtocolName, Replicas, Seed, SloTable, TroubleTable,
};

const DAY: f64 = 86_400.0;
/// Seconds of the longest duration: a year.
const LONGEST: f64 = 366.0 * DAY;

/// A scenario as it stands in its file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    about: Option<String>,
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
    service: Option<service::ServiceTable>,
    queue: Option<queue::QueueTable>,
    #[serde(default)]
    trouble: TroubleTable,
    /// Where it was read from: a series is looked for beside it.
    #[serde(skip)]
    file: PathBuf,
}

impl Scenario {
    /// Reads a scenario's text; `path` is where it was read from. The error is a sentence with file, line and column.
    pub fn parse(text: &str, path: &Path) -> Result<Self, String> {
        let mut scenario: Self = toml::from_str(text).map_err(|e| {
            let (line, column) = place(text, e.span().map_or(0, |s| s.start));
            format!("{}:{line}:{column}: {}", path.display(), e.message().replace('\n', " "))
        })?;
        path.clone_into(&mut scenario.file);
        let written = Written::of(text);
        scenario.check(&written).map_err(|(key, what)| {
            let (line, column) = place(text, written.offset(key));
            format!("{}:{line}:{column}: {what}", path.display())
        })?;
        Ok(scenario)
    }

    /// What it is about, in a sentence of its own, where the file has one.
    pub fn about(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// The scenario's name: its file's.
    pub fn name(&self) -> String {
        self.file.file_stem().map_or_else(|| "scenario".to_owned(), |s| s.to_string_lossy().into_owned())
    }

    /// First seed.
    pub fn seed(&self) -> u64 {
        self.seed.value
    }

    /// Seconds that are scored.
    fn scored(&self) -> f64 {
        self.demand.scored.map_or(DAY, |s| s.0)
    }

    /// Mean of a generator's demand.
    fn mean(&self) -> f64 {
        self.demand.mean.map_or(10_000.0, |m| m.0)
    }

    /// Moves of the search for the best timetable.
    pub fn moves(&self) -> usize {
        self.policy.oracle.moves
    }

    /// The rules of the game.
    pub fn game(&self) -> Game {
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
                scaling: Scaling { exponent: g.scalability.0, of: 1 },
                rate_spread: g.rate_noise.0,
            },
            ceiling: g.ceiling.map_or(f64::INFINITY, |c| c.0),
            start: start.unwrap_or(min.midpoint(max.0)),
            limits: Limits { min, max: max.0 },
            scrape: self.observe.scrape.0,
            slo: self.slo.time_lag.0,
            price: Price {
                pod_hour: self.price.pod_hour.0,
                slo_minute: self.price.slo_minute.0,
                action: self.price.action.0,
            },
            trouble: self.trouble(),
        }
    }

    fn trouble(&self) -> Trouble {
        let t = &self.trouble;
        Trouble {
            crashes: t.crashes.0,
            absences: t.absences.0,
            session: t.session.0,
            lost_scrapes: t.lost_scrapes.0,
            deployments: t.deployments.iter().map(|at| at.0).collect(),
            drift: t.drift.0,
            hot: t.hot.map(|h| Hot { from: h.from.0, until: h.until.0, factor: h.factor.0 }),
            neighbour: t.neighbour.map(|n| DemandSettings {
                mean: n.mean.0,
                daily: n.daily.0,
                peak: n.peak_at.0,
                bursts: n.bursts.0,
                noise: 0.05,
                ..DemandSettings::default()
            }),
        }
    }

    /// The series that demand is read from, beside the scenario's own file; `None`: it is generated.
    pub fn csv(&self) -> Option<PathBuf> {
        let csv = self.demand.csv.as_ref()?;
        Some(self.file.parent().map_or_else(|| csv.clone(), |dir| dir.join(csv)))
    }
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
        let season = scenario.season(1, None).unwrap();
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
                .starts_with("s.toml:4:1: group.replicas: min")
        );
        assert!(said("[demand]\ngenerator = \"lunar\"\n").starts_with("s.toml:2:13: unknown variant"));
        assert!(said("[demand]\nscored = \"1d\"\n").contains("name a csv file or a generator"));
        assert!(said("[demand\n").starts_with("s.toml:1:"));
        assert!(
            said(&format!("{head}[group]\nconsumer_rate = -1.0\n")).starts_with("s.toml:4:17: -1.0 must be above zero")
        );
    }

    /// Beyond these a game is played with infinite numbers, and is priced as if nothing ever waited.
    #[test]
    fn numbers_that_nothing_can_be_told_from_are_refused() {
        for (table, key, values) in [
            ("demand", "noise", "1000.0 3.1 inf nan"),
            ("demand", "growth", "1e308 0.0"),
            ("demand", "weekend", "1e9"),
            ("demand", "mean", "1e300 0"),
            ("demand", "history", "\"400d\" 1e300"),
            ("group", "skew", "100.0 -0.1"),
            ("group", "rate_noise", "5.0"),
            ("group", "consumer_rate", "1e13"),
            ("trouble", "lost_scrapes", "5.0 1.01"),
            ("trouble", "drift", "10"),
            ("price", "slo_minute", "1e7"),
        ] {
            for value in values.split(' ') {
                let text =
                    format!("[demand]\ngenerator = \"diurnal\"\n[seed]\nvalue = 1\n[{table}]\n{key} = {value}\n");
                let text = text.replace("[seed]\nvalue = 1\n[demand]\n", "\n\n\n");
                let place = format!("s.toml:6:{}: ", key.len() + 4);
                assert!(said(&text).starts_with(&place), "{key} = {value}: {}", said(&text));
            }
        }
    }

    #[test]
    fn the_place_of_an_error_is_its_key_and_not_its_word() {
        let text = "# how many replicas there are, and a pool: peak of the service\nabout = \"replicas of demand\"\n\
                    [demand]\ngenerator = \"diurnal\"\n[group]\nreplicas = { min = 9, max = 4 }\n";
        assert!(said(text).starts_with("s.toml:6:1: group.replicas: min"), "{}", said(text));
        // Dotted keys, and headers of tables within a table.
        let text = "about = \"ttft_p95\"\ndemand.generator = \"diurnal\"\n[service.replicas]\nmax = 3\n";
        assert!(said(text).starts_with("s.toml:3:2: service: promise"), "{}", said(text));
    }

    #[test]
    fn keys_that_do_nothing_or_contradict_each_other_are_refused() {
        let (day, file) = ("[demand]\ngenerator = \"diurnal\"\n", "[demand]\ncsv = \"d.csv\"\n");
        let service = format!("{day}[service]\nttft_p95 = 1\n");
        let clients = format!("{service}callers = \"clients\"\n");
        for (head, tail, place) in [
            (file, "noise = 0.1", "3:1: demand.noise: it does nothing here"),
            (file, "history = \"1d\"", "3:1: demand.history: it does nothing"),
            (&clients, "[trouble]\ncrashes = 500", "6:2: trouble: it does nothing"),
            (&clients, "[group]\nskew = 0", "6:2: group: it does nothing"),
            (&clients, "[slo]\ntime_lag = 5", "6:2: slo: it does nothing"),
            (&clients, "[policy.hpa]\nutilisation = 50", "6:2: policy: it does nothing"),
            (&service, "[policy.fixed]\nreplicas = 5", "5:9: policy.fixed: it does nothing"),
            (&service, "[policy.oracle]\nmoves = 5", "5:9: policy.oracle: it does nothing"),
            (&service, "kv_tokens = 100", "5:1: service.kv_tokens: not even one request"),
            (day, "peak = 9000", "3:1: demand.peak: it must not be below"),
            (day, "[trouble]\nhot = { from = \"14h\", until = \"10h\", factor = 4 }", "4:1: trouble.hot: until"),
            (day, "[trouble]\nsession = \"45s\"", "4:1: trouble.session: it does nothing"),
            (day, "[trouble]\ndeployments = [\"3d\"]", "4:1: trouble.deployments: one begins after"),
            (day, "[policy.fixed]\nreplicas = 4000", "4:1: policy.fixed.replicas: it must lie within"),
            (day, "scored = \"1h\"\n[observe]\nscrape = \"2h\"", "5:1: observe.scrape: it is longer"),
        ] {
            let why = said(&format!("{head}{tail}\n"));
            assert!(why.starts_with(&format!("s.toml:{place}")), "{tail}: {why}");
        }
        let parsed =
            Scenario::parse(&format!("{service}[trouble]\ncrashes = 5\n[slo]\ntime_lag = 5\n"), Path::new("s"));
        assert!(parsed.is_ok(), "a group in front of a service has its troubles: {parsed:?}");
    }

    #[test]
    fn a_tuned_trigger_keeps_what_the_file_says_of_it() {
        let text = "[demand]\ngenerator = \"diurnal\"\n[policy.keda]\nlag_threshold = 7\nallow_idle = true\n\
                    limit_to_partitions_with_lag = true\n";
        let scenario = Scenario::parse(text, Path::new("s.toml")).unwrap();
        let Some(crate::contest::Entrant::Hpa { metric: crate::contest::Metric::Keda(t), .. }) =
            scenario.entrant("keda-tuned")
        else {
            panic!("no KEDA")
        };
        assert_eq!(
            (t.lag_threshold, t.ensure_even, t.allow_idle, t.limit_to_partitions_with_lag),
            (7, true, true, true)
        );
    }

    #[test]
    fn troubles_stand_in_a_table_of_their_own() {
        let text = "[demand]\ngenerator = \"diurnal\"\nweekend = 0.5\n[group]\nceiling = 20000.0\n[trouble]\n\
                    crashes = 4.0\nabsences = 6.0\nlost_scrapes = 0.1\ndeployments = [\"12h\"]\ndrift = 0.2\n\
                    hot = { from = \"10h\", until = \"14h\", factor = 4.0 }\n\
                    neighbour = { mean = 4000.0, daily = 0.5, peak_at = \"14h\" }\n";
        let trouble = Scenario::parse(text, Path::new("s.toml")).unwrap().game().trouble;
        assert_eq!(trouble.deployments, [43_200.0]);
        assert_eq!(trouble.hot, Some(Hot { from: 36_000.0, until: 50_400.0, factor: 4.0 }));
        assert_eq!(trouble.neighbour.map(|n| (n.mean, n.peak)), Some((4_000.0, 50_400.0)));
        let lonely = text.replace("ceiling = 20000.0\n", "");
        assert!(said(&lonely).starts_with("s.toml:12:1: trouble.neighbour: it needs"), "{}", said(&lonely));
    }
}
