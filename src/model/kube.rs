//! What was read from the Kubernetes API.

use super::{Hpa, Label, Requests, ScaledObject, Target, Time, Vpa};
use serde::Serialize;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

/// Scalable objects and autoscalers of the watched namespaces.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KubeState {
    /// The pinned context.
    pub context: Label,
    /// When the last watch event or list arrived.
    pub at: Time,
    /// Deployments and StatefulSets, and the kinds that targets and owners of pods name.
    pub workloads: Vec<KubeWorkload>,
    /// HorizontalPodAutoscalers (autoscaling/v2).
    pub hpas: Vec<Hpa>,
    /// KEDA ScaledObjects.
    pub scaled_objects: Vec<ScaledObject>,
    /// VerticalPodAutoscalers; empty too where there is no such kind or they may not be read.
    pub vpas: Vec<Vpa>,
    /// Running pods; empty too where they may not be read.
    pub pods: Vec<KubePod>,
    /// Whether the Jobs of templates are followed everywhere: one that has no Job then has the count 0.
    pub jobs_followed: bool,
    /// Sentences about what could not be read (403 on a resource, CRD absent is no notice).
    pub notices: Vec<Label>,
}

/// A Deployment or StatefulSet.
#[derive(Clone, Debug, Serialize)]
pub struct KubeWorkload {
    /// What it is.
    pub target: Target,
    /// `metadata.uid`: an object made again under the same name has another.
    pub uid: Label,
    /// Images of the pod template's containers, in its order, with commas between them; `None`: it has no template.
    pub image: Option<Label>,
    /// `spec.replicas` (1 when absent).
    pub desired: u32,
    /// `status.replicas`.
    pub current: u32,
    /// `status.readyReplicas`.
    pub ready: u32,
    /// The controller has seen the latest spec: `status.observedGeneration >= metadata.generation`.
    pub observed: bool,
    /// When it was last seen to change.
    pub at: Time,
    /// Since when nothing is heard of its changes; `None`: it is followed.
    pub unheard: Option<Time>,
    /// Manager that last wrote `spec.replicas` by `managedFields`: a hint only (see kubernetes.md §7).
    pub last_writer: Option<Label>,
    /// Argo CD or Flux labels found: a GitOps tool may put the count back.
    pub gitops: Option<Label>,
    /// What the containers of the pod template ask for, in its order.
    pub requests: Vec<Requests>,
    /// What its pods are told by environment and arguments.
    #[serde(skip)]
    pub mentions: Arc<Mentions>,
}

/// A running pod.
#[derive(Clone, Debug, Serialize)]
pub struct KubePod {
    /// Namespace.
    pub namespace: Label,
    /// Name.
    pub name: Label,
    /// `status.podIPs`. None for a pod on its node's network: everything else on that node has the same address.
    pub addresses: Vec<IpAddr>,
    /// Who owns it; `None`: nobody, it was made by hand.
    pub owner: Option<Arc<PodOwner>>,
}

/// The way from a pod up to what can be scaled, by `metadata.ownerReferences`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PodOwner {
    /// `ReplicaSet web-7c9d → Deployment web`, from the pod's own owner up.
    pub path: Label,
    /// The topmost owner, where it is one that can be scaled.
    pub target: Option<Target>,
    /// Why the way was not walked to its end: then the target rests on names. `None`: it was.
    pub unread: Option<Label>,
}

/// The words of a pod template's environment and arguments, to be asked for one by one. Secrets stand among them, so
/// only hashes are kept: what was not known before cannot be read from here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mentions(BTreeMap<u64, Label>);

impl Mentions {
    /// The words of texts; with each text, where it stands (`MODEL_URL`).
    pub fn of<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut words = BTreeMap::new();
        for (place, text) in texts {
            // What names of topics, hosts and models are made of; `/` parts URLs, and joins parts of a model's name.
            let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            let parts = text.split(|c| !in_name(c)).chain(text.split([',', ' ', '=']));
            for word in parts.filter(|w| !w.is_empty() && w.len() <= 249) {
                words.entry(Self::key(word)).or_insert_with(|| Label::new(place));
            }
        }
        Self(words)
    }

    /// Where a word stands; `None`: nowhere.
    pub fn place_of(&self, word: &str) -> Option<&Label> {
        self.0.get(&Self::key(word))
    }

    /// Every word by its [`Mentions::key`], with where it stands: for who has a dictionary of words.
    pub fn each(&self) -> impl Iterator<Item = (u64, &Label)> {
        self.0.iter().map(|(key, place)| (*key, place))
    }

    /// What a word is kept as: FNV-1a, 64 bits.
    pub fn key(word: &str) -> u64 {
        word.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whole_and_by_where_they_stand() {
        let told = Mentions::of([
            ("MODEL_URL", "http://fraud-model.ml:8000/v1"),
            ("MODEL", "meta/llama-3"),
            ("args", "--topics=orders,payments.raw"),
        ]);
        let place = |word| told.place_of(word).map(Label::as_str);
        assert_eq!(place("fraud-model.ml"), Some("MODEL_URL"));
        assert_eq!(place("meta/llama-3"), Some("MODEL"));
        assert_eq!(place("payments.raw"), Some("args"));
        assert_eq!((place("fraud-model"), place("payments"), place("")), (None, None, None), "parts are no words");
        assert!(!format!("{told:?}").contains("llama"), "nothing can be read from it");
    }
}
