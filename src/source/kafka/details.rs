//! Answers that age well, worked into the state: configurations, disks, hanging transactions. Pure.

use super::state::{PartitionRow, State, sentence};
use crate::model::{Denied, Label, LogDir, OpenTransaction, Stable, Time, TopicConfig};
use kafka_protocol::{
    messages::{
        DescribeConfigsResponse, DescribeLogDirsResponse, DescribeProducersResponse, DescribeTransactionsResponse,
        ListTransactionsResponse, describe_configs_response::DescribeConfigsResourceResult,
    },
    protocol::StrBytes,
};
use std::collections::{BTreeMap, HashSet};

/// A last stable offset that stands behind the end for so long, seconds, is worth asking whose transaction it is.
const HANGS: f64 = 30.0;
/// Partitions and producers that are asked about at once.
const ASKED: usize = 100;
/// `TOPIC_AUTHORIZATION_FAILED`, `CLUSTER_AUTHORIZATION_FAILED`, `TRANSACTIONAL_ID_AUTHORIZATION_FAILED`.
const NOT_AUTHORISED: [i16; 3] = [29, 31, 53];

/// What is not told, by the permission that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Grant {
    TopicConfigs,
    BrokerConfig,
    LogDirs,
    Producers,
    Transactions,
}

/// The transaction that holds a partition back, as its leader tells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    producer: i64,
    epoch: i32,
    from: i64,
    wrote: Option<Time>,
}

/// What coordinators tell of a producer.
#[derive(Clone, Debug)]
pub(super) struct Named {
    raw: StrBytes,
    label: Label,
    coordinator: i32,
    began: Option<Time>,
    timeout: Option<f64>,
}

impl State {
    /// Notes by the error codes of one answer whether something was refused, to whatever part of what was asked for, or
    /// is told now.
    fn refused(&mut self, grant: Grant, codes: impl Iterator<Item = i16>) {
        let (mut refused, mut told) = (false, false);
        codes.for_each(|code| {
            refused |= NOT_AUTHORISED.contains(&code);
            told |= code == 0;
        });
        if refused {
            self.refusals.insert(grant);
        } else if told {
            self.refusals.remove(&grant);
        }
    }

    /// What the brokers do not tell us.
    pub(super) fn denied(&self) -> Vec<Denied> {
        let of = |grant: &Grant| {
            let (what, grant) = match grant {
                Grant::TopicConfigs => {
                    ("retention, compaction and min.insync.replicas of topics", "DescribeConfigs on topics")
                }
                Grant::BrokerConfig => ("how long offsets of idle groups are kept", "DescribeConfigs on the cluster"),
                Grant::LogDirs => ("disks and sizes of logs", "Describe on the cluster"),
                Grant::Producers => ("which producer a hanging transaction belongs to", "Read on its topic"),
                Grant::Transactions => ("since when a transaction is open", "Describe on the transactional id"),
            };
            Denied { what: what.into(), grant }
        };
        self.refusals.iter().map(of).collect()
    }

    /// Whether a topic's configuration was never asked for, or is due again.
    pub(super) fn has_unread_configs(&self) -> bool {
        self.topics.iter().any(|t| !t.config_asked)
    }

    /// Names of topics whose configuration is to be asked for now, at most `most`. When all were, they begin anew.
    pub(super) fn take_unread_configs(&mut self, most: usize) -> Vec<StrBytes> {
        if !self.has_unread_configs() {
            self.topics.iter_mut().for_each(|t| t.config_asked = false);
        }
        let due = self.topics.iter_mut().filter(|t| !t.config_asked).take(most);
        let asked = due.map(|t| {
            t.config_asked = true;
            t.raw.0.clone()
        });
        asked.collect()
    }

    /// An answer may be missing: what is not known yet is asked for again.
    pub(super) fn ask_configs_again(&mut self) {
        for topic in self.topics.iter_mut().filter(|t| t.config.is_none()) {
            topic.config_asked = false;
        }
    }

    /// Takes configurations of topics (resource type 2) and of brokers (4).
    pub(super) fn configs(&mut self, said: DescribeConfigsResponse, now: Time) {
        for (kind, grant) in [(2, Grant::TopicConfigs), (4, Grant::BrokerConfig)] {
            self.refused(grant, said.results.iter().filter(|r| r.resource_type == kind).map(|r| r.error_code));
        }
        for r in said.results.into_iter().filter(|r| r.error_code == 0) {
            if r.resource_type == 4 {
                let minutes = number(&r.configs, "offsets.retention.minutes");
                self.offsets_retention = minutes.map(|m| m as f64 * 60.0).or(self.offsets_retention);
            } else if let Some(topic) = self.index.get(&r.resource_name).and_then(|i| self.topics.get_mut(*i)) {
                topic.config = Some(topic_config(&r.configs, now));
            }
        }
    }

    /// Takes the log directories of a broker.
    pub(super) fn log_dirs(&mut self, broker: i32, said: DescribeLogDirsResponse, now: Time) {
        self.refused(Grant::LogDirs, std::iter::once(said.error_code));
        if said.error_code != 0 {
            return;
        }
        let bytes = |n: i64| u64::try_from(n).ok();
        let mut dirs = Vec::new();
        for dir in said.results {
            let mut used = 0_u64;
            for t in dir.topics {
                let Some(topic) = self.index.get(&t.name.0).and_then(|i| self.topics.get_mut(*i)) else { continue };
                for p in t.partitions.iter().filter(|p| !p.is_future_key) {
                    let size = bytes(p.partition_size).unwrap_or(0);
                    used = used.saturating_add(size);
                    let row = topic.partition(p.partition_index).filter(|row| row.leader == Some(broker));
                    if let Some(row) = row {
                        row.bytes = Some(size);
                    }
                }
            }
            dirs.push(LogDir {
                path: Label::new(&dir.log_dir),
                error: sentence(dir.error_code),
                used,
                total: bytes(dir.total_bytes), // −1 before Kafka 3.3
                usable: bytes(dir.usable_bytes),
                at: now,
            });
        }
        if let Some(row) = self.brokers.get_mut(&broker) {
            row.log_dirs = dirs;
        }
    }

    /// Partitions led by a broker whose last stable offset has stood behind their end for a while.
    pub(super) fn hung(&self, broker: i32) -> BTreeMap<StrBytes, Vec<i32>> {
        let mut found: BTreeMap<StrBytes, Vec<i32>> = BTreeMap::new();
        let mut room = ASKED;
        for t in &self.topics {
            for p in t.partitions.iter().filter(|p| p.leader == Some(broker) && p.is_hung(self.now)) {
                if room == 0 {
                    return found;
                }
                room -= 1;
                found.entry(t.raw.0.clone()).or_default().push(p.number);
            }
        }
        found
    }

    /// Takes the producers of hung partitions: the one with the oldest open transaction is to blame.
    pub(super) fn producers(&mut self, said: DescribeProducersResponse) {
        self.refused(Grant::Producers, said.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code));
        for t in said.topics {
            for p in t.partitions.into_iter().filter(|p| p.error_code == 0) {
                let open = p.active_producers.iter().filter(|a| a.current_txn_start_offset >= 0);
                let oldest = open.min_by_key(|a| a.current_txn_start_offset).map(|a| Open {
                    producer: a.producer_id.0,
                    epoch: a.producer_epoch,
                    from: a.current_txn_start_offset,
                    wrote: (a.last_timestamp > 0).then(|| Time::from_millis(a.last_timestamp)),
                });
                let topic = self.index.get(&t.name.0).and_then(|i| self.topics.get_mut(*i));
                if let Some(row) = topic.and_then(|t| t.partition(p.partition_index)) {
                    row.transaction = oldest;
                }
            }
        }
        let blamed: HashSet<i64> = self.blamed().collect();
        self.named.retain(|id, _| blamed.contains(id));
    }

    fn blamed(&self) -> impl Iterator<Item = i64> {
        self.topics.iter().flat_map(|t| &t.partitions).filter_map(|p| p.transaction.map(|t| t.producer))
    }

    /// Producers to blame whose transactional id is not known yet.
    pub(super) fn unnamed_producers(&self) -> Vec<i64> {
        let ids: HashSet<i64> = self.blamed().filter(|id| !self.named.contains_key(id)).collect();
        ids.into_iter().take(ASKED).collect()
    }

    /// Takes the transactions that a broker coordinates.
    pub(super) fn transactions(&mut self, broker: i32, said: ListTransactionsResponse) {
        for t in said.transaction_states {
            let label = Label::new(&t.transactional_id);
            let named = Named { raw: t.transactional_id.0, label, coordinator: broker, began: None, timeout: None };
            self.named.insert(t.producer_id.0, named);
        }
    }

    /// Transactional ids that a broker coordinates and whose beginning is not known yet.
    pub(super) fn transactions_of(&self, broker: i32) -> Vec<StrBytes> {
        let due = self.named.values().filter(|n| n.coordinator == broker && n.began.is_none());
        due.map(|n| n.raw.clone()).collect()
    }

    /// Takes the descriptions of transactions.
    pub(super) fn began(&mut self, said: DescribeTransactionsResponse) {
        self.refused(Grant::Transactions, said.transaction_states.iter().map(|t| t.error_code));
        for t in said.transaction_states.into_iter().filter(|t| t.error_code == 0) {
            if let Some(named) = self.named.get_mut(&t.producer_id.0) {
                named.began = (t.transaction_start_time_ms > 0).then(|| Time::from_millis(t.transaction_start_time_ms));
                named.timeout = Some(f64::from(t.transaction_timeout_ms) / 1000.0);
            }
        }
    }

    /// The transaction on a partition as it is shown.
    pub(super) fn open_transaction(&self, p: &PartitionRow) -> Option<OpenTransaction> {
        let open = p.transaction?;
        let named = self.named.get(&open.producer);
        Some(OpenTransaction {
            producer: (open.producer, open.epoch),
            from: open.from,
            transactional_id: named.map(|n| n.label.clone()),
            began: named.and_then(|n| n.began),
            timeout: named.and_then(|n| n.timeout),
            wrote: open.wrote,
        })
    }
}

impl PartitionRow {
    /// Takes the last stable offset. It stands only while it is behind the end.
    pub(super) fn stable(&mut self, offset: i64, now: Time) {
        let behind = self.end.is_some_and(|end| offset < end);
        let stood = self.stable.filter(|s| behind && s.offset == offset);
        self.stable = Some(Stable { offset, since: stood.map_or(now, |s| s.since), at: now });
        if !behind {
            self.transaction = None;
        }
    }

    fn is_hung(&self, now: Time) -> bool {
        let behind = |s: &Stable| self.end.is_some_and(|end| s.offset < end);
        self.stable.is_some_and(|s| behind(&s) && now.since(s.since) >= HANGS)
    }
}

fn text<'a>(configs: &'a [DescribeConfigsResourceResult], key: &str) -> Option<&'a str> {
    configs.iter().find(|c| c.name.as_str() == key)?.value.as_deref()
}

fn number(configs: &[DescribeConfigsResourceResult], key: &str) -> Option<i64> {
    text(configs, key)?.parse().ok()
}

/// Negative limits are none.
fn topic_config(configs: &[DescribeConfigsResourceResult], now: Time) -> TopicConfig {
    let policy = text(configs, "cleanup.policy").unwrap_or("delete");
    let limit = |key| number(configs, key).and_then(|n| u64::try_from(n).ok());
    TopicConfig {
        deletes: policy.split(',').any(|p| p.trim() == "delete"),
        compacts: policy.split(',').any(|p| p.trim() == "compact"),
        retention: limit("retention.ms").map(|ms| ms as f64 / 1000.0),
        retention_bytes: limit("retention.bytes"),
        min_in_sync: number(configs, "min.insync.replicas").and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        broker_stamps: text(configs, "message.timestamp.type") == Some("LogAppendTime"),
        at: now,
    }
}
