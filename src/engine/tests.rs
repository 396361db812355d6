//! Hostile data through a whole pass: nothing panics, nothing is advised on partial data, and a word is said.

use super::{
    confirmed::Confirmed,
    latest::{Latest, Samples},
    pass::{Given, Memory, Snoozes, WallTime},
};
use crate::model::{
    Action, ActionId, Group, GroupPartition, GroupState, GroupType, KafkaCluster, Label, Member, Observation,
    Partition, Role, Severity, Target, Time, Topic, WorkloadView,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// A partition as it is told: log end (`None`: the leader is silent) and committed offset.
type Told = (Option<i64>, i64);

fn group(id: &Label, at: Time, told: &[Told]) -> Group {
    let seen = |(i, (end, committed)): (i32, &Told)| GroupPartition {
        topic: id.clone(),
        partition: i,
        committed: Some(*committed),
        log_start: Some(0),
        end: *end,
        lag: end.map(|e| e.saturating_sub(*committed).max(0).unsigned_abs()),
        lost: Some(0),
        time_lag: None,
        owner: Some(0),
        beyond_end: end.is_some_and(|e| *committed > e),
        at,
        fresh: end.is_some(),
        ..GroupPartition::default()
    };
    let partitions: Vec<GroupPartition> = (0..).zip(told).map(seen).collect();
    let known = partitions.iter().filter(|p| p.fresh).count();
    let member = |i: i32| Member {
        id: Label::new(&format!("m{i}")),
        client_id: "c".into(),
        host: "h".into(),
        instance_id: None,
        partitions: 2,
    };
    Group {
        group: id.clone(),
        state: GroupState::Stable,
        kind: GroupType::Classic,
        assignor: None,
        coordinator: Some(0),
        members: (0..2).map(member).collect(),
        error: None,
        at,
        coverage: if told.is_empty() { 1.0 } else { known as f64 / told.len() as f64 },
        lag: partitions.iter().filter_map(|p| p.lag).reduce(u64::saturating_add),
        lost: Some(0),
        time_lag: Some(1.0),
        partitions,
        ..Group::default()
    }
}

fn topic(name: &Label, at: Time, told: &[Told]) -> Topic {
    let partition = |(i, (end, _)): (i32, &Told)| Partition {
        partition: i,
        leader: Some(0),
        replicas: vec![0],
        isr: vec![0],
        log_start: Some(0),
        end: *end,
        at,
        ..Partition::default()
    };
    Topic { name: name.clone(), partitions: (0..).zip(told).map(partition).collect(), ..Topic::default() }
}

fn cluster(at: Time, groups: &[(Label, Vec<Told>)]) -> KafkaCluster {
    KafkaCluster {
        name: "prod".into(),
        at,
        topics: groups.iter().map(|(id, told)| topic(id, at, told)).collect(),
        groups: groups.iter().map(|(id, told)| group(id, at, told)).collect(),
        ..KafkaCluster::default()
    }
}

/// An engine without its sources and its clock.
#[derive(Default)]
struct Desk {
    latest: Latest,
    memory: Memory,
    snoozed: Snoozes,
}

impl Desk {
    fn see(&mut self, cluster: KafkaCluster) -> Vec<Arc<WorkloadView>> {
        self.see_with(cluster, &[])
    }

    fn see_with(&mut self, cluster: KafkaCluster, actions: &[Action]) -> Vec<Arc<WorkloadView>> {
        let (now, mut samples) = (cluster.at, Samples::default());
        self.latest.apply(Observation::Kafka(Arc::new(cluster)), &mut samples);
        self.pass(now, samples, actions)
    }

    fn pass(&mut self, now: Time, samples: Samples, actions: &[Action]) -> Vec<Arc<WorkloadView>> {
        let configured = [];
        self.memory.pass(&Given {
            latest: &self.latest,
            samples,
            configured: &configured,
            pipelines: &[],
            budgets: &[],
            days: &HashMap::new(),
            snoozed: &self.snoozed,
            confirmed: &Confirmed::default(),
            actions,
            now,
        })
    }

    /// Half an hour of one group on four partitions, 100 records/s each; back come the instant and offsets of its end.
    fn settled() -> (Self, Time, i64) {
        let mut desk = Self::default();
        let (start, mut end) = (Time::parse("2026-03-01T12:00:00Z").unwrap(), 0);
        for i in 0..120 {
            end = 1_000_000 + i * 1_500;
            desk.see(one(start.plus(i as f64 * 15.0), &[(Some(end), end - 50); 4]));
        }
        (desk, start.plus(119.0 * 15.0), end)
    }
}

fn one(at: Time, told: &[Told]) -> KafkaCluster {
    cluster(at, &[("g".into(), told.to_vec())])
}

fn demand(view: &WorkloadView) -> Option<f64> {
    view.signal(Role::Demand)?.now.as_ref().map(|r| r.value)
}

/// The count that is asked for, when it is another than the present one.
fn change(view: &WorkloadView) -> Option<u32> {
    view.advice.recommendation.as_ref().ok().filter(|r| r.is_change() && r.blocked_by.is_empty()).map(|r| r.recommended)
}

#[test]
fn absurd_numbers_break_nothing() {
    let ends = [Some(i64::MAX), Some(i64::MIN), Some(0), Some(-1), None];
    let committed = [i64::MIN, i64::MAX, -1, 0];
    let mut desk = Desk::default();
    let told: Vec<Told> = ends.iter().flat_map(|e| committed.iter().map(move |c| (*e, *c))).collect();
    for (i, at) in [0.0, 2.0, 4.0, 4.0, 1e12, 2.0].into_iter().enumerate() {
        let mut turned = told.clone();
        turned.rotate_left(i * 3);
        let mut cluster = one(Time::from_secs(at), &turned);
        cluster.groups[0].time_lag = Some(f64::MAX);
        for p in &mut cluster.groups[0].partitions {
            (p.lag, p.time_lag) = (Some(u64::MAX), Some(f64::MAX));
        }
        let views = desk.see(cluster);
        assert_eq!(views.len(), 1);
        let values = views[0].signals.iter().filter_map(|s| s.now.as_ref());
        assert!(values.clone().all(|r| r.value.is_finite()), "{:?}", views[0].signals);
        assert_eq!(change(&views[0]), None, "no advice on a part of the partitions");
    }
}

#[test]
fn names_of_any_length_stay_apart_and_harmless() {
    let long = "x".repeat(1 << 20);
    let hostile = ["", "\u{1b}]52;c;aGk=\u{7}", "\u{202e}gpj.exe", "\0", "a/b", " "];
    let names =
        hostile.iter().map(|n| Label::new(n)).chain([Label::new(&(long.clone() + "a")), Label::new(&(long + "b"))]);
    let groups: Vec<_> = names.map(|n| (n, vec![(Some(10), 5)])).collect();
    let views = Desk::default().see(cluster(Time::from_secs(1e9), &groups));
    let shown: HashSet<&Label> = views.iter().map(|v| &v.workload.name).collect();
    assert_eq!(shown.len(), groups.len());
    assert!(shown.iter().all(|n| !n.is_empty() && n.as_str().len() < 2_000 && !n.as_str().contains('\u{1b}')));
}

#[test]
fn new_partitions_are_no_surge_and_unknown_ones_no_advice() {
    let (mut desk, then, end) = Desk::settled();
    let now = then.plus(15.0);
    let grown: Vec<Told> =
        (0..8).map(|i| if i < 4 { (Some(end + 1_500), end) } else { (Some(5_000_000), 0) }).collect();
    let view = desk.see(one(now, &grown)).remove(0);
    assert!(demand(&view).is_none_or(|d| d < 500.0), "what the new partitions held is no arrival: {:?}", demand(&view));
    let partial: Vec<Told> = grown.iter().enumerate().map(|(i, t)| (t.0.filter(|_| i < 4), t.1)).collect();
    let view = desk.see(one(now.plus(15.0), &partial)).remove(0);
    assert_eq!(change(&view), None);
    assert_eq!((view.severity, view.headline.as_str()), (Severity::Unknown, "4 of 8 partitions unknown"));
    // Who did not want to be asked about a cheaper count hears of it, who did not want to hear of this does not.
    for (i, was, is) in [(1.0, Severity::Ok, false), (2.0, Severity::Unknown, true)] {
        desk.snoozed.insert(view.workload.entity.clone(), (now.plus(3_600.0), was));
        let view = desk.see(one(now.plus(15.0 + i), &partial)).remove(0);
        assert_eq!((view.severity, view.snoozed.is_some()), (Severity::Unknown, is), "{was:?}");
    }
    let mut late = one(now.plus(30.0), &partial);
    late.groups[0].time_lag = Some(600.0);
    let view = desk.see(late).remove(0);
    assert_eq!(view.severity, Severity::Act, "{}", view.headline);
    assert!(view.headline.starts_with("at least 10") && view.headline.ends_with("4 of 8 partitions unknown"));
    let mut silent = one(now.plus(45.0), &grown);
    silent.groups[0].coverage = 0.0;
    let view = desk.see(silent).remove(0);
    assert_eq!(view.headline, "8 of 8 partitions unknown", "what they last told is no knowledge");
}

#[test]
fn what_rare_commits_do_not_tell_breaks_no_objective() {
    let mut desk = Desk::default();
    let start = Time::parse("2026-03-01T12:00:00Z").unwrap();
    // 100 records/s a partition, committed to the end every 90 s.
    let mut look = |i: i64, more: f64| {
        let (end, committed) = (1_000_000 + i * 1_500, 1_000_000 + i / 6 * 9_000);
        let mut cluster = one(start.plus(i as f64 * 15.0), &[(Some(end), committed); 4]);
        cluster.groups[0].time_lag = Some((i % 6) as f64 * 15.0 + more);
        desk.see(cluster).remove(0)
    };
    let views: Vec<_> = (0..120).map(|i| look(i, 1.0)).collect();
    let limit = views[0].slo.as_ref().unwrap().limit;
    assert!((30.0..75.0).contains(&limit), "{limit}");
    let learned = &views[60..];
    assert!(learned.iter().all(|v| v.severity != Severity::Act), "{:?}", learned.iter().map(|v| &v.headline));
    let said = |v: &WorkloadView| v.state.notices.iter().any(|n| n.as_str().starts_with("commits are rare: up to "));
    assert!(learned.iter().all(|v| said(v)), "{:?}", views[119].state.notices);
    let late = look(120, 600.0);
    assert_eq!(late.severity, Severity::Act, "what is later than the next commit is late: {}", late.headline);
}

#[test]
fn who_is_snoozed_is_no_other_of_its_name() {
    let (mut desk, at) = (Desk::default(), Time::from_secs(1e9));
    let of = |name: &str| KafkaCluster { name: name.into(), ..one(at, &[(None, 0)]) };
    let staging = desk.see(of("staging")).remove(0);
    desk.snoozed.insert(staging.workload.entity.clone(), (at.plus(3_600.0), Severity::Unknown));
    let snoozed: Vec<_> = desk.see(of("prod")).iter().filter(|v| v.snoozed.is_some()).cloned().collect();
    let of = |v: &Arc<WorkloadView>| v.workload.entity.source.to_string();
    assert_eq!(snoozed.iter().map(of).collect::<Vec<_>>(), ["staging"], "its name is prod's now");
}

#[test]
fn a_topic_made_again_is_said_and_gives_no_rate() {
    let (mut desk, then, end) = Desk::settled();
    let before = desk.see(one(then.plus(15.0), &[(Some(end + 1_500), end); 4])).remove(0);
    assert!((demand(&before).unwrap() - 400.0).abs() < 1.0, "{:?}", demand(&before));
    let mut again = one(then.plus(30.0), &[(Some(5), end); 4]);
    again.notices.push("topic g was made again: its offsets start anew".into());
    let view = desk.see(again.clone()).remove(0);
    assert_eq!(demand(&view), demand(&before), "the last rate stands with its own age; there is no negative one");
    assert!(view.state.notices.iter().any(|n| n.as_str().contains("beyond the log end")), "{:?}", view.state.notices);
    assert_eq!(change(&view), None);
    assert_eq!(std::mem::take(&mut desk.latest.news).len(), 1, "the operator hears of it");
    desk.see(again);
    assert!(desk.latest.news.is_empty(), "once");
}

#[test]
fn committed_offsets_that_are_reset_are_no_throughput() {
    let (mut desk, then, end) = Desk::settled();
    let read = |v: &WorkloadView| v.signals.iter().any(|s| s.now.as_ref().is_some_and(|r| r.value < 0.0));
    let view = desk.see(one(then.plus(15.0), &[(Some(end + 1_500), 0); 4])).remove(0);
    assert!(!read(&view), "{:?}", view.signals);
    assert_eq!(desk.latest.rates[&Label::new("prod")].of_group("g").unwrap().throughput, None);
}

#[test]
fn a_clock_set_back_leaves_nothing_in_the_future() {
    for back in [600.0, 3_600.0] {
        let (mut desk, then, end) = Desk::settled();
        let now = then.plus(-back);
        let view = desk.see(one(now, &[(Some(end + 1_500), end); 4])).remove(0);
        assert!(view.advice.forecast.as_ref().is_none_or(|f| f.at <= now), "a forecast made in the future is not used");
        if let Ok(r) = &view.advice.recommendation {
            assert!(r.at <= now && r.expires <= now.plus(3_600.0), "{r:?}");
        }
        for signal in &view.signals {
            assert!(signal.now.as_ref().is_none_or(|r| r.at <= now.plus(60.0)), "{signal:?}");
        }
    }
}

#[test]
fn a_workload_that_is_being_decided_about_is_advised_however_little_time_there_is() {
    let mut desk = Desk::default();
    desk.memory.wall_time = WallTime { forecasts: Duration::ZERO, advice: Duration::ZERO };
    let groups = [("asked".into(), vec![(Some(10), 5)]), ("other".into(), vec![(Some(10), 5)])];
    let at = Time::from_secs(1e9);
    let target = Target::Command("pool".into());
    let asked = Action::proposed(ActionId("a".into()), "asked".into(), target, (1, 2), at);
    let waits = |desk: &mut Desk, actions: &[Action]| {
        let views = desk.see_with(cluster(at, &groups), actions);
        let why = |v: &Arc<WorkloadView>| v.advice.recommendation.as_ref().err().cloned().unwrap_or_default();
        views
            .iter()
            .filter(|v| why(v).contains("waits for its turn"))
            .map(|v| v.workload.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(waits(&mut desk, &[]).len(), 2);
    assert_eq!(waits(&mut desk, &[asked]), [Label::new("other")]);
}

#[test]
fn five_thousand_groups_come_and_go() {
    let names: Vec<Label> = (0..5_000).map(|i| Label::new(&format!("group-{i}"))).collect();
    let groups = |end: i64| -> Vec<(Label, Vec<Told>)> {
        names.iter().map(|n| (n.clone(), vec![(Some(end), end - 7); 4])).collect()
    };
    let mut desk = Desk::default();
    for i in 0..3 {
        let cluster = cluster(Time::from_secs(1e9 + 2.0 * f64::from(i)), &groups(1_000 + i64::from(i) * 20));
        let began = std::time::Instant::now();
        let views = desk.see(cluster);
        println!("a pass over 5,000 groups: {:?}", began.elapsed());
        assert_eq!(views.len(), 5_000);
        assert!(i == 0 || views.iter().all(|v| demand(v) == Some(40.0)));
    }
    let views = desk.see(cluster(Time::from_secs(1e9 + 100.0), &groups(5_000)[..1]));
    assert_eq!((views.len(), desk.memory.remembered()), (1, 1), "what is gone is let go of");
}

#[test]
fn what_is_over_an_objective_is_never_told_as_the_same() {
    let (mut desk, then, end) = Desk::settled();
    let mut late = one(then.plus(15.0), &[(Some(end + 1_500), end); 4]);
    late.groups[0].time_lag = Some(60.4);
    let view = desk.see(late).remove(0);
    assert_eq!(view.headline, "just over 60 s behind, the objective is 60 s");
}

#[test]
fn a_count_that_is_no_longer_heard_of_is_a_gap() {
    let (mut desk, last, _) = Desk::settled();
    let mut view = None;
    for i in 1..=40 {
        view = desk.pass(last.plus(f64::from(i) * 15.0), Samples::default(), &[]).pop();
    }
    let view = view.unwrap();
    assert_eq!(view.severity, Severity::Unknown, "{}", view.headline);
    let signal = view.signal(Role::Replicas).unwrap();
    let seen = signal.track.last().unwrap().0;
    assert!(signal.now.is_some() && seen.since(last) < 60.0, "shown, but not as of {seen}");
}

#[tokio::test]
async fn what_is_known_grows_old_though_no_source_says_anything() {
    let clock = crate::process::Clock::wall();
    let config = crate::config::Config::default();
    let mut handle = super::watch(super::Options { config, clock, state: None, past: None, days: false });
    let first = handle.pictures.borrow().at;
    let later = handle.pictures.wait_for(|p| p.at.since(first) > 1.0);
    assert!(tokio::time::timeout(Duration::from_secs(20), later).await.is_ok(), "nothing was looked at anew");
}
