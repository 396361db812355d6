//! What the command palette offers, and how well it matches what is typed.

use super::{action::Action, command::Commands, state::View};
use crate::model::{Label, Picture, UserCommand};

/// One line of the palette.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Run an action.
    Action(Action),
    /// Go to a view.
    View(View),
    /// Run a command of the operator's own.
    Command(UserCommand),
    /// Open a workload.
    Workload(Label),
}

impl Item {
    /// What is matched and shown.
    pub fn name(&self) -> &str {
        match self {
            Self::Action(action) => action.name(),
            Self::View(view) => view.name(),
            Self::Command(command) => command.name.as_str(),
            Self::Workload(name) => name.as_str(),
        }
    }

    /// What it does, beside its name.
    pub fn doc(&self) -> &str {
        match self {
            Self::Action(action) => action.doc(),
            Self::View(view) => view.action().map_or("Go to this view.", Action::doc),
            Self::Command(command) => command.about.as_str(),
            Self::Workload(_) => "Open this workload.",
        }
    }
}

/// What matches `typed`, best first: views, every action that exists in this mode, the operator's own commands, workloads.
pub fn matching(typed: &str, picture: &Picture, commands: &Commands) -> Vec<Item> {
    // A cursor key or the palette itself, run from the palette, does nothing that one could see.
    let useful = |a: &&Action| {
        a.exists_in(picture.mode)
            && a.section() != super::action::Section::Move
            && a.view().is_none()
            && !a.is_of_approval()
            && !matches!(a, Action::Palette | Action::Open | Action::Back)
    };
    let views = View::ALL.into_iter().filter(|v| !matches!(v, View::Workload | View::Day)).map(Item::View);
    let actions = Action::ALL.iter().filter(useful).map(|a| Item::Action(*a));
    let own = commands.offered().iter().cloned().map(Item::Command);
    let workloads = picture.workloads.iter().map(|w| Item::Workload(w.workload.name.clone()));
    let mut found: Vec<(u32, Item)> = views
        .chain(actions)
        .chain(own)
        .chain(workloads)
        .filter_map(|item| Some((score(typed, item.name())?, item)))
        .collect();
    if !typed.trim().is_empty() {
        found.sort_by_key(|(score, _)| std::cmp::Reverse(*score)); // stable: equals keep the order above
    }
    found.into_iter().map(|(_, item)| item).collect()
}

/// How well `typed` matches `name` as a subsequence, letter case aside; `None`: not at all. Letters at the start, after
/// a separator and in a row count more; a shorter name wins over a longer one.
///
/// ```
/// use highwater::tui::palette::score;
/// assert!(score("fs", "fraud-scorer") > score("fs", "self-service"));
/// assert_eq!(score("sf", "fraud-scorer"), None);
/// ```
pub fn score(typed: &str, name: &str) -> Option<u32> {
    let typed: Vec<char> = typed.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    let name: Vec<char> = name.to_lowercase().chars().collect();
    // Jumping ahead to the start of a word is better where the rest still matches from there.
    walk(&typed, &name, true).max(walk(&typed, &name, false))
}

fn walk(typed: &[char], name: &[char], jump: bool) -> Option<u32> {
    let starts_word = |i: usize| i == 0 || !name[i - 1].is_alphanumeric();
    let (mut at, mut total, mut last) = (0, 1000_u32, None);
    for wanted in typed {
        let next = at + name.iter().skip(at).position(|c| c == wanted)?;
        let in_a_row = last.is_some_and(|l| next == l + 1);
        let word = (next..name.len()).find(|i| name[*i] == *wanted && starts_word(*i)).filter(|_| jump && !in_a_row);
        let found = word.unwrap_or(next);
        total += match () {
            () if starts_word(found) => 20,
            () if in_a_row => 15,
            () => 1,
        };
        last = Some(found);
        at = found + 1;
    }
    Some(total.saturating_sub(u32::try_from(name.len()).unwrap_or(500).min(500)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mode, Time};

    fn names(typed: &str, mode: Mode) -> Vec<String> {
        let picture = Picture::empty(mode, "test", Time::default());
        matching(typed, &picture, &Commands::default()).iter().map(|i| i.name().to_owned()).collect()
    }

    #[test]
    fn watch_offers_nothing_that_decides() {
        assert!(names("", Mode::Operate).contains(&"approve".to_owned()));
        for name in ["approve", "reject", "snooze", "change-count", "confirm"] {
            assert!(!names("", Mode::Watch).contains(&name.to_owned()), "{name}");
        }
    }

    #[test]
    fn the_best_match_is_first() {
        assert_eq!(names("kaf", Mode::Watch)[0], "kafka");
        assert_eq!(names("zo", Mode::Watch)[0], "zoom-in");
        assert_eq!(names("q", Mode::Watch)[0], "quit");
        assert!(score("ab", "xab-a").is_some(), "the start of a later word is no trap");
        assert!(names("xyzzy", Mode::Watch).is_empty());
        assert_eq!(names("", Mode::Watch)[..2], ["overview", "kafka"], "nothing typed: in the order of the keys");
    }
}
