//! The rules, by what they are about.

pub(super) mod counts;
pub(super) mod lag;
pub(super) mod metrics;
pub(super) mod owners;
pub(super) mod timing;
pub(super) mod writing;

use super::{Finding, Severity, Subject};
use crate::manifest::Edit;

/// Rules that belong together.
pub(super) struct Group {
    /// Their names with what each is about.
    pub(super) names: &'static [(&'static str, &'static str)],
    /// Judges one object.
    pub(super) judge: fn(&Subject<'_>) -> Vec<Finding>,
}

/// Every group.
pub(super) const ALL: [Group; 6] =
    [lag::GROUP, counts::GROUP, timing::GROUP, metrics::GROUP, owners::GROUP, writing::GROUP];

/// A finding in the making.
fn finding(
    rule: &'static str,
    severity: Severity,
    pointer: &str,
    what: impl Into<String>,
    why: impl Into<String>,
    mend: Vec<Edit>,
) -> Finding {
    Finding { rule, severity, pointer: pointer.to_owned(), what: what.into(), why: why.into(), mend }
}

/// A number of records as people write it: two significant digits.
pub(super) fn round(records: f64) -> f64 {
    let unit = 10_f64.powf(records.abs().max(1.0).log10().floor() - 1.0).max(1.0);
    (records / unit).round() * unit
}
