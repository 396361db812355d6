use super::*;
use crate::simulate::{
    demand::{Demand, DemandSettings, Surge},
    serving::{Objective, Service},
};

/// Four days of a chat service with a daily wave and a surge at nine; the last one is played.
pub(super) fn season(seed: u64) -> Season {
    let settings = DemandSettings {
        mean: 30.0,
        daily: 0.5,
        peak: 54_000.0,
        surges: vec![Surge { start: 32_400.0, ramp: 600.0, hold: 2_400.0, factor: 1.6, every: 86_400.0 }],
        noise: 0.04,
        ..DemandSettings::default()
    };
    let mut demand = Demand::new(settings, seed);
    let all: Vec<f64> = (0..4 * 86_400).map(|s| demand.rate(f64::from(s))).collect();
    let begin = Time::from_secs(4.0e8);
    let minute = |(i, part): (usize, &[f64])| Sample {
        at: begin.plus(60.0 * i as f64 - 3.0 * 86_400.0),
        value: part.iter().sum::<f64>() / 60.0,
    };
    let (before, played) = all.split_at(3 * 86_400);
    Season {
        history: vec![before.chunks(60).enumerate().map(minute).collect()],
        operated: vec![before[2 * 86_400..].to_vec()],
        played: vec![played.to_vec()],
        begin,
    }
}

/// Coarse and rare forecasts: a test must not take a minute.
fn quick() -> Entrant {
    Entrant::Planner(Settings { forecast: (300.0, 3.0 * 86_400.0), forecast_life: 300.0, ..Settings::default() })
}

/// The part of a season from second `from` to second `to` of its day.
fn part(season: &Season, from: usize, to: usize) -> Season {
    let cut = |all: &[Vec<f64>]| all.iter().map(|d| d[from..to].to_vec()).collect::<Vec<_>>();
    Season { played: cut(&season.played), begin: season.begin.plus(from as f64), ..season.clone() }
}

#[test]
fn a_queue_says_too_late_what_latency_said_before() {
    let (game, season) = (Game::default(), part(&season(3), 28_800, 43_200));
    let planner = quick().play(&game, &season, 3).score;
    let queue = Entrant::Hpa(Metric::Waiting(5.0)).play(&game, &season, 3).score;
    let gpu = Entrant::Hpa(Metric::Gpu(0.8)).play(&game, &season, 3).score;
    let best = Entrant::Clairvoyant.play(&game, &season, 3).score;
    assert!(
        planner.price < 0.7 * queue.price && planner.slo_minutes < 0.1 * queue.slo_minutes,
        "{planner:?} {queue:?}"
    );
    assert!(planner.price < 0.8 * gpu.price, "{planner:?} {gpu:?}");
    assert!(planner.flaps < 1.0);
    assert!(best.price < planner.price && best.slo_minutes < 20.0, "who knows the day pays less: {best:?} {planner:?}");
}

#[test]
fn a_pool_that_is_too_small_is_shared_by_price_not_by_who_came_first() {
    let season = season(5);
    // The first asks for whatever it can get, the second has a large model.
    let demand = |f: f64| season.operated[0].iter().map(|r| r * f).collect::<Vec<f64>>();
    let two = Season {
        history: vec![season.history[0].clone(); 2],
        operated: vec![demand(1.0), demand(0.4)],
        played: vec![season.played[0].clone(), season.played[0].iter().map(|r| r * 0.4).collect()],
        begin: season.begin,
    };
    let two = part(&two, 30_000, 37_200);
    let strict =
        Service { objective: Objective { ttft: Some(2.0), inter_token: Some(0.06) }, start: 4, ..Service::default() };
    let game = Game { services: vec![Service::default(), Service { gpus: 2, ..strict }], gpus: 20, ..Game::default() };
    let outcome = quick().play(&game, &two, 5);
    let mut counts = [8, 4];
    let mut changes = outcome.changes.iter().peekable();
    while let Some((t, i, n)) = changes.next() {
        counts[*i] = *n;
        let more = changes.peek().is_some_and(|(next, ..)| next - t < 1.0);
        assert!(more || counts[0] + 2 * counts[1] <= 20, "{counts:?} at {t}");
    }
    assert!(outcome.changes.len() > 2);
}
