//! What charts and models count on: gaps stay gaps, order does not matter, memory is bounded.

use super::*;
use crate::model::{Entity, WorkloadKind};
use proptest::prelude::*;

fn key(role: Role) -> SignalKey {
    let entity = Entity { kind: WorkloadKind::ConsumerGroup, source: "prod".into(), id: "orders".into() };
    SignalKey { entity, role }
}

fn at(secs: f64) -> Time {
    Time::from_secs(secs)
}

fn with(role: Role, samples: &[(f64, f64)]) -> History {
    let mut history = History::default();
    for (t, value) in samples {
        history.record(&key(role), Sample { at: at(*t), value: *value });
    }
    history
}

fn grid(history: &History, role: Role, to: f64, step: f64) -> Vec<Option<f64>> {
    history.grid(&key(role), at(0.0), at(to), step).values
}

#[test]
fn a_bucket_holds_the_mean_of_rates_the_peak_of_backlogs_and_the_last_count() {
    let samples = [(0.0, 4.0), (5.0, 8.0), (10.0, 6.0)];
    assert_eq!(grid(&with(Role::Demand, &samples), Role::Demand, 15.0, 15.0), [Some(6.0)]);
    assert_eq!(grid(&with(Role::Backlog, &samples), Role::Backlog, 15.0, 15.0), [Some(8.0)]);
    assert_eq!(grid(&with(Role::Replicas, &samples), Role::Replicas, 15.0, 15.0), [Some(6.0)]);
}

#[test]
fn rare_samples_are_bridged_and_missed_ones_are_not() {
    let minutes: Vec<_> = (0..10).map(|i| (f64::from(i) * 60.0, f64::from(i))).collect();
    let values = grid(&with(Role::Demand, &minutes), Role::Demand, 541.0, 15.0);
    assert!(values.iter().all(Option::is_some), "one scrape a minute on a grid of 15 s: {values:?}");
    let missed: Vec<_> = minutes.into_iter().filter(|(t, _)| (*t - 240.0).abs() > 1.0).collect();
    let values = grid(&with(Role::Demand, &missed), Role::Demand, 541.0, 15.0);
    assert_eq!(values[13..20], [None; 7], "two minutes without a sample are a gap: {values:?}");
    assert!(values[20].is_some());
}

#[test]
fn nothing_is_made_up_before_the_first_or_after_the_last_sample() {
    let values = grid(&with(Role::Demand, &[(30.0, 1.0), (45.0, 1.0)]), Role::Demand, 90.0, 15.0);
    assert_eq!(values, [None, None, Some(1.0), Some(1.0), None, None]);
}

#[test]
fn backfill_never_replaces_what_was_seen() {
    let mut history = with(Role::Demand, &[(30.0, 3.0)]);
    let older = [(45.0, 4.0), (30.0, 99.0), (0.0, 1.0), (15.0, f64::INFINITY)];
    history.backfill(&key(Role::Demand), &older.map(|(t, value)| Sample { at: at(t), value }));
    assert_eq!(grid(&history, Role::Demand, 60.0, 15.0), [Some(1.0), None, Some(3.0), Some(4.0)]);
}

#[test]
fn a_clock_that_jumped_ahead_is_forgotten_when_it_comes_back() {
    let mut history = with(Role::Demand, &[(0.0, 1.0), (1e9, 2.0), (15.0, 3.0)]);
    history.prune(at(20.0));
    assert_eq!(history.latest(&key(Role::Demand)), Some(Sample { at: at(15.0), value: 3.0 }));
}

#[test]
fn a_week_of_samples_fits_and_old_ones_are_coarser() {
    let mut history = History::new(Bounds { samples: 4_000, span: 8.0 * 86_400.0 });
    for i in 0..302_400 {
        let t = f64::from(i) * 2.0;
        history.record(&key(Role::Demand), Sample { at: at(t), value: t });
    }
    assert!(history.len() <= 4_000, "{}", history.len());
    assert!(history.oldest(&key(Role::Demand)).unwrap() < at(86_400.0), "a week is still there");
    let recent = history.grid(&key(Role::Demand), at(604_800.0 - 1_800.0), at(604_800.0), 15.0);
    assert!(recent.values.iter().all(Option::is_some), "the last half hour is whole at 15 s");
    let week = history.grid(&key(Role::Demand), at(100_000.0), at(604_800.0), 300.0);
    assert!(week.values.iter().all(Option::is_some), "the week is whole at 5 min");
    let error = week.values.iter().enumerate().map(|(i, v)| (v.unwrap() - week.at(i).secs() - 150.0).abs());
    assert!(error.fold(0.0, f64::max) < 150.0, "thinning keeps means where they belong");
}

#[test]
fn many_series_share_one_bound() {
    let mut history = History::new(Bounds { samples: 100_000, ..Bounds::default() });
    for n in 0..200 {
        let mut key = key(Role::Demand);
        key.entity.id = format!("group-{n}").as_str().into();
        for i in 0..2_000 {
            history.record(&key, Sample { at: at(f64::from(i) * 15.0), value: 1.0 });
        }
    }
    history.prune(at(30_000.0));
    assert!(history.len() <= 100_000, "{}", history.len());
}

#[test]
fn silly_steps_and_spans_give_small_grids() {
    let history = with(Role::Demand, &[(0.0, 1.0)]);
    for step in [0.0, -5.0, f64::NAN, f64::INFINITY] {
        assert!(history.grid(&key(Role::Demand), at(0.0), at(1e12), step).values.len() <= MAX_GRID);
    }
    assert!(history.grid(&key(Role::Demand), at(60.0), at(0.0), 15.0).values.is_empty());
}

proptest! {
    /// Order of arrival does not matter, and every finite sample at its own instant is found again.
    #[test]
    fn arrival_order_does_not_matter(mut times in prop::collection::btree_set(0_i32..100_000, 1..60), seed in any::<u64>()) {
        let sorted: Vec<(f64, f64)> = std::mem::take(&mut times).into_iter().map(|t| (f64::from(t), f64::from(t))).collect();
        let mut shuffled = sorted.clone();
        let mut state = seed;
        for i in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(i, (state >> 33) as usize % (i + 1));
        }
        let (a, b) = (with(Role::Demand, &sorted), with(Role::Demand, &shuffled));
        prop_assert_eq!(grid(&a, Role::Demand, 1e5, 15.0), grid(&b, Role::Demand, 1e5, 15.0));
        prop_assert_eq!(a.len(), sorted.len());
    }

    /// A value on the grid never lies outside of the values around it.
    #[test]
    fn the_grid_stays_within_what_was_seen(samples in prop::collection::vec((0.0..5_000.0_f64, -1e6..1e6_f64), 1..80), step in 1.0..300.0_f64) {
        let history = with(Role::Demand, &samples);
        let low = samples.iter().map(|s| s.1).fold(f64::INFINITY, f64::min);
        let high = samples.iter().map(|s| s.1).fold(f64::NEG_INFINITY, f64::max);
        for v in grid(&history, Role::Demand, 5_000.0, step).into_iter().flatten() {
            prop_assert!(v >= low - 0.1 && v <= high + 0.1, "seven digits of a million");
        }
    }
}
