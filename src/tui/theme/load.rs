//! Reads theme files.
//!
//! ```toml
//! about = "Mine: as harbor-dark, but red is pink"
//! base = "harbor-dark"
//! [palette]
//! coral = "#ff6b9a light-magenta"   # 24 bits, and what to use where there are sixteen colours
//! [slots]
//! act = "coral bold"                # colour, modifiers
//! selection = "on #203040"          # background
//! ```

use super::{Depth, Slot};
use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

const BUILT_IN: [(&str, &str); 4] = [
    ("harbor-dark", include_str!("../../../themes/harbor-dark.toml")),
    ("harbor-light", include_str!("../../../themes/harbor-light.toml")),
    ("high-contrast", include_str!("../../../themes/high-contrast.toml")),
    ("mono", include_str!("../../../themes/mono.toml")),
];

/// How long a chain of themes may be; a loop would be longer.
const DEPTH_OF_BASES: usize = 8;

/// One built-in theme for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThemeInfo {
    /// Its name.
    pub name: &'static str,
    /// One sentence about it.
    pub about: String,
}

/// The built-in themes.
pub fn themes() -> Vec<ThemeInfo> {
    let about = |text: &str| toml::from_str::<File>(text).map_or_else(|e| e.to_string(), |file| file.about);
    BUILT_IN.iter().map(|(name, text)| ThemeInfo { name, about: about(text) }).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    about: String,
    base: Option<String>,
    #[serde(default)]
    palette: BTreeMap<String, String>,
    #[serde(default)]
    slots: BTreeMap<String, String>,
}

/// A colour in 24 bits with the theme's own choice for sixteen.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Paint {
    color: Color,
    ansi: Option<Color>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Entry {
    fg: Option<Paint>,
    bg: Option<Paint>,
    modifiers: Modifier,
}

/// A theme before it is fitted to a terminal: one entry per slot.
#[derive(Debug)]
pub(super) struct Sheet {
    palette: BTreeMap<String, Paint>,
    entries: Vec<Entry>,
}

impl Sheet {
    fn new() -> Self {
        Self { palette: BTreeMap::new(), entries: vec![Entry::default(); Slot::ALL.len()] }
    }

    /// The styles, fitted to a depth. Without colours a background becomes *reversed*: the selection must show.
    pub(super) fn styles(&self, depth: Depth) -> Vec<Style> {
        let style = |(slot, entry): (&Slot, &Entry)| {
            let fit = |p: Option<Paint>| p.and_then(|p| depth.fit(p.color, p.ansi));
            let mut style = Style { fg: fit(entry.fg), bg: fit(entry.bg), ..Style::new() };
            style = style.add_modifier(entry.modifiers);
            if depth == Depth::None
                && matches!(slot, Slot::Selection | Slot::Operate | Slot::Watch)
                && entry.bg.is_some()
            {
                style = style.add_modifier(Modifier::REVERSED);
            }
            style
        };
        Slot::ALL.iter().zip(&self.entries).map(style).collect()
    }

    /// Lays a file over what was inherited.
    fn overlay(&mut self, file: &File, origin: &str) -> Result<(), String> {
        for (name, text) in &file.palette {
            let paint = paint(text).map_err(|e| format!("{origin}: palette.{name}: {e}"))?;
            self.palette.insert(name.clone(), paint);
        }
        for (name, text) in &file.slots {
            let Some(i) = Slot::ALL.iter().position(|s| s.name() == name) else {
                return Err(format!(
                    "{origin}: slots.{name}: {}",
                    unknown(name, "slot", Slot::ALL.iter().map(|s| s.name()))
                ));
            };
            self.entries[i] = self.entry(text).map_err(|e| format!("{origin}: slots.{name}: {e}"))?;
        }
        Ok(())
    }

    /// Reads `coral bold on #203040`.
    fn entry(&self, text: &str) -> Result<Entry, String> {
        let mut entry = Entry::default();
        let mut background = false;
        for word in text.split_whitespace() {
            match word {
                "on" => background = true,
                "bold" => entry.modifiers |= Modifier::BOLD,
                "dim" => entry.modifiers |= Modifier::DIM,
                "italic" => entry.modifiers |= Modifier::ITALIC,
                "underlined" => entry.modifiers |= Modifier::UNDERLINED,
                "reversed" => entry.modifiers |= Modifier::REVERSED,
                "default" => {}
                _ => {
                    let paint = match self.palette.get(word) {
                        Some(paint) => *paint,
                        None => paint(word).map_err(|_| {
                            format!(
                                "{}; colours are palette names, #rrggbb or ANSI names such as light-red",
                                unknown(word, "colour", self.palette.keys().map(String::as_str))
                            )
                        })?,
                    };
                    *(if background { &mut entry.bg } else { &mut entry.fg }) = Some(paint);
                }
            }
        }
        Ok(entry)
    }
}

/// Reads `#rrggbb` or `#rrggbb light-red` or `light-red`.
fn paint(text: &str) -> Result<Paint, String> {
    let mut words = text.split_whitespace();
    let mut next = || {
        words.next().map(|w| match w {
            "default" => Ok(Color::Reset),
            w => w.parse::<Color>().map_err(|_| format!("{w:?} is no colour: write #rrggbb or an ANSI name")),
        })
    };
    let color = next().unwrap_or_else(|| Err("an empty colour: write #rrggbb or an ANSI name".into()))?;
    let ansi = next().transpose()?;
    Ok(Paint { color, ansi })
}

/// "there is no slot atc; did you mean act?"
fn unknown<'a>(name: &str, what: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known.map(|k| (strsim::damerau_levenshtein(name, k), k)).min();
    match nearest {
        Some((distance, k)) if distance <= name.len().max(3) / 2 => {
            format!("there is no {what} {name:?}; did you mean {k:?}?")
        }
        _ => format!("there is no {what} {name:?}"),
    }
}

/// Finds and reads a theme and all that it inherits from.
pub(super) fn named(name: &str, folder: Option<&Path>) -> Result<Sheet, String> {
    let mut chain = Vec::new();
    let mut next = name.to_owned();
    loop {
        let (origin, text) = find(&next, folder)?;
        let file: File = toml::from_str(&text).map_err(|e| format!("theme {origin}: {}", e.to_string().trim_end()))?;
        let base = file.base.clone();
        chain.push((origin, file));
        let Some(base) = base else { break };
        if chain.len() > DEPTH_OF_BASES {
            return Err(format!("theme {name}: `base` leads through more than {DEPTH_OF_BASES} themes: a loop?"));
        }
        next = base;
    }
    let mut sheet = Sheet::new();
    for (origin, file) in chain.iter().rev() {
        sheet.overlay(file, &format!("theme {origin}"))?;
    }
    Ok(sheet)
}

fn find(name: &str, folder: Option<&Path>) -> Result<(String, String), String> {
    let is_path = name.contains('/') || Path::new(name).extension().is_some_and(|e| e == "toml");
    let path = if is_path { Some(name.into()) } else { folder.map(|f| f.join(format!("{name}.toml"))) };
    if let Some(path) = path.filter(|p| is_path || p.exists()) {
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("cannot read the theme {}: {e}", path.display()))?;
        return Ok((path.display().to_string(), text));
    }
    match BUILT_IN.iter().find(|(n, _)| *n == name) {
        Some((n, text)) => Ok(((*n).to_owned(), (*text).to_owned())),
        None => Err(unknown(name, "theme", BUILT_IN.iter().map(|(n, _)| *n))),
    }
}
