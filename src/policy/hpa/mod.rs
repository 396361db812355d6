//! The HorizontalPodAutoscaler as `autoscaling/v2` of Kubernetes 1.36 decides, metric by metric and sync by sync.
//!
//! Two halves, as upstream has them (`pkg/controller/podautoscaler`):
//! - one metric in, a proposed count out (`replica_calculator.go`): [`average_value`], [`value`], [`utilisation`],
//!   [`pods_average`]; several proposals become one with [`combine`];
//! - a proposal in, the count that is written out (`horizontal.go`): [`Autoscaler::sync`], which remembers
//!   recommendations and scale events between syncs.
//!
//! Metric values are integers in thousandths, as upstream's `MilliValue`: its integer divisions truncate, and so do ours.

mod autoscaler;
mod pods;

pub use crate::model::{
    HpaBehavior as Behavior, ScalingPolicy as Policy, ScalingRules as Rules, ScalingUnit as Kind,
    SelectPolicy as Select,
};
pub use autoscaler::{Autoscaler, Bounds, Decision, Direction};
pub use pods::{Phase, Pod, Readiness, pods_average, utilisation};

/// How far a ratio may lie from 1 before anything is done. Ratios, not percents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Nothing is added up to `1 + up`.
    pub up: f64,
    /// Nothing is removed down to `1 - down`.
    pub down: f64,
}

impl Default for Tolerance {
    /// `--horizontal-pod-autoscaler-tolerance`: 0.1 both ways.
    fn default() -> Self {
        Self { up: 0.1, down: 0.1 }
    }
}

impl Tolerance {
    /// `Tolerances.isWithin`: both ends included. Not-a-number is outside.
    pub fn holds(&self, ratio: f64) -> bool {
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

/// Settings of the controller manager, seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controller {
    /// `--horizontal-pod-autoscaler-sync-period`.
    pub sync: f64,
    /// `--horizontal-pod-autoscaler-downscale-stabilization`.
    pub downscale_stabilization: f64,
    /// `--horizontal-pod-autoscaler-tolerance`.
    pub tolerance: Tolerance,
    /// `--horizontal-pod-autoscaler-cpu-initialization-period`.
    pub cpu_initialization: f64,
    /// `--horizontal-pod-autoscaler-initial-readiness-delay`.
    pub initial_readiness_delay: f64,
}

impl Default for Controller {
    /// `config/v1alpha1/defaults.go`.
    fn default() -> Self {
        Self {
            sync: 15.0,
            downscale_stabilization: 300.0,
            tolerance: Tolerance::default(),
            cpu_initialization: 300.0,
            initial_readiness_delay: 30.0,
        }
    }
}

/// An object or external metric with an `AverageValue` target: the total over the target per replica.
///
/// `GetExternalPerPodMetricReplicas`, `GetObjectPerPodMetricReplicas`: it looks at `status.replicas`, never at readiness.
///
/// ```
/// use highwater::policy::hpa::{Tolerance, average_value};
/// // 8.6 over 2.15 a replica: four, not the three that run
/// assert_eq!(average_value(8_600, 2_150, 3, Tolerance::default()), 4);
/// ```
pub fn average_value(total: i64, target: i64, status_replicas: u32, tolerance: Tolerance) -> u32 {
    let ratio = total as f64 / (target as f64 * f64::from(status_replicas));
    if tolerance.holds(ratio) { status_replicas } else { ceil(total as f64 / target as f64) }
}

/// An object or external metric with a `Value` target: the ratio times the ready pods.
///
/// `getUsageRatioReplicaCount`: from zero the tolerance is ignored and the ratio itself is the count. `pods`: how many
/// there are, and how many of them are ready; without any there is no proposal. The error is upstream's own.
pub fn value(
    total: i64,
    target: i64,
    spec_replicas: u32,
    pods: (u32, u32),
    tolerance: Tolerance,
) -> Result<u32, String> {
    let ratio = total as f64 / target as f64;
    match pods {
        _ if spec_replicas == 0 => Ok(ceil(ratio)),
        _ if tolerance.holds(ratio) => Ok(spec_replicas),
        (0, _) => Err("no pods returned by selector while calculating replica count".to_owned()),
        (_, ready) => Ok(ceil(ratio * f64::from(ready))),
    }
}

/// Several metrics' proposals as one: the largest wins. With some unreadable it still scales up, but never down
/// (`computeReplicasForMetrics`); with all unreadable, or none configured, there is no proposal.
pub fn combine(proposals: &[Result<u32, String>], spec_replicas: u32) -> Result<u32, String> {
    let largest = proposals.iter().filter_map(|p| p.as_ref().ok()).max().copied();
    let failed = proposals.iter().filter(|p| p.is_err()).count();
    let error = || proposals.iter().find_map(|p| p.as_ref().err()).map_or("no metric is configured", String::as_str);
    match largest {
        Some(count) if failed == 0 || count >= spec_replicas => Ok(count),
        _ => Err(format!("invalid metrics ({failed} invalid out of {}): {}", proposals.len(), error())),
    }
}

/// `int32(math.Ceil(x))`, kept within what Kubernetes can hold. A negative metric proposes zero.
fn ceil(x: f64) -> u32 {
    x.ceil().clamp(0.0, f64::from(i32::MAX)) as u32 // not-a-number (0/0) becomes 0
}
