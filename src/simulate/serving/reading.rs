//! What a monitor reads of a service: gauges of the moment, rates and quantiles over a window.

use super::super::{
    STEP,
    fleet::{Fleet, INTER_TOKEN_SPREAD, TTFT_SPREAD},
    histogram::Histogram,
};
use std::collections::VecDeque;

/// Seconds of the window of rates and quantiles: four scrapes of 15 s, as the metric packs have it.
const WINDOW: usize = 4;
/// Bounds of vLLM's histograms (`vllm/v1/metrics/loggers.py`), seconds.
const TTFT: &[f64] =
    &[0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0];
const INTER_TOKEN: &[f64] = &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// One service at one look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Count asked for.
    pub desired: u32,
    /// Replicas that take requests.
    pub ready: u32,
    /// Requests that wait for a place in a batch.
    pub waiting: f64,
    /// Requests in batches.
    pub running: f64,
    /// KV cache in use, ratio: the mean over the replicas.
    pub kv_cache: f64,
    /// Utilisation as DCGM has it: the share of time in which any kernel ran, ratio. One request is enough for that.
    pub gpu: f64,
    /// Requests that finished, per second.
    pub completed: f64,
    /// 95th percentile of the time to first token, seconds; `None` when nothing finished.
    pub ttft_p95: Option<f64>,
    /// 95th percentile of the time between tokens, seconds.
    pub inter_token_p95: Option<f64>,
}

/// Counters of a service, and what they were at the last scrapes.
#[derive(Clone, Debug)]
pub(super) struct Scraper {
    now: Counters,
    before: VecDeque<Counters>,
    busy: f64,
    seconds: f64,
}

#[derive(Clone, Debug)]
struct Counters {
    t: f64,
    finished: f64,
    ttft: Histogram,
    inter_token: Histogram,
}

impl Scraper {
    pub(super) fn new() -> Self {
        let now =
            Counters { t: 0.0, finished: 0.0, ttft: Histogram::new(TTFT), inter_token: Histogram::new(INTER_TOKEN) };
        Self { before: VecDeque::from([now.clone()]), now, busy: 0.0, seconds: 0.0 }
    }

    /// Counts one second.
    pub(super) fn second(&mut self, fleet: &Fleet) {
        self.now.t += STEP;
        let ready = fleet.ready() as f64;
        if let Some(served) = fleet.served() {
            self.now.finished += served.finished;
            self.now.ttft.observe(served.finished, served.first, TTFT_SPREAD);
            let tokens = served.finished * fleet.settings().answer;
            self.now.inter_token.observe(tokens, served.per_token, INTER_TOKEN_SPREAD);
            // A kernel runs whenever there is anything in the batch.
            self.busy += 1.0 - (-2.0 * fleet.running() / ready).exp();
        }
        self.seconds += STEP;
    }

    /// Reads the counters; `noise` is a factor on the rate, whose window does not end where the scrapes do. Quantiles
    /// have their own error: they are interpolated within a bucket.
    pub(super) fn scrape(&mut self, fleet: &Fleet, noise: f64) -> Reading {
        let before = self.before.front().unwrap_or(&self.now);
        let span = (self.now.t - before.t).max(STEP);
        let ready = (fleet.ready() as f64).max(1.0);
        let reading = Reading {
            desired: 0,
            ready: 0,
            waiting: fleet.backlog().round(),
            running: fleet.running().round(),
            kv_cache: fleet.replicas().iter().map(|r| r.kv_cache).sum::<f64>() / ready,
            gpu: (self.busy / self.seconds.max(STEP)).clamp(0.0, 1.0),
            completed: (self.now.finished - before.finished) / span * noise,
            ttft_p95: self.now.ttft.since(&before.ttft).quantile(0.95),
            inter_token_p95: self.now.inter_token.since(&before.inter_token).quantile(0.95),
        };
        (self.busy, self.seconds) = (0.0, 0.0);
        self.before.push_back(self.now.clone());
        while self.before.len() > WINDOW {
            self.before.pop_front();
        }
        reading
    }
}
