use super::*;
use proptest::prelude::*;

/// Asks for what it is told to, whatever it sees, and remembers what it saw.
struct Script(Vec<u32>, Vec<Reading>);

impl Pilot for Script {
    fn decide(&mut self, seen: &Seen<'_>) -> Vec<Option<u32>> {
        self.1.extend(seen.services);
        let look = (seen.t / 15.0) as usize;
        seen.services.iter().map(|_| self.0.get(look % self.0.len()).copied()).collect()
    }
}

#[test]
fn tokens_slow_down_long_before_requests_wait() {
    // 4.5 requests a second and replica: batches of 33, and nobody waits for a place in one.
    let mut pilot = Script(vec![4], Vec::new());
    let outcome = play(&Game { noise: 0.0, ..Game::default() }, &[vec![18.0; 3_600]], 1, &mut pilot);
    let late = &pilot.1[120..];
    let slow = late.iter().filter(|r| r.inter_token_p95.is_some_and(|l| l > 0.05)).count();
    let waits = late.iter().filter(|r| r.waiting > 0.0).count();
    assert!(slow * 10 > late.len() * 9, "{slow} of {}", late.len());
    assert!(waits * 4 < late.len(), "{waits} of {}", late.len());
    assert!(outcome.score.slo_minutes > 30.0);
    assert!(late.iter().all(|r| r.gpu > 0.99), "DCGM's utilisation says nothing");
}

#[test]
fn replicas_without_a_gpu_stay_pending_and_are_not_paid() {
    let game = Game {
        services: vec![Service { start: 4, ..Service::default() }, Service { start: 2, gpus: 2, ..Service::default() }],
        gpus: 12,
        ..Game::default()
    };
    let demand = vec![vec![10.0; 3_600]; 2];
    let outcome = play(&game, &demand, 1, &mut Hold(vec![6, 8]));
    assert!(outcome.score.gpu_hours <= 12.0 && outcome.score.gpu_hours > 11.0, "{:?}", outcome.score);
    assert!(outcome.score.pending_minutes > 50.0);
}

#[test]
fn what_is_seen_is_late() {
    let rises: Vec<f64> = (0..1_800).map(|s| if s < 900 { 5.0 } else { 20.0 }).collect();
    let mut pilot = Script(vec![8], Vec::new());
    play(&Game { noise: 0.0, bunching: 0.0, lost_scrapes: 0.0, ..Game::default() }, &[rises], 1, &mut pilot);
    let first = pilot.1.iter().position(|r| r.completed > 6.0).unwrap_or(0) as f64 * 15.0 + 25.0;
    assert!((915.0..960.0).contains(&first), "{first}");
}

#[test]
fn the_same_seed_plays_the_same_game() {
    let demand = vec![vec![20.0; 1_200]];
    let play = |seed| play(&Game { crashes: 40.0, ..Game::default() }, &demand, seed, &mut Hold(vec![5]));
    assert_eq!(play(7), play(7));
    assert_ne!(play(7), play(8));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_pilot_leaves_its_bounds_or_the_pool(
        seed: u64, counts in prop::collection::vec(0_u32..60, 1..20), rate in 0.0..80.0, gpus in 4_u32..40,
    ) {
        let game = Game { services: vec![Service::default(), Service { gpus: 2, start: 1, ..Service::default() }],
            gpus, crashes: 100.0, ..Game::default() };
        let mut running = Match::new(&game, seed);
        let demand = vec![vec![rate; 900]; 2];
        let mut pilot = Script(counts, Vec::new());
        for second in 0..900 {
            running.second(second, &demand);
            running.look(second + 1, &mut pilot);
            let used: u32 = running.services.iter().zip(&game.services).map(|(s, of)| held(&s.fleet) * of.gpus).sum();
            prop_assert!(used <= gpus.max(10), "{used} of {gpus}"); // ten are taken at the beginning
            prop_assert!(running.services.iter().all(|s| (1..=24).contains(&s.desired)));
        }
        let score = running.ledger.close();
        prop_assert!(score.price.is_finite() && score.slo_minutes <= 30.0);
    }
}
