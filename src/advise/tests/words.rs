//! What is said of a recommendation adds up and names the right cause.

use super::*;

#[test]
fn a_group_is_kept_larger_for_the_minutes_it_would_be_late_not_for_the_p95() {
    let mut group = workload(WorkloadKind::ConsumerGroup);
    group.price.slo_minute = 0.01;
    let (history, state) = (falling_behind(&group, 20.0, 1.0), state(20));
    let r = recommended(&input(&group, &state, &history));
    let said = r.reasons.iter().find(|reason| reason.contains("would be cheaper but")).unwrap();
    assert!(said.ends_with("is expected to be over the objective for minutes"), "{:?}", r.reasons);
}

/// Of 40 equal partitions twelve members do no more than ten: one of them has four either way.
#[test]
fn a_step_that_does_as_much_as_the_one_allowed_says_so() {
    let group = Workload { limits: Limits { min: 2, max: 40 }, ..workload(WorkloadKind::ConsumerGroup) };
    let state = WorkloadState {
        partitions: Some(40),
        partition_lags: vec![Some(10_000); 40],
        partition_rates: vec![Some(300.0); 40],
        ..state(6)
    };
    let history = falling_behind(&group, 6.0, 1.0);
    let r = recommended(&input(&group, &state, &history));
    assert_eq!(r.recommended, 10, "{r:?}");
    let said = format!("the plan is {}; 12 is allowed now, and 10 does as much", r.wanted);
    let limit = format!("step limit: at most 2 times 6 at once, so 12 rather than {}", r.wanted);
    assert!(r.reasons.contains(&said) && r.reasons.contains(&limit), "{:?}", r.reasons);
}
