//! Which characters the terminal's font can show. Nothing else in the program asks.

use ratatui::symbols::border;

/// The sets of characters, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Unicode with braille: charts have 2×4 dots a cell.
    Braille,
    /// Unicode without braille (fonts of consoles): charts of block elements.
    Block,
    /// ASCII only.
    Ascii,
}

impl Charset {
    /// From the environment: ASCII without a UTF-8 locale, blocks on the Linux console, else braille.
    /// The program never refuses to start for want of a locale.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|n| variable(n).filter(|v| !v.is_empty()));
        let utf8 = locale.is_some_and(|l| l.to_ascii_lowercase().replace('-', "").contains("utf8"));
        let console = variable("TERM").is_some_and(|t| matches!(t.as_str(), "linux" | "vt100" | "vt220"));
        match (utf8, console) {
            (false, _) => Self::Ascii,
            (true, true) => Self::Block,
            (true, false) => Self::Braille,
        }
    }

    /// Reads a name: `braille`, `block`, `ascii`.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Braille, Self::Block, Self::Ascii].into_iter().find(|c| c.name() == name)
    }

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Braille => "braille",
            Self::Block => "block",
            Self::Ascii => "ascii",
        }
    }

    /// Its characters.
    pub fn glyphs(self) -> &'static Glyphs {
        match self {
            Self::Braille => &BRAILLE,
            Self::Block => &BLOCK,
            Self::Ascii => &ASCII,
        }
    }
}

/// The characters, by use. Each is one column wide unless it says otherwise.
#[derive(Debug)]
pub struct Glyphs {
    /// The set.
    pub charset: Charset,
    /// Needs an act.
    pub act: &'static str,
    /// Needs a look.
    pub look: &'static str,
    /// As it should be.
    pub ok: &'static str,
    /// Not known.
    pub unknown: &'static str,
    /// Not now, at a time; snoozed.
    pub later: &'static str,
    /// Being carried out.
    pub under_way: &'static str,
    /// A source or broker that answers.
    pub up: &'static str,
    /// One that answers in part, or not yet.
    pub half: &'static str,
    /// One that does not answer.
    pub down: &'static str,
    /// From one count to another (two columns wide in ASCII).
    pub arrow: &'static str,
    /// No value.
    pub missing: &'static str,
    /// Before a lower bound (two columns wide in ASCII).
    pub at_least: &'static str,
    /// Before an estimate.
    pub about: &'static str,
    /// Between parts of a line.
    pub dot: &'static str,
    /// Where text was cut.
    pub cut: &'static str,
    /// Multiplication, as in `930/s × 6`.
    pub times: &'static str,
    /// Minus sign.
    pub minus: &'static str,
    /// The row under the cursor, for terminals without colour.
    pub cursor: &'static str,
    /// An action on a time axis.
    pub mark: &'static str,
    /// Frame of panels.
    pub border: border::Set<'static>,
    /// Nine heights of a bar, from nothing to full.
    pub bars: [&'static str; 9],
    /// Five levels from nothing to most, told apart without colour.
    pub heat: [&'static str; 5],
    /// Light, medium, dark.
    pub shades: [&'static str; 3],
    /// Filled part of a gauge.
    pub full: &'static str,
    /// Empty part of a gauge.
    pub empty: &'static str,
    /// Horizontal line of a measured limit.
    pub line: &'static str,
    /// Horizontal line of a planned limit.
    pub dashes: &'static str,
    /// Vertical line between two levels of a plan.
    pub riser: &'static str,
    /// Vertical line of the present.
    pub now: &'static str,
    /// The value axis.
    pub axis: &'static str,
    /// A tick on the value axis.
    pub tick_y: &'static str,
    /// Where the axes meet.
    pub corner: &'static str,
    /// The time axis.
    pub axis_x: &'static str,
    /// A tick on the time axis.
    pub tick_x: &'static str,
}

impl Glyphs {
    /// Whether only ASCII may be printed.
    pub fn is_ascii(&self) -> bool {
        self.charset == Charset::Ascii
    }
}

const BRAILLE: Glyphs = Glyphs {
    charset: Charset::Braille,
    act: "▲",
    look: "!",
    ok: " ",
    unknown: "?",
    later: "◷",
    under_way: "»",
    up: "●",
    half: "◐",
    down: "○",
    arrow: "→",
    missing: "–",
    at_least: "≥",
    about: "~",
    dot: "·",
    cut: "…",
    times: "×",
    minus: "−",
    cursor: "▌",
    mark: "◆",
    border: border::ROUNDED,
    bars: [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    heat: ["·", "░", "▒", "▓", "█"],
    shades: ["░", "▒", "▓"],
    full: "━",
    empty: "─",
    line: "─",
    dashes: "╌",
    riser: "╎",
    now: "┊",
    axis: "│",
    tick_y: "┤",
    corner: "└",
    axis_x: "─",
    tick_x: "┬",
};

const BLOCK: Glyphs = Glyphs {
    charset: Charset::Block,
    full: "█",
    empty: "░",
    later: "@",
    half: "o",
    up: "*",
    down: "x",
    mark: "+",
    cursor: ">",
    border: border::PLAIN,
    dashes: "-",
    riser: "|",
    now: ":",
    ..BRAILLE
};

const ASCII: Glyphs = Glyphs {
    charset: Charset::Ascii,
    act: "A",
    look: "!",
    ok: " ",
    unknown: "?",
    later: "@",
    under_way: ">",
    up: "*",
    half: "o",
    down: "x",
    arrow: "->",
    missing: "-",
    at_least: ">=",
    about: "~",
    dot: "|",
    cut: ".",
    times: "x",
    minus: "-",
    cursor: ">",
    mark: "+",
    border: border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    },
    bars: [" ", "_", ".", ":", "-", "=", "+", "*", "#"],
    heat: [".", ":", "+", "*", "#"],
    shades: [".", ":", "#"],
    full: "#",
    empty: ".",
    line: "-",
    dashes: "-",
    riser: "|",
    now: "|",
    axis: "|",
    tick_y: "+",
    corner: "+",
    axis_x: "-",
    tick_x: "+",
};
