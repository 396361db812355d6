//! A number as it is shown: measured, estimated, partial, stale, missing and zero look different, in colour and without.

use super::span;
use crate::{
    model::{Quality, Reading, Severity, Time},
    tui::{
        format,
        theme::{Slot, Theme},
    },
};
use ratatui::text::{Line, Span};

/// A reading: `12.4k`, `~34 s` (estimated), `≥96.4k` (partial), `31 (6m)`, `~31 (6m)` (stale, with its age), `–` (missing).
pub fn reading(
    theme: &Theme,
    value: Option<&Reading>,
    now: Time,
    stale_after: f64,
    print: impl Fn(f64) -> String,
) -> Line<'static> {
    let Some(reading) = value else { return missing(theme) };
    let (age, g) = (reading.age(now), theme.glyphs());
    let text = print(reading.value);
    if age > stale_after {
        // What is old may have been an estimate, or a part, besides.
        let mark = match reading.quality {
            Quality::Measured => "",
            Quality::Estimated => g.about,
            Quality::Partial => g.at_least,
        };
        return Line::from(span(format!("{mark}{text} ({})", format::age(age)), theme.style(Slot::Dim)));
    }
    match reading.quality {
        Quality::Measured if reading.value == 0.0 => Line::from(span(text, theme.style(Slot::Dim))),
        Quality::Measured => Line::from(span(text, theme.style(Slot::Text))),
        Quality::Estimated => {
            Line::from(vec![span(g.about, theme.style(Slot::Dim)), span(text, theme.style(Slot::Text))])
        }
        Quality::Partial => Line::from(span(format!("{}{text}", g.at_least), theme.style(Slot::Unknown))),
    }
}

/// No value: nothing was said about it.
pub fn missing(theme: &Theme) -> Line<'static> {
    Line::from(span(theme.glyphs().missing, theme.style(Slot::Dim)))
}

/// A value that exists but is not known now.
pub fn unknown(theme: &Theme) -> Line<'static> {
    Line::from(span(theme.glyphs().unknown, theme.style(Slot::Unknown)))
}

/// The glyph of a severity.
pub fn severity(theme: &Theme, severity: Severity) -> Span<'static> {
    let g = theme.glyphs();
    let glyph = match severity {
        Severity::Ok => g.ok,
        Severity::Unknown => g.unknown,
        Severity::Look => g.look,
        Severity::Act => g.act,
    };
    span(glyph, theme.style(slot(severity)))
}

/// The colour of a severity.
pub fn slot(severity: Severity) -> Slot {
    match severity {
        Severity::Ok => Slot::Good,
        Severity::Unknown => Slot::Unknown,
        Severity::Look => Slot::Look,
        Severity::Act => Slot::Act,
    }
}

/// Gives every span of a line another style: a value that breaks its limit.
pub fn restyle(line: Line<'static>, theme: &Theme, slot: Slot) -> Line<'static> {
    let style = theme.style(slot);
    Line::from(line.spans.into_iter().map(|s| Span::styled(s.content, style)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::si;

    #[test]
    fn kinds_of_not_knowing_differ_without_colour() {
        let theme = Theme::default();
        let now = Time::from_secs(1_000.0);
        let at = |age: f64, quality| Reading::new(96_400.0, now.plus(-age), "x").map(|r| r.with_quality(quality));
        let zero = Reading::new(0.0, now, "x");
        let show = |r: Option<Reading>| reading(&theme, r.as_ref(), now, 30.0, si).to_string();
        let shown = [
            show(at(1.0, Quality::Measured)),
            show(at(1.0, Quality::Estimated)),
            show(at(1.0, Quality::Partial)),
            show(at(372.0, Quality::Measured)),
            show(at(372.0, Quality::Estimated)),
            show(at(372.0, Quality::Partial)),
            show(zero),
            show(None),
            unknown(&theme).to_string(),
        ];
        assert_eq!(shown, ["96.4k", "~96.4k", "≥96.4k", "96.4k (6m)", "~96.4k (6m)", "≥96.4k (6m)", "0", "–", "?"]);
    }
}
