//! The arena of inference services: a pool of GPUs, the services that share it, one pilot that sets their counts, and
//! what that cost.
//!
//! A pilot sees what Prometheus would tell: every [`Game::scrape`] seconds, [`Game::late`] seconds old, rates and
//! latency quantiles over the last minute and between the histogram's buckets, with noise; some scrapes are lost. It is
//! never told what a replica can do or how long it takes to start. What is priced is the truth: GPUs from the moment a
//! replica gets them, minutes in which more than one request in twenty was over an objective, every change.
//!
//! ```
//! use highwater::simulate::serving::{Game, Hold, play};
//! let game = Game::default();
//! let demand = vec![vec![25.0; 1_800]];
//! let short = play(&game, &demand, 1, &mut Hold(vec![3]));
//! let ample = play(&game, &demand, 1, &mut Hold(vec![8]));
//! assert!(ample.score.slo_minutes == 0.0 && short.score.slo_minutes > 20.0);
//! assert!(ample.score.gpu_hours > short.score.gpu_hours && ample.score.price < short.score.price);
//! ```

mod reading;
mod score;
#[cfg(test)]
mod tests;

pub use reading::Reading;
pub use score::Score;

use super::{
    Random, STEP,
    fleet::{Fleet, FleetSettings, INTER_TOKEN_SPREAD},
};
use crate::model::{Limits, Price};
use reading::Scraper;
use score::Ledger;
use std::collections::VecDeque;

/// What a service promises, seconds: one request in twenty may take longer. `None`: not promised.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Objective {
    /// Time to first token.
    pub ttft: Option<f64>,
    /// Time between tokens.
    pub inter_token: Option<f64>,
}

/// One service of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its engine and model.
    pub fleet: FleetSettings,
    /// GPUs that one replica takes (tensor parallelism).
    pub gpus: u32,
    /// Count at the beginning, all of it ready.
    pub start: u32,
    /// Bounds of the count: what a pilot asks beyond them is cut to them.
    pub limits: Limits,
    /// What it promises.
    pub objective: Objective,
}

impl Service {
    /// Requests per second of a replica beyond which an objective breaks, when they come evenly.
    pub fn rate(&self) -> f64 {
        match self.objective.inter_token {
            Some(limit) => self.fleet.capacity_within(limit / score::p95_of_mean(INTER_TOKEN_SPREAD)),
            None => self.fleet.capacity(),
        }
    }
}

impl Default for Service {
    /// A chat model of some 8 billion parameters: prompts of 800 tokens, answers of 200, a replica is ready after about
    /// three minutes, tokens come at most 50 ms apart. Its batches are slow long before requests wait.
    fn default() -> Self {
        Self {
            fleet: FleetSettings {
                start_up: (180.0, 25.0),
                max_batch: 64.0,
                prompt: 800.0,
                answer: 200.0,
                prefill: 24_000.0,
                token: 0.018,
                token_batch: 0.000_4,
                kv_tokens: 72_000.0,
            },
            gpus: 1,
            start: 8,
            limits: Limits { min: 1, max: 24 },
            objective: Objective { ttft: Some(2.0), inter_token: Some(0.05) },
        }
    }
}

/// The rules of one game. Seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Game {
    /// The services of the pool.
    pub services: Vec<Service>,
    /// GPUs of the pool: a replica that finds none stays pending until one is free. `u32::MAX`: no limit.
    pub gpus: u32,
    /// Seconds between two scrapes; also how often a pilot may decide.
    pub scrape: f64,
    /// Age of a scrape when it is seen.
    pub late: f64,
    /// Standard deviation of the noise of rates (of the logarithm).
    pub noise: f64,
    /// Share of the scrapes that fail: the pilot is not asked then.
    pub lost_scrapes: f64,
    /// Variance of the arrivals of a second over their mean: 1 for a Poisson stream, more where clients come in bunches.
    pub bunching: f64,
    /// Replicas that die per day, of all services.
    pub crashes: f64,
    /// Prices; `pod_hour` is that of one GPU.
    pub price: Price,
}

impl Default for Game {
    /// One chat service, scraped every 15 s, 10 s late.
    fn default() -> Self {
        Self {
            services: vec![Service::default()],
            gpus: u32::MAX,
            scrape: 15.0,
            late: 10.0,
            noise: 0.02,
            lost_scrapes: 0.01,
            bunching: 2.0,
            crashes: 0.0,
            price: Price::default(),
        }
    }
}

/// One look of the monitor: a reading a service.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Seconds since the game began.
    pub t: f64,
    /// What is seen of each service.
    pub services: &'a [Reading],
}

/// Decides the counts.
pub trait Pilot {
    /// Called at each look, once for all services; `None` leaves a count as it is.
    fn decide(&mut self, seen: &Seen<'_>) -> Vec<Option<u32>>;
}

/// Fixed counts.
#[derive(Clone, Debug)]
pub struct Hold(pub Vec<u32>);

impl Pilot for Hold {
    fn decide(&mut self, _: &Seen<'_>) -> Vec<Option<u32>> {
        self.0.iter().copied().map(Some).collect()
    }
}

/// A change of a count: seconds, the service, the count from then on.
pub type Change = (f64, usize, u32);

/// What became of a game.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What it cost.
    pub score: Score,
    /// Every change.
    pub changes: Vec<Change>,
}

/// Plays `demand` (per service: requests per second, one value a second) with the chances of `seed` under a pilot.
///
/// The game ends with the shortest demand. Same game, demand, seed and pilot: same outcome.
pub fn play(game: &Game, demand: &[Vec<f64>], seed: u64, pilot: &mut dyn Pilot) -> Outcome {
    let mut running = Match::new(game, seed);
    let seconds = demand.iter().map(Vec::len).min().unwrap_or(0);
    for second in 0..seconds {
        running.second(second, demand);
        running.look(second + 1, pilot);
    }
    Outcome { score: running.ledger.close(), changes: running.changes }
}

/// A service under way.
#[derive(Clone, Debug)]
struct Running {
    fleet: Fleet,
    desired: u32,
    scraper: Scraper,
}

/// A game under way.
#[derive(Clone, Debug)]
struct Match<'a> {
    game: &'a Game,
    services: Vec<Running>,
    arrivals: Random,
    mishaps: Random,
    noise: Random,
    ledger: Ledger,
    changes: Vec<Change>,
    /// Scrapes on their way: when they are seen, and what they read.
    under_way: VecDeque<(usize, Vec<Reading>)>,
}

impl<'a> Match<'a> {
    fn new(game: &'a Game, seed: u64) -> Self {
        let chances = Random::new(seed);
        let services = game.services.iter().zip(10..).map(|(service, part)| {
            let desired = service.start.max(service.limits.min).min(service.limits.max.max(service.limits.min));
            let fleet = Fleet::new(service.fleet.clone(), desired, chances.fork(part).bits());
            Running { fleet, desired, scraper: Scraper::new() }
        });
        Self {
            services: services.collect(),
            game,
            arrivals: chances.fork(1),
            mishaps: chances.fork(2),
            noise: chances.fork(3),
            ledger: Ledger::new(game),
            changes: Vec::new(),
            under_way: VecDeque::new(),
        }
    }

    fn second(&mut self, second: usize, demand: &[Vec<f64>]) {
        let game = self.game;
        if game.crashes > 0.0 && self.mishaps.unit() < game.crashes * STEP / 86_400.0 {
            let i = self.mishaps.between(0.0, self.services.len() as f64) as usize;
            if let Some(service) = self.services.get_mut(i) {
                let n = service.fleet.replicas().len();
                service.fleet.crash(self.mishaps.between(0.0, n as f64) as usize);
            }
        }
        self.place();
        for (i, (service, rates)) in self.services.iter_mut().zip(demand).enumerate() {
            let rate = rates.get(second).copied().unwrap_or(0.0).max(0.0);
            let rate = (rate + (rate * game.bunching.max(0.0)).sqrt() * self.arrivals.normal()).max(0.0);
            service.fleet.step(rate);
            service.scraper.second(&service.fleet);
            self.ledger.second(i, rate, &service.fleet, service.desired);
        }
        self.ledger.tick();
    }

    /// Gives what is pending the GPUs that are free, in the order of the services; takes back what is not asked for.
    fn place(&mut self) {
        for service in &mut self.services {
            let held = u32::try_from(service.fleet.replicas().len()).unwrap_or(u32::MAX);
            if service.desired < held {
                service.fleet.scale(service.desired);
            }
        }
        let used: u32 = self.services.iter().zip(&self.game.services).map(|(s, of)| held(&s.fleet) * of.gpus).sum();
        let mut free = self.game.gpus.saturating_sub(used);
        for (service, of) in self.services.iter_mut().zip(&self.game.services) {
            let more = service.desired.saturating_sub(held(&service.fleet)).min(free / of.gpus.max(1));
            if more > 0 {
                service.fleet.scale(held(&service.fleet) + more);
                free -= more * of.gpus;
            }
        }
    }

    /// Scrapes and shows what came in to the pilot, and does what it says.
    fn look(&mut self, second: usize, pilot: &mut dyn Pilot) {
        let game = self.game;
        if second.is_multiple_of((game.scrape.round().max(1.0)) as usize) {
            let lost = self.mishaps.unit() < game.lost_scrapes;
            let noise = &mut self.noise;
            let read = |s: &mut Running| s.scraper.scrape(&s.fleet, noise.log_normal(game.noise));
            let read: Vec<Reading> = self.services.iter_mut().map(read).collect();
            if !lost {
                self.under_way.push_back((second + game.late.max(0.0).round() as usize, read));
            }
        }
        if self.under_way.front().is_none_or(|(due, _)| *due > second) {
            return;
        }
        let Some((_, mut readings)) = self.under_way.pop_front() else { return };
        for (reading, service) in readings.iter_mut().zip(&self.services) {
            // Counts are watched, not scraped.
            reading.desired = service.desired;
            reading.ready = u32::try_from(service.fleet.ready()).unwrap_or(u32::MAX);
        }
        let t = second as f64 * STEP;
        let wanted = pilot.decide(&Seen { t, services: &readings });
        for (i, wanted) in wanted.into_iter().enumerate() {
            let (Some(service), Some(of)) = (self.services.get_mut(i), game.services.get(i)) else { continue };
            let wanted = wanted.unwrap_or(service.desired).max(of.limits.min).min(of.limits.max.max(of.limits.min));
            if wanted != service.desired {
                self.ledger.change(i, t, service.desired, wanted);
                self.changes.push((t, i, wanted));
                service.desired = wanted;
            }
        }
    }
}

/// Replicas that hold GPUs, starting ones included.
fn held(fleet: &Fleet) -> u32 {
    u32::try_from(fleet.replicas().len()).unwrap_or(u32::MAX)
}
