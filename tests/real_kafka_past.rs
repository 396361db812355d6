//! History from the brokers' time index alone: it equals what was produced, and the first screen forecasts from it.

use crate::{real, support::PATIENCE};
use highwater::{
    config::Config,
    engine,
    model::{Observation, Role, Sample, Time},
    process::Clock,
    source::kafka,
};
use std::{
    collections::HashMap,
    f64::consts::TAU,
    sync::Arc,
    time::{Duration, Instant},
};

const CELL: f64 = 300.0;
const DAY: f64 = 86_400.0;

/// Send times of three days with a daily season, spread evenly within each five minutes, oldest first.
fn seasonal(now: Time) -> Vec<i64> {
    let first = now.plus(-3.0 * DAY).floor_to(900.0);
    let cells = (now.since(first) / CELL).floor() as u32;
    let mut times = Vec::new();
    for cell in 0..cells {
        let from = first.plus(f64::from(cell) * CELL);
        let wave = (TAU * from.secs() / DAY).sin();
        let count = (20.0 + 15.0 * wave).round() as u32;
        times.extend((0..count).map(|i| from.plus(CELL * f64::from(i) / f64::from(count)).millis()));
    }
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn history_equals_what_was_produced_and_the_first_screen_forecasts_its_season() {
    let Some(broker) = tokio::task::spawn_blocking(real::kafka).await.unwrap() else { return };
    let _alone = crate::real_kafka::quiet().await;
    broker.create("seasonal", 2).await;
    let times = seasonal(Time::now());
    let (even, odd): (Vec<_>, Vec<_>) = times.iter().enumerate().partition(|(i, _)| i % 2 == 0);
    let of = |half: Vec<(usize, &i64)>| half.into_iter().map(|(_, t)| *t).collect::<Vec<i64>>();
    let (even, odd) = (of(even), of(odd));
    broker.produce_at("seasonal", 0, &even).await;
    broker.produce_at("seasonal", 1, &odd).await;
    let end = |half: &[i64]| i64::try_from(half.len()).unwrap();
    broker.commit("seasonal-reader", &[("seasonal", &[(0, end(&even)), (1, end(&odd))])]);

    let (out, mut heard) = tokio::sync::mpsc::channel(256);
    let known = Arc::new(HashMap::new());
    let reader = tokio::spawn(kafka::run(broker.settings(&[]), Clock::wall(), known, out));
    let began = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    // Two stages: the last day, and what is older.
    let mut stages = 0;
    while stages < 2 {
        let heard = tokio::time::timeout(PATIENCE, heard.recv()).await.expect("history in time");
        if let Some(Observation::Past { key, samples: found }) = heard
            && key.entity.id == "seasonal-reader"
        {
            assert_eq!(key.role, Role::Demand);
            samples.extend(found);
            stages += 1;
        }
    }
    println!(
        "three days of {} records: {} samples after {:.2} s",
        times.len(),
        samples.len(),
        began.elapsed().as_secs_f64()
    );
    reader.abort();
    samples.sort_by_key(|s| s.at);
    let count = |from: Time, to: Time| {
        (times.partition_point(|t| *t < to.millis()) - times.partition_point(|t| *t < from.millis())) as f64
    };
    let mut compared = 0.0;
    for pair in samples.windows(2) {
        // A quarter of an hour, and five minutes since yesterday; between them the middles are ten minutes apart.
        let (s, apart) = (pair[0], pair[1].at.since(pair[0].at));
        let width = if apart > 450.0 { 900.0 } else { CELL };
        let (from, to) = (s.at.plus(-width / 2.0), s.at.plus(width / 2.0));
        if from.floor_to(CELL) != from {
            continue; // the interval that ends now
        }
        let produced = count(from, to);
        assert!((s.value * width - produced).abs() < 1e-6, "{from} to {to}: {} of {produced}", s.value * width);
        compared += produced;
    }
    assert!(compared > 0.98 * times.len() as f64, "{compared} of {} records were seen", times.len());

    // Records keep coming: of a topic that fell silent the shape of its days says nothing more.
    let source = broker.clone();
    let goes_on = tokio::spawn(async move {
        loop {
            source.produce_at("seasonal", 0, &[Time::now().millis()]).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let mut config = Config::default();
    config.kafka.push(broker.settings(&[]));
    let began = Instant::now();
    let handle = engine::watch(engine::Options { config, clock: Clock::wall(), state: None, past: None, days: false });
    let mut pictures = handle.pictures.clone();
    let seen = pictures.wait_for(|p| {
        let view = p.workload("seasonal-reader");
        let forecast = view.and_then(|v| v.advice.forecast.as_ref());
        forecast.is_some_and(|f| f.model == "day's shape")
    });
    tokio::time::timeout(PATIENCE, seen).await.expect("a seasonal forecast").unwrap();
    println!("a seasonal forecast {:.2} s after the start", began.elapsed().as_secs_f64());
    goes_on.abort();
    handle.stop().await;
}
