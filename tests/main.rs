//! Every test that needs more than one room: one binary, one module a subject, so that it is linked once.

#![allow(clippy::unwrap_used)] // a test's unwrap is an assertion

mod actuators;
mod approval;
mod arena;
mod backends;
mod cli;
mod closed_loop;
mod conformance;
mod contract;
mod corpora;
mod demo;
mod discover;
mod engine;
mod floors;
mod leases;
mod lint;
mod own_commands;
mod real;
mod real_kafka;
mod real_kafka_access;
mod real_kafka_past;
mod real_kafka_signals;
mod real_kafka_soak;
mod real_kubernetes;
mod real_operate;
mod real_owners;
mod shared_ledger;
mod support;
mod world;
