//! The world's Prometheus face: an HTTP API over the world's own series.
