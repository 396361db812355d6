//! The words of the trace's boundaries ([`highwater::process::BOUNDARY`]): each sync and each request of an approval. Used by
//! a bench that times them and by an example that is killed at them.

use tracing::{Event, field::Visit};

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0 = format!("{value:?}");
    }
}

/// What an event says.
pub fn words(event: &Event<'_>) -> String {
    let mut words = Words(String::new());
    event.record(&mut words);
    words.0
}
