//! The history from its first record to its present end, for those who only look.

use super::{
    client, principal,
    record::{self, Said},
};
use crate::{
    ledger::{
        Entry,
        arbiter::{Arbiter, Verdict},
    },
    model::{CheckLine, Label, LedgerSettings},
};
use rdkafka::{Message as _, Offset, TopicPartitionList, consumer::Consumer as _, error::KafkaError};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// One record of the history.
#[derive(Clone, Debug, Serialize)]
pub struct Published {
    /// Where it stands in the topic.
    pub offset: i64,
    /// Whose ledger it is from.
    pub ledger: Label,
    /// The entry.
    pub entry: Entry,
    /// Why it does not hold, if it does not.
    pub void: Option<Label>,
}

/// Everything in the history.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// Records, in the order that decides.
    pub entries: Vec<Published>,
    /// Records that are no entries or were changed: where and what.
    pub strange: Vec<(i64, Label)>,
    /// Where a chain breaks: the offset, and how. An entry that does not hold because somebody came first is no break.
    pub breaks: Vec<(i64, Label)>,
}

impl Whole {
    /// Whether an entry follows the one before it in its own ledger, `before`: number and hash.
    fn check(&mut self, ledger: &Label, entry: &Entry, before: Option<(u64, String)>, offset: i64) {
        let Some((seq, hash)) = before else { return }; // older ones may have been let go by the topic's retention
        let what = match entry.seq {
            n if n <= seq => format!("entry {n} of ledger {ledger} is there twice"),
            n if n > seq + 1 => format!("ledger {ledger}: entry {n} follows {seq}, those between are missing"),
            n if entry.prev != hash => format!("entry {n} of ledger {ledger} does not follow the one before it"),
            _ => return,
        };
        self.breaks.push((offset, what.into()));
    }
}

/// Reads the whole history; blocks on the network. Nothing is written, no group is joined.
///
/// # Errors
/// Brokers that cannot be reached, topics that are not there.
pub async fn read_whole(settings: &LedgerSettings) -> Result<Whole, String> {
    let Some(kafka) = &settings.kafka else { return Err("no [ledger] kafka is configured: set it in the file".into()) };
    let client = client::config(kafka).await?;
    let settings = settings.clone();
    let read = tokio::task::spawn_blocking(move || read(&client, &settings));
    read.await.map_err(|e| format!("reading the shared ledger broke: {e}"))?
}

fn read(client: &rdkafka::ClientConfig, settings: &LedgerSettings) -> Result<Whole, String> {
    let consumer = client::consumer(client)?;
    client::look_at_topics(&consumer, settings)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&settings.history, 0, Offset::Beginning).map_err(|e| client::words(&e))?;
    consumer.assign(&list).map_err(|e| client::words(&e))?;
    let (mut whole, mut arbiter, mut last) =
        (Whole::default(), Arbiter::default(), BTreeMap::<Label, (u64, String)>::new());
    let mut waited = Instant::now();
    loop {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                waited = Instant::now();
                match record::read(&message) {
                    Said::Greeting { .. } => {}
                    Said::Strange(why) | Said::Newer { why, .. } => {
                        whole.strange.push((message.offset(), Label::new(&why)));
                    }
                    Said::Entry(record) => {
                        let entry = &record.entry;
                        let before = last.insert(record.ledger.clone(), (entry.seq, entry.hash.clone()));
                        whole.check(&record.ledger, entry, before, message.offset());
                        let void = match arbiter.take(&record, Instant::now()) {
                            Verdict::Void(why) => Some(why),
                            Verdict::Valid | Verdict::Echo => None,
                        };
                        let offset = message.offset();
                        whole.entries.push(Published { offset, ledger: record.ledger, entry: record.entry, void });
                    }
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(whole),
            Some(Err(error)) => return Err(client::why(&consumer, &error)),
            None if waited.elapsed() > Duration::from_secs(15) => {
                return Err(format!("topic {}: nothing came for 15 s", settings.history));
            }
            None => {}
        }
    }
}

/// Whether both topics are there, have one partition each and may be read, for `highwater check`; `None`: nothing is
/// shared. That they may be written is known when an operator joins: a check writes nothing.
pub async fn check(settings: &LedgerSettings) -> Option<CheckLine> {
    let kafka = settings.kafka.as_ref()?;
    let looked = match client::config(kafka).await {
        Err(why) => Err(why),
        Ok(client) => {
            let settings = settings.clone();
            let look = tokio::task::spawn_blocking(move || look(&client, &settings)).await;
            look.unwrap_or_else(|e| Err(format!("looking at the shared ledger broke: {e}")))
        }
    };
    let (ok, detail, mend) = match looked {
        Ok(records) => {
            let topic = &settings.history;
            (
                true,
                format!("{records} records in {topic}; an operator also needs Write, which is seen when it joins"),
                None,
            )
        }
        Err(why) => (false, why, Some(acls(settings, principal(kafka).as_ref()))),
    };
    let what = Label::new(&format!("ledger: shared on kafka {}", kafka.name));
    Some(CheckLine { what, ok, detail: detail.into(), mend: mend.map(Into::into), unreachable: false, grant: None })
}

fn look(client: &rdkafka::ClientConfig, settings: &LedgerSettings) -> Result<i64, String> {
    let consumer = client::consumer(client)?;
    let looked = client::look_at_topics(&consumer, settings).and_then(|()| {
        let ends = consumer.fetch_watermarks(&settings.history, 0, Duration::from_secs(5));
        ends.map_err(|e| format!("topic {}: {}", settings.history, client::why(&consumer, &e)))
    });
    match looked {
        Ok((low, high)) => Ok(high - low),
        Err(why) => {
            let hear = || drop(consumer.poll(Duration::ZERO));
            let refusal = settings.kafka.as_ref().and_then(|k| client::refusal(k, consumer.context(), hear));
            Err(refusal.unwrap_or(why))
        }
    }
}

/// What an administrator grants to an operator, short enough for a line.
fn acls(settings: &LedgerSettings, principal: Option<&Label>) -> String {
    let who = principal.map_or("User:NAME", Label::as_str);
    format!(
        "kafka-acls.sh --add --allow-principal {who} --operation Read --operation Write --topic {} --topic {}; and \
         --operation Write --transactional-id highwater. --resource-pattern-type prefixed",
        settings.history, settings.state
    )
}
