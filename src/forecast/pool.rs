//! The weighted mean of the members at one horizon, from a rolling backtest within the window.
//!
//! Past instants are origins once their target has come to pass. The weights at an origin rest on the errors known by
//! then, so the pool's own past forecasts are as honest as its members' and their errors are what its quantiles are
//! made of ([`super::conformal`]).

use super::{conformal::Scores, members::Track, window::Window};

/// Origins that are looked back on, about: in a long window they lie some steps apart.
const ORIGINS: usize = 1_000;
/// Origins within one horizon, about: errors of origins that lie closer say the same thing twice.
const WITHIN_HORIZON: usize = 12;
/// Origins that a short window has at least.
const FEWEST: usize = 100;
/// First origins that are learned from but not scored: the members' records are still empty. At most half of all.
const SETTLING: usize = 36;
/// Weight of a member: its relative error to the power of minus this, and of minus so much more once the independent
/// errors behind it are as many.
const POWER: i32 = 6;
const SHARPER: (i32, f64) = (10, 100.0);
/// Share of a pool that did worse than the last value: its relative error to the power of minus this.
const SHRINKS: i32 = 4;
/// How far back errors count in a member's record: steps, and horizons. The longer of the two.
const MEMORY: (usize, usize) = (100, 12);
/// What is believed of a member before anything is known counts as this many independent errors.
const PRIOR: f64 = 3.0;
/// Errors that a member must have shown before it is weighed.
const PROBATION: f64 = 3.0;
/// Errors of the pool before its relative error is told.
const TELLING: f64 = 10.0;

/// The instants of a window that forecasts `k` steps ahead are made at: `stride` steps apart, the window's end last.
pub(super) struct Origins {
    pub(super) at: Vec<usize>,
    pub(super) k: usize,
    pub(super) stride: usize,
}

impl Origins {
    pub(super) fn new(n: usize, k: usize) -> Self {
        let apart = (k / WITHIN_HORIZON).min(n / FEWEST);
        let stride = apart.max(n / ORIGINS).max(1);
        let mut at: Vec<usize> = (0..n).rev().step_by(stride).collect();
        at.reverse();
        Self { at, k, stride }
    }

    /// The window's end alone.
    pub(super) fn newest(n: usize, k: usize) -> Self {
        Self { at: vec![n - 1], k, stride: 1 }
    }

    /// How many of `count` errors are independent: targets less than a horizon apart share what happened between.
    pub(super) fn independent(&self, count: f64) -> f64 {
        count * (self.stride as f64 / self.k as f64).min(1.0)
    }
}

/// One member's opinion now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opinion {
    pub(super) name: &'static str,
    /// Its forecast, in the window's units.
    pub(super) value: f64,
    pub(super) weight: f64,
    /// Its mean absolute error so far.
    pub(super) error: f64,
}

/// The pool at one horizon.
pub(super) struct Pooled {
    /// The forecast, before quantiles.
    pub(super) point: f64,
    /// Its past errors.
    pub(super) scores: Scores,
    /// Members that have an opinion; the weights sum to 1.
    pub(super) opinions: Vec<Opinion>,
    /// Mean absolute error of the pool and of the last value, on the same origins.
    pub(super) errors: Option<(f64, f64)>,
}

/// Mean absolute error so far of a member, and of the last value on the same origins.
#[derive(Clone, Copy, Default)]
struct Record {
    count: f64,
    own: f64,
    naive: f64,
}

impl Record {
    fn add(&mut self, own: f64, naive: f64, memory: f64) {
        if own.is_finite() {
            self.count = (self.count + 1.0).min(memory);
            self.own += (own - self.own) / self.count;
            self.naive += (naive - self.naive) / self.count;
        }
    }

    /// How far the pool is followed, from its own record of the whole window.
    fn trust(&self, origins: &Origins, least: f64) -> f64 {
        let seen = origins.independent(self.count);
        let ratio = (self.own + least) / (self.naive + least);
        let believed = (ratio * seen + PRIOR) / (seen + PRIOR);
        believed.max(1.0).powi(-SHRINKS)
    }

    /// `least` keeps a perfect record from outweighing everything.
    fn weight(&self, prior: f64, origins: &Origins, least: f64) -> f64 {
        if self.count < PROBATION {
            return 0.0;
        }
        let seen = origins.independent(self.count);
        let ratio = (self.own + least) / (self.naive + least);
        let believed = (ratio * seen + prior * PRIOR) / (seen + PRIOR);
        let sure = (seen / SHARPER.1).min(1.0);
        believed.powi(-POWER - (f64::from(SHARPER.0) * sure) as i32)
    }
}

impl Pooled {
    /// Pools tracks, the first of which is the last value; `volatility` is one number above zero per instant.
    pub(super) fn new(window: &Window, origins: &Origins, tracks: &[Track], volatility: &[f64]) -> Self {
        let count = origins.at.len();
        let (k, n) = (origins.k, window.len());
        let pending = k.div_ceil(origins.stride);
        let settling = SETTLING.min(count.saturating_sub(pending) / 2);
        let memory = (MEMORY.0.max(MEMORY.1 * k) / origins.stride).max(SETTLING) as f64;
        let least = 1e-9 + 1e-3 * volatility[n - 1];
        let mut records = vec![Record::default(); tracks.len()];
        let mut weights = vec![0.0; tracks.len()];
        let (mut blend, mut unshrunk) = (Record::default(), vec![f64::NAN; count]);
        let (mut points, mut scores) = (vec![f64::NAN; count], Scores::new(count, pending, origins.independent(1.0)));
        let mut own = Record::default();
        let mut due = 0;
        for (i, t) in origins.at.iter().enumerate() {
            while origins.at[due] + k <= *t {
                let origin = origins.at[due];
                if window.known[origin + k] && window.known[origin] {
                    let target = window.y[origin + k];
                    let naive = (target - window.y[origin]).abs();
                    for (record, track) in records.iter_mut().zip(tracks) {
                        record.add((target - track.values[due]).abs(), naive, memory);
                    }
                    blend.add((target - unshrunk[due]).abs(), naive, f64::INFINITY);
                    if points[due].is_finite() && due >= settling {
                        let error = target - points[due];
                        scores.add(error, points[due], volatility[origin]);
                        own.add(error.abs(), naive, memory);
                    }
                } else if window.known[origin]
                    && due >= settling
                    && let Some(value) = window.unlearned(origin + k)
                {
                    scores.tell(value, points[due], volatility[origin]);
                }
                due += 1;
            }
            for ((weight, record), track) in weights.iter_mut().zip(&records).zip(tracks) {
                let able = track.values[i].is_finite();
                *weight = if able { record.weight(track.prior, origins, least) } else { 0.0 };
            }
            let last = window.y[*t];
            let pooled = mean(&mut weights, tracks, i);
            // Where all of it did worse than the last value so far, the more of that the worse.
            let trust = if pooled.is_some() { blend.trust(origins, least) } else { 0.0 };
            for weight in &mut weights {
                *weight *= trust;
            }
            weights[0] += 1.0 - trust;
            unshrunk[i] = pooled.unwrap_or(last);
            points[i] = last + trust * (unshrunk[i] - last);
        }
        let now = count - 1;
        let opinion = |((track, weight), record): ((&Track, f64), &Record)| Opinion {
            name: track.name,
            value: track.values[now],
            weight,
            error: record.own,
        };
        let all = tracks.iter().zip(weights).zip(&records);
        let mut opinions: Vec<Opinion> = all.map(opinion).filter(|o| o.value.is_finite()).collect();
        opinions.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        scores.now(volatility[n - 1], volatility);
        Self { point: points[now], scores, opinions, errors: (own.count >= TELLING).then_some((own.own, own.naive)) }
    }
}

/// The weighted mean at origin `i`; makes the weights sum to 1. `None`, and weights of 0, when nobody has a weight.
fn mean(weights: &mut [f64], tracks: &[Track], i: usize) -> Option<f64> {
    let total: f64 = weights.iter().sum();
    if !(total > 0.0 && total.is_finite()) {
        weights.fill(0.0);
        return None;
    }
    let mut mean = 0.0;
    for (weight, track) in weights.iter_mut().zip(tracks) {
        *weight /= total;
        if *weight > 0.0 {
            mean += *weight * track.values[i];
        }
    }
    Some(mean)
}

/// How much the series moves from one step to the next, at every instant, from what lay before: never zero. Mostly
/// the slow mean; a burst makes the next steps uncertain, but by far less than in proportion.
pub(super) fn volatility(window: &Window) -> Vec<f64> {
    let (mut fast, mut slow, mut seen) = (0.0_f64, 0.0_f64, 0.0_f64);
    let mut level = window.y.first().copied().unwrap_or(0.0);
    let smallest = 1e-6;
    window
        .y
        .iter()
        .map(|v| {
            let move_ = (v - level).abs();
            level += 0.3 * (v - level);
            seen += 1.0;
            fast += 0.08_f64.max(1.0 / seen) * (move_ - fast);
            slow += 0.01_f64.max(1.0 / seen) * (move_ - slow);
            fast.max(smallest).powf(0.2) * slow.max(smallest).powf(0.8)
        })
        .collect()
}
