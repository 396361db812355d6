//! One count, played over the horizon: what it costs.

use super::{Fleet, Problem, SLOT};

/// A minute over the SLO is priced at most this many times.
const WORST: f64 = 10.0;
/// Share of the idle replicas' capacity that helps to drain: they finish their own partitions and then wait.
const HELP: f64 = 0.5;

/// What a roll-out costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost {
    pub price: f64,
    pub slo_minutes: f64,
}

/// Plays `replicas`, asked for now, over the problem's horizon.
pub(super) fn price(problem: &Problem<'_>, fleet: &Fleet, replicas: u32) -> Cost {
    let capacity = problem.capacity;
    let changes = replicas != problem.current;
    // Replicas asked for are paid from now on, but work only after their start-up; those that go, go at once.
    let before = problem.ready.min(problem.current);
    let arrive = if replicas > before { finite(capacity.start_up) } else { 0.0 };
    let moves = replicas != before;
    let pause_from = arrive;
    let pause_to = if moves { arrive + finite(capacity.rebalance) } else { arrive };
    let horizon = problem.step * problem.demand.len() as f64;
    let slots = (horizon / SLOT).ceil() as usize;

    let mut cost = Cost { price: if changes { problem.price.action } else { 0.0 }, slo_minutes: 0.0 };
    let mut backlog = finite(problem.backlog);
    let mut demand = 0.0;
    for slot in 0..slots {
        let t = slot as f64 * SLOT;
        demand = problem.demand.get((t / problem.step) as usize).copied().map_or(demand, finite);
        let ready = if t < arrive { before } else { replicas };
        let paused = ((t + SLOT).min(pause_to) - t.max(pause_from)).max(0.0);
        backlog = step(fleet, ready, demand, backlog, SLOT - paused) + demand * paused;
        cost.price += f64::from(replicas) * SLOT / 3600.0 * problem.price.pod_hour;
        let over = severity(lateness(fleet, ready, demand, backlog), problem.slo);
        if over > 0.0 {
            cost.slo_minutes += SLOT / 60.0;
            cost.price += problem.price.slo_minute * over * SLOT / 60.0;
        }
    }
    cost.price += left_over(problem, fleet, replicas, demand, backlog);
    cost
}

/// What `seconds` of work leave of a backlog.
fn step(fleet: &Fleet, replicas: u32, demand: f64, backlog: f64, seconds: f64) -> f64 {
    let capacity = fleet.capacity(replicas);
    let loads = fleet.loads(replicas);
    let growth = if loads.is_empty() {
        demand - capacity
    } else {
        // Each member falls behind on its own partitions, whatever the others have to spare.
        loads.iter().map(|share| (demand * share - fleet.rate()).max(0.0)).sum()
    };
    if growth > 0.0 {
        return backlog + growth * seconds;
    }
    let spare = (capacity - demand).max(0.0);
    let together = fleet.rate() * f64::from(replicas.min(fleet.most()));
    let drain = spare + HELP * (together - capacity).max(0.0);
    (backlog - drain * seconds).max(0.0)
}

/// Seconds late: the age of the oldest unread record of a log, else the wait behind the backlog plus the load's own.
fn lateness(fleet: &Fleet, replicas: u32, demand: f64, backlog: f64) -> f64 {
    let flow = if fleet.most() < u32::MAX { demand } else { fleet.capacity(replicas) };
    let behind = match (backlog > 0.0, flow > 0.0) {
        (false, _) => 0.0,
        (true, true) => backlog / flow,
        (true, false) => {
            let capacity = fleet.capacity(replicas);
            if capacity > 0.0 { backlog / capacity } else { f64::MAX }
        }
    };
    behind + fleet.latency(replicas, demand)
}

/// `min(10, value / SLO)` above the SLO, 0 within it.
fn severity(value: f64, slo: f64) -> f64 {
    if value <= slo { 0.0 } else { (value / slo).min(WORST) }
}

/// What the horizon leaves behind: the pods that drain it, and half the minutes over the SLO until it is drained by the
/// most replicas there may be. So less left over is always worth something, even where no count is in time.
fn left_over(problem: &Problem<'_>, fleet: &Fleet, replicas: u32, demand: f64, backlog: f64) -> f64 {
    if backlog <= 0.0 {
        return 0.0;
    }
    let pods = backlog / fleet.rate() / 3600.0 * problem.price.pod_hour;
    let over = severity(lateness(fleet, replicas, demand, backlog), problem.slo);
    if over <= 0.0 {
        return pods;
    }
    let excess = (backlog - demand * problem.slo).max(0.0);
    let most = fleet.capacity(problem.limits.max.min(fleet.most())).max(fleet.capacity(replicas));
    let drain = if most > demand { most - demand } else { most };
    let seconds = if drain > 0.0 { excess / drain } else { 0.0 };
    pods + 0.5 * problem.price.slo_minute * over * seconds / 60.0
}

fn finite(x: f64) -> f64 {
    if x.is_finite() { x.max(0.0) } else { 0.0 }
}
