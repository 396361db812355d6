//! The chart of every signal, kept from pass to pass: pictures that follow one another share what did not change.

use super::CHART;
use crate::{
    history::History,
    model::{Entity, SignalKey, Time, Track},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// A chart with fewer points than this is drawn anew at every pass: of what was first seen a minute ago the newest point
/// is much of it.
const YOUNG: usize = 20;

/// Charts by signal, each [`CHART`] long. A chart is made anew when its last point is over; until then the newest values
/// stand beside it, as readings.
#[derive(Default)]
pub(super) struct Charts(HashMap<SignalKey, Arc<Track>>);

impl Charts {
    /// The chart of a signal now. Of what was first seen a minute ago it holds a minute: empty hours of thousands of
    /// groups are megabytes.
    pub(super) fn of(&mut self, key: SignalKey, history: &History, now: Time) -> Arc<Track> {
        let (span, finest) = CHART;
        if let Some(chart) = self.0.get(&key).filter(|c| is_current(c, now)) {
            return chart.clone();
        }
        // No finer than what is kept of so many signals.
        let step = finest * (span / finest / history.limit(key.role) as f64).ceil();
        let chart = Arc::new(Track::of(&history.grid(&key, now.plus(-span), now, step).without_lead()));
        self.0.insert(key, chart.clone());
        chart
    }

    /// Older samples of a signal came: its chart is made anew.
    pub(super) fn forget(&mut self, key: &SignalKey) {
        self.0.remove(key);
    }

    /// Lets go of what is no longer there.
    pub(super) fn keep(&mut self, there: &HashSet<&Entity>) {
        self.0.retain(|key, _| there.contains(&key.entity));
    }

    /// Lets go of everything: the clock was set back.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

fn is_current(chart: &Track, now: Time) -> bool {
    chart.len() >= YOUNG && now < chart.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Role, Sample, WorkloadKind};

    #[test]
    fn a_chart_is_shared_until_its_last_point_is_over() {
        let entity = Entity { kind: WorkloadKind::ConsumerGroup, source: "prod".into(), id: "orders".into() };
        let key = SignalKey { entity, role: Role::Backlog };
        let (mut history, mut charts) = (History::default(), Charts::default());
        let start = Time::from_secs(900_000.0);
        let mut last: Option<Arc<Track>> = None;
        let mut shared = 0;
        for second in (0..1_200).step_by(5) {
            let now = start.plus(f64::from(second));
            history.record(&key, Sample { at: now, value: f64::from(second) });
            let chart = charts.of(key.clone(), &history, now.plus(1.0));
            // Nothing older than a point is missing.
            let newest = chart.last().map_or(0.0, |(_, value)| value);
            assert!(f64::from(second) - newest < CHART.1, "{second}: {newest}");
            shared += usize::from(last.as_ref().is_some_and(|l| Arc::ptr_eq(l, &chart)));
            last = Some(chart);
        }
        // Ten minutes of it were young; of the rest five in six were shared.
        assert!((95..=105).contains(&shared), "{shared}");
        // What came from before the start is in the next chart.
        history.backfill(&key, &[Sample { at: start.plus(-600.0), value: 7.0 }]);
        charts.forget(&key);
        let whole = charts.of(key, &history, start.plus(1_200.0));
        assert_eq!(whole.grid().values.first(), Some(&Some(7.0)));
    }
}
