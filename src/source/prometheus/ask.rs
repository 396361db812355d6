//! One round of questions, and what it brought.

use super::{
    assemble::{self, Assembly},
    decode::Answer,
    detect::{Custom, Plan},
    failure::{Failure, FailureKind, Round},
    upstream::Upstream,
};
use crate::model::{Label, MlState, Observation, Sample, SignalKey};
use futures_util::{StreamExt, stream};
use std::collections::BTreeSet;

/// Queries under way at once: the client's own limit is the same.
const IN_FLIGHT: usize = 4;
/// Failed queries named in full in one refresh.
const NAMED: usize = 8;

/// What a round of questions brought.
pub(super) struct Answers {
    pub state: MlState,
    pub signals: Vec<Observation>,
    pub failed: Failed,
}

/// Queries that failed while others were answered.
#[derive(Default)]
pub(super) struct Failed {
    pub count: usize,
    pub first: Option<Label>,
}

impl Failed {
    fn add(&mut self, assembly: &mut Assembly<'_>, what: &str, failure: &Failure) {
        let said = Label::new(&format!("{what}: {failure}"));
        self.count += 1;
        if self.count <= NAMED {
            assembly.warn(said.clone());
        }
        self.first.get_or_insert(said);
    }
}

/// Asks every question of the plan, four at a time. A source that is down ends the round; one heavy query does not.
pub(super) async fn ask(upstream: &Upstream, plan: &Plan, source: &Label) -> Result<Answers, Failure> {
    let mut assembly = Assembly::new(upstream.origin(source), &plan.alone);
    let mut lacking = BTreeSet::new();
    let (mut round, mut failed, mut signals) = (Round::default(), Failed::default(), Vec::new());
    let asks: Vec<_> =
        plan.questions.iter().filter(|q| q.slot.is_live()).map(|q| upstream.instant_for(q, &q.promql)).collect();
    let mut answers = stream::iter(asks).buffered(IN_FLIGHT);
    while let Some((question, result)) = answers.next().await {
        match round.take(result)? {
            Ok(answer) => {
                lacking.extend(assemble::lacking((source, &plan.alone), question, &answer));
                assembly.add(question, &answer);
            }
            Err(failure) => failed.add(&mut assembly, &question.about(), &failure),
        }
    }
    drop(answers);
    let asks: Vec<_> = plan.custom.iter().map(|c| upstream.instant_for(c, &c.promql)).collect();
    let mut answers = stream::iter(asks).buffered(IN_FLIGHT);
    while let Some((custom, result)) = answers.next().await {
        let what = custom.about();
        let answer =
            round.take(result)?.inspect(|answer| answer.warnings.iter().for_each(|w| assembly.warn(w.clone())));
        match answer.and_then(|answer| one_series(custom, &answer)) {
            Ok(samples) if samples.is_empty() => {
                assembly.warn(Label::new(&format!("{what}: no data ({})", custom.promql)));
            }
            Ok(samples) => {
                let signal = |key: &SignalKey| Observation::Signal { key: key.clone(), samples: samples.clone() };
                signals.extend(custom.keys.iter().map(signal));
            }
            Err(failure) => failed.add(&mut assembly, &what, &failure),
        }
    }
    drop(answers);
    round.end()?;
    let told = |key: &SignalKey| signals.iter().any(|s| matches!(s, Observation::Signal { key: k, .. } if k == key));
    // What a workload's own query tells no pack has to.
    lacking.extend(plan.custom.iter().flat_map(|c| &c.keys).cloned());
    lacking.retain(|key| !told(key));
    let mut state = MlState { untold: lacking.into_iter().collect(), ..MlState::default() };
    assembly.finish(&mut state);
    Ok(Answers { state, signals, failed })
}

/// A user-defined series must be one, and whole: there is no telling how much of it a part is.
fn one_series(custom: &Custom, answer: &Answer) -> Result<Vec<Sample>, Failure> {
    match answer.series.as_slice() {
        [] => Ok(Vec::new()),
        [series] if answer.partial || series.partial => {
            Err(Failure::new(FailureKind::Execution, format!("{} is answered in part only", custom.promql), ""))
        }
        [series] => Ok(series.last().map(|(at, value)| Sample { at, value }).into_iter().collect()),
        many => Err(Failure::new(
            FailureKind::BadQuery,
            format!("{} gives {} series where one is needed", custom.promql, many.len()),
            "put sum(…) or max(…) around it",
        )),
    }
}
