//! What the planner is asked: demand ahead, what waits now, what replicas can do, what is promised.

mod profile;
mod queue;
mod service;
mod stands;

use super::{Input, Signals, per_second, recent};
use crate::{
    capacity::{Enough, Watch},
    forecast::profile::Outlook,
    model::{Capacity, Forecast, Limits, Quantiles, Replicas, Role, Workload, WorkloadKind, duration},
    policy::planner::{self, Burst, Bursts, Problem, Work},
};

pub(super) use queue::plan as plan_queue;

/// Objectives assumed where none is configured, seconds.
const ASSUMED_TIME_LAG: f64 = 60.0;
const ASSUMED_LATENCY: f64 = 2.0;
/// Around a last value without a forecast: p80 and p95 as factors of it.
const WIDE: [f64; 2] = [1.25, 1.5];
/// Seconds that the lag between two commits can explain at most, and the span it is looked for in.
const FLOOR_MOST: f64 = 15.0;
const FLOOR_SPAN: f64 = 1_800.0;

/// A group that is late by less than this share of its objective is taken to keep up.
const CALM: f64 = 0.5;
/// Seconds of counts that are looked at for what is still starting and when the count was last raised.
const LOOK_BACK: f64 = 1_200.0;
/// So many hold this many times what lies downstream takes, where nothing held them back: partitions are dealt out whole,
/// and those who have one more than the others would work off for hours what waits for them.
const ROOM: f64 = 1.2;
/// Seconds without one more after which a group that is late is tried with more than downstream was seen to take.
const TRY_AGAIN: f64 = 1_800.0;
/// More of the flow than this is not "brought little".
const LITTLE: f64 = 0.1;
/// What should have come by now comes in this many seconds.
const SOON: f64 = 5.0;
/// Seconds of CPU that tell how much room replicas have, and how far beyond what was seen a step may go on that word: a
/// group that is four times too large is met at its size in two steps, and each proves itself before the next.
const CPU_SPAN: f64 = 300.0;
const TRIED: f64 = 2.0;

/// Demand ahead: by the day's shape, else as forecast.
pub(super) struct Ahead<'a> {
    pub outlook: Option<Outlook>,
    pub forecast: &'a Result<Forecast, String>,
}

/// A planning problem with the words that belong to it.
#[derive(Clone, Debug)]
pub(super) struct Situation {
    work: Work,
    paths: Paths,
    bursts: Option<Bursts>,
    /// Whether the paths are the day's shape: those of a day without bursts.
    shaped: bool,
    recent: Recent,
    backlog: f64,
    current: u32,
    ready: u32,
    limits: Limits,
    pub capacity: Capacity,
    pub slo: f64,
    /// Peak of the p80 path: seconds from now, and value.
    pub peak: (f64, f64),
    /// How late it is now, seconds, when that is known.
    pub late: Option<f64>,
    /// What waits now, all of it.
    pub waiting: Option<f64>,
    /// What was assumed, as sentences.
    pub notes: Vec<String>,
}

impl Situation {
    /// The error says what is missing.
    pub fn of(
        input: &Input<'_>,
        signals: &Signals,
        ahead: &Ahead<'_>,
        capacity: Option<&Capacity>,
        replicas: &Replicas,
    ) -> Result<Self, String> {
        let mut notes = Vec::new();
        let mut capacity = capacity
            .cloned()
            .ok_or("what a replica can do is not known yet: nothing was seen to flow through a known count")?;
        let kind = input.workload.entity.kind;
        let paths = paths(input, signals, ahead, &mut notes)?;
        let slo = objective(input.workload, &mut notes);
        let late =
            recent(signals, if kind == WorkloadKind::Inference { Role::Latency } else { Role::TimeLag }, input.now);
        let waiting = recent(signals, Role::Backlog, input.now);
        let demand = recent(signals, Role::Demand, input.now).unwrap_or(0.0);
        let backlog = match input.watch() {
            Some(watch) => watch.excess(),
            None => waiting.map_or(0.0, |b| (b - demand * floor(input, signals)).max(0.0)),
        };
        let mut limits = input.workload.limits;
        if capacity.is_lower_bound() {
            // A step beyond it is tried, but it never asks for replicas by itself.
            capacity.per_replica = capacity.as_planned();
            if let Some(most) = at_full_cpu(signals).filter(|_| kind == WorkloadKind::ConsumerGroup) {
                capacity.per_replica = most.min(TRIED * capacity.low).max(capacity.per_replica);
            }
            let behind = late.or((demand > 0.0).then(|| backlog / demand));
            if kind == WorkloadKind::ConsumerGroup
                && behind.is_none_or(|l| l <= CALM * slo)
                && replicas.desired >= limits.min
            {
                limits.max = limits.max.min(replicas.desired).max(limits.min);
                let why = if behind.is_some() { "nothing is late" } else { "how late it is is not known" };
                notes.push(format!("not more: {why}, and the replicas were never seen at their limit"));
            }
        }
        let work = work(input, signals, &capacity, slo, &mut notes);
        let is_late = late.is_some_and(|l| l > slo);
        hold_back(input, &work, &mut capacity, &mut limits, is_late.then_some(replicas.desired), &mut notes);
        let behind = late.or((demand > 0.0).then(|| backlog / demand)).filter(|_| replicas.ready > 0);
        let able = planner::capacity_of(&work, &capacity, replicas.ready);
        if let Some(span) = behind.filter(|l| *l > slo).and_then(|_| stands::span(input, signals, able)) {
            let stay = replicas.desired.min(limits.max).max(limits.min);
            limits = Limits { min: stay, max: stay };
            let (span, able) = (duration(span), per_second(able));
            notes.push(format!("no other count: little was committed in {span} by replicas that can do {able}"));
        }
        let highest = paths.p80.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let peak = highest.map_or((0.0, 0.0), |(i, v)| (i as f64 * paths.step, *v));
        let bursts = match &ahead.outlook {
            Some(outlook) => Some(expected(outlook)),
            None => Bursts::of(signals.track(Role::Demand), input.now),
        };
        notes.extend(bursts.as_ref().and_then(burst_note));
        if kind == WorkloadKind::ConsumerGroup && input.is_sticky() {
            let share = 100.0 * planner::NEARLY;
            notes.push(format!("planned within {share:.0} % of the objective"));
        }
        if kind == WorkloadKind::ConsumerGroup {
            notes.extend(apart(late, backlog, demand, slo));
        }
        let recent = Recent::of(input, signals, &capacity);
        Ok(Self {
            work,
            paths,
            bursts,
            shaped: ahead.outlook.is_some(),
            recent,
            backlog,
            current: replicas.desired,
            ready: replicas.ready,
            limits,
            capacity,
            slo,
            peak,
            late,
            waiting,
            notes,
        })
    }

    /// The problem, ready to be planned.
    pub fn problem<'a>(&'a self, input: &'a Input<'_>) -> Problem<'a> {
        Problem {
            work: self.work.clone(),
            demand: &self.paths.p80,
            middle: &self.paths.p50,
            high: &self.paths.p95,
            bursts: self.bursts.as_ref(),
            step: self.paths.step,
            backlog: self.backlog,
            current: self.current,
            ready: self.ready,
            in_flight: &self.recent.in_flight,
            pausing: self.recent.pausing,
            since_up: self.recent.since_up,
            may_shrink: may_shrink(input),
            owners: &input.state.partition_owners,
            sticky: input.is_sticky(),
            limits: self.limits,
            capacity: &self.capacity,
            slo: self.slo,
            price: input.workload.price,
        }
    }

    /// What a count can do, per second.
    pub fn capacity_of(&self, replicas: u32) -> f64 {
        planner::capacity_of(&self.work, &self.capacity, replicas)
    }
}

/// Where the partition that is furthest behind is late and all together are not: prices count all together.
fn apart(late: Option<f64>, backlog: f64, demand: f64, slo: f64) -> Option<String> {
    let late = late.filter(|late| *late > slo && demand > 0.0)?;
    let together = backlog / demand;
    (together <= slo).then(|| {
        format!(
            "{} behind is the partition that is furthest behind, all together are {}: prices count what waits in all",
            duration(late),
            duration(together)
        )
    })
}

/// Not more replicas than bring all that lies downstream takes, with room for unequal partitions. That is of the past:
/// late, and none added for half an hour, a quarter more are tried as if it took as much more, and what they bring is the
/// newer truth. `late`: the count, if it is.
fn hold_back(
    input: &Input<'_>,
    work: &Work,
    capacity: &mut Capacity,
    limits: &mut Limits,
    late: Option<u32>,
    notes: &mut Vec<String>,
) {
    let (Some(total), Some(watch)) = (capacity.ceiling, input.watch()) else { return };
    let Some(Enough { members, tried }) = watch.enough() else { return };
    let free = Capacity { ceiling: None, ..capacity.clone() };
    let room = |n: &u32| !tried || planner::capacity_of(work, &free, *n) >= ROOM * total;
    let n = (members..=members.saturating_mul(2)).find(room).unwrap_or(members);
    let most = members + members.div_ceil(4);
    let stuck = tried && watch.since_up(input.now).is_none_or(|since| since > TRY_AGAIN);
    if stuck && members < limits.max && late.is_some_and(|now| (members..most).contains(&now)) {
        capacity.ceiling = Some(total * f64::from(most) / f64::from(members));
        limits.max = most.max(n).min(limits.max);
        let since = duration(TRY_AGAIN);
        notes.push(format!(
            "{members} once brought all that lies downstream takes; late, and no more for {since}: up to {} are tried",
            limits.max
        ));
        return;
    }
    if n >= limits.max {
        return;
    }
    // Never below the present count: that fewer are enough is for the price to say.
    let now = input.state.replicas.as_ref().map_or(0, |r| r.desired);
    limits.max = n.max(now).clamp(limits.min, limits.max);
    let little = watch.last_step().filter(|(_, share)| *share < LITTLE);
    let brought = little.map_or_else(String::new, |(more, share)| {
        format!("; the last +{more} brought {:.0} %", 100.0 * share.max(0.0))
    });
    let room = if n > members { format!(", {n} with room for unequal partitions") } else { String::new() };
    notes.push(format!("not more than {n}: {members} brought all that lies downstream takes{room}{brought}"));
}

/// Quantile paths of demand from now on.
#[derive(Clone, Debug)]
struct Paths {
    p50: Vec<f64>,
    p80: Vec<f64>,
    p95: Vec<f64>,
    step: f64,
}

fn paths(input: &Input<'_>, signals: &Signals, ahead: &Ahead<'_>, notes: &mut Vec<String>) -> Result<Paths, String> {
    if let Some(outlook) = &ahead.outlook {
        let [_, p50, p80, p95] = outlook.paths.clone();
        return Ok(Paths { p50, p80, p95, step: outlook.step });
    }
    let last = recent(signals, Role::Demand, input.now);
    let steps = (input.horizon / input.step).ceil().clamp(1.0, 10_000.0) as usize;
    let flat = |[p50, p80, p95]: [f64; 3]| {
        let path = |value| vec![value; steps];
        Paths { p50: path(p50), p80: path(p80), p95: path(p95), step: input.step }
    };
    let why = match ahead.forecast {
        Ok(forecast) => {
            let ahead: Vec<&Quantiles> = forecast.points.iter().filter(|q| q.t > input.now).collect();
            if !ahead.is_empty() {
                let path = |of: fn(&Quantiles) -> f64| ahead.iter().map(|q| of(q)).collect();
                let step = forecast.step;
                return Ok(Paths { p50: path(|q| q.p50), p80: path(|q| q.p80), p95: path(|q| q.p95), step });
            }
            "the forecast has run out".to_owned()
        }
        Err(why) => why.clone(),
    };
    let last = last.ok_or_else(|| format!("demand is not known yet: {why}"))?;
    notes.push(format!("no forecast ({why}): planned on the last value, {} and half as much again", per_second(last)));
    Ok(flat([last, last * WIDE[0], last * WIDE[1]]))
}

/// Records per second that a replica would process at full CPU, by the last minutes: what flowed over the CPU that it
/// took. Something else may hold it back before that, so it says how far to try, not what can be done. `None`: not known.
fn at_full_cpu(signals: &Signals) -> Option<f64> {
    let [flow, replicas, cpu] = [Role::Throughput, Role::Replicas, Role::Utilisation].map(|role| signals.track(role));
    let first = flow.values.len().saturating_sub((CPU_SPAN / flow.step.max(0.001)) as usize);
    let slots = flow.values.iter().zip(&replicas.values).zip(&cpu.values).skip(first);
    let known = slots.filter_map(|((flow, n), cpu)| Some(((*flow)?, (*n)? * (*cpu)?)));
    let (done, took) = known.fold((0.0, 0.0), |sum, slot| (sum.0 + slot.0, sum.1 + slot.1));
    Some(done / took).filter(|rate| took > 0.0 && rate.is_finite())
}

/// Bursts as the planner takes them.
fn expected(outlook: &Outlook) -> Bursts {
    let ways: Vec<(f64, f64, f64)> = outlook.burst.iter().map(|b| (b.weight, b.left, b.factor)).collect();
    let now = if ways.is_empty() { None } else { Some(Burst { calm: None, ways }) };
    Bursts { per_second: outlook.per_second, factor: outlook.factor, lasts: outlook.lasts, now }
}

fn burst_note(bursts: &Bursts) -> Option<String> {
    let now = bursts.now.as_ref()?;
    let more = (now.ways.iter().map(|(weight, _, factor)| weight * factor).sum::<f64>() - 1.0) * 100.0;
    Some(match now.calm {
        Some(calm) => format!("a burst is on: {more:.0} % over the {} of the last 40 min", per_second(calm)),
        None => format!("a burst is on: {more:.0} % over what is usual at this time"),
    })
}

/// What the last minutes say about changes of the count.
#[derive(Clone, Debug, Default)]
struct Recent {
    /// Seconds until each replica that is starting will be ready, by its age and the usual start-up.
    in_flight: Vec<f64>,
    /// Seconds that work still stands still for.
    pausing: f64,
    /// Seconds since the count asked for was last raised.
    since_up: Option<f64>,
}

impl Recent {
    fn of(input: &Input<'_>, signals: &Signals, capacity: &Capacity) -> Self {
        if let Some(watch) = input.watch() {
            return Self::watched(input, watch, capacity);
        }
        let replicas = input.state.replicas.as_ref();
        let (desired, ready) = replicas.map_or((0, 0), |r| (r.desired, r.ready));
        // Counts as (seconds ago, count), oldest first; the state's are the newest.
        let counts = |role: Role, now: u32| {
            let track = signals.track(role);
            let first = track.values.len().saturating_sub((LOOK_BACK / track.step.max(0.001)).ceil() as usize);
            let seen = (first..track.values.len()).filter_map(|i| {
                let at = track.at(i);
                (at <= input.now).then_some((input.now.since(at), track.values[i]?.round().max(0.0) as u32))
            });
            seen.chain([(0.0, now)]).collect::<Vec<(f64, u32)>>()
        };
        let asked = changes(&counts(Role::Desired, desired));
        let came = changes(&counts(Role::Replicas, ready));
        let mut since_up = asked.iter().rev().find(|(_, from, to)| to > from).map(|(ago, ..)| *ago);
        if let Some((at, _)) = input.state.last_change.filter(|(_, from)| *from < desired) {
            let ago = input.now.since(at).max(0.0);
            since_up = Some(since_up.map_or(ago, |s| s.min(ago)));
        }
        // What is missing was asked for last; what was asked for first comes first.
        let mut starting = Vec::new();
        for (ago, from, to) in asked.iter().rev().filter(|(_, from, to)| to > from) {
            let room = (desired.saturating_sub(ready) as usize).saturating_sub(starting.len());
            starting.extend(std::iter::repeat_n((capacity.start_up - ago).max(SOON), ((to - from) as usize).min(room)));
        }
        let pause = |(ago, from, to): &(f64, u32, u32)| {
            let all = if to > from { capacity.standstill(to - from) } else { capacity.rebalance_down };
            let share = if input.is_sticky() { f64::from(from.abs_diff(*to)) / f64::from(*from.max(to)) } else { 1.0 };
            all * share - ago
        };
        let mut pausing = came.last().map_or(0.0, pause).max(0.0);
        if input.state.rebalancing && input.workload.entity.kind == WorkloadKind::ConsumerGroup {
            pausing = pausing.max(SOON);
        }
        Self { in_flight: starting, pausing, since_up }
    }
}

impl Recent {
    /// As the members showed it.
    fn watched(input: &Input<'_>, watch: &Watch, capacity: &Capacity) -> Self {
        let starting = watch.starting(input.now);
        let left = |(ago, joined): (f64, u32)| {
            let whole = if joined > 0 { capacity.standstill(joined) } else { capacity.rebalance_down };
            (whole - ago).max(if input.state.rebalancing { SOON } else { 0.0 })
        };
        Self {
            in_flight: starting.iter().map(|ago| (capacity.start_up - ago).max(SOON)).collect(),
            pausing: watch.standing_still(input.now).map_or(0.0, left),
            since_up: watch.since_up(input.now),
        }
    }
}

/// Changes in a list of counts: seconds ago, from, to.
fn changes(counts: &[(f64, u32)]) -> Vec<(f64, u32, u32)> {
    let pairs = counts.windows(2).filter(|pair| pair[0].1 != pair[1].1);
    pairs.map(|pair| (pair[1].0, pair[0].1, pair[1].1)).collect()
}

/// Whether removals are looked at now: once a minute, rarely enough not to pay pauses for noise; where most partitions
/// keep running anyway changes come cheap and often, so every third. The first look always, and a removal that is on
/// screen is looked at again each time.
fn may_shrink(input: &Input<'_>) -> bool {
    if input.watch().is_some_and(Watch::is_blind) {
        return false; // no removal on offsets that mean nothing
    }
    let current = input.state.replicas.as_ref().map_or(0, |r| r.desired);
    let shown = input.previous.filter(|p| p.workload == input.workload.name);
    let every = if input.is_sticky() { 3.0 * 60.0 } else { 60.0 };
    let due = match input.watch() {
        Some(watch) => watch.is_first_within(every),
        None => input.now.since(input.now.floor_to(every)) < input.step.min(every),
    };
    due || shown.is_none_or(|p| p.wanted < current && p.current.desired == current)
}

/// The objective that is priced, seconds.
pub(super) fn objective(workload: &Workload, notes: &mut Vec<String>) -> f64 {
    let slo = &workload.slo;
    let (configured, assumed) = match workload.entity.kind {
        WorkloadKind::Inference => (slo.ttft_p95.or(slo.latency_p95).or(slo.queue_p95), ASSUMED_LATENCY),
        _ => (slo.time_lag, ASSUMED_TIME_LAG),
    };
    configured.filter(|s| s.is_finite() && *s > 0.0).unwrap_or_else(|| {
        if slo.inter_token_p95.is_some() && workload.entity.kind == WorkloadKind::Inference {
            return assumed; // tokens are what is promised; a pile of requests is measured against this
        }
        notes.push(format!("no objective is configured: {} assumed", duration(assumed)));
        assumed
    })
}

/// Seconds of lag that are always there: records between two commits. The least seen lately.
fn floor(input: &Input<'_>, signals: &Signals) -> f64 {
    let track = signals.track(Role::TimeLag);
    let since = input.now.plus(-FLOOR_SPAN);
    let seen = (0..track.values.len()).filter(|i| track.at(*i) >= since).filter_map(|i| track.values[i]);
    let least = seen.fold(f64::INFINITY, f64::min);
    if least.is_finite() && least <= FLOOR_MOST { least.max(0.0) } else { 0.0 }
}

fn work(input: &Input<'_>, signals: &Signals, capacity: &Capacity, slo: f64, notes: &mut Vec<String>) -> Work {
    match input.workload.entity.kind {
        WorkloadKind::Batch | WorkloadKind::Brokers => Work::Jobs,
        WorkloadKind::Inference => {
            let unloaded = unloaded(signals, capacity).unwrap_or_else(|| {
                let assumed = slo / 5.0;
                notes.push(format!("latency without load is not known: {} assumed", duration(assumed)));
                assumed
            });
            if unloaded >= slo {
                notes.push(format!(
                    "even without load latency is {}, over the {}: replicas cannot help",
                    duration(unloaded),
                    duration(slo)
                ));
            }
            Work::Shared { unloaded }
        }
        WorkloadKind::ConsumerGroup => {
            let known =
                input.watch().map(Watch::shares).filter(|s| s.len() == input.state.partitions.unwrap_or(0) as usize);
            let shares = known.map_or_else(|| super::shares(input.state), <[f64]>::to_vec);
            if shares.is_empty() {
                notes.push("the partitions are not known: capacity taken as growing with every replica".to_owned());
            }
            let waits = input.watch().map(Watch::waits).filter(|w| w.len() == shares.len());
            Work::Log { shares, waits: waits.unwrap_or_default() }
        }
    }
}

/// Latency times the spare share of capacity, as low as it is one time in five over the last hours: what is left when
/// the effect of load is taken out.
fn unloaded(signals: &Signals, capacity: &Capacity) -> Option<f64> {
    let (latency, demand) = (signals.track(Role::Latency), signals.track(Role::Demand));
    let replicas = signals.track(Role::Replicas);
    let mut values: Vec<f64> = (0..latency.values.len())
        .rev()
        .take(720)
        .filter_map(|i| {
            let load = demand.values.get(i)?.as_ref()? / (capacity.per_replica * replicas.values.get(i)?.as_ref()?);
            let value = latency.values[i]? * (1.0 - load.clamp(0.0, 0.95));
            value.is_finite().then_some(value)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 5).copied()
}

#[cfg(test)]
mod tests {
    use super::apart;

    #[test]
    fn one_late_partition_of_a_group_that_keeps_up_is_told_apart() {
        let said = apart(Some(58.0), 201_000.0, 9_600.0, 30.0).unwrap();
        assert!(said.contains("58 s behind") && said.contains("all together are 21 s"), "{said}");
        assert_eq!(apart(Some(58.0), 400_000.0, 9_600.0, 30.0), None, "all of it is late");
        assert_eq!(apart(Some(20.0), 90_000.0, 9_600.0, 30.0), None, "nothing is");
    }
}
