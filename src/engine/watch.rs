//! Groups are looked at member by member, refresh by refresh: what that teaches stays in the memory of the engine.

use crate::{
    advise,
    capacity::{Look, Place},
    model::{Group, GroupPartition, WorkloadState},
};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Shows a refresh of a group to its memory. One that is not whole, or whose counts are not known, is left out.
pub(super) fn look(memory: &mut advise::Memory, group: &Group, state: &WorkloadState) {
    let Some(replicas) = &state.replicas else { return };
    let partitions: Option<Vec<Place>> = group.partitions.iter().map(|p| place(group, p)).collect();
    let Some(partitions) = partitions.filter(|_| state.coverage >= 1.0) else { return };
    let since = state.last_change.map_or(group.at, |(at, _)| at.min(group.at));
    let (desired, ready, rebalancing) = ((replicas.desired, since), replicas.ready, state.rebalancing);
    memory.watch.see(&Look { at: group.at, partitions: &partitions, desired, ready, rebalancing });
}

/// A partition with its owner's identity. A member keeps its id for its life; its place in the list may change.
fn place(group: &Group, partition: &GroupPartition) -> Option<Place> {
    let id = |i: usize| {
        let mut hasher = DefaultHasher::new();
        group.members.get(i)?.id.hash(&mut hasher);
        Some(hasher.finish())
    };
    Some(Place {
        end: partition.end? as f64,
        committed: partition.committed.or(partition.log_start)? as f64,
        owner: partition.owner.and_then(id),
    })
}
