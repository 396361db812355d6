//! What `highwater check` asks a cluster: does it answer, who are we, may we read, may we scale.

use super::{connect, connect::words, name, store::Kind};
use crate::model::{CheckLine, Grant, KubernetesSettings, Label, ObjectKind, Target};
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, ListParams, PostParams},
};
use std::{future::Future, time::Duration};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(10);

/// Connection, server, identity, and read permission of every kind in every watched namespace.
pub async fn check(settings: &KubernetesSettings) -> Vec<CheckLine> {
    let name = name(settings);
    let client = match connect(settings).await {
        Ok(client) => client,
        Err(why) => return vec![bad(format!("kubernetes {name}: connect"), &why, "", true)],
    };
    let mut lines = Vec::new();
    match ask(client.apiserver_version()).await {
        Ok(version) => lines.push(good(format!("kubernetes {name}: server"), &version.git_version)),
        Err(fault) if fault.answered => {
            lines.push(good(format!("kubernetes {name}: server"), "answers, and does not tell its version"));
        }
        Err(fault) => return vec![bad(format!("kubernetes {name}: server"), &fault.words, "", true)],
    }
    if let Some(why) = connect::distrust(settings).await {
        let mend = "until then this context can be watched and nothing is changed over it";
        lines.push(bad(format!("kubernetes {name}: certificate"), why, mend, false));
    }
    let (line, user) = identity(&client, &name).await;
    lines.push(line);
    let scopes: Vec<Option<&str>> = match settings.namespaces.as_slice() {
        [] => vec![None],
        some => some.iter().map(|n| Some(n.as_str())).collect(),
    };
    for scope in scopes {
        for kind in Kind::all(&settings.kinds) {
            lines.push(may_read(&client, &name, &user, kind, scope).await);
        }
        lines.push(may_climb(&client, &name, &user, scope).await);
    }
    lines
}

/// Whether each target may be scaled; for `operate`. Targets outside of Kubernetes are passed over.
pub async fn check_targets(settings: &KubernetesSettings, targets: &[Target]) -> Vec<CheckLine> {
    let targets: Vec<&Target> = targets.iter().filter(|t| t.is_kubernetes()).collect();
    if targets.is_empty() {
        return Vec::new();
    }
    let client = match connect::connect_to_change(settings).await {
        Ok(client) => client,
        Err(why) => return vec![bad(format!("kubernetes {}: targets", name(settings)), &why, "", false)],
    };
    let mut lines = Vec::new();
    let (_, user) = identity(&client, &name(settings)).await;
    let asker = Asker { client, user };
    for target in targets {
        let (Some((_, namespace, _)), Some(api)) = (target.kubernetes(), target.api()) else { continue };
        if let Target::Jobs { namespace, .. } = target {
            lines.extend(asker.may_start(target, namespace).await);
            continue;
        }
        let scale = if api.scale { "/scale" } else { "" };
        lines.push(asker.may_patch(target, &format!("{}{scale}", api.plural), api.group, None).await);
        // Where an autoscaler owns the count its bounds are what is written.
        for kind in [ObjectKind::Hpa, ObjectKind::ScaledObject] {
            for name in autoscalers(&asker.client, kind, namespace, target).await {
                let api = kind.api();
                lines.push(asker.may_patch(target, api.plural, api.group, Some(&name)).await);
            }
        }
    }
    lines
}

/// Who asks, and whom.
struct Asker {
    client: Client,
    /// By the server's word; empty when it does not say.
    user: Label,
}

impl Asker {
    /// Whether `target`, or the autoscaler `name` of it, may be patched; else the rule to add, ready for an administrator.
    async fn may_patch(&self, target: &Target, resource: &str, group: &str, name: Option<&str>) -> CheckLine {
        let Some((_, namespace, object)) = target.kubernetes() else {
            return bad(format!("target {target}"), "not in Kubernetes", "", false);
        };
        let name = name.unwrap_or(object.as_str());
        // The target's own line keeps the words that scripts look for.
        let what = match resource.split_once('/') {
            Some((_, sub)) => format!("target {target}: patch {sub}"),
            None => format!("target {target}: patch {resource} {name}"),
        };
        self.may(what, "patch", namespace, (group, resource), Some(name), &["get", "patch"]).await
    }

    /// Whether one more Job may be made of a template, and the one that was made be held back. A Job that is not there yet
    /// has no name to allow it by.
    async fn may_start(&self, target: &Target, namespace: &Label) -> [CheckLine; 2] {
        let verbs = ["create", "get", "list", "watch", "patch"];
        let ask =
            |verb| self.may(format!("target {target}: {verb} jobs"), verb, namespace, ("batch", "jobs"), None, &verbs);
        [ask("create").await, ask("patch").await]
    }

    async fn may(
        &self,
        what: String,
        verb: &str,
        namespace: &Label,
        (group, resource): (&str, &str),
        name: Option<&str>,
        verbs: &[&'static str],
    ) -> CheckLine {
        let (plural, subresource) = resource.split_once('/').map_or((resource, None), |(p, s)| (p, Some(s)));
        let attributes = ResourceAttributes {
            verb: Some(verb.into()),
            group: Some(group.into()),
            resource: Some(plural.into()),
            subresource: subresource.map(str::to_owned),
            namespace: Some(namespace.to_string()),
            // Without the name a role that lists resourceNames would say no (measured on v1.36.4).
            name: name.map(str::to_owned),
            ..ResourceAttributes::default()
        };
        let grant = Grant::Rule {
            user: self.user.clone(),
            namespace: Some(namespace.clone()),
            group: group.into(),
            resource: resource.into(),
            name: name.map(Label::new),
            verbs: verbs.to_vec(),
        };
        match may(&self.client, attributes).await {
            Ok(true) => good(what, "allowed"),
            Ok(false) => lacking(what, "not allowed", grant),
            Err(fault) => bad(what, &fault.words, "", false),
        }
    }
}

/// The autoscalers of a kind that hold the target. What cannot be listed has its own line already. KEDA's own HPAs are
/// left out: they are never written.
async fn autoscalers(client: &Client, kind: ObjectKind, namespace: &Label, target: &Target) -> Vec<String> {
    let Some((target_kind, _, target_name)) = target.kubernetes() else { return Vec::new() };
    let watched = if kind == ObjectKind::Hpa { Kind::Hpa } else { Kind::ScaledObject };
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace.as_str(), &watched.resource());
    let Ok(list) = ask(api.list(&ListParams::default())).await else { return Vec::new() };
    let text = |o: &DynamicObject, at: &str| o.data.pointer(at).and_then(|v| v.as_str()).map(str::to_owned);
    let holds = |o: &DynamicObject| {
        text(o, "/spec/scaleTargetRef/kind").as_deref().unwrap_or("Deployment") == target_kind
            && text(o, "/spec/scaleTargetRef/name").as_deref() == Some(target_name.as_str())
            && o.labels().get("app.kubernetes.io/managed-by").is_none_or(|m| m != "keda-operator")
    };
    list.items.iter().filter(|o| holds(o)).map(kube::ResourceExt::name_any).collect()
}

async fn identity(client: &Client, name: &Label) -> (CheckLine, Label) {
    let what = format!("kubernetes {name}: identity");
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    match ask(api.create(&PostParams::default(), &SelfSubjectReview::default())).await {
        Ok(review) => {
            let user = review.status.and_then(|s| s.user_info).and_then(|u| u.username).unwrap_or_default();
            (good(what, &user), Label::new(&user))
        }
        Err(fault) if fault.code == Some(404) => (good(what, "not told by servers older than 1.28"), Label::default()),
        Err(fault) => (bad(what, &fault.words, "log in again, or allow selfsubjectreviews", false), Label::default()),
    }
}

/// A kind is followed by list and watch. A kind that the server does not have needs no permission, and what VPAs recommend
/// is shown where it may be read.
async fn may_read(client: &Client, name: &Label, user: &Label, kind: Kind, namespace: Option<&str>) -> CheckLine {
    let (resource, plural) = (kind.resource(), kind.plural());
    let place = namespace.map_or("all namespaces".to_owned(), |n| Label::new(n).to_string());
    let what = format!("kubernetes {name}: {plural} in {place}");
    if matches!(kind, Kind::ScaledObject | Kind::Vpa | Kind::Named(_)) {
        match ask(client.list_api_group_resources(&resource.api_version)).await {
            Ok(_) => {}
            Err(fault) if fault.code == Some(404) && kind == Kind::ScaledObject => {
                return good(what, "KEDA is not installed");
            }
            Err(fault) if fault.code == Some(404) && kind == Kind::Vpa => {
                return good(what, "the vertical pod autoscaler is not installed");
            }
            Err(fault) if fault.code == Some(404) => {
                return bad(what, "the cluster has no such kind", "install its operator, or change the target", false);
            }
            Err(fault) => return bad(what, &fault.words, "", false),
        }
    }
    for verb in ["list", "watch"] {
        let attributes = ResourceAttributes {
            verb: Some(verb.into()),
            group: Some(resource.group.clone()),
            resource: Some(plural.into()),
            namespace: namespace.map(str::to_owned),
            ..ResourceAttributes::default()
        };
        match may(client, attributes).await {
            Ok(true) => {}
            Ok(false) => {
                let grant = Grant::Rule {
                    user: user.clone(),
                    namespace: namespace.map(Label::new),
                    group: Label::new(&resource.group),
                    resource: plural.into(),
                    name: None,
                    verbs: vec!["get", "list", "watch"],
                };
                let line = lacking(what, &format!("not allowed to {verb}"), grant);
                return if kind == Kind::Vpa { CheckLine { ok: true, ..line } } else { line };
            }
            Err(fault) => return bad(what, &fault.words, "", false),
        }
    }
    good(what, "may be listed and watched")
}

/// From a pod of a Deployment the way leads over its ReplicaSet.
async fn may_climb(client: &Client, name: &Label, user: &Label, namespace: Option<&str>) -> CheckLine {
    let place = namespace.map_or("all namespaces".to_owned(), |n| Label::new(n).to_string());
    let what = format!("kubernetes {name}: owners of pods in {place}");
    let attributes = ResourceAttributes {
        verb: Some("get".into()),
        group: Some("apps".into()),
        resource: Some("replicasets".into()),
        namespace: namespace.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    match may(client, attributes).await {
        Ok(true) => good(what, "replicasets may be read"),
        Ok(false) => {
            let grant = Grant::Rule {
                user: user.clone(),
                namespace: namespace.map(Label::new),
                group: "apps".into(),
                resource: "replicasets".into(),
                name: None,
                verbs: vec!["get"],
            };
            lacking(what, "not allowed to get replicasets: what their pods belong to is guessed by names", grant)
        }
        Err(fault) => bad(what, &fault.words, "", false),
    }
}

async fn may(client: &Client, attributes: ResourceAttributes) -> Result<bool, Fault> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = ask(api.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|s| s.allowed))
}

struct Fault {
    code: Option<u16>,
    answered: bool,
    words: String,
}

async fn ask<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Fault> {
    match timeout(DEADLINE, request).await {
        Ok(answer) => answer.map_err(|error| {
            let code = if let kube::Error::Api(status) = &error { Some(status.code) } else { None };
            Fault { code, answered: code.is_some(), words: words(&error) }
        }),
        Err(_) => Err(Fault { code: None, answered: false, words: format!("no answer within {DEADLINE:?}") }),
    }
}

fn good(what: String, detail: &str) -> CheckLine {
    CheckLine { what: what.into(), ok: true, detail: detail.into(), mend: None, unreachable: false, grant: None }
}

fn bad(what: String, detail: &str, mend: &str, unreachable: bool) -> CheckLine {
    let mend = if mend.is_empty() { None } else { Some(mend.into()) };
    CheckLine { what: what.into(), ok: false, detail: detail.into(), mend, unreachable, grant: None }
}

/// Something that wants a right.
fn lacking(what: String, detail: &str, grant: Grant) -> CheckLine {
    CheckLine { mend: Some(Label::new(&grant.to_string())), grant: Some(grant), ..bad(what, detail, "", false) }
}
