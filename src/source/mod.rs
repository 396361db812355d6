//! Reads the world: one room per system, each a task with its own cadence, deadlines and health.

pub mod kafka;
pub mod kubernetes;
pub mod prometheus;
