//! PromQL evaluated here, by Prometheus' own rules (v2.42): for the simulated Prometheus, and for exporters that are read
//! without one. A test compares every expression of the metric packs with a real Prometheus on the same samples.

mod aggregate;
mod binary;
mod eval;
mod functions;
mod names;
mod store;

pub use eval::{Outcome, QueryError, Sample, Value, instant, range, selector};
pub use names::metrics;
pub use store::{Labels, NAME, SeriesStore, Storage, Stored};

#[cfg(test)]
mod tests;
