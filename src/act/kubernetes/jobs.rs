//! Starts Jobs from a template. What raises the count is a new Job; what lowers it is the parallelism of one that runs,
//! for a Job ends by itself.
//!
//! A new object has nothing to test, so its name is the condition: it is worked out from the Jobs that were seen, and of
//! all who saw the same ones exactly one can make it; the others are told that it exists (409).

use super::{FIELD_MANAGER, Scaler, answer, edit::Object};
use crate::{
    act::{Change, Offer, Outcome, Plan, Seen},
    manifest::job,
    model::{Field, FieldChange, JobSettings, Label, Lever, LeverState, ObjectKind, PlanHash, Replicas, Target},
};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams},
};
use serde_json::Value;

/// The templates by name.
#[derive(Clone, Debug, Default)]
pub(in crate::act) struct Templates(Vec<JobSettings>);

impl Templates {
    pub(in crate::act) fn new(jobs: &[JobSettings]) -> Self {
        Self(jobs.to_vec())
    }

    fn get(&self, name: &Label) -> Result<&JobSettings, String> {
        let found = self.0.iter().find(|j| j.name == *name);
        found.ok_or_else(|| format!("there is no [actuator.job.{name}] in the configuration"))
    }
}

/// The Jobs of one template in one namespace, as they were found.
struct Found {
    namespace: Label,
    name: Label,
    jobs: Vec<DynamicObject>,
}

impl Found {
    /// Those that are not over, the newest first.
    fn running(&self) -> impl Iterator<Item = &DynamicObject> {
        let mut running: Vec<_> =
            self.jobs.iter().filter(|j| !job::is_over(j.metadata.deletion_timestamp.is_some(), &j.data)).collect();
        running.sort_by_key(|j| std::cmp::Reverse(j.metadata.creation_timestamp.clone()));
        running.into_iter()
    }

    fn count(&self) -> u32 {
        self.running().map(|j| job::workers(&j.data)).sum()
    }

    fn ready(&self) -> u32 {
        self.running().map(|j| job::ready(&j.data).min(job::workers(&j.data))).sum()
    }

    fn stale(&self, change: &Change) -> Option<Label> {
        let count = self.count();
        (count != change.from).then(|| {
            format!("{count} workers are asked for, not the {} that were on screen: look again", change.from).into()
        })
    }

    /// The name of the next Job: the same for everybody who sees these ones.
    fn next_name(&self) -> String {
        let mut uids: Vec<&str> = self.jobs.iter().filter_map(|j| j.metadata.uid.as_deref()).collect();
        uids.sort_unstable();
        format!("{}-{}", self.name, PlanHash::of(&uids))
    }

    /// The Job for a change upward.
    fn next(&self, settings: &JobSettings, change: &Change) -> Value {
        let action = change.action.to_string();
        let labels = [(job::TEMPLATE, self.name.as_str()), (job::ACTION, action.as_str())];
        let workers = change.to - change.from;
        job::filled(&settings.template, self.namespace.as_str(), &self.next_name(), labels, workers)
    }

    /// The way down that takes the workers of one Job, the newest that has enough.
    fn fewer(&self, change: &Change) -> Option<Offer> {
        let less = change.from - change.to;
        let found = self.running().find(|j| job::workers(&j.data) >= less)?;
        let (workers, name) = (job::workers(&found.data), Label::new(&found.name_any()));
        let parallelism = found.data.pointer("/spec/parallelism").and_then(Value::as_u64);
        let from = parallelism.and_then(|p| u32::try_from(p).ok());
        let lever = Lever {
            object: Target::Object { kind: ObjectKind::Job, namespace: self.namespace.clone(), name, part: None },
            uid: Label::new(found.metadata.uid.as_deref()?),
            set: vec![FieldChange { field: Field::Parallelism, from, to: Some(workers - less) }],
            restore_at: None,
        };
        let words = "its pods end, and what they did since their last checkpoint is lost; the Job stays, and goes on when \
                     it is raised again";
        Some(Offer { words: format!("{lever}: {words}").into(), lever, to: change.to })
    }
}

impl Scaler {
    async fn find(&self, namespace: &Label, name: &Label) -> Result<Found, String> {
        let selector = format!("{}={name}", job::TEMPLATE);
        let list = jobs(self, namespace.as_str());
        match self.within(list.list(&ListParams::default().labels(&selector))).await {
            Ok(list) => Ok(Found { namespace: namespace.clone(), name: name.clone(), jobs: list.items }),
            Err(fault) => Err(format!("cannot list the Jobs of {name} in {namespace}: {}", fault.words())),
        }
    }

    pub(in crate::act) async fn plan_jobs(&self, change: &Change, (namespace, name): (&Label, &Label)) -> Plan {
        let (settings, object) = match (self.templates.get(name), Object::of(&change.target)) {
            (Ok(settings), Ok(object)) => (settings, object),
            (Err(why), _) | (_, Err(why)) => return Plan::impossible(why),
        };
        let (identity, may, found) =
            tokio::join!(self.identity(), self.may(&object, "create"), self.find(namespace, name));
        let found = match found {
            Ok(found) => found,
            Err(why) => return Plan::impossible(why),
        };
        let mut refused: Vec<Label> = found.stale(change).into_iter().collect();
        let running = found.running().count();
        let owner = format!("{running} Jobs of this template are not over, with {} workers", found.count());
        if change.to <= change.from {
            let less = "a Job ends by itself: what can be lowered is the parallelism of one that has so many workers";
            refused.push(less.into());
            let offers = found.fewer(change).into_iter().collect();
            let dry_run = Err(less.into());
            return Plan {
                request: Vec::new(),
                owner: owner.into(),
                identity: identity.unwrap_or_else(Label::from),
                dry_run,
                refused,
                offers,
            };
        }
        refused.extend(may.as_ref().err().map(|why| Label::new(why)));
        let new = found.next(settings, change);
        let outcome = self.create(namespace, &new, true).await;
        let (request, dry_run) = answer((lines(namespace, &new), outcome), &mut refused);
        let workers = change.to - change.from;
        let gpus = match job::gpus(&settings.template) {
            0 => String::new(),
            each => format!(" on {} GPUs", each * u64::from(workers)),
        };
        Plan {
            request,
            owner: format!("{owner}; one more starts {workers}{gpus}, and ends by itself").into(),
            identity: self.who(identity, &may, "create it"),
            dry_run,
            refused,
            offers: Vec::new(),
        }
    }

    pub(in crate::act) async fn apply_jobs(&self, change: &Change, (namespace, name): (&Label, &Label)) -> Outcome {
        let settings = match self.templates.get(name) {
            Ok(settings) if change.to > change.from => settings,
            Ok(_) => return Outcome::Refused("a Job ends by itself: nothing was done".into()),
            Err(why) => return Outcome::Refused(why.into()),
        };
        let found = match self.find(namespace, name).await {
            Ok(found) => found,
            Err(why) => return Outcome::Refused(why.into()),
        };
        match found.stale(change) {
            Some(why) => Outcome::Refused(why),
            None => self.create(namespace, &found.next(settings, change), false).await,
        }
    }

    async fn create(&self, namespace: &Label, new: &Value, dry_run: bool) -> Outcome {
        let object: DynamicObject = match serde_json::from_value(new.clone()) {
            Ok(object) => object,
            Err(e) => return Outcome::Refused(format!("the template makes no object: {e}").into()),
        };
        let params = PostParams { dry_run, field_manager: Some(FIELD_MANAGER.to_owned()) };
        match self.within(jobs(self, namespace.as_str()).create(&params, &object)).await {
            Ok(_) => Outcome::Applied,
            Err(fault) if fault.code() == Some(409) => {
                Outcome::Refused("somebody else started one from the same state at the same moment: look again".into())
            }
            Err(fault) => fault.outcome(),
        }
    }

    /// The workers that are asked for, of all Jobs of the template.
    pub(in crate::act) async fn observe_jobs(&self, (namespace, name): (&Label, &Label)) -> Result<Seen, String> {
        let found = self.find(namespace, name).await?;
        Ok(Seen { replicas: self.replicas(found.count(), found.ready()), writer: None, lever: None })
    }

    /// What became of the Job that a change upward made. Others come to an end meanwhile, so the whole count says nothing
    /// about it.
    pub(in crate::act) async fn look_jobs(&self, change: &Change, at: (&Label, &Label)) -> Result<Seen, String> {
        let found = self.find(at.0, at.1).await?;
        let action = change.action.to_string();
        let ours = found.jobs.iter().find(|j| j.labels().get(job::ACTION) == Some(&action));
        let (lever, ready) = match ours {
            None => (LeverState::Before, 0),
            // One that is over has had all its workers.
            Some(j) if job::is_over(j.metadata.deletion_timestamp.is_some(), &j.data) => {
                (LeverState::Written, u32::MAX)
            }
            Some(j) => (LeverState::Written, job::ready(&j.data)),
        };
        let ready = change.from + ready.min(change.to.saturating_sub(change.from));
        Ok(Seen { replicas: self.replicas(found.count(), ready), writer: None, lever: Some(lever) })
    }

    fn replicas(&self, desired: u32, ready: u32) -> Replicas {
        let origin = format!("kubernetes {}", self.context).into();
        Replicas { desired, ready, at: self.clock.now(), origin, uid: None }
    }
}

/// Why a Job is not the lever of a template's target: it was made from another one.
pub(super) fn not_of(found: &DynamicObject, target: &Target) -> Option<Label> {
    let Target::Jobs { namespace, name } = target else {
        return Some(format!("a Job has no part in {target}").into());
    };
    let from_it = found.labels().get(job::TEMPLATE).is_some_and(|t| *name == **t)
        && found.metadata.namespace.as_deref() == Some(namespace.as_str());
    (!from_it).then(|| format!("Job {} was not made from template {name}: look again", found.name_any()).into())
}

/// Who else has a say in a Job's parallelism.
pub(super) fn owner(found: &DynamicObject) -> Option<String> {
    // Kueue admits a Job for the workers that it had and refuses another number; the dry run shows it.
    found.labels().get("kueue.x-k8s.io/queue-name").map(|q| format!("Kueue's queue {q} admits it"))
}

fn jobs(scaler: &Scaler, namespace: &str) -> Api<DynamicObject> {
    let api = ObjectKind::Job.api();
    let gvk = GroupVersionKind::gvk(api.group, api.version, api.kind);
    Api::namespaced_with(scaler.client.clone(), namespace, &ApiResource::from_gvk_with_plural(&gvk, api.plural))
}

/// The request as it goes out, its body in pieces that a label holds.
fn lines(namespace: &Label, new: &Value) -> Vec<Label> {
    const PIECE: usize = 200;
    let body: Vec<char> = new.to_string().chars().collect();
    let first = [
        format!("POST /apis/batch/v1/namespaces/{namespace}/jobs?fieldManager={FIELD_MANAGER}").into(),
        "Content-Type: application/json".into(),
    ];
    let pieces = body.chunks(PIECE).map(|piece| Label::new(&piece.iter().collect::<String>()));
    first.into_iter().chain(pieces).collect()
}
