//! A kubelet without a node: it makes the pods of a namespace ready after a delay, or holds them back.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};

/// How often pods are looked at.
const SYNC: Duration = Duration::from_millis(100);

/// Runs until it is dropped.
pub struct Kubelet {
    held: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Kubelet {
    /// Makes each pod ready `delay` after it was first seen.
    pub fn start(client: Client, namespace: &str, delay: Duration) -> Self {
        let held = Arc::new(AtomicBool::new(false));
        let pods: Api<Pod> = Api::namespaced(client, namespace);
        let hold = held.clone();
        let task = tokio::spawn(async move {
            let mut seen: BTreeMap<String, Instant> = BTreeMap::new();
            let mut ticks = interval(SYNC);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Ok(all) = pods.list(&ListParams::default()).await else { continue };
                for pod in all.items.iter().filter(|p| !is_ready(p)) {
                    let since = *seen.entry(pod.name_any()).or_insert_with(Instant::now);
                    if !hold.load(Ordering::SeqCst) && since.elapsed() >= delay {
                        // A pod that went away in between needs nothing.
                        let _ =
                            pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(ready())).await;
                    }
                }
            }
        });
        Self { held, task }
    }

    /// Pods that are not ready yet stay so until they are let go.
    pub fn hold(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
}

fn ready() -> serde_json::Value {
    json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
}
