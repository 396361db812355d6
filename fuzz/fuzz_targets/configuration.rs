//! Text as `highwater.toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| drop(highwater::config::Config::parse(text, "highwater.toml", true)));
