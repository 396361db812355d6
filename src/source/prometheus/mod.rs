//! Reads GPU, queue and latency series over the Prometheus HTTP API.
