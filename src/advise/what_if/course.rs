//! One half hour, second by second: a group on its topic, what befalls it, and what is seen of it meanwhile.

use super::{COMMIT, ELECTION, Event, MOST, shares};
use crate::{
    model::{Capacity, Replicas, WorkloadState},
    simulate::{
        Assignor,
        group::{Group, GroupSettings, Protocol},
        topic::Topic,
    },
};

/// Seconds between two questions whether to go on.
const ASK: usize = 120;
/// Behind by more seconds than commits explain is not caught up.
const CAUGHT_UP: f64 = 2.0;
/// A minute over the objective counts at most this many times.
const WORST: f64 = 10.0;
/// Demand counts as at least this much of its mean: what trickles is not hours behind.
const LEAST: f64 = 0.01;

/// What was seen of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// Most replicas that were asked for.
    pub replicas: u32,
    /// Most records behind, by the commits.
    pub lag_peak: f64,
    /// Farthest behind, seconds.
    pub late_peak: f64,
    /// Minutes over the objective.
    pub slo_minutes: f64,
    /// The same, each counted as many times as it is over the objective, at most ten.
    pub severe: f64,
    /// Seconds until everything that arrived is processed, 0: it always was; `None`: not within what was played.
    pub caught_up: Option<f64>,
}

/// A group under way. A copy goes on in its own way.
#[derive(Clone, Debug)]
pub(in crate::advise) struct Run {
    topic: Topic,
    group: Group,
    demand: Vec<f64>,
    least: f64,
    /// Factor of the demand up to a second.
    burst: (f64, usize),
    /// Partitions that stand still, and up to which second.
    stuck: Vec<(usize, usize)>,
    /// Partitions that were told as so many neighbours taken together.
    together: usize,
    second: usize,
    /// Most that were asked for since the count was changed, if it was.
    replicas: u32,
    scaled: bool,
    commit: f64,
    objective: f64,
    seen: Course,
    behind_until: usize,
}

/// A group as it is found.
#[derive(Clone, Copy, Debug)]
pub(in crate::advise) struct Found<'a> {
    pub state: &'a WorkloadState,
    pub capacity: &'a Capacity,
    pub replicas: &'a Replicas,
}

impl Run {
    /// A group that meets this demand, second by second.
    pub fn of(found: Found<'_>, demand: &[f64], objective: f64) -> Self {
        let Found { state, capacity, replicas: count } = found;
        let together = state.partition_lags.len().div_ceil(MOST).max(1);
        let weights = shares(state);
        let sum: f64 = weights.iter().sum();
        let share = |p: usize| weights.get(p).map_or(0.0, |w| w / sum.max(f64::MIN_POSITIVE));
        let now = demand.first().copied().unwrap_or(0.0);
        // What lies between two commits is processed already.
        let waiting =
            |(p, lag): (usize, &Option<u64>)| (lag.unwrap_or(0) as f64 - now * share(p) * COMMIT / 2.0).max(0.0);
        let merge = |values: Vec<f64>| -> Vec<f64> { values.chunks(together).map(|c| c.iter().sum()).collect() };
        let partitions = state.partition_lags.len();
        let backlog = merge(state.partition_lags.iter().enumerate().map(waiting).collect());
        let mut topic = Topic::of(&merge((0..partitions).map(share).collect()));
        let replicas = count.desired;
        let ready = count.ready.min(replicas);
        let mut group = Group::new(settings(state, capacity), &topic, ready, 1);
        let owners: Vec<Option<usize>> =
            state.partition_owners.iter().step_by(together).map(|o| o.map(|o| o as usize)).collect();
        let held = owners.iter().flatten().collect::<std::collections::BTreeSet<_>>().len();
        if owners.len() == backlog.len() && held == ready as usize {
            group = group.dealt(&owners);
        }
        group.set_ceiling(capacity.ceiling.unwrap_or(f64::INFINITY));
        group.scale(replicas); // those that are still starting
        topic.append(&backlog);
        let mean = demand.iter().sum::<f64>() / demand.len().max(1) as f64;
        let seen = Course { replicas, lag_peak: 0.0, late_peak: 0.0, slo_minutes: 0.0, severe: 0.0, caught_up: None };
        Self {
            topic,
            group,
            demand: demand.to_vec(),
            least: (mean * LEAST).max(f64::MIN_POSITIVE),
            burst: (1.0, 0),
            stuck: Vec::new(),
            together,
            second: 0,
            replicas,
            scaled: false,
            commit: COMMIT,
            objective,
            seen,
            behind_until: 0,
        }
    }

    /// Lets an event happen now.
    pub fn befall(&mut self, event: &Event) {
        match event {
            Event::Nothing => {}
            Event::Burst { factor, seconds } => self.burst = (*factor, self.second + *seconds as usize),
            Event::ConsumerLost => self.group.crash(0),
            Event::BrokerLost(broker) => {
                for p in &broker.partitions {
                    let until = if broker.alone.contains(p) { usize::MAX } else { self.second + ELECTION as usize };
                    self.group.set_stuck(p / self.together, true);
                    self.stuck.push((p / self.together, until));
                }
            }
            Event::Commit { to, .. } => {
                self.commit = *to;
                self.group.set_commit(*to);
            }
        }
    }

    /// Asks for a count.
    pub fn scale(&mut self, replicas: u32) {
        self.group.scale(replicas);
        self.replicas = if self.scaled { self.replicas.max(replicas) } else { replicas };
        self.scaled = true;
    }

    /// Plays up to a second; `None`: it was told to stop.
    pub fn play(&mut self, until: usize, go_on: &dyn Fn() -> bool) -> Option<()> {
        while self.second < until.min(self.demand.len()) {
            if self.second.is_multiple_of(ASK) && !go_on() {
                return None;
            }
            self.step();
        }
        Some(())
    }

    /// Plays to the end.
    pub fn finish(mut self, go_on: &dyn Fn() -> bool) -> Option<Course> {
        self.play(self.demand.len(), go_on)?;
        let behind = self.behind_until;
        let caught_up = (behind < self.second).then_some(behind as f64);
        Some(Course { replicas: self.replicas, caught_up, ..self.seen })
    }

    /// Factor of the demand so many seconds after the start.
    pub fn factor(&self, t: f64) -> f64 {
        if t < self.burst.1 as f64 { self.burst.0 } else { 1.0 }
    }

    /// Seconds that are played in all.
    pub fn seconds(&self) -> usize {
        self.demand.len()
    }

    /// The demand that is still to come, second by second.
    pub fn rest(&self) -> &[f64] {
        self.demand.get(self.second..).unwrap_or_default()
    }

    /// Consumers that have joined, that start, and whether they rebalance.
    pub fn members(&self) -> (u32, usize, bool) {
        let ready = u32::try_from(self.group.consumers().len()).unwrap_or(u32::MAX);
        (ready, self.group.starting(), self.group.is_rebalancing())
    }

    /// Records behind, by the commits: what a monitor sees.
    pub fn lag(&self) -> f64 {
        self.group.lag(self.topic.ends())
    }

    /// Records that are really unprocessed.
    pub fn backlog(&self) -> f64 {
        self.group.backlog(self.topic.ends())
    }

    fn step(&mut self) {
        let rate = self.demand[self.second] * self.factor(self.second as f64);
        self.second += 1;
        let second = self.second;
        let group = &mut self.group;
        self.stuck.retain(|(partition, until)| {
            let over = second > *until;
            if over {
                group.set_stuck(*partition, false);
            }
            !over
        });
        self.topic.produce(rate);
        self.group.step(self.topic.ends());
        self.look(rate.max(self.least));
    }

    /// What a monitor would see now.
    fn look(&mut self, rate: f64) {
        let (mut lag, mut late) = (0.0, 0.0_f64);
        let readings = self.group.readings().iter().zip(self.topic.ends());
        for ((reading, end), share) in readings.zip(self.topic.shares()) {
            let behind = end - reading.committed;
            lag += behind;
            if *share > 0.0 {
                late = late.max(behind / (rate * share));
            }
        }
        self.seen.lag_peak = self.seen.lag_peak.max(lag);
        self.seen.late_peak = self.seen.late_peak.max(late);
        if late > self.objective {
            self.seen.slo_minutes += 1.0 / 60.0;
            self.seen.severe += (late / self.objective).min(WORST) / 60.0;
        }
        if late > self.commit + CAUGHT_UP && self.backlog() > rate * CAUGHT_UP {
            self.behind_until = self.second;
        }
    }
}

/// The group as it was seen to behave.
fn settings(state: &WorkloadState, capacity: &Capacity) -> GroupSettings {
    let sticky = state.sticky == Some(true);
    GroupSettings {
        protocol: if sticky { Protocol::Cooperative } else { Protocol::Eager },
        assignor: if sticky { Assignor::Sticky } else { Assignor::RoundRobin },
        rebalance: capacity.rebalance.max(0.0),
        start_up: (capacity.start_up.max(1.0), 0.0),
        commit: COMMIT,
        consumer_rate: capacity.as_planned(),
        scaling: capacity.scaling,
        rate_spread: 0.0,
    }
}
