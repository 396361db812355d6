//! The course of each training run: how its loss fell with its steps, how fast it goes, whether it still moves. Pure.
//!
//! Rules: `run-stalled`, `run-ended`, `run-loss`.

use crate::{
    forecast::loss_curve,
    model::{
        Alert, Grid, Holdback, Label, LossFit, MlState, Quality, Reading, Severity, Subject, Time, Training, duration,
        si,
    },
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Points of a curve that are kept, one for each [`Run::spacing`] seconds; when there are more the spacing doubles, so a
/// curve reaches back to where the run was first seen.
const POINTS: usize = 240;
/// Seconds between the points of a young curve.
const FINEST: f64 = 15.0;
/// The newest changes of the step, by which the usual time between two is told.
const CHANGES: usize = 32;
/// Seconds over which the pace is taken.
const PACE: f64 = 900.0;
/// A run stands when its step did not change for so many times the usual time (and not for twice as long as it ever did
/// not: evaluations and checkpoints take their time), and for so many seconds.
const STANDS: (f64, f64) = (8.0, 120.0);
/// So many times that, and somebody has to act.
const LONG: f64 = 5.0;
/// Seconds after which a run that is gone counts as ended: one failed query is no end.
const GONE: f64 = 120.0;
/// Seconds for which a run that ended before its time is shown.
const SHOWN: f64 = 3_600.0;
/// The share of its steps from which on a run that is gone was done: its last steps fall between two scrapes.
const DONE: f64 = 0.98;

/// What is remembered of every run, by source and name.
#[derive(Default)]
pub(super) struct Runs(BTreeMap<(Label, Label), Run>);

/// One point of a curve: when, the step, the loss.
type Point = (Time, f64, f64);

#[derive(Default)]
struct Run {
    points: Vec<Point>,
    spacing: f64,
    /// When the step was seen to change, the newest last; the first sighting is none.
    changes: VecDeque<Time>,
    /// The newest step and when it was seen.
    newest: Option<(Time, f64)>,
    /// How it was last told.
    told: Option<Training>,
    fit: Option<Result<LossFit, Label>>,
    curve: Arc<Grid>,
}

impl Runs {
    /// Takes in what was just seen of a source's runs, and writes into each what its course says. Runs that ended before
    /// their time stay for an hour, as they were last seen.
    pub(super) fn look(&mut self, ml: &mut MlState) {
        let (source, now) = (ml.source.clone(), ml.at);
        for training in &mut ml.trainings {
            let run = self.0.entry((source.clone(), training.name.clone())).or_default();
            if let Some(step) = &training.step {
                run.see(step.at, step.value, training.loss.as_ref().map(|l| l.value));
            }
            run.tell(training, now);
            run.told = Some(training.clone());
        }
        let there: Vec<Label> = ml.trainings.iter().map(|t| t.name.clone()).collect();
        self.0.retain(|(of, name), run| *of != source || there.contains(name) || run.is_worth_keeping(now));
        let gone = self.0.iter().filter(|((of, name), _)| *of == source && !there.contains(name));
        ml.trainings.extend(gone.filter_map(|(_, run)| run.ended(now)));
    }

    /// Takes in what a run did before it was first looked at: instants with its step and, where it was known, its loss.
    pub(super) fn past(&mut self, source: &Label, name: &Label, seen: &[(Time, f64, Option<f64>)]) {
        let run = self.0.entry((source.clone(), name.clone())).or_default();
        let newer = run.points.iter().map(|(at, step, loss)| (*at, *step, Some(*loss)));
        let mut all: Vec<_> = seen.iter().copied().chain(newer).collect();
        all.sort_by_key(|(at, ..)| *at);
        let told = run.told.take();
        *run = Run { told, ..Run::default() };
        for (at, step, loss) in all {
            run.see(at, step, loss);
        }
    }
}

impl Run {
    fn see(&mut self, at: Time, step: f64, loss: Option<f64>) {
        match self.newest {
            Some((before, _)) if at <= before => return, // the same sample again
            Some((_, old)) if step < old => {
                // Begun again, from a checkpoint or from the start: what came after that step is done anew.
                self.points.retain(|(_, s, _)| *s < step);
                self.changes.clear();
                self.fit = None;
            }
            Some((_, old)) if step > old => {
                self.changes.push_back(at);
                if self.changes.len() > CHANGES {
                    self.changes.pop_front();
                }
            }
            _ => {}
        }
        self.newest = Some((at, step));
        if let Some(loss) = loss {
            self.keep((at, step, loss));
        }
    }

    /// Adds a point to the curve, unless its place is taken.
    fn keep(&mut self, point: Point) {
        self.spacing = self.spacing.max(FINEST);
        let place = |at: Time, spacing: f64| at.floor_to(spacing);
        if self.points.last().is_some_and(|last| place(last.0, self.spacing) >= place(point.0, self.spacing)) {
            return;
        }
        self.points.push(point);
        while self.points.len() > POINTS {
            self.spacing *= 2.0;
            let spacing = self.spacing;
            self.points.dedup_by_key(|p| place(p.0, spacing));
        }
        self.fit = None; // made anew when it is asked for
    }

    /// Seconds for which the step stood still at `now`, and for how long it usually does; `None`: not known.
    fn still(&self, now: Time) -> Option<(f64, f64, f64)> {
        let mut usual: Vec<f64> =
            self.changes.iter().zip(self.changes.iter().skip(1)).map(|(a, b)| b.since(*a)).collect();
        usual.sort_by(f64::total_cmp);
        let (median, longest) = (*usual.get(usual.len() / 2)?, *usual.last()?);
        let limit = (STANDS.0 * median).max(2.0 * longest).max(STANDS.1);
        (usual.len() >= 3).then(|| (now.since(*self.changes.back().unwrap_or(&now)), median, limit))
    }

    /// Steps per second over the last quarter of an hour, with the seconds it was taken over.
    fn pace(&self, now: Time) -> Option<(f64, f64)> {
        let (at, step) = self.newest?;
        let from = self.points.iter().find(|(t, ..)| now.since(*t) <= PACE)?;
        let seconds = at.since(from.0);
        (seconds >= 2.0 * FINEST && step > from.1).then(|| ((step - from.1) / seconds, seconds))
    }

    /// Writes what the course says into a run as it was just read.
    fn tell(&mut self, t: &mut Training, now: Time) {
        let done = t.step.as_ref().zip(t.total_steps.as_ref()).is_some_and(|(s, all)| s.value >= all.value);
        // Of a step that was not told in this look nobody knows whether it stands.
        let still = self.still(now).filter(|(seconds, _, limit)| t.step.is_some() && !done && seconds > limit);
        let pace = self.pace(now).filter(|_| still.is_none() && !done);
        t.course.pace = pace.and_then(|(pace, seconds)| {
            let origin = format!("its steps over {}", duration(seconds));
            Some(Reading::new(pace, now, origin)?.with_quality(Quality::Estimated))
        });
        if let (None, Some((pace, _)), Some(step), Some(all)) = (&t.eta, pace, &t.step, &t.total_steps) {
            let eta = Reading::new((all.value - step.value) / pace, now, "the steps left, at the pace of late");
            t.eta = eta.map(|r| r.with_quality(Quality::Estimated));
        }
        if still.is_some() {
            t.eta = None; // at no pace there is no end
        }
        if self.fit.is_none() && !self.points.is_empty() {
            let points: Vec<(f64, f64)> = self.points.iter().map(|(_, step, loss)| (*step, *loss)).collect();
            self.fit = Some(loss_curve(&points).map_err(|why| Label::new(&why)));
            self.curve = Arc::new(self.grid());
        }
        t.course.fit.clone_from(&self.fit);
        t.course.curve = self.curve.clone();
        let stalled = still.map(|(seconds, usual, limit)| stalled(t, seconds, usual, limit, now));
        t.course.alerts = stalled.into_iter().chain(self.no_loss(t, now)).collect();
    }

    /// The loss is no longer there, or no number, while the steps go on.
    fn no_loss(&self, t: &Training, now: Time) -> Option<Alert> {
        let (at, step, loss) = *self.points.last()?;
        let since = now.since(at);
        let goes_on = self.newest.is_some_and(|(_, newest)| newest > step);
        (t.loss.is_none() && goes_on && since > STANDS.1).then(|| Alert {
            rule: "run-loss",
            severity: Severity::Act,
            subject: Subject::Run(t.name.clone()),
            sentence: Label::new(&format!(
                "its loss has been missing or no number for {}; at step {} it was {}",
                duration(since),
                si(step),
                si(loss)
            )),
            mend: "if it is NaN it does not come back: stop the run and begin again from a checkpoint before that step; if its \
                   series is gone, look at what exports it"
                .into(),
            since: at,
            evidence: "the step goes on, the loss has no finite sample".into(),
            holds: Holdback::Nothing,
        })
    }

    /// The loss over time, a value for each [`Run::spacing`].
    fn grid(&self) -> Grid {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else { return Grid::default() };
        let start = first.0.floor_to(self.spacing);
        let place = |at: Time| (at.since(start) / self.spacing) as usize;
        let mut values = vec![None; place(last.0) + 1];
        for (at, _, loss) in &self.points {
            if let Some(value) = values.get_mut(place(*at)) {
                *value = Some(*loss);
            }
        }
        Grid { start, step: self.spacing, values }
    }

    /// Whether a run that is no longer there may still be told of.
    fn is_worth_keeping(&self, now: Time) -> bool {
        self.newest.is_some_and(|(at, _)| now.since(at) < SHOWN)
    }

    /// A run whose series ended before its steps did.
    fn ended(&self, now: Time) -> Option<Training> {
        let (at, step) = self.newest?;
        let mut t = self.told.clone()?;
        let all = t.total_steps.as_ref()?.value;
        let gone = now.since(at);
        if gone < GONE || step >= DONE * all {
            return None;
        }
        (t.eta, t.course.pace) = (None, None);
        t.course.alerts = vec![Alert {
            rule: "run-ended",
            severity: Severity::Look,
            subject: Subject::Run(t.name.clone()),
            sentence: Label::new(&format!(
                "its series ended {} ago at step {} of {}",
                duration(gone),
                si(step),
                si(all)
            )),
            mend: "look at the job: it was stopped, was preempted or died; it goes on from its last checkpoint when it is begun again".into(),
            since: at,
            evidence: "no sample of its step since".into(),
            holds: Holdback::Nothing,
        }];
        Some(t)
    }
}

fn stalled(t: &Training, seconds: f64, usual: f64, limit: f64, now: Time) -> Alert {
    let at = t.step.as_ref().map_or_else(String::new, |s| format!(" at step {}", si(s.value)));
    Alert {
        rule: "run-stalled",
        severity: if seconds > LONG * limit { Severity::Act } else { Severity::Look },
        subject: Subject::Run(t.name.clone()),
        sentence: Label::new(&format!(
            "it stands{at}: no step for {}, usually one is seen every {}",
            duration(seconds),
            duration(usual)
        )),
        mend: "look at its ranks: one dead or waiting for data holds up all of them, and their GPUs with them".into(),
        since: now.plus(-seconds),
        evidence: Label::new(&format!("its newest changes of step; up to {} would be nothing new", duration(limit))),
        holds: Holdback::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Course;

    const START: Time = Time::from_millis(1_800_000_000_000);

    fn loss(step: f64) -> f64 {
        1.6 + 9.0 * (1.0 + step).powf(-0.4)
    }

    /// One look at the run `r` of 20,000 steps, so many seconds after the start.
    fn look(runs: &mut Runs, seconds: f64, step: Option<f64>, loss: Option<f64>) -> Option<Training> {
        let at = START.plus(seconds);
        let read = |v: f64| Reading::new(v, at, "test");
        let training = |step: f64| Training {
            name: "r".into(),
            step: read(step),
            total_steps: read(20_000.0),
            loss: loss.and_then(read),
            token_rate: None,
            eta: None,
            course: Course::default(),
        };
        let trainings = step.map(training).into_iter().collect();
        let mut ml = MlState { source: "main".into(), at, trainings, ..MlState::default() };
        runs.look(&mut ml);
        ml.trainings.into_iter().next()
    }

    /// A run at two steps a second, seen every five seconds from `from` to `to`.
    fn run(runs: &mut Runs, from: u32, to: u32) -> Training {
        let seen = (from..to).step_by(5).map(|s| {
            let step = 2.0 * f64::from(s);
            look(runs, f64::from(s), Some(step), Some(loss(step))).unwrap()
        });
        seen.last().unwrap()
    }

    #[test]
    fn a_run_has_a_pace_an_end_and_a_fitted_loss_and_is_kept_small() {
        let mut runs = Runs::default();
        let early = run(&mut runs, 5, 60);
        assert!(early.course.fit.unwrap().unwrap_err().as_str().contains("not enough history"));
        let t = run(&mut runs, 60, 7_200);
        assert!((t.course.pace.as_ref().unwrap().value - 2.0).abs() < 1e-6);
        let left = (20_000.0 - 2.0 * 7_195.0) / 2.0;
        assert!((t.eta.as_ref().unwrap().value - left).abs() < 1.0, "{:?}", t.eta);
        let fit = t.course.fit.unwrap().unwrap();
        assert!((fit.at(20_000.0) - loss(20_000.0)).abs() < 0.02, "{fit:?}");
        let kept = &runs.0.values().next().unwrap().points;
        assert!(kept.len() <= POINTS && kept.len() > POINTS / 4, "{}", kept.len());
        assert!(t.course.curve.values.iter().all(Option::is_some), "no holes by thinning out");
        assert!(t.course.alerts.is_empty());
    }

    #[test]
    fn a_run_that_stands_is_told_and_one_that_is_done_is_not() {
        let mut runs = Runs::default();
        run(&mut runs, 0, 600);
        let quiet = look(&mut runs, 700.0, Some(1_190.0), Some(2.0)).unwrap();
        assert!(quiet.course.alerts.is_empty(), "a checkpoint takes its time");
        let stands = look(&mut runs, 800.0, Some(1_190.0), Some(2.0)).unwrap();
        let alert = &stands.course.alerts[0];
        assert_eq!((alert.rule, alert.severity), ("run-stalled", Severity::Look));
        assert!(
            alert.sentence.as_str().contains("no step for 3 min, usually one is seen every 5 s"),
            "{}",
            alert.sentence
        );
        assert_eq!((&stands.eta, &stands.course.pace), (&None, &None), "at no pace there is no end");
        let long = look(&mut runs, 3_000.0, Some(1_190.0), Some(2.0)).unwrap();
        assert_eq!(long.course.alerts[0].severity, Severity::Act);
        let done = look(&mut runs, 3_600.0, Some(20_000.0), Some(1.7)).unwrap();
        assert!(done.course.alerts.is_empty());
        assert!(look(&mut runs, 9_000.0, Some(20_000.0), Some(1.7)).unwrap().course.alerts.is_empty());
    }

    #[test]
    fn a_step_that_is_not_told_is_no_step_that_stands() {
        let mut runs = Runs::default();
        let mut silent = run(&mut runs, 0, 600);
        (silent.step, silent.course) = (None, Course::default());
        let at = START.plus(3_000.0);
        let mut ml = MlState { source: "main".into(), at, trainings: vec![silent], ..MlState::default() };
        runs.look(&mut ml);
        assert!(ml.trainings[0].course.alerts.is_empty(), "its query failed: {:?}", ml.trainings[0].course.alerts);
    }

    #[test]
    fn a_run_that_ends_before_its_time_stays_for_an_hour() {
        let mut runs = Runs::default();
        run(&mut runs, 0, 600);
        assert!(look(&mut runs, 660.0, None, None).is_none(), "one failed query is no end");
        let gone = look(&mut runs, 1_195.0, None, None).unwrap();
        let words = gone.course.alerts[0].sentence.as_str();
        assert_eq!(words, "its series ended 10 min ago at step 1.19k of 20k");
        assert!(look(&mut runs, 4_500.0, None, None).is_none());
        run(&mut runs, 9_000, 9_900); // step 19.8k: between two scrapes it was done
        assert!(look(&mut runs, 10_500.0, None, None).is_none());
    }

    #[test]
    fn a_loss_that_is_no_number_any_more_is_told() {
        let mut runs = Runs::default();
        run(&mut runs, 0, 600);
        let mut last = None;
        for s in (600..900).step_by(5) {
            last = look(&mut runs, f64::from(s), Some(2.0 * f64::from(s)), None);
        }
        let alerts = last.unwrap().course.alerts;
        assert_eq!((alerts[0].rule, alerts[0].severity), ("run-loss", Severity::Act), "{alerts:?}");
    }

    #[test]
    fn what_came_before_makes_a_whole_curve_and_a_restart_takes_back_what_is_done_anew() {
        let mut runs = Runs::default();
        let now = look(&mut runs, 7_200.0, Some(14_400.0), Some(loss(14_400.0))).unwrap();
        assert!(now.course.fit.unwrap().is_err());
        let past: Vec<_> =
            (1..480_u32).map(|i| f64::from(i) * 15.0).map(|s| (START.plus(s), 2.0 * s, Some(loss(2.0 * s)))).collect();
        runs.past(&"main".into(), &"r".into(), &past);
        let whole = look(&mut runs, 7_205.0, Some(14_410.0), Some(loss(14_410.0))).unwrap();
        assert!(whole.course.fit.unwrap().is_ok());
        assert!(whole.course.pace.is_some());
        let again = look(&mut runs, 7_210.0, Some(10_000.0), Some(loss(10_000.0))).unwrap();
        let newest = runs.0.values().next().unwrap().points.iter().map(|p| p.1).fold(0.0, f64::max);
        assert!((newest - 10_000.0).abs() < 1e-9, "{newest}: {:?}", again.course.fit);
    }
}
