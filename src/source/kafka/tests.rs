//! The codecs and their guard: shapes in step with the codec, and garbage that harms nobody.

use super::{
    decode_anything,
    shape::{self, Asked},
    wire::decode,
};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{messages as m, protocol::Encodable};
use proptest::prelude::*;

proptest! {
    #[test]
    fn garbage_neither_panics_nor_takes_memory(body in prop::collection::vec(any::<u8>(), 0..400)) {
        decode_anything(&body);
    }

    #[test]
    fn a_damaged_answer_does_not_either(at in 0_usize..200, value in any::<u8>(), keep in 0_usize..400) {
        let mut body = encoded::<m::OffsetFetchRequest>(&offsets(), 9).to_vec();
        if let Some(byte) = body.get_mut(at) {
            *byte = value;
        }
        body.truncate(keep);
        decode_anything(&body);
    }
}

/// A fuzzer for where `cargo fuzz` cannot run: real answers, damaged at random. `HIGHWATER_FUZZ_SECONDS` makes it longer
/// than the moment that it takes in every test run.
#[test]
fn real_answers_damaged_at_random_are_harmless() {
    let seconds = std::env::var("HIGHWATER_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(0.3);
    let until = std::time::Instant::now() + std::time::Duration::from_secs_f64(seconds);
    let corpus: Vec<Vec<u8>> = corpus();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64; // xorshift64*: the same inputs in every run
    let mut random = move |below: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below.max(1)
    };
    let mut runs = 0_u64;
    while std::time::Instant::now() < until {
        let mut body = corpus[random(corpus.len())].clone();
        for _ in 0..=random(4) {
            let at = random(body.len());
            match random(5) {
                0 => body.truncate(at),
                1 => body.insert(at, random(256) as u8),
                2 => body.extend_from_slice(&corpus[random(corpus.len())].clone()),
                3 => body.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x0f]).for_each(drop),
                _ => {
                    if let Some(byte) = body.get_mut(at) {
                        *byte = random(256) as u8;
                    }
                }
            }
        }
        decode_anything(&body);
        runs += 1;
    }
    println!("{runs} damaged answers");
    assert!(runs > 10);
}

/// Answers of several kinds and versions, as brokers encode them.
fn corpus() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (8..=9).map(|v| encoded::<m::OffsetFetchRequest>(&offsets(), v).to_vec()).collect();
    let producer = m::describe_producers_response::ProducerState::default();
    let partition = m::describe_producers_response::PartitionResponse::default().with_active_producers(vec![producer]);
    let topic = m::describe_producers_response::TopicResponse::default().with_partitions(vec![partition]);
    let producers = m::DescribeProducersResponse::default().with_topics(vec![topic]);
    all.push(encoded::<m::DescribeProducersRequest>(&producers, 0).to_vec());
    let listed = m::list_groups_response::ListedGroup::default().with_group_id(m::GroupId("g".into()));
    let groups = m::ListGroupsResponse::default().with_groups(vec![listed.clone(), listed]);
    all.extend((1..=3).map(|v| encoded::<m::ListGroupsRequest>(&groups, v).to_vec()));
    let partition = m::metadata_response::MetadataResponsePartition::default().with_isr_nodes(vec![m::BrokerId(1)]);
    let topic = m::metadata_response::MetadataResponseTopic::default()
        .with_name(Some(m::TopicName("t".into())))
        .with_partitions(vec![partition.clone(), partition]);
    let metadata = m::MetadataResponse::default().with_topics(vec![topic]);
    all.extend((9..=12).map(|v| encoded::<m::MetadataRequest>(&metadata, v).to_vec()));
    all.push(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    all
}

/// Without the guard these six bytes make the codec reserve memory for 4 billion groups, which ends the process.
#[test]
fn a_claim_of_four_billion_groups_is_refused() {
    let body = [0_u8, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    let error = decode::<m::OffsetFetchRequest>(Bytes::copy_from_slice(&body), 8).unwrap_err();
    assert!(error.contains("broken at byte"), "{error}");
}

fn encoded<R: Asked>(response: &R::Response, version: i16) -> Bytes {
    use kafka_protocol::protocol::HeaderVersion;
    let mut out = BytesMut::new();
    if R::Response::header_version(version) >= 1 {
        out.put_u8(0); // no tagged fields
    }
    response.encode(&mut out, version).unwrap();
    out.freeze()
}

fn offsets() -> m::OffsetFetchResponse {
    use m::offset_fetch_response as o;
    let partition = o::OffsetFetchResponsePartitions::default().with_partition_index(3).with_committed_offset(7);
    let topic = o::OffsetFetchResponseTopics::default()
        .with_name(m::TopicName("orders".into()))
        .with_partitions(vec![partition]);
    m::OffsetFetchResponse::default().with_groups(vec![
        o::OffsetFetchResponseGroup::default().with_group_id(m::GroupId("g".into())).with_topics(vec![topic]),
    ])
}

/// What is encoded in every version comes through the guard and the codec as it was.
fn all<R: Asked>(response: &dyn Fn(i16) -> R::Response)
where
    R::Response: PartialEq + std::fmt::Debug,
{
    for version in R::SPOKEN.0..=R::SPOKEN.1 {
        let wanted = response(version);
        let got = decode::<R>(encoded::<R>(&wanted, version), version)
            .unwrap_or_else(|e| panic!("{} v{version}: {e}", R::NAME));
        assert_eq!(got, wanted, "{} v{version}", R::NAME);
    }
}

fn rarer_answers() {
    all::<m::ShareGroupDescribeRequest>(&|_| {
        use m::share_group_describe_response as r;
        let held = r::TopicPartitions::default().with_topic_name(m::TopicName("t".into())).with_partitions(vec![1, 2]);
        let member = r::Member::default()
            .with_member_id("m".into())
            .with_subscribed_topic_names(vec![m::TopicName("t".into())])
            .with_assignment(r::Assignment::default().with_topic_partitions(vec![held]));
        let group = r::DescribedGroup::default()
            .with_group_id(m::GroupId("g".into()))
            .with_members(vec![member.clone(), member]);
        m::ShareGroupDescribeResponse::default().with_groups(vec![group.clone(), group])
    });
    all::<m::DescribeConfigsRequest>(&|version| {
        use m::describe_configs_response as r;
        let synonym = r::DescribeConfigsSynonym::default().with_name("s".into()).with_value(Some("1".into()));
        let mut value = r::DescribeConfigsResourceResult::default()
            .with_name("retention.ms".into())
            .with_value(Some("1".into()))
            .with_synonyms(vec![synonym]);
        if version >= 3 {
            value = value.with_config_type(5).with_documentation(Some("d".into()));
        }
        let result = r::DescribeConfigsResult::default()
            .with_resource_type(2)
            .with_resource_name("t".into())
            .with_configs(vec![value.clone(), value]);
        m::DescribeConfigsResponse::default().with_results(vec![result.clone(), result])
    });
    all::<m::DescribeLogDirsRequest>(&|version| {
        use m::describe_log_dirs_response as r;
        let partition = r::DescribeLogDirsPartition::default().with_partition_index(1).with_partition_size(9);
        let topic = r::DescribeLogDirsTopic::default()
            .with_name(m::TopicName("t".into()))
            .with_partitions(vec![partition.clone(), partition]);
        let mut dir = r::DescribeLogDirsResult::default().with_log_dir("/d".into()).with_topics(vec![topic]);
        if version >= 4 {
            dir = dir.with_total_bytes(100).with_usable_bytes(50);
        }
        m::DescribeLogDirsResponse::default().with_results(vec![dir.clone(), dir])
    });
    all::<m::DescribeProducersRequest>(&|_| {
        use m::describe_producers_response as r;
        let producer = r::ProducerState::default().with_producer_id(m::ProducerId(4)).with_current_txn_start_offset(5);
        let partition = r::PartitionResponse::default().with_active_producers(vec![producer.clone(), producer]);
        let topic = r::TopicResponse::default().with_name(m::TopicName("t".into())).with_partitions(vec![partition]);
        m::DescribeProducersResponse::default().with_topics(vec![topic.clone(), topic])
    });
    all::<m::ListTransactionsRequest>(&|_| {
        use m::list_transactions_response as r;
        let state = r::TransactionState::default()
            .with_transactional_id(m::TransactionalId("x".into()))
            .with_transaction_state("Ongoing".into());
        m::ListTransactionsResponse::default().with_transaction_states(vec![state.clone(), state])
    });
    all::<m::DescribeTransactionsRequest>(&|_| {
        use m::describe_transactions_response as r;
        let topic = r::TopicData::default().with_topic(m::TopicName("t".into())).with_partitions(vec![1, 2]);
        let state = r::TransactionState::default()
            .with_transactional_id(m::TransactionalId("x".into()))
            .with_transaction_state("Ongoing".into())
            .with_topics(vec![topic]);
        m::DescribeTransactionsResponse::default().with_transaction_states(vec![state.clone(), state])
    });
}

/// What a broker before Kafka 3.0 says, of the same group.
fn one_group() -> m::OffsetFetchResponse {
    use m::offset_fetch_response as o;
    let partition = o::OffsetFetchResponsePartition::default().with_partition_index(3).with_committed_offset(7);
    let topic = o::OffsetFetchResponseTopic::default()
        .with_name(m::TopicName("orders".into()))
        .with_partitions(vec![partition]);
    m::OffsetFetchResponse::default().with_topics(vec![topic])
}

#[test]
fn the_answer_of_an_old_broker_reads_as_that_of_a_new_one() {
    let read = super::state::as_of_one_group(m::GroupId("g".into()), one_group());
    assert_eq!(read, offsets());
}

#[test]
fn the_guard_lets_every_version_of_real_answers_through() {
    all::<m::OffsetFetchRequest>(&|version| if version < 8 { one_group() } else { offsets() });
    all::<m::ApiVersionsRequest>(&|_| {
        let key = m::api_versions_response::ApiVersion::default().with_api_key(3).with_max_version(12);
        m::ApiVersionsResponse::default().with_api_keys(vec![key.clone(), key])
    });
    all::<m::SaslHandshakeRequest>(&|_| m::SaslHandshakeResponse::default().with_mechanisms(vec!["PLAIN".into()]));
    all::<m::SaslAuthenticateRequest>(&|_| {
        m::SaslAuthenticateResponse::default()
            .with_error_message(Some("no".into()))
            .with_auth_bytes(Bytes::from_static(b"xy"))
    });
    all::<m::MetadataRequest>(&|_| {
        use m::metadata_response as r;
        let id = |n| m::BrokerId(n);
        let broker = r::MetadataResponseBroker::default()
            .with_node_id(id(1))
            .with_host("h".into())
            .with_port(9)
            .with_rack(Some("r".into()));
        let partition =
            r::MetadataResponsePartition::default().with_replica_nodes(vec![id(1), id(2)]).with_isr_nodes(vec![id(1)]);
        let topic = r::MetadataResponseTopic::default()
            .with_name(Some(m::TopicName("t".into())))
            .with_partitions(vec![partition.clone(), partition]);
        m::MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_cluster_id(Some("c".into()))
            .with_topics(vec![topic])
    });
    all::<m::ListGroupsRequest>(&|version| {
        let mut group = m::list_groups_response::ListedGroup::default()
            .with_group_id(m::GroupId("g".into()))
            .with_protocol_type("consumer".into());
        if version >= 4 {
            group = group.with_group_state("Stable".into());
        }
        if version >= 5 {
            group = group.with_group_type("classic".into());
        }
        m::ListGroupsResponse::default().with_groups(vec![group.clone(), group])
    });
    all::<m::DescribeGroupsRequest>(&|version| {
        use m::describe_groups_response as r;
        let mut member = r::DescribedGroupMember::default()
            .with_member_id("m".into())
            .with_member_assignment(Bytes::from_static(b"abc"));
        if version >= 4 {
            member = member.with_group_instance_id(Some("i".into()));
        }
        let group = r::DescribedGroup::default()
            .with_group_id(m::GroupId("g".into()))
            .with_members(vec![member.clone(), member]);
        m::DescribeGroupsResponse::default().with_groups(vec![group.clone(), group])
    });
    all::<m::ConsumerGroupDescribeRequest>(&|_| {
        use m::consumer_group_describe_response as r;
        let assigned =
            r::TopicPartitions::default().with_topic_name(m::TopicName("t".into())).with_partitions(vec![1, 2]);
        let assignment = r::Assignment::default().with_topic_partitions(vec![assigned]);
        let member = r::Member::default()
            .with_member_id("m".into())
            .with_subscribed_topic_names(vec![m::TopicName("t".into())])
            .with_assignment(assignment.clone())
            .with_target_assignment(assignment);
        let group = r::DescribedGroup::default().with_group_id(m::GroupId("g".into())).with_members(vec![member]);
        m::ConsumerGroupDescribeResponse::default().with_groups(vec![group.clone(), group])
    });
    all::<m::ListOffsetsRequest>(&|_| {
        use m::list_offsets_response as r;
        let partition = r::ListOffsetsPartitionResponse::default().with_offset(5).with_timestamp(6);
        let topic = r::ListOffsetsTopicResponse::default()
            .with_name(m::TopicName("t".into()))
            .with_partitions(vec![partition.clone(), partition]);
        m::ListOffsetsResponse::default().with_topics(vec![topic.clone(), topic])
    });
    rarer_answers();
    assert!(shape::check(&shape::ASSIGNMENT, 0, &[0, 0, 0, 9]).is_err());
}
