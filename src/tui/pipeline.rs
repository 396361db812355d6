//! The stages of each pipeline, upstream first: topic → consumer group → inference service → its GPUs, and which of
//! them is the bottleneck.

use crate::{
    advise,
    model::{
        Capacity, Found, Gpu, KafkaCluster, KubePod, Label, Picture, Pipeline, Reading, Role, WorkloadKind,
        WorkloadView,
    },
};
use std::{collections::BTreeSet, sync::Arc};

/// A stage that uses less than this share of what it holds is no bottleneck.
const TIGHT: f64 = 0.85;

/// What a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A topic that the next stage reads.
    Topic,
    /// Something with replicas.
    Workload(WorkloadKind),
    /// The GPUs of the stage before.
    Gpus,
}

/// One stage.
#[derive(Clone, Debug)]
pub struct Stage<'a> {
    /// The id that the cursor holds: `PIPELINE/STAGE`.
    pub id: Label,
    /// The pipeline that it belongs to.
    pub pipeline: &'a Label,
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What comes in, per second.
    pub comes: Option<&'a Reading>,
    /// What it holds, per second.
    pub holds: Option<f64>,
    /// Whether that is only the most that was ever asked of it: it may hold more.
    pub or_more: bool,
    /// The share of that in use; above 1 it falls behind.
    pub used: Option<f64>,
    /// What waits before it.
    pub waits: Option<&'a Reading>,
    /// How late it is: seconds behind, or latency.
    pub late: Option<&'a Reading>,
    /// How many there are of what it is made of: partitions, GPUs; replicas are the workload's.
    pub parts: usize,
    /// The workload that it is; of a topic and of GPUs the one that they belong to. `None`: it is not in the picture.
    pub workload: Option<&'a Arc<WorkloadView>>,
    /// Whether it holds the others back.
    pub bottleneck: bool,
    /// How it is known that what is before it feeds it; `None`: it is the first, or that is written down or plain to see.
    pub link: Option<&'a Found>,
}

impl Stage<'_> {
    /// How its target is known, where it is a workload whose target was found.
    pub fn found(&self) -> Option<&Found> {
        self.workload.filter(|_| matches!(self.kind, Kind::Workload(_)))?.workload.found.as_ref()
    }
}

/// The stages of every pipeline.
pub fn stages(picture: &Picture) -> Vec<Stage<'_>> {
    picture.pipelines.iter().flat_map(|p| of_pipeline(p, picture)).collect()
}

fn of_pipeline<'a>(pipeline: &'a Pipeline, picture: &'a Picture) -> Vec<Stage<'a>> {
    let mut stages = Vec::new();
    for (place, name) in pipeline.workloads.iter().enumerate() {
        let begins = stages.len();
        let view = picture.workload(name.as_str());
        if let Some(view) = view.filter(|v| v.workload.entity.kind == WorkloadKind::ConsumerGroup) {
            stages.extend(topics(pipeline, view, picture));
        }
        stages.push(workload(pipeline, name, view));
        stages.extend(view.and_then(|v| gpus(pipeline, v, picture)));
        if let Some(first) = stages.get_mut(begins) {
            first.link = pipeline.link_to(place);
        }
    }
    mark(&mut stages);
    stages
}

fn blank(pipeline: &Pipeline, kind: Kind, name: String) -> Stage<'_> {
    let word = match kind {
        Kind::Topic => "topic ",
        Kind::Workload(_) => "",
        Kind::Gpus => "gpus ",
    };
    Stage {
        id: Label::new(&format!("{}/{word}{name}", pipeline.name)),
        pipeline: &pipeline.name,
        kind,
        name,
        comes: None,
        holds: None,
        or_more: false,
        used: None,
        waits: None,
        late: None,
        parts: 0,
        workload: None,
        bottleneck: false,
        link: None,
    }
}

/// The topics that a group reads. What arrives is known of all of them together, so it is told of one topic only.
fn topics<'a>(pipeline: &'a Pipeline, view: &'a Arc<WorkloadView>, picture: &'a Picture) -> Vec<Stage<'a>> {
    let entity = &view.workload.entity;
    let of_source = |c: &&Arc<KafkaCluster>| c.name == entity.source;
    let group = picture.clusters.iter().find(of_source).and_then(|c| c.groups.iter().find(|g| g.group == entity.id));
    let Some(group) = group else { return Vec::new() };
    let names: BTreeSet<&Label> = group.partitions.iter().map(|p| &p.topic).collect();
    let alone = names.len() == 1;
    let stage = |name: &Label| Stage {
        comes: view.signal(Role::Demand).filter(|_| alone).and_then(|s| s.now.as_ref()),
        parts: group.partitions.iter().filter(|p| p.topic == *name).count(),
        workload: Some(view),
        ..blank(pipeline, Kind::Topic, name.to_string())
    };
    names.into_iter().map(stage).collect()
}

fn workload<'a>(pipeline: &'a Pipeline, name: &Label, view: Option<&'a Arc<WorkloadView>>) -> Stage<'a> {
    let kind = view.map_or(WorkloadKind::ConsumerGroup, |v| v.workload.entity.kind);
    let blank = blank(pipeline, Kind::Workload(kind), name.to_string());
    let Some(view) = view else { return blank };
    let now = |role: Role| view.signal(role).and_then(|s| s.now.as_ref());
    let comes = now(Role::Demand);
    // A capacity without saturated samples is a lower bound: nothing can be said to be used up of it.
    let capacity = view.advice.capacity.as_ref();
    let or_more = capacity.is_some_and(Capacity::is_lower_bound);
    let holds = capacity.zip(view.state.replicas.as_ref());
    // Of a lower bound what was seen, not what is tried.
    let seen = |c: &Capacity| c.per_replica / c.as_planned().max(f64::MIN_POSITIVE);
    let holds = holds.map(|(c, r)| advise::holds(kind, &view.state, c, r.desired) * seen(c));
    Stage {
        comes,
        holds,
        or_more,
        used: comes.zip(holds).filter(|(_, h)| *h > 0.0 && !or_more).map(|(c, h)| c.value / h),
        waits: now(Role::Backlog).or_else(|| now(Role::Queue)),
        late: now(Role::TimeLag).or_else(|| now(Role::Latency)),
        workload: Some(view),
        ..blank
    }
}

/// The GPUs of the pods that the workload's target owns; where pods are not known, of those that carry its name.
fn gpus<'a>(pipeline: &'a Pipeline, view: &'a Arc<WorkloadView>, picture: &'a Picture) -> Option<Stage<'a>> {
    let own = view.workload.target.as_ref()?;
    let (_, _, target) = own.kubernetes()?;
    let pods = picture.kube.as_ref().map_or(&[][..], |k| &k.pods);
    let is_own = |p: &&KubePod| p.owner.as_ref().and_then(|o| o.target.as_ref()) == Some(own);
    let names: BTreeSet<&Label> = pods.iter().filter(is_own).map(|p| &p.name).collect();
    let is_its = |g: &&Gpu| {
        if !names.is_empty() {
            return g.pod.as_ref().is_some_and(|pod| names.contains(pod));
        }
        let rest = g.pod.as_ref().and_then(|pod| pod.as_str().strip_prefix(target.as_str()));
        rest.is_some_and(|rest| rest.starts_with('-'))
    };
    let own: Vec<&Gpu> = picture.ml.iter().flat_map(|m| &m.gpus).filter(is_its).collect();
    let busy: Vec<f64> = own.iter().filter_map(|g| g.utilisation.as_ref()).map(|r| r.value).collect();
    (!own.is_empty()).then(|| Stage {
        used: (!busy.is_empty()).then(|| busy.iter().sum::<f64>() / busy.len() as f64),
        parts: own.len(),
        workload: Some(view),
        ..blank(pipeline, Kind::Gpus, target.to_string())
    })
}

/// The bottleneck is the workload that breaks its objective and uses the most of what it holds; where none breaks its
/// objective, the one that is nearest to its limit, when that is near.
fn mark(stages: &mut [Stage<'_>]) {
    let weight = |s: &Stage<'_>| {
        let Kind::Workload(_) = s.kind else { return None };
        let broken = s.workload?.slo.as_ref()?.is_met() == Some(false);
        let used = s.used.unwrap_or(0.0);
        (broken || used > TIGHT).then_some((broken, used))
    };
    let worst = stages.iter().enumerate().filter_map(|(i, s)| Some((weight(s)?, i)));
    let worst = worst.max_by(|(a, _), (b, _)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))).map(|(_, i)| i);
    if let Some(stage) = worst.and_then(|i| stages.get_mut(i)) {
        stage.bottleneck = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Mode, tui::fixture};

    use WorkloadKind::{ConsumerGroup, Inference};

    #[test]
    fn stages_stand_in_the_order_of_the_flow_and_one_is_the_bottleneck() {
        let picture = fixture::picture(Mode::Watch);
        let all = stages(&picture);
        let told: Vec<(Kind, &str, bool)> = all.iter().map(|s| (s.kind, s.name.as_str(), s.bottleneck)).collect();
        assert_eq!(
            told,
            [
                (Kind::Topic, "payments.raw", false),
                (Kind::Workload(ConsumerGroup), "fraud-scorer", true),
                (Kind::Workload(Inference), "fraud-model", false),
                (Kind::Gpus, "fraud-model", false),
            ]
        );
    }

    #[test]
    fn a_workload_that_is_gone_keeps_its_place() {
        let mut picture = fixture::picture(Mode::Watch);
        picture.workloads.retain(|w| w.workload.name != *"fraud-scorer");
        let all = stages(&picture);
        assert_eq!(all[0].name, "fraud-scorer");
        assert!(all[0].workload.is_none() && all[1].bottleneck, "{all:#?}");
    }
}
