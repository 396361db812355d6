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

/// Of at most twenty over 24 partitions four keep two. Member 3 of the eight holds two heavy ones.
#[test]
fn heavy_partitions_that_stay_with_one_member_are_named_with_what_parts_them() {
    let group = Workload { limits: Limits { min: 2, max: 20 }, ..workload(WorkloadKind::ConsumerGroup) };
    let rate = |p: u32| match p {
        3 | 11 => 600.0,
        18.. => 150.0,
        _ => 490.0,
    };
    let said = |sticky| {
        let state = WorkloadState {
            sticky: Some(sticky),
            partition_rates: (0..24).map(|p| Some(rate(p))).collect(),
            partition_owners: (0..24).map(|p| Some(p % 8)).collect(),
            ..state(8)
        };
        let r = recommended(&input(&group, &state, &falling_behind(&group, 8.0, 1.0)));
        r.reasons.into_iter().find(|reason| reason.starts_with("partitions "))
    };
    let kept = said(true).unwrap();
    assert!(kept.starts_with("partitions 3, 11 lie with one member and need 1."), "{kept}");
    assert!(kept.contains(" replicas; more of them leave these where they are: restart that member"), "{kept}");
    assert_eq!(said(false), None, "dealt anew at every change");
}

#[test]
fn at_least_is_said_of_what_was_seen_and_the_rest_is_called_tried() {
    let group = workload(WorkloadKind::ConsumerGroup);
    let history = falling_behind(&group, 12.0, 0.5); // 5.6k/s at most over twelve: 467 each
    let state = state(12);
    let r = recommended(&input(&group, &state, &history));
    let each = per_second(r.capacity.as_ref().unwrap().per_replica);
    let said = &r.reasons[1];
    assert!(said.contains(&format!("({each} each, never seen at their limit); 1.25 times that is tried")), "{said}");
}

/// A minute late and nothing measured: whoever drowns has reached the limit.
#[test]
fn who_is_late_was_not_never_at_the_limit() {
    let service = workload(WorkloadKind::Inference);
    let mut history = History::default();
    for i in 0..=240 {
        let at = NOW.plus((f64::from(i) - 240.0) * STEP);
        let (waits, latency) = if i < 236 { (0.0, 0.4) } else { (3_760.0, 32.0) };
        let values =
            [(Role::Demand, 100.0), (Role::Throughput, 100.0), (Role::Backlog, waits), (Role::Latency, latency)];
        for (role, value) in values.into_iter().chain([(Role::Replicas, 4.0), (Role::Desired, 4.0)]) {
            history.record(&SignalKey { entity: service.entity.clone(), role }, Sample { at, value });
        }
    }
    let state = WorkloadState { partitions: None, partition_rates: Vec::new(), ..state(4) };
    let r = recommended(&input(&service, &state, &history));
    assert!(r.capacity.as_ref().unwrap().is_lower_bound(), "{r:?}");
    assert!(r.reasons[1].contains("their limit is reached, not measured yet"), "{:?}", r.reasons);
}
