use super::*;
use crate::model::{
    Alert, Entity, GuardSettings, Holdback, Label, Limits, Price, Severity, Slo, Subject, WorkloadKind,
};
use proptest::prelude::*;

const NOW: Time = Time::from_millis(1_000_000_000);

fn workload(min: u32, max: u32) -> Workload {
    Workload {
        name: "orders".into(),
        entity: Entity { kind: WorkloadKind::ConsumerGroup, source: "prod".into(), id: "orders".into() },
        target: None,
        limits: Limits { min, max },
        slo: Slo::default(),
        price: Price::default(),
        guard: GuardSettings::default(),
        signals: std::collections::BTreeMap::new(),
        shape: crate::model::Shape::default(),
        broker: None,
        found: None,
        configured: true,
    }
}

fn state(current: u32) -> WorkloadState {
    WorkloadState {
        replicas: Some(Replicas { desired: current, ready: current, at: NOW, origin: Label::new("test"), uid: None }),
        coverage: 1.0,
        data_age: 4.0,
        partitions: Some(24),
        ..WorkloadState::unknown(NOW)
    }
}

fn judged(state: &WorkloadState, wanted: u32) -> Judgement {
    judge(&Case { workload: &workload(1, 100), state, wanted, now: NOW })
}

fn guards(judgement: &Judgement) -> Vec<&str> {
    judgement.blocked.iter().map(|b| b.guard).collect()
}

#[test]
fn a_small_step_on_whole_fresh_data_passes() {
    assert_eq!(judged(&state(6), 10), Judgement { recommended: 10, ..Judgement::default() });
}

#[test]
fn a_leap_is_cut_and_says_so() {
    let up = judged(&state(6), 20);
    assert_eq!((up.recommended, up.blocked.len()), (12, 0));
    assert!(up.notes[0].contains("12 rather than 20"), "{:?}", up.notes);
    assert_eq!(judged(&state(12), 4).recommended, 9);
    assert_eq!(judged(&state(2), 1).recommended, 1, "one may always go");
    assert_eq!(judged(&state(0), 9).recommended, 2);
}

#[test]
fn partitions_and_limits_win_over_the_step() {
    assert_eq!(judged(&state(20), 40).recommended, 24);
    let state = state(60);
    let low = judge(&Case { workload: &workload(1, 10), state: &state, wanted: 60, now: NOW });
    assert_eq!(low.recommended, 10);
}

#[test]
fn partial_old_and_unknown_are_held_even_without_a_change() {
    let partial = WorkloadState { coverage: 0.05, partitions: Some(40), ..state(6) };
    let judgement = judged(&partial, 6);
    assert_eq!(guards(&judgement), ["coverage"]);
    assert!(judgement.blocked[0].detail.starts_with("2 of 40 partitions"), "{judgement:?}");
    assert_eq!(guards(&judged(&WorkloadState { data_age: 99.0, ..state(6) }, 6)), ["stale"]);
    assert_eq!(guards(&judged(&WorkloadState::unknown(NOW), 6)), ["replicas", "coverage", "stale"]);
    let nan = WorkloadState { coverage: f64::NAN, data_age: f64::NAN, ..state(6) };
    assert_eq!(guards(&judged(&nan, 6)), ["coverage", "stale"], "what cannot be told is not trusted");
}

#[test]
fn all_but_one_of_many_partitions_never_reads_as_all() {
    let partial = WorkloadState { coverage: 0.9999, partitions: Some(1_000), ..state(6) };
    assert!(judged(&partial, 6).blocked[0].detail.starts_with("999 of 1000"));
}

#[test]
fn the_way_down_waits_longer_than_the_way_up() {
    let state = WorkloadState { last_change: Some((NOW.plus(-100.0), 4)), rebalancing: false, ..state(6) };
    assert!(judged(&state, 8).blocked.is_empty());
    let down = judged(&state, 5);
    assert_eq!(guards(&down), ["cooldown"]);
    assert_eq!(down.blocked[0].until, Some(NOW.plus(200.0)));
    assert!(judged(&state, 6).blocked.is_empty(), "no change, no cooldown");
    let moving = WorkloadState { rebalancing: true, last_change: None, ..state };
    assert_eq!(guards(&judged(&moving, 8)), ["rebalance"]);
}

#[test]
fn what_scaling_would_make_worse_holds_it_back_in_its_direction() {
    let alert = |rule, holds| Alert {
        rule,
        severity: Severity::Act,
        subject: Subject::Group("orders".into()),
        sentence: "why".into(),
        mend: "what".into(),
        since: NOW,
        evidence: "from where".into(),
        holds,
    };
    let alerts = vec![
        alert("retention", Holdback::ScaleIn),
        alert("rebalances", Holdback::AnyChange),
        alert("stuck", Holdback::Nothing),
    ];
    let state = WorkloadState { alerts, ..state(6) };
    assert_eq!(guards(&judged(&state, 5)), ["retention", "rebalances"]);
    assert_eq!(guards(&judged(&state, 7)), ["rebalances"]);
    assert!(judged(&state, 6).blocked.is_empty());
}

#[test]
fn a_count_outside_of_the_limits_is_brought_back_within_what_approval_allows() {
    let few = judge(&Case { workload: &workload(3, 9), state: &state(0), wanted: 9, now: NOW });
    assert_eq!((few.recommended, steps(&workload(3, 9), &state(0), 0)), (3, (0, 3)));
    assert!(few.notes[0].contains("back within limits and partitions at once, so 3 rather than 9"), "{:?}", few.notes);
    let many = judge(&Case { workload: &workload(1, 10), state: &state(60), wanted: 5, now: NOW });
    assert_eq!((many.recommended, steps(&workload(1, 10), &state(60), 60)), (10, (10, 120)));
    // 36 of 60 have nothing to read of 24 partitions: they may all go.
    assert_eq!((judged(&state(60), 20).recommended, steps(&workload(1, 100), &state(60), 60).0), (24, 24));
}

proptest! {
    #[test]
    fn never_outside_the_limits_never_above_the_partitions(
        (min, more) in (0..50_u32, 0..100_u32),
        current in prop::option::of(0..300_u32),
        wanted in any::<u32>(),
        partitions in prop::option::of(0..200_u32),
        (up, down) in (prop_oneof![Just(f64::NAN), -1.0..9.0_f64], prop_oneof![Just(f64::INFINITY), -1.0..2.0_f64]),
    ) {
        let mut workload = workload(min, min + more);
        workload.guard.max_step_up = up;
        workload.guard.max_step_down = down;
        let mut state = WorkloadState { partitions, ..state(0) };
        state.replicas = current.and_then(|n| state.replicas.take().map(|r| Replicas { desired: n, ..r }));
        let count = judge(&Case { workload: &workload, state: &state, wanted, now: NOW }).recommended;
        prop_assert!((min..=min + more).contains(&count));
        if let Some(p) = partitions.filter(|p| *p > 0) {
            prop_assert!(count <= p.max(min));
        }
        if let Some(from) = current.filter(|from| *from != count) {
            let (least, most) = steps(&workload, &state, from);
            prop_assert!((least..=most).contains(&count), "{from} to {count} is what approval refuses: {least} to {most}");
        }
    }
}
