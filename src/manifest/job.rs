//! Jobs of `batch/v1` made from a template: how many workers one has, when it is over, and what is filled in. Pure.
//!
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/>; `parallelism` may be changed while a Job runs, and 0
//! pauses it.

use serde_json::{Map, Value, json};

/// Label of every Job that is made from a template; its value is the template's name.
pub const TEMPLATE: &str = "highwater.io/job";
/// Label with the action that made it.
pub const ACTION: &str = "highwater.io/action";
/// Longest name of a template: what follows it in a Job's name needs 15 of 63 characters.
const LONGEST_NAME: usize = 48;

/// What is wrong with a template; `None`: nothing. What the server thinks of it shows in the dry run.
pub fn problem(name: &str, template: &Value) -> Option<String> {
    let text = |at: &str| template.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let begins = |c: char| c.is_ascii_lowercase();
    let fits = name.len() <= LONGEST_NAME && name.bytes().all(legal);
    if !(fits && name.starts_with(begins) && name.ends_with(ends)) {
        return Some(format!(
            "{name:?} cannot begin the names of Jobs: use lower-case letters, digits and dashes, {LONGEST_NAME} at most"
        ));
    }
    if (text("/apiVersion"), text("/kind")) != ("batch/v1", "Job") {
        return Some("holds no Job: apiVersion: batch/v1 and kind: Job belong there".to_owned());
    }
    if !template.pointer("/spec/template/spec").is_some_and(Value::is_object) {
        return Some("has no spec.template.spec: there are no pods to run".to_owned());
    }
    None
}

/// The Job for so many workers. Where the template says how many must complete, every worker must.
pub fn filled(template: &Value, namespace: &str, name: &str, labels: [(&str, &str); 2], workers: u32) -> Value {
    let mut job = template.clone();
    if let Some(metadata) = object(&mut job, "metadata") {
        metadata.remove("generateName");
        metadata.insert("name".to_owned(), name.into());
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    if let Some(given) = job.get_mut("metadata").and_then(|m| object(m, "labels")) {
        given.extend(labels.map(|(key, value)| (key.to_owned(), value.into())));
    }
    if let Some(spec) = object(&mut job, "spec") {
        spec.insert("parallelism".to_owned(), workers.into());
        if spec.contains_key("completions") {
            spec.insert("completions".to_owned(), workers.into());
        }
    }
    job
}

/// The object under a key, made where there is none.
fn object<'a>(of: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    let place = of.as_object_mut()?.entry(key).or_insert_with(|| json!({}));
    if !place.is_object() {
        *place = json!({});
    }
    place.as_object_mut()
}

/// The template that a Job was made from.
pub fn template_of(job: &Value) -> Option<&str> {
    job.pointer("/metadata/labels")?.get(TEMPLATE)?.as_str()
}

/// Whether a Job is over, or as good as: complete, failed, or being deleted.
pub fn is_over(metadata_deleted: bool, data: &Value) -> bool {
    const ENDS: [&str; 4] = ["Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"];
    let conditions = data.pointer("/status/conditions").and_then(Value::as_array);
    let is = |c: &Value, key: &str, any: &[&str]| c.get(key).and_then(Value::as_str).is_some_and(|v| any.contains(&v));
    let ended = conditions.is_some_and(|all| all.iter().any(|c| is(c, "type", &ENDS) && is(c, "status", &["True"])));
    metadata_deleted || ended
}

/// Workers that a Job that is not over asks for: its parallelism, or what is left to complete if that is less.
pub fn workers(data: &Value) -> u32 {
    let parallelism = number(data, "/spec/parallelism").unwrap_or(1);
    let done = number(data, "/status/succeeded").unwrap_or(0);
    number(data, "/spec/completions").map_or(parallelism, |all| parallelism.min(all.saturating_sub(done)))
}

/// Workers of a Job that are at work or have done theirs.
pub fn ready(data: &Value) -> u32 {
    number(data, "/status/ready").unwrap_or(0) + number(data, "/status/succeeded").unwrap_or(0)
}

/// GPUs of one worker, of whatever maker.
pub fn gpus(template: &Value) -> u64 {
    let containers = template.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let limits = containers.into_iter().flatten().filter_map(|c| c.pointer("/resources/limits")?.as_object());
    let gpus = limits.flatten().filter(|(key, _)| key.ends_with("/gpu"));
    gpus.filter_map(|(_, n)| n.as_u64().or_else(|| n.as_str()?.parse().ok())).sum()
}

fn number(data: &Value, at: &str) -> Option<u32> {
    data.pointer(at).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Value {
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "x-", "labels": {"team": "ml"}},
            "spec": {"completions": 1, "template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "tune", "resources": {"limits": {"nvidia.com/gpu": "2", "cpu": "4"}}}],
            }}},
        })
    }

    #[test]
    fn a_template_gets_its_name_its_marks_and_its_workers() {
        let job = filled(&template(), "ml", "tune-1", [(TEMPLATE, "tune"), (ACTION, "A1")], 3);
        assert_eq!(job["metadata"]["name"], json!("tune-1"));
        assert_eq!(job["metadata"].get("generateName"), None);
        assert_eq!(job["metadata"]["labels"], json!({"team": "ml", TEMPLATE: "tune", ACTION: "A1"}));
        assert_eq!((&job["spec"]["parallelism"], &job["spec"]["completions"]), (&json!(3), &json!(3)));
        assert_eq!(template_of(&job), Some("tune"));
        assert_eq!(gpus(&job), 2);
        let mut queue = template();
        queue["spec"].as_object_mut().unwrap().remove("completions");
        let job = filled(&queue, "ml", "tune-1", [(TEMPLATE, "tune"), (ACTION, "A1")], 3);
        assert_eq!(job["spec"].get("completions"), None, "workers of a queue end when it is empty");
    }

    #[test]
    fn what_is_no_job_is_said() {
        assert_eq!(problem("tune", &template()), None);
        for name in ["", "Tune", "-rf", "$(id)", "tune-", &"x".repeat(53)] {
            assert!(problem(name, &template()).unwrap().contains("cannot begin the names"), "{name}");
        }
        assert!(problem("tune", &json!({"kind": "CronJob"})).unwrap().contains("holds no Job"));
        assert!(problem("tune", &json!({"apiVersion": "batch/v1", "kind": "Job"})).unwrap().contains("no pods"));
    }

    #[test]
    fn workers_are_what_is_left_to_do() {
        assert_eq!(workers(&json!({"spec": {}})), 1);
        assert_eq!(workers(&json!({"spec": {"parallelism": 4}})), 4);
        assert_eq!(workers(&json!({"spec": {"parallelism": 4, "completions": 4}, "status": {"succeeded": 3}})), 1);
        assert_eq!(workers(&json!({"spec": {"parallelism": 0}})), 0, "paused");
        let ended = |kind: &str| json!({"status": {"conditions": [{"type": kind, "status": "True"}]}});
        assert!(is_over(false, &ended("Complete")) && is_over(false, &ended("Failed")) && is_over(true, &json!({})));
        assert!(!is_over(false, &ended("Suspended")));
        assert_eq!(ready(&json!({"status": {"ready": 1, "succeeded": 2}})), 3);
    }
}
