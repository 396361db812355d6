//! What the last minutes of scrapes held, for queries to be evaluated over. Pure.

use super::exposition::Sample;
use crate::{
    model::Time,
    promql::{Labels, NAME, Storage, Stored},
};
use promql_parser::label::{MatchOp, Matcher};
use std::collections::{BTreeMap, BTreeSet};

/// How long samples are kept, seconds: what an instant query looks back, and the longest window that packs name.
pub(super) const KEPT: f64 = 300.0;
/// Series that are kept at most; further ones are refused.
pub(super) const MOST: usize = 100_000;

/// Room for so many more samples of a series is made at once.
const MORE: usize = 32;

/// Samples of a few targets, by name and labels. Rules of a Prometheus server hold: labels `job` and `instance` are the
/// target's (an exporter's own become `exported_…`), and a series that is absent from a scrape ends there.
pub(super) struct Ring {
    /// The metric names to keep; `None`: all.
    wanted: Option<BTreeSet<String>>,
    series: BTreeMap<String, BTreeMap<Labels, Row>>,
    count: usize,
    first: Option<Time>,
    last: Option<Time>,
    /// When each target answered last.
    answered: BTreeMap<usize, Time>,
}

struct Row {
    target: usize,
    points: Vec<(i64, Option<f64>)>,
}

/// One target's scrape, for [`Ring::take`].
pub(super) struct Scrape<'t> {
    /// Which one, for its series to end when it does.
    pub target: usize,
    pub job: &'t str,
    pub instance: &'t str,
    /// What it said; none at all when it did not answer.
    pub samples: Vec<Sample<'t>>,
    pub up: bool,
}

impl Ring {
    pub(super) fn new(wanted: Option<BTreeSet<String>>) -> Self {
        Self { wanted, series: BTreeMap::new(), count: 0, first: None, last: None, answered: BTreeMap::new() }
    }

    /// Seconds from the first scrape to the last: no rate can be over more than that.
    pub(super) fn seen(&self) -> f64 {
        self.first.zip(self.last).map_or(0.0, |(first, last)| last.since(first))
    }

    /// When the last round of scrapes was made.
    pub(super) fn last(&self) -> Option<Time> {
        self.last
    }

    /// Adds a round of scrapes, all of one instant. Returns how many samples were refused because there are too many.
    /// A clock that was set back begins anew: what was scraped before lies in the future now.
    pub(super) fn take(&mut self, at: Time, scrapes: Vec<Scrape<'_>>) -> usize {
        if self.last.is_some_and(|last| at < last) {
            *self = Self::new(self.wanted.take());
        }
        let mut refused = 0;
        for scrape in scrapes {
            if scrape.up {
                self.answered.insert(scrape.target, at);
            }
            let own = [("job", scrape.job), ("instance", scrape.instance)];
            let up = Sample { name: "up".into(), labels: Vec::new(), value: f64::from(u8::from(scrape.up)) };
            for sample in scrape.samples.into_iter().chain([up]) {
                if self.wanted.as_ref().is_some_and(|w| !w.contains(&*sample.name)) {
                    continue;
                }
                refused += usize::from(!self.add(scrape.target, at, own, sample));
            }
        }
        self.end(at);
        self.first = self.first.or(Some(at));
        self.last = Some(at);
        refused
    }

    fn add(&mut self, target: usize, at: Time, own: [(&str, &str); 2], sample: Sample<'_>) -> bool {
        let mut labels = Labels::new();
        for (name, value) in sample.labels.into_iter().filter(|(_, value)| !value.is_empty()) {
            let hidden = own.iter().any(|(n, _)| *n == name);
            labels.insert(if hidden { format!("exported_{name}") } else { name.into_owned() }, value.into_owned());
        }
        labels.extend(own.map(|(n, v)| (n.to_owned(), v.to_owned())));
        let rows = self.series.entry(sample.name.into_owned()).or_default();
        let point = (at.millis(), Some(sample.value));
        if let Some(row) = rows.get_mut(&labels) {
            if row.points.last().is_none_or(|(last, _)| *last < at.millis()) {
                if row.points.len() == row.points.capacity() {
                    row.points.reserve_exact(MORE); // twice as many each time would be half empty
                }
                row.points.push(point); // a series that is written twice counts once
            }
            return true;
        }
        if self.count >= MOST {
            return false;
        }
        self.count += 1;
        rows.insert(labels, Row { target, points: vec![point] });
        true
    }

    /// Ends what was not in this round, and lets go of what is too old.
    fn end(&mut self, at: Time) {
        let oldest = at.plus(-KEPT).millis();
        for rows in self.series.values_mut() {
            for row in rows.values_mut() {
                let written = row.points.last().is_some_and(|(last, _)| *last >= at.millis());
                if !written && row.points.last().is_some_and(|(_, value)| value.is_some()) {
                    row.points.push((at.millis(), None));
                }
                // What a silent target said last is kept: it shows what is missing without it.
                if written || self.answered.get(&row.target) == Some(&at) {
                    let gone = row.points.partition_point(|(t, _)| *t < oldest);
                    row.points.drain(..gone);
                }
            }
            let before = rows.len();
            rows.retain(|_, row| !row.points.is_empty());
            self.count -= before - rows.len();
        }
        self.series.retain(|_, rows| !rows.is_empty());
    }

    /// Milliseconds since a target answered last; `None`: it does answer, or never did.
    fn silence(&self, target: usize) -> Option<i64> {
        let (last, answered) = (self.last?, self.answered.get(&target)?);
        Some(last.millis() - answered.millis()).filter(|silent| *silent > 0)
    }

    /// Whether a target does not answer that did before.
    pub(super) fn is_silent(&self) -> bool {
        self.answered.keys().any(|target| self.silence(*target).is_some())
    }

    /// Targets that have answered.
    pub(super) fn answered(&self) -> usize {
        self.answered.len()
    }

    /// The names among `wanted` that have a live series, or one of a target that is silent.
    pub(super) fn names(&self, wanted: &[&str]) -> Vec<String> {
        let is_live = |row: &Row| row.points.last().is_some_and(|(_, value)| value.is_some());
        let live =
            |rows: &BTreeMap<Labels, Row>| rows.values().any(|row| is_live(row) || self.silence(row.target).is_some());
        wanted.iter().filter(|name| self.series.get(**name).is_some_and(live)).map(|n| (*n).to_owned()).collect()
    }

    /// Series of one target that had a value in the last round.
    pub(super) fn of_target(&self, target: usize) -> usize {
        let rows = self.series.values().flat_map(BTreeMap::values).filter(|row| row.target == target);
        rows.filter(|row| row.points.last().is_some_and(|(_, value)| value.is_some())).count()
    }
}

impl Storage for Ring {
    fn now(&self) -> Time {
        self.last.unwrap_or(Time::from_millis(0))
    }

    fn select(&self, matchers: &[Matcher], from: Time, to: Time) -> Vec<Stored> {
        self.selected(matchers, from, to, false)
    }
}

impl Ring {
    /// `as_before`: as if silent targets still said what they said last.
    pub(super) fn selected(&self, matchers: &[Matcher], from: Time, to: Time, as_before: bool) -> Vec<Stored> {
        let exact = matchers.iter().find(|m| m.name == NAME && matches!(m.op, MatchOp::Equal));
        let named: Vec<_> = match exact {
            Some(name) => self.series.get_key_value(&name.value).into_iter().collect(),
            None => self.series.iter().collect(),
        };
        let inside = |(t, _): &(i64, Option<f64>)| (from.millis()..=to.millis()).contains(t);
        let mut found = Vec::new();
        for (name, rows) in named {
            let value = |m: &Matcher, labels: &Labels| {
                if m.name == NAME {
                    m.is_match(name)
                } else {
                    m.is_match(labels.get(&m.name).map_or("", String::as_str))
                }
            };
            for (labels, row) in rows.iter().filter(|(labels, _)| matchers.iter().all(|m| value(m, labels))) {
                let silence = if as_before { self.silence(row.target) } else { None };
                let points: Vec<_> = match silence {
                    None => row.points.iter().copied().filter(inside).collect(),
                    Some(by) => {
                        let moved = row.points.iter().map(|(t, value)| (t + by, *value));
                        moved.filter(|(t, _)| *t <= self.now().millis()).filter(inside).collect()
                    }
                };
                if !points.is_empty() {
                    let mut labels = labels.clone();
                    labels.insert(NAME.to_owned(), name.clone());
                    found.push(Stored { labels, points });
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        promql::{Outcome, Value, instant},
        source::prometheus::exposition::{Line, lines},
    };

    fn round(ring: &mut Ring, at: f64, text: Option<&str>) {
        let samples = lines(text.unwrap_or_default()).filter_map(|line| match line.unwrap() {
            Line::Sample(sample) => Some(sample),
            Line::Type { .. } => None,
        });
        let scrape = Scrape { target: 0, job: "vllm", instance: "a:1", samples: samples.collect(), up: text.is_some() };
        assert_eq!(ring.take(Time::from_secs(at), vec![scrape]), 0);
    }

    fn ask(ring: &Ring, query: &str) -> Vec<f64> {
        match instant(ring, query, ring.now()).unwrap() {
            Outcome::Value(Value::Vector(samples)) => samples.iter().map(|s| s.value).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rates_and_quantiles_come_from_the_difference_of_scrapes() {
        let mut ring = Ring::new(None);
        let text = |t: f64| {
            format!(
                "r_total {}\nh_bucket{{le=\"0.1\"}} {}\nh_bucket{{le=\"0.5\"}} {}\nh_bucket{{le=\"+Inf\"}} {}\n",
                1000.0 + 8.0 * t,
                50.0 + t,
                60.0 + 3.0 * t,
                90.0 + 4.0 * t
            )
        };
        round(&mut ring, 1000.0, Some(&text(0.0)));
        assert_eq!(ask(&ring, "rate(r_total[5s])"), [0.0; 0], "one scrape has no rate: missing, not zero");
        round(&mut ring, 1005.0, Some(&text(5.0)));
        assert_eq!(ring.seen().to_bits(), 5.0_f64.to_bits());
        assert_eq!(ask(&ring, "rate(r_total[5s])"), [8.0]);
        let quantile = ask(&ring, "histogram_quantile(0.5, sum by (le) (rate(h_bucket[5s])))");
        assert!((quantile[0] - 0.3).abs() < 1e-9, "rank 2 of 4 lies in the middle of (0.1, 0.5]: {quantile:?}");
    }

    #[test]
    fn what_a_scrape_lacks_is_missing_at_once_and_forgotten_later() {
        let mut ring = Ring::new(None);
        round(&mut ring, 1000.0, Some("kept 1\nlost{job=\"theirs\"} 7\n"));
        assert_eq!(ask(&ring, "lost{exported_job=\"theirs\",job=\"vllm\",instance=\"a:1\"}"), [7.0]);
        round(&mut ring, 1005.0, Some("kept 0\n"));
        assert_eq!((ask(&ring, "kept"), ask(&ring, "lost")), (vec![0.0], vec![]));
        assert_eq!((ring.names(&["kept", "lost", "never"]), ring.of_target(0)), (vec!["kept".to_owned()], 2));
        round(&mut ring, 1010.0, None);
        assert_eq!((ask(&ring, "kept"), ask(&ring, "up")), (vec![], vec![0.0]), "a dead target's series end with it");
        for minute in 0..7_u32 {
            round(&mut ring, 1060.0 + 60.0 * f64::from(minute), Some("other 1\n"));
        }
        assert_eq!(ring.count, 2, "nothing but `other` and `up` is left");
    }

    #[test]
    fn a_clock_that_is_set_back_costs_the_rates_of_one_round() {
        let mut ring = Ring::new(None);
        for (at, value) in [(1000.0, 10), (1005.0, 20), (400.0, 30), (405.0, 40)] {
            round(&mut ring, at, Some(&format!("r_total {value}\n")));
        }
        assert_eq!((ask(&ring, "r_total"), ask(&ring, "rate(r_total[5s])")), (vec![40.0], vec![2.0]));
    }

    #[test]
    fn what_a_silent_target_said_last_is_known_however_long_it_is_silent() {
        let mut ring = Ring::new(None);
        round(&mut ring, 1000.0, Some("r_total 10\n"));
        round(&mut ring, 1005.0, Some("r_total 20\n"));
        assert!(!ring.is_silent());
        (0..400_u32).for_each(|k| round(&mut ring, 1010.0 + 5.0 * f64::from(k), None));
        assert_eq!((ring.is_silent(), ring.names(&["r_total"]).len(), ask(&ring, "r_total").len()), (true, 1, 0));
        let matcher = [Matcher::new(MatchOp::Equal, NAME, "r_total")];
        let before = ring.selected(&matcher, ring.now().plus(-10.0), ring.now(), true);
        let values: Vec<_> = before[0].points.iter().map(|(_, value)| *value).collect();
        assert_eq!(values, [Some(10.0), Some(20.0)]);
        let up = &ring.series["up"].values().next().unwrap().points;
        assert!(up.len() <= 62, "that it is silent is not told for ever: {}", up.len());
        round(&mut ring, 4000.0, Some("r_total 30\n"));
        assert_eq!((ring.is_silent(), ask(&ring, "r_total"), ring.count), (false, vec![30.0], 2));
        let kept = &ring.series["r_total"].values().next().unwrap().points;
        assert_eq!(kept.len(), 1, "what it said before is too old now");
    }

    #[test]
    fn what_nobody_asks_for_is_not_kept() {
        let mut ring = Ring::new(Some([String::from("kept")].into()));
        round(&mut ring, 1000.0, Some("kept 1\nnoise 2\n"));
        assert_eq!(ring.count, 1);
    }
}
