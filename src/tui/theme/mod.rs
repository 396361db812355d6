//! What the screen looks like: a style per use ([`Slot`]), and the glyphs that the terminal can show ([`Glyphs`]).
//!
//! Views name a use ("this is over its SLO": [`Slot::Act`]), never a colour. A theme is a TOML file that gives each
//! slot a colour; a user's theme inherits from a built-in one and holds only what differs. Everything that depends on
//! what the terminal can do (colours, UTF-8, braille fonts) is decided here and asked nowhere else.

mod depth;
mod glyphs;
mod load;

pub use depth::{Depth, rgb};
pub use glyphs::{Charset, Glyphs};
pub use load::{ThemeInfo, names, themes};

use ratatui::style::{Modifier, Style};
use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Defines [`Slot`] with its file name and its documentation in one place, so that lists of slots cannot drift.
macro_rules! slots {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// One use of colour on the screen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Slot { $($(#[doc = $doc])+ $variant,)+ }

        impl Slot {
            /// Every slot, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in theme files.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it is used for, in words.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

slots! {
    /// The screen behind everything (its background) and text without another meaning (its foreground).
    Background = "background",
    /// Values and names.
    Text = "text",
    /// Units, labels, axes, stale values: what may be overlooked.
    Dim = "dim",
    /// The program's name, the selected tab, what has the focus.
    Accent = "accent",
    /// As it should be.
    Good = "good",
    /// Will need attention within the horizon, or could be cheaper.
    Look = "look",
    /// Over its SLO, falling behind, or about to.
    Act = "act",
    /// Not known: partial, stale or missing data.
    Unknown = "unknown",
    /// Everything about the future.
    Forecast = "forecast",
    /// What other autoscalers would do.
    Rival = "rival",
    /// The row under the cursor (give it a background).
    Selection = "selection",
    /// Frames of panels.
    Border = "border",
    /// The frame of the panel that has the focus.
    BorderFocus = "border_focus",
    /// Titles of panels.
    Title = "title",
    /// Column heads of tables.
    Head = "head",
    /// A key in a hint, as in "a approve".
    Key = "key",
    /// The word OPERATE: this screen can change things.
    Operate = "operate",
    /// The word WATCH: this screen cannot change anything.
    Watch = "watch",
    /// The chart's line of what was measured.
    History = "history",
    /// A second measured line on a chart.
    HistorySecond = "history_second",
    /// Background of the forecast between p10 and p95.
    Band = "band",
    /// Background of the forecast between p50 and p80.
    BandInner = "band_inner",
    /// Capacity of the present count, and limits such as the SLO, on a chart.
    Capacity = "capacity",
    /// Capacity of the recommended count on a chart.
    CapacityNeeded = "capacity_needed",
    /// The line that divides past and future.
    Now = "now",
    /// An action on a chart's time axis.
    Mark = "mark",
    /// The filled part of a gauge.
    Gauge = "gauge",
    /// The empty part of a gauge.
    GaugeEmpty = "gauge_empty",
}

/// Styles and glyphs, fitted to one terminal.
#[derive(Clone, Debug)]
pub struct Theme {
    name: String,
    styles: Vec<Style>,
    depth: Depth,
    glyphs: &'static Glyphs,
    files: Vec<PathBuf>,
}

/// Where themes come from and what they are fitted to: loads them anew while the screen is up.
#[derive(Clone, Debug)]
pub struct Shelf {
    /// The operator's own themes.
    pub folder: Option<PathBuf>,
    /// How many colours the terminal has.
    pub depth: Depth,
    /// What its font can show.
    pub charset: Charset,
}

impl Shelf {
    /// A theme by name, as [`Theme::named`].
    pub fn load(&self, name: &str) -> Result<Theme, String> {
        Theme::named(name, self.folder.as_deref(), self.depth, self.charset)
    }

    /// The names that can be chosen.
    pub fn names(&self) -> Vec<String> {
        load::names(self.folder.as_deref())
    }
}

impl Theme {
    /// The theme used when none is named.
    pub const DEFAULT: &str = "harbor-dark";

    /// A theme by name: a built-in one, or `NAME.toml` in `folder`, or the path of a file.
    ///
    /// # Errors
    /// A sentence that names the file, the slot, and the nearest name that exists.
    pub fn named(name: &str, folder: Option<&Path>, depth: Depth, charset: Charset) -> Result<Self, String> {
        let sheet = load::named(name, folder)?;
        Ok(Self {
            name: name.to_owned(),
            styles: sheet.styles(depth),
            depth,
            glyphs: charset.glyphs(),
            files: sheet.files,
        })
    }

    /// The default theme; built in, so it cannot fail.
    pub fn fallback(depth: Depth, charset: Charset) -> Self {
        // The built-in files are checked by a test; an unstyled screen is the worst that could come of a mistake.
        Self::named(Self::DEFAULT, None, depth, charset).unwrap_or_else(|_| Self {
            name: "none".to_owned(),
            styles: vec![Style::new(); Slot::ALL.len()],
            depth,
            glyphs: charset.glyphs(),
            files: Vec::new(),
        })
    }

    /// Whether it was read from a file of the operator's.
    pub fn is_file(&self) -> bool {
        !self.files.is_empty()
    }

    /// When its files were last written; `None`: it is built in, or they are gone.
    pub fn written(&self) -> Option<SystemTime> {
        self.files.iter().filter_map(|f| f.metadata().and_then(|m| m.modified()).ok()).max()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The style of a use.
    pub fn style(&self, slot: Slot) -> Style {
        self.styles[slot as usize]
    }

    /// The style of a use, bold.
    pub fn strong(&self, slot: Slot) -> Style {
        self.style(slot).add_modifier(Modifier::BOLD)
    }

    /// How many colours the terminal has.
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// What the terminal's font can show.
    pub fn glyphs(&self) -> &'static Glyphs {
        self.glyphs
    }
}

impl Default for Theme {
    fn default() -> Self {
        Self::fallback(Depth::True, Charset::Braille)
    }
}

#[cfg(test)]
mod contrast_tests;
#[cfg(test)]
mod tests;
