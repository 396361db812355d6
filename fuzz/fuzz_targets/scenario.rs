//! Text as a scenario of `simulate`.
#![no_main]

use std::path::Path;

libfuzzer_sys::fuzz_target!(|text: &str| drop(highwater::contest::Scenario::parse(text, Path::new("scenario.toml"))));
