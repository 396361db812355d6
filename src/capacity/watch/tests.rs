//! Whatever is looked at, nothing panics and nothing that is not a number gets out.

use super::*;
use proptest::prelude::*;

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..1e6_f64, 0.0..1e6_f64, 0.0..1e6_f64, Just(f64::NAN), Just(f64::INFINITY), -1e3..0.0_f64]
}

/// A group looked at each `every` seconds for so long: `partitions` of them on `members` that are there from the
/// beginning, each where `place` says it is at a second.
fn seen(every: f64, seconds: f64, [partitions, members]: [u64; 2], place: impl Fn(f64, u64) -> [f64; 2]) -> Watch {
    let count = members as u32;
    changing(every, seconds, (partitions, count), |_| count, |t, p| (place(t, p), p % members))
}

/// The same of members that come and go: `ready` of the count asked for, and the owner of each partition with its place.
fn changing(
    every: f64,
    seconds: f64,
    (partitions, desired): (u64, u32),
    ready: impl Fn(f64) -> u32,
    place: impl Fn(f64, u64) -> ([f64; 2], u64),
) -> Watch {
    let (mut watch, start) = (Watch::default(), Time::from_secs(1e6));
    for t in (0..=(seconds / every) as u32).map(|i| f64::from(i) * every) {
        let there = |p| {
            let ([end, committed], owner) = place(t, p);
            Place { end, committed, owner: Some(owner) }
        };
        let partitions: Vec<Place> = (0..partitions).map(there).collect();
        let (desired, at) = ((desired, start), start.plus(t));
        watch.see(&Look { at, partitions: &partitions, desired, ready: ready(t), rebalancing: false });
    }
    watch
}

/// A group of two members on four partitions whose end offsets grow by 100 records/s each: `behind` seconds of work
/// wait when it is met, and it works at `speed` of what comes.
fn met(behind: f64, speed: f64, every: f64, seconds: f64) -> Watch {
    seen(every, seconds, [4, 2], |t, _| [1e6 + 100.0 * t, 1e6 - 100.0 * behind + 100.0 * speed * t])
}

#[test]
fn a_group_that_is_behind_when_it_is_met_is_behind() {
    // 13 s of work waited at the first look and ever more does: that is no commit interval.
    let watch = met(13.0, 0.9, 2.0, 60.0);
    assert!(watch.late() > 12.0 && watch.excess() > 12.0 * 400.0, "{} s, {} records", watch.late(), watch.excess());
    // What lies between two commits, always the same, is nothing.
    assert!(met(4.0, 1.0, 2.0, 60.0).excess() <= 0.0);
}

#[test]
fn looks_quicker_than_the_commits_teach_as_much() {
    // Two members do 150/s each of the 200/s that come to each, and commit every 5 s.
    let place = |t: f64, _| [1e6 + 100.0 * t, 9.9e5 + 75.0 * (t / 5.0).floor() * 5.0];
    for every in [1.0, 2.0, 5.0, 15.0] {
        let capacity = seen(every, 1_800.0, [4, 2], place).capacity(false).unwrap();
        assert!(capacity.samples > 10 && (capacity.per_replica - 150.0).abs() < 5.0, "{every} s: {capacity:?}");
    }
}

/// Four members on eight partitions of 100 records/s each: they commit every `every` seconds, one after the other, and do
/// `speed` of what comes; from second `stops` on nothing.
fn seldom(every: f64, speed: f64, stops: f64) -> impl Fn(f64, u64) -> [f64; 2] {
    move |t, p| {
        let phase = every * (p % 4) as f64 / 4.0;
        let last = ((t.min(stops) + phase) / every).floor() * every - phase;
        [1e6 + 100.0 * t, 1e6 - 6_000.0 + speed * (6_000.0 + 100.0 * last)]
    }
}

#[test]
fn what_came_since_a_rare_commit_is_no_lag() {
    // Kafka Streams commits every 30 s, Connect every 60 s: both keep up. A commit may be as old as the look before.
    for every in [30.0, 60.0, 30.4, 60.7] {
        let watch = seen(15.0, 14_400.0, [8, 4], seldom(every, 1.0, f64::INFINITY));
        assert!(watch.late() < 15.0 && watch.excess() < 15.0 * 800.0, "{every} s: {} s late", watch.late());
        assert_eq!(watch.capacity(true).unwrap().samples, 0, "{every} s: nothing waited");
    }
}

#[test]
fn rare_commits_teach_what_a_member_does_when_work_waits() {
    for every in [30.0, 60.0] {
        let capacity = seen(15.0, 7_200.0, [8, 4], seldom(every, 0.8, f64::INFINITY)).capacity(true).unwrap();
        assert!(capacity.samples > 10 && (capacity.per_replica - 160.0).abs() < 5.0, "{every} s: {capacity:?}");
    }
}

#[test]
fn what_lies_in_a_partition_that_does_not_move_keeps_nobody_busy() {
    // Four members on eight partitions keep up with 100 records/s each; in partition 5 a record cannot be read. Who has it
    // does what comes to its other one, and that is half of what it did before.
    let keeps_up = |t: f64, p: u64| [1e6 + 100.0 * t, 1e6 - 200.0 + 100.0 * if p == 5 { t.min(900.0) } else { t }];
    for every in [2.0, 15.0] {
        let capacity = seen(every, 7_200.0, [8, 4], keeps_up).capacity(true).unwrap();
        assert_eq!(capacity.samples, 0, "{every} s: {capacity:?}");
        assert!((195.0..=205.0).contains(&capacity.low), "{every} s: {capacity:?}");
    }
    // With work waiting in the other one it is as busy as the rest: they do 80 of the 100.
    let behind = |t: f64, p: u64| {
        [1e6 + 100.0 * t, 9e5 + 80.0 * if p == 5 { t.min(900.0) } else { t * if p == 1 { 1.25 } else { 1.0 } }]
    };
    let capacity = seen(15.0, 1_800.0, [8, 4], behind).capacity(true).unwrap();
    assert!(capacity.samples > 10, "{capacity:?}");
}

#[test]
fn a_group_that_commits_no_more_is_late_once_its_next_commit_is_overdue() {
    let late = |after: f64| seen(15.0, 3_600.0 + after, [8, 4], seldom(60.0, 1.0, 3_600.0)).late();
    assert!(late(45.0) < 20.0 && late(120.0) > 90.0, "{} {}", late(45.0), late(120.0));
}

#[test]
fn commits_between_two_rare_looks_are_no_work_that_waits() {
    // Each commits every 15 s and is looked at every 30 s: what is seen to wait is always the same.
    let capacity = seen(30.0, 7_200.0, [8, 4], seldom(15.0, 1.0, f64::INFINITY)).capacity(true).unwrap();
    assert_eq!(capacity.samples, 0, "{capacity:?}");
}

#[test]
fn commits_as_often_as_looks_are_no_work_that_waits_whatever_was_seen_before() {
    // One member after the other reads all, and commits every 15 s: its last commit is always so old when it is looked at.
    let mut ages = [7.0, 7.5, 6.0, 7.0, 5.0, 7.5, 6.5, 7.0].repeat(2);
    ages.extend([1.0, 13.0]);
    let capacity = changing(
        15.0,
        21_585.0,
        (4, 1),
        |_| 1,
        |t, _| {
            let run = (t / 1_200.0) as usize;
            ([1e6 + 100.0 * t, 1e6 + 100.0 * (t - ages[run])], run as u64)
        },
    );
    assert_eq!(capacity.capacity(true).unwrap().samples, 0, "it keeps up");
}

#[test]
fn how_long_a_member_is_missed_says_nothing_about_removals() {
    // Each 15 minutes the last of six dies. For a minute nobody reads what it had, then the others do; later it is back.
    let dead = |t: f64| (300.0..600.0).contains(&(t % 900.0));
    let place = |t: f64, p: u64| {
        let (end, since) = (1e6 + 100.0 * t, t % 900.0 - 300.0);
        let behind = if p % 6 < 5 || since < 0.0 { 2.0 } else { 2.0 + since.min(60.0 - 2.0 * (since - 60.0)).max(0.0) };
        ([end, end - 100.0 * behind], if p % 6 == 5 && dead(t) && since >= 60.0 { p / 6 } else { p % 6 })
    };
    let capacity = changing(15.0, 9_000.0, (12, 6), |t| if dead(t) { 5 } else { 6 }, place).capacity(true).unwrap();
    assert!(capacity.rebalance_down <= 15.0, "{capacity:?}");
}

#[test]
fn one_partition_that_was_cut_does_not_hide_what_waits_in_the_others() {
    // The first lost its end to another leader, whose log is shorter than what was committed.
    let watch = seen(15.0, 885.0, [4, 2], |t, p| match p {
        0 => [if t > 300.0 { 5e5 } else { 1e6 }, 1e6],
        _ => [1e6 + 100.0 * t, 1e6 + 50.0 * t],
    });
    assert!(!watch.is_blind() && watch.excess() > 120_000.0, "{} records", watch.excess());
}

#[test]
fn what_always_waits_is_learned_as_fast_by_many_looks_as_by_few() {
    let [often, seldom] = [2.0, 15.0].map(|every| met(12.0, 1.0, every, 1_800.0).late());
    assert!((often - seldom).abs() < 0.3 && often < 4.0, "{often} {seldom}");
}

#[test]
fn what_a_rebalance_stops_is_assumed_by_kind_until_some_were_seen() {
    let watch = met(13.0, 0.9, 15.0, 600.0);
    let [all_stop, sticky] = [false, true].map(|sticky| watch.capacity(sticky).unwrap().rebalance);
    assert!((all_stop, sticky) == (30.0, 5.0), "{all_stop} {sticky}");
}

#[test]
fn what_waits_is_told_apart_by_partition() {
    // Each commits 2 s late; the third falls behind by half of what comes.
    let committed = |t: f64, p| 1e6 - 200.0 + if p == 2 { 50.0 } else { 100.0 } * t;
    let watch = seen(15.0, 285.0, [4, 4], |t, p| [1e6 + 100.0 * t, committed(t, p)]);
    let waits = watch.waits();
    assert!(waits.len() == 4 && waits[2] > 13_000.0 && waits[0] + waits[1] + waits[3] < 200.0, "{waits:?}");
}

#[test]
fn what_lies_with_a_few_members_for_hours_is_late_and_no_floor() {
    // 12 partitions commit 2 s late; one of them stays another 100 s behind, so that all together are 10 s late.
    let watch = seen(15.0, 14_385.0, [12, 12], |t, p| {
        let end = 1e6 + 100.0 * t;
        [end, end - if p == 5 { 10_200.0 } else { 200.0 }]
    });
    assert!((watch.late() - 100.0 / 12.0).abs() < 0.1, "{} s", watch.late());
}

#[test]
fn where_a_record_comes_now_and_then_what_always_waits_is_that_of_all_partitions() {
    // 40 partitions, a record each 10 s in every one of them, committed each 20 s: 10 s of it wait at any time. A
    // partition in which one has just come looks as if five times as many did.
    let came = |t: f64, p: u64| ((t + p as f64 * 0.25) / 10.0).floor();
    let watch = seen(2.0, 14_398.0, [40, 4], |t, p| {
        let since = (t + p as f64 * 7.25) % 20.0;
        [1e6 + came(t, p), 1e6 + came(t - since, p)]
    });
    assert!(watch.late() < 2.0, "{} s", watch.late());
}

/// A group on twelve partitions of 100 records/s each, committed every 5 s and looked at every 15 s, that takes these
/// counts at these seconds. Every change stops all of it for 14 s; one that comes meanwhile stops it for as long again.
fn eager(counts: &[(u32, u32)], seconds: u32) -> Watch {
    let (mut watch, start) = (Watch::default(), Time::from_secs(1e6));
    let (mut done, mut committed, mut still, mut again) = (0.0_f64, 0.0, 0, false);
    let count = |t: u32| counts.iter().rev().find(|(at, _)| *at <= t).map_or(6, |(_, n)| *n);
    for t in 0..seconds {
        let asked = counts.iter().rev().map(|(at, _)| *at).find(|at| *at <= t).unwrap_or(0);
        if counts.iter().any(|(at, _)| *at == t) {
            (still, again) = if still > 0 { (still, true) } else { (14, false) };
        }
        if still > 0 {
            still -= 1;
            if still == 0 && std::mem::take(&mut again) {
                still = 14;
            }
        } else {
            done = (done + 300.0).min(100.0 * f64::from(t));
        }
        if t % 5 == 0 {
            committed = done;
        }
        if t % 15 == 0 {
            let end = 1e6 + 100.0 * f64::from(t);
            let place = |p| Place { end, committed: 1e6 + committed, owner: Some(u64::from(p % count(t))) };
            let partitions: Vec<Place> = (0..12).map(place).collect();
            let desired = (count(t), start.plus(f64::from(asked)));
            watch.see(&Look {
                at: start.plus(f64::from(t)),
                partitions: &partitions,
                desired,
                ready: count(t),
                rebalancing: still > 0,
            });
        }
    }
    watch
}

#[test]
fn a_standstill_is_learned_from_one_decision_and_not_from_an_autoscaler_that_takes_many() {
    // Eight times one replica after the other is taken away, so that one rebalance follows the other.
    let mut counts: Vec<(u32, u32)> =
        (0..8).flat_map(|i| [(1, 5), (2, 4), (3, 3), (40, 6)].map(|(at, n)| (900 * (i + 1) + 14 * at, n))).collect();
    let many = eager(&counts, 9_000).capacity(false).unwrap();
    assert!(many.rebalance_down > 20.0, "{many:?}");
    counts.extend((0..4).flat_map(|i| [(0, 3), (40, 6)].map(|(at, n)| (900 * (i + 10) + 14 * at, n))));
    let both = eager(&counts, 13_000).capacity(false).unwrap();
    assert!((8.0..=18.0).contains(&both.rebalance_down), "{both:?}");
    assert!((8.0..=18.0).contains(&both.standstill(3)), "{both:?}");
}

#[test]
fn one_that_joins_stops_a_group_as_long_as_those_that_go_and_several_twice_as_long() {
    // Whoever adds here asks for the next one before the first has settled: that tells nothing.
    let steps = [(0, 3), (40, 4), (41, 5), (42, 6)];
    let counts: Vec<(u32, u32)> = (0..6).flat_map(|i| steps.map(|(at, n)| (900 * (i + 1) + 14 * at, n))).collect();
    let capacity = eager(&counts, 6_300).capacity(false).unwrap();
    assert!((8.0..=18.0).contains(&capacity.standstill(1)), "{capacity:?}");
    assert!((1.9..=3.0).contains(&(capacity.standstill(4) / capacity.standstill(1))), "{capacity:?}");
    assert!(!capacity.assumptions.iter().any(|a| a.contains("rebalance")), "{capacity:?}");
}

proptest! {
    #[test]
    fn looks_of_any_kind_never_panic_and_teach_no_nonsense(
        looks in prop::collection::vec(
            (-60.0..300.0_f64, prop::collection::vec((number(), number(), prop::option::of(0_u64..5)), 0..6),
             0_u32..9, 0_u32..9, any::<bool>()),
            0..60),
    ) {
        let (mut watch, mut at) = (Watch::default(), Time::from_secs(1e6));
        for (dt, places, desired, ready, rebalancing) in looks {
            at = at.plus(dt);
            let partitions: Vec<Place> =
                places.iter().map(|(end, committed, owner)| Place { end: *end, committed: *committed, owner: *owner }).collect();
            watch.see(&Look { at, partitions: &partitions, desired: (desired, at), ready, rebalancing });
            if let Some(c) = watch.capacity(false) {
                for v in [c.per_replica, c.low, c.high, c.start_up, c.rebalance, c.rebalance_down, c.ceiling.unwrap_or(0.0)] {
                    prop_assert!(v.is_finite() && v >= 0.0, "{:?}", c);
                }
            }
            prop_assert!(watch.excess().is_finite() && watch.late().is_finite());
            prop_assert!(watch.starting(at).iter().all(|s| *s >= 0.0));
        }
    }
}
