//! What the fuzzers found worth keeping (`fuzz/corpus`), read once more by each decoder of what comes from outside on the
//! stable toolchain: none of it may end in a panic.

use highwater::{cli, config::Config, contest::Scenario, manifest, source};
use std::{collections::BTreeSet, fs, path::Path};

/// A decoder: the name of its target under `fuzz/fuzz_targets`, and how it is called there.
type Decoder = (&'static str, fn(&[u8]));

const DECODERS: [Decoder; 10] = [
    ("client_properties", |body| drop(source::kafka::properties::parse_java(&text(body)))),
    ("configuration", |body| drop(Config::parse(&text(body), "highwater.toml", true))),
    ("exposition", |body| source::prometheus::exposition::lines(&text(body)).for_each(drop)),
    ("kafka_answers", source::kafka::decode_anything),
    ("kubeconfig", |body| drop(kube::config::Kubeconfig::from_yaml(&text(body)))),
    ("manifest", |body| {
        for document in manifest::documents(&text(body)).unwrap_or_default() {
            drop(manifest::Manifest::read(&document.value));
        }
    }),
    ("pack", |body| drop(source::prometheus::packs::read("own.toml", &text(body)))),
    ("prometheus_answer", source::prometheus::decode_anything),
    ("scenario", |body| drop(Scenario::parse(&text(body), Path::new("scenario.toml")))),
    ("series", |body| drop(cli::series_rows(&text(body)))),
];

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

#[test]
fn nothing_that_a_fuzzer_kept_makes_a_decoder_panic() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, decode) in DECODERS {
        let kept = fs::read_dir(fuzz.join("corpus").join(name)).unwrap_or_else(|e| panic!("fuzz/corpus/{name}: {e}"));
        let inputs: Vec<_> = kept.map(|entry| entry.unwrap().path()).collect();
        assert!(!inputs.is_empty(), "fuzz/corpus/{name} is empty");
        for input in inputs {
            let body = fs::read(&input).unwrap();
            let read = std::panic::catch_unwind(|| decode(&body));
            assert!(read.is_ok(), "{name} panics on {}", input.display());
        }
    }
}

#[test]
fn every_fuzz_target_is_read_here() {
    let targets = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets")).unwrap();
    let names = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        path.file_stem().unwrap().to_string_lossy().into_owned()
    };
    let targets: BTreeSet<String> = targets.map(names).collect();
    assert_eq!(targets, DECODERS.map(|(name, _)| name.to_owned()).into());
}
