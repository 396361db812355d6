//! The codecs and their guard: shapes in step with the codec, and garbage that harms nobody.

use super::{
    shape::{self, Asked},
    wire::decode,
};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{messages as m, protocol::Encodable};
use proptest::prelude::*;

/// Decodes `body` as the answer to every request of this reader, in every version.
fn as_everything(body: &[u8]) {
    fn one<R: Asked>(body: &[u8]) {
        for version in R::SPOKEN.0..=R::SPOKEN.1 {
            let _ = decode::<R>(Bytes::copy_from_slice(body), version); // an answer or a sentence, never a panic
        }
    }
    one::<m::ApiVersionsRequest>(body);
    one::<m::SaslHandshakeRequest>(body);
    one::<m::SaslAuthenticateRequest>(body);
    one::<m::MetadataRequest>(body);
    one::<m::ListGroupsRequest>(body);
    one::<m::DescribeGroupsRequest>(body);
    one::<m::ConsumerGroupDescribeRequest>(body);
    one::<m::OffsetFetchRequest>(body);
    one::<m::ListOffsetsRequest>(body);
}

proptest! {
    #[test]
    fn garbage_neither_panics_nor_takes_memory(body in prop::collection::vec(any::<u8>(), 0..400)) {
        as_everything(&body);
    }

    #[test]
    fn a_damaged_answer_does_not_either(at in 0_usize..200, value in any::<u8>(), keep in 0_usize..400) {
        let mut body = encoded::<m::OffsetFetchRequest>(&offsets(), 9).to_vec();
        if let Some(byte) = body.get_mut(at) {
            *byte = value;
        }
        body.truncate(keep);
        as_everything(&body);
    }
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

#[test]
fn the_guard_lets_every_version_of_real_answers_through() {
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
    all::<m::OffsetFetchRequest>(&|_| offsets());
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
    assert!(shape::check(&shape::ASSIGNMENT, 0, &[0, 0, 0, 9]).is_err());
}
