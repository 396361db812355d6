//! What is wrong with an HPA or a ScaledObject, why, in numbers, and what to write instead. Pure.
//!
//! A rule looks at one object (or at all of them together) with the [`Facts`] that are known about its workload, and
//! gives findings. The mend of a finding is data: it is shown as YAML, and applied to be judged and priced again. Where a
//! rule rests on a number that nobody told, the finding says what it was taken to be.
//!
//! Sources: Kubernetes 1.36 (`pkg/controller/podautoscaler`), KEDA 2.21 (`pkg/scalers`, `pkg/scaling/executor`, its
//! issues where a rule names one), and prices of the arena.

mod facts;
mod price;
mod rules;
mod subject;

pub use facts::{Facts, Known, Origin, Protocol, annotations};
pub use price::{Day, play, targets};
pub use subject::{LagTarget, Subject};

use crate::manifest::{Edit, Manifest, Object};
use serde::Serialize;
use serde_json::Value;
use std::cmp::Ordering;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It costs, or does not do what it seems to.
    Warning,
    /// It is refused, or cannot work.
    Error,
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Name of the rule.
    pub rule: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Where, as a JSON pointer into the object.
    pub pointer: String,
    /// What is wrong: one sentence.
    pub what: String,
    /// Why, with numbers.
    pub why: String,
    /// What to write instead; empty where that is not for this object to say.
    pub mend: Vec<Edit>,
}

/// The rules with what each is about, in the order of their names.
pub fn rules() -> Vec<(&'static str, &'static str)> {
    let mut all: Vec<_> = rules::ALL.iter().flat_map(|group| group.names.iter().copied()).collect();
    all.sort_unstable();
    all
}

/// Judges one object: the worst first, then from the top down.
pub fn judge(manifest: &Manifest, facts: &Facts) -> Vec<Finding> {
    let mut findings = rules::writing::of(manifest);
    // KEDA's own HPA is its ScaledObject's business, and an object that cannot be read has no meaning to judge.
    let keda_made = matches!(&manifest.object, Object::Hpa(hpa) if hpa.keda);
    if !keda_made && manifest.unreadable().is_none() {
        let subject = Subject { object: &manifest.object, facts, written: &manifest.value };
        findings.extend(rules::ALL.iter().flat_map(|group| (group.judge)(&subject)));
    }
    if manifest.value.get("apiVersion").and_then(Value::as_str) == Some("autoscaling/v1") {
        findings.iter_mut().for_each(needs_v2);
    }
    findings.sort_by(worst_first);
    findings
}

/// The worst first, then from the top down.
pub fn worst_first(a: &Finding, b: &Finding) -> Ordering {
    (b.severity, &a.pointer, a.rule).cmp(&(a.severity, &b.pointer, b.rule))
}

/// What `autoscaling/v1` cannot say is no mend of it.
fn needs_v2(finding: &mut Finding) {
    let unknown = |e: &Edit| ["/spec/behavior", "/spec/metrics"].iter().any(|part| e.pointer().starts_with(part));
    if finding.mend.iter().any(unknown) {
        finding.mend.clear();
        finding.why.push_str(" autoscaling/v1 cannot say what mends it: write the object as autoscaling/v2.");
    }
}

/// Judges objects together: the finding of each object by its index.
pub fn judge_together(manifests: &[Manifest]) -> Vec<(usize, Finding)> {
    rules::owners::together(manifests)
}

#[cfg(test)]
mod tests;
