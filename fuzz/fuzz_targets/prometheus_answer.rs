//! Bytes as whatever stands at a Prometheus URL answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| highwater::source::prometheus::decode_anything(body));
