//! The world's Kubernetes objects: deployments and their autoscalers, with versions and the one way to change a count.

use super::State;
use crate::model::{Hpa, ScaledObject, Time, Vpa};
use std::collections::BTreeMap;

/// Name of the one container of every pod.
pub const CONTAINER: &str = "main";

/// What the API server keeps about every object.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`: the world's version at the last change.
    pub resource_version: u64,
    /// `metadata.generation`: counts changes of the spec.
    pub generation: u64,
    /// `metadata.creationTimestamp`.
    pub created: Time,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
}

/// A Deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: u64,
    /// `status.observedGeneration`: lags `generation` for a second or two after a change.
    pub observed_generation: u64,
    /// `metadata.resourceVersion`.
    pub resource_version: u64,
    /// `metadata.creationTimestamp`.
    pub created: Time,
    /// `spec.replicas`.
    pub desired: u32,
    /// `status.replicas`: pods that exist.
    pub current: u32,
    /// `status.readyReplicas`.
    pub ready: u32,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// Manager that last wrote `spec.replicas`, and when.
    pub last_writer: (String, Time),
    /// What its pods do.
    pub(super) part: Part,
}

/// What the pods of a deployment are in the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Consumers of the group with this index.
    Group(usize),
    /// Replicas of the inference fleet with this index.
    Fleet(usize),
    /// Workers of the training queue, a GPU each.
    Training,
}

/// An autoscaler object: what the model says about it, and its metadata.
#[derive(Clone, Debug)]
pub struct Object<T> {
    /// Metadata.
    pub meta: Meta,
    /// The object.
    pub value: T,
}

/// Why a count was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScaleError {
    /// No such object.
    #[error("deployments.apps {name:?} not found in namespace {namespace:?}")]
    NotFound {
        /// Namespace asked for.
        namespace: String,
        /// Name asked for.
        name: String,
    },
}

impl State {
    /// Every deployment.
    pub fn deployments(&self) -> &[Deployment] {
        &self.deployments
    }

    /// One deployment.
    pub fn deployment(&self, namespace: &str, name: &str) -> Option<&Deployment> {
        self.deployments.iter().find(|d| d.namespace == namespace && d.name == name)
    }

    /// Every HorizontalPodAutoscaler, those that KEDA made included.
    pub fn hpas(&self) -> &[Object<Hpa>] {
        &self.hpas
    }

    /// Every ScaledObject.
    pub fn scaled_objects(&self) -> &[Object<ScaledObject>] {
        &self.scaled_objects
    }

    /// Every VerticalPodAutoscaler.
    pub fn vpas(&self) -> &[Object<Vpa>] {
        &self.vpas
    }

    /// The newest `resourceVersion`.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Writes `spec.replicas` as `manager`. Whether the writer may, and whether it saw the newest version, is the
    /// Kubernetes face's to check under the same lock.
    pub fn set_replicas(&mut self, namespace: &str, name: &str, n: u32, manager: &str) -> Result<(), ScaleError> {
        let (now, version) = (self.now(), self.version + 1);
        let found = self.deployments.iter_mut().find(|d| d.namespace == namespace && d.name == name);
        let Some(deployment) = found else {
            return Err(ScaleError::NotFound { namespace: namespace.to_owned(), name: name.to_owned() });
        };
        if deployment.desired == n {
            return Ok(());
        }
        deployment.desired = n;
        deployment.generation += 1;
        deployment.resource_version = version;
        deployment.last_writer = (manager.to_owned(), now);
        let part = deployment.part;
        self.publish(version);
        self.order(part, n);
        Ok(())
    }

    /// Changes an HPA (its bounds, its behaviour) and gives it a new version; `None`: there is none of that name.
    pub fn update_hpa(&mut self, namespace: &str, name: &str, change: impl FnOnce(&mut Hpa)) -> Option<()> {
        let version = self.version + 1;
        let hpa = self.hpas.iter_mut().find(|o| o.value.namespace == *namespace && o.value.name == *name)?;
        change(&mut hpa.value);
        hpa.meta.resource_version = version;
        hpa.meta.generation += 1;
        self.publish(version);
        Some(())
    }

    /// The HPA controller writes what it decided: the status alone, so the generation stays.
    pub(super) fn update_hpa_status(&mut self, namespace: &str, name: &str, desired: u32) {
        let version = self.version + 1;
        let found = self.hpas.iter_mut().find(|o| o.value.namespace == *namespace && o.value.name == *name);
        if let Some(hpa) = found {
            hpa.value.desired = Some(desired);
            hpa.meta.resource_version = version;
            self.publish(version);
        }
    }

    /// Changes a ScaledObject (its bounds, its pause) and gives it a new version; `None`: there is none of that name.
    pub fn update_scaled_object(
        &mut self,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut ScaledObject),
    ) -> Option<()> {
        let version = self.version + 1;
        let found = |o: &&mut Object<ScaledObject>| o.value.namespace == *namespace && o.value.name == *name;
        let object = self.scaled_objects.iter_mut().find(found)?;
        change(&mut object.value);
        object.meta.resource_version = version;
        object.meta.generation += 1;
        self.publish(version);
        Some(())
    }

    /// Makes `version` the newest and tells the watchers.
    pub(super) fn publish(&mut self, version: u64) {
        self.version = version;
        self.changes.send_replace(version);
    }
}
