//! Who else writes the count: an autoscaler or a controller takes a direct write back, a GitOps tool may.

use super::{Object, Scaler, fault::Fault};
use crate::model::Label;
use k8s_openapi::{
    api::autoscaling::v2::HorizontalPodAutoscaler, apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry,
};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::Value;

/// What was found out about a target's owners.
pub(super) struct Owner {
    /// Sentences for the dialog; not empty.
    pub(super) words: Vec<String>,
    /// Why a direct write is refused, with what to do instead.
    pub(super) refused: Vec<Label>,
}

impl Scaler {
    /// Asks for the autoscalers of the target's namespace.
    pub(super) async fn owner(&self, object: &Object<'_>) -> Owner {
        let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), object.namespace);
        let kind = GroupVersionKind::gvk("keda.sh", "v1alpha1", "ScaledObject");
        let resource = ApiResource::from_gvk_with_plural(&kind, "scaledobjects");
        let scaled: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), object.namespace, &resource);
        let all = ListParams::default();
        let (hpas, scaled) = tokio::join!(self.within(hpas.list(&all)), self.within(scaled.list(&all)));
        let mut owner = Owner { words: Vec::new(), refused: Vec::new() };
        match &scaled {
            Ok(list) => {
                if let Some(found) = list.items.iter().find(|s| scales(&s.data, object)) {
                    owner.scaled_object(object, found);
                }
            }
            Err(Fault::Status(status)) if status.code == 404 => {} // KEDA is not installed
            Err(fault) => owner.unknown("ScaledObjects", object, fault),
        }
        let targets = |h: &&HorizontalPodAutoscaler| {
            let target = h.spec.as_ref().map(|s| &s.scale_target_ref);
            target.is_some_and(|t| t.kind == object.kind && t.name == object.name)
        };
        match &hpas {
            // KEDA's own HPA is not worth a second sentence: the ScaledObject behind it is what can be changed.
            Ok(list) if owner.words.is_empty() => {
                if let Some(found) = list.items.iter().find(targets) {
                    owner.hpa(object, found);
                }
            }
            Ok(_) => {}
            Err(fault) => owner.unknown("HorizontalPodAutoscalers", object, fault),
        }
        if owner.words.is_empty() {
            owner.words.push("no HPA and no ScaledObject".to_owned());
        }
        owner
    }
}

impl Owner {
    fn hpa(&mut self, object: &Object<'_>, hpa: &HorizontalPodAutoscaler) {
        let (name, spec) = (hpa.name_any(), hpa.spec.as_ref());
        let min = spec.and_then(|s| s.min_replicas).unwrap_or(1);
        let max = spec.map_or(1, |s| s.max_replicas);
        self.words.push(format!("HPA {}/{name} ({min} to {max})", object.namespace));
        self.refused.push(Label::new(&format!(
            "HPA {name} writes this count and would take a direct change back at its next sync: raise its minReplicas \
             (now {min}) or maxReplicas (now {max}) instead"
        )));
    }

    fn scaled_object(&mut self, object: &Object<'_>, found: &DynamicObject) {
        let count = |pointer, default| found.data.pointer(pointer).and_then(Value::as_u64).unwrap_or(default);
        let (name, min, max) =
            (found.name_any(), count("/spec/minReplicaCount", 0), count("/spec/maxReplicaCount", 100));
        self.words.push(format!("ScaledObject {}/{name} ({min} to {max})", object.namespace));
        self.refused.push(Label::new(&format!(
            "KEDA's ScaledObject {name} writes this count and would take a direct change back within seconds: raise its \
             minReplicaCount (now {min}) or maxReplicaCount (now {max}) instead"
        )));
    }

    /// Not knowing the owner is no licence to write.
    fn unknown(&mut self, what: &str, object: &Object<'_>, fault: &Fault) {
        self.words.push(format!("not known: {what} cannot be read"));
        self.refused.push(Label::new(&format!(
            "cannot tell whether an autoscaler writes this count: {} (grant list on {what} in {})",
            fault.words(),
            object.namespace
        )));
    }
}

/// Whether a ScaledObject's target is `object` (its kind is Deployment when absent).
fn scales(data: &Value, object: &Object<'_>) -> bool {
    let text = |pointer| data.pointer(pointer).and_then(Value::as_str);
    text("/spec/scaleTargetRef/kind").unwrap_or("Deployment") == object.kind
        && text("/spec/scaleTargetRef/name") == Some(object.name)
}

/// The controller that made this object and would put it back (an Argo Rollout, a KServe service, a RayCluster).
pub(super) fn controller(found: &DynamicObject) -> Option<Label> {
    let owner = found.owner_references().iter().find(|o| o.controller == Some(true))?;
    Some(Label::new(&format!(
        "{} {} made this object and would put the count back: scale that one",
        owner.kind, owner.name
    )))
}

/// A warning when Argo CD or Flux applies this object.
pub(super) fn gitops(found: &DynamicObject) -> Option<String> {
    let tool = if found.annotations().contains_key("argocd.argoproj.io/tracking-id") {
        "Argo CD"
    } else if found.labels().contains_key("kustomize.toolkit.fluxcd.io/name")
        || found.labels().contains_key("helm.toolkit.fluxcd.io/name")
    {
        "Flux"
    } else {
        return None;
    };
    Some(format!("{tool} applies this object and may put the count back: change it in git too"))
}

/// Manager of the newest `managedFields` entry that holds `spec.replicas`.
pub(super) fn writer(entries: &[ManagedFieldsEntry]) -> Option<Label> {
    let owns =
        |e: &&ManagedFieldsEntry| e.fields_v1.as_ref().is_some_and(|f| f.0.pointer("/f:spec/f:replicas").is_some());
    let newest = entries.iter().filter(owns).max_by_key(|e| e.time.as_ref().map(|t| t.0))?;
    newest.manager.as_deref().map(Label::new)
}
