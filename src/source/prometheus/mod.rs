//! Reads GPU, queue and latency series, and brokers' own metrics, over the Prometheus HTTP API.
//!
//! [`packs`] say what to ask (one TOML file per exporter family under `config/packs/`), [`Client`] asks it, [`run`]
//! keeps asking. An empty answer is *missing*, never 0. While no server answers, the exporters are read directly and the
//! same expressions are evaluated here.

mod ask;
mod assemble;
mod backfill;
mod check;
mod client;
mod credentials;
mod decode;
mod detect;
pub mod exposition;
mod failure;
mod oauth2;
mod pace;
pub mod packs;
mod ring;
mod run;
mod scrape;
mod sigv4;
mod slots;
mod tls;
mod upstream;

pub use check::check;
pub use client::Client;
pub use decode::{Answer, NativeHistogram, Series, decode_anything};
pub use failure::{Failure, FailureKind};
pub use run::run;

#[cfg(test)]
mod round_tests;
#[cfg(test)]
mod tests;
