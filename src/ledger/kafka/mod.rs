//! The ledger on two Kafka topics, so that operators on several machines are one: librdkafka carries it.
//!
//! ```text
//! ledger.jsonl ──(lines that are synced)──▶ writer ──one transaction──▶ history  (delete: every line, one partition)
//!                                                                  └──▶ state    (compact: the last line of what is open)
//!                              View ◀── Arbiter ◀── reader ◀──(read committed)── history
//! ```
//!
//! The local ledger stays the record; it is also the outbox, so nothing is lost while the brokers are away: what the log
//! lacks is published when they are back. Three things make the log an arbiter ([`super::arbiter`] has the proof):
//!
//! - **Fenced**: the producer's `transactional.id` is the ledger's own. Who takes a ledger over (a restart, a copied
//!   folder) fences the producer before it off at the broker, and then greets the log: behind that greeting no record of
//!   an earlier life can stand. Whoever reads another process' greeting in its own name has been replaced, and closes.
//! - **Exactly once**: after its greeting came back, a writer knows which of its lines the log has, and goes on there.
//! - **Read back**: [`Shared::claim`] answers only when the own record came back through the reader.
//!
//! Threads, not tasks: librdkafka's transaction calls block.

mod client;
mod outbox;
mod reader;
mod record;
mod whole;
mod writer;

pub use whole::{Published, Whole, check, read_whole};

use super::arbiter::{Arbiter, Held};
use crate::model::{ActionId, ActionState, KafkaSettings, Label, LedgerSettings};
use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// A claim that was not read back within this is given up, before anything is written to the target. It bounds the time
/// between intent and write, on which others rely who find a claim without an end.
pub const CLAIM_DEADLINE: Duration = Duration::from_secs(10);

/// How long the end of a process waits for what it recorded to be in the log; what is not is published at the next start.
const SETTLED: Duration = Duration::from_secs(2);

/// Why nothing is read for a while when an operator's process ended inside of a transaction: nobody reads past one that is
/// open, and the brokers look for those that are overdue (6 s) every 10 s by default.
pub const HELD_UP: &str = "the shared ledger is held up: an operator's process ended while it wrote, and the brokers close \
                           what it left open within about 16 s";

/// How one of the two directions is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Not there yet.
    #[default]
    Connecting,
    /// It works.
    Up,
    /// It does not work now, and is tried again.
    Lost(Label),
    /// It will not work again in this process.
    Closed(Label),
}

/// What is known of the shared ledger.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Every operator's actions.
    pub arbiter: Arc<Arbiter>,
    /// The identity of the cluster, when it has told.
    pub cluster: Option<Label>,
    /// Records that are no entries, or not as they were sealed.
    pub strange: u64,
    reader: Link,
    writer: Link,
    /// Greetings in the name of the own ledger, in the order of the log.
    greetings: Vec<u64>,
    /// The last number of our own lines by the state topic.
    recorded: Option<u64>,
    /// What we committed has not come back for seconds although the brokers answer: see [`HELD_UP`].
    pub held_up: bool,
    /// How far our own lines were in the log when this process joined: what an earlier run wrote behind that was never
    /// read back. `None`: not known yet.
    had: Option<u64>,
}

impl View {
    /// Whether it can be written and read back now.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub fn link(&self) -> Result<(), Label> {
        let why = |link: &Link, what: &str| match link {
            Link::Up => None,
            Link::Connecting => Some(Label::new(&format!("the shared ledger is not {what} yet"))),
            Link::Lost(why) | Link::Closed(why) => Some(why.clone()),
        };
        match why(&self.reader, "read").or_else(|| why(&self.writer, "writable")) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }

    /// What the log says of a claim of an earlier run of this ledger: `Some(Err)`: it never stood, so nothing was written.
    pub fn earlier_claim(&self, ledger: &Label, seq: u64) -> Option<Result<(), Label>> {
        if self.had? < seq {
            return Some(Err("it was never in the shared ledger".into()));
        }
        self.arbiter.verdict_of(ledger, seq)
    }

    fn closed(&self) -> Option<&Label> {
        [&self.reader, &self.writer].into_iter().find_map(|link| match link {
            Link::Closed(why) => Some(why),
            _ => None,
        })
    }
}

/// How a claim came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The own record is in the log and holds: the one write may begin.
    Won,
    /// Another operator's record stands before it.
    Lost(Label),
    /// It is not known to be in the log; nothing may be written.
    NotShared(Label),
}

/// What both threads have.
struct Common {
    settings: LedgerSettings,
    kafka: KafkaSettings,
    /// With the secrets as they were read last; `None`: they are to be read.
    client: Mutex<Option<rdkafka::ClientConfig>>,
    ledger: Label,
    view: watch::Sender<View>,
    /// The last line when it was joined: of no interest to others where the log knows nothing of this ledger.
    first: u64,
    /// Lines up to this number are on the disk and may be published.
    synced: AtomicU64,
    /// Lines up to this number were committed to the log by this process.
    committed: AtomicU64,
    stop: AtomicBool,
}

impl std::fmt::Debug for Common {
    /// Without the client's properties, where passwords are.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Common").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

impl Common {
    fn stopped(&self) -> bool {
        self.stop.load(SeqCst)
    }

    /// The client's properties; blocks while secrets are read.
    fn client(&self) -> Result<rdkafka::ClientConfig, String> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        Ok(client.insert(client::config_now(&self.kafka)?).clone())
    }

    /// The log-in was refused, or cannot be tried: waits a while. Then secrets are read again, which may have been changed.
    fn wait_for_secrets(&self) {
        let until = Instant::now() + client::LOG_IN_AGAIN;
        while Instant::now() < until && !self.stopped() {
            std::thread::sleep(Duration::from_millis(100));
        }
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// One operator's place in the shared ledger. Dropping it ends its threads within a second or two.
#[derive(Debug)]
pub struct Shared {
    common: Arc<Common>,
    wake: mpsc::Sender<()>,
    view: watch::Receiver<View>,
    principal: Option<Label>,
}

impl Shared {
    /// Joins with the ledger in `dir`, whose identity is `ledger` ([`super::Ledger::id`]) and whose last entry is number
    /// `last`. Returns at once; [`Shared::view`] tells how it goes.
    ///
    /// # Errors
    /// No cluster is configured, or there is no thread to be had.
    pub fn open(settings: &LedgerSettings, dir: &Path, ledger: Label, last: u64) -> Result<Self, String> {
        let Some(kafka) = &settings.kafka else { return Err("no [ledger] kafka is configured".to_owned()) };
        let (sender, view) = watch::channel(View::default());
        let common = Arc::new(Common {
            settings: settings.clone(),
            kafka: kafka.clone(),
            client: Mutex::new(None),
            ledger,
            view: sender,
            first: last,
            synced: AtomicU64::new(last),
            committed: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let (wake, woken) = mpsc::channel();
        let outbox = outbox::Outbox::new(dir);
        let broke = |e| format!("a thread for the shared ledger cannot be started: {e}");
        let reading = common.clone();
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        thread("ledger-reader").spawn(move || reader::run(&reading)).map_err(broke)?;
        let writing = common.clone();
        thread("ledger-writer").spawn(move || writer::run(&writing, outbox, &woken)).map_err(broke)?;
        Ok(Self { common, wake, view, principal: principal(kafka) })
    }

    /// The identity of the own ledger.
    pub fn ledger(&self) -> &Label {
        &self.common.ledger
    }

    /// Who the brokers let in, `User:alice`, once they have; and which cluster says so. `None` without authentication.
    pub fn identity(&self) -> Option<(Label, Label)> {
        let view = self.view.borrow();
        let cluster = view.cluster.clone().filter(|_| view.link().is_ok())?;
        Some((self.principal.clone()?, format!("kafka {cluster}").into()))
    }

    /// What is known; changes with every record.
    pub fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// Lines up to number `seq` are on the disk: publishes what the log lacks.
    pub fn publish(&self, seq: u64) {
        self.common.synced.fetch_max(seq, SeqCst);
        let _ = self.wake.send(()); // the thread has ended, and the view says why
    }

    /// Waits until all that was given to [`Shared::publish`] is in the log, for a moment and not where it is lost: nobody
    /// reads past a transaction that a process left open at its end.
    pub async fn settled(&self) {
        let Common { ledger, first, synced, .. } = &*self.common;
        let last = synced.load(SeqCst);
        let mut view = self.view.clone();
        let settled = view.wait_for(|v| last == *first || v.link().is_err() || v.arbiter.last_of(ledger) >= Some(last));
        let _ = tokio::time::timeout(SETTLED, settled).await;
    }

    /// Waits until the own line number `seq`, a synced record of intent that was given to [`Shared::publish`], came back,
    /// and says whether it holds: whether it was the first, and nobody took it over since.
    pub async fn claim(&self, seq: u64, action: &ActionId) -> Claim {
        let mut view = self.view.clone();
        let ledger = &self.common.ledger;
        let settled = view.wait_for(|v| v.closed().is_some() || v.arbiter.verdict_of(ledger, seq).is_some());
        let came = tokio::time::timeout(CLAIM_DEADLINE, settled).await;
        let Ok(Ok(view)) = came else {
            let view = self.view.borrow();
            let held_up = view.held_up.then(|| HELD_UP.into());
            return Claim::NotShared(view.link().err().or(held_up).unwrap_or_else(|| {
                format!("the own record did not come back within {} s", CLAIM_DEADLINE.as_secs()).into()
            }));
        };
        match (view.arbiter.verdict_of(ledger, seq), view.closed()) {
            (_, Some(why)) => Claim::NotShared(why.clone()),
            (Some(Ok(())), None) => match view.arbiter.held().get(action) {
                Some(held) if held.ledger == *ledger && held.action.state == ActionState::Applying => Claim::Won,
                Some(Held { action, .. }) => {
                    Claim::Lost(format!("{} took it over, and it is {}", action.actor, action.state.name()).into())
                }
                None => Claim::Lost("it is no longer known".into()),
            },
            (Some(Err(why)), None) => Claim::Lost(why),
            (None, None) => Claim::NotShared("the own record did not come back".into()),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.common.stop.store(true, SeqCst);
        let _ = self.wake.send(()); // ended already
    }
}

/// Who a broker takes us for when it lets us in by SASL: Kafka's own form.
fn principal(kafka: &KafkaSettings) -> Option<Label> {
    use crate::model::Property::Text;
    match (kafka.properties.get("security.protocol"), kafka.properties.get("sasl.username")) {
        (Some(Text(protocol)), Some(Text(user))) if protocol.to_ascii_uppercase().starts_with("SASL_") => {
            Some(Label::new(&format!("User:{user}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
