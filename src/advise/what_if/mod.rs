//! What would happen if: the next half hour of a consumer group, played from what is true now, once for each thing that
//! may happen, with the present count and with the one that the planner would then ask for. Pure.
//!
//! What is played is the arena's group ([`crate::simulate::group`]): partitions with the shares and the lag that they have,
//! members that start up and rebalance as they were seen to, the forecast's median as demand. No chance is in it: the
//! same question has the same answer.

mod course;
mod follow;

pub use course::Course;

use super::shares;
use crate::model::{
    BrokerState, Capacity, Forecast, Label, Picture, Replicas, Role, Time, WorkloadKind, WorkloadView, duration, si,
};
pub(super) use course::{Found, Run};
use std::sync::Arc;

/// Seconds that are played when there is no forecast to say so, and at most.
const HORIZON: f64 = 1_800.0;
const LONGEST: f64 = 7_200.0;
/// Seconds after an event at which the planner is asked: two scrapes have shown it, and somebody approves.
const DECIDED: f64 = 60.0;
/// Partitions that are played apart; of more, neighbours are taken together.
const MOST: usize = 512;
/// Kafka's default of `auto.commit.interval.ms`, and the other one that is tried, seconds.
const COMMIT: f64 = 5.0;
const COMMIT_SLOW: f64 = 30.0;
/// Factor and length of the burst, seconds.
const BURST: (f64, f64) = (1.5, 900.0);
/// Seconds until the partitions of a lost broker have another leader and clients know: `broker.session.timeout.ms` is
/// 9 s by default (Kafka 4.1), then the controller elects, then clients refresh their metadata.
const ELECTION: f64 = 20.0;
/// The objective assumed where none is configured, seconds; as in advice.
const OBJECTIVE: f64 = 60.0;

/// Something that may happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Nothing but what is forecast.
    Nothing,
    /// The demand is higher for a while.
    Burst {
        /// Times the forecast.
        factor: f64,
        /// For so many seconds.
        seconds: f64,
    },
    /// One consumer dies; another one is started in its place.
    ConsumerLost,
    /// A broker dies: its partitions stand still until another replica leads them.
    BrokerLost(Broker),
    /// Consumers commit less often: more lag is seen although nothing is slower.
    Commit {
        /// Seconds between commits.
        from: f64,
        /// Seconds between commits then.
        to: f64,
    },
}

impl Event {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Nothing => "nothing but the forecast".to_owned(),
            Self::Burst { factor, seconds } => format!("{} times that for {}", si(*factor), duration(*seconds)),
            Self::ConsumerLost => "a consumer dies".to_owned(),
            Self::BrokerLost(b) => format!("broker {} dies, {} partitions", b.id, b.partitions.len()),
            Self::Commit { from, to } => format!("commits each {to:.0} s, not {from:.0} s"),
        }
    }
}

/// What a broker leads of a group's topics.
#[derive(Clone, Debug, PartialEq)]
pub struct Broker {
    /// Its id.
    pub id: i32,
    /// Partitions of the group that it leads, as places in [`crate::model::WorkloadState::partition_lags`].
    pub partitions: Vec<usize>,
    /// Those of them that no other replica is in sync for: they stay offline.
    pub alone: Vec<usize>,
}

/// What is asked: a group as it stands in a picture.
#[derive(Clone, Debug)]
pub struct Question {
    view: Arc<WorkloadView>,
    replicas: Replicas,
    capacity: Capacity,
    broker: Option<Broker>,
    now: Time,
}

/// What becomes of one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What happens.
    pub event: Event,
    /// With the count that is asked for now.
    pub held: Course,
    /// What the planner would ask for a minute later, and the guards allow.
    pub wanted: u32,
    /// With that count, asked for then, and what is asked for each minute after it as the guards allow; `None`: nothing
    /// would be changed.
    pub followed: Option<Course>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// From when on it was played.
    pub at: Time,
    /// Seconds that were played.
    pub seconds: f64,
    /// The count that is asked for now.
    pub replicas: u32,
    /// The objective, seconds behind.
    pub objective: f64,
    /// The events.
    pub cases: Vec<Case>,
    /// What it rests on, as sentences.
    pub basis: Vec<String>,
}

impl Question {
    /// What is known of a workload of the picture.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn of(picture: &Picture, workload: &Label) -> Result<Self, String> {
        let view = picture.workload(workload.as_str()).ok_or(format!("{workload} is not in the picture any more"))?;
        let state = &view.state;
        if view.workload.entity.kind != WorkloadKind::ConsumerGroup {
            return Err(format!("{workload}: only consumer groups can be played"));
        }
        let unknown = state.partition_lags.iter().filter(|l| l.is_none()).count();
        if state.partition_lags.is_empty() || unknown > 0 || state.is_stale() {
            return Err(format!(
                "{workload}: {unknown} of {} partitions are not known: all are needed to play it",
                state.partition_lags.len()
            ));
        }
        let replicas = state.replicas.clone().ok_or(format!("{workload}: how many replicas there are is not known"))?;
        let capacity = view.advice.capacity.clone().filter(|c| c.per_replica > 0.0);
        let capacity = capacity.ok_or(format!("{workload}: what a replica can do is not known yet"))?;
        Ok(Self { broker: broker(picture, view), view: view.clone(), replicas, capacity, now: picture.at })
    }

    /// Plays every event. `go_on` is asked now and then; `None` when it said no.
    pub fn answer(&self, go_on: &dyn Fn() -> bool) -> Option<Answer> {
        let mut basis = self.basis();
        let demand = self.demand(&mut basis);
        let objective = self.objective(&mut basis);
        let found = Found { state: &self.view.state, capacity: &self.capacity, replicas: &self.replicas };
        let run = Run::of(found, &demand, objective);
        let mut cases = Vec::new();
        for event in self.events() {
            cases.push(self.case(event, &run, go_on)?);
        }
        let seconds = demand.len() as f64;
        Some(Answer { at: self.now, seconds, replicas: self.replicas.desired, objective, cases, basis })
    }

    fn events(&self) -> Vec<Event> {
        let (factor, seconds) = BURST;
        let mut events = vec![Event::Nothing, Event::Burst { factor, seconds }, Event::ConsumerLost];
        events.extend(self.broker.clone().map(Event::BrokerLost));
        events.push(Event::Commit { from: COMMIT, to: COMMIT_SLOW });
        events
    }

    fn case(&self, event: Event, run: &Run, go_on: &dyn Fn() -> bool) -> Option<Case> {
        let mut held = run.clone();
        held.befall(&event);
        held.play(DECIDED as usize, go_on)?;
        let (wanted, followed) = self.follow(&event, held.clone(), go_on)?;
        Some(Case { event, held: held.finish(go_on)?, wanted, followed })
    }

    /// The median of the forecast for each second ahead.
    fn demand(&self, basis: &mut Vec<String>) -> Vec<f64> {
        let forecast: Option<&Forecast> = self.view.advice.forecast.as_ref().filter(|f| !f.points.is_empty());
        let signal = self.view.signal(Role::Demand);
        let now = signal.and_then(|s| Some(s.now.as_ref()?.value)).unwrap_or(0.0);
        let Some(f) = forecast else {
            basis.push(format!("no forecast: {}/s, as it is now, goes on", si(now)));
            return vec![now; HORIZON as usize];
        };
        let seconds = f.horizon().clamp(DECIDED * 2.0, LONGEST) as usize;
        let at = |second: usize| {
            let t = self.now.plus(second as f64 + 1.0);
            let next = f.points.partition_point(|q| q.t < t).min(f.points.len() - 1);
            f.points[next].p50.max(0.0)
        };
        (0..seconds).map(at).collect()
    }

    fn objective(&self, basis: &mut Vec<String>) -> f64 {
        self.view.workload.slo.time_lag.filter(|s| *s > 0.0).unwrap_or_else(|| {
            basis.push(format!("no objective is configured: {} assumed", duration(OBJECTIVE)));
            OBJECTIVE
        })
    }

    fn basis(&self) -> Vec<String> {
        let (c, state) = (&self.capacity, &self.view.state);
        let bound = if c.is_lower_bound() { ", a lower bound: it may go better" } else { "" };
        let mut basis = vec![
            format!(
                "demand is the forecast's median; a replica does {}/s{bound}, is ready in {}, a rebalance takes {}",
                si(c.per_replica),
                duration(c.start_up),
                duration(c.rebalance)
            ),
            format!(
                "commits each {COMMIT:.0} s assumed; behind is the largest partition's, as it is seen by its commits"
            ),
        ];
        if let Some(b) = &self.broker {
            let offline = match b.alone.len() {
                0 => "another replica leads each of them".to_owned(),
                n => format!("{n} have no other replica in sync and stay offline, the others are led anew"),
            };
            let leads = b.partitions.len();
            basis.push(format!("broker {} leads {leads} of the partitions: {offline}, {ELECTION:.0} s later", b.id));
        }
        match state.sticky {
            None => basis.push("whether rebalances stop everybody is not known: it is assumed".to_owned()),
            Some(_) if state.rebalancing => basis.push("the rebalance under way is taken as over".to_owned()),
            Some(_) => {}
        }
        if state.partition_lags.len() > MOST {
            basis.push(format!("of {} partitions neighbours are taken together", state.partition_lags.len()));
        }
        basis
    }
}

/// The broker that leads most of the group's partitions, those that have no other replica counted first.
fn broker(picture: &Picture, view: &WorkloadView) -> Option<Broker> {
    let entity = &view.workload.entity;
    let cluster = picture.clusters.iter().find(|c| c.name == entity.source)?;
    let group = cluster.groups.iter().find(|g| g.group == entity.id)?;
    if group.partitions.len() != view.state.partition_lags.len() {
        return None; // read at another moment
    }
    let mut found: Vec<Broker> = Vec::new();
    for (i, p) in group.partitions.iter().enumerate() {
        let topic = cluster.topics.iter().find(|t| t.name == p.topic);
        let Some(partition) = topic.and_then(|t| t.partitions.iter().find(|q| q.partition == p.partition)) else {
            continue;
        };
        let up = |id: &i32| cluster.brokers.iter().any(|b| b.id == *id && b.state == BrokerState::Up);
        let Some(id) = partition.leader.filter(up) else { continue };
        let alone = !partition.isr.iter().any(|replica| *replica != id);
        let at = found.iter().position(|b| b.id == id).unwrap_or_else(|| {
            found.push(Broker { id, partitions: Vec::new(), alone: Vec::new() });
            found.len() - 1
        });
        found[at].partitions.push(i);
        if alone {
            found[at].alone.push(i);
        }
    }
    found.into_iter().max_by_key(|b| (b.alone.len(), b.partitions.len(), std::cmp::Reverse(b.id)))
}

#[cfg(test)]
mod tests;
