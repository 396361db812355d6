//! Real servers for the tests, on loopback, each gone with the test that started it.

pub mod prometheus;
