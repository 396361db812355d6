//! One number with its age and origin.

use super::{Label, Time};
use serde::{Deserialize, Serialize};

/// How a number came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// Read from the system it describes.
    Measured,
    /// Computed from other readings with assumptions (a time lag between two rungs, a rate over two polls).
    Estimated,
    /// True for a part only: some partitions or instances did not answer. A lower bound for sums.
    Partial,
}

/// One number as it was seen: no number is shown without its age and its origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The value; finite.
    pub value: f64,
    /// When it was true at the system it came from.
    pub at: Time,
    /// Measured, estimated or partial.
    pub quality: Quality,
    /// Where it came from, for a person: `kafka prod: ListOffsets`, `prometheus main: sum(rate(…))`.
    pub origin: Label,
}

impl Reading {
    /// A measured value; `None` when `value` is not finite: missing is never NaN.
    pub fn new(value: f64, at: Time, origin: impl Into<Label>) -> Option<Self> {
        value.is_finite().then(|| Self { value, at, quality: Quality::Measured, origin: origin.into() })
    }

    /// The same reading with another quality.
    #[must_use]
    pub fn with_quality(mut self, quality: Quality) -> Self {
        self.quality = quality;
        self
    }

    /// Seconds since it was true; never negative (a clock may have been set back).
    pub fn age(&self, now: Time) -> f64 {
        now.since(self.at).max(0.0)
    }
}
