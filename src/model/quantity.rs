//! Quantities of Kubernetes: `10k`, `500m`, `1Gi`.

use serde::{Serialize, Serializer};
use std::fmt;

/// A quantity in whole thousandths, rounded up, as upstream's `MilliValue` has it.
///
/// ```
/// use highwater::model::Quantity;
/// assert_eq!(Quantity::parse("10k").map(Quantity::milli), Some(10_000_000));
/// assert_eq!(Quantity::parse("500m").map(|q| q.to_string()), Some("500m".to_owned()));
/// assert_eq!(Quantity::parse("many"), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i64);

/// Suffixes and what they multiply by; the longer ones first, since `Mi` ends in no other suffix but `m` begins one.
const UNITS: [(&str, f64); 16] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("", 1.0),
];

impl Quantity {
    /// So many thousandths.
    pub fn from_milli(milli: i64) -> Self {
        Self(milli)
    }

    /// Reads one; `None` where the text is no quantity.
    pub fn parse(text: &str) -> Option<Self> {
        let (suffix, factor) = UNITS.iter().find(|(suffix, _)| text.ends_with(suffix))?;
        let digits = text.strip_suffix(suffix)?;
        // Words such as "inf" are numbers to Rust, not to Kubernetes.
        if !digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | 'e' | 'E')) {
            return None;
        }
        let number = digits.parse::<f64>().ok().filter(|n| n.is_finite())?;
        // Whole thousandths must come out whole: 0.1 * 1000 is not 100 in binary.
        let milli = number * factor * 1000.0;
        let whole = (milli - milli.round()).abs() < 1e-6 * milli.abs().max(1.0);
        Some(Self(if whole { milli.round() } else { milli.ceil() } as i64)) // saturates
    }

    /// Thousandths.
    pub fn milli(self) -> i64 {
        self.0
    }

    /// As a number.
    pub fn value(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 1000 == 0 { write!(f, "{}", self.0 / 1000) } else { write!(f, "{}m", self.0) }
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_read_and_nonsense_is_not() {
        for (text, milli) in [
            ("1", 1_000),
            ("100m", 100),
            ("0.1", 100),
            ("10k", 10_000_000),
            ("1Gi", 1_073_741_824_000),
            ("2e3", 2_000_000),
            ("1E", i64::MAX), // saturates
            ("1u", 1),        // rounded up
        ] {
            assert_eq!(Quantity::parse(text).map(Quantity::milli), Some(milli), "{text}");
        }
        assert_eq!(["", "k", "1x", "inf", "NaN", "six"].map(Quantity::parse), [None; 6]);
    }
}
