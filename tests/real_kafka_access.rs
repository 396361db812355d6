//! Who may see what: tokens, sessions that end, certificates that are renewed, a principal that may only describe.

use crate::{
    real::{self, Kafka},
    support::PATIENCE,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use highwater::{
    model::{BrokerState, KafkaCluster, Property, SecretSource, Time},
    process::Clock,
    source::kafka::{Reader, check},
};
use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

async fn secured() -> Option<Arc<Kafka>> {
    tokio::task::spawn_blocking(real::secured_kafka).await.unwrap()
}

fn is_up(cluster: &KafkaCluster) -> bool {
    !cluster.brokers.is_empty() && cluster.brokers.iter().all(|b| b.state == BrokerState::Up)
}

/// An unsigned token, as the broker's test validator takes it.
fn token(user: &str) -> String {
    let part = |json: String| URL_SAFE_NO_PAD.encode(json);
    let (now, later) = (Time::now().secs() as i64 - 5, Time::now().secs() as i64 + 600);
    let claims = format!(r#"{{"sub":"{user}","iat":{now},"exp":{later}}}"#);
    format!("{}.{}.", part(r#"{"alg":"none"}"#.to_owned()), part(claims))
}

/// Refreshes for longer than two sessions last: as good as every one finds the broker, which a session that ended would
/// keep it from. (A busy machine may miss a deadline.)
async fn outlives_its_session(reader: &mut Reader) {
    let until = Instant::now() + Duration::from_secs(24);
    let (mut found, mut missed) = (0, 0);
    while Instant::now() < until {
        let up = is_up(&reader.refresh().await);
        (found, missed) = if up { (found + 1, missed) } else { (found, missed + 1) };
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert!(found >= 10 && missed <= 1, "{missed} of {} refreshes did not find the broker", found + missed);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_read_anew_and_sessions_renewed_before_they_end() {
    let Some(kafka) = secured().await else { return };
    let file = kafka.dir.join("token");
    fs::write(&file, token("admin") + "\n").unwrap();
    let tls = |more: &[(&str, &str)]| {
        let mut settings = kafka.settings(more);
        for (key, value) in
            [("security.protocol", "SASL_SSL"), ("ssl.ca.location", kafka.dir.join("ca.pem").to_str().unwrap())]
        {
            settings.properties.insert(key.to_owned(), Property::Text(value.to_owned()));
        }
        settings
    };
    let mut settings = tls(&[("sasl.mechanism", "OAUTHBEARER")]);
    let from = |source| Property::Secret(source);
    settings.properties.insert("sasl.oauthbearer.token".to_owned(), from(SecretSource::File(file.clone())));
    let mut reader = Reader::connect(&settings, Clock::wall()).unwrap();
    assert!(is_up(&reader.refresh().await), "{:?}", reader.trouble());
    fs::write(&file, token("admin")).unwrap(); // rotated meanwhile
    outlives_its_session(&mut reader).await;

    let cat = SecretSource::Command(vec!["cat".into(), file.to_str().unwrap().into()]);
    settings.properties.insert("sasl.oauthbearer.token".to_owned(), from(cat));
    assert!(check(&settings).await.iter().all(|l| !l.unreachable));
    fs::write(&file, "no.token.").unwrap();
    let detail: String = check(&settings).await.iter().map(|l| l.detail.as_str().to_owned()).collect();
    assert!(detail.contains("sasl.oauthbearer.token"), "{detail}");

    let scram = [("sasl.mechanism", "SCRAM-SHA-256"), ("sasl.username", "admin"), ("sasl.password", "admin-pass")];
    let mut reader = Reader::connect(&tls(&scram), Clock::wall()).unwrap();
    outlives_its_session(&mut reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let Some(kafka) = secured().await else { return };
    let listener = fs::read_to_string(kafka.dir.join("mutual")).unwrap();
    let mine = kafka.dir.join("renewed");
    fs::create_dir_all(&mine).unwrap();
    let install = |who: &str| {
        for kind in ["pem", "key"] {
            fs::copy(kafka.dir.join(format!("{who}.{kind}")), mine.join(format!("client.{kind}"))).unwrap();
        }
    };
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    install("other");
    let (ca, cert, key) =
        (text(&kafka.dir.join("ca.pem")), text(&mine.join("client.pem")), text(&mine.join("client.key")));
    let settings = kafka.settings(&[
        ("bootstrap.servers", listener.trim()),
        ("security.protocol", "SSL"),
        ("ssl.ca.location", &ca),
        ("ssl.certificate.location", &cert),
        ("ssl.key.location", &key),
    ]);
    let mut reader = Reader::connect(&settings, Clock::wall()).unwrap();
    assert!(!is_up(&reader.refresh().await), "a certificate of another authority");
    install("client");
    let deadline = Instant::now() + PATIENCE;
    while !is_up(&reader.refresh().await) {
        assert!(Instant::now() < deadline, "{:?}", reader.trouble());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_principal_that_may_only_describe_sees_all_that_it_may() {
    let Some(kafka) = secured().await else { return };
    let ca = kafka.dir.join("ca.pem");
    let admin = kafka.dir.join("admin.properties");
    let config = format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=PEM\nssl.truststore.location={}\n\
         sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=\"admin\" password=\"admin-pass\";\n",
        ca.display()
    );
    fs::write(&admin, config).unwrap();
    let admin = admin.to_str().unwrap().to_owned();
    let tools = kafka.clone();
    tokio::task::spawn_blocking(move || {
        let tool = |class: &str, args: &[&str]| tools.tool(class, &[&["--command-config", &admin][..], args].concat());
        tool("org.apache.kafka.tools.TopicCommand", &["--create", "--topic", "seen", "--partitions", "2"]);
        let reset = ["--reset-offsets", "--to-earliest", "--execute", "--group", "seen-by", "--topic", "seen"];
        tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &reset);
        let grant = ["--add", "--allow-principal", "User:viewer", "--operation", "Describe"];
        tool(
            "org.apache.kafka.tools.AclCommand",
            &[&grant[..], &["--topic", "*", "--group", "*", "--cluster"]].concat(),
        );
    })
    .await
    .unwrap();
    let mut reader = Reader::connect(
        &kafka.settings(&[
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "viewer"),
            ("sasl.password", "viewer-pass"),
            ("ssl.ca.location", ca.to_str().unwrap()),
        ]),
        Clock::wall(),
    )
    .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let cluster = loop {
        let cluster = reader.refresh().await;
        let disks = cluster.brokers.iter().all(|b| !b.log_dirs.is_empty());
        if disks && cluster.denied.len() >= 2 {
            break cluster;
        }
        assert!(Instant::now() < deadline, "{:?} {:?}", cluster.denied, cluster.notices);
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    let group = cluster.groups.iter().find(|g| g.group == "seen-by").expect("its group is visible");
    assert_eq!((group.lag, group.partitions.len()), (Some(0), 2));
    let grants: Vec<&str> = cluster.denied.iter().map(|d| d.grant).collect();
    assert_eq!(grants, ["DescribeConfigs on topics", "DescribeConfigs on the cluster"]);
    let told: Vec<&str> = cluster.alerts.iter().filter(|a| a.rule == "permission").map(|a| a.mend.as_str()).collect();
    assert_eq!(told, [format!("grant {}", grants.join(", "))], "what cannot be told is said once");
}
