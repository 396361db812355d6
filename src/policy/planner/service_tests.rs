use super::{super::Burst, *};
use proptest::prelude::*;

fn problem(paths: [&[f64]; 3], current: u32) -> ServiceProblem<'_> {
    ServiceProblem {
        paths,
        step: 60.0,
        bursts: None,
        waiting: 0.0,
        current,
        ready: current,
        in_flight: &[],
        start_up: 180.0,
        since_up: None,
        may_shrink: true,
        limits: Limits { min: 1, max: 24 },
        rate: 5.0,
        most: 6.0,
        slo: 2.0,
        price: Price::default(),
    }
}

#[test]
fn replicas_are_asked_for_a_start_up_before_they_are_needed() {
    // Twice as much in ten minutes: not yet, but at about seven minutes.
    let path: Vec<f64> = (0..30).map(|m| if m < 10 { 20.0 } else { 40.0 }).collect();
    let p = problem([&path, &path, &path], 5);
    let plan = plan_service(&p).unwrap();
    assert_eq!(plan.replicas, 5, "{plan:?}");
    let (when, to) = plan.steps[1];
    assert!((360.0..=420.0).contains(&when) && to == 9, "{plan:?}");
    let near = &path[7..];
    let plan = plan_service(&problem([near, near, near], 5)).unwrap();
    assert!((9..=10).contains(&plan.replicas), "one more for what piles up until then: {plan:?}");
}

#[test]
fn a_count_on_the_way_down_has_its_price() {
    // Four are enough of 24; whoever may only halve them wants to know what twelve cost.
    let path = [15.0; 30];
    let plan = plan_service(&problem([&path, &path, &path], 24)).unwrap();
    let price = |n: u32| plan.alternatives.iter().find(|a| a.replicas == n).map(|a| a.price);
    assert!(plan.replicas < 6 && price(12).is_some() && price(12) < price(24), "{plan:?}");
}

#[test]
fn what_is_followed_and_what_is_kept_are_priced_alike() {
    // A pile that is worked off after the start-up weighs on who keeps a count as it does on who follows the plan.
    let path = [20.0; 30];
    let p = ServiceProblem { waiting: 4_000.0, ..problem([&path; 3].map(|p| &p[..]), 5) };
    let (plan, course) = (plan_service(&p).unwrap(), Course::new(&p));
    let row = plan.alternatives.iter().find(|a| a.replicas == plan.replicas).unwrap();
    assert!(row.price <= course.hold(plan.replicas).0 + 1e-9, "keeping it is a plan too: {row:?}");
    // Two stages of twice a minute that cannot hold what waits now, three that cannot hold what is left of it.
    assert!((course.hold(5).1 - 7.0).abs() < 1e-9, "{:?}", course.hold(5));
    // Far too few may be had, all the time.
    let path = [200.0; 30];
    let plan = plan_service(&problem([&path; 3].map(|p| &p[..]), 24)).unwrap();
    assert!(plan.alternatives.iter().all(|a| a.slo_minutes <= 30.0), "{plan:?}");
}

#[test]
fn who_drowns_with_all_that_may_be_had_is_not_made_smaller() {
    let path = [200.0; 30];
    for current in [9, 24] {
        let plan = plan_service(&problem([&path; 3].map(|p| &p[..]), current)).unwrap();
        assert!(plan.replicas >= current, "{plan:?}");
    }
}

#[test]
fn a_wide_spread_or_a_dear_minute_asks_for_more() {
    let (p50, p80, p95) = ([40.0; 30], [43.0; 30], [48.0; 30]);
    let n = |price: f64| {
        let mut p = problem([&p50, &p80, &p95], 9);
        p.price.slo_minute = price;
        plan_service(&p).unwrap().replicas
    };
    let narrow = plan_service(&problem([&p50, &p50, &p50], 9)).unwrap().replicas;
    assert!(narrow <= n(1.0) && n(1.0) < n(20.0), "{narrow} {} {}", n(1.0), n(20.0));
}

#[test]
fn a_burst_that_is_on_counts_as_long_as_it_lasts_and_one_that_may_begin_as_it_is_likely() {
    let path = [20.0; 30];
    let n = |per_second: f64, now: Option<&[(f64, f64, f64)]>| {
        let now = now.map(|ways| Burst { calm: None, ways: ways.to_vec() });
        let bursts = Bursts { per_second, factor: 2.0, lasts: 600.0, now };
        plan_service(&ServiceProblem { bursts: Some(&bursts), ..problem([&path; 3].map(|p| &p[..]), 5) })
            .unwrap()
            .replicas
    };
    assert_eq!((n(0.0, None), n(0.0, Some(&[(1.0, 60.0, 2.0)]))), (5, 5), "over before anybody could help");
    assert!(n(0.0, Some(&[(1.0, 1_200.0, 2.0)])) >= 9);
    assert!(n(0.0, Some(&[(0.5, 60.0, 2.0), (0.5, 1_200.0, 2.0)])) >= 9, "as likely as not is likely enough");
    let often = 12.0 / 86_400.0;
    assert!(n(often, None) > n(often / 24.0, None), "twice the demand twelve times a day is worth some room");
}

#[test]
fn what_is_starting_is_not_ordered_twice() {
    let path = [45.0; 30];
    let p = ServiceProblem {
        ready: 5,
        in_flight: &[60.0, 60.0, 90.0, 90.0, 90.0],
        ..problem([&path; 3].map(|p| &p[..]), 10)
    };
    assert_eq!(plan_service(&p).unwrap().replicas, 10);
}

#[test]
fn nothing_is_taken_back_within_ten_minutes() {
    let path = [5.0; 30];
    let p = ServiceProblem { since_up: Some(300.0), ..problem([&path, &path, &path], 9) };
    assert_eq!(plan_service(&p).unwrap().replicas, 9);
    let p = ServiceProblem { since_up: Some(700.0), ..p };
    assert!(plan_service(&p).unwrap().replicas < 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn bounds_hold_units_do_not_matter_and_nonsense_never_panics(
        base in prop::collection::vec(0.0..200.0, 1..40), wide in 1.0..2.0_f64, odd in prop::option::of(0_usize..40),
        current in 0_u32..40, ready in 0_u32..40, min in 0_u32..10, more in 0_u32..30, factor in 0.001..1000.0_f64,
        start_up in 0.0..900.0, waiting in 0.0..500.0_f64, since in prop::option::of(0.0..900.0),
    ) {
        let mut paths = [base.clone(), base.iter().map(|v: &f64| v * wide).collect(), base.iter().map(|v| v * wide * wide).collect::<Vec<f64>>()];
        if let Some(i) = odd.filter(|i| *i < base.len()) {
            paths[1][i] = f64::NAN;
            paths[2][i] = f64::INFINITY;
        }
        let limits = Limits { min, max: min + more };
        let waiting: f64 = waiting;
        let make = |paths: &[Vec<f64>; 3], factor: f64| {
            let p = ServiceProblem {
                limits, ready, start_up, since_up: since, waiting: waiting * factor,
                rate: 5.0 * factor, most: 6.0 * factor,
                ..problem([&paths[0], &paths[1], &paths[2]], current)
            };
            plan_service(&p).map(|p| (p.replicas, p.steps))
        };
        let (n, steps) = make(&paths, 1.0).unwrap();
        prop_assert!((limits.min..=limits.max).contains(&n));
        prop_assert!(steps.iter().all(|(t, n)| *t >= 0.0 && (limits.min..=limits.max).contains(n)));
        let scaled = paths.clone().map(|p| p.into_iter().map(|v: f64| v * 4.0).collect::<Vec<f64>>());
        prop_assert_eq!(make(&scaled, 4.0).unwrap().0, n, "a power of two changes no rounding");
        let scaled = paths.map(|p| p.into_iter().map(|v: f64| v * factor).collect::<Vec<f64>>());
        let other = make(&scaled, factor).unwrap().0;
        prop_assert!(other.abs_diff(n) <= 1, "{} {}", other, n);
    }
}
