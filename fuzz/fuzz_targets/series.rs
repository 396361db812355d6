//! Text as a series file.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| drop(highwater::cli::series_rows(text)));
