//! Scenarios with a queue of jobs: a nightly batch, training runs.

use super::{
    Scenario,
    check::{Wrong, refuse},
    tables::{Count, Deviation, Replicas, Seconds, Spread},
};
use crate::{
    contest::{self, queueing},
    model::{GuardSettings, Limits, Slo, Time},
    simulate::{
        Random,
        queueing::{Game, Job},
    },
};
use serde::{Deserialize, Deserializer, de::Error};

const DAY: f64 = 86_400.0;
/// Jobs of a season at most: what waits is looked through every second.
const MOST: f64 = 20_000.0;

/// `[queue]`; demand is in jobs per hour then.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct QueueTable {
    /// A job must be done so long after it came, by this time of the day (UTC), or by the earlier of the two.
    within: Option<Seconds>,
    deadline: Option<TimeOfDay>,
    /// Workers that a job needs at once: drawn evenly from these.
    gangs: Vec<Count>,
    /// Mean run, and the standard deviation of its logarithm. What runs is not interrupted.
    run: Seconds,
    run_spread: Deviation,
    start_up: Spread,
    replicas: Replicas,
    /// GPUs of a worker, and those that all together may have; an absent pool has no limit.
    gpus: Count,
    pool: Option<Count>,
}

impl Default for QueueTable {
    fn default() -> Self {
        let Game { start_up, limits, .. } = Game::default();
        Self {
            within: None,
            deadline: None,
            gangs: vec![Count(1)],
            run: Seconds(1_500.0),
            run_spread: Deviation(0.5),
            start_up: Spread { mean: Seconds(start_up.0), sd: Seconds(start_up.1) },
            replicas: Replicas { start: None, min: limits.min, max: Count(limits.max) },
            gpus: Count(1),
            pool: None,
        }
    }
}

impl QueueTable {
    /// What no single value can tell.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        let within = self.within.map_or(1.0, |w| w.0);
        refuse(self.within.is_none() && self.deadline.is_none(), "queue", "promise something: within or deadline")?;
        refuse(within < 1.0, "queue.within", "it must be at least 1s")?;
        let r = self.replicas;
        refuse(r.min > r.max.0, "queue.replicas", &format!("min = {} is above max = {}", r.min, r.max.0))?;
        let small = self.pool.is_some_and(|p| p.0 < self.gpus.0.saturating_mul(r.min.max(1)));
        refuse(small, "queue.pool", "it holds not even the fewest replicas' gpus")?;
        let most = self.most();
        refuse(r.start.is_some_and(|n| !(r.min..=most).contains(&n)), "queue.replicas", "start must lie within them")?;
        refuse(self.gangs.is_empty(), "queue.gangs", "name one size at least")?;
        let wide = self.gangs.iter().find(|g| g.0 > most).map_or(0, |g| g.0);
        let what = format!("a job of {wide} never begins: there are {most} workers at most");
        refuse(wide > 0, "queue.gangs", &what)?;
        refuse(self.run.0 < 1.0, "queue.run", "it must be at least 1s")
    }

    /// The highest count that replicas and pool allow.
    fn most(&self) -> u32 {
        let room = self.pool.map_or(u32::MAX, |p| p.0 / self.gpus.0);
        self.replicas.max.0.min(room)
    }
}

/// A time of the day, `"06:00"`, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct TimeOfDay(f64);

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let read = || {
            let (hours, minutes) = text.split_once(':').filter(|_| text.len() == 5)?;
            let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
            (hours < 24 && minutes < 60).then(|| f64::from(hours * 3_600 + minutes * 60))
        };
        read().map(Self).ok_or_else(|| D::Error::custom(format!("{text:?} is no time of day: write \"06:00\" (UTC)")))
    }
}

/// A queue as a scenario has it.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuePlayed {
    /// The rules of the game.
    pub game: Game,
    slo: Slo,
    gangs: Vec<u32>,
    run: (f64, f64),
}

impl QueuePlayed {
    /// The jobs of a season whose demand is in jobs per hour. The error says that they are too many.
    pub fn season(&self, season: &contest::Season, seed: u64) -> Result<queueing::Season, String> {
        let expected = season.operated.iter().chain(&season.played).sum::<f64>() / 3_600.0;
        if expected > MOST {
            return Err(format!(
                "demand is in jobs per hour: {expected:.0} jobs are more than the {MOST} that can be played"
            ));
        }
        let seconds = |rates: &[f64]| u32::try_from(rates.len()).unwrap_or(u32::MAX);
        let mut random = Random::new(seed ^ 0x10B5);
        let spell = season.begin.plus(-(season.operated.len() as f64));
        Ok(queueing::Season {
            before: (self.jobs(&season.operated, spell, &mut random), seconds(&season.operated)),
            jobs: (self.jobs(&season.played, season.begin, &mut random), seconds(&season.played)),
            begin: season.begin,
        })
    }

    /// Jobs as they come: by chance, as often as the rates say.
    fn jobs(&self, rates: &[f64], begin: Time, random: &mut Random) -> Vec<Job> {
        let mut jobs = Vec::new();
        let (mut expected, mut next) = (0.0, wait(random));
        for (second, rate) in rates.iter().enumerate() {
            expected += rate.max(0.0) / 3_600.0;
            while expected >= next {
                next += wait(random);
                let at = second as f64;
                let pick = random.between(0.0, self.gangs.len() as f64) as usize;
                let gang = self.gangs.get(pick).copied().unwrap_or(1);
                let run = (self.run.0 * random.log_normal(self.run.1)).max(1.0);
                jobs.push(Job { at, gang, run, within: self.within(begin.plus(at)) });
            }
        }
        jobs
    }

    /// Seconds that a job may take that comes then.
    fn within(&self, came: Time) -> f64 {
        let until = |of_day: f64| {
            let wait = (of_day - came.secs().rem_euclid(DAY)).rem_euclid(DAY);
            if wait > 0.0 { wait } else { DAY }
        };
        let deadline = self.slo.deadline.map_or(f64::INFINITY, until);
        self.slo.within.map_or(deadline, |within| within.min(deadline))
    }
}

/// How much is expected until the next one comes.
fn wait(random: &mut Random) -> f64 {
    -(1.0 - random.unit()).ln()
}

impl Scenario {
    /// The queue that is played; `None`: a group or a service is.
    pub fn queue(&self) -> Option<QueuePlayed> {
        let q = self.queue.as_ref()?;
        let limits = Limits { min: q.replicas.min, max: q.most() };
        let group = self.game();
        Some(QueuePlayed {
            game: Game {
                start_up: (q.start_up.mean.0, q.start_up.sd.0),
                start: q.replicas.start.unwrap_or(limits.min),
                limits,
                gpus: q.gpus.0,
                scrape: group.scrape,
                price: group.price,
                ..Game::default()
            },
            slo: Slo { within: q.within.map(|w| w.0), deadline: q.deadline.map(|d| d.0), ..Slo::default() },
            gangs: q.gangs.iter().map(|g| g.0).collect(),
            run: (q.run.0, q.run_spread.0),
        })
    }

    /// The policy of a name, in a scenario with a queue.
    pub fn queue_player(&self, name: &str) -> Option<queueing::Entrant> {
        let played = self.queue()?;
        Some(match name {
            "planner" => queueing::Entrant::Planner(queueing::Settings {
                gang: played.gangs.iter().copied().max().unwrap_or(1),
                slo: played.slo,
                guard: GuardSettings { max_step_down: 0.5, ..GuardSettings::default() },
            }),
            "keda" => queueing::Entrant::QueueLength(5.0),
            "keda-tuned" => queueing::Entrant::QueueLength(1.0),
            "autoscaler" => queueing::Entrant::Needed,
            "fixed" => queueing::Entrant::Peak,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const HEAD: &str = "[demand]\ngenerator = \"diurnal\"\nmean = 60\n";

    #[test]
    fn jobs_come_as_often_as_demand_says_and_are_due_as_promised() {
        let text = format!("{HEAD}scored = \"1d\"\n[queue]\nwithin = \"4h\"\ndeadline = \"06:00\"\ngangs = [1, 3]\n");
        let scenario = Scenario::parse(&text, Path::new("s.toml")).unwrap();
        let played = scenario.queue().unwrap();
        let rates = scenario.season(1, None).unwrap();
        let season = played.season(&rates, 1).unwrap();
        let expected = rates.played.iter().sum::<f64>() / 3_600.0;
        let came = season.jobs.0.len() as f64;
        assert!((came - expected).abs() < 5.0 * expected.sqrt(), "{came} of {expected}");
        assert!(season.jobs.0.windows(2).all(|w| w[0].at <= w[1].at));
        let mean = season.jobs.0.iter().map(|j| j.run).sum::<f64>() / came;
        assert!((1_350.0..1_650.0).contains(&mean) && season.jobs.0.iter().all(|j| [1, 3].contains(&j.gang)), "{mean}");
        let within = |text: &str| played.within(Time::parse(text).unwrap());
        assert_eq!((within("2026-03-01T22:00:00Z"), within("2026-03-01T05:00:00Z")), (14_400.0, 3_600.0));
    }

    #[test]
    fn a_queue_that_cannot_be_played_is_refused() {
        let said = |text: &str| Scenario::parse(text, Path::new("s.toml")).unwrap_err();
        for (tail, place) in [
            ("[queue]\n", "4:2: queue: promise something"),
            ("[queue]\ndeadline = \"25:00\"\n", "5:12: \"25:00\" is no time of day"),
            ("[queue]\nwithin = \"1h\"\ngangs = [50]\n", "6:1: queue.gangs: a job of 50 never begins"),
            ("[queue]\nwithin = \"1h\"\ngangs = []\n", "6:1: queue.gangs: name one"),
            ("[queue]\nwithin = \"1h\"\npool = 8\ngpus = 2\ngangs = [5]\n", "8:1: queue.gangs: a job of 5"),
            ("[queue]\nwithin = \"1h\"\n[slo]\ntime_lag = 5\n", "6:2: slo: it does nothing here"),
            ("[queue]\nwithin = \"1h\"\n[service]\nttft_p95 = 1\n", "6:2: service: it does nothing here"),
        ] {
            let why = said(&format!("{HEAD}{tail}"));
            assert!(why.starts_with(&format!("s.toml:{place}")), "{tail}: {why}");
        }
        let why = said("[demand]\ngenerator = \"diurnal\"\n[queue]\nwithin = \"1h\"\n");
        assert!(why.starts_with("s.toml:1:2: demand.mean: say how many jobs"), "{why}");
        let many = HEAD.replace("60", "60000") + "[queue]\nwithin = \"1h\"\n";
        let scenario = Scenario::parse(&many, Path::new("s.toml")).unwrap();
        let season = scenario.season(1, None).unwrap();
        assert!(scenario.queue().unwrap().season(&season, 1).unwrap_err().contains("jobs per hour"));
    }
}
