//! Whether each of many does less than each of a few: what all do together grows as a power of their number (a straight
//! line through the logarithms), where that says more than "all the same" and than a ceiling.

use crate::model::Scaling;
use std::collections::BTreeMap;

/// Counts that are needed, and how many times the least the largest must be.
const COUNTS: usize = 3;
const APART: f64 = 1.5;
/// Smallest bend that is told, and how many times its standard error it must be.
const BEND: f64 = 0.05;
const SURE: f64 = 3.0;
/// What is left around the line is taken to be this much at least: pods differ, and at some counts only slow ones had
/// work waiting.
const NOISE: f64 = 0.03;
/// The line must leave less than this share of what a ceiling leaves, and that more than noise.
const BETTER: f64 = 0.5;
/// Smallest power that is believed.
const LEAST: f64 = 0.2;

/// The power by which all together grow, from the rate of each at several counts, and the middle of those counts.
pub(super) fn fit(each: &BTreeMap<u32, f64>) -> Scaling {
    power(each).unwrap_or_default()
}

fn power(each: &BTreeMap<u32, f64>) -> Option<Scaling> {
    let known = each.iter().filter(|(n, rate)| **n > 0 && **rate > 0.0);
    let points: Vec<(f64, f64)> = known.map(|(n, rate)| (f64::from(*n).ln(), rate.ln())).collect();
    let (first, last) = (points.first()?.0, points.last()?.0);
    if points.len() < COUNTS || last - first < APART.ln() {
        return None;
    }
    let (x, y) = (mean(points.iter().map(|p| p.0)), mean(points.iter().map(|p| p.1)));
    let wide: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>() / wide;
    let left: f64 = points.iter().map(|p| (p.1 - y - slope * (p.0 - x)).powi(2)).sum();
    let noise = (left / (points.len() - 2) as f64).sqrt().max(NOISE);
    let beside = beside_a_ceiling(&points);
    let clearly = left < BETTER * beside && beside > NOISE.powi(2) * points.len() as f64;
    let told = -slope > BEND.max(SURE * noise / wide.sqrt()) && clearly;
    told.then(|| Scaling { exponent: (1.0 + slope).max(LEAST), of: x.exp().round() as u32 })
}

/// What is left, squared, where up to some count each does the same and beyond it all together do: the best of such.
fn beside_a_ceiling(points: &[(f64, f64)]) -> f64 {
    let left = |values: &[f64]| {
        let middle = mean(values.iter().copied());
        values.iter().map(|v| (v - middle).powi(2)).sum::<f64>()
    };
    let each: Vec<f64> = points.iter().map(|p| p.1).collect();
    let together: Vec<f64> = points.iter().map(|p| p.0 + p.1).collect();
    (0..=points.len()).map(|k| left(&each[..k]) + left(&together[k..])).fold(f64::INFINITY, f64::min)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len().max(1) as f64;
    values.sum::<f64>() / n
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: [u32; 6] = [4, 6, 8, 12, 20, 40];

    fn fitted(rate: impl Fn(f64) -> f64) -> Scaling {
        fit(&COUNTS.iter().map(|n| (*n, rate(f64::from(*n)))).collect())
    }

    #[test]
    fn a_power_is_told_from_equal_rates_and_from_a_ceiling() {
        let shared = fitted(|n| 1_000.0 * n.powf(-0.2));
        assert!((shared.exponent - 0.8).abs() < 1e-9 && shared.of == 11, "{shared:?}");
        assert!(fitted(|_| 1_000.0).is_linear());
        assert!(fitted(|n| 1_000.0_f64.min(12_000.0 / n)).is_linear(), "a ceiling at twelve");
        assert!(fitted(|n| 20_000.0 / n).is_linear(), "a ceiling below the fewest");
        assert!(fitted(|n| (20_000.0 + n) / n).is_linear(), "the same, not quite flat");
        // Pods that differ: seven per cent more or less at one count or another.
        let noise = |n: f64| 1_000.0 * (1.0 + 0.07 * (n * 2.7).sin());
        assert!(fitted(noise).is_linear(), "{:?}", fitted(noise));
        let noisy = fitted(|n| noise(n) * n.powf(-0.3));
        assert!((noisy.exponent - 0.7).abs() < 0.08, "{noisy:?}");
    }

    #[test]
    fn a_few_counts_that_are_near_each_other_tell_nothing() {
        let of = |counts: &[u32]| fit(&counts.iter().map(|n| (*n, 1_000.0 / f64::from(*n).sqrt())).collect());
        assert!(of(&[]).is_linear() && of(&[8, 16]).is_linear() && of(&[10, 11, 12]).is_linear());
        assert!(!of(&[6, 8, 12]).is_linear());
    }
}
