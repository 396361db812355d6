//! KEDA's Kafka trigger as 2.21 computes it (`pkg/scalers/kafka_scaler.go`), feeding an HPA's `AverageValue`, and the
//! operator's own part between idle and the first replica.

mod operator;

pub use operator::{Activity, Operator};

use super::hpa::{Tolerance, average_value};
use crate::model::KafkaTrigger;

/// `offsetResetPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// A partition without a committed offset counts as one record behind.
    #[default]
    Latest,
    /// A partition without a committed offset is behind by all that it holds.
    Earliest,
}

/// The trigger's metadata. The default is KEDA's.
#[allow(clippy::struct_excessive_bools)] // KEDA's own switches
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trigger {
    /// `lagThreshold`: records per replica; at least 1.
    pub lag_threshold: i64,
    /// `activationLagThreshold`: more than this wakes from zero.
    pub activation: i64,
    /// `offsetResetPolicy`.
    pub reset: Reset,
    /// `allowIdleConsumers`.
    pub allow_idle: bool,
    /// `limitToPartitionsWithLag`.
    pub limit_to_partitions_with_lag: bool,
    /// `ensureEvenDistributionOfPartitions`.
    pub ensure_even: bool,
    /// `excludePersistentLag`.
    pub exclude_persistent: bool,
    /// `scaleToZeroOnInvalidOffset`.
    pub zero_on_invalid_offset: bool,
}

impl Default for Trigger {
    fn default() -> Self {
        Self {
            lag_threshold: 10,
            activation: 0,
            reset: Reset::Latest,
            allow_idle: false,
            limit_to_partitions_with_lag: false,
            ensure_even: false,
            exclude_persistent: false,
            zero_on_invalid_offset: false,
        }
    }
}

impl From<&KafkaTrigger> for Trigger {
    fn from(t: &KafkaTrigger) -> Self {
        Self {
            lag_threshold: (t.lag_threshold.round() as i64).max(1),
            activation: t.activation.round() as i64,
            reset: if t.earliest { Reset::Earliest } else { Reset::Latest },
            zero_on_invalid_offset: t.zero_on_invalid_offset,
            allow_idle: t.allow_idle,
            limit_to_partitions_with_lag: t.limit_to_partitions_with_lag,
            ensure_even: t.ensure_even,
            exclude_persistent: t.exclude_persistent,
        }
    }
}

/// One partition as the scaler reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// Committed offset; `None`: KEDA's "invalid offset" (−1).
    pub committed: Option<i64>,
    /// End offset; `None`: the leader did not say, and the partition counts as not behind.
    pub end: Option<i64>,
    /// What was committed when the scaler last looked, for `excludePersistentLag`; `None` at first sight.
    pub before: Option<i64>,
}

/// What the trigger says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The metric's value, records; already cut to the partitions.
    pub lag: i64,
    /// Whether it would wake the workload from zero.
    pub active: bool,
}

/// The trigger's metric (`getTotalLag`, `getLagForPartition`).
///
/// ```
/// use highwater::policy::keda::{Partition, Trigger, metric};
/// let behind = Partition { committed: Some(0), end: Some(1_000), before: None };
/// // 3 partitions, 3000 records, 10 a replica: cut to 3 × 10, since a fourth consumer would idle
/// assert_eq!(metric(&[behind; 3], &Trigger::default()).lag, 30);
/// ```
pub fn metric(partitions: &[Partition], trigger: &Trigger) -> Metric {
    let threshold = trigger.lag_threshold.max(1);
    let count = i64::try_from(partitions.len()).unwrap_or(i64::MAX);
    let (mut total, mut with_persistent, mut lagging) = (0_i64, 0_i64, 0_i64);
    for partition in partitions {
        let (lag, persistent) = partition_lag(partition, trigger);
        total = total.saturating_add(lag);
        with_persistent = with_persistent.saturating_add(persistent);
        lagging += i64::from(lag > 0);
    }
    if !trigger.allow_idle || trigger.limit_to_partitions_with_lag || trigger.ensure_even {
        if trigger.ensure_even {
            total = even_consumers(total, count, threshold).saturating_mul(threshold);
        }
        let bound = if trigger.limit_to_partitions_with_lag { lagging } else { count };
        if total / threshold > bound {
            total = bound.saturating_mul(threshold);
        }
    }
    Metric { lag: total, active: with_persistent > trigger.activation }
}

/// Lag as it counts for scaling, and as it counts for being active.
fn partition_lag(partition: &Partition, trigger: &Trigger) -> (i64, i64) {
    let both = |lag| (lag, lag);
    let Some(committed) = partition.committed else {
        return match trigger.reset {
            _ if trigger.zero_on_invalid_offset => both(0),
            Reset::Latest => both(1),
            Reset::Earliest => both(partition.end.unwrap_or(0)),
        };
    };
    let Some(end) = partition.end else { return both(0) };
    let lag = end.saturating_sub(committed);
    // Stuck since the last look: adding consumers would not move it, but it must not be scaled to zero either.
    let stuck = trigger.exclude_persistent && partition.before == Some(committed);
    if stuck { (0, lag) } else { both(lag) }
}

/// The first divisor of `partitions` that carries `lag` at `threshold` each
/// (`getNextFactorThatBalancesConsumersToTopicPartitions`); all of them when none does.
pub fn even_consumers(lag: i64, partitions: i64, threshold: i64) -> i64 {
    (1..=partitions).filter(|f| partitions % f == 0).find(|f| f.saturating_mul(threshold) >= lag).unwrap_or(partitions)
}

/// Where the ScaledObject's HPA settles on these offsets, within its bounds; stabilisation and rates aside.
///
/// At zero only the activation counts: KEDA itself wakes to one (or `min`), the HPA takes over from there.
pub fn replicas(partitions: &[Partition], trigger: &Trigger, current: u32, min: u32, max: u32) -> u32 {
    let metric = metric(partitions, trigger);
    let lowest = if metric.active { min.max(1) } else { min };
    let wanted = if current == 0 {
        lowest
    } else {
        let milli = |records: i64| records.saturating_mul(1000);
        average_value(milli(metric.lag), milli(trigger.lag_threshold.max(1)), current, Tolerance::default())
    };
    wanted.max(lowest).min(max)
}
