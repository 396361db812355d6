//! The ladder of colours: what a theme says in 24 bits, fitted to 256, to 16, or to none.

use ratatui::style::Color;

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// None (`NO_COLOR`, `TERM=dumb`): bold, dim, reversed and underlined carry the meaning beside glyphs and words.
    None,
    /// The sixteen of the terminal's own palette.
    Ansi16,
    /// The 6×6×6 cube and the grey ramp of xterm.
    Ansi256,
    /// 24 bits.
    True,
}

impl Depth {
    /// From the environment, by the conventions of no-color.org and `COLORTERM`. The terminal itself is never asked:
    /// a query at start costs 150–300 ms under tmux.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |name: &str| variable(name).is_some_and(|v| !v.is_empty());
        let term = variable("TERM").unwrap_or_default();
        if is_set("NO_COLOR") || term == "dumb" {
            return Self::None;
        }
        let colorterm = variable("COLORTERM").unwrap_or_default();
        if matches!(colorterm.as_str(), "truecolor" | "24bit") || term.contains("direct") {
            return Self::True;
        }
        if term.contains("256color") || is_set("COLORTERM") { Self::Ansi256 } else { Self::Ansi16 }
    }

    /// The name in the configuration and in `highwater info`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ansi16 => "16",
            Self::Ansi256 => "256",
            Self::True => "truecolor",
        }
    }

    /// Fits a colour; `ansi` is the theme's own choice for sixteen colours. `None`: no colour at all.
    pub(super) fn fit(self, color: Color, ansi: Option<Color>) -> Option<Color> {
        let Color::Rgb(r, g, b) = color else {
            return (self != Self::None).then_some(color);
        };
        match self {
            Self::None => None,
            Self::Ansi16 => Some(ansi.unwrap_or_else(|| nearest_16(r, g, b))),
            Self::Ansi256 => Some(Color::Indexed(nearest_256(r, g, b))),
            Self::True => Some(color),
        }
    }
}

fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let d = |x: u8, y: u8| u32::from(x.abs_diff(y)).pow(2);
    d(a.0, b.0) + d(a.1, b.1) + d(a.2, b.2)
}

/// The nearest of indices 16–255: the colour cube or the grey ramp.
fn nearest_256(r: u8, g: u8, b: u8) -> u8 {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    // The list has no duplicates and is never empty, so a minimum exists.
    let level = |v: u8| (0..6_u8).min_by_key(|i| LEVELS[usize::from(*i)].abs_diff(v)).unwrap_or(0);
    let (cr, cg, cb) = (level(r), level(g), level(b));
    let cube = (LEVELS[usize::from(cr)], LEVELS[usize::from(cg)], LEVELS[usize::from(cb)]);
    let mean = (u16::from(r) + u16::from(g) + u16::from(b)) / 3;
    let step = ((mean.max(8) - 8 + 5) / 10).min(23) as u8;
    let grey = 8 + 10 * step;
    if distance((grey, grey, grey), (r, g, b)) < distance(cube, (r, g, b)) {
        232 + step
    } else {
        16 + 36 * cr + 6 * cg + cb
    }
}

/// The sixteen colours as xterm shows them by default; terminals differ, so themes name their own choice.
const ANSI: [(Color, (u8, u8, u8)); 16] = [
    (Color::Black, (0, 0, 0)),
    (Color::Red, (205, 0, 0)),
    (Color::Green, (0, 205, 0)),
    (Color::Yellow, (205, 205, 0)),
    (Color::Blue, (0, 0, 238)),
    (Color::Magenta, (205, 0, 205)),
    (Color::Cyan, (0, 205, 205)),
    (Color::Gray, (229, 229, 229)),
    (Color::DarkGray, (127, 127, 127)),
    (Color::LightRed, (255, 0, 0)),
    (Color::LightGreen, (0, 255, 0)),
    (Color::LightYellow, (255, 255, 0)),
    (Color::LightBlue, (92, 92, 255)),
    (Color::LightMagenta, (255, 0, 255)),
    (Color::LightCyan, (0, 255, 255)),
    (Color::White, (255, 255, 255)),
];

fn nearest_16(r: u8, g: u8, b: u8) -> Color {
    ANSI.iter().min_by_key(|(_, rgb)| distance(*rgb, (r, g, b))).map_or(Color::Reset, |(c, _)| *c)
}

/// Red, green and blue of any colour as xterm would show it; `None` for the terminal's own default.
pub fn rgb(color: Color) -> Option<(u8, u8, u8)> {
    match color {
        Color::Reset => None,
        Color::Rgb(r, g, b) => Some((r, g, b)),
        Color::Indexed(i @ 0..=15) => Some(ANSI[usize::from(i)].1),
        Color::Indexed(i @ 16..=231) => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let i = i - 16;
            Some((level(i / 36), level(i / 6 % 6), level(i % 6)))
        }
        Color::Indexed(i) => {
            let grey = 8 + 10 * (i - 232);
            Some((grey, grey, grey))
        }
        named => ANSI.iter().find(|(c, _)| *c == named).map(|(_, rgb)| *rgb),
    }
}
