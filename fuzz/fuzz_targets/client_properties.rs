//! Text as a Java client's properties.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| drop(highwater::source::kafka::properties::parse_java(text)));
