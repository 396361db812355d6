//! What `highwater check` asks a cluster: does it answer, who are we, may we read, may we scale.

use super::{connect, connect::words, name, store::Kind};
use crate::model::{CheckLine, KubernetesSettings, Label, ObjectKind, Target};
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
    lines.push(identity(&client, &name).await);
    let scopes: Vec<Option<&str>> = match settings.namespaces.as_slice() {
        [] => vec![None],
        some => some.iter().map(|n| Some(n.as_str())).collect(),
    };
    for scope in scopes {
        for kind in Kind::all(&settings.kinds) {
            lines.push(may_read(&client, &name, kind, scope).await);
        }
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
    for target in targets {
        let (Some((_, namespace, _)), Some(api)) = (target.kubernetes(), target.api()) else { continue };
        let scale = if api.scale { "/scale" } else { "" };
        lines.push(may_patch(&client, target, &format!("{}{scale}", api.plural), api.group, None).await);
        // Where an autoscaler owns the count its bounds are what is written.
        for kind in [ObjectKind::Hpa, ObjectKind::ScaledObject] {
            for name in autoscalers(&client, kind, namespace, target).await {
                let api = kind.api();
                lines.push(may_patch(&client, target, api.plural, api.group, Some(&name)).await);
            }
        }
    }
    lines
}

/// Whether `target`, or the autoscaler `name` of it, may be patched; else the rule to add, ready for an administrator.
async fn may_patch(client: &Client, target: &Target, resource: &str, group: &str, name: Option<&str>) -> CheckLine {
    let Some((_, namespace, object)) = target.kubernetes() else {
        return bad(format!("target {target}"), "not in Kubernetes", "", false);
    };
    let name = name.unwrap_or(object.as_str());
    let (plural, subresource) = resource.split_once('/').map_or((resource, None), |(p, s)| (p, Some(s)));
    let attributes = ResourceAttributes {
        verb: Some("patch".into()),
        group: Some(group.into()),
        resource: Some(plural.into()),
        subresource: subresource.map(str::to_owned),
        namespace: Some(namespace.to_string()),
        // Without the name a role that lists resourceNames would say no (measured on v1.36.4).
        name: Some(name.to_owned()),
        ..ResourceAttributes::default()
    };
    // The target's own line keeps the words that scripts look for.
    let what = match subresource {
        Some(sub) => format!("target {target}: patch {sub}"),
        None => format!("target {target}: patch {plural} {name}"),
    };
    let mend = format!(
        "add to a Role in {namespace}: - {{apiGroups: [{group}], resources: [{resource}], resourceNames: [{name}], \
         verbs: [get, patch]}}"
    );
    match may(client, attributes).await {
        Ok(true) => good(what, "allowed"),
        Ok(false) => bad(what, "not allowed", &mend, false),
        Err(fault) => bad(what, &fault.words, &mend, false),
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

async fn identity(client: &Client, name: &Label) -> CheckLine {
    let what = format!("kubernetes {name}: identity");
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    match ask(api.create(&PostParams::default(), &SelfSubjectReview::default())).await {
        Ok(review) => {
            let user = review.status.and_then(|s| s.user_info).and_then(|u| u.username).unwrap_or_default();
            good(what, &user)
        }
        Err(fault) if fault.code == Some(404) => good(what, "not told by servers older than 1.28"),
        Err(fault) => bad(what, &fault.words, "log in again, or allow selfsubjectreviews", false),
    }
}

/// A kind is followed by list and watch. A kind that the server does not have needs no permission.
async fn may_read(client: &Client, name: &Label, kind: Kind, namespace: Option<&str>) -> CheckLine {
    let (resource, plural) = (kind.resource(), kind.plural());
    let place = namespace.map_or("all namespaces".to_owned(), |n| Label::new(n).to_string());
    let what = format!("kubernetes {name}: {plural} in {place}");
    if matches!(kind, Kind::ScaledObject | Kind::Named(_)) {
        match ask(client.list_api_group_resources(&resource.api_version)).await {
            Ok(_) => {}
            Err(fault) if fault.code == Some(404) && kind == Kind::ScaledObject => {
                return good(what, "KEDA is not installed");
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
        let mend = format!("grant get, list and watch on {plural} of group {}", resource.group);
        match may(client, attributes).await {
            Ok(true) => {}
            Ok(false) => return bad(what, &format!("not allowed to {verb}"), &mend, false),
            Err(fault) => return bad(what, &fault.words, &mend, false),
        }
    }
    good(what, "may be listed and watched")
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
    CheckLine { what: what.into(), ok: true, detail: detail.into(), mend: None, unreachable: false }
}

fn bad(what: String, detail: &str, mend: &str, unreachable: bool) -> CheckLine {
    let mend = if mend.is_empty() { None } else { Some(mend.into()) };
    CheckLine { what: what.into(), ok: false, detail: detail.into(), mend, unreachable }
}
