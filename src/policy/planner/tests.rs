use super::*;
use proptest::prelude::*;

fn capacity(per_replica: f64) -> Capacity {
    Capacity {
        per_replica,
        low: per_replica,
        high: per_replica,
        samples: 40,
        start_up: 40.0,
        rebalance: 15.0,
        rebalance_down: 15.0,
        ceiling: None,
        assumptions: Vec::new(),
    }
}

fn equal(partitions: usize) -> Work {
    Work::Log { shares: vec![1.0; partitions] }
}

fn problem<'a>(work: Work, demand: &'a [f64], capacity: &'a Capacity, current: u32) -> Problem<'a> {
    Problem {
        work,
        demand,
        high: demand,
        step: 60.0,
        backlog: 0.0,
        current,
        ready: current,
        limits: Limits { min: 1, max: 40 },
        capacity,
        slo: 30.0,
        price: Price::default(),
    }
}

#[test]
fn only_counts_that_add_capacity_are_considered() {
    let fleet = Fleet::new(&equal(40), 1_000.0);
    assert_eq!(fleet.useful(1, 40, 1e9, 30.0), [1, 2, 3, 4, 5, 6, 7, 8, 10, 14, 20, 40]);
    assert!((fleet.capacity(39) - fleet.capacity(20)).abs() < 1e-6, "39 consumers hold no more than 20");
}

#[test]
fn a_rise_is_met_with_the_cheapest_count_that_holds_it() {
    let (capacity, demand) = (capacity(1_000.0), [12_000.0; 30]);
    let plan = plan(&problem(equal(40), &demand, &capacity, 6)).unwrap();
    assert_eq!(plan.replicas, 14, "{:?}", plan.alternatives); // 10 hold 9.5k, 14 hold 12.67k
    let staying = plan.alternatives.iter().find(|a| a.replicas == 6).unwrap();
    assert!(staying.slo_minutes > 25.0 && staying.price > 100.0, "{staying:?}");
}

#[test]
fn an_idle_group_shrinks_but_not_below_what_p95_needs() {
    let (capacity, demand, high) = (capacity(1_000.0), [3_000.0; 30], [9_000.0; 30]);
    let calm = plan(&problem(equal(40), &demand, &capacity, 20)).unwrap();
    assert_eq!(calm.replicas, 4);
    let unsure = plan(&Problem { high: &high, ..problem(equal(40), &demand, &capacity, 20) }).unwrap();
    assert_eq!((unsure.replicas, unsure.held_by_p95), (10, Some(4)));
}

#[test]
fn a_hot_partition_is_named_since_replicas_cannot_help() {
    let mut shares = vec![1.0; 10];
    shares[7] = 11.0;
    let (capacity, demand) = (capacity(1_000.0), [3_000.0; 30]);
    let plan = plan(&problem(Work::Log { shares }, &demand, &capacity, 4)).unwrap();
    let (partition, needs) = plan.hot.unwrap();
    assert_eq!(partition, 7);
    assert!((needs - 3_000.0 * 0.55 / 950.0).abs() < 1e-9);
}

#[test]
fn a_service_keeps_room_for_its_latency() {
    let (capacity, demand) = (Capacity { rebalance: 0.0, ..capacity(50.0) }, [300.0; 30]);
    let work = Work::Shared { unloaded: 0.5 };
    let plan = plan(&Problem { slo: 1.5, ..problem(work, &demand, &capacity, 8) }).unwrap();
    // 0.5 s / (1 - 300/(n × 47.5)) ≤ 1.5 s needs a load of at most 2/3: ten, not the seven that hold the rate
    assert_eq!(plan.replicas, 10, "{:?}", plan.alternatives);
}

#[test]
fn a_queue_of_jobs_is_worked_off_within_its_time() {
    let (capacity, demand) = (capacity(0.01), [0.0; 60]);
    let work = |backlog| Problem { backlog, slo: 1_800.0, ..problem(Work::Jobs, &demand, &capacity, 2) };
    let plan = |backlog| plan(&work(backlog)).unwrap().replicas;
    assert!(plan(200.0) > plan(40.0), "more jobs, more workers");
    assert_eq!(plan(0.0), 1);
}

proptest! {
    #[test]
    fn whatever_the_numbers_the_count_stays_in_bounds_and_scales_with_nothing(
        demand in prop::collection::vec(prop_oneof![Just(f64::NAN), Just(f64::INFINITY), -1e3..1e6_f64], 1..40),
        rate in 0.1..1e5_f64,
        backlog in 0.0..1e8_f64,
        (current, ready) in (0..60_u32, 0..60_u32),
        (min, more) in (0..20_u32, 0..60_u32),
        shares in prop::collection::vec(0.0..5.0_f64, 1..64),
        kind in 0..3_u8,
    ) {
        let limits = Limits { min, max: min + more };
        let work = match kind { 0 => Work::Log { shares }, 1 => Work::Shared { unloaded: 0.3 }, _ => Work::Jobs };
        let small = capacity(rate);
        let base = Problem { backlog, ready, limits, ..problem(work, &demand, &small, current) };
        let plan_base = plan(&base).unwrap();
        prop_assert!((limits.min..=limits.max).contains(&plan_base.replicas));
        prop_assert!(plan_base.alternatives.iter().all(|a| a.price.is_finite() && a.slo_minutes.is_finite()));
        prop_assert!(plan_base.alternatives.iter().any(|a| a.replicas == current));
        prop_assert_eq!(&plan(&base).unwrap(), &plan_base, "same inputs, same plan");
        // A power of two scales without rounding.
        let (large, scaled): (_, Vec<f64>) = (capacity(rate * 1024.0), demand.iter().map(|d| d * 1024.0).collect());
        let again = Problem { demand: &scaled, high: &scaled, backlog: backlog * 1024.0, capacity: &large, ..base.clone() };
        prop_assert_eq!(plan(&again).unwrap().replicas, plan_base.replicas);
    }
}
