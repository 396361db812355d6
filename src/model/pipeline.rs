//! What flows into what.

use super::Label;
use serde::Serialize;

/// Workloads in the order that data flows through them: `[[pipeline]]` of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pipeline {
    /// Name.
    pub name: Label,
    /// Workloads, upstream first.
    pub workloads: Vec<Label>,
}
