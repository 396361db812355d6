//! The store of the history, behind a bounded channel: a full disk or a slow one never holds the engine up.

use super::STEP;
use crate::{
    history::{History, store::Store},
    model::{Role, Sample, SignalKey, Time},
};
use std::{collections::HashMap, path::PathBuf};
use tokio::sync::mpsc;

/// How far back the history is read at start, seconds: a day, for the daily season.
const LOAD: f64 = 26.0 * 3600.0;
/// How far back demand is read, coarsely: a week, for the weekly one.
const LOAD_DEMAND: f64 = 8.0 * 86_400.0;
/// Batches that may wait for the disk.
const QUEUE: usize = 64;

/// Opens the store, reads what there is, and starts the writer. The writer ends when the sender is dropped.
///
/// Without a store (no place, or the file cannot be used) there is a history all the same, for this run only, and a
/// sentence that says so.
pub(super) async fn start(dir: Option<PathBuf>, now: Time) -> (History, Option<mpsc::Sender<Batch>>, Option<String>) {
    let Some(dir) = dir else { return (History::default(), None, None) };
    let opened = tokio::task::spawn_blocking(move || {
        let mut store = Store::open(&dir)?;
        let mut history = History::default();
        store.load(&mut history, now.plus(-LOAD))?;
        store.load_coarse(&mut history, Role::Demand, now.plus(-LOAD_DEMAND), now.plus(-LOAD))?;
        Ok::<_, String>((store, history))
    });
    match opened.await {
        Ok(Ok((store, history))) => {
            let (sender, receiver) = mpsc::channel(QUEUE);
            tokio::task::spawn_blocking(move || write(store, receiver));
            (history, Some(sender), None)
        }
        Ok(Err(why)) => (History::default(), None, Some(format!("history is not kept between runs: {why}"))),
        Err(e) => (History::default(), None, Some(format!("history is not kept between runs: {e}"))),
    }
}

/// Samples of one pass.
pub(super) type Batch = Vec<(SignalKey, Sample)>;

fn write(mut store: Store, mut receiver: mpsc::Receiver<Batch>) {
    let mut last: HashMap<SignalKey, Time> = HashMap::new();
    let mut failing = false;
    while let Some(batch) = receiver.blocking_recv() {
        let mut thin = batch;
        while let Ok(more) = receiver.try_recv() {
            thin.extend(more);
        }
        thin.retain(|(key, sample)| {
            let due = last.get(key).is_none_or(|t| sample.at.since(*t) >= STEP || sample.at < *t);
            if due {
                last.insert(key.clone(), sample.at);
            }
            due
        });
        if thin.is_empty() {
            continue;
        }
        // A failure is said once, until it works again.
        match (store.append(&thin), failing) {
            (Ok(()), true) => tracing::info!("the history is written again"),
            (Err(why), false) => tracing::warn!("the history cannot be written: {why}"),
            (Ok(()), false) | (Err(_), true) => continue,
        }
        failing = !failing;
    }
}
