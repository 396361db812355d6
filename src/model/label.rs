//! Text from outside, made harmless once, where it enters the process.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Borrow, fmt, fmt::Write as _, sync::Arc};

/// A name, label value or message that is safe to draw, log and store: no control characters (C0, DEL, C1), no
/// bidirectional overrides, no zero-width characters, bounded length. What was unsafe is shown as an escape
/// (`\u{1b}`), never dropped silently, so a forged name looks forged.
///
/// The source rooms keep the raw name for the requests that they make; everybody else sees this.
/// Kafka's own limit for topic names is 249 characters, so legal names pass unchanged.
///
/// ```
/// use highwater::model::Label;
/// assert_eq!(Label::new("orders").as_str(), "orders");
/// assert_eq!(Label::new("a\u{1b}]52;c\u{7}").as_str(), "a\\u{1b}]52;c\\u{7}");
/// assert_eq!(Label::new("").as_str(), "");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<str>);

impl Label {
    /// Longest label kept, in characters; longer text is cut and ends in `…` and a short hash, so that two long names
    /// stay two.
    pub const MAX_CHARS: usize = 250;

    /// Scrubs `raw` and keeps it.
    pub fn new(raw: &str) -> Self {
        if raw.len() <= Self::MAX_CHARS && !raw.chars().any(is_unsafe) {
            return Self(raw.into());
        }
        let mut out = String::with_capacity(raw.len().min(Self::MAX_CHARS * 2));
        let mut chars = 0;
        for c in raw.chars() {
            if chars >= Self::MAX_CHARS {
                // FNV-1a over the whole name: only to tell two cut names apart, not for security.
                let hash = raw.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
                let _ = write!(out, "…{hash:08x}"); // writing to a String cannot fail
                break;
            }
            if is_unsafe(c) {
                let escape = c.escape_unicode().to_string();
                chars += escape.len();
                out.push_str(&escape);
            } else {
                chars += 1;
                out.push(c);
            }
        }
        Self(out.into())
    }

    /// The scrubbed text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no text at all (Kafka allows an empty group id).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Control characters, bidirectional formatting, zero-width and other invisible format characters.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl Default for Label {
    fn default() -> Self {
        Self("".into())
    }
}

impl From<&str> for Label {
    fn from(s: &str) -> Self {
        Self::new(s)
    }
}

impl From<String> for Label {
    fn from(s: String) -> Self {
        Self::new(&s)
    }
}

impl AsRef<str> for Label {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Label {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Label {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Label {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(d)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_that_moves_a_cursor_survives(raw in "\\PC*|.*") {
            let label = Label::new(&raw);
            prop_assert!(!label.as_str().chars().any(is_unsafe));
            prop_assert!(label.as_str().chars().count() <= Label::MAX_CHARS + 20);
            prop_assert_eq!(Label::new(label.as_str()), label, "scrubbing twice changes nothing");
        }
    }

    #[test]
    fn long_names_stay_apart() {
        let a = "x".repeat(1_000_000) + "a";
        let b = "x".repeat(1_000_000) + "b";
        assert_ne!(Label::new(&a), Label::new(&b));
    }
}
