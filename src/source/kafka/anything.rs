//! Every decoder of what brokers send, on the same bytes: what `fuzz/` and the tests throw garbage at.

use super::{
    members,
    shape::{self, Asked},
    share,
    wire::decode,
};
use bytes::Bytes;
use kafka_protocol::messages as m;

/// Decodes `body` as the answer to every request of the reader, in every version that it speaks. Each gives an answer or
/// a sentence, which are of no interest here: it must not panic, nor take more memory than a small multiple of the input.
#[doc(hidden)]
pub fn decode_anything(body: &[u8]) {
    fn one<R: Asked>(body: &[u8]) {
        for version in R::SPOKEN.0..=R::SPOKEN.1 {
            let _ = decode::<R>(Bytes::copy_from_slice(body), version);
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
    one::<m::ShareGroupDescribeRequest>(body);
    one::<m::DescribeConfigsRequest>(body);
    one::<m::DescribeLogDirsRequest>(body);
    one::<m::DescribeProducersRequest>(body);
    one::<m::ListTransactionsRequest>(body);
    one::<m::DescribeTransactionsRequest>(body);
    let _ = share::decode(body);
    let _ = members::assignment(Bytes::copy_from_slice(body));
    let _ = shape::skip_tags(&mut Bytes::copy_from_slice(body));
}
