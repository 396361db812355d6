//! Tests of the exporter.

use super::*;
use ratatui::style::Style;

fn sample() -> Buffer {
    let mut buf = Buffer::with_lines(["a<b ⣿ █ 数x", "plain      "]);
    buf.set_style(ratatui::layout::Rect::new(0, 0, 3, 1), Style::new().fg(Color::Rgb(1, 2, 3)).bg(Color::Blue));
    buf
}

#[test]
fn text_is_what_was_drawn() {
    assert_eq!(text(&sample()), "a<b ⣿ █ 数x\nplain\n");
}

#[test]
fn every_line_of_ansi_ends_without_colour() {
    let out = ansi(&sample());
    assert!(out.lines().all(|l| l.ends_with("\x1b[0m")), "{out:?}");
    assert!(out.contains("\x1b[38;2;1;2;3m\x1b[48;5;4ma<b"), "{out:?}");
}

#[test]
fn svg_escapes_text_and_draws_shapes() {
    let out = svg(&sample(), &SvgOptions { title: "a & b".into(), ..SvgOptions::default() });
    assert!(out.contains("<title>a &amp; b</title>") && out.contains(">a&lt;b</text>"), "{out}");
    assert_eq!(out.matches("h0").count(), 8, "a full braille cell has eight dots");
    assert!(!out.contains('█') && !out.contains('⣿'));
}
