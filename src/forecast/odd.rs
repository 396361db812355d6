//! What was seen and is not learned from: outages, and single values that are absurd. What comes again and again is
//! neither: a night without traffic, a job of every hour.

use super::conformal::median;
use std::ops::Range;

/// Steps of zeros in the middle of traffic that are an outage.
const OUTAGE: usize = 10;
/// Values before a run of zeros that tell whether it broke into traffic, and their least share of the median.
const BEFORE_OUTAGE: (usize, f64) = (5, 0.3);
/// More runs than this, or more than one value in so many: the series is like that.
const HABIT: (usize, usize) = (5, 4);
/// What is there again after so many seconds, up to so many times that far away, is a habit: an hour, the days of a week.
const AGAIN: [(f64, usize); 2] = [(3_600.0, 1), (86_400.0, 7)];
/// Median deviations above the median from which a single value is absurd, and their least share of the median. (Both
/// of the values above zero.)
const ABSURD: (f64, f64) = (20.0, 0.25);
/// Values above zero that are needed to say so, and one in how many may be absurd: more of them are bursts.
const RARE: (usize, usize) = (60, 200);

/// Runs of zeros that broke into traffic and ended again, and are no habit. One that has not ended is what the demand is
/// now.
pub(super) fn outages(past: &[Option<f64>], step: f64) -> Vec<Range<usize>> {
    let is_zero = |i: usize| past.get(i) == Some(&Some(0.0));
    let usual = median(past.iter().flatten().copied()).unwrap_or(0.0);
    let (count, share) = BEFORE_OUTAGE;
    let (mut runs, mut i) = (Vec::new(), 0);
    while i < past.len() && usual > 0.0 {
        let len = (i..past.len()).take_while(|i| is_zero(*i)).count();
        let traffic = i >= count && past[i - count..i].iter().flatten().all(|v| *v > share * usual);
        if len >= OUTAGE && traffic && i + len < past.len() {
            runs.push(i..i + len);
        }
        i += len.max(1);
    }
    let zeros: usize = runs.iter().map(ExactSizeIterator::len).sum();
    if runs.len() > HABIT.0 || zeros * HABIT.1 > past.len() {
        return Vec::new();
    }
    runs.retain(|run| !is_there_again(run, step, is_zero));
    runs
}

/// Places of single values far above everything around them: a bad scrape, a counter that was read wrongly. What lasts
/// for two steps is believed, and so is the newest value: it may be the first of more.
pub(super) fn absurd(past: &[Option<f64>], step: f64) -> Vec<usize> {
    let busy = || past.iter().flatten().copied().filter(|v| *v > 0.0);
    let count = busy().count();
    if count < RARE.0 {
        return Vec::new();
    }
    let usual = median(busy()).unwrap_or(0.0);
    let apart = median(busy().map(|v| (v - usual).abs())).unwrap_or(0.0);
    let limit = usual + ABSURD.0 * apart.max(ABSURD.1 * usual);
    let beyond = |v: &Option<f64>| v.is_some_and(|v| v > limit);
    let mut found: Vec<usize> = (1..past.len()).filter(|i| beyond(&past[*i])).collect();
    if found.len() > (count / RARE.1).max(1) {
        return Vec::new();
    }
    let near = |i: usize| past.get(i.saturating_sub(1)..(i + 2).min(past.len())).is_some_and(|v| v.iter().any(beyond));
    found.retain(|i| {
        let ended = past[i + 1..].iter().flatten().next().is_some_and(|v| *v <= limit);
        ended && !beyond(&past[i - 1]) && !is_there_again(&(*i..i + 1), step, near)
    });
    found
}

/// Whether the beginning of a run is there at the same time of another hour or day.
fn is_there_again(run: &Range<usize>, step: f64, alike: impl Fn(usize) -> bool) -> bool {
    let begin = run.len().min(OUTAGE);
    let there = |from: usize| 2 * (from..from + begin).filter(|i| alike(*i)).count() > begin;
    AGAIN.iter().any(|(seconds, times)| {
        (1..=*times).any(|j| {
            let apart = (seconds * j as f64 / step).round() as usize;
            let before = run.start.checked_sub(apart).filter(|_| apart >= begin);
            let after = (apart >= run.len()).then_some(run.start + apart);
            before.into_iter().chain(after).any(there)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    /// Days at 5 min that are busy, with zeros in some ranges.
    fn days(days: usize, zeros: &[Range<usize>]) -> Vec<Option<f64>> {
        let mut values = vec![Some(100.0); 288 * days];
        for run in zeros {
            values[run.clone()].fill(Some(0.0));
        }
        values
    }

    #[test]
    fn zeros_that_come_again_are_no_outage() {
        let at = |day: usize, from: usize, to: usize| day * 288 + from..day * 288 + to;
        let nights = [at(0, 240, 360), at(1, 240, 360), at(2, 240, 360), at(3, 240, 360), at(4, 240, 936)];
        let often: Vec<_> = (0..7).map(|i| 300 * i + 37 * i + 20..300 * i + 37 * i + 35).collect();
        for (name, zeros, expected) in [
            ("one", &[at(2, 100, 120)][..], 1),
            ("two at other times", &[at(2, 100, 120), at(4, 200, 230)], 2),
            ("two at the same time", &[at(2, 100, 120), at(5, 104, 140)], 0),
            ("nights, and a weekend", &nights, 0),
            ("a night and the outage of a noon", &[at(1, 240, 340), at(2, 240, 340), at(3, 120, 140)], 1),
            ("many, at any time", &often, 0),
            ("most of it", &[at(1, 0, 800)], 0),
            ("it has not ended", &[at(9, 200, 288)], 0),
        ] {
            assert_eq!(outages(&days(10, zeros), 300.0).len(), expected, "{name}");
        }
        let hours = outages(&days(1, &[at(0, 20, 60)]), 300.0);
        assert_eq!(hours.first(), Some(&(20..60)), "one of hours on a day of its own");
        let hourly: Vec<_> = (1..6).map(|i| 60 * i..60 * i + 12).collect();
        assert_eq!(outages(&days(2, &hourly), 60.0).len(), 0, "a pause of every hour");
    }

    #[test]
    fn a_single_value_is_absurd_and_a_burst_is_not() {
        let with = |values: &[(usize, f64)]| {
            let mut all: Vec<Option<f64>> = (0..600).map(|i| Some(100.0 + f64::from(i % 7))).collect();
            for (i, v) in values {
                all[*i] = Some(*v);
            }
            absurd(&all, 60.0)
        };
        assert_eq!(with(&[(300, 1e5)]), [300]);
        assert_eq!(with(&[(300, 1e5), (410, 1e4)]), [300, 410]);
        assert_eq!(with(&[(300, 200.0)]), NONE, "twice the usual is no nonsense");
        assert_eq!(with(&[(300, 1e4), (301, 1e4)]), NONE, "a burst of two steps");
        assert_eq!(with(&[(599, 1e5)]), NONE, "the newest may be the first of more");
        assert_eq!(with(&[(300, 1e4), (361, 1e4)]), NONE, "a job of every hour");
        assert_eq!(with(&[(30, 1e4), (77, 1e4), (130, 1e4), (400, 1e4)]), NONE, "bursts at any time");
        assert_eq!(absurd(&[Some(1.0), Some(500.0), Some(1.0)], 60.0), NONE, "too little to say so");
    }
}
