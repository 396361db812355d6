//! Quantiles from a forecast's own past errors (conformal prediction), in units of the volatility at their time.
//! Nothing is assumed about the shape of the errors; each level follows its own misses (adaptive conformal inference,
//! Gibbs & Candès 2021).

/// Step by which a level follows its misses.
const FOLLOW: f64 = 0.01;
/// Scores that must be known before a level is followed.
const FEW: usize = 20;
/// The present volatility counts at most this many times the usual one: in a burst the errors that are known would
/// otherwise be stretched beyond anything that was seen.
const WILDEST: f64 = 3.0;
/// Errors grow with the horizon to the power of this where it must be guessed: a random walk has 1/2, noise around a
/// level 0.
const GROWTH: f64 = 0.25;
/// The guess counts as this many independent errors.
const GUESS: f64 = 3.0;

/// Past errors at one horizon.
#[derive(Clone)]
pub(super) struct Scores {
    /// Errors in units of their volatility, oldest first.
    errors: Vec<f64>,
    /// How many scores later one is known: its target must have come to pass.
    pending: usize,
    /// Volatility now.
    scale: f64,
}

impl Scores {
    pub(super) fn new(capacity: usize, pending: usize) -> Self {
        Self { errors: Vec::with_capacity(capacity), pending, scale: 1.0 }
    }

    pub(super) fn add(&mut self, error: f64, volatility: f64) {
        self.errors.push(error / volatility);
    }

    pub(super) fn now(&mut self, volatility: f64, all: &[f64]) {
        self.scale = volatility.min(WILDEST * median(all.iter().copied()));
    }

    pub(super) fn len(&self) -> usize {
        self.errors.len()
    }

    /// Errors around the forecast at levels within 0–1.
    pub(super) fn quantiles(&self, levels: &[f64]) -> Vec<f64> {
        self.follow(levels).0
    }

    /// How often past quantiles, each from what was known at its time, were not exceeded; of how many.
    pub(super) fn below(&self, levels: &[f64]) -> (Vec<f64>, usize) {
        let (_, below, count) = self.follow(levels);
        (below.iter().map(|b| b / count.max(1) as f64).collect(), count)
    }

    /// The quantiles, how often past ones were not exceeded, and the number of those.
    fn follow(&self, levels: &[f64]) -> (Vec<f64>, Vec<f64>, usize) {
        let mut known: Vec<f64> = Vec::with_capacity(self.errors.len());
        let mut moved = levels.to_vec();
        let (mut held, mut count) = (vec![0.0; levels.len()], 0);
        for (i, score) in self.errors.iter().enumerate() {
            if known.len() >= FEW {
                for ((level, target), held) in moved.iter_mut().zip(levels).zip(&mut held) {
                    let below = f64::from(u8::from(at_level(&known, *level).is_some_and(|z| *score <= z)));
                    *level = (*level + FOLLOW * (target - below)).clamp(0.001, 0.999);
                    *held += below;
                }
                count += 1;
            }
            if let Some(old) = i.checked_sub(self.pending) {
                let score = self.errors[old];
                known.insert(known.partition_point(|s| *s < score), score);
            }
        }
        known.clone_from(&self.errors);
        known.sort_by(f64::total_cmp);
        let values = moved.iter().map(|level| self.scale * at_level(&known, *level).unwrap_or(0.0)).collect();
        (values, held, count)
    }

    /// Takes scores from a horizon `times` shorter, made larger, where there are too few at this one; of its own
    /// `independent` are worth counting.
    pub(super) fn borrow(&mut self, shorter: &Self, times: f64, independent: f64) {
        let guess = times.powf(GROWTH).ln();
        let size = |s: &Self| median(s.errors.iter().map(|v| v.abs()));
        let seen = (size(self) / size(shorter)).ln();
        let growth =
            if seen.is_finite() { (seen * independent + guess * GUESS) / (independent + GUESS) } else { guess };
        self.errors.splice(0..0, shorter.errors.iter().map(|s| s * growth.exp()));
    }
}

/// The value at a level of a sorted list, between its neighbours; `None` when it is empty.
pub(super) fn at_level(sorted: &[f64], level: f64) -> Option<f64> {
    let rank = (level * (sorted.len() + 1) as f64 - 1.0).clamp(0.0, sorted.len().saturating_sub(1) as f64);
    let (low, share) = (rank.floor() as usize, rank.fract());
    let (a, b) = (*sorted.get(low)?, *sorted.get(low + 1).or(sorted.last())?);
    Some(a + share * (b - a))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(1.0)
}
