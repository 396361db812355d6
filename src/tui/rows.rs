//! The rows of every table, filtered and in the order in which they are drawn: what the cursor moves over.
//!
//! Views draw exactly these rows and `update` moves over exactly these, so that the two cannot differ.

use super::{
    alerts::{self, Place, Spot},
    filter::{Facts, Filter},
    id::Id,
    log::Entry,
    pipeline::{self, Stage},
    state::{Pane, Sort, State},
};
use crate::model::{
    Action, Broker, BrokerState, Gpu, Group, GroupPartition, KafkaCluster, Label, Picture, Queue, Role, Service, Topic,
    Training, WorkloadKind, WorkloadView,
};
use std::{collections::HashMap, sync::Arc};

/// One row: what it is called for the cursor, where it was seen, and the thing.
#[derive(Debug)]
pub struct Row<'a, T> {
    /// The id that [`State::selected`] holds.
    pub id: Id<'a>,
    /// Name of the cluster or source.
    pub source: &'a Label,
    /// The thing.
    pub item: &'a T,
}

/// Workloads.
pub fn workloads<'a>(picture: &'a Picture, state: &State) -> Vec<&'a Arc<WorkloadView>> {
    let filter = Filter::parse(&state.filter);
    let mut rows: Vec<_> = picture.workloads.iter().filter(|w| passes(&filter, w, state)).collect();
    let by = |role: Role| {
        move |w: &&Arc<WorkloadView>| {
            std::cmp::Reverse(w.signal(role).and_then(|s| s.now.as_ref()).map_or(-1, |r| r.value as i64))
        }
    };
    match state.sort {
        Sort::Worst => {}
        Sort::Name => rows.sort_by_cached_key(|w| w.workload.name.clone()),
        // Cached: a key is looked up in a list of signals.
        Sort::Demand => rows.sort_by_cached_key(by(Role::Demand)),
        Sort::Backlog => rows.sort_by_cached_key(by(Role::Backlog)),
        Sort::Behind => rows.sort_by_cached_key(by(Role::TimeLag)),
    }
    if state.reverse {
        rows.reverse();
    }
    if !state.marked.is_empty() {
        rows.sort_by_key(|w| !state.marked.contains(&w.workload.name));
    }
    rows
}

fn passes(filter: &Filter, w: &WorkloadView, state: &State) -> bool {
    filter.is_empty() || filter.matches(&Facts { marked: state.marked.contains(&w.workload.name), ..Facts::of(w) })
}

/// Brokers of every cluster: those that do not answer first, then those with under-replicated partitions.
pub fn brokers<'a>(picture: &'a Picture, state: &State) -> Vec<Row<'a, Broker>> {
    let mut rows = each_cluster(picture, |c| {
        c.brokers.iter().map(|b| Row { id: Id::new([c.name.as_str()]).numbered(b.id), source: &c.name, item: b })
    });
    rows.sort_by_key(|r| (r.item.state == BrokerState::Up, std::cmp::Reverse(r.item.under_replicated)));
    named(rows, state)
}

/// Topics of every cluster: those with partitions offline, then under-replicated ones first; internal ones last.
pub fn topics<'a>(picture: &'a Picture, state: &State) -> Vec<Row<'a, Topic>> {
    let mut rows = each_cluster(picture, |c| {
        c.topics.iter().map(|t| Row { id: Id::new([c.name.as_str(), t.name.as_str()]), source: &c.name, item: t })
    });
    let trouble = |t: &Topic| {
        let offline = t.partitions.iter().filter(|p| p.leader.is_none()).count();
        (offline, t.partitions.iter().filter(|p| p.is_under_replicated()).count())
    };
    rows.sort_by_cached_key(|r| (r.item.internal, std::cmp::Reverse(trouble(r.item))));
    named(rows, state)
}

/// Consumer groups of every cluster, the largest lag first.
pub fn groups<'a>(picture: &'a Picture, state: &State) -> Vec<Row<'a, Group>> {
    let mut rows = each_cluster(picture, |c| {
        c.groups.iter().map(|g| Row { id: Id::new([c.name.as_str(), g.group.as_str()]), source: &c.name, item: g })
    });
    let filter = Filter::parse(&state.filter);
    let wanted = |r: &Row<'_, Group>| {
        let (lag, behind) = (r.item.lag.map(|l| l as f64), r.item.time_lag);
        let name = r.id.to_string();
        filter.matches(&Facts { lag, behind, kind: Some(WorkloadKind::ConsumerGroup), ..Facts::named(&name) })
    };
    rows.retain(|r| filter.is_empty() || wanted(r));
    rows.sort_by_cached_key(|r| std::cmp::Reverse(r.item.lag));
    rows
}

/// The group under the cursor of these rows of [`groups`]: the selected one, else the first.
pub fn current_group<'r, 'a>(groups: &'r [Row<'a, Group>], state: &State) -> Option<&'r Row<'a, Group>> {
    groups.get(position(groups.iter().map(|r| &r.id), state.selected(Pane::Groups)))
}

/// Partitions of the group under the cursor, as the group sees them.
pub fn partitions<'a>(picture: &'a Picture, state: &State) -> Vec<Row<'a, GroupPartition>> {
    current_group(&groups(picture, state), state).map_or_else(Vec::new, partitions_of)
}

/// Partitions of a group, as it sees them: unknown ones first, then the largest lag, in steps of twice as much, so that
/// rows do not dance with every refresh. Not filtered: the filter chose the group.
pub fn partitions_of<'a>(group: &Row<'a, Group>) -> Vec<Row<'a, GroupPartition>> {
    let (source, name) = (group.source, group.item.group.as_str());
    let row = |p: &'a GroupPartition| Row {
        id: Id::new([source.as_str(), name, p.topic.as_str()]).numbered(p.partition),
        source,
        item: p,
    };
    let mut order: Vec<&GroupPartition> = group.item.partitions.iter().collect();
    let step = |lag: u64| u64::BITS - lag.leading_zeros();
    order.sort_by_cached_key(|p| (p.lag.is_some(), std::cmp::Reverse(p.lag.map(step))));
    order.into_iter().map(row).collect()
}

/// GPUs of every source: those with a hardware error (XID) first.
pub fn gpus<'a>(picture: &'a Picture, state: &State) -> Vec<Row<'a, Gpu>> {
    let rows = picture.ml.iter().flat_map(|m| {
        m.gpus.iter().map(move |g| Row {
            id: Id::new([m.source.as_str(), g.host.as_str(), g.gpu.as_str()]),
            source: &m.source,
            item: g,
        })
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|r| !r.item.xid.as_ref().is_some_and(|xid| xid.value > 0.0));
    named(rows, state)
}

/// Inference services of every source, in the order of the workloads that they are: worst first.
pub fn services<'a>(picture: &'a Picture, state: &State) -> Vec<Row<'a, Service>> {
    let rows = picture.ml.iter().flat_map(|m| {
        m.services.iter().map(move |s| Row {
            id: Id::new([m.source.as_str(), s.name.as_str()]),
            source: &m.source,
            item: s,
        })
    });
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
    let rows = picture.ml.iter().flat_map(|m| {
        m.queues.iter().map(move |q| Row {
            id: Id::new([m.source.as_str(), q.name.as_str()]),
            source: &m.source,
            item: q,
        })
    });
    named(rows.collect(), state)
}

/// Training runs of every source.
pub fn trainings<'a>(picture: &'a Picture, state: &State) -> Vec<Row<'a, Training>> {
    let rows = picture.ml.iter().flat_map(|m| {
        m.trainings.iter().map(move |t| Row {
            id: Id::new([m.source.as_str(), t.name.as_str()]),
            source: &m.source,
            item: t,
        })
    });
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

/// The ids of a table's rows, in order.
pub fn ids(pane: Pane, picture: &Picture, state: &State) -> Vec<Label> {
    fn of<T>(rows: Vec<Row<'_, T>>) -> Vec<Label> {
        rows.into_iter().map(|r| r.id.label()).collect()
    }
    match pane {
        Pane::Workloads => workloads(picture, state).iter().map(|w| w.workload.name.clone()).collect(),
        Pane::Brokers => of(brokers(picture, state)),
        Pane::Topics => of(topics(picture, state)),
        Pane::Groups => of(groups(picture, state)),
        Pane::Partitions => of(partitions(picture, state)),
        Pane::Gpus => of(gpus(picture, state)),
        Pane::Services => of(services(picture, state)),
        Pane::Queues => of(queues(picture, state)),
        Pane::Trainings => of(trainings(picture, state)),
        Pane::Actions => actions(picture, state).iter().map(|a| a.id.0.clone()).collect(),
        Pane::Alerts => alerts(picture, state).iter().map(|a| a.id.label()).collect(),
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
            let rows = alerts(picture, state);
            let alert = rows.get(at)?;
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

/// Whether a table has any rows.
pub fn any(pane: Pane, picture: &Picture, state: &State) -> bool {
    let all = state.filter.is_empty(); // then nothing has to be put in order
    match pane {
        Pane::Workloads if all => !picture.workloads.is_empty(),
        Pane::Groups if all => picture.clusters.iter().any(|c| !c.groups.is_empty()),
        Pane::Topics if all => picture.clusters.iter().any(|c| !c.topics.is_empty()),
        Pane::Workloads => !workloads(picture, state).is_empty(),
        Pane::Groups => !groups(picture, state).is_empty(),
        Pane::Topics => !topics(picture, state).is_empty(),
        Pane::Partitions => {
            current_group(&groups(picture, state), state).is_some_and(|g| !g.item.partitions.is_empty())
        }
        Pane::Alerts => !alerts(picture, state).is_empty(),
        _ => !ids(pane, picture, state).is_empty(),
    }
}

/// The line of the selected id; the first line when nothing is selected or it is gone.
pub fn position<'i, I>(mut ids: impl Iterator<Item = &'i I>, selected: Option<&Label>) -> usize
where
    I: PartialEq<Label> + 'i,
{
    selected.and_then(|s| ids.position(|i| *i == *s)).unwrap_or(0)
}

/// The workload under the cursor: the selected one, else the first; of a stage or an alert the one that it is about.
pub fn current_workload<'a>(picture: &'a Picture, state: &State) -> Option<&'a Arc<WorkloadView>> {
    match state.pane() {
        Pane::Stages => {
            let rows = stages(picture, state);
            let at = position(rows.iter().map(|s| &s.id), state.selected(Pane::Stages));
            return rows.get(at)?.workload;
        }
        Pane::Alerts => {
            let rows = alerts(picture, state);
            let at = position(rows.iter().map(|a| &a.id), state.selected(Pane::Alerts));
            let Place::Workload(name) = rows.get(at)?.place() else { return None };
            return picture.workload(name.as_str());
        }
        _ => {}
    }
    // The selected one needs no order, which of thousands takes milliseconds.
    let selected = state.selected(Pane::Workloads).and_then(|name| picture.workload(name.as_str()));
    match selected.filter(|w| passes(&Filter::parse(&state.filter), w, state)) {
        Some(selected) => Some(selected),
        None => workload_of(&workloads(picture, state), state),
    }
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
fn named<'a, T>(mut rows: Vec<Row<'a, T>>, state: &State) -> Vec<Row<'a, T>> {
    let filter = Filter::parse(&state.filter);
    rows.retain(|r| filter.is_empty() || filter.matches(&Facts::named(&r.id.to_string())));
    rows
}

fn each_cluster<'a, T, I>(picture: &'a Picture, rows: impl Fn(&'a KafkaCluster) -> I) -> Vec<Row<'a, T>>
where
    I: Iterator<Item = Row<'a, T>>,
{
    picture.clusters.iter().flat_map(|c| rows(c)).collect()
}
