//! Bytes as any broker's answer to any request.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| highwater::source::kafka::decode_anything(body));
