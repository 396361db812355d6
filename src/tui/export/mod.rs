//! What is on the screen as text, as ANSI and as SVG: a walk over the drawn buffer, never a second drawing.

mod svg;

pub use svg::{SvgOptions, svg};

use ratatui::{
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};
use std::fmt::Write as _;

/// The cells of a line that are printed, with their column: what a wide character covers is left out.
fn cells(buf: &Buffer, y: u16) -> impl Iterator<Item = (u16, &Cell)> {
    let mut covered = 0_u16;
    (buf.area.left()..buf.area.right()).filter_map(move |x| {
        if covered > 0 {
            covered -= 1;
            return None;
        }
        let cell = buf.cell((x, y))?;
        covered = (unicode_width::UnicodeWidthStr::width(cell.symbol()) as u16).saturating_sub(1);
        Some((x, cell))
    })
}

/// Lines of plain text, without trailing blanks.
pub fn text(buf: &Buffer) -> String {
    let mut out = String::new();
    for y in buf.area.top()..buf.area.bottom() {
        let line: String = cells(buf, y).map(|(_, c)| c.symbol()).collect();
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Lines with ANSI colours, each ending without any: they can be cut with `head`.
pub fn ansi(buf: &Buffer) -> String {
    let mut out = String::new();
    for y in buf.area.top()..buf.area.bottom() {
        let mut last = (Color::Reset, Color::Reset, Modifier::empty());
        for (_, cell) in cells(buf, y) {
            let style = (cell.fg, cell.bg, cell.modifier);
            if style != last {
                out.push_str("\x1b[0");
                modifiers(&mut out, cell.modifier);
                out.push('m');
                // Foreground and background in sequences of their own: some readers mix the two up otherwise.
                color(&mut out, cell.fg, 38);
                color(&mut out, cell.bg, 48);
                last = style;
            }
            out.push_str(cell.symbol());
        }
        out.push_str("\x1b[0m\n");
    }
    out
}

fn modifiers(out: &mut String, modifier: Modifier) {
    let codes = [
        (Modifier::BOLD, ";1"),
        (Modifier::DIM, ";2"),
        (Modifier::ITALIC, ";3"),
        (Modifier::UNDERLINED, ";4"),
        (Modifier::REVERSED, ";7"),
    ];
    for (flag, code) in codes {
        if modifier.contains(flag) {
            out.push_str(code);
        }
    }
}

fn color(out: &mut String, color: Color, base: u8) {
    // Writing to a String cannot fail.
    let _ = match color {
        Color::Reset => Ok(()),
        Color::Rgb(r, g, b) => write!(out, "\x1b[{base};2;{r};{g};{b}m"),
        Color::Indexed(i) => write!(out, "\x1b[{base};5;{i}m"),
        named => {
            let names = [
                Color::Black,
                Color::Red,
                Color::Green,
                Color::Yellow,
                Color::Blue,
                Color::Magenta,
                Color::Cyan,
                Color::Gray,
                Color::DarkGray,
                Color::LightRed,
                Color::LightGreen,
                Color::LightYellow,
                Color::LightBlue,
                Color::LightMagenta,
                Color::LightCyan,
                Color::White,
            ];
            let index = names.iter().position(|n| *n == named).unwrap_or(7);
            write!(out, "\x1b[{base};5;{index}m")
        }
    };
}

#[cfg(test)]
mod tests;
