//! librdkafka's clients: properties, errors as sentences, and a log that goes where ours goes.

use crate::{
    model::{KafkaSettings, Label, LedgerSettings, Property},
    process::read_secret,
};
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{sync::Mutex, time::Duration};

/// How long a question about topics may take.
const ASK: Duration = Duration::from_secs(5);

/// Keeps the last complaint of the library: its errors often say less than its log.
#[derive(Debug, Default)]
pub(super) struct Context {
    last: Mutex<Option<String>>,
}

impl Context {
    /// The last complaint, once.
    pub(super) fn complaint(&self) -> Option<String> {
        self.last.lock().ok()?.take()
    }
}

impl ClientContext for Context {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, text: &str) {
        tracing::debug!("librdkafka {facility}: {}", Label::new(text));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("librdkafka: {}: {}", words(&error), Label::new(reason));
        // That every broker is away follows from what was said of each before.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown)
            && let Ok(mut last) = self.last.lock()
        {
            *last = Some(Label::new(reason).to_string());
        }
    }
}

impl ConsumerContext for Context {}

impl<Part: rdkafka::producer::Partitioner> rdkafka::producer::ProducerContext<Part> for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &rdkafka::message::DeliveryResult<'_>, (): ()) {} // a transaction says it for all of its records
}

/// The properties of a section with their secrets read.
///
/// # Errors
/// A secret that cannot be read.
pub(super) async fn config(kafka: &KafkaSettings) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::new();
    for (key, value) in &kafka.properties {
        match value {
            Property::Text(text) => config.set(key, text),
            Property::Secret(source) => {
                let secret = read_secret(source).await.map_err(|e| format!("[kafka.{}] {key}: {e}", kafka.name))?;
                config.set(key, secret.expose())
            }
        };
    }
    if !kafka.properties.contains_key("client.id") {
        config.set("client.id", "highwater");
    }
    // A person waits for the answer; what is refused is tried again soon.
    config
        .set("socket.timeout.ms", "10000")
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.nagle.disable", "true");
    Ok(config)
}

/// A consumer of whole topics without a group of its own: it commits nothing and is assigned what it reads.
///
/// # Errors
/// A property that the library does not take.
pub(super) fn consumer(config: &ClientConfig) -> Result<BaseConsumer<Context>, String> {
    let mut config = config.clone();
    config
        .set("group.id", "highwater-ledger")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("fetch.error.backoff.ms", "100");
    config.create_with_context(Context::default()).map_err(|e| words(&e))
}

/// Whether both topics are there with one partition each.
///
/// # Errors
/// What is missing, with the mend.
pub(super) fn look_at_topics(consumer: &BaseConsumer<Context>, settings: &LedgerSettings) -> Result<(), String> {
    for (topic, policy) in [(&settings.history, "delete --config retention.ms=-1"), (&settings.state, "compact")] {
        let metadata = consumer.fetch_metadata(Some(topic), ASK);
        let metadata = metadata.map_err(|e| format!("the shared ledger cannot be reached: {}", why(consumer, &e)))?;
        let found = metadata.topics().iter().find(|t| t.name() == topic);
        let partitions = found.filter(|t| t.error().is_none()).map_or(0, |t| t.partitions().len());
        match partitions {
            1 => {}
            0 => {
                return Err(format!(
                    "there is no topic {topic}, or it may not be described: kafka-topics.sh --create --topic {topic} \
                     --partitions 1 --replication-factor 3 --config cleanup.policy={policy}"
                ));
            }
            n => {
                return Err(format!(
                    "topic {topic} has {n} partitions: a ledger is one sequence, so it needs a topic with one"
                ));
            }
        }
    }
    Ok(())
}

/// The library's error, and what it complained of before.
pub(super) fn why(consumer: &BaseConsumer<Context>, error: &KafkaError) -> String {
    match consumer.context().complaint() {
        Some(complaint) => format!("{} ({complaint})", words(error)),
        None => words(error),
    }
}

/// An error in words. A configuration error is never shown whole: it holds the value, which may be a password.
pub(super) fn words(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, what, key, _) => {
            let tls = what.contains("not available at build time");
            let mend = if tls { ": this build's librdkafka has no TLS; build with --features ledger-tls" } else { "" };
            let what = if tls { "is not available" } else { what.as_str() };
            Label::new(&format!("the property {key} {what}{mend}")).to_string()
        }
        other => match other.rdkafka_error_code() {
            Some(RDKafkaErrorCode::OperationTimedOut) => "no broker answers".to_owned(),
            Some(code) => Label::new(&code.to_string()).to_string(),
            None => Label::new(&other.to_string()).to_string(),
        },
    }
}
