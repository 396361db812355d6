use super::*;
use proptest::prelude::*;

fn grid(values: Vec<Option<f64>>) -> Grid {
    Grid { start: Time::from_secs(0.0), step: 15.0, values }
}

/// Hours of a service of four replicas whose load goes up and down between `loads` (requests per second and replica).
struct Seen4 {
    throughput: Grid,
    waiting: Grid,
    ttft: Grid,
    inter_token: Grid,
    replicas: Grid,
}

/// Tokens of 18 ms, 0.08 of which per request a second: 50 ms (p95 of a mean of 32) are reached at 5.5 a second.
fn seen(loads: (f64, f64), full: f64) -> Seen4 {
    let load =
        |i: usize| loads.0 + (loads.1 - loads.0) * (0.5 - 0.5 * (i as f64 / 240.0 * std::f64::consts::TAU).cos());
    let of = |f: &dyn Fn(f64) -> f64| grid((0..960).map(|i| Some(f(load(i)))).collect());
    Seen4 {
        throughput: of(&|x| 4.0 * x.min(full)),
        waiting: of(&|x| if x > full { 40.0 * (x - full) } else { 0.0 }),
        ttft: of(&|x| if x > full { 8.0 } else { 0.4 }),
        inter_token: of(&|x| 1.565 * 0.018 / (1.0 - 0.08 * x.min(full))),
        replicas: of(&|_| 4.0),
    }
}

fn estimate(seen: &Seen4, slo: (Option<f64>, Option<f64>)) -> Option<ServiceCapacity> {
    estimate_service(&ServiceObserved {
        throughput: &seen.throughput,
        waiting: &seen.waiting,
        ttft: &seen.ttft,
        inter_token: &seen.inter_token,
        replicas: &seen.replicas,
        desired: &seen.replicas,
        slo,
        previous: None,
        now: Time::from_secs(1e6),
    })
}

#[test]
fn slow_tokens_are_foreseen_before_they_are_slow() {
    // At most 4.5 a second were seen, with tokens 44 ms apart: the line meets 50 ms at 5.46.
    let found = estimate(&seen((1.0, 4.5), 20.0), (Some(2.0), Some(0.05))).unwrap();
    assert_eq!(found.limit, Limit::InterToken);
    assert!((found.capacity.per_replica - 5.46).abs() < 0.15, "{found:?}");
}

#[test]
fn a_bad_scrape_changes_nothing_and_a_burst_counts() {
    let (slo, none) = ((Some(2.0), Some(0.05)), (Some(2.0), None));
    let clean = [estimate(&seen((1.0, 4.5), 20.0), slo), estimate(&seen((1.0, 9.0), 7.0), none)];
    let [mut lines, mut breaks] = [seen((1.0, 4.5), 20.0), seen((1.0, 9.0), 7.0)];
    for bad in [&mut lines, &mut breaks] {
        // A counter that jumped stays within the window of a rate for a minute.
        bad.throughput.values[500..504].fill(Some(4e6));
    }
    let spiked = [estimate(&lines, slo), estimate(&breaks, none)];
    for (a, b) in clean.iter().flatten().zip(spiked.iter().flatten()) {
        let off = (a.capacity.per_replica / b.capacity.per_replica - 1.0).abs();
        assert!(a.limit == b.limit && off < 0.01, "{a:?} {b:?}");
    }
    // Ten minutes at four times the usual load are what tells where an objective breaks.
    let mut burst = seen((1.0, 1.5), 20.0);
    burst.throughput.values[500..540].fill(Some(4.0 * 6.0));
    burst.ttft.values[500..540].fill(Some(8.0));
    let found = estimate(&burst, none).unwrap();
    assert_eq!(found.limit, Limit::FirstToken, "{found:?}");
}

#[test]
fn waiting_for_the_first_token_is_where_batches_are_full() {
    let found = estimate(&seen((1.0, 9.0), 7.0), (Some(2.0), None)).unwrap();
    assert_eq!(found.limit, Limit::FirstToken);
    assert!((found.capacity.per_replica - 7.0).abs() < 0.2 && (found.most - 7.0).abs() < 1e-9, "{found:?}");
}

#[test]
fn a_service_that_was_never_busy_is_known_by_what_it_did() {
    let found = estimate(&seen((0.2, 1.5), 20.0), (Some(2.0), Some(0.05))).unwrap();
    assert_eq!((found.limit, found.capacity.samples), (Limit::NotSeen, 0));
    assert!((1.4..=1.5).contains(&found.capacity.per_replica), "{found:?}");
    assert!(found.capacity.assumptions[0].contains("went well"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_unit_of_requests_scales_the_rate_and_nonsense_never_panics(
        factor in 0.01..1000.0_f64, holes in prop::collection::vec(0_usize..960, 0..200), odd in 0_usize..4,
    ) {
        let mut a = seen((1.0, 8.0), 7.0);
        let odd = [None, Some(f64::NAN), Some(f64::INFINITY), Some(-1.0)][odd];
        for i in holes {
            (a.throughput.values[i], a.inter_token.values[i], a.ttft.values[i], a.replicas.values[i]) = (odd, odd, odd, odd);
        }
        let one = estimate(&a, (Some(2.0), Some(0.05)));
        for v in a.throughput.values.iter_mut().flatten() {
            *v *= factor;
        }
        match (one, estimate(&a, (Some(2.0), Some(0.05)))) {
            (Some(x), Some(y)) => prop_assert!((x.capacity.per_replica * factor / y.capacity.per_replica - 1.0).abs() < 1e-6),
            (x, y) => prop_assert!(x.is_none() && y.is_none()),
        }
    }
}
