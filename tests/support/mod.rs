//! What several suites need.

pub mod faces;
pub mod operator;
pub mod terminal;

use std::time::{Duration, Instant};

/// How long a test waits for what comes within seconds on a machine that is not busy. Only a test that fails waits so long,
/// and a machine that builds something else besides fails none.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Waits until `look` finds something; panics with `what` when patience ends. Polling a condition, never a lucky sleep.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_for_else(what, look, String::new)
}

/// The same; what there was instead is told when patience ends.
pub fn wait_for_else<T>(what: &str, mut look: impl FnMut() -> Option<T>, instead: impl Fn() -> String) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}{}", instead());
        std::thread::sleep(Duration::from_millis(50));
    }
}
