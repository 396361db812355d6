//! The workloads of a picture: worst first; found by name or by what they are, counted and put in another order without a
//! look at each of thousands, which lie all over memory.

use super::{Entity, Label, Role, Severity, Time, WorkloadKind, WorkloadView};
use serde::{Serialize, Serializer};
use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    sync::{Arc, OnceLock},
};

/// A list of workloads. It is looked through when somebody first asks for one of them, and not again before the list is
/// changed; pictures with the same workloads share it.
///
/// ```
/// use highwater::model::Workloads;
/// assert!(Workloads::default().named("orders").is_none());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Workloads(Arc<Listed>);

#[derive(Debug, Default)]
struct Listed {
    rows: Vec<Arc<WorkloadView>>,
    places: OnceLock<Places>,
    glances: OnceLock<Vec<Glance>>,
    by_name: OnceLock<Vec<usize>>,
}

/// What tables count, filter and order workloads by.
#[derive(Clone, Debug, PartialEq)]
pub struct Glance {
    /// Its name.
    pub name: Label,
    /// Its kind.
    pub kind: WorkloadKind,
    /// How bad it is.
    pub severity: Severity,
    /// Until when nobody wants to hear of it.
    pub snoozed: Option<Time>,
    /// Records or requests a second; of this and the next two `None` when there is no such reading.
    pub demand: Option<f64>,
    /// Records or requests that wait.
    pub backlog: Option<f64>,
    /// Seconds behind; of what has none, its latency.
    pub behind: Option<f64>,
}

impl Glance {
    /// Of one workload.
    pub fn of(view: &WorkloadView) -> Self {
        let now = |role| view.signal(role).and_then(|s| s.now.as_ref()).map(|r| r.value);
        Self {
            name: view.workload.name.clone(),
            kind: view.workload.entity.kind,
            severity: view.severity,
            snoozed: view.snoozed,
            demand: now(Role::Demand),
            backlog: now(Role::Backlog).or_else(|| now(Role::Queue)),
            behind: now(Role::TimeLag).or_else(|| now(Role::Latency)),
        }
    }
}

/// The first row of each name, and of each thing as its source sees it.
#[derive(Debug, Default)]
struct Places {
    named: HashMap<Label, usize>,
    entities: HashMap<Entity, usize>,
}

impl Workloads {
    /// The workload of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<WorkloadView>> {
        self.0.rows.get(*self.places().named.get(name)?)
    }

    /// The workload that a group, service or queue is, by its source and its id there.
    pub fn entity(&self, kind: WorkloadKind, source: &Label, id: &Label) -> Option<&Arc<WorkloadView>> {
        let entity = Entity { kind, source: source.clone(), id: id.clone() };
        self.0.rows.get(*self.places().entities.get(&entity)?)
    }

    /// Finds out now what would be found out when it is first asked for.
    pub fn look_through(&self) {
        self.places();
        self.by_name();
    }

    /// What is counted and ordered by, of each workload, in the order of the list.
    pub fn glances(&self) -> &[Glance] {
        self.0.glances.get_or_init(|| self.0.rows.iter().map(|view| Glance::of(view)).collect())
    }

    /// The places of the workloads in the list, in the order of their names.
    pub fn by_name(&self) -> &[usize] {
        self.0.by_name.get_or_init(|| {
            let glances = self.glances();
            let mut places: Vec<usize> = (0..glances.len()).collect();
            places.sort_by_cached_key(|i| alphabetic(glances[*i].name.as_str()));
            places
        })
    }

    fn places(&self) -> &Places {
        self.0.places.get_or_init(|| {
            let mut places = Places::default();
            for (i, view) in self.0.rows.iter().enumerate().rev() {
                places.named.insert(view.workload.name.clone(), i);
                places.entities.insert(view.workload.entity.clone(), i);
            }
            places
        })
    }
}

/// A key that orders as the name does; most pairs are told apart without a look at the names themselves.
fn alphabetic(name: &str) -> (u128, &str) {
    let mut first = [0; 16];
    first.iter_mut().zip(name.bytes()).for_each(|(to, byte)| *to = byte);
    (u128::from_be_bytes(first), name)
}

/// For a change: what was known of the rows is not.
impl Clone for Listed {
    fn clone(&self) -> Self {
        Self { rows: self.rows.clone(), ..Self::default() }
    }
}

impl Deref for Workloads {
    type Target = Vec<Arc<WorkloadView>>;

    fn deref(&self) -> &Self::Target {
        &self.0.rows
    }
}

impl DerefMut for Workloads {
    fn deref_mut(&mut self) -> &mut Self::Target {
        let listed = Arc::make_mut(&mut self.0);
        *listed = Listed { rows: std::mem::take(&mut listed.rows), ..Listed::default() };
        &mut listed.rows
    }
}

impl From<Vec<Arc<WorkloadView>>> for Workloads {
    fn from(rows: Vec<Arc<WorkloadView>>) -> Self {
        Self(Arc::new(Listed { rows, ..Listed::default() }))
    }
}

impl FromIterator<Arc<WorkloadView>> for Workloads {
    fn from_iter<I: IntoIterator<Item = Arc<WorkloadView>>>(rows: I) -> Self {
        Vec::from_iter(rows).into()
    }
}

impl<'a> IntoIterator for &'a Workloads {
    type Item = &'a Arc<WorkloadView>;
    type IntoIter = std::slice::Iter<'a, Arc<WorkloadView>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.rows.iter()
    }
}

impl Serialize for Workloads {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.rows.serialize(serializer)
    }
}
