//! Metrics that pods report one by one: who counts, and what stands in for those who said nothing.

use super::{Controller, Tolerance, ceil};

/// `status.phase`, as far as the autoscaler tells phases apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started.
    Pending,
    /// Running (or succeeded).
    Running,
    /// Failed: ignored altogether.
    Failed,
}

/// The `Ready` condition with the times that the initialisation rules compare. Seconds before now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Readiness {
    /// Status of the condition.
    pub ready: bool,
    /// Age of `status.startTime`.
    pub started: f64,
    /// Age of `lastTransitionTime`.
    pub changed: f64,
    /// Age of the metric's timestamp.
    pub sampled: f64,
    /// The metric's window.
    pub window: f64,
}

/// A pod as the autoscaler sees it, or several that are alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pod {
    /// Its phase.
    pub phase: Phase,
    /// `metadata.deletionTimestamp` is set.
    pub deleted: bool,
    /// `None`: no `Ready` condition or no start time.
    pub readiness: Option<Readiness>,
    /// What it uses, thousandths; `None`: no metric.
    pub usage: Option<i64>,
    /// What it requested, thousandths; `None`: a container without a request.
    pub request: Option<i64>,
    /// How many such pods there are.
    pub alike: u32,
}

/// How one pod enters the calculation (`groupPods`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Ready,
    Unready,
    Missing,
    Ignored,
}

fn standing(pod: &Pod, cpu: bool, controller: &Controller) -> Standing {
    if pod.deleted || pod.phase == Phase::Failed {
        return Standing::Ignored;
    }
    if pod.phase == Phase::Pending {
        return Standing::Unready;
    }
    if pod.usage.is_none() {
        return Standing::Missing;
    }
    if cpu && is_initialising(pod.readiness, controller) { Standing::Unready } else { Standing::Ready }
}

/// Whether a CPU sample still shows the start of the program rather than its work.
fn is_initialising(readiness: Option<Readiness>, controller: &Controller) -> bool {
    let Some(r) = readiness else { return true };
    if r.started < controller.cpu_initialization {
        // unready, or less than a whole window was measured since it changed
        !r.ready || r.sampled > r.changed - r.window
    } else {
        // unready, and never was ready: its condition last changed right after the start
        !r.ready && r.started - controller.initial_readiness_delay < r.changed
    }
}

/// A resource metric with a `Utilization` target, percent of requests (`GetResourceReplicas`).
///
/// The utilisation is an integer percent, truncated. `cpu`: the rules for pods that are still starting apply.
/// The error is upstream's own.
pub fn utilisation(
    pods: &[Pod],
    target_percent: i64,
    spec_replicas: u32,
    cpu: bool,
    controller: &Controller,
    tolerance: Tolerance,
) -> Result<u32, String> {
    // Requests of all pods must be known, even of those that are ignored afterwards.
    if pods.iter().any(|p| p.request.is_none()) {
        return Err("missing request for a container".to_owned());
    }
    let ratio = |counted: &Counted<'_>| {
        let requested: i128 = counted.iter().map(|(_, p)| times(p.request.unwrap_or(0), p)).sum();
        let percent = (used(counted) * 100).checked_div(requested).ok_or("no metrics returned matched known pods")?;
        Ok(percent as f64 / target_percent as f64)
    };
    let stand_in = |pod: &Pod| pod.request.unwrap_or(0) * target_percent.max(100) / 100;
    propose(pods, spec_replicas, cpu, controller, tolerance, &Missing { at_one: false, down: &stand_in }, ratio)
}

/// A pods metric, or a resource metric with an `AverageValue` target (`calcPlainMetricReplicas`): the mean over the target,
/// in thousandths. `cpu`: the metric is the CPU resource.
pub fn pods_average(
    pods: &[Pod],
    target: i64,
    spec_replicas: u32,
    cpu: bool,
    controller: &Controller,
    tolerance: Tolerance,
) -> Result<u32, String> {
    let ratio = |counted: &Counted<'_>| {
        let mean = used(counted) / i128::from(count(counted).max(1));
        Ok(mean as f64 / target as f64)
    };
    let stand_in = |_: &Pod| target;
    propose(pods, spec_replicas, cpu, controller, tolerance, &Missing { at_one: true, down: &stand_in }, ratio)
}

/// Usages with the pods that have them.
type Counted<'a> = [(i64, &'a Pod)];

/// Pods.
fn count(counted: &Counted<'_>) -> u64 {
    counted.iter().map(|(_, p)| u64::from(p.alike)).sum()
}

/// Their usage together. Wide, so that no count and no reading overflows it.
fn used(counted: &Counted<'_>) -> i128 {
    counted.iter().map(|(usage, p)| times(*usage, p)).sum()
}

fn times(each: i64, pod: &Pod) -> i128 {
    i128::from(each) * i128::from(pod.alike)
}

/// What stands in for pods without a metric.
struct Missing<'a> {
    /// Whether a ratio of exactly 1 already counts as scaling up (it does for plain metrics only).
    at_one: bool,
    /// Usage assumed when scaling down; when scaling up it is 0.
    down: &'a dyn Fn(&Pod) -> i64,
}

/// The part that both calculations share: once over the ready pods, and again with stand-ins for missing and unready ones;
/// nothing is done when the two disagree about the direction.
fn propose(
    pods: &[Pod],
    current: u32,
    cpu: bool,
    controller: &Controller,
    tolerance: Tolerance,
    missing: &Missing<'_>,
    ratio_of: impl Fn(&Counted<'_>) -> Result<f64, &'static str>,
) -> Result<u32, String> {
    if pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let of = |wanted: Standing| pods.iter().filter(move |p| standing(p, cpu, controller) == wanted);
    let ready: Vec<(i64, &Pod)> = of(Standing::Ready).filter_map(|p| p.usage.map(|u| (u, p))).collect();
    if ready.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
    }
    let ratio = ratio_of(&ready)?;
    let up_with_unready = ratio > 1.0 && of(Standing::Unready).next().is_some();
    let any_missing = of(Standing::Missing).next().is_some();
    if !up_with_unready && !any_missing {
        return Ok(if tolerance.holds(ratio) { current } else { ceil(ratio * count(&ready) as f64) });
    }
    let mut counted = ready;
    if ratio < 1.0 {
        counted.extend(of(Standing::Missing).map(|p| ((missing.down)(p), p)));
    } else if ratio > 1.0 || missing.at_one {
        counted.extend(of(Standing::Missing).map(|p| (0, p)));
    }
    if up_with_unready {
        counted.extend(of(Standing::Unready).map(|p| (0, p)));
    }
    let again = ratio_of(&counted)?;
    let turned = (ratio < 1.0 && again > 1.0) || (ratio > 1.0 && again < 1.0);
    if turned || tolerance.holds(again) {
        return Ok(current);
    }
    let wanted = ceil(again * count(&counted) as f64);
    let against = (again < 1.0 && wanted > current) || (again > 1.0 && wanted < current);
    Ok(if against { current } else { wanted })
}
