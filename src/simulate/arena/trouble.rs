//! What goes wrong or changes while a game is played: data for the rules, and the course that a seed makes of it.
//!
//! Everything is drawn before the game begins, so that it befalls every pilot alike, whatever that pilot does.

use crate::simulate::{
    Random, STEP,
    demand::{Demand, DemandSettings},
};

const DAY: f64 = 86_400.0;
/// Seconds between two changes of drifting shares.
const DRIFT: usize = 600;
/// A group that shares what is behind it always keeps this share of it.
const KEPT: f64 = 0.05;

/// Troubles of a game. The default is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trouble {
    /// Pods that die per day: what they had not committed is processed once more.
    pub crashes: f64,
    /// Members per day that pause for a minute or so: they drop out of the group and come back.
    pub absences: f64,
    /// Seconds until the group notices either (`session.timeout.ms`): partitions of who died or pauses stand still until then.
    pub session: f64,
    /// Share of the looks that fail: the pilot is not asked then.
    pub lost_scrapes: f64,
    /// Seconds at which a deployment begins: every pod is replaced, a quarter of them at a time.
    pub deployments: Vec<f64>,
    /// How much the partitions' shares change: standard deviation (of the logarithm) after an hour.
    pub drift: f64,
    /// A partition that gets more than its share for a while.
    pub hot: Option<Hot>,
    /// A second group behind which the same downstream stands: what it takes is missing from the game's ceiling.
    pub neighbour: Option<DemandSettings>,
}

/// One partition becomes hot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hot {
    /// When, seconds.
    pub from: f64,
    /// Until when, seconds.
    pub until: f64,
    /// What its weight is multiplied by.
    pub factor: f64,
}

impl Trouble {
    /// Whether anything that is unprocessed depends on commits.
    pub(super) fn commits_matter(&self) -> bool {
        self.crashes > 0.0
    }

    /// Whether partition shares are the same all the time, and nobody leaves but by a pilot's order.
    pub fn keeps_shares_and_members(&self) -> bool {
        let leave = self.crashes > 0.0 || self.absences > 0.0 || !self.deployments.is_empty();
        self.drift <= 0.0 && self.hot.is_none() && !leave
    }
}

/// What happens in one second, before its arrivals.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    /// The pod at this place of the group (0 to 1) dies.
    Crash(f64),
    /// The member at this place drops out for so many seconds.
    Absence(f64, f64),
    /// A deployment begins.
    Deployment,
    /// The weight of each partition is multiplied.
    Shares(Vec<f64>),
}

/// A seed's troubles, laid out in time.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// In order of their seconds.
    pub(super) events: Vec<(usize, Event)>,
    /// Most records per second in each second; empty: the game's ceiling holds.
    pub(super) ceilings: Vec<f64>,
    lost_scrapes: f64,
    looks: Random,
}

impl Course {
    pub(super) fn new(trouble: &Trouble, ceiling: f64, partitions: usize, seconds: usize, seed: u64) -> Self {
        let chances = Random::new(seed);
        let mut course = Self { lost_scrapes: trouble.lost_scrapes, looks: chances.fork(5), ..Self::default() };
        let mut random = chances.fork(3);
        for second in at_random(trouble.crashes, seconds, &mut random) {
            course.events.push((second, Event::Crash(random.unit())));
        }
        let mut random = chances.fork(6);
        for second in at_random(trouble.absences, seconds, &mut random) {
            course.events.push((second, Event::Absence(random.unit(), random.between(20.0, 120.0))));
        }
        course.events.extend(trouble.deployments.iter().map(|t| (*t as usize, Event::Deployment)));
        if let Some(hot) = trouble.hot {
            let shares = |factor: f64| {
                let first = |p| if p == 0 { factor } else { 1.0 };
                Event::Shares((0..partitions).map(first).collect())
            };
            course.events.push((hot.from as usize, shares(hot.factor)));
            course.events.push((hot.until as usize, shares(1.0 / hot.factor)));
        }
        if trouble.drift > 0.0 {
            let mut random = chances.fork(7);
            let step = trouble.drift * (DRIFT as f64 * STEP / 3600.0).sqrt();
            for second in (DRIFT..seconds).step_by(DRIFT) {
                let factors = (0..partitions).map(|_| random.log_normal(step)).collect();
                course.events.push((second, Event::Shares(factors)));
            }
        }
        course.events.sort_by_key(|(second, _)| *second);
        if let Some(settings) = &trouble.neighbour {
            let mut demand = Demand::new(settings.clone(), chances.fork(8).bits());
            let left = |s| (ceiling - demand.rate(s as f64 * STEP)).max(ceiling * KEPT);
            course.ceilings = (0..seconds).map(left).collect();
        }
        course
    }

    /// Whether the look at a second fails.
    pub(super) fn look_fails(&self, second: usize) -> bool {
        self.lost_scrapes > 0.0 && self.looks.fork(second as u64).unit() < self.lost_scrapes
    }
}

/// Seconds at which something happens that happens `per_day` times a day.
fn at_random(per_day: f64, seconds: usize, random: &mut Random) -> Vec<usize> {
    let apart = DAY / per_day / STEP;
    let mut t = 0.0;
    let next = || {
        t -= (1.0 - random.unit()).ln() * apart;
        (t < seconds as f64).then_some(t as usize) // never for none a day: infinitely far apart
    };
    std::iter::from_fn(next).collect()
}
