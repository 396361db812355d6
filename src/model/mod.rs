//! Plain data that every room speaks. No I/O, no clock, no async: time comes in as an argument.
//!
//! Conventions, in every field of this room:
//! - durations are seconds as `f64` unless the type says otherwise; instants are [`Time`];
//! - rates are per second; memory and sizes are bytes; ratios are 0–1;
//! - *missing* is `None`, never 0 and never NaN ([`Reading::new`] refuses what is not finite);
//! - text that came from outside the process is a [`Label`], scrubbed when it was made.

mod action;
mod alert;
mod autoscaler;
mod capacity;
mod cluster;
mod day;
mod forecast;
mod format;
mod found;
mod history;
mod kube;
mod label;
mod lever;
mod link;
mod ml;
mod observation;
mod picture;
mod pipeline;
mod quantity;
mod reading;
mod recommendation;
mod secret;
mod settings;
mod target;
mod time;
mod user_command;
mod vpa;
mod window;
mod workload;
mod workloads;

pub use action::*;
pub use alert::*;
pub use autoscaler::*;
pub use capacity::*;
pub use cluster::*;
pub use day::*;
pub use forecast::*;
pub use format::*;
pub use found::*;
pub use history::*;
pub use kube::*;
pub use label::*;
pub use lever::*;
pub use link::*;
pub use ml::*;
pub use observation::*;
pub use picture::*;
pub use pipeline::*;
pub use quantity::*;
pub use reading::*;
pub use recommendation::*;
pub use secret::*;
pub use settings::*;
pub use target::*;
pub use time::*;
pub use user_command::*;
pub use vpa::*;
pub use window::*;
pub use workload::*;
pub use workloads::{Glance, Workloads};
