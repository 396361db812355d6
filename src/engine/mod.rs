//! Joins observations into pictures, runs the advice, carries approvals out. One task owns the history.
//!
//! ```text
//! source tasks ──Observation──▶ run ──▶ pass (off the async threads) ──▶ Arc<Picture> on a watch channel ──▶ screen
//!                                ▲                                                                             │
//!                                └──────── approve (owns ledger and actuators; only in operate) ◀──Intent──────┘
//! ```
//!
//! A source never waits for the screen, the screen never waits for a source. `watch` starts no approval task, so there
//! is no actuator and no ledger writer in its process, and no type through which one could be reached (`role.rs`).

mod approve;
mod brokers;
mod charts;
mod confirmed;
mod discover;
mod latest;
mod objects;
mod pass;
mod persist;
mod rates;
mod role;
mod run;
mod runs;
mod sources;
#[cfg(test)]
mod tests;
mod view;
mod watch;

pub use approve::{BEGIN_WITHIN, Gate};
pub use confirmed::FILE as CONFIRMED;
pub use role::{Operating, Watching};
pub use run::{Handle, operate, watch};

use crate::{config::Config, history::History, process::Clock};
use std::{path::PathBuf, sync::Arc};

/// What an engine is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Sources, workloads, limits.
    pub config: Config,
    /// The clock that observations are stamped with.
    pub clock: Clock,
    /// Where history and ledger are kept; `None`: nothing is written (demo, one-shot commands).
    pub state: Option<PathBuf>,
    /// What is remembered from before, beside what lies in `state`; `None`: nothing.
    pub past: Option<Arc<History>>,
    /// Whether plans of the day are made at once, rather than when the first looks are over.
    pub days: bool,
}

/// Seconds between the points of models and plans.
pub const STEP: f64 = 15.0;
/// Seconds that forecasts and plans look ahead.
pub const HORIZON: f64 = 1800.0;
/// Seconds of history on a chart, and the finest step of its points (see `charts`).
pub const CHART: (f64, f64) = (6.0 * 3600.0, 30.0);
