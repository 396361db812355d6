//! What a user would miss: each rule says its sentence when the thing happens, and keeps quiet when it does not.

mod apart;
mod words;

use super::*;
use crate::model::{
    Broker, BrokerState, Group, GroupPartition, GroupState, GroupType, Member, Partition, Stable, Topic, TopicConfig,
};

const HOUR: f64 = 3_600.0;

fn at(seconds: f64) -> Time {
    Time::from_millis(1_800_000_000_000).plus(seconds)
}

fn config() -> TopicConfig {
    TopicConfig {
        deletes: true,
        compacts: false,
        retention: Some(24.0 * HOUR),
        retention_bytes: None,
        min_in_sync: 2,
        broker_stamps: false,
        at: at(0.0),
    }
}

fn broker(id: i32) -> Broker {
    Broker {
        id,
        host: "k".into(),
        port: 9092,
        rack: None,
        state: BrokerState::Up,
        answered: None,
        rtt: None,
        leads: 0,
        replicas: 0,
        under_replicated: 0,
        log_dirs: Vec::new(),
    }
}

/// One topic of three replicas on three brokers, read by one group: per partition log start, end, committed.
fn cluster(now: f64, offsets: &[(i64, i64, i64)]) -> KafkaCluster {
    let at = at(now);
    let partition = |(i, (start, end, _)): (i32, &(i64, i64, i64))| Partition {
        partition: i,
        leader: Some(1),
        replicas: vec![1, 2, 3],
        isr: vec![1, 2, 3],
        log_start: Some(*start),
        end: Some(*end),
        at,
        ..Partition::default()
    };
    let row = |(i, (start, end, committed)): (i32, &(i64, i64, i64))| GroupPartition {
        topic: "orders".into(),
        partition: i,
        committed: Some(*committed),
        log_start: Some(*start),
        end: Some(*end),
        lag: u64::try_from(end - committed.max(start)).ok(),
        lost: Some(u64::try_from(start - committed).unwrap_or(0)),
        time_lag: Some(if committed < end { 30.0 } else { 0.0 }),
        owner: Some(i as usize % 2),
        at,
        fresh: true,
        ..GroupPartition::default()
    };
    let member = |i: i32| Member {
        id: Label::new(&format!("m{i}")),
        client_id: Label::new(&format!("c{i}")),
        host: "/10.0.0.1".into(),
        instance_id: None,
        partitions: offsets.len() as u32 / 2,
    };
    let partitions: Vec<GroupPartition> = (0..).zip(offsets).map(row).collect();
    KafkaCluster {
        name: "prod".into(),
        at,
        brokers: (1..=3).map(broker).collect(),
        topics: vec![Topic {
            name: "orders".into(),
            partitions: (0..).zip(offsets).map(partition).collect(),
            config: Some(config()),
            ..Topic::default()
        }],
        groups: vec![Group {
            group: "etl".into(),
            state: GroupState::Stable,
            kind: GroupType::Classic,
            members: (0..2).map(member).collect(),
            coverage: 1.0,
            lag: Some(partitions.iter().filter_map(|p| p.lag).sum()),
            partitions,
            at,
            ..Group::default()
        }],
        ..KafkaCluster::default()
    }
}

fn rules(cluster: &KafkaCluster) -> Vec<&'static str> {
    cluster.alerts.iter().map(|a| a.rule).collect()
}

fn alert<'a>(cluster: &'a KafkaCluster, rule: &str) -> &'a Alert {
    let found = cluster.alerts.iter().find(|a| a.rule == rule);
    found.unwrap_or_else(|| panic!("no {rule} among {:?}", cluster.alerts))
}

/// Looks at refreshes `every` seconds apart, each changed by `change(number, cluster)`; the last one is returned.
fn watched(
    watch: &mut Watch,
    looks: u32,
    every: f64,
    of: impl Fn(i64) -> Vec<(i64, i64, i64)>,
    change: impl Fn(u32, &mut KafkaCluster),
) -> KafkaCluster {
    let mut last = KafkaCluster::default();
    for i in 0..looks {
        last = cluster(f64::from(i) * every, &of(i64::from(i)));
        change(i, &mut last);
        watch.look(&mut last);
    }
    last
}

#[test]
fn a_group_that_keeps_up_raises_nothing() {
    let reads = |i: i64| (0..4).map(|p| (0, 1_000 + i * 10 + p, 995 + i * 10 + p)).collect();
    let seen = watched(&mut Watch::new(&DEAD_LETTER), 200, 2.0, reads, |_, _| {});
    assert_eq!(rules(&seen), [""; 0], "{:?}", seen.alerts);
    assert!(seen.groups[0].commit_every.is_some_and(|s| (s - 2.0).abs() < 0.1));
    assert!(seen.topics[0].partitions[0].arrivals.is_some_and(|r| (r - 5.0).abs() < 0.01));
}

#[test]
fn deleted_before_it_was_read_is_lost_unless_only_compaction_did_it() {
    let mut behind = cluster(0.0, &[(40, 100, 10), (0, 100, 100)]);
    let mut watch = Watch::new(&DEAD_LETTER);
    watch.look(&mut behind);
    let lost = alert(&behind, "lost");
    assert!(lost.sentence.as_str().starts_with("30 records on 1 partition"), "{lost:?}");
    assert_eq!((lost.severity, lost.since), (Severity::Act, at(0.0)));
    let mut compacted = cluster(2.0, &[(40, 100, 10), (0, 100, 100)]);
    compacted.topics[0].config = Some(TopicConfig { deletes: false, compacts: true, ..config() });
    watch.look(&mut compacted);
    assert!(!rules(&compacted).contains(&"lost"));
    let mut untold = cluster(4.0, &[(40, 100, 10), (0, 100, 100)]);
    untold.topics[0].config = None;
    watch.look(&mut untold);
    assert!(alert(&untold, "lost").sentence.as_str().contains("DescribeConfigs"));
    let mut one = cluster(6.0, &[(100, 100, 99), (0, 100, 100)]);
    watch.look(&mut one);
    let marker = alert(&one, "lost");
    assert!(
        marker.sentence.as_str().starts_with("1 record on 1 partition was deleted")
            && marker.severity == Severity::Look
    );
    assert!(marker.sentence.as_str().contains("if its producers use transactions"), "{marker:?}");
}

#[test]
fn the_deletion_of_unread_records_is_foreseen_by_age_and_by_size() {
    let mut old = cluster(0.0, &[(0, 1_000, 100), (0, 1_000, 1_000)]);
    old.groups[0].partitions[0].time_lag = Some(23.5 * HOUR);
    let mut watch = Watch::new(&DEAD_LETTER);
    watch.look(&mut old);
    let risk = alert(&old, "retention");
    assert_eq!((risk.severity, risk.holds), (Severity::Act, Holdback::ScaleIn));
    assert!(risk.sentence.as_str().contains("in 30 min"), "{risk:?}");
    assert_eq!(old.groups[0].partitions[1].deletion, None, "nothing unread, nothing to lose");

    // 1 kB a record, 10 records/s: 900 kB unread of 1 MB kept leave 100 kB, so ten seconds.
    let of = |i: i64| vec![(0, 1_000 + i * 20, 100 + i * 20); 2];
    let sized = |_: u32, c: &mut KafkaCluster| {
        c.topics[0].config = Some(TopicConfig { retention_bytes: Some(1_000_000), ..config() });
        for p in &mut c.topics[0].partitions {
            p.bytes = p.end.map(|e| e.unsigned_abs() * 1_000);
        }
    };
    let sized = watched(&mut Watch::new(&DEAD_LETTER), 10, 2.0, of, sized);
    let deletion = sized.groups[0].deletion.unwrap();
    assert_eq!(deletion.by, "bytes");
    assert!((deletion.seconds - 10.0).abs() < 0.5, "{deletion:?}");
    assert!(alert(&sized, "retention").evidence.as_str().contains("lower bound"));
}

#[test]
fn resets_are_told_from_reading() {
    let reset = |before: (i64, i64, i64), after: (i64, i64, i64), empty: bool| {
        let change = |_: u32, c: &mut KafkaCluster| {
            if empty {
                c.groups[0].members.clear();
                c.groups[0].state = GroupState::Empty;
            }
        };
        let of = |i: i64| vec![if i < 20 { before } else { after }];
        let seen = watched(&mut Watch::new(&DEAD_LETTER), 21, 2.0, of, change);
        seen.alerts.iter().map(|a| a.rule).find(|r| r.starts_with("re")).unwrap_or("none")
    };
    assert_eq!(reset((0, 1_000, 900), (0, 1_000, 500), false), "rewind");
    assert_eq!(reset((100, 1_000, 900), (100, 1_000, 100), false), "reset-to-start");
    assert_eq!(reset((500, 1_000, 100), (500, 1_000, 500), false), "reset-over-lost");
    assert_eq!(reset((0, 1_000, 100), (0, 1_000, 1_000), true), "reset-to-end");
    assert_eq!(reset((0, 1_000, 100), (0, 1_000, 1_000), false), "none", "a member that catches up reads");
}

#[test]
fn one_partition_that_stands_is_stuck_and_all_of_them_are_stale() {
    let one = |i: i64| vec![(0, 1_000 + i * 10, 990 + i * 10), (0, 1_000 + i * 10, 500), (0, 900, 900), (0, 9, 9)];
    let seen = watched(&mut Watch::new(&DEAD_LETTER), 60, 2.0, one, |_, _| {});
    let stuck = alert(&seen, "stuck");
    assert!(stuck.sentence.as_str().contains("orders/1 of etl stands at offset 500"), "{stuck:?}");
    assert!(stuck.mend.as_str().contains("more replicas do not help"));
    assert!(!rules(&seen).contains(&"stale"));

    let none = |i: i64| vec![(0, 1_000 + i * 10, 500); 4];
    let seen = watched(&mut Watch::new(&DEAD_LETTER), 60, 2.0, none, |_, _| {});
    let stale = alert(&seen, "stale");
    assert_eq!(stale.since, at(0.0), "it has stood since we look");
    assert!(stale.sentence.as_str().contains("though it has members"), "{stale:?}");
}

#[test]
fn a_static_member_that_is_gone_keeps_its_partitions() {
    let of = |i: i64| (0..4).map(|p| (0, 1_000 + i * 10, if p % 2 == 0 { 990 + i * 10 } else { 500 })).collect();
    let seen = watched(&mut Watch::new(&DEAD_LETTER), 60, 2.0, of, |_, c| {
        c.groups[0].members[1].instance_id = Some("worker-7".into());
    });
    let gone = alert(&seen, "static-member");
    assert!(gone.sentence.as_str().contains("worker-7") && gone.sentence.as_str().contains("2 partitions"), "{gone:?}");
}

#[test]
fn members_that_never_commit_are_told_once_records_came() {
    let uncommitted = |every: i64, only: Option<usize>| {
        let of = |i: i64| vec![(0, 1_000 + i * every, 990 + i * every); 4];
        watched(&mut Watch::new(&DEAD_LETTER), 60, 2.0, of, |_, c| {
            for (i, row) in c.groups[0].partitions.iter_mut().enumerate() {
                if only.is_none_or(|o| o == i) {
                    (row.committed, row.lag, row.lost, row.time_lag) = (None, None, None, None);
                }
            }
        })
    };
    let told = uncommitted(10, None);
    let stale = alert(&told, "stale");
    assert!(stale.sentence.as_str().ends_with("2360 records arrived meanwhile, 2360 wait"), "{stale:?}");
    let one = uncommitted(10, Some(2));
    let stuck = alert(&one, "stuck");
    assert!(stuck.sentence.as_str().starts_with("orders/2 of etl has no committed offset for"), "{stuck:?}");
    assert!(!rules(&one).iter().any(|r| r.starts_with("re")), "nothing was reset: {:?}", one.alerts);
    assert_eq!(rules(&uncommitted(0, None)), [""; 0], "nothing came: they may have begun at the end");
}

#[test]
fn a_rebalance_that_does_not_end_is_told_and_one_that_takes_its_time_is_not() {
    let rebalancing = |looks: u32| {
        let of = |i: i64| vec![(0, 1_000 + i * 10, 500); 4];
        let seen = watched(&mut Watch::new(&DEAD_LETTER), looks, 2.0, of, |_, c| {
            c.groups[0].state = GroupState::PreparingRebalance;
        });
        seen.alerts.iter().find(|a| a.rule == "stale").map(|a| a.sentence.to_string())
    };
    assert_eq!(rebalancing(100), None);
    assert!(rebalancing(160).unwrap().contains("does not come out of a rebalance"));
}

#[test]
fn offsets_of_a_group_that_is_away_expire_but_not_those_of_one_that_commits_without_members() {
    let expiring = |commits: i64| {
        let of = |i: i64| vec![(0, 1_000 + i * 10, 500 + i * commits)];
        let seen = watched(&mut Watch::new(&DEAD_LETTER), 20, 2.0, of, |_, c| {
            c.offsets_retention = Some(7.0 * 24.0 * HOUR);
            c.groups[0].members.clear();
            (c.groups[0].state, c.groups[0].time_lag) = (GroupState::Empty, Some(6.5 * 24.0 * HOUR));
        });
        seen.alerts.iter().find(|a| a.rule == "expiring").map(|a| a.sentence.to_string())
    };
    assert!(expiring(0).unwrap().contains("are deleted in about 12"));
    assert_eq!(expiring(10), None, "it is behind, and there");
}

#[test]
fn offsets_that_are_gone_are_told_but_not_those_of_a_topic_that_is_gone() {
    let gone = |topic_too: bool| {
        let of = |i: i64| vec![(0, 1_000 + i * 10, 990 + i * 10); 3];
        let seen = watched(&mut Watch::new(&DEAD_LETTER), 20, 2.0, of, |i, c| {
            if i >= 10 {
                c.groups[0].partitions.truncate(1);
                c.groups[0].partitions[0].committed = Some(1_000 + i64::from(i) * 10);
                if topic_too {
                    c.topics.clear();
                }
            }
        });
        seen.alerts.iter().find(|a| a.rule == "offsets-gone").map(|a| a.sentence.to_string())
    };
    let told = gone(false).unwrap();
    assert!(told.ends_with("orders/1 from 1080 to none, orders/2 from 1080 to none"), "{told}");
    assert_eq!(gone(true), None);
}

#[test]
fn a_log_that_is_shorter_than_what_was_committed_wants_action() {
    let mut cut = cluster(0.0, &[(0, 900, 950), (0, 900, 900)]);
    let row = &mut cut.groups[0].partitions[0];
    (row.beyond_end, row.lag) = (true, None);
    Watch::new(&DEAD_LETTER).look(&mut cut);
    let told = alert(&cut, "beyond-end");
    assert!(told.sentence.as_str().ends_with("on 1 partition: orders/0 committed 950, ends at 900"), "{told:?}");
}

#[test]
fn arrivals_go_on_after_the_clock_was_set_back() {
    let mut watch = Watch::new(&DEAD_LETTER);
    watched(&mut watch, 20, 2.0, |i| vec![(0, i * 10, i * 10)], |_, _| {});
    let set_back = |_: u32, c: &mut KafkaCluster| c.topics[0].partitions[0].at = c.at.plus(-HOUR);
    let seen = watched(&mut watch, 20, 2.0, |i| vec![(0, 200 + i * 100, 0)], set_back);
    assert!(seen.topics[0].partitions[0].arrivals.is_some_and(|r| (r - 50.0).abs() < 0.1), "{:?}", seen.topics);
}

#[test]
fn a_caught_up_transactional_reader_is_not_stuck() {
    let of = |i: i64| vec![(0, 1_000 + i * 10, 990 + i * 10), (0, 1_000, 999), (0, 1_000, 999)];
    let seen = watched(&mut Watch::new(&DEAD_LETTER), 200, 2.0, of, |_, _| {});
    assert_eq!(rules(&seen), [""; 0], "a marker at the end is no record: {:?}", seen.alerts);
}

#[test]
fn a_storm_of_rebalances_names_who_comes_and_goes_and_holds_changes_back() {
    let of = |i: i64| (0..4).map(|_| (0, 1_000 + i * 10, 995 + i * 10)).collect();
    let seen = watched(&mut Watch::new(&DEAD_LETTER), 120, 2.0, of, |i, c| {
        if i / 10 % 2 == 1 {
            c.groups[0].members.truncate(1);
        }
    });
    let storm = alert(&seen, "rebalances");
    assert!(storm.sentence.as_str().contains("c1@10.0.0.1 joined"), "{storm:?}");
    assert_eq!((storm.severity, storm.holds), (Severity::Act, Holdback::AnyChange));
    let calm = watched(&mut Watch::new(&DEAD_LETTER), 120, 2.0, of, |_, _| {});
    assert!(!rules(&calm).contains(&"rebalances"));
}

#[test]
fn what_holds_changes_back_is_listed_however_many_they_are() {
    let of = |i: i64| (0..4).map(|_| (0, 1_000 + i * 10, 995 + i * 10)).collect();
    let seen = watched(&mut Watch::new(&DEAD_LETTER), 120, 2.0, of, |i, c| {
        if i / 10 % 2 == 1 {
            c.groups[0].members.truncate(1);
        }
        let one = c.groups[0].clone();
        c.groups.extend((1..=MOST).map(|n| Group { group: format!("etl{n}").into(), ..one.clone() }));
    });
    let held = seen.alerts.iter().filter(|a| a.holds == Holdback::AnyChange).count();
    assert_eq!(held, MOST + 1, "one of every group");
}

#[test]
fn partitions_without_a_reader_and_members_without_a_partition() {
    let of = |i: i64| (0..4).map(|_| (0, 1_000 + i * 10, 995 + i * 10)).collect();
    let seen = watched(&mut Watch::new(&DEAD_LETTER), 12, 2.0, of, |_, c| {
        c.groups[0].partitions[3].owner = None;
        c.groups[0].members[1].partitions = 0;
    });
    assert!(alert(&seen, "unassigned").sentence.as_str().ends_with("orders/3"), "{:?}", seen.alerts);
    assert!(alert(&seen, "idle-members").sentence.as_str().contains("1 of 2 members"));
}

#[test]
fn copies_in_danger_are_told_once_each_by_the_worst_that_holds() {
    let mut seen = cluster(0.0, &[(0, 9, 9); 5]);
    let partitions = &mut seen.topics[0].partitions;
    partitions[0].leader = None;
    partitions[0].isr.clear();
    partitions[1].isr = vec![1];
    partitions[2].isr = vec![1, 2];
    partitions[3].replicas = vec![1];
    partitions[3].isr = vec![1];
    Watch::new(&DEAD_LETTER).look(&mut seen);
    assert_eq!(rules(&seen), ["offline", "under-min-isr", "at-min-isr", "single-copy"]);
    seen.topics[0].config = None;
    Watch::new(&DEAD_LETTER).look(&mut seen);
    assert_eq!(rules(&seen), ["last-copy", "offline", "single-copy", "under-replicated"], "min-ISR is not known");
}

#[test]
fn dead_letters_are_to_be_looked_at_and_never_above_what_loses_data() {
    let of = |i: i64| vec![(0, 1_000 + i * 10, 995 + i * 10); 2];
    let with = |growing: bool, read: bool| {
        let mut watch = Watch::new(&DEAD_LETTER);
        let seen = watched(&mut watch, 20, 2.0, of, |i, c| {
            let mut dead = c.topics[0].clone();
            dead.name = "orders.DLT".into();
            dead.partitions.truncate(1);
            dead.partitions[0].end = Some(if growing { 5 + i64::from(i) } else { 5 });
            if read {
                let row = GroupPartition { topic: "orders.DLT".into(), ..c.groups[0].partitions[0].clone() };
                c.groups[0].partitions.push(row);
            }
            c.topics.push(dead);
        });
        alert(&seen, "dead-letter").clone()
    };
    let worst = with(true, false);
    assert_eq!(worst.severity, Severity::Look);
    assert!(worst.sentence.as_str().contains("nobody reads it (a guess by its name: fed by etl)"), "{worst:?}");
    assert!(worst.sentence.as_str().contains("grows (19 since we look)"), "{worst:?}");
    assert!(with(true, true).sentence.as_str().contains("read by etl"));
}

#[test]
fn patterns_match_as_a_shell_does() {
    let watch = Watch::new(&DEAD_LETTER);
    for name in ["orders.DLT", "payments-dlq", "a.dead-letter.queue", "dead_letter", "x.errors"] {
        assert!(watch.is_dead_letter(name), "{name}");
    }
    for name in ["terrors", "errors-none", "delta", "orders"] {
        assert!(!watch.is_dead_letter(name), "{name}");
    }
    assert!(matches(b"a*b*c", b"axxbxbyc") && !matches(b"a*b*c", b"axxbxby") && matches(b"*", b""));
}

#[test]
fn a_transaction_that_hangs_names_its_producer() {
    let of = |i: i64| vec![(0, 1_000 + i * 10, 995 + i * 10)];
    let hang = |seconds: f64| {
        watched(&mut Watch::new(&DEAD_LETTER), 2, 2.0, of, |_, c| {
            c.topics[0].partitions[0].stable = Some(Stable { offset: 900, since: c.at.plus(-seconds), at: c.at });
            c.topics[0].partitions[0].transaction = Some(Box::new(crate::model::OpenTransaction {
                producer: (4_001, 3),
                from: 900,
                transactional_id: Some("tx-7".into()),
                began: None,
                timeout: None,
                wrote: None,
            }));
        })
    };
    let seen = hang(2_000.0);
    let told = alert(&seen, "hanging-transaction");
    assert!(told.sentence.as_str().contains("producer 4001 epoch 3, transactional id tx-7"), "{told:?}");
    assert!(told.mend.as_str().contains("--start-offset 900"));
    assert!(!rules(&hang(20.0)).contains(&"hanging-transaction"), "a transaction may take a while");
    // Its leader has been silent for an hour: nobody knows whether it hangs still, so nobody is told to abort it.
    let silent = watched(&mut Watch::new(&DEAD_LETTER), 2, 2.0, of, |_, c| {
        let seen = c.at.plus(-HOUR);
        c.topics[0].partitions[0].stable = Some(Stable { offset: 900, since: seen.plus(-20.0), at: seen });
    });
    assert!(!rules(&silent).contains(&"hanging-transaction"), "{:?}", silent.alerts);
}

#[test]
fn one_hot_partition_and_leaders_on_one_broker() {
    let of = |i: i64| (0..6).map(|p| if p == 2 { (0, i * 200, i * 200) } else { (0, i * 10, i * 10) }).collect();
    let seen = watched(&mut Watch::new(&DEAD_LETTER), 30, 2.0, of, |_, c| c.brokers[0].leads = 200);
    assert!(alert(&seen, "hot-partition").sentence.as_str().starts_with("partition 2 gets 100 records/s"));
    assert!(alert(&seen, "leaders").sentence.as_str().contains("broker 1 leads 200"));
}

#[test]
fn what_ends_is_forgotten_and_what_lasts_keeps_its_beginning() {
    let mut watch = Watch::new(&DEAD_LETTER);
    let of = |i: i64| vec![(if (5..10).contains(&i) { 0 } else { 40 }, 100, 10)];
    let until = |looks| {
        let mut watch = Watch::new(&DEAD_LETTER);
        watched(&mut watch, looks, 2.0, of, |_, _| {})
    };
    assert_eq!(alert(&until(5), "lost").since, at(0.0));
    assert_eq!(alert(&until(15), "lost").since, at(20.0));
    let many: Vec<_> = (0..3).map(|_| (40, 100, 10)).collect();
    let mut wide = cluster(0.0, &many);
    let group = wide.groups[0].clone();
    wide.groups = (0..2_000).map(|i| Group { group: Label::new(&format!("g{i:04}")), ..group.clone() }).collect();
    watch.look(&mut wide);
    assert_eq!(wide.alerts.len(), MOST);
    assert!(wide.notices.iter().any(|n| n.as_str().contains("more alerts")), "what is left out is said");
}
