//! `highwater config example --from-live`: what was found, written down as configuration to be reviewed.
//!
//! What is certain stands there as it is; a guess is a comment with what speaks for it, and taking the comment mark away
//! is the word that it is right.

use super::{Failure, Outcome, args::Common, common, once, print};
use crate::{
    config::Config,
    model::{
        Found, Hpa, Label, Picture, Pipeline, Property, ScaledObject, SecretSource, Target, Workload, WorkloadKind,
        WorkloadView,
    },
    process::Clock,
};
use std::{collections::BTreeSet, fmt::Write, sync::Arc};

pub(super) fn run(common: &Common, settle: f64) -> Outcome {
    common::log(common, None)?;
    let config = common::config_with_sources(common)?;
    let look = once::picture(config.clone(), Clock::wall(), None, None, once::Wait { settle, days: false });
    let picture = common::runtime()?.block_on(look)?;
    let text = text(&config, &picture);
    // With a file these lines are to be added to it; alone they name workloads that stand there.
    if config.file.is_none() {
        let read = Config::parse(&text, "what was found", true);
        read.map_err(|e| Failure::failed(format!("what was found makes no configuration: {e}")))?;
    }
    print(&text)?;
    once::unreachable(&picture).map_or(Ok(0), Err)
}

/// The configuration: sources as they were given on the command line, then what was found and is not configured yet.
pub(super) fn text(config: &Config, picture: &Picture) -> String {
    let mut out = String::new();
    if let Some(file) = &config.file {
        let _ = writeln!(out, "# Found at {}; to be added to {}.", picture.at, file.display());
    } else {
        let _ = writeln!(out, "# Found at {}.", picture.at);
        sources(&mut out, config);
    }
    let _ = writeln!(
        out,
        "# What follows was found by looking. Guesses are comments: take the \"# \" away from those that are right."
    );
    let proposed: Vec<&Pipeline> = picture.pipelines.iter().filter(|p| p.is_proposed()).collect();
    let in_flow: BTreeSet<&Label> = proposed.iter().flat_map(|p| &p.workloads).collect();
    let mut views: Vec<&Arc<WorkloadView>> = picture.workloads.iter().filter(|v| !v.workload.configured).collect();
    views.sort_by(|a, b| a.workload.name.cmp(&b.workload.name));
    let (told, rest): (Vec<_>, Vec<_>) =
        views.into_iter().partition(|v| v.workload.target.is_some() || in_flow.contains(&v.workload.name));
    for view in told {
        workload(&mut out, view);
    }
    for pipeline in proposed {
        flow(&mut out, pipeline);
    }
    if !rest.is_empty() {
        let names: Vec<&str> = rest.iter().map(|v| v.workload.name.as_str()).take(20).collect();
        let more = if rest.len() > names.len() { ", …" } else { "" };
        let _ = writeln!(out, "\n# For {} others nothing was found to scale: {}{more}", rest.len(), names.join(", "));
    }
    out
}

/// A text in quotes: JSON's strings are TOML's basic strings.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A key: bare where TOML allows it.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { name.to_owned() } else { quoted(name) }
}

fn sources(out: &mut String, config: &Config) {
    for kafka in &config.kafka {
        let _ = writeln!(out, "\n[kafka.{}]", key(kafka.name.as_str()));
        for (name, value) in &kafka.properties {
            let _ = match value {
                Property::Text(text) => writeln!(out, "{} = {}", quoted(name), quoted(text)),
                Property::Secret(source) => writeln!(out, "{}", secret(name, source)),
            };
        }
    }
    for p in &config.prometheus {
        let _ = writeln!(out, "\n[prometheus.{}]\nurl = {}", key(p.name.as_str()), quoted(&p.url));
    }
    if let Some(k) = &config.kubernetes {
        let _ = writeln!(out, "\n[kubernetes]");
        if let Some(context) = &k.context {
            let _ = writeln!(out, "context = {}", quoted(context));
        }
        if !k.namespaces.is_empty() {
            let all: Vec<String> = k.namespaces.iter().map(|n| quoted(n)).collect();
            let _ = writeln!(out, "namespaces = [{}]", all.join(", "));
        }
    }
    out.push('\n');
}

/// Where a secret comes from. One that was given as it is is not written down.
fn secret(name: &str, source: &SecretSource) -> String {
    let name = quoted(name);
    match source {
        SecretSource::Value(_) => {
            format!("# {name} = {{ env = \"NAME\" }}   # it was given as it is: say where it comes from")
        }
        SecretSource::Env(variable) => format!("{name} = {{ env = {} }}", quoted(variable)),
        SecretSource::File(path) => format!("{name} = {{ file = {} }}", quoted(&path.display().to_string())),
        SecretSource::Command(argv) => {
            let argv: Vec<String> = argv.iter().map(|a| quoted(a)).collect();
            format!("{name} = {{ command = [{}] }}", argv.join(", "))
        }
    }
}

fn workload(out: &mut String, view: &WorkloadView) {
    let Workload { name, entity, target, found, .. } = &*view.workload;
    let (source, id) = match entity.kind {
        WorkloadKind::ConsumerGroup => ("kafka", "group"),
        WorkloadKind::Inference => ("prometheus", "service"),
        WorkloadKind::Batch => ("prometheus", "queue"),
        WorkloadKind::Brokers => return, // a pool is never discovered
    };
    let _ = write!(out, "\n[[workload]]\nname = {}\nkind = {}\n", quoted(name.as_str()), quoted(entity.kind.name()));
    let _ = writeln!(out, "{source} = {}\n{id} = {}", quoted(entity.source.as_str()), quoted(entity.id.as_str()));
    if let (Some(target), Some(found)) = (target, found) {
        because(out, found);
        let _ = writeln!(out, "{}target = {}", mark(found), quoted(&target.to_string()));
        if let Some((min, max, who)) = bounds(view, target) {
            let _ = writeln!(out, "# the bounds of {who}\n{}replicas = {{ min = {min}, max = {max} }}", mark(found));
        }
    }
    if entity.kind == WorkloadKind::ConsumerGroup {
        let _ = writeln!(out, "# slo = {{ time_lag = \"60s\" }}   # assumed as long as nobody says otherwise");
    }
}

/// Bounds that an autoscaler of the target keeps already.
fn bounds(view: &WorkloadView, target: &Target) -> Option<(u32, u32, String)> {
    let (_, namespace, _) = target.kubernetes()?;
    let of_hpa = |h: &Hpa| (h.min.max(1), h.max, format!("HPA {namespace}/{}", h.name));
    let of_keda = |s: &ScaledObject| (s.min.max(1), s.max, format!("ScaledObject {namespace}/{}", s.name));
    let found = view.state.scaled_object.as_ref().map(of_keda).or_else(|| view.state.hpa.as_ref().map(of_hpa));
    found.filter(|(min, max, _)| min <= max)
}

fn flow(out: &mut String, pipeline: &Pipeline) {
    let certain = pipeline.links.iter().all(|l| l.certain);
    let mark = if certain { "" } else { "# " };
    out.push('\n');
    for link in &pipeline.links {
        because(out, link);
    }
    let names: Vec<String> = pipeline.workloads.iter().map(|w| quoted(w.as_str())).collect();
    let _ = writeln!(out, "{mark}[[pipeline]]\n{mark}name = {}", quoted(pipeline.name.as_str()));
    let _ = writeln!(out, "{mark}workloads = [{}]", names.join(", "));
}

fn because(out: &mut String, found: &Found) {
    let word = if found.certain { "" } else { "a guess: " };
    for (i, why) in found.because.iter().enumerate() {
        let _ = writeln!(out, "# {}{why}", if i == 0 { word } else { "" });
    }
}

fn mark(found: &Found) -> &'static str {
    if found.certain { "" } else { "# " }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    #[test]
    fn names_and_secrets_are_written_so_that_they_can_be_read_and_not_seen() {
        assert_eq!((key("main"), key("a b")), ("main".to_owned(), "\"a b\"".to_owned()));
        let shown = secret("sasl.password", &SecretSource::Value(Secret::new("hunter2".to_owned())));
        assert!(!shown.contains("hunter2") && shown.starts_with("# "), "{shown}");
    }
}
