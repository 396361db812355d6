//! What is missing, as one text that an administrator can apply: roles for Kubernetes, commands for Kafka. Pure.

use crate::model::{Grant, Label, PlanHash};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

const GROUP: &str = "rbac.authorization.k8s.io";

/// The text; empty when nothing is missing that somebody could grant.
pub(super) fn text<'a>(grants: impl Iterator<Item = &'a Grant>) -> String {
    let mut roles: BTreeMap<(&Label, Option<&Label>), BTreeSet<String>> = BTreeMap::new();
    let mut commands = BTreeSet::new();
    for grant in grants {
        match grant {
            Grant::Rule { user, namespace, .. } => {
                roles.entry((user, namespace.as_ref())).or_default().insert(grant.rule());
            }
            Grant::Acl { .. } => {
                commands.insert(grant.to_string());
            }
        }
    }
    let mut out = String::new();
    if !roles.is_empty() {
        out += "\n# To hand to an administrator of Kubernetes, for kubectl apply -f:\n";
        let documents: Vec<String> = roles.iter().map(|((user, place), rules)| role(user, *place, rules)).collect();
        out += &documents.join("---\n");
    }
    if !commands.is_empty() {
        out += "\n# To hand to an administrator of Kafka:\n";
        for command in commands {
            let _ = writeln!(out, "{command}");
        }
    }
    out
}

/// A role with these rules and its binding to the user who lacks them.
fn role(user: &Label, namespace: Option<&Label>, rules: &BTreeSet<String>) -> String {
    let text = |t: &str| serde_json::Value::from(t).to_string();
    let (kind, place) = match namespace {
        Some(namespace) => ("Role", format!(", namespace: {}", text(namespace.as_str()))),
        None => ("ClusterRole", String::new()),
    };
    // Applied again with other rules it must not replace what was granted before.
    let rules_hash = PlanHash::of(&rules.iter().map(String::as_str).collect::<Vec<_>>());
    let who: String =
        user.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let name = text(&format!("highwater-{}-{rules_hash}", who.trim_matches('-')));
    let rules = rules.iter().fold(String::new(), |all, rule| all + rule + "\n");
    let mut out = String::new();
    let _ = write!(
        out,
        "apiVersion: {GROUP}/v1\nkind: {kind}\nmetadata: {{name: {name}{place}}}\nrules:\n{rules}---\n\
         apiVersion: {GROUP}/v1\nkind: {kind}Binding\nmetadata: {{name: {name}{place}}}\n\
         subjects: [{{kind: User, name: {}, apiGroup: {GROUP}}}]\nroleRef: {{kind: {kind}, name: {name}, apiGroup: {GROUP}}}\n",
        text(user.as_str())
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(namespace: Option<&str>, name: &str) -> Grant {
        Grant::Rule {
            user: "alice@corp".into(),
            namespace: namespace.map(Label::new),
            group: "apps".into(),
            resource: "deployments/scale".into(),
            name: Some(name.into()),
            verbs: vec!["get", "patch"],
        }
    }

    #[test]
    fn what_is_missing_is_one_role_a_namespace_and_one_command_a_right() {
        let acl = Grant::Acl {
            bootstrap: "k1:9092".into(),
            principal: "User:viewer".into(),
            resource: "--group",
            name: "it's".into(),
        };
        let grants =
            [rule(Some("shop"), "web"), rule(Some("shop"), "web"), rule(Some("shop"), "cart"), rule(None, "x"), acl];
        let text = text(grants.iter());
        assert_eq!(text.matches("resourceNames: [web]").count(), 1, "{text}");
        assert_eq!(text.matches("kind: Role\n").count(), 1, "{text}");
        assert_eq!(text.matches("kind: ClusterRole\n").count(), 1, "{text}");
        assert!(text.contains("subjects: [{kind: User, name: \"alice@corp\""), "{text}");
        assert!(text.contains("--allow-principal 'User:viewer' --operation Describe --group 'it'\\''s'"), "{text}");
        assert_eq!(super::text(std::iter::empty()), "");
    }

    #[test]
    fn no_name_breaks_out_of_the_text_it_stands_in() {
        let text = text([rule(Some("a: {b"), "x]\n- {verbs: ['*']}")].iter());
        assert!(!text.contains("\n- {verbs"), "{text}");
        for document in text.split("---\n") {
            let parsed: Result<serde_json::Value, _> = serde_saphyr::from_str(document);
            assert!(parsed.is_ok(), "{document}");
        }
    }
}
