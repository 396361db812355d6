//! What the planner counts on: a rate only from saturation, honest words where there was none.

use super::*;
use proptest::prelude::*;

const STEP: f64 = 15.0;

fn grid(values: Vec<Option<f64>>) -> Grid {
    Grid { start: Time::from_secs(0.0), step: STEP, values }
}

/// Grids of one workload, made from `(throughput, backlog, ready, desired)` per slot.
struct Seen([Grid; 6]);

impl Seen {
    fn new(slots: &[(f64, f64, f64, f64)]) -> Self {
        let of = |f: fn(&(f64, f64, f64, f64)) -> f64| grid(slots.iter().map(|s| Some(f(s))).collect());
        Self([of(|s| s.0), of(|s| s.0), of(|s| s.1), Grid::default(), of(|s| s.2), of(|s| s.3)])
    }

    fn estimate(&self, kind: WorkloadKind) -> Option<Capacity> {
        self.after(kind, None)
    }

    fn after(&self, kind: WorkloadKind, previous: Option<&Capacity>) -> Option<Capacity> {
        let [throughput, demand, backlog, time_lag, replicas, desired] = &self.0;
        let now = throughput.end();
        estimate(&Observed {
            kind,
            throughput,
            demand,
            backlog,
            time_lag,
            replicas,
            desired,
            heaviest: 1.0,
            previous,
            sticky: false,
            watch: None,
            now,
        })
    }
}

#[test]
fn a_bad_scrape_proves_nothing() {
    let mut slots = vec![(1_240.0, 100.0, 4.0, 4.0); 50];
    slots[30].0 = 4e9; // offsets were set to the end
    let capacity = Seen::new(&slots).estimate(WorkloadKind::ConsumerGroup).unwrap();
    assert_eq!((capacity.per_replica, capacity.samples), (310.0, 0));
    let mut slots = vec![(3_600.0, 400_000.0, 4.0, 4.0); 30];
    slots[15].0 = 4e9;
    let capacity = Seen::new(&slots).estimate(WorkloadKind::ConsumerGroup).unwrap();
    assert!((capacity.per_replica - 900.0).abs() < 1.0, "{capacity:?}");
}

#[test]
fn what_was_learned_before_is_weighed_by_what_was_seen_and_not_by_how_often_it_is_asked() {
    let kind = WorkloadKind::ConsumerGroup;
    let at = |rate: f64, slots: usize| Seen::new(&vec![(4.0 * rate, 400_000.0, 4.0, 4.0); slots]);
    let before = at(900.0, 200).estimate(kind).unwrap();
    let ask = |seen: &Seen, times: usize| {
        let again = |c: Capacity, _| seen.after(kind, Some(&c)).unwrap();
        (0..times).fold(before.clone(), again).per_replica
    };
    for (rate, slots, believed) in [(700.0, 40, 900.0), (700.0, 200, 700.0), (1_000.0, 40, 1_000.0)] {
        let seen = at(rate, slots);
        assert_eq!((ask(&seen, 1), ask(&seen, 200)), (believed, believed), "{rate} on {slots} slots");
    }
}

#[test]
fn only_saturated_slots_say_what_a_replica_can_do() {
    let mut slots = vec![(1_000.0, 2_000.0, 4.0, 4.0); 100]; // 250/s each, 2 s of visible lag: not saturated
    slots.extend(vec![(3_600.0, 400_000.0, 4.0, 4.0); 40]); // 900/s each, far behind
    slots.extend(vec![(1_000.0, 2_000.0, 4.0, 4.0); 100]);
    let capacity = Seen::new(&slots).estimate(WorkloadKind::ConsumerGroup).unwrap();
    assert!((capacity.per_replica - 900.0).abs() < 1.0, "{capacity:?}");
    assert!((30..=40).contains(&capacity.samples), "{capacity:?}");
}

#[test]
fn without_saturation_there_is_a_lower_bound_that_says_so() {
    let capacity = Seen::new(&[(1_240.0, 100.0, 4.0, 4.0); 50]).estimate(WorkloadKind::ConsumerGroup).unwrap();
    assert_eq!((capacity.per_replica, capacity.samples), (310.0, 0));
    assert!(capacity.high > capacity.per_replica);
    assert!(capacity.assumptions[0].contains("at least 310/s flowed through a replica"), "{:?}", capacity.assumptions);
}

#[test]
fn the_busiest_replica_proves_more_than_the_average_one() {
    let seen = Seen::new(&[(1_240.0, 100.0, 4.0, 4.0); 50]);
    let [throughput, demand, backlog, time_lag, replicas, desired] = &seen.0;
    let (kind, now) = (WorkloadKind::ConsumerGroup, throughput.end());
    let of = |heaviest| {
        let grids = Observed {
            kind,
            throughput,
            demand,
            backlog,
            time_lag,
            replicas,
            desired,
            heaviest,
            previous: None,
            sticky: false,
            watch: None,
            now,
        };
        estimate(&grids).unwrap()
    };
    let capacity = of(1.5);
    assert!((capacity.per_replica - 465.0).abs() < 1e-9, "half as much again as 310/s went through it: {capacity:?}");
    assert!(capacity.assumptions[0].contains("465/s flowed through the busiest replica"), "{:?}", capacity.assumptions);
    assert_eq!(of(f64::NAN), of(1.0), "not known is not more");
}

#[test]
fn nothing_known_is_no_estimate() {
    assert_eq!(Seen::new(&[]).estimate(WorkloadKind::ConsumerGroup), None);
    assert_eq!(Seen::new(&[(0.0, 0.0, 0.0, 0.0); 50]).estimate(WorkloadKind::ConsumerGroup), None, "scaled to zero");
}

#[test]
fn waiting_requests_saturate_an_inference_service() {
    let mut slots = vec![(10.0, 0.0, 2.0, 2.0); 50];
    slots.extend(vec![(16.0, 3.0, 2.0, 2.0); 20]);
    let capacity = Seen::new(&slots).estimate(WorkloadKind::Inference).unwrap();
    assert!((capacity.per_replica - 8.0).abs() < 1e-9, "{capacity:?}");
    assert!(capacity.rebalance.abs() < f64::EPSILON);
}

#[test]
fn a_count_that_something_else_holds_back_does_not_lower_the_rate() {
    let mut slots = vec![(3_600.0, 400_000.0, 4.0, 4.0); 40];
    slots.extend(vec![(4_000.0, 400_000.0, 8.0, 8.0); 60]); // downstream allows 4,000/s in all
    let mut seen = Seen::new(&slots);
    seen.0[1].values.fill(Some(5_000.0));
    let capacity = seen.estimate(WorkloadKind::ConsumerGroup).unwrap();
    assert_eq!(capacity.ceiling, Some(4_000.0));
    assert!((capacity.per_replica - 900.0).abs() < 1.0, "{capacity:?}");
    assert!(capacity.assumptions[0].starts_with("8 replicas brought 4k/s in all instead of 7.2k/s"), "{capacity:?}");
}

/// A consumer group of six at 1000/s each through a day with two surges above its capacity, seen as in reality: a
/// scrape every 15 s, commits every 5 s (so that lag is always visible and flow comes in batches), 6 % noise per slot.
#[test]
fn two_surges_through_noisy_eyes_give_the_rate_within_ten_percent() {
    let mut state = 1_u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1_u32 << 24)
    };
    let (mut backlog, mut uncommitted, mut slots) = (0.0_f64, 0.0_f64, Vec::new());
    for i in 0..1_920 {
        let surge = if (400..440).contains(&i) || (1_200..1_260).contains(&i) { 1.9 } else { 1.0 };
        let demand = surge * (3_600.0 + 900.0 * (f64::from(i) / 300.0).sin()) * (0.9 + 0.2 * random());
        let able = 6_000.0 * (0.94 + 0.12 * random());
        let done = (backlog + demand * STEP).min(able * STEP);
        backlog += demand * STEP - done;
        let late = done / STEP * 5.0 * random();
        slots.push(((done + uncommitted - late) / STEP, backlog + late, 6.0, 6.0));
        uncommitted = late;
    }
    let capacity = Seen::new(&slots).estimate(WorkloadKind::ConsumerGroup).unwrap();
    assert!((900.0..=1_100.0).contains(&capacity.per_replica), "{capacity:?}");
    assert!(capacity.samples >= 60, "{capacity:?}");
}

#[test]
fn start_ups_are_matched_first_in_first_out() {
    let mut slots = Vec::new();
    for (desired, ready, times) in [(2.0, 2.0, 10), (4.0, 2.0, 3), (4.0, 3.0, 1), (4.0, 4.0, 20)] {
        slots.extend(vec![(1_000.0, 0.0, ready, desired); times]);
    }
    let capacity = Seen::new(&slots).estimate(WorkloadKind::ConsumerGroup).unwrap();
    assert!((37.0..=53.0).contains(&capacity.start_up), "{capacity:?}"); // 45 s and 60 s, less half a slot
    assert!(!capacity.assumptions.iter().any(|a| a.contains("start-up")), "{:?}", capacity.assumptions);
}

#[test]
fn a_pause_after_each_change_is_learned() {
    let mut slots = Vec::new();
    for n in [4.0, 5.0, 6.0, 5.0, 4.0, 5.0] {
        slots.extend([(0.0, 17_000.0, n, n), (0.0, 32_000.0, n, n)]); // 30 s without progress
        slots.extend(vec![(1_000.0, 2_000.0, n, n); 40]);
    }
    let mut seen = Seen::new(&slots);
    seen.0[1].values.fill(Some(1_000.0));
    let capacity = seen.estimate(WorkloadKind::ConsumerGroup).unwrap();
    assert!((25.0..=45.0).contains(&capacity.rebalance), "{capacity:?}");
}

#[test]
fn the_last_member_to_catch_up_is_no_ceiling() {
    let mut slots = vec![(3_600.0, 400_000.0, 4.0, 4.0); 40];
    slots.extend(vec![(4_000.0, 90_000.0, 8.0, 8.0); 60]); // one of eight is still behind
    let mut seen = Seen::new(&slots);
    seen.0[1].values.fill(Some(3_900.0));
    assert_eq!(seen.estimate(WorkloadKind::ConsumerGroup).unwrap().ceiling, None);
}

#[test]
fn what_lies_after_now_is_not_looked_at() {
    let seen = Seen::new(&[vec![(1_000.0, 100.0, 4.0, 4.0); 50], vec![(9_000.0, 9e6, 4.0, 4.0); 50]].concat());
    let [throughput, demand, backlog, time_lag, replicas, desired] = &seen.0;
    let now = throughput.at(40);
    let kind = WorkloadKind::ConsumerGroup;
    let early = estimate(&Observed {
        kind,
        throughput,
        demand,
        backlog,
        time_lag,
        replicas,
        desired,
        heaviest: 1.0,
        previous: None,
        sticky: false,
        watch: None,
        now,
    })
    .unwrap();
    assert_eq!(early.samples, 0);
}

fn slot() -> impl Strategy<Value = (f64, f64, f64, f64)> {
    (0.0..1e4_f64, 0.0..1e6_f64, 0_u8..6, 0_u8..6).prop_map(|(t, b, r, d)| (t, b, f64::from(r), f64::from(d)))
}

proptest! {
    #[test]
    fn doubling_the_flow_doubles_the_rate_and_no_time(slots in prop::collection::vec(slot(), 0..120)) {
        let doubled: Vec<_> = slots.iter().map(|(t, b, r, d)| (t * 2.0, b * 2.0, *r, *d)).collect();
        let (one, two) = (Seen::new(&slots).estimate(WorkloadKind::ConsumerGroup), Seen::new(&doubled).estimate(WorkloadKind::ConsumerGroup));
        prop_assert_eq!(one.is_some(), two.is_some());
        if let (Some(one), Some(two)) = (one, two) {
            prop_assert!((two.per_replica - 2.0 * one.per_replica).abs() <= 1e-9 * two.per_replica);
            prop_assert_eq!((one.samples, one.start_up), (two.samples, two.start_up));
            prop_assert!((one.rebalance - two.rebalance).abs() < 1e-9);
        }
    }

    #[test]
    fn gaps_and_nonsense_never_panic_and_never_show(
        values in prop::collection::vec(prop::array::uniform6(prop::option::of(prop_oneof![
            -1e3..1e6_f64, Just(f64::NAN), Just(f64::INFINITY), Just(0.0), Just(3.0)])), 0..80),
        kind in prop::sample::select(vec![WorkloadKind::ConsumerGroup, WorkloadKind::Inference, WorkloadKind::Batch]),
    ) {
        let column = |i: usize| grid(values.iter().map(|row| row[i]).collect());
        let seen = Seen([column(0), column(1), column(2), column(3), column(4), column(5)]);
        if let Some(c) = seen.estimate(kind) {
            for v in [c.per_replica, c.low, c.high, c.start_up, c.rebalance] {
                prop_assert!(v.is_finite() && v >= 0.0, "{c:?}");
            }
            prop_assert!(c.low <= c.per_replica && c.per_replica <= c.high, "{c:?}");
        }
    }
}
