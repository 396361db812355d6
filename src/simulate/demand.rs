//! How much arrives: a day's shape, surges at known times, bursts at random ones, noise.

use super::{Random, STEP};
use std::f64::consts::TAU;

/// Seconds in a day.
const DAY: f64 = 86_400.0;

/// A rise of demand at a known time: a nightly batch upload, a campaign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surge {
    /// When it begins, seconds on the axis of [`Demand::rate`].
    pub start: f64,
    /// Seconds from its beginning to its height, and again from its height to its end.
    pub ramp: f64,
    /// Seconds at its height.
    pub hold: f64,
    /// What demand is multiplied by at its height.
    pub factor: f64,
    /// Seconds from one to the next; 0: once.
    pub every: f64,
}

impl Surge {
    /// The multiplier at an instant: 1 outside.
    pub fn factor_at(&self, t: f64) -> f64 {
        let mut since = t - self.start;
        if self.every > 0.0 {
            since = since.rem_euclid(self.every);
        }
        let length = 2.0 * self.ramp + self.hold;
        if !(0.0..length).contains(&since) {
            return 1.0;
        }
        let edge = since.min(length - since);
        let height = if self.ramp > 0.0 { (edge / self.ramp).min(1.0) } else { 1.0 };
        // A smooth step: real uploads start with a few clients.
        1.0 + (self.factor - 1.0) * height * height * (3.0 - 2.0 * height)
    }
}

/// What demand looks like. Rates are per second.
#[derive(Clone, Debug, PartialEq)]
pub struct DemandSettings {
    /// Mean without surges and bursts.
    pub mean: f64,
    /// Height of the daily wave, as a share of the mean (0.5: from half to one and a half times).
    pub daily: f64,
    /// When the daily wave is highest, seconds on the axis of [`Demand::rate`].
    pub peak: f64,
    /// Rises at known times.
    pub surges: Vec<Surge>,
    /// Random bursts per day.
    pub bursts: f64,
    /// Range of a burst's factor.
    pub burst_factor: (f64, f64),
    /// Range of a burst's length, seconds.
    pub burst_length: (f64, f64),
    /// Standard deviation of the noise (of the logarithm).
    pub noise: f64,
    /// How long noise remembers itself, seconds.
    pub noise_memory: f64,
    /// Growth per day as a factor (1.1: ten per cent more each day).
    pub growth: f64,
}

impl Default for DemandSettings {
    /// A steady 1000/s with a little noise.
    fn default() -> Self {
        Self {
            mean: 1000.0,
            daily: 0.0,
            peak: 0.0,
            surges: Vec::new(),
            bursts: 0.0,
            burst_factor: (1.6, 2.2),
            burst_length: (300.0, 900.0),
            noise: 0.03,
            noise_memory: 60.0,
            growth: 1.0,
        }
    }
}

/// Demand as it unfolds. Ask for each step once, in order.
#[derive(Clone, Debug)]
pub struct Demand {
    settings: DemandSettings,
    random: Random,
    noise: f64,
    /// How much of the noise is left after a step, and how much is new.
    keep: f64,
    fresh: f64,
    burst: Option<(f64, Surge)>,
}

impl Demand {
    /// Demand of `settings` with the chances of `seed`.
    pub fn new(settings: DemandSettings, seed: u64) -> Self {
        let keep = if settings.noise_memory > 0.0 { (-STEP / settings.noise_memory).exp() } else { 0.0 };
        let fresh = settings.noise * (1.0 - keep * keep).sqrt();
        Self { settings, random: Random::new(seed), noise: 0.0, keep, fresh, burst: None }
    }

    /// What would arrive per second at `t` (seconds) without chance.
    pub fn expected(&self, t: f64) -> f64 {
        let s = &self.settings;
        let wave = 1.0 + s.daily * (TAU * (t - s.peak) / DAY).cos();
        let growth = s.growth.powf(t / DAY);
        let surges: f64 = s.surges.iter().map(|surge| surge.factor_at(t)).product();
        s.mean * wave.max(0.0) * growth * surges
    }

    /// What arrives per second in the step at `t` (seconds); finite and not negative.
    pub fn rate(&mut self, t: f64) -> f64 {
        if self.settings.noise > 0.0 {
            self.noise = self.noise * self.keep + self.fresh * self.random.normal();
        }
        let burst = if self.settings.bursts > 0.0 { self.burst_at(t) } else { 1.0 };
        self.expected(t) * self.noise.exp() * burst
    }

    fn burst_at(&mut self, t: f64) -> f64 {
        if let Some((end, burst)) = self.burst {
            if t < end {
                return burst.factor_at(t);
            }
            self.burst = None;
        }
        if self.random.unit() < self.settings.bursts * STEP / DAY {
            let ((low, high), (short, long)) = (self.settings.burst_factor, self.settings.burst_length);
            let factor = self.random.between(low, high);
            let length = self.random.between(short, long);
            let ramp = length / 10.0;
            let burst = Surge { start: t, ramp, hold: length - 2.0 * ramp, factor, every: 0.0 };
            self.burst = Some((t + length, burst));
        }
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surge_rises_holds_and_ends() {
        let surge = Surge { start: 100.0, ramp: 10.0, hold: 80.0, factor: 3.0, every: 1000.0 };
        let seen = [99.0, 105.0, 150.0, 200.0, 1150.0].map(|t| (surge.factor_at(t) * 1e6).round() / 1e6);
        assert_eq!(format!("{seen:?}"), "[1.0, 2.0, 3.0, 1.0, 3.0]");
    }

    #[test]
    fn a_day_has_its_mean_its_peak_and_its_bursts() {
        let settings =
            DemandSettings { mean: 100.0, daily: 0.5, peak: 50_000.0, bursts: 6.0, ..DemandSettings::default() };
        let mut demand = Demand::new(settings.clone(), 3);
        let day: Vec<f64> = (0..86_400).map(|t| demand.rate(f64::from(t))).collect();
        assert!(day.iter().all(|r| r.is_finite() && *r > 0.0));
        let mean = day.iter().sum::<f64>() / 86_400.0;
        assert!((100.0..112.0).contains(&mean), "bursts add a few per cent: {mean}");
        let calm = Demand::new(settings, 3);
        let jumps = day.iter().enumerate().filter(|(t, r)| **r > 1.5 * calm.expected(*t as f64)).count();
        assert!(jumps > 300, "no burst in a day: {jumps}");
    }

    #[test]
    fn the_same_seed_gives_the_same_day() {
        let make = |seed| {
            let mut demand = Demand::new(DemandSettings { bursts: 10.0, ..DemandSettings::default() }, seed);
            (0..5000).map(|t| demand.rate(f64::from(t))).collect::<Vec<_>>()
        };
        assert_eq!(make(5), make(5));
        assert_ne!(make(5), make(6));
    }
}
