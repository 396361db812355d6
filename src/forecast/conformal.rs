//! Quantiles from a forecast's own past errors (conformal prediction), in units of the volatility at their time.
//! Nothing is assumed about the shape of the errors; each level follows its own misses (adaptive conformal inference,
//! Gibbs & Candès 2021).

/// Step by which a level follows its misses, and a two-sided interval its own.
const FOLLOW: f64 = 0.01;
const FOLLOW_BAND: f64 = 0.02;
/// Independent errors from which on the middle follows with the whole step: fewer lie all on one side of it by luck. Outer
/// levels always do.
const AGREED: f64 = 50.0;
/// Scores that must be known before a level is followed.
const FEW: usize = 20;
/// What quantiles of fewer errors than that are stretched by, over their number.
const STRETCH: f64 = 4.0;
/// The present volatility counts at most this many times the usual one: in a burst the errors that are known would
/// otherwise be stretched beyond anything that was seen.
const WILDEST: f64 = 3.0;
/// Errors grow with the horizon to the power of this where it must be guessed: a random walk has 1/2, noise around a
/// level 0.
const GROWTH: f64 = 0.05;
/// The guess counts as this many independent errors.
const GUESS: f64 = 3.0;
/// That a drift may turn at any time counts as much as this many independent errors which lie a drift apart.
const TURNS: f64 = 100.0;

/// What two numbers that are the same may differ by, where the mean of the series is about 1: rounding is no miss.
pub(super) const SLACK: f64 = 1e-9;

/// What came on either side of past quantiles.
#[derive(Clone, Debug, Default)]
pub(super) struct Sides {
    /// Values that lay below each level, and those that lay above it.
    pub(super) under: Vec<f64>,
    pub(super) over: Vec<f64>,
    /// Values in all.
    pub(super) count: usize,
}

impl Sides {
    pub(super) fn new(levels: usize) -> Self {
        Self { under: vec![0.0; levels], over: vec![0.0; levels], count: 0 }
    }

    /// Counts a value against the quantiles that stood around `point`: none of them is shown below zero.
    fn add(&mut self, value: f64, point: f64, scale: f64, levels: &[f64], known: &[f64]) {
        let shown = levels.iter().map(|level| point + scale * at_level(known, *level).unwrap_or(0.0));
        self.count_in(value, shown);
    }

    /// Counts a value against quantiles.
    pub(super) fn count_in(&mut self, value: f64, shown: impl Iterator<Item = f64>) {
        self.count += 1;
        for ((under, over), shown) in self.under.iter_mut().zip(&mut self.over).zip(shown) {
            let shown = shown.max(0.0);
            *under += f64::from(u8::from(value < shown - SLACK));
            *over += f64::from(u8::from(value > shown + SLACK));
        }
    }
}

/// Past errors at one horizon.
#[derive(Clone)]
pub(super) struct Scores {
    /// Errors in units of their volatility, oldest first.
    errors: Vec<f64>,
    /// Forecasts and the volatility at their time.
    made: Vec<(f64, f64)>,
    /// Values that are not learned from, with the forecast and the volatility, and how many forecasts lay before them.
    told: Vec<(usize, [f64; 3])>,
    /// How many scores later one is known: its target must have come to pass.
    pending: usize,
    /// Volatility now, and the highest that counts.
    scale: f64,
    wildest: f64,
    /// Share of the errors that are independent: targets less than a horizon apart share what happened between.
    independent: f64,
}

impl Scores {
    pub(super) fn new(capacity: usize, pending: usize, independent: f64) -> Self {
        Self {
            errors: Vec::with_capacity(capacity),
            made: Vec::with_capacity(capacity),
            told: Vec::new(),
            pending,
            scale: 1.0,
            wildest: f64::INFINITY,
            independent,
        }
    }

    pub(super) fn add(&mut self, error: f64, point: f64, volatility: f64) {
        self.errors.push(error / volatility);
        self.made.push((point, volatility));
    }

    pub(super) fn now(&mut self, volatility: f64, all: &[f64]) {
        self.wildest = WILDEST * median(all.iter().copied()).unwrap_or(1.0);
        self.scale = volatility.min(self.wildest);
    }

    pub(super) fn len(&self) -> usize {
        self.errors.len()
    }

    /// Counts a forecast of a value that is not learned from.
    pub(super) fn tell(&mut self, value: f64, point: f64, volatility: f64) {
        self.told.push((self.made.len(), [value, point, volatility]));
    }

    /// Errors around the forecast at levels within 0–1.
    pub(super) fn quantiles(&self, levels: &[f64]) -> Vec<f64> {
        self.follow(levels).0
    }

    /// How often what came lay on either side of the past quantiles of these levels, each as it was shown at its time.
    pub(super) fn record(&self, levels: &[f64]) -> Sides {
        self.follow(levels).1
    }

    /// The two-sided interval of a level around a forecast. Its misses are followed as a whole. Nothing is below zero:
    /// where the lower end is, all misses lie above.
    pub(super) fn interval(&self, point: f64, level: f64) -> (f64, f64) {
        let mut known: Vec<f64> = Vec::with_capacity(2 * self.errors.len());
        let mut tail = 1.0 - level;
        let independent = self.alike();
        let ends = |known: &[f64], tail: f64, point: f64, scale: f64| {
            let each = 1.0 / (independent * known.len() as f64);
            let end = |level: f64| point + scale * at_level(known, outward(level, each)).unwrap_or(0.0);
            let low = end(tail / 2.0);
            if low <= 0.0 { (0.0, end(1.0 - tail)) } else { (low, end(1.0 - tail / 2.0)) }
        };
        let borrowed = self.errors.len() - self.made.len();
        for (i, score) in self.errors.iter().enumerate() {
            if known.len() >= FEW && i >= borrowed {
                let (point, scale) = self.made[i - borrowed];
                let (low, high) = ends(&known, tail, point, scale);
                let value = point + score * scale;
                let within = f64::from(u8::from(low - SLACK <= value && value <= high + SLACK));
                tail = (tail + FOLLOW_BAND * (within - level)).clamp(0.002, 0.998);
            }
            self.learn(i, &mut known);
        }
        known.clone_from(&self.errors);
        known.sort_by(f64::total_cmp);
        self.turn(&mut known);
        ends(&known, tail, point, self.scale)
    }

    /// Puts beside every one of the sorted errors the same with their drift turned round: that an hour in which a level
    /// rose was forecast too low says nothing of the next, unless many such hours did. The drift is what mean and median
    /// have in common; how far they lie apart is the shape of the errors (a burst is no drift), and that stays. How sure
    /// it is: the square of its distance from nothing in standard errors.
    fn turn(&self, known: &mut Vec<f64>) {
        let count = known.len().max(1) as f64;
        let mean = known.iter().sum::<f64>() / count;
        let middle = at_level(known, 0.5).unwrap_or(0.0);
        let drift = if mean * middle > 0.0 { mean.signum() * mean.abs().min(middle.abs()) } else { 0.0 };
        let spread = known.iter().map(|e| (e - mean).abs()).sum::<f64>() / count;
        let sure = self.independent * count * (drift / spread.max(SLACK)).powi(2);
        let back = 2.0 * drift * TURNS / (sure + TURNS);
        known.extend_from_within(..);
        let half = known.len() / 2;
        for error in &mut known[half..] {
            *error -= back;
        }
        known.sort_by(f64::total_cmp);
    }

    /// Takes in the error that is known by the time of error `i`.
    fn learn(&self, i: usize, known: &mut Vec<f64>) {
        if let Some(old) = i.checked_sub(self.pending) {
            let score = self.errors[old];
            known.insert(known.partition_point(|s| *s < score), score);
        }
    }

    /// Share of the errors that are independent, as the errors themselves show it: how much one says of the next. Errors
    /// whose horizons overlap need not be alike: around a steady level each is the noise of its own target. Never less
    /// than what the overlap alone leaves.
    fn alike(&self) -> f64 {
        let own = &self.errors[self.errors.len() - self.made.len()..];
        let n = own.len() as f64;
        if own.len() < FEW {
            return self.independent;
        }
        // A single wild error must not decide.
        let calm = (median(own.iter().copied()), median(own.iter().map(|e| e.abs())));
        let (Some(middle), Some(size)) = calm else { return self.independent };
        let calm: Vec<f64> = own.iter().map(|e| (e - middle).clamp(-4.0 * size, 4.0 * size)).collect();
        let mean = calm.iter().sum::<f64>() / n;
        let variance: f64 = calm.iter().map(|e| (e - mean).powi(2)).sum();
        let shared: f64 = calm.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum();
        if variance <= 0.0 {
            return self.independent;
        }
        // A correlation that is measured on few is too low by about one over their number.
        let correlation = (shared / variance + 1.0 / n).clamp(0.0, 1.0);
        ((1.0 - correlation) / (1.0 + correlation)).max(self.independent)
    }

    /// The quantiles, and what came on either side of past ones.
    fn follow(&self, levels: &[f64]) -> (Vec<f64>, Sides) {
        let mut known: Vec<f64> = Vec::with_capacity(2 * self.errors.len());
        let mut moved = levels.to_vec();
        let mut sides = Sides::new(levels.len());
        let borrowed = self.errors.len() - self.made.len();
        let mut told = self.told.iter().peekable();
        for (i, score) in self.errors.iter().enumerate() {
            if known.len() >= FEW {
                if let Some(own) = i.checked_sub(borrowed) {
                    let (point, volatility) = self.made[own];
                    while let Some((_, [value, point, volatility])) = told.next_if(|(before, _)| *before <= own) {
                        sides.add(*value, *point, volatility.min(self.wildest), &moved, &known);
                    }
                    sides.add(point + score * volatility, point, volatility.min(self.wildest), &moved, &known);
                }
                for (level, target) in moved.iter_mut().zip(levels) {
                    let below = f64::from(u8::from(at_level(&known, *level).is_some_and(|z| *score <= z)));
                    let whole = if (target - 0.5).abs() < 0.01 { AGREED } else { 0.0 };
                    let agreed = (self.independent * known.len() as f64 / whole).min(1.0);
                    *level = (*level + FOLLOW * agreed * (target - below)).clamp(0.001, 0.999);
                }
            }
            self.learn(i, &mut known);
        }
        known.clone_from(&self.errors);
        known.sort_by(f64::total_cmp);
        for (_, [value, point, volatility]) in told.filter(|_| known.len() >= FEW) {
            sides.add(*value, *point, volatility.min(self.wildest), &moved, &known);
        }
        let stretched = self.scale * stretch(known.len());
        self.turn(&mut known);
        let values = moved.iter().map(|level| stretched * at_level(&known, *level).unwrap_or(0.0)).collect();
        (values, sides)
    }

    /// Takes scores from a horizon `times` shorter, made larger, where there are too few at this one; of its own
    /// `independent` are worth counting.
    pub(super) fn borrow(&mut self, shorter: &Self, times: f64, independent: f64) {
        if shorter.errors.is_empty() {
            return;
        }
        let guess = times.powf(GROWTH).ln();
        let size = |s: &Self| median(s.errors.iter().map(|v| v.abs())).unwrap_or(1.0);
        let seen = (size(self) / size(shorter)).ln();
        let growth =
            if seen.is_finite() { (seen * independent + guess * GUESS) / (independent + GUESS) } else { guess };
        let count = |s: &Self| s.independent * s.errors.len() as f64;
        self.independent = (count(self) + count(shorter)) / (self.errors.len() + shorter.errors.len()) as f64;
        self.errors.splice(0..0, shorter.errors.iter().map(|s| s * growth.exp()));
    }
}

/// The level that must be read from few errors for the next one to lie below it as often as asked: further out the
/// fewer there are (`each` is one over their number).
fn outward(level: f64, each: f64) -> f64 {
    (0.5 + (level - 0.5) * (1.0 + each)).clamp(0.0, 1.0)
}

/// How much further out quantiles lie than those of so few errors, the worst of which was not seen yet.
fn stretch(count: usize) -> f64 {
    let over = |n: usize| 1.0 / n.max(1) as f64;
    1.0 + STRETCH * (over(count) - over(FEW)).max(0.0)
}

/// The value at a level of a sorted list, between its neighbours; `None` when it is empty.
pub(super) fn at_level(sorted: &[f64], level: f64) -> Option<f64> {
    let rank = (level * (sorted.len() + 1) as f64 - 1.0).clamp(0.0, sorted.len().saturating_sub(1) as f64);
    let (low, share) = (rank.floor() as usize, rank.fract());
    let (a, b) = (*sorted.get(low)?, *sorted.get(low + 1).or(sorted.last())?);
    Some(a + share * (b - a))
}

/// The middle one, of an even number the upper of the two; `None` when there are none.
pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}
