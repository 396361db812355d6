//! Where the level of a series changed (two-sided CUSUM, Page 1954), and the mean since then: the window of that
//! member is as short as the last change makes it.

/// Share of a deviation that is let pass, and the sum of the rest that is a change; both in standard deviations. Noise
/// alone is taken for a change once in some thousand values.
const SLACK: f64 = 0.5;
const ALARM: f64 = 8.0;
/// A single deviation counts at most this much: a spike is not a change.
const LARGEST: f64 = 3.0;
/// Standard deviation over mean absolute deviation, of normal noise.
const SIGMA: f64 = 1.25;
/// Share of the newest deviation in the usual one.
const FORGET: f64 = 0.02;
/// Values that the mean rests on at most.
const LONGEST: f64 = 500.0;

/// What was found, causally: nothing at an instant rests on what came later.
pub(super) struct Changes {
    /// Mean since the last change, at every instant.
    pub(super) means: Vec<f64>,
    /// The last change of all; `None`: there was none.
    pub(super) last: Option<Change>,
}

/// A change of level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    /// Where it began.
    pub(super) since: usize,
    /// The means before and at first.
    pub(super) from: f64,
    pub(super) to: f64,
}

/// One side of the sum: how far it is, and where it last was nothing.
#[derive(Clone, Copy, Default)]
struct Side {
    sum: f64,
    since: usize,
}

impl Side {
    fn add(&mut self, deviation: f64, t: usize) -> bool {
        if self.sum <= 0.0 {
            self.since = t;
        }
        self.sum = (self.sum + deviation - SLACK).max(0.0);
        self.sum > ALARM
    }
}

/// Finds the changes.
pub(super) fn changes(y: &[f64]) -> Changes {
    let (mut means, mut last) = (Vec::with_capacity(y.len()), None);
    let (mut mean, mut count, mut usual) = (y.first().copied().unwrap_or(0.0), 0.0, 0.0_f64);
    let (mut up, mut down) = (Side::default(), Side::default());
    for (t, v) in y.iter().enumerate() {
        let off = v - mean;
        usual += FORGET.max(1.0 / (t + 1) as f64) * (off.abs() - usual);
        let deviation = if usual > 0.0 { (off / (SIGMA * usual)).clamp(-LARGEST, LARGEST) } else { 0.0 };
        count = f64::min(count + 1.0, LONGEST);
        mean += off / count;
        // Both sides are kept up to date, so no short cut.
        let alarms = [up.add(deviation, t), down.add(-deviation, t)];
        let since = if alarms[0] { Some(up.since) } else { alarms[1].then_some(down.since) };
        if let Some(since) = since {
            let new = &y[since..=t];
            let from = mean;
            count = new.len() as f64;
            mean = new.iter().sum::<f64>() / count;
            last = Some(Change { since, from, to: mean });
            (up, down) = (Side::default(), Side::default());
        }
        means.push(mean);
    }
    Changes { means, last }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_found_where_it_is_and_a_spike_is_none() {
        let wobble = |i: usize| f64::from(u8::from(i.is_multiple_of(2))) - 0.5;
        let mut y: Vec<f64> = (0..200).map(|i| if i < 120 { 10.0 } else { 30.0 } + wobble(i)).collect();
        y[60] = 90.0;
        let found = changes(&y);
        assert_eq!(found.last.map(|c| c.since), Some(120));
        assert!((found.means[199] - 30.0).abs() < 0.5 && (found.means[110] - 11.0).abs() < 1.0, "{:?}", found.means);
        assert!(changes(&y[..100]).last.is_none(), "a spike is not a change");
        assert!(changes(&[]).means.is_empty());
    }
}
