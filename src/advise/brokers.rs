//! Brokers: how many, what must be moved and how long that takes. A recommendation only, hours ahead: nothing here is
//! ever carried out. Pure.

use super::{Draft, Input, finish, no_count};
pub use crate::model::BrokerLimits;
use crate::{
    guard::Judgement,
    model::{Blocked, Grid, Limits, Recommendation, Rivals, Role, SignalKey, duration, si},
};

/// Seconds that are looked back on for the busiest minute, and the step of that look.
const BACK: (f64, f64) = (86_400.0, 60.0);
/// Seconds of history from which growth is told: less would take an evening for a trend.
const GROWS: f64 = 6.0 * 3_600.0;

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
    /// Cores in use at the busiest, all brokers together; `None`: not known.
    pub cores: Option<f64>,
    /// Under-replicated or offline partitions, or a reassignment under way: nothing is moved then.
    pub unhealthy: Option<String>,
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
/// use highwater::{advise::brokers::{BrokerLimits, BrokerLoad, Bound, advise}, model::Limits};
/// let load = BrokerLoad { brokers: 6, bytes_in: 0.9e9, bytes_out: 1.2e9, replication: 3.0, stored: 14e12, growth: 0.0,
///     cores: Some(14.0), unhealthy: None };
/// let allowed = Limits { min: 3, max: 100 };
/// let advice = advise(&load, &BrokerLimits::default(), allowed).unwrap();
/// assert_eq!((advice.brokers, advice.bound), (6, Bound::Disk), "14 TB on five of 3 TB, and one that may be down");
/// let more = advise(&BrokerLoad { stored: 20e12, ..load }, &BrokerLimits::default(), allowed).unwrap();
/// assert_eq!(more.brokers, 8);
/// assert_eq!(more.moved, 5e12, "two of eight brokers get a quarter of it");
/// assert_eq!(more.seconds, 50_000.0, "each of the two takes 50 MB/s");
/// ```
pub fn advise(load: &BrokerLoad, limits: &BrokerLimits, allowed: Limits) -> Option<BrokerAdvice> {
    let known = [load.bytes_in, load.bytes_out, load.replication, load.stored, load.growth];
    let able = [limits.network, limits.disk, limits.cores, limits.fill, limits.cpu, limits.throttle];
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
        (Bound::Cpu, load.cores.filter(|c| c.is_finite() && *c > 0.0).map_or(0.0, |c| c / (limits.cores * limits.cpu))),
    ];
    let (bound, most) = asks.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let Limits { min, max: highest } = allowed;
    let fewest = min.max(copies.ceil() as u32);
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
        Bound::Cpu => {
            let now = load.cores.unwrap_or(0.0) / (limits.cores * f64::from(load.brokers.max(1)));
            format!("CPU {} now, {} at most", percent(now), percent(limits.cpu))
        }
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

/// What a pool should have by its busiest minute of the last day; never to be approved, for nothing here moves data.
///
/// The error says what is missing.
pub(super) fn recommend(input: &Input<'_>) -> Result<Recommendation, String> {
    let replicas = input.state.replicas.as_ref().ok_or_else(|| no_count(input.workload))?;
    let track = |role: Role| {
        let (back, step) = BACK;
        let key = SignalKey { entity: input.workload.entity.clone(), role };
        input.history.grid(&key, input.now.plus(-back), input.now.plus(0.001), step)
    };
    let busiest = |role: Role| track(role).values.into_iter().flatten().reduce(f64::max);
    let missing = |what: &str| format!("{what} not known: it comes from the brokers' own metrics in Prometheus");
    let stored = track(Role::Memory);
    let load = BrokerLoad {
        brokers: replicas.desired,
        bytes_in: busiest(Role::Demand).ok_or_else(|| missing("what is produced is"))?,
        bytes_out: busiest(Role::Throughput).ok_or_else(|| missing("what is consumed is"))?,
        replication: input.state.copies.unwrap_or(1.0),
        stored: stored.last().map(|(_, v)| v).ok_or_else(|| missing("what is stored is"))?,
        growth: growth(&stored),
        cores: busiest(Role::Utilisation),
        unhealthy: (!input.state.notices.is_empty())
            .then(|| input.state.notices.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    let limits = input.workload.broker.unwrap_or_default();
    let found = advise(&load, &limits, input.workload.limits).ok_or("the brokers' figures cannot be planned with")?;
    let mut reasons = vec![found.sentence];
    let flow = track(Role::Demand);
    let seen = flow.values.iter().position(Option::is_some).map_or(0.0, |i| input.now.since(flow.at(i)));
    reasons.push(format!(
        "{}/s in and {}/s out at the busiest of the last {}, about {} stored",
        bytes(load.bytes_in),
        bytes(load.bytes_out),
        duration(seen.min(BACK.0)),
        bytes(load.stored)
    ));
    if load.growth > 0.0 {
        reasons.push(format!(
            "what is stored grows by {} a day; disks must last {:.0} days",
            bytes(load.growth),
            limits.days
        ));
    }
    if input.workload.broker.is_none() {
        reasons.push(format!(
            "what one broker can do is not configured: {}/s, {} of disk and {} cores assumed",
            bytes(limits.network),
            bytes(limits.disk),
            si(limits.cores)
        ));
    }
    let held = found.held.map(|detail| Blocked { guard: "brokers", detail, until: None });
    let judgement = Judgement { recommended: found.brokers, blocked: held.into_iter().collect(), notes: Vec::new() };
    let draft = Draft { reasons, rivals: Rivals::default(), plan: None, wanted: found.brokers, judgement };
    Ok(finish(input, replicas, None, draft))
}

/// Bytes a day that what is stored grows by, between the first and the last hour that were seen; 0 when that is too
/// short to say, or it shrinks.
fn growth(stored: &Grid) -> f64 {
    let known: Vec<(f64, f64)> =
        stored.values.iter().enumerate().filter_map(|(i, v)| Some((i as f64 * stored.step, (*v)?))).collect();
    let (Some(first), Some(last)) = (known.first(), known.last()) else { return 0.0 };
    let span = last.0 - first.0;
    if span < GROWS {
        return 0.0;
    }
    let mean = |within: &dyn Fn(f64) -> bool| {
        let values: Vec<f64> = known.iter().filter(|(t, _)| within(*t)).map(|(_, v)| *v).collect();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    };
    let (early, late) = (mean(&|t| t <= first.0 + 3_600.0), mean(&|t| t >= last.0 - 3_600.0));
    ((late - early) / (span - 3_600.0) * 86_400.0).max(0.0)
}

fn bytes(value: f64) -> String {
    format!("{}B", si(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALLOWED: Limits = Limits { min: 3, max: 100 };

    fn load() -> BrokerLoad {
        BrokerLoad {
            brokers: 6,
            bytes_in: 0.9e9,
            bytes_out: 1.2e9,
            replication: 3.0,
            stored: 14e12,
            growth: 0.0,
            cores: Some(14.4),
            unhealthy: None,
        }
    }

    #[test]
    fn disks_that_fill_within_the_week_count_as_full() {
        let advice = advise(&BrokerLoad { growth: 1e12, ..load() }, &BrokerLimits::default(), ALLOWED).unwrap();
        assert_eq!((advice.brokers, advice.bound), (8, Bound::Disk));
    }

    #[test]
    fn fewer_brokers_are_drained_first_and_never_fewer_than_copies() {
        let idle = BrokerLoad { bytes_in: 1e6, bytes_out: 1e6, stored: 1.2e12, cores: Some(1.0), ..load() };
        let advice = advise(&idle, &BrokerLimits::default(), Limits { min: 1, max: 100 }).unwrap();
        assert_eq!((advice.brokers, advice.bound), (3, Bound::Fewest));
        assert!((advice.moved - 0.6e12).abs() < 1.0 && (advice.seconds - 4_000.0).abs() < 1e-6, "{advice:?}");
        assert!(advice.sentence.contains("off first"), "{}", advice.sentence);
    }

    #[test]
    fn nothing_is_moved_while_partitions_are_under_replicated() {
        let ill =
            BrokerLoad { cores: Some(26.4), unhealthy: Some("4 partitions are under-replicated".into()), ..load() };
        let advice = advise(&ill, &BrokerLimits::default(), ALLOWED).unwrap();
        assert_eq!((advice.brokers, advice.bound), (7, Bound::Cpu));
        assert!(advice.held.is_some() && advice.sentence.ends_with("not now: 4 partitions are under-replicated"));
    }

    proptest! {
        #[test]
        fn bounds_hold_units_do_not_matter_and_nonsense_never_panics(
            brokers in 0_u32..60, flow in prop::num::f64::ANY, stored in prop::num::f64::ANY, cpu in prop::option::of(prop::num::f64::ANY),
            factor in 0.001..1000.0_f64,
        ) {
            let load = BrokerLoad { brokers, bytes_in: flow, stored, cores: cpu, ..load() };
            let limits = BrokerLimits::default();
            if let Some(a) = advise(&load, &limits, ALLOWED) {
                prop_assert!((3..=100).contains(&a.brokers) && a.moved >= 0.0 && a.seconds >= 0.0);
                prop_assert!(a.moved <= load.stored.max(0.0));
            }
            let sane = BrokerLoad { brokers: brokers.max(1), ..super::tests::load() };
            let scaled = BrokerLoad { bytes_in: sane.bytes_in * factor, bytes_out: sane.bytes_out * factor, stored: sane.stored * factor, ..sane.clone() };
            let wider = BrokerLimits { network: limits.network * factor, disk: limits.disk * factor, throttle: limits.throttle * factor, ..limits };
            let (a, b) = (advise(&sane, &limits, ALLOWED).unwrap(), advise(&scaled, &wider, ALLOWED).unwrap());
            prop_assert_eq!(a.brokers, b.brokers);
            prop_assert!((a.seconds - b.seconds).abs() <= 1e-6 * a.seconds);
        }
    }
}
