//! Offsets at instants to arrival rates. Pure.
//!
//! The brokers' time index says for any instant which record was the first at or after it. Two instants give the number of
//! records that were written between them, by the records' own timestamps, without reading one.

use crate::model::{Sample, Time};

/// The last day in steps of five minutes …
const DAY: f64 = 86_400.0;
const FINE: f64 = 300.0;
/// … and what is older in steps of a quarter of an hour: the shape of a day needs no more.
const COARSE: f64 = 900.0;
/// The last interval up to now, seconds: so short that it says what arrives now; and the shortest before it.
const NEWEST: f64 = 60.0;
const SHORTEST: f64 = 30.0;

/// Instants that are asked for, rising: the last day up to now, then what is older back to `span` seconds.
pub(super) fn stages(now: Time, span: f64) -> Vec<Vec<Time>> {
    let border = now.plus(-span.min(DAY)).floor_to(COARSE);
    let mut recent = steps(border, now.floor_to(FINE), FINE);
    recent.retain(|t| now.since(*t) >= NEWEST + SHORTEST);
    recent.extend([now.plus(-NEWEST), now]);
    let older = steps(now.plus(-span).floor_to(COARSE), border, COARSE);
    [recent, older].into_iter().filter(|s| s.len() >= 2).collect()
}

fn steps(from: Time, to: Time, step: f64) -> Vec<Time> {
    let count = (to.since(from) / step).round().max(0.0) as u32;
    (0..=count).map(|i| from.plus(f64::from(i) * step)).collect()
}

/// Where one log stood at each instant; `None`: not asked, or no answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Course {
    /// First offset that is kept.
    pub start: i64,
    pub offsets: Vec<Option<i64>>,
}

impl Course {
    /// The first instant from which on nothing is missing: what retention has deleted was written before it. A log that
    /// begins at 0 never lost anything.
    fn sure(&self) -> usize {
        if self.start == 0 {
            return 0;
        }
        self.offsets.iter().position(|o| o.is_some_and(|o| o > self.start)).unwrap_or(self.offsets.len())
    }
}

/// Records per second that arrived at some logs together, one sample in the middle of each interval in which all of them
/// are known. Intervals before the first record of all are left out: nobody knows whether the topics were there.
pub(super) fn rates(instants: &[Time], courses: &[&Course]) -> Vec<Sample> {
    let sure = courses.iter().map(|c| c.sure()).max().unwrap_or(usize::MAX);
    let mut samples = Vec::new();
    for (i, pair) in instants.windows(2).enumerate().filter(|(i, _)| *i >= sure) {
        let &[from, to] = pair else { continue };
        let mut records = 0_i64;
        let mut begun = false;
        let whole = courses.iter().all(|c| match (c.offsets.get(i), c.offsets.get(i + 1)) {
            (Some(Some(a)), Some(Some(b))) => {
                records = records.saturating_add((b - a).max(0));
                begun |= *b > c.start;
                true
            }
            _ => false,
        });
        let seconds = to.since(from);
        if whole && begun && seconds > 0.0 {
            samples.push(Sample { at: from.plus(seconds / 2.0), value: records as f64 / seconds });
        }
    }
    samples
}

#[cfg(test)]
#[allow(clippy::cast_possible_wrap)] // small counts
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn course(start: i64, offsets: &[i64]) -> Course {
        Course { start, offsets: offsets.iter().map(|o| (*o >= 0).then_some(*o)).collect() }
    }

    fn values(courses: &[&Course]) -> Vec<f64> {
        let instants = steps(Time::default(), Time::from_secs(400.0), 100.0);
        rates(&instants, courses).iter().map(|s| s.value * 100.0).collect()
    }

    #[test]
    fn what_retention_deleted_and_what_was_not_answered_is_a_gap() {
        assert_eq!(values(&[&course(0, &[0, 10, 30, 30, 35])]), [10.0, 20.0, 0.0, 5.0]);
        assert_eq!(values(&[&course(0, &[0, 0, 30, 30, 35])]), [30.0, 0.0, 5.0], "before the first record: unknown");
        assert_eq!(values(&[&course(10, &[10, 10, 30, 30, 35])]), [0.0, 5.0], "the interval of the deletion is cut");
        assert_eq!(values(&[&course(0, &[0, 10, -1, 30, 35])]), [10.0, 5.0]);
        assert_eq!(values(&[&course(0, &[0, 10, 30, 30, 35]), &course(0, &[0, 1, 2, -1, 9])]), [11.0, 21.0]);
    }

    #[test]
    fn a_day_is_fine_and_a_week_is_coarse() {
        let now = Time::from_secs(1_000_000_007.0);
        let stages = stages(now, 7.0 * DAY);
        let (recent, older) = (&stages[0], &stages[1]);
        assert!((288..=292).contains(&recent.len()) && (575..=577).contains(&older.len()));
        assert_eq!(recent.first(), older.last(), "no hole between them");
        assert!(
            recent.windows(2).all(|w| (SHORTEST..=FINE + SHORTEST).contains(&w[1].since(w[0])))
                && older.windows(2).all(|w| w[1] > w[0])
        );
        assert_eq!(*recent.last().unwrap(), now);
    }

    proptest! {
        #[test]
        fn every_record_is_counted_once(writes in prop::collection::vec(0_i64..400_000, 0..200)) {
            let mut writes = writes;
            writes.sort_unstable();
            let instants = steps(Time::default(), Time::from_secs(400.0), 100.0);
            let at = |t: &Time| Some(writes.partition_point(|w| *w < t.millis()) as i64);
            let course = Course { start: 0, offsets: instants.iter().map(at).collect() };
            let total: f64 = rates(&instants, &[&course]).iter().map(|s| s.value * 100.0).sum();
            prop_assert!((total - writes.len() as f64).abs() < 1e-6);
        }
    }
}
