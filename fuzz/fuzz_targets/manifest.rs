//! Text as the YAML of autoscalers.
#![no_main]

use highwater::manifest::{Manifest, documents};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for document in documents(text).unwrap_or_default() {
        drop(Manifest::read(&document.value));
    }
});
