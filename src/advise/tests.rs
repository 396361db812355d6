use super::*;
use crate::model::{
    Alternative, Entity, GuardSettings, KafkaTrigger, Label, Limits, Price, Role, Sample, ScaledObject, SignalKey, Slo,
};
use proptest::prelude::*;

mod pools;
mod services;
mod words;

const NOW: Time = Time::from_millis(1_700_000_040_000); // 22:14:00
const STEP: f64 = 15.0;

fn workload(kind: WorkloadKind) -> Workload {
    Workload {
        name: "fraud-scorer".into(),
        entity: Entity { kind, source: "prod".into(), id: "fraud-scorer".into() },
        target: "deploy/payments/fraud-scorer".parse().ok(),
        limits: Limits { min: 2, max: 24 },
        slo: Slo { time_lag: Some(30.0), ttft_p95: Some(1.5), ..Slo::default() },
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
        replicas: Some(Replicas {
            desired: current,
            ready: current,
            at: NOW,
            origin: Label::new("kubernetes"),
            uid: Some(Label::new("7f3c")),
        }),
        coverage: 1.0,
        data_age: 2.0,
        partitions: Some(24),
        partition_lags: vec![Some(17_000); 24],
        partition_rates: vec![Some(500.0); 24],
        ..WorkloadState::unknown(NOW)
    }
}

/// An hour of a group whose demand passes what `replicas` can do.
fn falling_behind(workload: &Workload, replicas: f64, scale: f64) -> History {
    let mut history = History::default();
    let mut backlog = 0.0;
    for i in 0..=240 {
        let at = NOW.plus((f64::from(i) - 240.0) * STEP);
        let demand = (4_000.0 + 30.0 * f64::from(i)) * scale;
        let able = 930.0 * replicas * scale;
        let flow = if backlog > 0.0 { able } else { demand.min(able) };
        backlog = (backlog + (demand - flow) * STEP).max(0.0);
        let mut put = |role, value| {
            history.record(&SignalKey { entity: workload.entity.clone(), role }, Sample { at, value });
        };
        put(Role::Demand, demand);
        put(Role::Throughput, flow);
        put(Role::Backlog, backlog);
        put(Role::TimeLag, backlog / demand);
        put(Role::Replicas, replicas);
        put(Role::Desired, replicas);
    }
    history
}

fn input<'a>(workload: &'a Workload, state: &'a WorkloadState, history: &'a History) -> Input<'a> {
    Input {
        workload,
        state,
        history,
        forecast: None,
        previous: None,
        memory: None,
        now: NOW,
        horizon: 1_800.0,
        step: STEP,
    }
}

fn recommended(input: &Input<'_>) -> Recommendation {
    *advise(input).recommendation.unwrap()
}

#[test]
fn a_group_that_falls_behind_gets_more_and_reads_why() {
    let (workload, state) = (workload(WorkloadKind::ConsumerGroup), state(6));
    let history = falling_behind(&workload, 6.0, 1.0);
    let r = recommended(&input(&workload, &state, &history));
    assert_eq!(r.recommended, 12, "twice at once at most: {r:?}");
    assert!(r.wanted > 12 && r.blocked_by.is_empty() && r.is_change());
    assert!(r.reasons[0].starts_with("demand reaches ") && r.reasons[0].ends_with(" (p80)"), "{:?}", r.reasons);
    assert!(r.reasons[1].starts_with("6 replicas hold 5.58k/s (930/s each"), "{:?}", r.reasons);
    assert!(r.reasons[2].ends_with(" behind; the objective is 30 s"), "{:?}", r.reasons);
    assert!(r.price_of(6).unwrap().slo_minutes > 1.0, "{:?}", r.alternatives);
    assert!(r.price_of(6).unwrap().price > r.price_of(12).unwrap().price);
    // 24 × 17,000 records over 10,000 each; KEDA's ten a replica are cut to the partitions
    assert_eq!((r.others.hpa, r.others.keda), (Some(24), Some(24)));
    assert_eq!(r.others.threshold, Some(7));
}

/// The first minute of a dashboard that meets a group of six in a surge: 6.5k/s come, 5.6k/s are done, and 13 s of work
/// wait already. What a member can do is known from the day before.
#[test]
fn a_group_that_is_met_far_behind_is_told_to_grow_now_and_not_in_some_minutes() {
    let workload = workload(WorkloadKind::ConsumerGroup);
    let state = WorkloadState { sticky: Some(true), partition_lags: vec![Some(3_500); 24], ..state(6) };
    let (came, done) = (6_500.0, 5_600.0);
    let mut history = History::default();
    for i in 0..=480 {
        let ago = (480.0 - f64::from(i)) * STEP;
        let rush = (3_600.0..5_400.0).contains(&ago); // an hour ago the six were at their limit
        let late = ago <= 300.0;
        let (demand, flow) = if rush || late { (came, done) } else { (4_400.0, 4_400.0) };
        let waits = if rush {
            60_000.0
        } else if late {
            84_000.0 - 200.0 * ago
        } else {
            20_000.0
        };
        let mut put = |role, value| {
            let key = SignalKey { entity: workload.entity.clone(), role };
            history.record(&key, Sample { at: NOW.plus(-ago), value });
        };
        put(Role::Demand, demand);
        put(Role::Throughput, flow);
        put(Role::Backlog, waits);
        put(Role::TimeLag, waits / demand);
        put(Role::Replicas, 6.0);
        put(Role::Desired, 6.0);
    }
    let memory = watched(2.0, 13.0 * came, &[(6, came, done, 15)]);
    let r = recommended(&Input { memory: Some(&memory), ..input(&workload, &state, &history) });
    assert!(r.recommended > 6 && r.blocked_by.is_empty(), "{r:#?}");
    assert!(r.price_of(6).unwrap().slo_minutes > 1.0, "staying is late: {:?}", r.alternatives);
}

/// What a dashboard has seen up to now of a group on 24 partitions of which `behind` records waited at first, by phases:
/// members, records per second that came and that they did, and the number of looks, `step` seconds apart.
fn watched(step: f64, behind: f64, phases: &[(u32, f64, f64, u32)]) -> Memory {
    let mut memory = Memory::default();
    let looks: u32 = phases.iter().map(|p| p.3).sum();
    let (mut end, mut committed, mut at) = (1e9, 1e9 - behind / 24.0, NOW.plus(-step * f64::from(looks)));
    let mut since = NOW.plus(-9_000.0);
    for (members, came, done, looks) in phases {
        for _ in 0..*looks {
            (end, committed, at) = (end + came / 24.0 * step, committed + done / 24.0 * step, at.plus(step));
            let place = |p: u64| crate::capacity::Place { end, committed, owner: Some(p % u64::from(*members)) };
            let partitions: Vec<_> = (0..24).map(place).collect();
            let (desired, ready, rebalancing) = ((*members, since), *members, false);
            memory.watch.see(&crate::capacity::Look { at, partitions: &partitions, desired, ready, rebalancing });
        }
        since = at;
    }
    memory
}

/// Members that crash every 20 s: what was committed before says how fast they were, and nothing is any more.
#[test]
fn a_group_that_commits_nothing_is_not_told_that_fewer_would_do() {
    let (workload, state) = (workload(WorkloadKind::ConsumerGroup), state(12));
    let told = |stands: f64| {
        let mut history = History::default();
        for i in 0..=240 {
            let ago = (240.0 - f64::from(i)) * STEP;
            // Three quarters of an hour ago all twelve had work waiting.
            let came = if ago > 2_700.0 { 11_000.0 } else { 3_000.0 };
            let waits = if ago > 2_700.0 { 330_000.0 } else { came * (stands - ago).max(0.0) + 6_000.0 };
            let flow = if ago < stands { 0.0 } else { came };
            let values = [(Role::Demand, came), (Role::Throughput, flow), (Role::Backlog, waits)];
            let counts = [(Role::TimeLag, waits / came), (Role::Replicas, 12.0), (Role::Desired, 12.0)];
            for (role, value) in values.into_iter().chain(counts) {
                let key = SignalKey { entity: workload.entity.clone(), role };
                history.record(&key, Sample { at: NOW.plus(-ago), value });
            }
        }
        recommended(&input(&workload, &state, &history))
    };
    let r = told(300.0);
    assert!(r.recommended == 12 && r.steps.iter().all(|s| s.replicas == 12), "{r:#?}");
    let said = "no other count: little was committed in 3 min by replicas that can do 11k/s";
    assert!(r.reasons.iter().any(|reason| reason == said), "{r:#?}");
    // A rebalance is over sooner, and twelve were far too many.
    let r = told(45.0);
    let fewer = r.recommended < 12 || r.steps.iter().any(|s| s.replicas < 12);
    assert!(fewer && !r.reasons.iter().any(|reason| reason == said), "{r:#?}");
}

/// A record in one partition cannot be read: its pile is half a minute of all that comes, and the others keep up.
#[test]
fn one_pile_does_not_make_what_comes_the_most_that_is_done() {
    let (workload, state) = (workload(WorkloadKind::ConsumerGroup), state(6));
    let (came, mut history) = (6_000.0, History::default());
    for i in 0..=240 {
        let ago = (240.0 - f64::from(i)) * STEP;
        let waits = 12_000.0 + came / 24.0 * (900.0 - ago).max(0.0);
        let values = [(Role::Demand, came), (Role::Throughput, came), (Role::Backlog, waits)];
        for (role, value) in values.into_iter().chain([(Role::Replicas, 6.0), (Role::Desired, 6.0)]) {
            let key = SignalKey { entity: workload.entity.clone(), role };
            history.record(&key, Sample { at: NOW.plus(-ago), value });
        }
    }
    // Twice that flowed through as many members before.
    let memory = watched(STEP, 4_000.0, &[(6, 2.0 * came, 2.0 * came, 60)]);
    let r = recommended(&Input { memory: Some(&memory), ..input(&workload, &state, &history) });
    let capacity = r.capacity.clone().unwrap();
    assert!(capacity.is_lower_bound() && capacity.low > 1_900.0, "{capacity:?}");
    let r = recommended(&input(&workload, &state, &history));
    let by_series = r.capacity.unwrap();
    assert!(
        by_series.per_replica < 1_300.0 && !by_series.is_lower_bound(),
        "else nothing is shown here: {by_series:?}"
    );
    // Nothing was watched yet, but where it lies is seen.
    let lags = (0..24).map(|p| Some(if p == 17 { 225_000 } else { 500 })).collect();
    let heaped = recommended(&input(&workload, &WorkloadState { partition_lags: lags, ..state }, &history));
    assert!(heaped.capacity.clone().unwrap().is_lower_bound(), "{heaped:?}");
}

/// Three did half of what six did, twelve no more than six; since then six are as late as they were.
#[test]
fn what_downstream_took_once_is_tried_again_when_work_waits_for_long() {
    let workload = workload(WorkloadKind::ConsumerGroup);
    let state = state(6);
    let [three, twelve, six] = [(3, 2_790.0), (12, 5_580.0), (6, 5_580.0)];
    let after = |last: &[(u32, f64, u32)], late: f64| {
        let phases = [(three.0, three.1, 40), (twelve.0, twelve.1, 20)].into_iter().chain(last.iter().copied());
        let memory =
            watched(STEP, 9.6e6, &phases.map(|(n, done, looks)| (n, 6_500.0, done, looks)).collect::<Vec<_>>());
        let history = falling_behind(&workload, late, 1.0);
        recommended(&Input { memory: Some(&memory), ..input(&workload, &state, &history) })
    };
    let says = |r: &Recommendation, words: &str| r.reasons.iter().any(|reason| reason.contains(words));
    let r = after(&[(six.0, six.1, 130)], 6.0);
    assert!(r.recommended == 8 && says(&r, "up to 8 are tried"), "{r:#?}");
    // Too early to try again: those six were asked for just now.
    let r = after(&[(5, 4_650.0, 20), (six.0, six.1, 30)], 6.0);
    assert!(r.recommended == 6 && says(&r, "not more than 8: 6 brought all"), "{r:#?}");
    assert!(says(&r, "the last +6 brought 0 %"), "{r:#?}");
    // In time there is nothing to try for.
    let r = after(&[(six.0, six.1, 130)], 12.0);
    assert!(r.recommended <= 6 && says(&r, "not more than 8: 6 brought all"), "{r:#?}");
}

/// Four do 3.7k/s, eight the 7.4k/s that what lies downstream takes, sixteen no more. With three of 24 partitions each the eight
/// hold just that, and whoever has a little more works off for hours what once waits: with two each it is soon done.
#[test]
fn behind_a_limit_downstream_there_is_room_for_unequal_partitions() {
    let workload = workload(WorkloadKind::ConsumerGroup);
    let memory =
        watched(STEP, 9.6e6, &[(4, 6_500.0, 3_720.0, 40), (16, 8_500.0, 7_440.0, 20), (8, 8_500.0, 7_440.0, 20)]);
    let history = falling_behind(&workload, 8.0, 1.0);
    let r = recommended(&Input { memory: Some(&memory), ..input(&workload, &state(8), &history) });
    let held = r.reasons.iter().find(|reason| reason.starts_with("not more than"));
    assert!(held.is_some_and(|h| h.starts_with("not more than 12: 8 brought all")), "{r:#?}");
}

#[test]
fn advice_on_partial_data_is_the_present_count_held() {
    let workload = workload(WorkloadKind::ConsumerGroup);
    let history = falling_behind(&workload, 6.0, 1.0);
    let partial = WorkloadState { coverage: 2.0 / 24.0, ..state(6) };
    let r = recommended(&input(&workload, &partial, &history));
    assert_eq!((r.recommended, r.wanted, r.is_change()), (6, 6, false));
    assert_eq!(r.blocked_by[0].guard, "coverage");
    assert!(r.reasons[0].starts_with("2 of 24 partitions known"), "{:?}", r.reasons);
    assert!(r.alternatives.is_empty() && r.others == Rivals::default(), "nothing is computed from a part");
    let old = WorkloadState { data_age: 300.0, ..state(6) };
    assert_eq!(recommended(&input(&workload, &old, &history)).blocked_by[0].guard, "stale");
}

#[test]
fn what_is_missing_is_said() {
    let workload = workload(WorkloadKind::ConsumerGroup);
    let (empty, known) = (History::default(), state(6));
    let error = advise(&input(&workload, &known, &empty)).recommendation.unwrap_err();
    assert!(error.contains("not known yet"), "{error}");
    let uncounted = WorkloadState { replicas: None, ..state(6) };
    let history = falling_behind(&workload, 6.0, 1.0);
    let error = advise(&input(&workload, &uncounted, &history)).recommendation.unwrap_err();
    assert!(error.contains("deploy/payments/fraud-scorer"), "{error}");
}

#[test]
fn the_same_advice_keeps_its_identity_until_its_lifetime_nears_its_end() {
    let (workload, state) = (workload(WorkloadKind::ConsumerGroup), state(6));
    let history = falling_behind(&workload, 6.0, 1.0);
    let first = recommended(&input(&workload, &state, &history));
    let later = |seconds: f64, state: &WorkloadState| {
        recommended(&Input { previous: Some(&first), now: NOW.plus(seconds), ..input(&workload, state, &history) })
    };
    let soon = later(200.0, &state);
    assert_eq!((soon.plan_hash, soon.expires), (first.plan_hash.clone(), first.expires));
    let near = recommended(&Input { now: NOW.plus(49.0), ..input(&workload, &state, &history) });
    assert_eq!((&near.plan_hash, near.expires), (&first.plan_hash, first.expires), "two looks within a minute agree");
    assert_eq!((soon.at, near.at), (first.at, NOW.plus(49.0)), "each says when it was made");
    let renewed = later(250.0, &state);
    assert!(renewed.plan_hash != first.plan_hash && renewed.expires > first.expires);
    let mut again = state.clone();
    again.replicas = again.replicas.map(|r| Replicas { uid: Some(Label::new("other")), ..r });
    assert_ne!(later(2.0, &again).plan_hash, first.plan_hash, "the object was made again");
}

#[test]
fn a_removal_on_screen_that_is_worth_little_does_not_come_and_go() {
    let (workload, state) = (workload(WorkloadKind::ConsumerGroup), state(12));
    let history = falling_behind(&workload, 12.0, 0.5);
    let first = recommended(&input(&workload, &state, &history));
    let shown = |wanted| Recommendation { wanted, ..first.clone() };
    let counts = |eleven: f64, held_by_p95| Plan {
        replicas: 12,
        steps: vec![(0.0, 12)],
        alternatives: [(11, eleven), (12, 6.0)]
            .map(|(replicas, price)| Alternative { replicas, price, slo_minutes: 0.0 })
            .into(),
        held_by_p95,
        hot: None,
        crowded: None,
    };
    let stays = |shown: &Recommendation, plan: &Plan| {
        settled(&Input { previous: Some(shown), ..input(&workload, &state, &history) }, plan)
    };
    assert_eq!(stays(&shown(11), &counts(6.1, None)), 11, "keeping is hardly cheaper");
    assert_eq!(stays(&shown(11), &counts(6.2, None)), 12, "it is by now");
    assert_eq!(stays(&shown(11), &counts(6.1, Some(11))), 12, "late by itself");
    assert_eq!(stays(&shown(12), &counts(6.1, None)), 12, "nothing was shown");
}

#[test]
fn a_count_that_was_never_at_its_limit_asks_for_no_more() {
    let workload = workload(WorkloadKind::ConsumerGroup);
    let history = falling_behind(&workload, 20.0, 1.0); // 18.6k/s of room for at most 11.2k/s
    let state = state(20);
    let r = recommended(&input(&workload, &state, &history));
    assert!(r.recommended <= 20, "{r:?}");
    assert!(r.reasons.iter().any(|s| s.contains("never seen at their limit")), "{:?}", r.reasons);
}

#[test]
fn a_step_that_no_plan_looks_at_has_its_price() {
    let workload = workload(WorkloadKind::ConsumerGroup);
    let history = falling_behind(&workload, 20.0, 0.5);
    let state = state(20);
    let r = recommended(&input(&workload, &state, &history));
    // Of 24 partitions 13 to 23 replicas hold what 12 do; a quarter may go at once.
    assert!(r.recommended == 15 && r.wanted <= 12, "{r:?}");
    let (step, now) = (r.price_of(15).unwrap(), r.price_of(20).unwrap());
    assert!(step.price < now.price && step.slo_minutes <= 0.0, "{step:?} {now:?}");
    assert!(r.alternatives.is_sorted_by_key(|a| a.replicas));
}

#[test]
fn a_group_that_was_never_at_its_limit_is_tried_as_far_as_its_cpu_has_room() {
    let workload = Workload {
        guard: GuardSettings { max_step_down: 1.0, ..GuardSettings::default() },
        ..workload(WorkloadKind::ConsumerGroup)
    };
    let state = state(20);
    let wanted = |cpu: Option<f64>| {
        let mut history = falling_behind(&workload, 20.0, 0.5); // 5600/s now: 280 each
        for i in (0..=240).filter(|_| cpu.is_some()) {
            let at = NOW.plus((f64::from(i) - 240.0) * STEP);
            let key = SignalKey { entity: workload.entity.clone(), role: Role::Utilisation };
            history.record(&key, Sample { at, value: cpu.unwrap_or_default() });
        }
        recommended(&input(&workload, &state, &history)).wanted
    };
    let (unknown, idle, busy) = (wanted(None), wanted(Some(0.2)), wanted(Some(0.95)));
    assert!(idle < unknown && idle >= 8, "twice what was seen at most: {idle} {unknown}");
    assert_eq!(busy, unknown, "no room, no larger step");
}

#[test]
fn the_scaled_object_there_is_speaks_for_keda() {
    let workload = workload(WorkloadKind::ConsumerGroup);
    let history = falling_behind(&workload, 6.0, 1.0);
    let trigger = KafkaTrigger { group: "fraud-scorer".into(), lag_threshold: 34_000.0, ..KafkaTrigger::default() };
    let object = ScaledObject {
        namespace: "payments".into(),
        name: "fraud-scorer".into(),
        target_kind: "Deployment".into(),
        target_name: "fraud-scorer".into(),
        min: 6,
        max: 30,
        triggers: vec![trigger.into()],
        ..ScaledObject::default()
    };
    let state = WorkloadState { scaled_object: Some(object), ..state(6) };
    assert_eq!(recommended(&input(&workload, &state, &history)).others.keda, Some(12));
}

#[test]
fn constants_change_no_count() {
    let (workload, state) = (workload(WorkloadKind::ConsumerGroup), state(6));
    let (one, many) = (falling_behind(&workload, 6.0, 1.0), falling_behind(&workload, 6.0, 1024.0));
    let [a, b] = [one, many].map(|history| recommended(&input(&workload, &state, &history)));
    assert_eq!((a.recommended, a.wanted), (b.recommended, b.wanted));
}

/// A queue that two hours of steady trickle went through, each job 20 minutes on one worker, and then `burst` jobs at
/// once ten minutes ago.
fn queue(workload: &Workload, workers: f64, burst: f64) -> History {
    let mut history = History::default();
    let steps = 960; // four hours
    for i in 0..=steps {
        let at = NOW.plus((f64::from(i) - f64::from(steps)) * STEP);
        let late = i + 40 >= steps;
        let running = if late { workers } else { f64::from(u8::from(i % 160 < 80)) };
        let waiting = if late { burst } else { 0.0 };
        let counts =
            [(Role::Queue, waiting), (Role::Running, running), (Role::Replicas, workers), (Role::Desired, workers)];
        for (role, value) in counts {
            history.record(&SignalKey { entity: workload.entity.clone(), role }, Sample { at, value });
        }
    }
    history
}

#[test]
fn a_queue_gets_the_workers_that_its_deadlines_need_and_no_more() {
    let within = |seconds: f64| Workload {
        slo: Slo { within: Some(seconds), ..Slo::default() },
        guard: GuardSettings { max_step_up: 20.0, ..GuardSettings::default() },
        ..workload(WorkloadKind::Batch)
    };
    let state = state(4);
    let counts = [2.0 * 3_600.0, 8.0 * 3_600.0].map(|promised| {
        let workload = within(promised);
        let history = queue(&workload, 4.0, 30.0);
        let r = recommended(&input(&workload, &state, &history));
        assert!(r.reasons[0].contains("worker-hours are left") && r.reasons[1].contains("30 jobs wait"), "{r:?}");
        assert!(r.reasons.iter().any(|s| s.starts_with("a job runs 27 min")), "{:?}", r.reasons);
        assert!(r.price_of(4).is_some() && r.others.keda == Some(6), "{r:?}");
        r.recommended
    });
    // 30 jobs of 27 minutes, long ones of 48: for one and a half hours of it the last must begin within 40 minutes.
    assert!((18..=24).contains(&counts[0]) && counts[1] == 4, "{counts:?}");
}

#[test]
fn a_queue_that_nobody_tells_of_is_held_or_has_no_advice() {
    let workload = workload(WorkloadKind::Batch);
    let history = queue(&workload, 4.0, 30.0);
    let gone = WorkloadState { coverage: 0.0, ..state(4) };
    let r = recommended(&input(&workload, &gone, &history));
    assert_eq!((r.recommended, r.blocked_by[0].guard), (4, "coverage"));
    let error = advise(&input(&workload, &state(4), &History::default())).recommendation.unwrap_err();
    assert!(error.contains("what waits in the queue is not known"), "{error}");
}

fn wild() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        Just(None),
        Just(Some(f64::NAN)),
        Just(Some(f64::INFINITY)),
        Just(Some(-5.0)),
        Just(Some(0.0)),
        (0.0..1e9_f64).prop_map(Some)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_was_seen_advice_stays_in_bounds_and_is_the_same_twice(
        values in prop::collection::vec(wild(), 60..400),
        rates in prop::collection::vec(prop::option::of(0.0..1e4_f64), 0..24),
        kind in prop_oneof![
            Just(WorkloadKind::ConsumerGroup), Just(WorkloadKind::Inference), Just(WorkloadKind::Batch)
        ],
        current in 0..40_u32,
    ) {
        let workload = workload(kind);
        let mut history = History::default();
        for (i, value) in values.iter().enumerate() {
            let role = Role::ALL[i % Role::ALL.len()];
            let at = NOW.plus(-((values.len() - i) as f64) * 2.0);
            if let Some(value) = *value {
                history.record(&SignalKey { entity: workload.entity.clone(), role }, Sample { at, value });
            }
        }
        let state = WorkloadState { partition_rates: rates, ..state(current) };
        let input = input(&workload, &state, &history);
        let advice = advise(&input);
        if let Ok(r) = &advice.recommendation {
            prop_assert!((2..=24).contains(&r.recommended));
            let shown = r.alternatives.iter().any(|a| a.replicas == current);
            prop_assert!(shown, "what staying costs is among the alternatives");
        }
        prop_assert_eq!(&advise(&input), &advice);
    }
}
