//! What `highwater check` asks a cluster: does it answer, who are we, may we read, may we scale.

use super::{connect, connect::words, name, store::Kind};
use crate::model::{CheckLine, KubernetesSettings, Label, Target};
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
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
        for kind in Kind::ALL {
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
        let Some((kind, namespace, object)) = target.kubernetes() else { continue };
        let resource = if kind == "StatefulSet" { "statefulsets" } else { "deployments" };
        let attributes = ResourceAttributes {
            verb: Some("patch".into()),
            group: Some("apps".into()),
            resource: Some(resource.into()),
            subresource: Some("scale".into()),
            namespace: Some(namespace.to_string()),
            // Without the name a role that lists resourceNames would say no (measured on v1.36.4).
            name: Some(object.to_string()),
            ..ResourceAttributes::default()
        };
        let mend = format!("grant verb patch on {resource}/scale, resourceNames [{object}], in a Role of {namespace}");
        lines.push(match may(&client, attributes).await {
            Ok(true) => good(format!("target {target}: patch scale"), "allowed"),
            Ok(false) => bad(format!("target {target}: patch scale"), "not allowed", &mend, false),
            Err(fault) => bad(format!("target {target}: patch scale"), &fault.words, &mend, false),
        });
    }
    lines
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
    if kind == Kind::ScaledObject {
        match ask(client.list_api_group_resources("keda.sh/v1alpha1")).await {
            Ok(_) => {}
            Err(fault) if fault.code == Some(404) => return good(what, "KEDA is not installed"),
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
