//! The weighted mean of the members at one horizon, and its quantiles, both from a rolling backtest within the window.
//!
//! Every past instant is an origin once its target has come to pass. The weights at an origin rest on the errors known
//! by then, and so do the quantiles (conformal prediction: the forecast's own past errors, in units of the volatility
//! at their time). Nothing is assumed about the shape of the errors.

use super::{members::Track, window::Window};

/// Origins that are looked back on.
const ORIGINS: usize = 800;
/// First origins that are learned from but not scored: the members' records are still empty. At most a third of all.
const SETTLING: usize = 24;
/// The present volatility counts at most this many times the usual one: in a burst the errors that are known would
/// otherwise be stretched beyond anything that was seen.
const WILDEST: f64 = 3.0;
/// Weight of a member: its mean absolute error to the power of minus this.
const POWER: i32 = 6;
/// Share of the newest error in a member's mean error, once there are enough.
const FORGET: f64 = 0.01;
/// Errors that a member must have shown before it is weighed.
const PROBATION: f64 = 3.0;
/// Step by which a quantile's level follows its own misses (adaptive conformal inference, Gibbs & Candès 2021).
const FOLLOW: f64 = 0.01;

/// The pool at one horizon.
pub(super) struct Pooled {
    /// The forecast, before quantiles.
    point: f64,
    /// Volatility now.
    scale: f64,
    /// Errors of past origins in units of their volatility, oldest first.
    pub(super) scores: Vec<f64>,
    /// How many steps an origin must be old for its score to be known.
    delay: usize,
    ceiling: f64,
    /// Members with their weights; they sum to 1.
    pub(super) weights: Vec<(&'static str, f64)>,
    /// Mean absolute error of the pool and of the last value, on the same origins.
    pub(super) errors: Option<(f64, f64)>,
}

/// Mean absolute error so far of one member.
#[derive(Clone, Copy, Default)]
struct Record {
    count: f64,
    loss: f64,
}

impl Record {
    fn add(&mut self, error: f64) {
        if error.is_finite() {
            self.count += 1.0;
            self.loss += FORGET.max(1.0 / self.count) * (error - self.loss);
        }
    }

    fn weight(&self, least: f64) -> f64 {
        if self.count < PROBATION { 0.0 } else { (self.loss + least).powi(-POWER) }
    }
}

impl Pooled {
    /// Pools tracks at `k` steps; `volatility` is one number above zero per instant.
    pub(super) fn new(window: &Window, tracks: &[Track], volatility: &[f64], k: usize) -> Self {
        let n = window.len();
        let first = n.saturating_sub(ORIGINS + k);
        let settling = SETTLING.min(n.saturating_sub(first + k) / 3);
        let least = 1e-9 + 1e-3 * volatility[n - 1];
        let mut records = vec![Record::default(); tracks.len()];
        let mut weights = vec![0.0; tracks.len()];
        let (mut points, mut scores) = (vec![f64::NAN; n], Vec::with_capacity(ORIGINS));
        let (mut own, mut naive) = (Record::default(), Record::default());
        for t in first..n {
            if t >= first + k && window.known[t] && window.known[t - k] {
                let (target, origin) = (window.y[t], t - k);
                for (record, track) in records.iter_mut().zip(tracks) {
                    record.add((target - track.values[origin]).abs());
                }
                let error = target - points[origin];
                if error.is_finite() && origin >= first + settling {
                    scores.push(error / volatility[origin]);
                    own.add(error.abs());
                    naive.add((target - window.y[origin]).abs());
                }
            }
            points[t] = mean_at(tracks, &records, t, least, &mut weights).unwrap_or(window.y[t]);
        }
        let mut named: Vec<(&str, f64)> =
            tracks.iter().map(|t| t.name).zip(weights).filter(|(_, w)| *w > 0.0).collect();
        if named.is_empty() {
            named.push(("last value", 1.0));
        }
        named.sort_by(|a, b| b.1.total_cmp(&a.1));
        Self {
            point: points[n - 1],
            scale: volatility[n - 1].min(WILDEST * median(volatility)),
            scores,
            delay: k,
            ceiling: window.ceiling,
            weights: named,
            errors: (own.count >= 10.0).then_some((own.loss, naive.loss)),
        }
    }

    /// Values at levels within 0–1, in the window's units. Each level follows its own misses: where the last origins
    /// fell below it too rarely or too often, it is moved.
    pub(super) fn quantiles(&self, levels: &[f64]) -> Vec<f64> {
        let mut known: Vec<f64> = Vec::with_capacity(self.scores.len());
        let mut moved = levels.to_vec();
        for (i, score) in self.scores.iter().enumerate() {
            if known.len() >= 20 {
                for (level, target) in moved.iter_mut().zip(levels) {
                    let below = at_level(&known, *level).is_some_and(|z| *score <= z);
                    *level = (*level + FOLLOW * (target - f64::from(u8::from(below)))).clamp(0.001, 0.999);
                }
            }
            // A score is known only once its target has come to pass.
            if let Some(old) = i.checked_sub(self.delay) {
                let score = self.scores[old];
                known.insert(known.partition_point(|s| *s < score), score);
            }
        }
        known.clone_from(&self.scores);
        known.sort_by(f64::total_cmp);
        let value = |level: f64| self.point + self.scale * at_level(&known, level).unwrap_or(0.0);
        moved.iter().map(|level| value(*level).clamp(0.0, self.ceiling)).collect()
    }

    /// Takes scores from a shorter horizon where there are too few at this one, `factor` times as large.
    pub(super) fn borrow(&mut self, scores: &[f64], factor: f64) {
        self.scores.splice(0..0, scores.iter().map(|s| s * factor));
    }
}

/// The weighted mean of the members that have an opinion at `t`; fills their weights.
fn mean_at(tracks: &[Track], records: &[Record], t: usize, least: f64, weights: &mut [f64]) -> Option<f64> {
    let mut total = 0.0;
    for ((weight, record), track) in weights.iter_mut().zip(records).zip(tracks) {
        *weight = if track.values[t].is_finite() { record.weight(least) } else { 0.0 };
        total += *weight;
    }
    if !(total > 0.0 && total.is_finite()) {
        weights.fill(0.0);
        return None;
    }
    let mut mean = 0.0;
    for (weight, track) in weights.iter_mut().zip(tracks) {
        *weight /= total;
        if *weight > 0.0 {
            mean += *weight * track.values[t];
        }
    }
    Some(mean)
}

/// The value at a level of a sorted list, between its neighbours; `None` when it is empty.
fn at_level(sorted: &[f64], level: f64) -> Option<f64> {
    let rank = (level * (sorted.len() + 1) as f64 - 1.0).clamp(0.0, sorted.len().saturating_sub(1) as f64);
    let (low, share) = (rank.floor() as usize, rank.fract());
    let (a, b) = (*sorted.get(low)?, *sorted.get(low + 1).or(sorted.last())?);
    Some(a + share * (b - a))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(1.0)
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
