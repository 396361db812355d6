//! A clairvoyant's timetable, by dynamic programming over counts and backlogs.

use super::Foreseen;

/// Seconds of one stage.
const STAGE: usize = 30;
/// Backlogs on the grid: none, then this many, from a second of mean demand to half an hour.
const LEVELS: usize = 24;
const RANGE: (f64, f64) = (1.0, 1_800.0);
/// Share of the idle consumers' capacity that helps to drain: they finish their own partitions and then wait.
const HELP: f64 = 0.5;
/// A count is considered when it holds this much more than every smaller one.
const USEFUL: f64 = 1.005;
/// A cooperative rebalance stops about this share of the group.
const MOVED: f64 = 0.3;

/// One count in one stage: how the backlog moves.
#[derive(Clone, Copy)]
struct Flow {
    demand: f64,
    growth: f64,
    drain: f64,
}

impl Flow {
    fn after(self, backlog: f64, pause: f64) -> f64 {
        let work = STAGE as f64 - pause;
        let held = backlog + self.demand * pause;
        if self.growth > 0.0 { held + self.growth * work } else { (held - self.drain * work).max(0.0) }
    }
}

/// Counts at instants, `(seconds, count)` in order: when to *ask* for each, so that it is ready when it is needed.
///
/// `derate` is the share of the rate that is counted on: at 1 the timetable sits on the edge of capacity, and the jitter
/// of real start-ups pushes it over; slightly less is cheaper when played.
pub fn schedule(foreseen: &Foreseen<'_>, derate: f64) -> Vec<(f64, u32)> {
    let foreseen = &Foreseen { rate: foreseen.rate * derate, ceiling: foreseen.ceiling * derate, ..*foreseen };
    let counts = useful(foreseen);
    let loads: Vec<Vec<f64>> = counts.iter().map(|n| foreseen.loads(*n)).collect();
    let demand: Vec<f64> = foreseen.demand.chunks(STAGE).map(|s| s.iter().sum::<f64>() / s.len() as f64).collect();
    let mean = demand.iter().sum::<f64>() / demand.len().max(1) as f64;
    let levels = levels(mean);
    let pause = if foreseen.eager { foreseen.rebalance } else { foreseen.rebalance * MOVED }.min(STAGE as f64);
    let cost = |flow: Flow, n: u32, after: f64, pause: f64| {
        let late = after.max(flow.demand * pause) / flow.demand.max(mean * 0.01).max(f64::MIN_POSITIVE);
        let stage = STAGE as f64;
        f64::from(n) * stage / 3600.0 * foreseen.price.pod_hour + foreseen.severity(late) * stage / 60.0
    };
    let flows = |t: usize, i: usize| flow(foreseen, counts[i], &loads[i], demand[t]);
    let (k, b) = (counts.len(), levels.len());
    let mut value = vec![0.0; (demand.len() + 1) * k * b];
    let (mut stay, mut moved) = (vec![0.0; k * b], vec![0.0; k * b]);
    for t in (0..demand.len()).rev() {
        let (now, next) = value.split_at_mut((t + 1) * k * b);
        for i in 0..k {
            let (flow, row) = (flows(t, i), &next[i * b..(i + 1) * b]);
            for (j, backlog) in levels.iter().enumerate() {
                for (out, pause) in [(&mut stay, 0.0), (&mut moved, pause)] {
                    let after = flow.after(*backlog, pause);
                    out[i * b + j] = cost(flow, counts[i], after, pause) + at(row, &levels, after);
                }
            }
        }
        let now = &mut now[t * k * b..];
        for i in 0..k {
            for j in 0..b {
                let others = (0..k).filter(|o| *o != i);
                let away = others.map(|o| foreseen.change(counts[i], counts[o]) + moved[o * b + j]);
                now[i * b + j] = away.fold(stay[i * b + j], f64::min);
            }
        }
    }
    // Forward: follow the cheapest decision from the beginning.
    let (mut at_count, mut backlog, mut out) = (foreseen.start, 0.0, Vec::<(f64, u32)>::new());
    for t in 0..demand.len() {
        let next = &value[(t + 1) * k * b..(t + 2) * k * b];
        let price_of = |i: usize| {
            let pause = if counts[i] == at_count { 0.0 } else { pause };
            let flow = flows(t, i);
            let after = flow.after(backlog, pause);
            let rest = at(&next[i * b..(i + 1) * b], &levels, after);
            (foreseen.change(at_count, counts[i]) + cost(flow, counts[i], after, pause) + rest, after)
        };
        let best = (0..k).map(|i| (i, price_of(i))).min_by(|x, y| x.1.0.total_cmp(&y.1.0));
        let Some((i, (_, after))) = best else { break };
        if counts[i] != at_count {
            let due = (t * STAGE) as f64;
            let ask = if counts[i] > at_count { due - foreseen.start_up } else { due };
            let earliest = out.last().map_or(0.0, |(before, _)| before + STAGE as f64 / 2.0);
            out.push((ask.max(earliest), counts[i]));
        }
        (at_count, backlog) = (counts[i], after);
    }
    out
}

/// Counts that hold more than every smaller one, and the one at the beginning.
fn useful(foreseen: &Foreseen<'_>) -> Vec<u32> {
    let mut best = 0.0;
    foreseen
        .counts()
        .into_iter()
        .filter(|n| {
            let heaviest = foreseen.loads(*n).into_iter().fold(0.0, f64::max);
            let holds = if heaviest > 0.0 { foreseen.rate / heaviest } else { 0.0 };
            let keep = holds > best * USEFUL || *n == foreseen.start || *n == foreseen.limits.min;
            best = holds.max(best);
            keep
        })
        .collect()
}

fn flow(foreseen: &Foreseen<'_>, n: u32, loads: &[f64], demand: f64) -> Flow {
    let heaviest = loads.iter().copied().fold(0.0, f64::max);
    let holds = if heaviest > 0.0 { foreseen.rate / heaviest } else { 0.0 }.min(foreseen.ceiling);
    let over: f64 = loads.iter().map(|share| (demand * share - foreseen.rate).max(0.0)).sum();
    let growth = if loads.is_empty() { demand } else { over.max(demand - foreseen.ceiling) };
    let spare = (holds - demand).max(0.0);
    let all = (foreseen.together(n) - demand).max(spare);
    Flow { demand, growth, drain: spare + HELP * (all - spare) }
}

fn levels(mean: f64) -> Vec<f64> {
    let (low, high) = (mean * RANGE.0, mean * RANGE.1);
    let step = (high / low).powf(1.0 / (LEVELS - 1) as f64);
    let rising = (0..LEVELS).map(|i| low * step.powf(i as f64));
    std::iter::once(0.0).chain(rising.filter(|b| *b > 0.0)).collect()
}

/// The value at a backlog between the levels; beyond the last it goes on as steeply.
fn at(values: &[f64], levels: &[f64], backlog: f64) -> f64 {
    let right = levels.partition_point(|l| *l < backlog).clamp(1, (levels.len() - 1).max(1));
    match (values.get(right - 1), values.get(right), levels.get(right - 1), levels.get(right)) {
        (Some(a), Some(b), Some(low), Some(high)) if high > low => a + (b - a) * (backlog - low) / (high - low),
        _ => values.first().copied().unwrap_or(0.0),
    }
}
