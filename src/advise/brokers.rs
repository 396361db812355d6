//! Brokers: how many, what must be moved and how long that takes. A recommendation only, hours ahead: nothing here is
//! ever carried out. Pure.

use crate::model::{duration, si};

/// What a pool of brokers does at its busiest, and what one broker can do. Bytes, bytes per second, ratios.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerLoad {
    /// Brokers now.
    pub brokers: u32,
    /// Produced to leaders, all topics, at the busiest.
    pub bytes_in: f64,
    /// Fetched by consumers (replication aside), at the busiest.
    pub bytes_out: f64,
    /// Copies of every partition.
    pub replication: f64,
    /// On all disks together.
    pub stored: f64,
    /// Growth of what is stored, bytes a day; 0 where retention holds it level.
    pub growth: f64,
    /// Mean CPU of the brokers at the busiest, ratio; `None`: not known.
    pub cpu: Option<f64>,
    /// Under-replicated or offline partitions, or a reassignment under way: nothing is moved then.
    pub unhealthy: Option<String>,
}

/// What one broker can do, and how full it may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BrokerLimits {
    /// Bytes per second in, and the same out.
    pub network: f64,
    /// Bytes of disk.
    pub disk: f64,
    /// Share of the network, the disk and the CPU that may be used with one broker down.
    pub fill: f64,
    /// CPU ratio that may be used with one broker down.
    pub cpu: f64,
    /// Bytes per second of the throttle under which partitions are moved, per broker.
    pub throttle: f64,
    /// Days that the disks must last.
    pub days: f64,
    /// Fewest and most brokers.
    pub between: (u32, u32),
}

impl Default for BrokerLimits {
    /// 10 Gbit/s, 4 TB, three quarters full at most, 60 % CPU, moved at 50 MB/s, a week ahead.
    fn default() -> Self {
        Self { network: 1.25e9, disk: 4e12, fill: 0.75, cpu: 0.6, throttle: 50e6, days: 7.0, between: (3, 100) }
    }
}

/// What binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Bytes in, with replication.
    In,
    /// Bytes out, with replication.
    Out,
    /// The disks.
    Disk,
    /// The CPU.
    Cpu,
    /// The replication factor, or the least that is allowed.
    Fewest,
}

/// What to have, and what it takes to get there.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerAdvice {
    /// Brokers that hold the load with one of them down.
    pub brokers: u32,
    /// What asks for them.
    pub bound: Bound,
    /// Bytes that must be moved to spread what is stored evenly; 0 without a change.
    pub moved: f64,
    /// Seconds that this takes at the throttle.
    pub seconds: f64,
    /// Why nothing should be moved now.
    pub held: Option<String>,
    /// All of it in one sentence.
    pub sentence: String,
}

/// How many brokers hold a load with one of them down, and what moving there takes.
///
/// Each resource asks for `load / (what one can do × fill)` brokers and one more. To go from n to m > n, the share
/// `1 - n/m` of what is stored is moved, by the new brokers at the throttle each; to go down to m < n, all that the
/// leaving brokers hold. `None` when the load or the limits are not finite, or there are no brokers.
///
/// ```
/// use highwater::advise::brokers::{BrokerLimits, BrokerLoad, Bound, advise};
/// let load = BrokerLoad { brokers: 6, bytes_in: 0.9e9, bytes_out: 1.2e9, replication: 3.0, stored: 14e12, growth: 0.0,
///     cpu: Some(0.3), unhealthy: None };
/// let advice = advise(&load, &BrokerLimits::default()).unwrap();
/// assert_eq!((advice.brokers, advice.bound), (6, Bound::Disk), "14 TB on five of 3 TB, and one that may be down");
/// let more = advise(&BrokerLoad { stored: 20e12, ..load }, &BrokerLimits::default()).unwrap();
/// assert_eq!(more.brokers, 8);
/// assert_eq!(more.moved, 5e12, "two of eight brokers get a quarter of it");
/// assert_eq!(more.seconds, 50_000.0, "each of the two takes 50 MB/s");
/// ```
pub fn advise(load: &BrokerLoad, limits: &BrokerLimits) -> Option<BrokerAdvice> {
    let known = [load.bytes_in, load.bytes_out, load.replication, load.stored, load.growth];
    let able = [limits.network, limits.disk, limits.fill, limits.cpu, limits.throttle];
    let usable = known.iter().all(|v| v.is_finite()) && able.iter().all(|v| v.is_finite() && *v > 0.0);
    if !usable || load.brokers == 0 {
        return None;
    }
    let now = f64::from(load.brokers);
    let copies = load.replication.max(1.0);
    let stored = load.stored.max(0.0) + load.growth.max(0.0) * limits.days.max(0.0);
    let network = limits.network * limits.fill;
    // A copy comes in at a follower, and goes out at its leader.
    let asks = [
        (Bound::In, load.bytes_in.max(0.0) * copies / network),
        (Bound::Out, (load.bytes_out.max(0.0) + load.bytes_in.max(0.0) * (copies - 1.0)) / network),
        (Bound::Disk, stored / (limits.disk * limits.fill)),
        (Bound::Cpu, load.cpu.filter(|c| c.is_finite() && *c > 0.0).map_or(0.0, |c| c * now / limits.cpu)),
    ];
    let (bound, most) = asks.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let (fewest, highest) = limits.between;
    let fewest = fewest.max(copies.ceil() as u32);
    // One may be down; a rounding error is no broker.
    let needed = ((most - 1e-9).ceil().clamp(0.0, 1e6) as u32).saturating_add(1);
    let brokers = needed.max(fewest).min(highest.max(fewest));
    let bound = if needed < fewest { Bound::Fewest } else { bound };
    let next = f64::from(brokers);
    let (moved, movers) = match brokers.cmp(&load.brokers) {
        std::cmp::Ordering::Equal => (0.0, 1.0),
        std::cmp::Ordering::Greater => (load.stored.max(0.0) * (1.0 - now / next), next - now),
        std::cmp::Ordering::Less => (load.stored.max(0.0) * (1.0 - next / now), now - next),
    };
    let seconds = moved / (limits.throttle * movers);
    let held = load.unhealthy.clone();
    let sentence = sentence(load, brokers, bound, (moved, seconds), limits);
    Some(BrokerAdvice { brokers, bound, moved, seconds, held, sentence })
}

fn sentence(
    load: &BrokerLoad,
    brokers: u32,
    bound: Bound,
    (moved, seconds): (f64, f64),
    limits: &BrokerLimits,
) -> String {
    let percent = |ratio: f64| format!("{:.0} %", ratio * 100.0);
    let why = match bound {
        Bound::In => format!("{}/s in, {} copies", bytes(load.bytes_in), si(load.replication)),
        Bound::Out => format!("{}/s out and what followers fetch", bytes(load.bytes_out)),
        Bound::Disk => format!("{} stored, disks {} full at most", bytes(load.stored), percent(limits.fill)),
        Bound::Cpu => format!("CPU {} now, {} at most", percent(load.cpu.unwrap_or(0.0)), percent(limits.cpu)),
        Bound::Fewest => "fewest that are allowed".to_owned(),
    };
    if brokers == load.brokers {
        return format!("{brokers} brokers are right with one down ({why})");
    }
    let how = if brokers > load.brokers { "to move" } else { "to move off first" };
    let now = match &load.unhealthy {
        Some(what) => format!("; not now: {what}"),
        None => String::new(),
    };
    format!(
        "{} → {brokers} brokers with one down ({why}): {} {how}, {} at {}/s a broker{now}",
        load.brokers,
        bytes(moved),
        duration(seconds),
        bytes(limits.throttle)
    )
}

fn bytes(value: f64) -> String {
    format!("{}B", si(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn load() -> BrokerLoad {
        BrokerLoad {
            brokers: 6,
            bytes_in: 0.9e9,
            bytes_out: 1.2e9,
            replication: 3.0,
            stored: 14e12,
            growth: 0.0,
            cpu: Some(0.3),
            unhealthy: None,
        }
    }

    #[test]
    fn disks_that_fill_within_the_week_count_as_full() {
        let advice = advise(&BrokerLoad { growth: 1e12, ..load() }, &BrokerLimits::default()).unwrap();
        assert_eq!((advice.brokers, advice.bound), (8, Bound::Disk));
    }

    #[test]
    fn fewer_brokers_are_drained_first_and_never_fewer_than_copies() {
        let idle = BrokerLoad { bytes_in: 1e6, bytes_out: 1e6, stored: 1.2e12, cpu: Some(0.02), ..load() };
        let advice = advise(&idle, &BrokerLimits { between: (1, 100), ..BrokerLimits::default() }).unwrap();
        assert_eq!((advice.brokers, advice.bound), (3, Bound::Fewest));
        assert!((advice.moved - 0.6e12).abs() < 1.0 && (advice.seconds - 4_000.0).abs() < 1e-6, "{advice:?}");
        assert!(advice.sentence.contains("off first"), "{}", advice.sentence);
    }

    #[test]
    fn nothing_is_moved_while_partitions_are_under_replicated() {
        let ill = BrokerLoad { cpu: Some(0.55), unhealthy: Some("4 partitions are under-replicated".into()), ..load() };
        let advice = advise(&ill, &BrokerLimits::default()).unwrap();
        assert_eq!((advice.brokers, advice.bound), (7, Bound::Cpu));
        assert!(advice.held.is_some() && advice.sentence.ends_with("not now: 4 partitions are under-replicated"));
    }

    proptest! {
        #[test]
        fn bounds_hold_units_do_not_matter_and_nonsense_never_panics(
            brokers in 0_u32..60, flow in prop::num::f64::ANY, stored in prop::num::f64::ANY, cpu in prop::option::of(prop::num::f64::ANY),
            factor in 0.001..1000.0_f64,
        ) {
            let load = BrokerLoad { brokers, bytes_in: flow, stored, cpu, ..load() };
            let limits = BrokerLimits::default();
            if let Some(a) = advise(&load, &limits) {
                prop_assert!((3..=100).contains(&a.brokers) && a.moved >= 0.0 && a.seconds >= 0.0);
                prop_assert!(a.moved <= load.stored.max(0.0));
            }
            let sane = BrokerLoad { brokers: brokers.max(1), ..super::tests::load() };
            let scaled = BrokerLoad { bytes_in: sane.bytes_in * factor, bytes_out: sane.bytes_out * factor, stored: sane.stored * factor, ..sane.clone() };
            let wider = BrokerLimits { network: limits.network * factor, disk: limits.disk * factor, throttle: limits.throttle * factor, ..limits };
            let (a, b) = (advise(&sane, &limits).unwrap(), advise(&scaled, &wider).unwrap());
            prop_assert_eq!(a.brokers, b.brokers);
            prop_assert!((a.seconds - b.seconds).abs() <= 1e-6 * a.seconds);
        }
    }
}
