//! Functions from what was observed to a replica count: the rivals as they really are, and the planner. Pure.

pub mod hpa;
pub mod keda;
pub mod oracle;
pub mod planner;
pub mod scaled;
pub mod threshold;
