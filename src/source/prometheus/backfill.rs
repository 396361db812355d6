//! Fills the history from range queries: hours at start, the gap after an outage, the tail when refreshes are rarer
//! than the step.

use super::{
    assemble,
    client::Client,
    decode::Answer,
    detect::{Custom, Plan, Question},
    failure::Failure,
};
use crate::model::{Label, Observation, Sample, SignalKey, Time};
use futures_util::{StreamExt, stream};
use std::collections::HashMap;

/// Points per series of one request; longer ranges are asked for in parts, so that no answer is huge.
const CHUNK: f64 = 2000.0;
/// Range queries under way at once: the client's own limit is the same.
const IN_FLIGHT: usize = 4;

/// Asks for everything that is history, from `from` to `to`. A query that fails is left out with a warning; a source
/// that is down ends it.
pub(super) async fn backfill(
    client: &Client,
    source: &Label,
    plan: &Plan,
    (from, to, step): (Time, Time, f64),
) -> Result<Vec<Observation>, Failure> {
    let mut jobs: Vec<Job<'_>> = plan.custom.iter().map(Job::Custom).collect();
    jobs.extend(plan.questions.iter().filter(|q| !q.slot.roles().is_empty()).map(Job::Pack));
    let parts = parts(from, to, step);
    let mut asks = Vec::with_capacity(jobs.len() * parts.len());
    for job in jobs {
        asks.extend(parts.iter().map(|part| ask(client, job, *part, step)));
    }
    let mut answers = stream::iter(asks).buffered(IN_FLIGHT);
    let mut out = Vec::new();
    let mut owners = Owners::default();
    while let Some((job, result)) = answers.next().await {
        let answer = match result {
            Ok(answer) => answer,
            Err(failure) if failure.kind.is_fatal() => return Err(failure),
            Err(failure) => {
                tracing::warn!("prometheus {source}: no history for {}: {failure}", job.promql());
                continue;
            }
        };
        let keys: Vec<Vec<SignalKey>> = match job {
            Job::Custom(custom) if answer.series.len() <= 1 => vec![vec![custom.key.clone()]; answer.series.len()],
            Job::Custom(_) => continue, // said as a warning by the refresh
            Job::Pack(q) => assemble::keys(source, q, &answer)
                .iter()
                .map(|entity| entity.iter().flat_map(|e| assemble::signals(e, q.slot)).collect())
                .collect(),
        };
        for (series, keys) in answer.series.iter().zip(keys) {
            let value = |v: f64| v * job.scale();
            let points = series.points.iter().filter(|(_, v)| v.is_finite());
            let samples: Vec<Sample> = points.map(|(at, v)| Sample { at: *at, value: value(*v) }).collect();
            for key in keys.into_iter().filter(|_| !samples.is_empty()) {
                if owners.may_fill(&key, job.promql()) {
                    out.push(Observation::Backfill { key, samples: samples.clone() });
                }
            }
        }
    }
    Ok(out)
}

async fn ask<'a>(
    client: &'a Client,
    job: Job<'a>,
    (from, to): (Time, Time),
    step: f64,
) -> (Job<'a>, Result<Answer, Failure>) {
    (job, client.range(job.promql(), from, to, step).await)
}

#[derive(Clone, Copy)]
enum Job<'p> {
    Pack(&'p Question),
    Custom(&'p Custom),
}

impl<'p> Job<'p> {
    fn promql(self) -> &'p str {
        match self {
            Self::Pack(q) => &q.promql,
            Self::Custom(c) => &c.promql,
        }
    }

    fn scale(self) -> f64 {
        match self {
            Self::Pack(q) => q.scale,
            Self::Custom(_) => 1.0,
        }
    }
}

/// The first query that fills a series owns it: two expressions of one role are never mixed.
#[derive(Default)]
struct Owners(HashMap<SignalKey, String>);

impl Owners {
    fn may_fill(&mut self, key: &SignalKey, promql: &str) -> bool {
        self.0.entry(key.clone()).or_insert_with(|| promql.to_owned()) == promql
    }
}

/// The range in parts of at most [`CHUNK`] points, oldest first.
fn parts(from: Time, to: Time, step: f64) -> Vec<(Time, Time)> {
    let (mut from, to) = (from.floor_to(step), to.floor_to(step));
    let mut parts = Vec::new();
    while from <= to {
        let end = from.plus(CHUNK * step).min(to);
        parts.push((from, end));
        from = end.plus(step);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_range_is_asked_for_in_parts_without_holes() {
        let at = |s: f64| Time::from_secs(s);
        assert_eq!(parts(at(7.0), at(50.0), 15.0), [(at(0.0), at(45.0))]);
        let week = parts(at(0.0), at(604_800.0), 15.0);
        assert!(week.windows(2).all(|w| w[1].0 == w[0].1.plus(15.0)));
        assert_eq!((week[0].0, week[week.len() - 1].1), (at(0.0), at(604_800.0)));
        assert!(week.iter().all(|(a, b)| b.since(*a) / 15.0 <= CHUNK));
        assert!(parts(at(50.0), at(7.0), 15.0).is_empty());
    }
}
