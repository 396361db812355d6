//! Workloads in discrete time: demand, a topic and its consumer groups, an inference fleet, a training queue.
//!
//! Everything here is plain data with a `step`: no clock, no I/O, one seed. A step is [`STEP`] long. The same parts are
//! the simulated world of the demo and the arena in which policies are compared.
//!
//! ```
//! use highwater::simulate::{demand::{Demand, DemandSettings}, group::{Group, GroupSettings}, topic::Topic};
//! let mut demand = Demand::new(DemandSettings { mean: 900.0, ..DemandSettings::default() }, 1);
//! let mut topic = Topic::new(12, 0.15, 2);
//! let mut group = Group::new(GroupSettings::default(), &topic, 2, 3);
//! for second in 0..600 {
//!     topic.produce(demand.rate(f64::from(second)));
//!     group.step(topic.ends());
//! }
//! assert!(group.lag(topic.ends()) < 10_000.0, "two consumers of 1000 records/s keep up with 900");
//! ```

pub mod arena;
mod assign;
pub mod batch;
pub mod demand;
pub mod fleet;
pub mod group;
pub mod histogram;
pub mod queueing;
mod random;
pub mod serving;
pub mod topic;

pub use assign::{Assignor, assign};
pub use random::Random;

/// Seconds that one step lasts.
pub const STEP: f64 = 1.0;
