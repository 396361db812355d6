//! The week before the world's own history: the demand that a dashboard would remember that had run all the time.
//!
//! A day's shape takes days to be seen, and a world that lived through a week would take seconds to start. So this part
//! of the past comes from the same demand, minute by minute, without anybody having worked on it.

use super::{build::HISTORY, state::State};
use crate::model::Sample;

/// Seconds of the past, and between its samples.
const BACK: f64 = 7.0 * 86_400.0;
const STEP: f64 = 60.0;

/// Demand of the week before: of consumer groups by id, records per second, and of services by model, requests per
/// second.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Consumer groups.
    pub groups: Vec<(&'static str, Vec<Sample>)>,
    /// Inference services.
    pub services: Vec<(&'static str, Vec<Sample>)>,
}

impl State {
    /// The week before this world's history.
    pub fn past(&self) -> Past {
        let of = |topic: usize, per_record: f64| -> Vec<Sample> {
            let Some(mut demand) = self.topics.get(topic).map(|t| t.demand.clone()) else { return Vec::new() };
            let minutes = ((BACK - HISTORY) / STEP) as u32;
            let sample = |i: u32| {
                let t = f64::from(i) * STEP - BACK;
                Sample { at: self.start.plus(t), value: demand.rate(t) * per_record }
            };
            (0..minutes).map(sample).collect()
        };
        let of_service = |s: &super::state::Service| {
            let topic = self.groups.get(s.caller).map_or(usize::MAX, |g| g.topic);
            (s.model, of(topic, s.per_record))
        };
        Past {
            groups: self.groups.iter().map(|g| (g.id, of(g.topic, 1.0))).collect(),
            services: self.services.iter().map(of_service).collect(),
        }
    }
}
