//! The scenarios: what each world is made of. What happens in them follows from the parts.

use super::{
    objects::{Deployment, Part},
    state::{GroupState, State, TopicState},
};
use crate::{
    model::Time,
    simulate::{
        Random,
        demand::{Demand, DemandSettings, Surge},
        group::{Group, GroupSettings},
        topic::Topic,
    },
};
use std::collections::{BTreeMap, VecDeque};
use tokio::sync::watch;

/// Seconds of history before the show begins.
const HISTORY: f64 = 8.0 * 3600.0;

/// Builds a scenario and lives through its history. The error names the scenarios that there are.
pub(super) fn build(name: &str, seed: u64, start: Time, changes: watch::Sender<u64>) -> Result<State, String> {
    let mut builder = Builder { state: State::new(start.plus(-HISTORY), start, changes), random: Random::new(seed) };
    if name == "fraud" {
        builder.fraud();
    } else {
        let names: Vec<&str> = super::SCENARIOS.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no scenario {name:?}: choose one of {}", names.join(", ")));
    }
    let mut state = builder.state;
    state.advance_to(start);
    Ok(state)
}

/// Puts parts together; every part gets a seed of its own from the order in which parts are added.
struct Builder {
    state: State,
    random: Random,
}

impl Builder {
    fn fraud(&mut self) {
        let nightly = Surge { start: -240.0, ramp: 900.0, hold: 2400.0, factor: 2.1, every: 0.0 };
        let demand = DemandSettings {
            mean: 3600.0,
            daily: 0.25,
            peak: 5400.0,
            surges: vec![nightly],
            noise: 0.04,
            ..DemandSettings::default()
        };
        let transactions = self.topic("transactions", 24, 0.12, demand, 900.0);
        self.consumers("fraud-scorer", transactions, GroupSettings::default(), 6, ("payments", "fraud-scorer"));
    }

    fn topic(&mut self, name: &'static str, partitions: usize, skew: f64, d: DemandSettings, record: f64) -> usize {
        let past = d.mean * 30.0 * 86_400.0;
        self.state.topics.push(TopicState {
            name,
            logs: Topic::new(partitions, skew, self.random.bits()).with_past(past),
            demand: Demand::new(d, self.random.bits()),
            record,
            rate: 0.0,
            retention: 24.0 * 3600.0,
            points: VecDeque::new(),
        });
        self.state.topics.len() - 1
    }

    fn consumers(
        &mut self,
        id: &'static str,
        topic: usize,
        settings: GroupSettings,
        count: u32,
        (namespace, name): (&str, &str),
    ) {
        let Some(logs) = self.state.topics.get(topic).map(|t| &t.logs) else { return };
        let group = Group::new(settings, logs, count, self.random.bits());
        self.state.groups.push(GroupState { id, topic, group, rate: 0.0 });
        self.deployment(namespace, name, count, Part::Group(self.state.groups.len() - 1));
    }

    fn deployment(&mut self, namespace: &str, name: &str, count: u32, part: Part) {
        let created = self.state.now().plus(-20.0 * 86_400.0);
        self.state.version += 1;
        let deployment = Deployment {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: self.uid(),
            generation: 3,
            observed_generation: 3,
            resource_version: self.state.version,
            created,
            desired: count,
            current: count,
            ready: count,
            labels: BTreeMap::from([("app.kubernetes.io/name".to_owned(), name.to_owned())]),
            last_writer: ("kubectl".to_owned(), self.state.start.plus(-3.0 * 86_400.0)),
            part,
        };
        self.state.deployments.push(deployment);
    }

    /// A random (version 4) UUID.
    fn uid(&mut self) -> String {
        let (a, b) = (self.random.bits(), self.random.bits());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            0x8000 | ((b >> 48) & 0x3fff),
            b & 0xffff_ffff_ffff
        )
    }
}
