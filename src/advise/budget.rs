//! GPUs that several workloads share: who may have how many replicas when not everybody's advice fits.
//!
//! What a workload has is not taken away for another one: jobs cannot be interrupted, and a service that is asked to
//! shrink so that another can grow would be late for it. So each keeps its present count (or the smaller one that it is
//! advised to have), and what is left is shared out by what less would cost each of them.

use crate::{
    model::{Advice, Alternative, Budget, Label, Workload, WorkloadState},
    policy::planner::{Want, share},
};
use std::collections::BTreeMap;

/// The most that a workload may be advised to have for now, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowance {
    /// Replicas.
    pub replicas: u32,
    /// The pool, what it has and who has it.
    pub why: String,
}

/// A workload with what it was advised on its own.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// What it is.
    pub workload: &'a Workload,
    /// What is true of it now.
    pub state: &'a WorkloadState,
    /// The advice as if the pool were its own.
    pub advice: &'a Advice,
}

/// One member's part in a pool.
struct Part {
    name: Label,
    gpus: u32,
    /// What it has and keeps, and what it would have.
    floor: u32,
    asked: u32,
    alternatives: Vec<Alternative>,
}

impl Part {
    fn of(member: &Member<'_>) -> Option<Self> {
        let current = member.state.replicas.as_ref().map(|r| r.desired);
        let advised = member.advice.recommendation.as_ref().ok();
        let asked = advised.filter(|r| r.blocked_by.is_empty()).map(|r| r.recommended).or(current)?;
        let floor = current.map_or(asked, |n| n.min(asked));
        let mut alternatives: Vec<Alternative> = advised.map_or_else(Vec::new, |r| r.alternatives.clone());
        alternatives.retain(|a| (floor..=asked).contains(&a.replicas));
        if alternatives.is_empty() {
            alternatives.push(Alternative { replicas: floor, price: 0.0, slo_minutes: 0.0 });
        }
        let gpus = member.workload.shape.gpus;
        Some(Self { name: member.workload.name.clone(), gpus, floor, asked, alternatives })
    }
}

/// Who may have how much, of those that cannot have what they are advised to; by name.
///
/// While a member's count is not known nobody may grow: what it has cannot be told, so neither what is left.
pub fn allowances(budget: &Budget, members: &[Member<'_>]) -> BTreeMap<Label, Allowance> {
    let parts: Vec<Part> = members.iter().filter_map(Part::of).collect();
    let unknown = |m: &&Member<'_>| m.state.replicas.is_none() && m.workload.shape.gpus > 0;
    if let Some(member) = members.iter().find(unknown) {
        return none_grows(budget, member, parts);
    }
    let wants: Vec<Want<'_>> =
        parts.iter().map(|p| Want { alternatives: &p.alternatives, replicas: p.asked, gpus: p.gpus }).collect();
    let counts = share(budget.gpus, &wants);
    let has = |(part, count): (&Part, &u32)| format!("{} {}", part.name, count * part.gpus);
    let all: Vec<String> = parts.iter().zip(&counts).map(has).collect();
    let cut = parts.iter().zip(&counts).filter(|(part, count)| **count < part.asked);
    cut.map(|(part, count)| {
        // Where not even what is there fits, nobody is advised to have more.
        let replicas = (*count).max(part.floor);
        let why = format!(
            "the {} GPUs of {} allow {replicas} of {} for now ({})",
            budget.gpus,
            budget.name,
            part.asked,
            all.join(", ")
        );
        (part.name.clone(), Allowance { replicas, why })
    })
    .collect()
}

/// Everybody keeps what runs: for want of the count of `member`.
fn none_grows(budget: &Budget, member: &Member<'_>, parts: Vec<Part>) -> BTreeMap<Label, Allowance> {
    let grows = parts.into_iter().filter(|part| part.asked > part.floor && part.gpus > 0);
    grows
        .map(|part| {
            let why = format!(
                "how many replicas {} has is not known, so what is left of the {} GPUs of {} cannot be told: no more than {} for now",
                member.workload.name, budget.gpus, budget.name, part.floor
            );
            (part.name, Allowance { replicas: part.floor, why })
        })
        .collect()
}
