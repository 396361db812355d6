//! Bursts: rises that no shape of a day explains.

use super::{MINUTE, quantile};

/// A burst in the past: logarithm over the calm level and fewest minutes; minutes on either side whose median is the
/// calm level, and minutes that share it.
const PAST: (f64, usize) = (0.25, 2);
const AROUND: (usize, usize) = (30, 10);
/// A burst now opens above the first and ends below the second logarithm over the slow level.
const OPENS: f64 = 0.22;
const ENDS: f64 = 0.12;
/// Seconds that the level in a burst is averaged over.
pub(super) const HALF: f64 = 30.0;
/// Quantile of past heights and lengths that a coming burst is expected with.
pub(super) const USUAL: f64 = 0.6;
/// How much longer a burst lasts: weights, quantiles of what was left of longer ones, and seconds where too few were.
const LEFT: [(f64, f64, f64); 3] = [(0.35, 0.2, 180.0), (0.35, 0.5, 420.0), (0.3, 0.85, 900.0)];
/// Quantiles, among the heights of higher ones, of what each of these rises to.
const RISES: [f64; 3] = [0.3, 0.6, 0.85];

/// One way how a burst goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// How likely; the weights of all ways sum to 1.
    pub weight: f64,
    /// Seconds that it still lasts.
    pub left: f64,
    /// Factor over the calm paths.
    pub factor: f64,
}

/// Bursts of the past.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Past {
    /// How many begin in a second.
    pub(super) per_second: f64,
    /// Seconds and logarithms of the heights.
    pub(super) lengths: Vec<f64>,
    pub(super) heights: Vec<f64>,
}

impl Past {
    pub(super) fn of(departures: &[f64]) -> Self {
        let (around, block) = AROUND;
        let (mut found, mut run) = (Vec::new(), (0_usize, 0.0_f64));
        for (b, part) in departures.chunks(block).enumerate() {
            let middle = b * block + block / 2;
            let near = &departures[middle.saturating_sub(around)..(middle + around).min(departures.len())];
            let mut near: Vec<f64> = near.iter().copied().filter(|x| x.is_finite()).collect();
            let calm = quantile(&mut near, 0.5);
            for x in part {
                // Once begun, a burst goes on while a good part of it is left.
                let limit = if run.0 > 0 { ENDS } else { PAST.0 };
                if *x - calm > limit {
                    run = (run.0 + 1, run.1 + (x - calm));
                } else if run.0 > 0 {
                    found.push(run);
                    run = (0, 0.0);
                }
            }
        }
        found.retain(|(length, _)| (PAST.1..=2 * around).contains(length));
        let known = departures.iter().filter(|x| x.is_finite()).count() as f64 * MINUTE;
        Self {
            per_second: found.len() as f64 / known.max(1.0),
            lengths: found.iter().map(|(length, _)| *length as f64 * MINUTE).collect(),
            heights: found.iter().map(|(length, sum)| sum / *length as f64).collect(),
        }
    }

    /// How the burst that is on may go on, if one is: `over` is the newest level over the slow one, `minutes` those of the
    /// last minutes, newest first.
    pub(super) fn open(&self, minutes: impl Iterator<Item = f64>, over: f64) -> Vec<Burst> {
        if over <= ENDS {
            return Vec::new();
        }
        let (mut length, mut highest) = (0_u32, over);
        for x in minutes.take_while(|x| *x > ENDS) {
            (length, highest) = (length + 1, highest.max(x));
        }
        if highest <= OPENS {
            return Vec::new();
        }
        let elapsed = f64::from(length) * MINUTE;
        let mut longer: Vec<f64> = self.lengths.iter().map(|l| l - elapsed).filter(|l| *l > HALF).collect();
        let mut higher: Vec<f64> = self.heights.iter().copied().filter(|h| *h > over).collect();
        // In its first minute a burst still rises: it is taken to become as high as those that were higher.
        let rises = length <= 1 && higher.len() >= 3;
        let way = |((weight, share, assumed), height): ((f64, f64, f64), f64)| {
            let left = if longer.len() >= 3 { quantile(&mut longer, share) } else { assumed };
            let height = if rises { quantile(&mut higher, height) } else { over };
            Burst { weight, left, factor: height.exp() }
        };
        LEFT.into_iter().zip(RISES).map(way).collect()
    }
}
