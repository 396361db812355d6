//! What a row is called for the cursor, as its parts: thousands of rows are looked through in every frame, so an id is
//! compared without being written down.

use crate::model::Label;
use std::{borrow::Cow, fmt};

/// Most parts of an id.
const PARTS: usize = 4;

/// Parts with `/` between them, and perhaps a number at the end: `prod/fraud-scorer/payments.raw/17`.
///
/// ```
/// use highwater::{model::Label, tui::id::Id};
/// let id = Id::new(["prod", "payments.raw"]).numbered(17);
/// assert_eq!(id.to_string(), "prod/payments.raw/17");
/// assert!(id == id.label() && id != Label::new("prod/payments.raw/1"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id<'a> {
    parts: [Option<Cow<'a, str>>; PARTS],
    number: Option<i32>,
}

impl<'a> Id<'a> {
    /// Of at most four parts.
    pub fn new<const N: usize>(parts: [impl Into<Cow<'a, str>>; N]) -> Self {
        const { assert!(N <= PARTS) };
        let mut given = parts.into_iter();
        Self { parts: std::array::from_fn(|_| given.next().map(Into::into)), number: None }
    }

    /// With a number at its end.
    #[must_use]
    pub fn numbered(self, number: i32) -> Self {
        Self { number: Some(number), ..self }
    }

    /// Written down, for [`crate::tui::State::selected`].
    pub fn label(&self) -> Label {
        Label::new(&self.to_string())
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flatten().map(AsRef::as_ref)
    }

    /// How many bytes it has when written.
    fn length(&self) -> usize {
        let parts: usize = self.parts.iter().flatten().map(|part| part.len() + 1).sum();
        let sign = |n: i32| usize::from(n < 0);
        let number = self.number.map_or(0, |n| 2 + sign(n) + n.unsigned_abs().checked_ilog10().unwrap_or(0) as usize);
        parts.saturating_sub(1) + number
    }

    /// Whether it would be written so.
    fn reads(&self, text: &str) -> bool {
        // Most of thousands are told apart by their lengths, the others by how they end: what is before that is the source.
        let last = self.parts().last().unwrap_or_default();
        if self.length() != text.len() || (self.number.is_none() && !text.ends_with(last)) {
            return false;
        }
        let mut rest = text;
        for (i, part) in self.parts().enumerate() {
            let after = if i == 0 { Some(rest) } else { rest.strip_prefix('/') };
            match after.and_then(|r| r.strip_prefix(part)) {
                Some(r) => rest = r,
                None => return false,
            }
        }
        match self.number {
            None => rest.is_empty(),
            Some(number) => rest.strip_prefix('/').is_some_and(|r| r.parse() == Ok(number)),
        }
    }
}

impl PartialEq<Label> for Id<'_> {
    fn eq(&self, label: &Label) -> bool {
        // A label cuts what is very long.
        let long = || self.parts().map(str::len).sum::<usize>() + 20 > Label::MAX_CHARS;
        self.reads(label.as_str()) || (long() && self.label() == *label)
    }
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.parts().enumerate() {
            f.write_str(if i == 0 { "" } else { "/" })?;
            f.write_str(part)?;
        }
        self.number.map_or(Ok(()), |n| write!(f, "/{n}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_it_is_written_as() {
        let (long, empty) = ("x".repeat(249), "");
        for name in ["orders", "a/b", long.as_str(), empty] {
            let topic = Id::new(["prod", name]);
            let partition = topic.clone().numbered(3);
            assert!(topic == topic.label() && partition == partition.label(), "{name}");
            assert!(topic != partition.label() && partition != topic.label(), "{name}");
            assert!(partition != topic.clone().numbered(31).label(), "{name}");
        }
        assert!(Id::new(["prod", "orders"]) != Label::new("prod/orders-2"));
    }
}
