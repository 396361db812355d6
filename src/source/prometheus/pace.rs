//! How much a source is asked for: less, and less often, where it refuses more; back to what is configured by and by.

use super::failure::Failure;
use crate::model::{Label, PrometheusSettings};
use std::collections::BTreeMap;

/// Good refreshes in a row after which half of every slowing is taken back.
const GOOD: u32 = 30;
/// How much wider than configured steps become at most.
pub(super) const WIDEST: u32 = 16;
/// Refreshes are at most this far apart, seconds, or twice what is configured when that is more.
const LONGEST_WAIT: f64 = 120.0;

/// What the source's limits made of the configured figures.
#[derive(Debug)]
pub(super) struct Pace {
    /// Factor of the wait between refreshes.
    wait: f64,
    widths: Widths,
    /// Why the history is not complete.
    held: Option<Label>,
    /// Refreshes since a limit was met.
    good: u32,
}

/// Queries whose history is asked for in wider steps, and over shorter spans.
#[derive(Debug, Default)]
pub(super) struct Widths {
    /// Factor of the step by PromQL, a power of two.
    by_query: BTreeMap<String, u32>,
    /// The source's words when it last refused the amount.
    why: Label,
}

impl Widths {
    /// Factor of the step for a query.
    pub(super) fn of(&self, promql: &str) -> u32 {
        self.by_query.get(promql).copied().unwrap_or(1)
    }

    /// Notes the factor that a query needed, and why.
    pub(super) fn widen(&mut self, promql: &str, width: u32, why: &Label) {
        self.by_query.insert(promql.to_owned(), width);
        self.why = why.clone();
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self { wait: 1.0, widths: Widths::default(), held: None, good: 0 }
    }
}

impl Pace {
    /// Seconds from one refresh to the next.
    pub(super) fn refresh(&self, settings: &PrometheusSettings) -> f64 {
        settings.refresh * self.wait
    }

    /// The source limits our requests (429): it is asked half as often.
    pub(super) fn limited(&mut self, settings: &PrometheusSettings) {
        let most = (LONGEST_WAIT / settings.refresh).max(2.0);
        (self.wait, self.good) = ((self.wait * 2.0).min(most), 0);
    }

    /// The steps of the history, for whoever asks for it.
    pub(super) fn widths(&mut self) -> &mut Widths {
        &mut self.widths
    }

    /// Notes how filling the history went; `widened`: a query was refused its amount.
    pub(super) fn filled(&mut self, failure: Option<&Failure>, widened: bool) {
        self.held = failure.map(|f| f.reason.clone());
        if widened {
            self.good = 0;
        }
    }

    /// A refresh without a limit. After enough of them more is tried again.
    pub(super) fn good(&mut self) {
        self.good += 1;
        if self.good >= GOOD {
            self.good = 0;
            self.wait = (self.wait / 2.0).max(1.0);
            self.widths.by_query.retain(|_, width| {
                *width /= 2;
                *width > 1
            });
        }
    }

    /// What has to be said of it.
    pub(super) fn told(&self, settings: &PrometheusSettings) -> Option<String> {
        let mut said = Vec::new();
        if self.wait > 1.0 {
            let (slow, usual) = (self.refresh(settings), settings.refresh);
            said.push(format!("asked every {slow:.0} s instead of {usual:.0}: it limits our requests"));
        }
        if let Some(widest) = self.widths.by_query.values().max() {
            let (wide, usual) = (settings.step * f64::from(*widest), settings.step);
            let (many, why) = (self.widths.by_query.len(), &self.widths.why);
            let queries = if many == 1 { "1 query".to_owned() } else { format!("{many} queries") };
            said.push(format!("history of {queries} in steps of {wide:.0} s instead of {usual:.0}: {why}"));
        }
        if let Some(why) = &self.held {
            said.push(format!("the history waits: {why}"));
        }
        (!said.is_empty()).then(|| said.join(" · "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_slowed_down_is_said_and_taken_back() {
        let settings = PrometheusSettings { refresh: 5.0, step: 15.0, ..PrometheusSettings::new("main", "http://x") };
        let mut pace = Pace::default();
        assert_eq!(pace.told(&settings), None);
        pace.limited(&settings);
        pace.limited(&settings);
        pace.widths().widen("rate(x[1m])", 4, &"too many samples".into());
        pace.filled(None, true);
        let said = pace.told(&settings).unwrap();
        assert!(said.starts_with("asked every 20 s instead of 5: it limits our requests · "), "{said}");
        assert!(said.ends_with("history of 1 query in steps of 60 s instead of 15: too many samples"), "{said}");
        let mut refreshes = 0;
        while pace.told(&settings).is_some() {
            pace.good();
            refreshes += 1;
        }
        assert_eq!((refreshes, pace.widths().of("rate(x[1m])")), (2 * GOOD, 1));
        for _ in 0..20 {
            pace.limited(&settings);
        }
        assert!((pace.refresh(&settings) - LONGEST_WAIT).abs() < 1e-9, "there is an end to it");
    }
}
