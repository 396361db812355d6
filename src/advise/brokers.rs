//! Brokers: how many, what must be moved and how long that takes. A recommendation only, hours ahead: nothing here is
//! ever carried out. Pure.

use super::{Draft, Input, finish};
pub use crate::model::BrokerLimits;
use crate::{
    guard::Judgement,
    model::{Blocked, Grid, Limits, Recommendation, Replicas, Rivals, Role, SignalKey, bytes, duration, si},
};

/// Seconds that are looked back on for the busiest minute, and the step of that look.
const BACK: (f64, f64) = (86_400.0, 60.0);
/// Seconds of history from which growth is told: less would take an evening for a trend.
const GROWS: f64 = 6.0 * 3_600.0;
/// Seconds after which what the brokers told last is too old for advice.
const OLD: f64 = 900.0;

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
    /// Brokers to have, within what is allowed.
    pub brokers: u32,
    /// Brokers that hold the load with one of them down, as many as there are copies at least.
    pub wanted: u32,
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
/// `1 - n/m` of what is stored is moved to the new brokers; to go down to m < n, all that the leaving brokers hold. The
/// throttle holds for who sends and for who receives, so the side with fewer brokers says how long it takes. `None` when
/// the load or the limits are not finite, or there are no brokers.
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
    let Limits { min, max } = allowed;
    // One may be down; a rounding error is no broker.
    let needed = ((most - 1e-9).ceil().clamp(0.0, 1e6) as u32).saturating_add(1);
    let wanted = needed.max(min).max(copies.ceil() as u32);
    let brokers = wanted.min(max.max(min));
    let bound = if needed < wanted { Bound::Fewest } else { bound };
    let next = f64::from(brokers);
    let moved = load.stored.max(0.0) * (1.0 - now.min(next) / now.max(next).max(1.0));
    let movers = (next - now).abs().min(now).min(next).max(1.0);
    let seconds = moved / (limits.throttle * movers);
    let mut advice =
        BrokerAdvice { brokers, wanted, bound, moved, seconds, held: load.unhealthy.clone(), sentence: String::new() };
    advice.sentence = sentence(load, &advice, limits);
    Some(advice)
}

fn sentence(load: &BrokerLoad, advice: &BrokerAdvice, limits: &BrokerLimits) -> String {
    let BrokerAdvice { brokers, wanted, .. } = *advice;
    let percent = |ratio: f64| format!("{:.0} %", ratio * 100.0);
    let why = match advice.bound {
        Bound::In => format!("{}/s in, {} copies", bytes(load.bytes_in), si(load.replication)),
        Bound::Out => format!("{}/s out and what followers fetch", bytes(load.bytes_out)),
        Bound::Disk => format!("{} stored, disks {} full at most", bytes(load.stored), percent(limits.fill)),
        Bound::Cpu => {
            let busiest = load.cores.unwrap_or(0.0) / (limits.cores * f64::from(load.brokers.max(1)));
            format!("CPU {} at its busiest, {} at most", percent(busiest), percent(limits.cpu))
        }
        Bound::Fewest => "fewest that are allowed".to_owned(),
    };
    let capped = wanted > brokers;
    if brokers == load.brokers {
        return if capped {
            format!(
                "{brokers} brokers are too few: it takes {wanted} with one down ({why}); max = {brokers} keeps it there"
            )
        } else {
            format!("{brokers} brokers are right with one down ({why})")
        };
    }
    let holds = if capped {
        format!(", as max allows, of {wanted} that it takes with one down ({why})")
    } else {
        format!(" with one down ({why})")
    };
    let how = if brokers > load.brokers { "to move" } else { "to move off first" };
    let now = match &load.unhealthy {
        Some(what) => format!("; not now: {what}"),
        None => String::new(),
    };
    format!(
        "{} → {brokers} brokers{holds}: {} {how}, {} at {}/s a broker{now}",
        load.brokers,
        bytes(advice.moved),
        duration(advice.seconds),
        bytes(limits.throttle)
    )
}

/// What a pool should have by its busiest minute of the last day; never to be approved, for nothing here moves data.
///
/// The error says what is missing.
pub(super) fn recommend(input: &Input<'_>, replicas: &Replicas) -> Result<Recommendation, String> {
    let [flow, out, stored, cores] =
        [Role::Demand, Role::Throughput, Role::Memory, Role::Utilisation].map(|role| track(input, role));
    let busiest = |track: &Grid| track.values.iter().copied().flatten().reduce(f64::max);
    let missing = |what: &str| format!("{what} not known: it comes from the brokers' own metrics in Prometheus");
    let notices: Vec<String> = input.state.notices.iter().map(ToString::to_string).collect();
    let load = BrokerLoad {
        brokers: replicas.desired,
        bytes_in: busiest(&flow).ok_or_else(|| missing("what is produced is"))?,
        bytes_out: busiest(&out).ok_or_else(|| missing("what is consumed is"))?,
        replication: input.state.copies.unwrap_or(1.0),
        stored: stored.last().map(|(_, v)| v).ok_or_else(|| missing("what is stored is"))?,
        growth: growth(&stored),
        cores: busiest(&cores),
        unhealthy: (!notices.is_empty()).then(|| notices.join(", ")),
    };
    let mut blocked: Vec<Blocked> = Vec::new();
    blocked.extend(load.unhealthy.clone().map(|detail| Blocked { guard: "brokers", detail, until: None }));
    // The oldest of them: what is stored may well go on where what flows is not told any more.
    let told = [&flow, &out, &stored].into_iter().filter_map(Grid::last).map(|(at, _)| at).min();
    let age = told.map_or(f64::INFINITY, |at| input.now.since(at));
    let decided = |wanted, recommended, blocked, reasons| {
        let judgement = Judgement { recommended, blocked, notes: Vec::new() };
        let draft = Draft { reasons, rivals: Rivals::default(), plan: None, wanted, judgement };
        Ok(finish(input, replicas, None, draft))
    };
    if age > OLD {
        let detail = format!("what all brokers do was last told {} ago: held until they tell it again", duration(age));
        blocked.push(Blocked { guard: "stale", detail, until: None });
        let reasons = blocked.iter().map(|b| b.detail.clone()).collect();
        return decided(replicas.desired, replicas.desired, blocked, reasons);
    }
    let limits = input.workload.broker.unwrap_or_default();
    let found = advise(&load, &limits, input.workload.limits).ok_or("the brokers' figures cannot be planned with")?;
    let seen = flow.values.iter().position(Option::is_some).map_or(0.0, |i| input.now.since(flow.at(i)));
    let reasons = [found.sentence].into_iter().chain(figures(input, &load, &limits, seen)).collect();
    decided(found.wanted, found.brokers, blocked, reasons)
}

fn track(input: &Input<'_>, role: Role) -> Grid {
    let (back, step) = BACK;
    let key = SignalKey { entity: input.workload.entity.clone(), role };
    input.history.grid(&key, input.now.plus(-back), input.now.plus(0.001), step)
}

/// What the advice rests on. `seen`: seconds of history.
fn figures(input: &Input<'_>, load: &BrokerLoad, limits: &BrokerLimits, seen: f64) -> Vec<String> {
    let mut out = vec![format!(
        "{}/s in and {}/s out at the busiest of the last {}, about {} stored",
        bytes(load.bytes_in),
        bytes(load.bytes_out),
        duration(seen.min(BACK.0)),
        bytes(load.stored)
    )];
    if load.growth > 0.0 {
        let growth = bytes(load.growth);
        out.push(format!("what is stored grows by {growth} a day; disks must last {:.0} days", limits.days));
    }
    if input.workload.broker.is_none() {
        out.push(format!(
            "what one broker can do is not configured: {}/s, {} of disk and {} cores assumed",
            bytes(limits.network),
            bytes(limits.disk),
            si(limits.cores)
        ));
    }
    out
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
    fn limits_win_over_copies_and_load_and_it_is_said() {
        let within = |min, max, load: &BrokerLoad| advise(load, &BrokerLimits::default(), Limits { min, max }).unwrap();
        let full = BrokerLoad { stored: 31e12, ..load() };
        let capped = within(3, 8, &full);
        assert_eq!((capped.brokers, capped.wanted), (8, 12));
        let said = "6 → 8 brokers, as max allows, of 12 that it takes with one down (28.2 TiB stored";
        assert!(capped.sentence.starts_with(said), "{}", capped.sentence);
        let stays = within(3, 6, &full);
        assert!(stays.sentence.contains("max = 6 keeps it there"), "{}", stays.sentence);
        let idle = BrokerLoad { brokers: 2, bytes_in: 1e6, bytes_out: 1e6, stored: 1e9, cores: None, ..load() };
        assert_eq!((within(1, 2, &idle).brokers, within(1, 2, &idle).wanted), (2, 3), "three copies, two brokers");
    }

    #[test]
    fn a_move_takes_as_long_as_the_side_with_fewer_brokers() {
        let idle = BrokerLoad { brokers: 12, bytes_in: 1e6, bytes_out: 1e6, stored: 1.2e12, cores: None, ..load() };
        let down = advise(&idle, &BrokerLimits::default(), ALLOWED).unwrap();
        assert!(down.brokers == 3 && (down.seconds - 0.9e12 / 150e6).abs() < 1e-6, "three receive: {down:?}");
        let full = BrokerLoad { brokers: 3, stored: 31e12, ..load() };
        let up = advise(&full, &BrokerLimits::default(), ALLOWED).unwrap();
        assert!(up.brokers == 12 && (up.seconds - 23.25e12 / 150e6).abs() < 1e-6, "three send: {up:?}");
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
            factor in 0.001..1000.0_f64, min in 0_u32..9, more in 0_u32..90,
        ) {
            let load = BrokerLoad { brokers, bytes_in: flow, stored, cores: cpu, ..load() };
            let limits = BrokerLimits::default();
            let allowed = Limits { min, max: min + more };
            if let Some(a) = advise(&load, &limits, allowed) {
                prop_assert!((min..=min + more).contains(&a.brokers) && a.moved >= 0.0 && a.seconds >= 0.0);
                prop_assert!(a.wanted >= a.brokers && (a.wanted == a.brokers || a.brokers == min + more));
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
