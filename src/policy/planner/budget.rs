//! GPUs that several services share: whose replicas are worth most when there are not enough.

use crate::model::Alternative;

/// One service of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a> {
    /// The counts that were priced, by count.
    pub alternatives: &'a [Alternative],
    /// The count that it would have if the pool were its own.
    pub replicas: u32,
    /// GPUs that one replica takes.
    pub gpus: u32,
}

/// The counts, in the order of the wants, that cost least together within `budget` GPUs.
///
/// Where everybody's own count fits that is the answer. Else each gets one of the counts that were priced for it, at
/// most its own; if not even the smallest fit, the smallest. The work is wants × counts × budget.
///
/// ```
/// use highwater::{model::Alternative, policy::planner::{Want, share}};
/// let priced = |each: f64| -> Vec<Alternative> {
///     (1..=6).map(|n| Alternative { replicas: n, price: each * f64::from(6 - n), slo_minutes: 0.0 }).collect()
/// };
/// let (dear, cheap) = (priced(5.0), priced(1.0));
/// let want = |alternatives| Want { alternatives, replicas: 6, gpus: 1 };
/// assert_eq!(share(12, &[want(&cheap), want(&dear)]), [6, 6]);
/// assert_eq!(share(9, &[want(&cheap), want(&dear)]), [3, 6], "the one that pays more for less is served first");
/// ```
pub fn share(budget: u32, wants: &[Want<'_>]) -> Vec<u32> {
    let all: u64 = wants.iter().map(|w| u64::from(w.replicas) * u64::from(w.gpus)).sum();
    if all <= u64::from(budget) {
        return wants.iter().map(|w| w.replicas).collect();
    }
    let width = budget as usize + 1;
    // best[g]: the least price of the services so far with g GPUs; picks[service][g]: the count that gives it.
    let mut best = vec![0.0; width];
    let mut picks: Vec<Vec<Option<u32>>> = Vec::with_capacity(wants.len());
    for want in wants {
        let mut next = vec![f64::INFINITY; width];
        let mut pick = vec![None; width];
        for a in want.alternatives.iter().filter(|a| a.replicas <= want.replicas && !a.price.is_nan()) {
            let takes = a.replicas as usize * want.gpus as usize;
            for g in takes..width {
                let price = best[g - takes] + a.price;
                if price < next[g] {
                    (next[g], pick[g]) = (price, Some(a.replicas));
                }
            }
        }
        best = next;
        picks.push(pick);
    }
    let mut left = width - 1;
    let mut counts = Vec::with_capacity(wants.len());
    for (want, pick) in wants.iter().zip(&picks).rev() {
        let smallest = want.alternatives.iter().map(|a| a.replicas).min().unwrap_or(want.replicas);
        let n = pick[left].unwrap_or(smallest.min(want.replicas));
        left = left.saturating_sub(n as usize * want.gpus as usize);
        counts.push(n);
    }
    counts.reverse();
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_pool_is_never_exceeded_when_the_smallest_fit(
            budget in 0_u32..64,
            services in prop::collection::vec((prop::collection::vec(-5.0..50.0, 1..12), 1_u32..5, 0_u32..12), 1..5),
        ) {
            let priced: Vec<Vec<Alternative>> = services.iter().map(|(prices, ..)| {
                prices.iter().zip(0..).map(|(p, n)| Alternative { replicas: n, price: *p, slo_minutes: 0.0 }).collect()
            }).collect();
            let wants: Vec<Want<'_>> = services.iter().zip(&priced)
                .map(|((_, gpus, n), a)| Want { alternatives: a, replicas: (*n).min(a.len() as u32 - 1), gpus: *gpus }).collect();
            let counts = share(budget, &wants);
            let used: u32 = counts.iter().zip(&wants).map(|(n, w)| n * w.gpus).sum();
            prop_assert!(used <= budget, "every service may have none");
            prop_assert!(counts.iter().zip(&wants).all(|(n, w)| *n <= w.replicas));
        }
    }
}
