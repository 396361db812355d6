//! When was a record written? Answered without reading one, from boundaries of the log in time.
//!
//! A *boundary* `(offset, t)` says: records before `offset` were written before `t`, the others at `t` or later. The log end at
//! a refresh is one; the answer to ListOffsets by timestamp is another. They are points of one rising function, so the time at
//! which any offset was written lies between two of them, and asking for the middle of the gap halves it. Timestamps are the
//! producers' (`CreateTime`) unless the topic says otherwise, so all of this is an estimate.

/// Boundaries kept per partition.
const KEPT: usize = 48;
/// Ages to ask for while nothing older than the committed offset is known, milliseconds; then the beginning of time.
const LADDER: [i64; 3] = [60_000, 15 * 60_000, 4 * 3_600_000];
/// A gap this narrow is not asked about any more, milliseconds (the refresh itself is no finer) …
const NARROW: i64 = 2_000;
/// … nor one that is this small a part of the time lag.
const NARROW_SHARE: f64 = 0.1;

/// Milliseconds since the epoch before which no record was written (Kafka's first release, 2011): an earlier time is none,
/// as producers without a clock write it.
const FIRST: i64 = 1_293_840_000_000;

/// Records before this offset were written before this time (milliseconds), the others at it or later.
type Boundary = (i64, i64);

/// The boundaries of one partition, by time; offsets never fall.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    points: Vec<Boundary>,
}

impl Track {
    /// The log end as read at `now` (milliseconds).
    pub(super) fn live(&mut self, end: i64, now: i64) {
        if self.points.last().is_some_and(|(offset, _)| end < *offset) {
            self.points.clear(); // truncated or made again: nothing known holds
        }
        if self.points.last().is_some_and(|(_, at)| now < *at) {
            self.points.retain(|(_, at)| *at <= now); // our clock was set back
        }
        let flat = |p: Option<&(i64, i64)>| p.is_some_and(|(offset, _)| *offset == end);
        let n = self.points.len();
        // An idle log needs the first and the last moment of idleness, not those between.
        if n >= 2 && flat(self.points.get(n - 1)) && flat(self.points.get(n - 2)) {
            self.points.pop();
        }
        self.add(end, now, now);
    }

    /// The answer to "first record at `asked` or later": its offset and timestamp, or none before the log end `end`.
    pub(super) fn answered(&mut self, asked: i64, found: Option<(i64, i64)>, end: i64, now: i64) {
        match found {
            None => self.add(end, asked, now),
            Some((offset, stamp)) => {
                self.add(offset, asked, now);
                if stamp >= asked && stamp < now {
                    self.add(offset, stamp, now);
                    self.add(offset + 1, stamp + 1, now);
                }
            }
        }
    }

    fn add(&mut self, offset: i64, at: i64, now: i64) {
        let at = at.min(now);
        let index = self.points.partition_point(|(_, t)| *t <= at);
        // Producers' clocks disagree: a boundary may not cross its neighbours.
        let low = index.checked_sub(1).and_then(|i| self.points.get(i)).map_or(i64::MIN, |p| p.0);
        let high = self.points.get(index).map_or(i64::MAX, |p| p.0);
        let point = (offset.clamp(low, high), at);
        if index.checked_sub(1).and_then(|i| self.points.get(i)) == Some(&point) {
            return;
        }
        self.points.insert(index, point);
        if self.points.len() > KEPT {
            self.thin(now);
        }
    }

    /// Drops the inner boundary that says least: the narrowest gap for its age.
    fn thin(&mut self, now: i64) {
        let cost = |w: &[(i64, i64)]| match w {
            [(_, a), (_, t), (_, b)] => (b - a) as f64 / (now - t).max(1000) as f64,
            _ => f64::INFINITY,
        };
        let least = self.points.windows(3).map(cost).enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((before, _)) = least {
            self.points.remove(before + 1);
        }
    }

    /// The boundaries around `offset`: the last at or below it, the first above it.
    fn around(&self, offset: i64) -> (Option<Boundary>, Option<Boundary>) {
        let above = self.points.partition_point(|(o, _)| *o <= offset);
        (above.checked_sub(1).and_then(|i| self.points.get(i)).copied(), self.points.get(above).copied())
    }

    /// The first offset that can be there at all, once the beginning of time was asked for: compaction leaves holes.
    fn at_least_first(&self, offset: i64) -> i64 {
        self.points.first().filter(|(_, t)| *t == 0).map_or(offset, |(first, _)| offset.max(*first))
    }

    /// When the record at `offset` was written, milliseconds since the epoch; `None`: not bracketed yet, or by no clock.
    pub(super) fn written(&self, offset: i64) -> Option<f64> {
        let offset = self.at_least_first(offset);
        let (Some((o1, t1)), Some((o2, t2))) = self.around(offset) else { return None };
        if t1 < FIRST {
            return None;
        }
        let share = (offset - o1) as f64 / (o2 - o1) as f64;
        Some(t1 as f64 + share * (t2 - t1) as f64)
    }

    /// The timestamp worth asking for next to know better when `offset` was written, and how much it matters (larger first).
    pub(super) fn probe(&self, offset: i64, now: i64) -> Option<(i64, f64)> {
        let offset = self.at_least_first(offset);
        match self.around(offset) {
            (None, high) => {
                let oldest = high.map_or(now, |(_, t)| t);
                let rung = LADDER.iter().map(|age| now - age).find(|t| *t < oldest);
                Some((rung.unwrap_or(0), f64::INFINITY))
            }
            (Some((_, low)), high) => {
                let high = high.map_or(now, |(_, t)| t);
                let (young, old) = ((now - high).max(500) as f64, (now - low).max(500) as f64);
                let width = high - low;
                if width <= NARROW || width as f64 <= NARROW_SHARE * old {
                    return None;
                }
                // The geometric middle of the ages: from a week to ten percent takes seven questions.
                let middle = now - (young * old).sqrt() as i64;
                Some((middle.clamp(low + 1, high - 1), width as f64 / old))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_wrap)] // small indices
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A log: write times by offset, rising.
    fn ask(log: &[i64], t: i64) -> Option<(i64, i64)> {
        let i = log.partition_point(|w| *w < t);
        log.get(i).map(|w| (i as i64, *w))
    }

    fn settle(track: &mut Track, log: &[i64], offset: i64, now: i64) -> usize {
        let mut asked = 0;
        while let Some((t, _)) = track.probe(offset, now) {
            track.answered(t, ask(log, t), log.len() as i64, now);
            asked += 1;
            assert!(asked < 60, "the questions never end: {track:?}");
        }
        asked
    }

    #[test]
    fn one_old_record_in_an_idle_log_is_found() {
        let now = 2_000_000_000_000;
        let log = [now - 5 * 3_600_000];
        let mut track = Track::default();
        track.live(1, now);
        let asked = settle(&mut track, &log, 0, now);
        assert!(asked <= 8, "{asked}");
        assert!((track.written(0).unwrap() - log[0] as f64).abs() < 2.0);
    }

    #[test]
    fn live_boundaries_alone_suffice_once_they_reach_back() {
        let mut track = Track::default();
        for k in 0..500_i64 {
            track.live(k * 10, FIRST + k * 2_000);
        }
        let now = FIRST + 499 * 2_000;
        assert!(track.points.len() <= KEPT);
        let written = track.written(4_000).unwrap();
        assert!((written - (FIRST as f64 + 400.0 * 2_000.0)).abs() < 20_000.0, "{written}");
        track.live(5, now);
        assert_eq!(track.points.len(), 1, "a log that was made again starts anew");
    }

    #[test]
    fn a_producer_without_a_clock_makes_no_record_half_a_century_old() {
        let now = 2_000_000_000_000;
        // No stamp, seconds for milliseconds, and microseconds: a first record from the future.
        for log in [[0, 0, 0], [2_000_000_000; 3], [now * 1_000; 3]] {
            let mut track = Track::default();
            track.live(3, now);
            settle(&mut track, &log, 1, now);
            assert!(track.written(1).is_none_or(|at| at >= FIRST as f64), "{log:?}: {track:?}");
        }
        let mut half = Track::default();
        half.answered(0, Some((0, now * 1_000)), 100, now);
        half.live(100, now);
        assert_eq!(half.written(90), None, "between the beginning of time and now lies no time lag");
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_the_track() {
        let mut track = Track::default();
        (0..10).for_each(|k| track.live(k * 10, FIRST + 3_600_000 + k * 2_000));
        (10..20).for_each(|k| track.live(k * 10, FIRST + k * 2_000));
        assert!((track.written(150).unwrap() - (FIRST + 30_000) as f64).abs() < 5_000.0, "{track:?}");
    }

    proptest! {
        #[test]
        fn estimates_end_close_rise_and_never_lie_in_the_future(
            gaps in prop::collection::vec(0_i64..3_000_000, 1..80), behind in 0_i64..100_000, pick in 0.0_f64..1.0,
        ) {
            let mut at = 1_700_000_000_000;
            let log: Vec<i64> = gaps.iter().map(|g| { at += g; at }).collect();
            let now = at + behind + 1;
            let mut track = Track::default();
            track.live(log.len() as i64, now);
            let offset = (pick * (log.len() - 1) as f64) as i64;
            settle(&mut track, &log, offset, now);
            let truth = log[offset as usize] as f64;
            let written = track.written(offset).unwrap();
            let allowed = (NARROW as f64).max(NARROW_SHARE * (now as f64 - truth) * 1.2) + 2.0;
            prop_assert!((written - truth).abs() <= allowed, "written {written}, truth {truth}, allowed {allowed}");
            let all: Vec<f64> = (0..log.len() as i64).filter_map(|o| track.written(o)).collect();
            prop_assert!(all.windows(2).all(|w| w[0] <= w[1]));
            prop_assert!(all.iter().all(|w| *w <= now as f64));
        }

        #[test]
        fn absurd_timestamps_do_no_harm(answers in prop::collection::vec((0_i64..100, any::<i32>(), any::<i32>()), 0..100)) {
            let mut track = Track::default();
            for (offset, asked, stamp) in answers {
                track.answered(asked.into(), Some((offset, stamp.into())), 100, 1_000_000);
                track.live(100, 1_000_000);
            }
            prop_assert!(track.points.windows(2).all(|w| w[0].0 <= w[1].0 && w[0].1 <= w[1].1));
            prop_assert!(track.points.len() <= KEPT);
        }
    }
}
