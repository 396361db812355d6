//! Which request is answered how, in the versions of Apache Kafka 4.

use super::{Face, cluster, groups};
use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        ApiKey, ApiVersionsRequest, ApiVersionsResponse, DescribeClusterRequest, DescribeLogDirsRequest, RequestHeader,
        ResponseHeader, api_versions_response::ApiVersion,
    },
    protocol::{Decodable, Encodable},
};

/// What is answered: key, oldest and newest version, as `kafka-broker-api-versions.sh` lists them for 4.0.
const VERSIONS: [(ApiKey, i16, i16); 11] = [
    (ApiKey::ListOffsets, 1, 10),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::DescribeGroups, 0, 6),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::DescribeLogDirs, 1, 4),
    (ApiKey::DescribeCluster, 0, 2),
    (ApiKey::ConsumerGroupDescribe, 0, 1),
];
/// `UNSUPPORTED_VERSION`.
const UNSUPPORTED: i16 = 35;

/// The answer to one request. An error is why the connection is closed instead: a real broker closes it without a word
/// on a key or a version that it does not know.
pub(super) fn answer(face: &Face, mut frame: Bytes) -> Result<BytesMut, String> {
    let number = |at: usize| frame.get(at..at + 2).and_then(|b| b.try_into().ok()).map(i16::from_be_bytes);
    let (Some(key), Some(version)) = (number(0), number(2)) else { return Err("a frame without a header".into()) };
    let key = ApiKey::try_from(key).map_err(|()| format!("there is no request with key {key}"))?;
    let Some((_, oldest, newest)) = VERSIONS.iter().find(|(known, ..)| *known == key) else {
        return Err(format!("{key:?} is not answered"));
    };
    if !(*oldest..=*newest).contains(&version) {
        // KIP-511: the one request that is answered in a version that is not known, in version 0.
        if key == ApiKey::ApiVersions {
            let id = frame.get(4..8).and_then(|b| b.try_into().ok()).map_or(0, i32::from_be_bytes);
            let mut out = begin(key, 0, id)?;
            api_versions(UNSUPPORTED).encode(&mut out, 0).map_err(|e| e.to_string())?;
            return Ok(out);
        }
        return Err(format!("{key:?} has no version {version}"));
    }
    let header = RequestHeader::decode(&mut frame, key.request_header_version(version)).map_err(|e| e.to_string())?;
    let mut call = Call { frame, version, out: begin(key, version, header.correlation_id)? };
    match key {
        ApiKey::Metadata => call.with(|r| Ok(cluster::metadata(face, &r))),
        ApiKey::DescribeCluster => call.with(|_: DescribeClusterRequest| Ok(cluster::describe(face))),
        ApiKey::DescribeConfigs => call.with(|r| Ok(cluster::configs(face, &r))),
        ApiKey::DescribeLogDirs => call.with(|_: DescribeLogDirsRequest| Ok(cluster::log_dirs(face))),
        ApiKey::ListOffsets => call.with(|r| Ok(cluster::list_offsets(face, &r, version))),
        ApiKey::ListGroups => call.with(|r| Ok(groups::list(face, &r))),
        ApiKey::DescribeGroups => call.with(|r| groups::describe_classic(face, &r, version)),
        ApiKey::ConsumerGroupDescribe => call.with(|r| Ok(groups::describe_consumer(face, &r))),
        ApiKey::OffsetFetch => call.with(|r| Ok(groups::offset_fetch(face, &r, version))),
        ApiKey::FindCoordinator => call.with(|r| Ok(groups::find_coordinator(face, &r, version))),
        _ => call.with(|_: ApiVersionsRequest| Ok(api_versions(0))), // the only one left in `VERSIONS`
    }?;
    Ok(call.out)
}

/// A request whose header is read, and its answer whose header is written.
struct Call {
    frame: Bytes,
    version: i16,
    out: BytesMut,
}

impl Call {
    /// Decodes the request, lets `respond` answer it, encodes the answer.
    fn with<Q: Decodable, A: Encodable>(&mut self, respond: impl FnOnce(Q) -> Result<A, String>) -> Result<(), String> {
        let request = Q::decode(&mut self.frame, self.version).map_err(|e| e.to_string())?;
        respond(request)?.encode(&mut self.out, self.version).map_err(|e| e.to_string())
    }
}

fn api_versions(error: i16) -> ApiVersionsResponse {
    let keys = VERSIONS.iter().map(|(key, oldest, newest)| {
        ApiVersion::default().with_api_key(*key as i16).with_min_version(*oldest).with_max_version(*newest)
    });
    ApiVersionsResponse::default().with_error_code(error).with_api_keys(keys.collect())
}

/// An answer that has its header.
fn begin(key: ApiKey, version: i16, correlation: i32) -> Result<BytesMut, String> {
    let mut out = BytesMut::new();
    ResponseHeader::default()
        .with_correlation_id(correlation)
        .encode(&mut out, key.response_header_version(version))
        .map_err(|e| e.to_string())?;
    Ok(out)
}
