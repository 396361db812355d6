//! The writing thread: takes synced lines from the outbox and publishes them in transactions, each line exactly once.

use super::{
    Common, Link,
    client::{self, Context},
    outbox::{Line, Outbox},
    record,
};
use crate::{model::Label, process::BOUNDARY};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use std::{
    hash::BuildHasher as _,
    sync::{atomic::Ordering::SeqCst, mpsc},
    time::{Duration, Instant},
};

/// Deadline of one step of a transaction. A step that took longer is asked for again: the library remembers.
const STEP: Duration = Duration::from_secs(5);
/// How long a greeting may take to come back through the reader.
const GREETING: Duration = Duration::from_secs(20);
/// Pause before a failed session begins anew.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a session ended.
enum End {
    Stopped,
    /// Begin anew.
    Again(String),
    /// The brokers refuse our log-in, or the secrets for it cannot be read.
    Refused(String),
    /// Another process writes in this ledger's name.
    Replaced,
}

/// Publishes until told to stop.
pub(super) fn run(common: &Common, outbox: Outbox, woken: &mpsc::Receiver<()>) {
    let mut writer = Writer { common, outbox, woken, ours: Vec::new() };
    while !common.stopped() {
        match writer.session() {
            End::Stopped => return,
            End::Again(why) => {
                let why = Label::new(&format!("the shared ledger cannot be written: {why}"));
                common.view.send_modify(|v| v.writer = Link::Lost(why));
                let _ = woken.recv_timeout(PAUSE); // told to stop, or just time
            }
            End::Refused(why) => {
                common.view.send_modify(|v| v.writer = Link::Lost(Label::new(&why)));
                common.wait_for_secrets();
            }
            End::Replaced => {
                let why = "another process writes the shared ledger in the name of this one: its folder was copied, or \
                           this process was replaced; end one of them and start again";
                common.view.send_modify(|v| v.writer = Link::Closed(why.into()));
                return;
            }
        }
    }
}

struct Writer<'a> {
    common: &'a Common,
    outbox: Outbox,
    woken: &'a mpsc::Receiver<()>,
    /// Greetings that this process sent.
    ours: Vec<u64>,
}

impl Writer<'_> {
    fn session(&mut self) -> End {
        let config = match self.common.client() {
            Ok(config) => config,
            Err(why) => return End::Refused(why),
        };
        let producer = match self.producer(config) {
            Ok(producer) => producer,
            Err(why) => return End::Again(why),
        };
        match self.publish(&producer) {
            Ok(()) => End::Stopped,
            Err(_) if self.replaced() => End::Replaced,
            Err(why) => {
                let hear = || producer.poll(Duration::ZERO);
                client::refusal(&self.common.kafka, producer.context(), hear).map_or(End::Again(why), End::Refused)
            }
        }
    }

    /// Whether somebody else greeted in our name after us.
    fn replaced(&self) -> bool {
        let view = self.common.view.borrow();
        let behind_ours = view.greetings.iter().skip_while(|n| !self.ours.contains(n));
        behind_ours.into_iter().any(|n| !self.ours.contains(n))
    }

    fn publish(&mut self, producer: &BaseProducer<Context>) -> Result<(), String> {
        tracing::trace!(target: BOUNDARY, "fencing");
        repeat(|| producer.init_transactions(STEP)).map_err(|e| said(producer, &e))?;
        tracing::trace!(target: BOUNDARY, "fenced");
        self.greet(producer)?;
        let published = self.published();
        self.outbox.seek(published);
        self.common.view.send_modify(|v| {
            v.writer = Link::Up;
            v.had.get_or_insert(published);
        });
        while !self.common.stopped() {
            let synced = self.common.synced.load(SeqCst);
            let lines = self.outbox.next(synced).map_err(|e| format!("the local ledger cannot be read: {e}"))?;
            if !lines.is_empty() {
                self.transaction(producer, &lines)?;
                self.common.committed.fetch_max(lines.last().map_or(0, |l| l.seq), SeqCst);
                continue;
            }
            if self.replaced() {
                return Err("replaced".to_owned());
            }
            let _ = self.woken.recv_timeout(Duration::from_secs(1)); // woken, or time to look
        }
        Ok(())
    }

    fn producer(&self, mut config: rdkafka::ClientConfig) -> Result<BaseProducer<Context>, String> {
        config
            .set("transactional.id", format!("highwater.{}", self.common.ledger))
            .set("acks", "all")
            .set("enable.idempotence", "true")
            // Nobody reads past an open transaction, so one whose process died must not stay open for long.
            .set("transaction.timeout.ms", "6000")
            .set("message.timeout.ms", "5000")
            .set("socket.timeout.ms", "5000")
            .set("linger.ms", "0")
            .set("retry.backoff.ms", "50");
        config.create_with_context(Context::default()).map_err(|e| client::words(&e))
    }

    /// Says hello in the log and waits until it came back: then every record of an earlier life of this ledger that will
    /// ever be in the log has been read.
    fn greet(&mut self, producer: &BaseProducer<Context>) -> Result<(), String> {
        let nonce = std::hash::RandomState::new().hash_one(std::process::id()); // the system seeds it
        self.ours.push(nonce);
        let headers = record::greeting(&self.common.ledger, nonce);
        self.transact(producer, |p| {
            let key = self.common.ledger.as_str();
            let hello = BaseRecord::<str, str>::to(&self.common.settings.history).partition(0).key(key);
            p.send(hello.headers(headers.clone())).map_err(|(e, _)| e)
        })?;
        let deadline = Instant::now() + GREETING;
        while !self.common.view.borrow().greetings.contains(&nonce) {
            if self.common.stopped() || self.replaced() {
                return Err("stopped".to_owned());
            }
            if Instant::now() > deadline {
                let reading = self.common.view.borrow().link().err();
                return Err(reading.map_or("the greeting did not come back".to_owned(), |why| why.to_string()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Number of the last own line in the log.
    fn published(&self) -> u64 {
        let view = self.common.view.borrow();
        view.arbiter.last_of(&self.common.ledger).max(view.recorded).unwrap_or(self.common.first)
    }

    fn transaction(&self, producer: &BaseProducer<Context>, lines: &[Line]) -> Result<(), String> {
        let (history, state) = (&self.common.settings.history, &self.common.settings.state);
        let headers = record::headers(&self.common.ledger);
        let mut open = std::collections::BTreeMap::new();
        let mut keyed = Vec::with_capacity(lines.len());
        for line in lines {
            let entry = record::entry(&line.text).map_err(|e| format!("line {} of the local ledger: {e}", line.seq))?;
            let key = entry.target.as_ref().map_or_else(|| "ledger".to_owned(), ToString::to_string);
            keyed.push((key, line));
            open.extend(record::state(&entry, &line.text));
        }
        let progress = record::progress_key(&self.common.ledger);
        let last = lines.last().map_or(0, |l| l.seq).to_string();
        self.transact(producer, |p| {
            for (key, line) in &keyed {
                let record = BaseRecord::to(history).partition(0).key(key.as_str()).payload(line.text.as_str());
                p.send(record.headers(headers.clone())).map_err(|(e, _)| e)?;
            }
            for (key, value) in &open {
                let record = BaseRecord::to(state).partition(0).key(key.as_str()).headers(headers.clone());
                let record = match value {
                    Some(value) => record.payload(value.as_str()),
                    None => record, // a tombstone: it came to rest
                };
                p.send(record).map_err(|(e, _)| e)?;
            }
            let record = BaseRecord::to(state).partition(0).key(progress.as_str()).payload(last.as_str());
            p.send(record.headers(headers.clone())).map_err(|(e, _)| e)
        })
    }

    /// One transaction. One that the broker has the library abort is tried again; anything else ends the session, and the
    /// next one finds out by its greeting what became of it.
    fn transact(
        &self,
        producer: &BaseProducer<Context>,
        fill: impl Fn(&BaseProducer<Context>) -> Result<(), KafkaError>,
    ) -> Result<(), String> {
        loop {
            tracing::trace!(target: BOUNDARY, "publishing");
            let done = producer.begin_transaction().and_then(|()| fill(producer));
            tracing::trace!(target: BOUNDARY, "sent, not committed");
            let done = done.inspect(|()| delivered(producer));
            tracing::trace!(target: BOUNDARY, "delivered, not committed");
            let done = done.and_then(|()| repeat(|| producer.commit_transaction(STEP)));
            tracing::trace!(target: BOUNDARY, "published");
            let Err(error) = done else { return Ok(()) };
            let abortable = matches!(&error, KafkaError::Transaction(e) if e.txn_requires_abort());
            if !abortable || self.common.stopped() {
                return Err(said(producer, &error));
            }
            repeat(|| producer.abort_transaction(STEP)).map_err(|e| said(producer, &e))?;
        }
    }
}

/// Waits until the brokers have every record. The library's own flush polls in steps of 100 ms, which an approval would
/// feel. What is not delivered in time the commit waits for, and says.
fn delivered(producer: &BaseProducer<Context>) {
    let deadline = Instant::now() + STEP;
    while producer.in_flight_count() > 0 && Instant::now() < deadline {
        producer.poll(Duration::from_millis(1));
    }
}

/// Asks again for a step that only took too long, three times.
fn repeat(step: impl Fn() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    let mut left = 3;
    loop {
        let error = match step() {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let retriable = match &error {
            KafkaError::Transaction(e) => e.is_retriable(),
            KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
            _ => false,
        };
        left -= 1;
        if !retriable || left == 0 {
            return Err(error);
        }
    }
}

fn said(producer: &BaseProducer<Context>, error: &KafkaError) -> String {
    match producer.context().complaint() {
        Some(complaint) => format!("{} ({complaint})", client::words(error)),
        None => client::words(error),
    }
}
