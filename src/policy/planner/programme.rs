//! Backward dynamic programme: what each count with each backlog is worth from each stage on, in one future.

use super::{
    dynamics::{Cost, Count, Promise},
    scenarios::Scenario,
};

/// Points of the backlog grid: none, then two per doubling.
const POINTS: usize = 24;
/// The first point above zero, as a share of what the SLO allows at the peak demand: the last is 64 times the SLO.
const FIRST: f64 = 1.0 / 32.0;

/// Backlogs that values are kept for, growing geometrically: 0, 1, 1.5, 2, 3, 4, 6, … units. The index comes from the
/// exponent and the first bit of the mantissa of the float, so that no logarithm is taken.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    unit: f64,
    values: [f64; POINTS],
    /// One over the distance from each point to the next.
    per_width: [f64; POINTS],
}

impl Levels {
    /// A grid around `allowed`, the backlog that the SLO allows.
    pub fn new(allowed: f64) -> Self {
        let unit = if allowed > 0.0 { allowed * FIRST } else { 1.0 };
        let mut values = [0.0; POINTS];
        for (i, value) in values.iter_mut().enumerate().skip(1) {
            let octave = f64::from(1_u32 << ((i - 1) / 2));
            *value = unit * octave * if (i - 1).is_multiple_of(2) { 1.0 } else { 1.5 };
        }
        let mut per_width = [0.0; POINTS];
        for (pair, width) in values.windows(2).zip(&mut per_width) {
            *width = 1.0 / (pair[1] - pair[0]);
        }
        Self { unit, values, per_width }
    }

    /// A value between those at the neighbouring points; beyond the last point along the last segment.
    #[inline]
    pub fn between(&self, values: &[f64], backlog: f64) -> f64 {
        let x = backlog / self.unit;
        let i = if x < 1.0 { 0 } else { (((x.to_bits() >> 51) - (1023 << 1)) as usize + 1).min(POINTS - 2) };
        let (Some(a), Some(b)) = (values.get(i), values.get(i + 1)) else { return 0.0 };
        a + (backlog - self.values[i]) * self.per_width[i] * (b - a)
    }
}

/// What all futures share.
#[derive(Debug)]
pub(super) struct Frame {
    pub counts: Vec<Count>,
    pub levels: Levels,
    pub promise: Promise,
    /// Seconds of a stage.
    pub stage: f64,
    /// Seconds from asking to ready.
    pub start_up: f64,
    /// Seconds that a stage's work stands still for after an addition and after a removal.
    pub pause: [f64; 2],
    /// The most that any allowed count can do, in replicas.
    pub most: f64,
}

/// How the count of a stage differs from that of the stage before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    Stay,
    Up,
    Down,
}

impl Frame {
    /// One stage at a count: the backlog after it and what it costs.
    #[inline]
    pub fn serve(&self, count: &Count, net: f64, demand: f64, backlog: f64, how: Move) -> (f64, Cost) {
        let pause = match how {
            Move::Stay => 0.0,
            Move::Up => self.pause[0],
            Move::Down => self.pause[1],
        };
        let (after, mut cost) = self.promise.spell(count, demand, net, backlog, pause, self.stage);
        cost.price += self.promise.pods(count.replicas, self.stage);
        (after, cost)
    }

    /// What a move to `to` costs at once. Replicas are paid while they start.
    pub fn switch(&self, from: &Count, to: &Count) -> f64 {
        if from.replicas == to.replicas {
            return 0.0;
        }
        self.promise.action() + self.promise.pods(to.replicas.saturating_sub(from.replicas), self.start_up)
    }
}

/// Values from each stage on, of each count, at each backlog.
#[derive(Debug)]
pub(super) struct Values {
    first: usize,
    counts: usize,
    /// By stage, count and backlog.
    table: Vec<f64>,
}

impl Values {
    /// Values of the stages from `first` to the scenario's end, and of what is left there.
    pub fn new(frame: &Frame, scenario: &Scenario, first: usize) -> Self {
        let last = scenario.stages.last().copied().unwrap_or(0.0);
        let mut left = vec![0.0; frame.counts.len() * POINTS];
        for (count, cells) in frame.counts.iter().zip(left.chunks_mut(POINTS)) {
            for (cell, backlog) in cells.iter_mut().zip(frame.levels.values) {
                *cell = frame.promise.left_over(count, last, backlog, frame.most);
            }
        }
        Self::before(frame, scenario, first, scenario.stages.len(), &left, true)
    }

    /// The same while no removal is allowed before stage `until`; only for stages up to that.
    pub fn locked(&self, frame: &Frame, scenario: &Scenario, until: usize) -> Self {
        let row = self.counts * POINTS;
        let until = until.clamp(self.first, scenario.stages.len());
        let from = (until - self.first) * row;
        Self::before(frame, scenario, self.first, until, self.table.get(from..from + row).unwrap_or_default(), false)
    }

    /// Values of the stages from `first` to `end`, given those at `end`.
    fn before(frame: &Frame, scenario: &Scenario, first: usize, end: usize, at_end: &[f64], may_shrink: bool) -> Self {
        let counts = frame.counts.len();
        let (row, first) = (counts * POINTS, first.min(end));
        let mut table = vec![0.0; (end - first) * row];
        table.extend_from_slice(at_end);
        let mut passes = Passes::new(counts);
        for stage in (first..end).rev() {
            let (now, next) = table[(stage - first) * row..].split_at_mut(row);
            passes.run(frame, scenario.stages[stage], next);
            passes.best(frame, now, may_shrink);
        }
        Self { first, counts, table }
    }

    /// The value from a stage on of count number `i` with a backlog.
    #[inline]
    pub fn at(&self, frame: &Frame, stage: usize, i: usize, backlog: f64) -> f64 {
        let from = ((stage - self.first) * self.counts + i) * POINTS;
        frame.levels.between(self.table.get(from..from + POINTS).unwrap_or_default(), backlog)
    }
}

/// Values of a stage at each *target* count, however it was reached. A source then only takes the best target, so that
/// a stage costs three passes per count rather than one per pair of counts.
struct Passes {
    stay: Vec<f64>,
    up: Vec<f64>,
    down: Vec<f64>,
}

impl Passes {
    fn new(counts: usize) -> Self {
        let new = || vec![f64::INFINITY; counts * POINTS];
        Self { stay: new(), up: new(), down: new() }
    }

    fn run(&mut self, frame: &Frame, demand: f64, next: &[f64]) {
        for (i, count) in frame.counts.iter().enumerate().filter(|(_, c)| c.allowed) {
            let net = count.net(demand);
            let cells = i * POINTS..(i + 1) * POINTS;
            let Some(ahead) = next.get(cells.clone()) else { continue };
            let pass = |out: &mut [f64], how: Move| {
                for (cell, backlog) in out.iter_mut().zip(frame.levels.values) {
                    let (after, cost) = frame.serve(count, net, demand, backlog, how);
                    *cell = cost.price + frame.levels.between(ahead, after);
                }
            };
            pass(&mut self.stay[cells.clone()], Move::Stay);
            if frame.pause.iter().all(|pause| *pause <= 0.0) {
                // Nothing stands still: how a count was reached does not matter.
                self.up[cells.clone()].copy_from_slice(&self.stay[cells.clone()]);
                self.down[cells.clone()].copy_from_slice(&self.stay[cells]);
            } else {
                pass(&mut self.up[cells.clone()], Move::Up);
                pass(&mut self.down[cells], Move::Down);
            }
        }
    }

    /// The best of staying, of any larger and of any smaller count, for each source.
    fn best(&self, frame: &Frame, out: &mut [f64], may_shrink: bool) {
        out.copy_from_slice(&self.stay);
        let paid = |count: &Count| frame.promise.pods(count.replicas, frame.start_up);
        let action = frame.promise.action();
        let mut least = [f64::INFINITY; POINTS];
        for i in 0..if may_shrink { frame.counts.len() } else { 0 } {
            let cells = i * POINTS..(i + 1) * POINTS;
            for ((cell, least), down) in out[cells.clone()].iter_mut().zip(&mut least).zip(&self.down[cells]) {
                *cell = cell.min(*least + action);
                *least = least.min(*down);
            }
        }
        least.fill(f64::INFINITY);
        for (i, count) in frame.counts.iter().enumerate().rev() {
            let cells = i * POINTS..(i + 1) * POINTS;
            let start = paid(count);
            for ((cell, least), up) in out[cells.clone()].iter_mut().zip(&mut least).zip(&self.up[cells]) {
                *cell = cell.min(*least - start + action);
                *least = least.min(*up + start);
            }
        }
    }
}
