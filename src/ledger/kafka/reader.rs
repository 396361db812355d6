//! The reading thread: the state topic once, the history for ever; everything it reads goes through the arbiter.

use super::{
    Common, Link, View,
    client::{self, Context},
    record::{self, Said},
};
use crate::{
    ledger::arbiter::{Arbiter, Record},
    model::Label,
};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// History that is read at the start; what is open and older comes from the state topic.
const BACK: Duration = Duration::from_secs(7 * 86_400);
/// Records that are read where nothing is as young as that.
const FEW: i64 = 5000;
/// A broker that does not answer within this is lost: half of what an operator waits for a claim.
const PING: Duration = Duration::from_millis(1500);
/// Time between two looks whether the brokers are still there.
const PACE: Duration = Duration::from_secs(2);
/// Records taken in before others see them, at most.
const BATCH: usize = 500;

/// Reads until told to stop; begins anew when a beginning fails, goes on where it was when a log-in was refused.
pub(super) fn run(common: &Common) {
    let mut reading =
        Reading { common, arbiter: Arbiter::default(), next: None, strange: 0, refused: None, behind: None };
    while !common.stopped() {
        let Err(End { why, refused }) = reading.session() else { continue };
        reading.lost(&why);
        if refused { common.wait_for_secrets() } else { std::thread::sleep(Duration::from_secs(1)) }
    }
}

/// Why a session ended, and whether that was for want of a log-in which the brokers take.
struct End {
    why: String,
    refused: bool,
}

struct Reading<'a> {
    common: &'a Common,
    arbiter: Arbiter,
    /// The offset in the history to be read next; `None`: nothing was read yet.
    next: Option<i64>,
    strange: u64,
    /// When the brokers last said that the history may not be read.
    refused: Option<Instant>,
    /// Since when something that we committed was not read back.
    behind: Option<Instant>,
}

/// Reads the state topic to its end: what is open goes to the arbiter. Answers with how far our own lines are in it.
fn read_state(common: &Common, arbiter: &mut Arbiter) -> Result<Option<u64>, String> {
    let topic = &common.settings.state;
    let consumer = client::consumer(&common.client()?)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).map_err(|e| client::words(&e))?;
    consumer.assign(&list).map_err(|e| client::words(&e))?;
    let own = record::progress_key(&common.ledger);
    let (mut open, mut recorded) = (BTreeMap::new(), None);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let key = message.key().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
                let value = message.payload().map(|p| String::from_utf8_lossy(p).into_owned());
                if key == own {
                    recorded = value.and_then(|v| v.parse().ok());
                } else if !key.starts_with("ledger/") {
                    // What is younger is in the part of the history that is read.
                    let older = message.timestamp().to_millis().is_some_and(|at| at < since());
                    open.insert(key, (record::read(&message), value.is_some() && older));
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(Err(e)) => return Err(format!("topic {topic} cannot be read: {}", client::why(&consumer, &e))),
            None if common.stopped() => break,
            None if Instant::now() > deadline => return Err(format!("topic {topic}: no end within 30 s")),
            None => {}
        }
    }
    for (said, is_open) in open.into_values() {
        if let (Said::Entry(record), true) = (said, is_open) {
            arbiter.remember(&record, Instant::now());
        }
    }
    Ok(recorded)
}

impl Reading<'_> {
    /// Reads until told to stop, or until it cannot go on.
    fn session(&mut self) -> Result<(), End> {
        let config = self.common.client().map_err(|why| End { why, refused: true })?;
        let consumer = client::consumer(&config).map_err(|why| End { why, refused: false })?;
        self.read(&consumer).map_err(|why| {
            let refusal =
                client::refusal(&self.common.kafka, consumer.context(), || drop(consumer.poll(Duration::ZERO)));
            let refused = refusal.is_some();
            End { why: refusal.unwrap_or(why), refused }
        })
    }

    fn read(&mut self, consumer: &BaseConsumer<Context>) -> Result<(), String> {
        let common = self.common;
        client::look_at_topics(consumer, &common.settings)?;
        let start = if let Some(next) = self.next {
            next
        } else {
            let cluster = consumer.client().fetch_cluster_id(PING).map(|id| Label::new(&id));
            self.arbiter = Arbiter::default();
            let recorded = read_state(common, &mut self.arbiter)?;
            common.view.send_modify(|v| {
                v.cluster = cluster;
                v.recorded = recorded;
            });
            first(consumer, &common.settings.history)?
        };
        let mut list = TopicPartitionList::new();
        let words = |e: KafkaError| client::why(consumer, &e);
        list.add_partition_offset(&common.settings.history, 0, Offset::Offset(start)).map_err(words)?;
        consumer.assign(&list).map_err(words)?;
        self.next = Some(start);
        self.follow(consumer)
    }

    fn follow(&mut self, consumer: &BaseConsumer<Context>) -> Result<(), String> {
        let (mut pinged, mut fresh, mut caught_up) = (Instant::now(), 0, false);
        while !self.common.stopped() {
            // What is there already is taken in one go, so that a long history is shown once.
            match consumer.poll(Duration::from_millis(if fresh > 0 { 0 } else { 100 })) {
                Some(Ok(message)) => {
                    let said = record::read(&message);
                    self.take(said);
                    self.next = Some(message.offset() + 1);
                    fresh += 1;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    caught_up = true;
                    self.show(true);
                    fresh = 0;
                }
                Some(Err(error)) if is_refusal(&error) => {
                    self.refused = Some(Instant::now());
                    self.lost(&format!("the history cannot be read: {}", client::why(consumer, &error)));
                }
                // A connection that broke: the library makes another one, and the next look says whether it can.
                Some(Err(error)) => tracing::debug!("librdkafka: {}", client::words(&error)),
                None if fresh > 0 => {
                    self.show(caught_up);
                    fresh = 0;
                }
                None => {}
            }
            if fresh >= BATCH {
                self.show(caught_up);
                fresh = 0;
            }
            if caught_up && fresh == 0 && pinged.elapsed() > PACE {
                pinged = Instant::now();
                self.ping(consumer)?;
            }
        }
        Ok(())
    }

    /// Looks whether the brokers are there; an error ends the session: they refuse our log-in.
    fn ping(&mut self, consumer: &BaseConsumer<Context>) -> Result<(), String> {
        let topic = &self.common.settings.history;
        match consumer.fetch_watermarks(topic, 0, PING) {
            Ok(_) => {
                self.show(true);
                self.look_behind();
            }
            Err(_) if consumer.context().is_refused() => return Err("the log-in is refused".to_owned()),
            Err(error) => {
                let why = client::why(consumer, &error);
                self.lost(&format!("the shared ledger does not answer: {why}"));
            }
        }
        Ok(())
    }

    /// Whether what we committed stays away although the brokers answer.
    fn look_behind(&mut self) {
        let read = self.arbiter.last_of(&self.common.ledger).unwrap_or(0);
        let behind = self.common.committed.load(SeqCst) > read;
        self.behind = behind.then(|| self.behind.unwrap_or_else(Instant::now));
        let held_up = self.behind.is_some_and(|since| since.elapsed() > PACE);
        self.common.view.send_if_modified(|v| std::mem::replace(&mut v.held_up, held_up) != held_up);
    }

    fn lost(&self, why: &str) {
        self.common.view.send_if_modified(|v| {
            let lost = Link::Lost(Label::new(why));
            let changed = v.reader != lost && !matches!(v.reader, Link::Closed(_));
            if changed {
                v.reader = lost;
            }
            changed
        });
    }

    fn take(&mut self, said: Said) {
        match said {
            Said::Entry(record) => self.judge(&record),
            Said::Greeting { ledger, nonce } if ledger == self.common.ledger => {
                // Behind all that was read so far, which others must see first.
                self.show(false);
                self.common.view.send_modify(|v| v.greetings.push(nonce));
            }
            Said::Greeting { .. } => {}
            Said::Newer { ledger, why } => {
                let why =
                    format!("ledger {ledger} in the shared one is {why}: update this program to see what it decides");
                self.common.view.send_modify(|v| v.reader = Link::Closed(Label::new(&why)));
            }
            Said::Strange(why) => {
                self.strange += 1;
                tracing::warn!("a record of {} is passed over: {why}", self.common.settings.history);
            }
        }
    }

    fn judge(&mut self, record: &Record) {
        let verdict = self.arbiter.take(record, Instant::now());
        tracing::debug!("{} of {}: {verdict:?}", record.entry.seq, record.ledger);
    }

    /// Lets others see what was read.
    fn show(&self, caught_up: bool) {
        // A refusal is repeated every moment while it lasts.
        let caught_up = caught_up && self.refused.is_none_or(|at| at.elapsed() > 2 * PACE);
        self.common.view.send_if_modified(|v: &mut View| {
            let up = caught_up && !matches!(v.reader, Link::Up | Link::Closed(_));
            if up {
                v.reader = Link::Up;
            }
            let news = !v.arbiter.is(&self.arbiter) || v.strange != self.strange;
            if news {
                v.arbiter = Arc::new(self.arbiter.clone());
                v.strange = self.strange;
            }
            up || news
        });
    }
}

/// The offset that the history is read from.
fn first(consumer: &BaseConsumer<Context>, topic: &str) -> Result<i64, String> {
    let words = |e: KafkaError| format!("the history cannot be found: {}", client::why(consumer, &e));
    // Before the question by time: what comes in between is behind it.
    let (low, end) = consumer.fetch_watermarks(topic, 0, Duration::from_secs(5)).map_err(words)?;
    let mut ask = TopicPartitionList::new();
    ask.add_partition_offset(topic, 0, Offset::Offset(since())).map_err(words)?;
    let found = consumer.offsets_for_times(ask, Duration::from_secs(5)).map_err(words)?;
    Ok(match found.find_partition(topic, 0).map(|p| p.offset()) {
        Some(Offset::Offset(at)) => at.min(end),
        // Nothing is that young: the last of what there is.
        _ => low.max(end - FEW),
    })
}

/// Where the history begins that is read, milliseconds since the epoch.
fn since() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(BACK);
    i64::try_from(since.as_millis()).unwrap_or(0)
}

/// Whether asking again is of no use.
fn is_refusal(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{TopicAuthorizationFailed, UnknownPartition, UnknownTopicOrPartition};
    matches!(error.rdkafka_error_code(), Some(TopicAuthorizationFailed | UnknownTopicOrPartition | UnknownPartition))
}
