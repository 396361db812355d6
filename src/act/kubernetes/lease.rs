//! A Lease on a target while somebody decides about it: one at a time, and the others see who.
//!
//! `coordination.k8s.io/v1`, one object per target, beside it in its namespace. Every write carries the resourceVersion
//! that was read, so of two who take a free lease one gets a 409. A lease that nobody renews lapses by itself; how long it
//! has not been renewed is measured on our own clock from when we first saw it so, as client-go's leader election does:
//! two machines' clocks are never compared.

use super::{Scaler, edit::Object};
use crate::model::{Label, Target};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// How long a lease stands without being renewed.
pub const TTL: Duration = Duration::from_secs(60);
/// Longest name of a Kubernetes object.
const LONGEST: usize = 253;

/// Why a lease is not ours.
#[derive(Clone, Debug, PartialEq)]
pub enum NoLease {
    /// Somebody else has it.
    Taken {
        /// As they wrote themselves: `alice@corp/ACTION`.
        by: Label,
        /// Seconds until it lapses, if they do not renew it.
        left: f64,
    },
    /// The server does not let us.
    NotAllowed(Label),
    /// The server does not know leases.
    Absent,
    /// The server could not be asked.
    Lost(Label),
}

/// The leases of one cluster.
#[derive(Clone, Debug)]
pub struct Leases {
    scaler: Scaler,
    /// By name in the cluster: the version that was seen, and since when.
    seen: Arc<Mutex<HashMap<String, (String, Instant)>>>,
}

impl Leases {
    pub(in crate::act) fn new(scaler: Scaler) -> Self {
        Self { scaler, seen: Arc::default() }
    }

    /// Takes or renews the lease of a target for `holder`.
    ///
    /// # Errors
    /// Why it is not ours; then nothing was changed.
    pub async fn hold(&self, target: &Target, holder: &str) -> Result<(), NoLease> {
        let (api, name) = self.place(target)?;
        for _ in 0..3 {
            let found = match self.scaler.within(api.get(&name)).await {
                Ok(found) => found,
                Err(fault) if is_absent(&fault, &name) => {
                    let new = Lease {
                        metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
                        spec: Some(held(holder, None)),
                    };
                    match self.scaler.within(api.create(&PostParams::default(), &new)).await {
                        Ok(_) => return Ok(()),
                        Err(fault) if fault.code() == Some(409) => continue,
                        Err(fault) => return Err(refused(&fault, "create", &name)),
                    }
                }
                Err(fault) => return Err(refused(&fault, "get", &name)),
            };
            if let Some(taken) = self.taken(&found, holder) {
                return Err(taken);
            }
            let spec = Some(held(holder, found.spec.as_ref()));
            let next = Lease { spec, metadata: ObjectMeta { managed_fields: None, ..found.metadata } };
            match self.scaler.within(api.replace(&name, &PostParams::default(), &next)).await {
                Ok(_) => return Ok(()),
                Err(fault) if fault.code() == Some(409) => {} // somebody was quicker: look again
                Err(fault) => return Err(refused(&fault, "update", &name)),
            }
        }
        Err(NoLease::Taken { by: "somebody who was quicker".into(), left: TTL.as_secs_f64() })
    }

    /// Gives the lease up, if it is still `holder`'s. One that could not be given up lapses.
    pub async fn release(&self, target: &Target, holder: &str) {
        let Ok((api, name)) = self.place(target) else { return };
        for _ in 0..3 {
            let Ok(found) = self.scaler.within(api.get(&name)).await else { return };
            let Some(spec) = found.spec.filter(|s| s.holder_identity.as_deref() == Some(holder)) else { return };
            let free = LeaseSpec { holder_identity: None, lease_duration_seconds: Some(1), ..spec };
            let next = Lease { spec: Some(free), metadata: ObjectMeta { managed_fields: None, ..found.metadata } };
            match self.scaler.within(api.replace(&name, &PostParams::default(), &next)).await {
                Ok(_) => return,
                Err(fault) if fault.code() == Some(409) => {} // our own last renewal came in between: look again
                Err(fault) => return tracing::info!("the lease {name} lapses by itself: {}", fault.words()),
            }
        }
    }

    fn place(&self, target: &Target) -> Result<(Api<Lease>, String), NoLease> {
        let object = Object::of(target).map_err(|_| NoLease::Absent)?;
        Ok((Api::namespaced(self.scaler.client.clone(), object.namespace), name(&object)))
    }

    /// Who else has it, if it has not lapsed.
    fn taken(&self, found: &Lease, holder: &str) -> Option<NoLease> {
        let spec = found.spec.as_ref()?;
        let by = spec.holder_identity.as_deref().filter(|by| !by.is_empty() && *by != holder)?;
        let version = found.metadata.resource_version.clone().unwrap_or_default();
        let place = format!("{:?}/{:?}", found.metadata.namespace, found.metadata.name);
        let mut seen = self.seen.lock().ok()?;
        let entry = seen.entry(place).or_insert_with(|| (version.clone(), Instant::now()));
        if entry.0 != version {
            *entry = (version, Instant::now());
        }
        let stands = f64::from(spec.lease_duration_seconds.unwrap_or(0).max(1));
        let left = stands - entry.1.elapsed().as_secs_f64();
        (left > 0.0).then(|| NoLease::Taken { by: Label::new(by), left })
    }
}

/// `highwater-deploy-fraud-scorer`: one lease per target, named so that a role can name it.
fn name(object: &Object<'_>) -> String {
    let text = format!("highwater-{}-{}", object.kind.to_ascii_lowercase(), object.name);
    text.chars().take(LONGEST).collect() // names are ASCII, checked when the object was made
}

fn held(holder: &str, before: Option<&LeaseSpec>) -> LeaseSpec {
    let now = MicroTime(Timestamp::now());
    let same = before.filter(|b| b.holder_identity.as_deref() == Some(holder));
    let transitions = before.and_then(|b| b.lease_transitions).unwrap_or(0);
    LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(TTL.as_secs().try_into().unwrap_or(60)),
        acquire_time: same.and_then(|s| s.acquire_time.clone()).or_else(|| Some(now.clone())),
        renew_time: Some(now),
        lease_transitions: Some(transitions + i32::from(same.is_none() && before.is_some())),
        ..LeaseSpec::default()
    }
}

/// Whether the server knows leases and this one is not there: a server without them answers 404 too, but names nothing.
fn is_absent(fault: &super::fault::Fault, name: &str) -> bool {
    matches!(fault, super::fault::Fault::Status(s) if s.code == 404
        && s.details.as_ref().is_some_and(|d| d.name == name))
}

fn refused(fault: &super::fault::Fault, verb: &str, name: &str) -> NoLease {
    match fault.code() {
        Some(401 | 403) => NoLease::NotAllowed(
            format!(
                "not allowed to {verb} the lease {name}: grant get, create and update on leases of coordination.k8s.io"
            )
            .into(),
        ),
        Some(404 | 405) => NoLease::Absent,
        _ => NoLease::Lost(format!("the lease {name} cannot be had: {}", fault.words()).into()),
    }
}
