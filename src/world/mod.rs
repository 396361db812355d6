//! The simulated world behind three real protocols on loopback: Kafka wire, Prometheus HTTP, Kubernetes HTTP.

pub mod kafka;
pub mod kubernetes;
pub mod prometheus;
