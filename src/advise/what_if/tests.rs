//! What an operator would miss if it were wrong: more demand is worse, more replicas are better, commits only look worse.

use super::*;
use crate::model::{
    Advice, Entity, GuardSettings, Limits, Mode, Price, Quantiles, Reading, Severity, SignalView, Slo, Target,
    Workload, WorkloadState,
};
use std::collections::BTreeMap;

const NOW: Time = Time::from_millis(1_773_324_452_000);

/// Twelve partitions, six replicas of 1000/s, 4.8k/s for half an hour; nothing waits.
fn picture(change: impl FnOnce(&mut WorkloadState, &mut Advice)) -> Picture {
    let name = Label::new("orders");
    let mut state = WorkloadState {
        replicas: Some(Replicas { desired: 6, ready: 6, at: NOW, origin: Label::new("kubernetes"), uid: None }),
        coverage: 1.0,
        data_age: 1.0,
        partitions: Some(12),
        partition_lags: vec![Some(1_000); 12],
        partition_rates: vec![Some(400.0); 12],
        sticky: Some(false),
        ..WorkloadState::unknown(NOW)
    };
    let point = |i: i32| {
        let t = NOW.plus(60.0 * f64::from(i));
        Quantiles { t, p10: 4_600.0, p50: 4_800.0, p80: 4_900.0, p95: 5_000.0 }
    };
    let forecast = Forecast {
        at: NOW,
        step: 60.0,
        points: (1..=30).map(point).collect(),
        model: "pool".to_owned(),
        weights: Vec::new(),
        relative_error: None,
        covered: None,
        warnings: Vec::new(),
    };
    let capacity = Capacity {
        per_replica: 1_000.0,
        low: 980.0,
        high: 1_020.0,
        samples: 40,
        start_up: 40.0,
        rebalance: 15.0,
        rebalance_one: 15.0,
        rebalance_down: 15.0,
        ..Capacity::default()
    };
    let mut advice =
        Advice { forecast: Some(forecast), capacity: Some(capacity), recommendation: Err("not asked".to_owned()) };
    change(&mut state, &mut advice);
    let entity = Entity { kind: WorkloadKind::ConsumerGroup, source: Label::new("prod"), id: name.clone() };
    let demand = Reading::new(4_800.0, NOW, "test");
    let workload = Workload {
        name,
        entity,
        target: Some(Target::Command(Label::new("pool"))),
        limits: Limits { min: 1, max: 12 },
        slo: Slo { time_lag: Some(30.0), ..Slo::default() },
        price: Price::default(),
        guard: GuardSettings::default(),
        signals: BTreeMap::new(),
        shape: crate::model::Shape::default(),
        broker: None,
        found: None,
        configured: true,
    };
    let view = WorkloadView {
        workload: Arc::new(workload),
        state: Arc::new(state),
        severity: Severity::Ok,
        headline: String::new(),
        signals: vec![SignalView { role: Role::Demand, unit: "records/s", now: demand, track: Arc::default() }],
        slo: None,
        advice: Arc::new(advice),
        day: None,
        snoozed: None,
        action: None,
    };
    Picture { workloads: vec![Arc::new(view)].into(), ..Picture::empty(Mode::Watch, "test", NOW) }
}

/// The same with other guards, limits up to 24 replicas on 24 partitions.
fn guarded(guard: GuardSettings) -> Picture {
    let mut picture = picture(|state, _| {
        state.partitions = Some(24);
        state.partition_lags = vec![Some(1_000); 24];
        state.partition_rates = vec![Some(300.0); 24];
    });
    let mut view = WorkloadView::clone(&picture.workloads[0]);
    let workload = Workload { guard, limits: Limits { min: 1, max: 24 }, ..Workload::clone(&view.workload) };
    view.workload = Arc::new(workload);
    picture.workloads = vec![Arc::new(view)].into();
    picture
}

fn ask(picture: &Picture) -> Answer {
    Question::of(picture, &Label::new("orders")).unwrap().answer(&|| true).unwrap()
}

fn case(answer: &Answer, is: impl Fn(&Event) -> bool) -> &Case {
    answer.cases.iter().find(|c| is(&c.event)).unwrap()
}

#[test]
fn a_burst_that_the_count_cannot_hold_is_late_and_what_is_recommended_is_not() {
    let answer = ask(&picture(|_, _| {}));
    assert_eq!(answer, ask(&picture(|_, _| {})), "no chance in it");
    let calm = case(&answer, |e| *e == Event::Nothing);
    assert_eq!((calm.held.slo_minutes, calm.held.caught_up), (0.0, Some(0.0)), "{calm:?}");
    // 7.2k/s for 15 min on 6k/s: up to 1.08 M records pile up.
    let burst = case(&answer, |e| matches!(e, Event::Burst { .. }));
    assert!((800_000.0..1_200_000.0).contains(&burst.held.lag_peak), "{burst:?}");
    assert!(burst.held.slo_minutes > 10.0 && burst.held.late_peak > 100.0, "{burst:?}");
    let followed = burst.followed.unwrap();
    assert!(burst.wanted > 6 && burst.wanted <= 12, "{burst:?}");
    assert!(followed.slo_minutes < burst.held.slo_minutes / 2.0, "{burst:?}");
    assert!(followed.caught_up < burst.held.caught_up, "{burst:?}");
}

#[test]
fn what_the_planner_asks_for_is_what_the_guards_allow_at_the_time_whatever_happened() {
    let settings = GuardSettings { max_step_up: 1.2, cooldown_up: 120.0, ..GuardSettings::default() };
    let answer = ask(&guarded(settings.clone()));
    let burst = case(&answer, |e| matches!(e, Event::Burst { .. }));
    assert_eq!(burst.wanted, 7, "6 times 1.2: {burst:?}");
    assert!(burst.followed.unwrap().replicas > 7, "asked anew after the cooldown: {burst:?}");
    assert!(answer.cases.iter().all(|c| c.wanted <= 7), "{answer:?}");
    let never = ask(&guarded(GuardSettings { cooldown_up: 3_600.0, ..settings }));
    let burst = case(&never, |e| matches!(e, Event::Burst { .. }));
    assert_eq!(burst.followed.map(|f| f.replicas), Some(7), "one change in the half hour: {burst:?}");
}

#[test]
fn a_lost_consumer_is_replaced_and_a_slow_commit_only_looks_late() {
    let answer = ask(&picture(|_, _| {}));
    let calm = case(&answer, |e| *e == Event::Nothing).held;
    let lost = case(&answer, |e| *e == Event::ConsumerLost).held;
    assert!(lost.lag_peak > calm.lag_peak * 2.0 && lost.caught_up.unwrap() > 15.0, "{lost:?}");
    let slow = case(&answer, |e| matches!(e, Event::Commit { .. }));
    assert!(slow.held.lag_peak > calm.lag_peak * 2.0, "{slow:?}");
    assert_eq!((slow.held.caught_up, slow.wanted), (Some(0.0), 6), "nothing is slower: {slow:?}");
}

#[test]
fn a_broker_whose_partitions_have_no_other_replica_stays_behind() {
    let question = |alone: Vec<usize>| {
        let mut question = Question::of(&picture(|_, _| {}), &Label::new("orders")).unwrap();
        question.broker = Some(Broker { id: 2, partitions: vec![0, 3, 6, 9], alone });
        question.answer(&|| true).unwrap()
    };
    let lost = |answer: &Answer| case(answer, |e| matches!(e, Event::BrokerLost(_))).held;
    let replicated = lost(&question(Vec::new()));
    assert!(replicated.late_peak >= 19.0 && replicated.caught_up.is_some(), "{replicated:?}");
    let gone = lost(&question(vec![3]));
    assert_eq!(gone.caught_up, None, "{gone:?}");
    assert!(gone.late_peak > 1_700.0, "{gone:?}");
}

#[test]
fn what_waits_now_is_played() {
    let behind = ask(&picture(|state, _| {
        state.partition_lags = vec![Some(20_000); 12];
        state.sticky = None;
    }));
    let calm = case(&behind, |e| *e == Event::Nothing);
    assert!(calm.held.lag_peak > 200_000.0 && calm.held.slo_minutes > 0.1, "{calm:?}");
    assert!(calm.held.caught_up.is_some_and(|s| (120.0..400.0).contains(&s)), "240 k at 1.2 k/s of spare: {calm:?}");
    assert!(behind.basis.iter().any(|b| b.contains("assumed")), "{:?}", behind.basis);
}

#[test]
fn what_is_missing_is_said_and_who_leaves_is_not_kept_waiting() {
    let refused = |change: fn(&mut WorkloadState, &mut Advice)| {
        Question::of(&picture(change), &Label::new("orders")).map(|_| ()).unwrap_err()
    };
    assert!(refused(|s, _| s.partition_lags[3] = None).contains("1 of 12 partitions are not known"));
    assert!(refused(|s, _| s.replicas = None).contains("how many replicas"));
    assert!(refused(|_, a| a.capacity = None).contains("not known yet"));
    let question = Question::of(&picture(|_, _| {}), &Label::new("orders")).unwrap();
    assert_eq!(question.answer(&|| false), None);
}

#[test]
fn odd_states_are_played_without_breaking() {
    for (partitions, desired, ready) in [(0, 3, 3), (1, 1, 0), (3, 9, 2), (2_000, 40, 40)] {
        let picture = picture(|state, advice| {
            state.partition_lags = vec![Some(u64::MAX >> 20); partitions];
            state.partition_rates = vec![None; partitions];
            state.partition_owners = vec![Some(7); partitions];
            state.partitions = u32::try_from(partitions).ok();
            state.replicas = state.replicas.clone().map(|r| Replicas { desired, ready, ..r });
            if desired == 1 {
                advice.forecast = None;
            }
        });
        match Question::of(&picture, &Label::new("orders")) {
            Ok(question) => {
                let answer = question.answer(&|| true).unwrap();
                for c in &answer.cases {
                    assert!(c.held.lag_peak.is_finite() && c.held.late_peak >= 0.0, "{c:?}");
                }
            }
            Err(why) => assert_eq!(partitions, 0, "{why}"),
        }
    }
}
