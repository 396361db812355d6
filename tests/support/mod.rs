//! What several suites need.

pub mod faces;
pub mod operator;
pub mod terminal;

use std::time::{Duration, Instant};

/// Waits until `look` finds something; panics with `what` after `patience`. Polling a condition, never a lucky sleep.
pub fn wait_for<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
