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

    /// Sum of the observations, seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Number of observations.
    pub fn count(&self) -> f64 {
        self.count
    }
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
    }
}
