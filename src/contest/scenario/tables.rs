//! The tables of a scenario file with their defaults, and the numbers that stand in them.

use super::{DAY, LONGEST};
use crate::{
    model::{self, Price},
    policy::threshold,
};
use serde::{Deserialize, Deserializer, de::Error};
use std::path::PathBuf;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DemandTable {
    pub(super) csv: Option<PathBuf>,
    pub(super) generator: Option<Generator>,
    pub(super) scored: Option<Seconds>,
    /// Of a generator: what lies before the scored span.
    pub(super) history: Option<Seconds>,
    pub(super) mean: Option<Positive>,
    /// Highest point of the daily wave, records/s (beyond twice the mean nights are empty, and the mean is a little more);
    /// of `batch-night` and `flash-crowd` the height of the surge.
    pub(super) peak: Option<Positive>,
    /// Of `growth`: what demand is multiplied by at the end of the scored span.
    pub(super) growth: Option<Factor>,
    /// Random bursts per day.
    pub(super) bursts: Option<NotNegative>,
    pub(super) noise: Option<Deviation>,
    /// What demand is multiplied by on Saturdays and Sundays.
    pub(super) weekend: Option<Factor>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Generator {
    Diurnal,
    BatchNight,
    FlashCrowd,
    Growth,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GroupTable {
    pub(super) partitions: Count,
    pub(super) skew: Deviation,
    /// `consumer` is played as `cooperative`: what differs is the pause, which stands beside it.
    pub(super) protocol: ProtocolName,
    pub(super) rebalance: Seconds,
    pub(super) start_up: Spread,
    pub(super) commit: Seconds,
    /// What one consumer can do alone.
    pub(super) consumer_rate: Positive,
    /// All together grow as their number to this power; 1: each does the same, however many they are.
    pub(super) scalability: Share,
    /// Standard deviation (of the logarithm) of the rate from consumer to consumer.
    pub(super) rate_noise: Deviation,
    /// Records/s that everything behind the group takes.
    pub(super) ceiling: Option<Positive>,
    pub(super) replicas: Replicas,
}

impl Default for GroupTable {
    fn default() -> Self {
        Self {
            partitions: Count(40),
            skew: Deviation(0.15),
            protocol: ProtocolName::Eager,
            rebalance: Seconds(15.0),
            start_up: Spread { mean: Seconds(40.0), sd: Seconds(10.0) },
            commit: Seconds(5.0),
            consumer_rate: Positive(1_000.0),
            scalability: Share(1.0),
            rate_noise: Deviation(0.0),
            ceiling: None,
            replicas: Replicas { start: None, min: 1, max: Count(40) },
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ProtocolName {
    Eager,
    Cooperative,
    Consumer,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spread {
    pub(super) mean: Seconds,
    #[serde(default = "zero")]
    pub(super) sd: Seconds,
}

pub(super) fn zero() -> Seconds {
    Seconds(0.0)
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replicas {
    pub(super) start: Option<u32>,
    #[serde(default = "one")]
    pub(super) min: u32,
    pub(super) max: Count,
}

pub(super) fn one() -> u32 {
    1
}

/// What goes wrong or changes in the scored span; instants count from its beginning. See [`crate::simulate::arena::Trouble`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TroubleTable {
    /// Pods that die per day; the group notices when their `session` ends.
    pub(super) crashes: NotNegative,
    /// Members per day that drop out and come back.
    pub(super) absences: NotNegative,
    /// Until a member that died or pauses is expelled; its partitions stand still until then.
    pub(super) session: Seconds,
    /// Share of the scrapes that fail.
    pub(super) lost_scrapes: Share,
    /// Instants at which every pod is replaced.
    pub(super) deployments: Vec<Seconds>,
    /// Standard deviation (of the logarithm) of the partition shares' change in an hour.
    pub(super) drift: Deviation,
    pub(super) hot: Option<HotTable>,
    pub(super) neighbour: Option<NeighbourTable>,
}

/// The first partition gets `factor` times its share.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HotTable {
    pub(super) from: Seconds,
    pub(super) until: Seconds,
    pub(super) factor: Factor,
}

/// A second group takes its part of `group.ceiling` first.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NeighbourTable {
    pub(super) mean: Positive,
    #[serde(default)]
    pub(super) daily: Share,
    /// When its day is highest.
    #[serde(default = "zero")]
    pub(super) peak_at: Seconds,
    /// Random bursts per day.
    #[serde(default)]
    pub(super) bursts: NotNegative,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Observe {
    pub(super) scrape: Seconds,
    /// How much of the history the group was operated (by a default HPA) and watched, not only its demand known.
    pub(super) operated: Seconds,
}

impl Default for Observe {
    fn default() -> Self {
        Self { scrape: Seconds(15.0), operated: Seconds(DAY) }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SloTable {
    pub(super) time_lag: Seconds,
}

impl Default for SloTable {
    fn default() -> Self {
        Self { time_lag: Seconds(30.0) }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PriceTable {
    pub(super) pod_hour: NotNegative,
    pub(super) slo_minute: NotNegative,
    pub(super) action: NotNegative,
}

impl Default for PriceTable {
    fn default() -> Self {
        let price = Price::default();
        Self {
            pod_hour: NotNegative(price.pod_hour),
            slo_minute: NotNegative(price.slo_minute),
            action: NotNegative(price.action),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seed {
    pub(super) value: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Policies {
    pub(super) hpa: HpaTable,
    pub(super) keda: KedaTable,
    pub(super) threshold: ThresholdTable,
    pub(super) fixed: FixedTable,
    pub(super) planner: PlannerTable,
    pub(super) oracle: OracleTable,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HpaTable {
    pub(super) target_average_value: Positive,
    /// Percent of the CPU request, for `hpa-cpu`.
    pub(super) utilisation: Count,
    pub(super) sync: Seconds,
    pub(super) downscale_stabilization: Seconds,
    pub(super) tolerance: NotNegative,
}

impl Default for HpaTable {
    fn default() -> Self {
        Self {
            target_average_value: Positive(10_000.0),
            utilisation: Count(70),
            sync: Seconds(15.0),
            downscale_stabilization: Seconds(300.0),
            tolerance: NotNegative(0.1),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KedaTable {
    pub(super) lag_threshold: Positive,
    pub(super) ensure_even: bool,
    pub(super) allow_idle: bool,
    pub(super) limit_to_partitions_with_lag: bool,
}

impl Default for KedaTable {
    fn default() -> Self {
        Self {
            lag_threshold: Positive(10.0),
            ensure_even: false,
            allow_idle: false,
            limit_to_partitions_with_lag: false,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ThresholdTable {
    pub(super) up: Positive,
    pub(super) down: NotNegative,
    pub(super) step: Positive,
}

impl Default for ThresholdTable {
    fn default() -> Self {
        let rule = threshold::Rule::default();
        Self { up: Positive(rule.up), down: NotNegative(rule.down), step: Positive(rule.step) }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FixedTable {
    pub(super) replicas: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PlannerTable {
    pub(super) every: Option<Seconds>,
    pub(super) horizon: Option<Seconds>,
    pub(super) cooldown_up: Option<Seconds>,
    pub(super) cooldown_down: Option<Seconds>,
    pub(super) max_step_up: Option<Positive>,
    pub(super) max_step_down: Option<Positive>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OracleTable {
    /// Moves that the search for a cheaper timetable tries.
    pub(super) moves: usize,
}

impl Default for OracleTable {
    fn default() -> Self {
        Self { moves: 20_000 }
    }
}

/// A duration of at most a year, `"15s"` or a number of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Seconds(pub(super) f64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let seconds = match toml::Value::deserialize(d)? {
            toml::Value::String(text) => model::seconds_or_zero(&text).map_err(D::Error::custom)?,
            toml::Value::Integer(n) if n >= 0 => n as f64,
            toml::Value::Float(s) if s.is_finite() && s >= 0.0 => s,
            other => {
                let known = "write \"15s\", \"5m\", \"2h\" or \"1d\"";
                return Err(D::Error::custom(format!("{other} is no duration: {known}")));
            }
        };
        if seconds > LONGEST {
            return Err(D::Error::custom("longer than a year"));
        }
        Ok(Self(seconds))
    }
}

/// Highest of what counts records, tokens or requests: beyond it sums of a year would lose what is added to them.
pub(super) const MOST: f64 = 1e12;

/// Kinds of numbers, each with a ceiling above which what is played would be infinite or no number any more.
macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident: $good:expr, $must:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub(super) struct $name(pub(super) f64);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let value = f64::deserialize(d)?;
                let good: fn(f64) -> bool = $good;
                if good(value) { Ok(Self(value)) } else { Err(D::Error::custom(format!(concat!("{:?} must ", $must), value))) }
            }
        }
    )*};
}

numbers! {
    /// A number above zero.
    Positive: |v| v > 0.0 && v <= MOST, "be above zero, and at most 1e12";
    /// A number that is zero or more.
    NotNegative: |v| (0.0..=1e6).contains(&v), "not be negative, nor above 1e6";
    /// What something is multiplied by.
    Factor: |v| v > 0.0 && v <= 1e3, "be above zero, and at most 1000";
    /// A standard deviation of a logarithm.
    Deviation: |v| (0.0..=3.0).contains(&v), "lie between 0 and 3: it is a standard deviation of the logarithm";
    /// A share.
    Share: |v| (0.0..=1.0).contains(&v), "lie between 0 and 1";
}

/// A count from 1 to 100 000.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Count(pub(super) u32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = i64::deserialize(d)?;
        let good = u32::try_from(value).ok().filter(|n| (1..=100_000).contains(n));
        good.map(Self).ok_or_else(|| D::Error::custom(format!("{value} is no count from 1 to 100000")))
    }
}
