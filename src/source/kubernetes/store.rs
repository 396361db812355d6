//! What the watches have said so far, as one [`KubeState`].

use super::{
    connect::words,
    objects,
    owners::{Above, Owners, PodLabels, Reference},
};
use crate::model::{
    Health, Hpa, KubePod, KubeState, KubeWorkload, Label, ObjectKind, PodOwner, ScaledObject, Target, Time, Vpa,
};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::Pod,
};
use kube::{
    ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::watcher::{self, Event},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// A watch that broke and gave no other error for so long runs again, at first and at most: a resumed watch is silent until
/// something changes, and `kube` tries after 1 s, then ever more rarely up to 30 s.
const MENDED: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(40));

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Deployment,
    StatefulSet,
    Hpa,
    ScaledObject,
    /// Running pods: who reads and who serves.
    Pod,
    Vpa,
    /// A kind that a target or an owner of pods names.
    Named(ObjectKind),
}

impl Kind {
    const ALWAYS: [Self; 6] =
        [Self::Deployment, Self::StatefulSet, Self::Hpa, Self::ScaledObject, Self::Pod, Self::Vpa];

    /// Whether all the rest is worth showing without it.
    fn is_extra(self) -> bool {
        matches!(self, Self::Pod | Self::Vpa)
    }

    /// What is watched always, and what targets name.
    pub(super) fn all(named: &[ObjectKind]) -> impl Iterator<Item = Self> {
        Self::ALWAYS.into_iter().chain(named.iter().copied().map(Self::Named))
    }

    pub(super) fn resource(self) -> ApiResource {
        match self {
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
            Self::Hpa => ApiResource::erase::<HorizontalPodAutoscaler>(&()),
            Self::Pod => ApiResource::erase::<Pod>(&()),
            Self::ScaledObject => {
                let kind = GroupVersionKind::gvk("keda.sh", "v1alpha1", "ScaledObject");
                ApiResource::from_gvk_with_plural(&kind, "scaledobjects")
            }
            Self::Vpa => {
                let kind = GroupVersionKind::gvk("autoscaling.k8s.io", "v1", "VerticalPodAutoscaler");
                ApiResource::from_gvk_with_plural(&kind, self.plural())
            }
            Self::Named(kind) => {
                let api = kind.api();
                ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(api.group, api.version, api.kind), api.plural)
            }
        }
    }

    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::Hpa => "horizontalpodautoscalers",
            Self::ScaledObject => "scaledobjects",
            Self::Pod => "pods",
            Self::Vpa => "verticalpodautoscalers",
            Self::Named(kind) => kind.api().plural,
        }
    }
}

/// An object in the model's words.
#[derive(Clone, Debug)]
enum Known {
    Workload(KubeWorkload),
    /// One for each worker group of Ray, else one.
    Named(Vec<KubeWorkload>),
    Hpa(Hpa),
    ScaledObject(ScaledObject),
    Vpa(Vpa),
    /// With its own owner, and what its labels say of the way up.
    Pod(KubePod, Option<(Reference, PodLabels)>),
}

/// How the watch of one kind in one namespace is.
#[derive(Clone, Debug, PartialEq)]
enum Condition {
    /// The first list is under way.
    Waiting,
    /// Listed and followed.
    Followed,
    /// The API has no such kind: KEDA is not installed.
    Absent,
    /// Not allowed.
    Forbidden(String),
    /// It broke, when it was last tried in vain, and is being begun again.
    Broken(String, Instant),
    /// The credentials are no longer good.
    SignedOut(String),
}

/// The key of an object: the watch carries raw names, the model scrubbed ones.
type Key = (String, String);

#[derive(Debug)]
struct Slot {
    kind: Kind,
    namespace: Option<String>,
    condition: Condition,
    known: BTreeMap<Key, Known>,
    /// Objects of a list that is under way: they replace `known` when it is complete.
    listing: BTreeMap<Key, Known>,
    listed: bool,
    /// What is known without it is worth showing: it may be forbidden or missing, and nobody waits for it.
    extra: bool,
    /// When it broke first, while it is broken: what is known of it grows old from then on.
    broke: Option<(Instant, Time)>,
}

/// Everything known of one cluster.
#[derive(Debug)]
pub(super) struct Store {
    context: Label,
    slots: Vec<Slot>,
    owners: Owners,
    scopes: Vec<Option<String>>,
    at: Time,
}

impl Store {
    /// One slot per kind and namespace, or per kind when all namespaces are watched.
    pub(super) fn new(context: Label, namespaces: &[String], named: &[ObjectKind]) -> Self {
        let named_once: BTreeSet<&String> = namespaces.iter().collect();
        let scopes: Vec<Option<String>> =
            if namespaces.is_empty() { vec![None] } else { named_once.into_iter().cloned().map(Some).collect() };
        let of = |kind| scopes.iter().map(move |s| Slot::new(kind, s.clone(), kind.is_extra()));
        let slots = Kind::all(named).flat_map(of).collect();
        Self { context, slots, owners: Owners::default(), scopes, at: Time::default() }
    }

    /// Begins to follow the kinds that own pods and were not followed before; gives the numbers of their slots.
    pub(super) fn follow_owners(&mut self) -> std::ops::Range<usize> {
        let from = self.slots.len();
        for kind in self.owners.kinds().into_iter().map(Kind::Named) {
            if self.slots.iter().all(|s| s.kind != kind) {
                self.slots.extend(self.scopes.iter().map(|scope| Slot::new(kind, scope.clone(), true)));
            }
        }
        from..self.slots.len()
    }

    /// The objects that must be asked for before the ways up from all pods are known. They count as asked from now on.
    pub(super) fn missing_owners(&mut self) -> Vec<Reference> {
        let Self { slots, owners, .. } = self;
        owners.missing(firsts(slots))
    }

    /// Takes in what was said about an owner.
    pub(super) fn take_owner(&mut self, of: &Reference, above: Option<Above>) {
        self.owners.answer(of, above);
    }

    /// Kind and namespace of each slot, in the order of their numbers.
    pub(super) fn slots(&self) -> impl Iterator<Item = (Kind, Option<&str>)> {
        self.slots.iter().map(|s| (s.kind, s.namespace.as_deref()))
    }

    /// Takes what a watch said. `true`: it was an answer.
    pub(super) fn take(&mut self, slot: usize, event: watcher::Result<Event<DynamicObject>>, now: Time) -> bool {
        let Some(slot) = self.slots.get_mut(slot) else { return false };
        match event {
            Ok(event) => {
                if let Event::InitApply(object) | Event::Apply(object) = &event
                    && slot.kind != Kind::Pod
                {
                    self.owners.learn(object);
                }
                slot.take(event, now);
                self.at = now;
                true
            }
            Err(error) => {
                slot.set(condition(&error), now);
                // What is not there, or no longer ours to see, is not known: nobody would tell of its changes.
                if matches!(slot.condition, Condition::Absent | Condition::Forbidden(_)) {
                    slot.known.clear();
                }
                false
            }
        }
    }

    /// The server gave a sign of life: what the watches said last is still so.
    pub(super) fn confirm(&mut self, now: Time) {
        self.at = now;
        let Self { slots, owners, .. } = self;
        owners.keep_only(firsts(slots));
        for slot in self.slots.iter_mut().filter(|s| s.is_mended()) {
            slot.set(Condition::Followed, now);
        }
    }

    /// Whether every kind was listed once, or is known not to be to be had. `late`: one that is refused again and again
    /// (a conversion webhook that is gone) does not keep the others from the screen any longer.
    pub(super) fn is_complete(&self, late: bool) -> bool {
        let some = self.slots.iter().any(|s| s.listed);
        self.unlisted().all(|s| late && some && matches!(s.condition, Condition::Broken(..)))
    }

    /// The kinds that no list has come of yet, each with the reason where there is one.
    pub(super) fn waiting_for(&self) -> String {
        let said = |s: &Slot| match &s.condition {
            Condition::Broken(why, _) => format!("{} ({why})", s.kind.plural()),
            _ => s.kind.plural().to_owned(),
        };
        self.unlisted().map(said).collect::<Vec<_>>().join(", ")
    }

    fn unlisted(&self) -> impl Iterator<Item = &Slot> {
        let waits = |s: &&Slot| !s.listed && matches!(s.condition, Condition::Waiting | Condition::Broken(..));
        self.slots.iter().filter(waits).filter(|s| !s.extra)
    }

    /// The sentence, when the server no longer knows who we are.
    pub(super) fn signed_out(&self) -> Option<String> {
        self.slots.iter().find_map(|s| match &s.condition {
            Condition::SignedOut(why) => Some(why.clone()),
            _ => None,
        })
    }

    pub(super) fn state(&self) -> KubeState {
        let mut state = KubeState {
            context: self.context.clone(),
            at: self.at,
            notices: self.problems().map(|(_, p)| Label::new(&p)).collect(),
            ..KubeState::default()
        };
        let of_jobs = |s: &&Slot| s.kind == Kind::Named(ObjectKind::Job);
        let mut jobs = self.slots.iter().filter(of_jobs).peekable();
        state.jobs_followed = jobs.peek().is_some() && jobs.all(|s| s.condition == Condition::Followed);
        let mut ways: HashMap<&(Reference, PodLabels), Option<Arc<PodOwner>>> = HashMap::new();
        for (slot, known) in self.slots.iter().flat_map(|s| s.known.values().map(move |k| (s, k))) {
            let unheard = slot.broke.map(|(_, at)| at);
            if let Known::Pod(pod, way) = known {
                let up = |way: &(Reference, PodLabels)| self.owners.owner(&way.0, &way.1).map(Arc::new);
                let owner = way.as_ref().and_then(|way| ways.entry(way).or_insert_with(|| up(way)).clone());
                state.pods.push(KubePod { owner, ..pod.clone() });
                continue;
            }
            match known.clone() {
                Known::Pod(..) => {}
                Known::Workload(workload) => state.workloads.push(KubeWorkload { unheard, ..workload }),
                Known::Named(all) => {
                    for workload in all {
                        add(&mut state.workloads, KubeWorkload { unheard, ..workload });
                    }
                }
                Known::Hpa(hpa) => state.hpas.push(hpa),
                Known::ScaledObject(object) => state.scaled_objects.push(object),
                Known::Vpa(vpa) => state.vpas.push(vpa),
            }
        }
        state
    }

    /// Health and a sentence.
    pub(super) fn health(&self) -> (Health, String) {
        let problems: Vec<String> = self.problems().filter(|(extra, _)| !extra).map(|(_, p)| p).collect();
        if let Some(first) = problems.first() {
            let more = if problems.len() > 1 { format!(" (and {} more)", problems.len() - 1) } else { String::new() };
            return (Health::Degraded, format!("{first}{more}"));
        }
        let count = |kind| self.slots.iter().filter(|s| s.kind == kind).map(|s| s.known.len()).sum::<usize>();
        let words = [
            (Kind::Deployment, "deployments"),
            (Kind::StatefulSet, "statefulsets"),
            (Kind::Hpa, "HPAs"),
            (Kind::ScaledObject, "ScaledObjects"),
            (Kind::Pod, "pods"),
            (Kind::Vpa, "VPAs"),
        ];
        let words: Vec<String> = words
            .iter()
            .map(|(kind, word)| (count(*kind), word))
            .filter(|(n, _)| *n > 0)
            .map(|(n, word)| format!("{n} {word}"))
            .collect();
        let detail =
            if words.is_empty() { "nothing to scale in the watched namespaces".into() } else { words.join(", ") };
        (Health::Ok, detail)
    }

    /// What cannot be read, as sentences, and whether it is only an extra.
    fn problems(&self) -> impl Iterator<Item = (bool, String)> {
        let sentence = |slot: &Slot| {
            let place = slot.namespace.as_ref().map_or("in all namespaces".to_owned(), |n| format!("in {n}"));
            let plural = slot.kind.plural();
            match &slot.condition {
                Condition::Forbidden(why) if slot.kind == Kind::Pod => Some(format!(
                    "pods {place} cannot be read, so what runs where is guessed by names: {why}; grant get, list and watch on them"
                )),
                Condition::Forbidden(why) => {
                    Some(format!("{plural} {place} cannot be read: {why}; grant get, list and watch on them"))
                }
                Condition::Absent if matches!(slot.kind, Kind::Named(_)) && !slot.extra => {
                    Some(format!("a target is one of {plural}, and the cluster has no such kind"))
                }
                Condition::Broken(why, _) => Some(format!("the watch of {plural} {place} broke: {why}")),
                _ => None,
            }
        };
        self.slots.iter().filter_map(move |s| Some((s.extra, sentence(s)?)))
    }
}

/// Adds a workload; Jobs of one template count together.
fn add(workloads: &mut Vec<KubeWorkload>, new: KubeWorkload) {
    let is_jobs = matches!(new.target, Target::Jobs { .. });
    match workloads.iter_mut().find(|w| is_jobs && w.target == new.target) {
        None => workloads.push(new),
        Some(all) => {
            all.desired += new.desired;
            all.current += new.current;
            all.ready += new.ready;
            all.at = all.at.max(new.at);
        }
    }
}

/// The own owner of every pod.
fn firsts(slots: &[Slot]) -> impl Iterator<Item = &Reference> {
    slots.iter().filter(|s| s.kind == Kind::Pod).flat_map(|s| s.known.values()).filter_map(|known| match known {
        Known::Pod(_, Some((first, _))) => Some(first),
        _ => None,
    })
}

impl Slot {
    fn new(kind: Kind, namespace: Option<String>, extra: bool) -> Self {
        Self {
            kind,
            namespace,
            condition: Condition::Waiting,
            known: BTreeMap::new(),
            listing: BTreeMap::new(),
            listed: false,
            extra,
            broke: None,
        }
    }

    fn set(&mut self, condition: Condition, now: Time) {
        let broken = matches!(condition, Condition::Broken(..));
        self.broke = broken.then(|| self.broke.unwrap_or((Instant::now(), now)));
        self.condition = condition;
    }

    /// Whether a broken watch gave no other error for longer than `kube` waits before it tries again: each wait is about
    /// as long as all before it.
    fn is_mended(&self) -> bool {
        let (Condition::Broken(_, last), Some((first, _))) = (&self.condition, self.broke) else { return false };
        let patience = (MENDED.0 + 2 * last.duration_since(first)).min(MENDED.1);
        self.listed && last.elapsed() > patience
    }

    fn take(&mut self, event: Event<DynamicObject>, now: Time) {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(object) => {
                let (key, known) = self.read(&object, now);
                self.listing.insert(key, known);
            }
            Event::InitDone => {
                self.known = std::mem::take(&mut self.listing);
                self.listed = true;
                self.set(Condition::Followed, now);
            }
            Event::Apply(object) => {
                let (key, known) = self.read(&object, now);
                self.known.insert(key, known);
                self.set(Condition::Followed, now);
            }
            Event::Delete(object) => {
                self.known.remove(&key_of(&object));
                self.set(Condition::Followed, now);
            }
        }
    }

    fn read(&self, object: &DynamicObject, now: Time) -> (Key, Known) {
        let key = key_of(object);
        let known = match self.kind {
            Kind::Deployment | Kind::StatefulSet => {
                let mut seen = objects::workload(object, self.kind == Kind::StatefulSet, now);
                if let Some(Known::Workload(before)) = self.known.get(&key)
                    && same(before, &seen)
                {
                    seen.at = before.at; // listed again, not changed
                }
                Known::Workload(seen)
            }
            Kind::Named(kind) => {
                let mut all = objects::named(object, kind, now);
                if let Some(Known::Named(before)) = self.known.get(&key) {
                    let old =
                        |s: &KubeWorkload| before.iter().find(|b| b.target == s.target && same(b, s)).map(|b| b.at);
                    for seen in &mut all {
                        seen.at = old(seen).unwrap_or(seen.at);
                    }
                }
                Known::Named(all)
            }
            Kind::Hpa => Known::Hpa(objects::hpa(object)),
            Kind::Pod => Known::Pod(
                objects::pod(object),
                match Above::of(&object.metadata) {
                    Above::Owner(first) => Some((first, PodLabels::of(object))),
                    Above::Nothing | Above::Unread(_) => None,
                },
            ),
            Kind::ScaledObject => Known::ScaledObject(objects::scaled_object(object)),
            Kind::Vpa => Known::Vpa(objects::vpa(object)),
        };
        (key, known)
    }
}

fn key_of(object: &DynamicObject) -> Key {
    (object.metadata.namespace.clone().unwrap_or_default(), object.name_any())
}

fn same(a: &KubeWorkload, b: &KubeWorkload) -> bool {
    (&a.uid, a.desired, a.current, a.ready, a.observed) == (&b.uid, b.desired, b.current, b.ready, b.observed)
}

fn condition(error: &watcher::Error) -> Condition {
    use watcher::Error as E;
    match error {
        E::InitialListFailed(error) | E::WatchStartFailed(error) | E::WatchFailed(error) => match error {
            kube::Error::Api(status) if status.code == 403 => Condition::Forbidden(status.message.clone()),
            kube::Error::Api(status) if status.code == 404 => Condition::Absent,
            kube::Error::Api(status) if status.code == 401 => Condition::SignedOut(words(error)),
            error => Condition::Broken(words(error), Instant::now()),
        },
        // 410 Gone: the server forgot where we were, and the watcher is already listing again.
        E::WatchError(status) if status.code == 410 => Condition::Followed,
        E::WatchError(status) => Condition::Broken(format!("{} ({})", status.message, status.code), Instant::now()),
        E::NoResourceVersion => Condition::Broken("the server gives no resourceVersion".to_owned(), Instant::now()),
    }
}
