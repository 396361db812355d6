//! A line of text that is being typed.

use super::keymap::Chord;
use crossterm::event::KeyCode;

/// Longest text kept, in characters: nobody types more, a paste may.
const MAX_CHARS: usize = 200;

/// The text and the place of its cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    text: Vec<char>,
    cursor: usize,
}

impl Input {
    /// A line with the cursor at its end.
    pub fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect();
        Self { cursor: text.len(), text }
    }

    /// The text.
    pub fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// What stands before the cursor, under it, and after it; for drawing.
    pub fn split(&self) -> (String, char, String) {
        let at = self.cursor.min(self.text.len());
        let under = self.text.get(at).copied().unwrap_or(' ');
        (self.text[..at].iter().collect(), under, self.text.iter().skip(at + 1).collect())
    }

    /// Takes a key; whether it was one for a text.
    pub fn key(&mut self, chord: Chord) -> bool {
        if let Some(c) = chord.typed() {
            self.insert(c);
            return true;
        }
        match (chord.code(), chord.is_modified()) {
            (KeyCode::Backspace, false) if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.cursor);
            }
            (KeyCode::Delete, false) if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            (KeyCode::Left, false) => self.cursor = self.cursor.saturating_sub(1),
            (KeyCode::Right, false) => self.cursor = (self.cursor + 1).min(self.text.len()),
            (KeyCode::Home, false) => self.cursor = 0,
            (KeyCode::End, false) => self.cursor = self.text.len(),
            (KeyCode::Char('u'), true) => *self = Self::default(),
            (KeyCode::Char('w'), true) => self.delete_word(),
            (KeyCode::Backspace | KeyCode::Delete, false) => {}
            _ => return false,
        }
        true
    }

    /// Takes pasted text: its first line, without control characters.
    pub fn paste(&mut self, text: &str) {
        text.lines().next().unwrap_or("").chars().for_each(|c| self.insert(c));
    }

    fn insert(&mut self, c: char) {
        if self.text.len() < MAX_CHARS && !c.is_control() {
            self.text.insert(self.cursor, c);
            self.cursor += 1;
        }
    }

    fn delete_word(&mut self) {
        let before = &self.text[..self.cursor];
        let end = before.iter().rposition(|c| !c.is_whitespace()).map_or(0, |i| i + 1);
        let start = before[..end].iter().rposition(|c| c.is_whitespace()).map_or(0, |i| i + 1);
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_edits_like_a_shell() {
        let mut input = Input::new("too many pods");
        for key in ["ctrl-w", "home", "delete", "T", "end", "!", "left", "x"] {
            assert!(input.key(key.parse().unwrap()), "{key}");
        }
        assert_eq!(input.text(), "Too many x!");
        assert_eq!(input.split(), ("Too many x".into(), '!', String::new()));
        assert!(!input.key("pgup".parse().unwrap()), "not a key for a text");
    }

    #[test]
    fn a_paste_keeps_one_clean_line() {
        let mut input = Input::default();
        input.paste("a\u{1b}[31mb\nsecond");
        assert_eq!(input.text(), "a[31mb");
        input.paste(&"x".repeat(10_000));
        assert_eq!(input.text().chars().count(), MAX_CHARS);
    }
}
