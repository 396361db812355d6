//! The arena's laws: bounds, determinism, and what does not depend on the unit of demand.

use super::*;
use proptest::prelude::*;

/// Asks for whatever a seed says.
struct Restless(Random);

impl Pilot for Restless {
    fn decide(&mut self, _: &Seen<'_>) -> Option<u32> {
        Some(self.0.between(0.0, 100.0) as u32)
    }
}

/// Proportional to what is visible, as a rule on lag per consumer.
struct Proportional(f64);

impl Pilot for Proportional {
    fn decide(&mut self, seen: &Seen<'_>) -> Option<u32> {
        let lag: f64 = seen.ends.iter().zip(seen.committed).map(|(e, c)| e - c).sum();
        Some((lag / self.0).ceil() as u32)
    }
}

fn wave(seconds: usize, mean: f64) -> Vec<f64> {
    (0..seconds).map(|s| mean * (1.0 + 0.6 * (s as f64 / 900.0).sin())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_pilot_leaves_the_bounds_and_a_seed_is_a_game(seed: u64, min in 0_u32..6, more in 0_u32..20) {
        let game = Game { limits: Limits { min, max: min + more }, crashes: 200.0, lost_scrapes: 0.1, ..Game::default() };
        let demand = wave(1_200, 6_000.0);
        let run = || play(&game, &demand, seed, &mut Restless(Random::new(seed)));
        let outcome = run();
        prop_assert!(outcome.changes.iter().all(|(_, n)| (min..=min + more).contains(n)));
        prop_assert!(outcome.score.price.is_finite() && outcome.score.price >= 0.0);
        prop_assert_eq!(run(), outcome);
    }

    #[test]
    fn the_unit_of_demand_changes_no_count(seed: u64, power in -6_i32..10) {
        let factor = 2.0_f64.powi(power); // exact in binary: not a digit may differ
        let game = Game::default();
        let mut scaled = game.clone();
        scaled.group.consumer_rate *= factor;
        let demand = wave(1_800, 9_000.0);
        let more: Vec<f64> = demand.iter().map(|d| d * factor).collect();
        let one = play(&game, &demand, seed, &mut Proportional(10_000.0));
        let two = play(&scaled, &more, seed, &mut Proportional(10_000.0 * factor));
        prop_assert_eq!(&one.changes, &two.changes);
        prop_assert!((one.score.price - two.score.price).abs() < 1e-9 * one.score.price);
    }
}

#[test]
fn a_price_is_its_parts() {
    let game = Game { start: 4, slo: 120.0, ..Game::default() };
    let table = [(60.0, 10), (900.0, 8), (1_200.0, 6)];
    let outcome = play(&game, &vec![3_000.0; 3_600], 3, &mut Timetable(&table));
    let score = outcome.score;
    assert_eq!(outcome.changes, table);
    assert_eq!((score.actions, score.flaps), (3.0, 0.0), "840 s after the addition is no flap");
    let pods = (60.0 * 4.0 + 840.0 * 10.0 + 300.0 * 8.0 + 2_400.0 * 6.0) / 3_600.0;
    assert!((score.pod_hours - pods).abs() < 1e-9, "{score:?}");
    assert!((score.average_replicas - pods).abs() < 1e-9, "the game lasts an hour");
    assert!((score.price - pods - 3.0 * 0.05).abs() < 1e-9 && score.slo_minutes == 0.0, "{score:?}");
    let flapping = [(60.0, 10), (600.0, 4)];
    let flaps = play(&game, &vec![3_000.0; 900], 3, &mut Timetable(&flapping)).score.flaps;
    assert!(flaps > 0.5 && flaps < 1.5, "{flaps}");
}

#[test]
fn what_is_visible_trails_the_truth_by_the_commits() {
    struct Least(f64);
    impl Pilot for Least {
        fn decide(&mut self, seen: &Seen<'_>) -> Option<u32> {
            let lag: f64 = seen.ends.iter().zip(seen.committed).map(|(e, c)| e - c).sum();
            self.0 = self.0.min(lag);
            None
        }
    }
    let mut least = Least(f64::INFINITY);
    let outcome = play(&Game::default(), &vec![10_000.0; 3_600], 1, &mut least);
    assert!(outcome.score.average_lag < 1_000.0, "{:?}", outcome.score);
    assert!((12_000.0..32_000.0).contains(&least.0), "about half of 5 s of 10 000 records/s: {}", least.0);
}
