use super::*;

fn foreseen<'a>(demand: &'a [f64], shares: &'a [f64]) -> Foreseen<'a> {
    Foreseen {
        demand,
        shares,
        scaling: Scaling::default(),
        rate: 1_000.0,
        ceiling: f64::INFINITY,
        rebalance: 15.0,
        eager: true,
        start_up: 40.0,
        least: 1.0,
        start: 8,
        limits: Limits { min: 1, max: 24 },
        slo: 30.0,
        price: Price::default(),
    }
}

#[test]
fn steady_demand_is_held_by_the_least_count_and_the_bound_is_its_price() {
    let (demand, shares) = (vec![4_400.0; 7_200], vec![1.0 / 24.0; 24]);
    let f = foreseen(&demand, &shares);
    // 24 partitions: 5 consumers read five of them (917/s), 4 would read six (1100/s)
    assert_eq!(Programme::new(&f, 0.98).timetable(), [(0.0, 5)]);
    let bound = lower_bound(&f);
    // Two hours of five; in the last minutes nothing that is left unread costs anything any more.
    assert!((9.0..=10.06).contains(&bound), "{bound}");
}

#[test]
fn a_rise_is_met_in_time_and_costs_at_least_its_pods() {
    let demand: Vec<f64> = (0..7_200).map(|s| if (2_400..4_800).contains(&s) { 9_000.0 } else { 3_000.0 }).collect();
    let shares = vec![1.0 / 24.0; 24];
    let f = foreseen(&demand, &shares);
    let table = Programme::new(&f, 0.98).timetable();
    let up = table.iter().find(|(_, n)| *n >= 8).copied();
    assert!(up.is_some_and(|(t, _)| (2_000.0..=2_400.0).contains(&t)), "{table:?}");
    assert!(table.iter().any(|(t, n)| (4_700.0..5_100.0).contains(t) && *n <= 4), "{table:?}");
    let work: f64 = demand.iter().sum::<f64>() / f.rate / 3600.0;
    let bound = lower_bound(&f);
    assert!(bound > work * 0.97 && bound < 1.4 * work, "{bound} of {work} pod-hours of pure work");
}

#[test]
fn the_bound_knows_what_partitions_and_a_ceiling_cost() {
    let (demand, even) = (vec![12_500.0; 3_600], vec![1.0 / 24.0; 24]);
    let easy = lower_bound(&foreseen(&demand, &even));
    // 13 consumers could do it if partitions could be cut in two: some would read two of them, 1042/s.
    assert!(easy > 13.2, "{easy}");
    let saturated = lower_bound(&Foreseen { ceiling: 10_000.0, ..foreseen(&demand, &even) });
    assert!(saturated > easy + 40.0, "an hour further and further behind: {saturated} {easy}");
}
