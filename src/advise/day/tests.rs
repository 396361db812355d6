use super::*;
use crate::model::{Entity, GuardSettings, Label, Limits, Sample, Slo};
use proptest::prelude::*;

const NOW: Time = Time::from_millis(1_700_006_400_000); // 00:00:00

fn workload(kind: WorkloadKind) -> Workload {
    Workload {
        name: "orders".into(),
        entity: Entity { kind, source: "prod".into(), id: "orders".into() },
        target: None,
        limits: Limits { min: 1, max: 20 },
        slo: Slo { time_lag: Some(30.0), ttft_p95: Some(2.0), ..Slo::default() },
        price: Price::default(),
        guard: GuardSettings::default(),
        shape: crate::model::Shape::default(),
        broker: None,
        signals: std::collections::BTreeMap::new(),
        found: None,
        configured: true,
    }
}

fn state(current: u32) -> WorkloadState {
    let replicas = Replicas { desired: current, ready: current, at: NOW, origin: Label::new("kubernetes"), uid: None };
    WorkloadState {
        replicas: Some(replicas),
        partitions: Some(20),
        partition_rates: vec![Some(1.0); 20],
        partition_lags: vec![Some(0); 20],
        sticky: Some(true),
        ..WorkloadState::unknown(NOW)
    }
}

fn capacity(per_replica: f64) -> Capacity {
    Capacity {
        per_replica,
        low: per_replica,
        high: per_replica,
        samples: 50,
        start_up: 40.0,
        rebalance: 4.0,
        rebalance_one: 4.0,
        rebalance_down: 4.0,
        ..Capacity::default()
    }
}

/// Quiet at night, `times` as much from eight to eight.
fn demand(second: f64, times: f64) -> f64 {
    let hour = second.rem_euclid(86_400.0) / 3_600.0;
    let wobble = 1.0 + 0.03 * (second / 700.0).sin();
    wobble * if (8.0..20.0).contains(&hour) { 4_000.0 * times } else { 4_000.0 }
}

fn history(workload: &Workload, days: f64, until: Time, scale: f64) -> History {
    let mut history = History::default();
    let key = SignalKey { entity: workload.entity.clone(), role: Role::Demand };
    let minutes = (days * 1_440.0) as i32;
    let samples = (0..minutes).map(|i| {
        let at = NOW.plus(f64::from(i - minutes) * 60.0);
        Sample { at, value: scale * demand(at.secs(), 4.0) }
    });
    history.backfill(&key, &samples.filter(|s| s.at < until).collect::<Vec<_>>());
    history
}

fn of(workload: &Workload, state: &WorkloadState, history: &History, capacity: &Capacity) -> Result<DayPlan, String> {
    let question = Question::of(&Arc::new(workload.clone()), state, capacity, None, history, NOW);
    question.answer(&|| true).unwrap()
}

#[test]
fn a_day_begins_with_what_is_recommended_and_no_two_steps_are_in_one_minute() {
    let (group, able) = (Arc::new(workload(WorkloadKind::ConsumerGroup)), capacity(1_000.0));
    for (current, recommended) in [(6, 6), (6, 9), (6, 12), (6, 5), (12, 12), (30, 20)] {
        for seconds in [0.0, 7.0, 299.0] {
            let now = NOW.plus(seconds);
            let history = history(&group, 5.0, NOW, 1.0);
            let question = Question::of(&group, &state(current), &able, Some(recommended), &history, now);
            let plan = question.answer(&|| true).unwrap().unwrap();
            let advice = Advice { forecast: None, capacity: None, recommendation: Err(String::new()) };
            assert!(!is_overtaken(&plan, &state(current), &advice));
            assert!(is_overtaken(&plan, &state(current + 1), &advice), "the count has changed");
            let learned = |rate| Advice { capacity: Some(capacity(rate)), ..advice.clone() };
            assert!(!is_overtaken(&plan, &state(current), &learned(950.0)));
            assert!(
                is_overtaken(&plan, &state(current), &learned(850.0)),
                "a replica does less than it was planned with"
            );
            let steps = plan.steps;
            let first = steps.iter().take_while(|s| s.at <= now).last().map(|s| s.replicas);
            assert_eq!(first, Some(recommended), "{current}, {seconds}: {steps:?}");
            let changes = &steps[1..];
            assert!(changes.windows(2).all(|w| w[1].at.since(w[0].at) >= MINUTE), "{current}, {seconds}: {steps:?}");
            assert!(steps.windows(2).all(|w| w[0].replicas != w[1].replicas), "{current}, {seconds}: {steps:?}");
            let taken_back = |w: &[PlanStep]| {
                w[0].replicas < w[1].replicas
                    && w[1].replicas > w[2].replicas
                    && w[2].at.since(w[1].at) < planner::SETTLE
            };
            assert!(!steps.windows(3).any(taken_back), "{current}, {seconds}: {steps:?}");
        }
    }
}

#[test]
fn a_day_is_planned_up_before_it_gets_busy_and_down_after() {
    let (workload, state, capacity) = (workload(WorkloadKind::ConsumerGroup), state(6), capacity(1_000.0));
    let plan = of(&workload, &state, &history(&workload, 5.0, NOW, 1.0), &capacity).unwrap();
    let hour = |s: &PlanStep| s.at.since(NOW) / 3_600.0;
    let busiest = plan.steps.iter().max_by_key(|s| s.replicas).unwrap();
    assert!((17..=22).contains(&busiest.replicas), "16k/s of 950/s each: {:?}", plan.steps);
    let first_up = plan.steps.windows(2).find(|w| w[1].replicas > w[0].replicas).unwrap()[1];
    assert!((7.5..8.0).contains(&hour(&first_up)), "{:?}", plan.steps);
    let last = plan.steps.last().unwrap();
    assert!(hour(last) > 19.9 && last.replicas <= 6, "{:?}", plan.steps);
    let [ours, keep, hpa] = &plan.courses[..] else { panic!("{:?}", plan.courses) };
    assert!(ours.slo_minutes < 5.0 && keep.slo_minutes > 300.0, "{:?}", plan.courses);
    assert!(ours.price < keep.price && ours.price < hpa.price && hpa.name == "usual HPA", "{:?}", plan.courses);
    assert!(ours.pod_hours < 0.75 * 24.0 * f64::from(busiest.replicas), "{:?}", plan.courses);
    // Twice at once at most: 6 -> 12 -> ….
    assert!(plan.steps.windows(2).all(|w| w[1].replicas <= 2 * w[0].replicas), "{:?}", plan.steps);
}

#[test]
fn a_day_that_would_get_late_when_it_is_played_is_planned_with_more() {
    // What a replica can do is only tried, and some partitions have three times as much as others.
    let workload = workload(WorkloadKind::ConsumerGroup);
    let rates = (0..20).map(|p| Some(if p % 7 == 0 { 3.0 } else { 1.0 })).collect();
    let tried = Capacity { high: 1_250.0, samples: 0, ..capacity(1_000.0) };
    let state = WorkloadState { partition_rates: rates, ..state(20) };
    let plan = of(&workload, &state, &history(&workload, 5.0, NOW, 0.4), &tried).unwrap();
    let [ours, keep, _] = &plan.courses[..] else { panic!("{:?}", plan.courses) };
    assert!(ours.price < 0.7 * keep.price && ours.slo_minutes <= IN_TIME, "{:?}\n{:?}", plan.steps, plan.courses);
}

#[test]
fn what_is_missing_for_a_day_is_said() {
    let (group, six, able) = (workload(WorkloadKind::ConsumerGroup), state(6), capacity(1_000.0));
    let short = of(&group, &six, &history(&group, 1.5, NOW, 1.0), &able).unwrap_err();
    assert_eq!(short, "a day is known from days before: 2 d of demand are needed, 36h00 were seen");
    let batch = workload(WorkloadKind::Batch);
    assert!(of(&batch, &six, &history(&batch, 5.0, NOW, 1.0), &able).unwrap_err().contains("this is batch"));
    let uncounted = WorkloadState { replicas: None, ..six };
    assert!(of(&group, &uncounted, &history(&group, 5.0, NOW, 1.0), &able).is_err());
    let whole = WorkloadState { coverage: 1.0, data_age: 1.0, ..state(6) };
    let why = |w: &Workload, s: &WorkloadState, c| none_because(w, s, c).unwrap_or_default();
    assert_eq!(none_because(&group, &whole, Some(&able)), None);
    assert!(why(&batch, &whole, None).contains("this is batch"));
    assert!(why(&Workload { configured: false, ..group.clone() }, &whole, None).contains("of the configuration"));
    assert!(why(&group, &WorkloadState { coverage: 0.5, ..whole.clone() }, None).starts_with("10 of 20 partitions"));
    assert!(why(&group, &WorkloadState { data_age: 99.0, ..whole.clone() }, None).contains("old"));
    assert!(why(&group, &whole, None).contains("is not known yet"));
    let asked = Question::of(&Arc::new(group.clone()), &state(6), &able, None, &history(&group, 5.0, NOW, 1.0), NOW);
    assert_eq!(asked.answer(&|| false), None, "an engine that ends does not wait for it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn bounds_hold_units_do_not_matter_and_the_future_is_not_used(
        current in 1_u32..30, scale in prop::sample::select(vec![0.01, 64.0]), days in 2.1..6.0_f64,
    ) {
        let (workload, state) = (workload(WorkloadKind::Inference), state(current));
        let one = of(&workload, &state, &history(&workload, days, NOW, 1.0), &capacity(1_000.0)).unwrap();
        let other = of(&workload, &state, &history(&workload, days, NOW, scale), &capacity(1_000.0 * scale)).unwrap();
        prop_assert_eq!(&one.steps, &other.steps);
        prop_assert!(one.steps.iter().skip(1).all(|s| (1..=20).contains(&s.replicas)), "{:?}", one.steps);
        prop_assert!(one.steps.windows(2).all(|w| w[0].at <= w[1].at && w[0].replicas != w[1].replicas), "{:?}", one.steps);
        let mut later = history(&workload, days, NOW, 1.0);
        let key = SignalKey { entity: workload.entity.clone(), role: Role::Demand };
        later.record(&key, Sample { at: NOW.plus(600.0), value: 1e6 });
        prop_assert_eq!(of(&workload, &state, &later, &capacity(1_000.0)).unwrap(), one);
    }
}
