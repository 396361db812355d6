//! What was found out instead of being written down, and what speaks for it.

use super::Label;
use serde::Serialize;

/// How something that nobody wrote down is known. A guess is shown as a guess, and nobody acts on one that no operator
/// has confirmed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// Whether it follows from what the systems say of each other; else it is a guess.
    pub certain: bool,
    /// What speaks for it, strongest first: one sentence each, at least one.
    pub because: Vec<Label>,
}

impl Found {
    /// Something that follows from `because`.
    pub fn certain(because: &str) -> Self {
        Self { certain: true, because: vec![Label::new(because)] }
    }

    /// Something that `because` lets one think.
    pub fn guess(because: &str) -> Self {
        Self { certain: false, because: vec![Label::new(because)] }
    }

    /// The strongest sentence.
    pub fn why(&self) -> &str {
        self.because.first().map_or("", Label::as_str)
    }
}
