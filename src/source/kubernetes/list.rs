//! Every HPA and ScaledObject once, as the API writes them: for who judges them as a whole.

use super::{
    connect::{connect, words},
    store::Kind,
};
use crate::model::KubernetesSettings;
use kube::{
    Api,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(10);

/// The HPAs and ScaledObjects of the watched namespaces. Without KEDA there are no ScaledObjects.
///
/// # Errors
/// A sentence: the cluster does not answer, or does not let us read a kind.
pub async fn autoscalers(settings: &KubernetesSettings) -> Result<Vec<Value>, String> {
    let client = connect(settings).await?;
    let scopes: Vec<Option<&str>> = match settings.namespaces.as_slice() {
        [] => vec![None],
        some => some.iter().map(|n| Some(n.as_str())).collect(),
    };
    let mut found = Vec::new();
    for kind in [Kind::Hpa, Kind::ScaledObject] {
        let (resource, plural) = (kind.resource(), kind.plural());
        for scope in &scopes {
            let api: Api<DynamicObject> = match scope {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
                None => Api::all_with(client.clone(), &resource),
            };
            let answer = timeout(DEADLINE, api.list(&ListParams::default())).await;
            let list = match answer {
                Ok(Ok(list)) => list,
                Ok(Err(kube::Error::Api(status))) if status.code == 404 => break, // no such kind
                Ok(Err(error)) => return Err(format!("{plural} cannot be listed: {}", words(&error))),
                Err(_) => return Err(format!("no list of {plural} within {DEADLINE:?}")),
            };
            for object in list {
                let mut value = serde_json::to_value(&object).map_err(|e| format!("{plural}: {e}"))?;
                // Items of a list do not say what they are.
                if let Some(fields) = value.as_object_mut() {
                    fields.entry("apiVersion").or_insert_with(|| resource.api_version.clone().into());
                    fields.entry("kind").or_insert_with(|| resource.kind.clone().into());
                }
                found.push(value);
            }
        }
    }
    Ok(found)
}
