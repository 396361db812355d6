//! Where what waits lies. A member drains its own partitions only: when the heaviest of them is nearly all that one
//! replica can do, its pile stays for hours, however much the others have to spare.

use super::{
    Fleet, Problem,
    dynamics::{Count, Stuck},
    programme::Frame,
    scenarios::Scenario,
};

/// A pile that lies this long, seconds, and then still is this share of what the objective allows.
const STAYS: f64 = 600.0;
const LONG: f64 = 0.2;

/// What becomes of what waits when one count is kept over one future.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pile {
    /// What waits at the beginning of each stage and at the end of the last.
    lies: Vec<f64>,
    /// What the members that hold it can do, the one that holds most and longest counted in full, and their share of the
    /// demand weighted so.
    holders: (f64, f64),
}

impl Pile {
    /// `waits` now, per member.
    pub fn new(count: &Count, mut waits: Vec<f64>, stages: &[f64], seconds: f64) -> Self {
        let mut long = vec![0.0; waits.len()];
        let mut lies = Vec::with_capacity(stages.len() + 1);
        lies.push(waits.iter().sum());
        for demand in stages {
            let mut sum = 0.0;
            for ((waits, long), share) in waits.iter_mut().zip(&mut long).zip(count.loads()) {
                *waits = (*waits + (demand * share - count.each()) * seconds).max(0.0);
                *long += *waits;
                sum += *waits;
            }
            lies.push(sum);
        }
        let most = long.iter().copied().fold(0.0, f64::max);
        let mut holders = (0.0, 0.0);
        if most > 0.0 {
            for (long, share) in long.iter().zip(count.loads()) {
                holders = (holders.0 + long / most * count.each(), holders.1 + long / most * share);
            }
        }
        Self { lies, holders }
    }

    /// What those that hold it have to spare at a demand.
    #[inline]
    pub fn drains(&self, demand: f64) -> f64 {
        (self.holders.0 - demand * self.holders.1).max(0.0)
    }

    /// What is stuck at the end of a stage with its demand.
    #[inline]
    pub fn stuck(&self, stage: usize, demand: f64) -> Stuck {
        Stuck { lies: self.lies.get(stage + 1).copied().unwrap_or(0.0), drains: self.drains(demand) }
    }
}

/// Whether what waits now, in replica-seconds, or piles up in one of the futures still is [`LONG`] of the objective after
/// [`STAYS`] at the count that is asked for now, and one partition is hot or what lies downstream leaves little to work off
/// anything with. Else what waits lies with many and drains with them. Members that keep their partitions are planned with
/// what the heaviest of them can do in that case.
pub(super) fn stay(problem: &Problem<'_>, fleet: &Fleet, frame: &Frame, futures: &[Scenario], backlog: f64) -> bool {
    if fleet.is_sticky() || !(fleet.is_hot() || fleet.ceiling().is_finite()) {
        return false;
    }
    let Some(here) = frame.counts.iter().find(|c| c.replicas == problem.current) else { return false };
    let stage = (STAYS / frame.stage) as usize;
    let stays = |future: &Scenario| {
        let Some(demand) = future.stages.get(stage) else { return false };
        let lies = pile(fleet, frame, here, future, backlog).stuck(stage, *demand).lies;
        lies > LONG * problem.slo * demand
    };
    futures.iter().any(stays)
}

/// Works out the piles of all counts in every future.
pub(super) fn heap(fleet: &Fleet, frame: &Frame, futures: &mut [Scenario], backlog: f64) {
    for future in futures {
        future.piles = frame.counts.iter().map(|count| pile(fleet, frame, count, future, backlog)).collect();
    }
}

fn pile(fleet: &Fleet, frame: &Frame, count: &Count, future: &Scenario, backlog: f64) -> Pile {
    let waits: Vec<f64> = fleet.waits().iter().map(|w| w * backlog).collect();
    let each = fleet.gather(count.replicas, &waits);
    Pile::new(count, each, &future.stages, frame.stage)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Work, programme::Levels},
        *,
    };

    /// Partition 8 of 40 gets 6 % of the demand, the others the same each.
    fn fleet(waits: impl Fn(usize) -> f64) -> Fleet {
        let shares: Vec<f64> = (0..40).map(|p| if p == 8 { 0.06 } else { 0.94 / 39.0 }).collect();
        Fleet::new(&Work::Log { shares, waits: (0..40).map(waits).collect() }, 1_000.0)
    }

    fn lies(fleet: &Fleet, replicas: u32) -> Vec<f64> {
        let waits: Vec<f64> = fleet.waits().iter().map(|w| w * 500.0).collect();
        let count = Count::new(fleet, replicas, true);
        let pile = Pile::new(&count, fleet.gather(replicas, &waits), &[14.0; 30], 60.0);
        (0..30).map(|stage| pile.stuck(stage, 14.0).lies).collect()
    }

    #[test]
    fn what_waits_for_one_member_stays_and_what_waits_for_all_does_not() {
        // Alone it has 1 - 0.06 × 14 of a replica to spare, whatever the other 39 have.
        let hot = lies(&fleet(|p| if p == 8 { 1.0 } else { 0.0 }), 40);
        assert!((hot[9] - (500.0 - 600.0 * 0.16)).abs() < 1e-6, "{hot:?}");
        let even = lies(&fleet(|p| if p == 8 { 0.06 } else { 0.94 / 39.0 }), 40);
        assert!(even[9] <= 0.0, "{even:?}");
    }

    #[test]
    fn where_no_count_holds_the_peak_more_of_them_still_leave_less_undone() {
        let fleet = fleet(|_| 1.0);
        assert!((fleet.capacity(40) - fleet.capacity(36)).abs() < 1e-6, "the hot partition is alone with either");
        let counts = |demand| fleet.lighter(1, 40, demand);
        assert!(counts(30_000.0).contains(&40) && !counts(10_000.0).contains(&40), "{:?}", counts(30_000.0));
    }

    #[test]
    fn a_finer_grid_knows_its_points_and_what_lies_between() {
        let levels = Levels::new(600.0).finer();
        let values: Vec<f64> = levels.points().iter().map(|b| 3.0 * b).collect();
        for backlog in (0..4_000).map(|i| f64::from(i) * 9.7) {
            assert!((levels.between(&values, backlog) - 3.0 * backlog).abs() < 1e-6 * (1.0 + backlog), "{backlog}");
        }
    }
}
