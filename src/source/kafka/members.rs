//! Who is in a group, from its descriptions, worked into the state. Pure.

use super::{
    shape,
    state::{GroupRow, State},
};
use crate::model::{GroupState, GroupType, Label, Member};
use bytes::{Buf, Bytes};
use kafka_protocol::{
    messages::{
        ConsumerGroupDescribeResponse, ConsumerProtocolAssignment, DescribeGroupsResponse, ShareGroupDescribeResponse,
    },
    protocol::{Decodable, StrBytes},
};

/// `COORDINATOR_LOAD_IN_PROGRESS`, `COORDINATOR_NOT_AVAILABLE`, `NOT_COORDINATOR`: the next rosters tell.
const MOVING: [i16; 3] = [14, 15, 16];
/// `TOPIC_AUTHORIZATION_FAILED`: since Kafka 4 a group that reads a topic that is hidden from us is not described at all.
const HIDDEN: i16 = 29;

impl State {
    /// The group that a description is of. A refusal that lasts is noted: what was told before is no longer so.
    fn described(&mut self, group: &StrBytes, code: i16) -> Option<&mut GroupRow> {
        let row = self.groups.get_mut(group)?;
        if code != 0 && !MOVING.contains(&code) {
            row.describe(std::iter::empty());
            row.described = false;
            row.hides |= code == HIDDEN;
        }
        (code == 0).then_some(row)
    }

    /// Takes the descriptions of classic groups.
    pub(super) fn classic(&mut self, said: DescribeGroupsResponse) {
        for g in said.groups {
            let Some(row) = self.described(&g.group_id.0, g.error_code) else { continue };
            row.state = state(&g.group_state);
            row.assignor = (!g.protocol_data.is_empty()).then(|| Label::new(&g.protocol_data));
            if g.protocol_data.as_str() == "stream" {
                row.kind = GroupType::Streams; // `StreamsPartitionAssignor.name()`
            }
            let consumer = row.consumer;
            row.describe(g.members.into_iter().map(|m| {
                let owned = if consumer { assignment(m.member_assignment) } else { Vec::new() };
                let instance = m.group_instance_id.as_deref().map(Label::new);
                (member(&m.member_id, &m.client_id, &m.client_host, instance), owned)
            }));
        }
    }

    /// Takes the descriptions of KIP-848 groups.
    pub(super) fn consumer(&mut self, said: ConsumerGroupDescribeResponse) {
        for g in said.groups {
            let Some(row) = self.described(&g.group_id.0, g.error_code) else { continue };
            row.state = state(&g.group_state);
            row.assignor = (!g.assignor_name.is_empty()).then(|| Label::new(&g.assignor_name));
            row.describe(g.members.into_iter().map(|m| {
                let owned = m.assignment.topic_partitions.into_iter().map(|t| (t.topic_name.0, t.partitions)).collect();
                let instance = m.instance_id.as_deref().map(Label::new);
                (member(&m.member_id, &m.client_id, &m.client_host, instance), owned)
            }));
        }
    }

    /// Takes the descriptions of share groups. Several members may read one partition, so it has no owner.
    pub(super) fn share(&mut self, said: ShareGroupDescribeResponse) {
        for g in said.groups {
            let Some(row) = self.described(&g.group_id.0, g.error_code) else { continue };
            row.state = state(&g.group_state);
            row.assignor = (!g.assignor_name.is_empty()).then(|| Label::new(&g.assignor_name));
            row.describe(g.members.into_iter().map(|m| {
                let owned = m.assignment.topic_partitions.into_iter().map(|t| (t.topic_name.0, t.partitions)).collect();
                (member(&m.member_id, &m.client_id, &m.client_host, None), owned)
            }));
            row.owned.clear();
        }
    }
}

impl GroupRow {
    fn describe(&mut self, members: impl Iterator<Item = (Member, Vec<(StrBytes, Vec<i32>)>)>) {
        self.members.clear();
        self.owned.clear();
        for (i, (mut member, assigned)) in members.enumerate() {
            for (topic, partitions) in assigned {
                member.partitions += partitions.len() as u32;
                self.owned.extend(partitions.into_iter().map(|p| (topic.clone(), p, i)));
            }
            self.members.push(member);
        }
        self.described = true;
        self.hides &= self.members.is_empty(); // nobody in it says nothing of what its commits are of
    }
}

fn member(id: &str, client: &str, host: &str, instance_id: Option<Label>) -> Member {
    Member { id: Label::new(id), client_id: Label::new(client), host: Label::new(host), instance_id, partitions: 0 }
}

/// The partitions in a classic member's assignment. Another format than the consumers' owns nothing that we know of.
pub(super) fn assignment(mut blob: Bytes) -> Vec<(StrBytes, Vec<i32>)> {
    if blob.len() < 2 {
        return Vec::new();
    }
    let version = blob.get_i16().clamp(0, 3); // newer ones only add fields at the end
    if shape::check(&shape::ASSIGNMENT, version, &blob).is_err() {
        return Vec::new();
    }
    ConsumerProtocolAssignment::decode(&mut blob, version)
        .map(|a| a.assigned_partitions.into_iter().map(|t| (t.topic.0, t.partitions)).collect())
        .unwrap_or_default()
}

/// Kafka's words for states; classic groups say `CompletingRebalance`, KIP-848 groups `Assigning` and `Reconciling`.
pub(super) fn state(word: &str) -> GroupState {
    match word {
        "Stable" => GroupState::Stable,
        "PreparingRebalance" => GroupState::PreparingRebalance,
        "CompletingRebalance" => GroupState::CompletingRebalance,
        "Assigning" => GroupState::Assigning,
        "Reconciling" => GroupState::Reconciling,
        "Empty" => GroupState::Empty,
        "Dead" => GroupState::Dead,
        _ => GroupState::Unknown,
    }
}
