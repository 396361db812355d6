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

/// What it costs to go on from each stage, count and backlog, by somebody who knows what comes.
///
/// A fluid model in coarse stages: its values are neither bounds nor prices, but they tell which way is worth a try.
#[derive(Clone, Debug)]
pub struct Programme<'a> {
    foreseen: Foreseen<'a>,
    counts: Vec<u32>,
    loads: Vec<Vec<f64>>,
    /// Mean demand of each stage.
    demand: Vec<f64>,
    levels: Vec<f64>,
    /// Seconds that a change of the count stops the group.
    pause: f64,
    /// By stage, count and level; one stage more than there is demand for.
    value: Vec<f64>,
}

impl<'a> Programme<'a> {
    /// Solves the programme. `derate` is the share of the rate that is counted on: at 1 a timetable sits on the edge of
    /// capacity, and the jitter of real start-ups pushes it over; slightly less is cheaper when played.
    pub fn new(foreseen: &Foreseen<'a>, derate: f64) -> Self {
        let foreseen = Foreseen { rate: foreseen.rate * derate, ceiling: foreseen.ceiling * derate, ..*foreseen };
        let counts = useful(&foreseen);
        let loads: Vec<Vec<f64>> = counts.iter().map(|n| foreseen.loads(*n)).collect();
        let demand: Vec<f64> = foreseen.demand.chunks(STAGE).map(|s| s.iter().sum::<f64>() / s.len() as f64).collect();
        let mean = demand.iter().sum::<f64>() / demand.len().max(1) as f64;
        let share = if foreseen.eager { 1.0 } else { MOVED };
        let pause = (foreseen.rebalance * share).min(STAGE as f64);
        let levels = levels(mean);
        let value = vec![0.0; (demand.len() + 1) * counts.len() * levels.len()];
        let mut programme = Self { foreseen, counts, loads, demand, levels, pause, value };
        programme.solve();
        programme
    }

    fn solve(&mut self) {
        let (k, b) = (self.counts.len(), self.levels.len());
        let (mut stay, mut moved) = (vec![0.0; k * b], vec![0.0; k * b]);
        let mut value = std::mem::take(&mut self.value);
        for t in (0..self.demand.len()).rev() {
            let (now, next) = value.split_at_mut((t + 1) * k * b);
            for i in 0..k {
                let (flow, row) = (self.flow(t, i), &next[i * b..(i + 1) * b]);
                for (j, backlog) in self.levels.iter().enumerate() {
                    for (out, pause) in [(&mut stay, 0.0), (&mut moved, self.pause)] {
                        let after = flow.after(*backlog, pause);
                        out[i * b + j] = self.cost(flow, i, after, pause) + at(row, &self.levels, after);
                    }
                }
            }
            let now = &mut now[t * k * b..];
            for i in 0..k {
                for j in 0..b {
                    let others = (0..k).filter(|o| *o != i);
                    let away = others.map(|o| self.change(i, o) + moved[o * b + j]);
                    now[i * b + j] = away.fold(stay[i * b + j], f64::min);
                }
            }
        }
        self.value = value;
    }

    /// Counts at instants, `(seconds, count)` in order: when to *ask* for each, so that it is ready when it is needed.
    pub fn timetable(&self) -> Vec<(f64, u32)> {
        let (k, b) = (self.counts.len(), self.levels.len());
        let mut at_count = self.counts.iter().position(|n| *n == self.foreseen.start);
        let (mut backlog, mut out) = (0.0, Vec::<(f64, u32)>::new());
        for t in 0..self.demand.len() {
            let next = &self.value[(t + 1) * k * b..(t + 2) * k * b];
            let price_of = |i: usize| {
                let stays = at_count == Some(i);
                let pause = if stays { 0.0 } else { self.pause };
                let flow = self.flow(t, i);
                let after = flow.after(backlog, pause);
                let rest = at(&next[i * b..(i + 1) * b], &self.levels, after);
                let change = at_count.map_or(0.0, |from| self.change(from, i));
                (change + self.cost(flow, i, after, pause) + rest, after)
            };
            let best = (0..k).map(|i| (i, price_of(i))).min_by(|x, y| x.1.0.total_cmp(&y.1.0));
            let Some((i, (_, after))) = best else { break };
            if at_count != Some(i) {
                let due = (t * STAGE) as f64;
                let more = at_count.is_none_or(|from| i > from);
                let ask = if more { due - self.foreseen.start_up } else { due };
                let earliest = out.last().map_or(0.0, |(before, _)| before + STAGE as f64 / 2.0);
                out.push((ask.max(earliest), self.counts[i]));
            }
            (at_count, backlog) = (Some(i), after);
        }
        out
    }

    fn change(&self, from: usize, to: usize) -> f64 {
        self.foreseen.change(self.counts[from], self.counts[to])
    }

    fn cost(&self, flow: Flow, i: usize, after: f64, pause: f64) -> f64 {
        let late = after.max(flow.demand * pause) / flow.demand.max(self.foreseen.least);
        let stage = STAGE as f64;
        let pods = f64::from(self.counts[i]) * stage / 3600.0 * self.foreseen.price.pod_hour;
        pods + self.foreseen.severity(late) * stage / 60.0
    }

    fn flow(&self, t: usize, i: usize) -> Flow {
        flow(&self.foreseen, self.counts[i], &self.loads[i], self.demand[t])
    }
}

/// Counts that hold more than every smaller one, and the one at the beginning.
fn useful(foreseen: &Foreseen<'_>) -> Vec<u32> {
    let mut best = 0.0;
    foreseen
        .counts()
        .into_iter()
        .filter(|n| {
            let heaviest = foreseen.loads(*n).into_iter().fold(0.0, f64::max);
            let holds = if heaviest > 0.0 { foreseen.each(*n) / heaviest } else { 0.0 };
            let keep = holds > best * USEFUL || *n == foreseen.start || *n == foreseen.limits.min;
            best = holds.max(best);
            keep
        })
        .collect()
}

fn flow(foreseen: &Foreseen<'_>, n: u32, loads: &[f64], demand: f64) -> Flow {
    let heaviest = loads.iter().copied().fold(0.0, f64::max);
    let each = foreseen.each(n);
    let holds = if heaviest > 0.0 { each / heaviest } else { 0.0 }.min(foreseen.ceiling);
    let over: f64 = loads.iter().map(|share| (demand * share - each).max(0.0)).sum();
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
