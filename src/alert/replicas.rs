//! Copies of the data and the brokers that hold them: `broker-down`, `offline`, `under-min-isr`, `last-copy`,
//! `at-min-isr`, `under-replicated`, `single-copy`, `leaders`, `log-dir`, `disk`, `permission`.

use super::{Finding, Found, count, examples};
use crate::model::{Broker, BrokerState, KafkaCluster, Label, LogDir, Partition, Severity, Subject, Topic, si};

/// Share of a file system in use that wants a look, and that wants action.
const FULL: (f64, f64) = (0.80, 0.90);
/// Leaders of the busiest broker over the mean that want a look.
const UNEVEN: f64 = 1.5;

pub(super) fn rules(cluster: &KafkaCluster, found: &mut Found) {
    for broker in &cluster.brokers {
        down(broker, found);
        log_dirs(broker, found);
    }
    partitions(cluster, found);
    leaders(cluster, found);
    denied(cluster, found);
}

fn denied(cluster: &KafkaCluster, found: &mut Found) {
    let (what, grants): (Vec<&str>, Vec<&str>) = cluster.denied.iter().map(|d| (d.what.as_str(), d.grant)).unzip();
    if what.is_empty() {
        return;
    }
    found.add(Finding {
        rule: "permission",
        severity: Severity::Unknown,
        subject: Subject::Cluster,
        sentence: format!("cannot be told: {}", what.join("; ")),
        mend: format!("grant {}", grants.join(", ")),
        evidence: "the brokers answered that we are not authorised".into(),
    });
}

fn down(broker: &Broker, found: &mut Found) {
    let BrokerState::Down { since, reason } = &broker.state else { return };
    let added = found.add(Finding {
        rule: "broker-down",
        severity: Severity::Act,
        subject: Subject::Broker(broker.id),
        sentence: format!("broker {} does not answer us: {reason}", broker.id),
        mend: "look at the broker and at the network path to it; what it leads or coordinates is shown as last seen"
            .into(),
        evidence: "our own connection; what the cluster thinks of it shows in the in-sync replicas".into(),
    });
    if let Some(alert) = added {
        alert.since = *since;
    }
}

fn log_dirs(broker: &Broker, found: &mut Found) {
    let (id, subject) = (broker.id, Subject::Broker(broker.id));
    let offline: Vec<String> =
        broker.log_dirs.iter().filter_map(|d| Some(format!("{}: {}", d.path, d.error.as_ref()?))).collect();
    if !offline.is_empty() {
        let what = if offline.len() == 1 { "a log directory is" } else { "log directories are" };
        found.add(Finding {
            rule: "log-dir",
            severity: Severity::Act,
            subject: subject.clone(),
            sentence: format!("{what} offline on broker {id}: {}", examples(&offline)),
            mend: "the replicas there are gone from this broker: mend or replace the disk, then restart the broker"
                .into(),
            evidence: "DescribeLogDirs".into(),
        });
    }
    // Directories that lie on one disk tell the same numbers.
    let share = |d: &LogDir| {
        let (total, usable) = d.total.filter(|t| *t > 0 && d.error.is_none()).zip(d.usable)?;
        Some((1.0 - usable as f64 / total as f64, total, usable))
    };
    let mut full: Vec<_> = broker.log_dirs.iter().filter_map(|d| Some((d, share(d)?))).collect();
    full.retain(|(_, (share, ..))| *share >= FULL.0);
    full.sort_by(|(_, a), (_, b)| b.0.total_cmp(&a.0));
    let Some((dir, (share, total, usable))) = full.first() else { return };
    let told: Vec<String> =
        full.iter().map(|(d, (share, ..))| format!("{} {:.0} %", d.path, share * 100.0)).skip(1).collect();
    let others = if told.is_empty() { String::new() } else { format!("; {}", examples(&told)) };
    found.add(Finding {
        rule: "disk",
        severity: if *share >= FULL.1 { Severity::Act } else { Severity::Look },
        subject,
        sentence: format!("{:.0} % of the disk of broker {id} ({}) is in use{others}", share * 100.0, dir.path),
        mend: "a full disk stops the broker: shorten retention, move partitions away or add space".into(),
        evidence: format!(
            "DescribeLogDirs: {}B of {}B free, {}B of it logs",
            si(*usable as f64),
            si(*total as f64),
            si(dir.used as f64)
        ),
    });
}

/// Why a partition is in danger; the first that holds counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Danger {
    Offline,
    UnderMin,
    LastCopy,
    AtMin,
    UnderReplicated,
    SingleCopy,
}

fn danger(topic: &Topic, p: &Partition, brokers: usize) -> Option<Danger> {
    let min = topic.config.as_ref().map_or(0, |c| c.min_in_sync as usize);
    let (in_sync, all) = (p.isr.len(), p.replicas.len());
    if p.leader.is_none() {
        Some(Danger::Offline)
    } else if all > 1 && in_sync < min {
        Some(Danger::UnderMin)
    } else if all > 1 && in_sync == 1 {
        Some(Danger::LastCopy)
    } else if in_sync < all && in_sync == min {
        Some(Danger::AtMin)
    } else if in_sync < all {
        Some(Danger::UnderReplicated)
    } else {
        (all == 1 && brokers > 1 && !topic.internal).then_some(Danger::SingleCopy)
    }
}

/// One alert for each danger: a broker that is lost puts thousands of partitions into the same one.
fn partitions(cluster: &KafkaCluster, found: &mut Found) {
    use Danger::{AtMin, LastCopy, Offline, SingleCopy, UnderMin, UnderReplicated};
    let mut dangers: Vec<(Danger, &Label, i32)> = Vec::new();
    for topic in &cluster.topics {
        let of = |p: &Partition| Some((danger(topic, p, cluster.brokers.len())?, &topic.name, p.partition));
        dangers.extend(topic.partitions.iter().filter_map(of));
    }
    for (kind, rule, severity, what, mend) in [
        (
            Offline,
            "offline",
            Severity::Act,
            "no leader: nobody can read or write there",
            "bring a broker back that holds an in-sync replica; an unclean election loses records",
        ),
        (
            UnderMin,
            "under-min-isr",
            Severity::Act,
            "fewer replicas in sync than min.insync.replicas: producers with acks=all are refused",
            "bring the missing brokers back",
        ),
        (
            LastCopy,
            "last-copy",
            Severity::Act,
            "one copy left of several: losing that broker loses records",
            "bring the missing brokers back before touching the one that is left",
        ),
        (
            AtMin,
            "at-min-isr",
            Severity::Look,
            "no replica to spare: one more loss, and producers with acks=all are refused",
            "bring the missing brokers back before restarting another",
        ),
        (
            UnderReplicated,
            "under-replicated",
            Severity::Look,
            "fewer replicas in sync than assigned",
            "look for a broker that is away, slow or catching up",
        ),
        (
            SingleCopy,
            "single-copy",
            Severity::Look,
            "a replication factor of 1: losing one disk loses records",
            "give these topics more replicas (kafka-reassign-partitions)",
        ),
    ] {
        let all: Vec<(&Label, i32)> = dangers.iter().filter(|d| d.0 == kind).map(|d| (d.1, d.2)).collect();
        let Some((first, _)) = all.first() else { continue };
        let one = all.iter().all(|(topic, _)| topic == first);
        let named: Vec<String> = all.iter().map(|(topic, p)| format!("{topic}/{p}")).collect();
        let verb = if all.len() == 1 { "has" } else { "have" };
        found.add(Finding {
            rule,
            severity,
            subject: if one { Subject::Topic((*first).clone()) } else { Subject::Cluster },
            sentence: format!("{} {verb} {what}: {}", count(all.len(), "partition"), examples(&named)),
            mend: mend.into(),
            evidence: match kind {
                UnderMin | AtMin => "Metadata, and min.insync.replicas by DescribeConfigs".into(),
                _ => "Metadata".into(),
            },
        });
    }
}

/// Leadership has gathered on one broker, as it does after restarts where no automatic election brings it back.
fn leaders(cluster: &KafkaCluster, found: &mut Found) {
    let up: Vec<&Broker> = cluster.brokers.iter().filter(|b| b.state == BrokerState::Up).collect();
    let sum: u32 = up.iter().map(|b| b.leads).sum();
    let Some(most) = up.iter().max_by_key(|b| b.leads) else { return };
    let mean = f64::from(sum) / up.len() as f64;
    if up.len() < 2 || sum < 20 * up.len() as u32 || f64::from(most.leads) < UNEVEN * mean {
        return;
    }
    found.add(Finding {
        rule: "leaders",
        severity: Severity::Look,
        subject: Subject::Broker(most.id),
        sentence: format!("broker {} leads {} partitions, the mean is {mean:.0}", most.id, most.leads),
        mend: "elect the preferred leaders (kafka-leader-election --election-type preferred --all-topic-partitions)"
            .into(),
        evidence: "Metadata".into(),
    });
}
