//! What is kept of one workload between two pieces of advice, beside its history; and between two runs of the program.

use crate::{
    capacity::Watch,
    forecast::profile::{LEAST, Profile},
    history::History,
    model::{Capacity, Entity, Label, Replicas, Role, SignalKey, Time, WorkloadState, duration},
};
use serde::{Deserialize, Serialize};

/// Seconds for which the day's shape is used again, and the history that it is worked out from.
const LIFE: f64 = 3_600.0;
const BACK: f64 = 7.0 * 86_400.0;
const MINUTE: f64 = 60.0;

/// Seconds after which what an earlier run learned is not believed any more: systems change by the week.
const FORGOTTEN: f64 = 7.0 * 86_400.0;
/// Observations of this run that outweigh what was learned before, when that is new; half as many with each day of age,
/// and never fewer than the second number.
const OUTWEIGHED: (f64, f64) = (20.0, 3.0);
const HALVED: f64 = 86_400.0;
/// How assumptions begin that stand for something that was never seen (`capacity`), and the one that is put here.
const NO_START_UP: &str = "no start-up seen";
const NO_REBALANCE: &str = "fewer than 3 rebalances seen";
const RATE_UNKNOWN: [&str; 3] = ["no member was seen", "no saturated span seen", "no objective was seen"];
const LEARNED: &str = "learned ";

/// What a run learned of a workload, for the next one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// When it was last confirmed by what was seen.
    pub at: Time,
    /// Whose it is: the target, its uid and its images. With another one of them it says nothing.
    pub whose: Vec<Label>,
    /// What a replica can do, how long it takes to start, what a change stops.
    pub capacity: Capacity,
}

/// Longest span, in minutes, whose mean a sample of the days before stands for: those that come from brokers' time index
/// are means over five or fifteen minutes.
const COARSE: usize = 15;

/// Draws a line between samples that are minutes apart, where most minutes have none. (Where most have one, a minute
/// without is a gap and stays one.)
fn spread(minutes: &mut [Option<f64>]) {
    let known: Vec<(usize, f64)> = minutes.iter().enumerate().filter_map(|(i, v)| Some((i, (*v)?))).collect();
    let (Some(first), Some(last)) = (known.first(), known.last()) else { return };
    if 2 * known.len() > last.0 - first.0 {
        return;
    }
    for pair in known.windows(2) {
        let ((from, a), (to, b)) = (pair[0], pair[1]);
        if to - from <= COARSE {
            for (i, minute) in minutes[from + 1..to].iter_mut().enumerate() {
                *minute = Some(a + (b - a) * (i + 1) as f64 / (to - from) as f64);
            }
        }
    }
}

/// What looks at a workload have taught so far.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// A consumer group, member by member.
    pub watch: Watch,
    profile: Option<Profile>,
    tried: Option<Time>,
    whose: Vec<Label>,
    learned: Option<Learned>,
}

impl Memory {
    /// The day's shape of the demand; `None` with less than two days of it, and while the last one was nothing like it:
    /// what is forecast then needs more than the newest hours.
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref().filter(|profile| profile.is_like_the_last_day())
    }

    /// Whether the day's shape is due to be worked out anew: some milliseconds of work.
    pub fn is_due(&self, now: Time) -> bool {
        // The days before may still be on their way from the disk or a source.
        let life = if self.profile.is_some() { LIFE } else { MINUTE };
        self.tried.is_none_or(|at| !(0.0..life).contains(&now.since(at)))
    }

    /// Older demand was found: the day's shape is worked out anew at the next look.
    pub fn forget_shape(&mut self) {
        (self.profile, self.tried) = (None, None);
    }

    /// Works the day's shape out from the minutes of a week.
    pub fn learn(&mut self, history: &History, entity: &Entity, now: Time) {
        let key = SignalKey { entity: entity.clone(), role: Role::Demand };
        self.tried = Some(now);
        if history.oldest(&key).is_none_or(|at| now.since(at) < LEAST) {
            self.profile = None; // a week of minutes is much to look through for nothing
            return;
        }
        let mut grid = history.grid(&key, now.plus(-BACK), now.floor_to(MINUTE), MINUTE);
        spread(&mut grid.values);
        self.profile = Profile::of(&grid, now);
    }

    /// Takes in what an earlier run learned.
    pub fn recall(&mut self, learned: Learned) {
        self.learned = Some(learned);
    }

    /// Whether it holds what an earlier run learned of a workload that has not been seen in this one: it may still come.
    pub fn waits(&self, now: Time) -> bool {
        let learned = self.learned.as_ref();
        self.whose.is_empty() && learned.is_some_and(|l| (0.0..FORGOTTEN).contains(&now.since(l.at)))
    }

    /// Looks at what is scaled: with another object or another image what was learned of replicas is let go. The demand
    /// is the same whoever serves it.
    pub fn look_at(&mut self, state: &WorkloadState) {
        let Some(replicas) = &state.replicas else { return };
        let whose = whose(state, replicas);
        if !self.whose.is_empty() && self.whose != whose {
            self.watch = Watch::default();
        }
        if self.learned.as_ref().is_some_and(|l| l.whose != whose) {
            self.learned = None;
        }
        self.whose = whose;
    }

    /// What this run knows that the next one should: what replicas can do, once that was seen.
    pub fn lesson(&self, capacity: &Capacity, now: Time) -> Option<Learned> {
        if is_recalled(capacity) {
            return self.learned.clone(); // nothing newer was seen
        }
        let seen = !capacity.is_lower_bound() || !assumed(capacity, NO_START_UP);
        (seen && !self.whose.is_empty()).then(|| Learned {
            at: now,
            whose: self.whose.clone(),
            capacity: capacity.clone(),
        })
    }

    /// What is known with what an earlier run learned: that stands where this run has not seen enough yet.
    pub(super) fn with_learned(&self, seen: Option<Capacity>, now: Time) -> Option<Capacity> {
        let Some(learned) = &self.learned else { return seen };
        let age = now.since(learned.at);
        let before = &learned.capacity;
        if !(0.0..FORGOTTEN).contains(&age) {
            return seen;
        }
        let ago = format!("{LEARNED}{} ago", duration(age.max(MINUTE)));
        let Some(mut now) = seen else {
            let mut recalled = before.clone();
            recalled.assumptions.insert(0, format!("{ago}: nothing was seen to flow in this run yet"));
            return Some(recalled);
        };
        let mut what = Vec::new();
        let needed = (OUTWEIGHED.0 * 0.5_f64.powf(age / HALVED)).max(OUTWEIGHED.1);
        // More than was ever thought possible is proof that things have changed.
        if !before.is_lower_bound() && (now.samples as f64) < needed && now.low <= before.high {
            now = Capacity {
                per_replica: before.per_replica,
                scaling: before.scaling,
                low: before.low,
                high: before.high,
                samples: before.samples,
                ..now
            };
            now.ceiling = now.ceiling.or(before.ceiling);
            now.assumptions.retain(|a| !RATE_UNKNOWN.iter().any(|unknown| a.starts_with(unknown)));
            what.push("what a replica can do");
        }
        if assumed(&now, NO_START_UP) && !assumed(before, NO_START_UP) {
            (now.start_up, now.start_ups) = (before.start_up, before.start_ups);
            now.assumptions.retain(|a| !a.starts_with(NO_START_UP));
            what.push("how long it starts");
        }
        if assumed(&now, NO_REBALANCE) && !assumed(before, NO_REBALANCE) {
            (now.rebalance, now.rebalance_one, now.rebalance_down) =
                (before.rebalance, before.rebalance_one, before.rebalance_down);
            now.standstills = before.standstills;
            now.assumptions.retain(|a| !a.starts_with(NO_REBALANCE));
            what.push("how long a rebalance takes");
        }
        if !what.is_empty() {
            now.assumptions.insert(0, format!("{ago}: {}", what.join(", ")));
        }
        Some(now)
    }
}

/// Whether a capacity rests on what an earlier run learned.
pub(super) fn is_recalled(capacity: &Capacity) -> bool {
    assumed(capacity, LEARNED)
}

fn assumed(capacity: &Capacity, what: &str) -> bool {
    capacity.assumptions.iter().any(|a| a.starts_with(what))
}

fn whose(state: &WorkloadState, replicas: &Replicas) -> Vec<Label> {
    [Some(replicas.origin.clone()), replicas.uid.clone(), state.image.clone()].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_700_000_000_000);

    fn capacity(per_replica: f64, samples: usize, assumptions: &[&str]) -> Capacity {
        Capacity {
            per_replica,
            low: per_replica * 0.95,
            high: per_replica * 1.05,
            samples,
            start_up: if assumptions.is_empty() { 38.0 } else { 60.0 },
            rebalance: 4.0,
            rebalance_one: 4.0,
            rebalance_down: 3.0,
            assumptions: assumptions.iter().map(|a| (*a).to_owned()).collect(),
            ..Capacity::default()
        }
    }

    fn state(image: &str) -> WorkloadState {
        let origin = Label::new("kubernetes prod");
        let replicas = Replicas { desired: 6, ready: 6, at: NOW, origin, uid: Some(Label::new("7f3c")) };
        WorkloadState { replicas: Some(replicas), image: Some(Label::new(image)), ..WorkloadState::unknown(NOW) }
    }

    /// A memory that recalls 900/s and a start-up of 38 s, learned so many seconds ago.
    fn recalling(age: f64) -> Memory {
        let mut first = Memory::default();
        first.look_at(&state("scorer:1"));
        let lesson = first.lesson(&capacity(900.0, 400, &[]), NOW.plus(-age)).unwrap();
        let text = serde_json::to_string(&lesson).unwrap();
        let mut second = Memory::default();
        second.recall(serde_json::from_str(&text).unwrap());
        second.look_at(&state("scorer:1"));
        second
    }

    const YOUNG: [&str; 2] = ["no member was seen with work waiting", "no start-up seen: 60 s assumed"];

    #[test]
    fn what_a_run_learned_stands_in_the_next_one_until_that_has_seen_enough() {
        let memory = recalling(7_200.0);
        let young = memory.with_learned(Some(capacity(500.0, 0, &YOUNG)), NOW).unwrap();
        assert_eq!((young.per_replica, young.samples, young.start_up), (900.0, 400, 38.0));
        assert_eq!(young.assumptions, ["learned 2h00 ago: what a replica can do, how long it starts"]);
        assert_eq!(memory.lesson(&young, NOW).unwrap().at, NOW.plus(-7_200.0), "it gets no younger by being recalled");
        let nothing = memory.with_learned(None, NOW).unwrap();
        assert!(nothing.assumptions[0].starts_with("learned 2h00 ago"), "{nothing:?}");
        let seen = memory.with_learned(Some(capacity(800.0, 25, &[])), NOW).unwrap();
        assert_eq!((seen.per_replica, seen.assumptions.len()), (800.0, 0));
        assert_eq!(memory.lesson(&seen, NOW).unwrap().at, NOW);
    }

    #[test]
    fn means_over_minutes_are_spread_and_gaps_stay_gaps() {
        let mut coarse = vec![None; 41];
        (coarse[0], coarse[5], coarse[15], coarse[40]) = (Some(0.0), Some(10.0), Some(20.0), Some(5.0));
        spread(&mut coarse);
        assert_eq!((coarse[1], coarse[10], coarse[16], coarse[39]), (Some(2.0), Some(15.0), None, None));
        let mut fine = vec![Some(1.0); 10];
        fine[4] = None;
        spread(&mut fine);
        assert_eq!(fine[4], None, "a minute that is missing among others is a gap");
    }

    #[test]
    fn old_lessons_weigh_less_and_then_nothing() {
        let few = || Some(capacity(800.0, 6, &[]));
        let rate = |age: f64| recalling(age).with_learned(few(), NOW).unwrap().per_replica;
        assert_eq!((rate(3_600.0), rate(2.0 * 86_400.0)), (900.0, 800.0));
        assert_eq!(recalling(8.0 * 86_400.0).with_learned(None, NOW), None);
        let proof = Some(capacity(1_200.0, 0, &YOUNG));
        let proven = recalling(60.0).with_learned(proof, NOW).unwrap();
        assert!((proven.per_replica - 1_200.0).abs() < 1e-9, "it did more than that: {proven:?}");
    }

    #[test]
    fn another_image_or_object_is_met_as_a_stranger() {
        let mut memory = recalling(60.0);
        memory.look_at(&state("scorer:2"));
        assert_eq!(memory.with_learned(None, NOW), None);
        let mut memory = recalling(60.0);
        let mut again = state("scorer:1");
        again.replicas = again.replicas.map(|r| Replicas { uid: Some(Label::new("other")), ..r });
        memory.look_at(&again);
        assert_eq!(memory.with_learned(None, NOW), None);
        let mut unknown = recalling(60.0);
        unknown.look_at(&WorkloadState::unknown(NOW));
        assert!(unknown.with_learned(None, NOW).is_some(), "a source that is silent says nothing of it");
    }
}
