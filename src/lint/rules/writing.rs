//! What the reader complained about: keys that nobody reads, and values that are refused.

use super::{Finding, Group, Severity, Subject, finding};
use crate::manifest::{Complaint, Edit, Grade, Manifest};
use serde_json::{Value, json};

pub(in crate::lint) const GROUP: Group = Group {
    names: &[
        ("unreadable", "a value that cannot be what it must be"),
        ("refused", "what the API server or KEDA refuses"),
        ("unknown-field", "a key that nobody reads"),
        ("unknown-metadata", "trigger metadata that the scaler does not know: its default holds"),
    ],
    judge: none,
};

/// What `autoscaling/v1` says instead of metrics.
const V1_TARGET: &str = "/spec/targetCPUUtilizationPercentage";

/// Complaints belong to the reading, see [`of`].
fn none(_: &Subject<'_>) -> Vec<Finding> {
    Vec::new()
}

pub(in crate::lint) fn of(manifest: &Manifest) -> Vec<Finding> {
    manifest.complaints.iter().map(|c| judged(manifest, c)).collect()
}

fn judged(manifest: &Manifest, complaint: &Complaint) -> Finding {
    let (pointer, value) = (complaint.pointer.as_str(), manifest.value.pointer(&complaint.pointer));
    let metadata = pointer.contains("/metadata/") && pointer.starts_with("/spec/triggers/");
    let texts = metadata || pointer.starts_with("/metadata/annotations/");
    let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    match complaint.grade {
        Grade::Unreadable => finding("unreadable", Severity::Error, pointer, complaint.what.clone(), "", Vec::new()),
        Grade::Refused => {
            let mend = match value {
                Some(Value::Number(n)) if texts => vec![Edit::set(pointer, n.to_string())],
                Some(Value::Bool(b)) if texts => vec![Edit::set(pointer, b.to_string())],
                _ => Vec::new(),
            };
            let why = "kubectl apply fails, or the object stays in an error and nothing scales.";
            finding("refused", Severity::Error, pointer, complaint.what.clone(), why, mend)
        }
        Grade::Ignored => {
            let rule = if metadata { "unknown-metadata" } else { "unknown-field" };
            let meant = complaint.meant.as_ref();
            let taken = meant.is_some_and(|m| manifest.value.pointer(&format!("{parent}/{m}")).is_some());
            let mut mend = vec![Edit::remove(pointer)];
            let mut why = if metadata {
                format!(
                    "KEDA passes over metadata that a scaler does not know without a word; what {key} was meant to set \
                         has its default."
                )
            } else {
                "The API server drops fields that are not in the schema (with strict validation it refuses them)."
                    .to_owned()
            };
            if let Some(meant) = meant {
                why = format!("{why} Did you mean {meant}?");
                if let (false, Some(value)) = (taken, value) {
                    mend.push(Edit::set(&format!("{parent}/{meant}"), value.clone()));
                }
            }
            if let (V1_TARGET, Some(percent), None) = (pointer, value, manifest.value.pointer("/spec/metrics")) {
                why.push_str(" It is a word of autoscaling/v1; without metrics the target is 80 % of CPU.");
                let target = json!({"type": "Utilization", "averageUtilization": percent});
                let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
                mend.push(Edit::set("/spec/metrics", json!([cpu])));
            }
            finding(rule, Severity::Warning, pointer, complaint.what.clone(), why, mend)
        }
    }
}
