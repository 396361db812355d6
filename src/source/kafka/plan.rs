//! The requests of one refresh to one broker, within its budget.

use super::{
    lag::Spec,
    rota::{Rota, Slow},
    state::{Protocol, State},
};
use kafka_protocol::{
    messages::{
        BrokerId, ConsumerGroupDescribeRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest,
        DescribeProducersRequest, DescribeTransactionsRequest, GroupId, ListOffsetsRequest, ListTransactionsRequest,
        MetadataRequest, OffsetFetchRequest, ProducerId, ShareGroupDescribeRequest, TransactionalId,
        describe_configs_request::DescribeConfigsResource,
        describe_producers_request::TopicRequest,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        offset_fetch_request::OffsetFetchRequestGroup,
    },
    protocol::StrBytes,
};
use std::{collections::BTreeMap, time::Instant};

/// Requests that one broker may get in one refresh. Not counted: chunks of OffsetFetch beyond the first, and two for
/// share groups.
const PER_BROKER: usize = 6;
/// Committed offsets expected in one response at most (about 1.3 MB); beyond it groups are asked for in several requests,
/// all sent at once.
const OFFSETS_PER_REQUEST: usize = 50_000;
/// Topics whose configuration is asked for in one request.
const TOPICS_PER_REQUEST: usize = 1_000;

/// The requests of the second step to one broker.
#[derive(Default)]
pub(super) struct Plan {
    pub fetches: Vec<OffsetFetchRequest>,
    pub latest: Option<ListOffsetsRequest>,
    pub classic: Option<DescribeGroupsRequest>,
    pub consumer: Option<ConsumerGroupDescribeRequest>,
    pub share: Option<ShareGroupDescribeRequest>,
    /// Share groups whose lag is asked for.
    pub shares: Vec<StrBytes>,
    /// Log starts, boundaries in time, last stable offsets.
    pub offsets: Vec<(Spec, ListOffsetsRequest)>,
    pub log_dirs: Option<DescribeLogDirsRequest>,
    pub configs: Option<DescribeConfigsRequest>,
    pub producers: Option<DescribeProducersRequest>,
    pub transactions: Option<ListTransactionsRequest>,
    pub began: Option<DescribeTransactionsRequest>,
}

/// The broker that a plan is for, and what it was asked already.
pub(super) struct Asked<'a> {
    pub broker: i32,
    /// Requests of the first step.
    pub used: usize,
    /// Groups whose offsets were asked for in the first step, sorted.
    pub groups: &'a [StrBytes],
    /// Whether it is the one that answers for all of them.
    pub first: bool,
}

impl Plan {
    pub(super) fn new(state: &mut State, rota: &mut Rota, asked: &Asked<'_>, now: Instant) -> Self {
        let broker = asked.broker;
        let mut plan = Self::of_groups(state, asked);
        plan.latest = list_offsets(state, broker, Spec::Latest);
        let used = asked.used
            + plan.fetches.len().min(1)
            + usize::from(plan.latest.is_some())
            + usize::from(plan.classic.is_some())
            + usize::from(plan.consumer.is_some());
        let mut wanted = vec![Slow::Earliest, Slow::Stable, Slow::LogDirs];
        if state.lacks_start(broker) {
            rota.again(broker, Slow::Earliest);
        }
        // A time lag that nothing is known of yet goes before everything else, every other time: a few questions bracket it.
        if let Some(weight) = state.heaviest_probe(broker) {
            let first = weight.is_infinite() && state.refresh.is_multiple_of(2);
            if first {
                rota.again(broker, Slow::Probe);
            }
            wanted.insert(usize::from(!first), Slow::Probe);
        }
        if asked.first {
            wanted.push(Slow::Broker);
            wanted.push(Slow::Topics);
            if state.has_unread_configs() {
                rota.again(broker, Slow::Topics);
            }
        }
        let hung = state.hung(broker);
        for (slow, due) in [
            (Slow::Producers, !hung.is_empty()),
            (Slow::Transactions, !state.unnamed_producers().is_empty()),
            (Slow::Began, !state.transactions_of(broker).is_empty()),
        ] {
            if due {
                wanted.push(slow);
            }
        }
        for slow in rota.pick(broker, PER_BROKER.saturating_sub(used), &wanted, now) {
            plan.add(slow, state, broker, &hung);
        }
        plan
    }

    /// What concerns the groups that this broker coordinates.
    fn of_groups(state: &State, asked: &Asked<'_>) -> Self {
        let listed = || state.groups.iter().filter(|(_, g)| g.coordinator == asked.broker && state.is_listed(g));
        let new: Vec<StrBytes> =
            listed().filter(|(raw, _)| asked.groups.binary_search(raw).is_err()).map(|(raw, _)| raw.clone()).collect();
        // A coordinator that listed its groups in this refresh describes them, too.
        let described = state.refresh;
        let of = |p| {
            listed()
                .filter(move |(_, g)| g.listed == described)
                .filter(move |(_, g)| g.protocol == p)
                .map(|(raw, _)| GroupId(raw.clone()))
        };
        let classic: Vec<GroupId> = of(Protocol::Classic).collect();
        let consumer: Vec<GroupId> = of(Protocol::Consumer).collect();
        let share: Vec<GroupId> = of(Protocol::Share).collect();
        Self {
            fetches: offset_fetches(state, &new),
            classic: (!classic.is_empty()).then(|| DescribeGroupsRequest::default().with_groups(classic)),
            consumer: (!consumer.is_empty()).then(|| ConsumerGroupDescribeRequest::default().with_group_ids(consumer)),
            // Their lag is told in every refresh, described or not.
            shares: listed().filter(|(_, g)| g.protocol == Protocol::Share).map(|(raw, _)| raw.clone()).collect(),
            share: (!share.is_empty()).then(|| ShareGroupDescribeRequest::default().with_group_ids(share)),
            ..Self::default()
        }
    }

    fn add(&mut self, slow: Slow, state: &mut State, broker: i32, hung: &BTreeMap<StrBytes, Vec<i32>>) {
        let spec = match slow {
            Slow::Earliest => Some(Spec::Earliest),
            Slow::Probe => Some(Spec::Probe),
            Slow::Stable => Some(Spec::Stable),
            _ => None,
        };
        if let Some(spec) = spec {
            self.offsets.extend(list_offsets(state, broker, spec).map(|r| (spec, r)));
        }
        match slow {
            Slow::LogDirs => self.log_dirs = Some(DescribeLogDirsRequest::default().with_topics(None)),
            Slow::Topics => self.config_of_topics(state),
            Slow::Broker => self.config(4, broker.to_string(), &["offsets.retention.minutes"]),
            Slow::Producers => {
                let topic = |(name, partitions): (&StrBytes, &Vec<i32>)| {
                    let name = kafka_protocol::messages::TopicName(name.clone());
                    TopicRequest::default().with_name(name).with_partition_indexes(partitions.clone())
                };
                self.producers =
                    Some(DescribeProducersRequest::default().with_topics(hung.iter().map(topic).collect()));
            }
            Slow::Transactions => {
                let ids = state.unnamed_producers().into_iter().map(ProducerId).collect();
                self.transactions =
                    Some(ListTransactionsRequest::default().with_producer_id_filters(ids).with_duration_filter(-1));
            }
            Slow::Began => {
                let ids = state.transactions_of(broker).into_iter().map(TransactionalId).collect();
                self.began = Some(DescribeTransactionsRequest::default().with_transactional_ids(ids));
            }
            Slow::Earliest | Slow::Probe | Slow::Stable => {}
        }
    }

    fn config_of_topics(&mut self, state: &mut State) {
        const KEYS: [&str; 5] =
            ["cleanup.policy", "retention.ms", "retention.bytes", "min.insync.replicas", "message.timestamp.type"];
        for name in state.take_unread_configs(TOPICS_PER_REQUEST) {
            self.config(2, name.as_str().to_owned(), &KEYS);
        }
    }

    /// Adds a resource to the request for configurations.
    fn config(&mut self, kind: i8, name: String, keys: &[&'static str]) {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(StrBytes::from_string(name))
            .with_configuration_keys(Some(keys.iter().map(|k| StrBytes::from_static_str(k)).collect()));
        self.configs.get_or_insert_default().resources.push(resource);
    }
}

pub(super) fn all_topics() -> MetadataRequest {
    MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false)
}

pub(super) fn list_offsets(state: &State, broker: i32, spec: Spec) -> Option<ListOffsetsRequest> {
    let partition = |(number, stamp)| {
        ListOffsetsPartition::default().with_partition_index(number).with_current_leader_epoch(-1).with_timestamp(stamp)
    };
    let topics: Vec<ListOffsetsTopic> = state
        .asked_of(broker, spec)
        .into_iter()
        .filter_map(|(i, asked)| {
            let name = state.topics.get(i)?.raw.clone();
            let partitions = asked.into_iter().map(partition).collect();
            Some(ListOffsetsTopic::default().with_name(name).with_partitions(partitions))
        })
        .collect();
    // Replica −1: a consumer asks. Isolation level 0: up to the high watermark; 1: up to the last stable offset.
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(i8::from(spec == Spec::Stable));
    (!topics.is_empty()).then(|| request.with_topics(topics))
}

/// One request for all groups, or several when many offsets are to be expected. Share groups commit no offsets.
pub(super) fn offset_fetches(state: &State, groups: &[StrBytes]) -> Vec<OffsetFetchRequest> {
    let mut chunks: Vec<Vec<OffsetFetchRequestGroup>> = Vec::new();
    let mut expected = usize::MAX;
    for raw in groups {
        let Some(row) = state.groups.get(raw).filter(|g| g.protocol != Protocol::Share) else { continue };
        let size = row.rows.len().max(20);
        if expected.saturating_add(size) > OFFSETS_PER_REQUEST {
            chunks.push(Vec::new());
            expected = 0;
        }
        expected += size;
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(raw.clone()))
            .with_member_id(None)
            .with_member_epoch(-1)
            .with_topics(None); // null: every topic with a committed offset
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(group);
        }
    }
    chunks.into_iter().map(|groups| OffsetFetchRequest::default().with_groups(groups)).collect()
}
