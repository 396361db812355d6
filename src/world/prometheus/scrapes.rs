//! A world's own scrapes as what queries are evaluated over.

use crate::{
    model::Time,
    promql::{Labels, NAME, Storage, Stored},
    world::{Scrapes, World},
};
use promql_parser::label::Matcher;

impl Storage for World {
    fn now(&self) -> Time {
        World::now(self)
    }

    fn select(&self, matchers: &[Matcher], from: Time, to: Time) -> Vec<Stored> {
        self.with(|state| select_scrapes(state.scrapes(), matchers, from, to))
    }
}

fn select_scrapes(scrapes: &Scrapes, matchers: &[Matcher], from: Time, to: Time) -> Vec<Stored> {
    let (names, rest): (Vec<&Matcher>, Vec<&Matcher>) = matchers.iter().partition(|m| m.name == NAME);
    let Some(last) = scrapes.last() else { return Vec::new() };
    let mut found = Vec::new();
    for series in scrapes.series() {
        let matched =
            names.iter().all(|m| m.is_match(series.name())) && rest.iter().all(|m| m.is_match(series.label(&m.name)));
        if !matched {
            continue;
        }
        let mut points: Vec<(i64, Option<f64>)> = Vec::new();
        let step = (scrapes.step() * 1000.0) as i64;
        // A scrape that a series is absent from is where Prometheus writes a stale marker.
        let mark = |points: &mut Vec<(i64, Option<f64>)>, next: i64| {
            if let Some(gone) = points.last().map(|(t, _)| t + step).filter(|gone| *gone < next) {
                points.push((gone, None));
            }
        };
        for (at, value) in series.points(from, to) {
            mark(&mut points, at.millis());
            points.push((at.millis(), Some(value)));
        }
        mark(&mut points, last.min(to).millis() + 1);
        if points.is_empty() {
            continue;
        }
        let mut labels: Labels = series.labels().iter().cloned().collect();
        labels.insert(NAME.to_owned(), series.name().to_owned());
        found.push(Stored { labels, points });
    }
    found
}
