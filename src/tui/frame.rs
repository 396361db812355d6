//! The large tables of one frame, each gathered once: a page, its charts and the footer ask for the same rows.

use super::{
    alerts::{Place, Spot},
    rows::{self, Named, Row},
    state::{Pane, State},
};
use crate::model::{Group, Label, Picture, WorkloadKind, WorkloadView};
use std::{cell::OnceCell, sync::Arc};

/// What is under the eyes: a picture, where the operator is in it, and the tables that were asked for so far.
#[derive(Debug)]
pub struct Frame<'a> {
    picture: &'a Picture,
    pub(super) state: &'a State,
    workloads: OnceCell<Vec<&'a Arc<WorkloadView>>>,
    groups: OnceCell<Vec<Row<'a, Group>>>,
    group_at: OnceCell<usize>,
    alerts: OnceCell<Vec<Spot<'a>>>,
    current: OnceCell<Option<&'a Arc<WorkloadView>>>,
}

impl<'a> Frame<'a> {
    /// Of the picture that is shown: on a frozen screen the frozen one ([`State::shown`]).
    pub fn new(picture: &'a Picture, state: &'a State) -> Self {
        Self {
            picture,
            state,
            workloads: OnceCell::new(),
            groups: OnceCell::new(),
            group_at: OnceCell::new(),
            alerts: OnceCell::new(),
            current: OnceCell::new(),
        }
    }

    /// As [`rows::workloads`].
    pub fn workloads(&self) -> &[&'a Arc<WorkloadView>] {
        self.workloads.get_or_init(|| rows::workloads(self.picture, self.state))
    }

    /// As [`rows::groups`].
    pub fn groups(&self) -> &[Row<'a, Group>] {
        self.groups.get_or_init(|| rows::groups(self.picture, self.state))
    }

    /// As [`rows::alerts`].
    pub fn alerts(&self) -> &[Spot<'a>] {
        self.alerts.get_or_init(|| rows::alerts(self.picture, self.state))
    }

    /// The line of the alert under the cursor.
    pub fn alert_at(&self) -> usize {
        let selected = self.state.selected(Pane::Alerts);
        selected.and_then(|s| self.alerts().iter().position(|a| a.id() == *s)).unwrap_or(0)
    }

    /// The line of the group under the cursor: the selected one, else the first.
    pub fn group_at(&self) -> usize {
        *self.group_at.get_or_init(|| rows::cursor(Pane::Groups, self.groups(), self.state))
    }

    /// That group.
    pub fn group(&self) -> Option<&Row<'a, Group>> {
        self.groups().get(self.group_at())
    }

    /// The workload under the cursor: the selected one, else the first; of a stage, an alert, an action or a line of the
    /// log the one that it is about, of a group, its partitions, a service or a queue the one that it is.
    pub fn workload(&self) -> Option<&'a Arc<WorkloadView>> {
        *self.current.get_or_init(|| match self.state.pane() {
            Pane::Stages => {
                let rows = rows::stages(self.picture, self.state);
                let at = rows::position(rows.iter().map(|s| &s.id), self.state.selected(Pane::Stages));
                rows.get(at)?.workload
            }
            Pane::Alerts => match self.alerts().get(self.alert_at())?.place() {
                Place::Workload(name) => self.picture.workload(name.as_str()),
                Place::Row(..) | Place::Here => None,
            },
            Pane::Groups | Pane::Partitions => {
                let row = self.group()?;
                self.picture.workloads.entity(WorkloadKind::ConsumerGroup, row.source, &row.item.group)
            }
            Pane::Actions => {
                let rows = rows::actions(self.picture, self.state);
                let at = rows::position(rows.iter().map(|a| &a.id.0), self.state.selected(Pane::Actions));
                self.picture.workload(rows.get(at)?.workload.as_str())
            }
            Pane::Log => {
                let rows = rows::log(self.state);
                self.picture.workload(rows.get(rows::log_at(&rows, self.state))?.about.as_ref()?.as_str())
            }
            Pane::Services => self.named(Pane::Services, WorkloadKind::Inference, rows::services, |s| &s.name),
            Pane::Queues => self.named(Pane::Queues, WorkloadKind::Batch, rows::queues, |q| &q.name),
            _ => self.selected_workload(),
        })
    }

    /// The workload that the row under the cursor of a table is.
    fn named<T: Named>(
        &self,
        pane: Pane,
        kind: WorkloadKind,
        rows: fn(&'a Picture, &State) -> Vec<Row<'a, T>>,
        name: fn(&T) -> &Label,
    ) -> Option<&'a Arc<WorkloadView>> {
        let rows = rows(self.picture, self.state);
        let row = rows.get(rows::cursor(pane, &rows, self.state))?;
        self.picture.workloads.entity(kind, row.source, name(row.item))
    }

    /// A page about one workload stays with it: what the filter says and what is gone puts no other in its place, where
    /// the next key might decide about it.
    fn selected_workload(&self) -> Option<&'a Arc<WorkloadView>> {
        let name = self.state.selected(Pane::Workloads);
        // The selected one needs no order, which of thousands takes milliseconds.
        let selected = name.and_then(|name| self.picture.workload(name.as_str()));
        if name.is_some() && self.state.view.is_of_one() {
            return selected;
        }
        match selected.filter(|w| rows::passes_alone(w, self.state)) {
            Some(selected) => Some(selected),
            None => rows::workload_of(self.workloads(), self.state),
        }
    }

    /// Whether a table has any rows.
    pub fn any(&self, pane: Pane) -> bool {
        let (picture, state) = (self.picture, self.state);
        let all = state.filter.is_empty(); // then nothing has to be put in order
        match pane {
            Pane::Workloads if all => !picture.workloads.is_empty(),
            Pane::Groups if all => picture.clusters.iter().any(|c| !c.groups.is_empty()),
            Pane::Topics if all => picture.clusters.iter().any(|c| !c.topics.is_empty()),
            Pane::Workloads => !self.workloads().is_empty(),
            Pane::Groups => !self.groups().is_empty(),
            Pane::Topics => !rows::topics(picture, state).is_empty(),
            Pane::Partitions => self.group().is_some_and(|g| !g.item.partitions.is_empty()),
            Pane::Alerts => !self.alerts().is_empty(),
            _ => !rows::ids(pane, picture, state).is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Mode, tui::fixture};

    #[test]
    fn what_was_changed_is_found_as_it_is_now() {
        let mut workloads = fixture::picture(Mode::Watch).workloads;
        for view in &workloads.clone() {
            let (name, e) = (view.workload.name.as_str(), &view.workload.entity);
            assert!(Arc::ptr_eq(workloads.named(name).unwrap(), view), "{name}");
            assert!(Arc::ptr_eq(workloads.entity(e.kind, &e.source, &e.id).unwrap(), view), "{name}");
        }
        let first = workloads.remove(0);
        let e = &first.workload.entity;
        assert!(workloads.named(first.workload.name.as_str()).is_none());
        assert!(workloads.entity(e.kind, &e.source, &e.id).is_none());
        assert!(workloads.iter().all(|w| workloads.named(w.workload.name.as_str()).is_some()));
    }

    #[test]
    fn the_cursor_is_on_the_selected_row_and_on_the_first_when_it_is_gone() {
        let picture = fixture::picture(Mode::Watch);
        let mut state = State::default();
        let second = Frame::new(&picture, &state).groups()[1].id().label();
        state.selected.insert(Pane::Groups, second);
        assert_eq!(Frame::new(&picture, &state).group_at(), 1);
        state.selected.insert(Pane::Groups, "prod/gone".into());
        assert_eq!(Frame::new(&picture, &state).group_at(), 0);
    }
}
