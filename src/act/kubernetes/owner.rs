//! Who else writes the count: an autoscaler or a controller takes a direct write back, a GitOps tool may.

use super::{
    Scaler,
    edit::{Object, PAUSED_SCALE_IN},
    fault::Fault,
    offer::Bounds,
};
use crate::{
    act::{Change, Offer},
    model::{Label, ObjectKind, Target},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
    discovery,
};
use serde_json::Value;

/// How far up the chain of owners is looked: Deployment, Revision, Configuration, Service, InferenceService.
const GENERATIONS: usize = 6;

/// What was found out about a target's owners.
#[derive(Default)]
pub(super) struct Owner {
    /// Sentences for the dialog; not empty.
    pub(super) words: Vec<String>,
    /// Why a direct write is refused, with what to do instead.
    pub(super) refused: Vec<Label>,
    /// The writes that stick.
    pub(super) offers: Vec<Offer>,
}

impl Scaler {
    /// Asks for the autoscalers of the target's namespace.
    pub(super) async fn owner(&self, object: &Object<'_>, change: &Change) -> Owner {
        let (hpas, scaled) =
            tokio::join!(self.all(ObjectKind::Hpa, object), self.all(ObjectKind::ScaledObject, object));
        let mut owner = Owner::default();
        match &scaled {
            Ok(list) => {
                if let Some(found) = list.iter().find(|s| scales(&s.data, object)) {
                    owner.scaled_object(object, found, change);
                }
            }
            Err(Fault::Status(status)) if status.code == 404 => {} // KEDA is not installed
            Err(fault) => owner.unknown("ScaledObjects", object, fault),
        }
        match &hpas {
            // KEDA's own HPA is not worth a second sentence: the ScaledObject behind it is what can be changed.
            Ok(list) if owner.words.is_empty() => {
                if let Some(found) = list.iter().find(|h| scales(&h.data, object)) {
                    owner.hpa(object, found, change);
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

    async fn all(&self, kind: ObjectKind, object: &Object<'_>) -> Result<Vec<DynamicObject>, Fault> {
        let api = kind.api();
        let gvk = GroupVersionKind::gvk(api.group, api.version, api.kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, api.plural);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), object.namespace, &resource);
        Ok(self.within(api.list(&ListParams::default())).await?.items)
    }

    /// The controller that made this object and would put the count back (an Argo Rollout, a KServe service, a
    /// RayCluster), followed up to the one that nobody made.
    pub(super) async fn made_by(&self, object: &Object<'_>, found: &DynamicObject) -> Option<Label> {
        let mut top = controller(found)?.clone();
        for _ in 1..GENERATIONS {
            // What cannot be read ends the walk: the owner that is known is reason enough.
            let Some(next) = self.owner_of(&top, object.namespace).await else { break };
            top = next;
        }
        Some(made_by_words(&top, object.namespace))
    }

    async fn owner_of(&self, owner: &OwnerReference, namespace: &str) -> Option<OwnerReference> {
        let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
        let gvk = GroupVersionKind::gvk(group, version, &owner.kind);
        let (resource, _) = self.within(discovery::pinned_kind(&self.client, &gvk)).await.ok()?;
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let found = self.within(api.get(&owner.name)).await.ok()?;
        controller(&found).cloned()
    }
}

impl Owner {
    fn hpa(&mut self, object: &Object<'_>, found: &DynamicObject, change: &Change) {
        let bounds = bounds(found, ObjectKind::Hpa, object.namespace);
        let (name, min, max) = (found.name_any(), bounds.floor_now(), bounds.ceiling_now());
        if let Some(scaled_object) = kedas(found) {
            // Its ScaledObject was not among those that can be read.
            self.words.push(format!("KEDA's HPA {}/{name} ({min} to {max})", object.namespace));
            self.refused.push(
                format!("KEDA's ScaledObject {scaled_object} writes this count, and it cannot be read: grant get and list on scaledobjects")
                    .into(),
            );
            return;
        }
        self.words.push(format!("HPA {}/{name} ({min} to {max})", object.namespace));
        if change.from == 0 {
            self.words.push("which stands still while the count is 0 (ScalingDisabled)".to_owned());
            if change.to >= min && change.to <= max {
                return; // it has let go of the count until it is no longer zero
            }
        }
        self.offers = bounds.offers(change.from, change.to);
        self.refused.push(Label::new(&format!(
            "HPA {name} writes this count and would take a direct change back at its next sync: move its minReplicas \
             (now {min}) or maxReplicas (now {max}) instead"
        )));
    }

    fn scaled_object(&mut self, object: &Object<'_>, found: &DynamicObject, change: &Change) {
        let bounds = bounds(found, ObjectKind::ScaledObject, object.namespace);
        let (name, min, max) = (found.name_any(), bounds.floor_now(), bounds.ceiling_now());
        self.words.push(format!("ScaledObject {}/{name} ({min} to {max})", object.namespace));
        let paused = ["paused-replicas", "paused"].into_iter().find_map(|word| {
            let value = found.annotations().get(&format!("autoscaling.keda.sh/{word}"))?;
            (word == "paused-replicas" || !is_false(value)).then(|| format!("{word}: {value}"))
        });
        if let Some(paused) = paused {
            // Measured with KEDA 2.21: the HPA is gone, the count was set once, and a write afterwards stays.
            self.words.push(format!(
                "paused ({paused}): KEDA deleted its HPA and scales nothing until the annotation goes; a count written \
                 now stays until then"
            ));
            return;
        }
        self.offers = bounds.offers(change.from, change.to);
        self.refused.push(Label::new(&format!(
            "KEDA's ScaledObject {name} writes this count and would take a direct change back within seconds: move its \
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

fn bounds(found: &DynamicObject, kind: ObjectKind, namespace: &str) -> Bounds {
    let count = |pointer| found.data.pointer(pointer).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let keda = kind == ObjectKind::ScaledObject;
    let (floor, ceiling) = if keda {
        ("/spec/minReplicaCount", "/spec/maxReplicaCount")
    } else {
        ("/spec/minReplicas", "/spec/maxReplicas")
    };
    let name = Label::new(&found.name_any());
    Bounds {
        object: Target::Object { kind, namespace: Label::new(namespace), name, part: None },
        uid: Label::new(found.metadata.uid.as_deref().unwrap_or("")),
        floor: count(floor),
        default_floor: u32::from(!keda), // KEDA: 0; an HPA: 1
        ceiling: count(ceiling),
        default_ceiling: if keda { 100 } else { 1 },
        keda,
        paused_scale_in: found.annotations().get(PAUSED_SCALE_IN).map(|v| u32::from(!is_false(v))),
    }
}

/// What KEDA (Go's `strconv.ParseBool`) reads as false; anything else in a pause annotation counts as true.
pub(super) fn is_false(value: &str) -> bool {
    matches!(value, "0" | "f" | "F" | "false" | "False" | "FALSE")
}

/// Whether an autoscaler's target is `object` (a ScaledObject's kind is Deployment when absent).
pub(super) fn scales(data: &Value, object: &Object<'_>) -> bool {
    let text = |pointer| data.pointer(pointer).and_then(Value::as_str);
    text("/spec/scaleTargetRef/kind").unwrap_or("Deployment") == object.kind
        && text("/spec/scaleTargetRef/name") == Some(object.name)
}

/// The ScaledObject that made an HPA.
pub(super) fn kedas(found: &DynamicObject) -> Option<String> {
    let owner = found.owner_references().iter().find(|o| o.kind == "ScaledObject").map(|o| o.name.clone());
    let label = |key| found.labels().get(key).cloned();
    let managed = label("app.kubernetes.io/managed-by").is_some_and(|m| m == "keda-operator");
    owner.or_else(|| managed.then(|| label("scaledobject.keda.sh/name").unwrap_or_else(|| found.name_any())))
}

fn controller(found: &DynamicObject) -> Option<&OwnerReference> {
    found.owner_references().iter().find(|o| o.controller == Some(true))
}

fn made_by_words(top: &OwnerReference, namespace: &str) -> Label {
    let (kind, name) = (&top.kind, &top.name);
    let mend = match kind.as_str() {
        "RayCluster" | "RayService" => {
            format!("scale its worker group (target = \"{}/{namespace}/{name}/GROUP\")", kind.to_lowercase())
        }
        _ => match Target::of_kind(kind, namespace, name) {
            Some(target) => format!("scale that one (target = \"{target}\")"),
            None => "scale that one, by its own means".to_owned(),
        },
    };
    format!("{kind} {name} made this object and would put the count back: {mend}").into()
}

/// The tool that applies this object from git: its name, and the managers that it writes as.
fn gitops_tool(found: &DynamicObject) -> Option<(&'static str, &'static [&'static str])> {
    let (labels, annotations) = (found.labels(), found.annotations());
    if annotations.contains_key("argocd.argoproj.io/tracking-id") {
        Some(("Argo CD", &["argocd-controller", "argocd-application-controller"]))
    } else if labels.contains_key("kustomize.toolkit.fluxcd.io/name") {
        Some(("Flux", &["kustomize-controller"]))
    } else if labels.contains_key("helm.toolkit.fluxcd.io/name") {
        Some(("Flux", &["helm-controller"]))
    } else {
        // Argo CD's older way to mark what is its own; Helm uses the same label, so its manager must have written too.
        let argo = found.managed_fields().iter().any(|e| e.manager.as_deref() == Some("argocd-controller"));
        let marked = argo && labels.contains_key("app.kubernetes.io/instance");
        marked.then_some(("Argo CD", &["argocd-controller"]))
    }
}

/// What Argo CD or Flux hold against a write of the count. Where git leaves the count out they leave it alone; that
/// shows in what they applied (`managedFields` and the annotation of the last apply are hints, the count is watched).
pub(super) fn gitops(found: &DynamicObject) -> (Option<Label>, Option<String>) {
    gitops_over(found, &["replicas"])
}

/// The same for the bounds of an autoscaler.
pub(super) fn gitops_of_bound(found: &DynamicObject) -> (Option<Label>, Option<String>) {
    gitops_over(found, &["minReplicas", "maxReplicas", "minReplicaCount", "maxReplicaCount"])
}

fn gitops_over(found: &DynamicObject, fields: &[&str]) -> (Option<Label>, Option<String>) {
    let Some((tool, managers)) = gitops_tool(found) else { return (None, None) };
    let last = found.annotations().get("kubectl.kubernetes.io/last-applied-configuration");
    let last: Option<Value> = last.and_then(|text| serde_json::from_str(text).ok());
    let sets = |field: &&str| {
        let owned = found.managed_fields().iter().any(|e| {
            e.manager.as_deref().is_some_and(|m| managers.contains(&m))
                && e.fields_v1.as_ref().is_some_and(|f| f.0.pointer(&format!("/f:spec/f:{field}")).is_some())
        });
        owned || last.as_ref().is_some_and(|l| l.pointer(&format!("/spec/{field}")).is_some())
    };
    match fields.iter().find(|f| sets(f)) {
        Some(field) => {
            let against = format!(
                "{tool} applies this object and git sets its {field}, so a change here is put back: change it in git \
                 (target = \"patch-file/NAME\" writes the patch)"
            );
            (Some(against.into()), Some(format!("{tool}, from git")))
        }
        None => {
            (None, Some(format!("{tool} applies this object, and git leaves its count alone as far as can be seen")))
        }
    }
}

/// Manager of the newest `managedFields` entry that holds `spec.replicas`.
pub(super) fn writer(entries: &[ManagedFieldsEntry]) -> Option<Label> {
    let owns =
        |e: &&ManagedFieldsEntry| e.fields_v1.as_ref().is_some_and(|f| f.0.pointer("/f:spec/f:replicas").is_some());
    let newest = entries.iter().filter(owns).max_by_key(|e| e.time.as_ref().map(|t| t.0))?;
    newest.manager.as_deref().map(Label::new)
}

#[cfg(test)]
#[path = "owner_tests.rs"]
mod tests;
