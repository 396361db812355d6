//! Highwater: Kafka lag and ML load on one terminal screen, with forecasts and scale actions that an operator approves.
//!
//! The house, from the ground up. A room imports only rooms of lower floors; `tests/floors.rs` holds it to that.
//!
//! 1. [`model`]: plain data that every room speaks. No I/O, no clock, no async.
//! 2. [`alert`], [`history`], [`forecast`], [`capacity`], [`policy`], [`guard`], [`simulate`], [`manifest`],
//!    [`promql`]: pure functions over `model`; time is an argument. (`history` alone also keeps a file.)
//! 3. [`advise`]: history → forecast → capacity → policies → guards → recommendation. Pure.
//!    [`lint`]: what is wrong with an HPA or a ScaledObject, and what to write instead. Pure.
//!    [`process`]: what every edge needs from the operating system: a clock, children with deadlines, secrets.
//! 4. [`config`], [`source`], [`ledger`], [`act`], [`world`]: the edges: async, sockets, files.
//!    [`contest`]: the policies as pilots in the arena, priced against each other and a clairvoyant. Pure.
//! 5. [`engine`]: joins observations into pictures and carries approvals out. [`tui`]: draws pictures, sends intents.
//! 6. [`cli`]: wires the rooms for each subcommand.

pub mod act;
pub mod advise;
pub mod alert;
pub mod capacity;
pub mod cli;
pub mod config;
pub mod contest;
pub mod engine;
pub mod forecast;
pub mod guard;
pub mod history;
pub mod ledger;
pub mod lint;
pub mod manifest;
pub mod model;
pub mod policy;
pub mod process;
pub mod promql;
pub mod simulate;
pub mod source;
pub mod tui;
pub mod world;
