//! Fills the history from range queries: hours at start, the gap after an outage, the tail when refreshes are rarer
//! than the step.

use super::{
    assemble,
    client::Client,
    decode::Answer,
    detect::{Custom, Plan, Question},
    failure::{Failure, Round},
    pace::{WIDEST, Widths},
    slots::Slot,
};
use crate::model::{Label, Observation, Sample, SignalKey, Time};
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, HashMap};

/// Points per series of one request; longer ranges are asked for in parts, so that no answer is huge.
const CHUNK: f64 = 2000.0;
/// Range queries under way at once: the client's own limit is the same.
const IN_FLIGHT: usize = 4;

/// The field that a run's steps fill.
const STEP: &str = "training.step";

/// From, to, and the step in seconds.
pub(super) type Span = (Time, Time, f64);

/// What a span of history brought.
#[derive(Default)]
pub(super) struct Filled {
    pub observations: Vec<Observation>,
    /// Whether a query was refused its amount and asked for less.
    pub widened: bool,
    /// Why the span is to be asked for again: a query took too long.
    pub lacking: Option<Failure>,
    /// A query was answered in part.
    pub in_part: bool,
}

/// Asks for everything that is history. A query that is refused its amount is asked in wider steps and over shorter
/// spans, which `widths` keeps, and one that takes too long will be; one that fails is left out with a warning; a source
/// that is down ends it.
pub(super) async fn backfill(
    client: &Client,
    source: &Label,
    plan: &Plan,
    span: Span,
    widths: &mut Widths,
) -> Result<Filled, Failure> {
    let mut jobs: Vec<Job<'_>> = plan.custom.iter().map(Job::Custom).collect();
    let is_past = |q: &&Question| !q.slot.roles().is_empty() || matches!(q.slot, Slot::Training(_, true));
    jobs.extend(plan.questions.iter().filter(is_past).map(Job::Pack));
    let asks: Vec<_> = jobs.into_iter().map(|job| ask(client, job, span, widths.of(job.promql()))).collect();
    let mut asked = stream::iter(asks).buffered(IN_FLIGHT);
    let (mut filled, mut round) = (Filled::default(), Round::default());
    // A workload's own series are nobody else's to fill, whether they answer now or not.
    let owned = plan.custom.iter().flat_map(|c| c.keys.iter().map(|key| (key.clone(), c.promql.clone())));
    let (mut owners, mut runs) = (Owners(owned.collect()), Runs::default());
    while let Some(Asked { job, width, refused, result }) = asked.next().await {
        if let Some(failure) = refused {
            tracing::warn!("prometheus {source}: asked in steps {width} times as wide: {}: {failure}", job.promql());
            widths.widen(job.promql(), width, &failure.reason);
            filled.widened = true;
        }
        match round.take(result)? {
            Ok(answers) => {
                filled.in_part |= answers.iter().any(|answer| answer.partial);
                // What a part says of the past is never learned from: it looks like less load.
                for answer in answers.iter().filter(|answer| !answer.partial) {
                    if let Job::Pack(question) = job
                        && matches!(question.slot, Slot::Training(..))
                    {
                        runs.add(question, answer);
                    }
                    keep((source, plan), job, answer, &mut owners, &mut filled.observations);
                }
            }
            Err(failure) if failure.kind.is_fatal() && width < WIDEST => {
                tracing::warn!("prometheus {source}: asked in wider steps the next time: {}: {failure}", job.promql());
                widths.widen(job.promql(), width * 2, &failure.reason);
                (filled.widened, filled.lacking) = (true, Some(failure));
            }
            Err(failure) => tracing::warn!("prometheus {source}: no history for {}: {failure}", job.promql()),
        }
    }
    round.end()?;
    filled.observations.extend(runs.observations(source));
    Ok(filled)
}

/// Older values of training runs: the step and the loss come in answers of their own, at the same instants.
#[derive(Default)]
struct Runs(BTreeMap<Label, Points>);

/// The step and the loss at each instant.
type Points = BTreeMap<Time, (Option<f64>, Option<f64>)>;

impl Runs {
    fn add(&mut self, question: &Question, answer: &Answer) {
        let is_step = question.pack.concepts.get(&question.concept).is_some_and(|c| c.into.as_deref() == Some(STEP));
        for (series, run) in answer.series.iter().zip(assemble::runs(question, answer)) {
            let points = self.0.entry(run).or_default();
            for (at, value) in series.points.iter().filter(|(_, v)| v.is_finite()) {
                let (step, loss) = points.entry(*at).or_default();
                *(if is_step { step } else { loss }) = Some(value * question.scale);
            }
        }
    }

    fn observations(self, source: &Label) -> impl Iterator<Item = Observation> {
        self.0.into_iter().map(|(run, points)| Observation::Run {
            source: source.clone(),
            run,
            points: points.into_iter().filter_map(|(at, (step, loss))| Some((at, step?, loss))).collect(),
        })
    }
}

/// A query's history, in as many answers as it took.
struct Asked<'p> {
    job: Job<'p>,
    /// Factor of the step that it came in, and why it is wider than it was.
    width: u32,
    refused: Option<Failure>,
    result: Result<Vec<Answer>, Failure>,
}

async fn ask<'p>(client: &Client, job: Job<'p>, span: Span, mut width: u32) -> Asked<'p> {
    let mut refused = None;
    loop {
        match whole(client, job.promql(), span, f64::from(width)).await {
            Err(failure) if failure.is_limit() && width < WIDEST => {
                width *= 2;
                refused = Some(failure);
            }
            result => return Asked { job, width, refused, result },
        }
    }
}

/// The whole span in steps `width` times as wide. Some limits count points, others the samples that a request's span
/// holds: each request covers that much less.
async fn whole(client: &Client, promql: &str, (from, to, step): Span, width: f64) -> Result<Vec<Answer>, Failure> {
    let longest = (CHUNK * step).min(to.since(from) / width);
    let mut answers = Vec::new();
    for (from, to) in parts(from, to, step * width, longest) {
        answers.push(client.range(promql, from, to, step * width).await?);
    }
    Ok(answers)
}

/// Makes observations of an answer.
fn keep(
    (source, plan): (&Label, &Plan),
    job: Job<'_>,
    answer: &Answer,
    owners: &mut Owners,
    out: &mut Vec<Observation>,
) {
    let keys: Vec<Vec<SignalKey>> = match job {
        Job::Custom(custom) if answer.series.len() <= 1 => vec![custom.keys.clone(); answer.series.len()],
        Job::Custom(_) => return, // said as a warning by the refresh
        Job::Pack(q) if assemble::is_torn(q, answer) => return,
        Job::Pack(q) => assemble::keys((source, &plan.alone), q, &answer.series)
            .iter()
            .map(|entity| entity.iter().flat_map(|e| assemble::signals(e, q.slot)).collect())
            .collect(),
    };
    for (series, keys) in answer.series.iter().zip(keys) {
        let points = series.points.iter().filter(|(_, v)| v.is_finite());
        let samples: Vec<Sample> = points.map(|(at, v)| Sample { at: *at, value: v * job.scale() }).collect();
        for key in keys.into_iter().filter(|_| !samples.is_empty()) {
            if owners.may_fill(&key, job.promql()) {
                out.push(Observation::Backfill { key, samples: samples.clone() });
            }
        }
    }
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
struct Owners(HashMap<SignalKey, String>);

impl Owners {
    fn may_fill(&mut self, key: &SignalKey, promql: &str) -> bool {
        self.0.entry(key.clone()).or_insert_with(|| promql.to_owned()) == promql
    }
}

/// The range in parts of at most `longest` seconds (but a step at least), oldest first.
fn parts(from: Time, to: Time, step: f64, longest: f64) -> Vec<(Time, Time)> {
    let longest = (longest / step).floor().max(1.0) * step;
    let (mut from, to) = (from.floor_to(step), to.floor_to(step));
    let mut parts = Vec::new();
    while from <= to {
        let end = from.plus(longest).min(to);
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
        assert_eq!(parts(at(7.0), at(50.0), 15.0, 30_000.0), [(at(0.0), at(45.0))]);
        let week = parts(at(0.0), at(604_800.0), 15.0, 30_000.0);
        assert!(week.windows(2).all(|w| w[1].0 == w[0].1.plus(15.0)));
        assert_eq!((week[0].0, week[week.len() - 1].1), (at(0.0), at(604_800.0)));
        assert!(week.iter().all(|(a, b)| b.since(*a) <= 30_000.0));
        assert_eq!(parts(at(0.0), at(50.0), 30.0, 7.0), [(at(0.0), at(30.0))], "a step at least");
        assert!(parts(at(50.0), at(7.0), 15.0, 30_000.0).is_empty());
    }
}
