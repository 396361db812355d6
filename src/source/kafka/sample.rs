//! One record, looked at on request: the one that a stuck partition stands at, or the newest of a dead-letter topic.
//!
//! The only place that reads records, so the only one that needs *Read* on the topic. librdkafka fetches and decompresses;
//! nothing is committed, no group is joined, nothing is written to disk.

use super::properties;
use crate::{
    model::{KafkaSettings, Label, Property, Time},
    process::read_secret,
};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
};
use serde::Serialize;
use std::{
    fmt::Write,
    time::{Duration, Instant},
};

/// Bytes of a key, a value or a header that are shown.
const SHOWN: usize = 4_096;
/// Headers that are shown.
const HEADERS: usize = 64;
/// How long a record may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// Offsets before the end where the newest record is looked for: the last ones may be markers at which transactions end, or
/// records of one that was aborted.
const BACK: [i64; 3] = [1, 32, 1_000];

/// A record as it may be shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Topic.
    pub topic: Label,
    /// Partition.
    pub partition: i32,
    /// Offset; a compacted log may hold none at the offset that was asked for, then it is the next one.
    pub offset: i64,
    /// Its timestamp.
    pub at: Option<Time>,
    /// Key; `None`: it has none.
    pub key: Option<Shown>,
    /// Value; `None`: it has none (a tombstone).
    pub value: Option<Shown>,
    /// Headers in their order, at most 64.
    pub headers: Vec<(Label, Option<Shown>)>,
}

/// Bytes as a person can read them, harmless to a terminal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// `json`, `text` or `hex`.
    pub kind: &'static str,
    /// The beginning, at most 4,096 bytes of it.
    pub text: String,
    /// Bytes in all.
    pub bytes: usize,
}

/// Reads the record at an offset, or the newest one.
///
/// # Errors
/// A sentence: no such record, no permission, a listener that this build cannot speak to.
pub async fn sample(
    settings: &KafkaSettings,
    topic: &str,
    partition: i32,
    offset: Option<i64>,
) -> Result<Record, String> {
    let config = client(settings).await?;
    let topic = topic.to_owned();
    let fetched = tokio::task::spawn_blocking(move || fetch(&config, &topic, partition, offset));
    fetched.await.map_err(|e| format!("the sample was not finished: {e}"))?
}

/// librdkafka's client with the reader's own properties.
async fn client(settings: &KafkaSettings) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::new();
    for (key, value) in &settings.properties {
        let text = match value {
            Property::Text(text) => text.clone(),
            Property::Secret(source) => {
                read_secret(source).await.map_err(|e| format!("{key}: {e}"))?.expose().to_owned()
            }
        };
        if key == properties::TOKEN {
            return Err(format!(
                "samples cannot use {key}: librdkafka has no such property; \
                                kcat -C -t TOPIC -p PARTITION -o OFFSET -c 1 shows the record"
            ));
        }
        if key == "security.protocol" && text.to_ascii_uppercase().contains("SSL") {
            return Err("samples need a plain listener: librdkafka is built without TLS here; \
                        kcat -C -t TOPIC -p PARTITION -o OFFSET -c 1 shows the record"
                .to_owned());
        }
        config.set(key, text);
    }
    // A consumer needs a group's name, though it never joins one.
    config.set("group.id", "highwater-sample").set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    Ok(config)
}

fn fetch(config: &ClientConfig, topic: &str, partition: i32, offset: Option<i64>) -> Result<Record, String> {
    let place = format!("{}/{partition}", Label::new(topic));
    let failed = |e: KafkaError| format!("{place}: {e}; reading a record needs Read on its topic");
    let consumer: BaseConsumer = config.create().map_err(|e| match e {
        // Its own words end with the value, which may be a secret.
        KafkaError::ClientConfig(_, what, key, _) => format!("{place}: the property {key}: {}", Label::new(&what)),
        e => failed(e),
    })?;
    let deadline = Instant::now() + DEADLINE;
    let ways: &[(Offset, i64)] = match offset {
        Some(offset) => &[(Offset::Offset(offset), 1)],
        None => &BACK.map(|back| (Offset::OffsetTail(back), back)),
    };
    for (from, most) in ways {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, *from).map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        let (mut last, mut read) = (None, 0);
        while read < *most {
            if Instant::now() > deadline {
                return Err(format!("{place}: no record within {} s: is there such a partition?", DEADLINE.as_secs()));
            }
            match consumer.poll(Duration::from_millis(200)) {
                None => {}
                Some(Ok(message)) => (last, read) = (Some(record(&message)), read + 1),
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(e)) => return Err(failed(e)),
            }
        }
        if let Some(record) = last {
            return Ok(record);
        }
    }
    Err(format!("{place} has no record there: it is at its end"))
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().into_iter().flat_map(|h| h.iter().take(HEADERS));
    Record {
        topic: Label::new(message.topic()),
        partition: message.partition(),
        offset: message.offset(),
        at: message.timestamp().to_millis().map(Time::from_millis),
        key: message.key().map(show),
        value: message.payload().map(show),
        headers: headers.map(|h| (Label::new(h.key), h.value.map(show))).collect(),
    }
}

/// JSON as it is, other UTF-8 as text, anything else in hexadecimal; what moves a cursor becomes an escape.
fn show(bytes: &[u8]) -> Shown {
    let head = bytes.get(..SHOWN).unwrap_or(bytes);
    // A character that is cut in the middle does not make text binary.
    let text = match std::str::from_utf8(head) {
        Ok(text) => Some(text),
        Err(e) if head.len() < bytes.len() && e.error_len().is_none() => {
            std::str::from_utf8(head.get(..e.valid_up_to()).unwrap_or_default()).ok()
        }
        Err(_) => None,
    };
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    let (kind, text) = match text {
        Some(text) if text.chars().filter(|c| control(*c)).count() * 8 <= text.len() => {
            let json = serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
            (if json { "json" } else { "text" }, text.split('\n').map(scrub).collect::<Vec<_>>().join("\n"))
        }
        _ => (
            "hex",
            head.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}"); // writing to a String cannot fail
                hex
            }),
        ),
    };
    Shown { kind, text, bytes: bytes.len() }
}

/// A line as a [`Label`] is scrubbed, but of any length.
fn scrub(line: &str) -> String {
    let chars: Vec<char> = line.chars().collect();
    chars.chunks(20).map(|part| Label::new(&part.iter().collect::<String>()).to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test]
    async fn a_refused_property_never_shows_its_value() {
        for (key, names) in [("sasl.oauthbearer.token", "cannot use"), ("socket.timeout.ms", "the property socket")] {
            let property = Property::Text("hunter2".to_owned());
            let settings = KafkaSettings::new("x", [(key.to_owned(), property)].into());
            let said = sample(&settings, "orders", 0, None).await.unwrap_err();
            assert!(said.contains(names) && !said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn json_text_and_bytes_are_told_apart_and_cut() {
        assert_eq!(show(b"{\"a\":1}"), Shown { kind: "json", text: "{\"a\":1}".into(), bytes: 7 });
        assert_eq!(show(b"plain\ntext").kind, "text");
        assert_eq!(show(&[0, 1, 2, 255]).text, "000102ff");
        let long = "ä".repeat(SHOWN);
        let shown = show(long.as_bytes());
        assert_eq!((shown.kind, shown.text.len(), shown.bytes), ("text", SHOWN, 2 * SHOWN));
    }

    proptest! {
        #[test]
        fn nothing_that_a_record_holds_moves_a_cursor(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".*") {
            for shown in [show(&bytes), show(text.as_bytes())] {
                prop_assert!(!shown.text.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
            }
        }
    }
}
