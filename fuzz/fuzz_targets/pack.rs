//! Text as a pack of PromQL.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| drop(highwater::source::prometheus::packs::read("own.toml", text)));
