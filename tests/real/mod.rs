//! Real servers for the tests, on loopback, each gone with the test or the test process that started it.

mod kafka;
pub mod prometheus;

pub use kafka::{Kafka, kafka, secured_kafka};

/// Says why a real server is missing; where CI runs, that is a failure.
fn skipped(what: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{what} is needed in CI: {why}");
    eprintln!("SKIPPED real {what}: {why}");
}
