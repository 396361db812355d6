//! The workloads of a picture: worst first, and found by name or by what they are without a look at each of thousands.

use super::{Entity, Label, WorkloadKind, WorkloadView};
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

/// For a change: what was known of places is not.
impl Clone for Listed {
    fn clone(&self) -> Self {
        Self { rows: self.rows.clone(), places: OnceLock::new() }
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
        listed.places = OnceLock::new();
        &mut listed.rows
    }
}

impl From<Vec<Arc<WorkloadView>>> for Workloads {
    fn from(rows: Vec<Arc<WorkloadView>>) -> Self {
        Self(Arc::new(Listed { rows, places: OnceLock::new() }))
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
