//! The world's state and how it moves: one second at a time, a scrape every fifteen.

use super::{
    objects::{Deployment, Object, Part},
    series::{STEP as SCRAPE, Scrapes},
};
use crate::{
    model::{Hpa, ScaledObject, Time},
    simulate::{STEP, demand::Demand, group::Group, topic::Topic},
};
use std::collections::VecDeque;
use tokio::sync::watch;

/// Seconds after a change of the spec until the controllers have seen it.
const OBSERVED_AFTER: f64 = 1.5;

/// A topic as the brokers have it.
#[allow(dead_code)] // the Kafka face reads it
#[derive(Clone, Debug)]
pub(super) struct TopicState {
    pub(super) name: &'static str,
    pub(super) logs: Topic,
    pub(super) demand: Demand,
    /// Bytes of one record, on the wire and on disk.
    pub(super) record: f64,
    /// Records that arrived in the last second.
    pub(super) rate: f64,
    /// `retention.ms`, seconds.
    pub(super) retention: f64,
    /// Log ends at each scrape, oldest first: what ListOffsets by timestamp is answered from.
    pub(super) points: VecDeque<(Time, Vec<f64>)>,
}

/// A consumer group as the brokers have it.
#[allow(dead_code)] // the Kafka face reads it
#[derive(Clone, Debug)]
pub(super) struct GroupState {
    pub(super) id: &'static str,
    /// Index of its topic.
    pub(super) topic: usize,
    pub(super) group: Group,
    /// Records processed in the last second.
    pub(super) rate: f64,
}

/// Everything there is, at one instant.
#[derive(Debug)]
pub struct State {
    at: Time,
    /// When the history ends and the show begins.
    pub(super) start: Time,
    pub(super) topics: Vec<TopicState>,
    pub(super) groups: Vec<GroupState>,
    pub(super) deployments: Vec<Deployment>,
    pub(super) hpas: Vec<Object<Hpa>>,
    pub(super) scaled_objects: Vec<Object<ScaledObject>>,
    pub(super) version: u64,
    pub(super) changes: watch::Sender<u64>,
    scrapes: Scrapes,
}

impl State {
    /// An empty world at `begin`, which will be `start` when its history is over.
    pub(super) fn new(begin: Time, start: Time, changes: watch::Sender<u64>) -> Self {
        let at = begin.floor_to(SCRAPE);
        Self {
            at,
            start,
            topics: Vec::new(),
            groups: Vec::new(),
            deployments: Vec::new(),
            hpas: Vec::new(),
            scaled_objects: Vec::new(),
            version: 1,
            changes,
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
        for topic in &mut self.topics {
            topic.rate = topic.demand.rate(t);
            topic.logs.produce(topic.rate);
        }
        for group in &mut self.groups {
            if let Some(topic) = self.topics.get(group.topic) {
                group.rate = group.group.step(topic.logs.ends()).processed / STEP;
            }
        }
        self.follow();
        if self.at.millis() % (SCRAPE * 1000.0) as i64 == 0 {
            self.scrape();
        }
    }

    /// Gives a deployment's count to what its pods are.
    pub(super) fn order(&mut self, part: Part, n: u32) {
        match part {
            Part::Group(i) => {
                if let Some(group) = self.groups.get_mut(i) {
                    group.group.scale(n);
                }
            }
            Part::Fleet(_) => {}
        }
    }

    /// Deployments follow what their pods are: counts, readiness, the controller's view of the spec.
    fn follow(&mut self) {
        let (now, mut version) = (self.at, self.version);
        for deployment in &mut self.deployments {
            let (current, ready) = match deployment.part {
                Part::Group(i) => self.groups.get(i).map_or((0, 0), |g| {
                    let ready = g.group.consumers().len();
                    (ready + g.group.starting(), ready)
                }),
                Part::Fleet(_) => (deployment.desired as usize, deployment.desired as usize),
            };
            let seen = now.since(deployment.last_writer.1) >= OBSERVED_AFTER;
            let observed = if seen { deployment.generation } else { deployment.observed_generation };
            let status = (current as u32, ready as u32, observed);
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
        for topic in &mut self.topics {
            topic.points.push_back((self.at, topic.logs.ends().to_vec()));
        }
        self.scrapes.begin();
        let scrapes = &mut self.scrapes;
        for (i, deployment) in self.deployments.iter().enumerate() {
            let labels = || {
                vec![
                    ("namespace", deployment.namespace.clone()),
                    ("deployment", deployment.name.clone()),
                    ("job", "kube-state-metrics".to_owned()),
                ]
            };
            let key = [i as u32, 0];
            scrapes.put("kube_deployment_spec_replicas", key, f64::from(deployment.desired), labels);
            scrapes.put("kube_deployment_status_replicas_ready", key, f64::from(deployment.ready), labels);
        }
    }
}
