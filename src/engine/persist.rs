//! The store of the history, behind a bounded channel: a full disk or a slow one never holds the engine up.

use super::{STEP, run::Event};
use crate::{
    advise::Learned,
    history::{History, store::Store},
    model::{Entity, Role, Sample, Severity, SignalKey, Time},
};
use std::{collections::HashMap, path::PathBuf};
use tokio::sync::mpsc;

/// How far back the history is read at start, seconds: a day, for the daily season.
const LOAD: f64 = 26.0 * 3600.0;
/// How far back demand is read, coarsely: a week, for the weekly one.
const LOAD_DEMAND: f64 = 8.0 * 86_400.0;
/// Batches that may wait for the disk.
const QUEUE: usize = 64;
/// Series whose last sample's time is remembered; what was forgotten is written a moment early.
const REMEMBERED: usize = 200_000;
/// Samples that wait for a disk which takes none, at most: a quarter of an hour of 2000 series and more.
const OWED: usize = 200_000;
/// Samples that lie further ahead of our clock, seconds, are not kept: what is old on the disk is told by the newest, and a
/// Prometheus whose clock is a fortnight ahead would let all of it go.
const AHEAD: f64 = 86_400.0;

/// What lies on the disk, and the way to it.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) history: History,
    /// What earlier runs learned.
    pub(super) learned: Vec<(Entity, Learned)>,
    /// Takes what is to be kept; `None`: nothing is.
    pub(super) store: Option<mpsc::Sender<Batch>>,
    /// What the operator should know.
    pub(super) problem: Option<String>,
}

/// Opens the store, reads what there is, and starts the writer. The writer ends when the sender is dropped.
///
/// Without a store (no place, or the file cannot be used) there is a history all the same, for this run only, and a
/// sentence that says so. What goes wrong later is told to `notices`.
pub(super) async fn start(dir: Option<PathBuf>, now: Time, notices: mpsc::Sender<Event>) -> Kept {
    let Some(dir) = dir else { return Kept::default() };
    let opened = tokio::task::spawn_blocking(move || {
        let mut store = Store::open(&dir)?;
        let mut history = History::default();
        store.load(&mut history, now.plus(-LOAD))?;
        store.load_coarse(&mut history, Role::Demand, now.plus(-LOAD_DEMAND), now.plus(-LOAD))?;
        let learned = learned(&store)?;
        Ok::<_, String>((store, history, learned))
    });
    let none =
        |why: String| Kept { problem: Some(format!("history is not kept between runs: {why}")), ..Kept::default() };
    match opened.await {
        Ok(Ok((store, history, learned))) => {
            let (sender, receiver) = mpsc::channel(QUEUE);
            let problem = store.notice().map(str::to_owned);
            tokio::task::spawn_blocking(move || write(store, receiver, &notices));
            Kept { history, learned, store: Some(sender), problem }
        }
        Ok(Err(why)) => none(why),
        Err(e) => none(e.to_string()),
    }
}

/// What earlier runs noted; a note that cannot be read is another version's.
fn learned(store: &Store) -> Result<Vec<(Entity, Learned)>, String> {
    let read = |(entity, _, text): (Entity, Time, String)| Some((entity, serde_json::from_str(&text).ok()?));
    Ok(store.notes()?.into_iter().filter_map(read).collect())
}

/// What one pass leaves to be kept.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) samples: Vec<(SignalKey, Sample)>,
    pub(super) learned: Vec<(Entity, Learned)>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.learned.is_empty()
    }
}

fn write(mut store: Store, mut receiver: mpsc::Receiver<Batch>, notices: &mpsc::Sender<Event>) {
    let mut last: HashMap<SignalKey, Time> = HashMap::new();
    let mut failing = false;
    let mut owed: Vec<(SignalKey, Sample)> = Vec::new();
    while let Some(mut batch) = receiver.blocking_recv() {
        while let Ok(more) = receiver.try_recv() {
            batch.samples.extend(more.samples);
            batch.learned.extend(more.learned);
        }
        if last.len() > REMEMBERED {
            last.clear(); // groups come and go
        }
        let now = Time::now();
        batch.samples.retain(|(key, sample)| {
            if sample.at.since(now) > AHEAD {
                return false;
            }
            let due = last.get(key).is_none_or(|t| sample.at.since(*t) >= STEP || sample.at < *t);
            if due {
                last.insert(key.clone(), sample.at);
            }
            due
        });
        if batch.is_empty() {
            continue;
        }
        // What could not be written is tried again: a disk that was full for ten minutes leaves no hole of ten minutes.
        owed.append(&mut batch.samples);
        owed.drain(..owed.len().saturating_sub(OWED));
        let note = |(entity, learned): (Entity, Learned)| {
            Some((entity, learned.at, serde_json::to_string(&learned).ok()?)) // plain numbers and texts
        };
        let notes: Vec<_> = batch.learned.into_iter().filter_map(note).collect();
        let appended = if owed.is_empty() { Ok(()) } else { store.append(&owed) };
        if appended.is_ok() {
            owed.clear();
        }
        let noted = if notes.is_empty() { Ok(()) } else { store.note(&notes) };
        // A failure is said once, until it works again.
        let notice = match (appended.and(noted), failing) {
            (Ok(()), true) => Event::Notice(Severity::Ok, "the history is kept again".to_owned()),
            (Err(why), false) => Event::Notice(Severity::Look, format!("the history is not kept: {why}")),
            (Ok(()), false) | (Err(_), true) => continue,
        };
        failing = !failing;
        let _ = notices.blocking_send(notice); // the engine has ended: nobody is left to be told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Role, WorkloadKind};

    #[test]
    fn what_lies_far_ahead_of_the_clock_is_not_kept_and_makes_nothing_old() {
        let dir = tempfile::tempdir().unwrap();
        let (sender, receiver) = mpsc::channel(1);
        let entity = Entity { kind: WorkloadKind::Inference, source: "main".into(), id: "chat".into() };
        let key = SignalKey { entity, role: Role::Demand };
        let sample = |ahead: f64| (key.clone(), Sample { at: Time::now().plus(ahead), value: 1.0 });
        let samples = vec![sample(0.0), sample(14.0 * 86_400.0), sample(60.0)];
        sender.try_send(Batch { samples, learned: Vec::new() }).unwrap();
        drop(sender);
        write(Store::open(dir.path()).unwrap(), receiver, &mpsc::channel(1).0);
        let mut history = History::default();
        let kept = Store::open(dir.path()).unwrap().load(&mut history, Time::default());
        assert_eq!(kept, Ok(2));
    }

    #[test]
    fn a_history_that_can_no_longer_be_written_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let file = rusqlite::Connection::open(dir.path().join("history.sqlite3")).unwrap();
        file.execute_batch("DROP TABLE samples").unwrap();
        let entity = Entity { kind: WorkloadKind::Inference, source: "main".into(), id: "chat".into() };
        let key = SignalKey { entity, role: Role::Demand };
        let (notices, mut told) = mpsc::channel(4);
        let (sender, receiver) = mpsc::channel(2);
        let writer = std::thread::spawn(move || write(store, receiver, &notices));
        for ahead in [0.0, 60.0] {
            let samples = vec![(key.clone(), Sample { at: Time::now().plus(ahead), value: 1.0 })];
            sender.blocking_send(Batch { samples, learned: Vec::new() }).unwrap();
        }
        drop(sender);
        writer.join().unwrap();
        let Ok(Event::Notice(severity, text)) = told.try_recv() else { panic!("nothing is told") };
        assert!(severity == Severity::Look && text.starts_with("the history is not kept: cannot write"), "{text}");
        assert!(told.try_recv().is_err(), "once");
    }

    #[test]
    fn what_could_not_be_written_is_written_when_it_can_be() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let file = rusqlite::Connection::open(dir.path().join("history.sqlite3")).unwrap();
        let entity = Entity { kind: WorkloadKind::Inference, source: "main".into(), id: "chat".into() };
        let key = SignalKey { entity, role: Role::Demand };
        let (notices, mut told) = mpsc::channel(4);
        let (sender, receiver) = mpsc::channel(2);
        let writer = std::thread::spawn(move || write(store, receiver, &notices));
        for (ahead, table) in [(0.0, "samples RENAME TO away"), (60.0, "away RENAME TO samples")] {
            file.execute_batch(&format!("ALTER TABLE {table}")).unwrap();
            let samples = vec![(key.clone(), Sample { at: Time::now().plus(ahead), value: 1.0 })];
            sender.blocking_send(Batch { samples, learned: Vec::new() }).unwrap();
            told.blocking_recv().unwrap();
        }
        drop(sender);
        writer.join().unwrap();
        let kept = Store::open(dir.path()).unwrap().load(&mut History::default(), Time::default());
        assert_eq!(kept, Ok(2), "no hole");
    }

    #[tokio::test]
    async fn a_history_that_was_damaged_is_kept_anew_and_that_is_said() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("history.sqlite3"), "no database ".repeat(200)).unwrap();
        let kept = start(Some(dir.path().to_owned()), Time::now(), mpsc::channel(1).0).await;
        let said = kept.problem.unwrap();
        assert!(said.contains("was damaged") && said.contains("damaged-1"), "{said}");
        assert!(kept.store.is_some());
    }
}
