//! An instant, in milliseconds since the epoch. Pure rooms get it as an argument and never ask a clock.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// An instant: milliseconds since 1970-01-01T00:00:00Z. Kafka's and Kubernetes' own resolution.
///
/// ```
/// use highwater::model::Time;
/// let t = Time::from_millis(1_500);
/// assert_eq!(t.plus(2.5).millis(), 4_000);
/// assert_eq!(t.plus(2.5).since(t), 2.5);
/// assert_eq!(t.to_string(), "1970-01-01T00:00:01.500Z");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

impl Time {
    /// From milliseconds since the epoch.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// From (fractional) seconds since the epoch; not-a-number becomes the epoch.
    pub fn from_secs(s: f64) -> Self {
        Self((s * 1000.0).round() as i64)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch.
    pub fn secs(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// This instant moved by `seconds` (which may be negative).
    #[must_use]
    pub fn plus(self, seconds: f64) -> Self {
        Self(self.0.saturating_add((seconds * 1000.0).round() as i64))
    }

    /// Seconds from `earlier` to this instant; negative when `earlier` is later (clocks jump).
    pub fn since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1000.0
    }

    /// The last multiple of `step` seconds at or before this instant. Charts and range queries are aligned with it.
    ///
    /// # Panics
    /// Never: a step below one millisecond counts as one.
    #[must_use]
    pub fn floor_to(self, step: f64) -> Self {
        let step = ((step * 1000.0).round() as i64).max(1);
        Self(self.0.div_euclid(step) * step)
    }

    /// The machine's clock. For the edges (floor 4 and up) only.
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_millisecond())
    }

    /// Reads an RFC 3339 string.
    pub fn parse(s: &str) -> Option<Self> {
        s.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_millisecond()))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = String::deserialize(d)?;
        Self::parse(&s).ok_or_else(|| serde::de::Error::custom(format!("{s:?} is not an RFC 3339 instant")))
    }
}
