//! `[actuator.…]`: what stands behind targets outside of Kubernetes.

use super::{
    Config,
    prometheus::is_secret_header,
    reader::{FreeValue, Section},
};
use crate::manifest;
use crate::model::{CommandSettings, JobSettings, Label, PatchFileSettings, SecretSource, Target, WebhookSettings};

pub(super) fn read(s: &Section<'_>, config: &mut Config) {
    config.commands = s.named_sections("command").iter().filter_map(|(name, s)| command(name, s)).collect();
    config.webhooks = s.named_sections("webhook").iter().filter_map(|(name, s)| webhook(name, s)).collect();
    config.jobs = s.named_sections("job").iter().filter_map(|(name, s)| job(name, s)).collect();
    config.patch_files = s.named_sections("patch-file").iter().filter_map(|(name, s)| patch_file(name, s)).collect();
    s.finish();
}

/// Whether a target's actuator stands in the file; targets in Kubernetes need none.
pub(super) fn is_known(target: &Target, config: &Config) -> bool {
    match target {
        Target::Command(name) => config.commands.iter().any(|c| c.name == *name),
        Target::Webhook(name) => config.webhooks.iter().any(|w| w.name == *name),
        Target::PatchFile(name) => config.patch_files.iter().any(|f| f.name == *name),
        Target::Jobs { name, .. } => config.jobs.iter().any(|j| j.name == *name),
        Target::Deployment { .. } | Target::StatefulSet { .. } | Target::Object { .. } => true,
    }
}

fn command(name: &str, s: &Section<'_>) -> Option<CommandSettings> {
    let apply = s.argv("apply");
    if apply.is_none() {
        s.wrong("apply", "is missing: write apply = [\"/path/to/program\", \"{to}\"]");
    }
    let settings = CommandSettings {
        name: Label::new(name),
        apply: apply?,
        observe: s.argv("observe"),
        dry_run: s.argv("dry_run"),
        timeout: s.duration("timeout").unwrap_or(60.0).max(0.1),
    };
    s.finish();
    Some(settings)
}

fn webhook(name: &str, s: &Section<'_>) -> Option<WebhookSettings> {
    let url = s.text("url").or_else(|| {
        s.wrong("url", "is missing: write url = \"https://HOST/PATH\"");
        None
    })?;
    let mut w = WebhookSettings::new(name, url);
    w.observe = s.text("observe").map(str::to_owned);
    for (key, url) in [("url", Some(&w.url)), ("observe", w.observe.as_ref())] {
        if let Some(problem) = url.and_then(|u| url_problem(u)) {
            s.wrong(key, problem);
        }
    }
    match s.text("method").unwrap_or("POST") {
        method @ ("POST" | "PUT" | "PATCH") => method.clone_into(&mut w.method),
        other => s.wrong("method", format!("{other:?} is not known: POST, PUT or PATCH")),
    }
    w.secret = s.secret("secret");
    w.bearer = s.secret("bearer_token");
    if let Some(headers) = s.section("headers") {
        let as_source = |value| match value {
            FreeValue::Text(text) => SecretSource::Value(crate::model::Secret::new(text)),
            FreeValue::Secret(secret) => secret,
        };
        w.headers = headers.free(is_secret_header).into_iter().map(|(key, value)| (key, as_source(value))).collect();
    }
    w.body = s.text("body").map(str::to_owned);
    if let Some(body) = &w.body
        && !body.contains("{to}")
    {
        s.wrong("body", "does not contain {to}, so every change would be the same");
    }
    if let Some(field) = s.text("observe_field") {
        if field.is_empty() || field.starts_with('/') {
            field.clone_into(&mut w.observe_field);
        } else {
            s.wrong("observe_field", "a JSON pointer belongs here, such as \"/status/replicas\"");
        }
    }
    w.dry_run = s.boolean("dry_run").unwrap_or_default();
    w.timeout = s.duration("timeout").unwrap_or(w.timeout).max(0.1);
    s.finish();
    Some(w)
}

/// What is wrong with a webhook's URL; `None`: nothing. Where a name leads to is looked at when it is asked.
fn url_problem(url: &str) -> Option<&'static str> {
    let loopback = ["http://127.0.0.1", "http://localhost", "http://[::1]"]
        .iter()
        .any(|l| url.strip_prefix(l).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '?'])));
    // What stands before an @ is no host, though it may look like this machine.
    let rest = match url.strip_prefix("https://").or_else(|| url.strip_prefix("http://").filter(|_| loopback)) {
        Some(rest) => rest,
        None if url.starts_with("http://") => return Some("http:// goes to this machine only: use https://"),
        None => return Some("a URL that starts with https:// belongs here"),
    };
    match rest.split(['/', '?', '#']).next().unwrap_or_default() {
        "" => Some("the URL names no host"),
        host if host.contains('@') => Some("user and password do not belong into the URL: use bearer_token or headers"),
        _ => None,
    }
}

/// Longest template that is read, bytes.
const LONGEST_TEMPLATE: u64 = 256 * 1024;

fn job(name: &str, s: &Section<'_>) -> Option<JobSettings> {
    let file = s.path("template");
    s.finish();
    let Some(file) = file else {
        s.wrong("template", "is missing: write template = \"/path/to/job.yaml\", the manifest of one Job");
        return None;
    };
    let read = || {
        let size = std::fs::metadata(&file).map_err(|e| format!("cannot be read: {e}"))?.len();
        if size > LONGEST_TEMPLATE {
            return Err(format!("is {size} bytes long: that is no manifest of a Job"));
        }
        let text = std::fs::read_to_string(&file).map_err(|e| format!("cannot be read: {e}"))?;
        let template = serde_saphyr::from_str(&text).map_err(|e| format!("is not YAML: {e}"))?;
        manifest::job::problem(name, &template).map_or(Ok(template), Err)
    };
    match read() {
        Ok(template) => Some(JobSettings { name: Label::new(name), template }),
        Err(why) => {
            s.wrong("template", format!("{}: {why}", file.display()));
            None
        }
    }
}

fn patch_file(name: &str, s: &Section<'_>) -> Option<PatchFileSettings> {
    let file = s.path("file");
    if file.is_none() {
        s.wrong("file", "is missing: write file = \"/path/to/checkout/deployment.yaml\"");
    }
    let key = s.text("key").unwrap_or("replicas").to_owned();
    s.finish();
    Some(PatchFileSettings { name: Label::new(name), file: file?, key })
}
