//! What a Prometheus server that scrapes this world has stored: series with points at regular steps.

use crate::model::Time;
use std::collections::HashMap;

/// Seconds between scrapes.
pub const STEP: f64 = 15.0;
/// Points kept of each series: 24 h.
const KEPT: usize = 5760;
/// Points dropped at once when a series is longer, so that dropping is rare.
const DROPPED: usize = KEPT / 8;

/// One series: a metric name, its labels, its points.
#[derive(Clone, Debug)]
pub struct Series {
    name: &'static str,
    labels: Vec<(String, String)>,
    /// Number of the scrape that brought the first kept value.
    first: usize,
    /// One value per scrape; NaN: the series was absent from that scrape (never shown to a reader).
    values: Vec<f64>,
    origin: Time,
}

impl Series {
    /// `__name__`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Labels without `__name__`, sorted by name.
    pub fn labels(&self) -> &[(String, String)] {
        &self.labels
    }

    /// A label's value; empty when it has none, as in PromQL.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// Points from `from` to `to`, both included, oldest first. Scrapes that the series was absent from are left out.
    pub fn points(&self, from: Time, to: Time) -> impl DoubleEndedIterator<Item = (Time, f64)> + '_ {
        let number = |t: Time| (t.since(self.origin) / STEP) - self.first as f64;
        let begin = (number(from).ceil().max(0.0) as usize).min(self.values.len());
        let end = ((number(to).floor() + 1.0).max(0.0) as usize).clamp(begin, self.values.len());
        let values = self.values.get(begin..end).unwrap_or_default();
        values.iter().enumerate().filter(|(_, v)| !v.is_nan()).map(move |(i, v)| (self.time(begin + i), *v))
    }

    /// The newest point at or before `at` that is at most `lookback` seconds older. A series that was absent from the
    /// last scrape before `at` is stale and gives nothing, as in Prometheus when a target goes away.
    pub fn at(&self, at: Time, lookback: f64) -> Option<(Time, f64)> {
        self.points(at.plus(-lookback.clamp(0.0, STEP)), at).next_back()
    }

    fn time(&self, index: usize) -> Time {
        self.origin.plus((self.first + index) as f64 * STEP)
    }
}

/// What tells a series from the others of the same name, cheaper than its labels: numbers of the things it is about.
pub(super) type Key = [u32; 2];

/// All series, and the scrape that is under way.
#[derive(Clone, Debug)]
pub struct Scrapes {
    origin: Time,
    /// Scrapes so far.
    count: usize,
    series: Vec<Series>,
    keys: Vec<(&'static str, Key)>,
    index: HashMap<(&'static str, Key), usize>,
    /// Where the next value most likely belongs: exporters write their series in the same order each time.
    cursor: usize,
}

impl Scrapes {
    /// Nothing scraped yet; the first scrape will carry the time `origin`.
    pub(super) fn new(origin: Time) -> Self {
        Self { origin, count: 0, series: Vec::new(), keys: Vec::new(), index: HashMap::new(), cursor: 0 }
    }

    /// Every series, in the order of first appearance.
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// The series of one metric.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Series> {
        self.series.iter().filter(move |s| s.name == name)
    }

    /// Seconds between scrapes.
    pub fn step(&self) -> f64 {
        STEP
    }

    /// The first scrape's time.
    pub fn first(&self) -> Time {
        self.origin
    }

    /// The newest scrape's time; `None` before the first.
    pub fn last(&self) -> Option<Time> {
        Some(self.origin.plus(self.count.checked_sub(1)? as f64 * STEP))
    }

    /// Begins the next scrape.
    pub(super) fn begin(&mut self) {
        self.count += 1;
        self.cursor = 0;
    }

    /// Writes one value of the scrape under way. `labels` are made only when the series is new.
    pub(super) fn put<L>(&mut self, name: &'static str, key: Key, value: f64, labels: L)
    where
        L: FnOnce() -> Vec<(&'static str, String)>,
    {
        let at = match self.keys.get(self.cursor) {
            Some(&(n, k)) if k == key && std::ptr::eq(n, name) => self.cursor,
            _ => match self.index.get(&(name, key)) {
                Some(&at) => at,
                None => self.add(name, key, labels()),
            },
        };
        self.cursor = at + 1;
        let Some(series) = self.series.get_mut(at) else { return };
        let slot = (self.count - 1).saturating_sub(series.first);
        if series.values.len() > KEPT {
            series.values.drain(..DROPPED);
            series.first += DROPPED;
            return self.put_slot(at, slot - DROPPED, value);
        }
        self.put_slot(at, slot, value);
    }

    fn put_slot(&mut self, at: usize, slot: usize, value: f64) {
        let Some(series) = self.series.get_mut(at) else { return };
        series.values.resize(slot, f64::NAN);
        series.values.push(value);
    }

    fn add(&mut self, name: &'static str, key: Key, labels: Vec<(&'static str, String)>) -> usize {
        let mut labels: Vec<(String, String)> = labels.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
        labels.sort();
        let at = self.series.len();
        let first = self.count - 1;
        self.series.push(Series { name, labels, first, values: Vec::new(), origin: self.origin });
        self.keys.push((name, key));
        self.index.insert((name, key), at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Time = Time::from_millis(1_000_000_000);

    fn none() -> Vec<(&'static str, String)> {
        Vec::new()
    }

    #[test]
    fn a_missed_scrape_is_a_gap_and_the_series_is_stale() {
        let mut scrapes = Scrapes::new(ORIGIN);
        for i in 0..10 {
            scrapes.begin();
            scrapes.put("up", [0, 0], 1.0, none);
            if !(3..6).contains(&i) && i < 9 {
                scrapes.put("gone", [0, 0], f64::from(i), none);
            }
        }
        let now = scrapes.last().unwrap();
        let gone = scrapes.named("gone").next().unwrap();
        let seen: Vec<f64> = gone.points(ORIGIN, now).map(|(_, v)| v).collect();
        assert_eq!(format!("{seen:?}"), "[0.0, 1.0, 2.0, 6.0, 7.0, 8.0]");
        assert!(gone.at(now.plus(1.0), 300.0).is_none(), "it missed the newest scrape");
        assert!(gone.at(ORIGIN.plus(8.0 * STEP + 1.0), 300.0).is_some());
        assert_eq!(gone.points(ORIGIN.plus(STEP), ORIGIN.plus(2.0 * STEP)).count(), 2, "both ends are included");
    }

    #[test]
    fn the_ring_forgets_the_oldest_and_keeps_its_times() {
        let mut scrapes = Scrapes::new(ORIGIN);
        let many = KEPT + 2 * DROPPED;
        for i in 0..many {
            scrapes.begin();
            scrapes.put("count", [0, 0], i as f64, none);
        }
        let series = scrapes.named("count").next().unwrap();
        assert!(series.values.len() <= KEPT + 1);
        let points: Vec<_> = series.points(ORIGIN, scrapes.last().unwrap()).collect();
        assert!(points.len() >= KEPT - DROPPED);
        let right = |(at, value): &(Time, f64)| (value - at.since(ORIGIN) / STEP).abs() < 1e-9;
        assert!(points.iter().all(right), "each value still stands at the time of its scrape");
        assert!((points[points.len() - 1].1 - (many - 1) as f64).abs() < 1e-9);
    }
}
