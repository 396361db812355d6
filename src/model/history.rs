//! Keys and samples of what was seen over time.

use super::{Entity, Time};
use serde::{Deserialize, Serialize};

/// What a series says about a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Records or requests arriving per second.
    Demand,
    /// Records or requests processed per second.
    Throughput,
    /// Records, requests or jobs waiting.
    Backlog,
    /// Seconds behind.
    TimeLag,
    /// Latency against the SLO, seconds (TTFT p95 for inference).
    Latency,
    /// Time between tokens against the SLO, seconds, p95 (inference).
    InterToken,
    /// Ratio 0–1.
    Utilisation,
    /// Memory, bytes.
    Memory,
    /// Replicas ready.
    Replicas,
    /// Replicas asked for; beside [`Role::Replicas`] it tells how long a start-up takes.
    Desired,
    /// Jobs waiting (batch).
    Queue,
    /// Jobs under way (batch).
    Running,
    /// Progress ratio 0–1 (training).
    Progress,
}

impl Role {
    /// Every role, in the order that a screen lists them.
    pub const ALL: [Self; 13] = [
        Self::Demand,
        Self::Throughput,
        Self::Backlog,
        Self::TimeLag,
        Self::Latency,
        Self::InterToken,
        Self::Utilisation,
        Self::Memory,
        Self::Replicas,
        Self::Desired,
        Self::Queue,
        Self::Running,
        Self::Progress,
    ];

    /// The name in files and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Demand => "demand",
            Self::Throughput => "throughput",
            Self::Backlog => "backlog",
            Self::TimeLag => "time_lag",
            Self::Latency => "latency",
            Self::InterToken => "inter_token",
            Self::Utilisation => "utilisation",
            Self::Memory => "memory",
            Self::Replicas => "replicas",
            Self::Desired => "desired",
            Self::Queue => "queue",
            Self::Running => "running",
            Self::Progress => "progress",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.name() == name)
    }
}

/// The key of one series: which thing, which role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SignalKey {
    /// The thing.
    pub entity: Entity,
    /// What the series says about it.
    pub role: Role,
}

/// One sample; finite by the time it is recorded. A gap is the absence of samples for longer than a few steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When.
    pub at: Time,
    /// What.
    pub value: f64,
}

/// A series on a regular grid, for charts and models: `values[i]` belongs to `start + i × step`; `None` is a gap.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Grid {
    /// Instant of the first value; a multiple of `step`.
    pub start: Time,
    /// Seconds between values.
    pub step: f64,
    /// Values; a gap is a gap, never 0.
    pub values: Vec<Option<f64>>,
}

impl Grid {
    /// Instant of value `i`.
    pub fn at(&self, i: usize) -> Time {
        self.start.plus(i as f64 * self.step)
    }

    /// Instant just after the last value.
    pub fn end(&self) -> Time {
        self.at(self.values.len())
    }

    /// The same from its first value on that is not a gap: what lies before it is not known and takes no room.
    ///
    /// ```
    /// use highwater::model::{Grid, Time};
    /// let grid = Grid { start: Time::from_secs(0.0), step: 30.0, values: vec![None, None, Some(1.0), None] };
    /// let short = grid.without_lead();
    /// assert_eq!((short.start, short.values), (Time::from_secs(60.0), vec![Some(1.0), None]));
    /// ```
    #[must_use]
    pub fn without_lead(mut self) -> Self {
        let first = self.values.iter().position(Option::is_some).unwrap_or(self.values.len());
        self.start = self.at(first);
        self.values.drain(..first);
        self.values.shrink_to_fit();
        self
    }

    /// The newest value that is not a gap, with its instant.
    pub fn last(&self) -> Option<(Time, f64)> {
        let i = self.values.iter().rposition(Option::is_some)?;
        self.values[i].map(|v| (self.at(i), v))
    }
}

/// A [`Grid`] as it is kept of every signal: four bytes a value, seven digits. Screens make a grid of what they draw.
///
/// ```
/// use highwater::model::{Grid, Time, Track};
/// let grid = Grid { start: Time::from_secs(60.0), step: 30.0, values: vec![Some(1.5), None, Some(2.0)] };
/// let track = Track::of(&grid);
/// assert_eq!(track.grid(), grid);
/// assert_eq!((track.first(), track.last()), (Some(grid.start), Some((Time::from_secs(120.0), 2.0))));
/// assert_eq!((track.largest(grid.start, 60.0), track.largest(grid.start, 90.0)), (Some(1.5), Some(2.0)));
/// assert_eq!(track.until(Time::from_secs(100.0)).grid().values, [Some(1.5), None]);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    /// Instant of the first value.
    pub start: Time,
    /// Seconds between values.
    pub step: f64,
    /// NaN is a gap.
    values: Box<[f32]>,
}

impl Track {
    /// Keeps a grid.
    pub fn of(grid: &Grid) -> Self {
        let values = grid.values.iter().map(|v| v.map_or(f32::NAN, |v| (v as f32).clamp(f32::MIN, f32::MAX))).collect();
        Self { start: grid.start, step: grid.step, values }
    }

    /// The grid.
    pub fn grid(&self) -> Grid {
        let value = |v: &f32| (!v.is_nan()).then(|| f64::from(*v));
        Grid { start: self.start, step: self.step, values: self.values.iter().map(value).collect() }
    }

    /// How many values there are, gaps included.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn at(&self, i: usize) -> Time {
        self.start.plus(i as f64 * self.step)
    }

    /// Instant just after the last value.
    pub fn end(&self) -> Time {
        self.at(self.len())
    }

    /// Instant of the first value that is no gap.
    pub fn first(&self) -> Option<Time> {
        self.values.iter().position(|v| !v.is_nan()).map(|i| self.at(i))
    }

    /// The newest value that is no gap, with its instant.
    pub fn last(&self) -> Option<(Time, f64)> {
        let i = self.values.iter().rposition(|v| !v.is_nan())?;
        Some((self.at(i), f64::from(*self.values.get(i)?)))
    }

    /// The largest value of so many seconds from an instant on.
    pub fn largest(&self, from: Time, seconds: f64) -> Option<f64> {
        let index = |t: Time| (t.since(self.start) / self.step.max(1e-3)).max(0.0) as usize;
        let end = index(from.plus(seconds)).min(self.len());
        let seen = self.values.get(index(from)..end)?.iter().filter(|v| !v.is_nan());
        seen.copied().reduce(f32::max).map(f64::from)
    }

    /// What was known at an instant.
    #[must_use]
    pub fn until(&self, t: Time) -> Self {
        let keep = (t.since(self.start) / self.step.max(1e-3)).ceil().max(0.0) as usize;
        Self { values: self.values.iter().take(keep).copied().collect(), ..*self }
    }
}

impl Serialize for Track {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.grid().serialize(s)
    }
}
