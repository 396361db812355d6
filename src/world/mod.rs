//! The simulated world behind three real protocols on loopback: Kafka wire, Prometheus HTTP, Kubernetes HTTP.
//!
//! [`World`] is a cheap handle on one state behind one lock. Nothing runs on its own: whoever looks first brings the
//! state forward to the clock's present, second by second, so a world needs no task and the same scenario, seed and
//! start give the same state at the same instant, however often it was looked at in between.
//!
//! One house stands in every scenario: three brokers; `transactions` (24 partitions) read by `fraud-scorer` (whose pods
//! are deploy/payments/fraud-scorer) and `payments-audit`; `orders` read by `orders-etl`, which an HPA's minimum keeps at
//! twelve where eight would do; `clickstream`, a KIP-848 group that KEDA scales with a maximum above its 24 partitions;
//! `fraud-dlq`, which nobody reads; `fraud-model` (deploy/ml/fraud-model), which fraud-scorer calls for 2.05 % of the
//! records; eight GPUs on two hosts; a training queue with a quota of three. Eight hours of history lie before the show.
//! Simulated times, in seconds of the show:
//!
//! - `fraud`: the nightly upload began eight minutes before. 0: `transactions` brings 6900 records/s, six consumers
//!   process 6000, and fraud-scorer is about fifteen seconds behind. From 440 to 3140: 9500/s. Twelve consumers
//!   catch up within three minutes of their order, and while they do the model saturates: more than a thousand requests
//!   wait until it has a fourth replica. Two smaller rushes in the history (at −24000 and −9500) have shown what one
//!   consumer can do.
//! - `quiet`: nobody is ever 15 s behind.
//! - `incident`: since −600 partition 17 of clickstream stands before a poison record. From −300 to 900 a consumer of
//!   orders-etl dies every 20 s: a rebalance storm. 45: broker 1 freezes (SIGSTOP); 55: fenced, leaders move, ISRs shrink;
//!   225: it runs again, in sync at 245. 120: GPU 2 of gpu-node-2 reports XID 79.

pub mod kafka;
pub mod kubernetes;
pub mod prometheus;

mod autoscalers;
mod build;
mod exporters;
mod hardware;
mod objects;
mod offsets;
mod past;
mod pods;
mod scenario;
mod series;
mod state;

pub use objects::{CONTAINER, Deployment, Meta, Object, ScaleError};
pub use past::Past;
pub use series::{Scrapes, Series};
pub use state::State;

use crate::{model::Time, process::Clock};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// The scenarios that [`World::start`] knows, the default first, with what each shows.
pub fn scenarios() -> impl Iterator<Item = (&'static str, &'static str)> {
    scenario::SCENARIOS.iter().map(|(name, shows, _)| (*name, *shows))
}

/// Highest speed: a refresh every two seconds then covers half an hour, and more would show nothing.
const FASTEST: f64 = 1000.0;
/// Longest time between two looks of [`World::changed`] at the clock.
const LOOK: Duration = Duration::from_millis(200);

/// Where the time comes from.
#[derive(Clone, Copy, Debug)]
enum Timing {
    /// From the machine's monotonic clock, scaled.
    Running(Clock),
    /// From [`World::advance`] alone.
    Manual,
}

/// A running simulated world. Cloning it gives another handle on the same world.
#[derive(Clone, Debug)]
pub struct World {
    state: Arc<Mutex<State>>,
    timing: Timing,
    changes: watch::Receiver<u64>,
}

impl World {
    /// Starts `scenario` at the machine's present, with hours of history behind it, at `speed` simulated seconds per
    /// second. The error names the scenarios that there are.
    pub fn start(scenario: &str, seed: u64, speed: f64) -> Result<Self, String> {
        Self::start_at(scenario, seed, speed, Time::now())
    }

    /// The same at a chosen instant: for tests and pictures that must not depend on the time of day.
    pub fn start_at(scenario: &str, seed: u64, speed: f64, start: Time) -> Result<Self, String> {
        if !(speed > 0.0 && speed <= FASTEST) {
            return Err(format!("a world cannot run at speed {speed}: give a number above 0 and up to {FASTEST}"));
        }
        let mut world = Self::manual(scenario, seed, start)?;
        world.timing = Timing::Running(Clock::scaled(start, speed));
        Ok(world)
    }

    /// A world whose time moves only by [`World::advance`].
    pub fn manual(scenario: &str, seed: u64, start: Time) -> Result<Self, String> {
        let (sender, changes) = watch::channel(0);
        let state = build::build(scenario, seed, start, sender)?;
        Ok(Self { state: Arc::new(Mutex::new(state)), timing: Timing::Manual, changes })
    }

    /// The clock that observations of this world are stamped with. Of a manual world: one that stands still at its
    /// present.
    pub fn clock(&self) -> Clock {
        match self.timing {
            Timing::Running(clock) => clock,
            Timing::Manual => Clock::scaled(self.now(), 0.0),
        }
    }

    /// The present of this world.
    pub fn now(&self) -> Time {
        match self.timing {
            Timing::Running(clock) => clock.now(),
            Timing::Manual => self.with(|state| state.now()),
        }
    }

    /// Brings the world to its present and lets `look` at it (or change it). Keep it short: everybody waits.
    pub fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        // A panic while the lock was held leaves a state that is at worst one second incomplete: still the best there is.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Timing::Running(clock) = self.timing {
            state.advance_to(clock.now());
        }
        look(&mut state)
    }

    /// Moves a manual world forward; a running one moves by itself and ignores this.
    pub fn advance(&self, seconds: f64) {
        self.with(|state| {
            if matches!(self.timing, Timing::Manual) {
                state.advance_to(state.now().plus(seconds));
            }
        });
    }

    /// The version of the Kubernetes objects: it grows whenever a deployment, an HPA or a ScaledObject changes. It only
    /// moves when somebody looks at the world: to wait for it use [`World::changed`].
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// Waits until an object is newer than `version`, looking at the world a few times a second; returns the newest
    /// version. Cancel safe.
    pub async fn changed(&self, version: u64) -> u64 {
        loop {
            let newest = self.with(|state| state.version());
            if newest > version {
                return newest;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests;
