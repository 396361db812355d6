//! The arena's laws: bounds, determinism, and what does not depend on the unit of demand.

use super::*;
use crate::simulate::demand::DemandSettings;
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
        let game = Game { limits: Limits { min, max: min + more }, trouble: Trouble { crashes: 200.0, lost_scrapes: 0.1, ..Trouble::default() }, ..Game::default() };
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

/// A game with one trouble, held at ten consumers for three hours of a steady demand that eight could take.
fn troubled(trouble: Trouble, ceiling: f64) -> Outcome {
    let game = Game { start: 10, skew: 0.0, ceiling, trouble, ..Game::default() };
    play(&game, &vec![7_000.0; 10_800], 5, &mut Hold(10))
}

#[test]
fn troubles_do_what_they_say() {
    let calm = troubled(Trouble::default(), f64::INFINITY).score;
    assert_eq!((calm.rebalances, calm.slo_minutes), (0.0, 0.0));
    let lag_at = |outcome: &Outcome, second: usize| outcome.lags[second];

    let crashes = troubled(Trouble { crashes: 80.0, ..Trouble::default() }, f64::INFINITY).score;
    let absences = troubled(Trouble { absences: 80.0, ..Trouble::default() }, f64::INFINITY).score;
    // Ten in three hours; each leaves and joins again, and what falls together is one rebalance.
    for score in [crashes, absences] {
        assert!((8.0..40.0).contains(&score.rebalances) && score.average_lag > 1_000.0, "{score:?}");
    }

    let deployed = troubled(Trouble { deployments: vec![3_600.0], ..Trouble::default() }, f64::INFINITY);
    assert!(lag_at(&deployed, 3_590) < 1.0 && lag_at(&deployed, 3_640) > 50_000.0, "nobody reads for a while");
    assert!((5.0..20.0).contains(&deployed.score.rebalances), "a quarter at a time: {}", deployed.score.rebalances);

    let hot = Hot { from: 3_600.0, until: 7_200.0, factor: 9.0 };
    let hot = troubled(Trouble { hot: Some(hot), ..Trouble::default() }, f64::INFINITY);
    // Nine times a fortieth, of which its consumer reads three more: 1.7 k/s for 1 k/s.
    assert!(lag_at(&hot, 3_590) < 1.0 && lag_at(&hot, 7_190) > 1e6, "{:?}", hot.score);
    assert!(lag_at(&hot, 10_790) < lag_at(&hot, 7_190), "it is as before afterwards");

    let drifting = troubled(Trouble { drift: 0.5, ..Trouble::default() }, f64::INFINITY).score;
    assert!(drifting.average_lag > 1_000.0, "shares that wander make somebody's too large: {drifting:?}");

    let neighbour = DemandSettings { mean: 4_000.0, ..DemandSettings::default() };
    let shared = troubled(Trouble { neighbour: Some(neighbour), ..Trouble::default() }, 10_000.0).score;
    assert!(shared.slo_minutes > 60.0 && troubled(Trouble::default(), 10_000.0).score.slo_minutes == 0.0);
}

#[test]
fn lost_scrapes_are_looks_that_nobody_gets() {
    struct Counts(u32);
    impl Pilot for Counts {
        fn decide(&mut self, _: &Seen<'_>) -> Option<u32> {
            self.0 += 1;
            None
        }
    }
    let looks = |lost_scrapes| {
        let game = Game { trouble: Trouble { lost_scrapes, ..Trouble::default() }, ..Game::default() };
        let mut counts = Counts(0);
        play(&game, &vec![1_000.0; 15_000], 1, &mut counts);
        counts.0
    };
    assert_eq!(looks(0.0), 1_000);
    assert!((650..750).contains(&looks(0.3)), "{}", looks(0.3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The search plays without looking at commits, and steps in which nothing waits are made without work per partition.
    #[test]
    fn a_game_that_nobody_watches_costs_the_same(
        seed: u64, eager: bool, absences in 0.0..100.0, session in prop_oneof![Just(0.0), Just(45.0)], drift in 0.0..0.3, crashes in prop_oneof![Just(0.0), Just(50.0)],
        table in prop::collection::vec((0_u32..240, 1_u32..30), 0..12),
    ) {
        let mut game = Game::default();
        if !eager {
            (game.group.protocol, game.group.assignor, game.group.rebalance) =
                (Protocol::Cooperative, Assignor::Sticky, 4.0);
        }
        game.trouble = Trouble { absences, session, drift, crashes, lost_scrapes: 0.1, ..Trouble::default() };
        let demand = wave(3_600, 9_000.0);
        let mut table: Vec<(f64, u32)> = table.into_iter().map(|(slot, n)| (f64::from(slot) * 15.0, n)).collect();
        table.sort_by(|a, b| a.0.total_cmp(&b.0));
        let watched = play(&game, &demand, seed, &mut Timetable(&table));
        let mut blind = Match::blind(&game, &demand, seed);
        blind.follow(&table, 1_234);
        let mut copy = blind.clone();
        blind.follow(&[], 2_000);
        copy.follow(&table, demand.len());
        prop_assert!((copy.spent() - watched.score.price).abs() < 1e-6 * watched.score.price);
        prop_assert!(copy.group().processed() - 3_600.0 * 9_000.0 * 1.6 < 0.0);
    }
}
