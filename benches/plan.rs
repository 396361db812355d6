//! What one plan and one advice cost: `cargo bench --bench plan`.

use divan::{Bencher, black_box};
use highwater::{
    advise::{Input, advise, what_if::Question},
    history::History,
    model::{
        Capacity, Entity, Forecast, GuardSettings, Label, Limits, Mode, Price, Recommendation, Replicas, Role, Sample,
        SignalKey, Slo, Time, Workload, WorkloadKind, WorkloadState,
    },
    policy::planner::{Bursts, Problem, Work, plan},
    tui::fixture,
};
use std::sync::Arc;

fn main() {
    divan::main();
}

/// What would happen if: five half hours of a group, and up to five more with another count.
#[divan::bench(args = [24, 512, 5_000])]
fn what_if(bencher: Bencher<'_, '_>, partitions: usize) {
    let mut picture = fixture::picture(Mode::Watch);
    let name = Label::new("fraud-scorer");
    if let Some(view) = picture.workloads.iter_mut().find(|w| w.workload.name == name) {
        let state = Arc::make_mut(&mut Arc::make_mut(view).state);
        state.partition_lags =
            (0..partitions).map(|p| Some(400_000 / partitions as u64 * (1 + p as u64 % 3))).collect();
        state.partitions = u32::try_from(partitions).ok();
    }
    let question = Question::of(&picture, &name).expect("the fixture can be played");
    bencher.bench_local(|| black_box(&question).answer(&|| true));
}

const NOW: Time = Time::from_millis(1_700_000_040_000);

fn capacity(per_replica: f64) -> Capacity {
    Capacity {
        per_replica,
        low: per_replica,
        high: per_replica,
        samples: 400,
        start_up: 40.0,
        rebalance: 30.0,
        rebalance_one: 30.0,
        rebalance_down: 20.0,
        ..Capacity::default()
    }
}

/// Half an hour of demand that rises from 10 k/s to 22 k/s, at 15 s.
fn rise(factor: f64) -> Vec<f64> {
    (0..120).map(|i| factor * (10_000.0 + 100.0 * f64::from(i))).collect()
}

fn problem<'a>(work: Work, paths: &'a [Vec<f64>; 3], bursts: &'a Bursts, capacity: &'a Capacity) -> Problem<'a> {
    let [middle, demand, high] = paths;
    Problem {
        work,
        demand,
        middle,
        high,
        bursts: Some(bursts),
        step: 15.0,
        backlog: 40_000.0,
        current: 14,
        ready: 12,
        in_flight: &[10.0, 20.0],
        pausing: 5.0,
        since_up: None,
        may_shrink: true,
        owners: &[],
        sticky: false,
        limits: Limits { min: 1, max: 40 },
        capacity,
        slo: 30.0,
        price: Price::default(),
    }
}

/// One plan: a group of 40 partitions, equal and skewed, and a service of up to 100 replicas.
#[divan::bench(args = ["equal", "skewed", "sticky", "service"], sample_count = 1_000, sample_size = 1)]
fn one_plan(bencher: Bencher, case: &str) {
    let paths = [1.0, 1.2, 1.4].map(rise);
    let bursts = Bursts { per_second: 1e-4, factor: 1.7, lasts: 500.0, now: None };
    let shares: Vec<f64> =
        (0..40).map(|p| if case == "equal" { 1.0 } else { 1.0 + f64::from(p * 7 % 11) / 8.0 }).collect();
    let owners: Vec<Option<u32>> = (0..40).map(|p| Some(p % 14)).collect();
    let (work, each) = if case == "service" {
        (Work::Shared { unloaded: 5.0 }, 400.0)
    } else {
        (Work::Log { shares, waits: Vec::new() }, 1_000.0)
    };
    let capacity = capacity(each);
    let mut problem = problem(work, &paths, &bursts, &capacity);
    match case {
        "sticky" => (problem.sticky, problem.owners) = (true, &owners),
        "service" => problem.limits.max = 100,
        _ => {}
    }
    bencher.bench_local(|| plan(black_box(&problem)));
}

struct Seen {
    workload: Workload,
    state: WorkloadState,
    history: History,
    forecast: Option<Forecast>,
    previous: Option<Box<Recommendation>>,
}

impl Seen {
    /// `hours` of a group at 15 s that is now and then behind, with or without a forecast to use again.
    fn new(hours: u32, reused: bool) -> Self {
        let entity = Entity { kind: WorkloadKind::ConsumerGroup, source: "prod".into(), id: "orders".into() };
        let workload = Workload {
            name: "orders".into(),
            entity: entity.clone(),
            target: "deploy/shop/orders".parse().ok(),
            limits: Limits { min: 1, max: 40 },
            slo: Slo { time_lag: Some(30.0), ..Slo::default() },
            price: Price::default(),
            guard: GuardSettings::default(),
            signals: std::collections::BTreeMap::new(),
            shape: highwater::model::Shape::default(),
            broker: None,
            found: None,
            configured: true,
        };
        let mut history = History::default();
        let (slots, mut backlog) = (hours * 240, 0.0_f64);
        for i in 0..=slots {
            let at = NOW.plus((f64::from(i) - f64::from(slots)) * 15.0);
            let wave: f64 = (f64::from(i) / 900.0).sin() + 0.1 * (f64::from(i * 7919 % 1_000) / 500.0 - 1.0);
            let n: f64 = if i % 400 < 200 { 10.0 } else { 14.0 };
            let (demand, able): (f64, f64) = (10_000.0 + 3_000.0 * wave, 950.0 * n);
            let flow = if backlog > 0.0 { able } else { able.min(demand) };
            backlog = (backlog + (demand - flow) * 15.0).max(0.0);
            let values = [
                (Role::Demand, demand),
                (Role::Throughput, flow),
                (Role::Backlog, backlog + 25_000.0),
                (Role::TimeLag, backlog / demand + 2.5),
                (Role::Replicas, n),
                (Role::Desired, n),
            ];
            for (role, value) in values {
                history.record(&SignalKey { entity: entity.clone(), role }, Sample { at, value });
            }
        }
        let state = WorkloadState {
            replicas: Some(Replicas { desired: 10, ready: 10, at: NOW, origin: Label::new("kubernetes"), uid: None }),
            coverage: 1.0,
            data_age: 2.0,
            partitions: Some(40),
            partition_lags: vec![Some(700); 40],
            partition_rates: (0..40).map(|p| Some(250.0 + f64::from(p))).collect(),
            ..WorkloadState::unknown(NOW)
        };
        let mut seen = Self { workload, state, history, forecast: None, previous: None };
        if reused {
            let first = advise(&seen.input());
            (seen.forecast, seen.previous) = (first.forecast, first.recommendation.ok());
        }
        seen
    }

    fn input(&self) -> Input<'_> {
        Input {
            workload: &self.workload,
            state: &self.state,
            history: &self.history,
            forecast: self.forecast.as_ref(),
            previous: self.previous.as_deref(),
            memory: None,
            now: NOW,
            horizon: 1_800.0,
            step: 15.0,
        }
    }
}

/// One advice from 1 and 24 hours of history, with a forecast that is used again.
#[divan::bench(args = [1, 24], sample_count = 200, sample_size = 1)]
fn advice(bencher: Bencher, hours: u32) {
    let seen = Seen::new(hours, true);
    bencher.bench_local(|| advise(black_box(&seen.input())));
}

/// The same with a forecast of its own.
#[divan::bench(args = [1, 24], sample_count = 10, sample_size = 1)]
fn advice_and_forecast(bencher: Bencher, hours: u32) {
    let seen = Seen::new(hours, false);
    bencher.bench_local(|| advise(black_box(&seen.input())));
}
