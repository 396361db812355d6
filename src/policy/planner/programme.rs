//! Backward dynamic programme: what each count with each backlog is worth from each stage on, in one future.

use super::{
    dynamics::{Cost, Count, Promise, Stuck},
    scenarios::Scenario,
};

/// Points of the backlog grid: none, then two per doubling.
const POINTS: usize = 24;
/// The first point above zero, as a share of what the SLO allows at the peak demand: the last is 64 times the SLO.
const FIRST: f64 = 1.0 / 32.0;
/// Points of the fine grid up to twice what the SLO allows, and beyond, four per doubling.
const EVEN: usize = 32;
const PER_EVEN: f64 = 1.0 / EVEN as f64;
const BEYOND: usize = 14;

/// Backlogs that values are kept for, growing geometrically: 0, 1, 1.5, 2, 3, 4, 6, … units. The index comes from the
/// exponent and the first bits of the mantissa of the float, so that no logarithm is taken.
///
/// Between two points values are interpolated, which after a few stages mixes a backlog with the next lower one. Where it
/// drains fast that does no harm; one that lies for an hour would seem to melt away, so it gets a finer grid: even up to
/// twice what the SLO allows, geometric beyond.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    /// The first point above zero, and one over it.
    unit: f64,
    per_unit: f64,
    fine: bool,
    values: Vec<f64>,
    /// One over the distance from each point to the next.
    per_width: Vec<f64>,
}

impl Levels {
    /// A grid around `allowed`, the backlog that the SLO allows.
    pub fn new(allowed: f64) -> Self {
        let unit = if allowed > 0.0 { allowed * FIRST } else { 1.0 };
        Self::of(unit, false, std::iter::once(0.0).chain((0..POINTS - 1).map(|i| geometric(i, 2))))
    }

    /// The fine grid around the same backlog.
    pub fn finer(&self) -> Self {
        let even = (0..EVEN).map(|i| i as f64);
        let unit = 2.0 * self.unit / FIRST / EVEN as f64;
        Self::of(unit, true, even.chain((0..BEYOND).map(|i| EVEN as f64 * geometric(i, 4))))
    }

    fn of(unit: f64, fine: bool, points: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = points.map(|x| x * unit).collect();
        let mut per_width: Vec<f64> = values.windows(2).map(|pair| 1.0 / (pair[1] - pair[0])).collect();
        per_width.push(0.0);
        Self { unit, per_unit: 1.0 / unit, fine, values, per_width }
    }

    /// The backlogs.
    #[cfg(test)]
    pub fn points(&self) -> &[f64] {
        &self.values
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// A value between those at the neighbouring points; beyond the last point along the last segment.
    #[inline]
    pub fn between(&self, values: &[f64], backlog: f64) -> f64 {
        let x = backlog * self.per_unit;
        let i = if self.fine {
            if x < EVEN as f64 {
                x.max(0.0) as usize
            } else {
                ((((x * PER_EVEN).to_bits() >> 50) - (1023 << 2)) as usize + EVEN).min(self.values.len() - 2)
            }
        } else if x < 1.0 {
            0
        } else {
            (((x.to_bits() >> 51) - (1023 << 1)) as usize + 1).min(POINTS - 2)
        };
        let (Some(a), Some(b)) = (values.get(i), values.get(i + 1)) else { return 0.0 };
        a + (backlog - self.values[i]) * self.per_width[i] * (b - a)
    }
}

/// The point `i` of a geometric grid that begins at 1, with `per` points per doubling.
fn geometric(i: usize, per: usize) -> f64 {
    (1_u64 << (i / per)) as f64 * (1.0 + (i % per) as f64 / per as f64)
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
    /// Seconds that what stops stands still for after an addition and after a removal.
    pub pause: [f64; 2],
    /// The most that any allowed count can do, in replicas.
    pub most: f64,
}

/// Change of a backlog per second while work goes on, and what of it is stuck.
pub(super) type Flow = (f64, Stuck);

/// What `backlog` changes by in some seconds of work.
#[inline]
pub(super) fn changes((net, stuck): Flow, backlog: f64, seconds: f64) -> f64 {
    let change = net * seconds;
    if stuck.lies > 0.0 && net < 0.0 {
        // Down to what lies with a few it drains as fast as all together do, below only as those few do.
        change.max(stuck.lies.min(backlog - stuck.drains * seconds) - backlog)
    } else {
        change
    }
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
    pub fn serve(&self, count: &Count, (net, stuck): Flow, demand: f64, backlog: f64, how: Move) -> (f64, Cost) {
        let pause = match how {
            Move::Stay => 0.0,
            Move::Up => self.pause[0] * count.stops(),
            Move::Down => self.pause[1] * count.stops(),
        };
        let left = (self.stage - pause).max(0.0);
        let change = changes((net, stuck), backlog + demand * pause, left);
        let (after, mut cost) = self.promise.spell(count, demand, change, backlog, pause, self.stage);
        cost.price += self.promise.pods(count.replicas, self.stage);
        (after, cost)
    }

    /// How the backlog of a stage changes at count number `i`.
    #[inline]
    pub fn flow(count: &Count, scenario: &Scenario, i: usize, stage: usize) -> Flow {
        let demand = scenario.stages[stage];
        (count.net(demand), scenario.piles.get(i).map_or_else(Stuck::default, |pile| pile.stuck(stage, demand)))
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
        let mut left = vec![0.0; frame.counts.len() * frame.levels.len()];
        let drains = scenario.piles.iter().map(|p| p.drains(last)).fold(0.0, f64::max);
        for (i, (count, cells)) in frame.counts.iter().zip(left.chunks_mut(frame.levels.len())).enumerate() {
            let lies =
                scenario.piles.get(i).map_or(0.0, |p| p.stuck(scenario.stages.len().saturating_sub(1), last).lies);
            let stuck = Stuck { lies, drains };
            for (cell, backlog) in cells.iter_mut().zip(&frame.levels.values) {
                *cell = frame.promise.left_over(count, last, *backlog, frame.most, stuck);
            }
        }
        Self::before(frame, scenario, first, scenario.stages.len(), &left, None)
    }

    /// The same while no removal is allowed before stage `until`; only for stages up to that, and counts from number
    /// `from_count` on.
    pub fn locked(&self, frame: &Frame, scenario: &Scenario, until: usize, from_count: usize) -> Self {
        let row = self.counts * frame.levels.len();
        let until = until.clamp(self.first, scenario.stages.len());
        let from = (until - self.first) * row;
        Self::before(
            frame,
            scenario,
            self.first,
            until,
            self.table.get(from..from + row).unwrap_or_default(),
            Some(from_count),
        )
    }

    /// Values of the stages from `first` to `end`, given those at `end`. `locked`: without removals, of the counts from
    /// this number on.
    fn before(
        frame: &Frame,
        scenario: &Scenario,
        first: usize,
        end: usize,
        at_end: &[f64],
        locked: Option<usize>,
    ) -> Self {
        let counts = frame.counts.len();
        let (row, first) = (counts * frame.levels.len(), first.min(end));
        let mut table = vec![0.0; (end - first) * row];
        table.extend_from_slice(at_end);
        let mut passes = Passes::new(counts, frame.levels.len(), locked);
        for stage in (first..end).rev() {
            let (now, next) = table[(stage - first) * row..].split_at_mut(row);
            passes.run(frame, scenario, stage, next);
            passes.best(frame, now);
        }
        Self { first, counts, table }
    }

    /// The value from a stage on of count number `i` with a backlog.
    #[inline]
    pub fn at(&self, frame: &Frame, stage: usize, i: usize, backlog: f64) -> f64 {
        let points = frame.levels.len();
        let from = ((stage - self.first) * self.counts + i) * points;
        frame.levels.between(self.table.get(from..from + points).unwrap_or_default(), backlog)
    }
}

/// Values of a stage at each *target* count, however it was reached. A source then only takes the best target, so that
/// a stage costs three passes per count rather than one per pair of counts.
struct Passes {
    stay: Vec<f64>,
    up: Vec<f64>,
    down: Vec<f64>,
    /// No removals, and no counts before this one.
    locked: Option<usize>,
}

impl Passes {
    fn new(counts: usize, points: usize, locked: Option<usize>) -> Self {
        let new = || vec![f64::INFINITY; counts * points];
        Self { stay: new(), up: new(), down: new(), locked }
    }

    fn run(&mut self, frame: &Frame, scenario: &Scenario, stage: usize, next: &[f64]) {
        let demand = scenario.stages[stage];
        let points = frame.levels.len();
        let from = self.locked.unwrap_or(0);
        for (i, count) in frame.counts.iter().enumerate().skip(from).filter(|(_, c)| c.allowed) {
            let flow = Frame::flow(count, scenario, i, stage);
            let cells = i * points..(i + 1) * points;
            let Some(ahead) = next.get(cells.clone()) else { continue };
            let pass = |out: &mut [f64], how: Move| {
                for (cell, backlog) in out.iter_mut().zip(&frame.levels.values) {
                    let (after, cost) = frame.serve(count, flow, demand, *backlog, how);
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
                if self.locked.is_none() {
                    pass(&mut self.down[cells], Move::Down);
                }
            }
        }
    }

    /// The best of staying, of any larger and of any smaller count, for each source.
    fn best(&self, frame: &Frame, out: &mut [f64]) {
        out.copy_from_slice(&self.stay);
        let paid = |count: &Count| frame.promise.pods(count.replicas, frame.start_up);
        let action = frame.promise.action();
        let points = frame.levels.len();
        let mut least = vec![f64::INFINITY; points];
        for i in 0..if self.locked.is_none() { frame.counts.len() } else { 0 } {
            let cells = i * points..(i + 1) * points;
            for ((cell, least), down) in out[cells.clone()].iter_mut().zip(&mut least).zip(&self.down[cells]) {
                *cell = cell.min(*least + action);
                *least = least.min(*down);
            }
        }
        least.fill(f64::INFINITY);
        for (i, count) in frame.counts.iter().enumerate().rev() {
            let cells = i * points..(i + 1) * points;
            let start = paid(count);
            for ((cell, least), up) in out[cells.clone()].iter_mut().zip(&mut least).zip(&self.up[cells]) {
                *cell = cell.min(*least - start + action);
                *least = least.min(*up + start);
            }
        }
    }
}
