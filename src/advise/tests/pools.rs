//! Pools: GPUs that workloads share, and brokers.

use super::*;

#[test]
fn what_does_not_fit_into_a_pool_is_cut_with_the_reason_and_nobody_loses_what_runs() {
    let mut service = workload(WorkloadKind::Inference);
    service.name = "chat".into();
    let jobs = Workload { slo: Slo { within: Some(3_600.0), ..Slo::default() }, ..workload(WorkloadKind::Batch) };
    let history = queue(&jobs, 4.0, 30.0);
    let state = state(4);
    let alone = advise(&input(&jobs, &state, &history));
    let wanted = alone.recommendation.as_ref().unwrap().recommended;
    assert_eq!(wanted, 8, "twice at once at most");
    let other = Advice { forecast: None, capacity: None, recommendation: Err("not known".into()) };
    let pool = |gpus: u32| crate::model::Budget {
        name: "a100".into(),
        gpus,
        workloads: vec!["chat".into(), "fraud-scorer".into()],
    };
    let members = [
        budget::Member { workload: &jobs, state: &state, advice: &alone },
        budget::Member { workload: &service, state: &state, advice: &other },
    ];
    assert!(budget::allowances(&pool(12), &members).is_empty(), "all fit");
    for (gpus, allowed) in [(10, 6), (8, 4), (3, 4)] {
        let cut = budget::allowances(&pool(gpus), &members);
        let allowance = &cut[&jobs.name];
        assert_eq!((cut.len(), allowance.replicas), (1, allowed), "{gpus} GPUs: {cut:?}");
        let advice = advise_within(&input(&jobs, &state, &history), Some(allowance));
        let r = advice.recommendation.unwrap();
        assert!(r.recommended <= allowed && r.wanted > allowed, "{r:?}");
        let said = format!("the {gpus} GPUs of a100 allow {allowed} of 8 for now");
        assert!(r.reasons.iter().any(|s| s.starts_with(&said)), "{:?}", r.reasons);
    }
}

/// Of eight GPUs six may well be taken by whoever's count is not known: two and what is asked for do not fit then.
#[test]
fn nobody_grows_in_a_pool_while_a_members_count_is_not_known() {
    let mut service = workload(WorkloadKind::Inference);
    service.name = "chat".into();
    let jobs = Workload { slo: Slo { within: Some(3_600.0), ..Slo::default() }, ..workload(WorkloadKind::Batch) };
    let history = queue(&jobs, 4.0, 30.0);
    let (known, unknown) = (state(4), WorkloadState { replicas: None, ..state(4) });
    let alone = advise(&input(&jobs, &known, &history));
    let none = Advice { forecast: None, capacity: None, recommendation: Err("the count is not known".into()) };
    let members = [
        budget::Member { workload: &jobs, state: &known, advice: &alone },
        budget::Member { workload: &service, state: &unknown, advice: &none },
    ];
    let pool =
        crate::model::Budget { name: "a100".into(), gpus: 8, workloads: vec!["chat".into(), "fraud-scorer".into()] };
    let cut = budget::allowances(&pool, &members);
    assert_eq!((cut.len(), cut[&jobs.name].replicas), (1, 4), "{cut:?}");
    let r = advise_within(&input(&jobs, &known, &history), Some(&cut[&jobs.name])).recommendation.unwrap();
    assert!(r.recommended == 4 && r.wanted > 4, "{r:?}");
    assert!(r.reasons.iter().any(|s| s.starts_with("how many replicas chat has is not known")), "{:?}", r.reasons);
}

/// Two hours of three brokers that the brokers themselves told, up to `silent` seconds ago.
fn told(workload: &Workload, silent: f64) -> History {
    let mut history = History::default();
    for i in 0..=240 {
        let at = NOW.plus(-silent - 30.0 * f64::from(240 - i));
        let values = [(Role::Demand, 50e6), (Role::Throughput, 80e6), (Role::Memory, 7e12), (Role::Utilisation, 6.0)];
        for (role, value) in values {
            history.record(&SignalKey { entity: workload.entity.clone(), role }, Sample { at, value });
        }
    }
    history
}

#[test]
fn brokers_are_advised_on_whole_and_fresh_data_only() {
    let limits = Limits { min: 1, max: 1_000 };
    let pool = Workload { limits, ..workload(WorkloadKind::Brokers) };
    let well = WorkloadState { copies: Some(3.0), ..state(3) };
    let of = |state: &WorkloadState, silent: f64| {
        let history = told(&pool, silent);
        recommended(&input(&pool, state, &history))
    };
    let fresh = of(&well, 10.0);
    assert!(fresh.recommended == 4 && fresh.blocked_by.is_empty(), "3 and one that may be down: {fresh:?}");
    let history = told(&pool, 10.0);
    assert!(advise(&input(&pool, &well, &history)).capacity.is_none(), "what one holds is configured");
    for (state, silent, guard) in [
        (WorkloadState { data_age: 300.0, ..well.clone() }, 10.0, "stale"),
        (WorkloadState { coverage: 0.0, ..well.clone() }, 10.0, "coverage"),
        (well.clone(), 3_600.0, "stale"),
    ] {
        let held = of(&state, silent);
        assert_eq!((held.recommended, held.wanted, held.blocked_by[0].guard), (3, 3, guard), "{held:?}");
    }
}
