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
        let length = stream.read_i32().await.ok()?;
        let mut frame = BytesMut::zeroed(usize::try_from(length).ok()?);
        stream.read_exact(&mut frame).await.ok()?;
        let key = ApiKey::try_from(i16::from_be_bytes([frame[0], frame[1]])).ok()?;
        let body = match key {
            ApiKey::ApiVersions => {
                let one = |key: ApiKey, newest| {
                    m::api_versions_response::ApiVersion::default().with_api_key(key as i16).with_max_version(newest)
                };
                let keys = vec![one(ApiKey::SaslHandshake, 1), one(ApiKey::SaslAuthenticate, 1)];
                encoded(&m::ApiVersionsResponse::default().with_api_keys(keys), 0)
            }
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
        stream.write_i32(4 + i32::try_from(body.len()).ok()?).await.ok()?;
        stream.write_all(&frame[4..8]).await.ok()?;
        stream.write_all(&body).await.ok()?;
    }
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
