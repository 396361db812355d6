use super::*;
use proptest::prelude::*;

fn problem(waiting: &[Waiting], current: u32) -> QueueProblem<'_> {
    QueueProblem {
        waiting,
        arriving: 0.0,
        within: 14_400.0,
        run: 1_800.0,
        gang: 1,
        current,
        ready: current,
        busy: 0,
        running: 0.0,
        start_up: 180.0,
        since_up: None,
        limits: Limits { min: 0, max: 40 },
        price: Price::default(),
    }
}

#[test]
fn the_fewest_that_keep_the_deadline() {
    // 20 worker-hours in four hours: five would do with nothing to spare, eight as runs differ and the last one to begin
    // still has to run. In two hours that is half of the time.
    let plan = |due: f64| plan_queue(&problem(&[Waiting { due, work: 72_000.0 }], 0)).unwrap();
    assert_eq!(plan(14_400.0).plan.replicas, 8);
    assert!((18..=20).contains(&plan(7_200.0).plan.replicas), "{:?}", plan(7_200.0).plan.replicas);
    assert!(plan(7_200.0).reason.contains("20.0 worker-hours are left and the first is due in 2h00"));
}

#[test]
fn an_early_deadline_behind_much_work_counts() {
    let soon = Waiting { due: 3_600.0, work: 20_000.0 };
    let late = Waiting { due: 20_000.0, work: 40_000.0 };
    let n = plan_queue(&problem(&[late, soon], 0)).unwrap().plan.replicas;
    assert!((19..=23).contains(&n), "20,000 worker-seconds that all begin within a quarter of an hour: {n}");
}

#[test]
fn a_gang_fits_and_what_runs_is_not_taken_away() {
    let jobs = [Waiting { due: 10_000.0, work: 30_000.0 }];
    let n = plan_queue(&QueueProblem { gang: 4, ..problem(&jobs, 0) }).unwrap().plan.replicas;
    assert!((5..=8).contains(&n), "{n}");
    let none = plan_queue(&QueueProblem { busy: 7, running: 5_000.0, ..problem(&[], 12) }).unwrap().plan.replicas;
    assert_eq!(none, 7);
    let nothing = plan_queue(&problem(&[], 12)).unwrap();
    assert_eq!(nothing.plan.replicas, 0, "{nothing:?}");
}

#[test]
fn what_is_over_its_deadline_is_done_and_hides_nothing() {
    let overdue = |hours: f64, work: f64| Waiting { due: -3_600.0 * hours, work };
    let n = |jobs: &[Waiting]| plan_queue(&problem(jobs, 0)).unwrap().plan.replicas;
    let (day, hour) = (n(&[overdue(24.5, 72_000.0)]), n(&[overdue(1.0, 72_000.0)]));
    assert!(day == hour && day >= 10, "however long it is over, it is done as soon as pays: {day}, {hour}");
    let soon = Waiting { due: 7_200.0, work: 720_000.0 };
    assert_eq!(n(&[soon]), 40);
    assert_eq!(n(&[overdue(5.0, 60.0), soon]), 40, "a minute's work that is late does not excuse 200 hours of it");
    assert_eq!(n(&[overdue(24.5, 72_000.0), soon]), 40);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn bounds_hold_and_nonsense_never_panics(
        jobs in prop::collection::vec((prop::num::f64::ANY, 0.0..1e6_f64), 0..12), odd: bool, current in 0_u32..60,
        ready in 0_u32..60, busy in 0_u32..60, gang in 0_u32..16, min in 0_u32..10, more in 0_u32..2000,
    ) {
        let jobs: Vec<Waiting> = jobs.into_iter()
            .map(|(due, work)| Waiting { due: if odd { due } else { due.abs().min(1e5) }, work }).collect();
        let limits = Limits { min, max: min + more };
        if let Some(found) = plan_queue(&QueueProblem { gang, ready, busy, limits, ..problem(&jobs, current) }) {
            prop_assert!((limits.min..=limits.max).contains(&found.plan.replicas));
            prop_assert!(found.plan.replicas >= busy.min(current).min(limits.max));
        }
    }
}
