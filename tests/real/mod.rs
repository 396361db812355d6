//! Real servers for the tests, on loopback, each gone with the test or the test process that started it.

mod kafka;
mod kubelet;
pub mod kubernetes;
mod metrics;
pub mod prometheus;
pub mod proxy;

pub use kafka::{Kafka, kafka, kafka_alone, kafka_of, secured_kafka};

use std::io::Write;

/// Says why a real server is missing, past the capture of the test harness; where CI runs, that is a failure.
fn skipped(what: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{what} is needed in CI: {why}");
    // `eprintln!` would be captured, and a test that passes shows nothing.
    let mut out = std::io::stderr();
    out.write_all(format!("SKIPPED real {what}: {why}\n").as_bytes()).unwrap();
}
