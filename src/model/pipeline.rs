//! What flows into what.

use super::{Found, Label};
use serde::Serialize;

/// Workloads in the order that data flows through them: `[[pipeline]]` of the configuration, or proposed from what was
/// seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pipeline {
    /// Name.
    pub name: Label,
    /// Workloads, upstream first.
    pub workloads: Vec<Label>,
    /// How each workload but the last is known to feed the next one; empty: the configuration says so.
    pub links: Vec<Found>,
}

impl Pipeline {
    /// Whether nobody wrote it down.
    pub fn is_proposed(&self) -> bool {
        !self.links.is_empty()
    }

    /// How the workload at a place is known to be fed by the one before it; `None`: it is the first, or it is written down.
    pub fn link_to(&self, place: usize) -> Option<&Found> {
        self.links.get(place.checked_sub(1)?)
    }
}
