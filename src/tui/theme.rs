//! Colours by meaning.

use ratatui::style::{Color, Modifier, Style};

/// What a colour means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Plain text.
    Text,
    /// Secondary text.
    Dim,
    /// Titles.
    Title,
    /// Borders.
    Border,
    /// The row under the cursor.
    Selection,
    /// A key in the footer, help and dialogs.
    Key,
    /// Nothing to see.
    Good,
    /// Will need attention.
    Look,
    /// Needs action now.
    Act,
    /// Not known, stale, partial.
    Unknown,
    /// What is forecast.
    Forecast,
    /// What other rules say.
    Rival,
}

/// Styles by slot.
#[derive(Clone, Debug, Default)]
pub struct Theme {}

impl Theme {
    /// The style of a slot.
    pub fn style(&self, slot: Slot) -> Style {
        let style = Style::new();
        match slot {
            Slot::Text => style,
            Slot::Dim | Slot::Border | Slot::Unknown => style.fg(Color::DarkGray),
            Slot::Title => style.add_modifier(Modifier::BOLD),
            Slot::Selection => style.add_modifier(Modifier::REVERSED),
            Slot::Key => style.fg(Color::Cyan),
            Slot::Good => style.fg(Color::Green),
            Slot::Look => style.fg(Color::Yellow),
            Slot::Act => style.fg(Color::Red),
            Slot::Forecast => style.fg(Color::Blue),
            Slot::Rival => style.fg(Color::Magenta),
        }
    }
}
