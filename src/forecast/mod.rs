//! History in, quantile paths out. Pure and deterministic; no panic of a library escapes.

use crate::model::{Forecast, Grid, Quantiles, Time};

/// Fewest values that a forecast needs.
const FEWEST: usize = 10;

/// Quantile paths of a series over `horizon` seconds, on the grid's step, from the first step after `now` on.
///
/// Nothing after `now` is looked at. The error is a sentence that says what is missing. Values of the grid that are
/// negative or not finite count as gaps.
pub fn forecast(history: &Grid, now: Time, horizon: f64) -> Result<Forecast, String> {
    if !(history.step > 0.0 && horizon > 0.0 && history.step.is_finite() && horizon.is_finite()) {
        return Err(format!(
            "a forecast needs a step and a horizon above zero, not {} s and {horizon} s",
            history.step
        ));
    }
    let step = history.step;
    let seen: Vec<f64> = (0..history.values.len())
        .take_while(|i| history.at(*i) <= now)
        .filter_map(|i| history.values[i].filter(|v| v.is_finite() && *v >= 0.0))
        .collect();
    if seen.len() < FEWEST {
        return Err(format!(
            "{} of history; {} are needed",
            span(seen.len() as f64 * step),
            span(FEWEST as f64 * step)
        ));
    }
    let last = seen[seen.len() - 1];
    let steps = (horizon / step).ceil() as usize;
    let points = (1..=steps).map(|k| {
        let lag = k.min(seen.len() / 2);
        let mut changes: Vec<f64> = seen.windows(lag + 1).map(|w| w[lag] - w[0]).collect();
        changes.sort_by(f64::total_cmp);
        let at = |q: f64| (last + changes[(q * (changes.len() - 1) as f64).round() as usize]).max(0.0);
        Quantiles { t: now.plus(k as f64 * step), p10: at(0.1), p50: at(0.5), p80: at(0.8), p95: at(0.95) }
    });
    Ok(Forecast {
        at: now,
        step,
        points: points.collect(),
        model: "last value".to_owned(),
        weights: vec![("last value".to_owned(), 1.0)],
        relative_error: None,
        warnings: Vec::new(),
    })
}

/// `90 s`, `12 minutes`, `5 hours`, for sentences.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} minutes", s / 60.0),
        s => format!("{:.0} hours", s / 3_600.0),
    }
}
