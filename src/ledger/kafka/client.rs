//! librdkafka's clients: properties, errors as sentences, and a log that goes where ours goes.

use crate::{
    model::{KafkaSettings, Label, LedgerSettings, Property, SecretSource, duration},
    process::read_secret,
};
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

/// How long a question about topics may take.
const ASK: Duration = Duration::from_secs(5);
/// Between two log-ins that are refused; secrets are read again in between. An account may be locked after a few.
pub(super) const LOG_IN_AGAIN: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 15 });
/// Events that are heard out before it is said why something failed.
const EVENTS: usize = 32;

/// Keeps the last complaint of the library: its errors often say less than its log.
#[derive(Debug, Default)]
pub(super) struct Context {
    last: Mutex<Option<String>>,
    refused: AtomicBool,
}

impl Context {
    /// Whether brokers refused our log-in.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(SeqCst)
    }

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
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication) {
            self.refused.store(true, SeqCst);
        }
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

/// The same for a thread of our own, where one may block.
pub(super) fn config_now(kafka: &KafkaSettings) -> Result<ClientConfig, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| format!("the secrets cannot be read: {e}"))?.block_on(config(kafka))
}

/// Why brokers refused the log-in, with the mend; `None`: none did. `hear` takes one event off the client's queue.
pub(super) fn refusal(kafka: &KafkaSettings, context: &Context, mut hear: impl FnMut()) -> Option<String> {
    (0..EVENTS).for_each(|_| hear());
    context.is_refused().then(|| {
        let user = match kafka.properties.get("sasl.username") {
            Some(Property::Text(user)) => format!("sasl.username {}", Label::new(user)),
            _ => "who we say we are".to_owned(),
        };
        let again = duration(LOG_IN_AGAIN.as_secs_f64());
        let secrets = kafka.properties.values().find_map(|p| if let Property::Secret(s) = p { Some(s) } else { None });
        let mend = match secrets {
            Some(SecretSource::File(path)) => {
                format!("write the new one into {}: it is read again every {again}", path.display())
            }
            Some(SecretSource::Command(_)) => format!("its command is run again every {again}"),
            Some(SecretSource::Env(name)) => format!("set {name} to the new one and start this program again"),
            Some(SecretSource::Value(_)) | None => "set the new one and start this program again".to_owned(),
        };
        // The mend first: what a broker says may be long.
        let said = context.complaint().map_or_else(String::new, |c| format!("; they say: {c}"));
        format!("the brokers of the shared ledger refuse {user}: if its password was changed, {mend}{said}")
    })
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
