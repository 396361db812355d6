//! A broker that says what a test wants, on loopback.

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{self as m, ApiKey},
    protocol::Encodable,
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Asks for PLAIN, and lets in or refuses who comes.
pub(super) struct Doorman {
    pub(super) address: String,
    /// Passwords that were tried.
    pub(super) tried: Arc<AtomicU32>,
}

impl Doorman {
    pub(super) async fn start(opens: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, tried) = (listener.local_addr().unwrap().to_string(), Arc::new(AtomicU32::new(0)));
        let counter = tried.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, opens, counter.clone()));
            }
        });
        Self { address, tried }
    }
}

async fn converse(mut stream: TcpStream, opens: bool, tried: Arc<AtomicU32>) -> Option<()> {
    loop {
        let (key, id) = request(&mut stream).await?;
        let body = match key {
            ApiKey::ApiVersions => speaks(&[(ApiKey::SaslHandshake, 1), (ApiKey::SaslAuthenticate, 1)]),
            ApiKey::SaslHandshake => {
                encoded(&m::SaslHandshakeResponse::default().with_mechanisms(vec!["PLAIN".into()]), 1)
            }
            ApiKey::SaslAuthenticate => {
                tried.fetch_add(1, Relaxed);
                let code = if opens { 0 } else { 58 }; // SASL_AUTHENTICATION_FAILED
                encoded(&m::SaslAuthenticateResponse::default().with_error_code(code), 1)
            }
            _ => return None,
        };
        reply(&mut stream, &[&id, &body]).await?;
    }
}

/// One of two brokers that have not heard the same of the cluster: which brokers there are, by id and port, and who leads
/// the only partition.
async fn witness(mut stream: TcpStream, brokers: Vec<(i32, u16)>, leader: i32, epoch: i32) -> Option<()> {
    use m::metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
    let broker = |(id, port): (i32, u16)| {
        let at = MetadataResponseBroker::default().with_host("127.0.0.1".into()).with_port(port.into());
        at.with_node_id(m::BrokerId(id))
    };
    let led = MetadataResponsePartition::default().with_leader_id(m::BrokerId(leader)).with_leader_epoch(epoch);
    let led = led.with_replica_nodes(vec![m::BrokerId(1), m::BrokerId(2)]);
    let topic = MetadataResponseTopic::default()
        .with_name(Some(m::TopicName("orders".into())))
        .with_topic_id("7e57ab1e-0000-4000-8000-000000000001".parse().ok()?)
        .with_partitions(vec![led]);
    let brokers = brokers.into_iter().map(broker).collect();
    let said = encoded(&m::MetadataResponse::default().with_brokers(brokers).with_topics(vec![topic]), 12);
    loop {
        match request(&mut stream).await? {
            (ApiKey::ApiVersions, id) => reply(&mut stream, &[&id, &speaks(&[(ApiKey::Metadata, 12)])]).await?,
            (_, id) => reply(&mut stream, &[&id, &[0], &said]).await?, // no tagged fields
        }
    }
}

/// What is asked, and the correlation id.
async fn request(stream: &mut TcpStream) -> Option<(ApiKey, [u8; 4])> {
    let length = stream.read_i32().await.ok()?;
    let mut frame = BytesMut::zeroed(usize::try_from(length).ok()?);
    stream.read_exact(&mut frame).await.ok()?;
    Some((ApiKey::try_from(i16::from_be_bytes([frame[0], frame[1]])).ok()?, frame[4..8].try_into().ok()?))
}

async fn reply(stream: &mut TcpStream, parts: &[&[u8]]) -> Option<()> {
    let body = parts.concat();
    stream.write_i32(i32::try_from(body.len()).ok()?).await.ok()?;
    stream.write_all(&body).await.ok()
}

fn speaks(keys: &[(ApiKey, i16)]) -> Bytes {
    let one = |&(key, newest): &(ApiKey, i16)| {
        m::api_versions_response::ApiVersion::default().with_api_key(key as i16).with_max_version(newest)
    };
    encoded(&m::ApiVersionsResponse::default().with_api_keys(keys.iter().map(one).collect()), 0)
}

fn encoded(response: &impl Encodable, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    response.encode(&mut out, version).unwrap();
    out.freeze()
}

mod tests {
    use super::*;
    use crate::{
        model::{KafkaSettings, Property, SecretSource},
        process::Clock,
        source::kafka::{Reader, check, dial::Dialer, link::Link, properties::access},
    };
    use std::time::{Duration, Instant};

    fn settings(servers: &str, password: SecretSource) -> KafkaSettings {
        let text = |t: &str| Property::Text(t.to_owned());
        let all = [
            ("bootstrap.servers", text(servers)),
            ("security.protocol", text("SASL_PLAINTEXT")),
            ("sasl.mechanism", text("PLAIN")),
            ("sasl.username", text("viewer")),
            ("sasl.password", Property::Secret(password)),
            ("socket.timeout.ms", text("300")),
        ];
        KafkaSettings::new("x", all.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
    }

    fn printed_by(script: &str) -> SecretSource {
        SecretSource::Command(["sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[tokio::test]
    async fn a_refused_password_is_not_tried_again_in_every_refresh_nor_on_every_server() {
        let (one, two) = (Doorman::start(false).await, Doorman::start(false).await);
        let servers = format!("{},{}", one.address, two.address);
        let mut reader = Reader::connect(&settings(&servers, printed_by("echo wrong")), Clock::wall()).unwrap();
        for _ in 0..5 {
            reader.refresh().await;
            assert!(reader.trouble().is_some_and(|t| t.contains("sasl.password")), "{:?}", reader.trouble());
        }
        assert!(reader.is_barred());
        assert_eq!(one.tried.load(Relaxed) + two.tried.load(Relaxed), 1, "an account may be locked after a few");
        let lines = check(&settings(&one.address, printed_by("echo wrong"))).await;
        let refused = lines.iter().find(|l| l.unreachable).unwrap();
        assert_eq!(refused.mend, None, "nothing is wrong with the network: {}", refused.detail);
    }

    #[tokio::test]
    async fn a_broker_that_is_cut_off_from_its_controller_is_not_believed() {
        for fenced in [false, true] {
            let (one, two) =
                (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
            let ports = [&one, &two].map(|l| l.local_addr().unwrap().port());
            let all = vec![(1, ports[0]), (2, ports[1])];
            let there = all[usize::from(fenced)..].to_vec();
            // Broker 1 believes that it is there and leads; the controller has told broker 2 otherwise.
            for (listener, brokers, leader, epoch) in [(one, all, 1, 5), (two, there, 2, 6)] {
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        tokio::spawn(witness(stream, brokers.clone(), leader, epoch));
                    }
                });
            }
            let servers = ("bootstrap.servers".to_owned(), Property::Text(format!("127.0.0.1:{}", ports[0])));
            let mut reader = Reader::connect(&KafkaSettings::new("x", [servers].into()), Clock::wall()).unwrap();
            for refresh in 0..6 {
                let cluster = reader.refresh().await;
                if refresh < 2 {
                    continue; // each was asked once
                }
                assert_eq!(cluster.topics[0].partitions[0].leader, Some(2), "fenced: {fenced}, refresh {refresh}");
                let said = format!("{:?}", cluster.brokers[0].state);
                assert_eq!(said.contains("no longer lists it"), fenced, "{said}");
            }
        }
    }

    #[tokio::test]
    async fn a_broker_that_closes_what_it_opened_is_asked_ever_more_rarely() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, tried) = (listener.local_addr().unwrap().to_string(), Arc::new(AtomicU32::new(0)));
        let counter = tried.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let talk = converse(stream, true, counter.clone());
                tokio::spawn(tokio::time::timeout(Duration::from_millis(50), talk));
            }
        });
        let access = access(&settings(&address, printed_by("echo right")).properties).unwrap();
        let (host, port) = access.bootstrap[0].clone();
        let _link = Link::start(host, port, Arc::new(Dialer::new(&access).unwrap()), Clock::wall());
        let begun = Instant::now();
        while tried.load(Relaxed) < 5 {
            assert!(begun.elapsed() < Duration::from_secs(60), "it is asked again");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Half of 0.2, 0.4, 0.8 and 1.6 s at the least; always as soon as the first time it would be a second.
        assert!(begun.elapsed() > Duration::from_millis(1_450), "after {:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_password_that_is_slow_to_come_is_waited_for_and_no_fault_of_the_broker() {
        let broker = Doorman::start(true).await;
        let dial = |script| {
            let access = access(&settings(&broker.address, printed_by(script)).properties).unwrap();
            let dialer = Dialer::new(&access).unwrap();
            let (host, port) = access.bootstrap[0].clone();
            async move { dialer.dial(&host, port).await.map_err(|refused| refused.reason) }
        };
        let took = tokio::time::timeout(Duration::from_secs(20), dial("sleep 0.8; echo right")).await.unwrap();
        assert_eq!(took.err(), None, "the command takes longer than the broker may");
        let refused = dial("exit 3").await.err().unwrap();
        assert!(refused.starts_with("sasl.password: sh exited"), "{refused}");
    }
}
