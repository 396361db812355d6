//! What was on screen: pictures of the last hours, thinned, so that the operator can look at 03:12 again and see what was
//! measured and what was advised then.
//!
//! A picture's tracks are most of its weight and the newest picture has them all, so that kept pictures have none: they
//! are cut out of the newest one. Where no picture is kept only what was measured can be shown, and that is said.

use super::State;
use crate::model::{Advice, Picture, Reading, Time, WorkloadState, WorkloadView};
use std::{collections::VecDeque, sync::Arc};

/// Seconds between two kept pictures.
const EVERY: f64 = 60.0;
/// Bytes that all kept pictures weigh together, about, and how many there must be room for: fewer are no past.
const WEIGHT: usize = 32_000_000;
const FEWEST: usize = 4;
/// What a workload weighs, a partition of a topic, and one as a group reads it (measured at 2,000 groups).
const WEIGHTS: (usize, usize, usize) = (6_000, 330, 190);
/// A kept picture is shown for an instant that is at most so much later, seconds.
const NEAR: f64 = 1.5 * EVERY;

/// Pictures of the last hours, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Past {
    kept: VecDeque<Arc<Picture>>,
    weight: usize,
}

impl Past {
    /// Takes a picture in, when the last one is old enough.
    pub fn keep(&mut self, picture: &Picture) {
        if self.kept.back().is_some_and(|last| (0.0..EVERY).contains(&picture.at.since(last.at))) {
            return;
        }
        let new = weight(picture);
        if new * FEWEST > WEIGHT {
            return; // what was measured is known all the same
        }
        self.weight += new;
        self.kept.push_back(Arc::new(Picture {
            workloads: picture.workloads.iter().map(|w| Arc::new(without_tracks(w))).collect(),
            prepared: None,
            ..picture.clone()
        }));
        while self.weight > WEIGHT && self.kept.len() > 1 {
            self.weight -= self.kept.pop_front().map_or(0, |p| weight(&p));
        }
    }

    /// The instant of the oldest picture that is kept.
    pub fn oldest(&self) -> Option<Time> {
        self.kept.front().map(|p| p.at)
    }

    /// The instant of the first kept picture after `t`.
    pub fn after(&self, t: Time) -> Option<Time> {
        self.kept.iter().map(|p| p.at).find(|at| *at > t)
    }

    /// What was on screen at `t`; without a kept picture, what was measured by then.
    pub fn at(&self, t: Time, live: &Picture) -> Picture {
        let kept = self.kept.iter().rev().find(|p| p.at <= t).filter(|p| t.since(p.at) <= NEAR);
        match kept {
            Some(kept) => {
                let view = |w: &Arc<WorkloadView>| {
                    let tracks = live.workload(w.workload.name.as_str());
                    Arc::new(with_tracks(w, tracks.map(Arc::as_ref), kept.at))
                };
                Picture { workloads: kept.workloads.iter().map(view).collect(), ..(**kept).clone() }
            }
            None => self.measured(t, live),
        }
    }

    /// Only the tracks reach back that far: values are theirs, and nothing was advised that is still known.
    fn measured(&self, t: Time, live: &Picture) -> Picture {
        let oldest =
            self.oldest().map_or_else(String::new, |o| format!(", the oldest is of {} UTC", super::format::clock(o)));
        let why = format!("what was advised then is not known: no picture of then is kept{oldest}");
        let view = |w: &Arc<WorkloadView>| {
            let mut view = with_tracks(w, Some(w), t);
            for signal in &mut view.signals {
                let origin = signal.now.as_ref().map_or_else(|| "history".into(), |r| r.origin.clone());
                signal.now = signal.track.last().and_then(|(at, value)| Reading::new(value, at, origin));
            }
            view.severity = crate::model::Severity::Unknown;
            "only what was measured is known of this time".clone_into(&mut view.headline);
            view.slo = None;
            view.snoozed = None;
            view.action = None;
            view.day = None;
            view.state = Arc::new(WorkloadState { stale_after: w.state.stale_after, ..WorkloadState::unknown(t) });
            view.advice = Arc::new(Advice { forecast: None, capacity: None, recommendation: Err(why.clone()) });
            Arc::new(view)
        };
        Picture {
            at: t,
            workloads: live.workloads.iter().map(view).collect(),
            sources: Vec::new(), // how they are now is not how they were
            clusters: Vec::new(),
            ml: Vec::new(),
            kube: None,
            actions: Arc::new(live.actions.iter().filter(|a| a.updated <= t).cloned().collect()),
            notices: Vec::new(),
            prepared: None,
            ..live.clone()
        }
    }
}

/// Why a frozen screen has nothing of the sources; `None`: what they told is kept.
pub fn not_kept(picture: &Picture, state: &State) -> Option<&'static str> {
    let gone = state.frozen.is_some() && picture.sources.is_empty();
    gone.then_some("what the sources told then is not kept: only what was measured of workloads is known")
}

fn weight(picture: &Picture) -> usize {
    let topics = picture.clusters.iter().flat_map(|c| &c.topics).map(|t| t.partitions.len()).sum::<usize>();
    let groups = picture.clusters.iter().flat_map(|c| &c.groups).map(|g| g.partitions.len()).sum::<usize>();
    picture.workloads.len() * WEIGHTS.0 + topics * WEIGHTS.1 + groups * WEIGHTS.2
}

fn without_tracks(view: &WorkloadView) -> WorkloadView {
    let mut view = view.clone();
    for signal in &mut view.signals {
        signal.track = Arc::default();
    }
    view
}

/// The view with the tracks of `source` up to an instant.
fn with_tracks(view: &WorkloadView, source: Option<&WorkloadView>, until: Time) -> WorkloadView {
    let mut view = view.clone();
    for signal in &mut view.signals {
        let track = source.and_then(|s| s.signal(signal.role)).map(|s| s.track.until(until));
        signal.track = Arc::new(track.unwrap_or_default());
    }
    view
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Mode, Role},
        tui::fixture,
    };

    #[test]
    fn what_was_advised_then_is_shown_with_what_was_measured_by_then() {
        let mut past = Past::default();
        let first = fixture::picture(Mode::Operate);
        past.keep(&first);
        let mut live = fixture::later(&first, 600.0);
        Arc::make_mut(&mut live.workloads[0]).headline = "another".into();
        past.keep(&live);
        let then = past.at(first.at.plus(45.0), &live);
        assert_eq!((then.at, &then.workloads[0].headline), (first.at, &first.workloads[0].headline));
        let track = then.workloads[0].signal(Role::Demand).unwrap().track.grid();
        assert!(track.end() <= first.at.plus(track.step) && track.last().is_some(), "{:?}", track.end());
        assert_eq!(past.at(live.at, &live).workloads[0].headline, "another");
    }

    #[test]
    fn where_no_picture_is_kept_only_what_was_measured_is_told() {
        let mut past = Past::default();
        let live = fixture::picture(Mode::Operate);
        past.keep(&live);
        let then = past.at(live.at.plus(-3_600.0), &live);
        let view = &then.workloads[0];
        let demand = view.signal(Role::Demand).and_then(|s| s.now.as_ref()).unwrap();
        assert!(demand.at <= then.at && demand.value < 12_400.0, "{demand:?}");
        let why = view.advice.recommendation.as_ref().unwrap_err();
        assert!(why.ends_with("no picture of then is kept, the oldest is of 14:07 UTC"), "{why}");
    }

    #[test]
    fn memory_is_bounded() {
        let mut past = Past::default();
        let mut picture = fixture::crowd(500);
        for _ in 0..40 {
            past.keep(&picture);
            past.keep(&picture);
            picture.at = picture.at.plus(60.0);
        }
        let kept = past.kept.len();
        assert!((FEWEST..30).contains(&kept) && past.kept.iter().map(|p| weight(p)).sum::<usize>() <= WEIGHT, "{kept}");
        assert!(past.kept.iter().all(|p| p.workloads[0].signals[0].track.is_empty()));
        let mut past = Past::default();
        past.keep(&fixture::platform(2_000, 40_000));
        assert!(past.kept.is_empty(), "so large a picture is not kept at all");
    }
}
