//! The keys as lists: `highwater keys`, the manual page and the README's table are made from one walk over the keymap.

use super::Keymap;
use crate::tui::action::{Action, Section};
use std::fmt::Write;

/// One action in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its heading.
    pub section: Section,
    /// What it is.
    pub action: Action,
    /// Its keys; empty: unbound.
    pub keys: Vec<String>,
}

impl Keymap {
    /// Every action with its keys, by section.
    pub fn listed(&self) -> Vec<Listed> {
        let of = |section: Section| {
            Action::ALL.iter().filter(move |a| a.section() == section).map(move |action| Listed {
                section,
                action: *action,
                keys: self.keys(*action).iter().map(ToString::to_string).collect(),
            })
        };
        Section::ALL.into_iter().flat_map(of).collect()
    }
}

/// The default keys as the README's table.
pub fn markdown() -> String {
    let mut out = String::from("| key | action | what it does |\n|---|---|---|\n");
    for listed in Keymap::default().listed() {
        // A bar would end the cell.
        let keys: Vec<String> = listed.keys.iter().map(|k| format!("`{}`", k.replace('|', "\\|"))).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| {} | {} | {} |", keys.join(" "), listed.action.name(), listed.action.doc());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Begin and end of the table in the README.
    const MARKS: (&str, &str) = ("<!-- keys: from the program, checked by a test -->\n", "<!-- end of keys -->");

    #[test]
    fn the_readme_lists_the_keys_that_there_are() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
        let (_, rest) = readme.split_once(MARKS.0).expect("the README has the table's beginning");
        let (table, _) = rest.split_once(MARKS.1).expect("the README has the table's end");
        assert_eq!(table, markdown(), "put into the README what `markdown()` gives");
    }

    #[test]
    fn every_action_is_listed_once() {
        let listed = Keymap::default().listed();
        assert_eq!(listed.len(), Action::ALL.len());
        assert!(listed.is_sorted_by_key(|l| Section::ALL.iter().position(|s| *s == l.section)));
    }
}
