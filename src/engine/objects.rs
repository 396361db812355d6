//! Kubernetes' state with what concerns each target at hand: a pass asks for it for every workload, several times.

use crate::model::{Hpa, KubeState, KubeWorkload, Label, ScaledObject, Target, Vpa};
use std::{collections::HashMap, sync::Arc};

/// What Kubernetes said last.
pub(super) struct Objects {
    pub(super) state: Arc<KubeState>,
    workloads: HashMap<Target, usize>,
    /// Autoscalers by the name of what they scale.
    hpas: HashMap<Label, Vec<usize>>,
    kedas: HashMap<Label, Vec<usize>>,
    vpas: HashMap<Label, Vec<usize>>,
}

impl Objects {
    pub(super) fn new(state: Arc<KubeState>) -> Self {
        let mut workloads = HashMap::new();
        for (i, w) in state.workloads.iter().enumerate() {
            workloads.entry(w.target.clone()).or_insert(i);
        }
        Self {
            workloads,
            hpas: by_name(state.hpas.iter().map(|h| &h.target_name)),
            kedas: by_name(state.scaled_objects.iter().map(|s| &s.target_name)),
            vpas: by_name(state.vpas.iter().map(|v| &v.target_name)),
            state,
        }
    }

    /// The object that a target is.
    pub(super) fn workload(&self, target: &Target) -> Option<&KubeWorkload> {
        self.state.workloads.get(*self.workloads.get(target)?)
    }

    /// The HPA on a target.
    pub(super) fn hpa(&self, target: &Target) -> Option<&Hpa> {
        let found = at(&self.hpas, target, &self.state.hpas);
        found.into_iter().find(|h| is(target, &h.namespace, &h.target_kind))
    }

    /// The ScaledObject on a target.
    pub(super) fn scaled_object(&self, target: &Target) -> Option<&ScaledObject> {
        let found = at(&self.kedas, target, &self.state.scaled_objects);
        found.into_iter().find(|s| is(target, &s.namespace, &s.target_kind))
    }

    /// The VPA on a target.
    pub(super) fn vpa(&self, target: &Target) -> Option<&Vpa> {
        let found = at(&self.vpas, target, &self.state.vpas);
        found.into_iter().find(|v| is(target, &v.namespace, &v.target_kind))
    }
}

fn by_name<'a>(names: impl Iterator<Item = &'a Label>) -> HashMap<Label, Vec<usize>> {
    let mut all: HashMap<Label, Vec<usize>> = HashMap::new();
    for (i, name) in names.enumerate() {
        all.entry(name.clone()).or_default().push(i);
    }
    all
}

/// Those whose target has the name of this one.
fn at<'a, T>(places: &HashMap<Label, Vec<usize>>, target: &Target, all: &'a [T]) -> Vec<&'a T> {
    let name = target.kubernetes().map(|(_, _, name)| name);
    let found = name.and_then(|name| places.get(name)).into_iter().flatten();
    found.filter_map(|i| all.get(*i)).collect()
}

fn is(target: &Target, namespace: &Label, kind: &Label) -> bool {
    target.kubernetes().is_some_and(|(k, n, _)| n == namespace && *kind == k)
}
