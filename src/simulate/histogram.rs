//! Cumulative histograms as exporters keep them.

/// A Prometheus histogram of durations: cumulative counts at upper bounds, sum and count.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    /// Observations at or below each bound; fractional: a fluid model.
    cumulative: Vec<f64>,
    sum: f64,
    count: f64,
}

impl Histogram {
    /// Nothing observed yet. `bounds` in seconds, rising, without `+Inf`.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, cumulative: vec![0.0; bounds.len()], sum: 0.0, count: 0.0 }
    }

    /// `count` observations spread log-normally around `mean` seconds with standard deviation `sigma` of the logarithm.
    pub fn observe(&mut self, count: f64, mean: f64, sigma: f64) {
        if !(count > 0.0 && mean > 0.0) {
            return;
        }
        let mu = mean.ln() - sigma * sigma / 2.0;
        for (bound, below) in self.bounds.iter().zip(&mut self.cumulative) {
            *below += count * normal_cdf((bound.ln() - mu) / sigma);
        }
        self.sum += count * mean;
        self.count += count;
    }

    /// Upper bounds with the observations at or below each.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.bounds.iter().copied().zip(self.cumulative.iter().copied())
    }

    /// What came since `before`, the same histogram at an earlier time.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let counts = self.cumulative.iter().zip(&before.cumulative).map(|(now, then)| (now - then).max(0.0));
        Self {
            bounds: self.bounds,
            cumulative: counts.collect(),
            sum: (self.sum - before.sum).max(0.0),
            count: (self.count - before.count).max(0.0),
        }
    }

    /// PromQL's `histogram_quantile`: linear inside a bucket, the highest bound beyond it. `None` without observations.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = q * self.count;
        if !(self.count > 0.0 && rank.is_finite()) {
            return None;
        }
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, at_or_below) in self.buckets() {
            if at_or_below >= rank {
                let inside = (at_or_below - below).max(f64::MIN_POSITIVE);
                return Some(low + (bound - low) * ((rank - below) / inside).clamp(0.0, 1.0));
            }
            (low, below) = (bound, at_or_below);
        }
        Some(low)
    }

    /// Sum of the observations, seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Number of observations.
    pub fn count(&self) -> f64 {
        self.count
    }
}

/// Share of log-normal values with this mean, and standard deviation `sigma` of the logarithm, above `limit`.
pub fn share_above(limit: f64, mean: f64, sigma: f64) -> f64 {
    if !(limit > 0.0 && mean > 0.0) {
        return 0.0;
    }
    1.0 - normal_cdf((limit.ln() - mean.ln() + sigma * sigma / 2.0) / sigma)
}

/// The standard normal distribution function, by its logistic approximation (error below 0.0002; Bowling et al. 2009).
fn normal_cdf(x: f64) -> f64 {
    1.0 / (1.0 + (-(0.07056 * x * x * x + 1.5976 * x)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_come_out_where_they_were_put() {
        let mut histogram = Histogram::new(&[0.1, 0.2, 0.4, 0.8, 1.6]);
        histogram.observe(1000.0, 0.4, 0.5);
        histogram.observe(0.0, 3.0, 0.5);
        let below: Vec<f64> = histogram.buckets().map(|(_, n)| n).collect();
        assert!(below.windows(2).all(|w| w[0] <= w[1]) && below[4] <= histogram.count(), "{below:?}");
        let half = below[2] / histogram.count(); // the mean of this log-normal is its 60th percentile
        assert!((0.58..0.62).contains(&half), "{half}");
        assert!((histogram.sum() / histogram.count() - 0.4).abs() < 1e-9);
        let before = histogram.clone();
        histogram.observe(500.0, 0.1, 0.2);
        let late = histogram.since(&before);
        assert!(late.quantile(0.95).is_some_and(|q| (0.1..0.2).contains(&q)), "{:?}", late.quantile(0.95));
        assert_eq!(before.since(&before).quantile(0.95), None);
        assert!((share_above(0.4, 0.4, 0.5) - 0.40).abs() < 0.01);
    }
}
