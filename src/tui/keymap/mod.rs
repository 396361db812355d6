//! Which key does what: the default table or a preset, patched by the operator's.

mod commands;
mod list;
mod presets;

pub use list::{Listed, markdown};
pub use presets::PRESETS;

use super::action::{Action, Section};
use crate::model::Label;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// One key with its modifiers.
///
/// ```
/// use highwater::tui::keymap::Chord;
/// assert_eq!("ctrl-l".parse::<Chord>().unwrap().to_string(), "ctrl-l");
/// assert_eq!("G".parse::<Chord>().unwrap(), "shift-g".parse().unwrap());
/// assert!("hyper-x".parse::<Chord>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chord {
    code: KeyCode,
    modifiers: KeyModifiers,
}

/// Keys with a name, as a key file writes them.
const NAMED: [(&str, KeyCode); 16] = [
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("space", KeyCode::Char(' ')),
    ("tab", KeyCode::Tab),
    ("shift-tab", KeyCode::BackTab),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
];

impl Chord {
    /// The chord of a key event. Terminals differ in whether `G` comes with Shift, so Shift is dropped where the
    /// character already says it.
    pub fn of(key: &KeyEvent) -> Self {
        Self::new(key.code, key.modifiers)
    }

    fn new(code: KeyCode, modifiers: KeyModifiers) -> Self {
        let mut modifiers = modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        let code = match code {
            KeyCode::Char(c) if modifiers.contains(KeyModifiers::SHIFT) => {
                modifiers -= KeyModifiers::SHIFT;
                KeyCode::Char(c.to_ascii_uppercase())
            }
            KeyCode::Tab if modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
            other => other,
        };
        if code == KeyCode::BackTab {
            modifiers -= KeyModifiers::SHIFT;
        }
        Self { code, modifiers }
    }

    /// The key without modifiers.
    pub fn plain(code: KeyCode) -> Self {
        Self::new(code, KeyModifiers::NONE)
    }

    /// The character that it types, if it types one.
    pub fn typed(&self) -> Option<char> {
        match self.code {
            KeyCode::Char(c) if self.modifiers.is_empty() => Some(c),
            _ => None,
        }
    }

    /// The key itself.
    pub fn code(&self) -> KeyCode {
        self.code
    }

    /// Whether Control or Alt is held.
    pub fn is_modified(&self) -> bool {
        !self.modifiers.is_empty()
    }
}

impl FromStr for Chord {
    type Err = String;

    /// The error is a sentence with the mend.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, code)) = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(Self::plain(*code));
        }
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        while let Some((word, after)) =
            rest.split_once('-').filter(|(word, after)| !word.is_empty() && !after.is_empty())
        {
            modifiers |= match word.to_ascii_lowercase().as_str() {
                "ctrl" => KeyModifiers::CONTROL,
                "alt" => KeyModifiers::ALT,
                "shift" => KeyModifiers::SHIFT,
                _ => return Err(unknown_key(text)),
            };
            rest = after;
        }
        let mut chars = rest.chars();
        let code = match (chars.next(), chars.next()) {
            (Some(c), None) => KeyCode::Char(c),
            _ => named(rest).ok_or_else(|| unknown_key(text))?,
        };
        Ok(Self::new(code, modifiers))
    }
}

fn named(word: &str) -> Option<KeyCode> {
    let function = word.strip_prefix(['f', 'F']).and_then(|n| n.parse().ok()).filter(|n| (1..=24).contains(n));
    NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, c)| *c).or(function.map(KeyCode::F))
}

fn unknown_key(text: &str) -> String {
    let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
    format!(
        "{text:?} is no key: write one character, f1 to f24 or one of {}, with ctrl- or alt- before it",
        names.join(" ")
    )
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (modifier, word) in
            [(KeyModifiers::CONTROL, "ctrl-"), (KeyModifiers::ALT, "alt-"), (KeyModifiers::SHIFT, "shift-")]
        {
            if self.modifiers.contains(modifier) {
                text.push_str(word);
            }
        }
        match (NAMED.iter().find(|(_, code)| *code == self.code), self.code) {
            (Some((name, _)), _) => text.push_str(name),
            (None, KeyCode::Char(c)) => text.push(c),
            (None, KeyCode::F(n)) => text += &["f", &n.to_string()].concat(),
            (None, other) => text += &other.to_string(),
        }
        f.pad(&text)
    }
}

/// The live keymap: help, footer, palette and `highwater keys` read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Keymap {
    keys: BTreeMap<Action, Vec<Chord>>,
    /// Keys of the operator's own commands, and the command's name.
    commands: Vec<(Chord, Label)>,
}

/// The entry of `[keys]` that names a preset instead of an action.
const PRESET: &str = "preset";

impl Default for Keymap {
    fn default() -> Self {
        let keys = |a: &Action| a.default_keys().iter().filter_map(|k| k.parse().ok()).collect();
        Self { keys: Action::ALL.iter().map(|a| (*a, keys(a))).collect(), commands: Vec::new() }
    }
}

impl Keymap {
    /// The defaults patched with `[keys]` of a configuration: `name = "key"`, `name = ["key", …]`, or `name = ""` (or
    /// `[]`) to unbind. A key that the operator binds is taken from the default that had it. `preset = "vim"` starts
    /// from other defaults.
    ///
    /// Errors are sentences, all of them at once.
    ///
    /// ```
    /// use highwater::tui::{action::Action, keymap::Keymap};
    /// let own = [("freeze".into(), vec!["f".into(), "ctrl-f".into()]), ("reject".into(), vec![])];
    /// let keymap = Keymap::patched(&own.into()).unwrap();
    /// assert_eq!(keymap.keys(Action::Freeze).len(), 2);
    /// assert!(keymap.keys(Action::Reject).is_empty());
    /// ```
    pub fn patched(table: &BTreeMap<String, Vec<String>>) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut own: BTreeMap<Action, Vec<Chord>> = BTreeMap::new();
        let mut keymap = Self::default();
        for (name, words) in table {
            if name == PRESET {
                match Self::preset(words) {
                    Ok(preset) => keymap = preset,
                    Err(why) => errors.push(why),
                }
                continue;
            }
            let Some(action) = Action::parse(name) else {
                errors.push(unknown_action(name));
                continue;
            };
            let mut chords = Vec::new();
            for word in words.iter().filter(|w| !w.is_empty()) {
                match word.parse() {
                    Ok(chord) => chords.push(chord),
                    Err(error) => errors.push(format!("keys.{name}: {error}")),
                }
            }
            own.insert(action, chords);
        }
        keymap.lay_over(own);
        errors.extend(keymap.problems());
        if errors.is_empty() { Ok(keymap) } else { Err(errors) }
    }

    /// The keymap of a preset.
    fn preset(words: &[String]) -> Result<Self, String> {
        let name = words.join(" ");
        let Some((_, patches)) = PRESETS.iter().find(|(n, _)| *n == name) else {
            let names: Vec<&str> = PRESETS.iter().map(|(n, _)| *n).collect();
            return Err(format!("keys.preset: there is no preset {name:?}; there are {}", names.join(", ")));
        };
        let mut keymap = Self::default();
        let chords = |keys: &[&str]| keys.iter().filter_map(|k| k.parse().ok()).collect();
        keymap.lay_over(patches.iter().map(|(action, keys)| (*action, chords(keys))).collect());
        Ok(keymap)
    }

    /// Gives actions other keys; each is taken from the action that had it.
    fn lay_over(&mut self, own: BTreeMap<Action, Vec<Chord>>) {
        for (action, chords) in &own {
            for (other, theirs) in &mut self.keys {
                if other != action {
                    theirs.retain(|c| !chords.contains(c));
                }
            }
        }
        self.keys.extend(own);
    }

    /// What makes a keymap unusable or unsafe.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (action, chord) in self.keys.iter().flat_map(|(a, chords)| chords.iter().map(move |c| (a, c))) {
            if action.section() == Section::Decide && (chord.is_modified() || chord.typed().is_none_or(|c| c == ' ')) {
                problems.push(format!(
                    "{} may not be bound to {chord}: what decides needs a plain letter, for shells and multiplexers own the others",
                    action.name()
                ));
            }
        }
        for (i, (action, chords)) in self.keys.iter().enumerate() {
            for (other, theirs) in self.keys.iter().skip(i + 1) {
                // A key of the approval dialog may do something harmless on a page.
                let apart = |a: &Action, b: &Action| a.is_of_approval() && b.section() != Section::Decide;
                if apart(action, other) || apart(other, action) {
                    continue;
                }
                for chord in chords.iter().filter(|c| theirs.contains(c)) {
                    problems.push(format!(
                        "the key {chord} is bound to {} and to {}: leave it at one of them",
                        action.name(),
                        other.name()
                    ));
                }
            }
        }
        for needed in [Action::Quit, Action::Back] {
            if self.keys(needed).is_empty() {
                problems.push(format!("{} has no key left: bind one to it", needed.name()));
            }
        }
        problems
    }

    /// What a key does, on a page or in the approval dialog.
    pub fn action(&self, chord: Chord, approving: bool) -> Option<Action> {
        let mut bound = self.keys.iter().filter(|(_, chords)| chords.contains(&chord)).map(|(action, _)| *action);
        let first = bound.next()?;
        let second = bound.next();
        [Some(first), second].into_iter().flatten().find(|a| a.is_of_approval() == approving).or(Some(first))
    }

    /// The keys of an action, the first one to be shown; empty: unbound.
    pub fn keys(&self, action: Action) -> &[Chord] {
        self.keys.get(&action).map_or(&[], Vec::as_slice)
    }

    /// The first key of an action for a hint on screen.
    pub fn hint(&self, action: Action) -> Option<String> {
        self.keys(action).first().map(ToString::to_string)
    }
}

fn unknown_action(name: &str) -> String {
    let near = Action::ALL.iter().max_by_key(|a| common_prefix(a.name(), name));
    let mend = match near.filter(|a| common_prefix(a.name(), name) > 0) {
        Some(near) => format!("did you mean {}?", near.name()),
        None => "`highwater keys` lists them".to_owned(),
    };
    format!("keys.{name}: there is no such action; {mend}")
}

fn common_prefix(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(text: &str) -> Result<Keymap, Vec<String>> {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        let table = text.split(", ").map(|entry| entry.split_once('=').unwrap());
        Keymap::patched(&table.map(|(name, keys)| (name.to_owned(), words(keys))).collect())
    }

    #[test]
    fn the_default_table_parses_whole_and_no_key_does_two_things() {
        let keymap = Keymap::default();
        for action in Action::ALL {
            assert_eq!(keymap.keys(*action).len(), action.default_keys().len(), "{}", action.name());
            assert_eq!(Action::parse(action.name()), Some(*action));
        }
        assert_eq!(keymap.problems(), Vec::<String>::new());
    }

    #[test]
    fn what_a_chord_prints_it_reads() {
        for action in Action::ALL {
            for key in action.default_keys() {
                let chord: Chord = key.parse().unwrap();
                assert_eq!(chord.to_string(), *key);
            }
        }
        assert_eq!("-".parse::<Chord>().unwrap().to_string(), "-");
        assert_eq!("ctrl--".parse::<Chord>().unwrap().to_string(), "ctrl--");
    }

    #[test]
    fn terminals_that_send_shift_with_a_capital_mean_the_same_key() {
        let with = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        let without = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::NONE);
        assert_eq!(Chord::of(&with), Chord::of(&without));
        let tab = KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT);
        assert_eq!(Keymap::default().action(Chord::of(&tab), false), Some(Action::PreviousPane));
    }

    #[test]
    fn an_operators_key_is_taken_from_the_default_that_had_it() {
        let keymap = patched("reject=j").unwrap();
        assert_eq!(keymap.action("j".parse().unwrap(), false), Some(Action::Reject));
        assert_eq!(keymap.action("x".parse().unwrap(), false), None);
        assert_eq!(keymap.action("down".parse().unwrap(), false), Some(Action::Down), "its other key stays");
    }

    #[test]
    fn a_key_of_the_approval_may_do_something_harmless_on_a_page() {
        let keymap = Keymap::default();
        let t = "t".parse().unwrap();
        assert_eq!(keymap.action(t, true), Some(Action::ConfirmAt));
        assert_eq!(keymap.action(t, false), Some(Action::Tour));
        assert!(patched("confirm=p").is_ok_and(|k| k.keys(Action::SaveScreen).is_empty()), "y's stays its own");
    }

    #[test]
    fn every_preset_is_whole_and_safe() {
        for (name, patches) in PRESETS {
            let keymap = patched(&format!("preset={name}")).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            for (action, keys) in *patches {
                assert_eq!(keymap.keys(*action).len(), keys.len(), "{name}: {}", action.name());
            }
            let lost = Action::ALL.iter().filter(|a| keymap.keys(**a).is_empty()).map(|a| a.name());
            assert_eq!(lost.collect::<Vec<_>>(), [""; 0], "{name} leaves no action without a key");
        }
        assert!(patched("preset=emacs").unwrap_err()[0].contains("there are default, vim, k9s"));
        let own = patched("preset=vim, quit=ctrl-c").unwrap();
        assert_eq!(own.keys(Action::Quit).len(), 1, "what the operator says goes over the preset");
    }

    #[test]
    fn nothing_decides_on_a_chord_that_somebody_else_owns() {
        for chord in ["ctrl-a", "ctrl-b", "ctrl-d", "alt-a", "f5", "enter", "space"] {
            let errors = patched(&format!("approve={chord}")).unwrap_err();
            assert!(errors[0].contains("plain letter"), "{chord}: {errors:?}");
        }
    }

    #[test]
    fn errors_are_sentences_and_come_all_at_once() {
        let errors = patched("aprove=a, freeze=hyper-x f, reject=p, snooze=p, quit=").unwrap_err();
        let text = errors.join("\n");
        for part in
            ["did you mean approve?", "\"hyper-x\" is no key", "bound to reject and to snooze", "quit has no key"]
        {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
