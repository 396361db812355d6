//! A broker pool as a workload: what its brokers do all together, and what keeps anything from being moved now.

use super::latest::Latest;
use crate::model::{
    Broker, BrokerMetrics, BrokerState, Entity, KafkaCluster, Label, MlState, Partition, Quality, Reading, Replicas,
    Role, Sample, SignalKey, SourceKind, WorkloadKind, WorkloadState,
};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

/// The pool's samples: bytes in and out per second, cores, bytes stored. A sum over some of the brokers would look like a
/// drop, and the rest of it later like growth: each is left out unless every broker tells it, and all while one is down.
///
/// What is stored is what the brokers' log directories hold; where one of them does not tell, it is estimated: records
/// that are kept, times the size of those that come now, times the copies. `alone`: no other cluster is known, so that a
/// broker's number says whose metrics these are.
pub(super) fn samples(cluster: &KafkaCluster, ml: &MlState, alone: bool, out: &mut Vec<(SignalKey, Sample)>) {
    let up = up(cluster);
    if up.len() < cluster.brokers.len() {
        return;
    }
    let metrics: Option<Vec<&BrokerMetrics>> = up.iter().map(|b| of(b, ml, alone)).collect();
    // Metrics that two brokers could have are nobody's.
    let apart =
        |m: &[&BrokerMetrics]| m.iter().map(|m| std::ptr::from_ref(*m)).collect::<HashSet<_>>().len() == m.len();
    let Some(metrics) = metrics.filter(|m| !m.is_empty() && apart(m)) else { return };
    let sum = |pick: fn(&BrokerMetrics) -> &Option<Reading>| -> Option<f64> {
        metrics.iter().map(|m| pick(m).as_ref().map(|r| r.value)).sum()
    };
    let (bytes_in, messages) = (sum(|m| &m.bytes_in), sum(|m| &m.messages_in));
    let size = bytes_in.zip(messages).filter(|(_, n)| *n > 0.0).map(|(bytes, n)| bytes / n);
    let values = [
        (Role::Demand, bytes_in),
        (Role::Throughput, sum(|m| &m.bytes_out)),
        (Role::Utilisation, sum(|m| &m.cpu)),
        (Role::Memory, on_disk(&up).or_else(|| Some(kept(cluster) * size?))),
    ];
    let entity = entity(cluster);
    for (role, value) in values {
        if let Some(value) = value {
            out.push((SignalKey { entity: entity.clone(), role }, Sample { at: ml.at, value }));
        }
    }
}

/// Where a signal of a pool comes from, and whether it is estimated.
pub(super) fn origin(pool: &Label, role: Role, latest: &Latest) -> (String, Quality) {
    let kafka = SourceKind::Kafka.named(pool.as_str());
    let up = latest.clusters.get(pool).map(|c| up(c));
    match role {
        Role::Memory if up.as_deref().and_then(on_disk).is_some() => {
            (format!("{kafka}: DescribeLogDirs, summed over the brokers"), Quality::Measured)
        }
        Role::Memory => (format!("{kafka}: records kept × their mean size now × copies"), Quality::Estimated),
        _ => {
            let ml = latest.ml.values().find(|m| !m.brokers.is_empty());
            let source = ml.map_or("", |m| m.source.as_str());
            (format!("{}: the brokers' own metrics, summed", SourceKind::Prometheus.named(source)), Quality::Measured)
        }
    }
}

fn up(cluster: &KafkaCluster) -> Vec<&Broker> {
    cluster.brokers.iter().filter(|b| b.state == BrokerState::Up).collect()
}

fn entity(cluster: &KafkaCluster) -> Entity {
    Entity { kind: WorkloadKind::Brokers, source: cluster.name.clone(), id: cluster.name.clone() }
}

/// A broker's own metrics: by its host, or by its number where that can be nobody else's.
fn of<'a>(broker: &Broker, ml: &'a MlState, alone: bool) -> Option<&'a BrokerMetrics> {
    let (id, host) = (broker.id.to_string(), broker.host.as_str());
    let short = host.split('.').next().filter(|_| host.parse::<IpAddr>().is_err()); // 10.0.0.7 is not the broker 10
    let same_host = |m: &&BrokerMetrics| {
        let said = m.broker.as_str().split(':').next().unwrap_or_default();
        !said.is_empty() && (said == host || short == Some(said))
    };
    let by_number = || ml.brokers.iter().find(|m| alone && m.broker == *id.as_str());
    ml.brokers.iter().find(same_host).or_else(by_number)
}

/// Bytes in the log directories of these brokers; `None`: one of them does not tell.
fn on_disk(brokers: &[&Broker]) -> Option<f64> {
    let of = |b: &&Broker| (!b.log_dirs.is_empty()).then(|| b.log_dirs.iter().map(|d| d.used as f64).sum::<f64>());
    brokers.iter().map(of).sum()
}

/// Records that are kept, each as often as there are copies of it.
fn kept(cluster: &KafkaCluster) -> f64 {
    let of = |p: &Partition| Some(p.end?.saturating_sub(p.log_start?).max(0) as f64 * p.replicas.len() as f64);
    cluster.topics.iter().flat_map(|t| &t.partitions).filter_map(of).sum()
}

/// The pool's count: brokers that there are, and those that answer.
pub(super) fn replicas(cluster: &KafkaCluster) -> Replicas {
    let up = cluster.brokers.iter().filter(|b| b.state == BrokerState::Up).count();
    Replicas {
        desired: cluster.brokers.len() as u32,
        ready: up as u32,
        at: cluster.at,
        origin: Label::new(&SourceKind::Kafka.named(cluster.name.as_str())),
        uid: None,
    }
}

/// Copies of a partition on average, and what speaks against moving anything, as notices.
pub(super) fn state(cluster: &KafkaCluster, state: &mut WorkloadState) {
    let partitions = || cluster.topics.iter().flat_map(|t| &t.partitions);
    let all = partitions().count();
    state.copies = (all > 0).then(|| partitions().map(|p| p.replicas.len() as f64).sum::<f64>() / all as f64);
    let down = cluster.brokers.iter().filter(|b| b.state != BrokerState::Up).count();
    let under = partitions().filter(|p| p.is_under_replicated()).count();
    let offline = partitions().filter(|p| p.leader.is_none()).count();
    let moving: usize = cluster.topics.iter().map(|t| moving(&t.partitions)).sum();
    let said = [
        (down, "broker does not answer", "brokers do not answer"),
        (offline, "partition is offline", "partitions are offline"),
        (under, "partition is under-replicated", "partitions are under-replicated"),
        (moving, "partition is being moved", "partitions are being moved"),
    ];
    for (count, one, many) in said.into_iter().filter(|(count, ..)| *count > 0) {
        let what = if count == 1 { one } else { many };
        state.notices.push(Label::new(&format!("{count} {what}")));
    }
}

/// Partitions with more replicas than most of their topic: while one is moved it has the old and the new ones.
fn moving(partitions: &[Partition]) -> usize {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    for p in partitions {
        *counts.entry(p.replicas.len()).or_default() += 1;
    }
    let usual = counts.into_iter().max_by_key(|(n, times)| (*times, std::cmp::Reverse(*n))).map_or(0, |(n, _)| n);
    partitions.iter().filter(|p| p.replicas.len() > usual).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LogDir, Time, Topic};

    fn cluster(replicas: &[&[i32]]) -> KafkaCluster {
        let at = Time::from_secs(1e9);
        let partition = |(i, r): (usize, &&[i32])| Partition {
            partition: i32::try_from(i).unwrap(),
            leader: r.first().copied(),
            replicas: r.to_vec(),
            isr: r.to_vec(),
            log_start: Some(0),
            end: Some(1_000),
            at,
            ..Partition::default()
        };
        let broker = |id: i32| Broker {
            id,
            host: Label::new(&format!("k{id}.example.com")),
            port: 9092,
            rack: None,
            state: BrokerState::Up,
            answered: Some(at),
            rtt: None,
            leads: 1,
            replicas: 1,
            under_replicated: 0,
            log_dirs: Vec::new(),
        };
        let partitions = replicas.iter().enumerate().map(partition).collect();
        KafkaCluster {
            name: "prod".into(),
            at,
            brokers: (0..3).map(broker).collect(),
            topics: vec![Topic { name: "t".into(), partitions, ..Topic::default() }],
            ..KafkaCluster::default()
        }
    }

    fn metrics(hosts: &[&str]) -> MlState {
        let at = Time::from_secs(1e9);
        let read = |v: f64| Reading::new(v, at, "prometheus");
        let one = |host: &&str| BrokerMetrics {
            broker: Label::new(host),
            cpu: read(0.5),
            heap: None,
            memory: None,
            bytes_in: read(50_000.0),
            bytes_out: read(80_000.0),
            messages_in: read(100.0),
            under_replicated: None,
            offline: None,
            handler_idle: None,
        };
        MlState { at, brokers: hosts.iter().map(one).collect(), ..MlState::default() }
    }

    #[test]
    fn sums_are_over_all_brokers_or_there_are_none() {
        let cluster = cluster(&[&[0, 1, 2], &[1, 2, 0]]);
        let mut out = Vec::new();
        samples(&cluster, &metrics(&["k0", "k1:7071", "2"]), true, &mut out);
        let of = |role: Role| out.iter().find(|(k, _)| k.role == role).map(|(_, s)| s.value);
        assert_eq!((of(Role::Demand), of(Role::Throughput)), (Some(150_000.0), Some(240_000.0)));
        assert_eq!((of(Role::Utilisation), of(Role::Memory)), (Some(1.5), Some(6_000.0 * 500.0)));
        let mut told = cluster.clone();
        for b in &mut told.brokers {
            let (path, at) = ("/data".into(), told.at);
            b.log_dirs = vec![LogDir { path, error: None, used: 7_000, total: None, usable: None, at }];
        }
        let mut known = Vec::new();
        samples(&told, &metrics(&["k0", "k1:7071", "2"]), true, &mut known);
        assert!(known.iter().any(|(k, s)| k.role == Role::Memory && (s.value - 21_000.0).abs() < 1.0), "{known:?}");
        for (hosts, alone) in [(["k0", "k1", "k9"], true), (["k0", "k1", "2"], false)] {
            out = Vec::new();
            samples(&cluster, &metrics(&hosts), alone, &mut out);
            assert!(out.is_empty(), "{hosts:?}: {out:?}");
        }
        // By address and by number: broker 10 is not every one whose address begins with 10.
        let mut numbered = cluster.clone();
        for (i, b) in numbered.brokers.iter_mut().enumerate() {
            b.id += 9;
            b.host = Label::new(&format!("10.0.0.{i}"));
        }
        let mut told = metrics(&["9", "10", "11"]);
        told.brokers[1].bytes_in = Reading::new(80_000.0, told.at, "prometheus");
        out = Vec::new();
        samples(&numbered, &told, true, &mut out);
        assert!(
            out.iter().any(|(k, s)| k.role == Role::Demand && s.value.to_bits() == 180_000_f64.to_bits()),
            "{out:?}"
        );
        // Two whose names begin alike.
        for (b, host) in numbered.brokers.iter_mut().zip(["kafka.a.example", "kafka.b.example", "kafka.c.example"]) {
            b.host = host.into();
        }
        out = Vec::new();
        samples(&numbered, &metrics(&["kafka"]), true, &mut out);
        assert!(out.is_empty(), "one broker's metrics are not those of three: {out:?}");
        let mut ill = cluster;
        ill.brokers[2].state = BrokerState::Down { reason: "refused".into(), since: ill.at };
        samples(&ill, &metrics(&["k0", "k1", "2"]), true, &mut out);
        assert!(out.is_empty(), "two of three: {out:?}");
    }

    #[test]
    fn signals_say_where_they_come_from() {
        let mut latest = Latest::default();
        let mut seen = KafkaCluster { name: "kafka".into(), ..cluster(&[&[0, 1, 2]]) };
        let ml = MlState { source: "main".into(), ..metrics(&["k0", "k1", "k2"]) };
        latest.ml.insert(ml.source.clone(), ml.into());
        latest.clusters.insert(seen.name.clone(), seen.clone().into());
        let of = |latest: &Latest, role| origin(&"kafka".into(), role, latest);
        let (text, quality) = of(&latest, Role::Demand);
        assert_eq!((text.as_str(), quality), ("prometheus main: the brokers' own metrics, summed", Quality::Measured));
        assert_eq!(of(&latest, Role::Memory).1, Quality::Estimated);
        for b in &mut seen.brokers {
            let (path, at) = ("/data".into(), seen.at);
            b.log_dirs = vec![LogDir { path, error: None, used: 7_000, total: None, usable: None, at }];
        }
        latest.clusters.insert(seen.name.clone(), seen.into());
        let (text, quality) = of(&latest, Role::Memory);
        assert_eq!((text.as_str(), quality), ("kafka: DescribeLogDirs, summed over the brokers", Quality::Measured));
    }

    #[test]
    fn what_speaks_against_moving_is_told() {
        let mut ill = cluster(&[&[0, 1, 2], &[1, 2, 0], &[2, 0, 1, 5], &[0, 1, 2]]);
        ill.topics[0].partitions[0].isr.pop();
        ill.topics[0].partitions[1].leader = None;
        let mut told = WorkloadState::unknown(ill.at);
        state(&ill, &mut told);
        let said: Vec<&str> = told.notices.iter().map(Label::as_str).collect();
        assert_eq!(said, ["1 partition is offline", "1 partition is under-replicated", "1 partition is being moved"]);
        let mut well = WorkloadState::unknown(ill.at);
        state(&cluster(&[&[0, 1, 2], &[1, 2, 0]]), &mut well);
        assert!(well.notices.is_empty() && well.copies == Some(3.0), "{:?}", well.notices);
    }
}
