//! History → forecast → capacity → policies → guards → a recommendation with its explanation. Pure.

mod signals;

use crate::{
    forecast,
    history::History,
    model::{Advice, Forecast, Recommendation, Time, Workload, WorkloadState},
};
use signals::Signals;

/// Everything that advice on one workload rests on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// What it is, what it must keep, what it may do.
    pub workload: &'a Workload,
    /// What is true of it now.
    pub state: &'a WorkloadState,
    /// What was seen.
    pub history: &'a History,
    /// A recent forecast of its demand to use again; `None`: one is made.
    pub forecast: Option<&'a Forecast>,
    /// The recommendation that is on screen: while nothing material changed it keeps its identity and expiry.
    /// `None`: there is none.
    pub previous: Option<&'a Recommendation>,
    /// The instant of the advice; nothing after it is looked at.
    pub now: Time,
    /// Seconds to look ahead.
    pub horizon: f64,
    /// Seconds between the values of every grid.
    pub step: f64,
}

/// What the workload should have, and why; or a sentence that says what is missing.
pub fn advise(input: &Input<'_>) -> Advice {
    let signals = Signals::of(input);
    let forecast = match input.forecast {
        Some(forecast) => Ok(forecast.clone()),
        None => forecast::forecast(signals.forecast_track(), input.now, input.horizon),
    };
    let capacity = signals.capacity(input.now);
    Advice { forecast: forecast.ok(), capacity, recommendation: Err("not enough history to plan".to_owned()) }
}
