//! What a count can be planned with: the figure of the sentences, for whoever draws or explains it.

use crate::{
    model::{Capacity, WorkloadKind, WorkloadState},
    policy::planner::{self, Fleet, Work},
};

/// Records or requests per second that `replicas` of a workload hold: what the plan counts on, so with the planner's
/// margin, and where there are partitions no more than the replica with the heaviest of them allows.
///
/// Of a capacity that is only a lower bound its high end is taken, as the plan does: that is tried, not known to hold.
pub fn holds(kind: WorkloadKind, state: &WorkloadState, capacity: &Capacity, replicas: u32) -> f64 {
    let work = match kind {
        WorkloadKind::ConsumerGroup => Work::Log { shares: shares(state), waits: Vec::new() },
        WorkloadKind::Inference | WorkloadKind::Batch | WorkloadKind::Brokers => Work::Jobs,
    };
    if !capacity.is_lower_bound() {
        return planner::capacity_of(&work, capacity, replicas);
    }
    let planned = Capacity { per_replica: capacity.as_planned(), ..capacity.clone() };
    planner::capacity_of(&work, &planned, replicas)
}

/// What arrives at the member with the most to read over what arrives at one on average: by the partitions' owners, else
/// as the usual assignors deal them out. 1 where the partitions or the members are not known.
pub(super) fn heaviest(state: &WorkloadState) -> f64 {
    let ready = state.replicas.as_ref().map_or(0, |r| r.ready);
    let shares = shares(state);
    if ready == 0 || shares.is_empty() {
        return 1.0;
    }
    let owners: Option<Vec<u32>> = state.partition_owners.iter().copied().collect();
    let loads = match owners.filter(|o| o.len() == shares.len() && o.iter().all(|m| *m < ready)) {
        Some(owners) => {
            let (mut loads, whole) = (vec![0.0; ready as usize], shares.iter().sum::<f64>());
            for (owner, share) in owners.into_iter().zip(shares) {
                loads[owner as usize] += share / whole;
            }
            loads
        }
        None => Fleet::new(&Work::Log { shares, waits: Vec::new() }, 1.0).loads(ready),
    };
    // Members beyond the partitions have nothing to read and share in the average all the same.
    loads.into_iter().fold(0.0, f64::max) * f64::from(ready)
}

/// A partition with more than this share of what waits is the trouble itself.
const MOST: f64 = 0.5;
/// Seconds of all that comes which make a group look like one at its limit.
const WAITING: f64 = 8.0;

/// Share of what waits that lies in one partition, where that is most of it; `None`: it is spread, or nothing waits.
pub fn heap(state: &WorkloadState) -> Option<f64> {
    let lags = &state.partition_lags;
    let all: u64 = lags.iter().flatten().fold(0, |sum, lag| sum.saturating_add(*lag));
    let most = lags.iter().flatten().copied().max().unwrap_or(0);
    (lags.len() > 2 && all > 0 && most as f64 > MOST * all as f64).then(|| most as f64 / all as f64)
}

/// Whether one partition's records alone make a group look as if all of it had work waiting: what all together do is then
/// what comes, and not the most that they can.
pub(super) fn is_heaped(state: &WorkloadState) -> bool {
    let rates: f64 = state.partition_rates.iter().flatten().sum();
    let most = state.partition_lags.iter().flatten().copied().max().unwrap_or(0);
    heap(state).is_some() && most as f64 > WAITING * rates
}

/// What arrives at each partition, as shares of no particular sum: as it was seen, else equal. Empty: the partitions are
/// not known.
pub fn shares(state: &WorkloadState) -> Vec<f64> {
    let partitions = state.partitions.unwrap_or(0) as usize;
    let rates: Option<Vec<f64>> = state.partition_rates.iter().copied().collect();
    match rates.filter(|r| r.iter().sum::<f64>() > 0.0) {
        Some(rates) if rates.len() >= partitions => rates,
        _ => vec![1.0; partitions],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Label, Replicas, Time};

    fn state(ready: u32, rates: &[f64], owners: &[Option<u32>]) -> WorkloadState {
        let at = Time::from_secs(0.0);
        WorkloadState {
            replicas: Some(Replicas { desired: ready, ready, at, origin: Label::new("test"), uid: None }),
            partitions: u32::try_from(rates.len()).ok(),
            partition_rates: rates.iter().map(|r| Some(*r)).collect(),
            partition_owners: owners.to_vec(),
            ..WorkloadState::unknown(at)
        }
    }

    #[test]
    fn the_heaviest_member_is_found_by_owners_or_by_the_usual_deal() {
        let assert_near = |seen: f64, wanted: f64, why: &str| assert!((seen - wanted).abs() < 1e-9, "{why}: {seen}");
        assert_near(heaviest(&state(2, &[1.0; 4], &[])), 1.0, "two each");
        assert_near(heaviest(&state(3, &[1.0; 4], &[])), 1.5, "one of three has two of four");
        assert_near(heaviest(&state(8, &[1.0; 4], &[])), 2.0, "half of them idle");
        assert_near(
            heaviest(&state(2, &[3.0, 1.0, 1.0, 1.0], &[Some(0), Some(1), Some(1), Some(1)])),
            1.0,
            "three of one are as many as one of three",
        );
        assert_near(heaviest(&state(0, &[1.0; 4], &[])), 1.0, "nobody reads");
        assert_near(heaviest(&state(2, &[], &[])), 1.0, "the partitions are not known");
    }
}
