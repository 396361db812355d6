//! The group's conservation laws, and what an operator would see of each protocol.

use super::*;
use crate::simulate::topic::Topic;
use proptest::prelude::*;

fn run(group: &mut Group, topic: &mut Topic, rate: f64, seconds: u32) -> f64 {
    (0..seconds)
        .map(|_| {
            topic.produce(rate);
            group.step(topic.ends()).processed
        })
        .sum()
}

/// Who owns each partition, by its number in the group's life.
fn serials(group: &Group) -> Vec<Option<u64>> {
    group.readings().iter().map(|r| r.owner.map(|o| group.consumers()[o].serial)).collect()
}

fn protocols() -> impl Strategy<Value = (Protocol, Assignor)> {
    prop_oneof![
        Just((Protocol::Eager, Assignor::Range)),
        Just((Protocol::Eager, Assignor::RoundRobin)),
        Just((Protocol::Cooperative, Assignor::Sticky)),
        Just((Protocol::Consumer, Assignor::Sticky)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_lost_or_invented(
        (protocol, assignor) in protocols(), partitions in 1_usize..30, seed: u64, skew in 0.0..0.6,
        orders in prop::collection::vec((0_u32..40, 0.0..20_000.0, 0_usize..8), 1..12),
    ) {
        let mut topic = Topic::new(partitions, skew, seed).with_past(1e6);
        let settings = GroupSettings { protocol, assignor, rate_spread: 0.1, ..GroupSettings::default() };
        let mut group = Group::new(settings, &topic, 3, seed);
        let first: f64 = topic.ends().iter().sum();
        for (n, rate, event) in orders {
            group.scale(n);
            match event {
                0 => group.crash(0),
                1 => group.set_stuck(0, true),
                2 => group.set_stuck(0, false),
                3 => group.set_ceiling(500.0),
                4 => group.set_ceiling(f64::INFINITY),
                _ => {}
            }
            for _ in 0..37 {
                run(&mut group, &mut topic, rate, 1);
                let arrived = topic.ends().iter().sum::<f64>() - first;
                let accounted = group.processed() + group.backlog(topic.ends());
                prop_assert!((arrived - accounted).abs() < 1e-3 + arrived * 1e-9, "{arrived} {accounted}");
                for (reading, end) in group.readings().iter().zip(topic.ends()) {
                    prop_assert!(reading.committed <= reading.position + 1e-6, "{reading:?}");
                    prop_assert!(reading.position <= end + 1e-6, "{reading:?} {end}");
                    prop_assert!(reading.owner.is_none_or(|o| o < group.consumers().len()));
                }
            }
            prop_assert_eq!(group.consumers().len() + group.starting(), n as usize);
        }
    }

    /// Whatever happens meanwhile, a partition that goes from one consumer to another stands still in between.
    #[test]
    fn no_partition_changes_hands_for_nothing(
        seed: u64, orders in prop::collection::vec((0_u32..9, 0_usize..12, 1_u32..9), 1..12),
    ) {
        let mut topic = Topic::new(24, 0.2, seed);
        let settings = GroupSettings { rebalance: 4.0, start_up: (3.0, 2.0), ..GroupSettings::default() };
        let mut group = Group::new(settings, &topic, 4, seed);
        let mut before = serials(&group);
        for (n, victim, seconds) in orders {
            match victim {
                0..4 => group.crash(victim),
                4..8 => group.absent(victim - 4, 5.0),
                _ => group.scale(n),
            }
            for _ in 0..seconds {
                run(&mut group, &mut topic, 2_000.0, 1);
                let now = serials(&group);
                for (p, pair) in before.iter().zip(&now).enumerate() {
                    prop_assert!(pair.0.is_none() || pair.1.is_none() || pair.0 == pair.1, "partition {p}: {pair:?}");
                }
                before = now;
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_group(seed: u64) {
        let make = || {
            let mut topic = Topic::new(24, 0.2, seed);
            let mut group = Group::new(GroupSettings::default(), &topic, 4, seed);
            group.scale(11);
            run(&mut group, &mut topic, 9000.0, 300);
            (group.readings().to_vec(), group.consumers().to_vec())
        };
        prop_assert_eq!(make(), make());
    }
}

#[test]
fn more_consumers_come_slowly_and_then_the_backlog_falls() {
    let mut topic = Topic::new(24, 0.1, 1);
    let mut group = Group::new(GroupSettings::default(), &topic, 4, 2);
    run(&mut group, &mut topic, 8000.0, 120);
    let behind = group.backlog(topic.ends());
    assert!(behind > 300_000.0, "{behind}");
    group.scale(12);
    run(&mut group, &mut topic, 8000.0, 10);
    assert_eq!(group.consumers().len(), 4, "nobody starts in ten seconds");
    run(&mut group, &mut topic, 8000.0, 90);
    assert_eq!(group.consumers().len(), 12);
    assert!((2..=8).contains(&group.rebalances()), "jitter splits one order: {}", group.rebalances());
    run(&mut group, &mut topic, 8000.0, 600);
    assert!(group.backlog(topic.ends()) < 1000.0);
}

#[test]
fn an_eager_rebalance_stops_all_and_a_cooperative_one_only_what_moves() {
    let during = |protocol, assignor| {
        let mut topic = Topic::new(24, 0.0, 1);
        let settings =
            GroupSettings { protocol, assignor, rebalance: 20.0, start_up: (1.0, 0.0), ..GroupSettings::default() };
        let mut group = Group::new(settings, &topic, 6, 2);
        group.scale(7);
        run(&mut group, &mut topic, 3000.0, 2);
        assert!(group.is_rebalancing());
        run(&mut group, &mut topic, 3000.0, 10) / 30_000.0
    };
    assert!(during(Protocol::Eager, Assignor::RoundRobin) < 1e-9);
    let kept = during(Protocol::Cooperative, Assignor::Sticky);
    assert!((kept - 21.0 / 24.0).abs() < 1e-6, "3 of 24 partitions move: {kept}");
}

#[test]
fn who_leaves_during_a_rebalance_moves_nobody_elses_partitions() {
    let mut topic = Topic::new(24, 0.0, 1);
    let settings = GroupSettings { rebalance: 4.0, start_up: (1.0, 0.0), ..GroupSettings::default() };
    let mut group = Group::new(settings, &topic, 4, 2);
    group.scale(5);
    run(&mut group, &mut topic, 2_400.0, 1);
    let kept = serials(&group);
    let first = group.consumers()[0].serial;
    group.absent(0, 600.0);
    run(&mut group, &mut topic, 2_400.0, 20);
    assert_eq!(group.rebalances(), 2);
    for (before, after) in kept.iter().zip(serials(&group)) {
        assert!(before.is_none_or(|b| b == first || after == Some(b)), "{before:?} {after:?}");
    }
}

#[test]
fn whose_session_has_not_ended_keeps_what_stands_still() {
    let dead = |session: f64, back_in: Option<f64>| {
        let mut topic = Topic::new(24, 0.0, 1);
        let settings = GroupSettings { start_up: (30.0, 0.0), ..GroupSettings::default() };
        let mut group = Group::new(settings, &topic, 6, 2);
        group.set_session(session);
        run(&mut group, &mut topic, 2_400.0, 10);
        match back_in {
            Some(seconds) => group.absent(1, seconds),
            None => group.crash(1),
        }
        let work: Vec<f64> = (0..90).map(|_| run(&mut group, &mut topic, 2_400.0, 1)).collect();
        assert_eq!((group.consumers().len(), group.starting()), (6, 0), "it is back");
        assert!(group.backlog(topic.ends()) < 1e-6);
        (work.iter().filter(|w| **w < 2_399.0).count(), group.rebalances())
    };
    // 4 s until others have its partitions, and 4 s in which some of them go to the one that is back.
    assert_eq!(dead(0.0, None), (8, 2));
    let (still, rebalances) = dead(45.0, None);
    assert!((49..=53).contains(&still) && rebalances == 2, "it joins again when its session is over: {still}");
    assert_eq!(dead(45.0, Some(60.0)), (53, 2));
    assert_eq!(dead(45.0, Some(20.0)), (20, 0), "back before anybody noticed");
}

#[test]
fn a_pause_of_so_many_seconds_stops_work_for_so_many_steps() {
    // Whoever changes: by an order from outside between two steps, or by joining within one.
    let stalled = |protocol, assignor, rebalance: f64, more: bool| {
        let mut topic = Topic::new(24, 0.0, 1);
        let settings =
            GroupSettings { protocol, assignor, rebalance, start_up: (1.0, 0.0), ..GroupSettings::default() };
        let mut group = Group::new(settings, &topic, 6, 2);
        group.scale(if more { 8 } else { 4 });
        let first = Some(run(&mut group, &mut topic, 2_400.0, 1));
        let work: Vec<f64> =
            first.into_iter().chain((0..60).map(|_| run(&mut group, &mut topic, 2_400.0, 1))).collect();
        assert_eq!(group.rebalances(), 1);
        (work.iter().filter(|w| **w < 2_399.0).count(), work.iter().copied().fold(f64::INFINITY, f64::min))
    };
    for (seconds, steps) in [(0.0, 0), (1.0, 1), (4.0, 4), (14.1, 15), (15.0, 15)] {
        for more in [true, false] {
            let (still, least) = stalled(Protocol::Eager, Assignor::RoundRobin, seconds, more);
            assert_eq!((still, least < 1.0), (steps, steps > 0), "eager {seconds} {more}");
            // 6 or 8 of 24 partitions move, the others go on.
            let (slow, least) = stalled(Protocol::Cooperative, Assignor::Sticky, seconds, more);
            assert_eq!((slow, least > 1_500.0), (steps, true), "cooperative {seconds} {more}");
        }
    }
}

#[test]
fn a_monitor_sees_the_commit_interval_as_lag() {
    let mut topic = Topic::new(24, 0.0, 1);
    let mut group = Group::new(GroupSettings::default(), &topic, 12, 2);
    run(&mut group, &mut topic, 10_000.0, 60);
    assert!(group.backlog(topic.ends()) < 1.0);
    let mut seen = 0.0;
    for _ in 0..50 {
        run(&mut group, &mut topic, 10_000.0, 1);
        seen += group.lag(topic.ends()) / 50.0;
    }
    // policies: the floor is rate × commit / 2; commits land on whole seconds, so a step's half less.
    assert!((15_000.0..30_000.0).contains(&seen), "{seen}");
}

#[test]
fn a_poison_partition_stands_while_its_siblings_run() {
    let mut topic = Topic::new(8, 0.0, 1);
    let mut group = Group::new(GroupSettings::default(), &topic, 4, 2);
    group.set_stuck(3, true);
    run(&mut group, &mut topic, 1600.0, 100);
    let lags: Vec<f64> = group.readings().iter().zip(topic.ends()).map(|(r, e)| e - r.position).collect();
    assert!((lags[3] - 20_000.0).abs() < 1.0 && lags.iter().enumerate().all(|(p, l)| p == 3 || *l < 1.0), "{lags:?}");
}

#[test]
fn a_downstream_ceiling_holds_however_many_consumers_there_are() {
    let mut topic = Topic::new(24, 0.0, 1);
    let mut group = Group::new(GroupSettings::default(), &topic, 24, 2);
    group.set_ceiling(5000.0);
    let processed = run(&mut group, &mut topic, 9000.0, 100);
    assert!((processed - 500_000.0).abs() < 1.0, "{processed}");
}
