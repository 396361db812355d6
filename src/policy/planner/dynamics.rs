//! How a backlog grows and drains at one count, and how late that is. Demand is in replicas (demand over the rate of
//! one), backlogs in replica-seconds: so the plan is the same whatever a record is.

use super::{Fleet, Work};
use crate::model::Price;

/// A change must be worth this many times its price: what it saves is an estimate, and the next look often takes it back
/// (at 4 there are a tenth more changes of members that keep their partitions, at 2 two thirds more, all within 1 % of the
/// price).
pub const WORTH: f64 = 5.0;
/// Share of the objective that members which keep their partitions are planned with: a little too few of them may be
/// enough for an hour, what waits is seen up to a commit late, and demand falls from second to second below the mean
/// that it is divided by. (With all of it they are over the objective two minutes a day instead of half a one.)
pub const NEARLY: f64 = 0.95;
/// A minute over the SLO is priced at most this many times.
const WORST: f64 = 10.0;
/// Share of the idle replicas' capacity that helps to drain: they finish their own partitions and then wait.
const HELP: f64 = 0.5;
/// Slowest that what is stuck is taken to drain, replicas: demand falls again, which no path of half an hour shows.
const SLOWEST: f64 = 0.05;
/// Later than any SLO, seconds: work that nobody does.
const NEVER: f64 = 1e12;

/// Share of the partitions that a change back to the present count moves, when the rest stays where it is: from where is
/// not known.
const MOVED: f64 = 0.3;

/// One count with all that its dynamics need.
#[derive(Clone, Debug)]
pub(super) struct Count {
    pub replicas: u32,
    /// Whether a plan may ask for it: it is within the limits.
    pub allowed: bool,
    /// Demand that none falls behind of.
    pub capacity: f64,
    /// What each can do: 1, or less of more of them where that was seen.
    each: f64,
    /// What all could do if all had work.
    together: f64,
    /// What lies downstream takes at most.
    ceiling: f64,
    /// Share of the demand per member; empty: one shared queue.
    loads: Vec<f64>,
    /// What waits lies with a few members for long, as each keeps its partitions and some have far more than others.
    stays: bool,
    stops: f64,
}

impl Count {
    pub fn new(fleet: &Fleet, replicas: u32, allowed: bool) -> Self {
        let capacity = fleet.capacity(replicas) / fleet.rate();
        let ceiling = fleet.ceiling() / fleet.rate();
        let each = fleet.each(replicas);
        let together = (each * f64::from(replicas.min(fleet.most()))).min(ceiling);
        let loads = fleet.loads(replicas);
        Self {
            replicas,
            allowed,
            capacity,
            each,
            together,
            ceiling,
            loads,
            stays: fleet.is_sticky() && fleet.is_hot(),
            stops: 1.0,
        }
    }

    /// The same, when the change that leads to it is one from `now`.
    #[must_use]
    pub fn reached_from(mut self, fleet: &Fleet, now: u32) -> Self {
        self.stops = match fleet.is_sticky() {
            true if now == self.replicas => MOVED,
            true => fleet.moved(now, self.replicas),
            false => 1.0,
        };
        self
    }

    /// Share of the work that stops with the change that leads to it.
    pub fn stops(&self) -> f64 {
        self.stops
    }

    /// Share of the demand per member; empty: one shared queue.
    pub fn loads(&self) -> &[f64] {
        &self.loads
    }

    /// What each member can do.
    pub fn each(&self) -> f64 {
        self.each
    }

    /// Change of the backlog per second at a demand while work goes on: above zero it grows.
    pub fn net(&self, demand: f64) -> f64 {
        let growth = if self.loads.is_empty() {
            demand - self.capacity
        } else {
            // Each member falls behind on its own partitions, whatever the others have to spare. Where that is not shared
            // out anew, no count holds more than its heaviest member.
            let overload: f64 = self.loads.iter().map(|share| (demand * share - self.each).max(0.0)).sum();
            overload.max(demand - if self.stays { self.capacity } else { self.ceiling })
        };
        if growth > 0.0 {
            return growth;
        }
        let spare = (self.capacity - demand).max(0.0);
        -(spare + HELP * (self.together - demand.max(self.capacity)).max(0.0))
    }
}

/// What lies with a few members, and how fast it drains there, in replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Stuck {
    pub lies: f64,
    pub drains: f64,
}

/// What is promised and what things cost, for one kind of work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Promise {
    /// Most seconds late.
    slo: f64,
    price: Price,
    /// Lateness is the age of the oldest unread record, not the wait for all that waits to be done.
    log: bool,
    /// Latency without load of a shared queue of requests, seconds.
    unloaded: f64,
}

/// What some seconds cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost {
    pub price: f64,
    pub slo_minutes: f64,
}

impl Cost {
    pub fn add(&mut self, other: Self, weight: f64) {
        self.price += weight * other.price;
        self.slo_minutes += weight * other.slo_minutes;
    }
}

/// Seconds that a backlog which goes from `a` to `b` is above `allowed`, and the same times their severity.
#[inline]
fn over(a: f64, b: f64, seconds: f64, allowed: f64) -> (f64, f64) {
    let (low, high) = (a.min(b), a.max(b));
    if high <= allowed || seconds <= 0.0 {
        return (0.0, 0.0);
    }
    let late = if low >= allowed { seconds } else { seconds * (high - allowed) / (high - low) };
    (late, late * (0.5 * (high + low.max(allowed)) / allowed).min(WORST))
}

impl Promise {
    /// `sticky`: members keep their partitions.
    pub fn new(work: &Work, slo: f64, price: Price, sticky: bool) -> Self {
        let unloaded = if let Work::Shared { unloaded } = work { unloaded.max(0.0) } else { 0.0 };
        let log = matches!(work, Work::Log { .. });
        let slo = if log && sticky { NEARLY * slo } else { slo };
        Self { slo, price, log, unloaded }
    }

    /// Seconds late.
    #[inline]
    fn lateness(&self, count: &Count, demand: f64, backlog: f64) -> f64 {
        let flow = if self.log && demand > 0.0 { demand } else { count.capacity };
        let behind = match (backlog > 0.0, flow > 0.0) {
            (false, _) => 0.0,
            (true, true) => backlog / flow,
            (true, false) => NEVER,
        };
        if self.unloaded > 0.0 {
            // Processor sharing. At and above capacity the backlog tells the rest.
            let spare = if count.capacity > 0.0 { (1.0 - demand / count.capacity).max(0.02) } else { 0.02 };
            behind + self.unloaded / spare
        } else {
            behind
        }
    }

    /// `min(10, value / SLO)` above the SLO, 0 within it.
    #[inline]
    fn severity(&self, value: f64) -> f64 {
        if value <= self.slo { 0.0 } else { (value / self.slo).min(WORST) }
    }

    /// What being `backlog` behind for some seconds costs, beside the pods.
    #[inline]
    pub fn late(&self, count: &Count, demand: f64, backlog: f64, seconds: f64) -> Cost {
        let severity = self.severity(self.lateness(count, demand, backlog));
        if severity > 0.0 {
            let minutes = seconds / 60.0;
            Cost { price: self.price.slo_minute * severity * minutes, slo_minutes: minutes }
        } else {
            Cost::default()
        }
    }

    /// Some seconds of work at one count, of which the first `pause` stand still: the backlog after them, and what being
    /// late meanwhile costs. `change` is what the backlog changes by in the rest of them, mostly [`Count::net`] a second.
    #[inline]
    pub fn spell(
        &self,
        count: &Count,
        demand: f64,
        change: f64,
        backlog: f64,
        pause: f64,
        seconds: f64,
    ) -> (f64, Cost) {
        // A standstill longer than the spell is carried on as the backlog that it makes, and priced here to its end.
        let peak = backlog + demand * pause;
        let end = peak + change;
        let after = end.max(0.0);
        if !self.log || demand <= 0.0 {
            return (after, self.late(count, demand, after.max(demand * pause), seconds));
        }
        let allowed = demand * self.slo;
        if peak.max(after) <= allowed {
            return (after, Cost::default());
        }
        let rise = over(backlog, peak, pause, allowed);
        let rest = over(peak, end, (seconds - pause).max(0.0), allowed);
        let (late, severe) = ((rise.0 + rest.0) / 60.0, (rise.1 + rest.1) / 60.0);
        (after, Cost { price: self.price.slo_minute * severe, slo_minutes: late })
    }

    /// What `replicas` cost for some seconds.
    #[inline]
    pub fn pods(&self, replicas: u32, seconds: f64) -> f64 {
        f64::from(replicas) * seconds / 3600.0 * self.price.pod_hour
    }

    /// What a change is planned to cost.
    pub fn action(&self) -> f64 {
        WORTH * self.price.action
    }

    /// What the horizon leaves behind: the pods that drain it, and half the minutes over the SLO until it is drained by
    /// the most capable count there is; what is stuck takes as long as those that hold it. So less left over is always
    /// worth something, even where no count is in time.
    pub fn left_over(&self, count: &Count, demand: f64, backlog: f64, most: f64, stuck: Stuck) -> f64 {
        if backlog <= 0.0 {
            return 0.0;
        }
        let pods = backlog / 3600.0 * self.price.pod_hour;
        let over = self.severity(self.lateness(count, demand, backlog));
        if over <= 0.0 {
            return pods;
        }
        let most = most.max(count.capacity);
        let drain = if most > demand { most - demand } else { most };
        let excess = (backlog - demand * self.slo).max(0.0);
        let mut seconds = if drain > 0.0 { excess / drain } else { 0.0 };
        let held = (stuck.lies.min(backlog) - demand * self.slo).max(0.0);
        if held > 0.0 && stuck.drains > 0.0 {
            seconds = seconds.max(held / stuck.drains.max(SLOWEST));
        }
        pods + 0.5 * self.price.slo_minute * over * seconds / 60.0
    }
}
