use super::*;
use crate::{
    model::{Holds, KafkaTrigger, Limits, Quantity},
    policy::threshold,
};
use proptest::prelude::*;

fn at(seconds: f64) -> Time {
    Time::from_secs(seconds)
}

fn counts(n: u32) -> Counts {
    Counts { spec: n, status: n, ready: n }
}

fn lag_trigger(threshold: f64) -> Trigger {
    KafkaTrigger { lag_threshold: threshold, allow_idle: true, ..KafkaTrigger::default() }.into()
}

fn object(min: u32, max: u32) -> ScaledObject {
    ScaledObject { min, max, triggers: vec![lag_trigger(1_000.0)], ..ScaledObject::default() }
}

fn play(object: &ScaledObject) -> Scaled {
    Scaled::keda(object, &Controller::default()).unwrap()
}

#[test]
fn a_paused_object_holds_and_a_paused_count_is_set_once() {
    let holds = Holds { stopped: true, replicas: Some(4), ..Holds::default() };
    let mut scaled = play(&ScaledObject { holds, ..object(1, 30) });
    let many = [Reading::Total(50_000.0)];
    assert_eq!(scaled.sync(at(0.0), counts(9), &many), (4, "Paused"));
    assert_eq!(scaled.sync(at(15.0), counts(7), &many), (7, "Paused"), "what is written by hand afterwards stays");
}

#[test]
fn a_paused_direction_is_closed_and_the_other_is_open() {
    let with = |holds| play(&ScaledObject { holds, ..object(1, 30) });
    let mut no_more = with(Holds { scale_out: true, ..Holds::default() });
    assert_eq!(no_more.sync(at(0.0), counts(5), &[Reading::Total(20_000.0)]).0, 5);
    assert_eq!(no_more.sync(at(301.0), counts(5), &[Reading::Total(1_000.0)]).0, 1, "in 5 min to what is asked");
    let mut no_fewer = with(Holds { scale_in: true, ..Holds::default() });
    assert_eq!(no_fewer.sync(at(0.0), counts(5), &[Reading::Total(1_000.0)]).0, 5);
    assert_eq!(no_fewer.sync(at(900.0), counts(5), &[Reading::Total(1_000.0)]).0, 5);
    assert_eq!(no_fewer.sync(at(915.0), counts(5), &[Reading::Total(20_000.0)]).0, 10);
}

#[test]
fn idle_is_left_for_min_and_taken_after_the_cooldown() {
    let mut scaled = play(&ScaledObject { idle: Some(0), cooldown: 60.0, polling: 15.0, ..object(3, 30) });
    let (busy, quiet) = ([Reading::Total(2_500.0)], [Reading::Total(0.0)]);
    assert_eq!(scaled.sync(at(0.0), counts(0), &busy), (3, "ScaledFromZero"), "to min, not to one");
    assert_eq!(scaled.sync(at(15.0), counts(3), &quiet).0, 3);
    assert_eq!(scaled.sync(at(60.0), counts(3), &quiet).0, 3, "60 s have not gone by since the last active look");
    assert_eq!(scaled.sync(at(75.0), counts(3), &quiet), (0, "ScaledToZero"));
    assert_eq!(scaled.sync(at(80.0), counts(0), &busy).0, 0, "nothing happens between two polls");
}

#[test]
fn a_failed_look_never_puts_to_sleep() {
    let mut scaled = play(&ScaledObject { cooldown: 0.0, ..object(0, 30) });
    assert_eq!(scaled.sync(at(0.0), counts(5), &[Reading::Failed]), (5, "FailedGetMetrics"));
    assert_eq!(scaled.sync(at(30.0), counts(5), &[Reading::Total(0.0)]).0, 0, "never active: no cooldown");
    assert_eq!(scaled.sync(at(60.0), counts(0), &[Reading::Failed]).0, 0);
}

#[test]
fn the_most_demanding_trigger_counts_and_any_wakes() {
    let threshold = Quantity::from_milli(10_000);
    let prometheus = Trigger {
        source: TriggerSource::Prometheus { query: "queue".into(), threshold, activation: 5.0 },
        ..lag_trigger(1.0)
    };
    let two = ScaledObject { triggers: vec![lag_trigger(1_000.0), prometheus], ..object(0, 30) };
    let mut scaled = play(&two);
    assert_eq!(scaled.sync(at(0.0), counts(0), &[Reading::Total(0.0), Reading::Total(5.0)]).0, 0, "more than 5 wakes");
    assert_eq!(scaled.sync(at(30.0), counts(0), &[Reading::Total(0.0), Reading::Total(6.0)]).0, 1);
    assert_eq!(scaled.sync(at(45.0), counts(1), &[Reading::Total(3_000.0), Reading::Total(20.0)]).0, 3);
    assert_eq!(scaled.sync(at(60.0), counts(3), &[Reading::Failed, Reading::Total(60.0)]).0, 6, "up on a part");
    assert_eq!(
        scaled.sync(at(700.0), counts(6), &[Reading::Failed, Reading::Total(10.0)]).0,
        6,
        "never down on a part"
    );
}

#[test]
fn a_fallback_asks_as_a_metric_would() {
    let fallback = |behavior, replicas| Some(Fallback { after: 1, replicas, behavior });
    let failed = |behavior, replicas: u32, from: u32| {
        let fallback = fallback(behavior, replicas);
        let mut scaled = play(&ScaledObject { fallback, polling: 900.0, ..object(1, 30) });
        let steady = [Reading::Total(f64::from(from) * 1_000.0)];
        assert_eq!(scaled.sync(at(0.0), counts(from), &steady).0, from);
        assert_eq!(scaled.sync(at(15.0), counts(from), &[Reading::Failed]).0, from, "the first failure only holds");
        scaled.sync(at(400.0), counts(from), &[Reading::Failed]).0
    };
    assert_eq!(failed(FallbackBehavior::Static, 8, 5), 8);
    assert_eq!(failed(FallbackBehavior::Static, 22, 20), 20, "the HPA's tolerance holds for it too");
    assert_eq!(failed(FallbackBehavior::CurrentReplicas, 8, 5), 5);
    assert_eq!(failed(FallbackBehavior::CurrentReplicasIfHigher, 8, 12), 12);
    assert_eq!(failed(FallbackBehavior::CurrentReplicasIfLower, 8, 12), 8);
}

#[test]
fn tolerances_of_the_object_go_over_the_controllers() {
    let mut behavior = HpaBehavior::default();
    behavior.up.tolerance = Some(0.0);
    let with = |behavior| play(&ScaledObject { behavior, ..object(1, 30) });
    let asked = [Reading::Total(21_000.0)];
    assert_eq!(with(None).sync(at(0.0), counts(20), &asked).0, 20, "5 % are within 10");
    assert_eq!(with(Some(behavior)).sync(at(0.0), counts(20), &asked).0, 21);
}

#[test]
fn what_cannot_be_played_is_named_with_its_place() {
    let cron = Trigger { kind: "cron".into(), source: TriggerSource::Other, ..lag_trigger(1.0) };
    let mixed = ScaledObject { triggers: vec![lag_trigger(1.0), cron], ..object(1, 3) };
    let why = Scaled::keda(&mixed, &Controller::default()).err().unwrap();
    assert_eq!(why.pointer, "/spec/triggers/1/type");
}

/// One resource at a utilisation target, without a window.
fn resource(name: &str, percent: u32) -> Scaled {
    let mut behavior = HpaBehavior::default();
    behavior.down.window = Some(0.0);
    let metric = HpaMetric {
        source: MetricSource::Resource,
        name: name.into(),
        selects: std::collections::BTreeMap::new(),
        target: Some(MetricTarget::Utilization(percent)),
    };
    let hpa = Hpa { max: i32::MAX as u32, metrics: vec![metric], behavior: Some(behavior), ..Hpa::default() };
    Scaled::hpa(&hpa, &Controller::default()).unwrap()
}

#[test]
fn pods_that_are_not_ready_use_memory_as_the_others_do() {
    let half = Counts { spec: 10, status: 10, ready: 5 };
    assert_eq!(resource("memory", 80).sync(at(0.0), half, &[Reading::Total(80.0)]).0, 10);
    assert_eq!(resource("memory", 80).sync(at(0.0), half, &[Reading::Total(160.0)]).0, 20);
    assert_eq!(resource("cpu", 80).sync(at(0.0), half, &[Reading::Total(160.0)]).0, 10, "CPU leaves them out");
}

#[test]
fn absurd_counts_cost_nothing() {
    let many = Counts { spec: 400_000_000, status: 400_000_000, ready: 300_000_000 };
    assert_eq!(resource("memory", 80).sync(at(0.0), many, &[Reading::Total(9e15)]).0, 800_000_000, "twice a sync");
}

#[test]
fn a_value_without_pods_holds() {
    let value = Trigger { metric_type: TriggerMetric::Value, ..lag_trigger(100.0) };
    let mut scaled = play(&ScaledObject { triggers: vec![value], ..object(1, 30) });
    let none = Counts { spec: 5, status: 0, ready: 0 };
    assert_eq!(scaled.sync(at(0.0), none, &[Reading::Total(500.0)]), (5, "FailedGetMetrics"));
}

/// What a metric shows: a failed read, nonsense, or a value.
fn shown() -> impl Strategy<Value = Option<f64>> {
    let nonsense = prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -5.0]).prop_map(Some);
    prop_oneof![1 => Just(None), 1 => nonsense, 8 => (0..1_000_000_u32).prop_map(|v| Some(f64::from(v)))]
}

proptest! {
    #[test]
    fn no_controller_leaves_its_bounds_and_units_change_no_count(
        (min, more, start, kind) in (1..8_u32, 0..30_u32, 0..30_u32, 0..4_u8),
        target in 1..20_000_i64,
        looks in prop::collection::vec((1.0..400.0_f64, shown(), 0..40_u32), 1..60),
    ) {
        let (max, start) = (min + more, min + start.min(more));
        let with = |unit: i64| {
            let (lag, milli) = (unit * target, 1_000 * unit * target);
            let goal = match kind {
                0 => return play(&ScaledObject { triggers: vec![lag_trigger(lag as f64)], ..object(min, max) }),
                1 => Goal::AverageValue(milli),
                2 => Goal::Value(milli),
                _ => Goal::PodsAverage(milli, false),
            };
            Scaled::new(vec![Track::new(goal, 0.0)], Bounds { min, max, behavior: None }, &Controller::default())
        };
        let (mut one, mut other) = (with(1), with(1_024));
        let (mut now, mut count) = (at(0.0), start);
        for (seconds, value, ready) in looks {
            now = now.plus(seconds);
            let counts = Counts { ready: ready.min(count), ..counts(count) };
            let reading = |unit: f64| [value.map_or(Reading::Failed, |v| Reading::Total(unit * v))];
            let decided = one.sync(now, counts, &reading(1.0));
            prop_assert!((min..=max).contains(&decided.0), "{decided:?} of {value:?} at {count}");
            prop_assert_eq!(other.sync(now, counts, &reading(1_024.0)), decided, "{:?}", value);
            let busy = value.map(|v| v / 1e6);
            let seen = threshold::Seen { current: count, cpu: &[busy], behind: value.map(|v| (v, 30.0)) };
            let by_hand = threshold::replicas(&seen, &threshold::Rule::default(), Limits { min, max });
            prop_assert!(by_hand.is_none_or(|n| (min..=max).contains(&n)));
            count = decided.0;
        }
    }
}
