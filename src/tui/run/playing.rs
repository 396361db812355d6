//! What would happen if, played on a thread of its own while the screen goes on.

use crate::{
    advise::what_if::{Answer, Question},
    model::{Label, Picture},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::{task::JoinHandle, time::Instant};

/// A question that is being played on a thread of its own. Dropped, it stops within some thousand simulated seconds.
pub(super) struct Playing {
    pub(super) number: u64,
    left: Arc<AtomicBool>,
    task: JoinHandle<Result<Arc<Answer>, String>>,
}

impl Playing {
    pub(super) fn start(number: u64, picture: Arc<Picture>, workload: Label) -> Self {
        let left = Arc::new(AtomicBool::new(false));
        let told = left.clone();
        let task = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let question = Question::of(&picture, &workload)?;
            let answer = question.answer(&|| !told.load(Ordering::Relaxed)).ok_or("it was left")?;
            tracing::debug!("what if of {workload}: {:?}", began.elapsed());
            Ok(Arc::new(answer))
        });
        Self { number, left, task }
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.left.store(true, Ordering::Relaxed);
    }
}

/// The answer to what is being played; waits for ever when nothing is. Cancel-safe.
pub(super) async fn played(playing: Option<&mut Playing>) -> Result<Arc<Answer>, String> {
    match playing {
        Some(playing) => (&mut playing.task).await.unwrap_or_else(|e| Err(format!("it broke, see the log: {e}"))),
        None => std::future::pending().await,
    }
}
