//! Quantile paths of a signal over a horizon: never one line alone.

use super::Time;
use serde::Serialize;

/// One step of a forecast. `p10 <= p50 <= p80 <= p95`, all finite and not negative.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// Instant of this step.
    pub t: Time,
    /// One in ten lies below.
    pub p10: f64,
    /// The median.
    pub p50: f64,
    /// Four in five lie below; what planning looks at.
    pub p80: f64,
    /// Nineteen in twenty lie below.
    pub p95: f64,
}

/// How often past quantiles of a forecast, each as it was shown at its time, held what came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Covered {
    /// Share of what came below p10; a tenth where it is right, less where much is nothing.
    pub under_10: f64,
    /// Share at or below p80.
    pub at_80: f64,
    /// Share at or below p95.
    pub at_95: f64,
    /// Forecasts that were looked back on; their horizons overlap.
    pub count: usize,
}

/// A forecast of one signal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// Made at.
    pub at: Time,
    /// Seconds between points.
    pub step: f64,
    /// Points from `at + step` on.
    pub points: Vec<Quantiles>,
    /// The model's name (`pool`).
    pub model: String,
    /// Weight of each member by rolling backtest, largest first; they sum to 1.
    pub weights: Vec<(String, f64)>,
    /// Mean absolute error over that of "last value" on the backtest's origins; `None`: too little history to say.
    pub relative_error: Option<f64>,
    /// How often its quantiles held so far, at half of the horizon; `None`: too little history to say.
    pub covered: Option<Covered>,
    /// Sentences: "12 minutes of history: quantiles are wide", "a gap of 40 min was skipped".
    pub warnings: Vec<String>,
}

impl Forecast {
    /// The highest value of a quantile over the horizon, with its instant. `None` for an empty forecast.
    pub fn peak(&self, quantile: impl Fn(&Quantiles) -> f64) -> Option<(Time, f64)> {
        self.points.iter().map(|q| (q.t, quantile(q))).max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Seconds that it looks ahead.
    pub fn horizon(&self) -> f64 {
        self.points.len() as f64 * self.step
    }
}
