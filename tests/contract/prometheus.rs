//! The Prometheus HTTP API: the same assertions against the simulated world's face and a real Prometheus, and every
//! query's value compared between the two on the same samples.

use crate::{
    real::prometheus::{exporter, prometheus, secured_prometheus},
    support::PATIENCE,
};
use highwater::{
    model::{Label, MlState, Observation, PrometheusSettings, Role, Time, TlsSettings},
    process::Clock,
    promql::{Labels, NAME, SeriesStore, Stored},
    source::prometheus::{Client, FailureKind, packs, run},
    world::{
        World,
        prometheus::{PrometheusFace, serve, serve_storage},
    },
};
use std::{collections::BTreeMap, fmt::Write as _, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};

/// A label value that tries everything.
const HOSTILE: &str = "a\"b\\c\n\u{1b}[31m}{,=\u{202e}ünï";

type Pairs = Vec<(&'static str, String)>;

/// Name, labels and value of every series of the fixture, `t` seconds after its start.
fn series(t: f64) -> Vec<(&'static str, Pairs, f64)> {
    let mut all = Vec::new();
    let mut add = |name, labels: &[(&'static str, &str)], value| {
        all.push((name, labels.iter().map(|(n, v)| (*n, (*v).to_owned())).collect(), value));
    };
    for gpu in ["0", "1"] {
        let uuid = format!("GPU-{gpu}");
        let labels = [
            ("gpu", gpu),
            ("UUID", &uuid),
            ("modelName", "H100"),
            ("Hostname", "node-1"),
            ("pod", "dcgm-exporter-x"),
            ("exported_pod", "vllm-0"),
        ];
        add("DCGM_FI_DEV_GPU_UTIL", &labels, if gpu == "0" { 50.0 } else { 0.0 });
        add("DCGM_FI_DEV_FB_USED", &labels, 60_000.0);
        add("DCGM_FI_DEV_FB_FREE", &labels, 20_000.0);
        add("DCGM_FI_DEV_POWER_USAGE", &labels, 412.5);
        add("DCGM_FI_DEV_XID_ERRORS", &labels, if gpu == "0" { 0.0 } else { 79.0 });
    }
    let model = ("model_name", "fraud");
    add("vllm:num_requests_running", &[model], 4.0);
    add("vllm:num_requests_waiting", &[model], 7.0);
    add("vllm:kv_cache_usage_perc", &[model], 0.25);
    add("vllm:request_success_total", &[model, ("finished_reason", "stop")], 1000.0 + 8.0 * t);
    add("vllm:request_success_total", &[model, ("finished_reason", "length")], 10.0 + 2.0 * t);
    for (le, rate) in [("0.1", 1.0), ("0.5", 3.0), ("1", 4.0), ("+Inf", 4.0)] {
        add("vllm:time_to_first_token_seconds_bucket", &[model, ("le", le)], 100.0 + rate * t);
    }
    for broker in ["kafka-0", "kafka-1"] {
        let pod = ("pod", broker);
        add("kafka_server_brokertopicmetrics_bytesin_total", &[pod], 1e9 + 5000.0 * t);
        add("kafka_server_brokertopicmetrics_bytesin_total", &[pod, ("topic", "orders")], 1e9 + 5000.0 * t);
        add("kafka_server_replicamanager_partitioncount", &[pod], 12.0);
        add("process_cpu_seconds_total", &[pod], 100.0 + 0.5 * t);
        add("jvm_memory_used_bytes", &[pod, ("area", "heap")], 1e9);
        add("jvm_memory_max_bytes", &[pod, ("area", "heap")], 4e9);
    }
    add("odd", &[("v", "nan")], f64::NAN);
    add("odd", &[("v", "inf")], f64::INFINITY);
    add("odd", &[("v", "tiny")], 5e-324);
    add("odd", &[("v", HOSTILE)], 1.0);
    add("wave", &[], (t * 7.0).rem_euclid(11.0));
    add("nothing_to_do", &[], 0.0);
    all
}

fn exposition(t: f64) -> String {
    let mut text = String::new();
    for (name, labels, value) in series(t) {
        let quoted = |v: &str| v.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let pairs: Vec<_> = labels.iter().map(|(n, v)| format!("{n}=\"{}\"", quoted(v))).collect();
        let value = if value.is_infinite() { "+Inf".to_owned() } else { value.to_string() };
        writeln!(text, "{name}{{{}}} {value}", pairs.join(",")).unwrap();
    }
    text
}

/// A minute of the fixture as a face, scraped every second; `mortal` went away ten seconds ago.
async fn face() -> PrometheusFace {
    let now = 1_700_000_060_i64;
    let store = SeriesStore::new(Some(Time::from_millis(now * 1000)));
    let mut rows: BTreeMap<Labels, Vec<(i64, Option<f64>)>> = BTreeMap::new();
    for t in 0..=60_i64 {
        let at = (now - 60 + t) * 1000;
        let mut put = |name: &str, labels: Vec<(&str, String)>, job: &str, value| {
            let mut all: Labels = labels.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
            all.extend([
                (NAME.to_owned(), name.to_owned()),
                ("job".to_owned(), job.to_owned()),
                ("instance".to_owned(), job.to_owned()),
            ]);
            rows.entry(all).or_default().push((at, value));
        };
        for (name, labels, value) in series(t as f64) {
            put(name, labels, "lasting", Some(value));
        }
        put("up", Vec::new(), "mortal", Some(if t < 50 { 1.0 } else { 0.0 }));
        if t <= 50 {
            put("mortal", Vec::new(), "mortal", (t < 50).then_some(7.0));
        }
    }
    for (labels, points) in rows {
        store.push(Stored { labels, points });
    }
    serve_storage(store).await.unwrap()
}

async fn client(url: &str) -> Client {
    Client::new(&PrometheusSettings::new("main", url)).await.unwrap()
}

/// Labels (without the metric's and the target's) and value of every element.
async fn ask(client: &Client, query: &str) -> Vec<(BTreeMap<Label, Label>, f64)> {
    let answer = client.instant(query).await.unwrap_or_else(|e| panic!("{query}: {e}"));
    let mut rows: Vec<_> = answer.series.into_iter().map(|s| (s.labels, s.points[0].1)).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

async fn number(client: &Client, query: &str) -> f64 {
    let rows = ask(client, query).await;
    assert_eq!(rows.len(), 1, "{query}: {rows:?}");
    rows[0].1
}

fn near(value: f64, wanted: f64) -> bool {
    (value - wanted).abs() <= 0.1 * wanted.abs() // a real scrape is some milliseconds late
}

/// A request as it stands, for what our own client refuses to send.
async fn raw(url: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// What both must do.
async fn suite(url: &str) {
    let client = client(url).await;
    values(&client).await;
    missing_is_not_zero(&client).await;
    errors(&client, url).await;
    ranges(&client, url).await;
    let (state, _) = first_state(url, Clock::wall()).await;
    joined(&state);
}

async fn values(client: &Client) {
    assert!(near(number(client, "sum(rate(vllm:request_success_total[10s]))").await, 10.0));
    assert!(near(
        number(client, "rate(kafka_server_brokertopicmetrics_bytesin_total{topic=\"\",pod=\"kafka-1\"}[10s])").await,
        5000.0
    ));
    let quantile =
        "histogram_quantile(0.5, sum by (model_name,le) (rate(vllm:time_to_first_token_seconds_bucket[10s])))";
    assert!(near(number(client, quantile).await, 0.3), "rank 2 of 4 lies in the middle of (0.1, 0.5]");
    let empty = "histogram_quantile(0.5, sum by (le) (0 * rate(vllm:time_to_first_token_seconds_bucket[10s])))";
    assert!(number(client, empty).await.is_nan(), "nothing observed: no quantile");
    assert!(number(client, "odd{v=\"nan\"}").await.is_nan());
    assert!(number(client, "odd{v=\"inf\"}").await.is_infinite());
    assert_eq!(number(client, "odd{v=\"tiny\"}").await.to_bits(), 1, "the smallest number there is");
    let hostile = ask(client, "odd == 1").await;
    assert_eq!(hostile[0].0["v"], Label::new(HOSTILE));
    let found = client.names(
        &["vllm:num_requests_running", "DCGM_FI_DEV_GPU_UTIL", "never_seen"],
        Time::from_secs(0.0),
        Time::from_secs(4e9),
    );
    assert_eq!(found.await.unwrap(), ["DCGM_FI_DEV_GPU_UTIL", "vllm:num_requests_running"]);
    let wrapped = "label_replace(up{job=\"mortal\"}, \"short\", \"$1\", \"job\", \"(mort).*\")";
    assert_eq!(ask(client, wrapped).await[0].0["short"], "mort");
}

async fn missing_is_not_zero(client: &Client) {
    assert_eq!(ask(client, "never_seen").await, []);
    assert_eq!(number(client, "nothing_to_do").await.to_bits(), 0);
    assert_eq!(ask(client, "mortal").await, [], "its target is gone: missing, at once");
    assert_eq!(number(client, "up{job=\"mortal\"}").await.to_bits(), 0);
    assert!(near(number(client, "last_over_time(mortal[5m])").await, 7.0));
}

async fn errors(client: &Client, url: &str) {
    for (query, kind) in [
        ("sum(", FailureKind::BadQuery),
        ("no_such_function(up)", FailureKind::BadQuery),
        ("odd * on () odd", FailureKind::Execution),
        ("vllm:request_success_total / ignoring (finished_reason) vllm:request_success_total", FailureKind::Execution),
        ("label_replace(odd, \"v\", \"\", \"v\", \".*\")", FailureKind::Execution),
    ] {
        let failure = client.instant(query).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{query}: {failure}");
    }
    let (status, body) = raw(url, "/api/v1/query_range?query=up&start=0&end=11001&step=1").await;
    assert!(status == 400 && body.contains("exceeded maximum resolution of 11,000 points"), "{body}");
    assert_eq!(raw(url, "/api/v1/query_range?query=up&start=0&end=11000&step=1").await.0, 200);
    for wrong in ["start=2&end=1&step=1", "start=1&end=2&step=0", "start=x&end=2&step=1"] {
        let (status, body) = raw(url, &format!("/api/v1/query_range?query=up&{wrong}")).await;
        assert!(status == 400 && body.contains("\"errorType\":\"bad_data\""), "{wrong}: {body}");
    }
    assert_eq!(raw(url, "/api/v1/series").await.0, 400, "series wants a selector");
    assert_eq!(raw(url, "/api/v1/no_such_thing").await.0, 404);
}

async fn ranges(client: &Client, url: &str) {
    let now = Time::from_secs(number(client, "time()").await);
    let answer = client.range("nothing_to_do", now.plus(-6.3), now, 2.0).await.unwrap();
    let points = &answer.series[0].points;
    assert!(points.iter().all(|(t, v)| *t == t.floor_to(2.0) && v.to_bits() == 0), "{points:?}");
    assert_eq!(points.last().unwrap().0, now.floor_to(2.0));
    assert_eq!(client.range("never_seen", now.plus(-60.0), now, 2.0).await.unwrap().series, []);
    let (status, body) = raw(url, "/api/v1/series?match[]=vllm:num_requests_running").await;
    assert!(status == 200 && body.contains("\"model_name\":\"fraud\""), "{body}");
    let (status, body) = raw(url, "/api/v1/labels").await;
    assert!(status == 200 && body.contains("\"model_name\"") && body.contains("\"__name__\""), "{body}");
    assert_eq!(raw(url, "/-/ready").await.0, 200);
}

/// The first state that the real source reads, and what came with it.
async fn first_state(url: &str, clock: Clock) -> (MlState, Vec<Observation>) {
    let (out, mut seen) = tokio::sync::mpsc::channel(256);
    let settings = PrometheusSettings { refresh: 0.1, backfill: 3600.0, ..PrometheusSettings::new("main", url) };
    let task = tokio::spawn(run(settings, clock, out));
    let (mut state, mut others) = (None, Vec::new());
    while let Some(observation) = seen.recv().await {
        match observation {
            Observation::Ml(_) if state.is_some() => break, // the history of the first refresh has come before it
            Observation::Ml(ml) => state = Some(MlState::clone(&ml)),
            other => others.push(other),
        }
    }
    task.abort();
    (state.unwrap(), others)
}

fn joined(state: &MlState) {
    let value = |r: &Option<highwater::model::Reading>| r.as_ref().map(|r| r.value);
    assert_eq!(state.warnings, Vec::<Label>::new());
    assert_eq!(state.gpus.len(), 2);
    let [idle, faulty] = &state.gpus[..] else { unreachable!() };
    assert_eq!((value(&idle.utilisation), value(&faulty.utilisation)), (Some(0.5), Some(0.0)));
    assert_eq!((value(&idle.xid), value(&faulty.xid)), (None, Some(79.0)));
    assert_eq!(value(&idle.memory_total), Some(80_000.0 * 1_048_576.0));
    assert_eq!(idle.pod, Some(Label::new("vllm-0")), "not the exporter's own pod");
    assert_eq!(value(&idle.temperature), None, "not exported: missing");
    let service = &state.services[0];
    assert_eq!((service.name.as_str(), value(&service.waiting)), ("fraud", Some(7.0)));
    assert!(service.request_rate.is_some() && service.ttft_p95.is_some() && service.latency_p95.is_none());
    let brokers: Vec<_> = state.brokers.iter().map(|b| (b.broker.as_str(), value(&b.heap))).collect();
    assert_eq!(brokers, [("kafka-0", Some(0.25)), ("kafka-1", Some(0.25))]);
    assert!(state.brokers.iter().all(|b| b.cpu.is_some() && b.bytes_in.is_some() && b.messages_in.is_none()));
}

#[tokio::test]
async fn the_face_keeps_the_contract() {
    suite(&face().await.url).await;
}

#[tokio::test]
async fn the_real_one_keeps_the_contract_and_agrees_with_the_face_on_every_value() {
    let start = Instant::now();
    let lasting = exporter(move || exposition(start.elapsed().as_secs_f64())).await;
    let mortal = exporter(|| "mortal 7\n".to_owned()).await;
    let Some(real) = prometheus(&[("lasting", lasting.address), ("mortal", mortal.address)]).await else { return };
    let client = client(&real.url).await;
    eventually(&client, "mortal").await;
    drop(mortal);
    eventually(&client, "count_over_time(vllm:num_requests_running[1m]) >= 15").await;
    eventually(&client, "absent(mortal) and on () last_over_time(mortal[5m])").await;
    suite(&real.url).await;
    Box::pin(agreement(&client)).await;
}

/// Waits until a query has an answer.
async fn eventually(client: &Client, query: &str) {
    let deadline = Instant::now() + PATIENCE;
    while client.instant(query).await.map_or(true, |a| a.series.is_empty()) {
        assert!(Instant::now() < deadline, "{query} has no answer");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Takes the real one's samples over into a face and compares what both make of them.
async fn agreement(client: &Client) {
    let now = number(client, "time()").await;
    let raw = client.instant(&format!("{{__name__=~\".+\"}}[10m] @ {now}")).await.unwrap();
    let store = SeriesStore::new(Some(Time::from_secs(now)));
    for s in raw.series {
        let labels: Labels = s.labels.iter().map(|(n, v)| (n.as_str().to_owned(), v.as_str().to_owned())).collect();
        let mut points: Vec<_> = s.points.iter().map(|(t, v)| (t.millis(), Some(*v))).collect();
        if labels[NAME] == "mortal" {
            points.push((points.last().unwrap().0 + 1000, None)); // raw samples come without their stale markers
        }
        store.push(Stored { labels, points });
    }
    let face = serve_storage(store).await.unwrap();
    let twin = self::client(&face.url).await;
    let mut queries: Vec<String> = EXTRA.iter().map(|q| (*q).to_owned()).collect();
    for pack in packs::all() {
        queries.extend(pack.queries(10.0, &BTreeMap::new()).into_iter().map(|(_, query)| query));
    }
    let mut with_data = 0;
    for query in queries {
        // The same instant for every selector, whenever the query is sent.
        let from = Time::from_secs(now - 8.0);
        let (theirs, ours) = tokio::join!(
            client.range(&query, from, Time::from_secs(now), 1.0),
            twin.range(&query, from, Time::from_secs(now), 1.0)
        );
        let (mut theirs, mut ours) = (theirs.unwrap().series, ours.unwrap_or_else(|e| panic!("{query}: {e}")).series);
        theirs.sort_by(|a, b| a.labels.cmp(&b.labels));
        ours.sort_by(|a, b| a.labels.cmp(&b.labels));
        assert_eq!(theirs.len(), ours.len(), "{query}\n{theirs:?}\n{ours:?}");
        with_data += usize::from(!theirs.is_empty());
        for (a, b) in theirs.iter().zip(&ours) {
            assert_eq!(a.labels, b.labels, "{query}");
            assert_eq!(a.points.len(), b.points.len(), "{query}\n{a:?}\n{b:?}");
            for (p, q) in a.points.iter().zip(&b.points) {
                let same = p.1.to_bits() == q.1.to_bits()
                    || (p.1.is_nan() && q.1.is_nan())
                    || (p.1 - q.1).abs() <= 1e-9 * p.1.abs();
                assert!(p.0 == q.0 && same, "{query}: {p:?} and {q:?}");
            }
        }
    }
    assert!(with_data > 40, "only {with_data} queries had data to compare");
}

/// What the packs do not use and a user's own query may.
const EXTRA: [&str; 36] = [
    "wave",
    "-wave",
    "wave > 5",
    "wave > bool 5",
    "5 < wave",
    "wave % 4",
    "wave ^ 2",
    "delta(wave[10s])",
    "deriv(wave[10s])",
    "predict_linear(wave[10s], 60)",
    "irate(wave[10s])",
    "idelta(wave[10s])",
    "increase(wave[10s])",
    "resets(wave[10s])",
    "changes(wave[10s])",
    "avg_over_time(wave[10s])",
    "max_over_time(wave[10s])",
    "min_over_time(wave[10s])",
    "sum_over_time(wave[10s])",
    "stddev_over_time(wave[10s])",
    "quantile_over_time(0.9, wave[10s])",
    "count_over_time(mortal[10s])",
    "clamp_min(wave - 5, 0)",
    "clamp_max(wave, 3)",
    "round(wave, 0.5)",
    "sgn(wave - 5)",
    "time() - timestamp(wave)",
    "scalar(wave) + vector(1)",
    "quantile by (pod) (0.5, rate(process_cpu_seconds_total[10s]))",
    "stddev(wave or odd{v=\"tiny\"})",
    "sum without (finished_reason) (vllm:request_success_total)",
    "topk(1, process_cpu_seconds_total)",
    "up unless on (job) up{job=\"mortal\"}",
    "wave offset 2s",
    "absent(never_seen)",
    "vllm:request_success_total / ignoring (finished_reason) group_left () sum without (finished_reason) (vllm:request_success_total)",
];

#[tokio::test]
async fn every_expression_of_every_pack_answers_on_the_world() {
    let face = serve(World::manual("fraud", 7, Time::from_secs(1.7e9)).unwrap()).await.unwrap();
    let client = client(&face.url).await;
    for pack in packs::all() {
        for (name, query) in pack.queries(60.0, &BTreeMap::new()) {
            if let Err(failure) = client.instant(&query).await {
                panic!("{} {name}: {failure}", pack.name);
            }
        }
    }
}

#[tokio::test]
async fn the_source_reads_the_simulated_world_with_its_history() {
    let world = World::manual("fraud", 7, Time::from_secs(1.7e9)).unwrap();
    let face = serve(world.clone()).await.unwrap();
    let (state, others) = first_state(&face.url, world.clock()).await;
    for pack in ["dcgm", "vllm", "kueue", "kafka_jmx"] {
        assert!(state.packs.contains(&Label::new(pack)), "{pack} in {:?}", state.packs);
    }
    assert_eq!(state.warnings, Vec::<Label>::new());
    let service = &state.services[0];
    assert!(service.request_rate.is_some() && service.ttft_p95.is_some(), "{service:?}");
    assert!(
        state.brokers.iter().all(|b| b.bytes_in.is_some() && b.cpu.is_some() && b.heap.is_some()),
        "{:?}",
        state.brokers
    );
    assert!(!state.gpus.is_empty() && !state.queues.is_empty());
    for role in [Role::Demand, Role::Backlog, Role::Replicas] {
        let hour = |o: &Observation| matches!(o, Observation::Backfill { key, samples } if key.role == role && samples.len() > 200);
        assert!(others.iter().any(hour), "an hour of {role:?} in steps of 15 s");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_opens_a_prometheus_that_wants_one() {
    let Some(real) = secured_prometheus().await else { return };
    let file = |name: &str| Some(real.folder.join(name));
    let with = |client: Option<&str>| {
        let cert = client.and_then(|c| file(&format!("{c}.pem")));
        let key = client.and_then(|c| file(&format!("{c}.key")));
        let tls = TlsSettings { ca: file("ca.pem"), cert, key, ..TlsSettings::default() };
        PrometheusSettings { tls, ..PrometheusSettings::new("main", &real.url) }
    };
    let client = Client::new(&with(Some("client"))).await.unwrap();
    eventually(&client, "vector(7)").await;
    assert!((number(&client, "vector(7)").await - 7.0).abs() < 1e-9);
    for stranger in [None, Some("other")] {
        let refused = Client::new(&with(stranger)).await.unwrap().instant("vector(7)").await;
        let said = refused.map(|_| ()).unwrap_err().to_string();
        assert!(said.contains("certificate"), "{stranger:?}: {said}");
    }
    // Whoever does not name the authority does not believe the server.
    let unknown =
        PrometheusSettings { tls: TlsSettings { ca: file("stranger.pem"), ..TlsSettings::default() }, ..with(None) };
    let said = Client::new(&unknown).await.unwrap().instant("vector(7)").await.map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("certificate"), "{said}");
}
