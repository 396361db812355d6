//! Text as a kubeconfig.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| drop(kube::config::Kubeconfig::from_yaml(text)));
