//! One look at the sources, for the commands that print and end.

use super::Failure;
use crate::{
    advise::day,
    config::Config,
    engine::{self, Options},
    history::History,
    model::{Health, Picture, SourceStatus, WorkloadView},
    process::Clock,
    tui::format,
};
use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::time::{self, Instant};

/// Longest wait for the slowest source, on top of the time to settle.
const PATIENCE: Duration = Duration::from_secs(12);

/// The same where plans of the day are waited for: a second of work each.
const PATIENCE_FOR_DAYS: Duration = Duration::from_secs(120);

/// What is waited for beyond the first answers of the sources.
pub(super) struct Wait {
    /// Seconds to look at least.
    pub(super) settle: f64,
    /// Also the plans of the day, where there can be one.
    pub(super) days: bool,
}

/// Looks for `settle` seconds and until every source has answered or failed and what it said was taken in, and gives back what there is to see.
/// Nothing is written and nothing can be changed; the history of earlier runs is read when there is one.
pub(super) async fn picture(
    config: Config,
    clock: Clock,
    state: Option<PathBuf>,
    past: Option<Arc<History>>,
    wait: Wait,
) -> Result<Arc<Picture>, Failure> {
    let expected = config.kafka.len() + config.prometheus.len() + usize::from(config.kubernetes.is_some());
    let mut handle = engine::watch(Options { config, clock, state, past, days: wait.days });
    let began = Instant::now();
    let settle = Duration::from_secs_f64(wait.settle); // from 0 to 600: the command line was checked
    let deadline = began + settle + if wait.days { PATIENCE_FOR_DAYS } else { PATIENCE };
    loop {
        {
            let picture = handle.pictures.borrow_and_update();
            let decided = picture.sources.len() >= expected && picture.sources.iter().all(is_decided);
            let planned = |w: &Arc<WorkloadView>| {
                w.day.is_some() || day::none_because(&w.workload, &w.state, w.advice.capacity.as_ref()).is_some()
            };
            let whole = handle.behind.load(Relaxed) == 0 && (!wait.days || picture.workloads.iter().all(planned));
            if decided && whole && began.elapsed() >= settle {
                break;
            }
        }
        let next = (began + settle).max(Instant::now() + Duration::from_millis(100));
        let changed = time::timeout_at(next.min(deadline), handle.pictures.changed()).await;
        if matches!(changed, Ok(Err(_))) || Instant::now() >= deadline {
            break;
        }
    }
    let picture = handle.pictures.borrow().clone();
    handle.stop().await;
    Ok(picture)
}

fn is_decided(source: &SourceStatus) -> bool {
    source.answered.is_some() || source.health == Health::Down
}

/// The sources that gave no answer at all, as a sentence; `None` when each gave one.
pub(super) fn unreachable(picture: &Picture) -> Option<Failure> {
    let silent = picture.sources.iter().filter(|s| s.answered.is_none());
    let told: Vec<String> = silent.map(|s| format!("{}: {}", format::source(s), s.detail)).collect();
    (!told.is_empty()).then(|| Failure::unreachable(told.join("\n  ")))
}
