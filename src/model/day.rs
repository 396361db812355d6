//! The plan of a whole day: for an approver to look at, never to be approved as a whole.

use super::{Capacity, Forecast, PlanStep, Time};
use serde::Serialize;

/// What a day would cost under one way of setting the count, on the forecast's median; minutes late also on its p95.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DayCourse {
    /// Who sets the count: `plan`, `keep 6`, `HPA`, `KEDA`, `usual HPA` (none is there).
    pub name: String,
    /// Replicas that run, summed over the hours.
    pub pod_hours: f64,
    /// Minutes over the objective.
    pub slo_minutes: f64,
    /// The same if the whole day goes as the p95 path does: one day in twenty is as busy at any one time.
    pub slo_minutes_high: f64,
    /// Changes of the count.
    pub actions: u32,
    /// Highest count.
    pub most: u32,
    /// Pod-hours, minutes over the objective and changes, priced.
    pub price: f64,
}

/// A day ahead of one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DayPlan {
    /// Made at.
    pub at: Time,
    /// Demand over the day.
    pub forecast: Forecast,
    /// What a replica was taken to do.
    pub capacity: Capacity,
    /// Counts and when to ask for them; the first is the present one.
    pub steps: Vec<PlanStep>,
    /// The plan first, then what else could be done with the day.
    pub courses: Vec<DayCourse>,
    /// What it rests on, as sentences.
    pub basis: Vec<String>,
}
