//! The futures that are planned for: quantile paths in quiet times, and how a burst opens or lasts.

use super::{Problem, SLOT, piles::Pile};

/// Weights of the median and the p80 path.
const QUIET: [f64; 2] = [0.6, 0.4];
/// Most weight that a burst which has not begun gets.
const BURST_MOST: f64 = 0.2;
/// A burst that begins within a start-up and this many seconds cannot be waited for.
const BURST_SOON: f64 = 30.0;

/// One future.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scenario {
    pub weight: f64,
    /// Demand per slot, in replicas.
    pub slots: Vec<f64>,
    /// Mean demand per stage, in replicas.
    pub stages: Vec<f64>,
    /// What becomes of what waits, by number of the count; empty: nothing stays with a few members.
    pub piles: Vec<Pile>,
}

impl Scenario {
    pub fn peak(&self) -> f64 {
        self.slots.iter().copied().fold(0.0, f64::max)
    }
}

/// The futures of a problem over `stages` stages of `per_stage` slots; the weights sum to 1. `rate` is one replica's.
pub(super) fn scenarios(problem: &Problem<'_>, rate: f64, stages: usize, per_stage: usize) -> Vec<Scenario> {
    let slots = stages * per_stage;
    let high = path(problem.demand, problem.step, rate, slots);
    let middle = if problem.middle.is_empty() { None } else { Some(path(problem.middle, problem.step, rate, slots)) };
    let mut all: Vec<(f64, Vec<f64>)> = Vec::with_capacity(5);
    let Some(middle) = middle else { return vec![scenario(1.0, high, per_stage)] };
    if let Some(now) = problem.bursts.and_then(|b| b.now.as_ref()) {
        let calm = now.calm.map(|calm| clean(calm) / rate);
        for (weight, left, factor) in &now.ways {
            let factor = clean(*factor).max(1.0);
            let lasts = (left / SLOT).round().max(0.0) as usize;
            let slot = |(i, v): (usize, &f64)| match calm {
                None if i < lasts => v * factor,
                None => *v,
                Some(calm) if i < lasts => v.max(calm * factor),
                Some(calm) => v.min(calm),
            };
            all.push((*weight, middle.iter().enumerate().map(slot).collect()));
        }
    } else {
        let begins = problem
            .bursts
            .map_or(0.0, |b| (b.per_second * (clean(problem.capacity.start_up) + BURST_SOON)).clamp(0.0, BURST_MOST));
        if let Some(burst) = problem.bursts.filter(|_| begins > 0.0) {
            let lasts = (burst.lasts / SLOT).round().max(1.0) as usize;
            let slot = |(i, v): (usize, &f64)| if i < lasts { v * burst.factor } else { *v };
            all.push((begins, middle.iter().enumerate().map(slot).collect()));
        }
        all.push((QUIET[0] * (1.0 - begins), middle));
        all.push((QUIET[1] * (1.0 - begins), high));
    }
    let total: f64 = all.iter().map(|(weight, _)| weight).sum();
    all.into_iter().map(|(weight, slots)| scenario(weight / total, slots, per_stage)).collect()
}

fn scenario(weight: f64, slots: Vec<f64>, per_stage: usize) -> Scenario {
    let stages = slots.chunks(per_stage).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect();
    Scenario { weight, slots, stages, piles: Vec::new() }
}

/// A path on slots, in replicas; what lies beyond its end is its last value.
fn path(values: &[f64], step: f64, rate: f64, slots: usize) -> Vec<f64> {
    let last = values.len().saturating_sub(1);
    let value = |slot: usize| {
        let from = ((slot as f64 * SLOT / step) as usize).min(last);
        let to = (((slot + 1) as f64 * SLOT / step) as usize).clamp(from + 1, last.max(from) + 1);
        let part = values.get(from..to).unwrap_or_default();
        part.iter().map(|v| clean(*v)).sum::<f64>() / part.len().max(1) as f64 / rate
    };
    (0..slots).map(value).collect()
}

/// Values that are no demand count as none.
pub(super) fn clean(x: f64) -> f64 {
    if x.is_finite() { x.max(0.0) } else { 0.0 }
}
