//! Bytes as any exporter's text.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let text = String::from_utf8_lossy(body);
    highwater::source::prometheus::exposition::lines(&text).for_each(drop);
});
