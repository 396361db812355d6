//! The controllers of this world: the HPA controller and KEDA, deciding with the very policies that `replay` uses.

use super::state::State;
use crate::policy::{
    hpa::{Autoscaler, Bounds, Controller, average_value},
    keda,
};

/// Manager under which the HPA controller writes `/scale`.
const MANAGER: &str = "kube-controller-manager";

/// Where an HPA's one metric comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Metric {
    /// An external metric: the group's lag, `AverageValue` per replica.
    Lag(i64),
    /// KEDA's Kafka trigger.
    Keda(keda::Trigger),
}

/// One HPA as its controller knows it.
#[derive(Clone, Debug)]
pub(super) struct Sync {
    /// Index of the HPA.
    pub(super) hpa: usize,
    /// Index of the group whose lag is its metric.
    pub(super) group: usize,
    pub(super) metric: Metric,
    pub(super) memory: Autoscaler,
}

/// One sync of every HPA.
pub(super) fn sync(state: &mut State) {
    follow_scaled_objects(state);
    let mut syncs = std::mem::take(&mut state.syncs);
    for sync in &mut syncs {
        one(state, sync);
    }
    state.syncs = syncs;
}

/// KEDA's HPAs take the bounds of their ScaledObjects.
fn follow_scaled_objects(state: &mut State) {
    let bounds: Vec<_> =
        state.scaled_objects.iter().map(|o| &o.value).map(|s| (s.clone(), s.min.max(1), s.max)).collect();
    for (scaled, min, max) in bounds {
        let own = |h: &&super::Object<crate::model::Hpa>| {
            h.value.keda && h.value.namespace == scaled.namespace && h.value.target_name == scaled.target_name
        };
        let Some(hpa) = state.hpas.iter().find(own).map(|h| h.value.clone()) else { continue };
        if (hpa.min, hpa.max) != (min, max) {
            state.update_hpa(hpa.namespace.as_str(), hpa.name.as_str(), |h| (h.min, h.max) = (min, max));
        }
    }
}

fn one(state: &mut State, sync: &mut Sync) {
    let Some(hpa) = state.hpas.get(sync.hpa).map(|h| h.value.clone()) else { return };
    let (namespace, target) = (hpa.namespace.as_str(), hpa.target_name.as_str());
    let its_own = |o: &&super::Object<crate::model::ScaledObject>| {
        hpa.keda && o.value.namespace == hpa.namespace && o.value.target_name == hpa.target_name
    };
    let pause = state.scaled_objects.iter().find(its_own).and_then(|o| o.value.paused.clone());
    let only_grows = pause.as_ref().is_some_and(|p| p.as_str().starts_with("paused-scale-in="));
    if pause.is_some() && !only_grows {
        return; // KEDA deletes the HPA while it is paused
    }
    let Some((desired, current)) = state.deployment(namespace, target).map(|d| (d.desired, d.current)) else { return };
    let controller = Controller::default();
    let (lag, per_replica) = match sync.metric {
        Metric::Lag(target) => {
            (state.partition_offsets(sync.group).map(|(committed, end)| end - committed).sum(), target)
        }
        Metric::Keda(trigger) => {
            let partitions: Vec<keda::Partition> = state
                .partition_offsets(sync.group)
                .map(|(committed, end)| keda::Partition { committed: Some(committed), end: Some(end), before: None })
                .collect();
            (keda::metric(&partitions, &trigger).lag, trigger.lag_threshold)
        }
    };
    let proposal = Ok(average_value(lag, per_replica, current.max(1), controller.tolerance));
    let bounds = Bounds { min: hpa.min, max: hpa.max, behavior: None };
    let decision = sync.memory.sync(state.now(), desired, &proposal, &bounds, &controller);
    if only_grows && decision.replicas < desired {
        return; // selectPolicy Disabled for scaleDown
    }
    if decision.replicas != desired
        && let Err(error) = state.set_replicas(namespace, target, decision.replicas, MANAGER)
    {
        tracing::warn!(%error, "simulated HPA: its target is gone");
    }
    if hpa.desired != Some(decision.replicas) {
        state.update_hpa_status(namespace, hpa.name.as_str(), decision.replicas);
    }
}
