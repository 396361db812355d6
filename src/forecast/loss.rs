//! Where the loss of a training run is going: a power law with a floor, `L(s) = a + b·s^-c`, as learning curves have it
//! (Hestness et al. 2017, arXiv:1712.00409; Kaplan et al. 2020, arXiv:2001.08361).
//!
//! For a given exponent the law is a straight line in `s^-c`: it is fitted by least absolute errors (spikes of a loss are
//! common, and squares would follow them), and the exponent is the one of a grid that leaves the least.

use crate::model::{LossFit, si};

/// Points of a curve below which nothing is fitted.
const LEAST: usize = 16;
/// The newest step over the oldest one, at least: a sliver of a curve says nothing about its end.
const SPAN: f64 = 1.5;
/// Exponents that are tried first, from and to; those of real curves lie within.
const EXPONENTS: (f64, f64) = (0.05, 3.0);
/// How many are tried in one round.
const TRIED: usize = 32;
/// Rounds of reweighting: each brings least squares nearer to least absolute errors.
const ROUNDS: usize = 6;
/// Losses beyond it are no losses.
const HUGE: f64 = 1e100;

/// Fits the loss by its steps, `(step, loss)` with the steps rising. The error is a sentence that says what is missing.
///
/// Multiplying the losses or the steps by a constant multiplies the fitted curve by it.
///
/// ```
/// use highwater::forecast::loss_curve;
/// let points: Vec<(f64, f64)> = (1..=40).map(|i| f64::from(i) * 100.0).map(|s| (s, 1.6 + 9.0 * s.powf(-0.4))).collect();
/// let fit = loss_curve(&points).unwrap();
/// assert!((fit.at(20_000.0) - (1.6 + 9.0 * 20_000_f64.powf(-0.4))).abs() < 0.01, "{fit:?}");
/// assert!(loss_curve(&points[..9]).unwrap_err().contains("not enough history"));
/// ```
pub fn loss_curve(points: &[(f64, f64)]) -> Result<LossFit, String> {
    let usable = |(step, loss): &&(f64, f64)| *step > 0.0 && step.is_finite() && loss.abs() < HUGE; // NaN is not below it
    let points: Vec<(f64, f64)> = points.iter().filter(usable).copied().collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Err("not enough history: no step with its loss was seen yet".to_owned());
    };
    if points.len() < LEAST {
        return Err(format!("not enough history: {} points of its loss, {LEAST} are needed", points.len()));
    }
    if last.0 < SPAN * first.0 {
        let (from, to, need) = (si(first.0), si(last.0), si(SPAN * first.0));
        return Err(format!("not enough history: seen from step {from} to {to}, needed up to {need}"));
    }
    let mut fit = law(&points).ok_or("its loss does not fall: there is no end to fit")?;
    // As if the last quarter had not been seen: how far off would this have been?
    let (early, late) = points.split_at(points.len() * 3 / 4);
    let missed = |f: LossFit| late.iter().map(|(s, l)| (f.at(*s) - l).abs()).sum::<f64>() / late.len() as f64;
    fit.missed = law(early).map(missed).filter(|m| m.is_finite());
    Ok(fit)
}

/// The law with the exponent that leaves the least; `None`: the loss does not fall.
fn law(points: &[(f64, f64)]) -> Option<LossFit> {
    let reference = points.last()?.0;
    let range = points.iter().fold((HUGE, -HUGE), |(low, high), (_, l)| (l.min(low), l.max(high)));
    let spread = range.1 - range.0;
    let tried = |from: f64, to: f64| {
        let exponents = (0..TRIED).map(|i| from * (to / from).powf(i as f64 / (TRIED - 1) as f64));
        let all = exponents.filter_map(|c| line(points, reference, c, spread));
        all.min_by(|a, b| a.1.total_cmp(&b.1))
    };
    let coarse = tried(EXPONENTS.0, EXPONENTS.1)?.0.exponent;
    let next = (EXPONENTS.1 / EXPONENTS.0).powf(1.0 / (TRIED - 1) as f64);
    let (fit, _) = tried(coarse / next, coarse * next)?;
    (fit.left > 1e-9 * spread).then_some(fit)
}

/// The straight line in `(step / reference)^-exponent` that leaves the least absolute errors, and what it leaves.
fn line(points: &[(f64, f64)], reference: f64, exponent: f64, spread: f64) -> Option<(LossFit, f64)> {
    let points: Vec<(f64, f64)> = points.iter().map(|(s, l)| ((s / reference).powf(-exponent), *l)).collect();
    let smallest = 1e-6 * spread.max(f64::MIN_POSITIVE);
    let mut weights = vec![1.0; points.len()];
    let (mut floor, mut left) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        let all: f64 = weights.iter().sum();
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().zip(&weights).map(|(p, w)| w * of(p)).sum::<f64>() / all;
        let (x, y) = (mean(|p| p.0), mean(|p| p.1));
        let (mut xx, mut xy) = (0.0, 0.0);
        for (p, w) in points.iter().zip(&weights) {
            xx += w * (p.0 - x).powi(2);
            xy += w * (p.0 - x) * (p.1 - y);
        }
        left = xy / xx;
        floor = y - left * x;
        for (p, w) in points.iter().zip(&mut weights) {
            *w = 1.0 / (floor + left * p.0 - p.1).abs().max(smallest);
        }
    }
    let error: f64 = points.iter().map(|(x, y)| (floor + left * x - y).abs()).sum();
    let fit = LossFit { floor, left, exponent, step: reference, missed: None };
    (floor.is_finite() && left.is_finite() && error.is_finite()).then_some((fit, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A curve of 60 points with a little noise, from step 100 on.
    fn curve(floor: f64, scale: f64, exponent: f64, noise: &[f64]) -> Vec<(f64, f64)> {
        let at = |i: usize| 100.0 * (1 + i) as f64;
        (0..60).map(|i| (at(i), floor + scale * at(i).powf(-exponent) * (1.0 + noise[i % noise.len()]))).collect()
    }

    #[test]
    fn spikes_do_not_bend_the_curve() {
        let mut points = curve(1.7, 12.0, 0.45, &[0.0]);
        for i in [13, 31, 32, 47] {
            points[i].1 *= 4.0;
        }
        let fit = loss_curve(&points).unwrap();
        let truth = 1.7 + 12.0 * 60_000_f64.powf(-0.45);
        assert!((fit.at(60_000.0) - truth).abs() < 0.02, "{} against {truth}", fit.at(60_000.0));
        assert!(fit.missed.is_some_and(f64::is_finite));
    }

    #[test]
    fn what_does_not_fall_or_was_hardly_seen_has_no_end() {
        let why = |points: Vec<(f64, f64)>| loss_curve(&points).unwrap_err();
        assert!(why((1..50).map(|i| (f64::from(i), 2.0)).collect()).contains("does not fall"));
        assert!(why((1..50).map(|i| (f64::from(i), f64::from(i))).collect()).contains("does not fall"));
        let sliver = (0..200).map(|i| 18_200.0 + f64::from(i)).map(|s| (s, 1.0 + 1.0 / s)).collect();
        assert_eq!(why(sliver), "not enough history: seen from step 18.2k to 18.4k, needed up to 27.3k");
        assert!(why(vec![(1.0, f64::NAN); 99]).contains("not enough history"));
        assert!(why(Vec::new()).contains("not enough history"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn whatever_the_points_are_the_curve_is_finite(
            points in prop::collection::vec((prop::num::f64::ANY, prop::num::f64::ANY), 0..80),
        ) {
            let mut points = points;
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            if let Ok(fit) = loss_curve(&points) {
                prop_assert!(fit.at(fit.step).is_finite() && fit.at(2.0 * fit.step).is_finite(), "{fit:?}");
                prop_assert!(fit.missed.is_none_or(f64::is_finite));
            }
        }

        #[test]
        fn other_units_of_loss_and_steps_give_the_same_curve(
            floor in 0.0..3.0_f64, scale in 2.0..20.0_f64, exponent in 0.2..1.2_f64,
            noise in prop::collection::vec(-0.05..0.05_f64, 7), (k, m) in (0.001..1_000.0_f64, 0.01..100.0_f64),
        ) {
            let points = curve(floor, scale, exponent, &noise);
            let other: Vec<(f64, f64)> = points.iter().map(|(s, l)| (s * m, l * k)).collect();
            let (a, b) = (loss_curve(&points).unwrap(), loss_curve(&other).unwrap());
            let (x, y) = (a.at(30_000.0) * k, b.at(30_000.0 * m));
            prop_assert!((x - y).abs() <= 1e-3 * x.abs().max(y.abs()).max(k), "{x} against {y}");
        }
    }
}
