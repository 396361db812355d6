//! The rows of every table, filtered and in the order in which they are drawn: what the cursor moves over.
//!
//! Views draw exactly these rows and `update` moves over exactly these, so that the two cannot differ.

use super::{
    alerts::{self, Spot},
    filter::{Facts, Filter},
    frame::Frame,
    id::Id,
    log::Entry,
    pipeline::{self, Stage},
    state::{Pane, Sort, State},
};
use crate::model::{
    Action, Broker, BrokerState, Glance, Gpu, Group, GroupPartition, KafkaCluster, Label, Picture, Queue, Service,
    Topic, Training, WorkloadKind, WorkloadView,
};
use std::{collections::HashMap, sync::Arc};

/// One row: the thing, and where it was seen. Thousands are put in order in every frame, so a row is two pointers.
#[derive(Debug)]
pub struct Row<'a, T> {
    /// Name of the cluster or source.
    pub source: &'a Label,
    /// The thing.
    pub item: &'a T,
}

/// What has a name within its source.
pub trait Named {
    /// The id that [`State::selected`] holds.
    fn id<'a>(&'a self, source: &'a Label) -> Id<'a>;
}

impl<'a, T: Named> Row<'a, T> {
    /// What it is called for the cursor.
    pub fn id(&self) -> Id<'a> {
        self.item.id(self.source)
    }
}

impl Named for Broker {
    fn id<'a>(&'a self, source: &'a Label) -> Id<'a> {
        Id::new([source.as_str()]).numbered(self.id)
    }
}

impl Named for GroupPartition {
    /// The same for every group, so that the cursor stays on a partition while groups are compared.
    fn id<'a>(&'a self, source: &'a Label) -> Id<'a> {
        Id::new([source.as_str(), self.topic.as_str()]).numbered(self.partition)
    }
}

impl Named for Gpu {
    fn id<'a>(&'a self, source: &'a Label) -> Id<'a> {
        Id::new([source.as_str(), self.host.as_str(), self.gpu.as_str()])
    }
}

impl Named for Group {
    fn id<'a>(&'a self, source: &'a Label) -> Id<'a> {
        Id::new([source.as_str(), self.group.as_str()])
    }
}

/// By source and name.
macro_rules! named {
    ($($thing:ty),*) => {$(
        impl Named for $thing {
            fn id<'a>(&'a self, source: &'a Label) -> Id<'a> {
                Id::new([source.as_str(), self.name.as_str()])
            }
        }
    )*};
}
named!(Topic, Service, Queue, Training);

/// Workloads.
pub fn workloads<'a>(picture: &'a Picture, state: &State) -> Vec<&'a Arc<WorkloadView>> {
    let (all, glances) = (&picture.workloads, picture.workloads.glances());
    let filter = Filter::parse(&state.filter);
    let wanted = |i: &usize| passes(&filter, &glances[*i], &all[*i], state);
    let mut rows: Vec<usize> = match state.sort {
        Sort::Name => all.by_name().iter().copied().filter(wanted).collect(),
        _ => (0..all.len()).filter(wanted).collect(),
    };
    let most = |value: fn(&Glance) -> Option<f64>| {
        // Thousandths: latencies are less than a second.
        move |i: &usize| std::cmp::Reverse(value(&glances[*i]).map_or(-1, |v| (v * 1e3) as i64))
    };
    match state.sort {
        Sort::Worst | Sort::Name => {}
        Sort::Demand => rows.sort_by_key(most(|g| g.demand)),
        Sort::Backlog => rows.sort_by_key(most(|g| g.backlog)),
        Sort::Behind => rows.sort_by_key(most(|g| g.behind)),
    }
    if state.reverse {
        rows.reverse();
    }
    if !state.marked.is_empty() {
        rows.sort_by_key(|i| !state.marked.contains(&glances[*i].name));
    }
    rows.into_iter().map(|i| &all[i]).collect()
}

fn passes(filter: &Filter, glance: &Glance, view: &WorkloadView, state: &State) -> bool {
    filter.is_empty() || {
        let marked = !state.marked.is_empty() && state.marked.contains(&glance.name);
        filter.matches(&Facts { marked, ..Facts::of(glance, view) })
    }
}

/// Whether the filter lets a workload through.
pub(super) fn passes_alone(view: &WorkloadView, state: &State) -> bool {
    passes(&Filter::parse(&state.filter), &Glance::of(view), view, state)
}

/// Brokers of every cluster: those that do not answer first, then those with under-replicated partitions.
pub fn brokers<'a>(picture: &'a Picture, state: &State) -> Vec<Row<'a, Broker>> {
    let mut rows = each_cluster(picture, |c| c.brokers.iter().map(|item| Row { source: &c.name, item }));
    rows.sort_by_key(|r| (r.item.state == BrokerState::Up, std::cmp::Reverse(r.item.under_replicated)));
    named(rows, state)
}

/// Topics of every cluster: those with partitions offline, then under-replicated ones first; internal ones last.
pub fn topics<'a>(picture: &'a Picture, state: &State) -> Vec<Row<'a, Topic>> {
    let mut rows = each_cluster(picture, |c| c.topics.iter().map(|item| Row { source: &c.name, item }));
    rows.sort_by_key(|Row { item, .. }| {
        (item.internal, std::cmp::Reverse((item.sums.offline, item.sums.under_replicated)))
    });
    named(rows, state)
}

/// Consumer groups of every cluster, the largest lag first.
pub fn groups<'a>(picture: &'a Picture, state: &State) -> Vec<Row<'a, Group>> {
    let mut rows = each_cluster(picture, |c| c.groups.iter().map(|item| Row { source: &c.name, item }));
    let filter = Filter::parse(&state.filter);
    let wanted = |r: &Row<'_, Group>| {
        let (lag, behind) = (r.item.lag.map(|l| l as f64), r.item.time_lag);
        let name = r.id().to_string();
        filter.matches(&Facts { lag, behind, kind: Some(WorkloadKind::ConsumerGroup), ..Facts::named(&name) })
    };
    rows.retain(|r| filter.is_empty() || wanted(r));
    rows.sort_by_cached_key(|r| std::cmp::Reverse(r.item.lag));
    rows
}

/// Partitions of the group under the cursor, as the group sees them.
pub fn partitions<'a>(picture: &'a Picture, state: &'a State) -> Vec<Row<'a, GroupPartition>> {
    Frame::new(picture, state).group().map_or_else(Vec::new, partitions_of)
}

/// Partitions of a group, as it sees them: unknown ones first, then the one with the largest lag, then the others in steps
/// of twice as much lag, so that rows do not dance with every refresh. Not filtered: the filter chose the group.
pub fn partitions_of<'a>(group: &Row<'a, Group>) -> Vec<Row<'a, GroupPartition>> {
    let mut rows: Vec<_> = group.item.partitions.iter().map(|item| Row { source: group.source, item }).collect();
    let step = |lag: u64| u64::BITS - lag.leading_zeros();
    rows.sort_by_cached_key(|r| (r.item.lag.is_some(), std::cmp::Reverse(r.item.lag.map(step))));
    let known = rows.partition_point(|r| r.item.lag.is_none());
    let most = rows[known..].iter().map(|r| r.item.lag).max();
    if let Some(at) = rows[known..].iter().position(|r| Some(r.item.lag) == most) {
        rows[known..=known + at].rotate_right(1);
    }
    rows
}

/// GPUs of every source: those with a hardware error (XID) first.
pub fn gpus<'a>(picture: &'a Picture, state: &State) -> Vec<Row<'a, Gpu>> {
    let rows = picture.ml.iter().flat_map(|m| m.gpus.iter().map(|item| Row { source: &m.source, item }));
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|r| !r.item.xid.as_ref().is_some_and(|xid| xid.value > 0.0));
    named(rows, state)
}

/// Inference services of every source, in the order of the workloads that they are: worst first.
pub fn services<'a>(picture: &'a Picture, state: &State) -> Vec<Row<'a, Service>> {
    let rows = picture.ml.iter().flat_map(|m| m.services.iter().map(|item| Row { source: &m.source, item }));
    let entities = picture.workloads.iter().map(|v| &v.workload.entity).enumerate();
    let places: HashMap<(&Label, &Label), usize> = entities
        .filter(|(_, e)| e.kind == WorkloadKind::Inference)
        .map(|(place, e)| ((&e.source, &e.id), place))
        .collect();
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_cached_key(|r| places.get(&(r.source, &r.item.name)).copied().unwrap_or(usize::MAX));
    named(rows, state)
}

/// Work queues of every source.
pub fn queues<'a>(picture: &'a Picture, state: &State) -> Vec<Row<'a, Queue>> {
    let rows = picture.ml.iter().flat_map(|m| m.queues.iter().map(|item| Row { source: &m.source, item }));
    named(rows.collect(), state)
}

/// Training runs of every source.
pub fn trainings<'a>(picture: &'a Picture, state: &State) -> Vec<Row<'a, Training>> {
    let rows = picture.ml.iter().flat_map(|m| m.trainings.iter().map(|item| Row { source: &m.source, item }));
    named(rows.collect(), state)
}

/// Actions: those under way first, then the newest.
pub fn actions<'a>(picture: &'a Picture, state: &State) -> Vec<&'a Action> {
    let filter = Filter::parse(&state.filter);
    let wanted = |a: &&Action| {
        let name = format!("{} {}", a.workload, a.actor); // whose it was is asked as often
        filter.is_empty() || filter.matches(&Facts { action: Some(a.state), ..Facts::named(&name) })
    };
    let mut rows: Vec<_> = picture.actions.iter().filter(wanted).collect();
    rows.sort_by_key(|a| a.state.is_final());
    rows
}

/// What is wrong, worst first.
pub fn alerts<'a>(picture: &'a Picture, state: &State) -> Vec<Spot<'a>> {
    let filter = Filter::parse(&state.filter);
    let mut rows = alerts::alerts(picture);
    let wanted = |a: &Spot<'_>| filter.matches(&Facts { severity: Some(a.severity), ..Facts::named(&a.subject()) });
    rows.retain(|a| filter.is_empty() || wanted(a));
    rows
}

/// Stages of every pipeline, upstream first.
pub fn stages<'a>(picture: &'a Picture, state: &State) -> Vec<Stage<'a>> {
    let filter = Filter::parse(&state.filter);
    let mut rows = pipeline::stages(picture);
    rows.retain(|s| filter.matches(&Facts::named(s.id.as_str())));
    rows
}

/// What changed since the start, newest first.
pub fn log(state: &State) -> Vec<&Entry> {
    let filter = Filter::parse(&state.filter);
    let rows = state.log.newest();
    rows.filter(|e| filter.matches(&Facts { severity: Some(e.severity), ..Facts::named(&e.text) })).collect()
}

/// The line of the cursor among those.
pub fn log_at(rows: &[&Entry], state: &State) -> usize {
    let number = state.selected(Pane::Log).and_then(|id| id.as_str().parse().ok());
    rows.iter().position(|e| Some(e.number) == number).unwrap_or(0)
}

/// The ids of a table's rows, in order.
pub fn ids(pane: Pane, picture: &Picture, state: &State) -> Vec<Label> {
    fn of<T: Named>(rows: &[Row<'_, T>]) -> Vec<Label> {
        rows.iter().map(|r| r.id().label()).collect()
    }
    match pane {
        Pane::Workloads => workloads(picture, state).iter().map(|w| w.workload.name.clone()).collect(),
        Pane::Brokers => of(&brokers(picture, state)),
        Pane::Topics => of(&topics(picture, state)),
        Pane::Groups => of(&groups(picture, state)),
        Pane::Partitions => of(&partitions(picture, state)),
        Pane::Gpus => of(&gpus(picture, state)),
        Pane::Services => of(&services(picture, state)),
        Pane::Queues => of(&queues(picture, state)),
        Pane::Trainings => of(&trainings(picture, state)),
        Pane::Actions => actions(picture, state).iter().map(|a| a.id.0.clone()).collect(),
        Pane::Alerts => alerts(picture, state).iter().map(|a| a.id().label()).collect(),
        Pane::Stages => stages(picture, state).into_iter().map(|s| s.id).collect(),
        Pane::Log => log(state).iter().map(|e| e.id()).collect(),
    }
}

/// The row under the cursor as one line of text, for a clipboard.
pub fn line(picture: &Picture, state: &State) -> Option<String> {
    let pane = state.pane();
    let ids = ids(pane, picture, state);
    let at = position(ids.iter(), state.selected(pane));
    Some(match pane {
        Pane::Alerts => {
            let alert = alerts(picture, state).get(at).copied()?;
            format!("{} {}: {}", alerts::word(alert.severity), alert.subject(), alert.trouble(picture).text)
        }
        Pane::Log => log(state).get(at).map(|e| format!("{} {}", e.at, e.text))?,
        Pane::Actions => {
            let action = actions(picture, state).into_iter().nth(at)?;
            format!("{} {}", action.id, action.request)
        }
        // Sources stand before the names of what is on Kafka and ML pages.
        _ => ids.get(at)?.as_str().to_owned(),
    })
}

/// The line of the selected id; the first line when nothing is selected or it is gone.
pub fn position<'i>(mut ids: impl Iterator<Item = &'i Label>, selected: Option<&Label>) -> usize {
    selected.and_then(|s| ids.position(|id| id == s)).unwrap_or(0)
}

/// The line of the cursor among the rows of a table.
pub fn cursor<T: Named>(pane: Pane, rows: &[Row<'_, T>], state: &State) -> usize {
    state.selected(pane).and_then(|s| rows.iter().position(|r| r.id() == *s)).unwrap_or(0)
}

/// The workload under the cursor, see [`Frame::workload`].
pub fn current_workload<'a>(picture: &'a Picture, state: &'a State) -> Option<&'a Arc<WorkloadView>> {
    Frame::new(picture, state).workload()
}

/// The workload under the cursor of these rows of [`workloads`].
pub fn workload_of<'a>(rows: &[&'a Arc<WorkloadView>], state: &State) -> Option<&'a Arc<WorkloadView>> {
    rows.get(workload_at(rows, state)).copied()
}

/// Its line.
pub fn workload_at(rows: &[&Arc<WorkloadView>], state: &State) -> usize {
    let selected = state.selected(Pane::Workloads);
    selected.and_then(|s| rows.iter().position(|w| w.workload.name == *s)).unwrap_or(0)
}

/// The lines of a table that are drawn when `height` fit: the cursor stays near the middle.
pub fn window(cursor: usize, len: usize, height: usize) -> std::ops::Range<usize> {
    let first = cursor.saturating_sub(height / 2).min(len.saturating_sub(height));
    first..(first + height).min(len)
}

/// The rows whose id the filter lets through.
fn named<'a, T: Named>(mut rows: Vec<Row<'a, T>>, state: &State) -> Vec<Row<'a, T>> {
    let filter = Filter::parse(&state.filter);
    rows.retain(|r| filter.is_empty() || filter.matches(&Facts::named(&r.id().to_string())));
    rows
}

fn each_cluster<'a, T, I>(picture: &'a Picture, rows: impl Fn(&'a KafkaCluster) -> I) -> Vec<Row<'a, T>>
where
    I: Iterator<Item = Row<'a, T>>,
{
    picture.clusters.iter().flat_map(|c| rows(c)).collect()
}
