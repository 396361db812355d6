//! What a protocol promises: one suite per protocol, the same against the simulated world's face and a real server.

mod kafka;
mod kubernetes;
mod packs;
mod prometheus;
