//! Moves counts in Kubernetes: one JSON Patch that tests object and present value before it writes.
//!
//! The API server runs the whole patch in one step, so of any number of writers that saw the same count exactly one
//! wins (measured on v1.36.4: 8 writers, one 200 and seven 422 a round). Nothing is ever sent twice. A count that an
//! autoscaler owns is moved by the autoscaler's own bound (a [`Lever`]), for a direct write would be taken back.

mod edit;
mod event;
mod fault;
mod jobs;
mod kinds;
mod lease;
mod offer;
mod owner;

use super::{Change, Outcome, Plan, Seen};
use crate::{
    manifest,
    model::{JobSettings, Label, Lever, LeverState, ObjectKind, Replicas, Target},
    process::Clock,
};
use edit::{Edit, Object};
pub use event::Told;
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, PatchParams, PostParams},
};
pub use lease::{Leases, NoLease, TTL};
use std::{future::Future, time::Duration};

/// Whose name our writes bear in `managedFields`. Constant: every new name would add an entry to the object; who
/// approved stands in the ledger.
pub const FIELD_MANAGER: &str = "highwater";

/// Deadline of one request. `kube`'s own read time-out is off by default, and a hung server must not hang an approval.
const DEADLINE: Duration = Duration::from_secs(15);

/// Moves counts of one cluster.
#[derive(Clone)]
pub(super) struct Scaler {
    client: Client,
    context: Label,
    clock: Clock,
    deadline: Duration,
    templates: jobs::Templates,
}

impl std::fmt::Debug for Scaler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scaler").field("context", &self.context).finish_non_exhaustive()
    }
}

impl Scaler {
    pub(super) fn new(client: Client, context: Label, clock: Clock) -> Self {
        Self { client, context, clock, deadline: DEADLINE, templates: jobs::Templates::default() }
    }

    pub(super) fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Adds the templates of Jobs.
    pub(super) fn with_jobs(self, jobs: &[JobSettings]) -> Self {
        Self { templates: jobs::Templates::new(jobs), ..self }
    }

    /// Who the server says we are.
    pub(super) async fn identity(&self) -> Result<Label, String> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = self.within(api.create(&PostParams::default(), &SelfSubjectReview::default())).await;
        match review {
            Ok(review) => {
                let user = review.status.and_then(|s| s.user_info).and_then(|u| u.username);
                user.map(|u| Label::new(&u)).ok_or_else(|| "the server does not say who we are".to_owned())
            }
            Err(fault) if fault.code() == Some(404) => {
                Err("the server does not say who we are (it is older than 1.28)".to_owned())
            }
            Err(fault) => Err(format!("the server does not say who we are: {}", fault.words())),
        }
    }

    /// Whether we may patch this object, or its scale; or create one of its kind, which has no name to allow it by.
    async fn may(&self, object: &Object<'_>, verb: &str) -> Result<(), String> {
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let attributes = ResourceAttributes {
            verb: Some(verb.into()),
            group: Some(object.resource.group.clone()),
            resource: Some(object.resource.plural.clone()),
            subresource: object.scale.then(|| "scale".into()),
            namespace: Some(object.namespace.into()),
            // Without the name a role that lists resourceNames would say no.
            name: (verb != "create").then(|| object.name.into()),
            ..ResourceAttributes::default()
        };
        let ask = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let sub = if object.scale { "/scale" } else { "" };
        let what = format!("{verb} {}{sub} of {} in {}", object.resource.plural, object.name, object.namespace);
        match self.within(api.create(&PostParams::default(), &ask)).await {
            Ok(review) if review.status.as_ref().is_some_and(|s| s.allowed) => Ok(()),
            Ok(_) if verb == "create" => Err(format!("not allowed to {what}: grant verb create on it in a Role")),
            Ok(_) => Err(format!("not allowed to {what}: grant verb {verb} on it, by name, in a Role")),
            Err(fault) => Err(format!("cannot tell whether we may {what}: {}", fault.words())),
        }
    }

    async fn get(&self, object: &Object<'_>) -> Result<DynamicObject, String> {
        let api = object.api(&self.client);
        let what = object.words();
        self.within(api.get(object.name)).await.map_err(|fault| match fault.code() {
            Some(404) => format!("there is no {what}"),
            _ => format!("cannot read {what}: {}", fault.words()),
        })
    }

    pub(super) async fn plan(&self, change: &Change) -> Plan {
        // Several requests at once: too big for the stack.
        match (&change.lever, &change.target) {
            (Some(lever), _) => Box::pin(self.plan_lever(change, lever)).await,
            (None, Target::Jobs { namespace, name }) => Box::pin(self.plan_jobs(change, (namespace, name))).await,
            (None, _) => Box::pin(self.plan_count(change)).await,
        }
    }

    async fn plan_count(&self, change: &Change) -> Plan {
        let object = match Object::of(&change.target) {
            Ok(object) => object,
            Err(why) => return Plan::impossible(why),
        };
        let (identity, may, found, owner, dry_run) = tokio::join!(
            self.identity(),
            self.may(&object, "patch"),
            self.get(&object),
            self.owner(&object, change),
            self.write(change, true),
        );
        let mut refused: Vec<Label> = Vec::new();
        refused.extend(may.as_ref().err().map(|why| Label::new(why)));
        let mut owned_by = owner.words;
        match &found {
            Ok(found) => {
                refused.extend(stale(&object, found, change));
                refused.extend(self.made_by(&object, found).await);
                let (against, notes) = owner::gitops(found);
                refused.extend(against);
                owned_by.extend(notes);
                let (against, notes) = kinds::against(&object, found, change);
                refused.extend(against);
                owned_by.extend(notes);
            }
            Err(why) => refused.push(Label::new(why)),
        }
        refused.extend(owner.refused);
        let (request, dry_run) = answer(dry_run, &mut refused);
        Plan {
            request,
            owner: owned_by.join("; ").into(),
            identity: self.who(identity, &may, if object.scale { "patch its scale" } else { "patch it" }),
            dry_run,
            refused,
            offers: owner.offers,
        }
    }

    /// Checks the write of an autoscaler's bound.
    async fn plan_lever(&self, change: &Change, lever: &Lever) -> Plan {
        let object = match Object::of(&lever.object) {
            Ok(object) => object,
            Err(why) => return Plan::impossible(why),
        };
        let (identity, may, found, dry_run) =
            tokio::join!(self.identity(), self.may(&object, "patch"), self.get(&object), self.write(change, true));
        let mut refused: Vec<Label> = Vec::new();
        refused.extend(may.as_ref().err().map(|why| Label::new(why)));
        let mut owned_by = vec![match object.target {
            Target::Object { kind: ObjectKind::Job, .. } => format!("{} was started from here", object.words()),
            _ => format!("{} writes the count; what it is held to is written", object.words()),
        }];
        match &found {
            Ok(found) => {
                refused.extend(moved(found, lever));
                refused.extend(not_of(&object, found, &change.target));
                refused.extend(self.made_by(&object, found).await);
                // A bound that git sets is put back like a count.
                let (against, notes) = owner::gitops_of_bound(found);
                refused.extend(against);
                owned_by.extend(notes);
                owned_by.extend(jobs::owner(found));
            }
            Err(why) => refused.push(Label::new(why)),
        }
        let (request, dry_run) = answer(dry_run, &mut refused);
        Plan {
            request,
            owner: owned_by.join("; ").into(),
            identity: self.who(identity, &may, "patch it"),
            dry_run,
            refused,
            offers: Vec::new(),
        }
    }

    fn who(&self, identity: Result<Label, String>, may: &Result<(), String>, what: &str) -> Label {
        let who = identity.map_or_else(|why| why, |who| format!("{who} on {}", self.context));
        if may.is_ok() { format!("{who}, may {what}").into() } else { format!("{who}, may not (see below)").into() }
    }

    pub(super) async fn apply(&self, change: &Change) -> Outcome {
        match (&change.lever, &change.target) {
            (None, Target::Jobs { namespace, name }) => self.apply_jobs(change, (namespace, name)).await,
            _ => self.write(change, false).await.1,
        }
    }

    /// The one request that writes, or the same as a dry run; with its lines as they were sent.
    async fn write(&self, change: &Change, dry_run: bool) -> (Vec<Label>, Outcome) {
        let edit = match self.edit(change).await {
            Ok(edit) => edit,
            Err(why) => return (Vec::new(), Outcome::Refused(why.into())),
        };
        let lines = edit.lines();
        let patch = match edit.patch() {
            Ok(patch) => patch,
            Err(why) => return (lines, Outcome::Refused(why.into())),
        };
        let params = PatchParams { dry_run, field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let (api, name) = (edit.object.api(&self.client), edit.object.name);
        let answer = match edit.subresource() {
            Some(sub) => self.within(api.patch_subresource(sub, name, &params, &patch)).await,
            None => self.within(api.patch(name, &params, &patch)).await,
        };
        let outcome = match answer {
            Ok(answer) => match edit.differs(&answer) {
                None => Outcome::Applied,
                Some(how) => Outcome::Unknown(how.into()),
            },
            Err(fault) => fault.outcome(),
        };
        (lines, outcome)
    }

    /// The patch for a change. Only what has no `/scale` must be read to know where its field stands.
    async fn edit<'a>(&self, change: &'a Change) -> Result<Edit<'a>, String> {
        if let Some(lever) = &change.lever {
            let object = Object::of(&lever.object)?;
            let found = self.get(&object).await?;
            if let Some(why) = not_of(&object, &found, &change.target) {
                return Err(why.to_string());
            }
            return Edit::lever(object, lever, found.metadata.annotations.is_some());
        }
        let object = Object::of(&change.target)?;
        let uid = change.uid.as_ref().map(Label::as_str);
        let uid = uid.ok_or("the object's uid is not known, so another one could be hit: look again")?;
        if object.scale {
            return Ok(Edit::scale(object, uid, change.from, change.to));
        }
        let found = self.get(&object).await?;
        Edit::field(object, &found, change, uid)
    }

    pub(super) async fn observe(&self, target: &Target) -> Result<Seen, String> {
        if let Target::Jobs { namespace, name } = target {
            return self.observe_jobs((namespace, name)).await;
        }
        let object = Object::of(target)?;
        let found = self.get(&object).await?;
        let desired = manifest::desired(target, &found.data)?;
        let replicas = Replicas {
            desired,
            ready: manifest::ready(target, &found.data, desired),
            at: self.clock.now(),
            origin: format!("kubernetes {}", self.context).into(),
            uid: found.metadata.uid.as_deref().map(Label::new),
        };
        Ok(Seen { replicas, writer: owner::writer(found.managed_fields()), lever: None })
    }

    /// How a lever's fields are now.
    pub(super) async fn look(&self, lever: &Lever) -> Result<LeverState, String> {
        let object = Object::of(&lever.object)?;
        let found = match self.within(object.api(&self.client).get(object.name)).await {
            Ok(found) => found,
            Err(fault) if fault.code() == Some(404) => return Ok(LeverState::Gone),
            Err(fault) => return Err(format!("cannot read {}: {}", object.words(), fault.words())),
        };
        if found.metadata.uid.as_deref() != Some(lever.uid.as_str()) {
            return Ok(LeverState::Gone);
        }
        let now: Result<Vec<Option<u32>>, String> =
            lever.set.iter().map(|c| edit::field_now(&found, c, lever)).collect();
        let now = now?;
        if lever.set.iter().zip(&now).all(|(c, now)| c.to == *now) {
            return Ok(LeverState::Written);
        }
        if lever.set.iter().zip(&now).all(|(c, now)| c.from == *now) {
            return Ok(LeverState::Before);
        }
        let word = |v: &Option<u32>| v.map_or("unset".to_owned(), |v| v.to_string());
        let all: Vec<String> = now.iter().map(word).collect();
        Ok(LeverState::Other(format!("{} has {} now", object.words(), all.join(" and ")).into()))
    }

    /// A request with a deadline and its errors put into words.
    async fn within<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, fault::Fault> {
        match tokio::time::timeout(self.deadline, request).await {
            Ok(answer) => answer.map_err(fault::Fault::from),
            Err(_) => Err(fault::Fault::Deadline(self.deadline)),
        }
    }
}

/// Request and answer of a dry run. Its failure stands against the change where nothing else does.
fn answer(written: (Vec<Label>, Outcome), refused: &mut Vec<Label>) -> (Vec<Label>, Result<Label, Label>) {
    let (request, outcome) = written;
    let answer: Result<Label, Label> = match outcome {
        Outcome::Applied => Ok("accepted (admission ran, nothing was stored)".into()),
        Outcome::Refused(why) | Outcome::Unknown(why) => Err(why),
    };
    if refused.is_empty() {
        refused.extend(answer.as_ref().err().map(|why| format!("the dry run failed: {why}").into()));
    }
    (request, answer)
}

/// How the object differs from what was on screen.
fn stale(object: &Object<'_>, found: &DynamicObject, change: &Change) -> Option<Label> {
    let uid = found.metadata.uid.as_deref().unwrap_or("");
    if change.uid.as_ref().is_some_and(|shown| shown != uid) {
        return Some("the object was made again since it was on screen: look again".into());
    }
    match manifest::desired(object.target, &found.data) {
        Ok(count) if count == change.from => None,
        Ok(count) => {
            Some(format!("the count is {count}, not the {} that was on screen: look again", change.from).into())
        }
        Err(why) => Some(why.into()),
    }
}

/// How an autoscaler differs from what was on screen.
fn moved(found: &DynamicObject, lever: &Lever) -> Option<Label> {
    if found.metadata.uid.as_deref() != Some(lever.uid.as_str()) {
        return Some("the autoscaler was made again since it was on screen: look again".into());
    }
    lever.set.iter().find_map(|change| match edit::field_now(found, change, lever) {
        Ok(now) if now == change.from => None,
        Ok(_) => Some(format!("{change} is no longer what it would be: look again").into()),
        Err(why) => Some(why.into()),
    })
}

/// Why this object is not the lever of the target: it holds another one, or it is an HPA that KEDA rewrites at once.
fn not_of(object: &Object<'_>, found: &DynamicObject, target: &Target) -> Option<Label> {
    if let Target::Object { kind: ObjectKind::Job, .. } = object.target {
        return jobs::not_of(found, target);
    }
    if let Some(scaled_object) = owner::kedas(found) {
        return Some(
            format!(
                "KEDA's ScaledObject {scaled_object} made HPA {} and undoes every change of it: change the ScaledObject",
                object.name
            )
            .into(),
        );
    }
    let held = Object::of(target).is_ok_and(|t| t.namespace == object.namespace && owner::scales(&found.data, &t));
    (!held).then(|| format!("{} does not scale {target} (any more): look again", object.words()).into())
}

#[cfg(test)]
#[path = "kubernetes_tests.rs"]
mod tests;
