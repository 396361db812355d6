//! Which consumer gets which partition: Kafka's assignors for one topic.

/// How partitions are dealt to consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// `range`: neighbours together, the first consumers get one more.
    Range,
    /// `roundrobin`: partition p to consumer p mod n.
    RoundRobin,
    /// `cooperative-sticky`, and KIP-848's `uniform`: as even as the others, moving as few as possible.
    Sticky,
}

impl Assignor {
    /// The name that a broker reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "cooperative-sticky",
        }
    }
}

/// The owner of each partition when `consumers` share them; `owners` is who has them now.
///
/// ```
/// use highwater::simulate::{Assignor, assign};
/// let now = [Some(0), Some(0), Some(1), Some(1)];
/// assert_eq!(assign(Assignor::RoundRobin, &now, 4), [Some(0), Some(1), Some(2), Some(3)]);
/// assert_eq!(assign(Assignor::Sticky, &now, 3).iter().zip(&now).filter(|(a, b)| a != b).count(), 1);
/// assert_eq!(assign(Assignor::Range, &now, 0), [None; 4]);
/// ```
pub fn assign(assignor: Assignor, owners: &[Option<usize>], consumers: usize) -> Vec<Option<usize>> {
    let partitions = owners.len();
    if consumers == 0 {
        return vec![None; partitions];
    }
    match assignor {
        Assignor::RoundRobin => (0..partitions).map(|p| Some(p % consumers)).collect(),
        Assignor::Range => {
            let (each, more) = (partitions / consumers, partitions % consumers);
            let first = more * (each + 1);
            (0..partitions)
                .map(|p| Some(if p < first { p / (each + 1) } else { more + (p - first) / each.max(1) }))
                .collect()
        }
        Assignor::Sticky => sticky(owners, consumers),
    }
}

/// Everybody keeps up to a fair share of what they have; the rest goes to whoever has least.
fn sticky(owners: &[Option<usize>], consumers: usize) -> Vec<Option<usize>> {
    let (each, mut more) = (owners.len() / consumers, owners.len() % consumers);
    let mut held = vec![0_usize; consumers];
    for owner in owners.iter().flatten() {
        if let Some(count) = held.get_mut(*owner) {
            *count += 1;
        }
    }
    // Those that have most keep the one more, so that it does not move.
    let mut quota = vec![each; consumers];
    let mut order: Vec<usize> = (0..consumers).collect();
    order.sort_by_key(|c| std::cmp::Reverse(held.get(*c).copied().unwrap_or(0)));
    for consumer in order {
        if more > 0
            && let Some(q) = quota.get_mut(consumer)
        {
            *q += 1;
            more -= 1;
        }
    }
    let mut next: Vec<Option<usize>> = owners
        .iter()
        .map(|owner| {
            let left = quota.get_mut((*owner)?)?;
            *left = left.checked_sub(1)?;
            *owner
        })
        .collect();
    let mut needy = 0;
    for owner in next.iter_mut().filter(|o| o.is_none()) {
        while quota.get(needy) == Some(&0) {
            needy += 1;
        }
        if let Some(left) = quota.get_mut(needy) {
            *left -= 1;
            *owner = Some(needy);
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assignors() -> impl Strategy<Value = Assignor> {
        prop_oneof![Just(Assignor::Range), Just(Assignor::RoundRobin), Just(Assignor::Sticky)]
    }

    proptest! {
        #[test]
        fn every_partition_has_an_owner_and_nobody_two_more(
            assignor in assignors(), partitions in 1_usize..60, before in 1_usize..40, after in 1_usize..40,
        ) {
            let owners = assign(assignor, &vec![None; partitions], before);
            let kept: Vec<_> = owners.iter().map(|o| o.filter(|o| *o < after)).collect();
            let next = assign(assignor, &kept, after);
            let mut counts = vec![0; after];
            for owner in &next {
                counts[owner.unwrap()] += 1;
            }
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
            if assignor == Assignor::Sticky {
                let moved = kept.iter().zip(&next).filter(|(a, b)| a.is_some() && a != b).count();
                let fair = partitions.div_ceil(after);
                let surplus: usize = (0..after)
                    .map(|c| kept.iter().filter(|o| **o == Some(c)).count().saturating_sub(partitions / after))
                    .sum();
                prop_assert!(moved <= surplus, "moved {moved} of a surplus of {surplus} over {fair}");
            }
        }
    }
}
