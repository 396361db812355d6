//! The metric packs against what exporters say: every metric that a pack names is in the sample of its family, a real
//! Prometheus that scrapes all samples answers every expression, and reading the exporters directly gives the same state.

use crate::{
    real::prometheus::{exporter, prometheus},
    support::PATIENCE,
};
use highwater::{
    model::{MlState, Observation, PrometheusSettings},
    process::Clock,
    promql::metrics,
    source::prometheus::{
        Client,
        exposition::{Line, lines},
        packs, run,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::Write as _,
    path::Path,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The sample of a pack: real names, labels and types, values made up.
fn sample(pack: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exporters").join(format!("{pack}.prom"));
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Samples of other families that a pack's expressions join with its own.
fn joined(pack: &str) -> &'static [&'static str] {
    match pack {
        "cadvisor" => &["kube_state"], // limits of containers
        _ => &[],
    }
}

#[test]
fn every_metric_that_a_pack_names_is_in_the_sample_of_its_family() {
    for pack in packs::all() {
        let mut there = BTreeSet::new();
        for family in [pack.name.as_str()].iter().chain(joined(&pack.name)) {
            for line in lines(&sample(family)) {
                if let Line::Sample(sample) = line.unwrap_or_else(|wrong| panic!("{family}: {wrong}")) {
                    there.insert(sample.name.into_owned());
                }
            }
        }
        let mut named: BTreeSet<String> = pack.detect.iter().cloned().collect();
        for (concept, query) in pack.queries(60.0, &BTreeMap::new()) {
            named.extend(metrics(&query).unwrap().unwrap_or_else(|| panic!("{} {concept}: {query}", pack.name)));
        }
        let missing: Vec<_> = named.difference(&there).collect();
        assert!(missing.is_empty(), "{}: {missing:?}", pack.name);
    }
}

/// A sample some seconds later: counters, histograms, summaries' sums and training steps have grown by 1 % a second.
fn grown(text: &str, seconds: f64) -> String {
    let mut kinds = BTreeMap::new();
    let mut out = String::new();
    for line in lines(text).map(Result::unwrap) {
        match line {
            Line::Type { family, kind } => {
                writeln!(out, "# TYPE {family} {kind}").unwrap();
                kinds.insert(family.into_owned(), kind);
            }
            Line::Sample(s) => {
                let mut parts = ["", "_bucket", "_sum", "_count"].iter();
                let kind = parts.find_map(|part| kinds.get(s.name.strip_suffix(part)?)).copied();
                let quantile = s.labels.iter().any(|(name, _)| name == "quantile");
                let grows = matches!(kind, Some("counter" | "histogram" | "summary")) && !quantile;
                let grows = grows || s.name.ends_with("_step");
                let value = if grows { s.value * (1.0 + 0.01 * seconds) } else { s.value };
                let labels: Vec<_> = s.labels.iter().map(|(n, v)| format!("{n}=\"{v}\"")).collect();
                writeln!(out, "{}{{{}}} {value}", s.name, labels.join(",")).unwrap();
            }
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_answers_every_expression_and_the_exporters_say_the_same_directly() {
    let start = Instant::now();
    let mut exporters = Vec::new();
    for pack in packs::all() {
        let text = sample(&pack.name);
        exporters.push((&pack.name, exporter(move || grown(&text, start.elapsed().as_secs_f64())).await));
    }
    let targets: Vec<_> = exporters.iter().map(|(name, exporter)| (name.as_str(), exporter.address)).collect();
    let Some(real) = prometheus(&targets).await else { return };
    let client = Client::new(&PrometheusSettings::new("main", &real.url)).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    let scraped = format!("count(count_over_time(up[1m]) >= 4) == {}", targets.len());
    while client.instant(&scraped).await.map_or(true, |a| a.series.is_empty()) {
        assert!(Instant::now() < deadline, "not every exporter was scraped four times");
        sleep(Duration::from_millis(200)).await;
    }
    let (mut asked, mut silent) = (0, Vec::new());
    for pack in packs::all() {
        for (name, query) in pack.queries(60.0, &BTreeMap::new()) {
            asked += 1;
            let answer = client.instant(&query).await.unwrap_or_else(|e| panic!("{} {name}: {e}", pack.name));
            if answer.series.is_empty() {
                silent.push(format!("{} {name}: {query}", pack.name));
            }
        }
    }
    // Past the capture of the harness: the number is what the packs are judged by.
    writeln!(std::io::stderr(), "packs: {} of {asked} expressions answered", asked - silent.len()).unwrap();
    assert_eq!(silent, Vec::<String>::new(), "of {asked}");

    let server = PrometheusSettings { refresh: 1.0, ..PrometheusSettings::new("main", &real.url) };
    let scrape = targets.iter().map(|(job, address)| ((*job).to_owned(), vec![format!("http://{address}")])).collect();
    let direct = PrometheusSettings { refresh: 1.0, scrape, ..PrometheusSettings::new("main", "") };
    let (theirs, ours) = tokio::join!(known(server), known(direct));
    assert!(theirs.len() > 90, "{theirs:#?}");
    assert_eq!(theirs, ours, "the same fields of the same things by either way");
}

/// Every field that a source fills, as paths such as `services fraud ttft_p95`, once it has rates.
async fn known(settings: PrometheusSettings) -> BTreeSet<String> {
    let (out, mut seen) = tokio::sync::mpsc::channel(4096);
    let task = tokio::spawn(run(settings, Clock::wall(), out));
    let wait = async {
        loop {
            if let Some(Observation::Ml(state)) = seen.recv().await
                && state.services.iter().any(|s| s.request_rate.is_some())
            {
                return fields(&state);
            }
        }
    };
    let known = tokio::time::timeout(PATIENCE, wait).await.unwrap();
    task.abort();
    known
}

fn fields(state: &MlState) -> BTreeSet<String> {
    let state = serde_json::to_value(state).unwrap();
    let mut all = BTreeSet::new();
    for list in ["gpus", "services", "queues", "trainings", "brokers"] {
        for thing in state[list].as_array().unwrap() {
            let name = ["name", "broker", "gpu"].iter().find_map(|key| thing[key].as_str()).unwrap();
            let known = thing.as_object().unwrap().iter().filter(|(_, value)| value.is_object());
            all.extend(known.map(|(field, _)| format!("{list} {name} {field}")));
        }
    }
    all
}
