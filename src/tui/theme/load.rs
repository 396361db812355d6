//! Reads theme files. Colours are resolved when the whole chain of bases is known, so that a theme may give only other
//! colours and inherit their uses.
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
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The built-in themes, our own first.
const BUILT_IN: [(&str, &str); 16] = [
    ("harbor-dark", include_str!("../../../themes/harbor-dark.toml")),
    ("harbor-light", include_str!("../../../themes/harbor-light.toml")),
    ("high-contrast", include_str!("../../../themes/high-contrast.toml")),
    ("mono", include_str!("../../../themes/mono.toml")),
    ("colour-blind-dark", include_str!("../../../themes/colour-blind-dark.toml")),
    ("colour-blind-light", include_str!("../../../themes/colour-blind-light.toml")),
    ("catppuccin-latte", include_str!("../../../themes/catppuccin-latte.toml")),
    ("catppuccin-mocha", include_str!("../../../themes/catppuccin-mocha.toml")),
    ("dracula", include_str!("../../../themes/dracula.toml")),
    ("gruvbox-dark", include_str!("../../../themes/gruvbox-dark.toml")),
    ("nord", include_str!("../../../themes/nord.toml")),
    ("one-dark", include_str!("../../../themes/one-dark.toml")),
    ("rose-pine", include_str!("../../../themes/rose-pine.toml")),
    ("solarized-dark", include_str!("../../../themes/solarized-dark.toml")),
    ("solarized-light", include_str!("../../../themes/solarized-light.toml")),
    ("tokyo-night", include_str!("../../../themes/tokyo-night.toml")),
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

/// The names that can be chosen: built-in themes, then the files of the operator's folder.
pub fn names(folder: Option<&Path>) -> Vec<String> {
    let mut names: Vec<String> = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).collect();
    let files = folder.and_then(|f| std::fs::read_dir(f).ok()).into_iter().flatten().flatten();
    let own = files.filter_map(|f| Some(f.file_name().to_str()?.strip_suffix(".toml")?.to_owned()));
    let mut own: Vec<String> = own.filter(|n| !names.contains(n)).collect();
    own.sort();
    names.extend(own);
    names
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
    entries: Vec<Entry>,
    /// The files that it was read from; none: it is built in.
    pub(super) files: Vec<PathBuf>,
}

impl Sheet {
    /// Resolves the slots of a chain of themes, the base first.
    fn resolve(chain: &[Read]) -> Result<Self, String> {
        let mut palette = Palette::default();
        for (name, text, read) in chain.iter().flat_map(|r| r.file.palette.iter().map(move |(n, t)| (n, t, r))) {
            let paint = paint(text).map_err(|e| format!("theme {}: palette.{name}: {e}", read.origin))?;
            palette.0.insert(name.clone(), paint);
        }
        let mut entries = vec![Entry::default(); Slot::ALL.len()];
        for (name, text, read) in chain.iter().flat_map(|r| r.file.slots.iter().map(move |(n, t)| (n, t, r))) {
            let wrong = |e: String| format!("theme {}: slots.{name}: {e}", read.origin);
            let slot = Slot::ALL.iter().position(|s| s.name() == name);
            let slot = slot.ok_or_else(|| wrong(unknown(name, "slot", Slot::ALL.iter().map(|s| s.name()))))?;
            entries[slot] = palette.entry(text).map_err(wrong)?;
        }
        let files = chain.iter().filter_map(|r| r.path.clone()).collect();
        Ok(Self { entries, files })
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
}

/// The named colours of a chain of themes.
#[derive(Debug, Default)]
struct Palette(BTreeMap<String, Paint>);

impl Palette {
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
                    let paint = match self.0.get(word) {
                        Some(paint) => *paint,
                        None => paint(word).map_err(|_| {
                            format!(
                                "{}; colours are palette names, #rrggbb or ANSI names such as light-red",
                                unknown(word, "colour", self.0.keys().map(String::as_str))
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
        let (origin, text, path) = find(&next, folder)?;
        let file: File = toml::from_str(&text).map_err(|e| format!("theme {origin}: {}", e.to_string().trim_end()))?;
        let base = file.base.clone();
        chain.push(Read { origin, path, file });
        let Some(base) = base else { break };
        if chain.len() > DEPTH_OF_BASES {
            return Err(format!("theme {name}: `base` leads through more than {DEPTH_OF_BASES} themes: a loop?"));
        }
        next = base;
    }
    chain.reverse();
    Sheet::resolve(&chain)
}

/// One theme of a chain.
struct Read {
    /// Its name or path, for errors.
    origin: String,
    /// The file; `None`: it is built in.
    path: Option<PathBuf>,
    file: File,
}

/// Origin, text and file of a theme.
fn find(name: &str, folder: Option<&Path>) -> Result<(String, String, Option<PathBuf>), String> {
    let is_path = name.contains('/') || Path::new(name).extension().is_some_and(|e| e == "toml");
    let path = if is_path { Some(name.into()) } else { folder.map(|f| f.join(format!("{name}.toml"))) };
    if let Some(path) = path.filter(|p| is_path || p.exists()) {
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("cannot read the theme {}: {e}", path.display()))?;
        return Ok((path.display().to_string(), text, Some(path)));
    }
    match BUILT_IN.iter().find(|(n, _)| *n == name) {
        Some((n, text)) => Ok(((*n).to_owned(), (*text).to_owned(), None)),
        None => Err(unknown(name, "theme", BUILT_IN.iter().map(|(n, _)| *n))),
    }
}
