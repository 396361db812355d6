//! Where the evaluator finds series.

use crate::model::Time;
use promql_parser::label::Matcher;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Labels of a series, `__name__` among them.
pub type Labels = BTreeMap<String, String>;

/// The label that holds a metric's name.
pub const NAME: &str = "__name__";

/// One series as selected. A point without a value is a stale marker: from there on the series is gone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// Labels.
    pub labels: Labels,
    /// Milliseconds since the epoch and value, oldest first.
    pub points: Vec<(i64, Option<f64>)>,
}

/// Something that holds series.
pub trait Storage: Send + Sync + 'static {
    /// The present.
    fn now(&self) -> Time;

    /// The series that all `matchers` match, with their points from `from` to `to`, both included. Series without such
    /// points may be left out.
    fn select(&self, matchers: &[Matcher], from: Time, to: Time) -> Vec<Stored>;
}

/// Series in memory, for tests.
#[derive(Clone, Debug, Default)]
pub struct SeriesStore {
    series: Arc<Mutex<Vec<Stored>>>,
    now: Option<Time>,
}

impl SeriesStore {
    /// No series; the present is `now`, or the machine's clock.
    pub fn new(now: Option<Time>) -> Self {
        Self { series: Arc::default(), now }
    }

    /// Adds a series.
    pub fn push(&self, series: Stored) {
        self.series.lock().unwrap_or_else(PoisonError::into_inner).push(series);
    }
}

impl Storage for SeriesStore {
    fn now(&self) -> Time {
        self.now.unwrap_or_else(Time::now)
    }

    fn select(&self, matchers: &[Matcher], from: Time, to: Time) -> Vec<Stored> {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let matching = series
            .iter()
            .filter(|s| matchers.iter().all(|m| m.is_match(s.labels.get(&m.name).map_or("", String::as_str))));
        let inside = |(t, _): &&(i64, Option<f64>)| (from.millis()..=to.millis()).contains(t);
        matching
            .map(|s| Stored { labels: s.labels.clone(), points: s.points.iter().filter(inside).copied().collect() })
            .filter(|s| !s.points.is_empty())
            .collect()
    }
}
