//! What a forecast costs: `cargo bench --bench forecast`. Items are series, so `Mitem/s` reads as series per second.

use divan::{Bencher, black_box, counter::ItemsCount};
use highwater::{
    forecast::{Settings, forecast_with},
    model::{Grid, Time},
};
use std::cell::Cell;

fn main() {
    divan::main();
}

thread_local!(static SEED: Cell<u32> = const { Cell::new(1) });

/// A daily wave with noise that nobody has forecast before: nothing is remembered of it.
fn unseen(step: f64, count: u32) -> Grid {
    let mut state = SEED.with(|s| s.replace(s.get() + 1)).wrapping_mul(0x9e37_79b9);
    let values = (0..count).map(|i| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let phase = f64::from(i) * step / 86_400.0 * std::f64::consts::TAU;
        Some(100.0 + 50.0 * phase.sin() + 30.0 * f64::from(state >> 8) / f64::from(1_u32 << 24))
    });
    Grid { start: Time::from_secs(1.7e9), step, values: values.collect() }
}

/// An hour and a quarter at 15 s, half an hour ahead: what a dashboard asks for each workload.
#[divan::bench(args = ["with ets", "without"], sample_count = 200)]
fn short_history(bencher: Bencher, case: &str) {
    let settings = Settings { ets: case == "with ets", mstl: true };
    bencher
        .counter(ItemsCount::new(1_u32))
        .with_inputs(|| unseen(15.0, 300))
        .bench_local_values(|grid| forecast_with(black_box(&grid), grid.at(299), 1_800.0, settings));
}

/// Three days at 1 min, half an hour ahead: at first sight, and at the next look when its fits are remembered.
#[divan::bench(args = ["first", "next"], sample_count = 20)]
fn three_days(bencher: Bencher, case: &str) {
    let input = || {
        let grid = unseen(60.0, 4_320);
        if case == "next" {
            black_box(forecast_with(&grid, grid.at(4_319), 1_800.0, Settings::default())).ok();
        }
        grid
    };
    bencher
        .counter(ItemsCount::new(1_u32))
        .with_inputs(input)
        .bench_local_values(|grid| forecast_with(black_box(&grid), grid.at(4_319), 1_800.0, Settings::default()));
}

/// Two weeks at 5 min, a day ahead: what a plan is drawn over.
#[divan::bench(sample_count = 20)]
fn day_ahead(bencher: Bencher) {
    bencher
        .counter(ItemsCount::new(1_u32))
        .with_inputs(|| unseen(300.0, 4_032))
        .bench_local_values(|grid| forecast_with(black_box(&grid), grid.at(4_031), 86_400.0, Settings::default()));
}
