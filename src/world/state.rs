//! The world's state and how it moves: one second at a time, a scrape every fifteen.

use super::{
    autoscalers::{self, Sync},
    hardware::{Broker, Gpu, Holder},
    objects::{Deployment, Object, Part},
    series::{STEP as SCRAPE, Scrapes},
};
use crate::{
    model::{Hpa, ScaledObject, Time, Vpa},
    simulate::{Random, STEP, batch::Batch, demand::Demand, fleet::Fleet, group::Group, topic::Topic},
};
use std::collections::VecDeque;
use tokio::sync::watch;

/// Seconds after a change of the spec until the controllers have seen it.
const OBSERVED_AFTER: f64 = 1.5;
/// Log ends kept per topic, scrapes: 24 h.
const POINTS: usize = 5760;
/// `default.replication.factor`.
const REPLICATION: usize = 3;
/// Seconds of waiting in the fleet behind a group at which its consumers wait too.
const BACK_PRESSURE: f64 = 20.0;

/// A topic as the brokers have it.
#[derive(Clone, Debug)]
pub(super) struct TopicState {
    pub(super) name: &'static str,
    pub(super) logs: Topic,
    pub(super) demand: Demand,
    /// Bytes of one record, on the wire and on disk.
    pub(super) record: f64,
    /// Records per second that arrive now.
    pub(super) rate: f64,
    /// Records per second on average: what is assumed of the time before the world began.
    pub(super) mean: f64,
    /// `retention.ms`, seconds.
    pub(super) retention: f64,
    /// Log ends at each scrape, oldest first: what ListOffsets by timestamp is answered from.
    pub(super) points: VecDeque<(Time, Vec<f64>)>,
}

/// A consumer group as the brokers have it.
#[derive(Clone, Debug)]
pub(super) struct GroupState {
    pub(super) id: &'static str,
    /// Index of its topic.
    pub(super) topic: usize,
    pub(super) group: Group,
    /// Records processed per second now.
    pub(super) rate: f64,
}

/// An inference service that a group calls for some of its records.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) model: &'static str,
    pub(super) fleet: Fleet,
    /// Index of the group that calls it.
    pub(super) caller: usize,
    /// Calls per record that the group processes.
    pub(super) per_record: f64,
}

/// Something that happens at a known time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A broker stops answering.
    Freeze(usize),
    /// It answers again.
    Thaw(usize),
    /// A consumer of a group dies and starts again.
    Crash { group: usize, consumer: usize },
    /// A partition of a group meets a record that it cannot process, or the record is skipped.
    Poison { group: usize, partition: usize, stuck: bool },
    /// The driver reports an error of a GPU.
    Xid { gpu: usize, code: u16 },
}

/// Everything there is, at one instant.
#[derive(Debug)]
pub struct State {
    at: Time,
    /// When the history ends and the show begins.
    pub(super) start: Time,
    pub(super) random: Random,
    pub(super) brokers: Vec<Broker>,
    pub(super) topics: Vec<TopicState>,
    pub(super) groups: Vec<GroupState>,
    pub(super) services: Vec<Service>,
    pub(super) gpus: Vec<Gpu>,
    pub(super) batch: Batch,
    pub(super) deployments: Vec<Deployment>,
    pub(super) hpas: Vec<Object<Hpa>>,
    pub(super) scaled_objects: Vec<Object<ScaledObject>>,
    pub(super) vpas: Vec<Object<Vpa>>,
    pub(super) syncs: Vec<Sync>,
    pub(super) version: u64,
    pub(super) changes: watch::Sender<u64>,
    /// Seconds after `start` at which each event happens, soonest first.
    pub(super) events: VecDeque<(f64, Event)>,
    /// Poisoned partitions: they stay stuck when their leader comes back.
    poisoned: Vec<(usize, usize)>,
    scrapes: Scrapes,
}

impl State {
    /// An empty world at `begin`, which will be `start` when its history is over.
    pub(super) fn new(begin: Time, start: Time, batch: Batch, random: Random, changes: watch::Sender<u64>) -> Self {
        let at = begin.floor_to(SCRAPE);
        Self {
            at,
            start,
            random,
            brokers: Vec::new(),
            topics: Vec::new(),
            groups: Vec::new(),
            services: Vec::new(),
            gpus: Vec::new(),
            batch,
            deployments: Vec::new(),
            hpas: Vec::new(),
            scaled_objects: Vec::new(),
            vpas: Vec::new(),
            syncs: Vec::new(),
            version: 1,
            changes,
            events: VecDeque::new(),
            poisoned: Vec::new(),
            scrapes: Scrapes::new(at.plus(SCRAPE)),
        }
    }

    /// The instant that this state is of: at most a second behind the world's clock.
    pub fn now(&self) -> Time {
        self.at
    }

    /// What has been scraped.
    pub fn scrapes(&self) -> &Scrapes {
        &self.scrapes
    }

    /// Moves forward to the last whole step at or before `to`; never back.
    pub(super) fn advance_to(&mut self, to: Time) {
        while self.at.plus(STEP) <= to {
            self.step();
        }
    }

    fn step(&mut self) {
        self.at = self.at.plus(STEP);
        let t = self.at.since(self.start);
        while self.events.front().is_some_and(|(at, _)| *at <= t) {
            if let Some((_, event)) = self.events.pop_front() {
                self.happen(event);
            }
        }
        for topic in &mut self.topics {
            topic.rate = topic.demand.rate(t);
            topic.logs.produce(topic.rate);
        }
        for group in &mut self.groups {
            if let Some(topic) = self.topics.get(group.topic) {
                group.rate = group.group.step(topic.logs.ends()).processed / STEP;
            }
        }
        self.serve();
        self.batch.step();
        self.place();
        self.follow();
        if self.at.millis() % (SCRAPE * 1000.0) as i64 == 0 {
            self.scrape();
            autoscalers::sync(self); // the HPA controller's period is that of the scrapes
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.at;
        match event {
            Event::Freeze(i) => {
                if let Some(broker) = self.brokers.get_mut(i) {
                    broker.frozen = Some(now);
                }
            }
            Event::Thaw(i) => {
                if let Some(broker) = self.brokers.get_mut(i) {
                    (broker.frozen, broker.back) = (None, Some(now));
                }
            }
            Event::Crash { group, consumer } => {
                if let Some(g) = self.groups.get_mut(group) {
                    g.group.crash(consumer);
                }
            }
            Event::Xid { gpu, code } => {
                if let Some(gpu) = self.gpus.get_mut(gpu) {
                    gpu.xid = f64::from(code);
                }
            }
            Event::Poison { group, partition, stuck } => {
                self.poisoned.retain(|p| *p != (group, partition));
                if stuck {
                    self.poisoned.push((group, partition));
                }
            }
        }
        self.stop_what_cannot_move();
    }

    /// Partitions whose leader is away or whose next record is poison stand still.
    fn stop_what_cannot_move(&mut self) {
        for g in 0..self.groups.len() {
            let Some(topic) = self.groups.get(g).map(|group| group.topic) else { continue };
            for p in 0..self.topics.get(topic).map_or(0, |t| t.logs.partitions()) {
                let poisoned = self.poisoned.contains(&(g, p));
                let led = self.leader(topic, p).is_some_and(|b| self.brokers.get(b).is_some_and(Broker::answers));
                if let Some(group) = self.groups.get_mut(g) {
                    group.group.set_stuck(p, poisoned || !led);
                }
            }
        }
    }

    /// Replicas of a partition, preferred leader first: indices of brokers.
    pub(super) fn replicas(&self, topic: usize, partition: usize) -> impl Iterator<Item = usize> + use<> {
        let n = self.brokers.len().max(1);
        (0..n.min(REPLICATION)).map(move |r| (topic + partition + r) % n)
    }

    /// The broker that leads a partition: the first of its replicas that the controller thinks is there.
    pub(super) fn leader(&self, topic: usize, partition: usize) -> Option<usize> {
        self.replicas(topic, partition).find(|b| self.brokers.get(*b).is_some_and(|x| x.is_registered(self.at)))
    }

    /// The broker that coordinates a group: the leader of its partition of `__consumer_offsets`.
    pub(super) fn coordinator(&self, group: usize) -> Option<usize> {
        self.leader(0, group)
    }

    /// Groups call their services, and wait when these are far behind.
    fn serve(&mut self) {
        for service in &mut self.services {
            let Some(caller) = self.groups.get_mut(service.caller) else { continue };
            service.fleet.step(caller.rate * service.per_record);
            let capacity = service.fleet.ready() as f64 * service.fleet.settings().capacity();
            let full = service.fleet.backlog() > capacity * BACK_PRESSURE;
            caller.group.set_ceiling(if full { capacity / service.per_record } else { f64::INFINITY });
        }
    }

    /// Deals GPUs to replicas and jobs, and works them.
    fn place(&mut self) {
        let mut wanted: Vec<Holder> = Vec::with_capacity(self.gpus.len());
        for job in self.batch.running() {
            wanted.extend((0..job.gang).map(|_| Holder::Job { serial: job.serial }));
        }
        let quota = self.batch.settings().quota.max(self.batch.used()) as usize;
        let room = self.gpus.len().saturating_sub(quota);
        for deployment in &self.deployments {
            if let Part::Fleet(i) = deployment.part
                && let Some(service) = self.services.get_mut(i)
            {
                // Pods beyond the GPUs exist and stay pending.
                service.fleet.scale(deployment.desired.min(room as u32));
                wanted.extend(service.fleet.replicas().iter().map(|r| Holder::Replica { fleet: i, serial: r.serial }));
            }
        }
        for gpu in &mut self.gpus {
            let kept = gpu.holder.and_then(|h| wanted.iter().position(|w| *w == h));
            gpu.holder = kept.map(|i| wanted.swap_remove(i));
        }
        wanted.sort_by_key(|h| match h {
            Holder::Replica { fleet, serial } => (0, *fleet as u64, *serial),
            Holder::Job { serial } => (1, 0, *serial),
        });
        let mut wanted = wanted.into_iter();
        for gpu in self.gpus.iter_mut().filter(|g| g.holder.is_none()) {
            gpu.holder = wanted.next();
        }
        for gpu in &mut self.gpus {
            let busy = match gpu.holder {
                Some(Holder::Replica { fleet, serial }) => self
                    .services
                    .get(fleet)
                    .and_then(|s| s.fleet.replicas().iter().find(|r| r.serial == serial).map(|r| (r, s)))
                    .map_or(0.0, |(r, s)| (0.9 * r.running / s.fleet.settings().max_batch).clamp(0.02, 1.0)),
                Some(Holder::Job { .. }) => 0.93,
                None => 0.0,
            };
            let wobble = if busy > 0.0 { self.random.between(-0.03, 0.03) } else { 0.0 };
            gpu.step((busy + wobble).clamp(0.0, 1.0));
        }
    }

    /// Gives a deployment's count to what its pods are. A fleet follows by itself, as GPUs allow.
    pub(super) fn order(&mut self, part: Part, n: u32) {
        match part {
            Part::Group(i) => {
                if let Some(group) = self.groups.get_mut(i) {
                    group.group.scale(n);
                }
            }
            Part::Training => self.batch.set_quota(n),
            Part::Fleet(_) => {}
        }
    }

    /// Deployments follow what their pods are: counts, readiness, the controller's view of the spec.
    fn follow(&mut self) {
        let (now, mut version) = (self.at, self.version);
        for deployment in &mut self.deployments {
            let ready = match deployment.part {
                Part::Group(i) => self.groups.get(i).map_or(0, |g| g.group.consumers().len()),
                Part::Fleet(i) => self.services.get(i).map_or(0, |s| s.fleet.ready()),
                // A worker is there as soon as its pod runs; what is busy stays until its job has ended.
                Part::Training => self.batch.settings().quota.max(self.batch.used()) as usize,
            };
            let seen = now.since(deployment.last_writer.1) >= OBSERVED_AFTER;
            let observed = if seen { deployment.generation } else { deployment.observed_generation };
            let status = (if seen { deployment.desired } else { deployment.current }, ready as u32, observed);
            if status != (deployment.current, deployment.ready, deployment.observed_generation) {
                (deployment.current, deployment.ready, deployment.observed_generation) = status;
                version += 1;
                deployment.resource_version = version;
            }
        }
        if version != self.version {
            self.publish(version);
        }
    }

    fn scrape(&mut self) {
        self.stop_what_cannot_move();
        self.traffic();
        for topic in &mut self.topics {
            topic.points.push_back((self.at, topic.logs.ends().to_vec()));
            if topic.points.len() > POINTS {
                topic.points.pop_front();
            }
        }
        for service in &mut self.services {
            service.fleet.observe();
        }
        // Taken out and put back, so that the exporters can read the state while they write.
        let mut scrapes = std::mem::replace(&mut self.scrapes, Scrapes::new(self.at));
        scrapes.begin();
        super::exporters::write(self, &mut scrapes);
        self.scrapes = scrapes;
    }

    /// What came and went through each broker since the last scrape, at the present rates.
    fn traffic(&mut self) {
        let mut all = vec![vec![[0.0; 3]; self.topics.len()]; self.brokers.len()];
        for (t, topic) in self.topics.iter().enumerate() {
            let read: f64 = self.groups.iter().filter(|g| g.topic == t).map(|g| g.rate).sum();
            for (p, share) in topic.logs.shares().iter().enumerate() {
                let Some(sum) = self.leader(t, p).and_then(|b| all.get_mut(b)).and_then(|b| b.get_mut(t)) else {
                    continue;
                };
                let records = topic.rate * share * SCRAPE;
                sum[0] += records * topic.record;
                sum[1] += read * share * SCRAPE * topic.record;
                sum[2] += records;
            }
        }
        for (broker, traffic) in self.brokers.iter_mut().zip(all) {
            broker.step(&traffic, SCRAPE, &mut self.random);
        }
    }
}
