//! A drawn buffer as SVG that looks the same in every renderer: glyphs at fixed places, blocks and braille as shapes.

use super::cells;
use crate::tui::theme::{Slot, Theme, rgb};
use ratatui::{
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};
use std::{collections::BTreeMap, fmt::Write as _};

/// Sizes and the colours of a terminal that has a default background.
#[derive(Clone, Debug)]
pub struct SvgOptions {
    /// Width of a cell in pixels.
    pub cell_width: f64,
    /// Height of a cell in pixels.
    pub cell_height: f64,
    /// Size of the font in pixels.
    pub font_size: f64,
    /// The terminal's own foreground.
    pub foreground: (u8, u8, u8),
    /// The terminal's own background.
    pub background: (u8, u8, u8),
    /// Title for people who cannot see it.
    pub title: String,
}

impl Default for SvgOptions {
    fn default() -> Self {
        Self {
            cell_width: 8.4,
            cell_height: 18.0,
            font_size: 14.0,
            foreground: (0xd5, 0xde, 0xe7),
            background: (0x0d, 0x14, 0x1c),
            title: "Highwater".to_owned(),
        }
    }
}

impl SvgOptions {
    /// The defaults with the theme's own ground.
    pub fn of(theme: &Theme) -> Self {
        let ground = theme.style(Slot::Background);
        let own = Self::default();
        Self {
            foreground: ground.fg.and_then(rgb).unwrap_or(own.foreground),
            background: ground.bg.and_then(rgb).unwrap_or(own.background),
            ..own
        }
    }
}

type Rgb = (u8, u8, u8);

/// The buffer as an SVG document.
pub fn svg(buf: &Buffer, options: &SvgOptions) -> String {
    let (cw, ch) = (options.cell_width, options.cell_height);
    let (w, h) = (f64::from(buf.area.width) * cw, f64::from(buf.area.height) * ch);
    let mut out = String::with_capacity(usize::from(buf.area.width) * usize::from(buf.area.height) * 12);
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w:.1} {h:.1}\" width=\"{w:.0}\" height=\"{h:.0}\" role=\"img\">\n\
         <title>{}</title>\n\
         <style>text{{font-family:ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:{}px;white-space:pre}}\
         .b{{font-weight:bold}}.i{{font-style:italic}}.u{{text-decoration:underline}}</style>\n\
         <rect width=\"{w:.1}\" height=\"{h:.1}\" fill=\"{}\"/>",
        escape(&options.title),
        options.font_size,
        hex(options.background),
    );
    // Dots of one colour are one path: thousands of elements would be ten times the size.
    let mut dots: BTreeMap<Rgb, String> = BTreeMap::new();
    for y in buf.area.top()..buf.area.bottom() {
        let mut line = Run::default();
        backgrounds(&mut out, buf, y, options);
        for (x, cell) in cells(buf, y) {
            let (fg, _) = colors(cell, options);
            let left = f64::from(x - buf.area.x) * cw;
            let top = f64::from(y - buf.area.y) * ch;
            match cell.symbol().chars().next() {
                None | Some(' ') => {}
                Some(c @ '\u{2800}'..='\u{28ff}') => braille(dots.entry(fg).or_default(), c, (left, top), options),
                Some(c) if shape(&mut out, c, (left, top), options, fg) => {}
                Some(_) => {
                    let style = (fg, cell.modifier & (Modifier::BOLD | Modifier::ITALIC | Modifier::UNDERLINED));
                    // Some renderers look at the first place only: what is not adjacent is a text of its own.
                    if line.style != Some(style) || (left - line.end).abs() > 0.01 {
                        line.flush(&mut out, top, options);
                        line.style = Some(style);
                    }
                    line.end = left + cw * unicode_width::UnicodeWidthStr::width(cell.symbol()) as f64;
                    let _ = write!(line.xs, "{left:.1} ");
                    line.text.push_str(&escape(cell.symbol()));
                }
            }
        }
        line.flush(&mut out, f64::from(y - buf.area.y) * ch, options);
    }
    for (color, path) in dots {
        let _ = writeln!(
            out,
            "<path d=\"{path}\" stroke=\"{}\" stroke-width=\"3\" stroke-linecap=\"round\" fill=\"none\"/>",
            hex(color)
        );
    }
    out.push_str("</svg>\n");
    out
}

/// Glyphs of one style on one line, each with its own place.
#[derive(Default)]
struct Run {
    style: Option<(Rgb, Modifier)>,
    xs: String,
    text: String,
    /// Where the next glyph stands when it is adjacent.
    end: f64,
}

impl Run {
    fn flush(&mut self, out: &mut String, top: f64, options: &SvgOptions) {
        if let (Some((fg, modifier)), false) = (self.style, self.text.is_empty()) {
            let mut classes = Vec::new();
            for (flag, class) in [(Modifier::BOLD, "b"), (Modifier::ITALIC, "i"), (Modifier::UNDERLINED, "u")] {
                if modifier.contains(flag) {
                    classes.push(class);
                }
            }
            let class = if classes.is_empty() { String::new() } else { format!(" class=\"{}\"", classes.join(" ")) };
            let baseline = top + options.cell_height * 0.74;
            let _ = writeln!(
                out,
                "<text{class} x=\"{}\" y=\"{baseline:.1}\" fill=\"{}\">{}</text>",
                self.xs.trim_end(),
                hex(fg),
                self.text
            );
        }
        *self = Self::default();
    }
}

/// One rectangle per run of a background that is not the screen's.
fn backgrounds(out: &mut String, buf: &Buffer, y: u16, options: &SvgOptions) {
    let background = |x: u16| buf.cell((x, y)).map_or(options.background, |c| colors(c, options).1);
    let mut x = buf.area.left();
    while x < buf.area.right() {
        let color = background(x);
        let end = (x..buf.area.right()).find(|i| background(*i) != color).unwrap_or(buf.area.right());
        if color != options.background {
            rect(
                out,
                f64::from(x - buf.area.x) * options.cell_width,
                f64::from(y - buf.area.y) * options.cell_height,
                f64::from(end - x) * options.cell_width,
                options.cell_height,
                color,
                1.0,
            );
        }
        x = end;
    }
}

/// Foreground and background as they show: reversed, dimmed, the terminal's own.
fn colors(cell: &Cell, options: &SvgOptions) -> (Rgb, Rgb) {
    let known = |color: Color, own: Rgb| rgb(color).unwrap_or(own);
    let (mut fg, mut bg) = (known(cell.fg, options.foreground), known(cell.bg, options.background));
    if cell.modifier.contains(Modifier::REVERSED) {
        std::mem::swap(&mut fg, &mut bg);
    }
    if cell.modifier.contains(Modifier::DIM) {
        let mix = |a: u8, b: u8| ((u16::from(a) * 3 + u16::from(b) * 2) / 5) as u8;
        fg = (mix(fg.0, bg.0), mix(fg.1, bg.1), mix(fg.2, bg.2));
    }
    (fg, bg)
}

#[allow(clippy::many_single_char_names)] // x, y, w, h of a cell read best by their usual names
/// Draws characters that are shapes; `false`: it is a letter.
fn shape(out: &mut String, c: char, (x, y): (f64, f64), options: &SvgOptions, fg: Rgb) -> bool {
    let (w, h) = (options.cell_width, options.cell_height);
    let (mx, my) = (x + w / 2.0, y + h / 2.0);
    let mut path = |d: String, dash: &str| {
        let _ = writeln!(out, "<path d=\"{d}\" stroke=\"{}\" stroke-width=\"1.2\" fill=\"none\"{dash}/>", hex(fg));
    };
    let (right, bottom) = (x + w, y + h);
    match c {
        '─' => path(format!("M{x:.1} {my:.1}H{right:.1}"), ""),
        '╌' => path(format!("M{x:.1} {my:.1}h{:.1}M{mx:.1} {my:.1}h{:.1}", w * 0.3, w * 0.3), ""),
        '│' => path(format!("M{mx:.1} {y:.1}V{bottom:.1}"), ""),
        '┊' => path(format!("M{mx:.1} {y:.1}V{bottom:.1}"), " stroke-dasharray=\"2 2.5\""),
        '╭' => {
            path(
                format!("M{right:.1} {my:.1}H{:.1}Q{mx:.1} {my:.1} {mx:.1} {:.1}V{bottom:.1}", mx + 3.0, my + 3.0),
                "",
            );
        }
        '╮' => {
            path(format!("M{x:.1} {my:.1}H{:.1}Q{mx:.1} {my:.1} {mx:.1} {:.1}V{bottom:.1}", mx - 3.0, my + 3.0), "");
        }
        '╰' => {
            path(format!("M{mx:.1} {y:.1}V{:.1}Q{mx:.1} {my:.1} {:.1} {my:.1}H{right:.1}", my - 3.0, mx + 3.0), "");
        }
        '╯' => path(format!("M{mx:.1} {y:.1}V{:.1}Q{mx:.1} {my:.1} {:.1} {my:.1}H{x:.1}", my - 3.0, mx - 3.0), ""),
        '┌' => path(format!("M{right:.1} {my:.1}H{mx:.1}V{bottom:.1}"), ""),
        '┐' => path(format!("M{x:.1} {my:.1}H{mx:.1}V{bottom:.1}"), ""),
        '└' => path(format!("M{mx:.1} {y:.1}V{my:.1}H{right:.1}"), ""),
        '┘' => path(format!("M{mx:.1} {y:.1}V{my:.1}H{x:.1}"), ""),
        '┤' => path(format!("M{mx:.1} {y:.1}V{bottom:.1}M{mx:.1} {my:.1}H{x:.1}"), ""),
        '├' => path(format!("M{mx:.1} {y:.1}V{bottom:.1}M{mx:.1} {my:.1}H{right:.1}"), ""),
        '┬' => path(format!("M{x:.1} {my:.1}H{right:.1}M{mx:.1} {my:.1}V{bottom:.1}"), ""),
        '█' => rect(out, x, y, w, h, fg, 1.0),
        '━' => rect(out, x, y + h * 0.38, w, h * 0.24, fg, 1.0),
        '▀' => rect(out, x, y, w, h / 2.0, fg, 1.0),
        '▌' => rect(out, x, y, w / 2.0, h, fg, 1.0),
        '▁'..='▇' => {
            let part = h * f64::from(c as u32 - 0x2580) / 8.0;
            rect(out, x, y + h - part, w, part, fg, 1.0);
        }
        '░' => rect(out, x, y, w, h, fg, 0.25),
        '▒' => rect(out, x, y, w, h, fg, 0.5),
        '▓' => rect(out, x, y, w, h, fg, 0.75),
        _ => return false,
    }
    true
}

/// Adds the dots of a cell to a path: lines of no length, which round caps make dots.
fn braille(path: &mut String, c: char, (x, y): (f64, f64), options: &SvgOptions) {
    // Unicode numbers the dots down the columns, 7 and 8 below them.
    const PLACES: [(u8, u8); 8] = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)];
    let bits = c as u32 - 0x2800;
    for (i, (column, line)) in PLACES.into_iter().enumerate() {
        if bits & (1 << i) != 0 {
            let cx = x + options.cell_width * (0.25 + 0.5 * f64::from(column));
            let cy = y + options.cell_height * (0.125 + 0.25 * f64::from(line));
            let _ = write!(path, "M{cx:.1} {cy:.1}h0");
        }
    }
}

fn rect(out: &mut String, x: f64, y: f64, w: f64, h: f64, color: Rgb, opacity: f64) {
    let opacity = if opacity < 1.0 { format!(" fill-opacity=\"{opacity}\"") } else { String::new() };
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.2}\" width=\"{w:.1}\" height=\"{h:.2}\" fill=\"{}\"{opacity} shape-rendering=\"crispEdges\"/>",
        hex(color)
    );
}

fn hex((r, g, b): Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
